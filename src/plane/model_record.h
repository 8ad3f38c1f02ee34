/*
 * model_record: what the Model Door asks and does, answered and written down by the plane.
 *
 * A sink for the door: whether a call may take its route, what it may cost, and
 * what it did cost. Of a call digests and counts are recorded, and nothing else.
 */
#ifndef AM_PLANE_MODEL_RECORD_H
#define AM_PLANE_MODEL_RECORD_H

#include "doors/model/sink.h"
#include "plane/model_routes.h"

/* Events that wait for the next commit: so many that fewer than one call in five hundred waits. */
#define MODEL_PENDING_MAX 1024
#define MODEL_PENDING_MS  1000 /* and how long, while calls come */
#define MODEL_REFUSED_MAX 100  /* events of calls that were refused, of one run */

struct model_ruling;
struct model_verdict;

/* What went to the place of a route. */
struct model_egress {
    uint64_t calls, bytes;
};

struct model_record {
    struct model_sink sink; /* for the door */
    struct work *work;
    const struct model_routes *routes;
    /* Whether somebody is there who is asked now, by the card's id; NULL: nobody is. */
    bool (*offer)(void *context, const char *card);
    void *offer_context;
    struct model_ruling *rulings; /* by route: what documents and layers say of it */
    struct model_egress *egress;  /* by route */
    struct model_verdict *verdicts;
    size_t count, capacity;
    int64_t calls, tokens;           /* to be charged, what exceeded its reservation too */
    int64_t owed_calls, owed_tokens; /* of that, what is not drawn yet */
    size_t pending, refused;
    /* When it was last seen that nothing was bound or unbound, and what the ledger's mark was. */
    int64_t bound_ms;
    uint32_t bound_mark;
    int64_t pending_since_ms;
    struct err failure; /* of an event that could not be written: from then on no call is made */
};

/* The routes outlive it. */
int model_record_init(struct model_record *record, struct work *work,
                      const struct model_routes *routes, struct err *err) MUST_CHECK;
void model_record_release(struct model_record *record);

/* Whether an address that a hosted place's name led to may be connected to; what cannot be decided
 * may not. `context` is the record. */
bool model_record_address(void *context, const struct model_call *call,
                          const struct address_range *address);

/* What left this machine, to whomever. */
struct model_egress model_record_egress(const struct model_record *record);
/* Appends the value of `promptEgress` of a LocalAgentExecution. */
void model_record_write_egress(const struct model_record *record, struct buf *ret);
/* Appends the items of its `denials` that are this door's, a comma before each but the first. */
void model_record_write_denials(const struct model_record *record, struct buf *ret);

#endif
