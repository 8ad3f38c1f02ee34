/*
 * phase: see the header.
 *
 * Theory of operation. phase_derive walks one table; the first row whose
 * condition holds is the finding. The order of the rows is the order of what
 * matters more: repair before everything, then the boot, the login, the lock,
 * and last what a session lacks.
 *
 * What holds. What could not be seen never lets anything start earlier: a
 * session that nobody could see is none, and a lock or keyring that should
 * answer and does not is a session that lacks something.
 */
#include "doctor/phase.h"

#include "base/clock.h"
#include "base/json.h"

#define STEP_PHASE "write the phase"

#define PHASE_NAME(name, text) [name] = text,
const char *const phase_names[PHASE_COUNT] = { PHASE_TABLE(PHASE_NAME) };
const char *const phase_verdict_names[PHASE_VERDICT_COUNT] = { PHASE_VERDICT_TABLE(PHASE_NAME) };
#undef PHASE_NAME

/* --- evidence ------------------------------------------------------------------------------- */

static void add_evidence(struct phase_sight *sight, bool unseen, const char *fact, const char *ref,
                         const char *format, va_list arguments)
    __attribute__((format(printf, 5, 0)));

static void add_evidence(struct phase_sight *sight, bool unseen, const char *fact, const char *ref,
                         const char *format, va_list arguments)
{
    if (sight->evidence_count == PHASE_EVIDENCE_MAX)
        return;
    struct phase_evidence *evidence = &sight->evidence[sight->evidence_count++];
    *evidence = (struct phase_evidence){ .fact = fact, .unseen = unseen };
    snprintf(evidence->ref, sizeof(evidence->ref), "%s", ref);
    vsnprintf(evidence->seen, sizeof(evidence->seen), format, arguments);
}

void phase_see(struct phase_sight *sight, const char *fact, const char *ref, const char *format,
               ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_evidence(sight, false, fact, ref, format, arguments);
    va_end(arguments);
}

void phase_miss(struct phase_sight *sight, const char *fact, const char *ref, const char *format,
                ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_evidence(sight, true, fact, ref, format, arguments);
    va_end(arguments);
}

/* --- from facts to a phase ------------------------------------------------------------------ */

static bool is_for_repair(const struct phase_facts *facts)
{
    return facts->recovery;
}

static bool is_starting(const struct phase_facts *facts)
{
    return facts->boot == BOOT_STARTING;
}

static bool is_nobody_there(const struct phase_facts *facts)
{
    return facts->session == SESSION_NONE || facts->session == SESSION_GREETER;
}

static bool is_session_unseen(const struct phase_facts *facts)
{
    return facts->session == SESSION_UNSEEN;
}

static bool is_screen_locked(const struct phase_facts *facts)
{
    return facts->lock == LOCK_LOCKED;
}

static bool is_keyring_locked(const struct phase_facts *facts)
{
    return facts->keyring == KEYRING_LOCKED;
}

static bool is_ending(const struct phase_facts *facts)
{
    return facts->session == SESSION_CLOSING || facts->boot == BOOT_STOPPING;
}

static bool is_bus_silent(const struct phase_facts *facts)
{
    return facts->bus_is_silent;
}

static bool is_lock_unseen(const struct phase_facts *facts)
{
    return facts->lock == LOCK_UNSEEN;
}

static bool is_keyring_unseen(const struct phase_facts *facts)
{
    return facts->keyring == KEYRING_UNSEEN;
}

static bool is_desktop_without_keyring(const struct phase_facts *facts)
{
    return facts->is_graphical && facts->keyring == KEYRING_ABSENT;
}

static bool is_whole(const struct phase_facts *facts)
{
    (void)facts;
    return true;
}

