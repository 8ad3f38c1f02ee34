/*
 * op_show: an operation's story on one screen.
 *
 * Theory of operation. A table of chapters, each a function that prints the
 * rows that it has something to say in; what an operation has not is not
 * mentioned. Everything is read from the record, so that an export tells the
 * same as the ledger that it came from.
 */
#include "base/clock.h"
#include "cmd/op_record.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "contract/vocabulary.h"

#define LABEL     13
#define CHAIN_MAX 9

struct story {
    const struct operation_record *record;
    const yyjson_val *operation, *execution, *fingerprint;
};

static const struct str no_document = STR("");

static void row(const char *label, const struct buf *line)
{
    if (line->len)
        op_print_wrapped(label, LABEL, buf_str(line));
}

static void row_text(const char *label, struct str text)
{
    if (text.len)
        op_print_wrapped(label, LABEL, op_short(text));
}

/* The moment of a day, "22:30:16.363": the day stands once, in the first row. */
static struct str hour(struct str moment)
{
    size_t t = str_index(moment, 'T', 0);
    return t < moment.len ? str_make(moment.ptr + t + 1, moment.len - t - 2) : moment;
}

static void add_count(struct buf *line, uint64_t count, const char *what)
{
    buf_addf(line, "%s%llu %s%s", line->len ? ", " : "", (unsigned long long)count, what,
             count == 1 ? "" : "s");
}

static void add_bytes(struct buf *line, uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double size = (double)bytes;
    size_t unit = 0;
    while (size >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        size /= 1024;
        unit++;
    }
    buf_addf(line, unit ? "%.1f %s" : "%.0f %s", size, units[unit]);
}

/* --- chapters ------------------------------------------------------------------------------ */

static void tell_state(const struct story *story)
{
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    struct str began = text_of(member(story->operation, "startedAt"));
    struct str ended = text_of(member(story->operation, "endedAt"));
    row_text("operation", text_of(member(story->operation, "id")));
    row_text("type", text_of(member(story->operation, "operationType")));
    buf_addf(&line, "%.*s; asked %.*s", STR_ARG(text_of(member(story->operation, "state"))),
             STR_ARG(text_of(member(story->operation, "createdAt"))));
    if (began.len)
        buf_addf(&line, ", began %.*s", STR_ARG(hour(began)));
    if (ended.len)
        buf_addf(&line, ", ended %.*s", STR_ARG(hour(ended)));
    row("state", &line);
}

static void tell_command(const struct story *story)
{
    _cleanup_(buf_release) struct buf line = BUF_INIT, what = BUF_INIT;
    const struct record_document *command =
        record_find(story->record, text_of(member(story->operation, "commandRef")));
    if (!command)
        return;
    op_describe_run(command->root, &what);
    row("runs", &what);
    buf_addf(&line, "%.*s", STR_ARG(op_short(text_of(member(command->root, "actorRef")))));
    buf_addf(&line, ", by %.*s, in %.*s", STR_ARG(text_of(member(command->root, "surface"))),
             STR_ARG(op_short(text_of(member(story->operation, "workspaceRef")))));
    row("asked by", &line);
    row_text("because", text_of(member(command->root, "reason")));
    row_text("key", text_of(member(story->operation, "idempotencyKey")));
}

/* Who let whom, from the user down. */
static void tell_delegation(const struct story *story)
{
    const yyjson_val *chain[CHAIN_MAX];
    size_t count = op_record_chain(story->record, story->operation, chain, CHAIN_MAX);
    for (size_t i = count; i-- > 0;) {
        _cleanup_(buf_release) struct buf line = BUF_INIT;
        buf_addf(&line, "%.*s lets %.*s until %.*s (%.*s)",
                 STR_ARG(op_short(text_of(member(chain[i], "issuerRef")))),
                 STR_ARG(op_short(text_of(member(chain[i], "subjectRef")))),
                 STR_ARG(text_of(member(chain[i], "expiresAt"))),
                 STR_ARG(op_short(text_of(member(chain[i], "id")))));
        row(i + 1 == count ? "delegation" : "", &line);
    }
    if (count == 0)
        row_text("delegation", text_of(member(story->operation, "delegationRef")));
}

