/* What a plan is made of, and which rule refuses what. */
#include "machine/plan.h"

#include "base/json.h"
#include "base/test.h"

#define HOME       "/home/someone"
#define REPOSITORY HOME "/src/compass"

static const char profile[] =
    "{\"id\":\"urn:srcos:agent-machine-profile:t\","
    "\"hostPlane\":{\"adapter\":\"linux-native\",\"minimumIsolationTier\":\"namespaces\"},"
    "\"containerPlane\":{\"userMapping\":\"keep-id\",\"limits\":{\"processes\":7}},"
    "\"worktreePlane\":{\"allowedPaths\":[\"~/src\",\"/data\"],"
    "\"repository\":{\"semantics\":\"staged\",\"secretsProhibited\":true}},"
    "\"agentPlane\":{\"budget\":{\"wallClockSeconds\":60,\"cpuSeconds\":60}}}";

static const char *const no_variables[] = { "PATH=/usr/bin:" HOME "/bin", NULL };
static const char *const command[] = { "make", "all", NULL };

static const struct plan_facts usual = {
    .home = HOME,
    .user = "someone",
    .directory = REPOSITORY "/lib",
    .repository = REPOSITORY,
    .uid = 1001,
    .gid = 1002,
    .environment = no_variables,
    .tier = TIER_NAMESPACES,
};

static int build_from(const char *text, const struct plan_facts *facts,
                      const struct plan_request *asked, struct plan **ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct plan_request request = *asked;
    CHECK_INT(json_read(str_from(text), &json_limits_default, &doc, err), 0);
    request.profile = yyjson_doc_get_root(doc);
    if (!request.argv)
        request.argv = command;
    return plan_build(facts, &request, ret, err); /* the plan points into nothing of it */
}

static int build(const struct plan_facts *facts, const struct plan_request *asked,
                 struct plan **ret, struct err *err)
{
    return build_from(profile, facts, asked, ret, err);
}

/* --- what is refused ----------------------------------------------------------------------- */

static const struct {
    const char *host_path, *agent_path;
    enum semantics semantics;
    bool hidden;
    enum err_code code;
    const char *says; /* the rule, or a part of what it says */
} mounts[] = {
    { HOME "/src/o", "/work/o", MOUNT_READ_ONLY, true, ERR_NONE, NULL },
    { "/data", "/data", MOUNT_READ_WRITE, false, ERR_NONE, NULL },
    { HOME "/src/o", "/.../o", MOUNT_STAGED, true, ERR_NONE, NULL },
    { HOME "/src/o", "/usrlocal", MOUNT_STAGED, true, ERR_NONE, NULL },
    { "/database", "/d", MOUNT_READ_ONLY, true, ERR_DENIED, "[mount-not-allowed]" },
    { HOME "/other", "/o", MOUNT_READ_ONLY, true, ERR_DENIED, "[mount-not-allowed]" },
    { HOME, "/all", MOUNT_READ_ONLY, true, ERR_DENIED, "go into a directory" },
    { "/home", "/all", MOUNT_READ_ONLY, true, ERR_DENIED, "[mount-secret]" },
    { "/", "/all", MOUNT_READ_ONLY, true, ERR_DENIED, "[mount-secret]" },
    { HOME "/.ssh", "/keys", MOUNT_READ_ONLY, true, ERR_DENIED, "[mount-secret]" },
    { HOME "/.ssh/more", "/keys", MOUNT_READ_ONLY, true, ERR_DENIED, "[mount-secret]" },
    { HOME "/src/o", "/usr/share", MOUNT_READ_ONLY, true, ERR_DENIED, "[mount-over-system]" },
    { HOME "/src/o", "/etc", MOUNT_READ_ONLY, true, ERR_DENIED, "[mount-over-system]" },
    { HOME "/src/o", "/proc/self", MOUNT_READ_ONLY, true, ERR_DENIED, "[mount-over-system]" },
    { HOME "/src/o", "/o", MOUNT_READ_WRITE, true, ERR_DENIED, "[mount-not-hidden]" },
    /* in another spelling a place would be judged as one, and be another */
    { HOME "/src/o", "/", MOUNT_READ_ONLY, true, ERR_USAGE, "cannot be at /;" },
    { HOME "/src/o", "", MOUNT_READ_ONLY, true, ERR_USAGE, "cannot be at" },
    { HOME "/src/o", "work/o", MOUNT_READ_ONLY, true, ERR_USAGE, "cannot be at work/o" },
    { HOME "/src/o", "//usr/share", MOUNT_READ_ONLY, true, ERR_USAGE, "cannot be at //usr" },
    { HOME "/src/o", "/work/../usr", MOUNT_READ_ONLY, true, ERR_USAGE, "cannot be at /work/.." },
    { HOME "/src/o", "/./usr", MOUNT_READ_ONLY, true, ERR_USAGE, "cannot be at /./usr" },
    { HOME "/src/o", "/../../tmp", MOUNT_READ_ONLY, true, ERR_USAGE, "cannot be at /.." },
    { HOME "/src/o", "/work/", MOUNT_READ_ONLY, true, ERR_USAGE, "cannot be at /work/" },
};

