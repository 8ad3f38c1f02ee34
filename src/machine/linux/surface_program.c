/*
 * surface_program: finding a tool's program, and asking it what it is.
 *
 * Theory of operation. The search is that of a shell, over absolute directories alone, and then
 * over the places that the surface names. What it finds is resolved once; the file that is hashed
 * is the file that was looked at, by its descriptor. For a script that is the script: what it
 * starts in turn lies in the directory that is shown to the agent, and is not hashed.
 *
 * Version and digest are kept in a small file per program, under a name made from device and inode
 * and with size and time of change in it. One that does not have exactly the expected form is
 * dropped. A program younger than the clock's step is not kept.
 *
 * Asking for the version runs the program on the host, before anything was granted. It runs as
 * little as that allows: a session and a group of its own, no new privileges, no descriptors, no
 * environment but PATH, a limit on time, processor and output, and behind Landlock (where there is
 * one) no writing anywhere, no TCP, no signals. Nothing it says is believed but a line of text.
 */
#include "machine/surface_program.h"

#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/file.h"
#include "base/json.h"
#include "machine/environment.h"
#include "machine/interpreter.h"
#include "machine/linux/landlock.h"

#define STEP            "find a tool's program"
#define ARGUMENTS_MAX   100 /* as the schema has it */
#define PIECE_BYTES     ((size_t)256 << 10)
#define BEGINNING_BYTES 256 /* of a script: as much as the kernel looks at */
#define CACHE_BYTES_MAX ((size_t)1 << 10)
#define CACHE_LINE      "tool 1 %lld %lld %lld %s %s\n"
/* A file's time is the clock's at its last step; a coarse file system keeps it in seconds. */
#define STEP_NS        (INT64_C(20) * 1000000)
#define COARSE_STEP_NS (INT64_C(2) * 1000000000)
#define FINE_NS        1000000
#define CPU_SECONDS    10
#define WAIT_STEP_MS   5

static yyjson_val *member(const yyjson_val *object, const char *name)
{
    return yyjson_obj_get((yyjson_val *)object, name);
}

static const char *name_of(const yyjson_val *surface)
{
    const char *name = yyjson_get_str(member(surface, "name"));
    return name ? name : "the tool";
}

/* --- finding ------------------------------------------------------------------------------- */

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static bool try_place(const char *directory, size_t len, const char *between, const char *command,
                      char ret[PATH_MAX])
{
    char path[PATH_MAX];
    if (!len || directory[0] != '/')
        return false;
    int n = snprintf(path, sizeof(path), "%.*s/%s%s", (int)len, directory, between, command);
    if (n >= (int)sizeof(path) || !is_program(path))
        return false;
    memcpy(ret, path, sizeof(path));
    return true;
}

static bool search(const char *search_path, const char *command, char ret[PATH_MAX])
{
    for (const char *p = search_path; p && *p;) {
        size_t len = strcspn(p, ":");
        if (try_place(p, len, "", command, ret))
            return true;
        p += len + (p[len] == ':');
    }
    return false;
}

/* An install path as it is on this host; false where it does not exist. */
static bool expand_install(const yyjson_val *item, const char *home, char ret[PATH_MAX])
{
    char path[PATH_MAX];
    const char *text = yyjson_get_str((yyjson_val *)item);
    if (!text)
        return false;
    bool in_home = text[0] == '~';
    int n = snprintf(path, sizeof(path), "%s%s", in_home ? home : "", text + in_home);
    return n < (int)sizeof(path) && path[0] == '/' && realpath(path, ret);
}

static bool search_installs(const yyjson_val *surface, const char *command, const char *home,
                            char ret[PATH_MAX])
{
    size_t index, count;
    yyjson_val *item, *items = member(surface, "installPaths");
    char place[PATH_MAX];
    if (!items)
        return false;
    yyjson_arr_foreach(items, index, count, item)
    {
        if (expand_install(item, home, place) &&
            (try_place(place, strlen(place), "", command, ret) ||
             try_place(place, strlen(place), "bin/", command, ret)))
            return true;
    }
    return false;
}

static bool is_within(const char *path, const char *directory)
{
    size_t len = strlen(directory);
    return strncmp(path, directory, len) == 0 && (path[len] == '/' || !path[len]);
}

/* What the sandbox shows of the system anyway. */
static bool is_system(const char *path)
{
    static const char *const directories[] = { "/usr", "/bin", "/sbin", "/lib", "/lib64" };
    for (size_t i = 0; i < ARRAY_LEN(directories); i++) {
        if (is_within(path, directories[i]))
            return true;
    }
    return false;
}

