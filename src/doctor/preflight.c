/*
 * preflight: see the header.
 *
 * Theory of operation. Each declared capability is one question, each broker
 * one more, and a phase that is not reached one more again. A capability
 * whose fallback is `skip` is left out without a word and never counts. An
 * agent is given nothing by the host alone: what every program of this user
 * has is no grant to it.
 *
 * The epoch is a digest of the answers: it changes when, and only when, one
 * of them does.
 */
#include "doctor/preflight.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "contract/rules.h"
#include "doctor/contracts.h"

#define STEP_PREFLIGHT "look before a start"
#define NOTHING_TO_DO  "Nothing to do."
#define PORTAL_BROKER  "org.freedesktop.portal.Desktop"

const char *const readiness_names[READINESS_COUNT] = {
    [PREFLIGHT_READY] = "ready",
    [PREFLIGHT_DEGRADED] = "degraded",
    [PREFLIGHT_REFUSED] = "refused",
};

void preflight_release(struct preflight *preflight)
{
    free(preflight->items);
    *preflight = (struct preflight){ 0 };
}

/* --- looking -------------------------------------------------------------------------------- */

/* What all of the host's programs have is nobody's grant. */
static void hold_back_from_agent(const struct preflight *preflight, struct capability_state *state)
{
    if (state->source != SOURCE_AMBIENT_HOST ||
        !text_is(member(preflight->contract, "componentKind"), "agent"))
        return;
    char seen[CAPABILITY_TEXT_MAX];
    memcpy(seen, state->seen, sizeof(seen));
    capability_set(state, FOUND_DENIED, SOURCE_POLICY,
                   "an agent has only what it is granted, and nobody grants this (%.400s)", seen);
    capability_remedy(state, "Let a layer allow it, or a broker hand it over.");
    snprintf(state->rule, sizeof(state->rule), "authority.no-ambient-grant-for-agents");
}

static bool asks_same(const struct preflight_item *a, const struct preflight_item *b)
{
    return str_equal(a->capability, b->capability) && strcmp(a->state.object, b->state.object) == 0;
}

/* A capability that serves two uses is one question. */
static void add_item(struct preflight *preflight, struct preflight_item item)
{
    for (size_t i = 0; i < preflight->count; i++) {
        struct preflight_item *known = &preflight->items[i];
        if (!asks_same(known, &item))
            continue;
        if (item.counts && !known->counts) {
            known->fallback = item.fallback;
            known->impact = item.impact;
            known->counts = true;
        }
        return;
    }
    preflight->items[preflight->count++] = item;
}

static void look_at_declared(struct preflight *preflight, const struct surroundings *around)
{
    size_t index, count;
    yyjson_val *declared;
    yyjson_arr_foreach(member(preflight->contract, "declaredCapabilities"), index, count, declared)
    {
        const struct capability_row *row;
        struct str impact = text_of(member(declared, "userVisibleImpact"));
        struct preflight_item item = {
            .capability = text_of(member(declared, "capability")),
            .fallback = text_of(member(declared, "fallback")),
            .impact =
                impact.len ? impact : text_of(member(preflight->contract, "userVisibleImpact")),
        };
        capability_look(around, item.capability, &row, &item.state);
        item.operation = row ? row->operation : NULL;
        item.counts = !str_equal(item.fallback, STR("skip"));
        hold_back_from_agent(preflight, &item.state);
        add_item(preflight, item);
    }
}

static void look_at_brokers(struct preflight *preflight, const struct surroundings *around)
{
    const struct capability_row *row = capability_find(STR("broker.reach"));
    char object[CAPABILITY_TEXT_MAX];
    size_t index, count;
    yyjson_val *broker;
    yyjson_arr_foreach(member(preflight->contract, "requiredBrokers"), index, count, broker)
    {
        struct preflight_item item = {
            .capability = str_from(row->name),
            .operation = row->operation,
            .impact = text_of(member(preflight->contract, "userVisibleImpact")),
            .counts = true,
        };
        snprintf(object, sizeof(object), "%.*s", STR_ARG(json_str(broker)));
        memcpy(item.state.object, object, sizeof(object));
        row->probe(around, row, object, &item.state);
        add_item(preflight, item);
    }
}

