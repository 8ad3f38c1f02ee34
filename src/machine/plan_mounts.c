/*
 * plan_mounts: what a plan mounts, and what it refuses to.
 *
 * Theory of operation. Paths come resolved, and are judged as they are: what
 * executes the plan opens them again beneath the root without following a link.
 * Mounts stand in the order of their places inside, so that what lies within
 * another comes after it. Refusals name a rule:
 *
 *   mount-not-allowed     outside of the profile's allowedPaths
 *   mount-secret          it is, holds or lies within a place of secrets
 *   mount-over-system     the agent's path lies in a system directory
 *   mount-not-hidden      a read-write bind cannot hide secrets
 *   mount-not-filtered    nor follow include and exclude patterns
 *   mount-twice           two mounts at one place
 *   mount-not-staged      the tier `process` has no overlay,
 *   mount-elsewhere       and no other place for a directory than its own,
 *   mount-within          and takes nothing back below a mount
 *   home-over-system      the home lies in a system directory, or is the root
 *
 * Limits: PLAN_MOUNTS_MAX mounts.
 */
#include "base/arena.h"
#include "contract/host_path.h"
#include "contract/rules.h"
#include "machine/plan_internal.h"

#define PATH_MAX_BYTES 4096

/* The cause and its remedy are set. */
static int refuse(struct err *err, const char *rule, const char *path)
{
    err_rule(err, rule, "path", str_from(path));
    return -EACCES;
}

static void why(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

static void why(struct err *err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)err_setv(err, ERR_DENIED, STEP_PLAN, format, arguments);
    va_end(arguments);
}

static bool is_allowed(const struct plan_context *context, const char *path)
{
    size_t i, count;
    yyjson_val *item;
    yyjson_val *list = at(context->request->profile, "/worktreePlane/allowedPaths");
    if (!list)
        return false;
    yyjson_arr_foreach(list, i, count, item)
    {
        _cleanup_(buf_release) struct buf allowed = BUF_INIT_LIMIT(PATH_MAX_BYTES);
        if (host_path_expand(text_of(item), context->facts->home, &allowed) == 0 &&
            host_path_is_within(str_from(path), buf_str(&allowed)))
            return true;
    }
    return false;
}

/* Also where the home lies elsewhere than homes do. */
static bool touches_secret(const struct plan_context *context, const char *path,
                           char ret_secret[HOST_SECRET_SIZE])
{
    _cleanup_(buf_release) struct buf short_path = BUF_INIT_LIMIT(PATH_MAX_BYTES);
    struct str home = str_from(context->facts->home);
    struct str given = str_from(path[1] ? path : ""); /* the root, in the spelling of host_path */
    if (host_path_is_within(given, home)) {
        buf_add_char(&short_path, '~');
        buf_add_str(&short_path, str_from_offset(given, home.len));
        return host_path_touches_secret(buf_str(&short_path), ret_secret);
    }
    return host_path_touches_secret(given, ret_secret) ||
           (host_path_is_within(home, given) && /* it holds the home */
            host_path_touches_secret(STR("~"), ret_secret));
}

/* This program's own places, which need not be where they usually are. */
static bool touches_own(const struct plan_context *context, const char *path,
                        char ret_secret[HOST_SECRET_SIZE])
{
    for (size_t i = 0; i < PLAN_OWN_PLACES; i++) {
        const char *own = context->facts->own_places[i];
        if (own && (host_path_is_within(str_from(path), str_from(own)) ||
                    host_path_is_within(str_from(own), str_from(path)))) {
            snprintf(ret_secret, HOST_SECRET_SIZE, "agent-machine's own folder");
            return true;
        }
    }
    return false;
}

static bool is_system_path(const char *path)
{
    static const char *const places[] = {
        "/bin",  "/boot",   "/dev", "/etc", "/lib",  "/lib32", "/lib64",
        "/proc", "/libx32", "/run", "/sys", "/sbin", "/usr",
    };
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (host_path_is_within(str_from(path), str_from(places[i])))
            return true;
    return path[0] != '/' || path[1] == '\0';
}

