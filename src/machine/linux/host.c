/*
 * host: see the header.
 *
 * Theory of operation. Each fact is a row: how it is found out, and what it
 * means. What only doing tells (host_tries.c) is done in a child that shares
 * one fact with this process and is ended by an alarm if it hangs; the rest is
 * read. Afterwards each fact that is not good gets its remedy, by its cause:
 * the settings that forbid user namespaces stand in a table of their own,
 * which a launch reads too.
 *
 * What holds. Nothing stays on the host but what a try would leave where it
 * may write control groups: a group, removed at once. A remedy is one command
 * that somebody may type, or NULL; none is ever run here.
 */
#include "machine/linux/host.h"

#include <linux/magic.h>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/file.h"
#include "machine/linux/host_tries.h"
#include "machine/linux/landlock.h"
#include "machine/linux/seccomp.h"

#define SETTING_MAX      4096 /* bytes of a small file of /proc, /sys or /etc that is read */
#define SUBORDINATE_MAX  (1 << 20)
#define CONTROL_PATH_MAX 4096
#define APPARMOR_SWITCH  "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
#define PROFILE_NAME     "agent-machine"
#define OPEN_CONTAINER                                                                             \
    "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined "             \
    "--security-opt systempaths=unconfined"

#define HOST_NAME(name, text) [name] = text,
const char *const host_fact_names[] = { HOST_FACT_TABLE(HOST_NAME) };
#undef HOST_NAME
const char *const host_state_names[] = {
    [HOST_GOOD] = "good",
    [HOST_LIMITED] = "limited",
    [HOST_MISSING] = "missing",
};

static host_try read_apparmor, read_landlock, read_subordinate_ids, read_control_groups,
    read_in_container, read_container_runtime;

/* What a fact means where it is good, and where it is not. */
static const struct {
    host_try *find;
    bool in_child;
    const char *good, *otherwise;
} rows[HOST_FACT_COUNT] = {
    [HOST_USER_NAMESPACES] = { host_try_user_namespaces, true,
                               "The sandbox has a view, processes and a network of its own.",
                               "There is no tier above `process`." },
    [HOST_APPARMOR] = { read_apparmor, false, "AppArmor does not stand in the way.",
                        "A user namespace that an ordinary user makes is powerless." },
    [HOST_PROC] = { host_try_proc, true, "The sandbox sees its own processes alone.",
                    "Without a /proc of its own there is no tier above `process`." },
    [HOST_OVERLAY] = { host_try_overlay, true, "Repositories can be staged.",
                       "No mount can be staged; read-only ones can be given." },
    [HOST_ID_MAPPED] = { host_try_id_mapped, true, "A launch by root runs as an ordinary user.",
                         "Root cannot lend a folder of this file system to the sandbox." },
    [HOST_LANDLOCK] = { read_landlock, false,
                        "Files, and what namespaces do not cover, are closed a second time.",
                        "The tier `process` needs ABI 6; others do with less." },
    [HOST_SECCOMP] = { host_try_seccomp, true, "System calls are filtered.",
                       "Nothing is run without a filter." },
    [HOST_NETFILTER] = { host_try_netfilter, true,
                         "Connections can be led to the network door, whatever their address.",
                         "The network door is reached by routes alone." },
    [HOST_SUBORDINATE_IDS] = { read_subordinate_ids, false, "Supplementary groups can be dropped.",
                               "The kernel keeps supplementary groups; a probe shows that they "
                               "reach nothing." },
    [HOST_CONTROL_GROUPS] = { read_control_groups, false, "The kernel keeps the limits.",
                              "Limits are kept by metering and by resource limits." },
    [HOST_IN_CONTAINER] = { read_in_container, false, "The host is no container.",
                            "The container's own rules apply first." },
    [HOST_CONTAINER_RUNTIME] = { read_container_runtime, false, "Images can be run.",
                                 "There is no tier `container`." },
};

/* Settings with which an ordinary user (or anybody) gets no user namespace worth having. */
static const struct setting {
    const char *path, *forbidding;
    bool root_is_exempt;
    const char *reason, *remedy;
} settings[] = {
    { "/proc/sys/user/max_user_namespaces", "0", false, "the setting user.max_user_namespaces is 0",
      "sudo sysctl -w user.max_user_namespaces=15000" },
    { "/proc/sys/kernel/unprivileged_userns_clone", "0", true,
      "the setting kernel.unprivileged_userns_clone is 0",
      "sudo sysctl -w kernel.unprivileged_userns_clone=1" },
    { APPARMOR_SWITCH, "1", true,
      "AppArmor restricts user namespaces, and no profile of this program is loaded",
      "./dev setup" },
};

static const struct setting *forbidding_setting(void);

/* ---- all of it ---- */

