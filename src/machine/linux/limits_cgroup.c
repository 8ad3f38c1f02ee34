/*
 * limits_cgroup: the control groups of a run.
 *
 * Theory of operation. The groups lie below the one that this process is in,
 * so that whatever holds for the supervisor holds for the run as well. Which
 * hierarchies there are is told by what is mounted at /sys/fs/cgroup: one
 * unified tree, or a tmpfs with a folder for each v1 controller and, on hybrid
 * hosts, the unified tree in `unified`. /proc/self/cgroup says the place in
 * each. Where the caller may not make a folder there is no group, and that is
 * no error: the others' limits and the meter stand. V1 hierarchies are root's:
 * nobody else is asked for their place in them, which alone takes 0.1 ms.
 *
 * To move a process is dear: the kernel waits for a grace period, of 3 to 16 ms
 * where it was measured. It waits for none where a process is born into a
 * unified group (clone3), nor where one of a single thread moves itself into a
 * v1 group, by writing 0 to its `tasks`. So the unified group can be made ahead
 * of the rest, and the sandbox gets `tasks` of the others, open.
 *
 * The unified tree gives kill, freeze and CPU time even where its controllers
 * are bound to v1; then v1 adds memory and pids alone. Only without it are
 * cpuacct and freezer taken from v1.
 *
 * Name: PREFIX, the maker's pid namespace, pid and start time, the run's name.
 * A group whose maker is dead, as seen from the same pid namespace, is a
 * leftover: its processes are killed and it is removed at the next start. In
 * another pid namespace a number means somebody else, so those are left alone.
 *
 * Invariants.
 * 1. A group in use has both descriptors; its folder exists until remove.
 * 2. No process of the caller's is ever moved except its own, and that only
 *    within a group that the service manager delegated to it.
 * 3. What is in a v1 freezer gets its signal and is thawed then: a frozen
 *    process there keeps even SIGKILL pending.
 *
 * Limits. A process in a kernel wait that cannot be interrupted keeps its
 * group; removal gives up after REMOVE_MS, and the next start removes it.
 */
#include <dirent.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include "machine/linux/limits_internal.h"

#define CGROUP_ROOT       "/sys/fs/cgroup"
#define PREFIX            "agent-machine."
#define LEAF_SUPERVISOR   "supervisor"
#define MEMBERSHIP_MAX    8192 /* bytes of /proc/self/cgroup */
#define FIGURES_MAX       4096 /* bytes of a file of figures */
#define PROCS_BYTES_MAX   65536
#define GROUP_PATH_MAX    4096
#define KILL_ROUNDS_MAX   200
#define REMOVE_MS         2000
#define STEP_US           200
#define FREEZE_MS         500
#define LEFTOVERS_MAX     64 /* looked at by one start, in each hierarchy */
#define V1_UNLIMITED      INT64_C(0x7ffffffffffff000)
#define PROCESSES_OF_OURS 1 /* pid 1 of the sandbox */

static const char *const kind_names[GROUP_COUNT] = {
    [GROUP_UNIFIED] = "unified", [GROUP_MEMORY] = "memory",   [GROUP_PIDS] = "pids",
    [GROUP_CPUACCT] = "cpuacct", [GROUP_FREEZER] = "freezer",
};

/* --- where they lie ------------------------------------------------------------------------ */

const char *cgroups_kind_name(enum group_kind kind)
{
    return kind_names[kind];
}

void cgroups_init(struct cgroups *cgroups)
{
    *cgroups = (struct cgroups){ 0 };
    for (size_t i = 0; i < GROUP_COUNT; i++)
        cgroups->parents[i] = cgroups->groups[i] = cgroups->tasks[i] = -1;
}

void cgroups_release(struct cgroups *cgroups)
{
    for (size_t i = 0; i < GROUP_COUNT; i++) {
        cleanup_close(&cgroups->parents[i]);
        cleanup_close(&cgroups->groups[i]);
        cleanup_close(&cgroups->tasks[i]);
    }
    cgroups_init(cgroups);
}

bool cgroups_have(const struct cgroups *cgroups, enum group_kind kind)
{
    return cgroups->groups[kind] >= 0;
}

