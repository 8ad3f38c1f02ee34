/* route_use: how much a route is being used, held against the limits of its binding. */
#ifndef AM_DOORS_MODEL_ROUTE_USE_H
#define AM_DOORS_MODEL_ROUTE_USE_H

#include "base/base.h"
#include "base/clock.h"
#include "doors/model/route.h"

#define ROUTE_USE_MINUTE_MS 60000

struct route_use {
    uint64_t open;      /* calls at this moment */
    int64_t minute_ms;  /* since when calls are counted */
    uint64_t in_minute; /* of those since */
    unsigned lacks;     /* bits, by endpoint_kind: places that its provider does not know */
};

/* Whether one more call may begin; 0 among the limits is none. */
static inline bool route_use_has_room(struct route_use *use, const struct model_route *route)
{
    int64_t now = clock_passed_ms();
    if (!use->minute_ms || now - use->minute_ms >= ROUTE_USE_MINUTE_MS)
        *use = (struct route_use){ .open = use->open, .minute_ms = now, .lacks = use->lacks };
    return (!route->concurrent_calls || use->open < route->concurrent_calls) &&
           (!route->calls_per_minute || use->in_minute < route->calls_per_minute);
}

static inline void route_use_begin(struct route_use *use)
{
    use->open++;
    use->in_minute++;
}

static inline void route_use_end(struct route_use *use)
{
    use->open--;
}

#endif
