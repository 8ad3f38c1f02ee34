/* Each call of the table is made for real under each filter; programs that people use run on. */
#include "machine/linux/seccomp.h"

#include <asm/unistd.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/test.h"

#if defined(__x86_64__)
#define NUMBER_COLUMN 1
#else
#define NUMBER_COLUMN 2
#endif
#define ANSWER_COLUMN 3
#define TABLE_PATH    "src/machine/linux/seccomp.table"
#define X32_BIT       0x40000000L
#define FAULTS_MAX    100

/* A child ends with the number of its faults, or dies by the signal that ended it. */
static int child_faults(enum seccomp_kind kind, int (*body)(enum seccomp_kind))
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct err err = { 0 };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_install(kind, &err) < 0)
            _exit(FAULTS_MAX + 1);
        int faults = body(kind);
        fflush(stdout);
        _exit(faults > FAULTS_MAX ? FAULTS_MAX : faults);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int expect_error(const char *what, long result, int expected)
{
    int error_number = result == -1 ? errno : 0;
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

static int error_by_name(const char *name)
{
    static const int errors[] = { EPERM, ENOSYS, EAFNOSUPPORT };
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (strcmp(strerrorname_np(errors[i]), name) == 0)
            return errors[i];
    return 0;
}

/* Cuts a line at its blanks; words past the last are the last one again, as the table has it. */
static size_t words_of(char *line, char *ret_words[ANSWER_COLUMN + SECCOMP_KIND_COUNT])
{
    size_t count = 0, wanted = ANSWER_COLUMN + SECCOMP_KIND_COUNT;
    char *rest = line;
    for (char *word; count < wanted && (word = strsep(&rest, " \n"));)
        if (word[0])
            ret_words[count++] = word;
    for (size_t i = count; count > ANSWER_COLUMN && i < wanted; i++)
        ret_words[i] = ret_words[count - 1];
    return count;
}

/* Makes every call that the table refuses whatever its arguments are. */
static int try_refused(enum seccomp_kind kind)
{
    _cleanup_(cleanup_fclose) FILE *table = fopen(TABLE_PATH, "re");
    char line[256];
    int faults = 0, tried = 0;
    while (table && fgets(line, sizeof(line), table)) {
        char *words[ANSWER_COLUMN + SECCOMP_KIND_COUNT];
        bool is_row = line[0] != '#' && line[0] != ' ' && strncmp(line, "check ", 6) != 0;
        if (!is_row || words_of(line, words) <= ANSWER_COLUMN || words[NUMBER_COLUMN][0] == '-')
            continue;
        int expected = error_by_name(words[ANSWER_COLUMN + kind]);
        if (expected == 0)
            continue;
        errno = 0;
        long result = syscall(strtol(words[NUMBER_COLUMN], NULL, 10), -1L, -1L, -1L, -1L, -1L, -1L);
        faults += expect_error(words[0], result, expected);
        tried++;
    }
    if (tried < 70)
        printf("only %d refused calls were found in %s\n", tried, TABLE_PATH);
    return faults + (tried < 70);
}

TEST(each_refused_call_answers_its_error)
{
    for (enum seccomp_kind kind = 0; kind < SECCOMP_KIND_COUNT; kind++)
        CHECK_INT(child_faults(kind, try_refused), 0);
}

static int try_unknown(enum seccomp_kind kind)
{
    (void)kind;
    int faults = EXPECT(ENOSYS, syscall(400)) + EXPECT(ENOSYS, syscall(470)) +
                 EXPECT(ENOSYS, syscall(511)) + EXPECT(ENOSYS, syscall(0x3fffffff)) +
                 EXPECT(ENOSYS, syscall(-1L));
    return faults;
}

TEST(calls_newer_than_the_table_are_not_there)
{
    CHECK_INT(child_faults(SECCOMP_DEFAULT, try_unknown), 0);
}

#if defined(__x86_64__)
static int try_x32(enum seccomp_kind kind)
{
    (void)kind;
    int faults = 0;
    for (long number = 0; number < 600; number++) {
        errno = 0;
        faults += expect_error("an x32 call", syscall(X32_BIT | number, 0, 0, 0, 0, 0, 0), ENOSYS);
    }
    return faults;
}

TEST(x32_is_closed)
{
    CHECK_INT(child_faults(SECCOMP_DEFAULT, try_x32), 0);
}

/* By the door that 32-bit programs use, in a 64-bit program: getpid, and mount as an attack. */
static long call_i386(long number)
{
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(0), "c"(0), "d"(0), "S"(0), "D"(0)
                     : "memory", "r8", "r9", "r10", "r11");
    return result;
}

static int try_i386(enum seccomp_kind kind)
{
    (void)kind;
    int faults = 0;
    for (long number = 0; number < 500; number++)
        faults += call_i386(number) != -ENOSYS;
    return faults;
}