static const struct {
    bool (*fits)(const struct phase_facts *facts);
    struct phase_finding finding;
} rows[] = {
    { is_for_repair,
      { PHASE_RECOVERY_SESSION, PHASE_RECOVERY_ONLY, "The machine was started to be repaired.",
        "Finish the repair, restart the machine and log in." } },
    { is_starting,
      { PHASE_SEALED_BOOT, PHASE_NOT_READY, "The system is still starting.",
        "Wait until the system is up, then log in." } },
    { is_nobody_there,
      { PHASE_PRE_LOGIN, PHASE_NOT_READY, "The system is up, and this user has not logged in.",
        "Log in." } },
    { is_session_unseen,
      { PHASE_PRE_LOGIN, PHASE_UNKNOWN, "Nobody could say whether this user has logged in.",
        "Ask again from a login session." } },
    { is_screen_locked,
      { PHASE_POST_LOGIN_LOCKED, PHASE_NOT_READY, "The session is locked.",
        "Unlock the session." } },
    { is_keyring_locked,
      { PHASE_POST_LOGIN_LOCKED, PHASE_NOT_READY,
        "The session is there, and the keyring with its secrets is locked.",
        "Unlock the keyring: log out and in with the password, or open it in the desktop's "
        "program for passwords." } },
    { is_ending,
      { PHASE_DEGRADED_SESSION, PHASE_DEGRADED, "The session or the system is about to end.",
        "Log in anew." } },
    { is_bus_silent,
      { PHASE_DEGRADED_SESSION, PHASE_DEGRADED, "The session names a bus that does not answer.",
        "Log out and in; DBUS_SESSION_BUS_ADDRESS may be that of an earlier session." } },
    { is_lock_unseen,
      { PHASE_DEGRADED_SESSION, PHASE_DEGRADED, "Nobody could say whether the session is locked.",
        "Log out and in; the session manager does not know this session." } },
    { is_keyring_unseen,
      { PHASE_DEGRADED_SESSION, PHASE_DEGRADED,
        "The service that keeps the session's secrets does not answer.",
        "End the service that owns org.freedesktop.secrets; it starts again when it is asked." } },
    { is_desktop_without_keyring,
      { PHASE_DEGRADED_SESSION, PHASE_DEGRADED,
        "The session is a desktop's, and nobody keeps its secrets.",
        "Start the desktop's keyring, such as gnome-keyring." } },
    { is_whole,
      { PHASE_UNLOCKED_USER_SESSION, PHASE_READY, "The user is there, and nothing is locked.",
        NULL } },
};

struct phase_finding phase_derive(const struct phase_facts *facts)
{
    size_t i = 0;
    while (!rows[i].fits(facts)) /* the last row always fits */
        i++;
    return rows[i].finding;
}

static bool is_in_order(enum phase phase)
{
    return phase <= PHASE_UNLOCKED_USER_SESSION;
}

enum phase_answer phase_permits(enum phase now, enum phase minimum)
{
    if (now == minimum)
        return now == PHASE_DEGRADED_SESSION ? PHASE_ALLOWED_DEGRADED : PHASE_ALLOWED;
    if (now == PHASE_DEGRADED_SESSION && is_in_order(minimum))
        return PHASE_ALLOWED_DEGRADED;
    if (now == PHASE_UNLOCKED_USER_SESSION && minimum == PHASE_DEGRADED_SESSION)
        return PHASE_ALLOWED;
    return is_in_order(now) && is_in_order(minimum) && now > minimum ? PHASE_ALLOWED
                                                                     : PHASE_BLOCKED;
}

bool phase_is_reached(enum phase now, enum phase wanted)
{
    return now == wanted || (is_in_order(now) && is_in_order(wanted) && now > wanted);
}

/* --- the document --------------------------------------------------------------------------- */

static void add_component(struct buf *json, struct str ref, const char *state)
{
    buf_add_text(json, json->data[json->len - 1] == '[' ? "{" : ",{");
    json_add_name(json, "componentRef");
    json_add_string(json, ref);
    json_add_text(json, "state", str_from(state));
}