static void try_in_child(host_try *find, struct host_fact *fact)
{
    struct host_fact *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        host_found(fact, HOST_MISSING, "not tried: %s", strerror(errno));
        return;
    }
    host_found(shared, HOST_MISSING, "the try did not end within %d s", HOST_TRY_SECONDS);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(HOST_TRY_SECONDS);
        find(shared);
        _exit(0);
    }
    if (pid < 0)
        host_found(shared, HOST_MISSING, "not tried: %s", strerror(errno));
    else
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    *fact = *shared;
    munmap(shared, sizeof(*shared));
}

static const char *remedy_of(const struct host_fact *facts, enum host_fact_id id)
{
    bool has_namespaces = facts[HOST_USER_NAMESPACES].state == HOST_GOOD;
    bool in_container = facts[HOST_IN_CONTAINER].state != HOST_GOOD;
    if (id == HOST_USER_NAMESPACES) {
        const struct setting *setting = forbidding_setting();
        return setting ? setting->remedy : in_container ? OPEN_CONTAINER : NULL;
    }
    if (id == HOST_PROC && has_namespaces && in_container)
        return OPEN_CONTAINER;
    if (id == HOST_OVERLAY && has_namespaces)
        return "sudo modprobe overlay";
    if (id == HOST_NETFILTER && has_namespaces)
        return "sudo modprobe -a nf_tables nft_chain_nat nft_redir";
    return facts[id].remedy;
}

void host_examine(struct host_fact ret_facts[HOST_FACT_COUNT])
{
    for (size_t i = 0; i < HOST_FACT_COUNT; i++) {
        ret_facts[i] = (struct host_fact){ .state = HOST_MISSING };
        if (rows[i].in_child)
            try_in_child(rows[i].find, &ret_facts[i]);
        else
            rows[i].find(&ret_facts[i]);
    }
    for (size_t i = 0; i < HOST_FACT_COUNT; i++)
        if (ret_facts[i].state != HOST_GOOD)
            ret_facts[i].remedy = remedy_of(ret_facts, (enum host_fact_id)i);
}

const char *host_meaning(enum host_fact_id id, enum host_state state)
{
    return state == HOST_GOOD ? rows[id].good : rows[id].otherwise;
}

/* ---- tiers ---- */

static const struct host_answer given = { .is_given = true };

static struct host_answer lacks(const char *reason, const char *remedy)
{
    return (struct host_answer){ .reason = reason, .remedy = remedy };
}

static struct host_answer process_answer(bool has_seccomp, int abi)
{
    if (!has_seccomp)
        return lacks("the kernel takes no system call filters", NULL);
    if (abi < HOST_LANDLOCK_PROCESS)
        return lacks("Landlock keeps signals inside from ABI 6 on (Linux 6.12)", NULL);
    return given;
}

struct host_answer host_gives(const struct host_fact facts[HOST_FACT_COUNT], enum tier tier)
{
    if (tier == TIER_PROCESS)
        return process_answer(facts[HOST_SECCOMP].state == HOST_GOOD, landlock_abi());
    if (tier == TIER_VM)
        return lacks("this release starts no virtual machines", NULL);
    static const struct {
        enum host_fact_id id;
        const char *reason;
    } needs[] = {
        { HOST_SECCOMP, "the kernel takes no system call filters" },
        { HOST_USER_NAMESPACES, "no user namespace can be made, or it is powerless" },
        { HOST_PROC, "no /proc can be mounted in a namespace" },
        { HOST_CONTAINER_RUNTIME, "there is no crun" },
    };
    size_t count = ARRAY_LEN(needs) - (tier == TIER_NAMESPACES);
    for (size_t i = 0; i < count; i++)
        if (facts[needs[i].id].state != HOST_GOOD)
            return lacks(needs[i].reason, facts[needs[i].id].remedy);
    return given;
}

struct host_answer host_expects(enum tier tier)
{
    if (tier == TIER_PROCESS)
        return process_answer(seccomp_available(), landlock_abi());
    if (tier == TIER_VM)
        return lacks("this release starts no virtual machines", NULL);
    if (!seccomp_available())
        return lacks("the kernel takes no system call filters", NULL);
    const struct setting *setting = forbidding_setting();
    if (setting)
        return lacks(setting->reason, setting->remedy);
    if (tier == TIER_CONTAINER) {
        struct host_fact runtime = { 0 };
        read_container_runtime(&runtime);
        if (runtime.state != HOST_GOOD)
            return lacks("there is no crun", runtime.remedy);
    }
    return given;
}

/* ---- what is read ---- */

/* The first line of a small file; false where it cannot be read. */
static bool read_line(const char *path, char *ret_line, size_t size)
{
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, ret_line, size - 1);
    if (n < 0)
        return false;
    ret_line[n] = '\0';
    ret_line[strcspn(ret_line, "\n")] = '\0';
    return true;
}

