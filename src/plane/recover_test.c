/* recover: crashes after each durable step, cancels in each state, and what is left then. */
#include <signal.h>

#include "plane/plane_test.h"

#define WAIT_MS 10000

/* --- effects ------------------------------------------------------------------------------- */

/* Waits until somebody asks for the end; reports that it began through its context, a pipe. */
static int effect_waits(void *context, struct work *work, struct effect_result *ret,
                        struct err *err)
{
    const int *pipe_in = context;
    struct work_asked asked;
    ret->end = STATE_COMPLETED;
    if (write(*pipe_in, "", 1) != 1)
        return -EIO;
    return work_control_wait(work, ASKED_NOTHING, WAIT_MS, &asked, err);
}

static int effect_ignores(void *context, struct work *work, struct effect_result *ret,
                          struct err *err)
{
    const int *pipe_in = context;
    (void)work;
    (void)err;
    ret->end = STATE_COMPLETED;
    if (write(*pipe_in, "", 1) != 1)
        return -EIO;
    for (int i = 0; i < 10; i++)
        sleep(1);
    return 0;
}

static int effect_completes(void *context, struct work *work, struct effect_result *ret,
                            struct err *err)
{
    (void)context;
    (void)work;
    (void)err;
    ret->end = STATE_COMPLETED;
    return 0;
}

/* --- crashes ------------------------------------------------------------------------------- */

struct crash {
    enum plane_step at;
    int after; /* so many times it is passed */
};

static void crash_at(void *context, enum plane_step step)
{
    struct crash *crash = context;
    if (step == crash->at && crash->after-- == 0)
        kill(getpid(), SIGKILL);
}

