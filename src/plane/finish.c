/*
 * finish: the effect, and how an operation ends (stop 9 of a run).
 *
 * An end is one batch: the task's and the operation's last states, what was
 * used, and what of the reservations goes back. Where somebody asked for the
 * end meanwhile, it is a cancellation, whatever the effect says of itself.
 */
#include "base/clock.h"
#include "base/json.h"
#include "plane/card.h"
#include "plane/compensate.h"

#define STEP_FINISH "end an operation"
#define RACES_MAX   16 /* others who change its state while it ends */
#define FOLLOWS_MAX 8  /* of these, with what the effect has added */

static int run_effect(struct work *work, struct effect_result *ret, struct err *err)
{
    const struct plane_options *options = &work->plane->options;
    plane_effect *effect = work->type->effect;
    if (operation_is_run(work->operation_type) && options->execution_start)
        effect = options->execution_start;
    if (effect)
        return effect(options->effect_context, work, ret, err);
    ret->end = STATE_FAILED;
    err_set(&ret->failure, ERR_UNSUPPORTED, STEP_FINISH, "this release cannot carry out %s yet",
            operation_type_names[work->operation_type]);
    return 0;
}

static int end_as(struct work *work, const struct effect_result *result, const struct amounts *used,
                  struct err *err)
{
    struct refusal refusal = { .err = result->failure };
    if (result->end == STATE_FAILED)
        return finish_fail(work, &refusal, used, err);
    if (result->end == STATE_CANCELED)
        return finish_canceled(work, "graceful", str_from(result->failure.cause), used, err);
    struct change change = { .to = STATE_RUNNING, .message = "It ended while it was paused." };
    int r = compensate_note(work, err);
    if (r == 0)
        r = budget_settle(work, used, err);
    if (r == 0 && work_state(work, WORK_OPERATION) == STATE_PAUSED)
        r = work_change_both(work, &change, err);
    change = (struct change){ .to = result->end, .warning = result->warning };
    if (r == 0)
        r = work_change_both(work, &change, err);
    return r < 0 ? r : work_commit(work, PLANE_STEP_ENDED, err);
}

/*
 * Somebody else was faster: the documents are read again, and what the effect has added (the record
 * of a run) goes along. Where that is itself what is in conflict, the end goes without it.
 */
static int catch_up(struct work *work, size_t added, int race, struct err *err)
{
    struct err inner = { 0 };
    int r = race < FOLLOWS_MAX ? work_follow(work, added, &inner) : work_reload(work, &inner);
    if (r < 0 && inner.code == ERR_CONFLICT && state_is_end(work_state(work, WORK_OPERATION)))
        return 0;
    if (r < 0 && err)
        *err = inner;
    return r;
}

int finish_run(struct work *work, struct err *err)
{
    struct effect_result result = { .end = STATE_FAILED };
    struct err inner = { 0 };
    int64_t begin = clock_now_ms();
    if (run_effect(work, &result, &inner) < 0) {
        result.end = STATE_FAILED;
        result.failure = inner;
    }
    struct amounts used = result.used;
    size_t added = ledger_batch_size(work->batch);
    int64_t passed = clock_now_ms() - begin;
    used.of[DIMENSION_WALL_CLOCK_SECONDS] = passed > 0 ? (passed + 999) / 1000 : 1;
    inner = (struct err){ 0 };
    int r = end_as(work, &result, &used, &inner);
    for (int race = 0; race < RACES_MAX && r < 0 && inner.code == ERR_CONFLICT; race++) {
        inner = (struct err){ 0 };
        r = catch_up(work, added, race, &inner);
        if (r == 0 && work_state(work, WORK_OPERATION) == STATE_CANCELING)
            r = finish_canceled(work, "graceful", STR(""), &used, &inner);
        else if (r == 0 && !state_is_end(work_state(work, WORK_OPERATION)))
            r = end_as(work, &result, &used, &inner);
    }
    if (r < 0 && err)
        *err = inner;
    return r;
}

int finish_fail(struct work *work, const struct refusal *refusal, const struct amounts *used,
                struct err *err)
{
    struct change change = { .to = STATE_FAILED, .refusal = refusal };
    int r = budget_settle(work, used, err);
    if (r == 0)
        r = work_change_both(work, &change, err);
    return r < 0 ? r : work_commit(work, PLANE_STEP_ENDED, err);
}

/* What it was waiting for an answer to is no question any more. */
static int withdraw_card(struct work *work, struct err *err)
{
    struct str id = work_text(work, WORK_OPERATION, "pendingDecisionCardRef");
    struct card card = { 0 };
    int r = id.len ? card_read(work->plane, id, &card, err) : 0;
    if (r == 0 && card.doc && card_state(&card) == CARD_PENDING)
        r = card_put_end(work, &card, CARD_WITHDRAWN, err);
    card_release(&card);
    return r;
}

int finish_canceled(struct work *work, const char *mode, struct str reason,
                    const struct amounts *used, struct err *err)
{
    static const enum work_document order[] = { WORK_TASK, WORK_OPERATION };
    int r = budget_settle(work, used, err);
    if (r == 0)
        r = withdraw_card(work, err);
    for (size_t i = 0; i < ARRAY_LEN(order) && r == 0; i++) {
        struct change change = {
            .of = order[i], .to = STATE_CANCELING, .cancel_mode = mode, .cancel_reason = reason
        };
        enum state state = work_state(work, change.of);
        if (state == STATE_RUNNING || state == STATE_PAUSED)
            r = work_change(work, &change, err);
        change.to = STATE_CANCELED;
        if (r == 0 && work_state(work, change.of) != STATE_CANCELED)
            r = work_change(work, &change, err);
    }
    return r < 0 ? r : work_commit(work, PLANE_STEP_ENDED, err);
}

static enum err_code code_named(struct str id)
{
#define X(code, name, status, number, text)                                                        \
    if (str_equal(id, STR(name)))                                                                  \
        return code;
    ERR_TABLE(X)
#undef X
    return ERR_IO;
}

void finish_outcome(const struct work *work, struct outcome *ret)
{
    yyjson_mut_val *failure =
        yyjson_mut_obj_get(yyjson_mut_doc_get_root(work->records[WORK_OPERATION].doc), "failure");
    const char *code = yyjson_mut_get_str(yyjson_mut_obj_get(failure, "code"));
    const char *message = yyjson_mut_get_str(yyjson_mut_obj_get(failure, "message"));
    *ret = (struct outcome){ .state = work_state(work, WORK_OPERATION) };
    snprintf(ret->operation, sizeof(ret->operation), "%.*s", STR_ARG(work_operation(work)));
    const char *remedy = yyjson_mut_get_str(yyjson_mut_obj_get(failure, "remediation"));
    snprintf(ret->remedy, sizeof(ret->remedy), "%s", remedy ? remedy : "");
    if (ret->state == STATE_FAILED)
        err_set(&ret->failure, code_named(str_from(code ? code : "")), STEP_PLANE, "%s",
                message ? message : "");
}

int plane_outcome(struct plane *plane, struct str operation, struct outcome *ret, struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    int r = work_load(plane, operation, &work, err);
    if (r == 0)
        finish_outcome(work, ret);
    return r;
}