/* Which of the surface's places a file lies in: the innermost. False: in none. */
static bool find_install(const yyjson_val *surface, const char *home, const char *file,
                         char ret[PATH_MAX])
{
    size_t index, count;
    yyjson_val *item, *items = member(surface, "installPaths");
    char place[PATH_MAX];
    ret[0] = '\0';
    if (!items)
        return false;
    yyjson_arr_foreach(items, index, count, item)
    {
        if (expand_install(item, home, place) && is_within(file, place) &&
            strlen(place) > strlen(ret))
            memcpy(ret, place, sizeof(place));
    }
    return ret[0] != '\0';
}

/* A script that has `env` look for its interpreter gets the one that it would get here. */
static void place_interpreter(const yyjson_val *surface, const char *search_path, const char *home,
                              struct surface_program *program)
{
    char beginning[BEGINNING_BYTES], name[BEGINNING_BYTES], found[PATH_MAX];
    _cleanup_(cleanup_close) int fd = open(program->resolved, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t len = fd < 0 ? -1 : read(fd, beginning, sizeof(beginning));
    struct str wanted = interpreter_name(str_make(beginning, len < 0 ? 0 : (size_t)len));
    if (!wanted.len)
        return;
    memcpy(name, wanted.ptr, wanted.len);
    name[wanted.len] = '\0';
    if (!search(search_path, name, found) || !realpath(found, program->interpreter))
        program->interpreter[0] = '\0';
    else if (environment_is_system_directory(str_from(program->interpreter)))
        program->interpreter[0] = '\0'; /* the view's own search path leads there */
    else
        (void)find_install(surface, home, program->interpreter, program->interpreter_install);
}

int surface_program_find(const yyjson_val *surface, const char *search_path, const char *home,
                         struct surface_program *ret, struct err *err)
{
    struct surface_program found = { 0 };
    const char *command = yyjson_get_str(yyjson_arr_get_first(member(surface, "command")));
    if (!command)
        return err_set(err, ERR_UNSUPPORTED, STEP, "%s is a slot without a command",
                       name_of(surface));
    bool has = strchr(command, '/')
                   ? command[0] == '/' && try_place("/", 1, "", command + 1, found.path)
                   : search(search_path, command, found.path) ||
                         search_installs(surface, command, home, found.path);
    if (!has)
        return err_set(err, ERR_NOT_FOUND, STEP,
                       "there is no program %s in PATH nor where %s is installed; install it, or "
                       "name its directory in a surface of your own",
                       command, name_of(surface));
    if (!realpath(found.path, found.resolved))
        return err_set_errno(err, errno, STEP, "%s", found.path);
    if (!is_system(found.resolved)) {
        found.is_outside = !find_install(surface, home, found.resolved, found.install);
        place_interpreter(surface, search_path, home, &found);
    }
    *ret = found;
    return 0;
}

/* --- what is kept -------------------------------------------------------------------------- */

static int64_t changed_ns(const struct stat *status)
{
    return status->st_ctim.tv_sec * INT64_C(1000000000) + status->st_ctim.tv_nsec;
}

static bool cache_path(const char *folder, const struct stat *status, char ret[PATH_MAX])
{
    return folder &&
           snprintf(ret, PATH_MAX, "%s/tool-%llx-%llu", folder, (unsigned long long)status->st_dev,
                    (unsigned long long)status->st_ino) < PATH_MAX;
}

static int write_line(char *ret, size_t size, const struct stat *status,
                      const struct surface_program *program)
{
    return snprintf(ret, size, CACHE_LINE, (long long)status->st_size,
                    (long long)changed_ns(status), (long long)status->st_mtim.tv_sec,
                    program->digest, program->version);
}

/* What a version may be made of: one line of text. */
static bool is_version(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < ' ' || (unsigned char)text.ptr[i] > '~')
            return false;
    }
    return text.len <= SURFACE_VERSION_MAX;
}

static bool is_digest(struct str text)
{
    if (text.len != DIGEST_TEXT_SIZE - 1 || !str_starts(text, STR("sha256:")))
        return false;
    for (size_t i = 7; i < text.len; i++) {
        if (!strchr("0123456789abcdef", text.ptr[i]))
            return false;
    }
    return true;
}

/* Reads digest and version that were kept under a name; `text` gets the line itself. */
static bool read_kept(const char *path, struct buf *text, struct surface_program *ret)
{
    struct stat file;
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &file) < 0 || !S_ISREG(file.st_mode) || file.st_uid != geteuid() ||
        (file.st_mode & 077) || file_read_fd(fd, path, text, NULL) < 0)
        return false;
    struct str line = buf_str(text);
    const char *digest = memmem(line.ptr, line.len, "sha256:", 7);
    struct str rest = digest ? str_from_offset(line, (size_t)(digest - line.ptr)) : STR("");
    if (rest.len < DIGEST_TEXT_SIZE + 1)
        return false;
    struct str hex = str_make(rest.ptr, DIGEST_TEXT_SIZE - 1);
    struct str version = str_make(rest.ptr + DIGEST_TEXT_SIZE, rest.len - DIGEST_TEXT_SIZE - 1);
    if (!is_digest(hex) || !is_version(version))
        return false;
    snprintf(ret->digest, sizeof(ret->digest), "%.*s", STR_ARG(hex));
    snprintf(ret->version, sizeof(ret->version), "%.*s", STR_ARG(version));
    return true;
}

