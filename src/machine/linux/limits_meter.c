/*
 * limits_meter: what the processes of a run use, read from /proc.
 *
 * Theory of operation. A run with a pid namespace is read through the /proc
 * that is mounted in its own root: that folder lists its processes and no
 * others. Only root is let in there, since the first process of a sandbox is
 * not dumpable; for others such a run is what descends from that process, to
 * which every orphan of the namespace is given. One without a namespace (the
 * process tier) is what descends from the supervisor. Descent is found by
 * walking up the parents of all processes of the host.
 *
 * CPU time of a process contains that of the children it waited for, so the
 * sum over those that live is whole, but for children that nobody waits for
 * (SIGCHLD ignored). Their going makes the sum smaller, and by as much as it
 * shrinks, that much is kept in `cpu_lost`.
 *
 * Memory is private and shared memory, resident or swapped; pages of files are
 * the kernel's to drop. Pages that a fork shares are counted in each process,
 * so where that sum comes close to the limit they are read again as
 * proportional shares, which the kernel finds by walking page tables. Memory
 * files that are held open and not mapped show in neither; descriptors are
 * looked through for them once the host's shared memory has grown by a
 * quarter of that mark.
 *
 * Threats. Everything named here is the sandbox's to shape: names with spaces
 * and brackets, a root that was moved (the folder must be a proc file system,
 * reached without links), processes that end while they are read (left out),
 * thousands of descriptors (looked through within a bound).
 *
 * Limits. Not seen: what a child of a parent that does not wait burns between
 * two readings; memory files that no living process holds open (in flight
 * over a socket, or mapped by nobody); System V segments that nobody attached.
 */
#include <dirent.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>

#include "machine/linux/limits_internal.h"

#define PROCESSES_MAX     32768 /* of one reading: more is an error, and ends the run */
#define STAT_BYTES_MAX    1024
#define STATUS_BYTES_MAX  4096
#define MEMINFO_BYTES_MAX 4096
#define DESCRIPTORS_MAX   65536 /* looked at in one reading */
#define SIGNAL_ROUNDS_MAX 64
#define ROUND_NS          200000
#define ANCESTORS_MAX     4096
#define CENSUS_ATTEMPTS   3
#define BLOCK_BYTES       512
#define KIB               1024

void meter_init(struct meter *meter)
{
    *meter = (struct meter){ .host = -1, .namespace = -1 };
}

void meter_release(struct meter *meter)
{
    cleanup_close(&meter->host);
    cleanup_close(&meter->namespace);
    meter_init(meter);
}

/* --- one process --------------------------------------------------------------------------- */

struct process {
    pid_t pid, parent;
    char state;
    int64_t ticks; /* its own and those of the children it waited for */
    int64_t threads;
    bool ours;
};

/* Field numbers of /proc/PID/stat as proc(5) counts them; the name, field 2, ends at the last `)`.
 */
enum { FIELD_STATE = 3, FIELD_PARENT = 4, FIELD_UTIME = 14, FIELD_CSTIME = 17, FIELD_THREADS = 20 };

static int read_stat(int folder, pid_t pid, struct process *ret)
{
    char path[32], text[STAT_BYTES_MAX];
    snprintf(path, sizeof(path), "%d/stat", (int)pid);
    if (limits_read_file(folder, path, text, sizeof(text)) < 0)
        return -ESRCH;
    char *at = strrchr(text, ')');
    if (!at || at[1] != ' ')
        return -ESRCH;
    *ret = (struct process){ .pid = pid, .state = at[2] };
    at += 3;
    for (int field = FIELD_PARENT; field <= FIELD_THREADS; field++) {
        long long number = strtoll(at, &at, 10);
        if (field == FIELD_PARENT)
            ret->parent = (pid_t)number;
        else if (field >= FIELD_UTIME && field <= FIELD_CSTIME)
            ret->ticks += number;
        else if (field == FIELD_THREADS)
            ret->threads = number;
    }
    return 0;
}

static int64_t kib_after(const char *text, const char *key)
{
    int64_t number = limits_number_after(text, key);
    return number > 0 ? number * KIB : 0;
}

