/*
 * probes: see the header.
 *
 * Theory of operation. Each probe does for real what an attacker would do
 * first, with what the caller says is there, and judges by what the kernel
 * answers; the table in the header is the order. Together they are some sixty
 * system calls without a fork, well below half a millisecond.
 *
 * What holds. Whatever is neither refused nor absent counts as escaped: a
 * probe that cannot tell says so by stopping the launch. A probe that has
 * nothing to try is skipped and never contained.
 *
 * Where a name means something else inside than outside, the thing decides
 * and not the name: a folder is the one outside if device and inode agree; a
 * process number from another pid namespace names nobody outside, whoever has
 * it in here.
 *
 * Limits. A probe shows that one way is closed, not that all are; those are
 * tried by tests/escape/. The sandbox under test must let the probes make the
 * calls they need: what is refused here is refused to the command as well.
 */
#include "machine/linux/probes.h"

#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#define PROBE_PATH_MAX    4096
#define PROBE_GROUPS_MAX  64
#define PROBE_CALLERS_MAX 256 /* of one listener: more than may wait at it */

static struct probe_result contained(int error)
{
    return (struct probe_result){ .outcome = PROBE_CONTAINED, .error = error };
}

static struct probe_result escaped(const char *detail)
{
    struct probe_result result = { .outcome = PROBE_ESCAPED };
    snprintf(result.detail, sizeof(result.detail), "%s", detail);
    return result;
}

static struct probe_result skipped(const char *detail)
{
    struct probe_result result = { .outcome = PROBE_SKIPPED };
    snprintf(result.detail, sizeof(result.detail), "%s", detail);
    return result;
}

/* ---- files ---- */

/* 0 where something could be read, or -errno; an empty file is -ENODATA. */
static int read_one_byte(const char *path)
{
    char byte;
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : read(fd, &byte, 1);
    return n > 0 ? 0 : n == 0 ? -ENODATA : -errno;
}

static struct probe_result read_host_secret(const struct probe_context *context)
{
    char path[PROBE_PATH_MAX];
    if (!context->secret_path)
        return skipped("the caller named no secret");
    int r = read_one_byte(context->secret_path);
    if (r == 0)
        return escaped("a secret of the host was read by its path");
    /* By way of whoever is process 1 here: at the tier `process`, that is the host's. */
    int length = snprintf(path, sizeof(path), "/proc/1/root%s", context->secret_path);
    if (length < (int)sizeof(path) && read_one_byte(path) == 0)
        return escaped("a secret of the host was read through /proc/1/root");
    return contained(-r);
}

static struct probe_result write_outside(const struct probe_context *context)
{
    static const char name[] = ".agent-machine-probe";
    struct stat status;
    if (!context->outside_folder)
        return skipped("the caller named no folder outside");
    _cleanup_(cleanup_close) int folder =
        open(context->outside_folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fstat(folder, &status) < 0)
        return contained(errno);
    if (status.st_dev != context->outside_device || status.st_ino != context->outside_inode)
        return contained(ENOENT);
    _cleanup_(cleanup_close) int file =
        openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        return contained(errno);
    unlinkat(folder, name, 0);
    return escaped("a file was made in a folder of the host");
}

/* ---- sockets ---- */

/*
 * 0 where the connection stands or is on its way, else the error that ended it. To one of the
 * caller's own listeners the nonce is said; NULL: it is somebody else's, who hears nothing.
 */
static int try_connect(const struct sockaddr *address, socklen_t len, const unsigned char *nonce)
{
    _cleanup_(cleanup_close) int fd =
        socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    struct pollfd wait = { .fd = fd, .events = POLLOUT };
    int error = connect(fd, address, len) < 0 ? errno : 0;
    socklen_t error_len = sizeof(error);
    if (error == EINPROGRESS) {
        error = 0;
        if (poll(&wait, 1, 0) == 1)
            (void)!getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len);
    }
    if (error == 0 && nonce) /* one on its way that cannot take it yet has escaped all the same */
        (void)!send(fd, nonce, PROBE_NONCE_BYTES, MSG_NOSIGNAL | MSG_DONTWAIT);
    return error;
}

