/* submit: what becomes of a command. */
#include "plane/plane_test.h"
#include "plane/profile.h"

/* --- effects ------------------------------------------------------------------------------- */

static int effect_completes(void *context, struct work *work, struct effect_result *ret,
                            struct err *err)
{
    (void)work;
    (void)err;
    if (context)
        ++*(int *)context;
    ret->end = STATE_COMPLETED;
    return 0;
}

static int effect_warns(void *context, struct work *work, struct effect_result *ret,
                        struct err *err)
{
    (void)context;
    (void)work;
    (void)err;
    ret->end = STATE_COMPLETED_WITH_WARNINGS;
    snprintf(ret->warning, sizeof(ret->warning), "One file is held apart.");
    return 0;
}

/* Fails as often as its context says. */
static int effect_fails(void *context, struct work *work, struct effect_result *ret,
                        struct err *err)
{
    int *left = context;
    (void)work;
    (void)err;
    ret->end = STATE_COMPLETED;
    if ((*left)-- > 0) {
        ret->end = STATE_FAILED;
        err_set(&ret->failure, ERR_IO, "run", "the command could not be run");
    }
    return 0;
}

/* --- ends ---------------------------------------------------------------------------------- */

TEST(a_run_that_completes_leaves_valid_documents_and_no_reservation)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    char text[PLANE_URN_MAX];
    int ran = 0;
    if (!stage_begin(&stage))
        return;
    plane_close(stage.plane);
    stage.options.execution_start = effect_completes;
    stage.options.effect_context = &ran;
    if (!stage_open(&stage))
        return;
    command_start(&stage, &command, "");
    struct outcome outcome = stage_submit(&stage, &command);
    CHECK_INT(outcome.state, STATE_COMPLETED);
    CHECK_INT(ran, 1);
    stage_text(&stage, outcome.operation, "/delegationRef", text, sizeof(text));
    CHECK(strstr(text, "urn:srcos:delegation:") == text);
    stage_text(&stage, outcome.operation, "/gateDecisions/0/gate", text, sizeof(text));
    CHECK_TEXT(text, "networkProfile");
    stage_text(&stage, outcome.operation, "/budgetRef", text, sizeof(text));
    struct account account = { 0 };
    CHECK_INT(ledger_get_account(plane_ledger(stage.plane), str_from(text), &account, NULL), 0);
    CHECK_INT(account.used.of[DIMENSION_WALL_CLOCK_SECONDS], 1);
    CHECK_INT(account.used.of[DIMENSION_AGENT_CONCURRENCY], 0);
    stage_text(&stage, text, "/state", text, sizeof(text));
    CHECK_TEXT(text, "settled");
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

TEST(a_command_that_this_process_wrote_is_valid_though_nobody_asks)
{
    static const struct plane_asks asks = { .is_checked = true };
    struct submission submission = { .type = OPERATION_EXECUTION_START,
                                     .workspace = STR(TEST_WORKSPACE),
                                     .key = STR("k") };
    struct stage stage;
    struct buf command = BUF_INIT;
    struct outcome outcome = { 0 };
    struct err err = { 0 };
    struct str parameters = STR(START_PARAMETERS);
    int failures = 1;
    if (!stage_begin(&stage))
        return;
    plane_close(stage.plane);
    stage.options.execution_start = effect_fails;
    stage.options.effect_context = &failures;
    if (!stage_open(&stage))
        return;
    parameters = str_from_offset(parameters, strlen("{\"executionStart\":"));
    parameters.len--; /* the brace around */
    submission.parameters = parameters;
    CHECK_INT(plane_write_submit(&submission, &command, &err), 0);
    CHECK_INT(plane_submit(stage.plane, buf_str(&command), &asks, &outcome, &err), 0);
    CHECK_INT(outcome.state, STATE_FAILED);
    buf_reset(&command);
    CHECK_INT(plane_write_retry(stage.plane, str_from(outcome.operation), &command, &err), 0);
    CHECK_INT(plane_submit(stage.plane, buf_str(&command), &asks, &outcome, &err), 0);
    CHECK_INT(outcome.state, STATE_COMPLETED);
    CHECK_TEXT(err.cause, "");
    stage_check(&stage); /* the commands, too, are held against schema and rules */
    buf_release(&command);
    stage_end(&stage);
}

