/*
 * attempts: tries the ways out, one process each, and says what became of them.
 *
 * usage: attempts list
 *        attempts host FOLDER REPOSITORY SECRET
 *        attempts swap A B
 *        attempts inside|outside WORLD-FILE [NAME=VALUE...]
 *
 * `list` prints name, class, CVE and control of every attempt. `inside` prints
 * `contained NAME ERROR` or `ESCAPED NAME WHY` for each, `outside` prints
 * `works NAME` or `BROKEN NAME ERROR` for those whose control applies to the
 * caller. Later values of the world replace earlier ones; `only=A,B` tries
 * those alone. `swap` changes two names for one another until it is told to
 * end, and prints how often it did.
 */
#include "attempt.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define WORLD_MAX      64
#define TIME_MS        20000
#define NO_WORLD       (INT_MIN + 1)
#define FIRST_FREE     3
#define SENTINEL_BYTES 65536

static const struct attempts *const tables[] = { &file_attempts, &process_attempts,
                                                 &socket_attempts, &kernel_attempts };
static const char *const controls[] = { [CONTROL_ANYONE] = "anyone",
                                        [CONTROL_ROOT] = "root",
                                        [CONTROL_SPACE] = "space",
                                        [CONTROL_NONE] = "none" };
static struct {
    char lines[WORLD_MAX][TEXT_MAX];
    size_t count;
    bool inside;
    int inherited;
    int report; /* of the attempt that is running */
} state;

/* --- the world ----------------------------------------------------------------------------- */

static const char *look_up(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = state.count; i-- > 0;)
        if (strncmp(state.lines[i], name, len) == 0 && state.lines[i][len] == '=')
            return state.lines[i] + len + 1;
    return NULL;
}

static void report(int result)
{
    (void)!write(state.report, &result, sizeof(result));
    _exit(0);
}

const char *world(const char *name)
{
    const char *value = look_up(name);
    if (!value)
        report(NO_WORLD);
    return value;
}

int world_number(const char *name)
{
    return (int)strtol(world(name), NULL, 10);
}

bool is_inside(void)
{
    return state.inside;
}

size_t targets(pid_t ret[2])
{
    ret[0] = world_number("pid");
    ret[1] = 1;
    return is_inside() ? 2 : 1;
}

int inherited(void)
{
    return state.inherited;
}

