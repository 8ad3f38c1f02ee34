/* worktree: what a run leaves of a directory that was staged for it. */
#ifndef AM_MACHINE_WORKTREE_H
#define AM_MACHINE_WORKTREE_H

#include "machine/changes.h"

/*
 * What stands in a layer (the folder of `upper`) against the host's directory; an empty list where
 * nothing was kept. The run has ended.
 */
int worktree_changes(const char *layer, const char *host_path, struct changes *ret,
                     struct err *err) MUST_CHECK;
/* The same, and what is there is durable when this returns. */
int worktree_keep(const char *layer, const char *host_path, struct changes *ret,
                  struct err *err) MUST_CHECK;

#endif
