/* processes: nobody outside is traced, read or signalled, and no right comes back. */
#include "attempt.h"

#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define COPY_BYTES 65536

/* THROUGH where one of those in reach lets it be done, else the last refusal. */
static int to_each(int (*does)(pid_t))
{
    pid_t pids[2];
    int last = -ESRCH;
    size_t count = targets(pids);
    for (size_t i = 0; i < count && last != THROUGH; i++)
        last = does(pids[i]);
    return last;
}

/* --- tracing ------------------------------------------------------------------------------- */

static int seize(pid_t pid)
{
    return answer(ptrace(PTRACE_SEIZE, pid, NULL, NULL)); /* ends with this process */
}

static int attach(pid_t pid)
{
    int r = answer(ptrace(PTRACE_ATTACH, pid, NULL, NULL));
    if (r == THROUGH && waitpid(pid, NULL, __WALL) == pid)
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
    return r;
}

/* An address where nothing is: who may look is told so, who may not is told that first. */
static int move_memory(pid_t pid, bool writes)
{
    char byte = 0;
    struct iovec here = { &byte, 1 }, there = { (void *)1, 1 };
    ssize_t moved = writes ? process_vm_writev(pid, &here, 1, &there, 1, 0)
                           : process_vm_readv(pid, &here, 1, &there, 1, 0);
    return moved == 1 || errno == EFAULT ? THROUGH : -errno;
}

static int read_memory(pid_t pid)
{
    return move_memory(pid, false);
}

static int write_memory(pid_t pid)
{
    return move_memory(pid, true);
}

static int open_of(pid_t pid, const char *what)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : THROUGH;
}

static int open_memory(pid_t pid)
{
    return open_of(pid, "mem");
}

static int take_descriptor(pid_t pid)
{
    _cleanup_(cleanup_close) int process = (int)syscall(SYS_pidfd_open, pid, 0);
    if (process < 0)
        return -errno;
    return answer(syscall(SYS_pidfd_getfd, process, 0, 0));
}

static int read_limit(void)
{
    struct rlimit limit;
    return answer(prlimit(world_number("pid"), RLIMIT_CORE, NULL, &limit));
}

#define TO_EACH(name, does)                                                                        \
    static int name(void)                                                                          \
    {                                                                                              \
        return to_each(does);                                                                      \
    }
TO_EACH(try_seize, seize)
TO_EACH(try_attach, attach)
TO_EACH(try_read_memory, read_memory)
TO_EACH(try_write_memory, write_memory)
TO_EACH(try_open_memory, open_memory)
TO_EACH(try_take_descriptor, take_descriptor)

/* --- signals ------------------------------------------------------------------------------- */

static int send_signal(void)
{
    return answer(kill(world_number("pid"), SIGUSR1));
}

static int send_to_group(void)
{
    return answer(kill(-world_number("group"), 0));
}

static int send_to_thread(void)
{
    pid_t pid = world_number("pid");
    return answer(syscall(SYS_tgkill, pid, pid, SIGUSR1));
}

static int send_queued(void)
{
    return answer(sigqueue(world_number("pid"), SIGUSR1, (union sigval){ 0 }));
}

static int send_by_descriptor(void)
{
    _cleanup_(cleanup_close) int process = (int)syscall(SYS_pidfd_open, world_number("pid"), 0);
    return process < 0 ? -errno : answer(syscall(SYS_pidfd_send_signal, process, SIGUSR1, NULL, 0));
}

static int send_by_owner(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETSIG, SIGUSR1) < 0)
        return -errno;
    return answer(fcntl(ends[0], F_SETOWN, world_number("pid")));
}

/* The first process lives on: it is what reaps, and what the supervisor talks to. */
static int end_first(void)
{
    static const int numbers[] = { SIGKILL, SIGSTOP, SIGTERM, SIGSEGV, SIGABRT, SIGUSR1 };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        kill(1, numbers[i]);
    char line[TEXT_MAX] = "";
    _cleanup_(cleanup_fclose) FILE *stat = fopen("/proc/1/stat", "re");
    if (!stat || !fgets(line, sizeof(line), stat))
        return THROUGH;
    const char *end = strrchr(line, ')');
    return end && (end[2] == 'S' || end[2] == 'R') ? -EPERM : THROUGH;
}

/* --- rights -------------------------------------------------------------------------------- */

static int become_root(void)
{
    if (setuid(0) == 0 || setresuid(0, 0, 0) == 0 || setgid(0) == 0 ||
        syscall(SYS_setgroups, 1, &(gid_t){ 0 }) == 0)
        return THROUGH;
    return -errno;
}

static int take_capability(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { 0 };
    sets[0].effective = sets[0].permitted = 1U << CAP_CHOWN;
    if (syscall(SYS_capset, &header, sets) == 0)
        return THROUGH;
    int error = errno;
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0) == 0 ? THROUGH : -error;
}

