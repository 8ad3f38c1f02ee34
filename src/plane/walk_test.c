/*
 * walk: every command, given to an operation in every state, with a crash after every durable step.
 *
 * Two tables are multiplied: situations in which an operation can stand, and
 * commands. For each pair the command is given by a process that is killed
 * after its first durable step, then again, with a fresh operation, after its
 * second, and so on until it gets through. Whatever died is then recovered, and
 * the same command is given once more. Everything must have ended legally, the
 * command must have happened once, and every step of enum plane_step must have
 * been a crash somewhere.
 */
#include <signal.h>
#include <sys/mman.h>

#include "plane/gate_layers.h"
#include "plane/network_record.h"
#include "plane/plane_test.h"

#define COMMITS_MAX 16 /* of one command */
#define WAIT_MS     60000
#define ASKED_MS    100 /* of a command that nobody answers */
#define CEILING                                                                                    \
    ",\"budgetCeiling\":{\"modelCalls\":100,\"tokens\":1000000,\"connectorCalls\":0,"              \
    "\"cpuSeconds\":0,\"gpuSeconds\":0,\"localDiskBytes\":0,\"sandboxMemoryBytes\":0,"             \
    "\"wallClockSeconds\":60,\"agentConcurrency\":1}"
#define CODEX "urn:srcos:agent-tool-surface:codex"

struct walk {
    struct stage stage;
    enum state end;  /* of the effect */
    pid_t child;     /* stopped in the middle of the operation; 0: none */
    unsigned rounds; /* each has keys of its own */
    unsigned *steps; /* after which somebody was killed, as bits; shared with children */
    char where[96];  /* in the walk, for what fails */
    char operation[PLANE_URN_MAX], card[PLANE_URN_MAX];
};

#define EXPECT(walk, condition)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            test_fail(__FILE__, __LINE__, "%s: %s", (walk)->where, #condition);                    \
    } while (0)

/* --- effects and gates --------------------------------------------------------------------- */

/* As the network door does, when somebody inside connects. */
static int meet_host(struct work *work, struct err *err)
{
    struct target target = { .name = "example.com", .port = 443 };
    struct network_record record;
    const struct policy *policy;
    struct verdict verdict;
    size_t number;
    int r = gate_layers_policy(work_plane(work), work_text(work, WORK_OPERATION, "subjectRef"),
                               &policy, err);
    if (r == 0)
        r = policy_decide(policy, &(struct policy_destination){ .host = STR("example.com") },
                          &verdict, err);
    if (r < 0)
        return r;
    network_record_init(&record, work, STR(""), policy);
    r = record.sink.verdict(&record, &target, &verdict, &number, err);
    network_record_release(&record);
    return r < 0 ? r : 0;
}

static int effect_draws(void *context, struct work *work, struct effect_result *ret,
                        struct err *err)
{
    (void)err;
    if (meet_host(work, &ret->failure) < 0) {
        ret->end = STATE_FAILED;
        return 0;
    }
    ret->end = *(const enum state *)context;
    if (ret->end == STATE_COMPLETED_WITH_WARNINGS)
        snprintf(ret->warning, sizeof(ret->warning), "One file is held apart.");
    if (ret->end == STATE_FAILED)
        err_set(&ret->failure, ERR_IO, "run", "it failed");
    if (budget_draw(work, DIMENSION_TOKENS, 10, &ret->failure) < 0)
        ret->end = STATE_FAILED;
    return 0;
}

static void answer_network(const struct gate_question *question, struct gate_answer *ret,
                           const struct gate_answer *answer, const char *rule)
{
    if (question->gate != GATE_NETWORK_PROFILE)
        return;
    *ret = *answer;
    snprintf(ret->rule, sizeof(ret->rule), "%s", rule);
    snprintf(ret->reason, sizeof(ret->reason), "for the test");
    snprintf(ret->smallest_change, sizeof(ret->smallest_change), "Allow it.");
}

/* A layer leaves it to a person. */
static int gate_asks(void *context, const struct gate_question *question, struct gate_answer *ret,
                     struct err *err)
{
    (void)context, (void)err;
    answer_network(question, ret,
                   &(struct gate_answer){ .answer = ANSWER_ASK, .layer = LAYER_USER }, "asks");
    return 0;
}

