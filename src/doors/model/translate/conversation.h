/*
 * conversation: what a client asks of a model, whatever the protocol.
 *
 * A request is read into a conversation by the reader of the client's protocol, and written out
 * of it by the writer of the provider's. Texts and values are views into the document that was
 * read, or copies in the conversation's memory.
 */
#ifndef AM_DOORS_MODEL_TRANSLATE_CONVERSATION_H
#define AM_DOORS_MODEL_TRANSLATE_CONVERSATION_H

#include "base/arena.h"
#include "base/base.h"
#include "base/json.h"
#include "base/str.h"
#include "contract/rules.h"

#define CONVERSATION_PARTS_MAX   200000
#define CONVERSATION_TOOLS_MAX   1024
#define CONVERSATION_MEMORY_MAX  ((size_t)128 << 20)
#define CONVERSATION_FAULT_SIZE  320
#define CONVERSATION_NESTING_MAX 8   /* of tools in namespaces, and of parts in results */
#define TOOL_NAME_MAX            128 /* bytes, as much as any of the protocols takes */

enum speaker {
    SPEAKER_SYSTEM, /* what stands before the first word of anybody else */
    SPEAKER_USER,
    SPEAKER_MODEL,
};

enum part_kind {
    PART_TEXT,
    PART_IMAGE,
    PART_CALL,   /* of a tool, by the model */
    PART_RESULT, /* of a call */
};

struct part_list {
    struct part *first, *last;
};

struct part {
    struct part *next;
    enum part_kind kind;
    struct str text;        /* of a call: its arguments, JSON; of an image: its address or base64 */
    struct str media_type;  /* of an image in base64; empty: text is its address */
    struct str id;          /* of a call, and of the call that a result is of */
    struct str name;        /* of the tool that is called, as the provider is to know it */
    struct part_list parts; /* of a result: texts and images */
    bool is_error;          /* of a result: the tool failed */
};

struct turn {
    struct turn *next;
    enum speaker speaker;
    struct part_list parts;
};

/* How a client wants to be told that a tool is called. */
enum tool_kind {
    TOOL_FUNCTION,
    TOOL_CUSTOM,      /* of Responses: its input is a text */
    TOOL_LOCAL_SHELL, /* of Responses: its input is a command line */
};

struct tool {
    struct tool *next;
    enum tool_kind kind;
    struct str name;     /* as the provider is to know it */
    struct str own_name; /* as the client knows it */
    struct str space;    /* of Responses: the namespace in which it does; empty: none */
    struct str description;
    yyjson_val *schema; /* of its arguments; NULL: those of the kind */
    bool is_strict;
};

enum tool_choice {
    CHOICE_UNSAID,
    CHOICE_AUTO,
    CHOICE_NONE,
    CHOICE_ANY, /* one of them has to be called */
    CHOICE_ONE, /* choice_name has to be */
};

struct conversation {
    struct arena arena;
    yyjson_doc *doc;
    const char *target; /* what the provider speaks, for refusals */

    struct str model;
    struct turn *turns, *last_turn;
    size_t part_count;
    struct tool *tools, *last_tool;
    size_t tool_count;
    enum tool_choice choice;
    struct str choice_name;
    bool calls_one_by_one;

    /* As the client wrote them; NULL: not said. */
    yyjson_val *limit, *temperature, *top_p, *stop;
    yyjson_val *answer_schema; /* the answer is JSON that fits it */
    struct str answer_name;
    bool answer_is_json;

    yyjson_val *dimensions; /* of embeddings, as the client wrote it */
    bool wants_base64;      /* of their vectors */

    bool streams;
    bool wants_usage;     /* of chat: the stream tells it only where asked to */
    bool wants_reasoning; /* what the model thinks is told */

    char fault[CONVERSATION_FAULT_SIZE]; /* why it could not be read or written */
};

void conversation_init(struct conversation *c, const char *target);
void conversation_release(struct conversation *c);
/* Once it is written: what an answer needs of it stays, its tools' names and what was wished. */
void conversation_let_go(struct conversation *c);