bool cgroups_limit_memory(const struct cgroups *cgroups)
{
    return cgroups->unified_memory || cgroups_have(cgroups, GROUP_MEMORY);
}

bool cgroups_limit_processes(const struct cgroups *cgroups)
{
    return cgroups->unified_pids || cgroups_have(cgroups, GROUP_PIDS);
}

static bool list_has(struct str list, const char *word)
{
    for (size_t i = 0; i < list.len; i = str_index(list, ',', i) + 1) {
        size_t end = str_index(list, ',', i);
        if (str_equal(str_make(list.ptr + i, end - i), str_from(word)))
            return true;
    }
    return false;
}

/* The path of a line "number:controllers:path"; the unified tree's line is "0::path". */
static struct str membership_of(struct str text, enum group_kind kind)
{
    while (text.len) {
        struct str line = str_make(text.ptr, str_index(text, '\n', 0));
        text = str_from_offset(text, line.len + 1);
        size_t first = str_index(line, ':', 0), second = str_index(line, ':', first + 1);
        if (second >= line.len)
            continue;
        struct str controllers = str_make(line.ptr + first + 1, second - first - 1);
        if (kind == GROUP_UNIFIED ? str_starts(line, STR("0::"))
                                  : list_has(controllers, kind_names[kind]))
            return str_from_offset(line, second + 1);
    }
    return STR("");
}

bool cgroups_are_unified(void)
{
    struct statfs system;
    return statfs(CGROUP_ROOT, &system) == 0 && system.f_type == CGROUP2_SUPER_MAGIC;
}

/* The folder of the group that this process is in; -1 where there is none to be seen. */
static int open_own(enum group_kind kind, struct str membership)
{
    char path[GROUP_PATH_MAX];
    struct statfs system;
    bool bare = kind == GROUP_UNIFIED && cgroups_are_unified();
    struct str own = membership_of(membership, kind);
    if (!own.len || str_starts(own, STR("/..")) ||
        (size_t)snprintf(path, sizeof(path), "%s/%s%.*s", CGROUP_ROOT, bare ? "" : kind_names[kind],
                         STR_ARG(own)) >= sizeof(path))
        return -1;
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    __fsword_t magic = kind == GROUP_UNIFIED ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC;
    if (fd < 0 || fstatfs(fd, &system) < 0 || system.f_type != magic)
        return -1;
    return TAKE_FD(fd);
}

static int write_file(int folder, const char *name, const char *text)
{
    _cleanup_(cleanup_close) int fd = openat(folder, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return -errno;
    return 0;
}

static int write_number(int folder, const char *name, int64_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)number);
    return write_file(folder, name, text);
}

/* --- names and leftovers ------------------------------------------------------------------- */

/* The start time of a process in clock ticks since boot; -1 where it is gone. */
static int64_t start_ticks(pid_t pid)
{
    char path[32], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (limits_read_file(AT_FDCWD, path, text, sizeof(text)) < 0)
        return -1;
    const char *at = strrchr(text, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoll(at, NULL, 10) : -1;
}

static unsigned long long pid_namespace(void)
{
    struct stat status;
    return stat("/proc/self/ns/pid", &status) == 0 ? (unsigned long long)status.st_ino : 0;
}

/* Of this process, which a launch asks for twice. */
static int64_t own_start_ticks(void)
{
    static pid_t of;
    static int64_t ticks;
    if (of != getpid()) {
        of = getpid();
        ticks = start_ticks(of);
    }
    return ticks;
}

int cgroups_name(const char *run_name, char ret[GROUP_NAME_MAX], struct err *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    size_t len = strlen(run_name);
    if (!len || len > LIMITS_NAME_MAX || strspn(run_name, allowed) != len)
        return err_set(err, ERR_USAGE, LIMITS_STEP,
                       "a run's name is 1 to %d letters, digits, hyphens and underscores",
                       LIMITS_NAME_MAX);
    snprintf(ret, GROUP_NAME_MAX, PREFIX "%llu.%d.%lld.%s", pid_namespace(), (int)getpid(),
             (long long)own_start_ticks(), run_name);
    return 0;
}

/* Whether a name is of a group whose maker, of this pid namespace, is dead. */
static bool is_leftover(const char *name, unsigned long long namespace)
{
    char *end;
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 ||
        strtoull(name + strlen(PREFIX), &end, 10) != namespace || *end != '.')
        return false;
    long long pid = strtoll(end + 1, &end, 10);
    if (*end != '.' || pid <= 0 || pid > INT32_MAX)
        return false;
    long long start = strtoll(end + 1, &end, 10);
    return *end == '.' && start_ticks((pid_t)pid) != start;
}

