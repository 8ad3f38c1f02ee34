#include "base/test.h"
#include "plane/state.h"

/* DESIGN section 7, as text: the table must say this and nothing else. */
static const struct {
    const char *from, *to;
} legal[] = {
    { "queued", "preflighting running canceled failed" },
    { "preflighting", "running blocked awaiting_decision failed canceled" },
    { "awaiting_decision", "running blocked canceled failed" },
    { "blocked", "awaiting_decision running failed canceled" },
    { "running", "paused retrying canceling failed completed completed_with_warnings blocked "
                 "awaiting_decision" },
    { "paused", "running canceling failed" },
    { "retrying", "running failed blocked awaiting_decision" },
    { "canceling", "canceled completed_with_warnings compensated" },
    { "canceled", "compensated" },
    { "failed", "retrying compensated" },
    { "completed", "" },
    { "completed_with_warnings", "" },
    { "compensated", "" },
};

static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += len)
        if ((at == list || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
            return true;
    return false;
}

TEST(operations_change_state_as_designed_and_not_otherwise)
{
    for (size_t i = 0; i < ARRAY_LEN(legal); i++) {
        int from = vocabulary_index(state_names, STATE_COUNT, str_from(legal[i].from));
        for (int to = 0; to < STATE_COUNT; to++) {
            bool wanted = has_word(legal[i].to, state_names[to]);
            if (state_may_become(STATE_OF_OPERATION, (enum state)from, (enum state)to) != wanted)
                test_fail(__FILE__, __LINE__, "%s → %s", legal[i].from, state_names[to]);
        }
    }
    for (int to = 0; to < STATE_COUNT; to++)
        CHECK(!state_may_become(STATE_OF_OPERATION, STATE_STALE, (enum state)to));
}

TEST(tasks_may_become_stale_and_recover)
{
    CHECK(state_may_become(STATE_OF_TASK, STATE_RUNNING, STATE_STALE));
    CHECK(!state_may_become(STATE_OF_OPERATION, STATE_RUNNING, STATE_STALE));
    CHECK(!state_may_become(STATE_OF_TASK, STATE_QUEUED, STATE_STALE));
    CHECK(state_may_become(STATE_OF_TASK, STATE_STALE, STATE_RUNNING));
    CHECK(state_may_become(STATE_OF_TASK, STATE_STALE, STATE_FAILED));
    CHECK(state_may_become(STATE_OF_TASK, STATE_STALE, STATE_CANCELED));
    CHECK(!state_may_become(STATE_OF_TASK, STATE_STALE, STATE_COMPLETED));
}

TEST(an_illegal_transition_names_the_legal_ones)
{
    struct err err = { 0 };
    CHECK_INT(state_check(STATE_OF_OPERATION, STATE_PAUSED, STATE_COMPLETED, &err), -EEXIST);
    CHECK_INT(err.code, ERR_CONFLICT);
    CHECK_TEXT(err.cause, "an operation that is paused cannot become completed; it may become "
                          "running, canceling, failed");
    CHECK(state_check(STATE_OF_TASK, STATE_COMPENSATED, STATE_RUNNING, &err) < 0);
    CHECK_TEXT(err.cause,
               "a task that is compensated cannot become running; it may become nothing else");
    CHECK_INT(state_check(STATE_OF_TASK, STATE_RUNNING, STATE_STALE, &err), 0);
}

TEST(nothing_is_activated_before_it_is_admitted)
{
    for (int from = 0; from < ADMISSION_COUNT; from++)
        CHECK_INT(admission_may_become((enum admission)from, ADMISSION_ACTIVATED),
                  from == ADMISSION_ADMITTED);
    struct err err = { 0 };
    CHECK(admission_check(ADMISSION_STORED, ADMISSION_ADMITTED, &err) < 0);
    CHECK_TEXT(err.cause, "an artifact that is stored cannot become admitted; it may become "
                          "quarantined, pending, rejected");
    CHECK(admission_check(ADMISSION_REJECTED, ADMISSION_PENDING, &err) < 0);
}

TEST(ends_are_ends)
{
    const enum state ends[] = { STATE_CANCELED, STATE_FAILED, STATE_COMPLETED,
                                STATE_COMPLETED_WITH_WARNINGS, STATE_COMPENSATED };
    size_t found = 0;
    for (int s = 0; s < STATE_COUNT; s++)
        found += state_is_end((enum state)s);
    CHECK_INT(found, ARRAY_LEN(ends));
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        CHECK(state_is_end(ends[i]));
}
