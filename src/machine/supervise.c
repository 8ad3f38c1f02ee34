/*
 * supervise: the one loop of a run (stop 7).
 *
 * Theory of operation. The loop waits for the sandbox's messages and its end,
 * the command's streams, signals, and the next moment at which somebody has to
 * look at something: the wall clock's ceiling, what is asked of the run, the
 * end of a grace period. What is asked is a wish, and a wish only goes one
 * way: a run that is to end is never asked to go on.
 *
 * A run ends in two steps at most: the command is asked (SIGTERM), and when
 * its grace is over the sandbox is killed, which ends every process in it.
 */
#include "machine/supervise.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "machine/linux/sandbox.h"

#define STEP_SUPERVISE    "supervise a run"
#define GRACE_MS          10000
#define LOOP_SLEEP_MAX_MS 3600000
#define STATUS_BUDGET     124
#define STATUS_REFUSED    125
#define STATUS_CANCELED   130
#define STATUS_SIGNAL     128

enum {
    POLL_CONTROL,
    POLL_LIFE,
    POLL_SIGNALS,
    POLL_DOORBELL,
    POLL_STREAMS,
    POLL_COUNT = POLL_STREAMS + RELAY_POLLS
};

struct run {
    const struct supervised *of;
    const struct run_watch *watch;
    struct run_result *result;
    int signals;
    enum run_wish wish;
    bool exhausted, killed, ended;
    bool paused;
    int64_t meter_ms;    /* when the limits are to be looked at again; 0: not needed */
    int64_t deadline_ms; /* of the wall clock */
    int64_t grace_ms;    /* when the grace ends; 0: nobody has asked it to end */
};

/* --- ending -------------------------------------------------------------------------------- */

static void signal_command(const struct run *run, int number)
{
    struct sandbox_message message = { .kind = SANDBOX_SIGNAL, .number = number };
    (void)!sandbox_send(run->of->control, &message, -1); /* one that is gone needs none */
}

static void kill_sandbox(struct run *run)
{
    syscall(SYS_pidfd_send_signal, run->of->pidfd, SIGKILL, NULL, 0);
    run->killed = true;
}

static void pause_all(struct run *run, bool paused)
{
    struct err unheard;
    if (run->paused != paused && limits_freeze(run->of->limits, paused, &unheard) == 0)
        run->paused = paused;
}

static void begin_end(struct run *run, bool at_once)
{
    if (at_once)
        kill_sandbox(run);
    if (run->grace_ms)
        return;
    run->grace_ms = clock_now_ms() + GRACE_MS;
    signal_command(run, SIGTERM);
    pause_all(run, false); /* one that is paused could not hear it */
}

/* --- what the loop finds ------------------------------------------------------------------- */

static void take_status(struct run *run, const struct sandbox_message *message)
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

static void refuse_start(struct run *run, int number)
{
    const char *name = run->of->plan->argv[0];
    run->result->end = RUN_REFUSED;
    run->result->status = number == ENOENT ? 127 : 126;
    if (number == ENOENT)
        err_set(&run->result->err, ERR_NOT_FOUND, STEP_SUPERVISE,
                "%.200s is not in the sandbox's view; programs come from the system's directories "
                "and from what is mounted",
                name);
    else
        err_set_errno(&run->result->err, number, STEP_SUPERVISE, "%.200s cannot be started", name);
}

/* False where the sandbox has nothing more to say. */
static bool take_message(struct run *run)
{
    struct sandbox_message message;
    int fd;
    if (sandbox_receive(run->of->control, &message, &fd) != 1)
        return false;
    cleanup_close(&fd); /* none is expected by now */
    switch (message.kind) {
    case SANDBOX_STARTED:
        run->result->started_ms = clock_now_ms();
        if (message.number)
            refuse_start(run, message.number);
        break;
    case SANDBOX_ENDED:
        if (run->result->end != RUN_REFUSED)
            take_status(run, &message);
        run->ended = true;
        break;
    case SANDBOX_MAP:
    case SANDBOX_GO:
    case SANDBOX_SIGNAL:
    case SANDBOX_TERMINAL:
    case SANDBOX_READY:
    case SANDBOX_FAILED:
        break;
    }
    return true;
}

static void take_signal(struct run *run)
{
    struct signalfd_siginfo info;
    if (read(run->signals, &info, sizeof(info)) != sizeof(info))
        return;
    int number = (int)info.ssi_signo;
    if (number == SIGWINCH)
        relay_resize(run->of->relay);
    else if (number == SIGTERM || number == SIGHUP)
        begin_end(run, run->grace_ms != 0); /* the second time it is meant */
    else
        signal_command(run, number);
}

static void exhaust(struct run *run, enum dimension dimension)
{
    if (run->exhausted)
        return;
    run->exhausted = true;
    run->result->dimension = dimension;
    begin_end(run, false);
}

