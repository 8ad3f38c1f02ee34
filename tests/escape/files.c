/*
 * files: what is the host's is not read, and nothing of it is changed.
 *
 * The working folder is the repository: inside the staged view of it, outside
 * a copy. tests/escape.sh lays into it what these attempts need, among them
 * files that a mount with secrets-prohibited hides.
 */
#include "attempt.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define UP         "../../../../../../../../../../../../../../../.."
#define HANDLE_MAX 128

static int make(const char *folder, const char *name)
{
    char path[TEXT_MAX];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    _cleanup_(cleanup_close) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : THROUGH;
}

/* --- reading ------------------------------------------------------------------------------- */

static int read_path(void)
{
    return find_sentinel(AT_FDCWD, world("secret"));
}

static int read_upwards(void)
{
    char path[TEXT_MAX];
    snprintf(path, sizeof(path), UP "%s", world("secret"));
    return find_sentinel(AT_FDCWD, path);
}

static int read_made_link(void)
{
    if (symlink(world("secret"), "made-link") < 0 && errno != EEXIST)
        return -errno;
    return find_sentinel(AT_FDCWD, "made-link");
}

static int read_given_link(void)
{
    return find_sentinel(AT_FDCWD, "given-link");
}

static int read_given_folder_link(void)
{
    return find_sentinel(AT_FDCWD, "given-folder/secret");
}

static int read_hard_link(void)
{
    if (link(world("secret"), "made-hard-link") < 0 && errno != EEXIST)
        return -errno;
    return find_sentinel(AT_FDCWD, "made-hard-link");
}

/* THROUGH where one process of /proc leads there by FORMAT, else the last refusal. */
static int read_of_each_process(const char *format, const char *rest)
{
    int last = -ENOENT;
    struct dirent *entry;
    DIR *proc = opendir("/proc");
    while (proc && (entry = readdir(proc))) {
        char path[TEXT_MAX];
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        snprintf(path, sizeof(path), "/proc/%s/%s%s", entry->d_name, format, rest);
        int r = find_sentinel(AT_FDCWD, path);
        if (r == THROUGH)
            return r;
        last = r;
    }
    return last;
}

static int read_proc_root(void)
{
    return read_of_each_process("root", world("secret"));
}

static int read_proc_cwd(void)
{
    return read_of_each_process("cwd/", "secret");
}

static int read_proc_environ(void)
{
    return read_of_each_process("environ", "");
}

/* Files alone: to read from a pipe would take what is somebody's. */
static int read_files_of(const char *process)
{
    char path[TEXT_MAX];
    struct stat status;
    int last = -ENOENT;
    snprintf(path, sizeof(path), "/proc/%s/fd", process);
    DIR *folder = opendir(path);
    if (!folder)
        return -errno;
    struct dirent *entry;
    while ((entry = readdir(folder))) {
        if (fstatat(dirfd(folder), entry->d_name, &status, 0) < 0 || !S_ISREG(status.st_mode))
            continue;
        last = find_sentinel(dirfd(folder), entry->d_name);
        if (last == THROUGH)
            break;
    }
    closedir(folder);
    return last;
}

static int read_proc_fd(void)
{
    int last = -ENOENT;
    struct dirent *entry;
    DIR *proc = opendir("/proc");
    while (proc && (entry = readdir(proc)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') {
            last = read_files_of(entry->d_name);
            if (last == THROUGH)
                return last;
        }
    return last;
}

static int read_self_fd(void)
{
    char path[TEXT_MAX];
    struct stat status;
    for (int fd = 0; fd <= 2; fd++)
        if (fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)))
            return THROUGH; /* the caller's own file, whose other side is the host's */
    for (int fd = 0; fd < 1024; fd++) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d" UP "%s", fd, world("secret"));
        if (find_sentinel(AT_FDCWD, path) == THROUGH)
            return THROUGH;
    }
    return -ENOENT;
}

static int find_inherited(void)
{
    return inherited() > 0 ? THROUGH : -EBADF;
}

