/*
 * stop: ends a run.
 *
 * A stop is a cancel, recorded before anything happens. Once it is, the run's
 * supervisor is told through its control socket how long it may take, so that
 * it ends the command itself and writes down how; only a supervisor that does
 * not is ended from here.
 */
#include "cmd/runs.h"
#include "cmd/tell.h"
#include "machine/control.h"
#include "plane/state.h"

#define TIMEOUT_SECONDS     10
#define TIMEOUT_SECONDS_MAX (CONTROL_TIMEOUT_MAX / 1000)
#define ANSWER_MS           1000
#define MARGIN_SECONDS      10 /* for the supervisor, to write down what it ended */

enum { STOP_JSON, STOP_TIMEOUT, STOP_REASON };

static const struct option_row stop_options[] = {
    [STOP_JSON] = { "json", 'j', NULL, "print what became of it as a JSON object" },
    [STOP_TIMEOUT] = { "timeout", 't', "SECONDS", "how long it may take; 10 where none is given" },
    [STOP_REASON] = { "reason", 'r', "TEXT", "why, for the record" },
};

struct stopping {
    struct runs_one run;
    int64_t seconds;
};

/* One who does not hear this has heard the doorbell, or is gone. */
static void tell_supervisor(void *context, enum plane_step step)
{
    const struct stopping *stopping = context;
    _cleanup_(buf_release) struct buf answer = BUF_INIT;
    _cleanup_(cleanup_close) int fd = -1;
    struct control_request request = { .verb = CONTROL_STOP,
                                       .timeout_ms = (int)(stopping->seconds * 1000) };
    struct err unheard;
    if (step == PLANE_STEP_CANCELING && control_connect(stopping->run.folder, &fd, &unheard) == 0)
        (void)!control_ask(fd, &request, ANSWER_MS, &answer, &unheard);
}

static int cancel(struct stopping *stopping, const char *reason, struct err *err)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf command = BUF_INIT;
    struct plane_options options = { .mode = LEDGER_WRITE,
                                     .committed = tell_supervisor,
                                     .committed_context = stopping };
    struct outcome outcome = { 0 };
    struct str run = str_from(stopping->run.urn);
    int r = op_open_with(&options, &plane, err);
    if (r == 0)
        r = plane_write_cancel(plane, run, false, stopping->seconds + MARGIN_SECONDS,
                               str_from(reason ? reason : ""), &command, err);
    if (r == 0)
        r = plane_submit(plane, buf_str(&command), NULL, &outcome, err);
    if (r == 0 && outcome.failure.code) {
        if (err)
            *err = outcome.failure;
        return -EIO;
    }
    if (r == 0)
        r = plane_outcome(plane, run, &outcome, err);
    if (r == 0)
        stopping->run.state = outcome.state;
    return r;
}

static bool read_timeout(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long seconds = strtoll(text, &end, 10);
    if (errno || *end || end == text || seconds < 0 || seconds > TIMEOUT_SECONDS_MAX)
        return false;
    *ret = seconds;
    return true;
}

static int run_stop(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    const char *timeout = invocation->values[STOP_TIMEOUT];
    struct stopping stopping = { .seconds = TIMEOUT_SECONDS };
    struct err err = { 0 };
    if (timeout && !read_timeout(timeout, &stopping.seconds))
        return tell_usage(invocation->path, "--timeout takes seconds from 0 to %d",
                          TIMEOUT_SECONDS_MAX);
    int r = runs_open(&plane, &err);
    if (r == 0)
        r = runs_find(plane, invocation->operands[0], &stopping.run, &err);
    plane_close(TAKE_PTR(plane));
    if (r == 0 && !state_is_end(stopping.run.state))
        r = cancel(&stopping, invocation->values[STOP_REASON], &err);
    if (r < 0)
        return tell_error(invocation, &err);
    const char *state = state_names[stopping.run.state];
    if (invocation->values[STOP_JSON])
        printf("{\"operation\":\"%s\",\"state\":\"%s\"}\n", stopping.run.urn, state);
    else
        printf("%.*s %s\n", STR_ARG(urn_local(str_from(stopping.run.urn))), state);
    return EXIT_OK;
}

const struct verb verb_stop = {
    .name = "stop",
    .operands = "ID",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "End a run",
    .description =
        "Asks a run's command to end (SIGTERM), ends it and all its processes by force when the "
        "time is over, and waits for that. It is recorded as `op cancel` is. A run that has ended "
        "already stays as it is. The id may be cut short, as long as it is one run's.",
    .options = stop_options,
    .option_count = ARRAY_LEN(stop_options),
    .run = run_stop,
};
