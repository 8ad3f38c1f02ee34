/*
 * git_link: where the data of a work tree lies whose `.git` is a file.
 *
 * A linked work tree (`git worktree add`) and a submodule keep a file there that names a directory
 * elsewhere. Whoever could write that file could name any directory, so it is believed only where
 * that directory names the work tree too.
 */
#ifndef AM_MACHINE_GIT_LINK_H
#define AM_MACHINE_GIT_LINK_H

#include <limits.h>

#include "base/base.h"

struct git_link {
    char path[PATH_MAX]; /* of the directory that holds everything of the repository */
    char own[PATH_MAX];  /* what the file names: the same, or what is the work tree's own in it */
    bool believed;       /* else it is what the file names, and no more is known of it */
};

/* False where `.git` is no file, or names nothing that is there. `work` is resolved. */
bool git_link_find(const char *work, struct git_link *ret);

/* Whether git would take a directory for one of its own: HEAD, objects and refs are in it. */
bool git_is_directory(int fd);

#endif
