#include "base/json.h"
#include "base/test.h"
#include "doctor/phase.h"

/* A session in which everything is as it should be. */
static const struct phase_facts whole = {
    .boot = BOOT_UP, .session = SESSION_USER, .lock = LOCK_OPEN, .keyring = KEYRING_OPEN
};

static void check_phase(struct phase_facts facts, enum phase phase, enum phase_verdict verdict)
{
    struct phase_finding finding = phase_derive(&facts);
    CHECK_TEXT(phase_names[finding.phase], phase_names[phase]);
    CHECK_TEXT(phase_verdict_names[finding.verdict], phase_verdict_names[verdict]);
    CHECK(finding.reason && finding.reason[0]);
    CHECK((finding.hint != NULL) == (phase != PHASE_UNLOCKED_USER_SESSION));
}

/* The facts of a whole session with one of them changed. */
#define CHECK_WITH(member_is, phase, verdict)                                                      \
    do {                                                                                           \
        struct phase_facts facts = whole;                                                          \
        facts.member_is;                                                                           \
        check_phase(facts, phase, verdict);                                                        \
    } while (0)

TEST(phase_of_a_whole_session_is_unlocked)
{
    check_phase(whole, PHASE_UNLOCKED_USER_SESSION, PHASE_READY);
    CHECK_WITH(boot = BOOT_UNSEEN, PHASE_UNLOCKED_USER_SESSION, PHASE_READY);
    CHECK_WITH(lock = LOCK_NOBODY, PHASE_UNLOCKED_USER_SESSION, PHASE_READY);
    CHECK_WITH(keyring = KEYRING_ABSENT, PHASE_UNLOCKED_USER_SESSION, PHASE_READY);
    CHECK_WITH(is_graphical = true, PHASE_UNLOCKED_USER_SESSION, PHASE_READY);
}

TEST(phase_walks_from_the_boot_to_the_unlocked_session)
{
    CHECK_WITH(boot = BOOT_STARTING, PHASE_SEALED_BOOT, PHASE_NOT_READY);
    CHECK_WITH(session = SESSION_NONE, PHASE_PRE_LOGIN, PHASE_NOT_READY);
    CHECK_WITH(session = SESSION_GREETER, PHASE_PRE_LOGIN, PHASE_NOT_READY);
    CHECK_WITH(lock = LOCK_LOCKED, PHASE_POST_LOGIN_LOCKED, PHASE_NOT_READY);
    CHECK_WITH(keyring = KEYRING_LOCKED, PHASE_POST_LOGIN_LOCKED, PHASE_NOT_READY);
}

TEST(phase_of_a_session_that_lacks_something_is_degraded)
{
    struct phase_facts desktop = whole;
    desktop.is_graphical = true;
    desktop.keyring = KEYRING_ABSENT;
    check_phase(desktop, PHASE_DEGRADED_SESSION, PHASE_DEGRADED);
    CHECK_WITH(session = SESSION_CLOSING, PHASE_DEGRADED_SESSION, PHASE_DEGRADED);
    CHECK_WITH(boot = BOOT_STOPPING, PHASE_DEGRADED_SESSION, PHASE_DEGRADED);
    CHECK_WITH(bus_is_silent = true, PHASE_DEGRADED_SESSION, PHASE_DEGRADED);
    CHECK_WITH(lock = LOCK_UNSEEN, PHASE_DEGRADED_SESSION, PHASE_DEGRADED);
    CHECK_WITH(keyring = KEYRING_UNSEEN, PHASE_DEGRADED_SESSION, PHASE_DEGRADED);
}

TEST(phase_of_a_repair_stands_above_everything)
{
    struct phase_facts alone = { .recovery = true };
    check_phase(alone, PHASE_RECOVERY_SESSION, PHASE_RECOVERY_ONLY);
    CHECK_WITH(recovery = true, PHASE_RECOVERY_SESSION, PHASE_RECOVERY_ONLY);
}

