/*
 * process_tier: a run without namespaces: what Landlock and the filter alone can promise.
 *
 * Theory of operation. The command stays in the host's file system and among
 * the host's processes, as the user it is. Landlock grants it system
 * directories, the same list of /etc that a view has, the mounts of the plan at
 * their own places, some devices and a folder of the run's own; the filter
 * leaves it no socket.
 *
 * There is no pid namespace to end, so the first process does it: what a
 * process leaves behind becomes its child (a subreaper), and kill(-1) from
 * within its domain reaches whatever is in that domain or one nested in it, and
 * nobody else. The kernel sends that signal to all at once, so that no fork
 * slips by. The command is fenced once more, in a domain of its own: it can
 * neither signal nor trace the first process.
 *
 * What holds.
 * 1. The first process is not killed but told: by the end of its control
 *    socket, which the supervisor's death is as well. It ends the rest first.
 * 2. While it waits it may have been stopped with all others: whoever tells it
 *    also continues it.
 * 3. It is in a session of its own: no signal for a terminal's group meets it.
 * 4. Where somebody outside has ended it, the supervisor, to whom the rest falls
 *    then, looks for what descends from it.
 *
 * Limits. Who ends both at once, from outside and with SIGKILL, leaves running
 * what the command has started, as confined as before. Landlock does not see
 * stat, access and chdir: names and sizes of the user's files can be learned.
 * Of /proc there is the command's own folder and some files about the machine;
 * none for the processes that it starts.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "machine/environment.h"
#include "machine/linux/landlock.h"
#include "machine/linux/mounting.h"
#include "machine/linux/sandbox.h"

#define FENCE_PATHS_MAX 192
#define FENCE_ALL       (LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_EXECUTE)
#define FENCE_READ      LANDLOCK_READ
#define FENCE_RUN       (LANDLOCK_READ | LANDLOCK_EXECUTE)
#define FENCE_SCOPE                                                                                \
    (LANDLOCK_NO_TCP | LANDLOCK_NO_DEVICE_IOCTL | LANDLOCK_NO_ABSTRACT_OUT |                       \
     LANDLOCK_NO_SIGNALS_OUT)

/* A list of paths, and the descriptors among them. */
struct fence {
    struct landlock_path paths[FENCE_PATHS_MAX];
    size_t count;
};

static void release_fence(struct fence *fence)
{
    for (size_t i = 0; i < fence->count; i++)
        cleanup_close(&fence->paths[i].fd);
}

static void add(struct fence *fence, int fd, const char *path, unsigned access)
{
    assert(fence->count < FENCE_PATHS_MAX); /* the lists below and PLAN_MOUNTS_MAX fit */
    fence->paths[fence->count++] = (struct landlock_path){ fd, path, access };
}

/* What the host has and anybody may read. It follows links, which in these places root makes. */
static void add_public(struct fence *fence, int folder, const char *path, unsigned access)
{
    struct stat status;
    _cleanup_(cleanup_close) int fd = openat(folder, path, O_PATH | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_mode & S_IROTH)
        add(fence, TAKE_FD(fd), path, access);
}

static void add_system(struct fence *fence)
{
    static const char *const people[] = { "passwd", "group", "nsswitch.conf" };
    const char *name;
    _cleanup_(cleanup_close) int etc = open("/etc", O_PATH | O_CLOEXEC);
    for (size_t i = 0; (name = environment_system_directory(i)); i++)
        add_public(fence, AT_FDCWD, name, FENCE_RUN);
    for (size_t i = 0; etc >= 0 && (name = view_etc_name(i)); i++)
        add_public(fence, etc, name, FENCE_READ);
    for (size_t i = 0; etc >= 0 && i < ARRAY_LEN(people); i++)
        add_public(fence, etc, people[i], FENCE_READ);
}

static void add_devices(struct fence *fence)
{
    static const struct {
        const char *path;
        unsigned access;
    } devices[] = {
        { "/dev/null", LANDLOCK_READ | LANDLOCK_WRITE },
        { "/dev/zero", LANDLOCK_READ | LANDLOCK_WRITE },
        { "/dev/full", LANDLOCK_READ | LANDLOCK_WRITE },
        { "/dev/random", LANDLOCK_READ },
        { "/dev/urandom", LANDLOCK_READ },
        { "/dev/tty", LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_DEVICE_IOCTL },
    };
    for (size_t i = 0; i < ARRAY_LEN(devices); i++)
        add_public(fence, AT_FDCWD, devices[i].path, devices[i].access);
}

/* About the machine, and what a view shows as well. */
static void add_proc(struct fence *fence, const char *own)
{
    static const char *const about[] = {
        "/proc/cpuinfo", "/proc/filesystems", "/proc/loadavg", "/proc/meminfo",
        "/proc/stat",    "/proc/uptime",      "/proc/version",
    };
    for (size_t i = 0; i < ARRAY_LEN(about); i++)
        add_public(fence, AT_FDCWD, about[i], FENCE_READ);
    add_public(fence, AT_FDCWD, own, FENCE_READ);
}

static int add_mounts(struct fence *fence, const struct plan *plan, struct err *err)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct plan_mount *mount = &plan->mounts[i];
        int fd = mounting_open(AT_FDCWD, mount->host_path, err);
        if (fd < 0)
            return fd;
        add(fence, fd, mount->host_path,
            mount->semantics == MOUNT_READ_ONLY ? FENCE_RUN : FENCE_ALL);
    }
    return 0;
}

/* `own` is the part of /proc that is granted. */
static int fence_in(struct sandbox *sandbox, const char *own, struct err *err)
{
    _cleanup_(release_fence) struct fence fence = { .count = 0 };
    add_system(&fence);
    add_devices(&fence);
    add_proc(&fence, own);
    add(&fence, -1, sandbox->private_folder, FENCE_ALL);
    if (sandbox->terminal >= 0) {
        int terminal = fcntl(sandbox->terminal, F_DUPFD_CLOEXEC, 0);
        if (terminal < 0)
            return err_set_errno(err, errno, "fence the run", "no descriptor for its terminal");
        add(&fence, terminal, "the run's terminal",
            LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_DEVICE_IOCTL);
    }
    int r = add_mounts(&fence, sandbox->plan, err);
    return r < 0 ? r : landlock_restrict(fence.paths, fence.count, FENCE_SCOPE, err);
}

int process_tier_fence(struct sandbox *sandbox, struct err *err)
{
    sandbox->landlock_abi = landlock_abi();
    return fence_in(sandbox, "/proc", err);
}

int process_tier_fence_command(struct sandbox *sandbox, struct err *err)
{
    return fence_in(sandbox, "/proc/self", err);
}

int process_tier_outlive(struct sandbox *sandbox, struct err *err)
{
    (void)sandbox;
    if (setsid() < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGCONT) < 0)
        return err_set_errno(err, errno, "bind the run's life",
                             "the kernel lets nobody take in its processes");
    return 0;
}

void sandbox_kill(const struct sandbox *sandbox, int supervisor, int pidfd)
{
    if (sandbox->plan->tier >= TIER_NAMESPACES) {
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0); /* its namespace ends with it */
        return;
    }
    shutdown(supervisor, SHUT_WR);
    syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0);
}