TEST(the_delegation_that_is_made_for_a_command_verifies)
{
    struct stage stage;
    struct buf command = BUF_INIT, envelope = BUF_INIT;
    struct delegation_source source;
    struct delegation delegation;
    struct sign_public root;
    struct err err = { 0 };
    char text[PLANE_URN_MAX];
    int64_t revision;
    if (!stage_begin(&stage))
        return;
    command_start(&stage, &command, ",\"budgetCeiling\":{\"wallClockSeconds\":7}");
    struct outcome outcome = stage_submit(&stage, &command);
    stage_text(&stage, outcome.operation, "/delegationRef", text, sizeof(text));
    CHECK_INT(
        ledger_get_document(plane_ledger(stage.plane), str_from(text), &envelope, &revision, &err),
        0);
    snprintf(text, sizeof(text), "%s/" KEY_PUBLIC_FILE, stage.config);
    CHECK_INT(key_open_public(text, &root, &err), 0);
    delegation_source_of(plane_ledger(stage.plane), &root, &source);
    CHECK_INT(delegation_verify(buf_str(&envelope), &source, clock_now_ms(), &delegation, &err), 0);
    CHECK_STR(delegation.subject, STR(TEST_AGENT));
    CHECK_INT(delegation.ceiling.of[DIMENSION_WALL_CLOCK_SECONDS], 7);
    CHECK_TEXT(err.cause, "");
    delegation_release(&delegation);
    buf_release(&envelope);
    buf_release(&command);
    stage_end(&stage);
}

TEST(a_warning_is_an_end_of_its_own)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    if (!stage_begin(&stage))
        return;
    plane_close(stage.plane);
    stage.options.execution_start = effect_warns;
    if (!stage_open(&stage))
        return;
    command_start(&stage, &command, "");
    CHECK_INT(stage_submit(&stage, &command).state, STATE_COMPLETED_WITH_WARNINGS);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

TEST(an_effect_that_is_not_there_yet_is_a_typed_failure_and_recorded)
{
    static const struct {
        const char *type, *parameters, *extra;
    } cases[] = {
        { "agent_machine.execution.start", START_PARAMETERS, "" },
        { "agent_machine.container.run",
          "{\"containerRun\":{\"profileRef\":\"" TEST_PROFILE "\",\"image\":{\"reference\":"
          "\"docker.io/library/debian:12\",\"source\":\"registry\"}}}",
          "" },
    };
    struct stage stage;
    struct buf command = BUF_INIT;
    if (!stage_begin(&stage))
        return;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        command_make(&stage, &command, cases[i].type, TEST_AGENT, cases[i].parameters,
                     cases[i].extra);
        struct outcome outcome = stage_submit(&stage, &command);
        CHECK_INT(outcome.state, STATE_FAILED);
        if (outcome.failure.code != ERR_UNSUPPORTED)
            test_fail(__FILE__, __LINE__, "%s: %s", cases[i].type, outcome.failure.cause);
    }
    CHECK_INT(stage_count(&stage, "WorkspaceOperation"), ARRAY_LEN(cases));
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

/* --- refusals ------------------------------------------------------------------------------ */

TEST(what_is_no_command_is_refused_and_nothing_is_recorded)
{
    static const struct {
        const char *text;
        enum err_code code;
    } cases[] = {
        { "", ERR_SYNTAX },
        { "{", ERR_SYNTAX },
        { "[]", ERR_DOCUMENT },
        { "{\"type\":\"OperationCommand\"}", ERR_DOCUMENT },
    };
    struct stage stage;
    struct outcome outcome;
    if (!stage_begin(&stage))
        return;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = { 0 };
        CHECK(plane_submit(stage.plane, str_from(cases[i].text), NULL, &outcome, &err) < 0);
        CHECK_INT(err.code, cases[i].code);
    }
    CHECK_INT(stage_count(&stage, "WorkspaceOperation"), 0);
    stage_end(&stage);
}

