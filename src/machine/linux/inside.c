/*
 * inside: what a sandbox's process does to itself last, and its life from then on.
 *
 * Theory of operation. Who has built the sandbox, or found itself in a container
 * that an OCI runtime has built (container_init.c), restricts itself by these
 * steps, tries the probes, and forks once: the child waits for SANDBOX_GO and
 * becomes the command; the parent reaps what is left to it, passes signals on
 * and gives sockets out.
 *
 * It is linked into a program of its own that has nothing but the C library:
 * no step here allocates, or asks for more of this program than is named in
 * meson.build.
 */
#include "machine/linux/inside.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include "machine/linux/capabilities.h"
#include "machine/linux/landlock.h"
#include "machine/linux/seccomp.h"

#define LOST_STATUS 125

/* --- messages ------------------------------------------------------------------------------ */

int sandbox_send(int control, const struct sandbox_message *message, int fd)
{
    char space[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec part = { .iov_base = (void *)message, .iov_len = sizeof(*message) };
    struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
    if (fd >= 0) {
        header.msg_control = space;
        header.msg_controllen = sizeof(space);
        struct cmsghdr *extra = CMSG_FIRSTHDR(&header);
        extra->cmsg_level = SOL_SOCKET;
        extra->cmsg_type = SCM_RIGHTS;
        extra->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(extra), &fd, sizeof(fd));
    }
    ssize_t sent;
    do
        sent = sendmsg(control, &header, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

int sandbox_receive(int control, struct sandbox_message *ret, int *ret_fd)
{
    char space[CMSG_SPACE(sizeof(int))];
    struct iovec part = { .iov_base = ret, .iov_len = sizeof(*ret) };
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)
    };
    ssize_t got;
    *ret_fd = -1;
    /* ECONNRESET, once: the other end left something unread. What it said before still comes. */
    do
        got = recvmsg(control, &header, MSG_CMSG_CLOEXEC);
    while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    if (got <= 0)
        return got == 0 ? 0 : -errno;
    struct cmsghdr *extra = CMSG_FIRSTHDR(&header);
    if (extra && extra->cmsg_level == SOL_SOCKET && extra->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(extra), sizeof(*ret_fd));
    return got == (ssize_t)sizeof(*ret) ? 1 : -EBADMSG;
}

void sandbox_tell_failure(int control, const struct err *err)
{
    struct sandbox_message message = { .kind = SANDBOX_FAILED, .err = *err };
    message.err.step = NULL; /* an address of this process */
    (void)!sandbox_send(control, &message, -1);
}

/* --- descriptors --------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Closes all descriptors but these, the standard ones and the sandbox's own. */
void inside_close_all_but(const struct sandbox *sandbox, const int *kept, size_t kept_count)
{
    int own[4 + INSIDE_KEPT_MAX] = { sandbox->control, sandbox->stdio[0], sandbox->stdio[1],
                                     sandbox->stdio[2] };
    size_t count = 4 + kept_count;
    int next = STDERR_FILENO + 1;
    for (size_t i = 0; i < kept_count; i++)
        own[4 + i] = kept[i];
    qsort(own, count, sizeof(own[0]), by_number);
    for (size_t i = 0; i < count; i++) {
        if (own[i] > next)
            syscall(SYS_close_range, next, own[i] - 1, 0);
        if (own[i] >= next)
            next = own[i] + 1;
    }
    syscall(SYS_close_range, next, ~0u, 0);
}

/* --- steps --------------------------------------------------------------------------------- */

int inside_go_to_directory(struct sandbox *sandbox, struct err *err)
{
    const char *path = sandbox->plan->directory;
    if (chdir(path) == 0)
        return 0;
    return err_set_errno(err, errno, STEP_SPAWN, "the command cannot start in %s", path);
}

/* One of the sandbox's own terminals; the supervisor gets its other end. */
int inside_open_terminal(struct sandbox *sandbox, struct err *err)
{
    sandbox->terminal = -1;
    if (!sandbox->plan->terminal)
        return 0;
    struct sandbox_message message = { .kind = SANDBOX_TERMINAL };
    _cleanup_(cleanup_close) int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    int unlock = 0;
    if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0)
        return err_set_errno(err, errno, STEP_SPAWN, "cannot open a terminal");
    sandbox->terminal = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (sandbox->terminal < 0)
        return err_set_errno(err, errno, STEP_SPAWN, "cannot open a terminal");
    return sandbox_send(sandbox->control, &message, master) < 0
               ? err_set(err, ERR_IO, STEP_SPAWN, "the supervisor is gone")
               : 0;
}

