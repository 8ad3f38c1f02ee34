/*
 * rules_operations: the checks of what was asked for, what ran, and what it
 * left behind.
 *
 * Theory of operation. Commands, events, operations, tasks and the records of
 * a run are written by the plane and bind one another: an event states the
 * digest of the event before it and of the documents written with it, an
 * operation names the delegation, the gates and the card that it went through,
 * and a record's figures add up. A schema has accepted each alone; the checks
 * look at members against one another and, in a set, at what the references
 * lead to. What the set does not have is not judged here:
 * document.references-resolve speaks of that. A set holds the events of one
 * ledger.
 *
 * Limits: integers are at most 2^53 by their schemas. A bundle lists at most
 * 10,000 files, each with at most 200 kinds of redaction, and each kind that
 * the bundle states is looked up in each file.
 */
#include <inttypes.h>

#include "contract/rules_table.h"
#include "contract/vocabulary.h"

/* --- events --------------------------------------------------------------------------------- */

int check_event_chain_links(struct lint *lint, const struct rule *rule,
                            const struct lint_document *document, struct err *err)
{
    uint64_t sequence = count_of(member(document->root, "sequence"));
    const struct lint_document *previous = sequence ? lint_event_at(lint, sequence - 1) : NULL;
    if (!previous)
        return 0;
    return match_digest(lint, rule, document, "/previousDigest", previous->root, previous->name,
                        err);
}