static bool is_of(const struct record_document *document, const char *type,
                  const struct story *story)
{
    return str_equal(document->type, str_from(type)) &&
           str_equal(text_of(member(document->root, "operationRef")),
                     text_of(member(story->operation, "id")));
}

static bool is_door_denial(const struct story *story, struct str decision)
{
    return array_has_member(member(story->execution, "denials"), "policyDecisionRef", decision);
}

static struct str name_of(const yyjson_val *resource)
{
    struct str name = text_of(member(resource, "name"));
    return op_short(name.len ? name : text_of(member(resource, "nameDigest")));
}

static void add_decider(struct buf *line, const yyjson_val *decision)
{
    struct str document = text_of(at(decision, "/decidedBy/documentRef"));
    buf_addf(line, "%.*s of the %.*s layer", STR_ARG(text_of(at(decision, "/decidedBy/ruleId"))),
             STR_ARG(text_of(at(decision, "/decidedBy/layer"))));
    if (document.len)
        buf_addf(line, ", %.*s", STR_ARG(op_short(document)));
}

/* What was asked of the gates, the doors' denials aside. */
static void tell_gates(const struct story *story)
{
    const char *label = "gates";
    for (size_t i = 0; i < story->record->document_count; i++) {
        const struct record_document *document = &story->record->documents[i];
        _cleanup_(buf_release) struct buf line = BUF_INIT;
        if (!is_of(document, "PolicyDecision", story) || is_door_denial(story, document->id))
            continue;
        buf_addf(&line, "%.*s %.*s %.*s: ", STR_ARG(text_of(member(document->root, "verdict"))),
                 STR_ARG(text_of(member(document->root, "gate"))),
                 STR_ARG(name_of(member(document->root, "resource"))));
        add_decider(&line, document->root);
        row(label, &line);
        label = "";
    }
}

static void tell_launch(const struct story *story)
{
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    size_t escaped = 0, contained = 0, index, count;
    yyjson_val *probe, *probes = member(story->fingerprint, "probes");
    if (!story->fingerprint || !probes)
        return;
    yyjson_arr_foreach(probes, index, count, probe)
    {
        contained += text_is(member(probe, "outcome"), "contained");
        escaped += text_is(member(probe, "outcome"), "escaped");
    }
    buf_addf(&line, "tier %.*s", STR_ARG(text_of(at(story->fingerprint, "/isolation/tier"))));
    if (text_of(at(story->fingerprint, "/isolation/minimumTier")).len)
        buf_addf(&line, " (at least %.*s)",
                 STR_ARG(text_of(at(story->fingerprint, "/isolation/minimumTier"))));
    buf_addf(&line, "; %zu probes contained, %zu escaped; profile %.*s", contained, escaped,
             STR_ARG(op_short(text_of(member(story->fingerprint, "profileRef")))));
    row("launch", &line);
    buf_reset(&line);
    if (!story->execution)
        return;
    buf_addf(&line, "%.*s", STR_ARG(text_of(at(story->execution, "/exit/reason"))));
    if (at(story->execution, "/exit/status"))
        buf_addf(&line, " with status %lld",
                 (long long)yyjson_get_sint(at(story->execution, "/exit/status")));
    buf_addf(&line, " at %.*s", STR_ARG(hour(text_of(member(story->execution, "endedAt")))));
    row("exit", &line);
}

static void tell_doors(const struct story *story)
{
    _cleanup_(buf_release) struct buf network = BUF_INIT, models = BUF_INIT;
    const yyjson_val *used = member(story->execution, "network");
    const yyjson_val *egress = member(story->execution, "promptEgress");
    uint64_t calls = count_of(at(story->execution, "/usage/modelCalls"));
    if (used && count_of(member(used, "flows"))) {
        add_count(&network, count_of(member(used, "flows")), "connection");
        add_count(&network, count_of(member(used, "destinations")), "destination");
        buf_add_text(&network, "; sent ");
        add_bytes(&network, count_of(member(used, "bytesSent")));
        buf_add_text(&network, ", received ");
        add_bytes(&network, count_of(member(used, "bytesReceived")));
    } else if (used) {
        buf_add_text(&network, "nothing was connected to");
    }
    row("network", &network);
    if (!calls && !count_of(member(egress, "calls")))
        return;
    add_count(&models, calls, "call");
    add_count(&models, count_of(at(story->execution, "/usage/tokens")), "token");
    buf_add_text(&models, "; of prompts ");
    add_bytes(&models, count_of(member(egress, "bytes")));
    buf_add_text(&models, " left");
    row("models", &models);
}

