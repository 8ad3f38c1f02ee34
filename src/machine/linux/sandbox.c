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

#include "machine/linux/container.h"
#include "machine/linux/handover.h"
#include "machine/linux/idmap.h"
#include "machine/linux/inside.h"
#include "machine/linux/mounting.h"

#define HOST_NAME    "agent-machine"
#define OTHER_SPACES (CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

static int wait_for_map(struct sandbox *sandbox, struct err *err);
static int leave_namespaces(struct sandbox *sandbox, struct err *err);
static int become_agent(struct sandbox *sandbox, struct err *err);
static int take_plan(struct sandbox *sandbox, struct err *err);
static int join_groups(struct sandbox *sandbox, struct err *err);
static int close_trees(struct sandbox *sandbox, struct err *err);
static int begin_network(struct sandbox *sandbox, struct err *err);
static int enter_network(struct sandbox *sandbox, struct err *err);
static int die_with_supervisor(struct sandbox *sandbox, struct err *err);

#define IN_PROCESS    (1u << TIER_PROCESS)
#define IN_NAMESPACES (1u << TIER_NAMESPACES)
#define IN_CONTAINER  (1u << TIER_CONTAINER)
#define IN_BOTH       (IN_PROCESS | IN_NAMESPACES)
#define IN_SPACES     (IN_NAMESPACES | IN_CONTAINER)
#define IN_ALL        (IN_BOTH | IN_CONTAINER)

/* The order matters: each boundary stands where nothing after it needs what it takes away. */
static const struct step {
    const char *name;
    unsigned tiers;
    int (*run)(struct sandbox *sandbox, struct err *err);
} steps[] = {
    { "ids", IN_ALL, wait_for_map },
    { "namespaces", IN_SPACES, leave_namespaces },
    /* Before any file of the host is touched: with the rights of who the command will be. */
    { "identity", IN_SPACES, become_agent },
    /* By a thread, which is in nobody's way until the network is entered. */
    { "network", IN_SPACES, begin_network },
    { "root", IN_NAMESPACES, view_open },
    { "system", IN_NAMESPACES, view_system },
    { "etc", IN_NAMESPACES, view_etc },
    { "proc", IN_NAMESPACES, view_proc },
    { "devices", IN_NAMESPACES, view_devices },
    /* What stands above is the same for every plan. */
    { "plan", IN_ALL, take_plan },
    /* Before anything that counts as the run's use is made. */
    { "groups", IN_ALL, join_groups },
    { "image", IN_CONTAINER, container_open },
    { "people", IN_NAMESPACES, view_people },
    { "people of the image", IN_CONTAINER, container_etc },
    { "authorities", IN_SPACES, view_authorities },
    { "scratch", IN_NAMESPACES, view_scratch },
    { "mounts", IN_SPACES, view_mounts },
    /* While the host's /proc is there, where the namespace's own settings are; alone again. */
    { "network made", IN_SPACES, enter_network },
    /* The container's first process goes on with these steps; this one reaps (container.c). */
    { "life outside", IN_CONTAINER, die_with_supervisor },
    { "runtime", IN_CONTAINER, container_begin },
    /* The last that needs a path of the host: from here on there is none. */
    { "enter", IN_NAMESPACES, view_enter },
    /* Nor a folder of it by its number, in which the command could be told to start. */
    { "descriptors", IN_NAMESPACES, close_trees },
    { "directory", IN_BOTH, inside_go_to_directory },
    { "terminal", IN_BOTH, inside_open_terminal },
    /* After the ids have changed, which would clear it. */
    { "life", IN_BOTH, die_with_supervisor },
    /* Without a pid namespace the first process has to end the others before it ends. */
    { "outlive", IN_PROCESS, process_tier_outlive },
    /* By who the command is, before it could refuse them. */
    { "limits", IN_BOTH, inside_restrict_use },
    /* A second fence around the files, should a mount be other than it should. */
    { "landlock", IN_NAMESPACES, inside_restrict_files },
    /* The only fence around them, where they are the host's own. */
    { "fence", IN_PROCESS, process_tier_fence },
    /* Mounting is over: nothing in here may do again what was done above. */
    { "capabilities", IN_BOTH, inside_drop_capabilities },
    /* Last: it takes away most of the calls that the steps above are made of. */
    { "seccomp", IN_BOTH, inside_restrict_calls },
};

/* What the view was built of needs none any more; the scratch is still to be handed out. */
static int close_trees(struct sandbox *sandbox, struct err *err)
{
    (void)err;
    inside_close_all_but(sandbox, &sandbox->scratch, 1);
    return 0;
}

/* The copy of the supervisor holds its descriptors, of the ledger and of keys: they go at once. */
static void keep_only_own(const struct sandbox *sandbox)
{
    int kept[INSIDE_KEPT_MAX];
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
    if (sandbox->plan->tier == TIER_CONTAINER) {
        kept[count++] = sandbox->container.program;
        kept[count++] = sandbox->container.tree;
    }
    inside_close_all_but(sandbox, kept, count);
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

/* An OCI runtime is root in its user namespace; the command's own id is a matter of the container.
 */
static uint32_t outer_id(const struct plan *plan, uint32_t inside)
{
    return plan->tier == TIER_CONTAINER ? 0 : inside;
}

/*
 * As root, the rights of host root over files end here; the capabilities that are kept are those
 * over this process's own namespaces, and they go with drop_capabilities.
 */
static int become_agent(struct sandbox *sandbox, struct err *err)
{
    const struct plan *plan = sandbox->plan;
    uid_t uid = outer_id(plan, plan->inside_uid);
    gid_t gid = outer_id(plan, plan->inside_gid);
    umask(022);
    if (!plan->as_root)
        return 0;
    if (prctl(PR_SET_SECUREBITS, 1 << 2 /* no set-uid fix-up */) < 0 ||
        syscall(SYS_setgroups, 0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
        setresuid(uid, uid, uid) < 0)
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

/* The kernel does it; a supervisor that died before it was asked to has closed its end. */
static int die_with_supervisor(struct sandbox *sandbox, struct err *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_set_errno(err, errno, STEP_SPAWN,
                             "the kernel refuses to bind the sandbox's life");
    return inside_bind_life(sandbox, err);
}

/* --- life ---------------------------------------------------------------------------------- */

static int live(struct sandbox *sandbox)
{
    static const struct inside_tier process = { process_tier_fence_command };
    static const struct inside_tier namespaces = { NULL };
    struct err err = { 0 };
    int r = 0;
    inside_hear_of_children();
    sandbox->scratch = -1; /* until there is one */
    for (size_t i = 0; i < ARRAY_LEN(steps) && r == 0; i++)
        if (steps[i].tiers >> sandbox->plan->tier & 1) {
            r = steps[i].run(sandbox, &err);
            if (r < 0 && !err.where[0])
                err_where(&err, "%s", steps[i].name);
        }
    if (r < 0) {
        sandbox_tell_failure(sandbox->control, &err);
        return 1;
    }
    if (sandbox->plan->tier == TIER_CONTAINER) /* what is inside lives by itself */
        return container_attend(sandbox);
    return inside_live(sandbox, sandbox->plan->tier == TIER_PROCESS ? &process : &namespaces);
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
        r = idmap_write(pid, "gid_map", outer_id(plan, plan->inside_gid), plan->host_gid, err);
    if (r == 0)
        r = idmap_write(pid, "uid_map", outer_id(plan, plan->inside_uid), plan->host_uid, err);
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
