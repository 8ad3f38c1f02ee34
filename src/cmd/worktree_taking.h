/* worktree_taking: a change set that is being taken or thrown away, and what is told of it. */
#ifndef AM_CMD_WORKTREE_TAKING_H
#define AM_CMD_WORKTREE_TAKING_H

#include "cmd/change_set.h"
#include "machine/git_commits.h"
#include "machine/worktree_apply.h"

enum {
    APPLY_DRY_RUN,
    APPLY_TO,
    APPLY_OPTION_OURS,
    APPLY_OPTION_THEIRS,
    APPLY_OPTION_MERGE,
    APPLY_INCLUDE_HELD,
    APPLY_COMMITS,
    APPLY_REASON,
    APPLY_JSON
};
/* What is being done, for those who are called back. */
struct taking {
    const struct invocation *invocation;
    struct plane *plane;
    struct change_set set;
    bool is_open, discards, elsewhere, takes_commits;
    bool whole; /* nothing of it is left */
    struct redact_scanner *scanner;
    struct worktree_apply *plans[PLAN_MOUNTS_MAX];
    struct git_commits commits[PLAN_MOUNTS_MAX]; /* of --commits */
    size_t mount;                                /* for which it is asked what was chosen */
};

/* Below which the run's branches are taken. */
void taking_prefix(const struct taking *taking, char ret[GIT_PREFIX_MAX]);
/* How many changes have a fate, in all mounts. */
size_t taking_count(const struct taking *taking, enum apply_fate fate);
/* Says what became of each change, or would; returns the exit status that belongs to it. */
int taking_tell(const struct taking *taking, bool done);
void taking_tell_commits(const struct taking *taking);

#endif