static void tell_denials(const struct story *story)
{
    yyjson_val *denials = member(story->execution, "denials"), *denial;
    size_t index, count;
    if (!denials)
        return;
    yyjson_arr_foreach(denials, index, count, denial)
    {
        _cleanup_(buf_release) struct buf line = BUF_INIT;
        const struct record_document *decision =
            record_find(story->record, text_of(member(denial, "policyDecisionRef")));
        uint64_t times = count_of(at(denial, "/uses/count"));
        buf_addf(&line, "%.*s, ",
                 STR_ARG(decision ? name_of(member(decision->root, "resource")) : no_document));
        buf_addf(&line, "%llu time%s, %.*s", (unsigned long long)times, times == 1 ? "" : "s",
                 STR_ARG(hour(text_of(at(denial, "/uses/firstAt")))));
        if (times > 1)
            buf_addf(&line, " to %.*s", STR_ARG(hour(text_of(at(denial, "/uses/lastAt")))));
        if (decision) {
            buf_add_text(&line, ": ");
            add_decider(&line, decision->root);
        }
        row(index ? "" : "denied", &line);
    }
}

static void tell_budget(const struct story *story)
{
    const struct record_document *budget =
        record_find(story->record, text_of(member(story->operation, "budgetRef")));
    const char *label = "budget";
    for (size_t i = 0; budget && i < DIMENSION_COUNT; i++) {
        _cleanup_(buf_release) struct buf line = BUF_INIT;
        const yyjson_val *entry = member(member(budget->root, "dimensions"), dimension_names[i]);
        bool bytes = i == DIMENSION_LOCAL_DISK_BYTES || i == DIMENSION_SANDBOX_MEMORY_BYTES;
        uint64_t used = count_of(member(entry, "used"));
        if (!entry || (!used && !count_of(member(entry, "reserved"))))
            continue;
        buf_addf(&line, "%s ", dimension_names[i]);
        if (bytes)
            add_bytes(&line, used);
        else
            buf_addf(&line, "%llu", (unsigned long long)used);
        buf_add_text(&line, " of ");
        if (bytes)
            add_bytes(&line, count_of(member(entry, "limit")));
        else
            buf_addf(&line, "%llu", (unsigned long long)count_of(member(entry, "limit")));
        row(label, &line);
        label = "";
    }
}

/* Where a change set has come to: the last event that moved it says. */
static struct str admission_of(const struct story *story, struct str artifact)
{
    struct str to = no_document;
    for (size_t i = 0; i < story->record->event_count; i++) {
        const yyjson_val *admission = member(story->record->events[i].root, "admission");
        if (admission && str_equal(text_of(member(admission, "artifactRef")), artifact))
            to = text_of(member(admission, "to"));
    }
    return to;
}

static void tell_changes(const struct story *story)
{
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    const yyjson_val *changes = member(story->execution, "changeSet");
    if (!changes)
        return;
    buf_addf(&line, "%llu added, %llu modified, %llu deleted, %llu held apart: %.*s",
             (unsigned long long)count_of(member(changes, "added")),
             (unsigned long long)count_of(member(changes, "modified")),
             (unsigned long long)count_of(member(changes, "deleted")),
             (unsigned long long)count_of(member(changes, "heldApart")),
             STR_ARG(admission_of(story, text_of(member(changes, "changeSetRef")))));
    row("changes", &line);
}