/* Upper bound of its share of memory: pages shared with others count whole. */
static int64_t plain_memory(int folder, pid_t pid)
{
    char path[32], text[STATUS_BYTES_MAX];
    snprintf(path, sizeof(path), "%d/status", (int)pid);
    if (limits_read_file(folder, path, text, sizeof(text)) < 0)
        return 0;
    return kib_after(text, "RssAnon:") + kib_after(text, "RssShmem:") + kib_after(text, "VmSwap:");
}

/* Its proportional share; where that cannot be read, the plain figure. */
static int64_t shared_memory(int folder, pid_t pid)
{
    char path[32], text[STATUS_BYTES_MAX];
    snprintf(path, sizeof(path), "%d/smaps_rollup", (int)pid);
    if (limits_read_file(folder, path, text, sizeof(text)) <= 0 ||
        limits_number_after(text, "Pss_Anon:") < 0)
        return plain_memory(folder, pid);
    return kib_after(text, "Pss_Anon:") + kib_after(text, "Pss_Shmem:") +
           kib_after(text, "SwapPss:");
}

static int64_t written_bytes(int folder, pid_t pid)
{
    char path[32], text[STATUS_BYTES_MAX];
    snprintf(path, sizeof(path), "%d/io", (int)pid);
    if (limits_read_file(folder, path, text, sizeof(text)) <= 0)
        return 0;
    int64_t written = limits_number_after(text, "write_bytes:");
    int64_t taken_back = limits_number_after(text, "cancelled_write_bytes:");
    return written > taken_back ? written - (taken_back > 0 ? taken_back : 0) : 0;
}

/* --- all processes ------------------------------------------------------------------------- */

struct census {
    struct process *processes;
    size_t count, capacity;
};

static void census_release(struct census *census)
{
    free(census->processes);
}

static int census_add(struct census *census, const struct process *process, struct err *err)
{
    if (census->count == PROCESSES_MAX)
        return err_set(err, ERR_LIMIT, LIMITS_STEP, "there are more than %d processes",
                       PROCESSES_MAX);
    if (census->count == census->capacity) {
        size_t capacity = census->capacity ? 2 * census->capacity : 64;
        struct process *grown = realloc(census->processes, capacity * sizeof(*grown));
        if (!grown)
            return err_set(err, ERR_MEMORY, LIMITS_STEP, "no memory for %zu processes", capacity);
        census->processes = grown;
        census->capacity = capacity;
    }
    census->processes[census->count++] = *process;
    return 0;
}

/*
 * The /proc of the sandbox's root. It is asked whether its pid 1 is of the sandbox's namespace: in
 * a root that has not got its own yet, the host's would be found.
 */
static int open_namespace(struct meter *meter)
{
    char path[32];
    struct statfs system;
    struct stat first;
    struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                            .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS };
    if (meter->namespace >= 0)
        return meter->namespace;
    snprintf(path, sizeof(path), "%d/root", (int)meter->init);
    _cleanup_(cleanup_close) int root = openat(meter->host, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -ESRCH;
    _cleanup_(cleanup_close) int proc = (int)syscall(SYS_openat2, root, "proc", &how, sizeof(how));
    if (proc < 0 || fstatfs(proc, &system) < 0 || system.f_type != PROC_SUPER_MAGIC ||
        fstatat(proc, "1/ns/pid", &first, 0) < 0 || first.st_ino != meter->pid_namespace)
        return -ESRCH;
    return meter->namespace = TAKE_FD(proc);
}

static int by_pid(const void *a, const void *b)
{
    const struct process *first = a, *second = b;
    return (first->pid > second->pid) - (first->pid < second->pid);
}

static bool descends_from(const struct census *census, const struct process *process, pid_t root)
{
    for (int depth = 0; process && depth < ANCESTORS_MAX; depth++) {
        if (process->parent == root)
            return true;
        struct process parent = { .pid = process->parent };
        process = bsearch(&parent, census->processes, census->count, sizeof(parent), by_pid);
    }
    return false;
}

