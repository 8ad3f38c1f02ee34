/*
 * supervise: the one loop of a run (stop 7).
 *
 * Theory of operation. The loop waits for the sandbox's messages and its end,
 * the command's streams, signals, those who speak to the run, and the next
 * moment at which somebody has to look at something: the wall clock's ceiling,
 * the limits' meters, the end of a grace period, a line of the log that has
 * waited. What the plane asks it looks for from LISTEN_MS on: most commands
 * have ended by then, and to be able to be asked is not free. How a run ends is supervise_end.c,
 * what it can be asked for is supervise_asked.c.
 */
#include "machine/supervise.h"

#include <signal.h>
#include <sys/signalfd.h>

#include "base/clock.h"
#include "machine/linux/sandbox.h"
#include "machine/supervise_internal.h"

#define LOOP_SLEEP_MAX_MS 3600000
#define LISTEN_MS         20
#define READER_MS         2000 /* how long one who reads may keep a run that was to end */

enum {
    POLL_CONTROL,
    POLL_LIFE,
    POLL_SIGNALS,
    POLL_DOORBELL,
    POLL_TYPED,
    POLL_LOOPS,
    POLL_STREAMS = POLL_LOOPS + RUN_LOOPS_MAX,
    POLL_CLIENTS = POLL_STREAMS + RELAY_POLLS,
    POLL_COUNT_MAX = POLL_CLIENTS + CLIENTS_POLLS
};

/* --- what the loop finds ------------------------------------------------------------------- */

/* False where the sandbox has nothing more to say. */
static bool take_message(struct run *run)
{
    struct sandbox_message message;
    int fd;
    if (sandbox_receive(run->of->control, &message, &fd) != 1)
        return false;
    if (message.kind == SANDBOX_SOCKET && run->watch->door)
        network_door_take(run->watch->door, TAKE_FD(fd));
    cleanup_close(&fd); /* no other is expected by now */
    switch (message.kind) {
    case SANDBOX_STARTED:
        run->result->started_ms = clock_now_ms();
        if (message.number)
            run_refuse_start(run, message.number);
        else if (run->watch->started)
            run->watch->started(run->watch->context);
        break;
    case SANDBOX_ENDED:
        if (run->result->end != RUN_REFUSED)
            run_take_status(run, &message);
        run->ended = true;
        break;
    case SANDBOX_MAP:
    case SANDBOX_PLAN:
    case SANDBOX_GO:
    case SANDBOX_SIGNAL:
    case SANDBOX_DIAL:
    case SANDBOX_TERMINAL:
    case SANDBOX_SOCKET:
    case SANDBOX_READY:
        break;
    case SANDBOX_FAILED:
        run_refuse(run, &message.err);
        break;
    }
    return true;
}

/* The caller's shell stops the job: nothing of it runs on, unmetered, behind a supervisor that
 * sleeps. */
static void stop_with_command(struct run *run)
{
    bool paused = run->paused;
    (void)!run_pause(run, true, NULL);
    kill(getpid(), SIGSTOP);
    if (!paused)
        (void)!run_pause(run, false, NULL);
}

static void take_signal(struct run *run)
{
    struct signalfd_siginfo info;
    if (read(run->signals, &info, sizeof(info)) != sizeof(info))
        return;
    int number = (int)info.ssi_signo;
    if (number == SIGWINCH)
        relay_resize(run->of->relay);
    else if (number == SIGTSTP)
        stop_with_command(run);
    else if (number == SIGTERM || number == SIGHUP)
        run_begin_end(run, run->grace_ms != 0); /* the second time it is meant */
    else
        run_signal(run, number);
}

/* The dimension that a limit is the meter of; the number of processes is none. */
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
    if (r > 0 && limit == LIMIT_PROCESSES)
        run_overcrowd(run);
    else if (r > 0)
        run_exhaust(run, dimension_of(limit));
    run->meter_ms = r == 0 && next_ms >= 0 ? now + next_ms : 0;
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
    int64_t now = clock_passed_ms();
    if (now >= run->deadline_ms)
        run_exhaust(run, DIMENSION_WALL_CLOCK_SECONDS);
    meter(run, now);
    if (run->grace_ms && now >= run->grace_ms && !run->killed)
        run_kill(run);
    if (run->listen_ms && now >= run->listen_ms)
        run_listen(run);
    for (size_t i = 0; i < run->watch->loop_count; i++)
        if (loop_due(run->watch->loops[i]) && now >= loop_due(run->watch->loops[i]))
            loop_turn(run->watch->loops[i]);
    run_look_for_questions(run, now);
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
    int64_t now = clock_passed_ms(), until = now + LOOP_SLEEP_MAX_MS;
    keep_earlier(&until, run->exhausted ? 0 : run->deadline_ms);
    keep_earlier(&until, run->killed ? 0 : run->grace_ms);
    keep_earlier(&until, run->meter_ms);
    keep_earlier(&until, run->listen_ms);
    keep_earlier(&until, run->question_ms);
    keep_earlier(&until, clients_due(run->clients));
    for (size_t i = 0; i < run->watch->loop_count; i++)
        keep_earlier(&until, loop_due(run->watch->loops[i]));
    keep_earlier(&until, run->of->log ? run_log_due(run->of->log) : 0);
    return until <= now ? 0 : (int)(until - now);
}

