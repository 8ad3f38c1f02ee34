/*
 * container: see the header.
 *
 * Theory of operation. A tmpfs covers /sys, where neither a runtime nor a plan
 * has anything to look for: the image's tree stands on it as an overlay whose
 * upper layer is the run's own, and the plan's mounts, the bundle and the
 * runtime's state beside it. The runtime is root in this process's user
 * namespace, as it is under a rootless Podman, with the host's file system
 * around it so far as the caller's rights go; the network is the namespace that
 * it is started in. It makes the other namespaces, mounts what config.json
 * says, starts the container's first process and ends.
 *
 * Control groups are the run's own, which the runtime is born into; it is told
 * to make none. What it shows of them (crun refuses a hybrid hierarchy) is
 * nothing for crun, and the host's for others.
 *
 * A program that must run inside any image has no library to rely on: the
 * container's first process is linked statically, carried in this program, and
 * written where the image can neither cover nor change it.
 *
 * Whatever ends this process ends the container: its processes are in a pid
 * namespace below this one's.
 */
#include "machine/linux/container.h"

#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "doors/network/linux/capture.h"
#include "machine/linux/capabilities.h"
#include "machine/linux/handover.h"
#include "machine/linux/inside.h"
#include "machine/linux/mounting.h"
#include "machine/linux/seccomp.h"

#define STEP_CONTAINER  "start the container"
#define RESTRICTED      (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define GROUPS_PLACE    CONTAINER_PLACE "/fs/cgroup"
#define NESTING_SETTING "/proc/sys/user/max_user_namespaces"
#define SAID_MAX        400
#define PASSWD_MAX      ((size_t)1 << 20)
#define FREE_DESCRIPTOR 64 /* above those that a container begins with */

/* --- the place ----------------------------------------------------------------------------- */

static const struct {
    const char *path;
    mode_t mode;
} folders[] = {
    { "fs/cgroup", 0755 }, { "root", 0755 },    { "below", 0700 },  { "upper", 0755 },
    { "work", 0700 },      { "staging", 0700 }, { "mounts", 0755 }, { "bundle", 0700 },
    { "runtime", 0700 },   { "told", 0755 },    { "tmp", 01777 },   { "shm", 01777 },
    { "home", 0700 },
};