TEST(phase_is_never_later_for_what_could_not_be_seen)
{
    struct phase_facts nothing = { 0 };
    check_phase(nothing, PHASE_PRE_LOGIN, PHASE_UNKNOWN);
    CHECK_WITH(session = SESSION_UNSEEN, PHASE_PRE_LOGIN, PHASE_UNKNOWN);
}

/* Rows are phases, columns the minimum that a contract asks for: allowed, degraded, blocked. */
TEST(phase_permits_what_has_its_minimum)
{
    static const char *const expected[PHASE_COUNT] = {
        [PHASE_SEALED_BOOT] = "abbbbb",       [PHASE_PRE_LOGIN] = "aabbbb",
        [PHASE_POST_LOGIN_LOCKED] = "aaabbb", [PHASE_UNLOCKED_USER_SESSION] = "aaaaab",
        [PHASE_DEGRADED_SESSION] = "dddddb",  [PHASE_RECOVERY_SESSION] = "bbbbba",
    };
    static const char letters[] = { 'a', 'd', 'b' };
    for (size_t now = 0; now < PHASE_COUNT; now++)
        for (size_t minimum = 0; minimum < PHASE_COUNT; minimum++) {
            char answer = letters[phase_permits((enum phase)now, (enum phase)minimum)];
            if (answer != expected[now][minimum])
                test_fail(__FILE__, __LINE__, "in %s, %s: %c", phase_names[now],
                          phase_names[minimum], answer);
        }
}

TEST(phase_is_reached_by_it_or_by_a_later_one_of_the_order)
{
    CHECK(phase_is_reached(PHASE_UNLOCKED_USER_SESSION, PHASE_PRE_LOGIN));
    CHECK(phase_is_reached(PHASE_DEGRADED_SESSION, PHASE_DEGRADED_SESSION));
    CHECK(!phase_is_reached(PHASE_DEGRADED_SESSION, PHASE_UNLOCKED_USER_SESSION));
    CHECK(!phase_is_reached(PHASE_RECOVERY_SESSION, PHASE_SEALED_BOOT));
    CHECK(!phase_is_reached(PHASE_PRE_LOGIN, PHASE_POST_LOGIN_LOCKED));
}

TEST(phase_is_written_with_what_waits_and_why)
{
    static struct phase_sight sight;
    const struct phase_component components[] = {
        { STR("urn:srcos:component:agent"), PHASE_UNLOCKED_USER_SESSION },
        { STR("urn:srcos:component:network"), PHASE_PRE_LOGIN },
    };
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    sight.facts = whole;
    sight.facts.lock = LOCK_LOCKED;
    snprintf(sight.boot_id, sizeof(sight.boot_id), "9b2f6c1e-7d34");
    snprintf(sight.session_id, sizeof(sight.session_id), "3");
    phase_see(&sight, "lock", "bus:a", "locked");
    phase_see(&sight, "session", "bus:a", "three");
    phase_miss(&sight, "keyring", "bus:b", "silent");
    CHECK_INT(phase_write(&sight, components, ARRAY_LEN(components), &text, NULL), 0);
    CHECK_INT(json_read(buf_str(&text), &json_limits_default, &doc, NULL), 0);
    yyjson_val *blocked = yyjson_ptr_get(yyjson_doc_get_root(doc), "/blockedComponents");
    yyjson_val *allowed = yyjson_ptr_get(yyjson_doc_get_root(doc), "/allowedComponents");
    CHECK_INT(yyjson_arr_size(blocked), 1);
    CHECK(yyjson_equals_str(yyjson_ptr_get(blocked, "/0/requiredPhase"), "unlocked-user-session"));
    CHECK(yyjson_equals_str(yyjson_ptr_get(blocked, "/0/remediationHint"), "Unlock the session."));
    CHECK_INT(yyjson_arr_size(allowed), 1);
    CHECK_INT(yyjson_arr_size(yyjson_ptr_get(yyjson_doc_get_root(doc), "/evidenceRefs")), 1);
}
