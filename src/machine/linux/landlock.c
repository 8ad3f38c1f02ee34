/*
 * landlock: see the header.
 *
 * Theory of operation. A ruleset names every right that the running kernel's
 * ABI knows (one table says which ABI brought which), so that all of them are
 * denied; each path then gives back what it grants. What the ABI does not
 * know cannot be handled, and is left out of both.
 *
 * What holds. Nothing is handled halfway: a right is denied everywhere but
 * where a path grants it, or it is among what landlock_unenforced reports.
 * Devices are never made. A domain can only be narrowed, never left; what runs
 * in it can trace nobody outside of it.
 *
 * Limits. Landlock sees neither UDP nor Unix sockets with a path, neither
 * chdir, stat and access nor chmod, chown and the like; descriptors from
 * before keep what they were opened with. The view of the file system and
 * the network namespace are what closes those.
 */
#include "machine/linux/landlock.h"

#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Newer than the headers that this is built with. */
#define ACCESS_FS_TRUNCATE     (1ULL << 14)
#define ACCESS_FS_IOCTL_DEV    (1ULL << 15)
#define ACCESS_NET_BIND_TCP    (1ULL << 0)
#define ACCESS_NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_SOCKETS (1ULL << 0)
#define SCOPE_SIGNALS          (1ULL << 1)

/* The kernel's struct landlock_ruleset_attr of ABI 6 and later. */
struct ruleset {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};
#define RULESET_SIZE_ABI_1 8
#define RULESET_SIZE_ABI_4 16

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_RIGHTS                                                                               \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |  \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM |   \
     LANDLOCK_ACCESS_FS_REFER | ACCESS_FS_TRUNCATE)
#define DEVICE_RIGHTS (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
/* Those that mean something for what is not a folder; the kernel refuses the others there. */
#define FILE_RIGHTS                                                                                \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |   \
     ACCESS_FS_TRUNCATE | ACCESS_FS_IOCTL_DEV)
#define ABI_1_RIGHTS                                                                               \
    (LANDLOCK_ACCESS_FS_EXECUTE | READ_RIGHTS | DEVICE_RIGHTS |                                    \
     (WRITE_RIGHTS & ~(uint64_t)(LANDLOCK_ACCESS_FS_REFER | ACCESS_FS_TRUNCATE)))

/* What is denied from which ABI on, and for which flag (0: always). */
static const struct {
    int abi;
    unsigned flag;
    struct ruleset denied;
} steps[] = {
    { 1, 0, { .fs = ABI_1_RIGHTS } },
    { 2, 0, { .fs = LANDLOCK_ACCESS_FS_REFER } },
    { 3, LANDLOCK_NO_TRUNCATE, { .fs = ACCESS_FS_TRUNCATE } },
    { 4, LANDLOCK_NO_TCP, { .net = ACCESS_NET_BIND_TCP | ACCESS_NET_CONNECT_TCP } },
    { 5, LANDLOCK_NO_DEVICE_IOCTL, { .fs = ACCESS_FS_IOCTL_DEV } },
    { 6, LANDLOCK_NO_ABSTRACT_OUT, { .scoped = SCOPE_ABSTRACT_SOCKETS } },
    { 6, LANDLOCK_NO_SIGNALS_OUT, { .scoped = SCOPE_SIGNALS } },
};

int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi < 0 ? 0 : (int)abi;
}

unsigned landlock_unenforced(int abi, unsigned flags)
{
    unsigned open = 0;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        if (steps[i].abi > abi)
            open |= steps[i].flag & (flags | LANDLOCK_NO_TRUNCATE);
    return open;
}

static struct ruleset ruleset_for(int abi, unsigned flags)
{
    struct ruleset ruleset = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        bool is_wanted = (steps[i].flag & ~(flags | LANDLOCK_NO_TRUNCATE)) == 0;
        if (steps[i].abi > abi || !is_wanted)
            continue;
        ruleset.fs |= steps[i].denied.fs;
        ruleset.net |= steps[i].denied.net;
        ruleset.scoped |= steps[i].denied.scoped;
    }
    return ruleset;
}

static size_t ruleset_size(int abi)
{
    return abi >= 6 ? sizeof(struct ruleset) : abi >= 4 ? RULESET_SIZE_ABI_4 : RULESET_SIZE_ABI_1;
}

static uint64_t rights_of(unsigned access)
{
    uint64_t rights = 0;
    if (access & LANDLOCK_READ)
        rights |= READ_RIGHTS;
    if (access & LANDLOCK_WRITE)
        rights |= WRITE_RIGHTS;
    if (access & LANDLOCK_EXECUTE)
        rights |= LANDLOCK_ACCESS_FS_EXECUTE;
    if (access & LANDLOCK_DEVICE_IOCTL)
        rights |= ACCESS_FS_IOCTL_DEV;
    return rights;
}

static int add_path(int ruleset_fd, uint64_t handled, const struct landlock_path *path,
                    struct err *err)
{
    _cleanup_(cleanup_close) int opened = -1;
    if (path->fd < 0) {
        opened = open(path->path, O_PATH | O_CLOEXEC);
        if (opened < 0)
            return err_set_errno(err, errno, "landlock", "cannot open %s", path->path);
    }
    struct landlock_path_beneath_attr rule = {
        .parent_fd = path->fd < 0 ? opened : path->fd,
        .allowed_access = rights_of(path->access) & handled,
    };
    struct stat status;
    if (fstat(rule.parent_fd, &status) < 0)
        return err_set_errno(err, errno, "landlock", "cannot look at %s", path->path);
    if (!S_ISDIR(status.st_mode))
        rule.allowed_access &= FILE_RIGHTS;
    if (rule.allowed_access == 0)
        return 0;
    if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return err_set_errno(err, errno, "landlock", "cannot grant %s", path->path);
    return 0;
}

int landlock_restrict(const struct landlock_path *paths, size_t count, unsigned flags,
                      struct err *err)
{
    int abi = landlock_abi();
    if (abi == 0)
        return err_set(err, ERR_UNSUPPORTED, "landlock",
                       "the kernel has no Landlock, or it is not among those of its lsm= option");
    struct ruleset ruleset = ruleset_for(abi, flags);
    _cleanup_(cleanup_close) int fd =
        (int)syscall(SYS_landlock_create_ruleset, &ruleset, ruleset_size(abi), 0);
    if (fd < 0)
        return err_set_errno(err, errno, "landlock", "cannot make a ruleset of ABI %d", abi);
    for (size_t i = 0; i < count; i++) {
        int r = add_path(fd, ruleset.fs, &paths[i], err);
        if (r < 0)
            return r;
    }
    if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return err_set_errno(err, errno, "landlock", "cannot restrict the process");
    return 0;
}
