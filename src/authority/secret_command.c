/*
 * secret_command: a command that prints a secret, such as `pass show`.
 *
 * Theory of operation. The command is spawned without a shell, in a process
 * group of its own, with PATH and HOME as its whole environment. What it
 * prints is read from a pipe straight into locked memory, until it has ended
 * or its time is over. A pidfd says when it has ended: a process that it left
 * behind and that still holds the pipe (an agent, a pager) is not waited for.
 * On every way out the group is killed and the command reaped.
 *
 * What it writes on its error output is thrown away and never shown, since it
 * may hold the secret; its exit status is what can be told.
 *
 * Limits: SECRET_BYTES_MAX of output, the caller's time limit. Threats: a
 * command that leaves its process group outlives its time; it holds nothing
 * of ours but the pipe.
 */
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "authority/secret_internal.h"

#define FIRST_BYTES        4000
#define VARIABLE_BYTES_MAX 8192
#define FALLBACK_PATH      "/usr/local/bin:/usr/bin:/bin"

struct command {
    const char *name;
    pid_t pid;
    int pidfd;
    int out;
    int status; /* as waitpid has it, once it is stopped */
};

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- starting it --------------------------------------------------------------------------- */

static int describe_child(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
                          int out)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int r = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, out, 1);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(actions, 2, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(actions, 3);
    if (r == 0)
        r = posix_spawnattr_setpgroup(attributes, 0);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attributes, &all);
    if (r == 0)
        r = posix_spawnattr_setsigmask(attributes, &none);
    if (r == 0)
        r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                                     POSIX_SPAWN_SETSIGMASK);
    return r;
}

/* 0 or the error number. posix_spawnp looks along our own PATH, which is the command's too. */
static int spawn(const char *const *arguments, int out, pid_t *ret_pid)
{
    char path[VARIABLE_BYTES_MAX], home[VARIABLE_BYTES_MAX];
    const char *path_value = getenv("PATH"), *home_value = getenv("HOME");
    int path_len = snprintf(path, sizeof(path), "PATH=%s", path_value ? path_value : FALLBACK_PATH);
    int home_len = snprintf(home, sizeof(home), "HOME=%s", home_value ? home_value : "/");
    char *environment[] = { path, home, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (path_len >= (int)sizeof(path) || home_len >= (int)sizeof(home))
        return E2BIG;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    int r = posix_spawnattr_init(&attributes);
    if (r == 0) {
        r = describe_child(&actions, &attributes, out);
        if (r == 0)
            r = posix_spawnp(ret_pid, arguments[0], &actions, &attributes, (char *const *)arguments,
                             environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

static int start(const char *const *arguments, struct command *ret, struct err *err)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_set_errno(err, errno, SECRET_STEP, "there is no pipe for %s", arguments[0]);
    struct command command = { .name = arguments[0], .pidfd = -1, .out = pipe_fds[0] };
    int error_number = spawn(arguments, pipe_fds[1], &command.pid);
    close(pipe_fds[1]);
    if (error_number) {
        close(command.out);
        if (error_number == ENOENT)
            return err_set(err, ERR_NOT_FOUND, SECRET_STEP,
                           "the command %s is not there; install it, or mend references.yaml",
                           command.name);
        return err_set_errno(err, error_number, SECRET_STEP, "the command %s does not start",
                             command.name);
    }
    *ret = command;
    return 0;
}

/* --- reading it ---------------------------------------------------------------------------- */

/* 1 more may come, 0 the end, -errno. */
static int read_some(struct command *command, struct secret **secret, struct err *err)
{
    struct secret *s = *secret;
    if (s->len > SECRET_BYTES_MAX)
        return err_set(err, ERR_LIMIT, SECRET_STEP,
                       "the command %s prints more than %d bytes; a secret is no longer",
                       command->name, SECRET_BYTES_MAX);
    if (s->len == s->capacity) {
        int r = secret_grow(secret, err);
        return r < 0 ? r : 1;
    }
    ssize_t n = read(command->out, s->bytes + s->len, s->capacity - s->len);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 1;
    if (n < 0)
        return err_set_errno(err, errno, SECRET_STEP, "what %s prints cannot be read",
                             command->name);
    s->len += (size_t)n;
    return n > 0;
}

/* What still lies in the pipe of a command that has ended. */
static int read_rest(struct command *command, struct secret **secret, struct err *err)
{
    struct pollfd fd = { .fd = command->out, .events = POLLIN };
    int r = 1;
    while (r > 0 && poll(&fd, 1, 0) > 0)
        r = read_some(command, secret, err);
    return r < 0 ? r : 0;
}

/* Reads until the command has ended. */
static int follow(struct command *command, int timeout_ms, struct secret **secret, struct err *err)
{
    int64_t end_ms = monotonic_ms() + timeout_ms;
    struct pollfd fds[] = { { .fd = command->pidfd, .events = POLLIN },
                            { .fd = command->out, .events = POLLIN } };
    for (;;) {
        int64_t left_ms = end_ms - monotonic_ms();
        int ready = left_ms > 0 ? poll(fds, ARRAY_LEN(fds), (int)left_ms) : 0;
        if (ready < 0 && errno != EINTR)
            return err_set_errno(err, errno, SECRET_STEP, "%s cannot be waited for", command->name);
        if (ready == 0)
            return err_set(err, ERR_LIMIT, SECRET_STEP,
                           "the command %s did not end within %d seconds and was stopped; run it "
                           "yourself to see what it waits for",
                           command->name, (timeout_ms + 999) / 1000);
        if (ready > 0 && fds[0].revents)
            return read_rest(command, secret, err);
        if (ready > 0 && fds[1].revents) {
            int r = read_some(command, secret, err);
            if (r < 0)
                return r;
            if (r == 0)
                fds[1].fd = -1; /* it closed its output; its status is still to come */
        }
    }
}

static int check_status(const struct command *command, struct err *err)
{
    int status = command->status;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFEXITED(status))
        return err_set(err, ERR_IO, SECRET_STEP,
                       "the command %s failed with status %d; what it said is not shown, since it "
                       "may hold the secret: run it yourself",
                       command->name, WEXITSTATUS(status));
    return err_set(err, ERR_IO, SECRET_STEP, "the command %s was ended by signal %d", command->name,
                   WTERMSIG(status));
}

/* Nothing of the command is left behind, and no zombie. */
static void stop(struct command *command)
{
    kill(-command->pid, SIGKILL);
    while (waitpid(command->pid, &command->status, 0) < 0 && errno == EINTR)
        ;
    if (command->pidfd >= 0)
        close(command->pidfd);
    close(command->out);
}

int secret_run(const char *const *arguments, int timeout_ms, struct secret **ret, struct err *err)
{
    struct command command;
    _cleanup_(cleanup_secret) struct secret *secret = secret_new(FIRST_BYTES, err);
    if (!secret)
        return -ENOMEM;
    int r = start(arguments, &command, err);
    if (r < 0)
        return r;
    command.pidfd = (int)syscall(SYS_pidfd_open, command.pid, 0);
    r = command.pidfd < 0
            ? err_set_errno(err, errno, SECRET_STEP, "%s cannot be waited for", command.name)
            : follow(&command, timeout_ms, &secret, err);
    stop(&command);
    if (r == 0)
        r = check_status(&command, err);
    if (r == 0)
        r = secret_finish(secret, true, command.name, err);
    if (r == 0)
        *ret = TAKE_PTR(secret);
    return r;
}
