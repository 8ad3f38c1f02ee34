/* detach: a run whose supervisor lives on when its caller has gone. */
#ifndef AM_CMD_DETACH_H
#define AM_CMD_DETACH_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct detached {
    int caller; /* by which the caller is told */
};

/*
 * Forks, before anything is opened. 0 in the process that carries the run out,
 * in a session of its own; 1 in the caller, once the command has started (its
 * ID was printed) or the other has ended, with the status to exit with.
 */
int detach(bool json, struct detached *ret, int *ret_status, struct err *err) MUST_CHECK;
/* Of the other process: the command runs, and nothing more is said to the caller. */
void detach_begun(void *detached, struct str operation);

#endif