static int read_any(const char *const *paths, size_t count)
{
    char byte;
    int last = -ENOENT;
    for (size_t i = 0; i < count; i++) {
        _cleanup_(cleanup_close) int fd = open(paths[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        ssize_t len = fd < 0 ? -1 : read(fd, &byte, 1);
        if (len == 1)
            return THROUGH;
        last = len == 0 ? -ENODATA : -errno;
    }
    return last;
}

static int read_shadow(void)
{
    static const char *const paths[] = { "/etc/shadow", "/etc/shadow-", "/etc/gshadow",
                                         "/etc/sudoers" };
    return read_any(paths, ARRAY_LEN(paths));
}

static int read_kernel(void)
{
    static const char *const paths[] = { "/proc/kcore",      "/proc/kallsyms",   "/proc/keys",
                                         "/proc/kmsg",       "/proc/modules",    "/proc/interrupts",
                                         "/proc/timer_list", "/proc/sched_debug" };
    return read_any(paths, ARRAY_LEN(paths));
}

static int read_by_handle(void)
{
    char space[sizeof(struct file_handle) + HANDLE_MAX];
    struct file_handle *handle = (struct file_handle *)space;
    int mount;
    handle->handle_bytes = HANDLE_MAX;
    if (name_to_handle_at(AT_FDCWD, ".", handle, &mount, 0) < 0)
        return errno == EOPNOTSUPP ? NOT_HERE : -errno;
    _cleanup_(cleanup_close) int folder = open(".", O_RDONLY | O_CLOEXEC);
    _cleanup_(cleanup_close) int fd = open_by_handle_at(folder, handle, O_RDONLY);
    return fd < 0 ? -errno : THROUGH;
}

/* The supervisor's own program: to open it is to be able to wait until it can be written. */
static int open_runtime(void)
{
    pid_t pids[2];
    int last = -ENOENT;
    size_t count = targets(pids);
    for (size_t i = 0; i < count; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/exe", pids[i]);
        _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            return THROUGH;
        last = -errno;
    }
    return last;
}

/* --- what is hidden ------------------------------------------------------------------------ */

static int read_hidden(void)
{
    static const char *const paths[] = { ".env", "lib/id_rsa", "./lib/../.env",
                                         "/proc/self/cwd/.env" };
    int last = -ENOENT;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        last = find_sentinel(AT_FDCWD, paths[i]);
        if (last == THROUGH)
            return last;
    }
    return last;
}

static int read_hidden_by_link(void)
{
    if (symlink(".env", "link-to-env") < 0 && errno != EEXIST)
        return -errno;
    int r = find_sentinel(AT_FDCWD, "link-to-env");
    return r == THROUGH ? r : find_sentinel(AT_FDCWD, "given-env-link");
}

static int read_hidden_by_case(void)
{
    static const char *const paths[] = { ".ENV", ".Env", "lib/ID_RSA" };
    int last = -ENOENT;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        last = find_sentinel(AT_FDCWD, paths[i]);
        if (last == THROUGH)
            return last;
    }
    return last;
}

/* A folder in the place of one that is hidden must not be merged with it. */
static int read_hidden_by_folder(void)
{
    if (mkdir(".ssh", 0700) < 0 && errno != EEXIST)
        return -errno;
    return find_sentinel(AT_FDCWD, ".ssh/known");
}

static int read_hidden_by_rename(void)
{
    (void)!mkdir("made-folder", 0700);
    if (is_inside() && rename("made-folder", "lib/.gnupg") < 0)
        return -errno;
    return find_sentinel(AT_FDCWD, "lib/.gnupg/known");
}

/* What the overlay notes down for itself, written by hand. */
static int read_hidden_by_redirect(void)
{
    (void)!mkdir("redirected", 0700);
    if (is_inside() && (setxattr("redirected", "user.overlay.redirect", "/.ssh", 5, 0) < 0 ||
                        setxattr("redirected", "user.overlay.origin", "x", 1, 0) < 0))
        return -errno;
    if (!is_inside())
        return find_sentinel(AT_FDCWD, ".ssh/known");
    int r = find_sentinel(AT_FDCWD, "redirected/known");
    if (r != THROUGH && rename("redirected", "redirected-again") == 0)
        r = find_sentinel(AT_FDCWD, "redirected-again/known");
    return r;
}

static int make_whiteout(void)
{
    return answer(mknod("made-whiteout", S_IFCHR, makedev(0, 0)));
}

/* --- writing outside ----------------------------------------------------------------------- */

static int write_path(void)
{
    return make(world("folder"), "written-by-path");
}

static int write_made_link(void)
{
    if (symlink(world("folder"), "made-folder-link") < 0 && errno != EEXIST)
        return -errno;
    return make("made-folder-link", "written-by-link");
}

static int write_given_link(void)
{
    return make("given-folder", "written-by-given-link");
}

static int write_rename(void)
{
    char path[TEXT_MAX];
    snprintf(path, sizeof(path), "%s/written-by-rename", world("folder"));
    int r = make(".", "renamed");
    return r < 0 ? r : answer(rename("renamed", path));
}

static int write_exchange(void)
{
    char path[TEXT_MAX];
    snprintf(path, sizeof(path), "%s/exchanged", world("folder"));
    int r = make(".", "to-exchange");
    if (r == 0 && !is_inside())
        r = make(world("folder"), "exchanged");
    return r < 0 ? r : answer(renameat2(AT_FDCWD, "to-exchange", AT_FDCWD, path, RENAME_EXCHANGE));
}