int inside_bind_life(struct sandbox *sandbox, struct err *err)
{
    struct pollfd control = { .fd = sandbox->control };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0) < 0) /* nobody in there looks into the process that reaps */
        return err_set_errno(err, errno, STEP_SPAWN,
                             "the kernel refuses to bind the sandbox's life");
    if (poll(&control, 1, 0) < 0 || control.revents & (POLLHUP | POLLERR))
        return err_set(err, ERR_IO, STEP_SPAWN, "the supervisor is gone");
    return 0;
}

int inside_restrict_use(struct sandbox *sandbox, struct err *err)
{
    return limits_in_child(&sandbox->inside, err);
}

#define VIEW_ALL     (LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_EXECUTE)
#define VIEW_RULES   6
#define FENCED_SCOPE (LANDLOCK_NO_DEVICE_IOCTL | LANDLOCK_NO_ABSTRACT_OUT | LANDLOCK_NO_SIGNALS_OUT)

int inside_restrict_files(struct sandbox *sandbox, struct err *err)
{
    const struct plan *plan = sandbox->plan;
    /* An image is the run's own to write in; what is read-only there is so by its mount. */
    unsigned root = plan->tier == TIER_CONTAINER ? VIEW_ALL : LANDLOCK_READ | LANDLOCK_EXECUTE;
    struct landlock_path paths[VIEW_RULES + PLAN_MOUNTS_MAX] = {
        { -1, "/", root },
        { -1, "/proc", LANDLOCK_READ | LANDLOCK_WRITE },
        { -1, "/dev", LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_DEVICE_IOCTL },
        { -1, "/dev/shm", VIEW_ALL },
        { -1, "/tmp", VIEW_ALL },
        { -1, plan->home, VIEW_ALL },
    };
    size_t count = VIEW_RULES;
    for (size_t i = 0; i < plan->mount_count; i++)
        if (plan->mounts[i].semantics != MOUNT_READ_ONLY)
            paths[count++] = (struct landlock_path){ -1, plan->mounts[i].agent_path, VIEW_ALL };
    sandbox->landlock_abi = landlock_abi();
    if (sandbox->landlock_abi == 0)
        return 0; /* the fingerprint says so, and the view stands without it */
    return landlock_restrict(paths, count, FENCED_SCOPE, err);
}

int inside_drop_capabilities(struct sandbox *sandbox, struct err *err)
{
    (void)sandbox;
    return capabilities_drop(err);
}

int inside_restrict_calls(struct sandbox *sandbox, struct err *err)
{
    enum seccomp_kind kind = sandbox->plan->tier == TIER_PROCESS ? SECCOMP_PROCESS
                             : sandbox->plan->no_sockets         ? SECCOMP_NO_SOCKETS
                                                                 : SECCOMP_DEFAULT;
    return seccomp_install(kind, err);
}

/* --- the command --------------------------------------------------------------------------- */

static int take_stdio(const struct sandbox *sandbox)
{
    for (int i = 0; i < 3; i++) {
        int from = sandbox->terminal >= 0 ? sandbox->terminal : sandbox->stdio[i];
        if (dup2(from, i) < 0)
            return -errno;
    }
    return sandbox->terminal >= 0 && ioctl(0, TIOCSCTTY, 0) < 0 ? -errno : 0;
}

/* Becomes the command; returns errno where it could not. */
static int start_command(const struct sandbox *sandbox)
{
    const struct plan *plan = sandbox->plan;
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < SIGRTMIN; number++) /* what the supervisor ignored, too */
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (take_stdio(sandbox) < 0 || syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return errno;
    environ = (char **)plan->environment;
    if (sandbox->private_folder && (setenv("HOME", sandbox->private_folder, 0) < 0 ||
                                    setenv("TMPDIR", sandbox->private_folder, 0) < 0))
        return errno;
    execvp(plan->argv[0], plan->argv);
    return errno;
}

/* Everything stands that will: tries to get past it, and says what came of that. */
static int try_and_tell(struct sandbox *sandbox, struct err *err)
{
    struct sandbox_message message = { .kind = SANDBOX_READY,
                                       .landlock_abi = sandbox->landlock_abi };
    probes_run(&sandbox->probes, message.probes);
    int r = sandbox_send(sandbox->control, &message, sandbox->scratch);
    cleanup_close(&sandbox->scratch);
    return r < 0 ? err_set(err, ERR_IO, STEP_SPAWN, "the supervisor is gone") : 0;
}

