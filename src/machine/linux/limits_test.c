/*
 * Limits on real processes: each test runs a sandbox of its own (user, pid and
 * mount namespaces, with its own /proc) that does what a limit is there for.
 * Where the caller is root the same is done as root, with the control groups
 * that root may make here, and as an ordinary user, who is metered.
 */
#include <dirent.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "base/test.h"
#include "machine/linux/limits_internal.h"

#define MIB      (INT64_C(1) << 20)
#define MS       INT64_C(1000000)
#define NOBODY   65534
#define WAIT_MS  20000 /* for what must happen; a test that waits this long has failed */
#define RUN_NAME "limits-test"

/* What the sandbox and its test share. */
struct board {
    _Atomic int64_t counter; /* how many, how far */
    _Atomic int64_t cpu_ns;
    _Atomic bool go;
};

struct sandbox {
    struct limits *limits;
    struct board *board;
    pid_t init;
    int status; /* as waitpid has it */
    int gate[2];
    bool host_pids; /* it has no pid namespace, as in the process tier */
    void (*work)(struct board *board);
};

static bool faulty; /* in a child that runs a test as somebody else */

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            test_fail(__FILE__, __LINE__, "uid %d: %s", (int)geteuid(), #condition);               \
            faulty = true;                                                                         \
        }                                                                                          \
    } while (0)
#define EXPECT_OK(call)                                                                            \
    do {                                                                                           \
        struct err err = { 0 };                                                                    \
        if ((call) < 0) {                                                                          \
            test_fail(__FILE__, __LINE__, "uid %d: %s: %s", (int)geteuid(), #call, err.cause);     \
            faulty = true;                                                                         \
        }                                                                                          \
    } while (0)
#define BETWEEN(value, least, most)                                                                \
    do {                                                                                           \
        long long value_ = (long long)(value);                                                     \
        if (value_ < (long long)(least) || value_ > (long long)(most)) {                           \
            test_fail(__FILE__, __LINE__, "uid %d: %s is %lld, not from %lld to %lld",             \
                      (int)geteuid(), #value, value_, (long long)(least), (long long)(most));      \
            faulty = true;                                                                         \
        }                                                                                          \
    } while (0)

/* --- the sandbox --------------------------------------------------------------------------- */

static void run_init(struct sandbox *sandbox)
{
    struct err err = { 0 };
    char byte;
    close(sandbox->gate[1]);
    if (read(sandbox->gate[0], &byte, 1) != 1)
        _exit(125);
    if (!sandbox->host_pids && (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                                mount("proc", "/proc", "proc", 0, NULL) < 0))
        _exit(125);
    struct limits_inside inside;
    limits_list(sandbox->limits, &inside);
    if (limits_join(&inside, &err) < 0 || limits_in_child(&inside, &err) < 0)
        _exit(125);
    pid_t worker = fork();
    if (worker == 0) {
        sandbox->work(sandbox->board);
        _exit(0);
    }
    int status;
    for (pid_t pid; (pid = wait(&status)) > 0;)
        if (pid == worker)
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    _exit(126);
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    cleanup_close(&fd);
    return ok;
}

static bool map_ids(pid_t pid)
{
    char path[64], map[64];
    snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)pid);
    bool ok = write_text(path, "deny");
    snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
    snprintf(map, sizeof(map), "0 %d 1", (int)geteuid());
    ok = ok && write_text(path, map);
    snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)pid);
    snprintf(map, sizeof(map), "0 %d 1", (int)getegid());
    return ok && write_text(path, map);
}

static const struct limits_wanted none_wanted = { .of = { -1, -1, -1, -1, -1, -1, -1, -1 },
                                                  .own_users = true };

