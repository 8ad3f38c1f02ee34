/* The authority rules at their edges: instants, counts, absent members, phases. */
#include "contract/rules_test.h"

TEST(instants_compare_to_the_nanosecond)
{
    static const struct {
        const char *a, *b;
        int order;
    } cases[] = {
        { "2026-11-20T10:20:00Z", "2026-11-20T10:20:00Z", 0 },
        { "2026-11-20T10:20:00Z", "2026-11-20T10:20:00.000Z", 0 },
        { "2026-11-20T10:20:00.5Z", "2026-11-20T10:20:00.500000000Z", 0 },
        { "2026-11-20T10:20:00Z", "2026-11-20T10:20:00.000000001Z", -1 },
        { "2026-11-20T10:20:00.9Z", "2026-11-20T10:20:00.899999999Z", 1 },
        { "2026-11-20T10:20:00.10Z", "2026-11-20T10:20:00.9Z", -1 },
        { "2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z", 1 },
        { "2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00Z", -1 },
        { "2026-11-20T10:20:00.1Z", "2026-11-20T10:19:59.9Z", 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int order = instant_compare(str_from(cases[i].a), str_from(cases[i].b));
        int reverse = instant_compare(str_from(cases[i].b), str_from(cases[i].a));
        if ((order > 0) - (order < 0) != cases[i].order || (order > 0) != (reverse < 0) ||
            (order < 0) != (reverse > 0))
            test_fail(__FILE__, __LINE__, "%s and %s", cases[i].a, cases[i].b);
    }
}

TEST(a_storm_s_count_is_compared_exactly_however_it_is_written)
{
    const char *one = "diagnostic-storm-record.single-event.example.json";
    const char *many = "diagnostic-storm-record.pasteboard-denied.example.json";
    const char *window = "authority.storm-window", *samples = "authority.storm-samples-within";
    const struct rule_case cases[] = {
        { one, "/lastSeen", "\"2030-01-01T00:00:00Z\"", window, "/lastSeen" },
        { many, "/repeatCount", "1", window, "/lastSeen" },
        { many, "/repeatCount", "1.0000000000000000000000", window, "/lastSeen" },
        { many, "/repeatCount", "9007199254740991", window, NULL },
        { many, "/repeatCount", "1.0", samples, "/sampleEvents/1" },
        { many, "/repeatCount", "9007199254740991", samples, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

#define DENIED(capability, object)                                                                 \
    "{\"capability\": \"" capability "\", \"decision\": \"denied\"" object "}"

TEST(two_answers_are_to_one_question_if_all_four_members_are_equal)
{
    const char *example = "capability-grant-state.browser-child.example.json";
    const char *rule = "authority.capability-decided-once";
    const struct rule_case cases[] = {
        { example, "/capabilityStates",
          "[" DENIED("a", "") "," DENIED("a", ", \"objectRef\": null") "]", rule,
          "/capabilityStates/1" },
        { example, "/capabilityStates",
          "[" DENIED("a", "") "," DENIED("a", ", \"objectRef\": \"urn:x:y\"") "]", rule, NULL },
        { example, "/capabilityStates", "[" DENIED("a", "") "," DENIED("b", "") "]", rule, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_verdict_stands_on_records)
{
    const char *missing = "runtime-registry-integrity-record.receipt-missing.example.json";
    const char *valid = "runtime-registry-integrity-record.valid.example.json";
    const char *rule = "authority.registry-verdict-has-cause";
    const struct rule_case cases[] = {
        { missing, "/receiptState", "\"missing\"", rule, NULL },
        { missing, "/verificationVerdict", "\"quarantined\"", rule, "/verificationVerdict" },
        { missing, "/verificationVerdict", "\"degraded\"", rule, NULL },
        { valid, "/verificationVerdict", "\"valid\"", rule, NULL },
        { valid, "/verificationVerdict", "\"missing\"", rule, "/verificationVerdict" },
        { valid, "/verificationVerdict", "\"degraded\"", rule, "/verificationVerdict" },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

#define WAITS(phase, state)                                                                        \
    "[{\"componentRef\": \"c\", \"requiredPhase\": \"" phase "\", \"state\": \"" state             \
    "\", \"remediationHint\": \"wait\"}]"

TEST(a_component_waits_for_what_is_still_to_come)
{
    const char *locked = "boot-session-phase-state.locked.example.json"; /* post-login-locked */
    const char *list = "/blockedComponents", *rule = "authority.phase-block-is-later";
    const char *refused = "/blockedComponents/0/requiredPhase";
    const struct rule_case cases[] = {
        { locked, list, WAITS("unlocked-user-session", "blocked"), rule, NULL },
        { locked, list, WAITS("post-login-locked", "blocked"), rule, refused },
        { locked, list, WAITS("sealed-boot", "deferred"), rule, refused },
        { locked, list, WAITS("sealed-boot", "quarantined"), rule, NULL },
        { locked, list, WAITS("recovery-session", "blocked"), rule, NULL },
        { locked, "/phase", "\"recovery-session\"", rule, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_component_is_named_once_in_both_lists_together)
{
    const char *locked = "boot-session-phase-state.locked.example.json";
    const char *rule = "authority.component-blocked-or-allowed";
    const struct rule_case cases[] = {
        { locked, "/blockedComponents", WAITS("unlocked-user-session", "blocked"), rule, NULL },
        { locked, "/allowedComponents",
          "[{\"componentRef\": \"c\", \"state\": \"allowed\"},"
          " {\"componentRef\": \"c\", \"state\": \"unknown\"}]",
          rule, "/allowedComponents/1/componentRef" },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}