/* Somebody has to grant something first. */
static int gate_misses(void *context, const struct gate_question *question, struct gate_answer *ret,
                       struct err *err)
{
    (void)context, (void)err;
    answer_network(question, ret, &(struct gate_answer){ .answer = ANSWER_DENY, .built_in = true },
                   "tool-not-granted");
    return 0;
}

/* --- processes that stop or die ------------------------------------------------------------ */

struct halt {
    int signal, after; /* so many times the step is passed */
    int step;          /* an enum plane_step; -1: any */
    unsigned *steps;
    plane_gate *gate; /* of this process alone */
    int64_t wait_ms;
};

static void halt_at(void *context, enum plane_step step)
{
    struct halt *halt = context;
    if ((halt->step >= 0 && (int)step != halt->step) || halt->after-- != 0)
        return;
    *halt->steps |= 1u << step; /* who is stopped is killed later */
    kill(getpid(), halt->signal);
}

/* Gives a command in a child that is halted, or recovers where it is NULL; the plane is open again
 * when this returns. */
static pid_t halted_child(struct walk *walk, const struct buf *command, struct halt halt,
                          int *ret_status)
{
    struct stage *stage = &walk->stage;
    plane_close(stage->plane);
    pid_t child = fork();
    if (child == 0) {
        struct outcome outcome;
        struct recovered recovered = { 0 };
        halt.steps = walk->steps;
        stage->options.gate = halt.gate;
        stage->options.wait_ms = halt.wait_ms;
        stage->options.committed = halt_at;
        stage->options.committed_context = &halt;
        int r = plane_open(&stage->options, &stage->plane, NULL);
        if (r == 0 && command)
            (void)!plane_submit(stage->plane, buf_str(command), NULL, &outcome, NULL);
        else if (r == 0)
            r = plane_recover(stage->plane, &recovered, NULL);
        _exit(r < 0);
    }
    waitpid(child, ret_status, WUNTRACED);
    CHECK(stage_open(stage));
    return child;
}

/* --- how an operation comes into a situation ----------------------------------------------- */

static int last_id(void *context, struct str id, struct str json, int64_t revision, struct err *err)
{
    (void)json, (void)revision, (void)err;
    snprintf(context, PLANE_URN_MAX, "%.*s", STR_ARG(id));
    return 0;
}

static void last_of(struct walk *walk, const char *type, char ret[PLANE_URN_MAX])
{
    CHECK_INT(ledger_each_document(plane_ledger(walk->stage.plane), str_from(type), STR(""),
                                   last_id, ret, NULL),
              0);
}

static void key_of(const struct walk *walk, const char *prefix, char ret[64])
{
    snprintf(ret, 64, "%s-%u", prefix, walk->rounds);
}

static void make_start(struct walk *walk, const char *prefix, struct buf *ret)
{
    char key[64], extra[512];
    key_of(walk, prefix, key);
    snprintf(extra, sizeof(extra), ",\"idempotencyKey\":\"%s\"" CEILING, key);
    command_start(&walk->stage, ret, extra);
}

static void make_grant(struct walk *walk, const char *prefix, struct buf *ret)
{
    char key[64], extra[128], parameters[1024], until[CLOCK_TEXT_SIZE];
    key_of(walk, prefix, key);
    snprintf(extra, sizeof(extra), ",\"idempotencyKey\":\"%s\"", key);
    clock_text(clock_now_ms() + 3600000, until);
    snprintf(parameters, sizeof(parameters),
             "{\"toolGrantApply\":{\"granteeRef\":\"" TEST_AGENT "\",\"expiresAt\":\"%s\","
             "\"tools\":[{\"toolRef\":\"" CODEX "\",\"pin\":{\"kind\":\"executable\",\"digest\":"
             "\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}}]}}",
             until);
    command_make(&walk->stage, ret, "agent_machine.tool_grant.apply", walk->stage.user, parameters,
                 extra);
}

/* Its process ends at once. */
static void bring_ended(struct walk *walk, enum state state)
{
    struct buf command = BUF_INIT;
    walk->end = state;
    make_start(walk, "run", &command);
    struct outcome outcome = stage_submit(&walk->stage, &command);
    snprintf(walk->operation, sizeof(walk->operation), "%s", outcome.operation);
    walk->end = STATE_COMPLETED;
    buf_release(&command);
}

static void stop_at(struct walk *walk, const struct buf *command, enum plane_step step,
                    plane_gate *gate)
{
    int status;
    struct halt halt = { .signal = SIGSTOP, .step = (int)step, .gate = gate, .wait_ms = WAIT_MS };
    walk->child = halted_child(walk, command, halt, &status);
    CHECK(WIFSTOPPED(status));
}