/* Takes what was kept; its line must be what would be written for this file. */
static bool recall(const char *path, const struct stat *status, struct surface_program *program)
{
    struct surface_program kept = *program;
    char expected[CACHE_BYTES_MAX];
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(CACHE_BYTES_MAX);
    if (!read_kept(path, &text, &kept))
        return false;
    int len = write_line(expected, sizeof(expected), status, &kept);
    if (!str_equal(buf_str(&text), str_make(expected, (size_t)len)))
        return false;
    *program = kept;
    return true;
}

/* Whether a later change is sure to give another time of change. */
static bool is_settled(const struct stat *status)
{
    struct timespec now;
    int64_t changed = changed_ns(status);
    clock_gettime(CLOCK_REALTIME, &now);
    return changed + (changed % FINE_NS ? STEP_NS : COARSE_STEP_NS) <
           now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Only time is lost where this fails. */
static void keep(const char *path, const struct stat *status, const struct surface_program *program)
{
    char line[CACHE_BYTES_MAX], beside[PATH_MAX];
    int len = write_line(line, sizeof(line), status, program);
    if (!is_settled(status) ||
        snprintf(beside, sizeof(beside), "%s.%d", path, (int)getpid()) >= (int)sizeof(beside))
        return;
    unlink(beside);
    _cleanup_(cleanup_close) int fd =
        open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    if (write(fd, line, (size_t)len) != len || rename(beside, path) < 0)
        unlink(beside);
}

/* --- the digest ---------------------------------------------------------------------------- */

static int hash_file(int fd, const char *path, char ret[DIGEST_TEXT_SIZE], struct err *err)
{
    _cleanup_(cleanup_digest_stream) struct digest_stream *stream = NULL;
    _cleanup_(cleanup_free) char *piece = malloc(PIECE_BYTES);
    unsigned char digest[DIGEST_BYTES];
    int64_t total = 0;
    if (!piece)
        return err_set(err, ERR_MEMORY, STEP, "%s", path);
    int r = digest_stream_new(DIGEST_SHA256, &stream, err);
    if (r < 0)
        return r;
    for (;;) {
        ssize_t n = read(fd, piece, PIECE_BYTES);
        if (n < 0)
            return err_set_errno(err, errno, STEP, "%s", path);
        if (n == 0)
            break;
        total += n;
        if (total > SURFACE_PROGRAM_SIZE_MAX)
            return err_set(err, ERR_LIMIT, STEP, "%s is larger than %lld bytes", path,
                           (long long)SURFACE_PROGRAM_SIZE_MAX);
        digest_stream_add(stream, str_make(piece, (size_t)n));
    }
    digest_stream_end(stream, digest);
    digest_write(digest, ret);
    return 0;
}

/* --- the version --------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* In the child: gives up what a version needs not, and becomes the program. */
static void become(const char *path, char *const *argv, const char *search_path, int output)
{
    char variable[PATH_MAX + 8];
    char *environment[] = { variable, (char *)"HOME=/nonexistent", (char *)"TERM=dumb", NULL };
    const struct rlimit cpu = { CPU_SECONDS, CPU_SECONDS }, none = { 0, 0 };
    const struct landlock_path root = { .fd = -1,
                                        .path = "/",
                                        .access = LANDLOCK_READ | LANDLOCK_EXECUTE };
    snprintf(variable, sizeof(variable), "PATH=%s", search_path ? search_path : "/usr/bin:/bin");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsid();
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(null, STDERR_FILENO) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0)
        _exit(126);
    setrlimit(RLIMIT_CPU, &cpu);
    setrlimit(RLIMIT_CORE, &none);
    (void)!landlock_restrict(
        &root, 1, LANDLOCK_NO_TCP | LANDLOCK_NO_ABSTRACT_OUT | LANDLOCK_NO_SIGNALS_OUT, NULL);
    execve(path, argv, environment);
    _exit(127);
}