/* The others change while they are in use; an event binds them as they were. */
static bool is_written_once(const char *type)
{
    static const char *const types[] = {
        "OperationCommand",         "OperationContract",    "Delegation",
        "PolicyDecision",           "LocalAgentExecution",  "ToolGrantRecord",
        "ContainerExecutionRecord", "ModelProviderBinding", "AgentMachineDiagnosticBundle",
    };
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

int check_event_document_digest(struct lint *lint, const struct rule *rule,
                                const struct lint_document *document, struct err *err)
{
    size_t index, count;
    yyjson_val *item;
    int r = 0;
    yyjson_arr_foreach(member(document->root, "documents"), index, count, item)
    {
        const struct lint_document *bound =
            lint_resolve(lint, text_of(member(item, "documentRef")));
        if (r == 0 && bound && is_written_once(bound->schema->type))
            r = match_digest(lint, rule, document, pointer_to("/documents/%zu/digest", index).text,
                             bound->root, bound->name, err);
    }
    return r;
}

/* --- commands and their arguments ----------------------------------------------------------- */

int check_parameters_digest(struct lint *lint, const struct rule *rule,
                            const struct lint_document *document, struct err *err)
{
    const yyjson_val *parameters = member(document->root, "parameters");
    if (!parameters || !member(document->root, "parametersDigest"))
        return 0;
    return match_digest(lint, rule, document, "/parametersDigest", parameters, "parameters", err);
}

static void check_arguments(struct lint *lint, const struct rule *rule,
                            const struct lint_document *document, const char *pointer)
{
    const yyjson_val *arguments = at(document->root, pointer);
    uint64_t total = count_of(member(arguments, "count")), next = 0, shown_bytes = 0;
    size_t i, count;
    yyjson_val *safe;
    yyjson_arr_foreach(member(arguments, "safe"), i, count, safe)
    {
        uint64_t index = count_of(member(safe, "index"));
        struct pointer place = pointer_to("%s/safe/%zu/index", pointer, i);
        if (index >= total)
            lint_find(lint, rule, document, place.text,
                      "of %" PRIu64 " arguments, counted from 0, there is no number %" PRIu64
                      "; mend the index or the count",
                      total, index);
        else if (index < next)
            lint_find(lint, rule, document, place.text,
                      "argument %" PRIu64 " comes too late or twice; list each once, in order",
                      index);
        next = index + 1;
        shown_bytes += text_of(member(safe, "text")).len;
    }
    if (shown_bytes > count_of(member(arguments, "lengthBytes")))
        lint_find(lint, rule, document, pointer_to("%s/lengthBytes", pointer).text,
                  "the arguments in the clear alone have %" PRIu64 " bytes; state what all of them "
                  "have together",
                  shown_bytes);
}

int check_safe_argument_index(struct lint *lint, const struct rule *rule,
                              const struct lint_document *document, struct err *err)
{
    static const char *const places[] = { "/arguments", "/command/arguments",
                                          "/parameters/executionStart/arguments",
                                          "/parameters/containerRun/arguments" };
    (void)err;
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        check_arguments(lint, rule, document, places[i]);
    return 0;
}

/* --- operations and tasks ------------------------------------------------------------------- */

/* Whether an operation got as far as running: only then did it need all that permits it. */
static bool has_run(const yyjson_val *operation)
{
    static const bool ran[STATE_COUNT] = {
        [STATE_RUNNING] = true,   [STATE_PAUSED] = true,    [STATE_RETRYING] = true,
        [STATE_CANCELING] = true, [STATE_COMPLETED] = true, [STATE_COMPLETED_WITH_WARNINGS] = true,
    };
    int state = vocabulary_index(state_names, STATE_COUNT, text_of(member(operation, "state")));
    return state >= 0 && ran[state];
}

int check_delegation_covers(struct lint *lint, const struct rule *rule,
                            const struct lint_document *document, struct err *err)
{
    const yyjson_val *operation = document->root;
    const yyjson_val *delegation =
        lint_resolve_as(lint, member(operation, "delegationRef"), "Delegation");
    struct str type = text_of(member(operation, "operationType"));
    struct str subject = text_of(member(operation, "subjectRef"));
    struct str workspace = text_of(member(operation, "workspaceRef"));
    struct str created = text_of(member(operation, "createdAt"));
    struct str begin = text_of(member(delegation, "notBefore"));
    struct str end = text_of(member(delegation, "expiresAt"));
    (void)err;
    if (!delegation || !has_run(operation))
        return 0;
    if (!array_has(member(delegation, "operationTypes"), type))
        lint_find(lint, rule, document, "/operationType",
                  "the delegation does not have %.*s; name one that does", STR_ARG(type));
    if (!str_equal(subject, text_of(member(delegation, "subjectRef"))))
        lint_find(lint, rule, document, "/subjectRef",
                  "the delegation is to %.*s and not to %.*s; name one that the subject holds",
                  STR_ARG(text_of(member(delegation, "subjectRef"))), STR_ARG(subject));
    if (!array_has(at(delegation, "/scope/workspaceRefs"), workspace))
        lint_find(lint, rule, document, "/workspaceRef",
                  "the delegation does not reach %.*s; name one that does", STR_ARG(workspace));
    if (instant_compare(created, begin) < 0 || instant_compare(created, end) >= 0)
        lint_find(lint, rule, document, "/createdAt",
                  "the delegation is in force from %.*s until %.*s; name one in force then",
                  STR_ARG(begin), STR_ARG(end));
    return 0;
}

/* Whether a gate's decision is not in the set, or is one of that gate that allows. */
static bool allows(const struct lint *lint, const yyjson_val *reference, struct str gate)
{
    const yyjson_val *decision = lint_resolve_as(lint, reference, "PolicyDecision");
    if (!lint_resolve(lint, text_of(reference)))
        return true;
    return str_equal(text_of(member(decision, "gate")), gate) &&
           text_is(member(decision, "verdict"), "allow");
}

static bool has_passed(const struct lint *lint, const yyjson_val *operation, struct str gate)
{
    size_t index, count;
    yyjson_val *passed;
    yyjson_arr_foreach(member(operation, "gateDecisions"), index, count, passed)
    {
        if (str_equal(text_of(member(passed, "gate")), gate) &&
            allows(lint, member(passed, "policyDecisionRef"), gate))
            return true;
    }
    return false;
}

int check_gates_passed(struct lint *lint, const struct rule *rule,
                       const struct lint_document *document, struct err *err)
{
    const yyjson_val *contract =
        lint_resolve_as(lint, member(document->root, "contractRef"), "OperationContract");
    size_t index, count;
    yyjson_val *item;
    (void)err;
    if (!has_run(document->root))
        return 0;
    yyjson_arr_foreach(member(contract, "gates"), index, count, item)
    {
        struct str gate = text_of(member(item, "gate"));
        if (text_is(member(item, "when"), "always") && !has_passed(lint, document->root, gate))
            lint_find(lint, rule, document, "/gateDecisions",
                      "the contract always asks %.*s, which has not allowed it; name the decision "
                      "that did",
                      STR_ARG(gate));
    }
    return 0;
}

int check_awaited_card_pending(struct lint *lint, const struct rule *rule,
                               const struct lint_document *document, struct err *err)
{
    const char *pointer = "/pendingDecisionCardRef";
    const yyjson_val *card = lint_resolve_as(lint, at(document->root, pointer), "DecisionCard");
    bool is_task = strcmp(document->schema->type, "OperationTask") == 0;
    struct str operation = text_of(member(document->root, is_task ? "operationRef" : "id"));
    struct str about = text_of(member(card, "operationRef"));
    (void)err;
    if (!card || !text_is(member(document->root, "state"), state_names[STATE_AWAITING_DECISION]))
        return 0;
    if (!text_is(member(card, "state"), "pending"))
        lint_find(lint, rule, document, pointer,
                  "the card is %.*s; go on as it says, or name the card that is pending",
                  STR_ARG(text_of(member(card, "state"))));
    else if (!str_equal(about, operation))
        lint_find(lint, rule, document, pointer,
                  "the card is about %.*s; name the one about this work", STR_ARG(about));
    return 0;
}

/* --- time ----------------------------------------------------------------------------------- */

int check_time_order(struct lint *lint, const struct rule *rule,
                     const struct lint_document *document, struct err *err)
{
    static const struct {
        const char *earlier, *later;
    } orders[] = {
        { "createdAt", "stateChangedAt" },
        { "createdAt", "startedAt" },
        { "startedAt", "endedAt" },
        { "createdAt", "endedAt" }, /* of what never started */
    };
    (void)err;
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        struct str earlier = text_of(member(document->root, orders[i].earlier));
        struct str later = text_of(member(document->root, orders[i].later));
        if (earlier.len && later.len && instant_compare(later, earlier) < 0)
            lint_find(lint, rule, document, pointer_to("/%s", orders[i].later).text,
                      "this is before %s, %.*s; mend the one that is wrong", orders[i].earlier,
                      STR_ARG(earlier));
    }
    return 0;
}