static void add_components(const struct phase_component *components, size_t count,
                           const struct phase_finding *finding, struct buf *json)
{
    json_add_name(json, "blockedComponents");
    buf_add_char(json, '[');
    for (size_t i = 0; i < count; i++) {
        if (phase_permits(finding->phase, components[i].minimum) != PHASE_BLOCKED)
            continue;
        add_component(json, components[i].ref, "blocked");
        json_add_text(json, "requiredPhase", str_from(phase_names[components[i].minimum]));
        json_add_text(json, "reason", str_from(finding->reason));
        json_add_text(
            json, "remediationHint",
            str_from(finding->hint ? finding->hint : "Start it in the session that it asks for."));
        buf_add_char(json, '}');
    }
    buf_add_char(json, ']');
    json_add_name(json, "allowedComponents");
    buf_add_char(json, '[');
    for (size_t i = 0; i < count; i++) {
        enum phase_answer answer = phase_permits(finding->phase, components[i].minimum);
        if (answer == PHASE_BLOCKED)
            continue;
        bool is_degraded = answer == PHASE_ALLOWED_DEGRADED;
        add_component(json, components[i].ref, is_degraded ? "allowed-degraded" : "allowed");
        json_add_text(
            json, "reason",
            str_from(is_degraded ? finding->reason : "The phase that it asks for is reached."));
        buf_add_char(json, '}');
    }
    buf_add_char(json, ']');
}

static void add_names(struct buf *json, const char *name, const char (*names)[64], size_t count)
{
    json_add_name(json, name);
    for (size_t i = 0; i < count; i++) {
        buf_add_char(json, i ? ',' : '[');
        json_add_string(json, str_from(names[i]));
    }
    buf_add_text(json, count ? "]" : "[]");
}

static bool is_named_before(const struct phase_sight *sight, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(sight->evidence[i].ref, sight->evidence[index].ref) == 0)
            return true;
    return false;
}

static void add_refs(const struct phase_sight *sight, struct buf *json)
{
    json_add_name(json, "evidenceRefs");
    buf_add_char(json, '[');
    for (size_t i = 0, added = 0; i < sight->evidence_count; i++) {
        if (sight->evidence[i].unseen || is_named_before(sight, i))
            continue;
        if (added++)
            buf_add_char(json, ',');
        json_add_string(json, str_from(sight->evidence[i].ref));
    }
    buf_add_char(json, ']');
}

int phase_write(const struct phase_sight *sight, const struct phase_component *components,
                size_t component_count, struct buf *ret, struct err *err)
{
    struct phase_finding finding = phase_derive(&sight->facts);
    char id[PHASE_TEXT_MAX], at[CLOCK_TEXT_SIZE];
    snprintf(id, sizeof(id), "urn:srcos:boot-session-phase:%.8s-%llx", sight->boot_id,
             (unsigned long long)sight->at_ms);
    clock_text(sight->at_ms, at);
    buf_add_char(ret, '{');
    json_add_text(ret, "id", str_from(id));
    json_add_text(ret, "type", STR("BootSessionPhaseState"));
    json_add_text(ret, "specVersion", STR("1.0.0"));
    json_add_text(ret, "bootId", str_from(sight->boot_id));
    json_add_text(ret, "sessionId", str_from(sight->session_id));
    json_add_text(ret, "observedAt", str_from(at));
    json_add_text(ret, "phase", str_from(phase_names[finding.phase]));
    json_add_text(ret, "phaseVerdict", str_from(phase_verdict_names[finding.verdict]));
    add_names(ret, "availableKeyrings", sight->keyrings, sight->keyring_count);
    add_names(ret, "availablePortals", sight->portals, sight->portal_count);
    add_components(components, component_count, &finding, ret);
    add_refs(sight, ret);
    buf_add_char(ret, '}');
    return ret->error ? err_set(err, ERR_MEMORY, STEP_PHASE, "there is not enough memory") : 0;
}
