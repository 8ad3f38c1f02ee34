/* kernel: namespaces, mounts, terminals, and the calls that a run has no business with. */
#include "attempt.h"

#include <linux/io_uring.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#ifndef TIOCLINUX
#define TIOCLINUX 0x541c
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#define HIGH_BIT       (1UL << 32)
#define X32_BIT        0x40000000L
#define NS_GET_USERNS  0xb701
#define NEW_TIME_SPACE 0x00000080

/* --- namespaces ---------------------------------------------------------------------------- */

static int in_child(long pid)
{
    if (pid == 0)
        _exit(0);
    if (pid < 0)
        return -errno;
    waitpid((pid_t)pid, NULL, 0);
    return THROUGH;
}

static int clone_user(void)
{
    return in_child(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}

static int clone_user_high(void)
{
    return in_child(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD | (1UL << 40), 0, 0, 0, 0));
}

static int clone3_user(void)
{
    struct clone_args arguments = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
    return in_child(syscall(SYS_clone3, &arguments, sizeof(arguments)));
}

static int join_namespaces(void)
{
    static const char *const names[] = { "mnt", "net", "pid", "uts", "ipc", "cgroup", "user" };
    int last = -ENOENT;
    for (int self = 0; self < 2; self++)
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            char path[64];
            snprintf(path, sizeof(path), "/proc/%s/ns/%s", self ? "self" : "1", names[i]);
            _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd >= 0 && setns(fd, 0) == 0)
                return THROUGH;
            last = -errno;
        }
    return last;
}

static int join_by_process(void)
{
    _cleanup_(cleanup_close) int process =
        (int)syscall(SYS_pidfd_open, is_inside() ? 1 : getpid(), 0);
    return process < 0 ? -errno : answer(setns(process, CLONE_NEWNS | CLONE_NEWNET));
}

/* The namespace above, by a descriptor of one's own. */
static int find_parent_namespace(void)
{
    _cleanup_(cleanup_close) int user = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
    if (user < 0)
        return -errno;
    _cleanup_(cleanup_close) int parent = ioctl(user, NS_GET_USERNS);
    return parent < 0 ? -errno : answer(setns(parent, CLONE_NEWUSER));
}

/* --- mounts -------------------------------------------------------------------------------- */