/* --- records -------------------------------------------------------------------------------- */

/* Sum of what a pointer leads to in each item; UINT64_MAX where it is larger. */
static uint64_t sum_of(const yyjson_val *items, const char *pointer)
{
    uint64_t sum = 0;
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach((yyjson_val *)items, index, count, item)
    {
        if (__builtin_add_overflow(sum, count_of(at(item, pointer)), &sum))
            return UINT64_MAX;
    }
    return sum;
}

int check_prompt_egress_sum(struct lint *lint, const struct rule *rule,
                            const struct lint_document *document, struct err *err)
{
    static const char *const figures[] = { "/bytes", "/calls" };
    const yyjson_val *egress = member(document->root, "promptEgress");
    (void)err;
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        uint64_t sum = sum_of(member(egress, "destinations"), figures[i]);
        if (count_of(at(egress, figures[i])) != sum)
            lint_find(lint, rule, document, pointer_to("/promptEgress%s", figures[i]).text,
                      "the destinations have %" PRIu64 " together; state all that left, and to "
                      "whom",
                      sum);
    }
    return 0;
}

int check_storm_adds_up(struct lint *lint, const struct rule *rule,
                        const struct lint_document *document, struct err *err)
{
    const yyjson_val *storm = member(document->root, "storm");
    uint64_t count = count_of(member(storm, "repeatCount")),
             held = count_of(member(storm, "heldCount"));
    struct str first = text_of(member(storm, "firstSeen")),
               last = text_of(member(storm, "lastSeen"));
    (void)err;
    if (held > count)
        lint_find(lint, rule, document, "/storm/heldCount",
                  "there were %" PRIu64 " events; state how many of them were held back", count);
    if (first.len && last.len && instant_compare(last, first) < 0)
        lint_find(lint, rule, document, "/storm/lastSeen",
                  "this is before firstSeen, %.*s; mend the one that is wrong", STR_ARG(first));
    return 0;
}

/* The first kind of redaction that a file has and the whole bundle does not; empty if none. */
static struct str find_unstated_kind(const yyjson_val *files, const yyjson_val *stated)
{
    size_t file_index, file_count, index, count;
    yyjson_val *file, *kind, *times;
    yyjson_arr_foreach((yyjson_val *)files, file_index, file_count, file)
    {
        yyjson_obj_foreach(member(file, "redactions"), index, count, kind, times)
        {
            if (!member(stated, yyjson_get_str(kind)))
                return json_str(kind);
        }
    }
    return STR("");
}

int check_bundle_redaction_sum(struct lint *lint, const struct rule *rule,
                               const struct lint_document *document, struct err *err)
{
    const yyjson_val *files = member(document->root, "files");
    const yyjson_val *stated = member(document->root, "redactions");
    struct str unstated = find_unstated_kind(files, stated);
    size_t index, count;
    yyjson_val *kind, *times;
    (void)err;
    yyjson_obj_foreach((yyjson_val *)stated, index, count, kind, times)
    {
        struct str name = json_str(kind);
        uint64_t sum = sum_of(files, pointer_to("/redactions/%.*s", STR_ARG(name)).text);
        if (count_of(times) != sum)
            lint_find(lint, rule, document, "/redactions",
                      "%.*s stands here %" PRIu64 " times and in the files %" PRIu64
                      " times; state the sum",
                      STR_ARG(name), count_of(times), sum);
    }
    if (unstated.len)
        lint_find(lint, rule, document, "/redactions",
                  "%.*s was removed from a file and does not stand here; state the sum",
                  STR_ARG(unstated));
    return 0;
}

int check_bundle_sorted(struct lint *lint, const struct rule *rule,
                        const struct lint_document *document, struct err *err)
{
    const char *previous = NULL;
    size_t index, count;
    yyjson_val *file;
    (void)err;
    yyjson_arr_foreach(member(document->root, "files"), index, count, file)
    {
        const char *path = yyjson_get_str(member(file, "path")); /* without NUL: see the schema */
        if (previous && strcmp(path, previous) <= 0)
            lint_find(lint, rule, document, pointer_to("/files/%zu/path", index).text,
                      "it stands behind %s; sort the files by path and name each once", previous);
        previous = path;
    }
    return 0;
}

int check_bundle_within_limit(struct lint *lint, const struct rule *rule,
                              const struct lint_document *document, struct err *err)
{
    uint64_t limit = count_of(member(document->root, "maxBytes"));
    (void)err;
    if (count_of(member(document->root, "bundleBytes")) > limit)
        lint_find(lint, rule, document, "/bundleBytes",
                  "the limit is %" PRIu64 " bytes; truncate logs, or ask for a higher limit",
                  limit);
    return 0;
}
