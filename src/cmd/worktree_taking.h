/* worktree_taking: a change set that is being taken or thrown away, and what is told of it. */
#ifndef AM_CMD_WORKTREE_TAKING_H
#define AM_CMD_WORKTREE_TAKING_H

#include "cmd/change_set.h"
#include "machine/git_apply.h"
#include "machine/worktree_apply.h"

enum {
    APPLY_DRY_RUN,
    APPLY_TO,
    APPLY_OPTION_OURS,
    APPLY_OPTION_THEIRS,
    APPLY_OPTION_MERGE,
    APPLY_INCLUDE_HELD,
    APPLY_COMMITS,
    APPLY_HEAD,
    APPLY_PATCH,
    APPLY_REASON,
    APPLY_JSON
};
/* What is being done, for those who are called back. */
struct taking {
    const struct invocation *invocation;
    struct plane *plane;
    struct change_set set;
    bool is_open, discards, elsewhere, takes_commits;
    struct hunks *hunks; /* what was chosen of each file; NULL: nobody was asked */
    bool whole;          /* nothing of it is left */
    size_t held_cards;   /* that ask about what is held apart, and are pending */
    struct redact_scanner *scanner;
    struct worktree_apply *plans[PLAN_MOUNTS_MAX];
    struct git_apply *gits[PLAN_MOUNTS_MAX];
    char prefix[GIT_PREFIX_MAX]; /* below which branches are taken, with --commits */
    size_t mount;                /* for which it is asked what was chosen */
};

/*
 * Shows each change that would be taken, of texts each place that differs, and asks whether to. A
 * negative return is -errno with err. Then a plan is made anew, without what is left out
 * (hunks_leave), and gets the texts of those that are taken in part (hunks_fill).
 */
int hunks_ask(struct taking *taking, struct err *err) MUST_CHECK;
bool hunks_leave(const struct hunks *hunks, size_t mount, const char *path);
int hunks_fill(struct taking *taking, struct err *err) MUST_CHECK;
void hunks_free(struct hunks *hunks);

/* Whether a path of the mount that is asked about was chosen, or named itself. */
bool taking_chooses(void *context, const char *path);
bool taking_names(void *context, const char *path);

/* What becomes of references; with --commits, of branches alone, and then there must be some. */
int taking_plan_git(struct taking *taking, enum apply_strategy strategy,
                    struct err *err) MUST_CHECK;
int taking_plan_commits(struct taking *taking, struct err *err) MUST_CHECK;
int taking_each_git(struct taking *taking, int (*act)(struct git_apply *apply, struct err *err),
                    struct err *err) MUST_CHECK;
/*
 * Where git has taken all that the run did with it in a mount, its files are done with. Says whether
 * nothing is left in any mount.
 */
int taking_discard_git_data(struct taking *taking, bool *ret_gone, struct err *err) MUST_CHECK;

/* How many changes and references have a fate, in all mounts. */
size_t taking_count(const struct taking *taking, enum apply_fate fate);
/* Whether git has taken all that the run did with it in a mount. */
bool taking_git_is_done(const struct taking *taking, size_t mount);
/* Says what became of each change, or would; returns the exit status that belongs to it. */
int taking_tell(const struct taking *taking, bool done);
int taking_tell_commits(const struct taking *taking);

#endif