/* The setter leads on from where its process has stopped. */
static void lead_on(struct walk *walk, enum state state)
{
    struct work *work = NULL;
    struct change change = { .to = state };
    CHECK_INT(work_load(walk->stage.plane, str_from(walk->operation), &work, NULL), 0);
    CHECK_INT(work_change_both(work, &change, NULL), 0);
    CHECK_INT(work_commit(work, PLANE_STEP_RUNNING, NULL), 0);
    work_free(work);
}

static void bring_stopped(struct walk *walk, enum state state)
{
    struct buf command = BUF_INIT;
    bool waits = state == STATE_AWAITING_DECISION || state == STATE_BLOCKED;
    make_start(walk, "run", &command);
    stop_at(walk, &command, waits ? PLANE_STEP_WAITING : PLANE_STEP_RUNNING,
            state == STATE_AWAITING_DECISION ? gate_asks
            : state == STATE_BLOCKED         ? gate_misses
                                             : NULL);
    last_of(walk, "WorkspaceOperation", walk->operation);
    if (waits)
        last_of(walk, "DecisionCard", walk->card);
    else if (state != STATE_RUNNING)
        lead_on(walk, state);
    buf_release(&command);
}

/* Between two attempts. */
static void bring_retrying(struct walk *walk, enum state state)
{
    struct buf command = BUF_INIT;
    char key[64];
    (void)state;
    bring_ended(walk, STATE_FAILED);
    key_of(walk, "run", key);
    command_retry(&walk->stage, &command, walk->operation, key);
    stop_at(walk, &command, PLANE_STEP_RETRYING, NULL);
    buf_release(&command);
}

/* Before it runs: its process makes the first of its changes alone, and stops. */
static void bring_unborn(struct walk *walk, enum state state)
{
    struct stage *stage = &walk->stage;
    struct buf command = BUF_INIT;
    int status;
    make_start(walk, "run", &command);
    plane_close(stage->plane);
    walk->child = fork();
    if (walk->child == 0) {
        struct change change = { .of = WORK_OPERATION, .to = state };
        struct work *work;
        yyjson_doc *doc;
        int r = plane_open(&stage->options, &stage->plane, NULL);
        if (r == 0)
            r = json_read(buf_str(&command), &json_limits_default, &doc, NULL);
        if (r == 0)
            r = work_new(stage->plane, doc, &work, NULL);
        if (r == 0)
            r = ledger_put_document(work->batch, STR("OperationCommand"),
                                    text_of(member(work_command(work), "id")), work_operation(work),
                                    buf_str(&command), LEDGER_NEW, NULL);
        if (r == 0 && state != STATE_QUEUED)
            r = work_change(work, &change, NULL);
        if (r == 0)
            r = work_commit(work, PLANE_STEP_RUNNING, NULL);
        if (r == 0)
            kill(getpid(), SIGSTOP);
        _exit(1);
    }
    waitpid(walk->child, &status, WUNTRACED);
    CHECK(WIFSTOPPED(status));
    CHECK(stage_open(stage));
    last_of(walk, "WorkspaceOperation", walk->operation);
    buf_release(&command);
}

static void fail_operation(struct walk *walk)
{
    struct work *work = NULL;
    struct refusal refusal = { .id = "given-up" };
    err_set(&refusal.err, ERR_IO, "test", "given up");
    CHECK_INT(work_load(walk->stage.plane, str_from(walk->operation), &work, NULL), 0);
    CHECK_INT(finish_fail(work, &refusal, NULL, NULL), 0);
    work_free(work);
}

/* What has an effect that can be taken back; its process is gone where it has not ended. */
static void bring_grant(struct walk *walk, enum state state)
{
    struct buf command = BUF_INIT;
    struct halt halt = { .signal = SIGKILL, .step = PLANE_STEP_STORED };
    int status = 0;
    make_grant(walk, "run", &command);
    halt.step = state == STATE_RUNNING ? PLANE_STEP_RUNNING : PLANE_STEP_STORED;
    if (state == STATE_COMPLETED)
        stage_submit(&walk->stage, &command);
    else
        halted_child(walk, &command, halt, &status);
    CHECK(state == STATE_COMPLETED || WIFSIGNALED(status));
    last_of(walk, "WorkspaceOperation", walk->operation);
    if (state == STATE_FAILED || state == STATE_COMPENSATED)
        fail_operation(walk);
    if (state == STATE_COMPENSATED) {
        buf_reset(&command);
        CHECK_INT(plane_write_compensate(walk->stage.plane, str_from(walk->operation), STR(""),
                                         &command, NULL),
                  0);
        stage_submit(&walk->stage, &command);
    }
    buf_release(&command);
}

