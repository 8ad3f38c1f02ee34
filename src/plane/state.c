/*
 * state: the transition tables; a row is a set of bits, one for each state
 * that may follow.
 */
#include "plane/state.h"

#include "base/buf.h"

#define BIT(state) (1u << (state))

static const unsigned operation_may[STATE_COUNT] = {
    [STATE_QUEUED] =
        BIT(STATE_PREFLIGHTING) | BIT(STATE_RUNNING) | BIT(STATE_CANCELED) | BIT(STATE_FAILED),
    [STATE_PREFLIGHTING] = BIT(STATE_RUNNING) | BIT(STATE_BLOCKED) | BIT(STATE_AWAITING_DECISION) |
                           BIT(STATE_FAILED) | BIT(STATE_CANCELED),
    [STATE_AWAITING_DECISION] =
        BIT(STATE_RUNNING) | BIT(STATE_BLOCKED) | BIT(STATE_CANCELED) | BIT(STATE_FAILED),
    [STATE_BLOCKED] =
        BIT(STATE_AWAITING_DECISION) | BIT(STATE_RUNNING) | BIT(STATE_FAILED) | BIT(STATE_CANCELED),
    [STATE_RUNNING] = BIT(STATE_PAUSED) | BIT(STATE_RETRYING) | BIT(STATE_CANCELING) |
                      BIT(STATE_FAILED) | BIT(STATE_COMPLETED) |
                      BIT(STATE_COMPLETED_WITH_WARNINGS) | BIT(STATE_BLOCKED) |
                      BIT(STATE_AWAITING_DECISION),
    [STATE_PAUSED] = BIT(STATE_RUNNING) | BIT(STATE_CANCELING) | BIT(STATE_FAILED),
    [STATE_RETRYING] =
        BIT(STATE_RUNNING) | BIT(STATE_FAILED) | BIT(STATE_BLOCKED) | BIT(STATE_AWAITING_DECISION),
    [STATE_CANCELING] =
        BIT(STATE_CANCELED) | BIT(STATE_COMPLETED_WITH_WARNINGS) | BIT(STATE_COMPENSATED),
    [STATE_CANCELED] = BIT(STATE_COMPENSATED),
    [STATE_FAILED] = BIT(STATE_RETRYING) | BIT(STATE_COMPENSATED),
    [STATE_STALE] = BIT(STATE_RUNNING) | BIT(STATE_FAILED) | BIT(STATE_CANCELED),
};

static const unsigned admission_may[ADMISSION_COUNT] = {
    [ADMISSION_NOT_STORED] = BIT(ADMISSION_STORED),
    [ADMISSION_STORED] =
        BIT(ADMISSION_QUARANTINED) | BIT(ADMISSION_PENDING) | BIT(ADMISSION_REJECTED),
    [ADMISSION_QUARANTINED] =
        BIT(ADMISSION_PENDING) | BIT(ADMISSION_ADMITTED) | BIT(ADMISSION_REJECTED),
    [ADMISSION_PENDING] = BIT(ADMISSION_PENDING) | BIT(ADMISSION_QUARANTINED) |
                          BIT(ADMISSION_ADMITTED) | BIT(ADMISSION_REJECTED),
    [ADMISSION_ADMITTED] = BIT(ADMISSION_ACTIVATED) | BIT(ADMISSION_ARCHIVED),
    [ADMISSION_ACTIVATED] = BIT(ADMISSION_ARCHIVED),
};

static unsigned may(enum state_of of, enum state from)
{
    if (of == STATE_OF_OPERATION)
        return from == STATE_STALE ? 0 : operation_may[from];
    return operation_may[from] | (from == STATE_RUNNING ? BIT(STATE_STALE) : 0);
}

bool state_may_become(enum state_of of, enum state from, enum state to)
{
    return may(of, from) & BIT(to);
}

bool admission_may_become(enum admission from, enum admission to)
{
    return admission_may[from] & BIT(to);
}

bool state_is_end(enum state state)
{
    return !(operation_may[state] & ~(BIT(STATE_RETRYING) | BIT(STATE_COMPENSATED)));
}

/* Says what may follow instead. */
static int refuse(const char *what, const char *const *names, size_t count, size_t from, size_t to,
                  unsigned allowed, struct err *err)
{
    struct buf legal = BUF_INIT;
    for (size_t i = 0; i < count; i++)
        if (allowed & BIT(i))
            buf_addf(&legal, "%s%s", legal.len ? ", " : "", names[i]);
    int r = err_set(err, ERR_CONFLICT, "change a state",
                    "%s that is %s cannot become %s; it may become %s", what, names[from],
                    names[to], legal.len ? legal.data : "nothing else");
    buf_release(&legal);
    return r;
}

int state_check(enum state_of of, enum state from, enum state to, struct err *err)
{
    if (state_may_become(of, from, to))
        return 0;
    return refuse(of == STATE_OF_TASK ? "a task" : "an operation", state_names, STATE_COUNT, from,
                  to, may(of, from), err);
}

int admission_check(enum admission from, enum admission to, struct err *err)
{
    if (admission_may_become(from, to))
        return 0;
    return refuse("an artifact", admission_names, ADMISSION_COUNT, from, to, admission_may[from],
                  err);
}