static void begin(struct sandbox *sandbox, const struct limits_wanted *wanted,
                  void (*work)(struct board *board))
{
    *sandbox = (struct sandbox){ .work = work };
    sandbox->board = mmap(NULL, sizeof(*sandbox->board), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT(sandbox->board != MAP_FAILED && pipe2(sandbox->gate, O_CLOEXEC) == 0);
    EXPECT_OK(limits_new(wanted, RUN_NAME, &sandbox->limits, &err));
}

static void start(struct sandbox *sandbox)
{
    int own_pids = sandbox->host_pids ? 0 : CLONE_NEWPID;
    fflush(stdout);
    sandbox->init = (pid_t)syscall(
        SYS_clone, CLONE_NEWUSER | own_pids | CLONE_NEWNS | CLONE_NEWIPC | SIGCHLD, 0, 0, 0, 0);
    if (sandbox->init == 0)
        run_init(sandbox);
    EXPECT(sandbox->init > 0 && map_ids(sandbox->init));
    EXPECT_OK(limits_enter(sandbox->limits, sandbox->init, &err));
    EXPECT(write(sandbox->gate[1], "x", 1) == 1);
}

static void reap(struct sandbox *sandbox)
{
    struct rusage use;
    EXPECT(wait4(sandbox->init, &sandbox->status, 0, &use) == sandbox->init);
    limits_ended(sandbox->limits, &use);
}

static void end(struct sandbox *sandbox)
{
    limits_free(sandbox->limits);
    munmap(sandbox->board, sizeof(*sandbox->board));
    close(sandbox->gate[0]);
    close(sandbox->gate[1]);
}

/* Asks as a supervisor does until a limit is reached or the sandbox has ended; -1: none was. */
static int supervise(struct sandbox *sandbox)
{
    int64_t give_up = limits_now_ns() + WAIT_MS * MS;
    int next_ms = 0, r = 0;
    enum limit limit = LIMIT_COUNT;
    int pidfd = (int)syscall(SYS_pidfd_open, sandbox->init, 0);
    while (r == 0 && limits_now_ns() < give_up) {
        struct timespec wait = { .tv_sec = next_ms / 1000, .tv_nsec = next_ms % 1000 * MS };
        sigset_t none;
        fd_set fds;
        sigemptyset(&none);
        FD_ZERO(&fds);
        FD_SET(pidfd, &fds);
        bool dead = pselect(pidfd + 1, &fds, NULL, NULL, &wait, &none) > 0;
        if (dead)
            reap(sandbox);
        struct err err = { 0 };
        r = limits_exhausted(sandbox->limits, &limit, &next_ms, &err);
        EXPECT(r >= 0);
        if (dead)
            break;
    }
    close(pidfd);
    if (r == 1 && !sandbox->status) {
        EXPECT_OK(limits_kill(sandbox->limits, &err));
        reap(sandbox);
    }
    return r == 1 ? (int)limit : -1;
}

/* Runs it as the caller and, where that is root, once more as an ordinary user. */
static void as_root_and_user(void (*body)(void))
{
    body();
    if (geteuid() != 0)
        return;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        faulty = setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0 ||
                 prctl(PR_SET_DUMPABLE, 1) < 0;
        if (!faulty)
            body();
        fflush(stdout);
        _exit(faulty);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static enum limit_mechanism mechanism_for(const struct limits *limits, enum limit limit,
                                          int64_t *ret_overshoot)
{
    struct limit_row rows[LIMIT_COUNT];
    size_t count = limits_rows(limits, rows);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].limit == limit) {
            *ret_overshoot = rows[i].largest_overshoot;
            return rows[i].mechanism;
        }
    }
    return LIMIT_MECHANISM_COUNT;
}

static void wait_for_count(struct board *board, int64_t count)
{
    int64_t give_up = limits_now_ns() + WAIT_MS * MS;
    while (board->counter < count && limits_now_ns() < give_up)
        sched_yield();
    EXPECT(board->counter >= count);
}

/* --- what they do inside ------------------------------------------------------------------- */

static void touch(size_t bytes)
{
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        _exit(3);
    memset(memory, 1, bytes);
}

/* Six processes, each within what one may have, that together pass 64 MiB. */
static void hog_memory(struct board *board)
{
    for (int i = 0; i < 6; i++) {
        if (fork() == 0) {
            touch(40 * MIB);
            board->counter++;
            pause();
        }
    }
    pause();
}

static void hog_alone(struct board *board)
{
    for (; board->counter < 1024; board->counter++)
        touch(MIB);
}

static void hog_memory_file(struct board *board)
{
    static char block[1 << 20];
    int fd = memfd_create("hidden", 0);
    memset(block, 1, sizeof(block));
    for (; board->counter < 160; board->counter++)
        if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
            break;
    pause();
}

/* Memory that a parent and its children share is there once. */
static void share_memory(struct board *board)
{
    touch(40 * MIB);
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            board->counter++;
            while (!board->go)
                usleep(1000);
            _exit(0);
        }
    }
    while (wait(NULL) > 0)
        ;
}

static void fork_bomb(struct board *board)
{
    for (;;) {
        pid_t pid = fork();
        if (pid == 0)
            pause();
        if (pid < 0)
            break;
        board->counter++;
    }
    board->go = true;
    pause();
}

static int64_t own_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1000 * MS + now.tv_nsec;
}

static void burn(struct board *board, int64_t ns)
{
    while (own_cpu_ns() < ns)
        ;
    board->cpu_ns += own_cpu_ns();
}

static void burn_in_children(struct board *board)
{
    for (int i = 0; i < 3; i++) {
        if (fork() == 0) {
            burn(board, 100 * MS);
            _exit(0);
        }
    }
    while (wait(NULL) > 0)
        ;
    burn(board, 50 * MS);
}

static void burn_and_wait(struct board *board)
{
    burn_in_children(board);
    board->counter = 1;
    while (!board->go)
        usleep(1000);
}

static void burn_for_ever(struct board *board)
{
    (void)board;
    for (;;)
        ;
}

static void count_for_ever(struct board *board)
{
    for (;;)
        board->counter++;
}

static void open_files(struct board *board)
{
    int fd;
    while ((fd = open("/dev/null", O_RDONLY)) >= 0)
        board->counter = fd + 1;
    board->go = errno == EMFILE;
}

static void do_nothing(struct board *board)
{
    (void)board;
}

/*
 * A sanitizer's shadow memory is mapped writable, in terabytes, and RLIMIT_DATA counts it: what is
 * built with one does not live under that limit. With a control group there is none.
 */
