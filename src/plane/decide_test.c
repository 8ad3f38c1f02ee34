/* decide: questions that are queued, waited for, answered, used and taken back. */
#include <signal.h>

#include "plane/card.h"
#include "plane/plane_test.h"

#define KEYED ",\"idempotencyKey\":\"k\""

static int effect_completes(void *context, struct work *work, struct effect_result *ret,
                            struct err *err)
{
    (void)context, (void)work, (void)err;
    ret->end = STATE_COMPLETED;
    return 0;
}

/* Asks about every network; the context is the layer, or denies where it is LAYER_COUNT. */
static int gate_asks(void *context, const struct gate_question *question, struct gate_answer *ret,
                     struct err *err)
{
    const enum layer *layer = context;
    (void)err;
    if (question->gate != GATE_NETWORK_PROFILE)
        return 0;
    *ret = (struct gate_answer){ .answer = *layer == LAYER_COUNT ? ANSWER_DENY : ANSWER_ASK,
                                 .layer = *layer == LAYER_COUNT ? LAYER_USER : *layer };
    snprintf(ret->rule, sizeof(ret->rule), "networks-are-asked-for");
    snprintf(ret->document, sizeof(ret->document), "urn:srcos:network-access-profile:asks");
    snprintf(ret->reason, sizeof(ret->reason), "the layer asks first");
    snprintf(ret->smallest_change, sizeof(ret->smallest_change), "Allow it there.");
    return 0;
}

static enum layer asking_layer;

static bool begin(struct stage *stage)
{
    if (!stage_begin(stage))
        return false;
    plane_close(stage->plane);
    asking_layer = LAYER_USER;
    stage->options.gate = gate_asks;
    stage->options.gate_context = &asking_layer;
    stage->options.execution_start = effect_completes;
    return stage_open(stage);
}

static struct outcome start(struct stage *stage, const char *extra)
{
    struct buf command = BUF_INIT;
    command_start(stage, &command, extra);
    struct outcome outcome = stage_submit(stage, &command);
    buf_release(&command);
    return outcome;
}

static struct outcome retry(struct stage *stage, const char *operation)
{
    struct buf command = BUF_INIT;
    command_retry(stage, &command, operation, "k");
    struct outcome outcome = stage_submit(stage, &command);
    buf_release(&command);
    return outcome;
}

static int last_card(void *context, struct str id, struct str json, int64_t revision,
                     struct err *err)
{
    (void)json, (void)revision, (void)err;
    snprintf(context, PLANE_URN_MAX, "%.*s", STR_ARG(id));
    return 0;
}

static void find_card(struct stage *stage, char ret[PLANE_URN_MAX])
{
    ret[0] = '\0';
    CHECK_INT(ledger_each_document(plane_ledger(stage->plane), STR(CARD_TYPE), STR(""), last_card,
                                   ret, NULL),
              0);
}

static int decide_as(struct stage *stage, const char *card, const char *option,
                     const char *delegation, struct outcome *ret, struct err *err)
{
    struct buf command = BUF_INIT;
    struct plane_answer answer = { .card = str_from(card),
                                   .option = str_from(option),
                                   .delegation = str_from(delegation) };
    int r = plane_write_decide(stage->plane, &answer, &command, err);
    if (r == 0)
        r = plane_submit(stage->plane, buf_str(&command), NULL, ret, err);
    buf_release(&command);
    return r;
}

static enum err_code decide(struct stage *stage, const char *card, const char *option)
{
    struct outcome outcome;
    struct err err = { 0 };
    (void)!decide_as(stage, card, option, "", &outcome, &err);
    return err.code;
}

static void check_text(struct stage *stage, const char *id, const char *pointer, const char *text,
                       int line)
{
    char found[PLANE_URN_MAX];
    stage_text(stage, id, pointer, found, sizeof(found));
    if (strcmp(found, text) != 0)
        test_fail(__FILE__, line, "%s is \"%s\", not \"%s\"", pointer, found, text);
}

/* --- asking -------------------------------------------------------------------------------- */

