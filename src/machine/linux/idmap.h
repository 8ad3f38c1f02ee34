/* idmap: trees of the host in which one owner stands for another, for a caller who is root. */
#ifndef AM_MACHINE_LINUX_IDMAP_H
#define AM_MACHINE_LINUX_IDMAP_H

#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"

/* Ids of one owner and who stands for them; to make one takes as long as to make a process. */
struct idmap {
    int fd; /* -1: none yet */
    uid_t owner_uid;
    gid_t owner_gid;
};

/*
 * A detached copy of the mounts at a path (along which no link is followed), in
 * which whoever owns the directory appears as `uid` and `gid`, and everybody
 * else as nobody. The map is made anew where it is another owner's; the caller
 * closes it, and gives it with the same ids only. ERR_UNSUPPORTED where its
 * file system or the kernel cannot.
 */
int idmap_tree(const char *path, uid_t uid, gid_t gid, struct idmap *map, int *ret_tree,
               struct err *err) MUST_CHECK;

/* Writes one line into a map (`uid_map`, `gid_map`) of a process's user namespace. */
int idmap_write(pid_t pid, const char *file, uint32_t inside, uint32_t outside,
                struct err *err) MUST_CHECK;

#endif