/* Of memory, half: where the scratch could take all of it, to fill it would end the run. */
static int make_place(struct sandbox *sandbox, struct err *err)
{
    char size[32];
    int64_t memory = sandbox->plan->limits.budget[DIMENSION_SANDBOX_MEMORY_BYTES] / 2;
    int64_t disk = sandbox->plan->limits.budget[DIMENSION_LOCAL_DISK_BYTES];
    int64_t bytes = memory < disk ? memory : disk;
    snprintf(size, sizeof(size), "%lld", (long long)(bytes > 0 ? bytes : 1)); /* 0 is no limit */
    struct mounting_option options[] = { { "mode", "0755" }, { "size", size } };
    int groups = -1;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return mounting_failed(err, "cannot part from the mounts of", "the host");
    if (sandbox->container.runtime->wants_groups)
        groups = open_tree(AT_FDCWD, "/sys/fs/cgroup",
                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    sandbox->scratch = mounting_new("tmpfs", options, ARRAY_LEN(options), RESTRICTED, err);
    if (sandbox->scratch < 0)
        return sandbox->scratch;
    if (move_mount(sandbox->scratch, "", AT_FDCWD, CONTAINER_PLACE, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return mounting_failed(err, "cannot mount at", CONTAINER_PLACE);
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(folders) && r == 0; i++) {
        r = mounting_folder(sandbox->scratch, folders[i].path, folders[i].mode, err);
        if (r == 0 && fchmodat(sandbox->scratch, folders[i].path, folders[i].mode, 0) < 0)
            r = mounting_failed(err, "cannot open to all", folders[i].path);
    }
    if (r == 0 && groups >= 0)
        return mounting_attach(groups, sandbox->scratch, "fs/cgroup", err);
    cleanup_close(&groups);
    return r;
}

/* The image's own tree: root's copy of it comes id-mapped. */
static int open_image(struct sandbox *sandbox, struct err *err)
{
    const struct sandbox_container *container = &sandbox->container;
    if (container->tree < 0)
        return mounting_open(AT_FDCWD, container->tree_path, err);
    if (move_mount(container->tree, "", sandbox->scratch, "below", MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return mounting_failed(err, "cannot place", container->tree_path);
    return container->tree;
}

static int mount_image(struct sandbox *sandbox, struct err *err)
{
    char lower[64];
    struct mounting_option options[] = { { "lowerdir", lower },
                                         { "userxattr", NULL },
                                         { "upperdir", CONTAINER_PLACE "/upper" },
                                         { "workdir", CONTAINER_PLACE "/work" },
                                         { "volatile", NULL } };
    _cleanup_(cleanup_close) int below = open_image(sandbox, err);
    if (below < 0)
        return below;
    snprintf(lower, sizeof(lower), "/proc/self/fd/%d", below);
    int tree = mounting_new("overlay", options, ARRAY_LEN(options), RESTRICTED, err);
    int r = tree < 0 ? tree : mounting_attach(tree, sandbox->scratch, "root", err);
    sandbox->root = r < 0 ? r : mounting_open(sandbox->scratch, "root", err);
    return sandbox->root < 0 ? sandbox->root : 0;
}

static int put_program(struct sandbox *sandbox, struct err *err)
{
    int r = mounting_file(sandbox->scratch, "told/init", (const char *)container_init_program,
                          (size_t)(container_init_program_end - container_init_program), err);
    if (r == 0 && fchmodat(sandbox->scratch, "told/init", 0555, 0) < 0)
        r = mounting_failed(err, "cannot make executable", "told/init");
    return r < 0 ? r : mounting_file(sandbox->scratch, SANDBOX_DENIALS, "", 0, err);
}

int container_open(struct sandbox *sandbox, struct err *err)
{
    const struct sandbox_container *container = &sandbox->container;
    int r = make_place(sandbox, err);
    if (r == 0)
        r = mount_image(sandbox, err);
    if (r == 0)
        r = put_program(sandbox, err);
    if (r == 0)
        r = mounting_file(sandbox->scratch, "bundle/config.json", container->config,
                          container->config_len, err);
    if (r == 0)
        sandbox->staging = mounting_open(sandbox->scratch, "staging", err);
    return r < 0 ? r : sandbox->staging < 0 ? sandbox->staging : 0;
}

/* --- the image's /etc ---------------------------------------------------------------------- */

/* As a program in the container would find it, and nothing outside of the image. */
static int open_in_image(const struct sandbox *sandbox, const char *path, uint64_t flags)
{
    struct open_how how = { .flags = flags | O_CLOEXEC,
                            .mode = flags & O_CREAT ? 0644 : 0,
                            .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
    return (int)syscall(SYS_openat2, sandbox->root, path, &how, sizeof(how));
}

/* Whether a line of a passwd or group file has this number in its third field. */
static bool has_number(const char *text, size_t len, int64_t number)
{
    char wanted[32];
    size_t wanted_len = (size_t)snprintf(wanted, sizeof(wanted), ":%lld:", (long long)number);
    for (size_t at = 0; at < len;) {
        const char *line = text + at, *end = memchr(line, '\n', len - at);
        size_t line_len = end ? (size_t)(end - line) : len - at;
        const char *first = memchr(line, ':', line_len);
        const char *second =
            first ? memchr(first + 1, ':', line_len - (size_t)(first + 1 - line)) : NULL;
        size_t rest = second ? line_len - (size_t)(second - line) : 0;
        if (rest >= wanted_len && memcmp(second, wanted, wanted_len) == 0)
            return true;
        at += line_len + 1;
    }
    return false;
}

/* One more line, for an id that the image does not know. */
static int add_person(const struct sandbox *sandbox, const char *path, int64_t id, const char *line,
                      struct err *err)
{
    static char text[PASSWD_MAX];
    struct stat status;
    _cleanup_(cleanup_close) int fd =
        open_in_image(sandbox, path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) < 0)
        return mounting_failed(err, "cannot open the image's", path);
    if (!S_ISREG(status.st_mode))
        return err_set(err, ERR_DENIED, STEP_CONTAINER, "the image's %s is no file", path);
    ssize_t len = read(fd, text, sizeof(text));
    if (len < 0)
        return mounting_failed(err, "cannot read the image's", path);
    if (has_number(text, (size_t)len, id))
        return 0;
    bool ends = len == 0 || text[len - 1] == '\n';
    if ((!ends && write(fd, "\n", 1) != 1) || write(fd, line, strlen(line)) < 0)
        return mounting_failed(err, "cannot write the image's", path);
    return 0;
}

static int add_people(const struct sandbox *sandbox, struct err *err)
{
    char line[1024];
    const struct plan *plan = sandbox->plan;
    int uid = (int)plan->inside_uid, gid = (int)plan->inside_gid;
    snprintf(line, sizeof(line), "%.200s:x:%d:%d::%.600s:/bin/sh\n", plan->user, uid, gid,
             plan->home);
    int r = add_person(sandbox, "etc/passwd", uid, line, err);
    snprintf(line, sizeof(line), "%.200s:x:%d:\n", plan->user, gid);
    return r < 0 ? r : add_person(sandbox, "etc/group", gid, line, err);
}

int container_etc(struct sandbox *sandbox, struct err *err)
{
    static const struct {
        const char *name, *text;
    } written[] = {
        { "hosts", "127.0.0.1 localhost agent-machine\n::1 localhost ip6-localhost\n" },
        { "hostname", "agent-machine\n" },
        { "resolv.conf", "nameserver " CAPTURE_IPV4 "\noptions edns0\n" },
    };
    if (mkdirat(sandbox->root, "etc", 0755) < 0 && errno != EEXIST)
        return mounting_failed(err, "cannot make the image's", "etc");
    _cleanup_(cleanup_close) int etc = open_in_image(sandbox, "etc", O_RDONLY | O_DIRECTORY);
    if (etc < 0)
        return mounting_failed(err, "cannot open the image's", "etc");
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(written) && r == 0; i++) {
        const char *name = written[i].name;
        if (unlinkat(etc, name, 0) < 0 && errno != ENOENT)
            r = mounting_failed(err, "cannot replace the image's", name);
        else
            r = mounting_file(etc, name, written[i].text, strlen(written[i].text), err);
    }
    return r < 0 ? r : add_people(sandbox, err);
}

/* --- the runtime --------------------------------------------------------------------------- */

/*
 * A /proc of this pid namespace, in which a runtime looks for what it starts. In this user
 * namespace and below nobody makes another one, but for the one in which the command has another id
 * than root's (container_init.c).
 */
static int mount_proc(const struct sandbox *sandbox, struct err *err)
{
    const char *most = sandbox->plan->inside_uid == 0 ? "1" : "2";
    _cleanup_(cleanup_close) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int tree = mounting_new("proc", NULL, 0, RESTRICTED | MOUNT_ATTR_NOEXEC, err);
    int r = tree < 0 ? tree : mounting_attach(tree, root, "proc", err);
    if (r < 0)
        return r;
    _cleanup_(cleanup_close) int fd = open(NESTING_SETTING, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, most, 1) != 1)
        return mounting_failed(err, "cannot forbid further namespaces in", NESTING_SETTING);
    return 0;
}

/* Puts descriptors in the places where the container's first process looks for them. */
static bool place_descriptors(const struct sandbox *sandbox, int handover, int errors)
{
    int from[CONTAINER_DESCRIPTORS] = {
        [STDIN_FILENO] = STDIN_FILENO,
        [STDOUT_FILENO] = errors,
        [STDERR_FILENO] = errors,
        [CONTAINER_CONTROL] = sandbox->control,
        [CONTAINER_HANDOVER] = handover,
        [CONTAINER_STDIN] = sandbox->stdio[0],
        [CONTAINER_STDOUT] = sandbox->stdio[1],
        [CONTAINER_STDERR] = sandbox->stdio[2],
        [CONTAINER_SCRATCH] = sandbox->scratch,
    };
    for (int i = 0; i < CONTAINER_DESCRIPTORS; i++) /* out of one another's way first */
        if (from[i] >= 0 && (from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FREE_DESCRIPTOR)) < 0)
            return false;
    for (int i = 0; i < CONTAINER_DESCRIPTORS; i++) {
        /* With a terminal there are no streams; their places are kept. */
        int source = from[i] >= 0 ? from[i] : from[STDIN_FILENO];
        if (dup2(source, i) < 0)
            return false;
    }
    return true;
}

static void become_runtime(const struct sandbox *sandbox, int handover, int errors)
{
    static const char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
    const struct sandbox_container *container = &sandbox->container;
    int program = fcntl(container->program, F_DUPFD_CLOEXEC, 2 * FREE_DESCRIPTOR);
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < SIGRTMIN; number++) /* what the supervisor ignored, too */
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (program >= 0 && place_descriptors(sandbox, handover, errors))
        syscall(SYS_execveat, program, "", container->runtime->arguments, environment,
                AT_EMPTY_PATH);
    dprintf(errors, "it cannot be executed: %s", strerror(errno));
    _exit(126);
}

