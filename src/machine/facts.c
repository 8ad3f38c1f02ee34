/* facts: see the header. Paths are resolved once, here. */
#include "machine/facts.h"

#include <grp.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#include "contract/host_path.h"
#include "machine/linux/host.h"

#define STEP_FACTS "look around"

extern char **environ;

int facts_resolve(const char *path, char ret[FACTS_PATH_SIZE], struct err *err)
{
    char resolved[PATH_MAX];
    if (!realpath(path, resolved))
        return err_set_errno(err, errno, STEP_FACTS, "%s", path);
    if (strlen(resolved) >= FACTS_PATH_SIZE)
        return err_set(err, ERR_LIMIT, STEP_FACTS, "the path %s is too long", path);
    memcpy(ret, resolved, strlen(resolved) + 1);
    return 0;
}

/* The nearest folder with a .git; else where the caller stands. */
static void find_repository(struct facts *facts)
{
    char marker[FACTS_PATH_SIZE + 8];
    facts->git.path[0] = '\0';
    facts->git.believed = false;
    memcpy(facts->repository, facts->directory, sizeof(facts->repository));
    while (facts->repository[1]) {
        snprintf(marker, sizeof(marker), "%s/.git", facts->repository);
        if (access(marker, F_OK) == 0) {
            (void)git_link_find(facts->repository, &facts->git);
            return;
        }
        char *slash = strrchr(facts->repository, '/');
        slash[slash == facts->repository] = '\0';
    }
    memcpy(facts->repository, facts->directory, sizeof(facts->repository));
}

static void name_user(struct facts *facts)
{
    const char *user = getenv("USER");
    size_t len = user ? strspn(user, "abcdefghijklmnopqrstuvwxyz"
                                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
                      : 0;
    if (len == 0 || user[len] || len >= sizeof(facts->user) || user[0] == '-')
        snprintf(facts->user, sizeof(facts->user), "user");
    else
        memcpy(facts->user, user, len + 1);
}

/* What it gives, by what it says of namespaces. */
static void set_tier(struct plan_facts *plan, struct host_answer namespaces)
{
    plan->tier = namespaces.is_given ? TIER_NAMESPACES : TIER_PROCESS;
    plan->tier_reason = namespaces.reason;
    plan->tier_remedy = namespaces.remedy;
    plan->process_reason = plan->uid == 0
                               ? "without a user namespace root has no unprivileged identity for "
                                 "the command; run it as an ordinary user"
                               : host_expects(TIER_PROCESS).reason;
}

bool facts_try_tier(struct facts *facts)
{
    struct host_fact found[HOST_FACT_COUNT];
    enum tier expected = facts->plan.tier;
    host_examine(found);
    set_tier(&facts->plan, host_gives(found, TIER_NAMESPACES));
    return facts->plan.tier == expected;
}

int facts_read(struct facts *ret, struct err *err)
{
    const char *home = getenv("HOME");
    if (!home || home[0] != '/')
        return err_set(err, ERR_USAGE, STEP_FACTS, "HOME is no absolute path");
    int r = facts_resolve(home, ret->home, err);
    if (r == 0)
        r = facts_resolve(".", ret->directory, err);
    if (r < 0)
        return r;
    find_repository(ret);
    name_user(ret);
    ret->plan = (struct plan_facts){
        .home = ret->home,
        .user = ret->user,
        .directory = ret->directory,
        .repository = ret->repository,
        .git = ret->git.believed ? ret->git.path : NULL,
        .uid = geteuid(),
        .gid = getegid(),
        .has_groups = getgroups(0, NULL) > 0,
        .environment = (const char *const *)environ,
        .terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO),
    };
    set_tier(&ret->plan, host_expects(TIER_NAMESPACES));
    return 0;
}

/* In an image's tree a link means what it means in the container. */
static bool find_in_image(const char *tree, const char *path, char ret[FACTS_PATH_SIZE])
{
    char self[64];
    struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                            .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
    _cleanup_(cleanup_close) int root = open(tree, O_PATH | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(cleanup_close) int fd =
        root < 0 ? -1 : (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
    if (fd < 0)
        return false;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(self, ret, FACTS_PATH_SIZE - 1);
    if (len <= 0)
        return false;
    ret[len] = '\0';
    return true;
}

/* The file on the host that stands at a path of the view. */
static bool find_on_host(const struct plan *plan, const char *path, char ret[FACTS_PATH_SIZE])
{
    char host[2 * FACTS_PATH_SIZE];
    bool mounted = false;
    snprintf(host, sizeof(host), "%s", path);
    for (size_t i = 0; i < plan->mount_count; i++) { /* the last is the innermost */
        const struct plan_mount *mount = &plan->mounts[i];
        if (host_path_is_within(str_from(path), str_from(mount->agent_path))) {
            snprintf(host, sizeof(host), "%s%s", mount->host_path,
                     path + strlen(mount->agent_path));
            mounted = true;
        }
    }
    return plan->image && !mounted ? find_in_image(plan->image->tree, path, ret)
                                   : facts_resolve(host, ret, NULL) == 0;
}

bool facts_find_program(const struct plan *plan, char ret[FACTS_PATH_SIZE])
{
    char path[FACTS_PATH_SIZE];
    const char *name = plan->argv[0];
    struct str rest = { 0 };
    if (strchr(name, '/')) { /* whether it can be executed, the kernel says */
        snprintf(path, sizeof(path), "%s%s%s", name[0] == '/' ? "" : plan->directory,
                 name[0] == '/' ? "" : "/", name);
        return find_on_host(plan, path, ret);
    }
    for (size_t i = 0; plan->environment[i]; i++)
        if (strncmp(plan->environment[i], "PATH=", 5) == 0)
            rest = str_from(plan->environment[i] + 5);
    while (rest.len) {
        size_t end = str_index(rest, ':', 0);
        snprintf(path, sizeof(path), "%.*s/%s", (int)end, rest.ptr, name);
        if (find_on_host(plan, path, ret) && access(ret, X_OK) == 0)
            return true;
        rest = str_from_offset(rest, end + 1);
    }
    return false;
}