static void run_command(struct sandbox *sandbox, const struct inside_tier *tier, int started)
{
    struct sandbox_message message;
    struct err err = { 0 };
    int fd;
    setsid();
    if (tier->fence_command &&
        (tier->fence_command(sandbox, &err) < 0 || try_and_tell(sandbox, &err) < 0)) {
        sandbox_tell_failure(sandbox->control, &err);
        _exit(LOST_STATUS);
    }
    if (sandbox_receive(sandbox->control, &message, &fd) != 1 || message.kind != SANDBOX_GO)
        _exit(LOST_STATUS);
    int number = start_command(sandbox);
    (void)!write(started, &number, sizeof(number));
    _exit(LOST_STATUS);
}

/* --- the first process --------------------------------------------------------------------- */

/* Reaps; true when it was the command. */
static bool reap(pid_t command, int *ret_status)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == command) {
            *ret_status = status;
            return true;
        }
    return false;
}

/* To the whole group, as a terminal would; a pause is everybody's. */
static void pass_signal(pid_t command, int number)
{
    if (number == SIGSTOP || number == SIGCONT)
        kill(-1, number);
    else if (kill(-command, number) < 0)
        kill(command, number);
}

/* One with which the supervisor, who is elsewhere, can connect within this namespace. */
static void give_socket(const struct sandbox *sandbox, int family)
{
    struct sandbox_message message = { .kind = SANDBOX_SOCKET };
    _cleanup_(cleanup_close) int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)!sandbox_send(sandbox->control, &message, fd);
}

static int watch(struct sandbox *sandbox, int signals)
{
    struct pollfd waits[] = { { .fd = sandbox->control, .events = POLLIN },
                              { .fd = signals, .events = POLLIN } };
    struct sandbox_message message;
    struct signalfd_siginfo info;
    int status = 0, fd;
    for (;;) {
        if (poll(waits, ARRAY_LEN(waits), -1) < 0 && errno != EINTR)
            return LOST_STATUS << 8;
        if (waits[1].revents && read(signals, &info, sizeof(info)) == sizeof(info) &&
            reap(sandbox->command, &status))
            return status;
        if (!waits[0].revents)
            continue;
        if (sandbox_receive(sandbox->control, &message, &fd) != 1)
            return LOST_STATUS << 8; /* the supervisor is gone */
        if (message.kind == SANDBOX_SIGNAL)
            pass_signal(sandbox->command, message.number);
        else if (message.kind == SANDBOX_DIAL)
            give_socket(sandbox, message.number);
    }
}

/* Every other process of the run: when the end is told, nothing of it goes on. */
static void end_rest(void)
{
    kill(-1, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        continue;
}

static int attend(struct sandbox *sandbox, int signals, int started)
{
    struct sandbox_message message = { .kind = SANDBOX_STARTED };
    if (read(started, &message.number, sizeof(message.number)) != sizeof(message.number))
        message.number = 0; /* closed by the exec, or by the command's end */
    close(started);
    bool heard = sandbox_send(sandbox->control, &message, -1) == 0;
    message = (struct sandbox_message){ .kind = SANDBOX_ENDED };
    message.number = heard ? watch(sandbox, signals) : LOST_STATUS << 8;
    end_rest();
    getrusage(RUSAGE_CHILDREN, &message.usage);
    return sandbox_send(sandbox->control, &message, -1) < 0;
}

void inside_hear_of_children(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
}

int inside_live(struct sandbox *sandbox, const struct inside_tier *tier)
{
    struct err err = { 0 };
    int started[2], signals = -1, r = 0;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    if (pipe2(started, O_CLOEXEC) < 0 || (signals = signalfd(-1, &child, SFD_CLOEXEC)) < 0)
        r = err_set_errno(&err, errno, STEP_SPAWN, "cannot wait for the command's process");
    /* Where a command is fenced in more than we are, it is the one to try. */
    if (r == 0 && !tier->fence_command)
        r = try_and_tell(sandbox, &err);
    if (r == 0 && (sandbox->command = fork()) < 0)
        r = err_set_errno(&err, errno, STEP_SPAWN, "cannot make the command's process");
    if (r < 0) {
        sandbox_tell_failure(sandbox->control, &err);
        return 1;
    }
    if (sandbox->command == 0)
        run_command(sandbox, tier, started[1]);
    close(started[1]);
    return attend(sandbox, signals, started[0]);
}
