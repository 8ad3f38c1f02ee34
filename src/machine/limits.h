/*
 * limits: what a run may use at most, who enforces it, and what it did use.
 *
 * In the order of a launch:
 *
 *     limits_new_ahead  before the sandbox is spawned, if that is ahead of its plan
 *     limits_new        before the sandbox is spawned, or has its plan
 *     limits_watch      once for each folder that the run fills (upper layers, its tmpfs)
 *     limits_list       what the sandbox is to set on itself
 *     limits_enter      its first process exists and waits
 *     limits_join       in the sandbox, before it has children
 *     limits_in_child   in the sandbox, before execve
 *     limits_rows       what enforces what, for the fingerprint
 *     limits_exhausted  from the supervisor's loop, when the time it named is over
 *     limits_ended      the first process was reaped
 *     limits_starved    whether the kernel had to end something of the run for its memory
 *     limits_read       what was used
 *     limits_free
 *
 * Not safe to race: one thread calls. limits_join and limits_in_child run
 * in another process.
 */
#ifndef AM_MACHINE_LIMITS_H
#define AM_MACHINE_LIMITS_H

#include <sys/resource.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"

/* In the order and with the words of AgentMachineFingerprint. */
#define LIMIT_TABLE(X)                                                                             \
    X(LIMIT_MEMORY, "sandboxMemoryBytes")                                                          \
    X(LIMIT_CPU, "cpuSeconds")                                                                     \
    X(LIMIT_GPU, "gpuSeconds")                                                                     \
    X(LIMIT_WALL_CLOCK, "wallClockSeconds")                                                        \
    X(LIMIT_DISK, "localDiskBytes")                                                                \
    X(LIMIT_PROCESSES, "processes")                                                                \
    X(LIMIT_OPEN_FILES, "openFiles")                                                               \
    X(LIMIT_OUTPUT, "outputBytes")

enum limit {
#define X(limit, name) limit,
    LIMIT_TABLE(X)
#undef X
        LIMIT_COUNT
};

#define LIMIT_MECHANISM_TABLE(X)                                                                   \
    X(LIMIT_BY_CGROUP_V2, "cgroup-v2")                                                             \
    X(LIMIT_BY_CGROUP_V1, "cgroup-v1")                                                             \
    X(LIMIT_BY_RLIMIT, "rlimit")                                                                   \
    X(LIMIT_BY_TIMER, "timer")                                                                     \
    X(LIMIT_BY_METERING, "metering")

enum limit_mechanism {
#define X(mechanism, name) mechanism,
    LIMIT_MECHANISM_TABLE(X)
#undef X
        LIMIT_MECHANISM_COUNT
};

const char *limit_name(enum limit limit);
const char *limit_mechanism_name(enum limit_mechanism mechanism);

struct limits_wanted {
    int64_t of[LIMIT_COUNT]; /* below 0: none wanted */
    bool own_users;          /* the sandbox has a user namespace to itself */
};

struct limit_row {
    enum limit limit;
    int64_t value;
    enum limit_mechanism mechanism;
    int64_t largest_overshoot; /* in the limit's unit; 0 where the kernel lets nothing pass */
};

/*
 * Memory: with a control group the kernel's count, page cache included; else
 * private and shared memory of the processes, what they hold in unlinked
 * memory files, and the watched tmpfs. CPU time by metering is exact to a
 * clock tick (10 ms) for each process that lives. Peaks are the kernel's where
 * it keeps them, else the highest reading.
 */
struct limits_usage {
    int64_t cpu_ns;
    int64_t memory_bytes, memory_peak_bytes;
    int64_t processes, processes_peak; /* threads are counted, the sandbox's own pid 1 too */
    int64_t disk_bytes;
};

#define LIMITS_NAME_MAX  64 /* bytes of a run's name */
#define LIMITS_WATCH_MAX 16

struct limits;

