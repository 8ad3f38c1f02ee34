/*
 * card: what a layer leaves to a person, asked once.
 *
 * A DecisionCard is made where a gate's answer is `ask`. It is answered through
 * decide.c; an answer that allows is a lease. Gates look here before they ask.
 */
#ifndef AM_PLANE_CARD_H
#define AM_PLANE_CARD_H

#include "plane/work.h"

#define CARD_TYPE "DecisionCard"
/* Documents of the plane's own that say which cards are pending, and which were. */
#define CARD_OPEN_TYPE   "DecisionOpen"
#define CARD_CLOSED_TYPE "DecisionClosed"
#define CARD_ENTERPRISE  "urn:srcos:layer:enterprise" /* whoever it delegates answering to */
#define CARD_VALID_MS    ((int64_t)24 * 3600 * 1000)  /* then the default is taken */
#define CARD_LIVE_MAX    100 /* cards of one question that still mean something */

/* By which a card is changed: the document and its revision. */
struct card {
    yyjson_doc *doc;
    const yyjson_val *root; /* of it */
    int64_t revision;
};
/* ERR_NOT_FOUND where there is none. */
int card_read(struct plane *plane, struct str id, struct card *ret, struct err *err) MUST_CHECK;
void card_release(struct card *card);

/* A pending card whose time is over counts as expired before anybody has written that down. */
enum card_state { CARD_PENDING, CARD_ANSWERED, CARD_EXPIRED, CARD_WITHDRAWN };
enum card_state card_state(const struct card *card);
/* Whether an answered card's lease still holds, but for its count. */
bool card_lease_holds(const struct card *card);

/*
 * Adds a changed card to the batch of its operation, with the event that binds it: on commit
 * ERR_CONFLICT where somebody else has changed it. `command` may be empty.
 */
int card_put(struct work *work, const struct card *card, yyjson_mut_doc *changed,
             struct str command, const char *message, struct err *err) MUST_CHECK;
/* Adds the end of a pending card without an answer: expired or withdrawn. */
int card_put_end(struct work *work, const struct card *card, enum card_state state,
                 struct err *err) MUST_CHECK;
/* Writes down that a pending card's time is over, if it is; somebody else may be faster. */
int card_expire(struct plane *plane, struct str id, struct err *err) MUST_CHECK;

/* --- asking -------------------------------------------------------------------------------- */

struct card_question {
    const struct gate_question *gate;
    const struct gate_answer *answer; /* of the layer that asks */
    struct str profile;               /* may be empty */
};

enum card_says {
    CARD_SAYS_ASK,    /* nobody was asked yet */
    CARD_SAYS_QUEUED, /* a card is pending: it is asked already */
    CARD_SAYS_ALLOW,
    CARD_SAYS_DENY,
};
struct card_found {
    enum card_says says;
    char card[PLANE_URN_MAX]; /* empty: CARD_SAYS_ASK */
    bool own;                 /* it is this operation's */
    char who[PLANE_URN_MAX];  /* has answered */
    char until[64];           /* the lease's end */
    char option[128];         /* the first that allows */
    bool counted;             /* the lease is for a number of uses */
    int64_t list_revision;    /* of the question's cards, when they were looked at */
};
int card_consult(struct work *work, const struct card_question *question, struct card_found *ret,
                 struct err *err) MUST_CHECK;
/* Adds a card for the question to the batch; `decision` is the verdict that asks. */
int card_ask(struct work *work, const struct card_question *question, struct str decision,
             struct card_found *ret, struct err *err) MUST_CHECK;
/* Adds a card that asks for something else than a gate does: the document, and that it is pending.
 */
int card_put_new(struct work *work, const char *id, const struct buf *json,
                 struct err *err) MUST_CHECK;
/* The name of a card that card_ask is to make. */
int card_name(struct card_found *ret, struct err *err) MUST_CHECK;
/* Counts that a question was asked again while its card is pending; may trail. */
void card_count_asked(struct plane *plane, struct str id);
/* Adds a use of a lease that has a count: on commit ERR_CONFLICT where another took it. */
int card_put_use(struct work *work, struct str id, struct err *err) MUST_CHECK;

#endif