TEST(a_digest_of_other_parameters_is_refused)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    struct outcome outcome;
    struct err err = { 0 };
    if (!stage_begin(&stage))
        return;
    command_start(&stage, &command, "");
    char *digest = strstr(command.data, "parametersDigest\":\"sha256:") + 26;
    *digest = *digest == '0' ? '1' : '0';
    CHECK(plane_submit(stage.plane, buf_str(&command), NULL, &outcome, &err) < 0);
    CHECK_INT(err.code, ERR_DOCUMENT);
    CHECK(strstr(err.cause, "operations.parameters-digest"));
    buf_release(&command);
    stage_end(&stage);
}

TEST(without_a_key_or_for_another_actor_there_is_no_delegation)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    char text[256];
    if (!stage_begin(&stage))
        return;
    snprintf(text, sizeof(text), "%s/key.pem", stage.config);
    CHECK_INT(unlink(text), 0);
    command_start(&stage, &command, "");
    struct outcome outcome = stage_submit(&stage, &command);
    CHECK_INT(outcome.state, STATE_FAILED);
    CHECK_INT(outcome.failure.code, ERR_DENIED);
    stage_text(&stage, outcome.operation, "/failure/denial/ruleId", text, sizeof(text));
    CHECK_TEXT(text, "no-delegation");
    snprintf(stage.user, sizeof(stage.user), "urn:srcos:user:somebody-else");
    command_start(&stage, &command, "");
    outcome = stage_submit(&stage, &command);
    CHECK_INT(outcome.failure.code, ERR_DENIED);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

/* Issues a delegation to the agent with the user's key. */
static void issue(struct stage *stage, const char *id, const char *workspace, int64_t seconds,
                  int64_t begin_ms)
{
    struct buf json = BUF_INIT, envelope = BUF_INIT;
    struct sign_key *key;
    struct ledger_batch *batch;
    struct ledger_position position;
    struct err err = { 0 };
    char begin[CLOCK_TEXT_SIZE], end[CLOCK_TEXT_SIZE];
    clock_text(begin_ms, begin);
    clock_text(begin_ms + 3600000, end);
    buf_addf(
        &json,
        "{\"id\":\"%s\",\"type\":\"Delegation\",\"specVersion\":\"1.0.0\",\"issuerRef\":\"%s\","
        "\"subjectRef\":\"" TEST_AGENT "\",\"depth\":0,\"issuedAt\":\"%s\",\"notBefore\":\"%s\","
        "\"expiresAt\":\"%s\",\"operationTypes\":[\"agent_machine.execution.start\"],\"scope\":{"
        "\"workspaceRefs\":[\"%s\"],\"profileRefs\":[\"" TEST_PROFILE "\"],\"toolRefs\":[],"
        "\"modelProviderRefs\":[],\"mounts\":[]},\"budgetCeiling\":{\"wallClockSeconds\":%lld,"
        "\"agentConcurrency\":2,\"cpuSeconds\":100}}",
        id, stage->user, begin, begin, end, workspace, (long long)seconds);
    CHECK_INT(key_open_user(stage->config, &key, &err), 0);
    CHECK_INT(delegation_seal(key, buf_str(&json), &envelope, &err), 0);
    sign_key_free(key);
    CHECK_INT(ledger_batch_new(&batch, &err), 0);
    CHECK_INT(delegation_put(batch, buf_str(&envelope), clock_now_ms(), &err), 0);
    CHECK_INT(ledger_commit(plane_ledger(stage->plane), batch, &position, &err), 0);
    CHECK_TEXT(err.cause, "");
    ledger_batch_free(batch);
    buf_release(&json);
    buf_release(&envelope);
}