static int kill_members(int group, bool *ret_any)
{
    char text[PROCS_BYTES_MAX];
    ssize_t len = limits_read_file(group, "cgroup.procs", text, sizeof(text));
    *ret_any = len > 0;
    if (len < 0)
        return (int)len;
    struct str rest = str_make(text, (size_t)len);
    while (rest.len) {
        size_t end = str_index(rest, '\n', 0);
        if (end == rest.len)
            break; /* the buffer's end: the next round sees what follows */
        long long pid = strtoll(rest.ptr, NULL, 10);
        if (pid > 0)
            kill((pid_t)pid, SIGKILL);
        rest = str_from_offset(rest, end + 1);
    }
    return 0;
}

static bool remove_folder(int parent, const char *name)
{
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

/* Once, without waiting: what does not go now is there for the next start. */
static void remove_leftovers(int parent, enum group_kind kind)
{
    unsigned long long namespace = pid_namespace();
    int copy = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = copy >= 0 ? fdopendir(copy) : NULL;
    if (!folder) {
        cleanup_close(&copy);
        return;
    }
    int seen = 0;
    for (struct dirent *entry; seen < LEFTOVERS_MAX && (entry = readdir(folder));) {
        if (entry->d_type != DT_DIR || !is_leftover(entry->d_name, namespace))
            continue;
        seen++;
        _cleanup_(cleanup_close) int group =
            openat(parent, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool any;
        if (group >= 0 && write_file(group, "cgroup.kill", "1") < 0)
            kill_members(group, &any);
        if (group >= 0 && kind == GROUP_FREEZER)
            write_file(group, "freezer.state", "THAWED");
        remove_folder(parent, entry->d_name);
    }
    closedir(folder);
}

/* --- making them --------------------------------------------------------------------------- */

/* 1 made, 0 not for this caller, -errno. */
static int make_group(struct cgroups *cgroups, enum group_kind kind, int parent)
{
    _cleanup_(cleanup_close) int owned = parent;
    if (parent < 0 || faccessat(parent, ".", W_OK, AT_EACCESS) < 0)
        return 0;
    remove_leftovers(parent, kind);
    if (mkdirat(parent, cgroups->name, 0755) < 0)
        return errno == EACCES || errno == EPERM || errno == EROFS ? 0 : -errno;
    int group = openat(parent, cgroups->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (group < 0) {
        int r = -errno;
        remove_folder(parent, cgroups->name);
        return r;
    }
    cgroups->parents[kind] = TAKE_FD(owned);
    cgroups->groups[kind] = group;
    if (kind == GROUP_UNIFIED)
        return 1;
    cgroups->tasks[kind] = openat(group, "tasks", O_WRONLY | O_CLOEXEC);
    return cgroups->tasks[kind] < 0 ? -errno : 1;
}

static bool has_file(int folder, const char *name)
{
    return folder >= 0 && faccessat(folder, name, F_OK, 0) == 0;
}

static int set_limits(struct cgroups *cgroups, const struct limits_wanted *wanted)
{
    int64_t memory = wanted->of[LIMIT_MEMORY], processes = wanted->of[LIMIT_PROCESSES];
    int unified = cgroups->groups[GROUP_UNIFIED], v1 = cgroups->groups[GROUP_MEMORY];
    int r = 0;
    if (memory >= 0 && cgroups->unified_memory) {
        r = write_number(unified, "memory.max", memory);
        if (r == 0 && has_file(unified, "memory.swap.max"))
            r = write_number(unified, "memory.swap.max", 0);
        if (r == 0 && has_file(unified, "memory.oom.group"))
            r = write_number(unified, "memory.oom.group", 1);
    } else if (memory >= 0 && v1 >= 0) {
        memory = memory < V1_UNLIMITED ? memory : V1_UNLIMITED;
        r = write_number(v1, "memory.limit_in_bytes", memory);
        if (r == 0 && has_file(v1, "memory.memsw.limit_in_bytes"))
            r = write_number(v1, "memory.memsw.limit_in_bytes", memory);
    }
    if (r == 0 && processes >= 0 && cgroups_limit_processes(cgroups))
        r = write_number(cgroups->unified_pids ? unified : cgroups->groups[GROUP_PIDS], "pids.max",
                         processes + PROCESSES_OF_OURS);
    return r;
}

/* What the unified group is good for; the parent is asked to hand its controllers down. */
static void take_controllers(struct cgroups *cgroups)
{
    int group = cgroups->groups[GROUP_UNIFIED], parent = cgroups->parents[GROUP_UNIFIED];
    /* Each alone: one that is not there must not cost the other. Where processes lie in the
     * parent the kernel refuses, and the group has no controller. */
    write_file(parent, "cgroup.subtree_control", "+memory");
    write_file(parent, "cgroup.subtree_control", "+pids");
    cgroups->unified_memory = has_file(group, "memory.max");
    cgroups->unified_pids = has_file(group, "pids.max");
}

static bool is_needed(const struct cgroups *cgroups, enum group_kind kind)
{
    switch (kind) {
    case GROUP_UNIFIED:
        return true;
    case GROUP_MEMORY:
        return !cgroups->unified_memory;
    case GROUP_PIDS:
        return !cgroups->unified_pids;
    case GROUP_CPUACCT:
    case GROUP_FREEZER:
        return !cgroups_have(cgroups, GROUP_UNIFIED);
    case GROUP_COUNT:
        break;
    }
    return false;
}

static int refuse_group(struct cgroups *cgroups, int error_number, struct err *err)
{
    int r = err_set_errno(err, error_number, LIMITS_STEP, "the control group %s", cgroups->name);
    cgroups_remove(cgroups);
    return r;
}

/* Those up to a kind that are needed, not there yet, and for this caller to make. */
static int make_groups(struct cgroups *cgroups, enum group_kind last, bool v1)
{
    char membership[MEMBERSHIP_MAX];
    int r = 0;
    ssize_t len = limits_read_file(AT_FDCWD, "/proc/self/cgroup", membership, sizeof(membership));
    if (len <= 0)
        return 0; /* a kernel without control groups */
    for (enum group_kind kind = 0; r >= 0 && kind <= last; kind++) {
        if ((kind != GROUP_UNIFIED && !v1) || cgroups_have(cgroups, kind) ||
            !is_needed(cgroups, kind))
            continue;
        r = make_group(cgroups, kind, open_own(kind, str_make(membership, (size_t)len)));
        if (r > 0 && kind == GROUP_UNIFIED)
            take_controllers(cgroups);
    }
    return r;
}

int cgroups_make_ahead(struct cgroups *cgroups, const char *run_name, struct err *err)
{
    int r = cgroups_name(run_name, cgroups->name, err);
    if (r == 0)
        r = make_groups(cgroups, GROUP_UNIFIED, true);
    return r < 0 ? refuse_group(cgroups, -r, err) : 0;
}

int cgroups_make(struct cgroups *cgroups, const struct limits_wanted *wanted, const char *run_name,
                 struct err *err)
{
    bool v1 = !cgroups_are_unified();
    int r = cgroups->name[0] ? 0 : cgroups_name(run_name, cgroups->name, err);
    if (r < 0 || (v1 && geteuid() != 0))
        return r;
    r = make_groups(cgroups, GROUP_COUNT - 1, v1);
    if (r >= 0)
        r = set_limits(cgroups, wanted);
    return r < 0 ? refuse_group(cgroups, -r, err) : 0;
}

int cgroups_make_delegated(struct cgroups *cgroups, const struct limits_wanted *wanted,
                           const char *run_name, struct err *err)
{
    char membership[MEMBERSHIP_MAX];
    ssize_t len = limits_read_file(AT_FDCWD, "/proc/self/cgroup", membership, sizeof(membership));
    int r = cgroups_name(run_name, cgroups->name, err);
    if (r < 0 || len <= 0)
        return r;
    struct str text = str_make(membership, (size_t)len);
    _cleanup_(cleanup_close) int own = open_own(GROUP_UNIFIED, text);
    if (own < 0)
        return err_set(err, ERR_UNSUPPORTED, LIMITS_STEP, "the scope's control group is not seen");
    if (mkdirat(own, LEAF_SUPERVISOR, 0755) < 0 && errno != EEXIST)
        return err_set_errno(err, errno, LIMITS_STEP, "the scope's control group");
    _cleanup_(cleanup_close) int leaf =
        openat(own, LEAF_SUPERVISOR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = leaf < 0 ? -errno : write_file(leaf, "cgroup.procs", "0");
    if (r == 0)
        r = make_group(cgroups, GROUP_UNIFIED, TAKE_FD(own));
    if (r > 0) {
        take_controllers(cgroups);
        r = set_limits(cgroups, wanted);
    }
    return r < 0 ? refuse_group(cgroups, -r, err) : 0;
}

/* Whether it was spawned into the unified group: moving it there again would not be free. */
static bool is_member(const struct cgroups *cgroups, pid_t pid)
{
    char path[32], text[MEMBERSHIP_MAX];
    snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
    ssize_t len = limits_read_file(AT_FDCWD, path, text, sizeof(text));
    return len > 0 && str_ends(membership_of(str_make(text, (size_t)len), GROUP_UNIFIED),
                               str_from(cgroups->name));
}

int cgroups_enter(struct cgroups *cgroups, pid_t pid, struct err *err)
{
    if (!cgroups_have(cgroups, GROUP_UNIFIED) || is_member(cgroups, pid))
        return 0;
    int r = write_number(cgroups->groups[GROUP_UNIFIED], "cgroup.procs", pid);
    return r < 0 ? err_set_errno(err, -r, LIMITS_STEP, "the unified group takes no process") : 0;
}

/* --- reading them -------------------------------------------------------------------------- */

struct figure_source {
    const char *file;
    const char *key; /* NULL: the file is the number */
    int64_t scale;
};

static const struct figure_source unified_figures[FIGURE_COUNT] = {
    [FIGURE_CPU_NS] = { "cpu.stat", "usage_usec", 1000 },
    [FIGURE_MEMORY] = { "memory.current", NULL, 1 },
    [FIGURE_MEMORY_PEAK] = { "memory.peak", NULL, 1 },
    [FIGURE_OOM_KILLS] = { "memory.events", "oom_kill", 1 },
    [FIGURE_PROCESSES] = { "pids.current", NULL, 1 },
};

static const struct figure_source v1_figures[FIGURE_COUNT] = {
    [FIGURE_CPU_NS] = { "cpuacct.usage", NULL, 1 },
    [FIGURE_MEMORY] = { "memory.usage_in_bytes", NULL, 1 },
    [FIGURE_MEMORY_PEAK] = { "memory.max_usage_in_bytes", NULL, 1 },
    [FIGURE_OOM_KILLS] = { "memory.oom_control", "oom_kill", 1 },
    [FIGURE_PROCESSES] = { "pids.current", NULL, 1 },
};

static const enum group_kind v1_kinds[FIGURE_COUNT] = {
    [FIGURE_CPU_NS] = GROUP_CPUACCT,     [FIGURE_MEMORY] = GROUP_MEMORY,
    [FIGURE_MEMORY_PEAK] = GROUP_MEMORY, [FIGURE_OOM_KILLS] = GROUP_MEMORY,
    [FIGURE_PROCESSES] = GROUP_PIDS,
};

static int64_t read_figure(int group, const struct figure_source *source)
{
    char text[FIGURES_MAX];
    if (group < 0 || limits_read_file(group, source->file, text, sizeof(text)) <= 0)
        return -1;
    int64_t number = source->key ? limits_number_after(text, source->key) : strtoll(text, NULL, 10);
    return number < 0 || number > INT64_MAX / source->scale ? -1 : number * source->scale;
}

int64_t cgroups_figure(const struct cgroups *cgroups, enum figure figure)
{
    int64_t number = read_figure(cgroups->groups[GROUP_UNIFIED], &unified_figures[figure]);
    if (number < 0)
        number = read_figure(cgroups->groups[v1_kinds[figure]], &v1_figures[figure]);
    return number;
}

/* --- freezing, killing, removing ----------------------------------------------------------- */

/* The kernel freezes one process after the other; this is the last one's turn. */
static int wait_frozen(int group, const char *file, const char *word)
{
    char text[FIGURES_MAX];
    int64_t end = limits_now_ns() + INT64_C(1000000) * FREEZE_MS;
    do {
        if (limits_read_file(group, file, text, sizeof(text)) < 0)
            return -EIO;
        if (strstr(text, word))
            return 0;
        nanosleep(&(struct timespec){ .tv_nsec = STEP_US * 1000 }, NULL);
    } while (limits_now_ns() < end);
    return -ETIMEDOUT;
}

int cgroups_freeze(struct cgroups *cgroups, bool frozen, struct err *err)
{
    int unified = cgroups->groups[GROUP_UNIFIED], v1 = cgroups->groups[GROUP_FREEZER];
    int r = -EOPNOTSUPP;
    if (has_file(unified, "cgroup.freeze")) {
        r = write_number(unified, "cgroup.freeze", frozen);
        if (r == 0 && frozen)
            r = wait_frozen(unified, "cgroup.events", "frozen 1");
    } else if (v1 >= 0) {
        r = write_file(v1, "freezer.state", frozen ? "FROZEN" : "THAWED");
        if (r == 0 && frozen)
            r = wait_frozen(v1, "freezer.state", "FROZEN");
    }
    return r == 0 ? 0 : err_set_errno(err, -r, LIMITS_STEP, "the control group does not freeze");
}

static int any_group(const struct cgroups *cgroups)
{
    for (enum group_kind kind = 0; kind < GROUP_COUNT; kind++)
        if (cgroups_have(cgroups, kind))
            return cgroups->groups[kind];
    return -1;
}

/* Without cgroup.kill: what forks meanwhile is met in the next round, frozen if that is possible.
 */
static int kill_rounds(struct cgroups *cgroups)
{
    bool any = true;
    int group = any_group(cgroups), r = 0;
    for (int round = 0; r == 0 && any && round < KILL_ROUNDS_MAX; round++) {
        bool stopped = cgroups_freeze(cgroups, true, NULL) == 0;
        r = kill_members(group, &any);
        int thawed = stopped ? cgroups_freeze(cgroups, false, NULL) : 0; /* they die of it now */
        r = r ? r : thawed;
        if (any)
            nanosleep(&(struct timespec){ .tv_nsec = STEP_US * 1000 }, NULL);
    }
    return r == 0 && any ? -EBUSY : r;
}

int cgroups_kill(struct cgroups *cgroups, struct err *err)
{
    int unified = cgroups->groups[GROUP_UNIFIED];
    if (any_group(cgroups) < 0)
        return err_set_errno(err, EOPNOTSUPP, LIMITS_STEP, "there is no control group");
    int r = has_file(unified, "cgroup.kill") ? write_file(unified, "cgroup.kill", "1")
                                             : kill_rounds(cgroups);
    return r == 0 ? 0 : err_set_errno(err, -r, LIMITS_STEP, "the control group is not killed");
}

void cgroups_remove(struct cgroups *cgroups)
{
    int64_t end = limits_now_ns() + INT64_C(1000000) * REMOVE_MS;
    for (enum group_kind kind = 0; kind < GROUP_COUNT; kind++) {
        if (!cgroups_have(cgroups, kind))
            continue;
        /* The first attempt tells: an empty group goes at once. */
        bool killed = false;
        while (!remove_folder(cgroups->parents[kind], cgroups->name) && limits_now_ns() < end) {
            if (!killed)
                killed = cgroups_kill(cgroups, NULL) == 0;
            nanosleep(&(struct timespec){ .tv_nsec = STEP_US * 1000 }, NULL);
        }
    }
    cgroups_release(cgroups);
}
