/* effect_grant: tools that are granted, used under the grant, and taken back. */
#include "plane/grant.h"
#include "plane/plane_test.h"

#define CODEX "urn:srcos:agent-tool-surface:codex"
#define SHELL "urn:srcos:agent-tool-surface:local-shell"
#define HOUR  ((int64_t)3600 * 1000)
#define PINNED                                                                                     \
    ",\"pin\":{\"kind\":\"executable\",\"digest\":\"sha256:"                                       \
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}"
#define ONE_TOOL  "{\"toolRef\":\"" CODEX "\"" PINNED "}"
#define TWO_TOOLS ONE_TOOL ",{\"toolRef\":\"" SHELL "\"" PINNED "}"

static int effect_completes(void *context, struct work *work, struct effect_result *ret,
                            struct err *err)
{
    (void)context, (void)work, (void)err;
    ret->end = STATE_COMPLETED;
    return 0;
}

static bool begin(struct stage *stage)
{
    if (!stage_begin(stage))
        return false;
    plane_close(stage->plane);
    stage->options.execution_start = effect_completes;
    return stage_open(stage);
}

/* Grants until `ahead_ms` from now; the record's id. */
static struct outcome grant(struct stage *stage, const char *tools, int64_t ahead_ms, char *ret,
                            const char *extra)
{
    struct buf command = BUF_INIT;
    char parameters[4096], members[1024], until[CLOCK_TEXT_SIZE];
    clock_text(clock_now_ms() + ahead_ms, until);
    snprintf(parameters, sizeof(parameters),
             "{\"toolGrantApply\":{\"granteeRef\":\"" TEST_AGENT "\",\"expiresAt\":\"%s\","
             "\"tools\":[%s]}}",
             until, tools);
    snprintf(members, sizeof(members), ",\"idempotencyKey\":\"grant-%u\"%s", stage->commands,
             extra);
    command_make(stage, &command, "agent_machine.tool_grant.apply", stage->user, parameters,
                 members);
    struct outcome outcome = stage_submit(stage, &command);
    urn_make("tool-grant-record", urn_local(str_from(outcome.operation)), ret);
    buf_release(&command);
    return outcome;
}

static struct outcome take_back(struct stage *stage, const char *record, const char *only)
{
    struct buf command = BUF_INIT;
    char parameters[2048], members[128];
    snprintf(parameters, sizeof(parameters),
             "{\"toolGrantRevoke\":{\"toolGrantRecordRef\":\"%s\"%s}}", record, only);
    snprintf(members, sizeof(members), ",\"idempotencyKey\":\"revoke-%u\",\"reason\":\"Enough.\"",
             stage->commands);
    command_make(stage, &command, "agent_machine.tool_grant.revoke", stage->user, parameters,
                 members);
    struct outcome outcome = stage_submit(stage, &command);
    buf_release(&command);
    return outcome;
}

static int find(struct stage *stage, const char *tool, struct grant *ret)
{
    return grant_find(stage->plane, STR(TEST_AGENT), STR(TEST_WORKSPACE), str_from(tool), ret,
                      NULL);
}

/* A run with the tool; under a delegation that is named in `extra`, or one made for it. */
static struct outcome start(struct stage *stage, const char *tool, const char *actor,
                            const char *extra)
{
    struct buf command = BUF_INIT;
    char parameters[2048], user[KEY_USER_TEXT_MAX], given[KEY_USER_TEXT_MAX];
    snprintf(parameters, sizeof(parameters),
             "{\"executionStart\":{\"profileRef\":\"" TEST_PROFILE "\",\"toolSurfaceRef\":\"%s\","
             "\"executable\":\"true\",\"arguments\":{\"count\":0,\"lengthBytes\":0,\"digest\":"
             "\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}}}",
             tool);
    snprintf(given, sizeof(given), "%s", actor);
    memcpy(user, stage->user, sizeof(user));
    memcpy(stage->user, given, sizeof(given));
    command_make(stage, &command, "agent_machine.execution.start", TEST_AGENT, parameters, extra);
    memcpy(stage->user, user, sizeof(user));
    struct outcome outcome = stage_submit(stage, &command);
    buf_release(&command);
    return outcome;
}