/*
 * What a capability's row can be had by instead: the portals, where the contract requires them as a
 * broker and they answer.
 */
static void name_brokers(struct preflight *preflight)
{
    const struct preflight_item *portals = NULL;
    for (size_t i = 0; i < preflight->count; i++)
        if (strcmp(preflight->items[i].state.object, PORTAL_BROKER) == 0 &&
            str_equal(preflight->items[i].capability, STR("broker.reach")) &&
            preflight->items[i].state.found == FOUND_GRANTED)
            portals = &preflight->items[i];
    for (size_t i = 0; portals && i < preflight->count; i++) {
        struct preflight_item *item = &preflight->items[i];
        size_t colon = str_index(item->capability, ':', 0);
        const struct capability_row *row = capability_find(str_make(item->capability.ptr, colon));
        if (!row || !row->portal || item->state.found == FOUND_GRANTED)
            continue;
        item->fallback = STR(PORTAL_BROKER);
        char remedy[CAPABILITY_TEXT_MAX];
        memcpy(remedy, item->state.remedy, sizeof(remedy));
        capability_remedy(&item->state, "Nothing, where the component asks %s. Else: %.400s",
                          row->portal, remedy);
    }
}

/* Whether the phase lets it start at all. */
static bool look_at_phase(struct preflight *preflight)
{
    struct phase_finding now = phase_derive(&preflight->sight.facts);
    enum phase minimum = contract_phase(preflight->contract);
    enum phase_answer answer = phase_permits(now.phase, minimum);
    if (answer == PHASE_ALLOWED)
        return true;
    struct preflight_item *item = &preflight->items[preflight->count++];
    bool is_blocked = answer == PHASE_BLOCKED;
    *item = (struct preflight_item){
        .capability = STR("boot.phase"),
        .operation = "start",
        .impact = text_of(member(preflight->contract, "userVisibleImpact")),
        .counts = true,
    };
    capability_set(&item->state, is_blocked ? FOUND_DENIED : FOUND_PARTLY, SOURCE_POLICY,
                   "it may start in %s, and this is %s. %s", phase_names[minimum],
                   phase_names[now.phase], now.reason);
    capability_remedy(&item->state, "%s",
                      now.hint ? now.hint : "Start it in the session that it asks for.");
    snprintf(item->state.object, CAPABILITY_TEXT_MAX, "%s", phase_names[minimum]);
    snprintf(item->state.rule, CAPABILITY_TEXT_MAX, "%.*s#/minimumBootPhase",
             STR_ARG(text_of(member(preflight->contract, "id"))));
    return !is_blocked;
}

static void decide(struct preflight *preflight, bool phase_permits_it)
{
    bool is_less = false;
    bool goes_on = text_is(member(preflight->contract, "degradedModePolicy"), "continue-limited");
    for (size_t i = 0; i < preflight->count; i++)
        is_less |= preflight->items[i].counts && preflight->items[i].state.found != FOUND_GRANTED;
    preflight->readiness = !phase_permits_it || (is_less && !goes_on) ? PREFLIGHT_REFUSED
                           : is_less                                  ? PREFLIGHT_DEGRADED
                                                                      : PREFLIGHT_READY;
}

static int mark_epoch(struct preflight *preflight, struct err *err)
{
    _cleanup_(buf_release) struct buf answers = BUF_INIT;
    for (size_t i = 0; i < preflight->count; i++) {
        const struct preflight_item *item = &preflight->items[i];
        buf_addf(&answers, "%.*s %s %s %s %s\n", STR_ARG(item->capability), item->state.object,
                 found_words[item->state.found], grant_source_names[item->state.source],
                 item->state.rule);
    }
    static_assert(sizeof(preflight->epoch) >= DIGEST_TEXT_SIZE, "the epoch is a digest");
    return digest_text(buf_str(&answers), preflight->epoch, err);
}

