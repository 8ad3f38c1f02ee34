/* Each right is tried for real in a restricted child, where it is granted and where it is not. */
#include "machine/linux/landlock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>

#include "base/test.h"

#define FAULTS_MAX 100
#define ABI_LATEST LANDLOCK_ABI_KNOWN

static char folder[] = "/tmp/landlock-test-XXXXXX";

static int expect_error(const char *what, long result, int expected)
{
    int error_number = result < 0 ? errno : 0;
    if (error_number == expected)
        return 0;
    printf("%s: %s, expected %s\n", what, strerrorname_np(error_number), strerrorname_np(expected));
    return 1;
}

#define EXPECT(expected, call)                                                                     \
    ({                                                                                             \
        errno = 0;                                                                                 \
        expect_error(#call, (long)(call), expected);                                               \
    })

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        test_fail(__FILE__, __LINE__, "cannot write %s", path);
    close(fd);
}

/* A folder with read/, write/, more/ (writable too), all/ and hidden/, each with a script. */
static void set_up(void)
{
    static const char *const names[] = { "read", "write", "more", "all", "hidden" };
    if (!mkdtemp(folder) || chdir(folder) < 0 || chmod(folder, 0755) < 0)
        test_fail(__FILE__, __LINE__, "cannot make %s", folder);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[64];
        mkdir(names[i], 0755);
        snprintf(path, sizeof(path), "%s/script", names[i]);
        write_file(path, "#!/bin/sh\nexit 0\n", 0755);
    }
    write_file("read/alone", "text", 0644);
    write_file("hidden/alone", "text", 0644);
}

static void tear_down(void)
{
    static const char template[] = "/tmp/landlock-test-XXXXXX";
    pid_t pid = chdir("/") < 0 ? -1 : fork();
    if (pid == 0)
        _exit(execl("/bin/rm", "rm", "-r", folder, (char *)NULL));
    waitpid(pid, NULL, 0);
    memcpy(folder, template, sizeof(template));
}

static const struct landlock_path granted[] = {
    { -1, "/usr", LANDLOCK_READ | LANDLOCK_EXECUTE },
    { -1, "/lib", LANDLOCK_READ | LANDLOCK_EXECUTE },
    { -1, "/lib64", LANDLOCK_READ | LANDLOCK_EXECUTE },
    { -1, "/bin", LANDLOCK_READ | LANDLOCK_EXECUTE },
    { -1, "read", LANDLOCK_READ },
    { -1, "write", LANDLOCK_READ | LANDLOCK_WRITE },
    { -1, "more", LANDLOCK_READ | LANDLOCK_WRITE },
    { -1, "all", LANDLOCK_READ | LANDLOCK_WRITE | LANDLOCK_EXECUTE },
    { -1, "hidden/alone", LANDLOCK_READ | LANDLOCK_WRITE },
};

static int restricted(const struct landlock_path *paths, size_t count, unsigned flags)
{
    struct err err = { 0 };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int r = landlock_restrict(paths, count, flags, &err);
    if (r < 0)
        printf("%s\n", err.cause);
    return r;
}