TEST(a_named_delegation_must_be_there_cover_it_and_be_in_force)
{
    static const struct {
        const char *id;
        enum err_code code;
    } cases[] = {
        { "urn:srcos:delegation:fits", ERR_UNSUPPORTED }, /* as far as the missing effect */
        { "urn:srcos:delegation:elsewhere", ERR_DENIED },
        { "urn:srcos:delegation:expired", ERR_DENIED },
        { "urn:srcos:delegation:revoked", ERR_DENIED },
        { "urn:srcos:delegation:missing", ERR_DENIED },
    };
    struct stage stage;
    struct buf command = BUF_INIT;
    struct ledger_batch *batch;
    struct ledger_position position;
    char extra[256];
    int64_t now = clock_now_ms();
    if (!stage_begin(&stage))
        return;
    issue(&stage, "urn:srcos:delegation:fits", TEST_WORKSPACE, 100, now);
    issue(&stage, "urn:srcos:delegation:elsewhere", "urn:srcos:workspace:other", 100, now);
    issue(&stage, "urn:srcos:delegation:expired", TEST_WORKSPACE, 100, now - 7200000);
    issue(&stage, "urn:srcos:delegation:revoked", TEST_WORKSPACE, 100, now);
    CHECK_INT(ledger_batch_new(&batch, NULL), 0);
    CHECK_INT(delegation_put_revocation(batch, STR("urn:srcos:delegation:revoked"),
                                        str_from(stage.user), STR(""), now, NULL),
              0);
    CHECK_INT(ledger_commit(plane_ledger(stage.plane), batch, &position, NULL), 0);
    ledger_batch_free(batch);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(extra, sizeof(extra), ",\"delegationRef\":\"%s\"", cases[i].id);
        command_start(&stage, &command, extra);
        struct outcome outcome = stage_submit(&stage, &command);
        CHECK_INT(outcome.state, STATE_FAILED);
        if (outcome.failure.code != cases[i].code)
            test_fail(__FILE__, __LINE__, "%s: %s", cases[i].id, outcome.failure.cause);
    }
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

static int gate_denies_networks(void *context, const struct gate_question *question,
                                struct gate_answer *ret, struct err *err)
{
    (void)context;
    (void)err;
    if (question->gate != GATE_NETWORK_PROFILE)
        return 0;
    *ret = (struct gate_answer){ .answer = ANSWER_DENY, .layer = LAYER_ENTERPRISE };
    snprintf(ret->rule, sizeof(ret->rule), "no-agents");
    snprintf(ret->reason, sizeof(ret->reason), "Agents are not run here.");
    snprintf(ret->smallest_change, sizeof(ret->smallest_change), "Ask the security team.");
    return 0;
}

TEST(a_gate_that_denies_ends_it_before_the_effect_and_says_who_denied)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    char text[PLANE_URN_MAX];
    int ran = 0;
    if (!stage_begin(&stage))
        return;
    plane_close(stage.plane);
    stage.options.gate = gate_denies_networks;
    stage.options.execution_start = effect_completes;
    stage.options.effect_context = &ran;
    if (!stage_open(&stage))
        return;
    command_start(&stage, &command, "");
    struct outcome outcome = stage_submit(&stage, &command);
    CHECK_INT(outcome.failure.code, ERR_DENIED);
    CHECK_INT(ran, 0);
    stage_text(&stage, outcome.operation, "/failure/denial/layer", text, sizeof(text));
    CHECK_TEXT(text, "enterprise");
    stage_text(&stage, outcome.operation, "/failure/denial/ruleId", text, sizeof(text));
    CHECK_TEXT(text, "no-agents");
    stage_text(&stage, outcome.operation, "/failure/denial/policyDecisionRef", text, sizeof(text));
    stage_text(&stage, text, "/verdict", text, sizeof(text));
    CHECK_TEXT(text, "deny");
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