/*
 * Makes the control group where this host lets the caller have one, and takes
 * away what dead supervisors left of theirs. The name is letters, digits, `-`
 * and `_`. ERR_UNSUPPORTED where a limit has no meter on this host.
 */
int limits_new(const struct limits_wanted *wanted, const char *run_name, struct limits **ret,
               struct err *err) MUST_CHECK;
/*
 * Makes only what the sandbox's first process can be born into, where that is
 * worth it; else `ret` becomes NULL. limits_complete makes it what limits_new
 * would have made; limits_free it is in every case.
 */
int limits_new_ahead(struct limits **ret, struct err *err) MUST_CHECK;
int limits_complete(struct limits *limits, const struct limits_wanted *wanted, const char *run_name,
                    struct err *err) MUST_CHECK;
/*
 * Removes the control group. All processes are gone by then: what still lives
 * in it is killed.
 */
void limits_free(struct limits *limits);

/* Counts what lies below this folder as disk, and as memory too where it is a tmpfs. The
 * descriptor is duplicated. */
int limits_watch(struct limits *limits, int folder, struct err *err) MUST_CHECK;

/*
 * A control group to spawn the first process into (clone3, CLONE_INTO_CGROUP),
 * or -1. That is cheap, and moving a process that exists is not: the kernel
 * waits for a grace period, of 3 to 13 ms where it was measured.
 */
int limits_spawn_group(const struct limits *limits);
/*
 * Puts the sandbox's first process into its control group, if it was not
 * spawned into it, before it goes on and has children. From here on its time is
 * metered.
 */
int limits_enter(struct limits *limits, pid_t init, struct err *err) MUST_CHECK;

/* Resource limits, and the groups that it is to enter by itself, as plain data. */
#define LIMITS_INSIDE_MAX 6
#define LIMITS_GROUPS_MAX 4
struct limits_inside {
    int groups[LIMITS_GROUPS_MAX]; /* open for writing, the limits' own; -1: none */
    size_t count;
    struct {
        int resource;
        int64_t value;
        const char *name; /* a constant */
    } of[LIMITS_INSIDE_MAX];
};
void limits_list(const struct limits *limits, struct limits_inside *ret);
/* In the sandbox's first process, while it has one thread and no child. No allocation. */
int limits_join(struct limits_inside *inside, struct err *err) MUST_CHECK;
/* In the sandbox, as the identity that the command gets: sets them. No allocation. */
int limits_in_child(const struct limits_inside *inside, struct err *err) MUST_CHECK;

/* What enforces what, after limits_enter; returns how many rows. */
size_t limits_rows(const struct limits *limits, struct limit_row ret[LIMIT_COUNT]);

/*
 * 1: a limit is reached, and the run is to be ended for it. 0: none is; ask
 * again after ret_next_ms (-1: not needed). Cheap when it is called too early.
 * Wall clock and output are the supervisor's own; of open files, and of
 * processes that a kernel counts, a use above the limit is refused inside and
 * ends nothing.
 */
int limits_exhausted(struct limits *limits, enum limit *ret_limit, int *ret_next_ms,
                     struct err *err) MUST_CHECK;
/*
 * Whether the kernel has killed a process of the run because its memory was used up, also where
 * that was too late for limits_exhausted to see. Only a control group tells.
 */
bool limits_starved(const struct limits *limits);
/* A full reading, now. */
int limits_read(struct limits *limits, struct limits_usage *ret, struct err *err) MUST_CHECK;

/*
 * Stops or goes on with every process of the run. Without a control group
 * that is SIGSTOP and SIGCONT, which the processes' parents see.
 */
int limits_freeze(struct limits *limits, bool frozen, struct err *err) MUST_CHECK;
/* Kills every process of the run, frozen or not. The caller reaps its own children. */
int limits_kill(struct limits *limits, struct err *err) MUST_CHECK;
/* The first process was reaped, with this use of its own and of all that it waited for. */
void limits_ended(struct limits *limits, const struct rusage *use);

#endif