/* What cannot be had where Landlock alone grants paths. */
static int check_process_mount(const struct plan_context *context, const struct plan_mount *mount,
                               struct err *err)
{
    const struct plan *plan = &context->planning->plan;
    const char *path = mount->host_path;
    if (mount->semantics == MOUNT_STAGED) {
        why(err, "%s cannot be staged at the tier process, which has no overlay", path);
        err_remedy(err, "--mount %s:%s:read-write, or a profile that mounts it read-only", path,
                   path);
        return refuse(err, "mount-not-staged", path);
    }
    if (mount->secrets_prohibited) {
        why(err, "the tier process can hide no secrets in %s", path);
        err_remedy(err, "--mount %s:%s:read-write, or a profile that says secretsProhibited false",
                   path, path);
        return refuse(err, "mount-not-hidden", path);
    }
    if (mount->include || mount->exclude) {
        why(err, "the tier process can keep no patterns of %s", path);
        err_remedy(err, "mount a smaller directory without them");
        return refuse(err, "mount-not-filtered", path);
    }
    if (strcmp(path, mount->agent_path) != 0) {
        why(err, "at the tier process %s has no other place than its own", path);
        err_remedy(err, "--mount %s:%s:%s", path, path, semantics_names[mount->semantics]);
        return refuse(err, "mount-elsewhere", path);
    }
    for (size_t i = 0; i < plan->mount_count; i++) {
        const char *other = context->mounts[i].host_path;
        if (!host_path_is_within(str_from(path), str_from(other)) &&
            !host_path_is_within(str_from(other), str_from(path)))
            continue;
        why(err, "%s and %s lie one within the other, which the tier process cannot tell apart",
            path, other);
        err_remedy(err, "leave one out");
        return refuse(err, "mount-within", path);
    }
    return 0;
}

static int check_place(const char *path, struct err *err)
{
    if (!is_system_path(path))
        return 0;
    why(err, "%s would cover a directory of the system", path);
    err_remedy(err, "choose another place");
    return refuse(err, "mount-over-system", path);
}

/* Places that are never mounted, whatever a profile says, and those that it does not list. */
static int check_host_path(const struct plan_context *context, const char *path, struct err *err)
{
    char secret[HOST_SECRET_SIZE];
    if (strcmp(path, context->facts->home) == 0) {
        why(err, "%s is the whole home, where keys and credentials lie", path);
        err_remedy(err, "go into a directory below it, such as ~/src/NAME (git worktree add moves "
                        "a repository that is the home out of it)");
        return refuse(err, "mount-secret", path);
    }
    if (touches_secret(context, path, secret) || touches_own(context, path, secret)) {
        why(err, "%s is, holds or lies within %s, where secrets are", path, secret);
        err_remedy(err, "name a directory that has none");
        return refuse(err, "mount-secret", path);
    }
    if (is_allowed(context, path))
        return 0;
    why(err, "%s lies outside of what the profile allows", path);
    err_remedy(err, "add it to worktreePlane.allowedPaths: agent-machine profile edit %s",
               context->planning->plan.profile_id);
    return refuse(err, "mount-not-allowed", path);
}

static int check_mount(const struct plan_context *context, const struct plan_mount *mount,
                       struct err *err)
{
    const char *path = mount->host_path;
    if (mount->of_surface && context->planning->plan.tier == TIER_PROCESS)
        return err_set(err, ERR_UNSUPPORTED, STEP_PLAN,
                       "a tool surface needs the tier namespaces: its doors are in a network");
    if (mount->of_surface) /* which the gate for tools decides about */
        return check_place(mount->agent_path, err);
    int r = check_host_path(context, path, err);
    if (r == 0)
        r = check_place(mount->agent_path, err);
    if (r < 0)
        return r;
    bool is_bind = mount->semantics == MOUNT_READ_WRITE || mount->semantics == MOUNT_CACHE;
    const char *how = semantics_names[mount->semantics];
    if (is_bind && mount->secrets_prohibited) {
        why(err, "%s is mounted %s, which can hide nothing", path, how);
        err_remedy(err, "mount it staged, or say secretsProhibited false");
        return refuse(err, "mount-not-hidden", path);
    }
    if (is_bind && (mount->include || mount->exclude)) {
        why(err, "%s is mounted %s, which shows the directory as it is", path, how);
        err_remedy(err, "mount it staged or read-only, or leave its patterns out");
        return refuse(err, "mount-not-filtered", path);
    }
    return context->planning->plan.tier == TIER_PROCESS ? check_process_mount(context, mount, err)
                                                        : 0;
}

/* In another spelling a path would be judged as one place, and be another. */
static bool is_one_spelling(const char *path)
{
    if (path[0] != '/')
        return false;
    while (*path) {
        size_t len = strcspn(++path, "/");
        if (len == 0 || (len <= 2 && strspn(path, ".") >= len))
            return false;
        path += len;
    }
    return true;
}

static int copy_patterns(struct plan_context *context, const char *const *patterns,
                         const char *const **ret, struct err *err)
{
    char *const *copied = NULL;
    int r = patterns ? plan_copy_list(context, patterns, PLAN_PATTERNS_MAX, &copied, err) : 0;
    *ret = (const char *const *)copied;
    return r;
}