/*
 * A sandbox that says that its command has ended has nobody left but its first process, whose own
 * end nobody has to wait for: but for a container, in which the rest ends with that process, and
 * for a terminal, which the kernel may still be passing output through.
 */
static bool has_ended(const struct run *run, const struct pollfd *polls)
{
    const struct plan *plan = run->of->plan;
    bool gone = polls[POLL_LIFE].revents && polls[POLL_CONTROL].fd < 0;
    return gone || (run->ended && plan->tier != TIER_CONTAINER && !plan->terminal);
}

static void loop(struct run *run)
{
    struct pollfd polls[POLL_COUNT_MAX] = {
        [POLL_CONTROL] = { .fd = run->of->control, .events = POLLIN },
        [POLL_LIFE] = { .fd = run->of->pidfd, .events = POLLIN },
        [POLL_SIGNALS] = { .fd = run->signals, .events = POLLIN },
        [POLL_DOORBELL] = { .fd = -1, .events = POLLIN },
        [POLL_TYPED] = { .fd = -1, .events = POLLIN },
    };
    for (size_t i = 0; i < RUN_LOOPS_MAX; i++)
        polls[POLL_LOOPS + i] =
            (struct pollfd){ .fd = i < run->watch->loop_count ? loop_fd(run->watch->loops[i]) : -1,
                             .events = POLLIN };
    while (!has_ended(run, polls)) {
        polls[POLL_DOORBELL].fd = run->doorbell;
        polls[POLL_TYPED].fd = run->asking ? STDIN_FILENO : -1;
        relay_ask(run->of->relay, !clients_are_full(run->clients), polls + POLL_STREAMS);
        size_t clients = clients_ask(run->clients, polls + POLL_CLIENTS);
        if (poll(polls, POLL_CLIENTS + clients, patience(run)) < 0)
            continue; /* interrupted */
        relay_move(run->of->relay, polls + POLL_STREAMS);
        clients_move(run->clients, polls + POLL_CLIENTS, clients);
        if (polls[POLL_TYPED].revents)
            run_take_line(run);
        if (polls[POLL_SIGNALS].revents)
            take_signal(run);
        if (polls[POLL_DOORBELL].revents)
            run_take_wish(run);
        for (size_t i = 0; i < run->watch->loop_count; i++)
            if (polls[POLL_LOOPS + i].revents)
                loop_turn(run->watch->loops[i]);
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
    relay_drain(of->relay, run->grace_ms || run->killed ? READER_MS : -1);
    clients_drain(run->clients);
    result->ended_ms = clock_now_ms();
    result->output_bytes = relay_output_bytes(of->relay);
    result->output_truncated = relay_output_truncated(of->relay);
    if (of->log)
        run_log_finish(of->log, &result->log);
    run_judge(run);
    return limits_read(of->limits, &result->usage, err);
}

static int hear_signals(sigset_t *ret_before, struct err *err)
{
    static const int heard[] = { SIGINT,  SIGTERM, SIGHUP,   SIGQUIT,
                                 SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP };
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
    struct run run = { .of = supervised, .watch = watch, .result = ret, .doorbell = -1 };
    struct clients_run seen = { &run, run_act, takes_input, type };
    sigset_t before;
    run.deadline_ms = clock_passed_ms() + wall * 1000;
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
    run.meter_ms = clock_passed_ms(); /* the limits say when first */
    run.listen_ms = run.meter_ms + LISTEN_MS;
    loop(&run);
    run_end_questions(&run);
    r = settle(&run, err);
    close(run.signals);
    sigprocmask(SIG_SETMASK, &before, NULL);
    relay_listen(supervised->relay, NULL, NULL);
    clients_free(run.clients);
    return r;
}
