/* compensate: grants revoked, profiles archived, and what becomes of their operations. */
#include <signal.h>

#include "plane/compensate.h"
#include "plane/plane_test.h"
#include "plane/profile.h"

#define CODEX     "urn:srcos:agent-tool-surface:codex"
#define EXECUTION "urn:srcos:local-agent-execution:x"

static void check_text(struct stage *stage, const char *id, const char *pointer, const char *text,
                       int line)
{
    char found[PLANE_URN_MAX];
    stage_text(stage, id, pointer, found, sizeof(found));
    if (strcmp(found, text) != 0)
        test_fail(__FILE__, line, "%s is \"%s\", not \"%s\"", pointer, found, text);
}

static enum err_code compensate(struct stage *stage, const char *operation, struct outcome *ret)
{
    struct buf command = BUF_INIT;
    struct err err = { 0 };
    int r = plane_write_compensate(stage->plane, str_from(operation), STR("Not needed."), &command,
                                   &err);
    if (r == 0)
        r = plane_submit(stage->plane, buf_str(&command), NULL, ret, &err);
    buf_release(&command);
    return r < 0 ? err.code : ret->failure.code;
}

static void make_grant(struct stage *stage, struct buf *command)
{
    char parameters[1024], until[CLOCK_TEXT_SIZE];
    clock_text(clock_now_ms() + 3600000, until);
    snprintf(parameters, sizeof(parameters),
             "{\"toolGrantApply\":{\"granteeRef\":\"" TEST_AGENT "\",\"expiresAt\":\"%s\","
             "\"tools\":[{\"toolRef\":\"" CODEX "\",\"pin\":{\"kind\":\"executable\",\"digest\":"
             "\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}}]}}",
             until);
    command_make(stage, command, "agent_machine.tool_grant.apply", stage->user, parameters,
                 ",\"idempotencyKey\":\"grant\"");
}

TEST(a_grant_that_completed_is_compensated_by_its_revocation)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    struct outcome outcome = { 0 }, undone = { 0 };
    if (!stage_begin(&stage))
        return;
    make_grant(&stage, &command);
    outcome = stage_submit(&stage, &command);
    CHECK_INT(compensate(&stage, outcome.operation, &undone), ERR_NONE);
    CHECK_INT(undone.state, STATE_COMPLETED);
    check_text(&stage, undone.operation, "/compensatesRef", outcome.operation, __LINE__);
    check_text(&stage, outcome.operation, "/state", "completed", __LINE__);
    check_text(&stage, outcome.operation, "/compensatedByRef", undone.operation, __LINE__);
    CHECK_INT(compensate(&stage, outcome.operation, &undone), ERR_CONFLICT);
    CHECK_INT(compensate(&stage, undone.operation, &undone), ERR_CONFLICT); /* is not taken back */
    CHECK_INT(compensate(&stage, "urn:srcos:workspace-operation:x", &undone), ERR_NOT_FOUND);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

static void crash_at(void *context, enum plane_step step)
{
    if (step == *(enum plane_step *)context)
        kill(getpid(), SIGKILL);
}

/* Submits in a child that is killed after a step. */
static void submit_and_crash(struct stage *stage, const struct buf *command, enum plane_step step)
{
    int status;
    plane_close(stage->plane);
    pid_t child = fork();
    if (child == 0) {
        struct outcome outcome;
        stage->options.committed = crash_at;
        stage->options.committed_context = &step;
        if (stage_open(stage))
            (void)!plane_submit(stage->plane, buf_str(command), NULL, &outcome, NULL);
        _exit(0);
    }
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    CHECK(stage_open(stage));
}

static int last_id(void *context, struct str id, struct str json, int64_t revision, struct err *err)
{
    (void)json, (void)revision, (void)err;
    snprintf(context, PLANE_URN_MAX, "%.*s", STR_ARG(id));
    return 0;
}

static void last_operation(struct stage *stage, char ret[PLANE_URN_MAX])
{
    CHECK_INT(ledger_each_document(plane_ledger(stage->plane), STR("WorkspaceOperation"), STR(""),
                                   last_id, ret, NULL),
              0);
}

TEST(a_grant_whose_operation_failed_is_compensated_also_across_a_crash)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    struct work *work = NULL;
    struct recovered recovered = { 0 };
    struct outcome undone = { 0 };
    char operation[PLANE_URN_MAX];
    if (!stage_begin(&stage))
        return;
    make_grant(&stage, &command);
    submit_and_crash(&stage, &command, PLANE_STEP_STORED); /* the grant is there */
    last_operation(&stage, operation);
    CHECK_INT(work_load(stage.plane, str_from(operation), &work, NULL), 0);
    struct refusal refusal = { .id = "given-up" };
    err_set(&refusal.err, ERR_IO, "test", "given up");
    CHECK_INT(finish_fail(work, &refusal, NULL, NULL), 0);
    work_free(work);
    buf_reset(&command);
    CHECK_INT(plane_write_compensate(stage.plane, str_from(operation), STR(""), &command, NULL), 0);
    submit_and_crash(&stage, &command, PLANE_STEP_COMPENSATED);
    check_text(&stage, operation, "/state", "compensated", __LINE__);
    CHECK_INT(plane_recover(stage.plane, &recovered, NULL), 0);
    CHECK_INT(recovered.resumed, 1);
    last_operation(&stage, undone.operation);
    check_text(&stage, undone.operation, "/state", "completed", __LINE__);
    check_text(&stage, operation, "/compensatedByRef", undone.operation, __LINE__);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

