/*
 * supervise: the one loop of a run (stop 7).
 *
 * Theory of operation. The loop waits for the sandbox's messages and its end,
 * the command's streams, signals, those who speak to the run, and the next
 * moment at which somebody has to look at something: the wall clock's ceiling,
 * what is asked of the run, the end of a grace period, a line of the log that
 * has waited. What the plane asks is a wish, and a wish only goes one way: a
 * run that is to end is never asked to go on. What the control socket asks for
 * beside it (to pause, to stop) holds until the plane asks for something.
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
    POLL_CLIENTS = POLL_STREAMS + RELAY_POLLS,
    POLL_COUNT_MAX = POLL_CLIENTS + CLIENTS_POLLS
};

struct run {
    const struct supervised *of;
    const struct run_watch *watch;
    struct run_result *result;
    struct clients *clients;
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

static int set_paused(struct run *run, bool paused, struct err *err)
{
    int r = run->paused == paused ? 0 : limits_freeze(run->of->limits, paused, err);
    if (r == 0)
        run->paused = paused;
    return r;
}

static void pause_all(struct run *run, bool paused)
{
    struct err unheard;
    (void)!set_paused(run, paused, &unheard);
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
        else if (run->watch->started)
            run->watch->started(run->watch->context);
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

/* --- those who speak to it ----------------------------------------------------------------- */

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
    signal_command(run, SIGWINCH);
}

static void stop(struct run *run, int timeout_ms)
{
    begin_end(run, false);
    if (timeout_ms >= 0)
        run->grace_ms = clock_now_ms() + timeout_ms;
}

static int act(void *context, const struct control_request *request, struct buf *members,
               struct err *err)
{
    struct run *run = context;
    switch (request->verb) {
    case CONTROL_STOP:
        stop(run, request->timeout_ms);
        return 0;
    case CONTROL_KILL:
        begin_end(run, true);
        return 0;
    case CONTROL_PAUSE:
    case CONTROL_RESUME:
        return run->grace_ms ? err_set(err, ERR_CONFLICT, STEP_SUPERVISE, "it is to end")
                             : set_paused(run, request->verb == CONTROL_PAUSE, err);
    case CONTROL_REVOKE: /* what holds stands in the ledger alone: this says when to look */
        take_wish(run);
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
    case CONTROL_DECIDE:
    case CONTROL_VERB_COUNT:
        break;
    }
    return err_set(err, ERR_UNSUPPORTED, STEP_SUPERVISE, "this run has nothing that %s is about",
                   control_verb_name(request->verb));
}

static bool takes_input(void *context)
{
    const struct run *run = context;
    return relay_takes_input(run->of->relay);
}

static void type(void *context, struct str bytes)
{
    const struct run *run = context;
    relay_type(run->of->relay, bytes);
}

static void hear(void *context, size_t channel, struct str bytes)
{
    const struct run *run = context;
    if (run->of->log)
        run_log_add(run->of->log, channel, bytes);
    clients_hear(run->clients, bytes);
}

/* --- the loop ------------------------------------------------------------------------------ */

static void look(struct run *run)
{
    int64_t now = clock_now_ms();
    if (now >= run->deadline_ms)
        exhaust(run, DIMENSION_WALL_CLOCK_SECONDS);
    meter(run, now);
    if (run->grace_ms && now >= run->grace_ms && !run->killed)
        kill_sandbox(run);
    clients_look(run->clients, now);
    if (run->of->log)
        run_log_flush(run->of->log, now);
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
    keep_earlier(&until, clients_due(run->clients));
    keep_earlier(&until, run->of->log ? run_log_due(run->of->log) : 0);
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
    struct pollfd polls[POLL_COUNT_MAX] = {
        [POLL_CONTROL] = { .fd = run->of->control, .events = POLLIN },
        [POLL_LIFE] = { .fd = run->of->pidfd, .events = POLLIN },
        [POLL_SIGNALS] = { .fd = run->signals, .events = POLLIN },
        [POLL_DOORBELL] = { .fd = run->watch->doorbell, .events = POLLIN },
    };
    while (polls[POLL_LIFE].revents == 0 || polls[POLL_CONTROL].fd >= 0) {
        relay_ask(run->of->relay, !clients_are_full(run->clients), polls + POLL_STREAMS);
        size_t clients = clients_ask(run->clients, polls + POLL_CLIENTS);
        if (poll(polls, POLL_CLIENTS + clients, patience(run)) < 0)
            continue; /* interrupted */
        relay_move(run->of->relay, polls + POLL_STREAMS);
        clients_move(run->clients, polls + POLL_CLIENTS, clients);
        if (polls[POLL_SIGNALS].revents)
            take_signal(run);
        if (polls[POLL_DOORBELL].revents)
            take_wish(run);
        if (polls[POLL_CONTROL].revents && !take_message(run))
            polls[POLL_CONTROL].fd = -1;
        look(run);
    }
}

/* What stays when the sandbox has nothing more to say. */
static int settle(struct run *run, struct err *err)
{
    const struct supervised *of = run->of;
    struct run_result *result = run->result;
    relay_drain(of->relay);
    clients_drain(run->clients);
    result->ended_ms = clock_now_ms();
    result->output_bytes = relay_output_bytes(of->relay);
    result->output_truncated = relay_output_truncated(of->relay);
    if (of->log)
        run_log_finish(of->log, &result->log);
    judge(run);
    return limits_read(of->limits, &result->usage, err);
}

static int hear_signals(sigset_t *ret_before, struct err *err)
{
    static const int heard[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH };
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(heard); i++)
        sigaddset(&set, heard[i]);
    sigprocmask(SIG_BLOCK, &set, ret_before);
    signal(SIGPIPE, SIG_IGN); /* a reader that is gone is an error of its stream's */
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    return fd < 0 ? err_set_errno(err, errno, STEP_SUPERVISE, "cannot hear signals") : fd;
}

int supervise(const struct supervised *supervised, const struct run_watch *watch,
              struct run_result *ret, struct err *err)
{
    int64_t wall = supervised->plan->limits.budget[DIMENSION_WALL_CLOCK_SECONDS];
    struct run run = { .of = supervised, .watch = watch, .result = ret };
    struct clients_run seen = { &run, act, takes_input, type };
    sigset_t before;
    run.deadline_ms = clock_now_ms() + wall * 1000;
    int r = clients_new(supervised->socket, &seen, &run.clients, err);
    if (r < 0)
        return r;
    run.signals = hear_signals(&before, err);
    if (run.signals < 0) {
        clients_free(run.clients);
        return run.signals;
    }
    relay_listen(supervised->relay, hear, &run);
    ret->end = RUN_LOST;
    run.meter_ms = clock_now_ms(); /* the limits say when first */
    if (watch->doorbell >= 0)
        take_wish(&run); /* what was asked before anybody listened */
    loop(&run);
    r = settle(&run, err);
    close(run.signals);
    sigprocmask(SIG_SETMASK, &before, NULL);
    relay_listen(supervised->relay, NULL, NULL);
    clients_free(run.clients);
    return r;
}