/* Gives a command in a process that is killed at a step. Whether it was. */
static bool crash_child(struct stage *stage, const struct buf *command, struct crash crash)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct outcome outcome;
        struct plane *plane;
        stage->options.committed = crash_at;
        stage->options.committed_context = &crash;
        int r = plane_open(&stage->options, &plane, NULL);
        if (r == 0)
            r = plane_submit(plane, buf_str(command), NULL, &outcome, NULL);
        _exit(r < 0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static int find_operation(void *context, struct str id, struct str json, int64_t revision,
                          struct err *err)
{
    (void)json;
    (void)revision;
    (void)err;
    snprintf(context, PLANE_URN_MAX, "%.*s", STR_ARG(id));
    return 0;
}

/* The id of the last operation of the ledger. */
static void last_operation(struct stage *stage, char ret[PLANE_URN_MAX])
{
    ret[0] = '\0';
    CHECK_INT(ledger_each_document(plane_ledger(stage->plane), STR("WorkspaceOperation"), STR(""),
                                   find_operation, ret, NULL),
              0);
}

static void check_state(struct stage *stage, const char *operation, const char *state, int line)
{
    char text[64];
    stage_text(stage, operation, "/state", text, sizeof(text));
    if (strcmp(text, state) != 0)
        test_fail(__FILE__, line, "%s is %s, expected %s", operation, text, state);
}

TEST(a_crash_after_any_step_of_a_run_ends_in_a_legal_state_without_a_reservation)
{
    static const struct {
        enum plane_step at;
        const char *state;
        size_t failed;
    } cases[] = {
        { PLANE_STEP_RUNNING, "failed", 1 },
        { PLANE_STEP_ENDED, "completed", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct stage stage;
        struct buf command = BUF_INIT;
        struct recovered recovered = { 0 };
        char operation[PLANE_URN_MAX], code[64];
        if (!stage_begin(&stage))
            return;
        plane_close(stage.plane);
        stage.options.execution_start = effect_completes;
        command_start(&stage, &command, ",\"idempotencyKey\":\"crash\"");
        CHECK(crash_child(&stage, &command, (struct crash){ .at = cases[i].at }));
        stage.options.committed = NULL;
        if (!stage_open(&stage))
            return;
        CHECK_INT(plane_recover(stage.plane, &recovered, NULL), 0);
        CHECK_INT(recovered.failed, cases[i].failed);
        last_operation(&stage, operation);
        check_state(&stage, operation, cases[i].state, __LINE__);
        if (cases[i].failed) {
            stage_text(&stage, operation, "/failure/code", code, sizeof(code));
            CHECK_TEXT(code, "abandoned");
        }
        /* The same command again is the same operation, and can be tried again. */
        struct outcome outcome = stage_submit(&stage, &command);
        CHECK(outcome.repeated);
        CHECK_TEXT(outcome.operation, operation);
        if (cases[i].failed) {
            command_retry(&stage, &command, operation, "crash");
            CHECK_INT(stage_submit(&stage, &command).state, STATE_COMPLETED);
        }
        CHECK_INT(plane_recover(stage.plane, &recovered, NULL), 0);
        CHECK_INT(recovered.failed, 0);
        stage_check(&stage);
        buf_release(&command);
        stage_end(&stage);
    }
}

static int prepare_dies(void *context, struct work *work, struct effect_result *ret,
                        struct err *err)
{
    (void)context;
    (void)work;
    (void)ret;
    (void)err;
    kill(getpid(), SIGKILL);
    return 0;
}

TEST(a_crash_before_what_permits_a_run_is_durable_leaves_nothing_of_it)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    struct recovered recovered = { 0 };
    int64_t size = -1;
    if (!stage_begin(&stage))
        return;
    plane_close(stage.plane);
    stage.options.execution_start = effect_completes;
    stage.options.execution_prepare = prepare_dies;
    command_start(&stage, &command, ",\"idempotencyKey\":\"crash\"");
    CHECK(crash_child(&stage, &command, (struct crash){ .at = PLANE_STEP_ENDED }));
    stage.options.execution_prepare = NULL;
    stage.options.committed = NULL;
    if (!stage_open(&stage))
        return;
    CHECK_INT(plane_recover(stage.plane, &recovered, NULL), 0);
    CHECK_INT(recovered.failed, 0);
    CHECK_INT(ledger_size(plane_ledger(stage.plane), &size, NULL), 0);
    CHECK_INT(size, 0);
    struct outcome outcome = stage_submit(&stage, &command); /* its names are free */
    CHECK(!outcome.repeated);
    CHECK_INT(outcome.state, STATE_COMPLETED);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

TEST(a_crash_in_a_retry_fails_it_again)
{
    static const enum plane_step cases[] = { PLANE_STEP_RETRYING, PLANE_STEP_RUNNING };
    struct stage stage;
    struct buf command = BUF_INIT;
    if (!stage_begin(&stage))
        return;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char key[64];
        snprintf(key, sizeof(key), ",\"idempotencyKey\":\"k%zu\"", i);
        command_start(&stage, &command, key);
        struct outcome outcome = stage_submit(&stage, &command); /* no effect: it fails */
        snprintf(key, sizeof(key), "k%zu", i);
        command_retry(&stage, &command, outcome.operation, key);
        plane_close(stage.plane);
        stage.options.execution_start = effect_completes; /* of who tries it again */
        CHECK(crash_child(&stage, &command, (struct crash){ .at = cases[i] }));
        stage.options.execution_start = NULL;
        stage.options.committed = NULL;
        if (!stage_open(&stage))
            return;
        struct recovered recovered = { 0 };
        CHECK_INT(plane_recover(stage.plane, &recovered, NULL), 0);
        CHECK_INT(recovered.failed, 1);
        check_state(&stage, outcome.operation, "failed", __LINE__);
    }
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

/* --- cancelling ---------------------------------------------------------------------------- */

struct runner {
    pid_t child;
    char operation[PLANE_URN_MAX];
};

/* A process that runs a command; it has begun when this returns. */
static bool runner_begin(struct stage *stage, struct runner *ret, plane_effect *effect)
{
    int pipes[2];
    char byte;
    struct buf command = BUF_INIT;
    command_start(stage, &command, "");
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return false;
    plane_close(stage->plane);
    stage->plane = NULL;
    ret->child = fork();
    if (ret->child == 0) {
        struct outcome outcome;
        struct plane *plane;
        close(pipes[0]);
        stage->options.execution_start = effect;
        stage->options.effect_context = &pipes[1];
        int r = plane_open(&stage->options, &plane, NULL);
        if (r == 0)
            r = plane_submit(plane, buf_str(&command), NULL, &outcome, NULL);
        _exit(r < 0 ? 99 : (int)outcome.state);
    }
    close(pipes[1]);
    bool began = read(pipes[0], &byte, 1) == 1;
    close(pipes[0]);
    buf_release(&command);
    CHECK(began);
    if (!began || !stage_open(stage))
        return false;
    last_operation(stage, ret->operation);
    return true;
}

static int runner_end(const struct runner *runner)
{
    int status;
    waitpid(runner->child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(a_run_that_is_cancelled_ends_by_itself)
{
    struct stage stage;
    struct runner runner;
    struct buf command = BUF_INIT;
    if (!stage_begin(&stage) || !runner_begin(&stage, &runner, effect_waits))
        return;
    check_state(&stage, runner.operation, "running", __LINE__);
    struct recovered recovered = { 0 };
    CHECK_INT(plane_recover(stage.plane, &recovered, NULL), 0); /* it is alive: nothing to do */
    CHECK_INT(recovered.failed, 0);
    command_cancel(&stage, &command, runner.operation, "graceful", 20);
    struct outcome outcome = stage_submit(&stage, &command);
    CHECK_INT(outcome.state, STATE_COMPLETED);
    CHECK_TEXT(outcome.failure.cause, "");
    check_state(&stage, runner.operation, "canceled", __LINE__);
    CHECK_INT(runner_end(&runner), STATE_CANCELED);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

TEST(a_run_that_does_not_obey_is_killed_when_the_grace_period_is_over)
{
    struct stage stage;
    struct runner runner;
    struct buf command = BUF_INIT;
    if (!stage_begin(&stage) || !runner_begin(&stage, &runner, effect_ignores))
        return;
    command_cancel(&stage, &command, runner.operation, "graceful", 1);
    struct outcome outcome = stage_submit(&stage, &command);
    CHECK_INT(outcome.state, STATE_COMPLETED);
    CHECK_TEXT(outcome.failure.cause, "");
    CHECK_INT(runner_end(&runner), -SIGKILL);
    check_state(&stage, runner.operation, "canceled", __LINE__);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

TEST(a_cancel_that_crashes_is_carried_on)
{
    static const struct {
        enum plane_step at;
        size_t canceled, resumed;
    } cases[] = {
        { PLANE_STEP_RUNNING, 1, 1 },   /* nothing was asked yet: asked again */
        { PLANE_STEP_CANCELING, 1, 1 }, /* asked, and nobody waits */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct stage stage;
        struct runner runner;
        struct buf command = BUF_INIT;
        struct recovered recovered = { 0 };
        char cancel[PLANE_URN_MAX];
        if (!stage_begin(&stage) || !runner_begin(&stage, &runner, effect_ignores))
            return;
        command_cancel(&stage, &command, runner.operation, "forced", 0);
        plane_close(stage.plane);
        CHECK(crash_child(&stage, &command, (struct crash){ .at = cases[i].at }));
        stage.options.committed = NULL;
        if (!stage_open(&stage))
            return;
        last_operation(&stage, cancel);
        CHECK_INT(plane_recover(stage.plane, &recovered, NULL), 0);
        CHECK_INT(recovered.resumed, cases[i].resumed);
        check_state(&stage, cancel, "completed", __LINE__);
        check_state(&stage, runner.operation, "canceled", __LINE__);
        CHECK_INT(runner_end(&runner), -SIGKILL);
        stage_check(&stage);
        buf_release(&command);
        stage_end(&stage);
    }
}

TEST(what_has_ended_or_is_anothers_cannot_be_cancelled)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    if (!stage_begin(&stage))
        return;
    plane_close(stage.plane);
    stage.options.execution_start = effect_completes;
    if (!stage_open(&stage))
        return;
    command_start(&stage, &command, "");
    struct outcome run = stage_submit(&stage, &command);
    command_cancel(&stage, &command, run.operation, "graceful", 1);
    struct outcome outcome = stage_submit(&stage, &command);
    CHECK_INT(outcome.state, STATE_FAILED);
    CHECK_INT(outcome.failure.code, ERR_CONFLICT);
    command_cancel(&stage, &command, outcome.operation, "graceful", 1);
    CHECK_INT(stage_submit(&stage, &command).failure.code, ERR_CONFLICT);
    command_cancel(&stage, &command, "urn:srcos:workspace-operation:missing", "graceful", 1);
    CHECK_INT(stage_submit(&stage, &command).failure.code, ERR_NOT_FOUND);
    check_state(&stage, run.operation, "completed", __LINE__);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

/* --- every state --------------------------------------------------------------------------- */

/* A layer that leaves the network to a person. */
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

/* The answer of the program itself where nobody grants a tool. */
static int gate_misses(void *context, const struct gate_question *question, struct gate_answer *ret,
                       struct err *err)
{
    int r = gate_asks(context, question, ret, err);
    if (ret->answer == ANSWER_ASK) {
        *ret = (struct gate_answer){ .answer = ANSWER_DENY, .built_in = true };
        snprintf(ret->rule, sizeof(ret->rule), "tool-not-granted");
        snprintf(ret->reason, sizeof(ret->reason), "nobody grants it");
        snprintf(ret->smallest_change, sizeof(ret->smallest_change), "Grant it.");
    }
    return r;
}

/* How an operation comes into each state in which it can be left, and what follows. */
static const struct {
    enum state state;
    enum plane_step at; /* its process stops after this step */
    enum state way[4];  /* then the setter leads on; ends at STATE_QUEUED */
    const char *end;    /* if its process dies */
    plane_gate *gate;   /* by which it waits for a person */
    bool is_left;       /* a cancel ends it without its process */
    int pause, resume;  /* 1: obeyed, 0: it stands so, -1: refused */
} ways[] = {
    { STATE_AWAITING_DECISION,
      PLANE_STEP_WAITING,
      { STATE_QUEUED },
      "failed",
      gate_asks,
      true,
      -1,
      -1 },
    { STATE_BLOCKED, PLANE_STEP_WAITING, { STATE_QUEUED }, "failed", gate_misses, true, -1, -1 },
    { STATE_RUNNING, PLANE_STEP_RUNNING, { STATE_QUEUED }, "failed", NULL, false, 1, 0 },
    { STATE_PAUSED,
      PLANE_STEP_RUNNING,
      { STATE_PAUSED, STATE_QUEUED },
      "failed",
      NULL,
      false,
      0,
      1 },
    { STATE_CANCELING,
      PLANE_STEP_RUNNING,
      { STATE_CANCELING, STATE_QUEUED },
      "canceled",
      NULL,
      false,
      -1,
      -1 },
};
#define WAY_CANCELING (ARRAY_LEN(ways) - 1)

struct stop {
    enum plane_step at;
};

static void stop_at(void *context, enum plane_step step)
{
    const struct stop *stop = context;
    if (step == stop->at)
        kill(getpid(), SIGSTOP);
}

/* A child that stops after a step of a command. */
static pid_t begin_stopped(struct stage *stage, const struct buf *command, enum plane_step at,
                           char ret_operation[PLANE_URN_MAX])
{
    struct stop stop = { at };
    int status;
    plane_close(stage->plane);
    pid_t child = fork();
    if (child == 0) {
        struct outcome outcome;
        struct plane *plane;
        stage->options.committed = stop_at;
        stage->options.committed_context = &stop;
        int r = plane_open(&stage->options, &plane, NULL);
        if (r == 0)
            r = plane_submit(plane, buf_str(command), NULL, &outcome, NULL);
        _exit(r < 0 ? 99 : (int)outcome.state);
    }
    waitpid(child, &status, WUNTRACED);
    CHECK(WIFSTOPPED(status));
    CHECK(stage_open(stage));
    last_operation(stage, ret_operation);
    return child;
}

static void enter(struct stage *stage, const char *operation, const enum state *way)
{
    struct work *work = NULL;
    struct err err = { 0 };
    CHECK_INT(work_load(stage->plane, str_from(operation), &work, &err), 0);
    for (size_t i = 0; work && i < 4 && way[i] != STATE_QUEUED; i++) {
        struct change change = { .to = way[i] };
        CHECK_INT(work_change_both(work, &change, &err), 0);
    }
    if (work && work->records[WORK_OPERATION].changed)
        CHECK_INT(work_commit(work, PLANE_STEP_RUNNING, &err), 0);
    CHECK_TEXT(err.cause, "");
    work_free(work);
}

/* Brings an operation into a state; its process is stopped. */
static pid_t bring(struct stage *stage, size_t way, char ret_operation[PLANE_URN_MAX])
{
    struct buf command = BUF_INIT;
    stage->options.gate = ways[way].gate;
    stage->options.wait_ms = 60000;
    command_start(stage, &command, ",\"idempotencyKey\":\"s\"");
    pid_t child = begin_stopped(stage, &command, ways[way].at, ret_operation);
    stage->options.wait_ms = 0;
    enter(stage, ret_operation, ways[way].way);
    check_state(stage, ret_operation, state_names[ways[way].state], __LINE__);
    buf_release(&command);
    return child;
}

static int child_end(pid_t child)
{
    int status;
    kill(child, SIGCONT);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* A pause or a resume, and back again where it was obeyed. */
static void check_control(struct stage *stage, const char *operation, const char *verb,
                          const char *back, int expected)
{
    struct buf command = BUF_INIT;
    struct outcome outcome;
    struct err err = { 0 };
    CHECK_INT(plane_write_control(stage->plane, verb, str_from(operation), STR(""), &command, NULL),
              0);
    int r = plane_submit(stage->plane, buf_str(&command), NULL, &outcome, &err);
    CHECK_INT(r < 0 ? -1 : !outcome.repeated, expected);
    CHECK_INT(r < 0 ? err.code : ERR_CONFLICT, ERR_CONFLICT);
    if (expected > 0 && back)
        check_control(stage, operation, back, NULL, expected);
    buf_release(&command);
}

TEST(every_command_in_every_state_is_obeyed_or_refused)
{
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct stage stage;
        struct buf command = BUF_INIT;
        struct outcome outcome;
        struct err err = { 0 };
        char operation[PLANE_URN_MAX];
        if (!stage_begin(&stage))
            return;
        pid_t child = bring(&stage, i, operation);
        command_start(&stage, &command, ",\"idempotencyKey\":\"s\"");
        outcome = stage_submit(&stage, &command); /* submit again: as it stands */
        CHECK(outcome.repeated);
        CHECK_INT(outcome.state, ways[i].state);
        command_retry(&stage, &command, operation, "s");
        CHECK(plane_submit(stage.plane, buf_str(&command), NULL, &outcome, &err) < 0);
        CHECK_INT(err.code, ERR_CONFLICT);
        check_control(&stage, operation, "pause", "resume", ways[i].pause);
        check_control(&stage, operation, "resume", "pause", ways[i].resume);
        CHECK(plane_write_compensate(stage.plane, str_from(operation), STR(""), &command, &err) <
              0); /* nothing is there yet */
        check_state(&stage, operation, state_names[ways[i].state], __LINE__);
        command_cancel(&stage, &command, operation, "forced", 0);
        outcome = stage_submit(&stage, &command);
        CHECK_TEXT(outcome.failure.cause, "");
        check_state(&stage, operation, "canceled", __LINE__);
        CHECK_INT(child_end(child), ways[i].is_left ? (int)STATE_CANCELED : -SIGKILL);
        check_state(&stage, operation, "canceled", __LINE__);
        stage_check(&stage);
        buf_release(&command);
        stage_end(&stage);
    }
}

TEST(each_state_that_a_dead_process_leaves_has_its_end)
{
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct stage stage;
        struct recovered recovered = { 0 };
        char operation[PLANE_URN_MAX];
        if (!stage_begin(&stage))
            return;
        pid_t child = bring(&stage, i, operation);
        kill(child, SIGKILL);
        CHECK_INT(child_end(child), -SIGKILL);
        CHECK_INT(plane_recover(stage.plane, &recovered, NULL), 0);
        CHECK_INT(recovered.failed + recovered.canceled, 1);
        check_state(&stage, operation, ways[i].end, __LINE__);
        stage_check(&stage);
        stage_end(&stage);
    }
}

/* A process that leaves an operation waiting before it runs, and stops. */
static pid_t begin_waiting(struct stage *stage, const struct buf *command, enum state state,
                           char ret_operation[PLANE_URN_MAX])
{
    int status;
    plane_close(stage->plane);
    pid_t child = fork();
    if (child == 0) {
        struct change change = { .of = WORK_OPERATION, .to = state };
        struct plane *plane;
        struct work *work;
        yyjson_doc *doc;
        int r = plane_open(&stage->options, &plane, NULL);
        if (r == 0)
            r = json_read(buf_str(command), &json_limits_default, &doc, NULL);
        if (r == 0)
            r = work_new(plane, doc, &work, NULL);
        if (r == 0)
            r = ledger_put_document(work->batch, STR("OperationCommand"),
                                    text_of(member(work_command(work), "id")), work_operation(work),
                                    buf_str(command), LEDGER_NEW, NULL);
        if (r == 0 && state != STATE_QUEUED)
            r = work_change(work, &change, NULL);
        if (r == 0)
            r = work_commit(work, PLANE_STEP_RUNNING, NULL);
        kill(getpid(), SIGSTOP);
        _exit(r < 0);
    }
    waitpid(child, &status, WUNTRACED);
    CHECK(WIFSTOPPED(status));
    CHECK(stage_open(stage));
    last_operation(stage, ret_operation);
    check_state(stage, ret_operation, state_names[state], __LINE__);
    return child;
}

TEST(what_waits_before_it_runs_is_cancelled_or_ends_with_its_process)
{
    static const enum state states[] = { STATE_QUEUED, STATE_PREFLIGHTING };
    for (size_t i = 0; i < 2 * ARRAY_LEN(states); i++) {
        struct stage stage;
        struct buf command = BUF_INIT;
        struct recovered recovered = { 0 };
        char operation[PLANE_URN_MAX];
        bool dies = i >= ARRAY_LEN(states);
        if (!stage_begin(&stage))
            return;
        command_start(&stage, &command, "");
        pid_t child = begin_waiting(&stage, &command, states[i % ARRAY_LEN(states)], operation);
        if (dies)
            kill(child, SIGKILL);
        CHECK_INT(dies ? child_end(child) : 0, dies ? -SIGKILL : 0);
        CHECK_INT(plane_recover(stage.plane, &recovered, NULL), 0);
        CHECK_INT(recovered.failed, dies);
        if (!dies) {
            command_cancel(&stage, &command, operation, "forced", 0);
            CHECK_TEXT(stage_submit(&stage, &command).failure.cause, "");
            CHECK_INT(child_end(child), 0); /* its process was left alone */
        }
        check_state(&stage, operation, dies ? "failed" : "canceled", __LINE__);
        stage_end(&stage);
        buf_release(&command);
    }
}

TEST(a_run_between_two_attempts_is_not_cancelled_and_says_what_it_may_become)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    char operation[PLANE_URN_MAX];
    if (!stage_begin(&stage))
        return;
    command_start(&stage, &command, ",\"idempotencyKey\":\"s\"");
    struct outcome outcome = stage_submit(&stage, &command);
    command_retry(&stage, &command, outcome.operation, "s");
    stage.options.execution_start = effect_completes; /* of who tries it again */
    pid_t child = begin_stopped(&stage, &command, PLANE_STEP_RETRYING, operation);
    check_state(&stage, operation, "retrying", __LINE__);
    command_cancel(&stage, &command, operation, "forced", 0);
    outcome = stage_submit(&stage, &command);
    CHECK_INT(outcome.failure.code, ERR_CONFLICT);
    CHECK(strstr(outcome.failure.cause, "it may become"));
    CHECK_INT(child_end(child), STATE_COMPLETED);
    stage_check(&stage);
    buf_release(&command);
    stage_end(&stage);
}

TEST(whoever_was_cancelled_meanwhile_does_not_complete)
{
    struct stage stage;
    char operation[PLANE_URN_MAX];
    if (!stage_begin(&stage))
        return;
    stage.options.execution_start = effect_completes;
    pid_t child = bring(&stage, WAY_CANCELING, operation);
    CHECK_INT(child_end(child), STATE_CANCELED);
    check_state(&stage, operation, "canceled", __LINE__);
    stage_check(&stage);
    stage_end(&stage);
}

/* --- any instant --------------------------------------------------------------------------- */

#define KILL_ROUNDS 24

/* Gives commands, each a run, until it is killed. */
static void submit_for_ever(struct stage *stage)
{
    struct plane *plane;
    struct buf command = BUF_INIT;
    struct outcome outcome;
    if (plane_open(&stage->options, &plane, NULL) < 0)
        _exit(1);
    for (;;) {
        command_start(stage, &command, "");
        if (plane_submit(plane, buf_str(&command), NULL, &outcome, NULL) < 0)
            _exit(1);
    }
}

TEST(processes_killed_at_any_instant_strand_nothing)
{
    struct stage stage;
    struct recovered recovered = { 0 };
    if (!stage_begin(&stage))
        return;
    plane_close(stage.plane);
    stage.options.execution_start = effect_completes;
    for (int i = 0; i < KILL_ROUNDS; i++) {
        pid_t children[2];
        int status;
        for (size_t j = 0; j < ARRAY_LEN(children); j++) {
            children[j] = fork();
            if (children[j] == 0)
                submit_for_ever(&stage);
        }
        usleep((useconds_t)(10000 + i * 3700)); /* from before the first commit to among many */
        for (size_t j = 0; j < ARRAY_LEN(children); j++) {
            kill(children[j], SIGKILL);
            waitpid(children[j], &status, 0);
            CHECK(WIFSIGNALED(status)); /* it never failed by itself */
        }
    }
    if (!stage_open(&stage))
        return;
    CHECK_INT(plane_recover(stage.plane, &recovered, NULL), 0);
    CHECK(stage_count(&stage, "WorkspaceOperation") > 0);
    stage_check(&stage);
    stage_end(&stage);
}