int preflight_look(const yyjson_val *contract, const struct surroundings *around,
                   struct preflight *ret, struct err *err)
{
    struct preflight preflight = { .contract = contract };
    size_t asked = yyjson_arr_size(member(contract, "declaredCapabilities")) +
                   yyjson_arr_size(member(contract, "requiredBrokers")) + 1;
    if (asked > PREFLIGHT_ITEMS_MAX)
        return err_set(err, ERR_LIMIT, STEP_PREFLIGHT,
                       "the contract asks for more than %d things; split it", PREFLIGHT_ITEMS_MAX);
    preflight.items = calloc(asked, sizeof(*preflight.items));
    if (!preflight.items)
        return err_set(err, ERR_MEMORY, STEP_PREFLIGHT, "there is not enough memory");
    observer_phase(around->observer, &preflight.sight);
    look_at_declared(&preflight, around);
    look_at_brokers(&preflight, around);
    name_brokers(&preflight);
    decide(&preflight, look_at_phase(&preflight));
    int r = mark_epoch(&preflight, err);
    if (r < 0) {
        preflight_release(&preflight);
        return r;
    }
    *ret = preflight;
    return 0;
}

/* --- the document --------------------------------------------------------------------------- */

static void add_text_or_null(struct buf *json, const char *name, const char *text)
{
    json_add_name(json, name);
    text[0] ? json_add_string(json, str_from(text)) : buf_add_text(json, "null");
}

static void add_state(const struct preflight *preflight, const struct preflight_item *item,
                      struct buf *json)
{
    const struct capability_state *state = &item->state;
    bool is_granted = state->found == FOUND_GRANTED;
    char remedy[2 * CAPABILITY_TEXT_MAX + 8];
    snprintf(remedy, sizeof(remedy), "%s: %s. %s", found_words[state->found], state->seen,
             is_granted ? NOTHING_TO_DO : state->remedy);
    remedy[0] = (char)(remedy[0] - 'a' + 'A');
    buf_add_char(json, '{');
    json_add_text(json, "capability", item->capability);
    if (item->operation)
        json_add_text(json, "requestedOperation", str_from(item->operation));
    json_add_text(json, "subjectRef", text_of(member(preflight->contract, "componentRef")));
    add_text_or_null(json, "objectRef", state->object);
    json_add_text(json, "grantSource", str_from(grant_source_names[state->source]));
    json_add_text(json, "decision", str_from(found_decisions[state->found]));
    add_text_or_null(json, "policyRuleRef", state->rule);
    if (!is_granted && item->fallback.len)
        json_add_text(json, "fallback", item->fallback);
    json_add_text(json, "userVisibleImpact",
                  is_granted ? STR("It works as declared.") : item->impact);
    json_add_text(json, "remediationHint", str_from(remedy));
    buf_add_char(json, '}');
}

int preflight_write(const struct preflight *preflight, struct buf *ret, struct err *err)
{
    const struct phase_sight *sight = &preflight->sight;
    struct str contract = text_of(member(preflight->contract, "id"));
    char id[PHASE_TEXT_MAX], at[CLOCK_TEXT_SIZE];
    snprintf(id, sizeof(id), "urn:srcos:capability-grant-state:%.8s-%llx-%.16s", sight->boot_id,
             (unsigned long long)sight->at_ms, preflight->epoch + strlen("sha256:"));
    clock_text(clock_now_ms(), at);
    buf_add_char(ret, '{');
    json_add_text(ret, "id", str_from(id));
    json_add_text(ret, "type", STR("CapabilityGrantState"));
    json_add_text(ret, "specVersion", STR("1.0.0"));
    json_add_text(ret, "contractRef", contract);
    json_add_text(ret, "observedAt", str_from(at));
    json_add_text(ret, "bootId", str_from(sight->boot_id));
    json_add_text(ret, "sessionId", str_from(sight->session_id));
    json_add_text(ret, "permissionEpoch", str_from(preflight->epoch));
    json_add_name(ret, "capabilityStates");
    buf_add_char(ret, '[');
    for (size_t i = 0; i < preflight->count; i++) {
        if (i)
            buf_add_char(ret, ',');
        add_state(preflight, &preflight->items[i], ret);
    }
    buf_add_text(ret, "]}");
    return ret->error ? err_set(err, ERR_MEMORY, STEP_PREFLIGHT, "there is not enough memory") : 0;
}
