/*
 * model_ruling: what documents and layers say of one route of the Model Door.
 */
#ifndef AM_PLANE_MODEL_RULING_H
#define AM_PLANE_MODEL_RULING_H

#include "plane/card.h"
#include "plane/model_routes.h"

/* The strictest answer of a layer, and where it stands. */
struct model_answer {
    enum answer answer;
    char rule[200], document[PLANE_URN_MAX], pointer[VERDICT_POINTER_SIZE];
};

struct model_ruling {
    bool is_known;
    enum answer answer; /* allow, ask or deny */
    bool built_in;      /* a rule of the program itself decided */
    enum layer layer;   /* whose answer decided, else */
    struct model_answer decided;
    struct model_answer layers[LAYER_COUNT]; /* ANSWER_NOTHING: it says nothing */
    char reason[512], change[512];
};

/* One that was written down. */
struct model_verdict {
    size_t route;
    char *model;
    enum answer answer;
    bool is_unbound;              /* the binding was undone meanwhile */
    char decision[PLANE_URN_MAX]; /* the PolicyDecision */
    uint64_t denied;              /* calls */
    int64_t first_ms, last_ms;
};

/* Finds it out where it is not known. */
int model_ruling_find(struct work *work, const struct model_routes *routes, size_t route,
                      struct model_ruling *ruling, struct err *err) MUST_CHECK;
/* Whether an address that the name of a permitted place led to may be connected to. */
bool model_ruling_address(struct work *work, const struct model_origin *origin,
                          const struct model_ruling *ruling, const struct address_range *address);
/* Of a ruling that leaves it to a person: changes the verdict's answer where one has answered. */
int model_ruling_consult(struct work *work, const struct model_routes *routes,
                         const struct model_ruling *ruling, struct model_verdict *verdict,
                         struct card_found *card, struct err *err) MUST_CHECK;
/*
 * Adds the PolicyDecision and its event to the batch; a person is asked where nobody was, and, by
 * whom `is_here` to answer for this operation, where another operation has asked.
 */
int model_ruling_write(struct work *work, const struct model_routes *routes,
                       const struct model_ruling *ruling, struct model_verdict *verdict,
                       bool is_here, struct card_found *card, struct err *err) MUST_CHECK;
/* Why a call was not permitted, and what would help. */
void model_ruling_explain(const struct model_ruling *ruling, const struct model_verdict *verdict,
                          char ret[MODEL_REASON_SIZE]);

#endif
