/* trace: the stops of a run, with the time at which each was reached. */
#ifndef AM_MACHINE_TRACE_H
#define AM_MACHINE_TRACE_H

#include <time.h>

#include "base/base.h"

#define TRACE_STOPS_MAX 32

struct trace {
    struct {
        const char *stop; /* where in the tree: "machine/plan.c" */
        const char *what;
        int64_t at_ns;
    } stops[TRACE_STOPS_MAX];
    size_t count;
};

/* A trace that is NULL notes nothing. */
static inline void trace_note(struct trace *trace, const char *stop, const char *what)
{
    struct timespec now;
    if (!trace || trace->count == TRACE_STOPS_MAX)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    trace->stops[trace->count].stop = stop;
    trace->stops[trace->count].what = what;
    trace->stops[trace->count++].at_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif
