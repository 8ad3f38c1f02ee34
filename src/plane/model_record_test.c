/* model_record: what the door asks for calls, decided, reserved, settled and recorded. */
#include "plane/model_record.h"

#include "authority/layers.h"
#include "authority/verdict_test.h"
#include "plane/budget.h"
#include "plane/gate_layers.h"
#include "plane/model_test.h"

#define CEILING(calls, tokens)                                                                     \
    ",\"budgetCeiling\":{\"modelCalls\":" calls ",\"tokens\":" tokens ",\"wallClockSeconds\":60,"  \
    "\"cpuSeconds\":60,\"agentConcurrency\":1}"
#define HOSTED_TERMS "," MODEL "," LEAVES "," TERMS
#define PROMPT       "sha256:1312c9a4ba54dd44a3219b79bf2c8afc6c9e0208e5807a8786d2506e91d0c3b4"

/* What one run does with the sink, and what it found. */
struct scene {
    struct stage stage;
    struct layers_places places;
    int calls;               /* that the run makes, */
    uint64_t reserved, used; /* each with so many tokens */
    bool unbinds;            /* after the first call */
    int permitted, refused;
    enum err_code failure; /* of the first reservation that failed */
    struct model_ceiling ceiling;
    char reason[MODEL_REASON_SIZE];
    struct buf egress, denials;
    unsigned verdicts; /* commits of verdicts and calls */
};

static void count_verdicts(void *context, enum plane_step step)
{
    struct scene *scene = context;
    scene->verdicts += step == PLANE_STEP_VERDICT;
}

static void one_call(struct scene *scene, struct model_record *record,
                     const struct model_routes *routes, int number)
{
    const struct model_sink *sink = &record->sink;
    struct err err = { 0 };
    struct model_call call = { .number = (uint64_t)number,
                               .model = STR("small"),
                               .upstream_model = STR("llama3.2:1b"),
                               .route = &routes->routes[0],
                               .route_reason = "A local route answers this model name.",
                               .prompt_bytes = 1000,
                               .prompt_digest = PROMPT,
                               .reserved_calls = 1,
                               .reserved_tokens = scene->reserved };
    struct model_settlement settlement = { .end = CALL_COMPLETED,
                                           .calls = 1,
                                           .tokens = scene->used,
                                           .input_tokens = scene->used,
                                           .output_tokens = 3,
                                           .sent_bytes = 1000,
                                           .answer_bytes = 50,
                                           .status = 200 };
    int r = sink->permit(sink->context, &call, scene->reason, &err);
    CHECK(r >= 0);
    if (r <= 0) {
        sink->refused(sink->context, &call, FAULT_DENIED, scene->reason);
        scene->refused++;
        return;
    }
    r = sink->reserve(sink->context, &call, &scene->ceiling, &err);
    if (r < 0) {
        scene->failure = err.code;
        sink->refused(sink->context, &call, FAULT_BUDGET, err.cause);
        scene->refused++;
        return;
    }
    scene->permitted++;
    sink->settle(sink->context, &call, &settlement);
}

static void unbind_meanwhile(struct scene *scene)
{
    struct stage other = scene->stage;
    other.commands += 1000;
    other.options.committed = NULL;
    CHECK(stage_open(&other));
    CHECK_INT(unbind(&other, LOCAL, "").state, STATE_COMPLETED);
    plane_close(other.plane);
}

/* Where the name of a hosted place may lead. */
static void check_addresses(struct model_record *record, const struct model_routes *routes)
{
    static const struct {
        const char *address;
        bool allowed;
    } cases[] = { { "93.184.216.34", true },
                  { "2606:2800:220:1::1", true },
                  { "127.0.0.1", false },
                  { "10.1.2.3", false },
                  { "169.254.169.254", false } };
    struct model_call call = { .route = &routes->routes[0] };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address_range range;
        CHECK(address_range_read(str_from(cases[i].address), &range));
        if (model_record_address(record, &call, &range) != cases[i].allowed)
            test_fail(__FILE__, __LINE__, "%s", cases[i].address);
    }
}