/* A delegation of the user's to the agent, kept in the ledger. */
static void delegate(struct stage *stage, const char *id, const char *subject, const char *type,
                     int64_t ahead_ms)
{
    struct buf json = BUF_INIT, envelope = BUF_INIT;
    struct ledger_batch *batch = NULL;
    struct ledger_position position;
    struct sign_key *key = NULL;
    char now[CLOCK_TEXT_SIZE], end[CLOCK_TEXT_SIZE];
    clock_text(clock_now_ms() - 1000, now);
    clock_text(clock_now_ms() + ahead_ms, end);
    buf_addf(&json,
             "{\"id\":\"%s\",\"type\":\"Delegation\",\"specVersion\":\"1.0.0\",\"depth\":0,"
             "\"issuerRef\":\"%s\",\"subjectRef\":\"%s\",\"issuedAt\":\"%s\",\"notBefore\":\"%s\","
             "\"expiresAt\":\"%s\",\"operationTypes\":[\"%s\"],\"scope\":{\"workspaceRefs\":"
             "[\"" TEST_WORKSPACE "\"],\"profileRefs\":[\"" TEST_PROFILE "\"],\"toolRefs\":"
             "[\"" CODEX "\"],\"modelProviderRefs\":[],\"mounts\":[]},\"budgetCeiling\":{"
             "\"wallClockSeconds\":100000,\"cpuSeconds\":100000,\"agentConcurrency\":10,"
             "\"localDiskBytes\":1000000}}",
             id, stage->user, subject, now, now, end, type);
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

static void end(struct stage *stage)
{
    stage_check(stage);
    stage_end(stage);
}

/* --- granting ------------------------------------------------------------------------------ */

TEST(a_grant_is_a_record_with_pin_end_and_decision)
{
    struct stage stage;
    struct grant found = { 0 };
    char record[PLANE_URN_MAX], text[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    struct outcome outcome = grant(&stage, ONE_TOOL, HOUR, record, "");
    CHECK_INT(outcome.state, STATE_COMPLETED);
    stage_text(&stage, record, "/subjectRef", text, sizeof(text));
    CHECK_TEXT(text, TEST_AGENT);
    stage_text(&stage, record, "/tools/0/pin/kind", text, sizeof(text));
    CHECK_TEXT(text, "executable");
    stage_text(&stage, record, "/policyDecisionRef", text, sizeof(text));
    CHECK(strstr(text, "urn:srcos:policy-decision:") == text);
    stage_text(&stage, outcome.operation, "/artifacts/0/artifactRef", text, sizeof(text));
    CHECK_TEXT(text, record);
    CHECK_INT(find(&stage, CODEX, &found), 1);
    CHECK_TEXT(found.record, record);
    CHECK_INT(find(&stage, SHELL, &found), 0);
    CHECK_INT(grant_find(stage.plane, STR("urn:srcos:agent:other"), STR(TEST_WORKSPACE), STR(CODEX),
                         &found, NULL),
              0);
    CHECK_INT(grant_find(stage.plane, STR(TEST_AGENT), STR("urn:srcos:workspace:other"), STR(CODEX),
                         &found, NULL),
              0);
    end(&stage);
}

TEST(a_grant_ends_at_its_time)
{
    struct stage stage;
    struct grant found;
    char record[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    CHECK_INT(grant(&stage, ONE_TOOL, 1500, record, "").state, STATE_COMPLETED);
    CHECK_INT(find(&stage, CODEX, &found), 1);
    usleep(1600 * 1000);
    CHECK_INT(find(&stage, CODEX, &found), 0);
    end(&stage);
}

TEST(a_grant_ends_with_the_delegation_under_which_it_is_given)
{
    struct stage stage;
    struct ledger_batch *batch = NULL;
    struct ledger_position position;
    struct grant found;
    char record[PLANE_URN_MAX];
    static const char named[] = ",\"delegationRef\":\"urn:srcos:delegation:given\"";
    if (!begin(&stage))
        return;
    delegate(&stage, "urn:srcos:delegation:given", stage.user, "agent_machine.tool_grant.apply",
             2 * HOUR);
    struct outcome outcome = grant(&stage, ONE_TOOL, 3 * HOUR, record, named);
    CHECK_INT(outcome.failure.code, ERR_DENIED); /* longer than the delegation */
    CHECK_INT(grant(&stage, TWO_TOOLS, HOUR, record, named).failure.code, ERR_DENIED);
    CHECK_INT(stage_count(&stage, GRANT_RECORD_TYPE), 0);
    CHECK_INT(grant(&stage, ONE_TOOL, HOUR, record, named).state, STATE_COMPLETED);
    CHECK_INT(find(&stage, CODEX, &found), 1);
    CHECK_INT(ledger_batch_new(&batch, NULL), 0);
    CHECK_INT(delegation_put_revocation(batch, STR("urn:srcos:delegation:given"),
                                        str_from(stage.user), STR("Over."), clock_now_ms(), NULL),
              0);
    CHECK_INT(ledger_commit(plane_ledger(stage.plane), batch, &position, NULL), 0);
    ledger_batch_free(batch);
    CHECK_INT(find(&stage, CODEX, &found), 0);
    end(&stage);
}

TEST(what_cannot_be_granted_is_a_typed_failure_and_leaves_no_record)
{
    static const struct {
        const char *tools;
        int64_t ahead_ms;
        enum err_code code;
    } cases[] = {
        { ONE_TOOL, -HOUR, ERR_DOCUMENT },
        { ONE_TOOL, 48 * HOUR, ERR_DENIED },
        { ONE_TOOL "," ONE_TOOL, HOUR, ERR_DOCUMENT },
        { "{\"toolRef\":\"urn:srcos:agent-tool-surface:no-such-program\"}", HOUR, ERR_NOT_FOUND },
        { "{\"toolRef\":\"urn:srcos:mcp-server:tickets\"}", HOUR, ERR_UNSUPPORTED },
    };
    struct stage stage;
    char record[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct outcome outcome = grant(&stage, cases[i].tools, cases[i].ahead_ms, record, "");
        CHECK_INT(outcome.state, STATE_FAILED);
        CHECK_INT(outcome.failure.code, cases[i].code);
    }
    CHECK_INT(stage_count(&stage, GRANT_RECORD_TYPE), 0);
    end(&stage);
}

TEST(a_tool_without_a_pin_is_pinned_to_the_program_of_its_name)
{
    struct stage stage;
    char record[PLANE_URN_MAX], text[PLANE_URN_MAX], digest[DIGEST_TEXT_SIZE];
    if (!begin(&stage))
        return;
    CHECK_INT(
        grant(&stage, "{\"toolRef\":\"urn:srcos:agent-tool-surface:sh\"}", HOUR, record, "").state,
        STATE_COMPLETED);
    CHECK_INT(grant_pin(STR("/bin/sh"), digest, NULL), 0);
    stage_text(&stage, record, "/tools/0/pin/digest", text, sizeof(text));
    CHECK_TEXT(text, digest);
    end(&stage);
}

static int last_id(void *context, struct str id, struct str json, int64_t revision, struct err *err)
{
    (void)json, (void)revision, (void)err;
    snprintf(context, PLANE_URN_MAX, "%.*s", STR_ARG(id));
    return 0;
}

/* Told for whom it waits, a child says so once. */
static bool tell_waiting(void *context, const struct standstill *standstill)
{
    int *pipe_in = context;
    char byte = (char)standstill->state;
    if (*pipe_in >= 0 && write(*pipe_in, &byte, 1) == 1) {
        close(*pipe_in);
        *pipe_in = -1;
    }
    return true;
}

/* --- using --------------------------------------------------------------------------------- */

TEST(a_run_names_the_grant_that_gave_it_its_tool)
{
    struct stage stage;
    char record[PLANE_URN_MAX], text[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    CHECK_INT(grant(&stage, ONE_TOOL, HOUR, record, "").state, STATE_COMPLETED);
    struct outcome outcome = start(&stage, CODEX, stage.user, "");
    CHECK_INT(outcome.state, STATE_COMPLETED);
    stage_text(&stage, outcome.operation, "/gateDecisions/0/policyDecisionRef", text, sizeof(text));
    stage_text(&stage, text, "/decidedBy/documentRef", text, sizeof(text));
    CHECK_TEXT(text, record);
    CHECK_INT(start(&stage, SHELL, stage.user, "").state,
              STATE_COMPLETED); /* the user's own word */
    end(&stage);
}

TEST(an_agent_runs_a_tool_only_while_it_is_granted)
{
    static const char named[] = ",\"delegationRef\":\"urn:srcos:delegation:given\"";
    struct stage stage;
    char record[PLANE_URN_MAX], text[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    delegate(&stage, "urn:srcos:delegation:given", TEST_AGENT, "agent_machine.execution.start",
             HOUR);
    struct outcome outcome = start(&stage, CODEX, TEST_AGENT, named);
    CHECK_INT(outcome.failure.code, ERR_DENIED);
    stage_text(&stage, outcome.operation, "/failure/denial/ruleId", text, sizeof(text));
    CHECK_TEXT(text, "tool-not-granted");
    CHECK_INT(grant(&stage, ONE_TOOL, HOUR, record, "").state, STATE_COMPLETED);
    CHECK_INT(start(&stage, CODEX, TEST_AGENT, named).state, STATE_COMPLETED);
    CHECK_INT(take_back(&stage, record, "").state, STATE_COMPLETED);
    CHECK_INT(start(&stage, CODEX, TEST_AGENT, named).failure.code, ERR_DENIED);
    end(&stage);
}

/* A child that runs the tool for the agent and waits for whom it misses; it waits on return. */
static pid_t start_blocked(struct stage *stage, const char *extra)
{
    int pipes[2];
    char byte;
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return -1;
    plane_close(stage->plane);
    pid_t child = fork();
    if (child == 0) {
        stage->options.wait_ms = 60000;
        stage->options.waiting = tell_waiting;
        stage->options.waiting_context = &pipes[1];
        if (!stage_open(stage))
            _exit(99);
        stage->commands += 1000;
        _exit((int)start(stage, CODEX, TEST_AGENT, extra).state);
    }
    close(pipes[1]);
    CHECK_INT(read(pipes[0], &byte, 1), 1);
    CHECK_INT(byte, STATE_BLOCKED);
    close(pipes[0]);
    CHECK(stage_open(stage));
    return child;
}

TEST(an_agent_that_waits_for_its_tool_is_blocked_until_it_is_granted)
{
    static const char named[] = ",\"delegationRef\":\"urn:srcos:delegation:given\"";
    struct stage stage;
    char record[PLANE_URN_MAX], operation[PLANE_URN_MAX] = "", text[PLANE_URN_MAX];
    int status;
    if (!begin(&stage))
        return;
    delegate(&stage, "urn:srcos:delegation:given", TEST_AGENT, "agent_machine.execution.start",
             HOUR);
    pid_t child = start_blocked(&stage, named);
    CHECK_INT(ledger_each_document(plane_ledger(stage.plane), STR("WorkspaceOperation"), STR(""),
                                   last_id, operation, NULL),
              0);
    stage_text(&stage, operation, "/state", text, sizeof(text));
    CHECK_TEXT(text, "blocked");
    stage_text(&stage, operation, "/blocked/responsibleActorRef", text, sizeof(text));
    CHECK_TEXT(text, stage.user);
    stage_text(&stage, operation, "/blocked/remediation", text, sizeof(text));
    CHECK(strstr(text, "agent-machine grant apply " CODEX) != NULL);
    CHECK_INT(grant(&stage, ONE_TOOL, HOUR, record, "").state, STATE_COMPLETED);
    waitpid(child, &status, 0);
    CHECK_INT(WEXITSTATUS(status), STATE_COMPLETED);
    stage_text(&stage, operation, "/blocked/reason", text, sizeof(text));
    CHECK_TEXT(text, "");
    end(&stage);
}

/* --- taking back --------------------------------------------------------------------------- */

TEST(a_revocation_is_a_record_that_names_the_grant)
{
    struct stage stage;
    struct grant found;
    char record[PLANE_URN_MAX], revocation[PLANE_URN_MAX], text[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    CHECK_INT(grant(&stage, TWO_TOOLS, HOUR, record, "").state, STATE_COMPLETED);
    struct outcome outcome = take_back(&stage, record, ",\"toolRefs\":[\"" CODEX "\"]");
    CHECK_INT(outcome.state, STATE_COMPLETED);
    urn_make("tool-grant-record", urn_local(str_from(outcome.operation)), revocation);
    stage_text(&stage, revocation, "/revokesRef", text, sizeof(text));
    CHECK_TEXT(text, record);
    stage_text(&stage, revocation, "/reason", text, sizeof(text));
    CHECK_TEXT(text, "Enough.");
    CHECK_INT(find(&stage, CODEX, &found), 0);
    CHECK_INT(find(&stage, SHELL, &found), 1); /* only what was named */
    CHECK_INT(take_back(&stage, record, "").state, STATE_COMPLETED);
    CHECK_INT(find(&stage, SHELL, &found), 0);
    CHECK_INT(take_back(&stage, record, "").failure.code, ERR_CONFLICT);
    CHECK_INT(take_back(&stage, revocation, "").failure.code, ERR_NOT_FOUND);
    CHECK_INT(take_back(&stage, "urn:srcos:tool-grant-record:none", "").failure.code,
              ERR_NOT_FOUND);
    CHECK_INT(stage_count(&stage, GRANT_RECORD_TYPE), 3);
    end(&stage);
}

TEST(a_tool_that_the_grant_has_not_cannot_be_taken_back)
{
    struct stage stage;
    char record[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    CHECK_INT(grant(&stage, ONE_TOOL, HOUR, record, "").state, STATE_COMPLETED);
    CHECK_INT(take_back(&stage, record, ",\"toolRefs\":[\"" SHELL "\"]").failure.code,
              ERR_NOT_FOUND);
    end(&stage);
}

/* --- crashes ------------------------------------------------------------------------------- */

static void die_after(void *context, enum plane_step step)
{
    if (step == *(const enum plane_step *)context)
        _exit(0);
}

TEST(a_grant_whose_process_dies_is_written_once_all_the_same)
{
    static const enum plane_step steps[] = { PLANE_STEP_RUNNING, PLANE_STEP_STORED };
    struct stage stage;
    struct grant found;
    struct recovered recovered;
    if (!begin(&stage))
        return;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        pid_t child = fork();
        if (child == 0) {
            char record[PLANE_URN_MAX];
            stage.options.committed = die_after;
            stage.options.committed_context = (void *)&steps[i];
            stage.commands = (unsigned)(100 * (i + 1));
            if (stage_open(&stage))
                grant(&stage, ONE_TOOL, HOUR, record, "");
            _exit(1);
        }
        int status = -1;
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_INT(status, 0);
        CHECK_INT(plane_recover(stage.plane, &recovered, NULL), 0);
        CHECK_INT(recovered.resumed, 1);
        CHECK_INT(stage_count(&stage, GRANT_RECORD_TYPE), i + 1);
    }
    CHECK_INT(find(&stage, CODEX, &found), 1);
    end(&stage);
}