/* Keeps what descends from `root`, and not root itself. */
static void keep_descendants(struct census *census, pid_t root)
{
    qsort(census->processes, census->count, sizeof(*census->processes), by_pid);
    for (size_t i = 0; i < census->count; i++)
        census->processes[i].ours = descends_from(census, &census->processes[i], root);
    size_t kept = 0;
    for (size_t i = 0; i < census->count; i++)
        if (census->processes[i].ours)
            census->processes[kept++] = census->processes[i];
    census->count = kept;
}

static int list_processes(int proc, struct census *census, struct err *err)
{
    struct process process;
    int copy = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
    if (!folder) {
        r = err_set_errno(err, errno, LIMITS_STEP, "the processes of the run");
        cleanup_close(&copy);
        return r;
    }
    for (struct dirent *entry; r == 0 && (entry = readdir(folder));) {
        char *end;
        long long pid = strtoll(entry->d_name, &end, 10);
        if (*end == '\0' && pid > 0 && pid <= INT32_MAX &&
            read_stat(proc, (pid_t)pid, &process) == 0)
            r = census_add(census, &process, err);
    }
    closedir(folder);
    return r;
}

/* All processes of the run, and the /proc in which their numbers hold (it stays the meter's). */
static int take_census(struct meter *meter, struct census *census, int *ret_proc, struct err *err)
{
    struct process process;
    int proc = meter->own_pids && meter->init ? open_namespace(meter) : meter->host, r = 0;
    census->count = 0;
    if (meter->host < 0 || (meter->own_pids && !meter->init)) {
        proc = -1; /* not yet, or no more */
    } else if (proc < 0) {
        proc = meter->host;
        r = list_processes(proc, census, err);
        keep_descendants(census, meter->init);
        if (r == 0 && read_stat(proc, meter->init, &process) == 0)
            r = census_add(census, &process, err);
    } else {
        r = list_processes(proc, census, err);
        if (!meter->own_pids)
            keep_descendants(census, getpid());
    }
    *ret_proc = proc;
    return r;
}

/* --- memory files -------------------------------------------------------------------------- */

/* A file in memory that has no name left; each is counted once for every descriptor of one
 * process, which errs against the run only where it duplicates them. */