static void tell_cards(const struct story *story)
{
    const char *label = "decisions";
    for (size_t i = 0; i < story->record->document_count; i++) {
        const struct record_document *document = &story->record->documents[i];
        const yyjson_val *answer = member(document->root, "answer");
        _cleanup_(buf_release) struct buf line = BUF_INIT;
        if (!is_of(document, "DecisionCard", story))
            continue;
        buf_addf(&line, "%.*s", STR_ARG(text_of(member(document->root, "question"))));
        if (answer)
            buf_addf(&line, " %.*s, by %.*s", STR_ARG(text_of(member(answer, "optionId"))),
                     STR_ARG(op_short(text_of(member(answer, "answeredByRef")))));
        else
            buf_addf(&line, " (%.*s)", STR_ARG(text_of(member(document->root, "state"))));
        if (text_of(at(answer, "/lease/expiresAt")).len)
            buf_addf(&line, ", until %.*s", STR_ARG(text_of(at(answer, "/lease/expiresAt"))));
        if (text_of(member(answer, "reason")).len)
            buf_addf(&line, ": %.*s", STR_ARG(text_of(member(answer, "reason"))));
        if (at(answer, "/lease/revokedAt"))
            buf_add_text(&line, " (taken back)");
        row(label, &line);
        label = "";
    }
}

static void tell_artifacts(const struct story *story)
{
    yyjson_val *artifacts = member(story->operation, "artifacts"), *artifact;
    size_t index, count;
    if (artifacts) {
        yyjson_arr_foreach(artifacts, index, count, artifact)
        {
            row_text(index ? "" : "artifacts", text_of(member(artifact, "artifactRef")));
        }
    }
    row_text("receipt", text_of(member(story->operation, "receiptRef")));
}

/* Why it waits, or has failed, and what is next. */
static void tell_end(const struct story *story)
{
    static const struct {
        const char *label, *pointer;
    } rows[] = {
        { "blocked", "/blocked/reason" },
        { "by", "/blocked/responsibleActorRef" },
        { "", "/blocked/remediation" },
        { "awaits", "/pendingDecisionCardRef" },
        { "compensated", "/compensatedByRef" },
        { "warning", "/warnings/0" },
        { "failure", "/failure/code" },
        { "", "/failure/message" },
        { "denied by", "/failure/denial/layer" },
        { "rule", "/failure/denial/ruleId" },
        { "to change", "/failure/denial/smallestChange" },
        { "ceiling", "/failure/exhaustion/dimension" },
        { "of", "/failure/exhaustion/budgetRef" },
        { "next", "/failure/remediation" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        row_text(rows[i].label, text_of(at(story->operation, rows[i].pointer)));
}

static void tell_events(const struct story *story)
{
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    size_t count = 0;
    int64_t first = 0, last = 0;
    for (size_t i = 0; i < story->record->event_count; i++) {
        const struct record_event *event = &story->record->events[i];
        if (!str_equal(text_of(member(event->root, "operationRef")),
                       text_of(member(story->operation, "id"))))
            continue;
        first = count++ ? first : event->sequence;
        last = event->sequence;
    }
    buf_addf(&line, "%zu, from %lld to %lld of the ledger", count, (long long)first,
             (long long)last);
    row("events", &line);
}

static void tell_story(const struct operation_record *record, const yyjson_val *operation)
{
    static void (*const chapters[])(const struct story *) = {
        tell_state,     tell_command, tell_delegation, tell_gates,   tell_launch,
        tell_doors,     tell_denials, tell_budget,     tell_changes, tell_cards,
        tell_artifacts, tell_end,     tell_events,
    };
    struct str id = text_of(member(operation, "id"));
    struct story story = { record, operation, op_record_execution(record, id),
                           record_of(record, "AgentMachineFingerprint", id) };
    for (size_t i = 0; i < ARRAY_LEN(chapters); i++)
        chapters[i](&story);
}

/* --- the verb ------------------------------------------------------------------------------ */

const struct option_row op_show_options[OP_SHOW_OPTION_COUNT] = {
    { "json", 'j', NULL, "print the document" },
};

int run_op_show(const struct invocation *invocation)
{
    _cleanup_(cleanup_record) struct operation_record record = { 0 };
    struct err err = { 0 };
    if (op_record_read(invocation->operands[0], &record, &err) < 0)
        return tell_error(invocation, &err);
    for (size_t i = 0; i < record.operation_count; i++) {
        const yyjson_val *operation = record_find(&record, record.operations[i])->root;
        _cleanup_(buf_release) struct buf out = BUF_INIT;
        if (!invocation->values[0]) {
            if (i)
                putchar('\n');
            tell_story(&record, operation);
            continue;
        }
        json_add_value(&out, operation, 2);
        puts(out.data);
    }
    return EXIT_OK;
}