TEST(a_ceiling_that_is_reached_names_the_dimension_and_whose_it_was)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    char text[PLANE_URN_MAX];
    if (!stage_begin(&stage))
        return;
    plane_close(stage.plane);
    stage.options.execution_start = effect_completes;
    if (!stage_open(&stage))
        return;
    issue(&stage, "urn:srcos:delegation:two-seconds", TEST_WORKSPACE, 2, clock_now_ms());
    const char *extra = ",\"delegationRef\":\"urn:srcos:delegation:two-seconds\",\"budgetCeiling\":"
                        "{\"wallClockSeconds\":2,\"agentConcurrency\":1}";
    command_start(&stage, &command, extra);
    CHECK_INT(stage_submit(&stage, &command).state, STATE_COMPLETED); /* one second of the two */
    command_start(&stage, &command, extra);
    struct outcome outcome = stage_submit(&stage, &command);
    CHECK_INT(outcome.state, STATE_FAILED);
    CHECK_INT(outcome.failure.code, ERR_BUDGET);
    stage_text(&stage, outcome.operation, "/failure/exhaustion/dimension", text, sizeof(text));
    CHECK_TEXT(text, "wallClockSeconds");
    stage_text(&stage, outcome.operation, "/failure/exhaustion/budgetRef", text, sizeof(text));
    CHECK_TEXT(text, "urn:srcos:budget:delegation-two-seconds");
    command_start(&stage, &command, ",\"budgetCeiling\":{\"gpuSeconds\":1}");
    CHECK_INT(stage_submit(&stage, &command).failure.code, ERR_UNSUPPORTED);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

#define SPENDERS 12

TEST(processes_under_one_ceiling_spend_no_more_than_it)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    pid_t spenders[SPENDERS];
    int completed = 0, refused = 0;
    if (!stage_begin(&stage))
        return;
    issue(&stage, "urn:srcos:delegation:shared", TEST_WORKSPACE, 5, clock_now_ms());
    plane_close(stage.plane);
    stage.options.execution_start = effect_completes;
    for (size_t i = 0; i < SPENDERS; i++) {
        spenders[i] = fork();
        if (spenders[i] == 0) {
            struct outcome outcome;
            command_start(&stage, &command,
                          ",\"delegationRef\":\"urn:srcos:delegation:shared\",\"budgetCeiling\":"
                          "{\"wallClockSeconds\":1,\"agentConcurrency\":1}");
            int r = plane_open(&stage.options, &stage.plane, NULL);
            if (r == 0)
                r = plane_submit(stage.plane, buf_str(&command), NULL, &outcome, NULL);
            _exit(r < 0                                ? 99
                  : outcome.state == STATE_COMPLETED   ? 0
                  : outcome.failure.code == ERR_BUDGET ? 1
                                                       : 98);
        }
    }
    for (size_t i = 0; i < SPENDERS; i++) {
        int status;
        waitpid(spenders[i], &status, 0);
        completed += WIFEXITED(status) && WEXITSTATUS(status) == 0;
        refused += WIFEXITED(status) && WEXITSTATUS(status) == 1;
    }
    CHECK_INT(completed + refused, SPENDERS);
    CHECK(completed > 0);
    if (!stage_open(&stage))
        return;
    struct account account = { 0 };
    CHECK_INT(ledger_get_account(plane_ledger(stage.plane),
                                 STR("urn:srcos:budget:delegation-shared"), &account, NULL),
              0);
    CHECK_INT(account.used.of[DIMENSION_WALL_CLOCK_SECONDS], completed);
    CHECK(completed <= 5);
    CHECK_INT(account.reserved.of[DIMENSION_WALL_CLOCK_SECONDS], 0);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

/* --- one commit before the effect, one at the end ------------------------------------------ */

struct told {
    enum plane_step steps[16];
    size_t count;
};

static void note_step(void *context, enum plane_step step)
{
    struct told *told = context;
    if (told->count < ARRAY_LEN(told->steps))
        told->steps[told->count++] = step;
}