/* Reads what a program says until it closes its output, or the time is over. */
static bool read_output(int fd, int64_t deadline_ms, struct buf *ret)
{
    for (;;) {
        struct pollfd waiting = { .fd = fd, .events = POLLIN };
        int64_t left = deadline_ms - now_ms();
        size_t room = ret->limit - ret->len;
        if (left <= 0 || poll(&waiting, 1, (int)left) <= 0)
            return false;
        char *place = room ? buf_reserve(ret, room) : NULL;
        if (!place)
            return false; /* that is no version */
        ssize_t n = read(fd, place, room);
        if (n <= 0)
            return n == 0;
        ret->len += (size_t)n;
    }
}

/* Ends a child and what it left of its session; whether it had ended well by itself in time. */
static bool reap(pid_t child, int64_t deadline_ms, bool ended)
{
    const struct timespec step = { .tv_nsec = WAIT_STEP_MS * 1000000L };
    siginfo_t info = { 0 };
    int status = 0;
    while (ended && waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0) {
        nanosleep(&step, NULL);
        ended = now_ms() < deadline_ms;
    }
    kill(-child, SIGKILL); /* its group is still its own: it is not reaped yet */
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The first line that is text, without blanks around it. */
static void take_version(struct str text, char ret[SURFACE_VERSION_MAX + 1])
{
    text.len = str_index(text, '\n', 0);
    while (text.len && (unsigned char)text.ptr[text.len - 1] <= ' ')
        text.len--;
    while (text.len && text.ptr[0] == ' ')
        text = str_from_offset(text, 1);
    if (is_version(text))
        snprintf(ret, SURFACE_VERSION_MAX + 1, "%.*s", STR_ARG(text));
}

static void ask_version(const yyjson_val *surface, const char *search_path, int64_t limit_ms,
                        struct surface_program *program)
{
    size_t index, count;
    yyjson_val *item, *items = member(surface, "versionCommand");
    char *argv[ARGUMENTS_MAX + 1] = { program->path };
    int ends[2];
    if (!items || yyjson_arr_size(items) > ARGUMENTS_MAX || pipe2(ends, O_CLOEXEC) < 0)
        return;
    yyjson_arr_foreach(items, index, count, item)
    {
        if (index > 0)
            argv[index] = (char *)yyjson_get_str(item);
    }
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(SURFACE_VERSION_OUTPUT);
    int64_t deadline_ms = now_ms() + limit_ms;
    pid_t child = fork();
    if (child == 0)
        become(program->path, argv, search_path, ends[1]);
    close(ends[1]);
    if (child > 0) {
        bool ended = read_output(ends[0], deadline_ms, &text);
        if (reap(child, deadline_ms, ended))
            take_version(buf_str(&text), program->version);
    }
    close(ends[0]);
}

static int open_program(const struct surface_program *program, struct stat *ret_status,
                        struct err *err)
{
    int fd = open(program->resolved, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && fstat(fd, ret_status) == 0 && S_ISREG(ret_status->st_mode))
        return fd;
    int r = err_set_errno(err, fd < 0 ? errno : EINVAL, STEP, "%s", program->resolved);
    cleanup_close(&fd);
    return r;
}

int surface_program_digest(struct surface_program *program, struct err *err)
{
    struct stat status;
    _cleanup_(cleanup_close) int fd = open_program(program, &status, err);
    return fd < 0 ? fd : hash_file(fd, program->resolved, program->digest, err);
}

int surface_program_compare(struct surface_program *program, const char *cache_folder,
                            enum surface_program_state *ret, struct err *err)
{
    struct surface_program kept = { 0 };
    struct stat status;
    char path[PATH_MAX];
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(CACHE_BYTES_MAX);
    _cleanup_(cleanup_close) int fd = open_program(program, &status, err);
    if (fd < 0)
        return fd;
    int r = hash_file(fd, program->resolved, program->digest, err);
    if (r < 0)
        return r;
    bool is_known = cache_path(cache_folder, &status, path) && read_kept(path, &text, &kept);
    *ret = !is_known                                   ? SURFACE_PROGRAM_NEW
           : strcmp(kept.digest, program->digest) == 0 ? SURFACE_PROGRAM_SAME
                                                       : SURFACE_PROGRAM_CHANGED;
    return 0;
}

int surface_program_identify(const yyjson_val *surface, const char *search_path,
                             const char *cache_folder, int64_t limit_ms,
                             struct surface_program *program, struct err *err)
{
    struct stat status;
    char path[PATH_MAX];
    _cleanup_(cleanup_close) int fd = open_program(program, &status, err);
    if (fd < 0)
        return fd;
    bool kept = cache_path(cache_folder, &status, path);
    if (kept && recall(path, &status, program))
        return 0;
    int r = hash_file(fd, program->resolved, program->digest, err);
    if (r < 0)
        return r;
    ask_version(surface, search_path, limit_ms, program);
    if (kept)
        keep(path, &status, program);
    return 0;
}
