/* limits_internal: what the files of limits say to one another. */
#ifndef AM_MACHINE_LINUX_LIMITS_INTERNAL_H
#define AM_MACHINE_LINUX_LIMITS_INTERNAL_H

#include "base/str.h"
#include "machine/limits.h"

#define LIMITS_STEP "limit the run"

/* --- limits.c ------------------------------------------------------------------------------ */

int64_t limits_now_ns(void);
/* Reads a small file beneath a folder (or a path) whole; its length, or -errno. NUL-terminated. */
ssize_t limits_read_file(int folder, const char *path, char *ret, size_t size);
/* The number that follows `key` in a text of lines "key number"; -1 where there is none. */
int64_t limits_number_after(const char *text, const char *key);
/*
 * When to look again at a use that is `headroom` below its ceiling and grows at most by `rate`
 * in a millisecond, where the last look took `cost_ns`.
 */
int limits_interval_ms(int64_t headroom, int64_t rate, int64_t cost_ns);

/* --- limits_cgroup.c ----------------------------------------------------------------------- */

enum group_kind {
    GROUP_UNIFIED,
    GROUP_MEMORY,
    GROUP_PIDS,
    GROUP_CPUACCT,
    GROUP_FREEZER,
    GROUP_COUNT,
};

#define GROUP_NAME_MAX 192

struct cgroups {
    char name[GROUP_NAME_MAX]; /* of each group below its parent */
    int parents[GROUP_COUNT];  /* -1 where the kind is not in use */
    int groups[GROUP_COUNT];
    int tasks[GROUP_COUNT]; /* by which a process of one thread enters a v1 group by itself */
    bool unified_memory, unified_pids; /* the unified group has these controllers */
};

enum figure {
    FIGURE_CPU_NS,
    FIGURE_MEMORY,
    FIGURE_MEMORY_PEAK,
    FIGURE_OOM_KILLS,
    FIGURE_PROCESSES,
    FIGURE_COUNT,
};

/* Whether this host has the unified tree alone. */
bool cgroups_are_unified(void);
const char *cgroups_kind_name(enum group_kind kind);
void cgroups_init(struct cgroups *cgroups);
/* Closes everything and leaves the groups where they are. */
void cgroups_release(struct cgroups *cgroups);
/* Makes what of them the run's first process can be born into, before its limits are known. */
int cgroups_make_ahead(struct cgroups *cgroups, const char *run_name, struct err *err) MUST_CHECK;
/*
 * Makes the groups that this caller may make below its own, and sets the limits in them; without
 * any it succeeds too, with no group in use. Failing to set a limit is an error.
 */
int cgroups_make(struct cgroups *cgroups, const struct limits_wanted *wanted, const char *run_name,
                 struct err *err) MUST_CHECK;
/*
 * The same in the unified hierarchy after the service manager has put this process into a group
 * that is its own: it goes to a leaf, and the run gets another one.
 */
int cgroups_make_delegated(struct cgroups *cgroups, const struct limits_wanted *wanted,
                           const char *run_name, struct err *err) MUST_CHECK;
bool cgroups_have(const struct cgroups *cgroups, enum group_kind kind);
bool cgroups_limit_memory(const struct cgroups *cgroups);
bool cgroups_limit_processes(const struct cgroups *cgroups);
/* A group of its own name for this run; also the name of its scope with the manager. */
int cgroups_name(const char *run_name, char ret[GROUP_NAME_MAX], struct err *err) MUST_CHECK;
/* The unified one, if it is not there already; v1 groups it enters by itself. */
int cgroups_enter(struct cgroups *cgroups, pid_t pid, struct err *err) MUST_CHECK;
/* -1 where these groups do not say it. */
int64_t cgroups_figure(const struct cgroups *cgroups, enum figure figure);
/* -EOPNOTSUPP where there is no group that can. */
int cgroups_freeze(struct cgroups *cgroups, bool frozen, struct err *err) MUST_CHECK;
int cgroups_kill(struct cgroups *cgroups, struct err *err) MUST_CHECK;
/* Kills what is left, removes the groups, releases. */
void cgroups_remove(struct cgroups *cgroups);

/* --- limits_manager.c ---------------------------------------------------------------------- */

struct manager;

/* Asks for a scope with this process in it. -EOPNOTSUPP where there is no manager. */
int manager_ask(const char *scope, struct manager **ret, struct err *err) MUST_CHECK;
/* Waits for the answer within a bound of its own; frees the manager in every case. */
int manager_wait(struct manager *manager, struct err *err) MUST_CHECK;
void manager_free(struct manager *manager);

/* --- limits_meter.c ------------------------------------------------------------------------ */

struct meter {
    pid_t init;          /* 0: not entered, or ended */
    int host, namespace; /* /proc of the host, and the sandbox's own; -1: not open */
    bool own_pids;       /* init is the first of a pid namespace */
    ino_t pid_namespace;
    int64_t cpu_last; /* of all that live, at the last reading */
    int64_t cpu_lost; /* of those that nobody waited for */
    int64_t written_last;
    int64_t shared_memory_start;
};

struct meter_reading {
    int64_t cpu_ns;
    int64_t memory_bytes;  /* with METER_MEMORY */
    int64_t written_bytes; /* with METER_WRITTEN */
    int64_t processes;
};

enum { METER_MEMORY = 1, METER_WRITTEN = 2 };

void meter_init(struct meter *meter);
void meter_release(struct meter *meter);
int meter_enter(struct meter *meter, pid_t init, struct err *err) MUST_CHECK;
/* Notes how much shared memory the host has in use, before the run takes any. */
void meter_start_memory(struct meter *meter);
/*
 * Reads all processes of the run. Shared pages are told apart only where the plain sum reaches
 * `memory_close`, since that is slow. None is left: CPU time and bytes written stay as they were.
 */
int meter_read(struct meter *meter, unsigned what, int64_t memory_close, struct meter_reading *ret,
               struct err *err) MUST_CHECK;
/* Sends SIGKILL, SIGSTOP or SIGCONT to all of them, until none is left that needs it. */
int meter_signal(struct meter *meter, int signal, struct err *err) MUST_CHECK;

/* --- limits_disk.c ------------------------------------------------------------------------- */

struct disk;

int disk_new(struct disk **ret, struct err *err) MUST_CHECK;
void disk_free(struct disk *disk);
int disk_watch(struct disk *disk, int folder, struct err *err) MUST_CHECK;
/* What can at least be written before the limit is reached; 0 while a walk is under way. */
int64_t disk_headroom(const struct disk *disk, int64_t limit);
bool disk_is_watched(const struct disk *disk);
/* What the watched tmpfs hold, which is memory as well. */
int64_t disk_tmpfs_bytes(const struct disk *disk);
/*
 * What the folders hold now. A walk goes on only where the file systems have filled by a quarter
 * of the headroom below `limit` since the last one (or it has become old), and for a slice of
 * time; `whole`: it is made and ended now. `written` is what the run's processes wrote.
 */
int64_t disk_read(struct disk *disk, int64_t limit, int64_t written, bool whole);

#endif
