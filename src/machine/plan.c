/*
 * plan: from profile, request and facts to one immutable plan (stop 3 of a run).
 *
 * Theory of operation. Nothing here looks at the host: paths come resolved,
 * and what executes the plan opens them again beneath the root without
 * following a link, so that what was checked is what is mounted. A plan lives
 * in one arena and points into nothing else. Refusals name a rule:
 *
 *   mount-not-allowed     outside of the profile's allowedPaths
 *   mount-secret          it is, holds or lies within a place of secrets
 *   mount-not-plain       the agent's path has dot segments or doubled slashes
 *   mount-over-system     the agent's path lies in a system directory
 *   mount-not-hidden      a read-write bind cannot hide secrets
 *   mount-not-filtered    nor follow include and exclude patterns
 *   mount-twice           two mounts at one place
 *   mount-not-staged      the tier `process` has no overlay,
 *   mount-elsewhere       and no other place for a directory than its own,
 *   mount-within          and takes nothing back below a mount
 *   home-over-system      the home lies in a system directory, or is the root
 *   tier-below-minimum    the host gives less than profile or command ask for
 *   environment-secret    a variable that speaks of a secret has a value
 */
#include "machine/plan.h"

#include "base/arena.h"
#include "base/redact.h"
#include "contract/host_path.h"
#include "contract/rules.h"
#include "machine/environment.h"
#include "machine/plan_profile.h"

#define STEP_PLAN          "plan a launch"
#define PATH_MAX_BYTES     4096
#define PROCESSES_USUAL    4096
#define OPEN_FILES_USUAL   65536
#define OUTPUT_BYTES_USUAL ((int64_t)64 << 20)
#define ROOTLESS_INSIDE_ID 1000       /* who the command is inside, where the caller is root */
#define ROOTLESS_HOST_ID   1878982656 /* and to the host: an id that no user has */

#define PLAN_NAME(name, text) [name] = text,
const char *const tier_names[TIER_COUNT] = { TIER_TABLE(PLAN_NAME) };
const char *const semantics_names[SEMANTICS_COUNT] = { SEMANTICS_TABLE(PLAN_NAME) };
#undef PLAN_NAME

/* The plan and the memory it lives in. */
struct planning {
    struct plan plan; /* first: what callers hold */
    struct arena arena;
};

struct context {
    struct planning *planning;
    const struct plan_facts *facts;
    const struct plan_request *request;
    struct plan_mount *mounts;
};

static int check_profile(struct context *context, struct err *err);
static int add_mounts(struct context *context, struct err *err);
static int set_tier(struct context *context, struct err *err);
static int set_identity(struct context *context, struct err *err);
static int set_limits(struct context *context, struct err *err);
static int set_command(struct context *context, struct err *err);
static int set_environment(struct context *context, struct err *err);

int plan_build(const struct plan_facts *facts, const struct plan_request *request,
               struct plan **ret, struct err *err)
{
    static int (*const parts[])(struct context *, struct err *) = {
        check_profile, set_tier, set_identity, set_limits, add_mounts, set_command, set_environment,
    };
    struct planning *planning = calloc(1, sizeof(*planning));
    struct context context = { .planning = planning, .facts = facts, .request = request };
    int r = planning ? 0 : err_set(err, ERR_MEMORY, STEP_PLAN, "there is not enough memory");
    for (size_t i = 0; i < ARRAY_LEN(parts) && r == 0; i++)
        r = parts[i](&context, err);
    if (r < 0) {
        plan_free(&planning->plan);
        return r;
    }
    *ret = &planning->plan;
    return 0;
}

void plan_free(struct plan *plan)
{
    struct planning *planning = (struct planning *)plan;
    if (!planning)
        return;
    arena_release(&planning->arena);
    free(planning);
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_PLAN, "there is not enough memory");
}

static int refuse(struct err *err, const char *rule, const char *format, ...) PRINTF_LIKE(3, 4);

