/*
 * sandbox: the ordered steps from a copy of the supervisor to a confined command (stop 6 of a run).
 *
 * Theory of operation. sandbox_spawn makes a process with user and pid
 * namespaces of its own and maps its ids; that process walks the table of
 * steps, each of which may rely on those before it, and any failure of which
 * is told to the supervisor and ends it. A step needs no undoing by itself:
 * whatever it made lives in namespaces that end with this process.
 *
 * When all steps are done it tries the probes, says what they found, and forks
 * once. The child waits for SANDBOX_GO and becomes the command; the parent,
 * which is pid 1 in there and as confined as the command, reaps what is left
 * to it and passes signals on. It dies with the supervisor, and with it
 * everything in the namespace: no process can leave it. Where there is none, at
 * the tier `process`, process_tier.c says what stands in its place.
 *
 * Nothing from here on may use what the supervisor's copy holds: secrets are
 * resolved later, and only there.
 */
#include "machine/linux/sandbox.h"

#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include "machine/linux/capabilities.h"
#include "machine/linux/handover.h"
#include "machine/linux/idmap.h"
#include "machine/linux/landlock.h"
#include "machine/linux/mounting.h"
#include "machine/linux/seccomp.h"

#define STEP_SPAWN   "spawn the sandbox"
#define HOST_NAME    "agent-machine"
#define LOST_STATUS  125
#define KEPT_MAX     (2 * PLAN_MOUNTS_MAX + LIMITS_GROUPS_MAX)
#define OTHER_SPACES (CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

static int wait_for_map(struct sandbox *sandbox, struct err *err);
static int leave_namespaces(struct sandbox *sandbox, struct err *err);
static int become_agent(struct sandbox *sandbox, struct err *err);
static int take_plan(struct sandbox *sandbox, struct err *err);
static int join_groups(struct sandbox *sandbox, struct err *err);
static int close_trees(struct sandbox *sandbox, struct err *err);
static int go_to_directory(struct sandbox *sandbox, struct err *err);
static int begin_network(struct sandbox *sandbox, struct err *err);
static int enter_network(struct sandbox *sandbox, struct err *err);
static int open_terminal(struct sandbox *sandbox, struct err *err);
static int die_with_supervisor(struct sandbox *sandbox, struct err *err);
static int restrict_use(struct sandbox *sandbox, struct err *err);
static int restrict_files(struct sandbox *sandbox, struct err *err);
static int drop_capabilities(struct sandbox *sandbox, struct err *err);
static int restrict_calls(struct sandbox *sandbox, struct err *err);

#define IN_PROCESS    (1u << TIER_PROCESS)
#define IN_NAMESPACES (1u << TIER_NAMESPACES)
#define IN_BOTH       (IN_PROCESS | IN_NAMESPACES)

/* The order matters: each boundary stands where nothing after it needs what it takes away. */
static const struct step {
    const char *name;
    unsigned tiers;
    int (*run)(struct sandbox *sandbox, struct err *err);
} steps[] = {
    { "ids", IN_BOTH, wait_for_map },
    { "namespaces", IN_NAMESPACES, leave_namespaces },
    /* Before any file of the host is touched: with the rights of who the command will be. */
    { "identity", IN_NAMESPACES, become_agent },
    /* By a thread, which is in nobody's way until the network is entered. */
    { "network", IN_NAMESPACES, begin_network },
    { "root", IN_NAMESPACES, view_open },
    { "system", IN_NAMESPACES, view_system },
    { "etc", IN_NAMESPACES, view_etc },
    { "proc", IN_NAMESPACES, view_proc },
    { "devices", IN_NAMESPACES, view_devices },
    /* What stands above is the same for every plan. */
    { "plan", IN_BOTH, take_plan },
    /* Before anything that counts as the run's use is made. */
    { "groups", IN_BOTH, join_groups },
    { "people", IN_NAMESPACES, view_people },
    { "authorities", IN_NAMESPACES, view_authorities },
    { "scratch", IN_NAMESPACES, view_scratch },
    { "mounts", IN_NAMESPACES, view_mounts },
    /* While the host's /proc is there, where the namespace's own settings are; alone again. */
    { "network made", IN_NAMESPACES, enter_network },
    /* The last that needs a path of the host: from here on there is none. */
    { "enter", IN_NAMESPACES, view_enter },
    /* Nor a folder of it by its number, in which the command could be told to start. */
    { "descriptors", IN_NAMESPACES, close_trees },
    { "directory", IN_BOTH, go_to_directory },
    { "terminal", IN_BOTH, open_terminal },
    /* After the ids have changed, which would clear it. */
    { "life", IN_BOTH, die_with_supervisor },
    /* Without a pid namespace the first process has to end the others before it ends. */
    { "outlive", IN_PROCESS, process_tier_outlive },
    /* By who the command is, before it could refuse them. */
    { "limits", IN_BOTH, restrict_use },
    /* A second fence around the files, should a mount be other than it should. */
    { "landlock", IN_NAMESPACES, restrict_files },
    /* The only fence around them, where they are the host's own. */
    { "fence", IN_PROCESS, process_tier_fence },
    /* Mounting is over: nothing in here may do again what was done above. */
    { "capabilities", IN_BOTH, drop_capabilities },
    /* Last: it takes away most of the calls that the steps above are made of. */
    { "seccomp", IN_BOTH, restrict_calls },
};

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

