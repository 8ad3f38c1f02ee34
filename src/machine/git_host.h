/*
 * git_host: the host's own git, for a repository of the host's, given nothing of a run's to trust.
 *
 * It runs with an environment of its own and without hooks, and reads what the run wrote only as
 * objects, each of which it checks.
 */
#ifndef AM_MACHINE_GIT_HOST_H
#define AM_MACHINE_GIT_HOST_H

#include "machine/worktree.h"

#define GIT_HOST_SECONDS     600
#define GIT_OBJECT_BYTES_MAX ((uint64_t)4 << 30) /* that a run made, as they are stored */
#define GIT_OBJECT_FILES_MAX 200000
#define GIT_WANTED_MAX       4096
#define GIT_ARGUMENTS_MAX    (GIT_WANTED_MAX + 64)
#define STEP_GIT             "take what the run did in git"

struct git_call {
    const char *directory; /* git's own */
    const char *work;      /* its work tree, or NULL */
    const char *const *arguments;
    struct str input;
};

/*
 * 0 where it succeeds, with what it says in `ret`, which may be NULL. ERR_CONFLICT with what it
 * says where it does not; ERR_NOT_FOUND where there is none; ERR_DENIED where the directory is
 * another user's; ERR_IO.
 */
int git_call(const struct git_call *call, struct buf *ret, struct err *err) MUST_CHECK;

/*
 * Takes objects that the run made, and all that they need, into the repository at a prefix of the
 * tree. Every object is checked by its hash and by the rules of `git fsck`, and nothing that they
 * name may be missing; else none is taken. No reference is written. ERR_LIMIT.
 */
int git_take_objects(const struct worktree *worktree, const char *prefix, const char *const *wanted,
                     size_t count, struct err *err) MUST_CHECK;

#endif