static void take_wish(struct run *run)
{
    enum run_wish wish = run->watch->wish(run->watch->context);
    if (run->wish >= RUN_CANCEL && wish <= run->wish)
        return; /* one that is to end is not asked to go on */
    run->wish = wish;
    pause_all(run, wish == RUN_PAUSE);
    if (wish >= RUN_CANCEL)
        begin_end(run, wish == RUN_CANCEL_NOW);
}

/* The dimension that a limit is the meter of; a limit of the sandbox itself ends nothing. */
static enum dimension dimension_of(enum limit limit)
{
    return limit == LIMIT_CPU      ? DIMENSION_CPU_SECONDS
           : limit == LIMIT_MEMORY ? DIMENSION_SANDBOX_MEMORY_BYTES
                                   : DIMENSION_LOCAL_DISK_BYTES;
}

static void meter(struct run *run, int64_t now)
{
    enum limit limit;
    struct err unknown;
    int next_ms = -1;
    if (!run->meter_ms || now < run->meter_ms)
        return;
    int r = limits_exhausted(run->of->limits, &limit, &next_ms, &unknown);
    if (r > 0)
        exhaust(run, dimension_of(limit));
    run->meter_ms = r == 0 && next_ms >= 0 ? now + next_ms : 0;
}

static void look(struct run *run)
{
    int64_t now = clock_now_ms();
    if (now >= run->deadline_ms)
        exhaust(run, DIMENSION_WALL_CLOCK_SECONDS);
    meter(run, now);
    if (run->grace_ms && now >= run->grace_ms && !run->killed)
        kill_sandbox(run);
}

static void keep_earlier(int64_t *until, int64_t moment)
{
    if (moment && moment < *until)
        *until = moment;
}

/* How long the loop may sleep, in milliseconds. */
static int patience(const struct run *run)
{
    int64_t now = clock_now_ms(), until = now + LOOP_SLEEP_MAX_MS;
    keep_earlier(&until, run->exhausted ? 0 : run->deadline_ms);
    keep_earlier(&until, run->killed ? 0 : run->grace_ms);
    keep_earlier(&until, run->meter_ms);
    return until <= now ? 0 : (int)(until - now);
}

static void judge(struct run *run)
{
    struct run_result *result = run->result;
    if (result->end == RUN_REFUSED)
        return;
    if (run->exhausted) {
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

static void loop(struct run *run)
{
    struct pollfd polls[POLL_COUNT] = {
        [POLL_CONTROL] = { .fd = run->of->control, .events = POLLIN },
        [POLL_LIFE] = { .fd = run->of->pidfd, .events = POLLIN },
        [POLL_SIGNALS] = { .fd = run->signals, .events = POLLIN },
        [POLL_DOORBELL] = { .fd = run->watch->doorbell, .events = POLLIN },
    };
    while (polls[POLL_LIFE].revents == 0 || polls[POLL_CONTROL].fd >= 0) {
        relay_ask(run->of->relay, polls + POLL_STREAMS);
        if (poll(polls, POLL_COUNT, patience(run)) < 0)
            continue; /* interrupted */
        relay_move(run->of->relay, polls + POLL_STREAMS);
        if (polls[POLL_SIGNALS].revents)
            take_signal(run);
        if (polls[POLL_DOORBELL].revents)
            take_wish(run);
        if (polls[POLL_CONTROL].revents && !take_message(run))
            polls[POLL_CONTROL].fd = -1;
        look(run);
    }
}

int supervise(const struct supervised *supervised, const struct run_watch *watch,
              struct run_result *ret, struct err *err)
{
    static const int heard[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH };
    int64_t wall = supervised->plan->limits.budget[DIMENSION_WALL_CLOCK_SECONDS];
    struct run run = { .of = supervised, .watch = watch, .result = ret };
    sigset_t set, before;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(heard); i++)
        sigaddset(&set, heard[i]);
    run.deadline_ms = clock_now_ms() + wall * 1000;
    sigprocmask(SIG_BLOCK, &set, &before);
    run.signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (run.signals < 0)
        return err_set_errno(err, errno, STEP_SUPERVISE, "cannot hear signals");
    signal(SIGPIPE, SIG_IGN); /* a reader that is gone is an error of its stream's */
    ret->end = RUN_LOST;
    run.meter_ms = clock_now_ms(); /* the limits say when first */
    if (watch->doorbell >= 0)
        take_wish(&run); /* what was asked before anybody listened */
    loop(&run);
    relay_drain(supervised->relay);
    close(run.signals);
    sigprocmask(SIG_SETMASK, &before, NULL);
    ret->ended_ms = clock_now_ms();
    ret->output_bytes = relay_output_bytes(supervised->relay);
    ret->output_truncated = relay_output_truncated(supervised->relay);
    judge(&run);
    return limits_read(supervised->limits, &ret->usage, err);
}
