/*
 * limits: what a run may use at most.
 *
 * Theory of operation. For each limit the best mechanism that this host gives
 * the caller is taken, and limits_rows says which it was:
 *
 *     memory      a control group; else metering, with RLIMIT_DATA behind it
 *     CPU time    metering (by the group's clock, or /proc), RLIMIT_CPU behind it
 *     GPU time    no meter: refused where it is wanted
 *     wall clock  a timer of the supervisor's
 *     disk        metering, with RLIMIT_FSIZE behind it
 *     processes   a control group; else RLIMIT_NPROC; else metering
 *     open files  RLIMIT_NOFILE
 *     output      counted by the supervisor, which reads all of it
 *
 * RLIMIT_DATA is what a process has mapped writable and private. Unlike
 * RLIMIT_AS it leaves alone the terabytes that language runtimes reserve and
 * never use. It stands at twice the limit, since what is mapped is not all
 * used, and stops one process from running away between two readings.
 * RLIMIT_NPROC counts the processes of a user within a user namespace (since
 * Linux 5.14), so it is taken only where the sandbox has that to itself.
 *
 * Metering looks again when the run, at the fastest rate that the machine
 * allows, could have reached a ceiling, and never so often that looking takes
 * more than a 20th of a core. A run of milliseconds is never looked at. What
 * can pass the ceiling is what fits between two looks at that rate, and is
 * stated as the largest overshoot.
 *
 * Invariants.
 * 1. Before limits_enter nothing is metered; after limits_ended nothing is
 *    looked for among processes.
 * 2. Usage never goes back: CPU time, peaks and what was written only grow.
 * 3. A limit with a row is enforced by what the row says, or the launch failed.
 */
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "machine/linux/limits_internal.h"

#define NS_PER_SECOND      INT64_C(1000000000)
#define NS_PER_MS          INT64_C(1000000)
#define LOOK_FLOOR_MS      5
#define LOOK_CEILING_MS    1000
#define LOOK_SHARE         20    /* looking takes at most this part of a core's time */
#define LOOK_PROCESS_NS    40000 /* what a look at one process takes at most, as a rule */
#define PROCESSES_ASSUMED  256   /* where none are limited, for the overshoot */
#define MEMORY_RATE        (INT64_C(4) << 20) /* bytes in a millisecond that one core fills */
#define MEMORY_CORES_MAX   4                  /* which fill at once: memory is no faster */
#define DISK_RATE          (INT64_C(4) << 20) /* bytes in a millisecond into the page cache */
#define FORK_RATE          50                 /* processes in a millisecond */
#define MEMORY_CLOSE_PART  4                  /* the last quarter of memory is told exactly */
#define RLIMIT_CPU_SPARE_S 1
#define PROCESSES_OF_OURS  1     /* pid 1 of the sandbox */
#define NAME_AHEAD         "run" /* where the run has none yet */

static const char *const limit_names[LIMIT_COUNT] = {
#define X(limit, name) [limit] = name,
    LIMIT_TABLE(X)
#undef X
};

static const char *const mechanism_names[LIMIT_MECHANISM_COUNT] = {
#define X(mechanism, name) [mechanism] = name,
    LIMIT_MECHANISM_TABLE(X)
#undef X
};

struct limits {
    struct limits_wanted wanted;
    char run_name[LIMITS_NAME_MAX + 1];
    struct cgroups cgroups;
    struct manager *manager; /* asked, not yet waited for */
    struct meter meter;
    struct disk *disk;
    int cores;
    bool entered, ended;
    int64_t next_ns; /* when to look again */
    struct limits_usage usage;
};

const char *limit_name(enum limit limit)
{
    return limit_names[limit];
}

const char *limit_mechanism_name(enum limit_mechanism mechanism)
{
    return mechanism_names[mechanism];
}

/* --- what the files of limits share -------------------------------------------------------- */

int64_t limits_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

