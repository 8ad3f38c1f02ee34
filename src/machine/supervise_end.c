/*
 * supervise_end: how a run comes to its end, and what that end is called.
 *
 * A run ends in two steps at most: the command is asked (SIGTERM), and when
 * its grace is over the sandbox is killed, which ends every process in it. The
 * first reason stands: what a command makes of being ended is not its result.
 */
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "machine/linux/sandbox.h"
#include "machine/supervise_internal.h"

#define GRACE_MS         10000
#define STATUS_BUDGET    124
#define STATUS_REFUSED   125
#define STATUS_NOT_RUN   126
#define STATUS_NOT_FOUND 127
#define STATUS_CANCELED  130
#define STATUS_SIGNAL    128

void run_signal(const struct run *run, int number)
{
    struct sandbox_message message = { .kind = SANDBOX_SIGNAL, .number = number };
    (void)!sandbox_send(run->of->control, &message, -1); /* one that is gone needs none */
}

void run_kill(struct run *run)
{
    sandbox_kill(run->of->sandbox, run->of->control, run->of->pidfd);
    run->killed = true;
}

void run_begin_end(struct run *run, bool at_once)
{
    if (at_once)
        run_kill(run);
    if (run->grace_ms)
        return;
    run->grace_ms = clock_passed_ms() + GRACE_MS;
    run_signal(run, SIGTERM);
    (void)!run_pause(run, false, NULL); /* one that is paused could not hear it */
}

void run_exhaust(struct run *run, enum dimension dimension)
{
    if (run->exhausted)
        return;
    run->exhausted = true;
    run->result->dimension = dimension;
    run_begin_end(run, false);
}

void run_overcrowd(struct run *run)
{
    run->crowded = true;
    run_begin_end(run, true);
}

void run_take_status(struct run *run, const struct sandbox_message *message)
{
    struct run_result *result = run->result;
    run->ended = true;
    limits_ended(run->of->limits, &message->usage);
    if (WIFSIGNALED(message->number)) {
        result->end = RUN_SIGNALED;
        result->signal = WTERMSIG(message->number);
        result->status = STATUS_SIGNAL + result->signal;
    } else {
        result->end = RUN_EXITED;
        result->status = WEXITSTATUS(message->number);
    }
}

void run_refuse_start(struct run *run, int number)
{
    const char *name = run->of->plan->argv[0];
    run->result->end = RUN_REFUSED;
    run->result->status = number == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUN;
    if (number == ENOENT)
        err_set(&run->result->err, ERR_NOT_FOUND, STEP_SUPERVISE,
                "%.200s is not in the sandbox's view; programs come from the system's directories "
                "and from what is mounted",
                name);
    else
        err_set_errno(&run->result->err, number, STEP_SUPERVISE, "%.200s cannot be started", name);
}

void run_refuse(struct run *run, const struct err *why)
{
    run->result->end = RUN_REFUSED;
    run->result->status = STATUS_REFUSED;
    run->result->err = *why;
    run->result->err.step = STEP_SUPERVISE; /* what came is an address of the sandbox's */
}

void run_judge(struct run *run)
{
    struct run_result *result = run->result;
    if (result->end == RUN_REFUSED)
        return;
    /* What the kernel killed for its memory had no other end, even where the loop saw none. */
    if (!run->exhausted && !run->crowded && !run->grace_ms && run->wish < RUN_CANCEL &&
        limits_starved(run->of->limits)) {
        run->exhausted = true;
        result->dimension = DIMENSION_SANDBOX_MEMORY_BYTES;
    }
    if (run->crowded) {
        result->end = RUN_LOST;
        result->status = STATUS_REFUSED;
        err_set(&result->err, ERR_LIMIT, STEP_SUPERVISE, "it had more than %lld processes",
                (long long)run->of->plan->limits.processes);
    } else if (run->exhausted) {
        result->end = RUN_EXHAUSTED;
        result->status = STATUS_BUDGET;
    } else if (run->wish >= RUN_CANCEL || run->grace_ms) {
        result->end = RUN_CANCELLED;
        result->status = STATUS_CANCELED;
    } else if (!run->ended) {
        result->end = RUN_LOST;
        result->status = STATUS_REFUSED;
        err_set(&result->err, ERR_IO, STEP_SUPERVISE, "the sandbox died under the command");
    }
}