TEST(an_ask_is_a_denial_for_now_and_a_card_that_waits)
{
    struct stage stage;
    char card[PLANE_URN_MAX], text[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    struct outcome outcome = start(&stage, KEYED);
    CHECK_INT(outcome.state, STATE_FAILED);
    CHECK_INT(outcome.failure.code, ERR_PENDING);
    find_card(&stage, card);
    CHECK(strstr(outcome.remedy, card) != NULL);
    check_text(&stage, outcome.operation, "/failure/code", "decision-pending", __LINE__);
    check_text(&stage, outcome.operation, "/failure/denial/layer", "user", __LINE__);
    check_text(&stage, outcome.operation, "/failure/denial/ruleId", "networks-are-asked-for",
               __LINE__);
    check_text(&stage, outcome.operation, "/pendingDecisionCardRef", "", __LINE__);
    check_text(&stage, card, "/state", "pending", __LINE__);
    check_text(&stage, card, "/operationRef", outcome.operation, __LINE__);
    check_text(&stage, card, "/defaultOptionId", "no", __LINE__);
    check_text(&stage, card, "/answerableByRefs/0", stage.user, __LINE__);
    stage_text(&stage, card, "/policyDecisionRef", text, sizeof(text));
    check_text(&stage, text, "/verdict", "ask", __LINE__);
    check_text(&stage, text, "/decisionCardRef", card, __LINE__);
    stage_check(&stage);
    stage_end(&stage);
}

TEST(the_same_thing_is_asked_once_and_counted)
{
    struct stage stage;
    struct buf text = BUF_INIT;
    char card[PLANE_URN_MAX];
    int64_t revision;
    if (!begin(&stage))
        return;
    for (int i = 0; i < 3; i++)
        CHECK_INT(start(&stage, "").failure.code, ERR_PENDING);
    CHECK_INT(stage_count(&stage, CARD_TYPE), 1);
    find_card(&stage, card);
    CHECK_INT(
        ledger_get_document(plane_ledger(stage.plane), str_from(card), &text, &revision, NULL), 0);
    buf_add_char(&text, '\0');
    CHECK(strstr(text.data, "\"asked\":{\"count\":3") != NULL);
    asking_layer = LAYER_DEVICE; /* another rule's question is another question */
    CHECK_INT(start(&stage, "").failure.code, ERR_PENDING);
    CHECK_INT(stage_count(&stage, CARD_TYPE), 2);
    stage_check(&stage);
    buf_release(&text);
    stage_end(&stage);
}

/* --- answering ----------------------------------------------------------------------------- */

TEST(an_answer_for_the_run_serves_its_next_attempt_and_nobody_else)
{
    struct stage stage;
    char card[PLANE_URN_MAX], text[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    struct outcome outcome = start(&stage, KEYED);
    find_card(&stage, card);
    CHECK_INT(decide(&stage, card, "this-run"), ERR_NONE);
    check_text(&stage, card, "/answer/lease/scopeRef", outcome.operation, __LINE__);
    CHECK_INT(start(&stage, "").failure.code, ERR_PENDING);
    outcome = retry(&stage, outcome.operation);
    CHECK_INT(outcome.state, STATE_COMPLETED);
    stage_text(&stage, outcome.operation, "/gateDecisions/1/policyDecisionRef", text, sizeof(text));
    check_text(&stage, text, "/verdict", "allow", __LINE__);
    check_text(&stage, text, "/decisionCardRef", card, __LINE__);
    stage_check(&stage);
    stage_end(&stage);
}

TEST(an_answer_for_the_profile_serves_every_equal_question_and_no_other)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    char card[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    start(&stage, "");
    find_card(&stage, card);
    CHECK_INT(decide(&stage, card, "this-profile"), ERR_NONE);
    for (int i = 0; i < 3; i++)
        CHECK_INT(start(&stage, "").state, STATE_COMPLETED);
    command_make(&stage, &command, "agent_machine.execution.start", "urn:srcos:agent:other",
                 START_PARAMETERS, "");
    CHECK_INT(stage_submit(&stage, &command).failure.code, ERR_PENDING);
    asking_layer = LAYER_COUNT; /* what is denied by now is denied */
    CHECK_INT(start(&stage, "").failure.code, ERR_DENIED);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

TEST(an_answer_for_once_is_used_once)
{
    struct stage stage;
    char card[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    start(&stage, "");
    find_card(&stage, card);
    CHECK_INT(decide(&stage, card, "once"), ERR_NONE);
    CHECK_INT(start(&stage, "").state, STATE_COMPLETED);
    CHECK_INT(start(&stage, "").failure.code, ERR_PENDING);
    CHECK_INT(stage_count(&stage, CARD_TYPE), 2);
    stage_check(&stage);
    stage_end(&stage);
}

TEST(a_no_stands_for_its_operation_and_the_next_is_asked_about)
{
    struct stage stage;
    char card[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    struct outcome outcome = start(&stage, KEYED);
    find_card(&stage, card);
    CHECK_INT(decide(&stage, card, "no"), ERR_NONE);
    outcome = retry(&stage, outcome.operation);
    CHECK_INT(outcome.failure.code, ERR_DENIED);
    CHECK(strstr(outcome.failure.cause, "has denied it") != NULL);
    CHECK_INT(stage_count(&stage, CARD_TYPE), 1);
    CHECK_INT(start(&stage, "").failure.code, ERR_PENDING);
    CHECK_INT(stage_count(&stage, CARD_TYPE), 2);
    stage_check(&stage);
    stage_end(&stage);
}

TEST(a_card_is_answered_once_and_what_was_allowed_can_be_taken_back)
{
    struct stage stage;
    struct outcome outcome;
    struct err err = { 0 };
    char card[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    start(&stage, "");
    find_card(&stage, card);
    CHECK_INT(decide(&stage, card, "maybe"), ERR_NOT_FOUND);
    CHECK_INT(decide(&stage, "urn:srcos:decision-card:missing", "no"), ERR_NOT_FOUND);
    CHECK_INT(decide(&stage, card, "this-profile"), ERR_NONE);
    CHECK_INT(decide_as(&stage, card, "this-profile", "", &outcome, &err), 0);
    CHECK(outcome.repeated);
    CHECK_INT(decide(&stage, card, "once"), ERR_CONFLICT);
    CHECK_INT(start(&stage, "").state, STATE_COMPLETED);
    CHECK_INT(decide(&stage, card, "no"), ERR_NONE);
    CHECK_INT(decide_as(&stage, card, "no", "", &outcome, &err), 0);
    CHECK(outcome.repeated);
    CHECK_INT(start(&stage, "").failure.code, ERR_PENDING);
    stage_check(&stage);
    stage_end(&stage);
}

TEST(the_same_decide_command_twice_is_one_answer)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    struct outcome outcome;
    char card[PLANE_URN_MAX];
    int64_t before, after;
    if (!begin(&stage))
        return;
    start(&stage, "");
    find_card(&stage, card);
    struct plane_answer answer = { .card = str_from(card),
                                   .option = STR("this-profile"),
                                   .reason = STR("It is needed."),
                                   .seconds = 60,
                                   .uses = 2 };
    CHECK_INT(plane_write_decide(stage.plane, &answer, &command, NULL), 0);
    CHECK_INT(plane_submit(stage.plane, buf_str(&command), NULL, &outcome, NULL), 0);
    CHECK(!outcome.repeated);
    CHECK_INT(ledger_size(plane_ledger(stage.plane), &before, NULL), 0);
    CHECK_INT(plane_submit(stage.plane, buf_str(&command), NULL, &outcome, NULL), 0);
    CHECK(outcome.repeated);
    CHECK_INT(ledger_size(plane_ledger(stage.plane), &after, NULL), 0);
    CHECK_INT(after, before);
    for (int i = 0; i < 2; i++) /* fewer uses than were offered */
        CHECK_INT(start(&stage, "").state, STATE_COMPLETED);
    CHECK_INT(start(&stage, "").failure.code, ERR_PENDING);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

/* --- who may ------------------------------------------------------------------------------- */

/* A delegation of run starts by whoever has the key in `folder`. */
static void delegate(struct stage *stage, const char *folder, const char *id, const char *issuer)
{
    struct buf json = BUF_INIT, envelope = BUF_INIT;
    struct ledger_batch *batch = NULL;
    struct ledger_position position;
    struct sign_key *key = NULL;
    char now[CLOCK_TEXT_SIZE], end[CLOCK_TEXT_SIZE];
    clock_text(clock_now_ms() - 1000, now);
    clock_text(clock_now_ms() + 3600000, end);
    buf_addf(&json,
             "{\"id\":\"%s\",\"type\":\"Delegation\",\"specVersion\":\"1.0.0\",\"depth\":0,"
             "\"issuerRef\":\"%s\",\"subjectRef\":\"%s\",\"issuedAt\":\"%s\",\"notBefore\":\"%s\","
             "\"expiresAt\":\"%s\",\"operationTypes\":[\"agent_machine.execution.start\"],"
             "\"scope\":{\"workspaceRefs\":[\"" TEST_WORKSPACE "\"],\"profileRefs\":[],"
             "\"toolRefs\":[],\"modelProviderRefs\":[],\"mounts\":[],"
             "\"networkAccessProfileRef\":\"none\"},\"budgetCeiling\":{\"modelCalls\":0,"
             "\"tokens\":0,\"connectorCalls\":0,\"cpuSeconds\":0,\"gpuSeconds\":0,"
             "\"localDiskBytes\":0,\"sandboxMemoryBytes\":0,\"wallClockSeconds\":0,"
             "\"agentConcurrency\":0},\"purpose\":\"To answer for the enterprise.\"}",
             id, issuer, stage->user, now, now, end);
    CHECK_INT(key_open_user(folder, &key, NULL), 0);
    CHECK_INT(delegation_seal(key, buf_str(&json), &envelope, NULL), 0);
    CHECK_INT(ledger_batch_new(&batch, NULL), 0);
    CHECK_INT(delegation_put(batch, buf_str(&envelope), clock_now_ms(), NULL), 0);
    CHECK_INT(ledger_commit(plane_ledger(stage->plane), batch, &position, NULL), 0);
    ledger_batch_free(batch);
    sign_key_free(key);
    buf_release(&json);
    buf_release(&envelope);
}

TEST(the_enterprises_question_is_answered_by_whom_it_has_delegated_to)
{
    struct stage stage;
    struct outcome outcome;
    struct err err = { 0 };
    char folder[128], public[160], card[PLANE_URN_MAX];
    bool made;
    if (!begin(&stage))
        return;
    snprintf(folder, sizeof(folder), "%s/enterprise", stage.folder);
    snprintf(public, sizeof(public), "%s/" KEY_PUBLIC_FILE, folder);
    asking_layer = LAYER_ENTERPRISE;
    start(&stage, "");
    find_card(&stage, card);
    check_text(&stage, card, "/answerableByRefs/0", CARD_ENTERPRISE, __LINE__);
    CHECK_INT(decide(&stage, card, "this-profile"), ERR_DENIED);
    CHECK_INT(key_init(folder, &made, NULL), 0);
    delegate(&stage, folder, "urn:srcos:delegation:answers", "urn:srcos:organization:northwind");
    delegate(&stage, stage.config, "urn:srcos:delegation:forged",
             "urn:srcos:organization:northwind");
    plane_close(stage.plane);
    stage.options.enterprise_key = public;
    stage.options.enterprise_owner = geteuid() + 1;
    if (!stage_open(&stage))
        return;
    CHECK(decide_as(&stage, card, "this-profile", "urn:srcos:delegation:answers", &outcome, &err) <
          0);
    CHECK(strstr(err.cause, "could be written by others") != NULL);
    plane_close(stage.plane);
    stage.options.enterprise_owner = geteuid();
    if (!stage_open(&stage))
        return;
    CHECK_INT(decide(&stage, card, "this-profile"), ERR_DENIED);
    CHECK(decide_as(&stage, card, "this-profile", "urn:srcos:delegation:forged", &outcome, &err) <
          0);
    CHECK_INT(err.code, ERR_DENIED);
    check_text(&stage, card, "/state", "pending", __LINE__);
    CHECK_INT(
        decide_as(&stage, card, "this-profile", "urn:srcos:delegation:answers", &outcome, &err), 0);
    check_text(&stage, card, "/answer/delegationRef", "urn:srcos:delegation:answers", __LINE__);
    CHECK_INT(start(&stage, "").state, STATE_COMPLETED);
    stage_check(&stage);
    stage_end(&stage);
}

TEST(an_agent_cannot_answer_and_neither_can_who_lacks_the_key)
{
    struct stage stage;
    struct buf command = BUF_INIT, changed = BUF_INIT;
    struct outcome outcome;
    struct err err = { 0 };
    char card[PLANE_URN_MAX], path[160];
    if (!begin(&stage))
        return;
    start(&stage, "");
    find_card(&stage, card);
    struct plane_answer answer = { .card = str_from(card), .option = STR("this-profile") };
    CHECK_INT(plane_write_decide(stage.plane, &answer, &command, NULL), 0);
    buf_add_char(&command, '\0');
    char *actor = strstr(command.data, "\"actorRef\":\"");
    CHECK(actor);
    if (actor) {
        actor += strlen("\"actorRef\":\"");
        buf_addf(&changed, "%.*s" TEST_AGENT "%s", (int)(actor - command.data), command.data,
                 strchr(actor, '"'));
        CHECK(plane_submit(stage.plane, buf_str(&changed), NULL, &outcome, &err) < 0);
        CHECK_INT(err.code, ERR_DENIED);
    }
    snprintf(path, sizeof(path), "%s/" KEY_FILE, stage.config);
    CHECK_INT(unlink(path), 0);
    CHECK(decide(&stage, card, "this-profile") != ERR_NONE);
    check_text(&stage, card, "/state", "pending", __LINE__);
    stage_check(&stage);
    buf_release(&command);
    buf_release(&changed);
    stage_end(&stage);
}

/* --- time ---------------------------------------------------------------------------------- */

/* Writes a card as it would have been a day ago. */
static void make_old(struct stage *stage, const char *card)
{
    struct buf text = BUF_INIT;
    struct ledger_batch *batch = NULL;
    struct ledger_position position;
    char past[CLOCK_TEXT_SIZE];
    int64_t revision;
    clock_text(clock_now_ms() - 1000, past);
    CHECK_INT(
        ledger_get_document(plane_ledger(stage->plane), str_from(card), &text, &revision, NULL), 0);
    buf_add_char(&text, '\0');
    char *end = strstr(text.data, "\"expiresAt\":\"");
    CHECK(end);
    if (!end)
        return;
    memcpy(end + strlen("\"expiresAt\":\""), past, strlen(past));
    buf_truncate(&text, text.len - 1);
    CHECK_INT(ledger_batch_new(&batch, NULL), 0);
    CHECK_INT(ledger_put_document(batch, STR(CARD_TYPE), str_from(card), STR(""), buf_str(&text),
                                  revision, NULL),
              0);
    CHECK_INT(ledger_commit(plane_ledger(stage->plane), batch, &position, NULL), 0);
    ledger_batch_free(batch);
    buf_release(&text);
}

TEST(when_nobody_answers_in_time_the_default_is_taken)
{
    struct stage stage;
    char card[PLANE_URN_MAX], second[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    start(&stage, "");
    find_card(&stage, card);
    make_old(&stage, card);
    CHECK_INT(decide(&stage, card, "this-profile"), ERR_CONFLICT);
    check_text(&stage, card, "/state", "expired", __LINE__);
    CHECK_INT(start(&stage, "").failure.code, ERR_PENDING);
    find_card(&stage, second);
    CHECK(strcmp(card, second) != 0);
    make_old(&stage, second); /* found by who asks next */
    CHECK_INT(start(&stage, "").failure.code, ERR_PENDING);
    check_text(&stage, second, "/state", "expired", __LINE__);
    CHECK_INT(stage_count(&stage, CARD_TYPE), 3);
    stage_check(&stage);
    stage_end(&stage);
}

/* --- waiting ------------------------------------------------------------------------------- */

/* Told that it waits, a child says so. */
static bool tell_waiting(void *context, const struct standstill *standstill)
{
    int *pipe_in = context;
    (void)standstill;
    if (*pipe_in >= 0 && write(*pipe_in, "", 1) == 1) {
        close(*pipe_in);
        *pipe_in = -1;
    }
    return true;
}

/* A child that gives a command and waits for a person; it waits when this returns. */
static pid_t begin_waiting(struct stage *stage, const struct buf *command, int64_t wait_ms)
{
    int pipes[2];
    char byte;
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return -1;
    plane_close(stage->plane);
    pid_t child = fork();
    if (child == 0) {
        struct outcome outcome;
        struct plane *plane;
        close(pipes[0]);
        stage->options.wait_ms = wait_ms;
        stage->options.waiting = tell_waiting;
        stage->options.waiting_context = &pipes[1];
        int r = plane_open(&stage->options, &plane, NULL);
        if (r == 0)
            r = plane_submit(plane, buf_str(command), NULL, &outcome, NULL);
        _exit(r < 0 ? 99 : (int)outcome.state);
    }
    close(pipes[1]);
    CHECK_INT(read(pipes[0], &byte, 1), 1);
    close(pipes[0]);
    CHECK(stage_open(stage));
    return child;
}

static int child_end(pid_t child)
{
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int last_operation(void *context, struct str id, struct str json, int64_t revision,
                          struct err *err)
{
    return last_card(context, id, json, revision, err);
}

static void find_operation(struct stage *stage, char ret[PLANE_URN_MAX])
{
    ret[0] = '\0';
    CHECK_INT(ledger_each_document(plane_ledger(stage->plane), STR("WorkspaceOperation"), STR(""),
                                   last_operation, ret, NULL),
              0);
}

TEST(who_waits_goes_on_when_it_is_answered)
{
    static const struct {
        const char *option, *state;
        enum state end;
    } cases[] = { { "this-run", "completed", STATE_COMPLETED }, { "no", "failed", STATE_FAILED } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct stage stage;
        struct buf command = BUF_INIT;
        char card[PLANE_URN_MAX], operation[PLANE_URN_MAX];
        if (!begin(&stage))
            return;
        command_start(&stage, &command, "");
        pid_t child = begin_waiting(&stage, &command, 60000);
        find_card(&stage, card);
        find_operation(&stage, operation);
        check_text(&stage, operation, "/state", "awaiting_decision", __LINE__);
        check_text(&stage, operation, "/pendingDecisionCardRef", card, __LINE__);
        struct recovered recovered = { 0 };
        CHECK_INT(plane_recover(stage.plane, &recovered, NULL), 0);
        CHECK_INT(recovered.failed, 0); /* its process is there */
        CHECK_INT(decide(&stage, card, cases[i].option), ERR_NONE);
        CHECK_INT(child_end(child), cases[i].end);
        check_text(&stage, operation, "/state", cases[i].state, __LINE__);
        stage_check(&stage);
        buf_release(&command);
        stage_end(&stage);
    }
}

TEST(who_waits_too_long_or_past_the_cards_time_is_denied)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    char card[PLANE_URN_MAX], operation[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    command_start(&stage, &command, "");
    pid_t child = begin_waiting(&stage, &command, 300);
    CHECK_INT(child_end(child), STATE_FAILED);
    find_operation(&stage, operation);
    check_text(&stage, operation, "/failure/code", "decision-pending", __LINE__);
    find_card(&stage, card);
    check_text(&stage, card, "/state", "pending", __LINE__);
    command_start(&stage, &command, "");
    child = begin_waiting(&stage, &command, 60000);
    find_operation(&stage, operation);
    find_card(&stage, card);
    make_old(&stage, card);
    CHECK_INT(child_end(child), STATE_FAILED);
    check_text(&stage, operation, "/failure/code", "denied", __LINE__);
    check_text(&stage, card, "/state", "expired", __LINE__);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

TEST(a_wait_that_is_cancelled_takes_its_question_with_it)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    char card[PLANE_URN_MAX], operation[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    command_start(&stage, &command, "");
    pid_t child = begin_waiting(&stage, &command, 60000);
    find_operation(&stage, operation);
    find_card(&stage, card);
    command_cancel(&stage, &command, operation, "graceful", 5);
    CHECK_INT(stage_submit(&stage, &command).state, STATE_COMPLETED);
    CHECK_INT(child_end(child), STATE_CANCELED);
    check_text(&stage, operation, "/state", "canceled", __LINE__);
    check_text(&stage, card, "/state", "withdrawn", __LINE__);
    CHECK_INT(decide(&stage, card, "this-run"), ERR_CONFLICT);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

TEST(a_wait_whose_process_dies_fails_and_its_answer_serves_the_next_attempt)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    struct recovered recovered = { 0 };
    char card[PLANE_URN_MAX], operation[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    command_start(&stage, &command, KEYED);
    pid_t child = begin_waiting(&stage, &command, 60000);
    find_operation(&stage, operation);
    find_card(&stage, card);
    kill(child, SIGKILL);
    CHECK_INT(child_end(child), -SIGKILL);
    CHECK_INT(plane_recover(stage.plane, &recovered, NULL), 0);
    CHECK_INT(recovered.failed, 1);
    check_text(&stage, operation, "/state", "failed", __LINE__);
    check_text(&stage, operation, "/failure/code", "abandoned", __LINE__);
    check_text(&stage, card, "/state", "pending", __LINE__);
    CHECK_INT(decide(&stage, card, "this-run"), ERR_NONE);
    CHECK_INT(retry(&stage, operation).state, STATE_COMPLETED);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

/* --- races --------------------------------------------------------------------------------- */

#define RACE_ROUNDS 12
#define RACERS      4

TEST(of_those_who_answer_at_once_one_is_first)
{
    static const char *const options[RACERS] = { "no", "once", "this-profile", "no" };
    struct stage stage;
    if (!begin(&stage))
        return;
    for (int round = 0; round < RACE_ROUNDS; round++) {
        char card[PLANE_URN_MAX], workspace[64];
        pid_t racers[RACERS];
        int first = 0, second = 0;
        snprintf(workspace, sizeof(workspace), ",\"reason\":\"round %d\"", round);
        start(&stage, workspace);
        find_card(&stage, card);
        plane_close(stage.plane);
        for (int i = 0; i < RACERS; i++) {
            racers[i] = fork();
            if (racers[i] == 0) {
                struct outcome outcome = { 0 };
                struct err err = { 0 };
                if (!stage_open(&stage))
                    _exit(9);
                int r = decide_as(&stage, card, options[i], "", &outcome, &err);
                _exit(r == 0 ? outcome.repeated : err.code == ERR_CONFLICT ? 2 : 9);
            }
        }
        for (int i = 0; i < RACERS; i++) {
            int how = child_end(racers[i]);
            first += how == 0;
            second += how == 1 || how == 2;
        }
        /* A `no` after an answer that allows takes it back, which is an answer too. */
        CHECK(first == 1 || first == 2);
        CHECK_INT(first + second, RACERS);
        CHECK(stage_open(&stage));
        check_text(&stage, card, "/state", "answered", __LINE__);
        (void)!decide(&stage, card, "no");
    }
    stage_check(&stage);
    stage_end(&stage);
}

TEST(of_those_who_use_an_answer_for_once_at_once_one_runs)
{
    struct stage stage;
    if (!begin(&stage))
        return;
    for (int round = 0; round < RACE_ROUNDS; round++) {
        char card[PLANE_URN_MAX];
        pid_t racers[RACERS];
        int ran = 0, failed = 0;
        start(&stage, "");
        find_card(&stage, card);
        CHECK_INT(decide(&stage, card, "once"), ERR_NONE);
        plane_close(stage.plane);
        for (int i = 0; i < RACERS; i++) {
            racers[i] = fork();
            if (racers[i] == 0) {
                struct buf command = BUF_INIT;
                struct outcome outcome = { 0 };
                if (!stage_open(&stage))
                    _exit(99);
                command_start(&stage, &command, "");
                _exit(plane_submit(stage.plane, buf_str(&command), NULL, &outcome, NULL) < 0
                          ? 99
                          : (int)outcome.state);
            }
        }
        for (int i = 0; i < RACERS; i++) {
            int how = child_end(racers[i]);
            ran += how == STATE_COMPLETED;
            failed += how == STATE_FAILED;
        }
        CHECK_INT(ran, 1);
        CHECK_INT(failed, RACERS - 1);
        CHECK(stage_open(&stage));
        find_card(&stage, card); /* those who came too late have asked again, once */
        CHECK_INT(decide(&stage, card, "no"), ERR_NONE);
    }
    stage_check(&stage);
    stage_end(&stage);
}

/* --- crashes ------------------------------------------------------------------------------- */

static void crash_at(void *context, enum plane_step step)
{
    if (step == *(enum plane_step *)context)
        kill(getpid(), SIGKILL);
}

TEST(an_answer_whose_giver_crashes_stands_and_can_be_given_again)
{
    struct stage stage;
    struct outcome outcome;
    enum plane_step step = PLANE_STEP_CARD;
    struct err err = { 0 };
    char card[PLANE_URN_MAX];
    if (!begin(&stage))
        return;
    start(&stage, "");
    find_card(&stage, card);
    plane_close(stage.plane);
    pid_t child = fork();
    if (child == 0) {
        stage.options.committed = crash_at;
        stage.options.committed_context = &step;
        if (stage_open(&stage))
            (void)!decide(&stage, card, "this-profile");
        _exit(0);
    }
    CHECK_INT(child_end(child), -SIGKILL);
    if (!stage_open(&stage))
        return;
    check_text(&stage, card, "/state", "answered", __LINE__);
    CHECK_INT(decide_as(&stage, card, "this-profile", "", &outcome, &err), 0);
    CHECK(outcome.repeated);
    CHECK_INT(start(&stage, "").state, STATE_COMPLETED);
    stage_check(&stage);
    stage_end(&stage);
}