static bool shadow_is_in_the_way(void)
{
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
    return geteuid() != 0;
#endif
#endif
    return false;
}

/* --- memory -------------------------------------------------------------------------------- */

static void memory_hog_is_ended(void)
{
    struct limits_wanted wanted = none_wanted;
    struct sandbox sandbox;
    struct limits_usage usage;
    int64_t overshoot = 0;
    if (shadow_is_in_the_way())
        return;
    wanted.of[LIMIT_MEMORY] = 64 * MIB;
    begin(&sandbox, &wanted, hog_memory);
    start(&sandbox);
    enum limit_mechanism mechanism = mechanism_for(sandbox.limits, LIMIT_MEMORY, &overshoot);
    EXPECT(supervise(&sandbox) == LIMIT_MEMORY);
    EXPECT_OK(limits_read(sandbox.limits, &usage, &err));
    if (mechanism == LIMIT_BY_METERING) {
        EXPECT(overshoot > 0);
        BETWEEN(usage.memory_peak_bytes, 64 * MIB, 64 * MIB + overshoot);
    } else {
        CHECK_INT(overshoot, 0);
        BETWEEN(usage.memory_peak_bytes, 60 * MIB, 64 * MIB);
    }
    end(&sandbox);
}

TEST(memory_hog)
{
    as_root_and_user(memory_hog_is_ended);
}

static void lone_hog_is_refused(void)
{
    struct limits_wanted wanted = none_wanted;
    struct sandbox sandbox;
    if (shadow_is_in_the_way())
        return;
    wanted.of[LIMIT_MEMORY] = 64 * MIB;
    begin(&sandbox, &wanted, hog_alone);
    start(&sandbox);
    supervise(&sandbox);
    BETWEEN(sandbox.board->counter, 16, 128); /* and not the 1024 that it wants */
    end(&sandbox);
}

TEST(lone_memory_hog)
{
    as_root_and_user(lone_hog_is_refused);
}

static void memory_file_is_seen(void)
{
    struct limits_wanted wanted = none_wanted;
    struct sandbox sandbox;
    if (shadow_is_in_the_way())
        return;
    wanted.of[LIMIT_MEMORY] = 64 * MIB;
    begin(&sandbox, &wanted, hog_memory_file);
    start(&sandbox);
    EXPECT(supervise(&sandbox) == LIMIT_MEMORY);
    end(&sandbox);
}

TEST(memory_in_an_unmapped_file)
{
    as_root_and_user(memory_file_is_seen);
}

static void shared_pages_count_once(void)
{
    struct limits_wanted wanted = none_wanted;
    struct sandbox sandbox;
    struct limits_usage usage;
    if (shadow_is_in_the_way())
        return;
    wanted.of[LIMIT_MEMORY] = 96 * MIB; /* five times 40 would be far above */
    begin(&sandbox, &wanted, share_memory);
    start(&sandbox);
    wait_for_count(sandbox.board, 4);
    EXPECT_OK(limits_read(sandbox.limits, &usage, &err));
    BETWEEN(usage.memory_bytes, 40 * MIB, 60 * MIB);
    sandbox.board->go = true;
    EXPECT(supervise(&sandbox) == -1);
    EXPECT(sandbox.status == 0);
    end(&sandbox);
}

TEST(memory_shared_by_a_fork)
{
    as_root_and_user(shared_pages_count_once);
}

/* --- processes, files, CPU ----------------------------------------------------------------- */

static void fork_bomb_is_stopped(void)
{
    struct limits_wanted wanted = none_wanted;
    struct sandbox sandbox;
    struct limits_usage usage;
    int64_t overshoot;
    wanted.of[LIMIT_PROCESSES] = 40;
    begin(&sandbox, &wanted, fork_bomb);
    start(&sandbox);
    EXPECT(mechanism_for(sandbox.limits, LIMIT_PROCESSES, &overshoot) != LIMIT_BY_METERING);
    int64_t give_up = limits_now_ns() + WAIT_MS * MS;
    while (!sandbox.board->go && limits_now_ns() < give_up)
        sched_yield();
    CHECK_INT(sandbox.board->counter, 39); /* and the bomber itself */
    EXPECT_OK(limits_read(sandbox.limits, &usage, &err));
    CHECK_INT(usage.processes, 41); /* pid 1 is ours */
    EXPECT_OK(limits_kill(sandbox.limits, &err));
    reap(&sandbox);
    EXPECT(WIFSIGNALED(sandbox.status));
    end(&sandbox);
}

TEST(fork_bomb)
{
    as_root_and_user(fork_bomb_is_stopped);
}

static void files_are_bounded(void)
{
    struct limits_wanted wanted = none_wanted;
    struct sandbox sandbox;
    int64_t overshoot;
    wanted.of[LIMIT_OPEN_FILES] = 50;
    begin(&sandbox, &wanted, open_files);
    start(&sandbox);
    EXPECT(mechanism_for(sandbox.limits, LIMIT_OPEN_FILES, &overshoot) == LIMIT_BY_RLIMIT);
    reap(&sandbox);
    EXPECT(sandbox.board->go && sandbox.board->counter == 50);
    end(&sandbox);
}

