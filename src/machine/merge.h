/*
 * merge: what two texts have made of a third, in one.
 *
 * A line that one side changed is taken; where both changed the same lines otherwise, both stand in
 * the result, with the markers that git writes.
 */
#ifndef AM_MACHINE_MERGE_H
#define AM_MACHINE_MERGE_H

#include "base/base.h"
#include "base/buf.h"

struct merge_sides {
    struct str before, ours, theirs;
    const char *ours_name, *theirs_name; /* behind the markers */
};

/* Appends the result, and counts where both stand in it. 0, -E2BIG, -ENOMEM. */
int merge_texts(const struct merge_sides *sides, struct buf *ret, size_t *ret_conflicts) MUST_CHECK;

#endif
