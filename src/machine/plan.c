/*
 * plan: from profile, request and facts to one immutable plan (stop 3 of a run).
 *
 * Theory of operation. Nothing here looks at the host: paths come resolved,
 * and what executes the plan opens them again beneath the root without
 * following a link, so that what was checked is what is mounted. A plan lives
 * in one arena and points into nothing else. What it mounts is plan_mounts.c.
 * Refusals name a rule:
 *
 *   tier-below-minimum    the host gives less than profile or command ask for
 *   environment-secret    a variable that speaks of a secret has a value
 */
#include "machine/plan.h"

#include "base/arena.h"
#include "contract/host_path.h"
#include "contract/rules.h"
#include "machine/environment.h"
#include "machine/plan_internal.h"
#include "machine/plan_profile.h"

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

static int check_profile(struct plan_context *context, struct err *err);
static int set_tier(struct plan_context *context, struct err *err);
bool plan_keeps_here(const yyjson_val *profile)
{
    return text_is(member(profile, "profileKind"), "airgapped-local-only");
}

static int set_identity(struct plan_context *context, struct err *err);
static int set_limits(struct plan_context *context, struct err *err);
static int set_command(struct plan_context *context, struct err *err);
static int set_environment(struct plan_context *context, struct err *err);
static int set_authorities(struct plan_context *context, struct err *err);

int plan_build(const struct plan_facts *facts, const struct plan_request *request,
               struct plan **ret, struct err *err)
{
    static int (*const parts[])(struct plan_context *, struct err *) = {
        check_profile,       plan_add_image,  set_tier,    set_identity,    set_limits,
        plan_image_identity, plan_add_mounts, set_command, set_environment, set_authorities,
    };
    struct planning *planning = calloc(1, sizeof(*planning));
    struct plan_context context = { .planning = planning, .facts = facts, .request = request };
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

int plan_no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_PLAN, "there is not enough memory");
}

const char *plan_copy(struct plan_context *context, struct str text)
{
    return arena_copy(&context->planning->arena, text);
}

static int check_profile(struct plan_context *context, struct err *err)
{
    return plan_check_profile(context->request->profile, context->request->surface, err);
}

/* --- tier, identity, limits ---------------------------------------------------------------- */

/* The cause is set; the profile is what asks for more, or the command. */
static int below_minimum(const struct plan_context *context, const char *remedy, struct err *err)
{
    if (remedy)
        err_remedy(err, "to mend it: %s", remedy);
    err_rule(err, "tier-below-minimum", "artifact",
             text_of(member(context->request->profile, "id")));
    return -EOPNOTSUPP;
}

/* Without namespaces nothing but Landlock and the filter is left, and not every host has those. */
static int check_process_tier(const struct plan_context *context, struct err *err)
{
    const struct plan_facts *facts = context->facts;
    if (!facts->process_reason)
        return 0;
    err_set(err, ERR_UNSUPPORTED, STEP_PLAN,
            "this host gives no namespaces (%s), and for the tier process: %s", facts->tier_reason,
            facts->process_reason);
    return below_minimum(context, facts->tier_remedy, err);
}

static int set_tier(struct plan_context *context, struct err *err)
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
    if (plan->image && plan->tier == TIER_NAMESPACES)
        plan->tier = TIER_CONTAINER;
    else if (plan->image) {
        err_set(err, ERR_UNSUPPORTED, STEP_PLAN,
                "an image needs namespaces, which this host does not give: %s", facts->tier_reason);
        return below_minimum(context, facts->tier_remedy, err);
    }
    if (plan->tier >= plan->minimum_tier)
        return plan->tier == TIER_PROCESS ? check_process_tier(context, err) : 0;
    if (plan->minimum_tier == TIER_VM) {
        err_set(err, ERR_UNSUPPORTED, STEP_PLAN,
                "the tier vm is asked for, and this release starts no virtual machines");
        return below_minimum(context, NULL, err);
    }
    if (plan->minimum_tier == TIER_CONTAINER && plan->tier == TIER_NAMESPACES) {
        err_set(err, ERR_UNSUPPORTED, STEP_PLAN, "the tier container is that of an image");
        err_remedy(err, "name one: --image REFERENCE");
        return below_minimum(context, NULL, err);
    }
    err_set(err, ERR_UNSUPPORTED, STEP_PLAN,
            "this host gives the tier %s where %s is asked for: %s", tier_names[plan->tier],
            tier_names[plan->minimum_tier], facts->tier_reason);
    return below_minimum(context, facts->tier_remedy, err);
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

static int set_identity(struct plan_context *context, struct err *err)
{
    const struct plan_facts *facts = context->facts;
    struct plan *plan = &context->planning->plan;
    struct str mapping = text_of(at(context->request->profile, "/containerPlane/userMapping"));
    struct str filter = text_of(at(context->request->profile, "/containerPlane/seccompProfile"));
    if (str_equal(mapping, STR("subordinate-ids")))
        return err_set(err, ERR_UNSUPPORTED, STEP_PLAN,
                       "userMapping subordinate-ids is for images with several users, which this "
                       "release does not run; use keep-id or mapped-root");
    keep_ids(facts->uid, facts->gid, plan);
    if (str_equal(mapping, STR("mapped-root")) && plan->tier == TIER_PROCESS)
        return err_set(err, ERR_UNSUPPORTED, STEP_PLAN,
                       "userMapping mapped-root needs a user namespace, which the tier process "
                       "has not; use keep-id");
    if (str_equal(mapping, STR("mapped-root")))
        plan->inside_uid = plan->inside_gid = 0;
    plan->has_groups = facts->has_groups && !plan->as_root;
    plan->no_sockets = str_equal(filter, STR("no-sockets")) || plan->tier == TIER_PROCESS;
    plan->keeps_here = plan_keeps_here(context->request->profile);
    plan->home = plan_copy(context, str_from(facts->home));
    plan->user = plan_copy(context, str_from(plan->as_root ? "agent" : facts->user));
    plan->terminal = facts->terminal;
    plan->retain_output = yyjson_get_bool(at(context->request->profile, "/evidence/retainOutput"));
    plan->receipt = yyjson_get_bool(at(context->request->profile, "/evidence/emitRunReceipt"));
    return plan->home && plan->user ? 0 : plan_no_memory(err);
}

