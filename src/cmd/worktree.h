/* worktree: what the verbs below `worktree` share. */
#ifndef AM_CMD_WORKTREE_H
#define AM_CMD_WORKTREE_H

#include "cmd/verb.h"

#define WORKTREE_OPERANDS     "[CHANGESET] [PATH...]"
#define WORKTREE_OPERANDS_MAX 129
#define WORKTREE_NAMING                                                                            \
    "CHANGESET is the id of the run that made it, or the beginning of one; where none is named, "  \
    "it is the last one that is kept of the current directory. A PATH stands for all below it."

#define WORKTREE_DIFF_OPTIONS    3
#define WORKTREE_EXPORT_OPTIONS  2
#define WORKTREE_APPLY_OPTIONS   11
#define WORKTREE_DISCARD_OPTIONS 1
#define WORKTREE_LIST_OPTIONS    2
#define WORKTREE_GC_OPTIONS      2

extern const struct option_row worktree_diff_options[WORKTREE_DIFF_OPTIONS];
extern const struct option_row worktree_export_options[WORKTREE_EXPORT_OPTIONS];

extern const struct option_row worktree_apply_options[WORKTREE_APPLY_OPTIONS];
extern const struct option_row worktree_discard_options[WORKTREE_DISCARD_OPTIONS];
extern const struct option_row worktree_list_options[WORKTREE_LIST_OPTIONS];
extern const struct option_row worktree_gc_options[WORKTREE_GC_OPTIONS];

int worktree_run_list(const struct invocation *invocation);
int worktree_run_gc(const struct invocation *invocation);
int worktree_run_apply(const struct invocation *invocation);
int worktree_run_discard(const struct invocation *invocation);
int worktree_run_diff(const struct invocation *invocation);
int worktree_run_export(const struct invocation *invocation);

#endif
