/* worktree_diff: a change set as a patch. */
#ifndef AM_MACHINE_WORKTREE_DIFF_H
#define AM_MACHINE_WORKTREE_DIFF_H

#include "machine/patch.h"
#include "machine/worktree.h"

struct worktree_diff {
    const struct patch_style *style;
    bool (*chooses)(void *context, const char *path);
    void *chooses_context;
    patch_sink *sink;
    void *sink_context;
    /* what no patch can say, added up */
    size_t of_git;     /* below a directory called .git */
    size_t special;    /* devices, pipes, sockets */
    size_t bare;       /* directories, and modes that git does not keep */
    size_t host_moved; /* compared with what the host has now: what the launch found is gone */
};

/* Writes each change that is chosen, in the order of paths. As patch_write. */
int worktree_diff(const struct worktree *worktree, struct worktree_diff *diff,
                  struct err *err) MUST_CHECK;

/* Whether a path leads into a directory that git would take for its own. */
bool worktree_is_of_git(const char *path);

#endif
