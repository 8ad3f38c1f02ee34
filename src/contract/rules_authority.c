/*
 * rules_authority: the checks of what the authority family states.
 *
 * Theory of operation. These documents are observations: what a component
 * needs, what it was given, what failed how often, which layer of a network
 * works, which records of a registry hold, what a boot phase holds back. A
 * schema has accepted each alone; the checks ask whether its members bear one
 * another out and, in a set, whether it agrees with the CapabilityContract or
 * the storm that it refers to. What the set does not have is not judged here:
 * document.references-resolve speaks of that.
 *
 * Limits: lists that are compared item by item have at most 1,000 items by
 * their schemas; the longer ones of registries and boot phases go through a
 * map. A boot phase asks the documents of the set once for each component.
 */
#include "base/buf.h"
#include "base/map.h"
#include "contract/number.h"
#include "contract/rules_table.h"

#define STEP            "lint"
#define NAMES_SHOWN_MAX 1024 /* bytes of a list of names in a message */

/* --- capabilities --------------------------------------------------------------------------- */

/* The contract that a grant state answers; NULL where the set does not have it. */
static const yyjson_val *contract_of(const struct lint *lint, const struct lint_document *document)
{
    return lint_resolve_as(lint, member(document->root, "contractRef"), "CapabilityContract");
}

static void add_name(struct buf *names, struct str name)
{
    buf_addf(names, "%s%.*s", names->len ? ", " : "", STR_ARG(name));
}

int check_capability_declared_once(struct lint *lint, const struct rule *rule,
                                   const struct lint_document *document, struct err *err)
{
    static const char *const use[] = { "capability", "requiredFor" };
    const yyjson_val *declared = member(document->root, "declaredCapabilities");
    size_t index, count;
    yyjson_val *item;
    (void)err;
    yyjson_arr_foreach((yyjson_val *)declared, index, count, item)
    {
        if (stands_earlier(declared, item, use, ARRAY_LEN(use)))
            lint_find(lint, rule, document, pointer_to("/declaredCapabilities/%zu", index).text,
                      "this use of %.*s is declared already; leave one of the two out",
                      STR_ARG(text_of(member(item, "capability"))));
    }
    return 0;
}

int check_capability_decided_once(struct lint *lint, const struct rule *rule,
                                  const struct lint_document *document, struct err *err)
{
    static const char *const question[] = { "capability", "requestedOperation", "subjectRef",
                                            "objectRef" };
    const yyjson_val *states = member(document->root, "capabilityStates");
    size_t index, count;
    yyjson_val *item;
    (void)err;
    yyjson_arr_foreach((yyjson_val *)states, index, count, item)
    {
        if (stands_earlier(states, item, question, ARRAY_LEN(question)))
            lint_find(lint, rule, document, pointer_to("/capabilityStates/%zu", index).text,
                      "%.*s is decided already for this operation, subject and object; keep the "
                      "decision that holds",
                      STR_ARG(text_of(member(item, "capability"))));
    }
    return 0;
}

int check_denial_is_explained(struct lint *lint, const struct rule *rule,
                              const struct lint_document *document, struct err *err)
{
    static const char *const explanation[] = { "grantSource", "userVisibleImpact",
                                               "remediationHint" };
    size_t index, count;
    yyjson_val *item;
    (void)err;
    yyjson_arr_foreach(member(document->root, "capabilityStates"), index, count, item)
    {
        struct buf missing = BUF_INIT_LIMIT(NAMES_SHOWN_MAX);
        for (size_t i = 0; i < ARRAY_LEN(explanation); i++) {
            if (!member(item, explanation[i]))
                add_name(&missing, str_from(explanation[i]));
        }
        if (text_is(member(item, "decision"), "denied") && missing.len)
            lint_find(lint, rule, document, pointer_to("/capabilityStates/%zu", index).text,
                      "%.*s is denied without saying why; add %s",
                      STR_ARG(text_of(member(item, "capability"))), missing.data);
        buf_release(&missing);
    }
    return 0;
}