TEST(a_profile_is_archived_and_its_name_not_given_again)
{
    struct stage stage;
    struct outcome outcome = { 0 }, undone = { 0 };
    struct buf parameters = BUF_INIT, command = BUF_INIT;
    struct err err = { 0 };
    char operation[PLANE_URN_MAX];
    const char *name = "urn:srcos:agent-machine-profile:mine";
    if (!stage_begin(&stage))
        return;
    CHECK_INT(profile_write_create(&parameters, profile_kind_find(STR("personal")), str_from(name),
                                   0, NULL),
              0);
    CHECK_INT(profile_submit(stage.plane, buf_str(&parameters), STR(""), &err), 0);
    last_operation(&stage, operation);
    CHECK_INT(profile_is_archived(stage.plane, str_from(name), NULL), 0);
    CHECK_INT(compensate(&stage, operation, &undone), ERR_NONE);
    CHECK_INT(profile_is_archived(stage.plane, str_from(name), NULL), 1);
    check_text(&stage, operation, "/artifacts/0/state", "archived", __LINE__);
    check_text(&stage, operation, "/state", "completed", __LINE__);
    CHECK_INT(compensate(&stage, operation, &undone), ERR_CONFLICT);
    CHECK(profile_submit(stage.plane, buf_str(&parameters), STR(""), &err) < 0);
    CHECK(strstr(err.cause, "was archived") != NULL);
    bool made;
    CHECK_INT(profile_ensure_personal(stage.plane, &made, &err), 0);
    last_operation(&stage, outcome.operation);
    CHECK_INT(compensate(&stage, outcome.operation, &undone), ERR_CONFLICT); /* the personal one */
    stage_check(&stage);
    buf_release(&parameters);
    buf_release(&command);
    stage_end(&stage);
}

/* Leaves two artifacts behind and fails. */
static int effect_fails(void *context, struct work *work, struct effect_result *ret,
                        struct err *err)
{
    (void)context;
    ret->end = STATE_FAILED;
    err_set(&ret->failure, ERR_IO, "test", "it did not work");
    int r = effect_add(work, "LocalAgentExecution", STR(EXECUTION "1"),
                       STR("{\"id\":\"" EXECUTION "1\"}"), err);
    return r < 0 ? r
                 : effect_add(work, "LocalAgentExecution", STR(EXECUTION "2"),
                              STR("{\"id\":\"" EXECUTION "2\"}"), err);
}

TEST(what_failed_is_compensated_when_the_last_of_its_artifacts_has_left)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    struct outcome undone = { 0 };
    char task[PLANE_URN_MAX];
    if (!stage_begin(&stage))
        return;
    plane_close(stage.plane);
    stage.options.execution_start = effect_fails;
    if (!stage_open(&stage))
        return;
    command_start(&stage, &command, "");
    struct outcome outcome = stage_submit(&stage, &command);
    CHECK_INT(outcome.state, STATE_FAILED);
    CHECK_INT(compensate(&stage, outcome.operation, &undone), ERR_IO); /* as it stands: failed */
    check_text(&stage, outcome.operation, "/artifacts/0/state", "archived", __LINE__);
    check_text(&stage, outcome.operation, "/state", "failed", __LINE__);
    CHECK_INT(compensate(&stage, outcome.operation, &undone), ERR_NONE);
    CHECK_INT(undone.state, STATE_COMPENSATED);
    stage_text(&stage, outcome.operation, "/compensatedByRef", task, sizeof(task));
    check_text(&stage, task, "/role", "compensation", __LINE__);
    check_text(&stage, task, "/state", "completed", __LINE__);
    CHECK_INT(compensate(&stage, outcome.operation, &undone), ERR_CONFLICT);
    buf_release(&command);
    stage_end(&stage);
}

TEST(an_operation_compensates_only_what_it_can)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    struct outcome outcome;
    struct err err = { 0 };
    char extra[2048], parameters[1024];
    if (!stage_begin(&stage))
        return;
    make_grant(&stage, &command);
    struct outcome grant = stage_submit(&stage, &command);
    const char *const targets[] = { grant.operation, "urn:srcos:workspace-operation:x" };
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        snprintf(extra, sizeof(extra), ",\"compensatesRef\":\"%s\"", targets[i]);
        command_start(&stage, &command, extra); /* a run takes nothing back */
        CHECK(plane_submit(stage.plane, buf_str(&command), NULL, &outcome, &err) < 0);
        CHECK_INT(err.code, i ? ERR_NOT_FOUND : ERR_DOCUMENT);
    }
    snprintf(
        parameters, sizeof(parameters),
        "{\"toolGrantRevoke\":{\"toolGrantRecordRef\":\"urn:srcos:tool-grant-record:other\"}}");
    snprintf(extra, sizeof(extra), ",\"idempotencyKey\":\"r\",\"compensatesRef\":\"%s\"",
             grant.operation);
    command_make(&stage, &command, "agent_machine.tool_grant.revoke", stage.user, parameters,
                 extra);
    CHECK(plane_submit(stage.plane, buf_str(&command), NULL, &outcome, &err) < 0);
    CHECK(strstr(err.cause, "made no such record") != NULL);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}