static int refuse(struct err *err, const char *rule, const char *format, ...)
{
    char why[ERR_CAUSE_MAX - 64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    return err_set(err, ERR_DENIED, STEP_PLAN, "%s [%s]", why, rule);
}

static const char *copy(struct context *context, struct str text)
{
    return arena_copy(&context->planning->arena, text);
}

static int check_profile(struct context *context, struct err *err)
{
    return plan_check_profile(context->request->profile, context->request->surface, err);
}

/* --- tier, identity, limits ---------------------------------------------------------------- */

/* Without namespaces nothing but Landlock and the filter is left, and not every host has those. */
static int check_process_tier(const struct plan_facts *facts, struct err *err)
{
    if (!facts->process_reason)
        return 0;
    return err_set(err, ERR_UNSUPPORTED, STEP_PLAN,
                   "this host gives no namespaces (%s), and for the tier process: %s%s%s "
                   "[tier-below-minimum]",
                   facts->tier_reason, facts->process_reason,
                   facts->tier_remedy ? "; to mend it: " : "",
                   facts->tier_remedy ? facts->tier_remedy : "");
}

static int set_tier(struct context *context, struct err *err)
{
    const struct plan_facts *facts = context->facts;
    struct plan *plan = &context->planning->plan;
    struct str asked = text_of(at(context->request->profile, "/hostPlane/minimumIsolationTier"));
    int minimum = vocabulary_index(tier_names, TIER_COUNT, asked);
    if (minimum < 0)
        return err_set(err, ERR_DOCUMENT, STEP_PLAN, "the profile names no isolation tier");
    if ((int)context->request->minimum_tier > minimum)
        minimum = (int)context->request->minimum_tier;
    plan->minimum_tier = (enum tier)minimum;
    plan->tier = facts->tier > TIER_NAMESPACES ? TIER_NAMESPACES : facts->tier;
    if (plan->tier >= plan->minimum_tier)
        return plan->tier == TIER_PROCESS ? check_process_tier(facts, err) : 0;
    if (plan->minimum_tier > TIER_NAMESPACES)
        return err_set(err, ERR_UNSUPPORTED, STEP_PLAN,
                       "the tier %s is asked for, and this release runs commands at most in "
                       "namespaces",
                       tier_names[plan->minimum_tier]);
    return err_set(err, ERR_UNSUPPORTED, STEP_PLAN,
                   "this host gives the tier %s where %s is asked for: %s%s%s "
                   "[tier-below-minimum]",
                   tier_names[plan->tier], tier_names[plan->minimum_tier], facts->tier_reason,
                   facts->tier_remedy ? "; to mend it: " : "",
                   facts->tier_remedy ? facts->tier_remedy : "");
}

/* The caller's own; root's is not taken along. */
static void keep_ids(uid_t uid, gid_t gid, struct plan *plan)
{
    plan->as_root = uid == 0;
    plan->host_uid = plan->as_root ? ROOTLESS_HOST_ID : uid;
    plan->host_gid = plan->as_root ? ROOTLESS_HOST_ID : gid;
    plan->inside_uid = plan->as_root ? ROOTLESS_INSIDE_ID : uid;
    plan->inside_gid = plan->as_root ? ROOTLESS_INSIDE_ID : gid;
}

void plan_expect(uid_t uid, gid_t gid, struct plan *ret)
{
    *ret = (struct plan){ .tier = TIER_NAMESPACES };
    keep_ids(uid, gid, ret);
}

bool plan_is_as_expected(const struct plan *plan, const struct plan *expected)
{
    return plan->tier == expected->tier && plan->as_root == expected->as_root &&
           plan->host_uid == expected->host_uid && plan->host_gid == expected->host_gid &&
           plan->inside_uid == expected->inside_uid && plan->inside_gid == expected->inside_gid;
}

static int set_identity(struct context *context, struct err *err)
{
    const struct plan_facts *facts = context->facts;
    struct plan *plan = &context->planning->plan;
    struct str mapping = text_of(at(context->request->profile, "/containerPlane/userMapping"));
    struct str filter = text_of(at(context->request->profile, "/containerPlane/seccompProfile"));
    if (str_equal(mapping, STR("subordinate-ids")))
        return err_set(err, ERR_UNSUPPORTED, STEP_PLAN,
                       "userMapping subordinate-ids comes with containers; use keep-id or "
                       "mapped-root");
    keep_ids(facts->uid, facts->gid, plan);
    if (str_equal(mapping, STR("mapped-root")) && plan->tier == TIER_PROCESS)
        return err_set(err, ERR_UNSUPPORTED, STEP_PLAN,
                       "userMapping mapped-root needs a user namespace, which the tier process "
                       "has not; use keep-id");
    if (str_equal(mapping, STR("mapped-root")))
        plan->inside_uid = plan->inside_gid = 0;
    plan->has_groups = facts->has_groups && !plan->as_root;
    plan->no_sockets = str_equal(filter, STR("no-sockets")) || plan->tier == TIER_PROCESS;
    plan->home = copy(context, str_from(facts->home));
    plan->user = copy(context, str_from(plan->as_root ? "agent" : facts->user));
    plan->terminal = facts->terminal;
    plan->retain_output = yyjson_get_bool(at(context->request->profile, "/evidence/retainOutput"));
    plan->receipt = yyjson_get_bool(at(context->request->profile, "/evidence/emitRunReceipt"));
    return plan->home && plan->user ? 0 : no_memory(err);
}

static int64_t limit_of(const yyjson_val *limits, const char *name, int64_t usual)
{
    const yyjson_val *value = member(limits, name);
    return value ? (int64_t)count_of(value) : usual;
}

static int set_limits(struct context *context, struct err *err)
{
    struct plan_limits *limits = &context->planning->plan.limits;
    const yyjson_val *asked = at(context->request->profile, "/containerPlane/limits");
    const yyjson_val *budget = at(context->request->profile, "/agentPlane/budget");
    (void)err;
    limits->processes = limit_of(asked, "processes", PROCESSES_USUAL);
    limits->open_files = limit_of(asked, "openFiles", OPEN_FILES_USUAL);
    limits->output_bytes = limit_of(asked, "outputBytes", OUTPUT_BYTES_USUAL);
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        int64_t own = (int64_t)count_of(member(budget, dimension_names[i]));
        int64_t given = context->request->ceiling ? context->request->ceiling[i] : -1;
        limits->budget[i] = given >= 0 && given < own ? given : own;
    }
    return 0;
}

