/*
 * attempt: one way out of a sandbox, tried for real.
 *
 * Attempts are rows of tables, one table to a file of this folder. Each runs
 * in a process of its own, inside a run and, as a control, outside of it:
 * there those that are harmless must get through, so that one that tries
 * nothing is noticed. What the host has for them is the world (host.c).
 */
#ifndef AM_TESTS_ESCAPE_ATTEMPT_H
#define AM_TESTS_ESCAPE_ATTEMPT_H

#include <limits.h>

#include "base/base.h"

#define THROUGH        0       /* what an attempt returns: it got through, */
#define NOT_HERE       INT_MIN /* this machine has nothing to try, or -errno: it was refused */
#define TEXT_MAX       4096
#define ARGUMENTS_MAX  6
#define SPACE_FLAGS    (CLONE_NEWUSER | CLONE_NEWNS)
#define FILE_OF_WORLD  "world"
#define FILE_OF_VISITS "visits"

/* Who gets through outside. */
enum control {
    CONTROL_ANYONE,
    CONTROL_ROOT,
    CONTROL_SPACE, /* whoever is root of a user and a mount namespace of his own */
    CONTROL_NONE,  /* nobody should, or the host would not be the same afterwards */
};

struct attempt {
    const char *name, *class, *cve;
    enum control control;
    int answer;       /* the one error that may be the answer; 0: any */
    int (*run)(void); /* NULL: the system call below */
    long number, arguments[ARGUMENTS_MAX];
};

struct attempts {
    const struct attempt *rows;
    size_t count;
};

extern const struct attempts file_attempts, process_attempts, socket_attempts, kernel_attempts;

/* What the world calls so; ends the attempt where the world has no such thing. */
const char *world(const char *name);
int world_number(const char *name);
bool is_inside(void);
/* Those who can be reached by number: inside the first process too, outside the victim alone. */
size_t targets(pid_t ret[2]);
/* The descriptors above the standard ones that the program was born with. */
int inherited(void);

/* The answer to a call: THROUGH, or -errno. */
static inline int answer(long result)
{
    return result < 0 ? -errno : THROUGH;
}

/* 0 where the file has the world's sentinel in it, or -errno; -ENODATA where it has not. */
int find_sentinel(int folder, const char *path);
/* The victim: lives until its SIGTERM, and tells in a file who came. */
int host_main(const char *folder, const char *repository, const char *secret);

#endif