/* One that prints who it is, and belongs to somebody else: tests/escape/whoami.c. */
static int run_setuid(void)
{
    char path[TEXT_MAX], said[64] = "";
    int ends[2];
    snprintf(path, sizeof(path), "%s/whoami-setuid", world("read-only"));
    if (access(path, X_OK) < 0)
        return NOT_HERE; /* only root can make one */
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execl(path, path, NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    ssize_t len = read(ends[0], said, sizeof(said) - 1);
    if (len <= 0)
        return -EACCES;
    return strtol(said, NULL, 10) == (long)geteuid() ? -EPERM : THROUGH;
}

static int find_setuid_mount(void)
{
    static const char *const places[] = { "/", "/usr/bin", "/etc", "/tmp", "/dev/shm", "." };
    struct statvfs status;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return THROUGH;
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (statvfs(places[i], &status) == 0 && !(status.f_flag & ST_NOSUID))
            return THROUGH;
    return -EPERM;
}

static int lower_oom_score(void)
{
    _cleanup_(cleanup_close) int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -errno : answer(write(fd, "-1000", 5));
}

static int raise_oom_score_of_first(void)
{
    _cleanup_(cleanup_close) int fd = open("/proc/1/oom_score_adj", O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -errno : answer(write(fd, "1000", 4));
}

/* Neither a file nor, where the host's pattern names one, a program of the host that gets it. */
static int dump_core(void)
{
    struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
    int status = 0;
    (void)!setrlimit(RLIMIT_CORE, &limit);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        abort();
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) && !WCOREDUMP(status) ? -EPERM : THROUGH;
}

/* --- code that is no file ------------------------------------------------------------------ */

static int copy_self(void)
{
    static char bytes[COPY_BYTES];
    ssize_t len;
    _cleanup_(cleanup_close) int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int copy = memfd_create("copy", 0);
    while (self >= 0 && copy >= 0 && (len = read(self, bytes, sizeof(bytes))) > 0)
        if (write(copy, bytes, (size_t)len) != len)
            break;
    return copy;
}

/* The copy tries some of the others, and is held like any program. */
static int run_memory_file(void)
{
    static char only[] = "only=read-path,hidden-path,clone-user,io-uring-setup,signal";
    char mode[] = "inside", place[TEXT_MAX], said[TEXT_MAX] = "";
    int ends[2], copy = copy_self();
    snprintf(place, sizeof(place), "%s", world("world"));
    if (copy < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0) {
        char *arguments[] = { mode, mode, place, only, NULL };
        (void)!fchmod(copy, 06755);
        dup2(ends[1], STDOUT_FILENO);
        syscall(SYS_execveat, copy, "", arguments, environ, 0x1000 /* AT_EMPTY_PATH */);
        _exit(127);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t got;
    while (len < sizeof(said) - 1 && (got = read(ends[0], said + len, sizeof(said) - 1 - len)) > 0)
        len += (size_t)got;
    waitpid(pid, NULL, 0);
    if (len == 0)
        return -EACCES;
    return strstr(said, "ESCAPED") || !strstr(said, "contained") ? THROUGH : -EPERM;
}

#define TRACE  "tracing"
#define SIGNAL "signals-out"
#define RIGHTS "rights"

static const struct attempt rows[] = {
    { "ptrace-seize", TRACE, NULL, CONTROL_ANYONE, 0, try_seize },
    { "ptrace-attach", TRACE, NULL, CONTROL_ANYONE, 0, try_attach },
    { "process-vm-read", TRACE, NULL, CONTROL_ANYONE, 0, try_read_memory },
    { "process-vm-write", TRACE, NULL, CONTROL_ANYONE, 0, try_write_memory },
    { "proc-mem", TRACE, NULL, CONTROL_ANYONE, 0, try_open_memory },
    { "pidfd-getfd", TRACE, NULL, CONTROL_ANYONE, 0, try_take_descriptor },
    { "limit-of-others", TRACE, NULL, CONTROL_ANYONE, 0, read_limit },
    { "signal", SIGNAL, NULL, CONTROL_ANYONE, ESRCH, send_signal },
    { "signal-group", SIGNAL, NULL, CONTROL_ANYONE, 0, send_to_group },
    { "signal-thread", SIGNAL, NULL, CONTROL_ANYONE, ESRCH, send_to_thread },
    { "signal-queued", SIGNAL, NULL, CONTROL_ANYONE, ESRCH, send_queued },
    { "signal-pidfd", SIGNAL, NULL, CONTROL_ANYONE, ESRCH, send_by_descriptor },
    { "signal-owner", SIGNAL, NULL, CONTROL_ANYONE, 0, send_by_owner },
    { "signal-first", SIGNAL, NULL, CONTROL_NONE, 0, end_first },
    { "become-root", RIGHTS, NULL, CONTROL_ROOT, 0, become_root },
    { "take-capability", RIGHTS, NULL, CONTROL_ROOT, EPERM, take_capability },
    { "setuid-program", RIGHTS, NULL, CONTROL_ROOT, 0, run_setuid },
    { "setuid-mounts", RIGHTS, NULL, CONTROL_ANYONE, 0, find_setuid_mount },
    { "oom-score", RIGHTS, NULL, CONTROL_NONE, 0, lower_oom_score },
    { "oom-score-of-first", RIGHTS, NULL, CONTROL_NONE, 0, raise_oom_score_of_first },
    { "core-dump", "core-dumps", NULL, CONTROL_NONE, 0, dump_core },
    { "memfd-execveat", "memory-files", NULL, CONTROL_ANYONE, 0, run_memory_file },
};

const struct attempts process_attempts = { rows, ARRAY_LEN(rows) };