int find_sentinel(int folder, const char *path)
{
    static char bytes[SENTINEL_BYTES];
    const char *sentinel = world("sentinel");
    _cleanup_(cleanup_close) int fd = openat(folder, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t len = pread(fd, bytes, sizeof(bytes), 0);
    if (len < 0)
        return -errno;
    return memmem(bytes, (size_t)len, sentinel, strlen(sentinel)) ? THROUGH : -ENODATA;
}

static void add_world(const char *line)
{
    if (state.count < WORLD_MAX)
        snprintf(state.lines[state.count++], TEXT_MAX, "%.*s", (int)strcspn(line, "\n"), line);
}

static int read_world(const char *path, char **more)
{
    char line[TEXT_MAX];
    _cleanup_(cleanup_fclose) FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        add_world(line);
    for (; file && *more; more++)
        add_world(*more);
    return file ? 0 : -errno;
}

static int count_inherited(void)
{
    int count = 0;
    for (int fd = FIRST_FREE; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* --- one attempt --------------------------------------------------------------------------- */

static int write_file(const char *path, const char *text)
{
    _cleanup_(cleanup_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -errno;
}

static int enter_space(void)
{
    char uids[32], gids[32];
    snprintf(uids, sizeof(uids), "0 %d 1", geteuid());
    snprintf(gids, sizeof(gids), "0 %d 1", getegid());
    if (unshare(SPACE_FLAGS) < 0 || write_file("/proc/self/setgroups", "deny") < 0 ||
        write_file("/proc/self/uid_map", uids) < 0 || write_file("/proc/self/gid_map", gids) < 0)
        return -errno;
    return 0;
}

static void try_here(const struct attempt *attempt)
{
    const long *with = attempt->arguments;
    setpgid(0, 0);
    if (!state.inside && attempt->control == CONTROL_SPACE && enter_space() < 0)
        report(-errno);
    errno = 0;
    report(attempt->run ? attempt->run()
                        : answer(syscall(attempt->number, with[0], with[1], with[2], with[3],
                                         with[4], with[5])));
}

/* True with what the attempt said; else why there is nothing. */
static bool try_one(const struct attempt *attempt, int *ret, const char **ret_why)
{
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return *ret_why = "no-pipe", false;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        state.report = ends[1];
        close(ends[0]);
        try_here(attempt);
    }
    close(ends[1]);
    struct pollfd wait = { .fd = ends[0], .events = POLLIN };
    bool came = poll(&wait, 1, TIME_MS) == 1;
    bool said = came && read(ends[0], ret, sizeof(*ret)) == sizeof(*ret);
    close(ends[0]);
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    *ret_why = !came ? "hung" : *ret == NO_WORLD ? "the-world-lacks-something" : "died";
    if (!said && came && WIFSIGNALED(status)) {
        *ret = -ENOSYS; /* a filter may also kill */
        *ret_why = strsignal(WTERMSIG(status));
        return WTERMSIG(status) == SIGSYS;
    }
    return said && *ret != NO_WORLD;
}

static void print_inside(const struct attempt *attempt)
{
    int result = 0;
    const char *why;
    if (!try_one(attempt, &result, &why))
        printf("ESCAPED %s %s\n", attempt->name, why);
    else if (result == THROUGH)
        printf("ESCAPED %s got-through\n", attempt->name);
    else if (result == NOT_HERE)
        printf("contained %s nothing-to-try\n", attempt->name);
    else if (attempt->answer && -result != attempt->answer)
        printf("ESCAPED %s %s-and-not-%s\n", attempt->name, strerrorname_np(-result),
               strerrorname_np(attempt->answer));
    else
        printf("contained %s %s\n", attempt->name, strerrorname_np(-result));
}

static void print_outside(const struct attempt *attempt)
{
    int result = 0;
    const char *why;
    if (attempt->control == CONTROL_NONE || (attempt->control == CONTROL_ROOT && geteuid() != 0))
        return;
    if (!try_one(attempt, &result, &why))
        printf("BROKEN %s %s\n", attempt->name, why);
    else if (result == THROUGH || result == NOT_HERE)
        printf("works %s\n", attempt->name);
    else
        printf("BROKEN %s %s\n", attempt->name, strerrorname_np(-result));
}

static void print_row(const struct attempt *attempt)
{
    printf("%s %s %s %s\n", attempt->name, attempt->class, attempt->cve ? attempt->cve : "-",
           controls[attempt->control]);
}

/* --- all of them --------------------------------------------------------------------------- */

static bool is_wanted(const char *name)
{
    const char *only = look_up("only");
    size_t len = strlen(name);
    for (const char *at = only; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, len) == 0 && (at[len] == ',' || !at[len]))
            return true;
    }
    return !only;
}

static void for_each(void (*does)(const struct attempt *))
{
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        for (size_t j = 0; j < tables[i]->count; j++)
            if (is_wanted(tables[i]->rows[j].name))
                does(&tables[i]->rows[j]);
}

static volatile sig_atomic_t is_over;

static void end_swapping(int number)
{
    (void)number;
    is_over = 1;
}

static int swap_names(const char *a, const char *b)
{
    long count = 0;
    signal(SIGTERM, end_swapping);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    while (!is_over && renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0)
        count++;
    printf("%ld\n", count);
    return is_over ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    state.inherited = count_inherited();
    state.inside = strcmp(mode, "inside") == 0;
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(mode, "host") == 0 && argc == 5)
        return host_main(argv[2], argv[3], argv[4]);
    if (strcmp(mode, "swap") == 0 && argc == 4)
        return swap_names(argv[2], argv[3]);
    if (strcmp(mode, "list") == 0)
        return for_each(print_row), EXIT_SUCCESS;
    if ((!state.inside && strcmp(mode, "outside") != 0) || argc < 3 ||
        read_world(argv[2], argv + 3) < 0)
        return fprintf(stderr, "attempts: no mode or no world\n"), 2;
    for_each(state.inside ? print_inside : print_outside);
    return EXIT_SUCCESS;
}