/* Nobody is there, or nobody may go there; anything else means that somebody was reached. */
static bool is_out_of_reach(int error)
{
    static const int errors[] = {
        ECONNREFUSED, ECONNRESET, ENETUNREACH, EHOSTUNREACH, ENOENT,
        ENOTDIR,      EACCES,     EPERM,       EAFNOSUPPORT, EADDRNOTAVAIL
    };
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (errors[i] == error)
            return true;
    return false;
}

static struct probe_result connect_past_door(const struct probe_context *context)
{
    if (!context->upstream)
        return skipped("the caller listens nowhere outside");
    int error = try_connect(context->upstream, context->upstream_len, context->nonce);
    if (is_out_of_reach(error) || context->connections_are_captured)
        return contained(error);
    return escaped("a connection to an address of the host was not refused");
}

static bool says_nonce(int fd, const unsigned char nonce[PROBE_NONCE_BYTES])
{
    unsigned char said[PROBE_NONCE_BYTES];
    ssize_t len = recv(fd, said, sizeof(said), MSG_DONTWAIT);
    return len == PROBE_NONCE_BYTES && memcmp(said, nonce, PROBE_NONCE_BYTES) == 0;
}

bool probes_reached(int listener, const unsigned char nonce[PROBE_NONCE_BYTES])
{
    for (int i = 0; i < PROBE_CALLERS_MAX; i++) {
        _cleanup_(cleanup_close) int fd =
            accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return false;
        if (says_nonce(fd, nonce))
            return true;
    }
    return true; /* who has so many callers cannot tell them apart */
}

static int try_socket_name(const char *name, bool is_abstract, const unsigned char *nonce)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(name);
    if (len + is_abstract >= sizeof(address.sun_path))
        return ENOENT;
    memcpy(address.sun_path + is_abstract, name, len);
    socklen_t address_len = offsetof(struct sockaddr_un, sun_path) + (socklen_t)len + 1;
    return try_connect((const struct sockaddr *)&address, address_len, nonce);
}

static struct probe_result reach_host_socket(const struct probe_context *context)
{
    int error = 0;
    if (!context->abstract_name && !context->socket_path)
        return skipped("the caller named no socket");
    if (context->abstract_name) {
        error = try_socket_name(context->abstract_name, true, context->nonce);
        if (!is_out_of_reach(error))
            return escaped("an abstract Unix socket of the host was reached");
    }
    if (context->socket_path) {
        error = try_socket_name(context->socket_path, false, context->nonce);
        if (!is_out_of_reach(error))
            return escaped("a Unix socket in the host's file system was reached");
    }
    return contained(error);
}

/* ---- processes ---- */

/* Where that cannot be told, a number is taken to mean what it means outside. */
static bool numbers_mean_others(const struct probe_context *context)
{
    struct stat status;
    return stat("/proc/self/ns/pid", &status) == 0 && context->pid_namespace != 0 &&
           status.st_ino != context->pid_namespace;
}

static struct probe_result signal_host_process(const struct probe_context *context)
{
    if (context->host_pid <= 0)
        return skipped("the caller named no process");
    if (kill(context->host_pid, 0) < 0)
        return contained(errno);
    if (numbers_mean_others(context))
        return contained(ESRCH);
    return escaped("a process of the host took a signal");
}

static void let_go(pid_t pid)
{
    if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0 && waitpid(pid, NULL, __WALL) == pid)
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static struct probe_result trace_host_process(const struct probe_context *context)
{
    static char anything;
    char byte;
    struct iovec here = { &byte, 1 }, there = { &anything, 1 };
    pid_t pid = context->host_pid;
    if (pid <= 0)
        return skipped("the caller named no process");
    bool is_somebody = kill(pid, 0) == 0 || errno != ESRCH;
    if (is_somebody && numbers_mean_others(context))
        return contained(ESRCH);
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0) {
        let_go(pid);
        return escaped("a process of the host could be traced");
    }
    int error = errno;
    if (process_vm_readv(pid, &here, 1, &there, 1, 0) == 1 || errno == EFAULT)
        return escaped("the memory of a process of the host could be read");
    return contained(error);
}

/* ---- rights ---- */

