/*
 * worktree_copy: a staged directory where no overlay can be made, as a copy.
 *
 * The copy lies where the overlay's upper layer would, and the run writes in it. When the run has
 * ended, what it did not change is removed from it; then it is a layer as any other, but that
 * nothing in it stands for what is gone: the list alone says that.
 */
#ifndef AM_MACHINE_WORKTREE_COPY_H
#define AM_MACHINE_WORKTREE_COPY_H

#include <sys/types.h>

#include "machine/changes.h"

#define WORKTREE_COPY_FILES_MAX 1000000

struct worktree_copied {
    uint64_t files, bytes;
    bool shared; /* the file system shares the blocks of all of them */
};

/*
 * Copies a directory into an empty layer, without what is hidden (may be NULL), sockets, devices
 * and what is mounted in it. With `as_root` all of the copy is `uid`'s. Nothing of the directory is
 * changed. ERR_IO names what cannot be read, or that the disk is full; ERR_LIMIT.
 */
int worktree_copy(const char *layer, const char *host_path, const struct mask_list *hidden,
                  bool as_root, uid_t uid, gid_t gid, struct worktree_copied *ret,
                  struct err *err) MUST_CHECK;
/* Whether a layer is such a copy, and when its run was launched and the copy was finished. */
bool worktree_is_copy(const char *layer, int64_t *ret_launched_ns, int64_t *ret_copied_ns);
/* Whether it was begun by a launch that died before it was finished: no run has written in it. */
bool worktree_copy_is_abandoned(const char *layer);
/* Removes from it what is none of the changes. */
int worktree_prune(int upper, const struct changes *changes, struct err *err) MUST_CHECK;

#endif
