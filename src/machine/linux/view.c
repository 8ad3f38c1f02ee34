/*
 * view: the file system that a command sees, but for /etc and the mounts of the plan.
 *
 * Theory of operation. A tmpfs becomes the root. It is covered with nothing of
 * the host but system directories, read-only, and single devices; what can be
 * written is a second tmpfs, the scratch, parts of which stand at /tmp, at
 * home and at /dev/shm. When everything stands, the root itself becomes
 * read-only, and the old one is let go: no path leads back to it.
 *
 * The root has to stand somewhere while it grows: it covers /usr, of which a
 * copy was taken before. None of this is seen outside of the mount namespace.
 */
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "machine/linux/mounting.h"
#include "machine/linux/sandbox.h"

#define BUILDING_PLACE  "/usr"
#define NOTHING_SPECIAL (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define NOTHING_PLACE   "srv" /* an empty folder of the view */
#define LINK_BYTES_MAX  4096

/* --- the root ------------------------------------------------------------------------------ */

/* What a host may have of these is in the view: as a link where it is one. */
static const char *const system_places[] = {
    "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt", "nix/store", "gnu/store",
};

static int take_system(int trees[ARRAY_LEN(system_places)], struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(system_places); i++) {
        struct stat status;
        char path[64];
        snprintf(path, sizeof(path), "/%s", system_places[i]);
        trees[i] = -1;
        if (lstat(path, &status) < 0 || !S_ISDIR(status.st_mode))
            continue;
        _cleanup_(cleanup_close) int fd = mounting_open(AT_FDCWD, path, err);
        trees[i] = fd < 0 ? fd : mounting_copy(fd, MOUNT_ATTR_RDONLY | NOTHING_SPECIAL, path, err);
        if (trees[i] < 0)
            return trees[i];
    }
    return 0;
}

static int link_system(int root, const char *name, struct err *err)
{
    char path[64], target[LINK_BYTES_MAX];
    snprintf(path, sizeof(path), "/%s", name);
    ssize_t len = readlink(path, target, sizeof(target) - 1);
    if (len < 0)
        return 0; /* the host has none */
    target[len] = '\0';
    return symlinkat(target, root, name) < 0 ? mounting_failed(err, "cannot link", path) : 0;
}

int view_open(struct sandbox *sandbox, struct err *err)
{
    static const struct mounting_option options[] = { { "mode", "0755" },
                                                      { "size", "8m" },
                                                      { "nr_inodes", "4096" } };
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return mounting_failed(err, "cannot part from the mounts of", "the host");
    sandbox->root = mounting_new("tmpfs", options, ARRAY_LEN(options), NOTHING_SPECIAL, err);
    return sandbox->root < 0 ? sandbox->root : 0;
}