/* The faults of a child that is restricted by the paths above and then runs body. */
static int child_faults(unsigned flags, int (*body)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int faults = restricted(granted, ARRAY_LEN(granted), flags) < 0 ? FAULTS_MAX : body();
        fflush(stdout);
        _exit(faults);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static bool latest(void)
{
    if (landlock_abi() >= ABI_LATEST)
        return true;
    test_skip("this kernel's Landlock is of ABI %d; all of it is tried from %d on", landlock_abi(),
              ABI_LATEST);
    return false;
}

static int open_and_close(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    return fd < 0 ? fd : close(fd);
}

static int run_file(const char *path)
{
    pid_t pid = vfork();
    if (pid == 0) {
        execl(path, path, (char *)NULL);
        _exit(errno == EACCES ? 13 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    return errno ? -1 : 0;
}

static int try_files(void)
{
    int faults = EXPECT(0, open_and_close("read/script", O_RDONLY)) +
                 EXPECT(0, open_and_close("read", O_RDONLY | O_DIRECTORY)) +
                 EXPECT(EACCES, open_and_close("read/script", O_RDWR)) +
                 EXPECT(EACCES, open_and_close("read/new", O_WRONLY | O_CREAT)) +
                 EXPECT(EACCES, open_and_close("hidden/script", O_RDONLY)) +
                 EXPECT(EACCES, open_and_close("hidden", O_RDONLY | O_DIRECTORY)) +
                 EXPECT(EACCES, open_and_close("/etc/passwd", O_RDONLY)) +
                 EXPECT(EACCES, open_and_close("/proc/self/environ", O_RDONLY)) +
                 EXPECT(EACCES, open_and_close("read/../hidden/script", O_RDONLY));
    faults += EXPECT(0, open_and_close("write/new", O_RDWR | O_CREAT)) +
              EXPECT(0, unlink("write/new")) + EXPECT(0, mkdir("write/folder", 0700)) +
              EXPECT(0, rmdir("write/folder")) + EXPECT(0, mkfifo("write/fifo", 0600)) +
              EXPECT(0, symlink("../hidden/script", "write/link")) +
              EXPECT(EACCES, open_and_close("write/link", O_RDONLY));
    faults += EXPECT(EACCES, unlink("read/alone")) + EXPECT(EACCES, mkdir("read/folder", 0700)) +
              EXPECT(EACCES, rmdir("hidden")) + EXPECT(EACCES, symlink("x", "read/link")) +
              EXPECT(EACCES, mkfifo("read/fifo", 0600));
    /* The file alone, and nothing beside it. */
    return faults + EXPECT(0, open_and_close("hidden/alone", O_RDWR)) +
           EXPECT(EACCES, unlink("hidden/alone"));
}

TEST(files_are_read_and_written_where_it_is_granted)
{
    if (!latest())
        return;
    set_up();
    CHECK_INT(child_faults(0, try_files), 0);
    tear_down();
}

static int try_execute(void)
{
    return EXPECT(0, run_file("/bin/true")) + EXPECT(0, run_file("all/script")) +
           EXPECT(EACCES, run_file("read/script")) + EXPECT(EACCES, run_file("write/script")) +
           EXPECT(EACCES, run_file("hidden/script"));
}

TEST(programs_run_where_it_is_granted)
{
    if (!latest())
        return;
    set_up();
    CHECK_INT(child_faults(0, try_execute), 0);
    tear_down();
}

static int try_moves(void)
{
    int faults = EXPECT(0, rename("write/script", "write/renamed")) +
                 EXPECT(0, rename("write/renamed", "more/moved")) +
                 EXPECT(0, link("more/moved", "write/linked")) + EXPECT(0, unlink("write/linked"));
    /* A move must not gain a right: read-only becomes writable, unexecutable executable. */
    faults += EXPECT(EXDEV, link("read/alone", "write/alone")) +
              EXPECT(EACCES, rename("read/alone", "write/alone")) +
              EXPECT(EACCES, rename("write", "read/write")) +
              EXPECT(EXDEV, link("more/moved", "all/moved")) +
              EXPECT(EXDEV, link("hidden/alone", "write/alone"));
    return faults + EXPECT(EACCES, rename("all/script", "hidden/script"));
}

TEST(moving_and_linking_gain_no_right)
{
    if (!latest())
        return;
    set_up();
    CHECK_INT(child_faults(0, try_moves), 0);
    tear_down();
}

static int try_truncate(void)
{
    return EXPECT(EACCES, truncate("read/alone", 0)) +
           EXPECT(EACCES, open_and_close("read/alone", O_RDONLY | O_TRUNC)) +
           EXPECT(0, truncate("write/script", 0)) + EXPECT(0, truncate("hidden/alone", 0));
}

TEST(truncating_is_writing)
{
    if (!latest())
        return;
    set_up();
    CHECK_INT(child_faults(0, try_truncate), 0);
    tear_down();
}

static int child_on_terminal(unsigned access, unsigned flags)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        const struct landlock_path paths[] = { { -1, "/dev", access } };
        if (restricted(paths, 1, flags) < 0)
            _exit(FAULTS_MAX);
        struct termios settings;
        int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
        _exit(fd < 0 ? FAULTS_MAX : tcgetattr(fd, &settings) < 0 ? errno : 0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(devices_take_ioctls_where_it_is_granted)
{
    if (!latest())
        return;
    unsigned both = LANDLOCK_READ | LANDLOCK_WRITE;
    CHECK_INT(child_on_terminal(both, 0), 0);
    CHECK_INT(child_on_terminal(both, LANDLOCK_NO_DEVICE_IOCTL), EACCES);
    CHECK_INT(child_on_terminal(both | LANDLOCK_DEVICE_IOCTL, LANDLOCK_NO_DEVICE_IOCTL), 0);
}

/* ---- beside the file system ---- */

static struct sockaddr_in loopback;
static struct sockaddr_un abstract = { .sun_family = AF_UNIX };
static socklen_t abstract_len;
static pid_t outsider;

static int connect_tcp(void)
{
    _cleanup_(cleanup_close) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (const struct sockaddr *)&loopback, sizeof(loopback));
}

static int bind_tcp(void)
{
    _cleanup_(cleanup_close) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(47199) };
    return bind(fd, (const struct sockaddr *)&any, sizeof(any));
}

static int connect_abstract(void)
{
    _cleanup_(cleanup_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (const struct sockaddr *)&abstract, abstract_len);
}

static int try_open_world(void)
{
    return EXPECT(0, connect_tcp()) + EXPECT(0, connect_abstract()) + EXPECT(0, kill(outsider, 0));
}

static int try_closed_world(void)
{
    pid_t own = fork();
    if (own == 0)
        _exit(pause());
    int faults = EXPECT(EACCES, connect_tcp()) + EXPECT(EACCES, bind_tcp()) +
                 EXPECT(EPERM, connect_abstract()) + EXPECT(EPERM, kill(outsider, 0)) +
                 EXPECT(EPERM, kill(outsider, SIGKILL)) + EXPECT(0, kill(own, SIGKILL));
    waitpid(own, NULL, 0);
    return faults;
}

TEST(tcp_abstract_sockets_and_signals_stay_inside)
{
    if (!latest())
        return;
    set_up();
    _cleanup_(cleanup_close) int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    _cleanup_(cleanup_close) int local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    loopback =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(loopback);
    CHECK(bind(tcp, (struct sockaddr *)&loopback, len) == 0 && listen(tcp, 8) == 0);
    CHECK(getsockname(tcp, (struct sockaddr *)&loopback, &len) == 0);
    CHECK(bind(local, (struct sockaddr *)&abstract, sizeof(sa_family_t)) == 0); /* any name */
    abstract_len = sizeof(abstract);
    CHECK(listen(local, 8) == 0);
    CHECK(getsockname(local, (struct sockaddr *)&abstract, &abstract_len) == 0);
    outsider = fork();
    if (outsider == 0)
        _exit(pause());

    CHECK_INT(child_faults(0, try_open_world), 0);
    CHECK_INT(child_faults(LANDLOCK_NO_TCP | LANDLOCK_NO_ABSTRACT_OUT | LANDLOCK_NO_SIGNALS_OUT |
                               LANDLOCK_NO_DEVICE_IOCTL,
                           try_closed_world),
              0);
    CHECK(kill(outsider, SIGKILL) == 0);
    waitpid(outsider, NULL, 0);
    tear_down();
}

/* ---- what is said ---- */

TEST(what_an_old_kernel_leaves_open_is_said)
{
    const unsigned all = LANDLOCK_NO_TCP | LANDLOCK_NO_DEVICE_IOCTL | LANDLOCK_NO_ABSTRACT_OUT |
                         LANDLOCK_NO_SIGNALS_OUT;
    CHECK_INT(landlock_unenforced(7, all), 0);
    CHECK_INT(landlock_unenforced(6, all), 0);
    CHECK_INT(landlock_unenforced(5, all), LANDLOCK_NO_ABSTRACT_OUT | LANDLOCK_NO_SIGNALS_OUT);
    CHECK_INT(landlock_unenforced(4, LANDLOCK_NO_TCP | LANDLOCK_NO_DEVICE_IOCTL),
              LANDLOCK_NO_DEVICE_IOCTL);
    CHECK_INT(landlock_unenforced(3, LANDLOCK_NO_TCP), LANDLOCK_NO_TCP);
    CHECK_INT(landlock_unenforced(2, 0), LANDLOCK_NO_TRUNCATE);
    CHECK_INT(landlock_unenforced(0, all), all | LANDLOCK_NO_TRUNCATE);
}

TEST(a_path_that_is_not_there_is_named)
{
    if (!latest())
        return;
    const struct landlock_path paths[] = { { -1, "/nowhere/at/all", LANDLOCK_READ } };
    struct err err = { 0 };
    CHECK_INT(landlock_restrict(paths, 1, 0, &err), -ENOENT);
    CHECK_INT(err.code, ERR_NOT_FOUND);
    CHECK(strstr(err.cause, "/nowhere/at/all") != NULL);
    CHECK(access("/etc/passwd", R_OK) == 0);
}

TEST(a_descriptor_grants_what_it_was_opened_on)
{
    if (!latest())
        return;
    set_up();
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct landlock_path paths[] = { { open("read", O_PATH | O_CLOEXEC), "-", LANDLOCK_READ } };
        int faults = rename("read", "was-read") < 0 || restricted(paths, 1, 0) < 0;
        faults += EXPECT(0, open_and_close("was-read/alone", O_RDONLY)) +
                  EXPECT(EACCES, open_and_close("hidden/alone", O_RDONLY));
        fflush(stdout);
        _exit(faults);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    tear_down();
}
