/* op: operations, from the command that asks for one to its end. */
#include "cmd/op.h"

#include "base/clock.h"
#include "cmd/op_decide.h"
#include "cmd/op_notify.h"
#include "cmd/op_read.h"
#include "cmd/op_record.h"
#include "cmd/run_alone.h"
#include "cmd/tell.h"
#include "contract/document.h"
#include "contract/rules.h"
#include "plane/state.h"

#define EXIT_CANCELED 130
#define SECONDS_MAX   31536000

/* --- outcomes ------------------------------------------------------------------------------ */

static int exit_status(const struct outcome *outcome)
{
    if (outcome->state == STATE_CANCELED)
        return EXIT_CANCELED;
    return err_exit_status(outcome->failure.code);
}

static void print_outcome_json(const struct outcome *outcome)
{
    struct buf out = BUF_INIT;
    buf_add_text(&out, "{\"operation\":");
    json_add_string(&out, str_from(outcome->operation));
    buf_addf(&out, ",\"state\":\"%s\",\"repeated\":%s", state_names[outcome->state],
             outcome->repeated ? "true" : "false");
    if (outcome->failure.code) {
        buf_addf(&out, ",\"failure\":{\"code\":\"%s\",\"message\":", err_id(outcome->failure.code));
        json_add_string(&out, str_from(outcome->failure.cause));
        buf_add_text(&out, ",\"remediation\":");
        json_add_string(&out, str_from(outcome->remedy));
        buf_add_char(&out, '}');
    }
    buf_add_char(&out, '}');
    puts(out.data);
    buf_release(&out);
}

static int tell_outcome(const struct outcome *outcome, bool json)
{
    if (json) {
        print_outcome_json(outcome);
        return exit_status(outcome);
    }
    struct buf line = BUF_INIT;
    buf_addf(&line, "%s%s %s", state_names[outcome->state],
             outcome->repeated ? " (given before)" : "", outcome->operation);
    op_print_wrapped("", 0, buf_str(&line));
    if (outcome->failure.code)
        op_print_wrapped("", 2, str_from(outcome->failure.cause));
    if (outcome->failure.code == ERR_PENDING)
        op_print_wrapped("  next: ", 8, str_from(outcome->remedy));
    buf_release(&line);
    return exit_status(outcome);
}

static int submit_text(const struct invocation *invocation, struct plane *plane, struct str text,
                       const struct plane_asks *asks, bool json)
{
    struct outcome outcome;
    struct err err = { 0 };
    if (plane_submit(plane, text, asks, &outcome, &err) < 0)
        return tell_error(invocation, &err);
    return tell_outcome(&outcome, json);
}

/* --- submit -------------------------------------------------------------------------------- */

enum { SUBMIT_JSON, SUBMIT_WAIT };

static const struct option_row submit_options[] = {
    [SUBMIT_JSON] = { "json", 'j', NULL, "print the outcome as a JSON object" },
    [SUBMIT_WAIT] = { "wait", 'w', "TIME", "how long to wait for a person, such as 5m" },
};

/* Says once for each thing that is waited for what that is. */
static bool tell_waiting(void *context, const struct standstill *standstill)
{
    char(*told)[PLANE_URN_MAX] = context;
    if (strcmp(*told, standstill->remediation) == 0)
        return true;
    snprintf(*told, sizeof(*told), "%s", standstill->remediation);
    fprintf(stderr, "%s: ", state_names[standstill->state]);
    tell_text(stderr, standstill->remediation);
    fputc('\n', stderr);
    return true;
}

/* Opens the plane for a command that may have to wait; `told` outlives it. */
static int open_to_wait(const struct invocation *invocation, enum ledger_mode mode,
                        char (*told)[PLANE_URN_MAX], struct plane **ret, struct err *err)
{
    const char *wait = invocation->values[SUBMIT_WAIT];
    struct plane_options options = { .mode = mode, .waiting = tell_waiting };
    (*told)[0] = '\0';
    options.waiting_context = told;
    if (wait && !clock_parse_duration(str_from(wait), &options.wait_ms))
        return err_set(err, ERR_USAGE, "read the options",
                       "--wait takes a duration, such as 90s or 5m");
    return op_open_with(&options, ret, err);
}