static void tell_failure(int control, const struct err *err)
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
static void close_all_but(const struct sandbox *sandbox, const int *kept, size_t kept_count)
{
    int own[4 + KEPT_MAX] = { sandbox->control, sandbox->stdio[0], sandbox->stdio[1],
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

/* What the view was built of needs none any more; the scratch is still to be handed out. */
static int close_trees(struct sandbox *sandbox, struct err *err)
{
    (void)err;
    close_all_but(sandbox, &sandbox->scratch, 1);
    return 0;
}

/* The copy of the supervisor holds its descriptors, of the ledger and of keys: they go at once. */
static void keep_only_own(const struct sandbox *sandbox)
{
    int kept[KEPT_MAX];
    size_t count = 0;
    int nothing = open("/dev/null", O_RDWR); /* in the place of the caller's own streams */
    for (int i = 0; i <= STDERR_FILENO && nothing >= 0; i++)
        dup2(nothing, i);
    for (size_t i = 0; i < sandbox->plan->mount_count; i++) {
        kept[count++] = sandbox->mounts[i].tree;
        kept[count++] = sandbox->mounts[i].layer;
    }
    for (size_t i = 0; i < LIMITS_GROUPS_MAX; i++)
        kept[count++] = sandbox->inside.groups[i];
    close_all_but(sandbox, kept, count);
}

/* --- steps --------------------------------------------------------------------------------- */

static int wait_for_map(struct sandbox *sandbox, struct err *err)
{
    struct sandbox_message message;
    int fd, r = sandbox_receive(sandbox->control, &message, &fd);
    return r == 1 ? 0 : err_set(err, ERR_IO, STEP_SPAWN, "the supervisor is gone");
}

/* All but those of users and pids, which the process was born with, and of the network. */
static int leave_namespaces(struct sandbox *sandbox, struct err *err)
{
    (void)sandbox;
    if (unshare(OTHER_SPACES) < 0)
        return err_set_errno(err, errno, STEP_SPAWN, "the kernel gives no namespaces");
    if (sethostname(HOST_NAME, strlen(HOST_NAME)) < 0)
        return err_set_errno(err, errno, STEP_SPAWN, "cannot name the sandbox");
    return 0;
}

/*
 * As root, the rights of host root over files end here; the capabilities that are kept are those
 * over this process's own namespaces, and they go with drop_capabilities.
 */
static int become_agent(struct sandbox *sandbox, struct err *err)
{
    const struct plan *plan = sandbox->plan;
    umask(022);
    if (!plan->as_root)
        return 0;
    if (prctl(PR_SET_SECUREBITS, 1 << 2 /* no set-uid fix-up */) < 0 ||
        syscall(SYS_setgroups, 0, NULL) < 0 ||
        setresgid(plan->inside_gid, plan->inside_gid, plan->inside_gid) < 0 ||
        setresuid(plan->inside_uid, plan->inside_uid, plan->inside_uid) < 0)
        return err_set_errno(err, errno, STEP_SPAWN, "cannot become the agent's identity");
    return 0;
}

/* Where it was spawned with its plan, there is nothing to wait for. */
static int take_plan(struct sandbox *sandbox, struct err *err)
{
    return sandbox->handover ? handover_take(sandbox, err) : 0;
}

static int join_groups(struct sandbox *sandbox, struct err *err)
{
    return limits_join(&sandbox->inside, err);
}

static int go_to_directory(struct sandbox *sandbox, struct err *err)
{
    const char *path = sandbox->plan->directory;
    if (chdir(path) == 0)
        return 0;
    return err_set_errno(err, errno, STEP_SPAWN, "the command cannot start in %s", path);
}

static int begin_network(struct sandbox *sandbox, struct err *err)
{
    (void)err;
    network_space_begin(&sandbox->network);
    return 0;
}

/* What listens inside is served by the supervisor, which has the way out. */
static int enter_network(struct sandbox *sandbox, struct err *err)
{
    struct capture *capture = &sandbox->network.capture;
    int r = network_space_enter(&sandbox->network, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < capture->count && r == 0; i++) {
        struct sandbox_message message = { .kind = SANDBOX_SOCKET,
                                           .number = (int)capture->sockets[i].kind };
        r = sandbox_send(sandbox->control, &message, capture->sockets[i].fd);
    }
    capture_close(capture);
    return r < 0 ? err_set(err, ERR_IO, STEP_SPAWN, "the supervisor is gone") : 0;
}

/* One of the sandbox's own terminals; the supervisor gets its other end. */
static int open_terminal(struct sandbox *sandbox, struct err *err)
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

/* The kernel does it; a supervisor that died before it was asked to has closed its end. */
static int die_with_supervisor(struct sandbox *sandbox, struct err *err)
{
    struct pollfd control = { .fd = sandbox->control };
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0) < 0) /* nobody in there looks into the process that reaps */
        return err_set_errno(err, errno, STEP_SPAWN,
                             "the kernel refuses to bind the sandbox's life");
    if (poll(&control, 1, 0) < 0 || control.revents & (POLLHUP | POLLERR))
        return err_set(err, ERR_IO, STEP_SPAWN, "the supervisor is gone");
    return 0;
}

