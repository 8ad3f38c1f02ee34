/*
 * git_commits: commits that a run made, taken into the host's repository as branches.
 *
 * Nothing of the run's git directory is copied. Its new objects and the tips of its branches are
 * put into a repository of their own, made for the purpose, and the host's git fetches from it: it
 * checks every object by its hash and by the rules of `git fsck`, and that nothing is missing,
 * before it writes a reference, below a prefix that the caller gives. The index, HEAD, the
 * configuration and the hooks of the host stay what they are.
 */
#ifndef AM_MACHINE_GIT_COMMITS_H
#define AM_MACHINE_GIT_COMMITS_H

#include "machine/worktree.h"

#define GIT_BRANCHES_MAX  1024
#define GIT_BRANCH_MAX    200 /* bytes of a name */
#define GIT_FETCH_SECONDS 600
#define GIT_PREFIX_MAX    200

struct git_branch {
    char name[GIT_BRANCH_MAX + 1]; /* as the run had it */
    char commit[65];
};

struct git_commits {
    struct git_branch *branches;
    size_t count;
    size_t left_out; /* references whose names or values are none that git would take */
};

/* The branches that the run moved or made; none is no error. ERR_LIMIT, ERR_IO, ERR_MEMORY. */
int git_commits_find(const struct worktree *worktree, struct git_commits *ret,
                     struct err *err) MUST_CHECK;
void git_commits_release(struct git_commits *commits);
/*
 * Takes them as PREFIX/NAME. ERR_NOT_FOUND where git is not there; ERR_CONFLICT with what git says
 * where it does not take them: then none was taken.
 */
int git_commits_take(const struct worktree *worktree, const struct git_commits *commits,
                     const char *prefix, struct err *err) MUST_CHECK;

/* Whether git would take a name for a branch. */
bool git_branch_is_name(const char *name);

#endif
