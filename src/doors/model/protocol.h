/*
 * protocol: what clients speak, where they ask for what, and what they are told that cannot be.
 *
 * One const table has a row for each place that a client of OpenAI, Anthropic
 * or Ollama asks at; what is in no row does not exist here.
 */
#ifndef AM_DOORS_MODEL_PROTOCOL_H
#define AM_DOORS_MODEL_PROTOCOL_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

/* The names are those of ModelProviderBinding's `protocol`. */
#define MODEL_PROTOCOL_TABLE(X)                                                                    \
    X(MODEL_OPENAI, "openai", "OpenAI's protocol")                                                 \
    X(MODEL_ANTHROPIC, "anthropic", "Anthropic's protocol")                                        \
    X(MODEL_OLLAMA, "ollama", "Ollama's protocol")

enum model_protocol {
#define X(protocol, name, title) protocol,
    MODEL_PROTOCOL_TABLE(X)
#undef X
        MODEL_PROTOCOL_COUNT
};

const char *model_protocol_name(enum model_protocol protocol);
const char *model_protocol_title(enum model_protocol protocol); /* in a sentence */

/* What is done where a client asks. */
enum endpoint_kind {
    ENDPOINT_CHAT,       /* OpenAI chat completions */
    ENDPOINT_COMPLETION, /* OpenAI completions, which Ollama's generate is too */
    ENDPOINT_RESPONSES,  /* OpenAI responses */
    ENDPOINT_EMBEDDING,
    ENDPOINT_MESSAGES, /* Anthropic messages */
    ENDPOINT_COUNT,    /* tokens are counted; none is made */
    ENDPOINT_SHOW,     /* about one model, which the provider answers */
    ENDPOINT_MODELS,   /* the names that routes answer: from the door itself */
    ENDPOINT_VERSION,  /* from the door itself */
    ENDPOINT_REFUSED,  /* exists, and is not for a run: models come and go by a person's word */
};

struct endpoint {
    const char *method;
    const char *path; /* ends in "*": and one segment more; in "**": and whatever follows */
    enum model_protocol protocol;
    enum endpoint_kind kind;
    const char *suffix; /* behind what a provider's base address ends with; of ENDPOINT_REFUSED:
                           why, and what would be needed */
};

/* Why none of these is had from any surface, and what would be needed. */
#define MODEL_NEEDS                                                                                \
    " That needs a separate consented contract, and an evidence ledger of its own; neither is "    \
    "this "                                                                                        \
    "machine's to give (rules carry.no-authority-claim, carry.tuning-needs-consent)."
#define MODEL_NO_PROMOTION "Models are not promoted or published from this machine." MODEL_NEEDS
#define MODEL_NO_LIFECYCLE                                                                         \
    "Models are not made, copied or removed from this machine's surfaces: their lifecycle is "     \
    "their "                                                                                       \
    "owner's." MODEL_NEEDS
#define MODEL_NO_TUNING "Models are not tuned or trained from this machine." MODEL_NEEDS

extern const struct endpoint endpoints[];
extern const size_t endpoint_count;

/* The row, NULL where there is none; *ret_method_is_other: the path has one, for another method. */
const struct endpoint *endpoint_find(struct str method, struct str path, bool *ret_method_is_other);
/* Where clients of a protocol ask for answers first of all. */
const struct endpoint *endpoint_first(enum model_protocol protocol);
/* Which protocol a path is most likely of, for those who are told that there is no such place. */
enum model_protocol endpoint_protocol(struct str path);

/*        fault                  status  JSON identifier, and words of OpenAI's and Anthropic's own
 */
#define MODEL_FAULT_TABLE(X)                                                                       \
    X(FAULT_REQUEST, 400, "invalid-request", "invalid_request_error", "invalid_request_error")     \
    X(FAULT_TOKEN, 401, "bad-token", "invalid_request_error", "authentication_error")              \
    X(FAULT_DENIED, 403, "denied", "invalid_request_error", "permission_error")                    \
    X(FAULT_NOT_FOUND, 404, "not-found", "invalid_request_error", "not_found_error")               \
    X(FAULT_METHOD, 405, "method-not-allowed", "invalid_request_error", "invalid_request_error")   \
    X(FAULT_TOO_LARGE, 413, "limit-exceeded", "invalid_request_error", "request_too_large")        \
    X(FAULT_BUDGET, 429, "budget-exhausted", "insufficient_quota", "rate_limit_error")             \
    X(FAULT_RATE, 429, "rate-limited", "rate_limit_error", "rate_limit_error")                     \
    X(FAULT_INTERNAL, 500, "internal", "server_error", "api_error")                                \
    X(FAULT_UNSUPPORTED, 400, "unsupported", "invalid_request_error", "invalid_request_error")     \
    X(FAULT_UPSTREAM, 502, "provider-failed", "server_error", "api_error")                         \
    X(FAULT_OVERLOADED, 503, "door-full", "server_error", "overloaded_error")                      \
    X(FAULT_TIMEOUT, 504, "provider-silent", "server_error", "api_error")

enum model_fault {
#define X(fault, status, id, openai, anthropic) fault,
    MODEL_FAULT_TABLE(X)
#undef X
        MODEL_FAULT_COUNT
};

/* Whose ceiling a call met: the words of Budget's `exhaustion`. */
#define CEILING_TEXT_SIZE 256
struct model_ceiling {
    char dimension[32];                 /* modelCalls, tokens */
    char budget_ref[CEILING_TEXT_SIZE]; /* the Budget whose limit it is */
    uint64_t requested;
    uint64_t left;
};

struct model_problem {
    enum model_fault fault;
    struct str message;
    const struct model_ceiling *ceiling; /* NULL: none was met */
};

unsigned model_fault_status(enum model_fault fault);
const char *model_fault_id(enum model_fault fault);
/* Appends the body that a client of the protocol understands. */
int model_problem_add(struct buf *body, enum model_protocol protocol,
                      const struct model_problem *problem);
/* The same for the midst of a stream of answers: an event, or a line. */
int model_problem_add_event(struct buf *stream, enum model_protocol protocol,
                            enum endpoint_kind kind, const struct model_problem *problem);

#endif