static int mount_memory(void)
{
    return answer(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int mount_bind(void)
{
    return answer(mount("/usr", "/tmp", NULL, MS_BIND, NULL));
}

static int mount_again(void)
{
    return answer(mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND, NULL));
}

static int unmount(void)
{
    if (!is_inside() && mount("none", "/tmp", "tmpfs", 0, NULL) < 0)
        return -errno;
    return answer(umount2(is_inside() ? "/proc/sys" : "/tmp", MNT_DETACH));
}

static int pivot(void)
{
    return answer(syscall(SYS_pivot_root, "/tmp", "/tmp"));
}

static int change_root(void)
{
    return answer(chroot("/usr"));
}

static int open_file_system(void)
{
    return answer(syscall(SYS_fsopen, "tmpfs", 0));
}

static int open_copy(void)
{
    return answer(syscall(SYS_open_tree, AT_FDCWD, "/usr", 1 /* OPEN_TREE_CLONE */));
}

static int move(void)
{
    return answer(syscall(SYS_move_mount, AT_FDCWD, "/proc", AT_FDCWD, "/tmp", 0));
}

static int change_attributes(void)
{
    struct mount_attr attributes = { .attr_clr = MOUNT_ATTR_RDONLY };
    const char *place = is_inside() ? "/usr" : "/tmp";
    if (!is_inside() && mount("none", "/tmp", "tmpfs", MS_RDONLY, NULL) < 0)
        return -errno;
    return answer(syscall(SYS_mount_setattr, AT_FDCWD, place, 0, &attributes, sizeof(attributes)));
}

/* --- terminals ----------------------------------------------------------------------------- */

/* The controlling one, or one of the attempt's own. */
static int open_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        return -1;
    return open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static int on_terminal(unsigned long request)
{
    char with = is_inside() ? 'x' : '\n';
    int fd = open_terminal();
    return answer(fd < 0 ? fd : syscall(SYS_ioctl, fd, request, &with));
}

static int type_ahead(void)
{
    return on_terminal(TIOCSTI);
}

static int type_ahead_high(void)
{
    return on_terminal(TIOCSTI | HIGH_BIT);
}

static int type_ahead_highest(void)
{
    return on_terminal(TIOCSTI | (1UL << 63));
}

static int paste(void)
{
    return on_terminal(TIOCLINUX);
}

static int paste_high(void)
{
    return on_terminal(TIOCLINUX | HIGH_BIT);
}

static int change_line(void)
{
    return on_terminal(TIOCSETD | HIGH_BIT);
}

/* --- calls --------------------------------------------------------------------------------- */

static int set_up_ring(void)
{
    struct io_uring_params parameters = { 0 };
    return answer(syscall(SYS_io_uring_setup, 4, &parameters));
}

/* getpid by the entry of 32-bit programs. */
static int call_i386(void)
{
#if defined(__x86_64__)
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
    return result < 0 ? (int)result : THROUGH;
#else
    return NOT_HERE;
#endif
}

#define SPACES   "namespaces"
#define MOUNTS   "mounts"
#define TERMINAL "terminal"
#define CALLS    "system-calls"
#define CALL(number, ...)                                                                          \
    NULL, number,                                                                                  \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const struct attempt rows[] = {
    { "unshare-user", SPACES, NULL, CONTROL_SPACE, EPERM, CALL(SYS_unshare, CLONE_NEWUSER) },
    { "unshare-mount", SPACES, NULL, CONTROL_SPACE, EPERM, CALL(SYS_unshare, CLONE_NEWNS) },
    { "unshare-net", SPACES, NULL, CONTROL_SPACE, EPERM, CALL(SYS_unshare, CLONE_NEWNET) },
    { "unshare-pid", SPACES, NULL, CONTROL_SPACE, EPERM, CALL(SYS_unshare, CLONE_NEWPID) },
    { "unshare-ipc", SPACES, NULL, CONTROL_SPACE, EPERM, CALL(SYS_unshare, CLONE_NEWIPC) },
    { "unshare-uts", SPACES, NULL, CONTROL_SPACE, EPERM, CALL(SYS_unshare, CLONE_NEWUTS) },
    { "unshare-cgroup", SPACES, NULL, CONTROL_SPACE, EPERM, CALL(SYS_unshare, CLONE_NEWCGROUP) },
    { "unshare-time", SPACES, NULL, CONTROL_SPACE, EPERM, CALL(SYS_unshare, NEW_TIME_SPACE) },
    { "clone-user", SPACES, NULL, CONTROL_SPACE, EPERM, clone_user },
    { "clone-user-high", SPACES, NULL, CONTROL_SPACE, EPERM, clone_user_high },
    { "clone3-user", SPACES, NULL, CONTROL_SPACE, ENOSYS, clone3_user },
    { "setns", SPACES, NULL, CONTROL_ROOT, 0, join_namespaces },
    { "setns-pidfd", SPACES, NULL, CONTROL_ROOT, EPERM, join_by_process },
    { "namespace-above", SPACES, NULL, CONTROL_NONE, EPERM, find_parent_namespace },
    { "mount-tmpfs", MOUNTS, NULL, CONTROL_SPACE, EPERM, mount_memory },
    { "mount-bind", MOUNTS, NULL, CONTROL_NONE, EPERM, mount_bind },
    { "mount-remount", MOUNTS, NULL, CONTROL_NONE, EPERM, mount_again },
    { "umount", MOUNTS, NULL, CONTROL_SPACE, EPERM, unmount },
    { "pivot-root", MOUNTS, NULL, CONTROL_NONE, EPERM, pivot },
    { "chroot", MOUNTS, NULL, CONTROL_SPACE, EPERM, change_root },
    { "fsopen", MOUNTS, NULL, CONTROL_SPACE, EPERM, open_file_system },
    { "open-tree", MOUNTS, NULL, CONTROL_SPACE, EPERM, open_copy },
    { "move-mount", MOUNTS, NULL, CONTROL_NONE, EPERM, move },
    { "mount-setattr", MOUNTS, NULL, CONTROL_SPACE, EPERM, change_attributes },
    { "tiocsti", TERMINAL, "CVE-2017-5226", CONTROL_ROOT, EPERM, type_ahead },
    { "tiocsti-high", TERMINAL, "CVE-2019-10063", CONTROL_ROOT, EPERM, type_ahead_high },
    { "tiocsti-highest", TERMINAL, "CVE-2019-10063", CONTROL_ROOT, EPERM, type_ahead_highest },
    { "tioclinux", TERMINAL, "CVE-2023-28100", CONTROL_NONE, EPERM, paste },
    { "tioclinux-high", TERMINAL, "CVE-2019-10063", CONTROL_NONE, EPERM, paste_high },
    { "tiocsetd-high", TERMINAL, NULL, CONTROL_NONE, EPERM, change_line },
    { "io-uring-setup", CALLS, NULL, CONTROL_ANYONE, ENOSYS, set_up_ring },
    { "io-uring-enter", CALLS, NULL, CONTROL_NONE, ENOSYS, CALL(SYS_io_uring_enter, -1) },
    { "io-uring-register", CALLS, NULL, CONTROL_NONE, ENOSYS, CALL(SYS_io_uring_register, -1) },
#if defined(__x86_64__)
    { "x32", CALLS, NULL, CONTROL_NONE, ENOSYS, CALL(X32_BIT | SYS_getpid) },
    { "x32-ptrace", CALLS, NULL, CONTROL_NONE, ENOSYS, CALL(X32_BIT | 521) },
#endif
    { "i386", CALLS, NULL, CONTROL_ANYONE, ENOSYS, call_i386 },
    { "bpf", CALLS, NULL, CONTROL_NONE, EPERM, CALL(SYS_bpf, 0, 0, 0) },
    { "perf", CALLS, NULL, CONTROL_NONE, EPERM, CALL(SYS_perf_event_open, 0, 0, -1, -1, 0) },
    { "userfaultfd", CALLS, NULL, CONTROL_NONE, EPERM, CALL(SYS_userfaultfd, 1) },
    { "keyring-add", CALLS, NULL, CONTROL_NONE, ENOSYS, CALL(SYS_add_key, 0, 0, 0, 0, -3) },
    { "keyring-read", CALLS, NULL, CONTROL_ANYONE, ENOSYS, CALL(SYS_keyctl, 0, -3, 1) },
    { "module", CALLS, NULL, CONTROL_NONE, EPERM, CALL(SYS_finit_module, -1, 0, 0) },
    { "kexec", CALLS, NULL, CONTROL_NONE, EPERM, CALL(SYS_kexec_load, 0, 0, 0, 0) },
    { "reboot", CALLS, NULL, CONTROL_NONE, EPERM, CALL(SYS_reboot, 0, 0, 0, 0) },
    { "swapon", CALLS, NULL, CONTROL_NONE, EPERM, CALL(SYS_swapon, 0, 0) },
    { "accounting", CALLS, NULL, CONTROL_NONE, EPERM, CALL(SYS_acct, -1) },
    { "quota", CALLS, NULL, CONTROL_NONE, EPERM, CALL(SYS_quotactl, 0, 0, 0, 0) },
    { "kernel-log", CALLS, NULL, CONTROL_ROOT, EPERM, CALL(SYS_syslog, 10, 0, 0) },
    { "host-name", CALLS, NULL, CONTROL_NONE, EPERM, CALL(SYS_sethostname, 0, 0) },
    { "clock", CALLS, NULL, CONTROL_NONE, EPERM, CALL(SYS_clock_settime, 0, 0) },
    { "fanotify", CALLS, NULL, CONTROL_NONE, EPERM, CALL(SYS_fanotify_init, 0, 0) },
    { "executable-pages", CALLS, NULL, CONTROL_ANYONE, EPERM, CALL(SYS_personality, 0x400000) },
};

const struct attempts kernel_attempts = { rows, ARRAY_LEN(rows) };
