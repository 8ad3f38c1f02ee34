/* asked: runs that are paused, go on, are cancelled, or lose what they run under. */
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "plane/asked.h"
#include "plane/budget.h"
#include "plane/card.h"
#include "plane/plane_test.h"

#define WAIT_MS 20000

/* --- a run in another process -------------------------------------------------------------- */

struct line {
    int told[2]; /* from the run: what it was asked, a byte each */
    bool by_bell, stores;
};

static void say(struct line *line, enum asked asked)
{
    char byte = (char)('0' + asked);
    if (write(line->told[1], &byte, 1) != 1)
        _exit(98);
}

/* Waits for something else, by the ledger or by the doorbell. */
static int wait_for_more(struct work *work, const struct line *line, enum asked known,
                         struct work_asked *ret, struct err *err)
{
    char byte;
    if (!line->by_bell)
        return work_control_wait(work, known, WAIT_MS, ret, err);
    struct pollfd bell = { .fd = work_doorbell(work, err), .events = POLLIN };
    if (poll(&bell, 1, WAIT_MS) <= 0)
        _exit(97);
    while (recv(bell.fd, &byte, 1, MSG_DONTWAIT) > 0)
        ;
    return work_control(work, ret, err);
}

/* Runs until it is cancelled or its authority ends; says each thing that it is asked. */
static int effect_obeys(void *context, struct work *work, struct effect_result *ret,
                        struct err *err)
{
    struct line *line = context;
    struct work_asked control = { 0 };
    ret->end = STATE_COMPLETED;
    if (line->by_bell && work_doorbell(work, err) < 0)
        return -EIO;
    say(line, ASKED_NOTHING);
    for (enum asked known = ASKED_NOTHING;; known = control.asked) {
        int r = wait_for_more(work, line, known, &control, err);
        if (r < 0)
            return r;
        if (control.asked != known)
            say(line, control.asked);
        if (line->stores && known == ASKED_NOTHING && control.asked == ASKED_PAUSE) {
            r = effect_add(work, "LocalAgentExecution", STR("urn:srcos:local-agent-execution:x"),
                           STR("{\"id\":\"urn:srcos:local-agent-execution:x\"}"), err);
            return r < 0 ? r : work_commit(work, PLANE_STEP_STORED, err);
        }
        if (control.asked >= ASKED_CANCEL)
            break;
    }
    if (control.asked == ASKED_REVOKED) {
        ret->end = STATE_FAILED;
        err_set(&ret->failure, ERR_DENIED, "run", "%s", control.reason);
    }
    return 0;
}

static int last_id(void *context, struct str id, struct str json, int64_t revision, struct err *err)
{
    (void)json, (void)revision, (void)err;
    snprintf(context, PLANE_URN_MAX, "%.*s", STR_ARG(id));
    return 0;
}

static void last_of(struct stage *stage, const char *type, char ret[PLANE_URN_MAX])
{
    ret[0] = '\0';
    CHECK_INT(ledger_each_document(plane_ledger(stage->plane), str_from(type), STR(""), last_id,
                                   ret, NULL),
              0);
}

static char heard(const struct line *line)
{
    struct pollfd told = { .fd = line->told[0], .events = POLLIN };
    char byte = '?';
    if (poll(&told, 1, WAIT_MS) <= 0 || read(line->told[0], &byte, 1) != 1)
        test_fail(__FILE__, __LINE__, "the run says nothing");
    return byte;
}

/* Begins a run in a child; it runs when this returns. */
static pid_t begin_run(struct stage *stage, struct line *line, const struct buf *command,
                       char ret_operation[PLANE_URN_MAX])
{
    if (pipe2(line->told, O_CLOEXEC) < 0)
        return -1;
    plane_close(stage->plane);
    pid_t child = fork();
    if (child == 0) {
        struct outcome outcome;
        struct plane *plane;
        stage->options.execution_start = effect_obeys;
        stage->options.effect_context = line;
        int r = plane_open(&stage->options, &plane, NULL);
        if (r == 0)
            r = plane_submit(plane, buf_str(command), NULL, &outcome, NULL);
        _exit(r < 0 ? 99 : (int)outcome.state);
    }
    close(line->told[1]);
    CHECK_INT(heard(line), '0' + ASKED_NOTHING);
    CHECK(stage_open(stage));
    last_of(stage, "WorkspaceOperation", ret_operation);
    return child;
}