/* --- mounts -------------------------------------------------------------------------------- */

static bool is_allowed(const struct context *context, const char *path)
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
static bool touches_secret(const struct context *context, const char *path,
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
static bool touches_own(const struct context *context, const char *path,
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
static int check_process_mount(const struct context *context, const struct plan_mount *mount,
                               struct err *err)
{
    const struct plan *plan = &context->planning->plan;
    const char *path = mount->host_path;
    if (mount->semantics == MOUNT_STAGED)
        return refuse(err, "mount-not-staged",
                      "%s cannot be staged at the tier process, which has no overlay; --mount "
                      "%s:%s:read-write, or a profile that mounts it read-only",
                      path, path, path);
    if (mount->secrets_prohibited)
        return refuse(err, "mount-not-hidden",
                      "the tier process can hide no secrets in %s; --mount %s:%s:read-write, or a "
                      "profile that says secretsProhibited false",
                      path, path, path);
    if (mount->include || mount->exclude)
        return refuse(err, "mount-not-filtered",
                      "the tier process can keep no patterns of %s; mount a smaller directory "
                      "without them",
                      path);
    if (strcmp(path, mount->agent_path) != 0)
        return refuse(err, "mount-elsewhere",
                      "at the tier process %s has no other place than its own; --mount %s:%s:%s",
                      path, path, path, semantics_names[mount->semantics]);
    for (size_t i = 0; i < plan->mount_count; i++)
        if (host_path_is_within(str_from(path), str_from(context->mounts[i].host_path)) ||
            host_path_is_within(str_from(context->mounts[i].host_path), str_from(path)))
            return refuse(err, "mount-within",
                          "%s and %s lie one within the other, which the tier process cannot tell "
                          "apart; leave one out",
                          path, context->mounts[i].host_path);
    return 0;
}

/* Whether a path is what it says: nothing in it leads up, or stands for the root again. */
static bool is_plain(const char *path)
{
    for (const char *part = path; *part == '/'; part += 1 + strcspn(part + 1, "/")) {
        size_t len = strcspn(part + 1, "/");
        bool is_last = part[1 + len] == '\0';
        if ((len == 0 && !is_last) || (len == 1 && part[1] == '.') ||
            (len == 2 && part[1] == '.' && part[2] == '.'))
            return false;
    }
    return true;
}

static int check_place(const char *path, struct err *err)
{
    if (!is_plain(path))
        return refuse(err, "mount-not-plain",
                      "%s has dot segments or doubled slashes; name the place as it is in there",
                      path);
    return is_system_path(path)
               ? refuse(err, "mount-over-system",
                        "%s would cover a directory of the system; choose another place", path)
               : 0;
}

static int check_mount(const struct context *context, const struct plan_mount *mount,
                       struct err *err)
{
    char secret[HOST_SECRET_SIZE];
    const char *path = mount->host_path;
    if (mount->of_surface && context->planning->plan.tier == TIER_PROCESS)
        return err_set(err, ERR_UNSUPPORTED, STEP_PLAN,
                       "a tool surface needs the tier namespaces: its doors are in a network");
    if (mount->of_surface) /* which the gate for tools decides about */
        return check_place(mount->agent_path, err);
    if (strcmp(path, context->facts->home) == 0)
        return refuse(err, "mount-secret",
                      "%s is the whole home, where keys and credentials lie; go into a directory "
                      "below it, such as ~/src/NAME (git worktree add moves a repository that is "
                      "the home out of it)",
                      path);
    if (touches_secret(context, path, secret) || touches_own(context, path, secret))
        return refuse(err, "mount-secret",
                      "%s is, holds or lies within %s, where secrets are; name a directory that "
                      "has none",
                      path, secret);
    if (!is_allowed(context, path))
        return refuse(err, "mount-not-allowed",
                      "%s lies outside of what the profile allows; add it to "
                      "worktreePlane.allowedPaths: agent-machine profile edit %s",
                      path, context->planning->plan.profile_id);
    int r = check_place(mount->agent_path, err);
    if (r < 0)
        return r;
    bool is_bind = mount->semantics == MOUNT_READ_WRITE || mount->semantics == MOUNT_CACHE;
    const char *how = semantics_names[mount->semantics];
    if (is_bind && mount->secrets_prohibited)
        return refuse(err, "mount-not-hidden",
                      "%s is mounted %s, which can hide nothing; mount it staged, or say "
                      "secretsProhibited false",
                      path, how);
    if (is_bind && (mount->include || mount->exclude))
        return refuse(err, "mount-not-filtered",
                      "%s is mounted %s, which shows the directory as it is; mount it staged or "
                      "read-only, or leave its patterns out",
                      path, how);
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

static int copy_list(struct context *context, const char *const *list, size_t count_max,
                     char *const **ret, struct err *err);

static int copy_patterns(struct context *context, const char *const *patterns,
                         const char *const **ret, struct err *err)
{
    char *const *copied = NULL;
    int r = patterns ? copy_list(context, patterns, PLAN_PATTERNS_MAX, &copied, err) : 0;
    *ret = (const char *const *)copied;
    return r;
}

static int add_mount(struct context *context, const struct plan_mount *mount, struct err *err)
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
        if (strcmp(other, mount->agent_path) == 0)
            return refuse(err, "mount-twice", "two mounts are at %s; leave one out", other);
        if (place == plan->mount_count && strcmp(other, mount->agent_path) > 0)
            place = i; /* in order: what lies within another comes after it */
    }
    memmove(&context->mounts[place + 1], &context->mounts[place],
            (plan->mount_count - place) * sizeof(*mount));
    context->mounts[place] = (struct plan_mount){
        .ref = mount->ref ? copy(context, str_from(mount->ref)) : NULL,
        .host_path = copy(context, str_from(mount->host_path)),
        .agent_path = copy(context, str_from(mount->agent_path)),
        .semantics = mount->semantics,
        .secrets_prohibited = mount->secrets_prohibited,
        .by_profile = mount->by_profile,
        .of_surface = mount->of_surface,
    };
    struct plan_mount *added = &context->mounts[place];
    plan->mount_count++;
    if ((mount->ref && !added->ref) || !added->host_path || !added->agent_path)
        return no_memory(err);
    r = copy_patterns(context, mount->include, &added->include, err);
    return r < 0 ? r : copy_patterns(context, mount->exclude, &added->exclude, err);
}

/* The repository in which the launch starts, where the profile says how. */
static int add_repository(struct context *context, struct err *err)
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

static int add_mounts(struct context *context, struct err *err)
{
    struct plan *plan = &context->planning->plan;
    int r = 0;
    plan->profile_id = copy(context, text_of(member(context->request->profile, "id")));
    context->mounts =
        arena_array(&context->planning->arena, struct plan_mount, PLAN_MOUNTS_MAX + 1);
    plan->mounts = context->mounts;
    if (!plan->profile_id || !context->mounts)
        return no_memory(err);
    if (is_system_path(plan->home)) /* an empty one is mounted there */
        return refuse(err, "home-over-system",
                      "HOME is %s, which the system has for itself; set HOME to a directory of "
                      "your own",
                      plan->home);
    for (size_t i = 0; i < context->request->mount_count && r == 0; i++)
        r = add_mount(context, &context->request->mounts[i], err);
    return r < 0 ? r : add_repository(context, err);
}

/* --- command and environment --------------------------------------------------------------- */

static int copy_list(struct context *context, const char *const *list, size_t count_max,
                     char *const **ret, struct err *err)
{
    size_t count = 0, bytes = 0;
    while (list[count] && count <= count_max) {
        bytes += strlen(list[count]) + 1;
        count++;
    }
    if (count > count_max || bytes > PLAN_ARGUMENT_BYTES)
        return err_set(err, ERR_LIMIT, STEP_PLAN,
                       "arguments, variables or patterns are too many: at most %zu of %zu bytes "
                       "together",
                       count_max, PLAN_ARGUMENT_BYTES);
    char **copied = arena_array(&context->planning->arena, char *, count + 1);
    for (size_t i = 0; copied && i < count; i++) {
        copied[i] = arena_copy(&context->planning->arena, str_from(list[i]));
        if (!copied[i])
            return no_memory(err);
    }
    *ret = copied;
    return copied ? 0 : no_memory(err);
}

/* Where inside a path of the host is, by the innermost mount that has it; NULL: nowhere. */
static const char *place_inside(struct context *context, const char *path, struct buf *ret)
{
    const struct plan *plan = &context->planning->plan;
    const struct plan_mount *found = NULL;
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct plan_mount *mount = &plan->mounts[i];
        if (host_path_is_within(str_from(path), str_from(mount->host_path)) &&
            (!found || strlen(found->host_path) < strlen(mount->host_path)))
            found = mount;
    }
    if (!found)
        return NULL;
    buf_addf(ret, "%s%s", found->agent_path, path + strlen(found->host_path));
    return ret->error ? NULL : ret->data;
}

