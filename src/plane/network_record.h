/*
 * network_record: what the Network Door decides, written down by the plane.
 *
 * A sink for the door: each distinct verdict becomes a PolicyDecision and an
 * event, durable before anything is done under it. What a layer leaves to a
 * person is looked up among the answers, or asked on a DecisionCard.
 */
#ifndef AM_PLANE_NETWORK_RECORD_H
#define AM_PLANE_NETWORK_RECORD_H

#include "doors/network/door.h"
#include "plane/plane.h"

/* How often a run may make a person be asked: so many at once, and then one in so long a time. */
#define NETWORK_ASKS_MAX 20
#define NETWORK_ASKS_MS  30000

/* One verdict that was written down. */
struct network_verdict {
    char decision[40]; /* the local part of its URN */
    char card[40]; /* of the card on which a person is asked; empty: of none, or it is answered */
    int64_t
        until_ms; /* of a permission that a person gave, or of what was not asked; 0: for good */
    bool once;    /* it is used up by being used */
    char *remedy; /* of a denial; else NULL */
};

struct network_record {
    struct network_sink sink; /* for the door */
    struct work *work;
    struct str profile;   /* the machine profile */
    const char *conflict; /* how the layers' answers are brought together */
    bool redacts;         /* destinations appear as digests alone */
    /* Whether somebody is there who is asked now, by the card's id; NULL: nobody is. */
    bool (*offer)(void *context, const char *card);
    void *offer_context;
    size_t asks; /* since a moment, so far as they count still */
    int64_t asks_from_ms;
    int64_t connector_calls;
    struct network_verdict *verdicts;
    size_t count, capacity;
};

void network_record_init(struct network_record *record, struct work *work, struct str profile,
                         const struct policy *policy);
void network_record_release(struct network_record *record);

/* Appends the value of `network` of a LocalAgentExecution. */
void network_record_write(const struct uses *uses, struct buf *ret);
/* Appends the items of its `denials` that are this door's, a comma before each but the first. */
void network_record_write_denials(const struct network_record *record, const struct uses *uses,
                                  struct buf *ret);

#endif
