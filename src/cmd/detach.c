/*
 * detach: see the header.
 *
 * Theory of operation. Up to the start of the command the two processes are
 * one to whoever looks on: refusals go to the caller's standard error, and the
 * status is the caller's. The start parts them: the operation's id goes
 * through a pipe, and the streams become /dev/null, so that nobody who reads
 * them waits for the run. What else the caller had open is closed at once.
 */
#include "cmd/detach.h"

#include <sys/wait.h>

#include "plane/plane.h"

#define STEP_DETACH    "detach a run"
#define STATUS_REFUSED 125
#define OWN_FD         3 /* the first behind the streams */

static int become_supervisor(int to_caller, struct detached *ret, struct err *err)
{
    if (setsid() < 0 || (to_caller != OWN_FD && dup3(to_caller, OWN_FD, O_CLOEXEC) < 0) ||
        close_range(OWN_FD + 1, ~0u, 0) < 0)
        return err_set_errno(err, errno, STEP_DETACH, "cannot leave the caller's session");
    ret->caller = OWN_FD;
    return 0;
}

/* The id that the other process sends; empty where it ends without one. */
static void hear_id(int from, char ret[PLANE_URN_MAX])
{
    size_t len = 0;
    ssize_t got = 1;
    while (got != 0 && len < PLANE_URN_MAX - 1) {
        got = read(from, ret + len, PLANE_URN_MAX - 1 - len);
        if (got > 0)
            len += (size_t)got;
        else if (got < 0 && errno != EINTR)
            break;
    }
    ret[len] = '\0';
}

static int tell_caller(int from, pid_t supervisor, bool json)
{
    char operation[PLANE_URN_MAX];
    int status;
    hear_id(from, operation);
    if (operation[0] && json)
        printf("{\"operation\":\"%s\"}\n", operation);
    else if (operation[0])
        printf("%.*s\n", STR_ARG(urn_local(str_from(operation))));
    if (operation[0])
        return EXIT_SUCCESS;
    while (waitpid(supervisor, &status, 0) < 0)
        if (errno != EINTR)
            return STATUS_REFUSED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_REFUSED;
}

int detach(bool json, struct detached *ret, int *ret_status, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set_errno(err, errno, STEP_DETACH, "cannot make a pipe");
    pid_t pid = fork();
    if (pid == 0)
        return become_supervisor(ends[1], ret, err);
    close(ends[1]);
    int r = pid < 0 ? err_set_errno(err, errno, STEP_DETACH, "cannot start a process") : 1;
    if (r > 0)
        *ret_status = tell_caller(ends[0], pid, json);
    close(ends[0]);
    return r;
}

void detach_begun(void *context, struct str operation)
{
    struct detached *detached = context;
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3 && nowhere >= 0; fd++)
        dup2(nowhere, fd);
    cleanup_close(&nowhere);
    /* In one piece, being shorter than a pipe's; a caller that has gone needs no answer. */
    (void)!write(detached->caller, operation.ptr, operation.len);
    close(TAKE_FD(detached->caller));
}