/*
 * Where the command starts: where it was asked for; else where the caller stands, if that is in
 * the view, at its own place or at another; else at home.
 */
static const char *starting_place(struct context *context, struct buf *place)
{
    const struct plan *plan = &context->planning->plan;
    const char *here = context->facts->directory;
    if (context->request->directory)
        return context->request->directory;
    for (size_t i = 0; i < plan->mount_count; i++)
        if (host_path_is_within(str_from(here), str_from(plan->mounts[i].agent_path)))
            return here;
    const char *inside = place_inside(context, here, place);
    return inside ? inside : plan->tier == TIER_PROCESS ? "/" : plan->home;
}

static int copy_safe(struct context *context, struct err *err)
{
    struct plan *plan = &context->planning->plan;
    const bool *safe = context->request->safe;
    size_t count = 0;
    while (safe && plan->argv[count])
        count++;
    bool *copied = safe ? arena_array(&context->planning->arena, bool, count) : NULL;
    if (safe && !copied)
        return no_memory(err);
    if (safe)
        memcpy(copied, safe, count * sizeof(*safe));
    plan->safe = copied;
    return 0;
}

static int set_command(struct context *context, struct err *err)
{
    _cleanup_(buf_release) struct buf place = BUF_INIT_LIMIT(PATH_MAX_BYTES);
    struct plan *plan = &context->planning->plan;
    if (!context->request->argv || !context->request->argv[0] || !context->request->argv[0][0])
        return err_set(err, ERR_USAGE, STEP_PLAN, "there is no command to run");
    if (context->request->directory && context->request->directory[0] != '/')
        return err_set(err, ERR_USAGE, STEP_PLAN,
                       "--directory takes an absolute path, as it is inside: %s/%s",
                       context->facts->directory, context->request->directory);
    plan->directory = copy(context, str_from(starting_place(context, &place)));
    plan->surface =
        context->request->surface ? copy(context, str_from(context->request->surface)) : NULL;
    int r = copy_list(context, context->request->argv, PLAN_ARGUMENTS_MAX, &plan->argv, err);
    if (r == 0)
        r = copy_safe(context, err);
    return r < 0 ? r : plan->directory ? 0 : no_memory(err);
}

static int set_environment(struct context *context, struct err *err)
{
    struct plan *plan = &context->planning->plan;
    struct environment environment = { .arena = &context->planning->arena };
    int r = environment_build(&environment, context->facts, plan, context->request, err);
    if (r == 0)
        r = copy_list(context, environment.list, PLAN_ENVIRONMENT_MAX, &plan->environment, err);
    return r;
}