static int try_i386_nowhere(enum seccomp_kind kind)
{
    (void)kind;
    return call_i386(20) > 0 ? 0 : 1;
}

TEST(int_0x80_is_closed)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(try_i386_nowhere(SECCOMP_DEFAULT));
    int status = 0;
    waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        printf("this kernel has no 32-bit calls at all\n");
    else
        CHECK_INT(child_faults(SECCOMP_DEFAULT, try_i386), 0);
}
#endif

/* ---- checks on arguments ---- */

static int try_ioctl(enum seccomp_kind kind)
{
    (void)kind;
    static const unsigned long refused[] = { 0x5412, 0x541c, 0x5423 };
    static const unsigned long above[] = { 0, 1UL << 32, 1UL << 63, 0xffffffffUL << 32 };
    int faults = 0;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        for (size_t j = 0; j < ARRAY_LEN(above); j++)
            faults += EXPECT(EPERM, syscall(SYS_ioctl, -1L, refused[i] | above[j], "x"));
    return faults + EXPECT(EBADF, syscall(SYS_ioctl, -1L, 0x5413L, NULL)) +
           EXPECT(EBADF, syscall(SYS_ioctl, -1L, 0x5412L | 1L << 31, NULL));
}

TEST(terminal_injection_is_refused_with_any_high_bits)
{
    CHECK_INT(child_faults(SECCOMP_DEFAULT, try_ioctl), 0);
}

static int try_namespaces(enum seccomp_kind kind)
{
    (void)kind;
    static const long flags[] = { CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                  CLONE_NEWPID, CLONE_NEWNET,    CLONE_NEWUSER };
    int faults = 0;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        faults += EXPECT(EPERM, syscall(SYS_clone, flags[i] | SIGCHLD, 0, 0, 0, 0));
        faults += EXPECT(EPERM, syscall(SYS_clone, flags[i] | 1L << 40, 0, 0, 0, 0));
        faults += EXPECT(EPERM, syscall(SYS_unshare, flags[i]));
    }
    faults += EXPECT(ENOSYS, syscall(SYS_clone3, NULL, 0L));
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return faults + EXPECT(0, waitpid(pid, NULL, 0));
}

TEST(namespaces_cannot_be_nested)
{
    CHECK_INT(child_faults(SECCOMP_DEFAULT, try_namespaces), 0);
}

static int open_and_close(int family, int type, int protocol)
{
    int fd = socket(family, type, protocol);
    return fd < 0 ? fd : close(fd);
}