static int write_hard_link(void)
{
    char path[TEXT_MAX];
    snprintf(path, sizeof(path), "%s/written-by-hard-link", world("folder"));
    int r = make(".", "to-link");
    return r < 0 ? r : answer(link("to-link", path));
}

static int write_proc_root(void)
{
    pid_t pids[2];
    int last = -ENOENT;
    size_t count = targets(pids);
    for (size_t i = 0; i < count && last != THROUGH; i++) {
        char path[TEXT_MAX];
        snprintf(path, sizeof(path), "/proc/%d/root%s", pids[i], world("folder"));
        last = make(path, "written-by-root");
    }
    return last;
}

/* A file without a name: nothing is left where it works. */
static int write_system(void)
{
    static const char *const folders[] = { "/usr", "/usr/bin", "/etc", "/", "/opt", "/run" };
    int last = -ENOENT;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        _cleanup_(cleanup_close) int fd = open(folders[i], O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
        if (fd >= 0)
            return THROUGH;
        last = -errno;
    }
    return last;
}

static int write_read_only(void)
{
    char path[TEXT_MAX], again[64];
    snprintf(path, sizeof(path), "%s/file", world("read-only"));
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NOT_HERE;
    snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
    _cleanup_(cleanup_close) int writable = open(again, O_WRONLY | O_CLOEXEC);
    if (writable >= 0 || open(path, O_WRONLY | O_CLOEXEC) >= 0)
        return THROUGH;
    return -errno;
}

static int change_read_only(void)
{
    char path[TEXT_MAX];
    snprintf(path, sizeof(path), "%s/file", world("read-only"));
    if (chmod(path, 0644) == 0 || utimensat(AT_FDCWD, path, NULL, 0) == 0 ||
        setxattr(path, "user.made", "x", 1, 0) == 0 || truncate(path, 1) == 0)
        return THROUGH;
    return make(world("read-only"), "made");
}

/* --- the kernel's own ---------------------------------------------------------------------- */

/* Opened and not written to; the null device in their place is nobody's. */
static int open_settings(void)
{
    static const char *const paths[] = { "/proc/sysrq-trigger",
                                         "/proc/sys/kernel/core_pattern",
                                         "/proc/sys/kernel/hostname",
                                         "/proc/sys/user/max_user_namespaces",
                                         "/proc/sys/kernel/modprobe",
                                         "/sys/kernel/uevent_helper",
                                         "/proc/sys/fs/binfmt_misc/status" };
    int last = -ENOENT;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct stat status;
        _cleanup_(cleanup_close) int fd = open(paths[i], O_WRONLY | O_CLOEXEC);
        if (fd < 0)
            last = -errno;
        else if (fstat(fd, &status) < 0 || status.st_rdev != makedev(1, 3))
            return THROUGH;
    }
    return last;
}

static int open_control_groups(void)
{
    static const char *const paths[] = { "/sys/fs/cgroup/cgroup.procs",
                                         "/sys/fs/cgroup/unified/cgroup.procs",
                                         "/sys/fs/cgroup/memory/cgroup.procs",
                                         "/sys/fs/cgroup/memory/release_agent",
                                         "/sys/fs/cgroup/cgroup.subtree_control" };
    int last = -ENOENT;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        _cleanup_(cleanup_close) int fd = open(paths[i], O_WRONLY | O_CLOEXEC);
        if (fd >= 0)
            return THROUGH;
        last = -errno;
    }
    return last;
}

static int open_devices(void)
{
    static const char *const paths[] = { "/dev/mem",     "/dev/kmsg", "/dev/kvm",     "/dev/fuse",
                                         "/dev/sda",     "/dev/vda",  "/dev/nvme0n1", "/dev/uinput",
                                         "/dev/net/tun", "/dev/snd",  "/dev/dri" };
    int last = -ENOENT;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        _cleanup_(cleanup_close) int fd = open(paths[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0)
            return THROUGH;
        last = -errno;
    }
    return last;
}

static int make_device(void)
{
    int r = answer(mknod("made-mem", S_IFCHR | 0600, makedev(1, 1)));
    return r < 0 ? r : answer(mknod("made-disk", S_IFBLK | 0600, makedev(8, 0)));
}

/* They are the host's inodes: who owned them could open them to all or to none. */
static int change_devices(void)
{
    if (chmod("/dev/null", 0) == 0 || chown("/dev/zero", 1, 1) == 0 ||
        utimensat(AT_FDCWD, "/dev/full", (struct timespec[2]){ { 1, 0 }, { 1, 0 } }, 0) == 0)
        return THROUGH;
    return -errno;
}