static int64_t limit_of(const yyjson_val *limits, const char *name, int64_t usual)
{
    const yyjson_val *value = member(limits, name);
    return value ? (int64_t)count_of(value) : usual;
}

static int set_limits(struct plan_context *context, struct err *err)
{
    struct plan_limits *limits = &context->planning->plan.limits;
    const yyjson_val *asked = at(context->request->profile, "/containerPlane/limits");
    const yyjson_val *kept = at(context->request->profile, "/worktreePlane/keptChangeSets");
    const yyjson_val *budget = at(context->request->profile, "/agentPlane/budget");
    (void)err;
    limits->processes = limit_of(asked, "processes", PROCESSES_USUAL);
    limits->open_files = limit_of(asked, "openFiles", OPEN_FILES_USUAL);
    limits->output_bytes = limit_of(asked, "outputBytes", OUTPUT_BYTES_USUAL);
    limits->kept.count = limit_of(kept, "count", KEPT_COUNT_USUAL);
    limits->kept.bytes = limit_of(kept, "bytes", KEPT_BYTES_USUAL);
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        int64_t own = (int64_t)count_of(member(budget, dimension_names[i]));
        int64_t given = context->request->ceiling ? context->request->ceiling[i] : -1;
        limits->budget[i] = given >= 0 && given < own ? given : own;
    }
    return 0;
}

/* --- command and environment --------------------------------------------------------------- */

int plan_copy_list(struct plan_context *context, const char *const *list, size_t count_max,
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
            return plan_no_memory(err);
    }
    *ret = copied;
    return copied ? 0 : plan_no_memory(err);
}

/* Where inside a path of the host is, by the innermost mount that has it; NULL: nowhere. */
static const char *place_inside(struct plan_context *context, const char *path, struct buf *ret)
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
static const char *starting_place(struct plan_context *context, struct buf *place)
{
    const struct plan *plan = &context->planning->plan;
    const char *here = context->facts->directory, *said = plan_image_directory(context);
    if (context->request->directory)
        return context->request->directory;
    if (said)
        return said;
    for (size_t i = 0; i < plan->mount_count; i++)
        if (host_path_is_within(str_from(here), str_from(plan->mounts[i].agent_path)))
            return here;
    const char *inside = place_inside(context, here, place);
    return inside ? inside : plan->tier == TIER_PROCESS ? "/" : plan->home;
}

static int copy_safe(struct plan_context *context, struct err *err)
{
    struct plan *plan = &context->planning->plan;
    const bool *safe = context->request->safe;
    size_t count = 0;
    while (safe && plan->argv[count])
        count++;
    bool *copied = safe ? arena_array(&context->planning->arena, bool, count) : NULL;
    if (safe && !copied)
        return plan_no_memory(err);
    if (safe)
        memcpy(copied, safe, count * sizeof(*safe));
    plan->safe = copied;
    return 0;
}

static int set_command(struct plan_context *context, struct err *err)
{
    _cleanup_(buf_release) struct buf place = BUF_INIT_LIMIT(PATH_MAX_BYTES);
    struct plan *plan = &context->planning->plan;
    const char *const *argv = context->request->argv;
    bool has_command = argv && argv[0];
    if ((!has_command && !plan->image) || (has_command && !argv[0][0]))
        return err_set(err, ERR_USAGE, STEP_PLAN, "there is no command to run");
    if (context->request->directory && context->request->directory[0] != '/')
        return err_set(err, ERR_USAGE, STEP_PLAN,
                       "--directory takes an absolute path, as it is inside: %s/%s",
                       context->facts->directory, context->request->directory);
    plan->directory = plan_copy(context, str_from(starting_place(context, &place)));
    plan->surface =
        context->request->surface ? plan_copy(context, str_from(context->request->surface)) : NULL;
    int r = plan->image ? plan_image_command(context, &plan->argv, err)
                        : plan_copy_list(context, argv, PLAN_ARGUMENTS_MAX, &plan->argv, err);
    if (r == 0 && !plan->image)
        r = copy_safe(context, err);
    return r < 0 ? r : plan->directory ? 0 : plan_no_memory(err);
}

static int set_environment(struct plan_context *context, struct err *err)
{
    struct plan *plan = &context->planning->plan;
    struct environment environment = { .arena = &context->planning->arena };
    int r = environment_build(&environment, context->facts, plan, context->request, err);
    if (r == 0 && environment.left_out)
        context->image->settings[IMAGE_ENVIRONMENT].reason =
            "Variables that speak of secrets, or are none, were left out.";
    if (r == 0)
        r = plan_copy_list(context, environment.list, PLAN_ENVIRONMENT_MAX, &plan->environment,
                           err);
    return r;
}

/* The tier `process` has no network, and the host's own files for a view. */
static int set_authorities(struct plan_context *context, struct err *err)
{
    const struct plan_request *request = context->request;
    struct plan *plan = &context->planning->plan;
    if (!request->certificates || plan->tier == TIER_PROCESS)
        return 0;
    plan->certificates = plan_copy(context, str_from(request->certificates));
    return plan->certificates ? plan_copy_list(context, request->authorities, PLAN_AUTHORITIES_MAX,
                                               &plan->authorities, err)
                              : plan_no_memory(err);
}