/* Which is done in a sandbox, by the same way as a run. */
static int submit_container(const struct invocation *invocation, struct document *document,
                            struct str text)
{
    int status =
        invocation->values[SUBMIT_WAIT]
            ? tell_usage(invocation->path, "a container asks at its terminal, and takes no --wait")
            : run_alone_submit(invocation, yyjson_doc_get_root(document->doc), text,
                               invocation->values[SUBMIT_JSON]);
    document_release(document);
    return status;
}

static int run_submit(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    struct json_limits limits = json_limits_default;
    struct document document = { 0 };
    char told[PLANE_URN_MAX];
    struct err err = { 0 };
    limits.size_bytes = PLANE_COMMAND_BYTES_MAX;
    int r = document_read(invocation->operands[0], &limits, &document, &err);
    if (r == 0)
        r = json_add_value(&text, yyjson_doc_get_root(document.doc), 0);
    if (r < 0 && !err.code)
        err_set(&err, ERR_LIMIT, "read a command", "it is longer than %zu bytes",
                PLANE_COMMAND_BYTES_MAX);
    if (r == 0 && run_alone_is(yyjson_doc_get_root(document.doc)))
        return submit_container(invocation, &document, buf_str(&text));
    document_release(&document);
    if (r == 0)
        r = open_to_wait(invocation, LEDGER_CREATE, &told, &plane, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    return submit_text(invocation, plane, buf_str(&text), NULL, invocation->values[SUBMIT_JSON]);
}

/* --- cancel and retry ---------------------------------------------------------------------- */

enum { CANCEL_JSON, CANCEL_FORCED, CANCEL_GRACE, CANCEL_REASON };

static const struct option_row cancel_options[] = {
    [CANCEL_JSON] = { "json", 'j', NULL, "print the outcome as a JSON object" },
    [CANCEL_FORCED] = { "force", 'f', NULL, "end it at once" },
    [CANCEL_GRACE] = { "grace", 'g', "SECONDS", "how long it may take to end by itself" },
    [CANCEL_REASON] = { "reason", 'r', "TEXT", "why, for the record" },
};

static bool read_seconds(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long seconds = strtoll(text, &end, 10);
    if (errno || *end || end == text || seconds < 0 || seconds > SECONDS_MAX)
        return false;
    *ret = seconds;
    return true;
}

static int run_cancel(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf command = BUF_INIT;
    const char *grace = invocation->values[CANCEL_GRACE];
    const char *reason = invocation->values[CANCEL_REASON];
    char urn[PLANE_URN_MAX];
    int64_t seconds = -1;
    struct err err = { 0 };
    if (grace && !read_seconds(grace, &seconds))
        return tell_usage(invocation->path, "--grace takes seconds from 0 to %d", SECONDS_MAX);
    op_urn("workspace-operation", invocation->operands[0], urn);
    int r = op_open(LEDGER_WRITE, &plane, &err);
    if (r == 0)
        r = plane_write_cancel(plane, str_from(urn), invocation->values[CANCEL_FORCED], seconds,
                               str_from(reason ? reason : ""), &command, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    return submit_text(invocation, plane, buf_str(&command), NULL, invocation->values[CANCEL_JSON]);
}

enum { CONTROL_JSON, CONTROL_REASON };

static const struct option_row control_options[] = {
    [CONTROL_JSON] = { "json", 'j', NULL, "print the outcome as a JSON object" },
    [CONTROL_REASON] = { "reason", 'r', "TEXT", "why, for the record" },
};

static int run_control(const struct invocation *invocation, const char *verb)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf command = BUF_INIT;
    const char *reason = invocation->values[CONTROL_REASON];
    char urn[PLANE_URN_MAX];
    struct err err = { 0 };
    op_urn("workspace-operation", invocation->operands[0], urn);
    int r = op_open(LEDGER_WRITE, &plane, &err);
    if (r == 0)
        r = plane_write_control(plane, verb, str_from(urn), str_from(reason ? reason : ""),
                                &command, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    return submit_text(invocation, plane, buf_str(&command), NULL,
                       invocation->values[CONTROL_JSON]);
}

static int run_compensate(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf command = BUF_INIT;
    const char *reason = invocation->values[CONTROL_REASON];
    char urn[PLANE_URN_MAX];
    struct err err = { 0 };
    struct outcome outcome = { 0 };
    size_t steps = 0;
    op_urn("workspace-operation", invocation->operands[0], urn);
    int r = op_open(LEDGER_WRITE, &plane, &err);
    while (r == 0) { /* one artifact after another, until none is left */
        buf_reset(&command);
        r = plane_write_compensate(plane, str_from(urn), str_from(reason ? reason : ""), &command,
                                   &err);
        if (r == 0)
            r = plane_submit(plane, buf_str(&command), NULL, &outcome, &err);
        if (r == 0 && outcome.failure.code && strcmp(outcome.operation, urn) != 0)
            return tell_outcome(&outcome, invocation->values[CONTROL_JSON]);
        steps += r == 0;
    }
    if (steps == 0 || err.code != ERR_CONFLICT)
        return tell_error(invocation, &err);
    return tell_outcome(&outcome, invocation->values[CONTROL_JSON]);
}

static int run_pause(const struct invocation *invocation)
{
    return run_control(invocation, "pause");
}

static int run_resume(const struct invocation *invocation)
{
    return run_control(invocation, "resume");
}

static int run_retry(const struct invocation *invocation)
{
    static const struct plane_asks asks = { .is_checked = true }; /* all of it is the ledger's */
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf command = BUF_INIT;
    char urn[PLANE_URN_MAX], told[PLANE_URN_MAX];
    struct err err = { 0 };
    op_urn("workspace-operation", invocation->operands[0], urn);
    int r = open_to_wait(invocation, LEDGER_WRITE, &told, &plane, &err);
    if (r == 0)
        r = plane_write_retry(plane, str_from(urn), &command, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    return submit_text(invocation, plane, buf_str(&command), &asks,
                       invocation->values[SUBMIT_JSON]);
}

/* --- wait ---------------------------------------------------------------------------------- */

enum { WAIT_JSON, WAIT_TIMEOUT };

#define LOOK_MS 1000 /* a process that died meanwhile is found this soon */

static const struct option_row wait_options[] = {
    [WAIT_JSON] = { "json", 'j', NULL, "print the outcome as a JSON object" },
    [WAIT_TIMEOUT] = { "timeout", 't', "SECONDS", "wait no longer" },
};

static int wait_for_end(struct plane *plane, const char *urn, int64_t until_ms, struct outcome *ret,
                        struct err *err)
{
    for (;;) {
        int64_t size;
        struct recovered recovered;
        int r = ledger_size(plane_ledger(plane), &size, err);
        if (r == 0)
            r = plane_recover(plane, &recovered, err);
        if (r == 0)
            r = plane_outcome(plane, str_from(urn), ret, err);
        if (r < 0 || state_is_end(ret->state))
            return r;
        int64_t left = until_ms - clock_now_ms();
        if (left <= 0)
            return err_set(err, ERR_NOT_FOUND, "wait for an end", "%s is still %s", urn,
                           state_names[ret->state]);
        r = ledger_wait(plane_ledger(plane), size, (int)(left < LOOK_MS ? left : LOOK_MS), err);
        if (r < 0 && r != -ETIMEDOUT)
            return r;
    }
}

static int run_wait(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    const char *timeout = invocation->values[WAIT_TIMEOUT];
    char urn[PLANE_URN_MAX];
    int64_t seconds = SECONDS_MAX;
    struct outcome outcome = { 0 };
    struct err err = { 0 };
    if (timeout && !read_seconds(timeout, &seconds))
        return tell_usage(invocation->path, "--timeout takes seconds from 0 to %d", SECONDS_MAX);
    op_urn("workspace-operation", invocation->operands[0], urn);
    int r = op_open(LEDGER_WRITE, &plane, &err);
    if (r == 0)
        r = wait_for_end(plane, urn, clock_now_ms() + seconds * 1000, &outcome, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    return tell_outcome(&outcome, invocation->values[WAIT_JSON]);
}

/* --- the table ----------------------------------------------------------------------------- */

#define ONE_ID .operands = "ID", .operands_min = 1, .operands_max = 1
#define ID_OR_FILE                                                                                 \
    .operands = "ID|FILE", .operand_kind = OPERAND_FILE, .operands_min = 1, .operands_max = 1

static const struct verb verbs[] = {
    {
        .name = "submit",
        .operands = "FILE",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Give a command to the plane",
        .description =
            "Reads an OperationCommand (JSON or YAML; - is standard input), finds the delegation "
            "that it names, or makes one for exactly this command with the user's key, asks the "
            "gates, sets the budget aside, and carries it out. The same command twice is one "
            "operation.\n\n"
            "Where a layer leaves something to a person, a decision card is queued (`op pending`) "
            "and the operation ends, unless it is to --wait for the answer.\n\n"
            "A container.run whose arguments all stand in its command is carried out as `run "
            "--alone` does: its output is the command's own, and so is its exit status.\n\n"
            "Else the exit status is 0 if the operation completed, 75 if a decision is pending, 77 "
            "if "
            "it was denied, 78 if a budget did not suffice, 65 if the command is invalid.",
        .options = submit_options,
        .option_count = ARRAY_LEN(submit_options),
        .run = run_submit,
    },
    {
        .name = "list",
        .summary = "List the operations",
        .description = "Prints each operation's id, state and type, oldest first.",
        .options = op_list_options,
        .option_count = OP_LIST_OPTION_COUNT,
        .run = run_op_list,
    },
    {
        .name = "show",
        ID_OR_FILE,
        .summary = "Tell the story of one operation",
        .description =
            "Tells an operation on one screen: who let whom, what was asked, what gates and "
            "persons said, how it was launched, what its doors were used for and what they "
            "denied, what it used, changed and left. Of the ledger, or of the file of an export, "
            "of which nothing is verified (`op import`).",
        .options = op_show_options,
        .option_count = OP_SHOW_OPTION_COUNT,
        .run = run_op_show,
    },
    {
        .name = "graph",
        ID_OR_FILE,
        .summary = "Draw one operation",
        .description = "Draws what `op show` tells, as SVG: the same record is the same drawing.",
        .options = op_graph_options,
        .option_count = OP_GRAPH_OPTION_COUNT,
        .run = run_op_graph,
    },
    {
        .name = "export",
        .operands = "ID...",
        .operands_min = 1,
        .operands_max = RECORD_OPERATIONS_MAX,
        .summary = "Write operations with all their documents, to be verified elsewhere",
        .description =
            "Writes an OperationExport: the operations' documents, those that they rest on "
            "(delegations, profiles, grants, bindings), their events with proofs, the ledger's "
            "checkpoint, and a seal by your key over all of it.",
        .options = op_export_options,
        .option_count = OP_EXPORT_OPTION_COUNT,
        .run = run_op_export,
    },
    {
        .name = "import",
        .operands = "FILE",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Verify an export, anywhere",
        .description =
            "Verifies an export with the public key alone, offline: its form, the seal, the "
            "ledger's checkpoint, that each event is in that ledger, that the documents are what "
            "the events bind and tell, the delegations up to the key, and the receipts. Nothing "
            "is written; `op show FILE` tells what it holds.\n\n"
            "The exit status is 0 if all of it holds, 65 if it is no export, 77 if the key has "
            "not sealed it as it is, 1 if it contradicts itself.",
        .options = op_import_options,
        .option_count = OP_IMPORT_OPTION_COUNT,
        .run = run_op_import,
    },
    {
        .name = "events",
        .operands = "[ID]",
        .operands_max = 1,
        .summary = "Print the events of one operation, or all",
        .description = "Prints what happened, in the order in which it was recorded.",
        .options = op_events_options,
        .option_count = OP_EVENTS_OPTION_COUNT,
        .run = run_op_events,
    },
    {
        .name = "cancel",
        ONE_ID,
        .summary = "End a run",
        .description = "Asks a run to end, and ends it by force when the grace period is over.",
        .options = cancel_options,
        .option_count = ARRAY_LEN(cancel_options),
        .run = run_cancel,
    },
    {
        .name = "retry",
        ONE_ID,
        .summary = "Try a failed operation again",
        .description = "Tries an operation again that failed, whose type allows it and whose "
                       "command had an idempotency key. Each wait doubles the one before it.",
        .options = submit_options,
        .option_count = ARRAY_LEN(submit_options),
        .run = run_retry,
    },
    {
        .name = "pause",
        ONE_ID,
        .summary = "Let a run pause",
        .description = "Asks a run to pause: its process learns of it at once. The time that it "
                       "is paused counts.",
        .options = control_options,
        .option_count = ARRAY_LEN(control_options),
        .run = run_pause,
    },
    {
        .name = "resume",
        ONE_ID,
        .summary = "Let a paused run go on",
        .description = "Asks a run that is paused to go on.",
        .options = control_options,
        .option_count = ARRAY_LEN(control_options),
        .run = run_resume,
    },
    {
        .name = "compensate",
        ONE_ID,
        .summary = "Take back what an operation has brought about",
        .description = "Takes the effect of an operation that has ended back, in the way of its "
                       "type: a grant is revoked, a profile archived. What had failed or was "
                       "cancelled becomes compensated; what had completed stays so.",
        .options = control_options,
        .option_count = ARRAY_LEN(control_options),
        .run = run_compensate,
    },
    {
        .name = "pending",
        .summary = "Print the decision cards that wait for an answer",
        .description = "Prints the questions that a layer leaves to a person, with the possible "
                       "answers and what each would mean. With --follow it goes on with each that "
                       "is queued, and prints a card again when it has been answered.",
        .options = op_pending_options,
        .option_count = OP_PENDING_OPTION_COUNT,
        .run = run_op_pending,
    },
    {
        .name = "decide",
        .operands = "[CARD] OPTION",
        .operands_min = 1,
        .operands_max = 2,
        .summary = "Answer a decision card",
        .description =
            "Answers a card with one of its options. An answer that allows is a lease: whoever "
            "asks the same while it lasts is not asked again. Without CARD it is the one that is "
            "pending. To take it back, answer with an "
            "option that denies. No answer lifts what a layer denies.\n\n"
            "With --for-good a host is also let through by a rule in your layer, whose difference "
            "is printed; where a rule of yours would not help, nothing is written or answered.",
        .options = op_decide_options,
        .option_count = OP_DECIDE_OPTION_COUNT,
        .run = run_op_decide,
    },
    {
        .name = "leases",
        .summary = "List the answers that hold",
        .description = "Lists what a person has let through, for what and until when, and how each "
                       "is taken back.",
        .options = op_leases_options,
        .option_count = OP_LEASES_OPTION_COUNT,
        .run = run_op_leases,
    },
    {
        .name = "notify",
        .operands = "CARD",
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Show a decision card on the desktop",
        .description = "Shows the question of a card as a desktop notification. Where nobody sits "
                       "at a run's terminal this is done for each new card.",
        .run = run_op_notify,
    },
    {
        .name = "wait",
        ONE_ID,
        .summary = "Wait until an operation ends",
        .description = "Waits until an operation has ended. The exit status says how, as that of "
                       "`op submit` does; 130 is a cancellation.",
        .options = wait_options,
        .option_count = ARRAY_LEN(wait_options),
        .run = run_wait,
    },
};

const struct verb verb_op = {
    .name = "op",
    .summary = "Work with operations",
    .description = "Operations: every change of durable state, from the command that asked for it "
                   "to its end.",
    .verbs = verbs,
    .verb_count = ARRAY_LEN(verbs),
};