/* Both note a sentence, the first one, and return the code: -EBADMSG where a client has to mend
 * something, -EOPNOTSUPP where something cannot be carried over. */
int conversation_wrong(struct conversation *c, const char *format, ...) PRINTF_LIKE(2, 3);
int conversation_refuse(struct conversation *c, const char *format, ...) PRINTF_LIKE(2, 3);
int conversation_no_memory(struct conversation *c);

/*
 * The turn that is being spoken: the last one, or a new one where another speaks. What the system
 * says in the midst of a conversation is the user's, since models' templates know no other place
 * for it. NULL without memory.
 */
struct turn *conversation_turn(struct conversation *c, enum speaker speaker);
/* A new part at the end of a list; NULL without memory or beyond a limit, which is noted. */
struct part *conversation_part(struct conversation *c, struct part_list *list, enum part_kind kind);
int conversation_text(struct conversation *c, struct part_list *list, struct str text);
/* An image by its address, which may be a data: URL. */
int conversation_image(struct conversation *c, struct part_list *list, struct str address);
int conversation_copy(struct conversation *c, struct str text, struct str *ret);
/* Takes what was written into the conversation's memory; the buf is released. */
int conversation_keep(struct conversation *c, struct buf *text, struct str *ret);
/* A value as JSON text. */
int conversation_json(struct conversation *c, yyjson_val *value, struct str *ret);

/* A new tool; a name that is there already, or is too long, is refused. */
int conversation_tool(struct conversation *c, enum tool_kind kind, struct str space,
                      struct str name, struct tool **ret);
/* Sets the schema of a tool's arguments, which may be absent. */
int conversation_schema(struct conversation *c, struct tool *tool, yyjson_val *schema);
/* Appends it. */
void tool_schema_write(const struct tool *tool, struct buf *out);
/* By the name that a provider calls it by. */
const struct tool *conversation_find_tool(const struct conversation *c, struct str name);

/* --- members of requests -------------------------------------------------------------------- */

enum member_use {
    MEMBER_CARRIED,
    MEMBER_HINT,    /* how the answer is made, and not what it is: it stays behind */
    MEMBER_DEFAULT, /* it stays behind where it says nothing (false, 0, empty), else it is refused
                     */
};

struct member_row {
    const char *name;
    enum member_use use;
    int (*read)(struct conversation *c, yyjson_val *value, void *context);
};

/*
 * Reads an object by its rows. A member that no row has is refused by its name; null is nothing
 * anywhere. `what` names the object: "the request", "a message".
 */
int members_read(struct conversation *c, yyjson_val *object, const char *what,
                 const struct member_row *rows, size_t count, void *context);

/*
 * Reads each item of an array, which may be absent; `name` is the member's, for a complaint where
 * it is none.
 */
typedef int item_reader(struct conversation *c, yyjson_val *item, void *context);
int items_read(struct conversation *c, yyjson_val *array, const char *name, item_reader *read,
               void *context);

/* The text of a member, or a complaint that it is none. */
int member_text(struct conversation *c, yyjson_val *value, const char *name, struct str *ret);
/* `parallel_tool_calls`, as both of OpenAI's protocols have it. */
int member_parallel(struct conversation *c, yyjson_val *value, void *context);

/* For each item of an array, which may be absent. */
#define EACH_ITEM(array, item)                                                                     \
    for (yyjson_arr_iter iter_ = yyjson_arr_iter_with((array));                                    \
         ((item) = yyjson_arr_iter_next(&iter_));)

/* --- writing -------------------------------------------------------------------------------- */

/* A comma, unless an array or an object has just begun. */
static inline void emit_next(struct buf *out)
{
    if (out->len && out->data[out->len - 1] != '[' && out->data[out->len - 1] != '{')
        buf_add_char(out, ',');
}

static inline void emit_name(struct buf *out, const char *name)
{
    json_add_name(out, name);
}

/* A member with a value as it is; nothing where there is none. */
static inline void emit_value(struct buf *out, const char *name, yyjson_val *value)
{
    if (!value || yyjson_is_null(value))
        return;
    json_add_name(out, name);
    json_add_value(out, value, 0);
}

#endif
