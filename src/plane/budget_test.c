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
