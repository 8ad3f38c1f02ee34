/*
 * answer: what a model answers, on its way from the provider's protocol to the client's.
 *
 * A reader takes the provider's events, or its one document, apart into pieces; the writer puts
 * them together as the client's events, or as its one document.
 */
#ifndef AM_DOORS_MODEL_TRANSLATE_ANSWER_H
#define AM_DOORS_MODEL_TRANSLATE_ANSWER_H

#include "doors/model/translate/conversation.h"

#define ANSWER_ITEMS_MAX  1024               /* texts and calls of one answer */
#define ANSWER_BYTES_MAX  ((size_t)32 << 20) /* of an answer that is kept whole */
#define ANSWER_NAME_MAX   256                /* of a call's id and its tool's name */
#define ANSWER_FAULT_SIZE 512
#define ANSWER_ID_SIZE    40
#define ANSWER_COUNT_MAX  (UINT64_C(1) << 40) /* of tokens; what is above is none */

enum answer_stop {
    STOP_NONE, /* it was not said yet */
    STOP_END,
    STOP_SEQUENCE,
    STOP_LENGTH,
    STOP_CALLS,
    STOP_FILTER,
};

enum item_kind {
    ITEM_TEXT,
    ITEM_REASONING,
    ITEM_CALL,
    ITEM_VECTORS, /* of embeddings: all of them, as the client's form has them */
};

struct answer_item {
    enum item_kind kind;
    const struct tool *tool; /* of a call; NULL: a tool that the client did not name */
    char id[ANSWER_NAME_MAX + 1], name[ANSWER_NAME_MAX + 1]; /* of a call, as the provider says */
    struct buf text; /* text, or arguments, as far as they are kept */
    bool has_text;   /* whether or not it is kept */
};

/* Tokens; what was read from and written to a cache is no part of the input here. */
struct answer_usage {
    uint64_t input, cache_read, cache_written, output;
    bool is_known;
};

struct answer;

/* How a protocol writes answers. Streams: `begin`, for each item `open`, `add`, `close`, `end`. */
struct answer_form {
    bool keeps_texts; /* its last events have all that was said in them */
    const char *stream_type, *id_prefix;
    void (*begin)(struct answer *answer);
    void (*open)(struct answer *answer, const struct answer_item *item);
    void (*add)(struct answer *answer, const struct answer_item *item, struct str text);
    void (*close)(struct answer *answer, const struct answer_item *item);
    void (*end)(struct answer *answer);
    /* The whole answer as a document. -EBADMSG, with the answer's fault: it cannot be one. */
    int (*document)(struct answer *answer);
    /* Of embeddings, which have a document alone: appends the next vector. */
    void (*vector)(const struct answer *answer, struct buf *text, yyjson_val *vector);
};

extern const struct answer_form chat_answer_form;
extern const struct answer_form messages_answer_form;
extern const struct answer_form responses_answer_form;
extern const struct answer_form ollama_answer_form;
extern const struct answer_form ollama_generate_form;

struct answer {
    const struct conversation *asked;
    const struct answer_form *form;
    struct buf out; /* what goes to the client; whoever takes it truncates it */
    char id[ANSWER_ID_SIZE];
    uint64_t number; /* which no other answer has: of ids that have to be made */
    int64_t now_s;
    struct answer_item *items;
    size_t item_count, kept_bytes, vector_count;
    bool has_begun, is_open; /* the last item is being written */
    unsigned sequence;       /* of Responses' events */
    enum answer_stop stop;
    char stop_sequence[ANSWER_NAME_MAX + 1];
    struct answer_usage usage;
    char fault[ANSWER_FAULT_SIZE]; /* of the provider, or why it cannot be carried over */

    /* The reader's own. */
    bool skips; /* the block that is being read */
    bool has_call;
    uint64_t call_index;
};

/* `asked` outlives the answer. */
int answer_init(struct answer *answer, const struct conversation *asked,
                const struct answer_form *form, uint64_t number, int64_t now_s) MUST_CHECK;
void answer_release(struct answer *answer);

/*
 * Pieces, from the reader. 0; -ENOMEM; -EBADMSG, with the answer's fault, after which it only
 * fails. Reasoning goes nowhere unless it was asked for.
 */
int answer_say(struct answer *answer, enum item_kind kind, struct str text) MUST_CHECK;
int answer_call(struct answer *answer, struct str id, struct str name) MUST_CHECK;
int answer_arguments(struct answer *answer, struct str text) MUST_CHECK;
int answer_vector(struct answer *answer, yyjson_val *vector) MUST_CHECK;
/* Notes what is wrong with an answer; -EBADMSG. */
int answer_fault(struct answer *answer, const char *format, ...) PRINTF_LIKE(2, 3);
/* The provider's answer is whole: what is left is written. */
int answer_end(struct answer *answer) MUST_CHECK;
/* As the client is told why it ended: also where a provider forgot that it called a tool. */
enum answer_stop answer_stop_of(const struct answer *answer);

/* Readers: one document of a stream, or the whole answer where it is none. Likewise. */
int chat_answer_read(struct answer *answer, yyjson_val *root) MUST_CHECK;
int messages_answer_read(struct answer *answer, yyjson_val *root) MUST_CHECK;

/* A number of tokens; 0 where there is none. */
uint64_t answer_count(yyjson_val *root, const char *pointer);
/* An event of a stream: its data begins with what `event` gives back, and ends by event_end. */
static inline struct buf *event_begin(struct answer *answer, const char *type)
{
    if (type)
        buf_addf(&answer->out, "event: %s\n", type);
    buf_add_text(&answer->out, "data: {");
    if (type)
        json_add_text(&answer->out, "type", str_from(type));
    return &answer->out;
}

static inline void event_end(struct answer *answer)
{
    buf_add_text(&answer->out, "}\n\n");
}

#endif
