/* budget: blocks that are set aside ahead of need, drawn in memory, charged at the end. */
#include "plane/budget.h"
#include "plane/plane_test.h"

#define CEILING 100000
#define LIMITED                                                                                    \
    ",\"budgetCeiling\":{\"modelCalls\":100,\"tokens\":100000,\"connectorCalls\":0,"               \
    "\"cpuSeconds\":0,\"gpuSeconds\":0,\"localDiskBytes\":0,\"sandboxMemoryBytes\":0,"             \
    "\"wallClockSeconds\":60,\"agentConcurrency\":1}"

struct draws {
    int64_t each, times, given_back; /* tokens */
    int64_t drawn;
    unsigned blocks;
};

static void count_blocks(void *context, enum plane_step step)
{
    struct draws *draws = context;
    draws->blocks += step == PLANE_STEP_RESERVED;
}

static int effect_draws(void *context, struct work *work, struct effect_result *ret,
                        struct err *err)
{
    struct draws *draws = context;
    (void)err;
    ret->end = STATE_COMPLETED;
    for (int64_t i = 0; i < draws->times; i++) {
        if (budget_draw(work, DIMENSION_TOKENS, draws->each, &ret->failure) < 0) {
            ret->end = STATE_FAILED;
            return 0;
        }
        budget_give_back(work, DIMENSION_TOKENS, draws->given_back);
        draws->drawn += draws->each - draws->given_back;
    }
    return 0;
}

static struct outcome run(struct stage *stage, struct draws *draws, const char *extra)
{
    struct buf command = BUF_INIT;
    plane_close(stage->plane);
    stage->options.execution_start = effect_draws;
    stage->options.effect_context = draws;
    stage->options.committed = count_blocks;
    stage->options.committed_context = draws;
    CHECK(stage_open(stage));
    command_start(stage, &command, extra);
    struct outcome outcome = stage_submit(stage, &command);
    buf_release(&command);
    return outcome;
}

static struct account account_of(struct stage *stage, const char *operation)
{
    struct account account = { 0 };
    char urn[PLANE_URN_MAX];
    budget_urn(str_from(operation), urn);
    CHECK_INT(ledger_get_account(plane_ledger(stage->plane), str_from(urn), &account, NULL), 0);
    return account;
}

TEST(a_block_is_set_aside_once_and_only_what_was_drawn_is_charged)
{
    struct stage stage;
    struct draws draws = { .each = 10, .times = 1000, .given_back = 3 };
    if (!stage_begin(&stage))
        return;
    struct outcome outcome = run(&stage, &draws, LIMITED);
    CHECK_INT(outcome.state, STATE_COMPLETED);
    CHECK_INT(draws.blocks, 1); /* a thousand draws, one commit */
    struct account account = account_of(&stage, outcome.operation);
    CHECK_INT(account.used.of[DIMENSION_TOKENS], 7000);
    CHECK_INT(account.reserved.of[DIMENSION_TOKENS], 0);
    CHECK_INT(account.overshoot.of[DIMENSION_TOKENS], 0);
    stage_check(&stage);
    stage_end(&stage);
}

TEST(all_of_a_ceiling_can_be_drawn_and_not_one_more)
{
    struct stage stage;
    struct draws draws = { .each = 7, .times = CEILING };
    char text[PLANE_URN_MAX];
    if (!stage_begin(&stage))
        return;
    struct outcome outcome = run(&stage, &draws, LIMITED);
    CHECK_INT(outcome.failure.code, ERR_BUDGET);
    CHECK(draws.drawn <= CEILING && draws.drawn > CEILING - 7);
    stage_text(&stage, outcome.operation, "/failure/exhaustion/dimension", text, sizeof(text));
    CHECK_TEXT(text, "tokens");
    struct account account = account_of(&stage, outcome.operation);
    CHECK_INT(account.used.of[DIMENSION_TOKENS], draws.drawn);
    CHECK_INT(account.reserved.of[DIMENSION_TOKENS], 0);
    stage_check(&stage);
    stage_end(&stage);
}

/* --- many who draw from one ceiling -------------------------------------------------------- */

#define SHARED        "urn:srcos:delegation:shared"
#define SHARED_BUDGET "urn:srcos:budget:delegation-shared"
#define DRAWERS       32
#define DRAWS         40
#define SHARE         1009 /* tokens of a draw; all draws together are more than the ceiling */
#define SHARED_TOKENS 1000000