static int effect_calls(void *context, struct work *work, struct effect_result *ret,
                        struct err *err)
{
    struct scene *scene = context;
    struct model_routes routes = { 0 };
    struct model_record record;
    int r = model_routes_read(work_plane(work), STR(TEST_AGENT), STR(TEST_PROFILE), &routes, err);
    if (r < 0)
        return r;
    CHECK_INT(routes.count, 1);
    CHECK_INT(model_record_init(&record, work, &routes, err), 0);
    for (int i = 0; i < scene->calls; i++) {
        one_call(scene, &record, &routes, i + 1);
        if (i == 0 && scene->unbinds)
            unbind_meanwhile(scene);
    }
    if (routes.routes[0].is_hosted && scene->permitted)
        check_addresses(&record, &routes);
    model_record_write_egress(&record, &scene->egress);
    model_record_write_denials(&record, &scene->denials);
    ret->used.of[DIMENSION_MODEL_CALLS] = record.calls;
    ret->used.of[DIMENSION_TOKENS] = record.tokens;
    ret->end = STATE_COMPLETED;
    model_record_release(&record);
    model_routes_release(&routes);
    return 0;
}

/* With layers' folders in the stage's own; `network` is a profile of the user's layer, or NULL. */
static bool scene_begin(struct scene *scene, const char *network)
{
    scene->egress = scene->denials = BUF_INIT;
    if (!stage_begin(&scene->stage))
        return false;
    plane_close(scene->stage.plane);
    struct layers_places *places = &scene->places;
    snprintf(places->system, sizeof(places->system), "%s/system", scene->stage.folder);
    snprintf(places->config, sizeof(places->config), "%s", scene->stage.config);
    snprintf(places->state, sizeof(places->state), "%s", scene->stage.state);
    places->owner = geteuid();
    if (network)
        test_put(scene->stage.folder, "config/user/network.json", network);
    scene->stage.options.places = places;
    scene->stage.options.execution_start = effect_calls;
    scene->stage.options.effect_context = scene;
    scene->stage.options.committed = count_verdicts;
    scene->stage.options.committed_context = scene;
    if (!stage_open(&scene->stage))
        return false;
    make_profile(&scene->stage, "personal");
    return true;
}

static struct outcome run(struct scene *scene, const char *ceiling)
{
    struct buf command = BUF_INIT;
    command_start(&scene->stage, &command, ceiling);
    scene->verdicts = 0;
    struct outcome outcome = stage_submit(&scene->stage, &command);
    buf_release(&command);
    CHECK_INT(outcome.state, STATE_COMPLETED);
    return outcome;
}

static void scene_end(struct scene *scene)
{
    stage_check(&scene->stage);
    buf_release(&scene->egress);
    buf_release(&scene->denials);
    stage_end(&scene->stage);
}

static int64_t used(struct scene *scene, const struct outcome *outcome, enum dimension dimension)
{
    struct account account = { 0 };
    char urn[PLANE_URN_MAX];
    budget_urn(str_from(outcome->operation), urn);
    CHECK_INT(ledger_get_account(plane_ledger(scene->stage.plane), str_from(urn), &account, NULL),
              0);
    return account.used.of[dimension];
}

static int count_call(void *context, int64_t sequence, struct str json, struct err *err)
{
    yyjson_doc *doc = NULL;
    (void)sequence;
    int r = json_read(json, &json_limits_default, &doc, err);
    *(size_t *)context += member(yyjson_doc_get_root(doc), "modelCall") != NULL;
    yyjson_doc_free(doc);
    return r;
}

static size_t call_events(struct scene *scene)
{
    size_t count = 0;
    CHECK_INT(
        ledger_each_event(plane_ledger(scene->stage.plane), 0, STR(""), count_call, &count, NULL),
        0);
    return count;
}

