/* look: what servers answer to a plain question, all of them asked at once, within one time. */
#ifndef AM_DOORS_MODEL_LOOK_H
#define AM_DOORS_MODEL_LOOK_H

#include "doors/model/upstream.h"

#define LOOKS_MAX       300
#define LOOK_MS         2000 /* for all of them */
#define LOOK_BODY_MAX   ((size_t)4 << 20)
#define LOOK_CAUSE_SIZE 160

struct look {
    struct upstream_request request; /* its `is_get` is set here */
    bool (*address)(void *context, const struct address_range *address); /* NULL: any */
    void *context;
    /* the answer */
    unsigned status; /* 0: there was none */
    struct buf body;
    char cause[LOOK_CAUSE_SIZE]; /* why there was none */
    /* while it is asked */
    struct upstream_call *call;
    struct upstream_calls calls;
    size_t *left;
};

/* What they need outlives them. Fails only where none could be asked. */
int looks_take(struct look *looks, size_t count, const struct references *references,
               struct err *err) MUST_CHECK;
void look_release(struct look *look);

#endif