TEST(open_files_are_bounded)
{
    as_root_and_user(files_are_bounded);
}

static void cpu_is_metered(void)
{
    struct sandbox sandbox;
    struct limits_usage usage;
    begin(&sandbox, &none_wanted, burn_and_wait);
    start(&sandbox);
    wait_for_count(sandbox.board, 1);
    EXPECT_OK(limits_read(sandbox.limits, &usage, &err));
    /* A tick for each of init, worker and three children; what starting them takes, above. */
    BETWEEN(usage.cpu_ns, sandbox.board->cpu_ns - 50 * MS, sandbox.board->cpu_ns + 100 * MS);
    sandbox.board->go = true;
    reap(&sandbox);
    EXPECT_OK(limits_read(sandbox.limits, &usage, &err));
    BETWEEN(usage.cpu_ns, sandbox.board->cpu_ns - 1 * MS, sandbox.board->cpu_ns + 100 * MS);
    end(&sandbox);
}

TEST(cpu_time_is_metered)
{
    as_root_and_user(cpu_is_metered);
}

/* Children that nobody waits for leave their time behind, if they were seen. */
static void burn_unwaited(struct board *board)
{
    signal(SIGCHLD, SIG_IGN);
    if (fork() == 0) {
        burn(board, 200 * MS);
        board->counter = 1;
        while (!board->go)
            usleep(1000);
        _exit(0);
    }
    wait(NULL);
    board->counter = 2;
    pause();
}

static void unwaited_children_count(void)
{
    struct sandbox sandbox;
    struct limits_usage usage;
    begin(&sandbox, &none_wanted, burn_unwaited);
    start(&sandbox);
    wait_for_count(sandbox.board, 1);
    EXPECT_OK(limits_read(sandbox.limits, &usage, &err));
    sandbox.board->go = true;
    wait_for_count(sandbox.board, 2);
    EXPECT_OK(limits_read(sandbox.limits, &usage, &err));
    BETWEEN(usage.cpu_ns, sandbox.board->cpu_ns - 30 * MS, sandbox.board->cpu_ns + 150 * MS);
    EXPECT_OK(limits_kill(sandbox.limits, &err));
    reap(&sandbox);
    end(&sandbox);
}

TEST(cpu_time_of_children_nobody_waits_for)
{
    as_root_and_user(unwaited_children_count);
}

static void burner_is_ended(void)
{
    struct limits_wanted wanted = none_wanted;
    struct sandbox sandbox;
    struct limits_usage usage;
    int64_t overshoot = 0;
    wanted.of[LIMIT_CPU] = 1;
    begin(&sandbox, &wanted, burn_for_ever);
    start(&sandbox);
    EXPECT(mechanism_for(sandbox.limits, LIMIT_CPU, &overshoot) == LIMIT_BY_METERING);
    EXPECT(supervise(&sandbox) == LIMIT_CPU);
    EXPECT_OK(limits_read(sandbox.limits, &usage, &err));
    BETWEEN(usage.cpu_ns, 1000 * MS, (1 + overshoot) * 1000 * MS);
    end(&sandbox);
}

TEST(cpu_burner)
{
    as_root_and_user(burner_is_ended);
}

/* --- stopping ------------------------------------------------------------------------------ */

static void frozen_stands_still(void)
{
    struct sandbox sandbox;
    begin(&sandbox, &none_wanted, count_for_ever);
    start(&sandbox);
    wait_for_count(sandbox.board, 1);
    EXPECT_OK(limits_freeze(sandbox.limits, true, &err));
    int64_t before = sandbox.board->counter, until = limits_now_ns() + 20 * MS;
    while (limits_now_ns() < until)
        sched_yield();
    EXPECT(sandbox.board->counter == before);
    EXPECT_OK(limits_freeze(sandbox.limits, false, &err));
    wait_for_count(sandbox.board, before + 1);
    EXPECT_OK(limits_freeze(sandbox.limits, true, &err));
    EXPECT_OK(limits_kill(sandbox.limits, &err)); /* frozen as it is */
    reap(&sandbox);
    EXPECT(WIFSIGNALED(sandbox.status) && WTERMSIG(sandbox.status) == SIGKILL);
    end(&sandbox);
}

TEST(freeze_thaw_and_kill)
{
    as_root_and_user(frozen_stands_still);
}

static void short_run_costs_nothing(void)
{
    struct limits_wanted wanted = none_wanted;
    struct sandbox sandbox;
    enum limit limit;
    int next_ms = 0;
    wanted.of[LIMIT_MEMORY] = 1024 * MIB;
    wanted.of[LIMIT_CPU] = 60;
    begin(&sandbox, &wanted, do_nothing);
    start(&sandbox);
    EXPECT(limits_exhausted(sandbox.limits, &limit, &next_ms, NULL) == 0);
    BETWEEN(next_ms, 20, 1000); /* nobody looks before */
    EXPECT(supervise(&sandbox) == -1 && sandbox.status == 0);
    end(&sandbox);
}

