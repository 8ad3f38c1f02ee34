/*
 * recover: what dead processes left comes to an end.
 *
 * Theory of operation. Operations that are not at their end have Supervision
 * documents; of each, the task says which process holds it. Where that process
 * is gone, the operation goes on by one rule for each state: canceling ends
 * canceled; running makes the task stale, which then fails, or is carried out
 * again where its type says so; anything else fails. Reservations are settled
 * in the same batch.
 *
 * Two processes may recover at the same time: the documents' revisions let one
 * of them win, and the other has nothing to do.
 */
#include "base/json.h"
#include "contract/rules.h"
#include "machine/run_folder.h"
#include "plane/change_set.h"
#include "plane/work.h"

#define STEP_RECOVER "recover"

static int fail_abandoned(struct work *work, struct err *err)
{
    struct holder holder = work_holder(work);
    struct refusal refusal = { .id = "abandoned" };
    err_set(&refusal.err, ERR_IO, STEP_RECOVER,
            "the process that carried it out (%lld) is gone; it was %s", (long long)holder.pid,
            state_names[work_state(work, WORK_OPERATION)]);
    if (work->type->retry.retryable && work_text(work, WORK_OPERATION, "idempotencyKey").len)
        snprintf(refusal.smallest_change, sizeof(refusal.smallest_change),
                 "agent-machine op retry %.*s", STR_ARG(work_operation(work)));
    return finish_fail(work, &refusal, NULL, err);
}

static int make_stale(struct work *work, struct err *err)
{
    struct change stale = { .of = WORK_TASK,
                            .to = STATE_STALE,
                            .message = "The process that carried it out is gone." };
    return work_state(work, WORK_TASK) == STATE_RUNNING ? work_change(work, &stale, err) : 0;
}

static int carry_on(struct work *work, struct err *err)
{
    struct change running = { .of = WORK_TASK,
                              .to = STATE_RUNNING,
                              .message = "Carried out again from its beginning." };
    work_set_holder(work);
    int r = make_stale(work, err);
    if (r == 0)
        r = work_change(work, &running, err);
    if (r == 0)
        r = work_commit(work, PLANE_STEP_STALE, err);
    work->actor = PLANE_ACTOR;
    return r < 0 ? r : finish_run(work, err);
}

static int end_abandoned(struct work *work, struct recovered *ret, struct err *err)
{
    switch (work_state(work, WORK_OPERATION)) {
    case STATE_CANCELING:
        ret->canceled++;
        return finish_canceled(work, "forced", STR(""), NULL, err);
    case STATE_RUNNING:
        if (work->type->resumes) {
            ret->resumed++;
            return carry_on(work, err);
        }
        ret->failed++;
        int r = make_stale(work, err);
        return r < 0 ? r : fail_abandoned(work, err);
    case STATE_QUEUED:
    case STATE_PREFLIGHTING:
    case STATE_AWAITING_DECISION:
    case STATE_BLOCKED:
    case STATE_PAUSED:
    case STATE_RETRYING:
        ret->failed++;
        return fail_abandoned(work, err);
    case STATE_CANCELED:
    case STATE_FAILED:
    case STATE_COMPLETED:
    case STATE_COMPLETED_WITH_WARNINGS:
    case STATE_COMPENSATED:
    case STATE_STALE: /* a task's alone */
    case STATE_COUNT:
        break;
    }
    return 0;
}

/* Of what its process had made, the record alone stays, and what the command has written. */
static void clear_folder(const struct plane *plane, struct str operation)
{
    char folder[RUN_FOLDER_SIZE];
    if (run_folder_path(plane->options.state_folder, urn_local(operation), folder))
        run_folder_clear(folder, false);
}

int recover_operation(struct plane *plane, struct str operation, struct recovered *ret,
                      struct err *err)
{
    _cleanup_(cleanup_work) struct work *work = NULL;
    struct recovered found = *ret;
    struct err inner = { 0 };
    int r = work_load(plane, operation, &work, err);
    if (r < 0)
        return r;
    struct holder holder = work_holder(work);
    if (plane_holder_alive(&holder))
        return 0;
    work->actor = PLANE_RECOVERY_ACTOR;
    if (operation_is_run(work->operation_type))
        r = change_set_add_left(work, &inner);
    if (r == 0)
        r = end_abandoned(work, &found, &inner);
    if (r < 0 && inner.code == ERR_CONFLICT) /* somebody else is at it */
        return 0;
    if (r == 0 && operation_is_run(work->operation_type))
        clear_folder(plane, operation);
    if (r == 0)
        *ret = found;
    else if (err)
        *err = inner;
    return r;
}

/* --- all of them --------------------------------------------------------------------------- */

static int list_operation(void *context, struct str id, struct str json, int64_t revision,
                          struct err *err)
{
    struct buf *list = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    (void)id;
    (void)revision;
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    buf_add_str(list, text_of(member(yyjson_doc_get_root(doc), "operationRef")));
    buf_add_char(list, '\n');
    return list->error ? err_set(err, ERR_MEMORY, STEP_RECOVER, "there is not enough memory") : 0;
}

int plane_recover(struct plane *plane, struct recovered *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf list = BUF_INIT;
    struct recovered found = { 0 };
    int r = ledger_each_document(plane->ledger, STR(SUPERVISION_OPEN), STR(""), list_operation,
                                 &list, err);
    if (r < 0)
        return r;
    struct str rest = buf_str(&list);
    while (rest.len) { /* one that cannot be mended does not keep the others */
        struct err inner = { 0 };
        size_t end = str_index(rest, '\n', 0);
        int one = recover_operation(plane, str_make(rest.ptr, end), &found, &inner);
        if (one < 0 && r == 0) {
            r = one;
            if (err)
                *err = inner;
        }
        rest = str_from_offset(rest, end + 1);
    }
    *ret = found;
    return r;
}