/* A delegation of the user's to the agent, with a ceiling of tokens. */
static void issue_shared(struct stage *stage)
{
    struct buf json = BUF_INIT, envelope = BUF_INIT;
    struct ledger_batch *batch = NULL;
    struct ledger_position position;
    struct sign_key *key = NULL;
    char now[CLOCK_TEXT_SIZE], end[CLOCK_TEXT_SIZE];
    clock_text(clock_now_ms() - 1000, now);
    clock_text(clock_now_ms() + 3600000, end);
    buf_addf(&json,
             "{\"id\":\"" SHARED "\",\"type\":\"Delegation\",\"specVersion\":\"1.0.0\","
             "\"depth\":0,\"issuerRef\":\"%s\",\"subjectRef\":\"" TEST_AGENT "\","
             "\"issuedAt\":\"%s\",\"notBefore\":\"%s\",\"expiresAt\":\"%s\","
             "\"operationTypes\":[\"agent_machine.execution.start\"],\"scope\":{"
             "\"workspaceRefs\":[\"" TEST_WORKSPACE "\"],\"profileRefs\":[\"" TEST_PROFILE "\"],"
             "\"toolRefs\":[],\"modelProviderRefs\":[],\"mounts\":[]},\"budgetCeiling\":{"
             "\"tokens\":%d,\"wallClockSeconds\":100000,\"agentConcurrency\":%d}}",
             stage->user, now, now, end, SHARED_TOKENS, DRAWERS);
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

static struct outcome run_shared(struct stage *stage, struct draws *draws)
{
    char extra[512];
    snprintf(extra, sizeof(extra),
             ",\"delegationRef\":\"" SHARED "\",\"budgetCeiling\":{\"tokens\":%d,"
             "\"wallClockSeconds\":600,\"agentConcurrency\":1}",
             SHARED_TOKENS);
    return run(stage, draws, extra);
}

/* Waits until all are there, draws, and says how much. */
static void draw_and_tell(struct stage *stage, int gate, int told)
{
    struct draws draws = { .each = SHARE, .times = DRAWS };
    char byte;
    (void)!read(gate, &byte, 1);
    struct outcome outcome = run_shared(stage, &draws);
    bool as_expected = outcome.state == STATE_COMPLETED || outcome.failure.code == ERR_BUDGET;
    _exit(!as_expected || write(told, &draws.drawn, sizeof(draws.drawn)) != sizeof(draws.drawn));
}

/* The sum of what they drew. */
static int64_t draw_by_many(struct stage *stage)
{
    pid_t drawers[DRAWERS];
    int gate[2], told[2], status;
    int64_t drawn, sum = 0;
    if (pipe2(gate, O_CLOEXEC) < 0 || pipe2(told, O_CLOEXEC) < 0)
        return -1;
    plane_close(stage->plane);
    stage->plane = NULL;
    for (size_t i = 0; i < DRAWERS; i++) {
        drawers[i] = fork();
        if (drawers[i] == 0) {
            close(gate[1]);
            draw_and_tell(stage, gate[0], told[1]);
        }
    }
    close(gate[0]);
    close(gate[1]);
    close(told[1]);
    for (size_t i = 0; i < DRAWERS; i++) {
        waitpid(drawers[i], &status, 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    while (read(told[0], &drawn, sizeof(drawn)) == sizeof(drawn))
        sum += drawn;
    close(told[0]);
    CHECK(stage_open(stage));
    return sum;
}

TEST(of_one_ceiling_many_processes_draw_not_one_unit_too_many_and_none_is_lost)
{
    struct stage stage;
    struct account account = { 0 };
    if (!stage_begin(&stage))
        return;
    issue_shared(&stage);
    int64_t sum = draw_by_many(&stage);
    CHECK_INT(ledger_get_account(plane_ledger(stage.plane), STR(SHARED_BUDGET), &account, NULL), 0);
    CHECK_INT(account.used.of[DIMENSION_TOKENS], sum);
    CHECK_INT(account.reserved.of[DIMENSION_TOKENS], 0);
    CHECK_INT(account.overshoot.of[DIMENSION_TOKENS], 0);
    CHECK(sum > 0 && sum <= SHARED_TOKENS);
    /* What they left can be drawn to the last unit, and then nothing. */
    struct draws rest = { .each = SHARED_TOKENS - sum, .times = 1 };
    CHECK_INT(run_shared(&stage, &rest).state, STATE_COMPLETED);
    struct draws more = { .each = 1, .times = 1 };
    CHECK_INT(run_shared(&stage, &more).failure.code, ERR_BUDGET);
    CHECK_INT(ledger_get_account(plane_ledger(stage.plane), STR(SHARED_BUDGET), &account, NULL), 0);
    CHECK_INT(account.used.of[DIMENSION_TOKENS], SHARED_TOKENS);
    stage_check(&stage);
    stage_end(&stage);
}