int check_grant_covers_contract(struct lint *lint, const struct rule *rule,
                                const struct lint_document *document, struct err *err)
{
    static const char *const name[] = { "capability" };
    const yyjson_val *declared = member(contract_of(lint, document), "declaredCapabilities");
    const yyjson_val *states = member(document->root, "capabilityStates");
    struct buf missing = BUF_INIT_LIMIT(NAMES_SHOWN_MAX);
    size_t index, count;
    yyjson_val *item;
    (void)err;
    yyjson_arr_foreach((yyjson_val *)declared, index, count, item)
    {
        struct str capability = text_of(member(item, "capability"));
        if (!stands_earlier(declared, item, name, 1) &&
            !array_has_member(states, "capability", capability))
            add_name(&missing, capability);
    }
    if (missing.len)
        lint_find(lint, rule, document, "/capabilityStates",
                  "the contract declares %s, and no state here answers for it; add one, if need "
                  "be with the decision unknown",
                  missing.data);
    buf_release(&missing);
    return 0;
}

int check_fallback_broker_is_declared(struct lint *lint, const struct rule *rule,
                                      const struct lint_document *document, struct err *err)
{
    const yyjson_val *contract = contract_of(lint, document);
    size_t index, count;
    yyjson_val *item;
    (void)err;
    if (!contract)
        return 0;
    yyjson_arr_foreach(member(document->root, "capabilityStates"), index, count, item)
    {
        const yyjson_val *fallback = member(item, "fallback");
        bool is_broker = fallback && !text_is(fallback, "degraded") &&
                         !text_is(fallback, "unavailable") && !text_is(fallback, "skip");
        if (is_broker && !array_has(member(contract, "requiredBrokers"), text_of(fallback)))
            lint_find(lint, rule, document,
                      pointer_to("/capabilityStates/%zu/fallback", index).text,
                      "the contract does not require the broker %.*s; add it to requiredBrokers "
                      "there",
                      STR_ARG(text_of(fallback)));
    }
    return 0;
}

int check_no_ambient_grant_for_agents(struct lint *lint, const struct rule *rule,
                                      const struct lint_document *document, struct err *err)
{
    size_t index, count;
    yyjson_val *item;
    (void)err;
    if (!text_is(member(contract_of(lint, document), "componentKind"), "agent"))
        return 0;
    yyjson_arr_foreach(member(document->root, "capabilityStates"), index, count, item)
    {
        const yyjson_val *decision = member(item, "decision");
        if (text_is(member(item, "grantSource"), "ambient-host") &&
            (text_is(decision, "granted") || text_is(decision, "degraded")))
            lint_find(lint, rule, document,
                      pointer_to("/capabilityStates/%zu/grantSource", index).text,
                      "an agent has %.*s only because every program here has it; let policy, "
                      "consent or a broker grant it",
                      STR_ARG(text_of(member(item, "capability"))));
    }
    return 0;
}

/* --- storms --------------------------------------------------------------------------------- */

/* <0, 0, >0 as repeatCount is below, at or above a number of events. */
static int compare_count(const struct lint_document *document, uint64_t events)
{
    yyjson_val number = { 0 };
    unsafe_yyjson_set_uint(&number, events);
    return number_compare(member(document->root, "repeatCount"), &number);
}

int check_storm_window(struct lint *lint, const struct rule *rule,
                       const struct lint_document *document, struct err *err)
{
    struct str first = text_of(member(document->root, "firstSeen"));
    struct str last = text_of(member(document->root, "lastSeen"));
    int order = instant_compare(last, first);
    (void)err;
    if (order < 0)
        lint_find(lint, rule, document, "/lastSeen",
                  "the last event is before the first, at %.*s; correct one of the two",
                  STR_ARG(first));
    else if (order > 0 && compare_count(document, 1) == 0)
        lint_find(lint, rule, document, "/lastSeen",
                  "a single event cannot be first seen at %.*s and last seen later; give it one "
                  "time or count all events",
                  STR_ARG(first));
    return 0;
}

int check_storm_samples_within(struct lint *lint, const struct rule *rule,
                               const struct lint_document *document, struct err *err)
{
    struct str first = text_of(member(document->root, "firstSeen"));
    struct str last = text_of(member(document->root, "lastSeen"));
    size_t index, count;
    yyjson_val *item;
    (void)err;
    if (instant_compare(last, first) < 0)
        return 0;
    yyjson_arr_foreach(member(document->root, "sampleEvents"), index, count, item)
    {
        const yyjson_val *seen = member(item, "observedAt");
        if (compare_count(document, index) == 0)
            lint_find(lint, rule, document, pointer_to("/sampleEvents/%zu", index).text,
                      "repeatCount is %zu, and there are %zu samples; count the events again",
                      index, count);
        if (seen &&
            (instant_compare(text_of(seen), first) < 0 || instant_compare(text_of(seen), last) > 0))
            lint_find(lint, rule, document, pointer_to("/sampleEvents/%zu/observedAt", index).text,
                      "this sample is not between %.*s and %.*s; leave it out or widen the storm",
                      STR_ARG(first), STR_ARG(last));
    }
    return 0;
}