int view_system(struct sandbox *sandbox, struct err *err)
{
    int trees[ARRAY_LEN(system_places)];
    int r = take_system(trees, err);
    if (r == 0 &&
        move_mount(sandbox->root, "", AT_FDCWD, BUILDING_PLACE, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        r = mounting_failed(err, "cannot begin a root at", BUILDING_PLACE);
    for (size_t i = 0; i < ARRAY_LEN(system_places) && r == 0; i++) {
        const char *name = system_places[i];
        if (trees[i] < 0) {
            r = link_system(sandbox->root, name, err);
            continue;
        }
        r = mounting_folder(sandbox->root, name, 0755, err);
        if (r == 0)
            r = mounting_attach(trees[i], sandbox->root, name, err);
    }
    return r; /* after a failure the process ends, and with it what is open */
}

/* --- /proc --------------------------------------------------------------------------------- */

/* Of the whole machine: they tell of it, or act on it. */
static const char *const hidden_files[] = {
    "proc/kcore",         "proc/keys",        "proc/key-users",   "proc/kmsg",
    "proc/sysrq-trigger", "proc/kallsyms",    "proc/timer_list",  "proc/sched_debug",
    "proc/latency_stats", "proc/slabinfo",    "proc/vmallocinfo", "proc/kpagecount",
    "proc/kpageflags",    "proc/kpagecgroup", "proc/modules",     "proc/interrupts",
};
static const char *const hidden_folders[] = { "proc/acpi", "proc/scsi",   "proc/bus",   "proc/fs",
                                              "proc/irq",  "proc/asound", "proc/driver" };
static const char *const fixed_folders[] = { "proc/sys" };

const char *view_hidden(size_t index)
{
    if (index < ARRAY_LEN(hidden_files))
        return hidden_files[index];
    index -= ARRAY_LEN(hidden_files);
    return index < ARRAY_LEN(hidden_folders) ? hidden_folders[index] : NULL;
}

/* The null device, and no other thing that somebody has put in its place. */
static int open_null(struct err *err)
{
    struct stat status;
    _cleanup_(cleanup_close) int fd = mounting_open(AT_FDCWD, "/dev/null", err);
    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0 || !S_ISCHR(status.st_mode) || status.st_rdev != makedev(1, 3))
        return err_set(err, ERR_DENIED, STEP_VIEW, "/dev/null is not the null device");
    return TAKE_FD(fd);
}

/* What only the host's root may read or write needs no cover: nobody in here is that. */
static bool is_open_to_others(int root, const char *path)
{
    struct stat status;
    return fstatat(root, path, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           status.st_mode & (S_IROTH | S_IWOTH);
}

static int hide_files(int root, struct err *err)
{
    _cleanup_(cleanup_close) int null = open_null(err);
    int r = null < 0 ? null : 0;
    for (size_t i = 0; i < ARRAY_LEN(hidden_files) && r == 0; i++) {
        if (!is_open_to_others(root, hidden_files[i]))
            continue;
        int tree = open_tree(null, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
        r = tree < 0 ? mounting_failed(err, "cannot hide", hidden_files[i])
                     : mounting_attach(tree, root, hidden_files[i], err);
    }
    return r;
}

/* Covered by the folder of the view in which there is nothing. */
static int hide_folders(int root, struct err *err)
{
    int r = mounting_folder(root, NOTHING_PLACE, 0555, err);
    _cleanup_(cleanup_close) int nothing = r < 0 ? r : mounting_open(root, NOTHING_PLACE, err);
    r = nothing < 0 ? nothing : 0;
    for (size_t i = 0; i < ARRAY_LEN(hidden_folders) && r == 0; i++) {
        if (faccessat(root, hidden_folders[i], F_OK, 0) < 0)
            continue;
        int tree = mounting_copy(nothing, MOUNT_ATTR_RDONLY | NOTHING_SPECIAL | MOUNT_ATTR_NOEXEC,
                                 hidden_folders[i], err);
        r = tree < 0 ? tree : mounting_attach(tree, root, hidden_folders[i], err);
    }
    return r;
}

static int fix_folders(int root, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(fixed_folders) && r == 0; i++) {
        _cleanup_(cleanup_close) int fd = mounting_open(root, fixed_folders[i], err);
        if (fd < 0)
            return fd;
        int tree = mounting_copy(fd, MOUNT_ATTR_RDONLY | NOTHING_SPECIAL | MOUNT_ATTR_NOEXEC,
                                 fixed_folders[i], err);
        r = tree < 0 ? tree : mounting_attach(tree, root, fixed_folders[i], err);
    }
    return r;
}

/* In this namespace and below nobody makes another one. */
static int forbid_nesting(int root, struct err *err)
{
    static const char path[] = "proc/sys/user/max_user_namespaces";
    _cleanup_(cleanup_close) int fd = openat(root, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        return mounting_failed(err, "cannot forbid further namespaces in", path);
    return 0;
}

int view_proc(struct sandbox *sandbox, struct err *err)
{
    int r = mounting_folder(sandbox->root, "proc", 0555, err);
    int tree = r < 0 ? r : mounting_new("proc", NULL, 0, NOTHING_SPECIAL | MOUNT_ATTR_NOEXEC, err);
    r = tree < 0 ? tree : mounting_attach(tree, sandbox->root, "proc", err);
    if (r == 0)
        r = forbid_nesting(sandbox->root, err);
    if (r == 0)
        r = hide_files(sandbox->root, err);
    if (r == 0)
        r = hide_folders(sandbox->root, err);
    return r < 0 ? r : fix_folders(sandbox->root, err);
}

/* --- /dev ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned major, minor;
} devices[] = { { "dev/null", 1, 3 },   { "dev/zero", 1, 5 },    { "dev/full", 1, 7 },
                { "dev/random", 1, 8 }, { "dev/urandom", 1, 9 }, { "dev/tty", 5, 0 } };

static int open_device(const char *host, dev_t number, struct err *err)
{
    struct stat status;
    _cleanup_(cleanup_close) int fd = mounting_open(AT_FDCWD, host, err);
    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0 || !S_ISCHR(status.st_mode) || status.st_rdev != number)
        return err_set(err, ERR_DENIED, STEP_VIEW, "%s is not the device that it should be", host);
    return TAKE_FD(fd);
}

int view_check_devices(struct err *err)
{
    int fd = open_null(err);
    for (size_t i = 0; i < ARRAY_LEN(devices) && fd >= 0; i++) {
        char host[32];
        close(fd);
        snprintf(host, sizeof(host), "/%s", devices[i].name);
        fd = open_device(host, makedev(devices[i].major, devices[i].minor), err);
    }
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static int take_device(int root, const char *name, dev_t number, struct err *err)
{
    char host[32];
    snprintf(host, sizeof(host), "/%s", name);
    _cleanup_(cleanup_close) int fd = open_device(host, number, err);
    if (fd < 0)
        return fd;
    int tree = open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (tree < 0)
        return mounting_failed(err, "cannot take", host);
    int r = mounting_file(root, name, NULL, 0, err);
    if (r < 0) {
        close(tree);
        return r;
    }
    return mounting_attach(tree, root, name, err);
}

static int open_terminals(struct sandbox *sandbox, struct err *err)
{
    static const struct mounting_option options[] = { { "newinstance", NULL },
                                                      { "ptmxmode", "0666" },
                                                      { "mode", "0620" } };
    int tree = mounting_new("devpts", options, ARRAY_LEN(options),
                            MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);
    int r = tree < 0 ? tree : mounting_attach(tree, sandbox->root, "dev/pts", err);
    return r;
}

int view_devices(struct sandbox *sandbox, struct err *err)
{
    static const char *const links[][2] = { { "/proc/self/fd", "dev/fd" },
                                            { "/proc/self/fd/0", "dev/stdin" },
                                            { "/proc/self/fd/1", "dev/stdout" },
                                            { "/proc/self/fd/2", "dev/stderr" },
                                            { "pts/ptmx", "dev/ptmx" } };
    int r = mounting_folder(sandbox->root, "dev/pts", 0755, err);
    if (r == 0)
        r = mounting_folder(sandbox->root, "dev/shm", 0755, err);
    for (size_t i = 0; i < ARRAY_LEN(devices) && r == 0; i++)
        r = take_device(sandbox->root, devices[i].name, makedev(devices[i].major, devices[i].minor),
                        err);
    for (size_t i = 0; i < ARRAY_LEN(links) && r == 0; i++)
        if (symlinkat(links[i][0], sandbox->root, links[i][1]) < 0)
            r = mounting_failed(err, "cannot link", links[i][1]);
    return r < 0 ? r : open_terminals(sandbox, err);
}

/* --- what can be written ------------------------------------------------------------------- */

static int place_scratch(struct sandbox *sandbox, const char *part, const char *path, mode_t mode,
                         struct err *err)
{
    int r = mounting_folder(sandbox->scratch, part, mode, err);
    if (r == 0 && fchmodat(sandbox->scratch, part, mode, 0) < 0) /* whatever the umask is */
        r = mounting_failed(err, "cannot open to all", path);
    if (r == 0)
        r = mounting_folder(sandbox->root, path, 0755, err);
    if (r < 0)
        return r;
    int tree = open_tree(sandbox->scratch, part, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return tree < 0 ? mounting_failed(err, "cannot take", part)
                    : mounting_attach(tree, sandbox->root, path, err);
}

/* What the run is told as it goes on: it reads, the supervisor writes. */
static int place_told(struct sandbox *sandbox, struct err *err)
{
    struct mount_attr fixed = { .attr_set = MOUNT_ATTR_RDONLY | NOTHING_SPECIAL };
    int r = mounting_folder(sandbox->scratch, "told", 0755, err);
    if (r == 0)
        r = mounting_file(sandbox->scratch, SANDBOX_DENIALS, "", 0, err);
    if (r == 0)
        r = mounting_folder(sandbox->root, "run/agent-machine", 0755, err);
    if (r < 0)
        return r;
    int tree = open_tree(sandbox->scratch, "told", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &fixed, sizeof(fixed)) < 0) {
        cleanup_close(&tree);
        return mounting_failed(err, "cannot take", "what the run is told");
    }
    return mounting_attach(tree, sandbox->root, "run/agent-machine", err);
}

/* Of memory, half: where the scratch could take all of it, to fill it would end the run. */
int view_scratch(struct sandbox *sandbox, struct err *err)
{
    char size[32];
    int64_t memory = sandbox->plan->limits.budget[DIMENSION_SANDBOX_MEMORY_BYTES] / 2;
    int64_t disk = sandbox->plan->limits.budget[DIMENSION_LOCAL_DISK_BYTES];
    int64_t bytes = memory < disk ? memory : disk;
    snprintf(size, sizeof(size), "%lld", (long long)(bytes > 0 ? bytes : 1)); /* 0 is no limit */
    struct mounting_option options[] = { { "mode", "0755" }, { "size", size } };
    sandbox->scratch = mounting_new("tmpfs", options, ARRAY_LEN(options), NOTHING_SPECIAL, err);
    int r = sandbox->scratch < 0 ? sandbox->scratch : 0;
    /* Where the root stands too, and goes with it: only parts of it are in the view. */
    if (r == 0 &&
        move_mount(sandbox->scratch, "", AT_FDCWD, BUILDING_PLACE, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        r = mounting_failed(err, "cannot mount", "the scratch");
    if (r == 0)
        r = mounting_folder(sandbox->scratch, "staging", 0700, err);
    if (r == 0)
        sandbox->staging = mounting_open(sandbox->scratch, "staging", err);
    if (r == 0 && sandbox->staging < 0)
        r = sandbox->staging;
    if (r == 0)
        r = place_scratch(sandbox, "tmp", "tmp", 01777, err);
    if (r == 0) /* no link: a home or a mount may lie below it */
        r = place_scratch(sandbox, "tmp", "var/tmp", 01777, err);
    if (r == 0)
        r = place_scratch(sandbox, "shm", "dev/shm", 01777, err);
    if (r == 0)
        r = place_scratch(sandbox, "home", sandbox->plan->home + 1, 0700, err);
    if (r == 0)
        r = place_told(sandbox, err);
    return r;
}

/* --- the way in ---------------------------------------------------------------------------- */

int view_enter(struct sandbox *sandbox, struct err *err)
{
    struct mount_attr fixed = { .attr_set = MOUNT_ATTR_RDONLY };
    if (fchdir(sandbox->root) < 0)
        return mounting_failed(err, "cannot enter", "the root");
    if (mount_setattr(sandbox->root, "", AT_EMPTY_PATH, &fixed, sizeof(fixed)) < 0)
        return mounting_failed(err, "cannot make read-only", "the root");
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return mounting_failed(err, "cannot change to", "the root");
    if (umount2(".", MNT_DETACH) < 0)
        return mounting_failed(err, "cannot let go of", "the host's root");
    return chdir("/") < 0 ? mounting_failed(err, "cannot enter", "the root") : 0;
}