TEST(a_mount_is_made_or_refused_by_its_rule)
{
    for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
        _cleanup_(cleanup_plan) struct plan *plan = NULL;
        struct err err = { 0 };
        struct plan_mount mount = { .host_path = mounts[i].host_path,
                                    .agent_path = mounts[i].agent_path,
                                    .semantics = mounts[i].semantics,
                                    .secrets_prohibited = mounts[i].hidden };
        struct plan_request request = { .mounts = &mount, .mount_count = 1 };
        CHECK_INT(build(&usual, &request, &plan, &err) < 0, mounts[i].code != ERR_NONE);
        CHECK_INT(err.code, mounts[i].code);
        CHECK(!mounts[i].says || strstr(err.cause, mounts[i].says));
        CHECK_INT(plan != NULL, mounts[i].code == ERR_NONE);
    }
}

TEST(where_gits_data_lies_elsewhere_it_is_mounted_at_its_place_and_never_written)
{
    static const struct {
        const char *git;
        enum semantics asked, got;
        bool mounted;
        const char *says;
    } rows[] = {
        { HOME "/src/main/.git", MOUNT_STAGED, MOUNT_STAGED, true, NULL },
        { HOME "/src/main/.git", MOUNT_READ_WRITE, MOUNT_STAGED, true, NULL },
        { HOME "/src/main/.git", MOUNT_READ_ONLY, MOUNT_READ_ONLY, true, NULL },
        { REPOSITORY "/sub/.git", MOUNT_STAGED, MOUNT_STAGED, false, NULL },
        { HOME "/other/.git", MOUNT_STAGED, MOUNT_STAGED, false, "[mount-not-allowed]" },
        { HOME, MOUNT_STAGED, MOUNT_STAGED, false, "[mount-secret]" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_(cleanup_plan) struct plan *plan = NULL;
        struct err err = { 0 };
        struct plan_facts facts = usual;
        struct plan_mount work = { .host_path = REPOSITORY,
                                   .agent_path = REPOSITORY,
                                   .semantics = rows[i].asked };
        struct plan_request request = { .mounts = &work, .mount_count = 1 };
        facts.git = rows[i].git;
        CHECK_INT(build(&facts, &request, &plan, &err) < 0, rows[i].says != NULL);
        CHECK(!rows[i].says || strstr(err.cause, rows[i].says));
        if (!plan)
            continue;
        const struct plan_mount *last = &plan->mounts[plan->mount_count - 1];
        CHECK_INT(plan->mount_count, rows[i].mounted ? 2 : 1);
        if (rows[i].mounted) {
            CHECK_TEXT(last->host_path, rows[i].git);
            CHECK_TEXT(last->agent_path, rows[i].git);
            CHECK_INT(last->semantics, rows[i].got);
        }
    }
}

static const char *const secret_variable[] = { "API_TOKEN=x", NULL };
static const char *const empty[] = { "", NULL };

static const struct {
    struct plan_request request;
    const char *home; /* NULL: the usual one */
    enum tier tier;
    enum err_code code;
    const char *says;
} requests[] = {
    { { .variables = secret_variable }, NULL, TIER_NAMESPACES, ERR_DENIED, "[environment-secret]" },
    { { .minimum_tier = TIER_VM }, NULL, TIER_NAMESPACES, ERR_UNSUPPORTED, "the tier vm" },
    { { 0 }, NULL, TIER_PROCESS, ERR_UNSUPPORTED, "to mend it: mend" },
    { { .argv = empty }, NULL, TIER_NAMESPACES, ERR_USAGE, "no command" },
    { { .directory = "lib" }, NULL, TIER_NAMESPACES, ERR_USAGE, REPOSITORY "/lib/lib" },
    { { 0 }, "/", TIER_NAMESPACES, ERR_DENIED, "[home-over-system]" },
    { { 0 }, "/usr/games", TIER_NAMESPACES, ERR_DENIED, "[home-over-system]" },
};

TEST(a_request_is_refused_by_its_rule)
{
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct plan *plan = NULL;
        struct err err = { 0 };
        struct plan_facts facts = usual;
        facts.home = requests[i].home ? requests[i].home : facts.home;
        facts.tier = requests[i].tier;
        facts.tier_reason = "for a reason";
        facts.tier_remedy = "mend";
        CHECK(build(&facts, &requests[i].request, &plan, &err) < 0);
        CHECK_INT(err.code, requests[i].code);
        CHECK(strstr(err.cause, requests[i].says) != NULL);
        CHECK(plan == NULL);
    }
}

