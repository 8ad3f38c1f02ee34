/*
 * idmap: see the header.
 *
 * Theory of operation. The kernel takes the mapping of a mount from a user
 * namespace. A child is born into one and waits; its maps are written, its
 * namespace is opened, and it ends: the descriptor keeps the namespace.
 */
#include "machine/linux/idmap.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "machine/linux/mounting.h"

#define STEP_IDMAP "map ids"

int idmap_write(pid_t pid, const char *file, uint32_t inside, uint32_t outside, struct err *err)
{
    char path[64], line[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
    int len = snprintf(line, sizeof(line), "%u %u 1", inside, outside);
    _cleanup_(cleanup_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, line, (size_t)len) != len)
        return err_set_errno(err, errno, STEP_IDMAP, "cannot write %s", path);
    return 0;
}

static int open_mapping(const struct stat *owner, uid_t uid, gid_t gid, struct err *err)
{
    struct clone_args arguments = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
    char path[64];
    pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid < 0)
        return err_set_errno(err, errno, STEP_IDMAP, "the kernel gives no user namespace");
    if (pid == 0)
        for (;;)
            pause();
    int r = idmap_write(pid, "uid_map", owner->st_uid, uid, err);
    if (r == 0)
        r = idmap_write(pid, "gid_map", owner->st_gid, gid, err);
    snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
    int fd = r < 0 ? r : open(path, O_RDONLY | O_CLOEXEC);
    if (r == 0 && fd < 0)
        fd = err_set_errno(err, errno, STEP_IDMAP, "cannot open %s", path);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return fd;
}

static int find_mapping(struct idmap *map, const struct stat *owner, uid_t uid, gid_t gid,
                        struct err *err)
{
    if (map->fd >= 0 && map->owner_uid == owner->st_uid && map->owner_gid == owner->st_gid)
        return 0;
    cleanup_close(&map->fd);
    map->fd = open_mapping(owner, uid, gid, err);
    map->owner_uid = owner->st_uid;
    map->owner_gid = owner->st_gid;
    return map->fd < 0 ? map->fd : 0;
}

int idmap_tree(const char *path, uid_t uid, gid_t gid, struct idmap *map, int *ret_tree,
               struct err *err)
{
    struct stat owner;
    _cleanup_(cleanup_close) int place = mounting_open(AT_FDCWD, path, err);
    if (place < 0)
        return place;
    if (fstat(place, &owner) < 0)
        return err_set_errno(err, errno, STEP_IDMAP, "cannot look at %s", path);
    _cleanup_(cleanup_close) int tree = mounting_copy(place, 0, path, err);
    int r = tree < 0 ? tree : find_mapping(map, &owner, uid, gid, err);
    if (r < 0)
        return r;
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)map->fd };
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
        return err_set(err, ERR_UNSUPPORTED, STEP_IDMAP,
                       "the owner of %s cannot be mapped (%s); run as the user who owns it, or "
                       "from a file system that can, such as ext4, xfs or btrfs",
                       path, strerror(errno));
    *ret_tree = TAKE_FD(tree);
    return 0;
}