/* What the runtime says while it works; nothing where it is content. */
static void hear(int said, char text[SAID_MAX])
{
    size_t len = 0;
    char more[256];
    for (ssize_t n = 1; n > 0;) {
        bool full = len == SAID_MAX - 1;
        n = full ? read(said, more, sizeof(more)) : read(said, text + len, SAID_MAX - 1 - len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0 && !full)
            len += (size_t)n;
    }
    while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ')
            text[i] = ' ';
    text[len] = '\0';
}

static int wait_for_runtime(const struct sandbox *sandbox, pid_t runtime, int said, struct err *err)
{
    char text[SAID_MAX];
    int status = 0;
    hear(said, text);
    while (waitpid(runtime, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err_set(err, ERR_UNSUPPORTED, STEP_CONTAINER, "%s could not start the container: %s",
                   sandbox->container.runtime->name, text[0] ? text : "it does not say why");
}

int container_begin(struct sandbox *sandbox, struct err *err)
{
    int said[2], handover = -1;
    int r = view_check_devices(err);
    if (r == 0)
        r = mount_proc(sandbox, err);
    if (r == 0)
        r = handover_write_file(sandbox, &handover, err);
    if (r < 0)
        return r;
    _cleanup_(cleanup_close) int given = handover;
    if (pipe2(said, O_CLOEXEC) < 0)
        return err_set_errno(err, errno, STEP_CONTAINER, "cannot hear the runtime");
    pid_t runtime = fork();
    if (runtime == 0)
        become_runtime(sandbox, given, said[1]);
    close(said[1]);
    r = runtime < 0 ? err_set_errno(err, errno, STEP_CONTAINER, "cannot start the runtime")
                    : wait_for_runtime(sandbox, runtime, said[0], err);
    close(said[0]);
    return r;
}

int container_attend(struct sandbox *sandbox)
{
    struct err ignored;
    /* The container's first process has its own by now; with the last one the supervisor knows. */
    syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, 0);
    sandbox->control = -1;
    if (capabilities_drop(&ignored) < 0 || seccomp_install(SECCOMP_NO_SOCKETS, &ignored) < 0)
        return 1; /* and with it the container ends */
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        ;
    return 0;
}
