/*
 * supervise_asked: what is asked of a run while it runs.
 *
 * Two ask. The plane rings the doorbell when the ledger has changed, and what
 * it says is a wish: it only goes one way, since a run that is to end is never
 * asked to go on. Who is connected to the control socket asks for the moment
 * (to pause, to stop, how it is), and that holds until the plane asks for
 * something else.
 */
#include <signal.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "machine/supervise_internal.h"

int run_pause(struct run *run, bool paused, struct err *err)
{
    int r = run->paused == paused ? 0 : limits_freeze(run->of->limits, paused, err);
    if (r == 0)
        run->paused = paused;
    return r;
}

void run_listen(struct run *run)
{
    run->listen_ms = 0;
    run->doorbell = run->watch->listen(run->watch->context);
    if (run->doorbell < 0)
        run_begin_end(run, false); /* one that nobody could end is no run to go on with */
    else
        run_take_wish(run); /* what was asked before anybody listened */
}

void run_take_wish(struct run *run)
{
    char ring;
    while (recv(run->doorbell, &ring, sizeof(ring), MSG_DONTWAIT) >= 0)
        ; /* however often it rang, one look will do */
    enum run_wish wish = run->watch->wish(run->watch->context);
    if (run->wish >= RUN_CANCEL && wish <= run->wish)
        return; /* one that is to end is not asked to go on */
    run->wish = wish;
    (void)!run_pause(run, wish == RUN_PAUSE && !run->grace_ms, NULL);
    if (wish >= RUN_CANCEL)
        run_begin_end(run, wish == RUN_CANCEL_NOW);
}

static void write_status(const struct run *run, struct buf *members)
{
    bool terminal = run->of->plan->terminal;
    buf_addf(members, "\"state\":\"%s\",\"terminal\":%s,\"input\":%s,\"outputBytes\":%lld",
             run->grace_ms || run->killed ? "canceling"
             : run->paused                ? "paused"
                                          : "running",
             terminal ? "true" : "false", relay_has_input(run->of->relay) ? "true" : "false",
             (long long)relay_output_bytes(run->of->relay));
}

/* Of a terminal's size; a program that draws on it does so anew for who has just come. */
static void resize(struct run *run, const struct control_request *request)
{
    if (!request->rows)
        return;
    relay_set_size(run->of->relay, request->rows, request->columns);
    run_signal(run, SIGWINCH);
}

static void stop(struct run *run, int timeout_ms)
{
    run_begin_end(run, false);
    if (timeout_ms >= 0)
        run->grace_ms = clock_passed_ms() + timeout_ms;
}

int run_act(void *context, const struct control_request *request, struct buf *members,
            struct err *err)
{
    struct run *run = context;
    switch (request->verb) {
    case CONTROL_STOP:
        stop(run, request->timeout_ms);
        return 0;
    case CONTROL_KILL:
        run_begin_end(run, true);
        return 0;
    case CONTROL_PAUSE:
    case CONTROL_RESUME:
        return run->grace_ms ? err_set(err, ERR_CONFLICT, STEP_SUPERVISE, "it is to end")
                             : run_pause(run, request->verb == CONTROL_PAUSE, err);
    case CONTROL_REVOKE: /* what holds stands in the ledger alone: this says when to look */
        run_take_wish(run);
        return 0;
    case CONTROL_ATTACH:
        resize(run, request);
        write_status(run, members);
        return 0;
    case CONTROL_STATUS:
        write_status(run, members);
        return 0;
    case CONTROL_RESIZE:
        resize(run, request);
        return 0;
    case CONTROL_DENY:
        if (run->watch->door)
            return network_door_deny(run->watch->door, str_from(request->reference), err);
        break;
    case CONTROL_DECIDE:
    case CONTROL_VERB_COUNT:
        break;
    }
    return err_set(err, ERR_UNSUPPORTED, STEP_SUPERVISE, "this run has nothing that %s is about",
                   control_verb_name(request->verb));
}