static struct probe_result regain_capability(const struct probe_context *context)
{
    (void)context;
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { 0 };
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return escaped("programs can bring new privileges: no_new_privs is off");
    if (syscall(SYS_capget, &header, sets) < 0)
        return escaped("the capabilities cannot be read");
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        if (sets[i].effective || sets[i].permitted || sets[i].inheritable)
            return escaped("a capability is left");
    sets[0].permitted = sets[0].effective = 1U << CAP_SYS_ADMIN;
    if (syscall(SYS_capset, &header, sets) == 0)
        return escaped("a capability could be taken");
    int error = errno;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) == 0)
        return escaped("an ambient capability could be raised");
    return contained(error);
}

static struct probe_result nest_namespace(const struct probe_context *context)
{
    (void)context;
    struct clone_args arguments = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
    long pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid == 0)
        _exit(0);
    if (pid > 0) {
        waitpid((pid_t)pid, NULL, 0);
        return escaped("a process started in a user namespace of its own");
    }
    if (unshare(CLONE_NEWUSER) == 0)
        return escaped("a user namespace was entered");
    int error = errno;
    if (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWNET) == 0)
        return escaped("a mount or network namespace was entered");
    return contained(error);
}

/* ---- groups ---- */

/* What distributions guard by a group. */
static const char *const guarded_by_group[] = {
    "/dev/kvm",
    "/dev/mem",
    "/dev/sda",
    "/dev/vda",
    "/dev/nvme0n1",
    "/dev/input/event0",
    "/dev/snd/controlC0",
    "/dev/dri/card0",
    "/dev/ttyS0",
    "/etc/shadow",
    "/etc/gshadow",
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/libvirt/libvirt-sock",
    "/run/containerd/containerd.sock",
    "/var/lib/lxd/unix.socket",
    "/var/log/auth.log",
    "/var/log/syslog",
    "/var/log/journal",
    "/var/mail",
};

static bool holds_other_groups(void)
{
    gid_t groups[PROBE_GROUPS_MAX];
    gid_t own = getgid();
    int count = getgroups(PROBE_GROUPS_MAX, groups);
    if (count < 0)
        return true; /* more of them than fit here */
    for (int i = 0; i < count; i++)
        if (groups[i] != own)
            return true;
    return false;
}

/* Neither as the owner, nor by the primary group, nor as anybody: then by one of the others. */
static bool is_reached_by_group(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0 || status.st_uid == getuid() || status.st_gid == getgid())
        return false;
    bool reads = !(status.st_mode & S_IROTH) && access(path, R_OK) == 0;
    bool writes = !(status.st_mode & S_IWOTH) && access(path, W_OK) == 0;
    if (!reads && !writes)
        return false;
    if (S_ISSOCK(status.st_mode))
        return !is_out_of_reach(try_socket_name(path, false, NULL));
    /* Landlock does not hear of access(): only opening tells. */
    _cleanup_(cleanup_close) int fd =
        open(path, (reads ? O_RDONLY : O_WRONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd >= 0;
}

static struct probe_result reach_through_group(const struct probe_context *context)
{
    if (!holds_other_groups())
        return contained(0);
    for (size_t i = 0; i < ARRAY_LEN(guarded_by_group); i++)
        if (is_reached_by_group(guarded_by_group[i]))
            return escaped("something is reachable by a supplementary group alone");
    if (context->group_path && is_reached_by_group(context->group_path))
        return escaped("the caller's file is reachable by a supplementary group alone");
    return contained(EACCES);
}

/* ---- the table ---- */

static const struct {
    const char *name;
    struct probe_result (*run)(const struct probe_context *);
} probes[PROBE_COUNT] = {
#define X(probe, name, function) [probe] = { name, function },
    PROBE_TABLE(X)
#undef X
};

size_t probes_run(const struct probe_context *context, struct probe_result results[PROBE_COUNT])
{
    size_t escapes = 0;
    for (size_t i = 0; i < PROBE_COUNT; i++) {
        results[i] = probes[i].run(context);
        escapes += results[i].outcome == PROBE_ESCAPED;
    }
    return escapes;
}

const char *probe_name(enum probe probe)
{
    return probes[probe].name;
}

const char *probe_outcome_name(enum probe_outcome outcome)
{
    static const char *const names[] = {
        [PROBE_CONTAINED] = "contained",
        [PROBE_ESCAPED] = "escaped",
        [PROBE_SKIPPED] = "skipped",
    };
    return names[outcome];
}