static int run_end(const struct line *line, pid_t child)
{
    int status;
    waitpid(child, &status, 0);
    close(line->told[0]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static enum err_code act(struct stage *stage, const char *verb, const char *operation,
                         struct outcome *ret)
{
    struct buf command = BUF_INIT;
    struct err err = { 0 };
    int r = plane_write_control(stage->plane, verb, str_from(operation), STR("Because."), &command,
                                &err);
    if (r == 0)
        r = plane_submit(stage->plane, buf_str(&command), NULL, ret, &err);
    buf_release(&command);
    return r < 0 ? err.code : ERR_NONE;
}

static void check_state(struct stage *stage, const char *operation, const char *state, int line)
{
    char text[64];
    stage_text(stage, operation, "/state", text, sizeof(text));
    if (strcmp(text, state) != 0)
        test_fail(__FILE__, line, "it is %s, not %s", text, state);
}

/* --- the tests ----------------------------------------------------------------------------- */

TEST(a_run_pauses_goes_on_and_is_cancelled_as_it_is_asked)
{
    for (int by_bell = 0; by_bell < 2; by_bell++) {
        struct stage stage;
        struct line line = { .by_bell = by_bell };
        struct buf command = BUF_INIT;
        struct outcome outcome;
        char operation[PLANE_URN_MAX];
        if (!stage_begin(&stage))
            return;
        command_start(&stage, &command, "");
        pid_t child = begin_run(&stage, &line, &command, operation);
        CHECK_INT(act(&stage, "resume", operation, &outcome), ERR_NONE);
        CHECK(outcome.repeated);
        for (int round = 0; round < 2; round++) {
            CHECK_INT(act(&stage, "pause", operation, &outcome), ERR_NONE);
            CHECK_INT(outcome.state, STATE_PAUSED);
            CHECK_INT(heard(&line), '0' + ASKED_PAUSE);
            check_state(&stage, operation, "paused", __LINE__);
            CHECK_INT(act(&stage, "pause", operation, &outcome), ERR_NONE);
            CHECK(outcome.repeated);
            CHECK_INT(act(&stage, "resume", operation, &outcome), ERR_NONE);
            CHECK_INT(heard(&line), '0' + ASKED_NOTHING);
            check_state(&stage, operation, "running", __LINE__);
        }
        CHECK_INT(act(&stage, "pause", operation, &outcome), ERR_NONE);
        CHECK_INT(heard(&line), '0' + ASKED_PAUSE);
        command_cancel(&stage, &command, operation, "graceful", 10);
        CHECK_INT(stage_submit(&stage, &command).state, STATE_COMPLETED);
        CHECK_INT(heard(&line), '0' + ASKED_CANCEL);
        CHECK_INT(run_end(&line, child), STATE_CANCELED);
        CHECK_INT(act(&stage, "pause", operation, &outcome), ERR_CONFLICT);
        CHECK_INT(act(&stage, "resume", operation, &outcome), ERR_CONFLICT);
        stage_check(&stage);
        buf_release(&command);
        stage_end(&stage);
    }
}

TEST(what_a_run_stores_while_it_is_asked_to_pause_is_not_lost)
{
    struct stage stage;
    struct line line = { .stores = true };
    struct buf command = BUF_INIT;
    struct outcome outcome;
    char operation[PLANE_URN_MAX], text[PLANE_URN_MAX];
    if (!stage_begin(&stage))
        return;
    command_start(&stage, &command, "");
    pid_t child = begin_run(&stage, &line, &command, operation);
    CHECK_INT(act(&stage, "pause", operation, &outcome), ERR_NONE);
    CHECK_INT(run_end(&line, child), STATE_COMPLETED); /* it ends while it is paused */
    check_state(&stage, operation, "completed", __LINE__);
    stage_text(&stage, operation, "/artifacts/0/artifactRef", text, sizeof(text));
    CHECK_TEXT(text, "urn:srcos:local-agent-execution:x");
    buf_release(&command);
    stage_end(&stage);
}

TEST(a_paused_run_whose_process_dies_fails)
{
    struct stage stage;
    struct line line = { 0 };
    struct buf command = BUF_INIT;
    struct outcome outcome;
    struct recovered recovered = { 0 };
    char operation[PLANE_URN_MAX];
    if (!stage_begin(&stage))
        return;
    command_start(&stage, &command, "");
    pid_t child = begin_run(&stage, &line, &command, operation);
    usleep(1100000); /* more than a second of the run's time, whenever its state last changed */
    CHECK_INT(act(&stage, "pause", operation, &outcome), ERR_NONE);
    kill(child, SIGKILL);
    CHECK_INT(run_end(&line, child), -SIGKILL);
    CHECK_INT(plane_recover(stage.plane, &recovered, NULL), 0);
    CHECK_INT(recovered.failed, 1);
    check_state(&stage, operation, "failed", __LINE__);
    CHECK_INT(act(&stage, "resume", operation, &outcome), ERR_CONFLICT);
    struct account account;
    char budget[PLANE_URN_MAX];
    budget_urn(str_from(operation), budget);
    CHECK_INT(ledger_get_account(plane_ledger(stage.plane), str_from(budget), &account, NULL), 0);
    CHECK(account.used.of[DIMENSION_WALL_CLOCK_SECONDS] >= 2); /* all of its time is charged */
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

TEST(only_a_run_is_paused_and_only_by_its_user)
{
    struct stage stage;
    struct line line = { 0 };
    struct buf command = BUF_INIT, pause = BUF_INIT, changed = BUF_INIT;
    struct outcome outcome;
    struct err err = { 0 };
    char operation[PLANE_URN_MAX];
    if (!stage_begin(&stage))
        return;
    command_start(&stage, &command, "");
    pid_t child = begin_run(&stage, &line, &command, operation);
    CHECK_INT(plane_write_control(stage.plane, "pause", str_from(operation), STR(""), &pause, NULL),
              0);
    buf_add_char(&pause, '\0');
    char *actor = strstr(pause.data, "\"actorRef\":\"") + strlen("\"actorRef\":\"");
    buf_addf(&changed, "%.*s" TEST_AGENT "%s", (int)(actor - pause.data), pause.data,
             strchr(actor, '"'));
    CHECK(plane_submit(stage.plane, buf_str(&changed), NULL, &outcome, &err) < 0);
    CHECK_INT(err.code, ERR_DENIED);
    check_state(&stage, operation, "running", __LINE__);
    command_cancel(&stage, &command, operation, "graceful", 10);
    outcome = stage_submit(&stage, &command);
    CHECK_INT(run_end(&line, child), STATE_CANCELED);
    CHECK_INT(act(&stage, "pause", outcome.operation, &outcome), ERR_CONFLICT); /* a cancel */
    CHECK_INT(act(&stage, "pause", "urn:srcos:workspace-operation:missing", &outcome),
              ERR_NOT_FOUND);
    stage_check(&stage);
    buf_release(&command);
    buf_release(&pause);
    buf_release(&changed);
    stage_end(&stage);
}

TEST(a_revoked_delegation_reaches_what_runs_under_it_at_once)
{
    for (int by_bell = 0; by_bell < 2; by_bell++) {
        struct stage stage;
        struct line line = { .by_bell = by_bell };
        struct buf command = BUF_INIT;
        struct ledger_batch *batch = NULL;
        struct ledger_position position;
        char operation[PLANE_URN_MAX], delegation[PLANE_URN_MAX], text[64];
        if (!stage_begin(&stage))
            return;
        command_start(&stage, &command, "");
        pid_t child = begin_run(&stage, &line, &command, operation);
        stage_text(&stage, operation, "/delegationRef", delegation, sizeof(delegation));
        CHECK_INT(ledger_batch_new(&batch, NULL), 0);
        CHECK_INT(delegation_put_revocation(batch, str_from(delegation), str_from(stage.user),
                                            STR("No more."), clock_now_ms(), NULL),
                  0);
        CHECK_INT(ledger_commit(plane_ledger(stage.plane), batch, &position, NULL), 0);
        ledger_batch_free(batch);
        asked_ring(stage.state, STR(""));
        CHECK_INT(heard(&line), '0' + ASKED_REVOKED);
        CHECK_INT(run_end(&line, child), STATE_FAILED);
        stage_text(&stage, operation, "/failure/code", text, sizeof(text));
        CHECK_TEXT(text, "denied");
        stage_check(&stage);
        buf_release(&command);
        stage_end(&stage);
    }
}

static int gate_asks(void *context, const struct gate_question *question, struct gate_answer *ret,
                     struct err *err)
{
    (void)context, (void)err;
    if (question->gate != GATE_NETWORK_PROFILE)
        return 0;
    *ret = (struct gate_answer){ .answer = ANSWER_ASK, .layer = LAYER_USER };
    snprintf(ret->rule, sizeof(ret->rule), "asks");
    snprintf(ret->reason, sizeof(ret->reason), "it asks");
    snprintf(ret->smallest_change, sizeof(ret->smallest_change), "Allow it.");
    return 0;
}

TEST(an_answer_that_is_taken_back_reaches_what_runs_under_it)
{
    struct stage stage;
    struct line line = { .by_bell = true };
    struct buf command = BUF_INIT;
    struct outcome outcome;
    char operation[PLANE_URN_MAX], card[PLANE_URN_MAX];
    if (!stage_begin(&stage))
        return;
    plane_close(stage.plane);
    stage.options.gate = gate_asks;
    if (!stage_open(&stage))
        return;
    command_start(&stage, &command, "");
    CHECK_INT(stage_submit(&stage, &command).failure.code, ERR_PENDING);
    last_of(&stage, CARD_TYPE, card);
    struct plane_answer answer = { .card = str_from(card), .option = STR("this-profile") };
    buf_reset(&command);
    CHECK_INT(plane_write_decide(stage.plane, &answer, &command, NULL), 0);
    CHECK_INT(plane_submit(stage.plane, buf_str(&command), NULL, &outcome, NULL), 0);
    command_start(&stage, &command, "");
    pid_t child = begin_run(&stage, &line, &command, operation);
    answer.option = STR("no");
    buf_reset(&command);
    CHECK_INT(plane_write_decide(stage.plane, &answer, &command, NULL), 0);
    CHECK_INT(plane_submit(stage.plane, buf_str(&command), NULL, &outcome, NULL), 0);
    CHECK_INT(heard(&line), '0' + ASKED_REVOKED);
    CHECK_INT(run_end(&line, child), STATE_FAILED);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}