TEST(short_run_is_not_looked_at)
{
    as_root_and_user(short_run_costs_nothing);
}

/* One that leaves its parent, its session and every signal it may. */
static void daemonise(struct board *board)
{
    touch(40 * MIB);
    if (fork() > 0)
        _exit(0);
    setsid();
    if (fork() > 0)
        _exit(0);
    signal(SIGTERM, SIG_IGN);
    board->counter = 1;
    count_for_ever(board);
}

/* Without a pid namespace the supervisor is who inherits what nobody waits for. */
static void daemon_is_found(void)
{
    struct sandbox sandbox;
    struct limits_usage usage;
    int subreaper = 0;
    EXPECT(prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    begin(&sandbox, &none_wanted, daemonise);
    sandbox.host_pids = true;
    start(&sandbox);
    wait_for_count(sandbox.board, 1);
    EXPECT_OK(limits_read(sandbox.limits, &usage, &err));
    EXPECT(usage.memory_bytes >= 40 * MIB);
    EXPECT_OK(limits_freeze(sandbox.limits, true, &err));
    EXPECT_OK(limits_freeze(sandbox.limits, false, &err));
    wait_for_count(sandbox.board, sandbox.board->counter + 1);
    reap(&sandbox);
    EXPECT_OK(limits_kill(sandbox.limits, &err)); /* its first process is long gone */
    int status, killed = 0;
    while (wait(&status) > 0)
        killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    EXPECT(killed == 1); /* beside the one in between, which ended by itself */
    prctl(PR_SET_CHILD_SUBREAPER, subreaper);
    end(&sandbox);
}

TEST(daemon_without_a_pid_namespace)
{
    as_root_and_user(daemon_is_found);
}

/* --- disk ---------------------------------------------------------------------------------- */

static void fill(int folder, const char *name, int64_t bytes)
{
    static const char block[4096] = { 1 };
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    for (int64_t n = 0; fd >= 0 && n < bytes; n += (int64_t)sizeof(block))
        EXPECT(write(fd, block, sizeof(block)) == (ssize_t)sizeof(block));
    EXPECT(fd >= 0);
    cleanup_close(&fd);
}

static int make_folder(char path[32])
{
    snprintf(path, 32, "/tmp/am-limits-XXXXXX");
    int fd = mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    EXPECT(fd >= 0);
    return fd;
}

static void remove_tree(const char *path)
{
    char command[64];
    snprintf(command, sizeof(command), "rm -rf '%s'", path);
    EXPECT(system(command) == 0);
}

static void disk_is_metered(void)
{
    struct limits_wanted wanted = none_wanted;
    struct limits *limits = NULL;
    struct limits_usage usage = { 0 };
    enum limit limit = LIMIT_COUNT;
    char path[32];
    int next_ms, folder = make_folder(path);
    wanted.of[LIMIT_DISK] = 8 * MIB;
    EXPECT_OK(limits_new(&wanted, RUN_NAME, &limits, &err));
    EXPECT_OK(limits_watch(limits, folder, &err));
    EXPECT(mkdirat(folder, "one", 0700) == 0 && mkdirat(folder, "one/two", 0700) == 0);
    fill(folder, "one/two/file", 4 * MIB);
    EXPECT(linkat(folder, "one/two/file", folder, "again", 0) == 0);
    fill(folder, "other", 2 * MIB);
    int sparse = openat(folder, "sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    EXPECT(ftruncate(sparse, 1024 * MIB) == 0);
    close(sparse);
    EXPECT(symlinkat("/usr", folder, "link") == 0);
    EXPECT_OK(limits_read(limits, &usage, &err));
    BETWEEN(usage.disk_bytes, 6 * MIB, 6 * MIB + 64 * 1024);
    EXPECT(limits_exhausted(limits, &limit, &next_ms, NULL) == 0);
    fill(folder, "more", 3 * MIB);
    EXPECT_OK(limits_read(limits, &usage, &err));
    limits_ended(limits, &(struct rusage){ 0 });
    EXPECT(limits_exhausted(limits, &limit, &next_ms, NULL) == 1 && limit == LIMIT_DISK);
    limits_free(limits);
    close(folder);
    remove_tree(path);
}

TEST(disk_is_metered_by_its_blocks)
{
    as_root_and_user(disk_is_metered);
}

static char filled_path[32];

static void fill_disk(struct board *board)
{
    int folder = open(filled_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0;; i++) {
        char name[32];
        snprintf(name, sizeof(name), "file-%d", i);
        fill(folder, name, MIB);
        board->counter++;
        usleep(1000);
    }
}

static void disk_filler_is_ended(void)
{
    struct limits_wanted wanted = none_wanted;
    struct sandbox sandbox;
    struct limits_usage usage;
    int64_t overshoot = 0;
    int folder = make_folder(filled_path);
    wanted.of[LIMIT_DISK] = 16 * MIB;
    begin(&sandbox, &wanted, fill_disk);
    EXPECT_OK(limits_watch(sandbox.limits, folder, &err));
    start(&sandbox);
    EXPECT(mechanism_for(sandbox.limits, LIMIT_DISK, &overshoot) == LIMIT_BY_METERING);
    EXPECT(supervise(&sandbox) == LIMIT_DISK);
    EXPECT_OK(limits_read(sandbox.limits, &usage, &err));
    BETWEEN(usage.disk_bytes, 16 * MIB, 16 * MIB + overshoot);
    end(&sandbox);
    close(folder);
    remove_tree(filled_path);
}

TEST(disk_filler)
{
    as_root_and_user(disk_filler_is_ended);
}

/* Deeper than a path may be long, and changed under the walk's feet. */
TEST(deep_tree_is_walked)
{
    struct disk *disk = NULL;
    char path[32];
    int folder = make_folder(path), at = dup(folder);
    EXPECT_OK(disk_new(&disk, &err));
    EXPECT_OK(disk_watch(disk, folder, &err));
    for (int depth = 0; depth < 300; depth++) {
        EXPECT(mkdirat(at, "a-folder-with-a-long-name", 0700) == 0);
        int below = openat(at, "a-folder-with-a-long-name", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = below;
    }
    fill(at, "file", MIB);
    BETWEEN(disk_read(disk, -1, 0, true), 2 * MIB, 3 * MIB); /* a block for each folder */
    for (int depth = 300; depth < 1100; depth++) {
        EXPECT(mkdirat(at, "b", 0700) == 0);
        int below = openat(at, "b", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = below;
    }
    /* What cannot be counted is not free of charge. */
    EXPECT(disk_read(disk, 100 * MIB, 0, true) > 100 * MIB);
    EXPECT(disk_read(disk, -1, 0, true) >= 0);
    disk_free(disk);
    close(at);
    close(folder);
    remove_tree(path);
}

static void tmpfs_is_counted(void)
{
    struct limits_wanted wanted = none_wanted;
    struct limits *limits = NULL;
    struct limits_usage usage = { 0 };
    wanted.of[LIMIT_DISK] = 64 * MIB;
    pid_t pid = fork();
    if (pid == 0) {
        char uid[32], gid[32];
        faulty = false;
        snprintf(uid, sizeof(uid), "0 %d 1", (int)geteuid());
        snprintf(gid, sizeof(gid), "0 %d 1", (int)getegid());
        EXPECT(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
               write_text("/proc/self/setgroups", "deny") &&
               write_text("/proc/self/uid_map", uid) && write_text("/proc/self/gid_map", gid) &&
               mount("tmpfs", "/mnt", "tmpfs", 0, NULL) == 0);
        int folder = open("/mnt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        EXPECT_OK(limits_new(&wanted, RUN_NAME, &limits, &err));
        EXPECT_OK(limits_watch(limits, folder, &err));
        fill(folder, "file", 4 * MIB);
        EXPECT_OK(limits_read(limits, &usage, &err));
        BETWEEN(usage.disk_bytes, 4 * MIB, 4 * MIB + 65536);
        limits_free(limits);
        fflush(stdout);
        _exit(faulty);
    }
    int status;
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
}

TEST(tmpfs_is_counted_without_a_walk)
{
    as_root_and_user(tmpfs_is_counted);
}

/* --- control groups ------------------------------------------------------------------------ */

/* How many control groups of this test exist, anywhere below this process's own. */
static int count_groups(void)
{
    FILE *found =
        popen("find /sys/fs/cgroup -type d -name 'agent-machine.*" RUN_NAME "' | wc -l", "r");
    char line[32] = "";
    bool read = found && fgets(line, sizeof(line), found);
    if (found)
        pclose(found);
    return read ? (int)strtol(line, NULL, 10) : -1;
}

static bool makes_groups(void)
{
    struct limits *limits = NULL;
    EXPECT_OK(limits_new(&none_wanted, RUN_NAME, &limits, &err));
    int count = count_groups();
    limits_free(limits);
    return count > 0;
}

TEST(groups_go_with_the_run)
{
    struct sandbox sandbox;
    if (!makes_groups()) {
        test_skip("this caller may make no control group");
        return;
    }
    CHECK_INT(count_groups(), 0);
    begin(&sandbox, &none_wanted, count_for_ever);
    start(&sandbox);
    wait_for_count(sandbox.board, 1);
    CHECK(count_groups() > 0);
    limits_free(TAKE_PTR(sandbox.limits)); /* with somebody in it */
    CHECK_INT(count_groups(), 0);
    CHECK(waitpid(sandbox.init, &sandbox.status, 0) == sandbox.init);
    CHECK(WIFSIGNALED(sandbox.status) && WTERMSIG(sandbox.status) == SIGKILL);
    end(&sandbox);
}

TEST(groups_of_a_dead_supervisor_are_removed)
{
    struct limits *limits = NULL;
    int gate[2];
    char byte;
    if (!makes_groups()) {
        test_skip("this caller may make no control group");
        return;
    }
    CHECK(pipe2(gate, O_CLOEXEC) == 0);
    fflush(stdout);
    pid_t supervisor = fork();
    if (supervisor == 0) {
        struct sandbox sandbox;
        faulty = false;
        begin(&sandbox, &none_wanted, count_for_ever);
        start(&sandbox);
        close(sandbox.gate[1]);
        wait_for_count(sandbox.board, 1);
        _exit(faulty); /* as a crash would; the sandbox, which nothing ties to it here, lives on */
    }
    int status;
    CHECK(waitpid(supervisor, &status, 0) == supervisor && status == 0);
    close(gate[1]);
    CHECK(count_groups() > 0);
    int64_t give_up = limits_now_ns() + WAIT_MS * MS;
    do { /* the first start kills, and the one after it removes at the latest */
        EXPECT_OK(limits_new(&none_wanted, "limits-other", &limits, &err));
        limits_free(limits);
    } while (count_groups() > 0 && limits_now_ns() < give_up);
    CHECK_INT(count_groups(), 0);
    CHECK(read(gate[0], &byte, 1) == 0); /* nobody holds its other end any more */
    close(gate[0]);
}

/* A host that has no unified tree at all: the freezer and the clock are those of v1. */
TEST(groups_without_the_unified_tree)
{
    if (!makes_groups()) {
        test_skip("this caller may make no control group");
        return;
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        faulty = false;
        EXPECT(unshare(CLONE_NEWNS) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               (cgroups_are_unified() ||
                mount("tmpfs", "/sys/fs/cgroup/unified", "tmpfs", 0, NULL) == 0));
        frozen_stands_still();
        cpu_is_metered();
        memory_hog_is_ended();
        CHECK_INT(count_groups(), 0);
        fflush(stdout);
        _exit(faulty);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

TEST(a_group_to_spawn_into)
{
    struct limits *limits = NULL;
    if (!makes_groups()) {
        test_skip("this caller may make no control group");
        return;
    }
    EXPECT_OK(limits_new(&none_wanted, RUN_NAME, &limits, &err));
    CHECK(limits_spawn_group(limits) >= 0);
    limits_free(limits);
}

/* --- the service manager -------------------------------------------------------------------- */

#define MANAGER_PROGRAM "/lib/systemd/systemd"
#define MANAGER_UID     5 /* games: an ordinary user that every Debian and Fedora has */
#define MANAGER_GROUP   "/sys/fs/cgroup/am-limits-manager"
#define MANAGER_RUN     "/run/user/5"

static bool make_own(const char *path)
{
    return mkdir(path, 0700) == 0 && chown(path, MANAGER_UID, MANAGER_UID) == 0;
}

/*
 * A host as the user's manager expects it, in mounts of our own: the unified tree alone, a group
 * that was delegated to the user, a runtime folder.
 */
static bool make_managed_host(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", "/sys/fs/cgroup", "cgroup2", 0, NULL) == 0 &&
           mount("tmpfs", "/run", "tmpfs", 0, NULL) == 0 && mkdir("/run/systemd", 0755) == 0 &&
           mkdir("/run/systemd/system", 0755) == 0 && mkdir("/run/user", 0755) == 0 &&
           make_own(MANAGER_RUN) && make_own(MANAGER_GROUP) &&
           chown(MANAGER_GROUP "/cgroup.procs", MANAGER_UID, MANAGER_UID) == 0 &&
           make_own(MANAGER_GROUP "/leaf") &&
           chown(MANAGER_GROUP "/leaf/cgroup.procs", MANAGER_UID, MANAGER_UID) == 0 &&
           write_text(MANAGER_GROUP "/leaf/cgroup.procs", "0");
}

static bool become(uid_t uid)
{
    return setgroups(0, NULL) == 0 && setgid(uid) == 0 && setuid(uid) == 0 &&
           prctl(PR_SET_DUMPABLE, 1) == 0;
}

/* Starts it and waits until it says that it is ready. */
static pid_t start_manager(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = MANAGER_RUN "/ready" };
    struct timeval patience = { .tv_sec = WAIT_MS / 1000 };
    char message[1024] = "";
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EXPECT(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
           chmod(address.sun_path, 0777) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        if (become(MANAGER_UID))
            execle(MANAGER_PROGRAM, MANAGER_PROGRAM, "--user", "--unit=basic.target", NULL,
                   (const char *const[]){ "XDG_RUNTIME_DIR=" MANAGER_RUN, "HOME=" MANAGER_RUN,
                                          "NOTIFY_SOCKET=" MANAGER_RUN "/ready", NULL });
        _exit(127);
    }
    while (!strstr(message, "READY=1")) {
        ssize_t n = recv(fd, message, sizeof(message) - 1, 0);
        EXPECT(n > 0);
        if (n <= 0)
            break;
        message[n] = '\0';
    }
    close(fd);
    return pid;
}

/* As the user: the supervisor goes to a scope of its own, and the run to a leaf beside it. */
static void run_in_scope(void)
{
    struct limits_wanted wanted = none_wanted;
    struct sandbox sandbox;
    char ours[4096] = "", path[64], theirs[4096] = "";
    wanted.of[LIMIT_PROCESSES] = 40;
    begin(&sandbox, &wanted, count_for_ever);
    start(&sandbox);
    wait_for_count(sandbox.board, 1);
    snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)sandbox.init);
    EXPECT(limits_read_file(AT_FDCWD, "/proc/self/cgroup", ours, sizeof(ours)) > 0);
    EXPECT(limits_read_file(AT_FDCWD, path, theirs, sizeof(theirs)) > 0);
    EXPECT(strstr(ours, RUN_NAME ".scope/supervisor\n"));
    EXPECT(strstr(theirs, RUN_NAME ".scope/agent-machine."));
    EXPECT(limits_spawn_group(sandbox.limits) >= 0);
    EXPECT_OK(limits_freeze(sandbox.limits, true, &err));
    EXPECT_OK(limits_kill(sandbox.limits, &err));
    reap(&sandbox);
    end(&sandbox);
}

static void remove_managed_host(pid_t manager)
{
    kill(manager, SIGKILL);
    waitpid(manager, NULL, 0);
    EXPECT(write_text("/sys/fs/cgroup/cgroup.procs", "0"));
    EXPECT(write_text(MANAGER_GROUP "/cgroup.kill", "1"));
    int64_t give_up = limits_now_ns() + WAIT_MS * MS;
    while (access(MANAGER_GROUP, F_OK) == 0 && limits_now_ns() < give_up)
        EXPECT(system("find " MANAGER_GROUP " -depth -type d -exec rmdir {} + 2>/dev/null; :") ==
               0);
    EXPECT(access(MANAGER_GROUP, F_OK) < 0);
}

TEST(scope_of_the_service_manager)
{
    int status;
    if (geteuid() != 0 || access(MANAGER_PROGRAM, X_OK) < 0) {
        test_skip("it takes root to make a host for a manager, and " MANAGER_PROGRAM);
        return;
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        faulty = !make_managed_host();
        pid_t manager = faulty ? -1 : start_manager(), user = faulty ? -1 : fork();
        if (user == 0) {
            EXPECT(become(MANAGER_UID) && setenv("XDG_RUNTIME_DIR", MANAGER_RUN, 1) == 0);
            run_in_scope();
            fflush(stdout);
            _exit(faulty);
        }
        EXPECT(user > 0 && waitpid(user, &status, 0) == user && status == 0);
        if (manager > 0)
            remove_managed_host(manager);
        fflush(stdout);
        _exit(faulty);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* --- what is refused, and what is said ------------------------------------------------------ */

TEST(what_has_no_meter_is_refused)
{
    struct limits_wanted wanted = none_wanted;
    struct limits *limits = NULL;
    struct err err = { 0 };
    wanted.of[LIMIT_GPU] = 1;
    CHECK_INT(limits_new(&wanted, RUN_NAME, &limits, &err), -EOPNOTSUPP);
    CHECK_INT(err.code, ERR_UNSUPPORTED);
    CHECK(strstr(err.cause, "gpuSeconds"));
    CHECK(!limits);
    wanted.of[LIMIT_GPU] = 0; /* none is used, for none is given */
    CHECK_INT(limits_new(&wanted, RUN_NAME, &limits, &err), 0);
    limits_free(limits);
}

TEST(names_of_runs)
{
    char longest[LIMITS_NAME_MAX + 2] = "";
    memset(longest, 'a', sizeof(longest) - 1);
    const char *const refused[] = { "", "a/b", "..", "a.b", "a b", longest };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct limits *limits = NULL;
        CHECK_INT(limits_new(&none_wanted, refused[i], &limits, NULL), -EINVAL);
    }
}

TEST(rows_say_what_enforces_what)
{
    struct limits_wanted wanted = { .of = { 512 * MIB, 60, 0, 600, 1024 * MIB, 100, 64, 1000 } };
    struct limits *limits = NULL;
    struct limit_row rows[LIMIT_COUNT];
    EXPECT_OK(limits_new(&wanted, RUN_NAME, &limits, &err));
    size_t count = limits_rows(limits, rows);
    CHECK_INT(count, LIMIT_COUNT - 1);
    for (size_t i = 0; i < count; i++) {
        CHECK_INT(rows[i].value, wanted.of[rows[i].limit]);
        bool counted = rows[i].limit == LIMIT_OUTPUT; /* by who reads it, to the byte */
        CHECK(counted ||
              (rows[i].largest_overshoot > 0) == (rows[i].mechanism == LIMIT_BY_METERING));
    }
    CHECK_TEXT(limit_name(rows[0].limit), "sandboxMemoryBytes");
    CHECK_TEXT(limit_mechanism_name(LIMIT_BY_CGROUP_V1), "cgroup-v1");
    limits_free(limits);
}

TEST(intervals_follow_the_headroom)
{
    CHECK_INT(limits_interval_ms(0, 10, 0), 5);
    CHECK_INT(limits_interval_ms(-5, 10, 0), 5);
    CHECK_INT(limits_interval_ms(1000, 10, 0), 100);
    CHECK_INT(limits_interval_ms(INT64_MAX, 1, 0), 1000);
    CHECK_INT(limits_interval_ms(1000, 10, 10 * MS), 200); /* not above a 20th of a core */
    CHECK_INT(limits_interval_ms(0, 10, 10 * MS), 200);
}
