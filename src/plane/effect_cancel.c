/*
 * effect_cancel: agent_machine.execution.cancel.
 *
 * What has not begun is ended at once. What runs is asked to end: its state
 * becomes canceling, which its process sees and obeys. If it has not ended
 * when the grace period is over, or the mode is forced, its process is killed
 * (by a descriptor of it, checked against its start time, so that nobody else
 * is) and what it left is recovered, which ends canceled. Nothing here is done
 * twice by being done again, so a cancel that was interrupted is resumed.
 */
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "contract/rules.h"
#include "plane/asked.h"

#define STEP_CANCEL       "cancel a run"
#define GRACE_SECONDS     10 /* where the command names no other */
#define GRACE_SECONDS_MAX 3600
#define DEATH_MS          5000 /* how long a killed process may take to be gone */
#define LOOK_MS           200  /* looks at the process this often, beside each event */
#define RACES_MAX         16

struct cancel {
    struct plane *plane;
    struct str target, command, actor, reason;
    const char *mode;
    int64_t grace_ms;
};

static int refuse(struct effect_result *ret, enum err_code code, const char *what)
{
    ret->end = STATE_FAILED;
    err_set(&ret->failure, code, STEP_CANCEL, "%s", what);
    return 0;
}

/* A run is cancelled from its own workspace, by its subject or by a person who acts for it. */
static bool may_cancel(const struct work *work, const struct work *target)
{
    const yyjson_val *command = work_command(work);
    struct str subject = text_of(member(command, "subjectRef"));
    return str_equal(text_of(member(command, "workspaceRef")),
                     work_text(target, WORK_OPERATION, "workspaceRef")) &&
           (str_equal(subject, work_text(target, WORK_OPERATION, "subjectRef")) ||
            str_equal(subject, text_of(member(work_command(target), "actorRef"))));
}

/* 1: it has ended; 0: it is asked to; -errno. ERR_CONFLICT: its state changed meanwhile. */
static int ask_to_end(struct work *target, const struct cancel *cancel, struct err *err)
{
    struct change change = { .to = STATE_CANCELING,
                             .actor = cancel->actor,
                             .command = cancel->command,
                             .cancel_mode = cancel->mode,
                             .cancel_reason = cancel->reason };
    enum state state = work_state(target, WORK_OPERATION);
    int r;
    if (state == STATE_CANCELING)
        return 0;
    if (state != STATE_RUNNING && state != STATE_PAUSED) {
        r = state_check(STATE_OF_OPERATION, state, STATE_CANCELED, err);
        if (r == 0)
            r = finish_canceled(target, cancel->mode, cancel->reason, NULL, err);
        return r < 0 ? r : 1;
    }
    r = work_change_both(target, &change, err);
    if (r == 0)
        r = work_commit(target, PLANE_STEP_CANCELING, err);
    if (r == 0)
        asked_ring(cancel->plane->options.state_folder, work_operation(target));
    return r;
}

/* 1: it has ended; 0: the time is over; -errno. */
static int wait_for_end(struct work *target, const struct cancel *cancel, int64_t until_ms,
                        struct err *err)
{
    for (;;) {
        int64_t size;
        struct recovered recovered = { 0 };
        int r = ledger_size(cancel->plane->ledger, &size, err);
        if (r == 0)
            r = recover_operation(cancel->plane, cancel->target, &recovered, err);
        if (r == 0)
            r = work_reload(target, err);
        if (r < 0)
            return r;
        if (state_is_end(work_state(target, WORK_OPERATION)))
            return 1;
        int64_t left = until_ms - clock_now_ms();
        if (left <= 0)
            return 0;
        r = ledger_wait(cancel->plane->ledger, size, (int)(left < LOOK_MS ? left : LOOK_MS), err);
        if (r < 0 && r != -ETIMEDOUT)
            return r;
    }
}

/* Kills the process that holds the target and waits until it is gone. */
static int kill_holder(const struct work *target, struct err *err)
{
    struct holder holder = work_holder(target);
    if (holder.pid == getpid())
        return err_set(err, ERR_UNSUPPORTED, STEP_CANCEL, "it runs in this very process");
    _cleanup_(cleanup_close) int fd = (int)syscall(SYS_pidfd_open, (pid_t)holder.pid, 0);
    if (fd < 0 && errno == ESRCH)
        return 0;
    if (fd < 0)
        return err_set_errno(err, errno, STEP_CANCEL, "process %lld", (long long)holder.pid);
    if (!plane_holder_alive(&holder)) /* after opening: the descriptor is of the one looked at */
        return 0;
    if (syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
        return err_set_errno(err, errno, STEP_CANCEL, "process %lld", (long long)holder.pid);
    struct pollfd end = { .fd = fd, .events = POLLIN };
    if (poll(&end, 1, DEATH_MS) <= 0)
        return err_set(err, ERR_IO, STEP_CANCEL, "process %lld does not end",
                       (long long)holder.pid);
    return 0;
}

static int cancel_target(struct work *target, const struct cancel *cancel, struct err *err)
{
    int r = 0;
    for (int race = 0; race < RACES_MAX; race++) {
        struct err inner = { 0 };
        r = ask_to_end(target, cancel, &inner);
        if (r >= 0)
            break;
        enum state seen = work_state(target, WORK_OPERATION);
        if (err)
            *err = inner;
        if (inner.code != ERR_CONFLICT)
            return r;
        int again = work_reload(target, &inner);
        if (again < 0)
            return again;
        if (work_state(target, WORK_OPERATION) == seen && state_is_end(seen))
            return r;
    }
    if (r == 0)
        r = wait_for_end(target, cancel, clock_now_ms() + cancel->grace_ms, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = kill_holder(target, err);
    if (r == 0)
        r = wait_for_end(target, cancel, clock_now_ms() + DEATH_MS, err);
    if (r == 0)
        return err_set(err, ERR_IO, STEP_CANCEL, "it does not end");
    return r < 0 ? r : 0;
}

int effect_execution_cancel(void *context, struct work *work, struct effect_result *ret,
                            struct err *err)
{
    _cleanup_(cleanup_work) struct work *target = NULL;
    const yyjson_val *command = work_command(work);
    const yyjson_val *parameters = at(command, "/parameters/executionCancel");
    const yyjson_val *grace = member(parameters, "gracePeriodSeconds");
    bool forced = text_is(member(parameters, "mode"), "forced");
    uint64_t seconds = grace ? count_of(grace) : GRACE_SECONDS;
    struct cancel cancel = {
        .plane = work_plane(work),
        .target = text_of(member(parameters, "executionOperationRef")),
        .command = text_of(member(command, "id")),
        .actor = text_of(member(command, "actorRef")),
        .reason = text_of(member(command, "reason")),
        .mode = forced ? "forced" : "graceful",
    };
    struct err inner = { 0 };
    (void)context;
    (void)err;
    cancel.grace_ms =
        forced ? 0 : (int64_t)(seconds < GRACE_SECONDS_MAX ? seconds : GRACE_SECONDS_MAX) * 1000;
    if (work_load(cancel.plane, cancel.target, &target, &inner) < 0)
        return refuse(ret, inner.code, inner.cause);
    if (!operation_is_run(target->operation_type))
        return refuse(ret, ERR_CONFLICT, "it is no run");
    if (!may_cancel(work, target))
        return refuse(ret, ERR_DENIED, "it is another's run, or another workspace's");
    if (cancel_target(target, &cancel, &inner) < 0)
        return refuse(ret, inner.code, inner.cause);
    ret->end = STATE_COMPLETED;
    return 0;
}