static bool has_profile(char *ret_profile, size_t size)
{
    return (read_line("/proc/self/attr/apparmor/current", ret_profile, size) ||
            read_line("/proc/self/attr/current", ret_profile, size)) &&
           strncmp(ret_profile, PROFILE_NAME, strlen(PROFILE_NAME)) == 0;
}

static const struct setting *forbidding_setting(void)
{
    char line[SETTING_MAX];
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const struct setting *setting = &settings[i];
        if ((setting->root_is_exempt && geteuid() == 0) ||
            !read_line(setting->path, line, sizeof(line)) || strcmp(line, setting->forbidding) != 0)
            continue;
        if (strcmp(setting->path, APPARMOR_SWITCH) != 0 || !has_profile(line, sizeof(line)))
            return setting;
    }
    return NULL;
}

static void read_apparmor(struct host_fact *fact)
{
    char line[SETTING_MAX];
    if (!read_line(APPARMOR_SWITCH, line, sizeof(line)) || strcmp(line, "1") != 0) {
        host_found(fact, HOST_GOOD, "user namespaces are not restricted by it");
    } else if (has_profile(line, sizeof(line))) {
        host_found(fact, HOST_GOOD, "restricts user namespaces; the profile %s is loaded", line);
    } else {
        host_found(fact, geteuid() == 0 ? HOST_LIMITED : HOST_MISSING,
                   "restricts user namespaces; no profile of this program is loaded");
        fact->remedy = "./dev setup";
    }
}

static void read_landlock(struct host_fact *fact)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {
        { LANDLOCK_NO_TRUNCATE, "truncating" },
        { LANDLOCK_NO_TCP, "TCP" },
        { LANDLOCK_NO_DEVICE_IOCTL, "device ioctls" },
        { LANDLOCK_NO_ABSTRACT_OUT, "abstract sockets" },
        { LANDLOCK_NO_SIGNALS_OUT, "signals" },
    };
    int abi = landlock_abi();
    if (abi == 0) {
        host_found(fact, HOST_MISSING, "the kernel has none, or it is not in its lsm= option");
        return;
    }
    host_found(fact, HOST_GOOD, "ABI %d", abi);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!(landlock_unenforced(abi, names[i].flag) & names[i].flag))
            continue;
        size_t used = strlen(fact->evidence);
        snprintf(fact->evidence + used, sizeof(fact->evidence) - used, "%s%s",
                 fact->state == HOST_GOOD ? ", which leaves open: " : ", ", names[i].name);
        fact->state = HOST_LIMITED;
    }
}

static bool find_program(const char *name, char *ret_path, size_t size)
{
    const char *rest = getenv("PATH");
    while (rest && *rest) {
        size_t len = strcspn(rest, ":");
        int written = snprintf(ret_path, size, "%.*s/%s", (int)len, rest, name);
        if (len > 0 && written > 0 && (size_t)written < size && access(ret_path, X_OK) == 0)
            return true;
        rest += len + (rest[len] == ':');
    }
    return false;
}

static void read_container_runtime(struct host_fact *fact)
{
    char path[HOST_TEXT_MAX];
    if (find_program("crun", path, sizeof(path))) {
        host_found(fact, HOST_GOOD, "%s", path);
        return;
    }
    host_found(fact, HOST_MISSING, "there is no crun in PATH");
    fact->remedy = "sudo apt-get install crun";
}

static void read_in_container(struct host_fact *fact)
{
    static const char *const marks[] = { "/.dockerenv", "/run/.containerenv",
                                         "/run/systemd/container" };
    host_found(fact, HOST_GOOD, "no sign of one");
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (access(marks[i], F_OK) == 0)
            host_found(fact, HOST_LIMITED, "there is %s", marks[i]);
}

/* Whether /etc/subuid or /etc/subgid has a line for the user, by name or number. */
static bool has_subordinate_ids(const char *path, const char *user)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(SUBORDINATE_MAX);
    char by_name[HOST_TEXT_MAX], by_number[HOST_TEXT_MAX];
    if (file_read(path, &text, NULL) < 0)
        return false;
    snprintf(by_name, sizeof(by_name), "%s:", user);
    snprintf(by_number, sizeof(by_number), "%u:", geteuid());
    for (size_t at = 0; at < text.len;) {
        struct str line = str_from_offset(buf_str(&text), at);
        if (str_starts(line, str_from(by_name)) || str_starts(line, str_from(by_number)))
            return true;
        at += str_index(line, '\n', 0) + 1;
    }
    return false;
}