TEST(local_calls_are_charged_as_reported_and_recorded_and_nothing_leaves)
{
    struct scene scene = { .calls = 100, .reserved = 1000, .used = 10 };
    if (!scene_begin(&scene, NULL))
        return;
    CHECK_INT(bind_local(&scene.stage).state, STATE_COMPLETED);
    struct outcome outcome = run(&scene, CEILING("100", "2000"));
    CHECK_INT(scene.permitted, 100);
    CHECK_INT(used(&scene, &outcome, DIMENSION_MODEL_CALLS), 100);
    CHECK_INT(used(&scene, &outcome, DIMENSION_TOKENS), 1000);
    CHECK_INT(call_events(&scene), 100);
    CHECK(scene.verdicts <= 100 / MODEL_PENDING_MAX + 2); /* no call waits for its own event */
    CHECK_TEXT(scene.egress.data, "{\"bytes\":0,\"calls\":0,\"destinations\":[]}");
    CHECK_TEXT(scene.denials.data, "");
    scene_end(&scene);
}

TEST(a_call_beyond_a_ceiling_is_refused_with_the_ceiling_s_name)
{
    struct scene scene = { .calls = 5, .reserved = 400, .used = 400 };
    char urn[PLANE_URN_MAX];
    if (!scene_begin(&scene, NULL))
        return;
    CHECK_INT(bind_local(&scene.stage).state, STATE_COMPLETED);
    struct outcome outcome = run(&scene, CEILING("100", "1000"));
    budget_urn(str_from(outcome.operation), urn);
    CHECK_INT(scene.permitted, 2);
    CHECK_INT(scene.refused, 3);
    CHECK_INT(scene.failure, ERR_BUDGET);
    CHECK_TEXT(scene.ceiling.dimension, "tokens");
    CHECK_INT(scene.ceiling.requested, 400);
    CHECK_TEXT(scene.ceiling.budget_ref, urn);
    CHECK_INT(used(&scene, &outcome, DIMENSION_TOKENS), 800);
    CHECK_INT(used(&scene, &outcome, DIMENSION_MODEL_CALLS), 2); /* the refused gave theirs back */
    scene_end(&scene);
}

TEST(what_a_provider_reports_above_its_reservation_is_charged_before_the_next_call)
{
    struct scene scene = { .calls = 5, .reserved = 100, .used = 600 };
    if (!scene_begin(&scene, NULL))
        return;
    CHECK_INT(bind_local(&scene.stage).state, STATE_COMPLETED);
    struct outcome outcome = run(&scene, CEILING("100", "1000"));
    CHECK_INT(scene.permitted, 2); /* 600, and then 1200: more than there is */
    CHECK_INT(used(&scene, &outcome, DIMENSION_TOKENS), 1200);
    scene_end(&scene);
}

TEST(a_provider_that_reports_more_than_any_number_ends_the_calls_and_no_more)
{
    struct scene scene = { .calls = 3, .reserved = 100, .used = UINT64_MAX };
    if (!scene_begin(&scene, NULL))
        return;
    CHECK_INT(bind_local(&scene.stage).state, STATE_COMPLETED);
    struct outcome outcome = run(&scene, CEILING("100", "1000"));
    CHECK_INT(scene.permitted, 1);
    CHECK_INT(used(&scene, &outcome, DIMENSION_TOKENS), ((int64_t)1 << 53) - 1);
    scene_end(&scene);
}

TEST(a_hosted_route_needs_the_layers_and_what_left_is_told_by_destination)
{
    struct scene scene = { .calls = 3, .reserved = 100, .used = 10 };
    static const char network[] = NETWORK(
        "deny", ENTRY("gateway", "user-firewall", "allow-listed",
                      ",'allowDomains':['models.example.com'],'denyDomains':[],'allowCidrs':[],"
                      "'denyCidrs':[]"));
    if (!scene_begin(&scene, network))
        return;
    CHECK_INT(bind_hosted(&scene.stage, HOSTED_TERMS).state, STATE_COMPLETED);
    run(&scene, CEILING("100", "1000"));
    CHECK_INT(scene.permitted, 3);
    CHECK(strstr(scene.egress.data, "{\"bytes\":3000,\"calls\":3,\"destinations\":[{") ==
          scene.egress.data);
    CHECK(strstr(scene.egress.data, "\"host\":\"models.example.com\",\"calls\":3") != NULL);
    scene_end(&scene);
}