static const struct {
    enum state state;
    void (*bring)(struct walk *walk, enum state state);
} situations[] = {
    { STATE_QUEUED, bring_unborn },
    { STATE_PREFLIGHTING, bring_unborn },
    { STATE_AWAITING_DECISION, bring_stopped },
    { STATE_BLOCKED, bring_stopped },
    { STATE_RUNNING, bring_stopped },
    { STATE_RUNNING, bring_grant },
    { STATE_PAUSED, bring_stopped },
    { STATE_RETRYING, bring_retrying },
    { STATE_CANCELING, bring_stopped },
    { STATE_CANCELED, bring_ended },
    { STATE_FAILED, bring_ended },
    { STATE_FAILED, bring_grant },
    { STATE_COMPLETED, bring_ended },
    { STATE_COMPLETED, bring_grant },
    { STATE_COMPLETED_WITH_WARNINGS, bring_ended },
    { STATE_COMPENSATED, bring_grant },
};

/* --- commands ------------------------------------------------------------------------------ */

static int write_new(struct walk *walk, struct buf *ret, struct err *err)
{
    (void)err;
    make_start(walk, "new", ret);
    return 0;
}

static int write_again(struct walk *walk, struct buf *ret, struct err *err)
{
    (void)err;
    make_start(walk, "run", ret);
    return 0;
}

static int write_grant(struct walk *walk, struct buf *ret, struct err *err)
{
    (void)err;
    make_grant(walk, "grant", ret);
    return 0;
}

static int write_retry(struct walk *walk, struct buf *ret, struct err *err)
{
    return plane_write_retry(walk->stage.plane, str_from(walk->operation), ret, err);
}

static int write_cancel(struct walk *walk, struct buf *ret, struct err *err)
{
    return plane_write_cancel(walk->stage.plane, str_from(walk->operation), true, 0, STR(""), ret,
                              err);
}

static int write_pause(struct walk *walk, struct buf *ret, struct err *err)
{
    return plane_write_control(walk->stage.plane, "pause", str_from(walk->operation), STR(""), ret,
                               err);
}

static int write_resume(struct walk *walk, struct buf *ret, struct err *err)
{
    return plane_write_control(walk->stage.plane, "resume", str_from(walk->operation), STR(""), ret,
                               err);
}

static int write_compensate(struct walk *walk, struct buf *ret, struct err *err)
{
    return plane_write_compensate(walk->stage.plane, str_from(walk->operation), STR(""), ret, err);
}

static int write_decide(struct walk *walk, struct buf *ret, struct err *err)
{
    const char *card = walk->card[0] ? walk->card : "urn:srcos:decision-card:none";
    struct plane_answer answer = { .card = str_from(card), .option = STR("this-run") };
    return plane_write_decide(walk->stage.plane, &answer, ret, err);
}

static const struct {
    const char *name;
    int (*write)(struct walk *walk, struct buf *ret, struct err *err); /* NULL: a recovery */
    plane_gate *gate;
} commands[] = {
    { "submit", write_new, NULL },
    { "submit, to be asked about", write_new, gate_asks },
    { "submit again", write_again, NULL },
    { "submit a grant", write_grant, NULL },
    { "retry", write_retry, NULL },
    { "cancel", write_cancel, NULL },
    { "pause", write_pause, NULL },
    { "resume", write_resume, NULL },
    { "compensate", write_compensate, NULL },
    { "decide", write_decide, NULL },
    { "recover", NULL, NULL },
};

/* --- the walk ------------------------------------------------------------------------------ */

static void end_child(struct walk *walk)
{
    int status;
    if (!walk->child)
        return;
    kill(walk->child, SIGKILL);
    waitpid(walk->child, &status, 0);
    walk->child = 0;
}

