/*
 * sink: what the Model Door asks and records, for those who may write the ledger.
 *
 * One call of a client is one model_call. In this order the door
 *
 *     permit   asks whether the call may take a route, for each route that it tries
 *     reserve  sets aside what the call may cost at most
 *     settle   says what it did cost; exactly once after each reserve that gave 0
 *
 * and `refused` for a call that came to no reservation. None of them may wait
 * for a disk longer than a ledger takes: the door stands still meanwhile. Nothing
 * of a prompt or an answer is ever in what they are given, and no credential.
 */
#ifndef AM_DOORS_MODEL_SINK_H
#define AM_DOORS_MODEL_SINK_H

#include "base/base.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"
#include "doors/model/protocol.h"
#include "doors/model/route.h"

/* Good for the length of a call of the sink's functions. */
struct model_call {
    uint64_t number; /* of this door, from 1 on */
    const struct endpoint *endpoint;
    struct str model;                /* that the client asked for */
    struct str upstream_model;       /* empty where there is no route */
    const struct model_route *route; /* NULL where none is taken */
    const char *route_reason;        /* why this one: modelCall's `routeReason` */
    uint64_t prompt_bytes;           /* of the body as it came */
    const char *prompt_digest;       /* of the same, "sha256:…"; NULL where there was no body */
    const struct egress_findings *secrets; /* in the prompt; NULL: nobody has looked */
    /* What the call may cost at most: DESIGN's reservation. */
    uint64_t reserved_calls, reserved_tokens;
};

/* On what a settlement rests. */
#define MODEL_BASIS_TABLE(X)                                                                       \
    X(BASIS_REPORTED, "reported") /* the provider said all of it */                                \
    X(BASIS_PARTIAL, "partial")   /* it said a part, the rest is what was reserved for it */       \
    X(BASIS_RESERVED, "reserved") /* it said nothing: all that was reserved */                     \
    X(BASIS_NOTHING, "nothing")   /* nothing was made: it was not reached, or refused the call */

enum model_basis {
#define X(basis, name) basis,
    MODEL_BASIS_TABLE(X)
#undef X
};

/* How a call ended. */
#define MODEL_END_TABLE(X)                                                                         \
    X(CALL_COMPLETED, "completed")                                                                 \
    X(CALL_CLIENT_GONE, "client-gone")           /* and the provider was left at once */           \
    X(CALL_PROVIDER_CUT, "provider-cut")         /* its answer ended before its end */             \
    X(CALL_PROVIDER_REFUSED, "provider-refused") /* a status of 400 or above */                    \
    X(CALL_UNREACHABLE, "unreachable")           /* no answer began */                             \
    X(CALL_TIMED_OUT, "timed-out")                                                                 \
    X(CALL_DOOR_CLOSED, "door-closed")

enum model_end {
#define X(end, name) end,
    MODEL_END_TABLE(X)
#undef X
        MODEL_END_COUNT
};

const char *model_basis_name(enum model_basis basis);
const char *model_end_name(enum model_end end);

struct model_settlement {
    enum model_end end;
    enum model_basis basis;
    uint64_t calls, tokens; /* to be charged; may lie above what was reserved: an overshoot */
    uint64_t input_tokens, output_tokens; /* as far as they are known */
    uint64_t sent_bytes;                  /* of the prompt that left for the provider */
    uint64_t answer_bytes;                /* that the client was given */
    unsigned status;                      /* of the provider; 0: it did not answer */
};

/* Of permit and reserve: somebody who is there has been asked; the call is held, and asks again. */
#define MODEL_HELD 2

struct model_sink {
    void *context;
    /*
     * Whether a call may take its route: binding, the layers' verdict on the place, prompt egress,
     * terms and consent. 1: it may, and that is durable; 0: not, and ret_reason says in a sentence
     * why and what would help; MODEL_HELD; -errno: it could not be decided or written down, and so
     * may not.
     */
    int (*permit)(void *context, const struct model_call *call, char ret_reason[MODEL_REASON_SIZE],
                  struct err *err);
    /*
     * Sets aside call->reserved_calls and reserved_tokens. 0; MODEL_HELD; or ERR_BUDGET, with
     * *ret_ceiling filled; any other failure refuses the call too.
     */
    int (*reserve)(void *context, const struct model_call *call, struct model_ceiling *ret_ceiling,
                   struct err *err);
    void (*settle)(void *context, const struct model_call *call,
                   const struct model_settlement *settlement);
    /*
     * Whether one of the addresses that a hosted provider's name led to may be connected to; asked
     * where the door resolves it. NULL: whatever permit allowed is allowed at every address.
     */
    bool (*address)(void *context, const struct model_call *call,
                    const struct address_range *address);
    /* A call that was not made: no route, not permitted, beyond a limit or a budget. */
    void (*refused)(void *context, const struct model_call *call, enum model_fault fault,
                    const char *reason);
};

#endif