static int open_console(void)
{
    static const char *const paths[] = { "/dev/console", "/dev/tty0", "/dev/tty1", "/dev/ttyS0" };
    int last = -ENOENT;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        _cleanup_(cleanup_close) int fd = open(paths[i], O_RDWR | O_NOCTTY | O_NONBLOCK);
        if (fd >= 0)
            return THROUGH;
        last = -errno;
    }
    return last;
}

#define READ   "reading-host-secrets"
#define HIDDEN "hidden-secrets"
#define WRITE  "writing-outside"
#define KERNEL "kernel-files"
#define DEVICE "devices"

static const struct attempt rows[] = {
    { "read-path", READ, NULL, CONTROL_ANYONE, 0, read_path },
    { "read-upwards", READ, NULL, CONTROL_ANYONE, 0, read_upwards },
    { "read-made-link", READ, NULL, CONTROL_ANYONE, 0, read_made_link },
    { "read-given-link", READ, "CVE-2026-25724", CONTROL_ANYONE, 0, read_given_link },
    { "read-given-folder-link", READ, "CVE-2026-25724", CONTROL_ANYONE, 0, read_given_folder_link },
    { "read-hard-link", READ, NULL, CONTROL_ANYONE, 0, read_hard_link },
    { "read-proc-root", READ, NULL, CONTROL_ANYONE, 0, read_proc_root },
    { "read-proc-cwd", READ, NULL, CONTROL_ANYONE, 0, read_proc_cwd },
    { "read-proc-environ", READ, NULL, CONTROL_ANYONE, 0, read_proc_environ },
    { "read-proc-fd", READ, NULL, CONTROL_ANYONE, 0, read_proc_fd },
    { "read-self-fd", READ, "CVE-2024-21626", CONTROL_ANYONE, 0, read_self_fd },
    { "inherited-descriptor", READ, "CVE-2024-21626", CONTROL_ANYONE, 0, find_inherited },
    { "read-shadow", READ, NULL, CONTROL_ROOT, 0, read_shadow },
    { "read-by-handle", READ, NULL, CONTROL_ROOT, EPERM, read_by_handle },
    { "open-runtime", READ, "CVE-2019-5736", CONTROL_ANYONE, 0, open_runtime },
    { "hidden-path", HIDDEN, NULL, CONTROL_ANYONE, 0, read_hidden },
    { "hidden-link", HIDDEN, "CVE-2026-25724", CONTROL_ANYONE, 0, read_hidden_by_link },
    { "hidden-case", HIDDEN, NULL, CONTROL_ANYONE, 0, read_hidden_by_case },
    { "hidden-folder-made", HIDDEN, NULL, CONTROL_ANYONE, 0, read_hidden_by_folder },
    { "hidden-folder-renamed", HIDDEN, NULL, CONTROL_ANYONE, 0, read_hidden_by_rename },
    { "overlay-redirect", HIDDEN, NULL, CONTROL_ANYONE, 0, read_hidden_by_redirect },
    { "overlay-whiteout", HIDDEN, NULL, CONTROL_ANYONE, EPERM, make_whiteout },
    { "write-path", WRITE, NULL, CONTROL_ANYONE, 0, write_path },
    { "write-made-link", WRITE, "CVE-2026-39861", CONTROL_ANYONE, 0, write_made_link },
    { "write-given-link", WRITE, NULL, CONTROL_ANYONE, 0, write_given_link },
    { "write-rename", WRITE, NULL, CONTROL_ANYONE, 0, write_rename },
    { "write-exchange", WRITE, NULL, CONTROL_ANYONE, 0, write_exchange },
    { "write-hard-link", WRITE, NULL, CONTROL_ANYONE, 0, write_hard_link },
    { "write-proc-root", WRITE, NULL, CONTROL_ANYONE, 0, write_proc_root },
    { "write-system", WRITE, NULL, CONTROL_ROOT, 0, write_system },
    { "write-read-only", WRITE, NULL, CONTROL_ANYONE, 0, write_read_only },
    { "change-read-only", WRITE, NULL, CONTROL_ANYONE, 0, change_read_only },
    { "kernel-read", KERNEL, "CVE-2025-31133", CONTROL_ANYONE, 0, read_kernel },
    { "kernel-settings", KERNEL, "CVE-2025-52881", CONTROL_ROOT, 0, open_settings },
    { "control-groups", KERNEL, "CVE-2022-0492", CONTROL_ROOT, 0, open_control_groups },
    { "device-open", DEVICE, NULL, CONTROL_ROOT, 0, open_devices },
    { "device-make", DEVICE, NULL, CONTROL_ROOT, EPERM, make_device },
    { "device-change", DEVICE, NULL, CONTROL_NONE, 0, change_devices },
    { "console", DEVICE, "CVE-2025-52565", CONTROL_NONE, 0, open_console },
};

const struct attempts file_attempts = { rows, ARRAY_LEN(rows) };