/* The same command once more is the same operation, or is refused as before. */
static void give_again(struct walk *walk, const struct buf *command, size_t operations_max)
{
    struct outcome outcome;
    struct err err = { 0 };
    int r = plane_submit(walk->stage.plane, buf_str(command), NULL, &outcome, &err);
    EXPECT(walk, r == 0 || err.code == ERR_CONFLICT || err.code == ERR_NOT_FOUND);
    EXPECT(walk, stage_count(&walk->stage, "WorkspaceOperation") <= operations_max);
}

static void check_ended(struct walk *walk)
{
    struct recovered recovered = { 0 };
    struct outcome outcome;
    EXPECT(walk, plane_recover(walk->stage.plane, &recovered, NULL) == 0);
    EXPECT(walk, plane_outcome(walk->stage.plane, str_from(walk->operation), &outcome, NULL) == 0);
    EXPECT(walk, state_is_end(outcome.state));
    recovered = (struct recovered){ 0 };
    EXPECT(walk, plane_recover(walk->stage.plane, &recovered, NULL) == 0);
    EXPECT(walk, recovered.failed + recovered.canceled + recovered.resumed == 0);
}

/* Whether the command was killed after so many steps; else it got through, or was refused. */
static bool crash_after(struct walk *walk, size_t situation, size_t command, int commits)
{
    struct buf text = BUF_INIT;
    struct halt halt = { .signal = SIGKILL,
                         .step = -1,
                         .after = commits,
                         .gate = commands[command].gate,
                         .wait_ms = commands[command].gate ? ASKED_MS : 0 };
    size_t before = 0;
    struct outcome outcome;
    struct err err = { 0 };
    int status = 0, r = 0;
    walk->rounds++;
    snprintf(walk->where, sizeof(walk->where), "%s (%zu), %s, after %d steps",
             state_names[situations[situation].state], situation, commands[command].name, commits);
    walk->card[0] = '\0';
    situations[situation].bring(walk, situations[situation].state);
    EXPECT(walk, plane_outcome(walk->stage.plane, str_from(walk->operation), &outcome, NULL) == 0);
    EXPECT(walk, outcome.state == situations[situation].state);
    if (commands[command].write)
        r = commands[command].write(walk, &text, &err);
    else
        end_child(walk);
    if (r == 0) {
        before = stage_count(&walk->stage, "WorkspaceOperation");
        halted_child(walk, commands[command].write ? &text : NULL, halt, &status);
    } else {
        EXPECT(walk, err.code == ERR_CONFLICT || err.code == ERR_NOT_FOUND);
    }
    end_child(walk);
    check_ended(walk);
    if (r == 0 && commands[command].write)
        give_again(walk, &text,
                   WIFSIGNALED(status) ? before + 1
                                       : stage_count(&walk->stage, "WorkspaceOperation"));
    check_ended(walk);
    buf_release(&text);
    EXPECT(walk, !WIFSIGNALED(status) || WTERMSIG(status) == SIGKILL);
    EXPECT(walk, WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

static bool walk_situation(size_t situation, unsigned *steps)
{
    struct walk walk = { .end = STATE_COMPLETED, .steps = steps };
    if (!stage_begin(&walk.stage))
        return false;
    walk.stage.options.execution_start = effect_draws;
    walk.stage.options.effect_context = &walk.end;
    plane_close(walk.stage.plane);
    if (!stage_open(&walk.stage))
        return false;
    for (size_t command = 0; command < ARRAY_LEN(commands); command++) {
        int commits = 0;
        while (commits < COMMITS_MAX && crash_after(&walk, situation, command, commits))
            commits++;
        EXPECT(&walk, commits < COMMITS_MAX);
    }
    stage_check(&walk.stage);
    stage_end(&walk.stage);
    return true;
}

TEST(every_command_in_every_state_survives_a_crash_after_every_step)
{
    unsigned states = 0;
    unsigned *steps =
        mmap(NULL, sizeof(*steps), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(steps != MAP_FAILED);
    if (steps == MAP_FAILED)
        return;
    for (size_t situation = 0; situation < ARRAY_LEN(situations); situation++) {
        states |= 1u << situations[situation].state;
        if (!walk_situation(situation, steps))
            return;
    }
    for (unsigned state = 0; state < STATE_COUNT; state++)
        CHECK(state == STATE_STALE || states & 1u << state);
    for (unsigned step = 0; step < PLANE_STEP_COUNT; step++)
        if (!(*steps & 1u << step))
            test_fail(__FILE__, __LINE__, "no crash after step %u", step);
    munmap(steps, sizeof(*steps));
}
