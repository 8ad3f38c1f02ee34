/*
 * container_init: the first process of a container, a program of its own.
 *
 * Theory of operation. The OCI runtime has made the namespaces and the view,
 * and executes this in it, as root of a user namespace in which nobody else is
 * anybody, without capabilities. What the supervisor has to say comes in a
 * memory file (handover.h); the control socket is the one of every sandbox.
 *
 * Where the command is to have an id of its own, this process leaves for a
 * user namespace in which it has that: the last one that may be made. Then the
 * steps follow that every sandbox ends with, in their order, in the same program
 * begun anew: it is the namespace of its beginning by which the kernel tells
 * whose a process is.
 *
 * It is linked statically, since it runs inside any image, and reads nothing of
 * that image.
 */
#include <sched.h>
#include <sys/stat.h>

#include "machine/linux/container.h"
#include "machine/linux/handover.h"
#include "machine/linux/inside.h"

#define INIT_AGAIN "again"

/* What the runtime said is heard as long as anybody holds its end. */
static int leave_streams(struct sandbox *sandbox, struct err *err)
{
    (void)sandbox;
    _cleanup_(cleanup_close) int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i <= STDERR_FILENO; i++)
        if (nothing < 0 || dup2(nothing, i) < 0)
            return err_set_errno(err, errno, STEP_SPAWN, "cannot open /dev/null");
    return 0;
}

static bool write_map(const char *path, const char *text)
{
    _cleanup_(cleanup_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t len = strlen(text);
    return fd >= 0 && write(fd, text, len) == (ssize_t)len;
}

static int become_agent(struct sandbox *sandbox, struct err *err)
{
    const struct plan *plan = sandbox->plan;
    char uids[64], gids[64];
    umask(022);
    if (plan->inside_uid == 0 && plan->inside_gid == 0)
        return 0;
    snprintf(uids, sizeof(uids), "%u 0 1", plan->inside_uid);
    snprintf(gids, sizeof(gids), "%u 0 1", plan->inside_gid);
    if (unshare(CLONE_NEWUSER) < 0 || !write_map("/proc/self/setgroups", "deny") ||
        !write_map("/proc/self/gid_map", gids) || !write_map("/proc/self/uid_map", uids))
        return err_set_errno(err, errno, STEP_SPAWN, "cannot become the agent's identity");
    return 0;
}

static int close_rest(struct sandbox *sandbox, struct err *err)
{
    (void)err;
    inside_close_all_but(sandbox, &sandbox->scratch, 1);
    return 0;
}

/*
 * Once more, in the namespace in which root is nobody: of a process that nobody may look into,
 * /proc gives the files to root of the namespace that its program was started in.
 */
static int begin_anew(struct sandbox *sandbox, struct err *err)
{
    char program[] = CONTAINER_INIT, word[] = INIT_AGAIN;
    char *const again[] = { program, word, NULL }, *const nothing[] = { NULL };
    if (sandbox->plan->inside_uid == 0)
        return 0;
    execve(CONTAINER_INIT, again, nothing);
    return err_set_errno(err, errno, STEP_SPAWN, "cannot begin anew");
}

/* The order is that of sandbox.c, and for its reasons. */
static const struct step {
    const char *name;
    int (*run)(struct sandbox *sandbox, struct err *err);
    bool once; /* before it begins anew */
} steps[] = {
    { "streams", leave_streams, true },
    { "identity", become_agent, true },
    /* While it has what is needed to empty the set that bounds all others. */
    { "capabilities at first", inside_drop_capabilities, true },
    { "anew", begin_anew, true },
    { "descriptors", close_rest },
    { "directory", inside_go_to_directory },
    { "terminal", inside_open_terminal },
    { "life", inside_bind_life },
    { "limits", inside_restrict_use },
    { "landlock", inside_restrict_files },
    { "capabilities", inside_drop_capabilities },
    { "seccomp", inside_restrict_calls },
};

int main(int argc, char **argv)
{
    (void)argv;
    static const struct inside_tier container = { NULL };
    struct sandbox sandbox = { .control = CONTAINER_CONTROL };
    struct err err = { 0 };
    inside_hear_of_children();
    int r = handover_read_file(CONTAINER_HANDOVER, &sandbox, &err);
    sandbox.control = CONTAINER_CONTROL;
    sandbox.scratch = CONTAINER_SCRATCH;
    sandbox.terminal = -1;
    for (int i = 0; i < 3; i++)
        sandbox.stdio[i] = CONTAINER_STDIN + i;
    for (size_t i = 0; i < ARRAY_LEN(steps) && r == 0; i++) {
        if (steps[i].once && argc > 1)
            continue;
        r = steps[i].run(&sandbox, &err);
        if (r < 0 && !err.where[0])
            err_where(&err, "%s", steps[i].name);
    }
    if (r < 0) {
        sandbox_tell_failure(sandbox.control, &err);
        return 1;
    }
    return inside_live(&sandbox, &container);
}