static int64_t unlinked_memory_of(int folder, pid_t pid, int *left)
{
    char path[64];
    int64_t bytes = 0;
    ino_t last = 0;
    snprintf(path, sizeof(path), "%d/fd", (int)pid);
    int descriptors = openat(folder, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = descriptors >= 0 ? fdopendir(descriptors) : NULL;
    if (!list) {
        cleanup_close(&descriptors);
        return 0;
    }
    for (struct dirent *entry; *left > 0 && (entry = readdir(list));) {
        struct stat status;
        struct statfs system;
        (*left)--;
        if (entry->d_type != DT_LNK || fstatat(dirfd(list), entry->d_name, &status, 0) < 0 ||
            !S_ISREG(status.st_mode) || status.st_nlink || status.st_ino == last)
            continue;
        _cleanup_(cleanup_close) int file = openat(dirfd(list), entry->d_name, O_PATH | O_CLOEXEC);
        if (file < 0 || fstatfs(file, &system) < 0 || system.f_type != TMPFS_MAGIC)
            continue;
        last = status.st_ino;
        bytes += status.st_blocks * BLOCK_BYTES;
    }
    closedir(list);
    return bytes;
}

static int64_t host_shared_memory(int host)
{
    char text[MEMINFO_BYTES_MAX];
    return limits_read_file(host, "meminfo", text, sizeof(text)) > 0 ? kib_after(text, "Shmem:")
                                                                     : 0;
}

static int64_t memory_of(const struct meter *meter, const struct census *census, int proc,
                         int64_t memory_close)
{
    int64_t plain = 0, shared = 0, unlinked = 0;
    int left = DESCRIPTORS_MAX;
    for (size_t i = 0; i < census->count; i++)
        plain += plain_memory(proc, census->processes[i].pid);
    int64_t grown = host_shared_memory(meter->host) - meter->shared_memory_start;
    for (size_t i = 0; i < census->count && grown >= memory_close / 4; i++)
        unlinked += unlinked_memory_of(proc, census->processes[i].pid, &left);
    if (plain + unlinked < memory_close)
        return plain + unlinked;
    for (size_t i = 0; i < census->count; i++)
        shared += shared_memory(proc, census->processes[i].pid);
    return shared + unlinked;
}

/* --- readings ------------------------------------------------------------------------------ */

int meter_enter(struct meter *meter, pid_t init, struct err *err)
{
    char path[32];
    struct stat ours, theirs;
    meter->host = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(path, sizeof(path), "%d/ns/pid", (int)init);
    if (meter->host < 0 || fstatat(meter->host, "self/ns/pid", &ours, 0) < 0 ||
        fstatat(meter->host, path, &theirs, 0) < 0)
        return err_set_errno(err, errno, LIMITS_STEP, "/proc does not show the sandbox");
    meter->own_pids = ours.st_ino != theirs.st_ino;
    meter->pid_namespace = theirs.st_ino;
    meter->init = init;
    return 0;
}

void meter_start_memory(struct meter *meter)
{
    meter->shared_memory_start = host_shared_memory(meter->host);
}

int meter_read(struct meter *meter, unsigned what, int64_t memory_close, struct meter_reading *ret,
               struct err *err)
{
    _cleanup_(census_release) struct census census = { 0 };
    int64_t tick_ns = INT64_C(1000000000) / sysconf(_SC_CLK_TCK), cpu = 0;
    int proc = -1;
    /* A child that is waited for while this reads may be missing from both: read once more. */
    for (int attempt = 0; attempt < CENSUS_ATTEMPTS && (!attempt || cpu < meter->cpu_last);
         attempt++) {
        int r = take_census(meter, &census, &proc, err);
        if (r < 0)
            return r;
        cpu = 0;
        for (size_t i = 0; i < census.count; i++)
            cpu += census.processes[i].ticks * tick_ns;
    }
    if (cpu < meter->cpu_last)
        meter->cpu_lost += meter->cpu_last - cpu;
    meter->cpu_last = cpu;
    struct meter_reading reading = { .cpu_ns = cpu + meter->cpu_lost };
    for (size_t i = 0; i < census.count; i++) {
        reading.processes += census.processes[i].threads;
        if (what & METER_WRITTEN)
            reading.written_bytes += written_bytes(proc, census.processes[i].pid);
    }
    if (what & METER_MEMORY)
        reading.memory_bytes = memory_of(meter, &census, proc, memory_close);
    if (reading.written_bytes < meter->written_last)
        reading.written_bytes = meter->written_last; /* who wrote it is gone; the bytes are not */
    meter->written_last = reading.written_bytes;
    *ret = reading;
    return 0;
}

/* --- signals ------------------------------------------------------------------------------- */

static bool needs_signal(const struct process *process, int signal)
{
    bool dead = process->state == 'Z' || process->state == 'X';
    bool stopped = process->state == 'T' || process->state == 't';
    return !dead && (signal == SIGKILL || stopped == (signal == SIGCONT));
}

/* The process's folder in /proc stands for the process itself, whoever gets its number later. */
static void send_signal(int proc, pid_t pid, int signal)
{
    char path[32];
    snprintf(path, sizeof(path), "%d", (int)pid);
    _cleanup_(cleanup_close) int process = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (process >= 0)
        syscall(SYS_pidfd_send_signal, process, signal, NULL, 0);
}

int meter_signal(struct meter *meter, int signal, struct err *err)
{
    _cleanup_(census_release) struct census census = { 0 };
    if (meter->init && meter->own_pids && signal == SIGKILL) {
        kill(meter->init, SIGKILL); /* and its namespace with it */
        return 0;
    }
    for (int round = 0; round < SIGNAL_ROUNDS_MAX; round++) {
        bool any = false;
        int proc, r = take_census(meter, &census, &proc, err);
        if (r < 0)
            return r;
        for (size_t i = 0; i < census.count; i++) {
            if (!needs_signal(&census.processes[i], signal))
                continue;
            any = true;
            send_signal(proc, census.processes[i].pid, signal);
        }
        if (!any)
            return 0;
        nanosleep(&(struct timespec){ .tv_nsec = ROUND_NS }, NULL);
    }
    return err_set(err, ERR_LIMIT, LIMITS_STEP, "signal %d does not reach all processes", signal);
}