static void read_subordinate_ids(struct host_fact *fact)
{
    char path[HOST_TEXT_MAX];
    if (geteuid() == 0) {
        host_found(fact, HOST_GOOD, "not needed: root drops groups by itself");
        return;
    }
    const struct passwd *entry = getpwuid(geteuid());
    const char *user = entry ? entry->pw_name : "";
    if (!has_subordinate_ids("/etc/subuid", user) || !has_subordinate_ids("/etc/subgid", user)) {
        host_found(fact, HOST_LIMITED, "/etc/subuid or /etc/subgid has no line for %s", user);
        fact->remedy = "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER";
    } else if (!find_program("newuidmap", path, sizeof(path)) ||
               !find_program("newgidmap", path, sizeof(path))) {
        host_found(fact, HOST_LIMITED, "there are ids, and no newuidmap and newgidmap");
        fact->remedy = "sudo apt-get install uidmap";
    } else {
        host_found(fact, HOST_GOOD, "ids and newuidmap are there");
    }
}

/* ---- control groups ---- */

#define CONTROL_GROUPS "/sys/fs/cgroup"

/* By making a group below one and removing it. */
static bool may_make_groups(const char *folder)
{
    char path[CONTROL_PATH_MAX + 64];
    snprintf(path, sizeof(path), "%s/agent-machine-try-%d", folder, (int)getpid());
    return mkdir(path, 0700) == 0 && rmdir(path) == 0;
}

/* This process's group in a hierarchy: the line of /proc/self/cgroup between whose colons
 * `controller` stands (none: v2). */
static bool own_group(const char *controller, char *ret_path, size_t size)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(SETTING_MAX);
    if (file_read("/proc/self/cgroup", &text, NULL) < 0)
        return false;
    for (size_t at = 0; at < text.len;) {
        struct str rest = str_from_offset(buf_str(&text), at);
        struct str line = str_make(rest.ptr, str_index(rest, '\n', 0));
        size_t names = str_index(line, ':', 0) + 1, path = str_index(line, ':', names) + 1;
        at += line.len + 1;
        if (path > line.len ||
            !str_equal(str_make(line.ptr + names, path - names - 1), str_from(controller)))
            continue;
        int written =
            snprintf(ret_path, size, "%s%s%s%.*s", CONTROL_GROUPS, controller[0] ? "/" : "",
                     controller, (int)(line.len - path), line.ptr + path);
        return written > 0 && (size_t)written < size;
    }
    return false;
}

static void read_groups_v2(struct host_fact *fact)
{
    char folder[CONTROL_PATH_MAX], file[CONTROL_PATH_MAX + 64], controllers[SETTING_MAX] = "";
    bool is_delegated = own_group("", folder, sizeof(folder)) && may_make_groups(folder);
    if (is_delegated) {
        snprintf(file, sizeof(file), "%s/cgroup.controllers", folder);
        read_line(file, controllers, sizeof(controllers));
        host_found(fact, controllers[0] ? HOST_GOOD : HOST_LIMITED, "v2, writable here: %.100s",
                   controllers[0] ? controllers : "no controllers");
        return;
    }
    snprintf(file, sizeof(file), "/run/user/%u/systemd/private", geteuid());
    if (access(file, F_OK) == 0) {
        host_found(fact, HOST_GOOD, "v2, delegated by the user's service manager");
        return;
    }
    host_found(fact, HOST_LIMITED, "v2, and none is delegated: no service manager of the user's");
    fact->remedy = "sudo loginctl enable-linger $USER";
}

static void read_groups_v1(struct host_fact *fact)
{
    static const char *const controllers[] = { "memory", "pids", "cpu", "cpuacct", "freezer" };
    char folder[CONTROL_PATH_MAX], found[HOST_TEXT_MAX / 2] = "";
    size_t used = 0;
    for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
        bool is_seen =
            own_group(controllers[i], folder, sizeof(folder)) && access(folder, F_OK) == 0;
        if (!is_seen) /* inside a container the paths may be those of the host */
            snprintf(folder, sizeof(folder), CONTROL_GROUPS "/%s", controllers[i]);
        if (may_make_groups(folder))
            used += (size_t)snprintf(found + used, sizeof(found) - used, " %s", controllers[i]);
    }
    if (used > 0)
        host_found(fact, HOST_GOOD, "v1 or hybrid, writable:%s", found);
    else
        host_found(fact, HOST_LIMITED, "v1 or hybrid, and none is writable");
}

static void read_control_groups(struct host_fact *fact)
{
    struct statfs status;
    if (statfs(CONTROL_GROUPS, &status) < 0)
        host_found(fact, HOST_LIMITED, "none: %s: %s", CONTROL_GROUPS, strerror(errno));
    else if (status.f_type == CGROUP2_SUPER_MAGIC)
        read_groups_v2(fact);
    else
        read_groups_v1(fact);
}