TEST(a_hosted_route_that_no_layer_allows_is_denied_and_nothing_leaves)
{
    struct scene scene = { .calls = 3, .reserved = 100, .used = 10 };
    if (!scene_begin(&scene, NULL))
        return;
    CHECK_INT(bind_hosted(&scene.stage, HOSTED_TERMS).state, STATE_COMPLETED);
    struct outcome outcome = run(&scene, CEILING("100", "1000"));
    CHECK_INT(scene.permitted, 0);
    CHECK_INT(scene.refused, 3);
    CHECK(strstr(scene.reason, "models.example.com") != NULL);
    CHECK_TEXT(scene.egress.data, "{\"bytes\":0,\"calls\":0,\"destinations\":[]}");
    CHECK(strstr(scene.denials.data, "\"gate\":\"modelProviderUse\"") != NULL);
    CHECK(strstr(scene.denials.data, "\"count\":3") != NULL);
    CHECK_INT(used(&scene, &outcome, DIMENSION_MODEL_CALLS), 0);
    scene_end(&scene);
}

TEST(a_binding_that_is_undone_ends_the_calls_of_a_run)
{
    struct scene scene = { .calls = 4, .reserved = 100, .used = 10, .unbinds = true };
    if (!scene_begin(&scene, NULL))
        return;
    CHECK_INT(bind_local(&scene.stage).state, STATE_COMPLETED);
    run(&scene, CEILING("100", "1000"));
    CHECK_INT(scene.permitted, 1);
    CHECK_INT(scene.refused, 3);
    CHECK(strstr(scene.reason, "undone") != NULL);
    scene_end(&scene);
}

/* --- layers and delegations ---------------------------------------------------------------- */

/* A rule about local models, in force from the next run on. */
static void say(struct scene *scene, const char *answer)
{
    char rules[512];
    snprintf(rules, sizeof(rules),
             "{'rules':[{'gate':'modelProviderUse','match':'urn:srcos:model-profile:*',"
             "'answer':'%s','reason':'Sure?'}]}",
             answer);
    plane_close(scene->stage.plane);
    test_put(scene->stage.folder, "config/user/gates.json", rules);
    CHECK(stage_open(&scene->stage));
}

static int last_id(void *context, struct str id, struct str json, int64_t revision, struct err *err)
{
    (void)json, (void)revision, (void)err;
    snprintf(context, PLANE_URN_MAX, "%.*s", STR_ARG(id));
    return 0;
}

static void again(struct scene *scene)
{
    scene->permitted = scene->refused = 0;
    buf_reset(&scene->egress);
    buf_reset(&scene->denials);
    run(scene, CEILING("100", "1000"));
}

TEST(a_layer_s_denial_of_a_local_model_stands)
{
    struct scene scene = { .calls = 2, .reserved = 100, .used = 10 };
    if (!scene_begin(&scene, NULL))
        return;
    CHECK_INT(bind_local(&scene.stage).state, STATE_COMPLETED);
    say(&scene, "deny");
    again(&scene);
    CHECK_INT(scene.permitted, 0);
    CHECK_INT(scene.refused, 2);
    CHECK(strstr(scene.reason, "Sure?") != NULL);
    scene_end(&scene);
}