/* Appends "operation running " and the like, and the other things that events tell. */
static int note_event(void *context, int64_t sequence, struct str json, struct err *err)
{
    struct buf *way = context;
    yyjson_doc *doc = NULL;
    (void)sequence;
    if (json_read(json, &json_limits_default, &doc, err) < 0)
        return -EIO;
    const yyjson_val *event = yyjson_doc_get_root(doc);
    struct str to = text_of(at(event, "/transition/to"));
    if (to.len)
        buf_addf(way, "%.*s %.*s ", STR_ARG(text_of(at(event, "/transition/of"))), STR_ARG(to));
    else if (member(event, "decision"))
        buf_add_text(way, "verdict ");
    else if (member(event, "usage"))
        buf_add_text(way, "usage ");
    else if (member(event, "delegation"))
        buf_add_text(way, "delegation ");
    else if (member(event, "documents"))
        buf_add_text(way, "document ");
    yyjson_doc_free(doc);
    return 0;
}

static int prepare_adds(void *context, struct work *work, struct effect_result *ret,
                        struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    (void)context;
    (void)ret;
    profile_write(&json, profile_kind_find(STR("personal")), STR(PROFILE_PERSONAL));
    return effect_add(work, PROFILE_TYPE, STR(PROFILE_PERSONAL), buf_str(&json), err);
}

static int prepare_fails(void *context, struct work *work, struct effect_result *ret,
                         struct err *err)
{
    int r = prepare_adds(context, work, ret, err);
    ret->end = STATE_FAILED;
    err_set(&ret->failure, ERR_UNSUPPORTED, "prepare", "this host has no namespaces");
    return r;
}

#define BEGINNING "operation queued task queued operation preflighting delegation "
#define RUNNING   "usage task running operation running "

TEST(what_permits_a_run_is_one_commit_and_its_end_another)
{
    static const struct {
        plane_gate *gate;
        plane_effect *prepare;
        const char *extra, *way;
        size_t commits;
        enum err_code failure;
    } cases[] = {
        { NULL, NULL, "", BEGINNING "verdict " RUNNING "usage task completed operation completed ",
          2, ERR_NONE },
        { NULL, prepare_adds, "",
          BEGINNING "verdict usage document task running operation running "
                    "usage task completed operation completed ",
          2, ERR_NONE },
        { NULL, prepare_fails, "", BEGINNING "verdict task failed operation failed ", 1,
          ERR_UNSUPPORTED },
        { gate_denies_networks, NULL, "", BEGINNING "verdict task failed operation failed ", 1,
          ERR_DENIED },
        { NULL, NULL, ",\"budgetCeiling\":{\"wallClockSeconds\":0}",
          BEGINNING "verdict task failed operation failed ", 1, ERR_BUDGET },
        { NULL, NULL, ",\"delegationRef\":\"urn:srcos:delegation:missing\"",
          "operation queued task queued operation preflighting verdict task failed operation "
          "failed ",
          1, ERR_DENIED },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct stage stage;
        struct buf command = BUF_INIT, way = BUF_INIT;
        struct told told = { .count = 0 };
        if (!stage_begin(&stage))
            return;
        plane_close(stage.plane);
        stage.options.gate = cases[i].gate;
        stage.options.execution_prepare = cases[i].prepare;
        stage.options.execution_start = effect_completes;
        stage.options.committed = note_step;
        stage.options.committed_context = &told;
        if (!stage_open(&stage))
            return;
        command_start(&stage, &command, cases[i].extra);
        struct outcome outcome = stage_submit(&stage, &command);
        CHECK_INT(outcome.failure.code, cases[i].failure);
        CHECK_INT(told.count, cases[i].commits);
        CHECK_INT(told.steps[0], told.count > 1 ? PLANE_STEP_RUNNING : PLANE_STEP_ENDED);
        CHECK_INT(ledger_each_event(plane_ledger(stage.plane), 0, STR(""), note_event, &way, NULL),
                  0);
        CHECK_TEXT(way.data, cases[i].way);
        CHECK_INT(stage_count(&stage, PROFILE_TYPE), cases[i].prepare == prepare_adds);
        stage_check(&stage);
        buf_release(&way);
        buf_release(&command);
        stage_end(&stage);
    }
}

