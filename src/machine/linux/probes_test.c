/* Without a sandbox every probe escapes, or it could not fail; inside of one none does. */
#include "machine/linux/probes.h"

#include <arpa/inet.h>
#include <grp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/test.h"
#include "machine/linux/capabilities.h"
#include "machine/linux/landlock.h"
#include "machine/linux/seccomp.h"

#define ORDINARY_USER 65534
#define EXTRA_GROUP   65500

/* What is outside: a secret, a folder, listeners, a process. */
struct outside {
    char folder[64], secret[96], socket_path[96], abstract_name[64], group_file[96];
    int tcp, abstract, local;
    struct sockaddr_in upstream;
    pid_t process;
    struct probe_context context;
};

static void must(bool is_true, const char *what)
{
    if (!is_true)
        test_fail(__FILE__, __LINE__, "setting up: %s: %s", what, strerror(errno));
}

static int listen_unix(const char *name, bool is_abstract)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    memcpy(address.sun_path + is_abstract, name, strlen(name));
    socklen_t len = offsetof(struct sockaddr_un, sun_path) + (socklen_t)strlen(name) + 1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 8) == 0, "a Unix socket");
    return fd;
}

static void set_up_files(struct outside *o)
{
    struct stat status;
    snprintf(o->folder, sizeof(o->folder), "/tmp/probes-test-XXXXXX");
    must(mkdtemp(o->folder) && chmod(o->folder, 0777) == 0, "a folder");
    snprintf(o->secret, sizeof(o->secret), "%s/secret", o->folder);
    snprintf(o->socket_path, sizeof(o->socket_path), "%s/socket", o->folder);
    snprintf(o->group_file, sizeof(o->group_file), "%s/group", o->folder);
    snprintf(o->abstract_name, sizeof(o->abstract_name), "probes-test-%d", (int)getpid());
    _cleanup_(cleanup_close) int fd = open(o->secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    must(write(fd, "secret", 6) == 6, "a secret");
    _cleanup_(cleanup_close) int group = open(o->group_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0040);
    if (getuid() == 0)
        must(fchown(group, 0, EXTRA_GROUP) == 0, "a file for a group");
    must(stat(o->folder, &status) == 0, "the folder");
    o->context.outside_device = status.st_dev;
    o->context.outside_inode = status.st_ino;
    must(stat("/proc/self/ns/pid", &status) == 0, "the namespace");
    o->context.pid_namespace = status.st_ino;
}

static void set_up(struct outside *o)
{
    *o = (struct outside){ .upstream = { .sin_family = AF_INET,
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
    set_up_files(o);
    socklen_t len = sizeof(o->upstream);
    o->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(bind(o->tcp, (struct sockaddr *)&o->upstream, len) == 0 && listen(o->tcp, 8) == 0 &&
             getsockname(o->tcp, (struct sockaddr *)&o->upstream, &len) == 0,
         "a listener");
    o->abstract = listen_unix(o->abstract_name, true);
    o->local = listen_unix(o->socket_path, false);
    must(chmod(o->socket_path, 0777) == 0, "the socket");
    o->process = fork();
    if (o->process == 0) {
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
        if (getuid() == 0) /* whoever the probes run as may trace it */
            must(setgid(ORDINARY_USER) == 0 && setuid(ORDINARY_USER) == 0, "an ordinary user");
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        kill(getpid(), SIGSTOP);
        _exit(pause());
    }
    waitpid(o->process, NULL, WUNTRACED); /* it is who it shall be */
    kill(o->process, SIGCONT);
    o->context.secret_path = o->secret;
    o->context.outside_folder = o->folder;
    o->context.upstream = (const struct sockaddr *)&o->upstream;
    o->context.upstream_len = sizeof(o->upstream);
    o->context.host_pid = o->process;
    o->context.abstract_name = o->abstract_name;
    o->context.socket_path = o->socket_path;
    o->context.group_path = o->group_file;
    must(getrandom(o->context.nonce, sizeof(o->context.nonce), 0) > 0, "a nonce");
}

static void tear_down(struct outside *o)
{
    kill(o->process, SIGKILL);
    waitpid(o->process, NULL, 0);
    close(o->tcp);
    close(o->abstract);
    close(o->local);
    unlink(o->secret);
    unlink(o->socket_path);
    unlink(o->group_file);
    must(rmdir(o->folder) == 0, "nothing is left in the folder");
}

/* Runs the probes in a child that `enter` puts where they shall run; false where it cannot. */
static bool probe_in_child(const struct probe_context *context, bool (*enter)(void),
                           struct probe_result results[PROBE_COUNT])
{
    size_t size = PROBE_COUNT * sizeof(results[0]);
    struct probe_result *shared =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(shared != MAP_FAILED, "shared memory");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (!enter())
            _exit(1);
        probes_run(context, shared);
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    memcpy(results, shared, size);
    munmap(shared, size);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void check_all(const struct probe_result *results, enum probe_outcome expected)
{
    for (enum probe i = 0; i < PROBE_COUNT; i++)
        if (results[i].outcome != expected)
            test_fail(__FILE__, __LINE__, "%s: %s (%s, error %d)", probe_name(i),
                      probe_outcome_name(results[i].outcome),
                      results[i].detail[0] ? results[i].detail : "-", results[i].error);
}

/* ---- without a sandbox ---- */

static bool as_ordinary_user(void)
{
    const gid_t extra = EXTRA_GROUP;
    if (getuid() != 0)
        return true;
    return setgroups(1, &extra) == 0 && setgid(ORDINARY_USER) == 0 && setuid(ORDINARY_USER) == 0 &&
           prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
}

TEST(without_a_sandbox_every_probe_escapes)
{
    struct outside o;
    struct probe_result results[PROBE_COUNT] = { 0 };
    bool is_root = getuid() == 0;
    set_up(&o);
    CHECK(probe_in_child(&o.context, as_ordinary_user, results));
    if (!is_root) /* no group can be made up to be reached through */
        results[PROBE_REACH_THROUGH_GROUP].outcome = PROBE_ESCAPED;
    check_all(results, PROBE_ESCAPED);
    CHECK(probes_reached(o.tcp, o.context.nonce) && probes_reached(o.abstract, o.context.nonce));
    CHECK(!probes_reached(o.tcp, o.context.nonce));

    o.context.abstract_name = NULL;
    CHECK(probe_in_child(&o.context, as_ordinary_user, results));
    CHECK_INT(results[PROBE_REACH_HOST_SOCKET].outcome, PROBE_ESCAPED);
    CHECK(probes_reached(o.local, o.context.nonce));
    tear_down(&o);
}

/* ---- in a sandbox ---- */

static bool write_text(const char *path, const char *text)
{
    _cleanup_(cleanup_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Its own user, mounts, network, processes; a root of tmpfs with /usr and /proc. */
static bool enter_namespaces(void)
{
    char map[64];
    uid_t uid = getuid();
    gid_t gid = getgid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWPID) < 0)
        return false;
    snprintf(map, sizeof(map), "%u %u 1", uid, uid);
    if (!write_text("/proc/self/uid_map", map) || !write_text("/proc/self/setgroups", "deny"))
        return false;
    snprintf(map, sizeof(map), "%u %u 1", gid, gid);
    if (!write_text("/proc/self/gid_map", map))
        return false;
    pid_t pid = fork(); /* into the pid namespace; its parent waits for it and ends as it does */
    if (pid > 0) {
        int status = 0;
        waitpid(pid, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    return pid == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", "/mnt", "tmpfs", MS_NOSUID, NULL) == 0 && mkdir("/mnt/usr", 0755) == 0 &&
           mkdir("/mnt/proc", 0755) == 0 &&
           mount("/usr", "/mnt/usr", NULL, MS_BIND | MS_REC, NULL) == 0 &&
           mount("proc", "/mnt/proc", "proc", 0, NULL) == 0 && chdir("/mnt") == 0 &&
           syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0;
}

static bool enter_sandbox(void)
{
    static const struct landlock_path paths[] = {
        { -1, "/", LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_EXECUTE },
    };
    return as_ordinary_user() && enter_namespaces() &&
           prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           landlock_restrict(paths, 1, LANDLOCK_NO_ABSTRACT_OUT | LANDLOCK_NO_SIGNALS_OUT, NULL) ==
               0 &&
           capabilities_drop(NULL) == 0 && seccomp_install(SECCOMP_DEFAULT, NULL) == 0;
}

TEST(in_a_sandbox_none_escapes)
{
    struct outside o;
    struct probe_result results[PROBE_COUNT] = { 0 };
    set_up(&o);
    if (!probe_in_child(&o.context, enter_sandbox, results))
        test_skip("this host makes no sandbox for one who is not root");
    else
        check_all(results, PROBE_CONTAINED);
    CHECK(!probes_reached(o.tcp, o.context.nonce) && !probes_reached(o.abstract, o.context.nonce) &&
          !probes_reached(o.local, o.context.nonce));
    tear_down(&o);
}

/* The tier without namespaces: the host's files, processes and network are there to be refused. */
static bool enter_process_tier(void)
{
    static const struct landlock_path paths[] = {
        { -1, "/usr", LANDLOCK_READ | LANDLOCK_EXECUTE },
    };
    unsigned flags = LANDLOCK_NO_TCP | LANDLOCK_NO_DEVICE_IOCTL | LANDLOCK_NO_ABSTRACT_OUT |
                     LANDLOCK_NO_SIGNALS_OUT;
    if (getuid() == 0 &&
        (setgroups(0, NULL) < 0 || setgid(ORDINARY_USER) < 0 || setuid(ORDINARY_USER) < 0))
        return false;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           landlock_restrict(paths, 1, flags, NULL) == 0 && capabilities_drop(NULL) == 0 &&
           seccomp_install(SECCOMP_PROCESS, NULL) == 0;
}

TEST(at_the_process_tier_none_escapes)
{
    struct outside o;
    struct probe_result results[PROBE_COUNT] = { 0 };
    set_up(&o);
    if (landlock_abi() < 6)
        test_skip("Landlock of ABI 6 is needed, to keep signals inside");
    else if (probe_in_child(&o.context, enter_process_tier, results))
        check_all(results, PROBE_CONTAINED);
    else
        test_fail(__FILE__, __LINE__, "the tier cannot be set up");
    CHECK(!probes_reached(o.tcp, o.context.nonce) && !probes_reached(o.abstract, o.context.nonce) &&
          !probes_reached(o.local, o.context.nonce));
    tear_down(&o);
}

/* ---- what cannot be tried ---- */

static bool enter_nothing(void)
{
    return true;
}

TEST(without_a_context_probes_are_skipped_with_a_reason)
{
    const struct probe_context nothing = { 0 };
    struct probe_result results[PROBE_COUNT] = { 0 };
    static const enum probe need[] = { PROBE_READ_HOST_SECRET,   PROBE_WRITE_OUTSIDE,
                                       PROBE_CONNECT_PAST_DOOR,  PROBE_SIGNAL_HOST_PROCESS,
                                       PROBE_TRACE_HOST_PROCESS, PROBE_REACH_HOST_SOCKET };
    CHECK(probe_in_child(&nothing, enter_nothing, results));
    for (size_t i = 0; i < ARRAY_LEN(need); i++)
        CHECK(results[need[i]].outcome == PROBE_SKIPPED && results[need[i]].detail[0]);
}

/* A folder of the same name that is another one, as a sandbox has /tmp. */
TEST(another_folder_of_that_name_is_not_outside)
{
    struct outside o;
    struct probe_result results[PROBE_COUNT] = { 0 };
    set_up(&o);
    o.context.outside_inode++;
    CHECK(probe_in_child(&o.context, enter_nothing, results));
    CHECK_INT(results[PROBE_WRITE_OUTSIDE].outcome, PROBE_CONTAINED);
    tear_down(&o);
}

TEST(others_of_the_host_who_come_by_are_no_escape)
{
    static const char *const words[] = { "", "GET / HTTP/1.0\r\n\r\n", "0123456789abcdef" };
    struct outside o;
    struct probe_result results[PROBE_COUNT] = { 0 };
    set_up(&o);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        _cleanup_(cleanup_close) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(connect(fd, (struct sockaddr *)&o.upstream, sizeof(o.upstream)) == 0 &&
                 send(fd, words[i], strlen(words[i]), 0) == (ssize_t)strlen(words[i]),
             "a caller");
    }
    CHECK(!probes_reached(o.tcp, o.context.nonce));
    int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(connect(other, (struct sockaddr *)&o.upstream, sizeof(o.upstream)) == 0, "a caller");
    CHECK(probe_in_child(&o.context, enter_nothing, results));
    CHECK(probes_reached(o.tcp, o.context.nonce)); /* behind the other one */
    close(other);
    tear_down(&o);
}

/* A door accepts every connection: then only the listener outside knows. */
TEST(behind_a_door_the_listener_tells)
{
    struct outside o;
    struct probe_result results[PROBE_COUNT] = { 0 };
    set_up(&o);
    o.context.connections_are_captured = true;
    CHECK(probe_in_child(&o.context, enter_nothing, results));
    CHECK_INT(results[PROBE_CONNECT_PAST_DOOR].outcome, PROBE_CONTAINED);
    CHECK(probes_reached(o.tcp, o.context.nonce));
    tear_down(&o);
}
