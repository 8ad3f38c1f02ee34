/*
 * standstill: an operation that waits for a person.
 *
 * Theory of operation. A question that a layer leaves to a person makes the
 * operation awaiting_decision; what somebody else has to bring makes it
 * blocked. Nothing hangs: it stays so only while its own process is there and
 * was told to wait (plane_options.wait_ms); otherwise the same batch goes on to
 * failed, with what would let it go on. A card outlives the operation that
 * queued it, and an answer given later serves the next attempt
 * (docs/decisions/0008-decisions-are-leases.md).
 *
 * While it waits it looks at the ledger whenever that has moved. Whoever ends
 * the operation meanwhile is right: the wait ends with ERR_CONFLICT.
 */
#include "base/clock.h"
#include "base/json.h"
#include "plane/card.h"
#include "plane/grant.h"

#define STEP_WAIT "wait for a person"
#define LOOK_MS   1000 /* times pass without events */

static enum state state_for(const struct refusal *refusal)
{
    return refusal->card[0] ? STATE_AWAITING_DECISION : STATE_BLOCKED;
}

/* Into the state, or from one question to the next within it. */
static int enter(struct work *work, const struct refusal *refusal, struct err *err)
{
    struct change change = { .of = WORK_TASK, .to = STATE_PREFLIGHTING };
    int r = work_state(work, WORK_TASK) == STATE_QUEUED ? work_change(work, &change, err) : 0;
    if (r < 0)
        return r;
    change = (struct change){ .to = state_for(refusal),
                              .card = str_from(refusal->card),
                              .refusal = refusal,
                              .message = refusal->err.cause };
    if (work_state(work, WORK_OPERATION) == change.to)
        return work_wait_on(work, &change, err);
    return work_change_both(work, &change, err);
}

/* Whether somebody else has changed the operation. */
static int check_unchanged(struct work *work, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    int64_t revision;
    int r = ledger_get_document(work->plane->ledger, work_operation(work), &text, &revision, err);
    if (r < 0 || revision == work->records[WORK_OPERATION].revision)
        return r;
    return err_set(err, ERR_CONFLICT, STEP_WAIT, "%.*s was changed while it waited",
                   STR_ARG(work_operation(work)));
}

/* 1: it is there, ask again; 0: not yet. A card whose time is over was answered by its default. */
static int look_at_card(struct work *work, struct refusal *refusal, struct err *err)
{
    struct card card = { 0 };
    struct str id = str_from(refusal->card);
    int r = card_read(work->plane, id, &card, err);
    if (r < 0)
        return r;
    enum card_state state = card_state(&card);
    card_release(&card);
    if (state != CARD_EXPIRED && state != CARD_WITHDRAWN)
        return state == CARD_ANSWERED;
    r = card_expire(work->plane, id, err);
    return r < 0 ? r
                 : err_set(&refusal->err, ERR_DENIED, STEP_WAIT,
                           "nobody answered %s in time, and so it is denied", refusal->card);
}

static int look(struct work *work, struct refusal *refusal, struct err *err)
{
    struct grant grant;
    int r = check_unchanged(work, err);
    if (r < 0)
        return r;
    return refusal->card[0] ? look_at_card(work, refusal, err)
                            : grant_find(work->plane, work_text(work, WORK_OPERATION, "subjectRef"),
                                         work_text(work, WORK_OPERATION, "workspaceRef"),
                                         refusal->missing_tool, &grant, err);
}

/* False where nobody will answer. */
static bool tell(const struct work *work, const struct refusal *refusal)
{
    const struct plane_options *options = &work->plane->options;
    struct standstill standstill = { .plane = work->plane,
                                     .operation = work_operation(work),
                                     .state = state_for(refusal),
                                     .card = refusal->card,
                                     .missing_tool = refusal->missing_tool,
                                     .subject = work_text(work, WORK_OPERATION, "subjectRef"),
                                     .workspace = work_text(work, WORK_OPERATION, "workspaceRef"),
                                     .reason = refusal->err.cause,
                                     .remediation = refusal->smallest_change };
    return !options->waiting || options->waiting(options->waiting_context, &standstill);
}

int standstill(struct work *work, struct refusal *refusal, int64_t until_ms, struct err *err)
{
    bool waits = clock_now_ms() < until_ms;
    if (!waits && !refusal->card[0]) /* a missing tool is a denial as any other */
        return 0;
    int r = enter(work, refusal, err);
    if (r < 0 || !waits)
        return r;
    r = work_commit(work, PLANE_STEP_WAITING, err);
    while (r == 0) {
        int64_t size;
        bool goes_on = tell(work, refusal);
        r = ledger_size(work->plane->ledger, &size, err);
        if (r == 0)
            r = look(work, refusal, err);
        if (r < 0 && refusal->err.code == ERR_DENIED && refusal->card[0])
            return 0;
        if (r != 0)
            break;
        int64_t left = until_ms - clock_now_ms();
        if (left <= 0 || !goes_on)
            return 0;
        r = ledger_wait(work->plane->ledger, size, (int)(left < LOOK_MS ? left : LOOK_MS), err);
        r = r == -ETIMEDOUT ? 0 : r;
    }
    return r;
}