/* --- the same command twice ---------------------------------------------------------------- */

TEST(the_same_command_twice_is_one_operation)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    int ran = 0;
    if (!stage_begin(&stage))
        return;
    plane_close(stage.plane);
    stage.options.execution_start = effect_completes;
    stage.options.effect_context = &ran;
    if (!stage_open(&stage))
        return;
    command_start(&stage, &command, "");
    struct outcome first = stage_submit(&stage, &command);
    struct outcome second = stage_submit(&stage, &command);
    CHECK(!first.repeated);
    CHECK(second.repeated);
    CHECK_TEXT(second.operation, first.operation);
    command_start(&stage, &command, ",\"idempotencyKey\":\"once\"");
    first = stage_submit(&stage, &command);
    command_start(&stage, &command, ",\"idempotencyKey\":\"once\""); /* another id, the same key */
    second = stage_submit(&stage, &command);
    CHECK(second.repeated);
    CHECK_TEXT(second.operation, first.operation);
    CHECK_INT(ran, 2);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

TEST(another_command_under_the_same_key_is_refused)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    struct outcome outcome;
    struct err err = { 0 };
    if (!stage_begin(&stage))
        return;
    command_start(&stage, &command, ",\"idempotencyKey\":\"k\"");
    stage_submit(&stage, &command);
    command_make(&stage, &command, "agent_machine.tool_grant.revoke", TEST_AGENT,
                 "{\"toolGrantRevoke\":{\"toolGrantRecordRef\":\"urn:srcos:tool-grant-record:x\"}}",
                 ",\"idempotencyKey\":\"k\"");
    CHECK(plane_submit(stage.plane, buf_str(&command), NULL, &outcome, &err) < 0);
    CHECK_INT(err.code, ERR_CONFLICT);
    CHECK_INT(stage_count(&stage, "WorkspaceOperation"), 1);
    err = (struct err){ 0 };
    command_make(&stage, &command, "agent_machine.tool_grant.revoke", TEST_AGENT,
                 "{\"toolGrantRevoke\":{\"toolGrantRecordRef\":\"urn:srcos:tool-grant-record:x\"}}",
                 "");
    CHECK(plane_submit(stage.plane, buf_str(&command), NULL, &outcome, &err) < 0);
    CHECK_INT(err.code, ERR_DOCUMENT); /* its type needs a key */
    buf_release(&command);
    stage_end(&stage);
}

#define RACERS 6

TEST(of_processes_that_give_the_same_key_at_once_one_runs_it)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    pid_t racers[RACERS];
    if (!stage_begin(&stage))
        return;
    plane_close(stage.plane);
    stage.options.execution_start = effect_completes;
    for (size_t i = 0; i < RACERS; i++) {
        racers[i] = fork();
        if (racers[i] == 0) {
            struct outcome outcome;
            struct err err = { 0 };
            command_start(&stage, &command, ",\"idempotencyKey\":\"race\"");
            int r = plane_open(&stage.options, &stage.plane, &err);
            if (r == 0)
                r = plane_submit(stage.plane, buf_str(&command), NULL, &outcome, &err);
            if (r < 0)
                fprintf(stderr, "%s: %s\n", err.where, err.cause);
            _exit(r < 0 ? 99 : outcome.repeated ? 1 : 0);
        }
    }
    int ran = 0, repeated = 0;
    for (size_t i = 0; i < RACERS; i++) {
        int status;
        waitpid(racers[i], &status, 0);
        ran += WIFEXITED(status) && WEXITSTATUS(status) == 0;
        repeated += WIFEXITED(status) && WEXITSTATUS(status) == 1;
    }
    CHECK_INT(ran, 1);
    CHECK_INT(repeated, RACERS - 1);
    if (!stage_open(&stage))
        return;
    CHECK_INT(stage_count(&stage, "WorkspaceOperation"), 1);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

/* --- retry --------------------------------------------------------------------------------- */