TEST(patterns_are_kept_or_the_mount_is_refused)
{
    static const char *const patterns[] = { "*.o", "/dist/", NULL };
    static const struct {
        enum semantics semantics;
        bool kept;
    } cases[] = {
        { MOUNT_READ_ONLY, true },
        { MOUNT_STAGED, true },
        { MOUNT_READ_WRITE, false },
        { MOUNT_CACHE, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(cleanup_plan) struct plan *plan = NULL;
        struct err err = { 0 };
        struct plan_mount mount = { .host_path = HOME "/src/o",
                                    .agent_path = "/work/o",
                                    .semantics = cases[i].semantics,
                                    .exclude = patterns };
        struct plan_request request = { .mounts = &mount, .mount_count = 1 };
        CHECK_INT(build(&usual, &request, &plan, &err) == 0, cases[i].kept);
        CHECK(cases[i].kept || strstr(err.cause, "[mount-not-filtered]"));
        for (size_t j = 0; plan && j < plan->mount_count; j++)
            if (strcmp(plan->mounts[j].agent_path, "/work/o") == 0)
                CHECK_TEXT(plan->mounts[j].exclude[1], "/dist/");
    }
}

TEST(a_command_starts_where_the_caller_stands_wherever_that_is_mounted)
{
    _cleanup_(cleanup_plan) struct plan *plan = NULL;
    struct err err = { 0 };
    struct plan_mount mount = { .host_path = REPOSITORY,
                                .agent_path = "/work/compass",
                                .semantics = MOUNT_STAGED };
    struct plan_request request = { .mounts = &mount, .mount_count = 1 };
    CHECK_INT(build(&usual, &request, &plan, &err), 0);
    CHECK_INT(plan->mount_count, 1); /* it takes the place of the repository's own */
    CHECK_TEXT(plan->directory, "/work/compass/lib");
}

TEST(two_mounts_are_at_two_places)
{
    struct plan *plan = NULL;
    struct err err = { 0 };
    struct plan_mount both[] = {
        { .host_path = "/data", .agent_path = "/d", .semantics = MOUNT_READ_WRITE },
        { .host_path = "/data/b", .agent_path = "/d", .semantics = MOUNT_READ_WRITE },
    };
    struct plan_request request = { .mounts = both, .mount_count = 2 };
    CHECK(build(&usual, &request, &plan, &err) < 0);
    CHECK_INT(err.code, ERR_DENIED);
    CHECK(strstr(err.cause, "[mount-twice]") != NULL);
}

/* --- what is made -------------------------------------------------------------------------- */

TEST(the_repository_is_mounted_as_the_profile_says)
{
    _cleanup_(cleanup_plan) struct plan *plan = NULL;
    struct err err = { 0 };
    CHECK_INT(build(&usual, &(struct plan_request){ 0 }, &plan, &err), 0);
    CHECK_INT(plan->mount_count, 1);
    CHECK_TEXT(plan->mounts[0].host_path, REPOSITORY);
    CHECK_TEXT(plan->mounts[0].agent_path, REPOSITORY);
    CHECK_INT(plan->mounts[0].semantics, MOUNT_STAGED);
    CHECK(plan->mounts[0].secrets_prohibited);
    CHECK_TEXT(plan->directory, REPOSITORY "/lib");
    CHECK_TEXT(plan->argv[1], "all");
    CHECK(plan->argv[2] == NULL);
}

TEST(outer_mounts_come_before_inner_ones)
{
    _cleanup_(cleanup_plan) struct plan *plan = NULL;
    struct err err = { 0 };
    struct plan_mount given[] = {
        { .host_path = "/data/1", .agent_path = "/w/a/b", .semantics = MOUNT_READ_WRITE },
        { .host_path = "/data/2", .agent_path = "/w/a-c", .semantics = MOUNT_READ_WRITE },
        { .host_path = "/data/3", .agent_path = "/w/a", .semantics = MOUNT_READ_WRITE },
        { .host_path = "/data/4", .agent_path = REPOSITORY, .semantics = MOUNT_READ_WRITE },
    };
    struct plan_request request = { .mounts = given, .mount_count = ARRAY_LEN(given) };
    CHECK_INT(build(&usual, &request, &plan, &err), 0);
    CHECK_INT(plan->mount_count, 4); /* the repository's own is left to the request's */
    CHECK_TEXT(plan->mounts[0].host_path, "/data/4");
    CHECK_TEXT(plan->mounts[1].agent_path, "/w/a");
    CHECK_TEXT(plan->mounts[2].agent_path, "/w/a-c");
    CHECK_TEXT(plan->mounts[3].agent_path, "/w/a/b");
}

TEST(root_gives_its_command_an_identity_that_nobody_has)
{
    _cleanup_(cleanup_plan) struct plan *own = NULL, *of_root = NULL;
    struct err err = { 0 };
    struct plan_facts root = usual;
    root.uid = root.gid = 0;
    root.has_groups = true;
    CHECK_INT(build(&usual, &(struct plan_request){ 0 }, &own, &err), 0);
    CHECK_INT(own->inside_uid, 1001);
    CHECK_INT(own->host_uid, 1001);
    CHECK_INT(own->host_gid, 1002);
    CHECK(!own->as_root);
    CHECK_INT(build(&root, &(struct plan_request){ 0 }, &of_root, &err), 0);
    CHECK(of_root->as_root);
    CHECK(of_root->inside_uid != 0 && of_root->host_uid > 65536 && of_root->host_gid > 65536);
    CHECK(!of_root->has_groups);
    CHECK_TEXT(of_root->user, "agent");
}

TEST(a_command_lowers_a_budget_and_does_not_raise_it)
{
    _cleanup_(cleanup_plan) struct plan *plan = NULL;
    struct err err = { 0 };
    int64_t ceiling[DIMENSION_COUNT];
    for (size_t i = 0; i < DIMENSION_COUNT; i++)
        ceiling[i] = -1;
    ceiling[DIMENSION_WALL_CLOCK_SECONDS] = 5;
    ceiling[DIMENSION_CPU_SECONDS] = 500;
    CHECK_INT(build(&usual, &(struct plan_request){ .ceiling = ceiling }, &plan, &err), 0);
    CHECK_INT(plan->limits.budget[DIMENSION_WALL_CLOCK_SECONDS], 5);
    CHECK_INT(plan->limits.budget[DIMENSION_CPU_SECONDS], 60);
    CHECK_INT(plan->limits.budget[DIMENSION_TOKENS], 0); /* not named: none */
    CHECK_INT(plan->limits.processes, 7);
}

TEST(a_document_of_a_plan_holds_no_argument)
{
    static const char *const argv[] = { "tool", "--password=hunter2", NULL };
    static const char *const variables[] = { "ADDED=hunter3", NULL };
    _cleanup_(cleanup_plan) struct plan *plan = NULL;
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    struct err err = { 0 };
    struct plan_request request = { .argv = argv, .variables = variables };
    CHECK_INT(build(&usual, &request, &plan, &err), 0);
    CHECK_INT(plan_write(plan, &json, &err), 0);
    CHECK(strstr(json.data, "\"executable\":\"tool\"") != NULL);
    CHECK(strstr(json.data, "\"ADDED\"") != NULL);
    CHECK(strstr(json.data, "hunter") == NULL);
    CHECK(strstr(json.data, "\"safe\"") == NULL);
}

TEST(a_plan_says_whom_the_command_trusts_where_it_has_a_network)
{
    static const char *const files[] = { "/etc/ssl/corp.pem", NULL };
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    struct err err = { 0 };
    struct plan_request request = { .authorities = files, .certificates = "-----BEGIN" };
    struct plan_facts process = usual;
    struct plan *plan = NULL;
    CHECK_INT(build(&usual, &request, &plan, &err), 0);
    CHECK_TEXT(plan->certificates, "-----BEGIN");
    CHECK_INT(plan_write(plan, &json, &err), 0);
    CHECK(strstr(json.data, "\"authorities\":[\"/etc/ssl/corp.pem\"],"
                            "\"authoritiesDigest\":\"sha256:") != NULL);
    CHECK(strstr(json.data, "BEGIN") == NULL);
    plan_free(TAKE_PTR(plan));
    process.tier = TIER_PROCESS;
    CHECK_INT(build_from("{\"id\":\"urn:srcos:agent-machine-profile:t\","
                         "\"hostPlane\":{\"adapter\":\"linux-native\","
                         "\"minimumIsolationTier\":\"process\"},"
                         "\"containerPlane\":{\"userMapping\":\"keep-id\"},"
                         "\"worktreePlane\":{\"allowedPaths\":[\"~/src\"],"
                         "\"repository\":{\"semantics\":\"read-only\"}},"
                         "\"agentPlane\":{\"budget\":{\"wallClockSeconds\":60}}}",
                         &process, &request, &plan, &err),
              0);
    CHECK(plan && !plan->certificates && !plan->authorities);
    plan_free(plan);
}

TEST(an_argument_that_is_safe_is_kept_at_its_place)
{
    static const char *const argv[] = { "tool", "exec", "hunter2", "--json", "bad\xff", NULL };
    static const bool safe[] = { false, true, false, true, true };
    _cleanup_(cleanup_plan) struct plan *plan = NULL;
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    struct err err = { 0 };
    struct plan_request request = { .argv = argv, .safe = safe };
    CHECK_INT(build(&usual, &request, &plan, &err), 0);
    CHECK_INT(plan_write_arguments(plan, &json, &err), 0);
    CHECK(str_starts(buf_str(&json), STR("{\"count\":4,\"digest\":\"sha256:")));
    CHECK(str_ends(buf_str(&json), STR(",\"lengthBytes\":21,\"safe\":[{\"index\":0,\"text\":"
                                       "\"exec\"},{\"index\":2,\"text\":\"--json\"}]}")));
}

/* --- what can be known before -------------------------------------------------------------- */

TEST(a_plan_comes_out_as_expected_unless_its_profile_wants_other_ids)
{
    struct plan_request request = { 0 };
    struct plan expected, *plan = NULL;
    struct err err = { 0 };
    plan_expect(usual.uid, usual.gid, &expected);
    CHECK_INT(build(&usual, &request, &plan, &err), 0);
    CHECK(plan_is_as_expected(plan, &expected));
    plan_expect(0, 0, &expected);
    CHECK(!plan_is_as_expected(plan, &expected));
    plan->inside_uid = plan->inside_gid = 0; /* mapped-root */
    plan_expect(usual.uid, usual.gid, &expected);
    CHECK(!plan_is_as_expected(plan, &expected));
    plan_free(plan);
}
