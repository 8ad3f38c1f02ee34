/*
 * prompt: what the body of a request says that the door has to know, and how it is amended.
 *
 * Nothing of the prompt itself is looked at: which model, how much may come
 * back, how many answers, whether as a stream, and what it asks for beyond its
 * own bytes (images, files, context and tools of the provider's).
 */
#ifndef AM_DOORS_MODEL_PROMPT_H
#define AM_DOORS_MODEL_PROMPT_H

#include "base/base.h"
#include "base/str.h"
#include "doors/model/protocol.h"
#include "doors/model/route.h"

#define PROMPT_OUTPUT_TOKENS_MAX 100000000 /* a client's own limit on output */
#define PROMPT_ANSWERS_MAX       100000
#define PROMPT_FAULT_SIZE        256
#define PROMPT_NAME_SIZE         65

/* Where a value stands in the body; both 0: nowhere. */
struct prompt_place {
    uint64_t from, to;
};

struct prompt {
    char model[MODEL_NAME_BYTES_MAX + 1];
    struct prompt_place model_at;
    bool streams;                 /* also where the protocol streams unless told otherwise */
    bool has_limit;               /* on output */
    uint64_t limit;               /* of each answer */
    struct prompt_place limit_at; /* also of one that is none, such as null */
    uint64_t answers;
    uint64_t images;
    /* What else costs tokens that its bytes do not show: a member's name or a tool's type. */
    char unbounded[PROMPT_NAME_SIZE];
    bool stores; /* the client wants the provider to keep it */
    struct prompt_place store_at;
    bool asks_usage;              /* the client wants usage in its stream itself */
    struct prompt_place usage_at; /* stream_options.include_usage */
    struct prompt_place stream_options_at, options_at; /* an object's: behind its bracket */
    bool stream_options_is_object, stream_options_is_empty, options_is_empty;
    uint64_t first; /* behind the body's bracket */
};

/* 0, or -EBADMSG with a sentence that says what a client has to mend. */
int prompt_read(struct str body, const struct endpoint *endpoint, struct prompt *ret,
                char ret_fault[PROMPT_FAULT_SIZE]) MUST_CHECK;

/* What is put in the place of a part of the body; in the order of the body. */
#define PROMPT_EDITS_MAX 4
struct prompt_edit {
    uint64_t from, to;
    char text[6 * MODEL_NAME_BYTES_MAX + 64];
};
struct prompt_edits {
    struct prompt_edit edits[PROMPT_EDITS_MAX];
    size_t count;
    bool asks_usage; /* usage was asked for that the client did not ask for */
};

/* What makes of the body one for a route: its model, a limit, and usage where it can be asked for.
 */
void prompt_amend(const struct prompt *prompt, const struct endpoint *endpoint,
                  const struct model_route *route, struct str upstream_model,
                  struct prompt_edits *ret);

/* The limit on output that holds for a call on a route: the client's, or the route's. */
uint64_t prompt_output_limit(const struct prompt *prompt, const struct model_route *route);

/* What a call may cost at most (DESIGN section 7), in its two parts. */
struct prompt_cost {
    uint64_t input, output;
};
/* False where it has no bound on this route; then ret_fault says why and what would help. */
bool prompt_estimate(const struct prompt *prompt, const struct endpoint *endpoint,
                     const struct model_route *route, uint64_t body_bytes, struct prompt_cost *ret,
                     char ret_fault[PROMPT_FAULT_SIZE]);

#endif
