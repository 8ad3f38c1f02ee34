/* run_continue: the change set that a run goes on from. */
#ifndef AM_CMD_RUN_CONTINUE_H
#define AM_CMD_RUN_CONTINUE_H

#include "cmd/change_set.h"

struct run_continue {
    struct change_set set;
    char urn[PLANE_URN_MAX];             /* of the change set; empty: the run goes on from none */
    const char *layers[PLAN_MOUNTS_MAX]; /* by mount of the plan; NULL: nothing was changed there */
};

/*
 * ERR_NOT_FOUND where it is not kept, ERR_CONFLICT where it is of a directory that the plan does
 * not stage, or nothing recorded it. Release with run_continue_release.
 */
int run_continue_open(struct plane *plane, const char *name, const struct plan *plan,
                      struct run_continue *ret, struct err *err) MUST_CHECK;
void run_continue_release(struct run_continue *from);

#endif
