/*
 * overlay: see the header.
 *
 * The kernel refuses an upper layer that lies in an overlay itself (as in most containers), on most
 * network file systems and most that are served by a process; some refuse to be below one too.
 * Which ones has changed from kernel to kernel, so it is tried.
 */
#include "machine/linux/overlay.h"

#include <linux/magic.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "machine/linux/idmap.h"
#include "machine/linux/mounting.h"

#define XFS_MAGIC 0x58465342

/* 9p says of itself what the machine says that serves it; it has no device of this one's. */
static bool is_known(const char *path)
{
    static const struct {
        uint32_t magic;
        bool on_device;
    } rows[] = { { EXT4_SUPER_MAGIC, true },
                 { XFS_MAGIC, true },
                 { F2FS_SUPER_MAGIC, true },
                 { BTRFS_SUPER_MAGIC, false },
                 { TMPFS_MAGIC, false } };
    struct statfs status;
    struct stat place;
    if (statfs(path, &status) < 0 || stat(path, &place) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if ((uint32_t)status.f_type == rows[i].magic)
            return !rows[i].on_device || major(place.st_dev);
    return false;
}

static bool write_file(const char *path, const char *text)
{
    _cleanup_(cleanup_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Whoever is not root may mount in a namespace where they are. */
static bool enter_namespaces(void)
{
    char uids[64], gids[64];
    if (geteuid() == 0)
        return unshare(CLONE_NEWNS) == 0;
    snprintf(uids, sizeof(uids), "0 %u 1", geteuid());
    snprintf(gids, sizeof(gids), "0 %u 1", getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
           write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", uids) &&
           write_file("/proc/self/gid_map", gids);
}

/* In the child: an exit status of 0 where it can be made, else the errno. */
static int try(const char *layer, const char *host_path)
{
    char lower[64], upper[64], work[64];
    struct mounting_option options[] = {
        { "lowerdir", lower }, { "userxattr", NULL }, { "upperdir", upper }, { "workdir", work }
    };
    if (!enter_namespaces())
        return EPERM;
    int below = open(host_path, O_PATH | O_DIRECTORY), above = open(layer, O_PATH | O_DIRECTORY);
    if (below < 0 || above < 0)
        return errno;
    snprintf(lower, sizeof(lower), "/proc/self/fd/%d", below);
    snprintf(upper, sizeof(upper), "/proc/self/fd/%d/upper", above);
    snprintf(work, sizeof(work), "/proc/self/fd/%d/work", above);
    int r = mounting_new("overlay", options, ARRAY_LEN(options), 0, NULL);
    return r < 0 ? -r : 0;
}

static int try_apart(const char *layer, const char *host_path)
{
    int status;
    pid_t pid = fork();
    if (pid < 0)
        return errno;
    if (pid == 0) {
        int error = try(layer, host_path);
        _exit(error > 0 && error < 128 ? error : error ? EINVAL : 0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

/* The owner alone is asked for: to map it to itself says whether it can be. */
static bool can_map(const char *path, struct err *err)
{
    struct idmap map = { .fd = -1 };
    int tree = -1;
    int r = idmap_tree(path, 0, 0, &map, &tree, err);
    cleanup_close(&map.fd);
    cleanup_close(&tree);
    return r == 0;
}

bool overlay_is_possible(const char *layer, const char *host_path, bool as_root,
                         char ret_reason[OVERLAY_REASON_SIZE])
{
    struct err err = { 0 };
    if (is_known(layer) && is_known(host_path))
        return true;
    int error = try_apart(layer, host_path);
    if (error) {
        snprintf(ret_reason, OVERLAY_REASON_SIZE, "no overlay can be made there: %s",
                 strerror(error));
        return false;
    }
    if (as_root && (!can_map(layer, &err) || !can_map(host_path, &err))) {
        snprintf(ret_reason, OVERLAY_REASON_SIZE, "owners of files cannot be mapped there");
        return false;
    }
    return true;
}