int check_cause_is_earlier(struct lint *lint, const struct rule *rule,
                           const struct lint_document *document, struct err *err)
{
    const yyjson_val *cause_ref = member(document->root, "causalParentRef");
    const yyjson_val *cause = lint_resolve_as(lint, cause_ref, "DiagnosticStormRecord");
    (void)err;
    if (cause_ref && str_equal(text_of(cause_ref), document->id))
        lint_find(lint, rule, document, "/causalParentRef",
                  "a storm is not its own cause; name what brought it about, or null");
    else if (cause && instant_compare(text_of(member(cause, "firstSeen")),
                                      text_of(member(document->root, "firstSeen"))) > 0)
        lint_find(lint, rule, document, "/causalParentRef",
                  "the storm named as the cause began later, at %.*s; name an earlier cause, or "
                  "null",
                  STR_ARG(text_of(member(cause, "firstSeen"))));
    return 0;
}

/* --- networks ------------------------------------------------------------------------------- */

int check_network_layers_agree(struct lint *lint, const struct rule *rule,
                               const struct lint_document *document, struct err *err)
{
    static const struct {
        const char *upper, *upper_state, *lower, *lower_state;
    } contradictions[] = {
        { "associationState", "associating", "radioState", "off" },
        { "associationState", "associated", "radioState", "off" },
        { "associationState", "unstable", "radioState", "off" },
        { "internetReachability", "reachable", "routeState", "no-route" },
        { "internetReachability", "reachable", "routeState", "route-failed" },
        { "internetReachability", "reachable", "captivePortalState", "detected" },
        { "internetReachability", "reachable", "captivePortalState", "credential-missing" },
    };
    const char *reported = NULL;
    (void)err;
    if (member(document->root, "userVisibleSummary"))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(contradictions); i++) {
        const char *upper = contradictions[i].upper, *lower = contradictions[i].lower;
        if (!text_is(member(document->root, upper), contradictions[i].upper_state) ||
            !text_is(member(document->root, lower), contradictions[i].lower_state) ||
            (reported && strcmp(reported, upper) == 0))
            continue;
        lint_find(lint, rule, document, pointer_to("/%s", upper).text,
                  "%s contradicts %s, which is %s; say in userVisibleSummary how both can be",
                  contradictions[i].upper_state, lower, contradictions[i].lower_state);
        reported = upper;
    }
    return 0;
}

/* --- registries ----------------------------------------------------------------------------- */

enum record_state { PRESENT, MISSING, INVALID, STALE, QUARANTINED, UNKNOWN, RECORD_STATE_COUNT };

static const char *const record_states[] = {
    [PRESENT] = "present", [MISSING] = "missing",         [INVALID] = "invalid",
    [STALE] = "stale",     [QUARANTINED] = "quarantined", [UNKNOWN] = "unknown",
};
static_assert(ARRAY_LEN(record_states) == RECORD_STATE_COUNT, "every state has its name");

static const char *const record_lists[] = { "extensionRecords", "brokerRecords",
                                            "registryRecords" };

/* RECORD_STATE_COUNT where the text names no state. */
static enum record_state record_state_of(const yyjson_val *text)
{
    enum record_state state = PRESENT;
    while (state < RECORD_STATE_COUNT && !text_is(text, record_states[state]))
        state++;
    return state;
}

/* The states of the receipt and of all records, as bits. An absent manifest is missing too. */
static unsigned states_on_record(const yyjson_val *root)
{
    unsigned states = 1u << record_state_of(member(root, "receiptState"));
    size_t index, count;
    yyjson_val *item;
    if (yyjson_is_null(member(root, "manifestDigest")))
        states |= 1u << MISSING;
    for (size_t i = 0; i < ARRAY_LEN(record_lists); i++) {
        yyjson_arr_foreach(member(root, record_lists[i]), index, count, item)
        {
            states |= 1u << record_state_of(member(item, "state"));
        }
    }
    return states;
}