TEST(what_a_layer_leaves_to_a_person_is_asked_once_and_goes_by_the_answer)
{
    struct scene scene = { .calls = 3, .reserved = 100, .used = 10 };
    struct buf command = BUF_INIT;
    struct outcome outcome;
    char card[PLANE_URN_MAX] = "";
    if (!scene_begin(&scene, NULL))
        return;
    CHECK_INT(bind_local(&scene.stage).state, STATE_COMPLETED);
    say(&scene, "ask");
    again(&scene);
    CHECK_INT(scene.permitted, 0);
    CHECK(strstr(scene.reason, "op decide") != NULL);
    CHECK_INT(stage_count(&scene.stage, "DecisionCard"), 1);
    CHECK_INT(ledger_each_document(plane_ledger(scene.stage.plane), STR("DecisionCard"), STR(""),
                                   last_id, card, NULL),
              0);
    struct plane_answer answer = { .card = str_from(card), .option = STR("this-profile") };
    CHECK_INT(plane_write_decide(scene.stage.plane, &answer, &command, NULL), 0);
    CHECK_INT(plane_submit(scene.stage.plane, buf_str(&command), NULL, &outcome, NULL), 0);
    buf_release(&command);
    again(&scene);
    CHECK_INT(scene.permitted, 3);
    CHECK_INT(stage_count(&scene.stage, "DecisionCard"), 1);
    scene_end(&scene);
}

/* A delegation of the user's to the agent that gives these providers. */
static void delegate(struct stage *stage, const char *providers)
{
    struct buf json = BUF_INIT, envelope = BUF_INIT;
    struct ledger_batch *batch = NULL;
    struct ledger_position position;
    struct sign_key *key = NULL;
    char now[CLOCK_TEXT_SIZE], until[CLOCK_TEXT_SIZE];
    clock_text(clock_now_ms() - 1000, now);
    clock_text(clock_now_ms() + 3600 * 1000, until);
    buf_addf(&json,
             "{\"id\":\"urn:srcos:delegation:given\",\"type\":\"Delegation\",\"specVersion\":"
             "\"1.0.0\",\"depth\":0,\"issuerRef\":\"%s\",\"subjectRef\":\"" TEST_AGENT
             "\",\"issuedAt\":\"%s\",\"notBefore\":\"%s\",\"expiresAt\":\"%s\",\"operationTypes\":"
             "[\"agent_machine.execution.start\"],\"scope\":{\"workspaceRefs\":"
             "[\"" TEST_WORKSPACE "\"],\"profileRefs\":[\"" TEST_PROFILE "\"],\"toolRefs\":[],"
             "\"modelProviderRefs\":[%s],\"mounts\":[]},\"budgetCeiling\":{\"modelCalls\":100,"
             "\"tokens\":1000,\"wallClockSeconds\":100000,\"cpuSeconds\":100000,"
             "\"agentConcurrency\":10}}",
             stage->user, now, now, until, providers);
    CHECK_INT(key_open_user(stage->config, &key, NULL), 0);
    CHECK_INT(delegation_seal(key, buf_str(&json), &envelope, NULL), 0);
    CHECK_INT(ledger_batch_new(&batch, NULL), 0);
    CHECK_INT(delegation_put(batch, buf_str(&envelope), clock_now_ms(), NULL), 0);
    CHECK_INT(ledger_commit(plane_ledger(stage->plane), batch, &position, NULL), 0);
    ledger_batch_free(batch);
    sign_key_free(key);
    buf_release(&json);
    buf_release(&envelope);
}

TEST(a_delegation_that_is_named_gives_the_providers_that_it_lists)
{
    static const struct {
        const char *providers;
        int permitted;
    } cases[] = { { "", 0 }, { "\"" HOSTED "\"", 0 }, { "\"" LOCAL "\"", 2 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scene scene = { .calls = 2, .reserved = 100, .used = 10 };
        if (!scene_begin(&scene, NULL))
            return;
        CHECK_INT(bind_local(&scene.stage).state, STATE_COMPLETED);
        delegate(&scene.stage, cases[i].providers);
        run(&scene, ",\"delegationRef\":\"urn:srcos:delegation:given\"" CEILING("100", "1000"));
        if (scene.permitted != cases[i].permitted)
            test_fail(__FILE__, __LINE__, "%d: %s", scene.permitted, scene.reason);
        scene_end(&scene);
    }
}
