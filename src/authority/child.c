/*
 * child: see the header.
 *
 * Theory of operation. The command is spawned without a shell; its error output
 * is thrown away. A pidfd says when it has ended: a process that it left behind
 * and that still holds the pipe (an agent, a pager) is not waited for. On every
 * way out the group is killed and the command reaped.
 *
 * Threats: a command that leaves its process group outlives its time; it holds
 * nothing of ours but the pipe.
 */
#include "authority/child.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

int64_t child_monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- starting it --------------------------------------------------------------------------- */

static int describe(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int in,
                    int out)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int r = in < 0 ? posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0)
                   : posix_spawn_file_actions_adddup2(actions, in, 0);
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

/* 0 or the error number. */
static int spawn(const struct child_plan *plan, int out, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    int r = posix_spawnattr_init(&attributes);
    if (r == 0) {
        r = describe(&actions, &attributes, plan->in, out);
        if (r == 0)
            r = posix_spawnp(ret_pid, plan->arguments[0], &actions, &attributes,
                             (char *const *)plan->arguments, plan->environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

int child_start(const struct child_plan *plan, struct child *ret, struct err *err)
{
    int pipe_fds[2];
    struct child child = { .name = plan->arguments[0] };
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_set_errno(err, errno, plan->step, "there is no pipe for %s", child.name);
    child.out = pipe_fds[0];
    int error_number = spawn(plan, pipe_fds[1], &child.pid);
    close(pipe_fds[1]);
    if (error_number) {
        close(child.out);
        if (error_number == ENOENT)
            return err_set(err, ERR_NOT_FOUND, plan->step, "the command %s is not there",
                           child.name);
        return err_set_errno(err, error_number, plan->step, "the command %s does not start",
                             child.name);
    }
    child.pidfd = (int)syscall(SYS_pidfd_open, child.pid, 0);
    if (child.pidfd < 0) {
        int r = err_set_errno(err, errno, plan->step, "%s cannot be waited for", child.name);
        child_stop(&child);
        return r;
    }
    *ret = child;
    return 0;
}

/* --- following it -------------------------------------------------------------------------- */

/* What still lies in the pipe of a command that has ended. */
static int read_rest(struct child *child, child_read *read_some, void *context, struct err *err)
{
    struct pollfd fd = { .fd = child->out, .events = POLLIN };
    int r = 1;
    while (r > 0 && poll(&fd, 1, 0) > 0)
        r = read_some(context, child, err);
    return r < 0 ? r : 0;
}

int child_follow(struct child *child, int timeout_ms, child_read *read_some, void *context,
                 struct err *err)
{
    int64_t end_ms = child_monotonic_ms() + timeout_ms;
    struct pollfd fds[] = { { .fd = child->pidfd, .events = POLLIN },
                            { .fd = child->out, .events = POLLIN } };
    for (;;) {
        int64_t left_ms = end_ms - child_monotonic_ms();
        int ready = left_ms > 0 ? poll(fds, ARRAY_LEN(fds), (int)left_ms) : 0;
        if (ready < 0 && errno != EINTR)
            return err_set_errno(err, errno, "wait for a command", "%s", child->name);
        if (ready == 0)
            return -ETIME;
        if (ready > 0 && fds[0].revents)
            return read_rest(child, read_some, context, err);
        if (ready > 0 && fds[1].revents) {
            int r = read_some(context, child, err);
            if (r < 0)
                return r;
            if (r == 0)
                fds[1].fd = -1; /* it closed its output; its status is still to come */
        }
    }
}

void child_stop(struct child *child)
{
    kill(-child->pid, SIGKILL);
    while (waitpid(child->pid, &child->status, 0) < 0 && errno == EINTR)
        ;
    if (child->pidfd >= 0)
        close(child->pidfd);
    close(child->out);
}