static int try_sockets(enum seccomp_kind kind)
{
    (void)kind;
    int faults = 0;
    for (int family = 0; family < 64; family++) {
        bool allowed =
            family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
        for (int type = 1; !allowed && type < 11; type++)
            faults += EXPECT(EAFNOSUPPORT, open_and_close(family, type, 0));
    }
    static const int inet[] = { AF_INET, AF_INET6 };
    for (size_t i = 0; i < ARRAY_LEN(inet); i++) {
        faults += EXPECT(0, open_and_close(inet[i], SOCK_STREAM | SOCK_CLOEXEC, 0));
        faults += EXPECT(0, open_and_close(inet[i], SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP));
        faults += EXPECT(0, open_and_close(inet[i], SOCK_DGRAM, 0));
        faults += EXPECT(0, open_and_close(inet[i], SOCK_DGRAM, IPPROTO_UDP));
        faults += EXPECT(EPROTONOSUPPORT, open_and_close(inet[i], SOCK_STREAM, IPPROTO_MPTCP));
        faults += EXPECT(EPROTONOSUPPORT, open_and_close(inet[i], SOCK_STREAM, IPPROTO_SCTP));
        faults += EXPECT(EPROTONOSUPPORT, open_and_close(inet[i], SOCK_DGRAM, IPPROTO_ICMP));
        faults += EXPECT(EPROTONOSUPPORT, open_and_close(inet[i], SOCK_DGRAM, IPPROTO_UDPLITE));
        faults += EXPECT(EPERM, open_and_close(inet[i], SOCK_RAW, IPPROTO_ICMP));
        faults += EXPECT(EPERM, open_and_close(inet[i], SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
        faults += EXPECT(EPERM, open_and_close(inet[i], SOCK_SEQPACKET, 0));
    }
    faults += EXPECT(0, open_and_close(AF_UNIX, SOCK_STREAM, 0));
    faults += EXPECT(0, open_and_close(AF_UNIX, SOCK_SEQPACKET, 0));
    faults += EXPECT(0, open_and_close(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
    for (int protocol = 1; protocol < 32; protocol++)
        faults += EXPECT(EPROTONOSUPPORT, open_and_close(AF_NETLINK, SOCK_RAW, protocol));
    faults += EXPECT(EAFNOSUPPORT, syscall(SYS_socket, AF_PACKET | 1L << 32, SOCK_RAW, 0));
    int pair[2];
    faults += EXPECT(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    faults += EXPECT(EAFNOSUPPORT, socketpair(AF_TIPC, SOCK_STREAM, 0, pair));
    return faults;
}

TEST(only_unix_tcp_udp_and_routes_have_sockets)
{
    CHECK_INT(child_faults(SECCOMP_DEFAULT, try_sockets), 0);
}

static int try_no_sockets(enum seccomp_kind kind)
{
    (void)kind;
    int faults = 0, pair[2];
    struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0somebody" };
    for (int family = 0; family < 64; family++)
        for (int type = 1; type < 11; type++)
            faults += EXPECT(EAFNOSUPPORT, open_and_close(family, type, 0));
    faults += EXPECT(EAFNOSUPPORT, socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    faults += EXPECT(EAFNOSUPPORT, socketpair(AF_UNIX, SOCK_RAW | SOCK_CLOEXEC, 0, pair));
    faults += EXPECT(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    const struct sockaddr *address = (const struct sockaddr *)&name;
    faults += EXPECT(EPERM, connect(pair[0], address, sizeof(name)));
    faults += EXPECT(EPERM, bind(pair[0], address, sizeof(name)));
    faults += EXPECT(EPERM, listen(pair[0], 1));
    faults += EXPECT(EPERM, accept4(pair[0], NULL, NULL, 0));
    faults += EXPECT(EISCONN, sendto(pair[0], "x", 1, 0, address, sizeof(name)));
    return faults + EXPECT(0, write(pair[0], "x", 1));
}

TEST(without_sockets_a_pair_is_a_pipe_and_nothing_else)
{
    CHECK_INT(child_faults(SECCOMP_NO_SOCKETS, try_no_sockets), 0);
    CHECK_INT(child_faults(SECCOMP_PROCESS, try_no_sockets), 0);
}

static int try_rest(enum seccomp_kind kind)
{
    struct rlimit limit;
    int faults = EXPECT(0, personality(0xffffffff)) + EXPECT(EPERM, personality(0x0400000)) +
                 EXPECT(EPERM, personality(0x0100000)) + EXPECT(0, personality(ADDR_NO_RANDOMIZE)) +
                 EXPECT(0, prlimit(0, RLIMIT_CPU, NULL, &limit));
    faults += EXPECT(EPERM, mknod("/nowhere/device", S_IFCHR | 0600, 0));
    faults += EXPECT(EPERM, mknod("/nowhere/device", S_IFBLK | 0600, 0));
    faults += EXPECT(EPERM, mknodat(AT_FDCWD, "/nowhere/device", S_IFCHR, 0));
    faults += EXPECT(EPERM, mknodat(AT_FDCWD, "/nowhere/device", S_IFBLK, 0));
    faults += EXPECT(ENOENT, mknod("/nowhere/fifo", S_IFIFO | 0600, 0));
    faults += EXPECT(ENOENT, mknodat(AT_FDCWD, "/nowhere/file", S_IFREG | 0600, 0));
    bool own_only = kind == SECCOMP_PROCESS;
    return faults + EXPECT(own_only ? EPERM : 0, prlimit(getpid(), RLIMIT_CPU, NULL, &limit));
}

TEST(personalities_devices_and_limits)
{
    CHECK_INT(child_faults(SECCOMP_DEFAULT, try_rest), 0);
    CHECK_INT(child_faults(SECCOMP_PROCESS, try_rest), 0);
}

static int try_space(enum seccomp_kind kind)
{
    (void)kind;
    enum { KEEP = 1, PUNCH = 2, ZERO = 0x10 };
    int fd = memfd_create("space", 0), faults = 0;
    faults += EXPECT(EOPNOTSUPP, fallocate(fd, 0, 0, 4096));
    faults += EXPECT(EOPNOTSUPP, fallocate(fd, KEEP, 0, 4096));
    faults += EXPECT(EOPNOTSUPP, fallocate(fd, ZERO, 0, 4096));
    faults += posix_fallocate(fd, 0, 8192) != 0; /* by writing */
    faults += EXPECT(0, fallocate(fd, PUNCH | KEEP, 0, 4096));
    close(fd);
    return faults;
}

TEST(space_is_not_set_aside)
{
    CHECK_INT(child_faults(SECCOMP_DEFAULT, try_space), 0);
}

/* ---- what must go on working ---- */

static const char *script;

static int run_script(enum seccomp_kind kind)
{
    (void)kind;
    execl("/bin/sh", "sh", "-ec", script, (char *)NULL);
    return FAULTS_MAX;
}

static void check_script(enum seccomp_kind kind, const char *text)
{
    script = text;
    int result = child_faults(kind, run_script);
    if (result != 0)
        test_fail(__FILE__, __LINE__, "under filter %d this ends with %d: %s", (int)kind, result,
                  text);
}

static bool have(const char *program)
{
    char path[64];
    snprintf(path, sizeof(path), "/usr/bin/%s", program);
    if (access(path, X_OK) == 0)
        return true;
    test_skip("there is no %s", path);
    return false;
}

TEST(a_shell_works)
{
    for (enum seccomp_kind kind = 0; kind < SECCOMP_KIND_COUNT; kind++)
        check_script(kind, "d=$(mktemp -d); cd $d; echo text | tee a | cat >b; mkfifo f; ln -s a c;"
                           "cp -a . /tmp/copy.$$; test \"$(ls | wc -l)\" = 4; sleep 0.01 & wait;"
                           "rm -r $d /tmp/copy.$$");
}

TEST(git_works)
{
    if (have("git"))
        check_script(SECCOMP_PROCESS,
                     "export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1; d=$(mktemp -d);"
                     "git init -q $d; cd $d; echo 1 >a; git add a;"
                     "git -c user.name=n -c user.email=e commit -qm first;"
                     "git clone -q . copy; git -C copy gc -q; rm -rf $d");
}

TEST(a_compiler_works)
{
    if (have("gcc"))
        check_script(SECCOMP_PROCESS, "d=$(mktemp -d); echo 'int main(void) { return 0; }' >$d/a.c;"
                                      "gcc -pipe -o $d/a $d/a.c; $d/a; rm -r $d");
}

TEST(python_works)
{
    if (!have("python3"))
        return;
    check_script(SECCOMP_PROCESS, "/usr/bin/python3 -c 'import subprocess, threading, tempfile\n"
                                  "t = threading.Thread(target=print); t.start(); t.join()\n"
                                  "subprocess.run([\"true\"], check=True)' >/dev/null");
    check_script(SECCOMP_DEFAULT,
                 "/usr/bin/python3 -c 'import asyncio, multiprocessing as m, socket\n"
                 "asyncio.run(asyncio.sleep(0.001))\n"
                 "m.get_context(\"spawn\").Semaphore()\n"
                 "socket.if_nameindex(); socket.getaddrinfo(\"localhost\", 80)'");
}

TEST(node_works)
{
    if (!have("node"))
        return;
    check_script(SECCOMP_DEFAULT,
                 "node -e 'const s = require(\"http\").createServer((q, r) => r.end(\"x\"));"
                 "require(\"os\").networkInterfaces(); s.listen(0, \"127.0.0.1\", async () => {"
                 "const r = await fetch(\"http://127.0.0.1:\" + s.address().port);"
                 "process.exit(await r.text() === \"x\" ? 0 : 1) })'");
    check_script(SECCOMP_PROCESS,
                 "node -e 'const c = require(\"child_process\"), f = require(\"fs\");"
                 "f.readFile(\"/etc/passwd\", () => c.exec(\"echo y\", (e, out) =>"
                 "process.exit(out === \"y\\n\" ? 0 : 1)))'");
}

TEST(curl_reaches_loopback)
{
    if (have("curl") && have("python3"))
        check_script(SECCOMP_DEFAULT,
                     "cd /usr/share/doc; mkfifo /tmp/port.$$;"
                     "/usr/bin/python3 -c 'import http.server as h, sys\n"
                     "s = h.HTTPServer((\"127.0.0.1\", 0), h.SimpleHTTPRequestHandler)\n"
                     "open(sys.argv[1], \"w\").write(str(s.server_port))\n"
                     "s.handle_request()' /tmp/port.$$ 2>/dev/null &"
                     "read port </tmp/port.$$ || :; rm /tmp/port.$$;"
                     "curl -sf http://127.0.0.1:$port/ >/dev/null; wait");
}

TEST(a_debugger_works)
{
    if (access("/usr/bin/gdb", X_OK) == 0)
        check_script(SECCOMP_DEFAULT, "gdb -q -batch -nx -ex 'break exit' -ex run -ex bt /bin/true "
                                      ">/dev/null 2>&1");
    if (access("/usr/bin/strace", X_OK) == 0)
        check_script(SECCOMP_DEFAULT, "strace -f -o /dev/null sh -c 'true; true'");
}

TEST(a_filter_that_cannot_be_installed_is_an_error)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) { /* without no_new_privs, and without a capability */
        struct err err = { 0 };
        if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
            _exit(2);
        _exit(seccomp_install(SECCOMP_DEFAULT, &err) < 0 && err.code == ERR_IO ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(this_kernel_takes_filters)
{
    CHECK(seccomp_available());
}