int check_registry_verdict_has_cause(struct lint *lint, const struct rule *rule,
                                     const struct lint_document *document, struct err *err)
{
    const yyjson_val *verdict = member(document->root, "verificationVerdict");
    unsigned states = states_on_record(document->root);
    (void)err;
    if (text_is(verdict, "valid")) /* its schema sees to that */
        return 0;
    if (text_is(verdict, "degraded")) {
        if (states == 1u << PRESENT)
            lint_find(lint, rule, document, "/verificationVerdict",
                      "the verdict is degraded although everything is present; say valid, or "
                      "record what is not as it should be");
    } else if (!(states & 1u << record_state_of(verdict))) {
        lint_find(lint, rule, document, "/verificationVerdict",
                  "the verdict is %.*s although nothing on record is; add the record that is, or "
                  "change the verdict",
                  STR_ARG(text_of(verdict)));
    }
    return 0;
}

/* Whether the registry has receipts and yet none in the state that the document says. */
static bool receipt_disagrees(const yyjson_val *root)
{
    struct str stated = text_of(member(root, "receiptState"));
    bool has_receipt = false;
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(member(root, "registryRecords"), index, count, item)
    {
        if (!text_is(member(item, "recordKind"), "receipt"))
            continue;
        if (str_equal(text_of(member(item, "state")), stated))
            return false;
        has_receipt = true;
    }
    return has_receipt;
}

int check_registry_records_agree(struct lint *lint, const struct rule *rule,
                                 const struct lint_document *document, struct err *err)
{
    struct map states = MAP_INIT; /* by recordRef, as first named */
    size_t index, count;
    yyjson_val *item;
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(record_lists); i++) {
        yyjson_arr_foreach(member(document->root, record_lists[i]), index, count, item)
        {
            struct str ref = text_of(member(item, "recordRef"));
            uint32_t state = record_state_of(member(item, "state")), first = state;
            if (!map_get(&states, ref, &first) && map_put(&states, ref, state) < 0)
                r = err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
            if (first != state)
                lint_find(lint, rule, document,
                          pointer_to("/%s/%zu/state", record_lists[i], index).text,
                          "%.*s is %s here and %s further up; keep the state it has", STR_ARG(ref),
                          record_states[state], record_states[first]);
        }
    }
    map_release(&states);
    if (receipt_disagrees(document->root))
        lint_find(lint, rule, document, "/receiptState",
                  "no receipt in registryRecords is %.*s; let both say the same",
                  STR_ARG(text_of(member(document->root, "receiptState"))));
    return r;
}

/* --- boot phases ---------------------------------------------------------------------------- */

/* Whether a boot passes `a` after `b`; the degraded and recovery sessions stand aside. */
static bool phase_is_later(const yyjson_val *a, const yyjson_val *b)
{
    static const char *const line[] = { "sealed-boot", "pre-login", "post-login-locked",
                                        "unlocked-user-session" };
    size_t of_a = 0, of_b = 0;
    while (of_a < ARRAY_LEN(line) && !text_is(a, line[of_a]))
        of_a++;
    while (of_b < ARRAY_LEN(line) && !text_is(b, line[of_b]))
        of_b++;
    return of_a < ARRAY_LEN(line) && of_a > of_b;
}

static bool is_held_back(const yyjson_val *blocked)
{
    const yyjson_val *state = member(blocked, "state");
    return text_is(state, "blocked") || text_is(state, "deferred");
}

int check_phase_block_is_later(struct lint *lint, const struct rule *rule,
                               const struct lint_document *document, struct err *err)
{
    const yyjson_val *phase = member(document->root, "phase");
    size_t index, count;
    yyjson_val *item;
    (void)err;
    yyjson_arr_foreach(member(document->root, "blockedComponents"), index, count, item)
    {
        const yyjson_val *required = member(item, "requiredPhase");
        if (is_held_back(item) &&
            (str_equal(text_of(required), text_of(phase)) || phase_is_later(phase, required)))
            lint_find(lint, rule, document,
                      pointer_to("/blockedComponents/%zu/requiredPhase", index).text,
                      "%.*s waits for %.*s, which the boot has reached; allow it, or say "
                      "quarantined where something else holds it",
                      STR_ARG(text_of(member(item, "componentRef"))), STR_ARG(text_of(required)));
    }
    return 0;
}

