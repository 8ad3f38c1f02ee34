/* run_mounts: what a run's options and its profile mount. */
#ifndef AM_CMD_RUN_MOUNTS_H
#define AM_CMD_RUN_MOUNTS_H

#include "base/arena.h"
#include "machine/facts.h"
#include "plane/mount.h"

struct run_mounts {
    struct plan_mount items[PLAN_MOUNTS_MAX];
    size_t count;
    const char *named[PLAN_MOUNTS_MAX]; /* by --mount NAME, of those stored; NULL-terminated */
    size_t named_count;
    struct arena arena; /* owns all texts */
};

/*
 * One --mount: SRC:DST:HOW, or SRC:HOW where both places are the same, or the name of a stored
 * mount, which waits for run_mounts_find. ERR_USAGE, ERR_NOT_FOUND.
 */
int run_mounts_read(struct run_mounts *mounts, const char *text, struct err *err) MUST_CHECK;
/* Adds those that options name, and those of the profile. */
int run_mounts_find(struct run_mounts *mounts, struct plane *plane, const struct layers *layers,
                    const struct profile *profile, const struct plan_facts *facts,
                    struct err *err) MUST_CHECK;
void run_mounts_release(struct run_mounts *mounts);

#endif
