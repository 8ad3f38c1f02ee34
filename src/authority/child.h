/*
 * child: a command of a layer's own, without a shell, and ended with all it started.
 *
 * What resolves a secret and what decides at a gate are commands that documents
 * name. They run in a process group of their own with an environment that is
 * given in full, and nothing of ours but their input and a pipe.
 */
#ifndef AM_AUTHORITY_CHILD_H
#define AM_AUTHORITY_CHILD_H

#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"

struct child {
    const char *name;
    pid_t pid;
    int pidfd;
    int out;    /* what it prints; closed by child_stop */
    int status; /* as waitpid has it, once it is stopped */
};

struct child_plan {
    const char *const *arguments; /* the program first: along our PATH where it has no "/" */
    char *const *environment;
    int in;           /* its input, which stays the caller's; -1: /dev/null */
    const char *step; /* of errors */
};

/* ERR_NOT_FOUND where the program is not there. */
int child_start(const struct child_plan *plan, struct child *ret, struct err *err) MUST_CHECK;

/* Reads from child->out: 1 more may come, 0 the end, or -errno with err. */
typedef int child_read(void *context, struct child *child, struct err *err);
/*
 * Reads until the command has ended. What it left behind and still holds the pipe is not waited
 * for. -ETIME, with err untouched, where its time is over; else what `read` returned, or ERR_IO.
 */
int child_follow(struct child *child, int timeout_ms, child_read *read, void *context,
                 struct err *err) MUST_CHECK;
/* Kills the group and reaps the command. */
void child_stop(struct child *child);

int64_t child_monotonic_ms(void);

#endif