int check_component_blocked_or_allowed(struct lint *lint, const struct rule *rule,
                                       const struct lint_document *document, struct err *err)
{
    static const char *const lists[] = { "blockedComponents", "allowedComponents" };
    struct map lists_by_component = MAP_INIT;
    size_t index, count;
    yyjson_val *item;
    int r = 0;
    for (uint32_t i = 0; i < ARRAY_LEN(lists); i++) {
        yyjson_arr_foreach(member(document->root, lists[i]), index, count, item)
        {
            struct str component = text_of(member(item, "componentRef"));
            uint32_t first;
            if (map_get(&lists_by_component, component, &first))
                lint_find(lint, rule, document,
                          pointer_to("/%s/%zu/componentRef", lists[i], index).text,
                          "%.*s stands in %s already; keep the entry that holds",
                          STR_ARG(component), lists[first]);
            else if (map_put(&lists_by_component, component, i) < 0)
                r = err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
        }
    }
    map_release(&lists_by_component);
    return r;
}

int check_block_has_hint(struct lint *lint, const struct rule *rule,
                         const struct lint_document *document, struct err *err)
{
    size_t index, count;
    yyjson_val *item;
    (void)err;
    yyjson_arr_foreach(member(document->root, "blockedComponents"), index, count, item)
    {
        const yyjson_val *state = member(item, "state");
        if ((text_is(state, "blocked") || text_is(state, "quarantined")) &&
            !member(item, "remediationHint"))
            lint_find(lint, rule, document, pointer_to("/blockedComponents/%zu", index).text,
                      "%.*s is %.*s and nobody is told what to do; add remediationHint",
                      STR_ARG(text_of(member(item, "componentRef"))), STR_ARG(text_of(state)));
    }
    return 0;
}

/* What the contracts of one component say of a phase. */
struct gate {
    const yyjson_val *minimum; /* the phase that one of them requires; NULL without contracts */
    const yyjson_val *later;   /* one that they require and that comes later */
    bool names_phase;          /* one of them requires this very phase */
};

static struct gate gate_of(const struct lint *lint, const yyjson_val *component,
                           const yyjson_val *phase)
{
    struct gate gate = { 0 };
    for (size_t i = 0; i < lint_document_count(lint); i++) {
        const struct lint_document *contract = lint_document_at(lint, i);
        if (strcmp(contract->schema->type, "CapabilityContract") != 0 ||
            !str_equal(text_of(member(contract->root, "componentRef")), text_of(component)))
            continue;
        const yyjson_val *minimum = member(contract->root, "minimumBootPhase");
        gate.minimum = minimum;
        gate.names_phase = gate.names_phase || str_equal(text_of(minimum), text_of(phase));
        if (phase_is_later(minimum, phase))
            gate.later = minimum;
    }
    return gate;
}

int check_phase_gate_follows_contract(struct lint *lint, const struct rule *rule,
                                      const struct lint_document *document, struct err *err)
{
    const yyjson_val *phase = member(document->root, "phase");
    size_t index, count;
    yyjson_val *item;
    (void)err;
    yyjson_arr_foreach(member(document->root, "allowedComponents"), index, count, item)
    {
        const yyjson_val *component = member(item, "componentRef");
        struct gate gate = gate_of(lint, component, phase);
        if (gate.later && !text_is(member(item, "state"), "unknown"))
            lint_find(lint, rule, document,
                      pointer_to("/allowedComponents/%zu/componentRef", index).text,
                      "%.*s is allowed, but its contract requires %.*s; block it until then",
                      STR_ARG(text_of(component)), STR_ARG(text_of(gate.later)));
    }
    yyjson_arr_foreach(member(document->root, "blockedComponents"), index, count, item)
    {
        const yyjson_val *required = member(item, "requiredPhase");
        const yyjson_val *component = member(item, "componentRef");
        struct gate gate = gate_of(lint, component, required);
        if (is_held_back(item) && gate.minimum && !gate.names_phase)
            lint_find(lint, rule, document,
                      pointer_to("/blockedComponents/%zu/requiredPhase", index).text,
                      "%.*s waits for %.*s, but its contract requires %.*s; wait for that",
                      STR_ARG(text_of(component)), STR_ARG(text_of(required)),
                      STR_ARG(text_of(gate.minimum)));
    }
    return 0;
}