struct pauses {
    int64_t failed_at, ms[4];
    size_t count;
};

/* How long after each failure an operation was running again. */
static int note_pause(void *context, int64_t sequence, struct str json, struct err *err)
{
    struct pauses *pauses = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int64_t at_ms;
    (void)sequence;
    if (json_read(json, &json_limits_default, &doc, err) < 0)
        return -EIO;
    const yyjson_val *event = yyjson_doc_get_root(doc), *change = member(event, "transition");
    if (!text_is(member(change, "of"), "operation") ||
        !clock_parse(text_of(member(event, "occurredAt")), &at_ms))
        return 0;
    if (text_is(member(change, "to"), "failed"))
        pauses->failed_at = at_ms;
    else if (text_is(member(change, "to"), "running") && pauses->failed_at &&
             pauses->count < ARRAY_LEN(pauses->ms))
        pauses->ms[pauses->count++] = at_ms - pauses->failed_at;
    return 0;
}

TEST(a_failed_run_with_a_key_is_tried_again_up_to_its_limit)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    struct outcome outcome;
    struct err err = { 0 };
    char operation[PLANE_URN_MAX];
    int failures = 2;
    if (!stage_begin(&stage))
        return;
    plane_close(stage.plane);
    stage.options.execution_start = effect_fails;
    stage.options.effect_context = &failures;
    if (!stage_open(&stage))
        return;
    command_start(&stage, &command, ",\"idempotencyKey\":\"r\"");
    outcome = stage_submit(&stage, &command);
    CHECK_INT(outcome.state, STATE_FAILED);
    CHECK_INT(outcome.failure.code, ERR_IO);
    snprintf(operation, sizeof(operation), "%s", outcome.operation);
    command_retry(&stage, &command, operation, "other");
    CHECK(plane_submit(stage.plane, buf_str(&command), NULL, &outcome, &err) < 0);
    CHECK_INT(err.code, ERR_CONFLICT);
    command_retry(&stage, &command, operation, "r");
    outcome = stage_submit(&stage, &command);
    CHECK_INT(outcome.state, STATE_FAILED);
    CHECK_TEXT(outcome.operation, operation);
    CHECK(stage_submit(&stage, &command).repeated); /* a retry given twice is one, too */
    command_retry(&stage, &command, operation, "r");
    outcome = stage_submit(&stage, &command);
    CHECK_INT(outcome.state, STATE_COMPLETED);
    CHECK_TEXT(outcome.failure.cause, "");
    struct pauses pauses = { 0 };
    CHECK_INT(ledger_each_event(plane_ledger(stage.plane), 0, str_from(operation), note_pause,
                                &pauses, NULL),
              0);
    CHECK_INT(pauses.count, 2);
    CHECK(pauses.ms[0] >= 1000 && pauses.ms[1] >= 2000); /* each waits longer than the last */
    err = (struct err){ 0 };
    command_retry(&stage, &command, operation, "r");
    CHECK(plane_submit(stage.plane, buf_str(&command), NULL, &outcome, &err) < 0);
    CHECK_INT(err.code, ERR_CONFLICT);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

TEST(a_cancel_is_an_operation_of_its_own)
{
    struct stage stage;
    struct buf command = BUF_INIT, other = BUF_INIT;
    struct outcome outcome;
    struct err err = { 0 };
    if (!stage_begin(&stage))
        return;
    command_retry(&stage, &command, "urn:srcos:workspace-operation:x", "k");
    char *at = strstr(command.data, "\"retry\"");
    buf_add(&other, command.data, (size_t)(at - command.data));
    buf_addf(&other, "\"cancel\"%s", at + 7);
    CHECK(plane_submit(stage.plane, buf_str(&other), NULL, &outcome, &err) < 0);
    CHECK_INT(err.code, ERR_UNSUPPORTED);
    CHECK(strstr(err.cause, "agent_machine.execution.cancel") != NULL);
    buf_release(&other);
    buf_release(&command);
    stage_end(&stage);
}
