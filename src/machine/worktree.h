/* worktree: what a run leaves of a directory that was staged for it. */
#ifndef AM_MACHINE_WORKTREE_H
#define AM_MACHINE_WORKTREE_H

#include "machine/changes.h"
#include "machine/mask.h"

/*
 * What stands in a layer (the folder of `upper`) against the host's directory; an empty list where
 * nothing was kept. The run has ended.
 */
int worktree_changes(const char *layer, const char *host_path, struct changes *ret,
                     struct err *err) MUST_CHECK;
/*
 * The same, and what is there is durable when this returns. What was hidden from the run (NULL:
 * nothing) is no part of what it changed; a layer that says so is kept beside what was written.
 */
int worktree_keep(const char *layer, const char *host_path, const struct mask_list *masks,
                  struct changes *ret, struct err *err) MUST_CHECK;

#endif
