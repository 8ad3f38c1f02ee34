/*
 * secret_command: a command that prints a secret, such as `pass show`.
 *
 * Theory of operation. The command is a child (child.h) with PATH and HOME as
 * its whole environment. What it prints is read from a pipe straight into
 * locked memory, until it has ended or its time is over.
 *
 * What it writes on its error output is thrown away and never shown, since it
 * may hold the secret; its exit status is what can be told.
 *
 * Limits: SECRET_BYTES_MAX of output, the caller's time limit.
 */
#include <sys/wait.h>

#include "authority/child.h"
#include "authority/secret_internal.h"

#define FIRST_BYTES        4000
#define VARIABLE_BYTES_MAX 8192
#define FALLBACK_PATH      "/usr/local/bin:/usr/bin:/bin"

static int start(const char *const *arguments, struct child *ret, struct err *err)
{
    char path[VARIABLE_BYTES_MAX], home[VARIABLE_BYTES_MAX];
    const char *path_value = getenv("PATH"), *home_value = getenv("HOME");
    int path_len = snprintf(path, sizeof(path), "PATH=%s", path_value ? path_value : FALLBACK_PATH);
    int home_len = snprintf(home, sizeof(home), "HOME=%s", home_value ? home_value : "/");
    char *environment[] = { path, home, NULL };
    struct child_plan plan = {
        .arguments = arguments, .environment = environment, .in = -1, .step = SECRET_STEP
    };
    if (path_len >= (int)sizeof(path) || home_len >= (int)sizeof(home))
        return err_set_errno(err, E2BIG, SECRET_STEP, "the command %s does not start",
                             arguments[0]);
    int r = child_start(&plan, ret, err);
    if (r == -ENOENT)
        return err_set(err, ERR_NOT_FOUND, SECRET_STEP,
                       "the command %s is not there; install it, or mend references.yaml",
                       arguments[0]);
    return r;
}

/* --- reading it ---------------------------------------------------------------------------- */

static int read_some(void *context, struct child *command, struct err *err)
{
    struct secret **secret = context;
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

static int check_status(const struct child *command, struct err *err)
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

int secret_run(const char *const *arguments, int timeout_ms, struct secret **ret, struct err *err)
{
    struct child command;
    _cleanup_(cleanup_secret) struct secret *secret = secret_new(FIRST_BYTES, err);
    if (!secret)
        return -ENOMEM;
    int r = start(arguments, &command, err);
    if (r < 0)
        return r;
    r = child_follow(&command, timeout_ms, read_some, &secret, err);
    child_stop(&command);
    if (r == -ETIME)
        return err_set(err, ERR_LIMIT, SECRET_STEP,
                       "the command %s did not end within %d seconds and was stopped; run it "
                       "yourself to see what it waits for",
                       command.name, (timeout_ms + 999) / 1000);
    if (r == 0)
        r = check_status(&command, err);
    if (r == 0)
        r = secret_finish(secret, true, command.name, err);
    if (r == 0)
        *ret = TAKE_PTR(secret);
    return r;
}