static int add_mount(struct plan_context *context, const struct plan_mount *mount, struct err *err)
{
    struct plan *plan = &context->planning->plan;
    if (plan->mount_count >= PLAN_MOUNTS_MAX)
        return err_set(err, ERR_LIMIT, STEP_PLAN, "there are more than %d mounts", PLAN_MOUNTS_MAX);
    if (!is_one_spelling(mount->agent_path))
        return err_set(err, ERR_USAGE, STEP_PLAN,
                       "a mount cannot be at %s; write an absolute path below /, without //, . "
                       "and ..",
                       mount->agent_path);
    int r = check_mount(context, mount, err);
    if (r < 0)
        return r;
    size_t place = plan->mount_count;
    for (size_t i = 0; i < plan->mount_count; i++) {
        const char *other = context->mounts[i].agent_path;
        if (strcmp(other, mount->agent_path) == 0) {
            why(err, "two mounts are at %s", other);
            err_remedy(err, "leave one out");
            return refuse(err, "mount-twice", other);
        }
        if (place == plan->mount_count && strcmp(other, mount->agent_path) > 0)
            place = i; /* in order: what lies within another comes after it */
    }
    memmove(&context->mounts[place + 1], &context->mounts[place],
            (plan->mount_count - place) * sizeof(*mount));
    context->mounts[place] = (struct plan_mount){
        .ref = mount->ref ? plan_copy(context, str_from(mount->ref)) : NULL,
        .host_path = plan_copy(context, str_from(mount->host_path)),
        .agent_path = plan_copy(context, str_from(mount->agent_path)),
        .semantics = mount->semantics,
        .secrets_prohibited = mount->secrets_prohibited,
        .by_profile = mount->by_profile,
        .of_surface = mount->of_surface,
    };
    struct plan_mount *added = &context->mounts[place];
    plan->mount_count++;
    if ((mount->ref && !added->ref) || !added->host_path || !added->agent_path)
        return plan_no_memory(err);
    r = copy_patterns(context, mount->include, &added->include, err);
    return r < 0 ? r : copy_patterns(context, mount->exclude, &added->exclude, err);
}

/* The repository in which the launch starts, where the profile says how. */
static int add_repository(struct plan_context *context, struct err *err)
{
    const yyjson_val *asked = at(context->request->profile, "/worktreePlane/repository");
    int semantics =
        vocabulary_index(semantics_names, SEMANTICS_COUNT, text_of(member(asked, "semantics")));
    struct plan_mount mount = {
        .host_path = context->facts->repository,
        .agent_path = context->facts->repository,
        .semantics = (enum semantics)semantics,
        .secrets_prohibited = yyjson_get_bool(member(asked, "secretsProhibited")),
    };
    for (size_t i = 0; i < context->request->mount_count; i++)
        if (strcmp(context->request->mounts[i].agent_path, mount.agent_path) == 0 ||
            strcmp(context->request->mounts[i].host_path, mount.host_path) == 0)
            return 0; /* command or profile say themselves how */
    return asked && semantics >= 0 ? add_mount(context, &mount, err) : 0;
}

/*
 * Git's data, where it lies elsewhere than the work tree that is mounted: at its own place, since
 * the work tree's file names that. The host's is never written, whatever is done with the files.
 */
static int add_git(struct plan_context *context, struct err *err)
{
    const struct plan *plan = &context->planning->plan;
    const char *git = context->facts->git, *repository = context->facts->repository;
    const struct plan_mount *work = NULL;
    for (size_t i = 0; i < plan->mount_count && git; i++) {
        const struct plan_mount *mount = &context->mounts[i];
        if (host_path_is_within(str_from(git), str_from(mount->agent_path)))
            return 0;
        if (strcmp(mount->host_path, repository) == 0 && strcmp(mount->agent_path, repository) == 0)
            work = mount;
    }
    if (!git || !work)
        return 0;
    bool read_only = work->semantics == MOUNT_READ_ONLY || plan->tier == TIER_PROCESS;
    struct plan_mount mount = { .host_path = git,
                                .agent_path = git,
                                .semantics = read_only ? MOUNT_READ_ONLY : MOUNT_STAGED,
                                .secrets_prohibited = work->secrets_prohibited };
    return add_mount(context, &mount, err);
}

int plan_add_mounts(struct plan_context *context, struct err *err)
{
    struct plan *plan = &context->planning->plan;
    int r = 0;
    plan->profile_id = plan_copy(context, text_of(member(context->request->profile, "id")));
    context->mounts =
        arena_array(&context->planning->arena, struct plan_mount, PLAN_MOUNTS_MAX + 1);
    plan->mounts = context->mounts;
    if (!plan->profile_id || !context->mounts)
        return plan_no_memory(err);
    if (is_system_path(plan->home)) { /* an empty one is mounted there */
        why(err, "HOME is %s, which the system has for itself", plan->home);
        err_remedy(err, "set HOME to a directory of your own");
        return refuse(err, "home-over-system", plan->home);
    }
    for (size_t i = 0; i < context->request->mount_count && r == 0; i++)
        r = add_mount(context, &context->request->mounts[i], err);
    if (r == 0)
        r = add_repository(context, err);
    return r < 0 ? r : add_git(context, err);
}