ssize_t limits_read_file(int folder, const char *path, char *ret, size_t size)
{
    size_t len = 0;
    ssize_t n;
    _cleanup_(cleanup_close) int fd = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    while (len < size - 1 && (n = read(fd, ret + len, size - 1 - len)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        len += (size_t)n;
    }
    ret[len] = '\0';
    return (ssize_t)len;
}

int64_t limits_number_after(const char *text, const char *key)
{
    size_t len = strlen(key);
    for (const char *line = text; line && *line;) {
        if (strncmp(line, key, len) == 0 && (line[len] == ' ' || line[len] == '\t'))
            return strtoll(line + len, NULL, 10);
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return -1;
}

int limits_interval_ms(int64_t headroom, int64_t rate, int64_t cost_ns)
{
    int64_t floor_ms = cost_ns / NS_PER_MS * LOOK_SHARE;
    int64_t interval_ms = headroom <= 0 ? 0 : headroom / rate;
    if (floor_ms < LOOK_FLOOR_MS)
        floor_ms = LOOK_FLOOR_MS;
    if (interval_ms > LOOK_CEILING_MS)
        interval_ms = LOOK_CEILING_MS;
    return (int)(interval_ms > floor_ms ? interval_ms : floor_ms);
}

/* --- who enforces what --------------------------------------------------------------------- */

static bool is_wanted(const struct limits *limits, enum limit limit)
{
    return limits->wanted.of[limit] >= 0;
}

static enum limit_mechanism mechanism_of(const struct limits *limits, enum limit limit)
{
    const struct cgroups *cgroups = &limits->cgroups;
    switch (limit) {
    case LIMIT_MEMORY:
        return cgroups->unified_memory               ? LIMIT_BY_CGROUP_V2
               : cgroups_have(cgroups, GROUP_MEMORY) ? LIMIT_BY_CGROUP_V1
                                                     : LIMIT_BY_METERING;
    case LIMIT_PROCESSES:
        return cgroups->unified_pids               ? LIMIT_BY_CGROUP_V2
               : cgroups_have(cgroups, GROUP_PIDS) ? LIMIT_BY_CGROUP_V1
               : limits->wanted.own_users          ? LIMIT_BY_RLIMIT
                                                   : LIMIT_BY_METERING;
    case LIMIT_WALL_CLOCK:
        return LIMIT_BY_TIMER;
    case LIMIT_OPEN_FILES:
        return LIMIT_BY_RLIMIT;
    case LIMIT_CPU:
    case LIMIT_GPU:
    case LIMIT_DISK:
    case LIMIT_OUTPUT:
    case LIMIT_COUNT:
        break;
    }
    return LIMIT_BY_METERING;
}

static bool is_metered(const struct limits *limits, enum limit limit)
{
    return is_wanted(limits, limit) && mechanism_of(limits, limit) == LIMIT_BY_METERING;
}

/* How fast a use can grow, in a millisecond. CPU time is in nanoseconds here. */
static int64_t rate_of(const struct limits *limits, enum limit limit)
{
    int cores = limits->cores < MEMORY_CORES_MAX ? limits->cores : MEMORY_CORES_MAX;
    switch (limit) {
    case LIMIT_MEMORY:
        return cores * MEMORY_RATE;
    case LIMIT_CPU:
        return limits->cores * NS_PER_MS;
    case LIMIT_DISK:
        return DISK_RATE;
    case LIMIT_PROCESSES:
        return FORK_RATE;
    case LIMIT_GPU:
    case LIMIT_WALL_CLOCK:
    case LIMIT_OPEN_FILES:
    case LIMIT_OUTPUT:
    case LIMIT_COUNT:
        break;
    }
    return 0;
}

/* What passes a metered ceiling between two looks, the run having all processes it may have. */
static int64_t overshoot_of(const struct limits *limits, enum limit limit)
{
    int64_t processes =
        is_wanted(limits, LIMIT_PROCESSES) ? limits->wanted.of[LIMIT_PROCESSES] : PROCESSES_ASSUMED;
    if (mechanism_of(limits, limit) != LIMIT_BY_METERING)
        return 0;
    int64_t cost_ns =
        processes > NS_PER_SECOND ? NS_PER_SECOND * LOOK_PROCESS_NS : processes * LOOK_PROCESS_NS;
    int64_t look_ms = limits_interval_ms(0, 1, cost_ns) + cost_ns / NS_PER_MS + 1;
    int64_t rate = rate_of(limits, limit);
    int64_t overshoot = rate > INT64_MAX / look_ms ? INT64_MAX : rate * look_ms;
    if (limit == LIMIT_CPU)
        overshoot = overshoot / NS_PER_SECOND + 1;
    int64_t most = (INT64_C(1) << 53) - 1; /* what the fingerprint can say */
    return overshoot < most ? overshoot : most;
}

size_t limits_rows(const struct limits *limits, struct limit_row ret[LIMIT_COUNT])
{
    size_t count = 0;
    for (enum limit limit = 0; limit < LIMIT_COUNT; limit++)
        if (is_wanted(limits, limit) && limit != LIMIT_GPU)
            ret[count++] = (struct limit_row){ .limit = limit,
                                               .value = limits->wanted.of[limit],
                                               .mechanism = mechanism_of(limits, limit),
                                               .largest_overshoot = overshoot_of(limits, limit) };
    return count;
}

/* --- life ---------------------------------------------------------------------------------- */

/* A soft limit of open files cannot pass the hard one that we have; the row says what holds. */
static void fit_open_files(struct limits_wanted *wanted)
{
    struct rlimit limit;
    if (wanted->of[LIMIT_OPEN_FILES] >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_max < (rlim_t)wanted->of[LIMIT_OPEN_FILES])
        wanted->of[LIMIT_OPEN_FILES] = (int64_t)limit.rlim_max;
}

/*
 * A managed host is asked first, since only its manager may hand controllers to an ordinary user;
 * the answer is waited for in limits_enter. Else the groups that the caller may make, now.
 */
static int find_groups(struct limits *limits, struct err *err)
{
    char scope[GROUP_NAME_MAX];
    int r = cgroups_name(limits->run_name, scope, err);
    if (r < 0)
        return r;
    if (is_wanted(limits, LIMIT_MEMORY) || is_wanted(limits, LIMIT_PROCESSES))
        r = cgroups_are_unified() ? manager_ask(scope, &limits->manager, NULL) : -EOPNOTSUPP;
    return limits->manager ? 0
                           : cgroups_make(&limits->cgroups, &limits->wanted, limits->run_name, err);
}

static void cleanup_limits(struct limits **limits)
{
    limits_free(*limits);
}

static struct limits *make(struct err *err)
{
    struct limits *limits = calloc(1, sizeof(*limits));
    if (!limits) {
        err_set(err, ERR_MEMORY, LIMITS_STEP, "no memory for the limits");
        return NULL;
    }
    cgroups_init(&limits->cgroups);
    meter_init(&limits->meter);
    return limits;
}

int limits_new_ahead(struct limits **ret, struct err *err)
{
    *ret = NULL;
    if (geteuid() != 0) /* who may make a group where there are more hierarchies than one */
        return 0;
    if (cgroups_are_unified()) /* where the service manager may have to be asked, which takes time
                                */
        return err_set(err, ERR_UNSUPPORTED, LIMITS_STEP, "a group cannot be made ahead");
    _cleanup_(cleanup_limits) struct limits *limits = make(err);
    int r = limits ? cgroups_make_ahead(&limits->cgroups, NAME_AHEAD, err) : -ENOMEM;
    if (r < 0)
        return r;
    *ret = TAKE_PTR(limits);
    return 0;
}

int limits_complete(struct limits *limits, const struct limits_wanted *wanted, const char *run_name,
                    struct err *err)
{
    if (wanted->of[LIMIT_GPU] > 0)
        return err_set(err, ERR_UNSUPPORTED, LIMITS_STEP,
                       "%s: this host has no meter for GPU time; grant no GPU, or limit it to 0",
                       limit_names[LIMIT_GPU]);
    if (strlen(run_name) > LIMITS_NAME_MAX)
        return err_set(err, ERR_USAGE, LIMITS_STEP, "a run's name has at most %d bytes",
                       LIMITS_NAME_MAX);
    limits->wanted = *wanted;
    snprintf(limits->run_name, sizeof(limits->run_name), "%s", run_name);
    limits->cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (limits->cores < 1)
        limits->cores = 1;
    fit_open_files(&limits->wanted);
    int r = disk_new(&limits->disk, err);
    return r < 0 ? r : find_groups(limits, err);
}

int limits_new(const struct limits_wanted *wanted, const char *run_name, struct limits **ret,
               struct err *err)
{
    _cleanup_(cleanup_limits) struct limits *limits = make(err);
    int r = limits ? limits_complete(limits, wanted, run_name, err) : -ENOMEM;
    if (r < 0)
        return r;
    *ret = TAKE_PTR(limits);
    return 0;
}

void limits_free(struct limits *limits)
{
    if (!limits)
        return;
    manager_free(limits->manager);
    cgroups_remove(&limits->cgroups);
    meter_release(&limits->meter);
    disk_free(limits->disk);
    free(limits);
}

int limits_watch(struct limits *limits, int folder, struct err *err)
{
    return disk_watch(limits->disk, folder, err);
}

int limits_spawn_group(const struct limits *limits)
{
    return limits->cgroups.groups[GROUP_UNIFIED];
}

static int finish_groups(struct limits *limits, struct err *err)
{
    struct manager *manager = TAKE_PTR(limits->manager);
    if (!manager)
        return 0;
    if (manager_wait(manager, NULL) == 0)
        return cgroups_make_delegated(&limits->cgroups, &limits->wanted, limits->run_name, err);
    return cgroups_make(&limits->cgroups, &limits->wanted, limits->run_name, err);
}

static int64_t headroom_ms(const struct limits *limits, int64_t cost_ns, bool *ret_any);

int limits_enter(struct limits *limits, pid_t init, struct err *err)
{
    bool any;
    int r = finish_groups(limits, err);
    if (r == 0)
        r = cgroups_enter(&limits->cgroups, init, err);
    if (r == 0)
        r = meter_enter(&limits->meter, init, err);
    if (r < 0)
        return r;
    if (is_metered(limits, LIMIT_MEMORY))
        meter_start_memory(&limits->meter);
    limits->entered = true;
    limits->next_ns = limits_now_ns() + headroom_ms(limits, 0, &any) * NS_PER_MS;
    return 0;
}

/* --- in the child -------------------------------------------------------------------------- */

static void add_inside(struct limits_inside *inside, int resource, int64_t value, const char *name)
{
    assert(inside->count < LIMITS_INSIDE_MAX);
    inside->of[inside->count].resource = resource;
    inside->of[inside->count].value = value;
    inside->of[inside->count++].name = name;
}

void limits_list(const struct limits *limits, struct limits_inside *ret)
{
    const int64_t *wanted = limits->wanted.of;
    *ret = (struct limits_inside){ 0 };
    static_assert(GROUP_COUNT - 1 == LIMITS_GROUPS_MAX, "all but the unified one");
    for (size_t i = 0; i < LIMITS_GROUPS_MAX; i++)
        ret->groups[i] = limits->cgroups.tasks[GROUP_UNIFIED + 1 + i];
    /* Of one byte and not of none: where the host's pattern for cores is a program, a limit of
     * none would still start it, on the host and with its rights; of one, the kernel writes none.
     */
    add_inside(ret, RLIMIT_CORE, 1, "RLIMIT_CORE");
    if (is_wanted(limits, LIMIT_OPEN_FILES))
        add_inside(ret, RLIMIT_NOFILE, wanted[LIMIT_OPEN_FILES], "RLIMIT_NOFILE");
    if (is_wanted(limits, LIMIT_CPU))
        add_inside(ret, RLIMIT_CPU, wanted[LIMIT_CPU] + RLIMIT_CPU_SPARE_S, "RLIMIT_CPU");
    if (is_wanted(limits, LIMIT_DISK))
        add_inside(ret, RLIMIT_FSIZE, wanted[LIMIT_DISK], "RLIMIT_FSIZE");
    if (is_metered(limits, LIMIT_MEMORY))
        add_inside(ret, RLIMIT_DATA, 2 * wanted[LIMIT_MEMORY], "RLIMIT_DATA");
    if (is_wanted(limits, LIMIT_PROCESSES) &&
        mechanism_of(limits, LIMIT_PROCESSES) == LIMIT_BY_RLIMIT)
        add_inside(ret, RLIMIT_NPROC, wanted[LIMIT_PROCESSES] + PROCESSES_OF_OURS, "RLIMIT_NPROC");
}

int limits_join(struct limits_inside *inside, struct err *err)
{
    for (size_t i = 0; i < LIMITS_GROUPS_MAX; i++) {
        if (inside->groups[i] >= 0 && write(inside->groups[i], "0", 1) != 1)
            return err_set_errno(err, errno, LIMITS_STEP, "the %s group takes no process",
                                 cgroups_kind_name((enum group_kind)(GROUP_UNIFIED + 1 + i)));
        cleanup_close(&inside->groups[i]);
    }
    return 0;
}

/* --- readings ------------------------------------------------------------------------------ */

static void grow(int64_t *figure, int64_t reading)
{
    if (reading > *figure)
        *figure = reading;
}

static int64_t memory_close(const struct limits *limits)
{
    int64_t limit = limits->wanted.of[LIMIT_MEMORY];
    return is_metered(limits, LIMIT_MEMORY) ? limit - limit / MEMORY_CLOSE_PART : INT64_MAX;
}

/* What the groups say; false where they do not say everything. */
static bool read_groups(struct limits *limits)
{
    struct limits_usage *usage = &limits->usage;
    int64_t cpu = cgroups_figure(&limits->cgroups, FIGURE_CPU_NS);
    int64_t memory = cgroups_figure(&limits->cgroups, FIGURE_MEMORY);
    int64_t processes = cgroups_figure(&limits->cgroups, FIGURE_PROCESSES);
    grow(&usage->cpu_ns, cpu);
    grow(&usage->memory_peak_bytes, cgroups_figure(&limits->cgroups, FIGURE_MEMORY_PEAK));
    if (memory >= 0)
        usage->memory_bytes = memory;
    if (processes >= 0)
        usage->processes = processes;
    return cpu >= 0 && memory >= 0 && processes >= 0;
}

static int read_all(struct limits *limits, bool whole, struct err *err)
{
    struct limits_usage *usage = &limits->usage;
    struct meter_reading reading = { .written_bytes = limits->meter.written_last };
    bool grouped = read_groups(limits), disk = disk_is_watched(limits->disk);
    int r = 0;
    if (limits->entered && !limits->ended && (!grouped || disk)) {
        unsigned what = (grouped ? 0 : METER_MEMORY) | (disk ? METER_WRITTEN : 0);
        r = meter_read(&limits->meter, what, memory_close(limits), &reading, err);
        grow(&usage->cpu_ns, reading.cpu_ns);
    }
    if (r < 0)
        return r;
    if (disk)
        usage->disk_bytes =
            disk_read(limits->disk, limits->wanted.of[LIMIT_DISK], reading.written_bytes, whole);
    if (!cgroups_limit_memory(&limits->cgroups))
        usage->memory_bytes = reading.memory_bytes + disk_tmpfs_bytes(limits->disk);
    if (!cgroups_limit_processes(&limits->cgroups))
        usage->processes = reading.processes;
    grow(&usage->memory_peak_bytes, usage->memory_bytes);
    grow(&usage->processes_peak, usage->processes);
    return 0;
}

int limits_read(struct limits *limits, struct limits_usage *ret, struct err *err)
{
    int r = read_all(limits, true, err);
    if (r == 0)
        *ret = limits->usage;
    return r;
}

void limits_ended(struct limits *limits, const struct rusage *use)
{
    const struct timeval *user = &use->ru_utime, *system = &use->ru_stime;
    limits->ended = true;
    limits->meter.init = 0;
    grow(&limits->usage.cpu_ns, (user->tv_sec + system->tv_sec) * NS_PER_SECOND +
                                    (user->tv_usec + system->tv_usec) * 1000);
    if (!cgroups_limit_memory(&limits->cgroups))
        grow(&limits->usage.memory_peak_bytes, (int64_t)use->ru_maxrss * 1024);
}

/* --- exhaustion ---------------------------------------------------------------------------- */

/* What is left of a limit, in the unit of its rate. */
static int64_t headroom_of(const struct limits *limits, enum limit limit)
{
    const struct limits_usage *usage = &limits->usage;
    int64_t wanted = limits->wanted.of[limit];
    switch (limit) {
    case LIMIT_MEMORY:
        return wanted - usage->memory_bytes;
    case LIMIT_CPU:
        wanted = wanted < INT64_MAX / NS_PER_SECOND ? wanted * NS_PER_SECOND : INT64_MAX;
        return wanted - usage->cpu_ns;
    case LIMIT_DISK:
        return wanted - usage->disk_bytes;
    case LIMIT_PROCESSES:
        return wanted + PROCESSES_OF_OURS - usage->processes;
    case LIMIT_GPU:
    case LIMIT_WALL_CLOCK:
    case LIMIT_OPEN_FILES:
    case LIMIT_OUTPUT:
    case LIMIT_COUNT:
        break;
    }
    return INT64_MAX;
}

/* The least interval of all that is metered; ret_any is false where nothing is. */
static int64_t headroom_ms(const struct limits *limits, int64_t cost_ns, bool *ret_any)
{
    int64_t least_ms = LOOK_CEILING_MS;
    *ret_any = is_wanted(limits, LIMIT_MEMORY); /* a group's killings are looked for */
    for (enum limit limit = 0; limit < LIMIT_COUNT; limit++) {
        int64_t rate = rate_of(limits, limit), headroom = headroom_of(limits, limit);
        if (!rate || !is_metered(limits, limit) ||
            (limit == LIMIT_DISK && !disk_is_watched(limits->disk)))
            continue;
        *ret_any = true;
        if (limit == LIMIT_DISK && headroom > 0)
            headroom = disk_headroom(limits->disk, limits->wanted.of[LIMIT_DISK]);
        int64_t interval_ms = limits_interval_ms(headroom, rate, cost_ns);
        least_ms = interval_ms < least_ms ? interval_ms : least_ms;
    }
    return least_ms;
}

bool limits_starved(const struct limits *limits)
{
    return is_wanted(limits, LIMIT_MEMORY) &&
           cgroups_figure(&limits->cgroups, FIGURE_OOM_KILLS) > 0;
}

/* A use that stands at its ceiling has not passed it; what is used up has no headroom at all. */
static bool is_reached(const struct limits *limits, enum limit limit)
{
    if (limit == LIMIT_MEMORY && limits_starved(limits))
        return true;
    int64_t headroom = headroom_of(limits, limit);
    return is_metered(limits, limit) && (limit == LIMIT_CPU ? headroom <= 0 : headroom < 0);
}

int limits_exhausted(struct limits *limits, enum limit *ret_limit, int *ret_next_ms,
                     struct err *err)
{
    bool any = false;
    int64_t began_ns = limits_now_ns();
    if (!limits->ended && began_ns < limits->next_ns) {
        headroom_ms(limits, 0, &any);
        *ret_next_ms = any ? (int)((limits->next_ns - began_ns) / NS_PER_MS + 1) : -1;
        return 0;
    }
    int r = read_all(limits, limits->ended, err);
    if (r < 0)
        return r;
    for (enum limit limit = 0; limit < LIMIT_COUNT; limit++) {
        if (is_reached(limits, limit)) {
            *ret_limit = limit;
            return 1;
        }
    }
    int64_t now_ns = limits_now_ns(), next_ms = headroom_ms(limits, now_ns - began_ns, &any);
    limits->next_ns = now_ns + next_ms * NS_PER_MS;
    *ret_next_ms = any && !limits->ended ? (int)next_ms : -1;
    return 0;
}

/* --- stopping ------------------------------------------------------------------------------ */

int limits_freeze(struct limits *limits, bool frozen, struct err *err)
{
    if (cgroups_freeze(&limits->cgroups, frozen, NULL) == 0)
        return 0;
    return meter_signal(&limits->meter, frozen ? SIGSTOP : SIGCONT, err);
}

int limits_kill(struct limits *limits, struct err *err)
{
    if (cgroups_kill(&limits->cgroups, NULL) == 0)
        return 0;
    return meter_signal(&limits->meter, SIGKILL, err);
}
