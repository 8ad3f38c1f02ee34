/*
 * route_use: how much a provider is being used, held against the limits of the binding by which it
 * is to be asked.
 */
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

/* The limit that lets no further call begin, by its name; NULL: one may. 0 among the limits is
 * none. */
static inline const char *route_use_reached(struct route_use *use, const struct model_route *route)
{
    int64_t now = clock_passed_ms();
    if (!use->minute_ms || now - use->minute_ms >= ROUTE_USE_MINUTE_MS)
        *use = (struct route_use){ .open = use->open, .minute_ms = now, .lacks = use->lacks };
    if (route->concurrent_calls && use->open >= route->concurrent_calls)
        return "limits.concurrentCalls";
    return route->calls_per_minute && use->in_minute >= route->calls_per_minute
               ? "limits.callsPerMinute"
               : NULL;
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