static int restrict_use(struct sandbox *sandbox, struct err *err)
{
    return limits_in_child(&sandbox->inside, err);
}

#define VIEW_ALL     (LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_EXECUTE)
#define VIEW_RULES   6
#define FENCED_SCOPE (LANDLOCK_NO_DEVICE_IOCTL | LANDLOCK_NO_ABSTRACT_OUT | LANDLOCK_NO_SIGNALS_OUT)

static int restrict_files(struct sandbox *sandbox, struct err *err)
{
    const struct plan *plan = sandbox->plan;
    struct landlock_path paths[VIEW_RULES + PLAN_MOUNTS_MAX] = {
        { -1, "/", LANDLOCK_READ | LANDLOCK_EXECUTE },
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

static int drop_capabilities(struct sandbox *sandbox, struct err *err)
{
    (void)sandbox;
    return capabilities_drop(err);
}

static int restrict_calls(struct sandbox *sandbox, struct err *err)
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

static void run_command(struct sandbox *sandbox, int started)
{
    struct sandbox_message message;
    struct err err = { 0 };
    int fd;
    setsid();
    if (sandbox->plan->tier == TIER_PROCESS &&
        (process_tier_fence_command(sandbox, &err) < 0 || try_and_tell(sandbox, &err) < 0)) {
        tell_failure(sandbox->control, &err);
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

static int attend(struct sandbox *sandbox, int signals, int started)
{
    struct sandbox_message message = { .kind = SANDBOX_STARTED };
    if (read(started, &message.number, sizeof(message.number)) != sizeof(message.number))
        message.number = 0; /* closed by the exec, or by the command's end */
    close(started);
    bool heard = sandbox_send(sandbox->control, &message, -1) == 0;
    message = (struct sandbox_message){ .kind = SANDBOX_ENDED };
    message.number = heard ? watch(sandbox, signals) : LOST_STATUS << 8;
    if (sandbox->plan->tier == TIER_PROCESS)
        process_tier_end_rest();
    getrusage(RUSAGE_CHILDREN, &message.usage);
    return sandbox_send(sandbox->control, &message, -1) < 0;
}

static int live(struct sandbox *sandbox)
{
    struct err err = { 0 };
    int started[2], signals = -1;
    sigset_t child;
    sigfillset(&child);
    sigprocmask(SIG_SETMASK, &child, NULL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sandbox->scratch = -1; /* until there is one */
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(steps) && r == 0; i++)
        if (steps[i].tiers >> sandbox->plan->tier & 1) {
            r = steps[i].run(sandbox, &err);
            if (r < 0 && !err.where[0])
                err_where(&err, "%s", steps[i].name);
        }
    if (r == 0 &&
        (pipe2(started, O_CLOEXEC) < 0 || (signals = signalfd(-1, &child, SFD_CLOEXEC)) < 0))
        r = err_set_errno(&err, errno, STEP_SPAWN, "cannot wait for the command's process");
    /* At the tier `process` a command is fenced in more than we are: it is the one to try. */
    if (r == 0 && sandbox->plan->tier >= TIER_NAMESPACES)
        r = try_and_tell(sandbox, &err);
    if (r == 0 && (sandbox->command = fork()) < 0)
        r = err_set_errno(&err, errno, STEP_SPAWN, "cannot make the command's process");
    if (r < 0) {
        tell_failure(sandbox->control, &err);
        return 1;
    }
    if (sandbox->command == 0)
        run_command(sandbox, started[1]);
    close(started[1]);
    return attend(sandbox, signals, started[0]);
}

/* --- spawning ------------------------------------------------------------------------------ */

/* Without privilege a group can be mapped only where no process in there may change its groups. */
static int deny_groups(pid_t pid, struct err *err)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/setgroups", pid);
    _cleanup_(cleanup_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "deny", 4) != 4)
        return err_set_errno(err, errno, STEP_SPAWN, "cannot write %s", path);
    return 0;
}

static int map_ids(const struct sandbox *sandbox, pid_t pid, struct err *err)
{
    const struct plan *plan = sandbox->plan;
    int r = plan->as_root ? 0 : deny_groups(pid, err);
    if (r == 0)
        r = idmap_write(pid, "gid_map", plan->inside_gid, plan->host_gid, err);
    if (r == 0)
        r = idmap_write(pid, "uid_map", plan->inside_uid, plan->host_uid, err);
    return r;
}

/* Where a container's filter cannot look into clone3, a process without namespaces is a fork. */
static pid_t make_process(struct clone_args *arguments, int *pidfd)
{
    pid_t pid = (pid_t)syscall(SYS_clone3, arguments, sizeof(*arguments));
    if (pid >= 0 || errno != ENOSYS || arguments->flags & CLONE_NEWUSER)
        return pid;
    pid = fork();
    if (pid > 0)
        *pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    return pid;
}

int sandbox_spawn(struct sandbox *sandbox, int group, pid_t *ret_pid, int *ret_pidfd,
                  struct err *err)
{
    bool namespaces = sandbox->plan->tier >= TIER_NAMESPACES;
    int pidfd = -1;
    struct clone_args arguments = {
        .flags = CLONE_PIDFD | (namespaces ? CLONE_NEWUSER | CLONE_NEWPID : 0) |
                 (group >= 0 ? CLONE_INTO_CGROUP : 0),
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
        .cgroup = group >= 0 ? (uint64_t)group : 0,
    };
    pid_t pid = make_process(&arguments, &pidfd);
    if (pid < 0)
        return err_set_errno(err, errno, STEP_SPAWN, "the kernel gives no process%s",
                             namespaces ? " in namespaces" : "");
    if (pid == 0) {
        keep_only_own(sandbox);
        _exit(live(sandbox));
    }
    int r = namespaces ? map_ids(sandbox, pid, err) : 0;
    if (r == 0 && pidfd < 0)
        r = err_set(err, ERR_UNSUPPORTED, STEP_SPAWN, "the kernel gives no pidfd");
    if (r < 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        cleanup_close(&pidfd);
        return r;
    }
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return 0;
}
