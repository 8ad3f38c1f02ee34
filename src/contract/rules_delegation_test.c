/* The rules about delegations, budgets, verdicts and cards at their edges. */
#include "contract/rules_test.h"

#define INNER "delegation.codex-to-claude-code.example.json"
#define OUTER "delegation.ada-to-codex.example.json" /* holds compass staged and its cache */

#define MOUNT(path, semantics) "[{\"hostPath\": \"" path "\", \"semantics\": \"" semantics "\"}]"

TEST(a_mount_is_passed_on_at_or_beneath_one_that_is_held)
{
    const char *list = "/scope/mounts", *rule = "operations.delegation-narrows";
    const char *refused = "/scope/mounts/0";
    const struct rule_case cases[] = {
        { INNER, list, MOUNT("/home/ada/src/compass", "staged"), rule, NULL, OUTER },
        { INNER, list, MOUNT("/home/ada/src/compass/", "read-only"), rule, NULL, OUTER },
        { INNER, list, MOUNT("/home/ada/src/compass/..docs", "read-only"), rule, NULL, OUTER },
        { INNER, list, MOUNT("/home/ada/.cache/compass/npm", "cache"), rule, NULL, OUTER },
        { INNER, list, "[]", rule, NULL, OUTER },
        { INNER, list, MOUNT("/", "read-only"), rule, refused, OUTER },
        { INNER, list, MOUNT("/home/ada/src/compass-old", "read-only"), rule, refused, OUTER },
        { INNER, list, MOUNT("/home/ada/src/compass/../x", "read-only"), rule, refused, OUTER },
        { INNER, list, MOUNT("/home/ada/src/compass/a/..", "read-only"), rule, refused, OUTER },
        { INNER, list, MOUNT("/home/ada/src/compass", "read-write"), rule, refused, OUTER },
        { INNER, list, MOUNT("/home/ada/src/compass", "cache"), rule, refused, OUTER },
        { INNER, list, MOUNT("/home/ada/.cache/compass", "read-only"), rule, refused, OUTER },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_ceiling_is_compared_exactly_and_zero_where_it_is_absent)
{
    const char *ceiling = "/budgetCeiling", *rule = "operations.delegation-narrows";
    const struct rule_case cases[] = {
        { INNER, ceiling, "{\"tokens\": 2000000}", rule, NULL, OUTER },
        { INNER, ceiling, "{\"tokens\": 2.0e6}", rule, NULL, OUTER },
        { INNER, ceiling, "{\"tokens\": 2000000.00000000000000000}", rule, NULL, OUTER },
        { INNER, ceiling, "{\"tokens\": 2000001}", rule, "/budgetCeiling/tokens", OUTER },
        { INNER, ceiling, "{\"tokens\": 2000001.00000000000000000}", rule, "/budgetCeiling/tokens",
          OUTER },
        { INNER, ceiling, "{\"tokens\": 9007199254740991.0}", rule, "/budgetCeiling/tokens",
          OUTER },
        { INNER, ceiling, "{\"gpuSeconds\": 0}", rule, NULL, OUTER },
        { INNER, ceiling, "{\"gpuSeconds\": 1}", rule, "/budgetCeiling/gpuSeconds", OUTER },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_delegation_is_passed_on_within_time_network_and_lists)
{
    const char *rule = "operations.delegation-narrows";
    const char *network = "/scope/networkAccessProfileRef";
    const struct rule_case cases[] = {
        { INNER, "/notBefore", "\"2026-11-20T08:00:00.000Z\"", rule, NULL, OUTER },
        { INNER, "/notBefore", "\"2026-11-20T07:59:59.999Z\"", rule, "/notBefore", OUTER },
        { INNER, "/expiresAt", "\"2026-11-20T20:00:00.0Z\"", rule, NULL, OUTER },
        { INNER, "/expiresAt", "\"2026-11-20T20:00:00.1Z\"", rule, "/expiresAt", OUTER },
        { INNER, network, "null", rule, NULL, OUTER },
        { INNER, network, "\"urn:srcos:network-access-profile:enterprise-and-user\"", rule, NULL,
          OUTER },
        { INNER, network, "\"urn:srcos:network-access-profile:airgapped\"", rule, network, OUTER },
        { INNER, "/operationTypes", "[\"agent_machine.container.run\"]", rule, "/operationTypes/0",
          OUTER },
        { INNER, "/expiresAt", "\"2027-01-01T00:00:00Z\"", rule, NULL, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_delegation_is_in_force_for_some_time)
{
    const char *rule = "operations.delegation-window";
    const struct rule_case cases[] = {
        { OUTER, "/expiresAt", "\"2026-11-20T08:00:00.000000001Z\"", rule, NULL, NULL },
        { OUTER, "/expiresAt", "\"2026-11-20T08:00:00.000Z\"", rule, "/expiresAt", NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_grant_covers_what_its_delegation_has)
{
    const char *grant = "tool-grant-record.codex-compass.example.json";
    const char *revoked = "tool-grant-record.openclaw-compass-revoked.example.json";
    const char *held = "delegation.ada-at-terminal.example.json";
    const char *rule = "operations.grant-within-delegation";
    const struct rule_case cases[] = {
        { grant, "/expiresAt", "\"2026-11-20T23:55:00Z\"", rule, NULL, held },
        { grant, "/expiresAt", "\"2026-11-20T23:55:01Z\"", rule, "/expiresAt", held },
        { grant, "/tools/0/toolRef", "\"urn:srcos:mcp-server:x\"", rule, "/tools/0/toolRef", held },
        { revoked, "/tools/0/toolRef", "\"urn:srcos:mcp-server:x\"", rule, NULL, held },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

#define ACCOUNT(figures) "{" figures ", \"enforcedBy\": \"door\"}"

TEST(an_account_holds_its_limit_and_states_what_went_beyond)
{
    const char *budget = "budget.run-0003.example.json", *tokens = "/dimensions/tokens";
    const char *rule = "operations.budget-balance";
    const struct rule_case cases[] = {
        { budget, tokens, ACCOUNT("\"limit\": 9, \"used\": 4, \"reserved\": 5"), rule, NULL, NULL },
        { budget, tokens, ACCOUNT("\"limit\": 9, \"used\": 5, \"reserved\": 5"), rule, tokens,
          NULL },
        { budget, tokens, ACCOUNT("\"limit\": 9, \"used\": 5, \"reserved\": 5, \"overshoot\": 1"),
          rule, NULL, NULL },
        { budget, tokens,
          ACCOUNT("\"limit\": 0, \"used\": 9007199254740991, \"reserved\": 9007199254740991"), rule,
          tokens, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_dimension_that_the_account_above_lacks_has_no_limit_to_share)
{
    const char *budget = "budget.run-0001.example.json",
               *above = "budget.ada-to-codex.example.json";
    const char *gpu = "/dimensions/gpuSeconds/limit", *rule = "operations.budget-within-parent";
    const struct rule_case cases[] = {
        { budget, gpu, "0", rule, NULL, above },
        { budget, gpu, "1", rule, gpu, above },
        { budget, gpu, "1", rule, NULL, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

#define ANSWER(layer, answer) "{\"layer\": \"" layer "\", \"answer\": \"" answer "\"}"

TEST(a_verdict_is_as_narrow_as_the_narrowest_answer_in_force)
{
    const char *allowed = "policy-decision.run-0001-registry.example.json";
    const char *list = "/answers", *engine = "/externalEngine";
    const char *rule = "operations.verdict-never-wider", *refused = "/verdict";
    const struct rule_case cases[] = {
        { allowed, list, "[" ANSWER("user", "allow") "," ANSWER("agent", "none") "]", rule, NULL,
          NULL },
        { allowed, list, "[" ANSWER("user", "allow") "," ANSWER("agent", "ask") "]", rule, refused,
          NULL },
        { allowed, list, "[]", rule, refused, NULL },
        { allowed, list, "[" ANSWER("user", "none") "]", rule, refused, NULL },
        { allowed, list,
          "[" ANSWER(
              "user",
              "allow") ",{\"layer\": \"device\", \"answer\": \"deny\", \"enforced\": false}]",
          rule, NULL, NULL },
        { allowed, list, "[{\"layer\": \"user\", \"answer\": \"allow\", \"enforced\": false}]",
          rule, refused, NULL },
        { allowed, engine, "{\"engineRef\": \"e\", \"answer\": \"allow\"}", rule, NULL, NULL },
        { allowed, engine, "{\"engineRef\": \"e\", \"answer\": \"ask\"}", rule, refused, NULL },
        { allowed, engine, "{\"engineRef\": \"e\", \"answer\": \"unreachable\"}", rule, refused,
          NULL },
        { allowed, "/verdict", "\"deny\"", rule, NULL, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(an_ask_is_lifted_by_a_card_that_was_answered_with_an_allow)
{
    const char *lifted = "policy-decision.run-0001-host-answered.example.json";
    const char *card = "/decisionCardRef", *rule = "operations.verdict-never-wider";
    const struct rule_case cases[] = {
        { lifted, card, "\"urn:srcos:decision-card:run-0001-host\"", rule, NULL,
          "decision-card.run-0001-host.example.json" },
        { lifted, card, "\"urn:srcos:decision-card:run-0004-host\"", rule, "/verdict",
          "decision-card.run-0004-host.example.json" }, /* pending */
        { lifted, card, "\"urn:srcos:decision-card:run-0004-host\"", rule, NULL, NULL },
        { lifted, card, "null", rule, "/verdict", NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_card_s_options_differ_and_its_default_denies)
{
    const char *card = "decision-card.run-0001-host.example.json";
    const char *rule = "operations.decision-default-denies";
    const struct rule_case cases[] = {
        { card, "/options/2/optionId", "\"this-run\"", rule, "/options/2/optionId", NULL },
        { card, "/defaultOptionId", "\"later\"", rule, "/defaultOptionId", NULL },
        { card, "/options/0/verdict", "\"allow\"", rule, "/defaultOptionId", NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

#define LEASE(scope, until, uses)                                                                  \
    "{\"scope\": \"" scope "\", \"scopeRef\": \"urn:srcos:workspace-operation:run-0001\", "        \
    "\"expiresAt\": \"2026-11-20T" until "Z\"" uses "}"

TEST(a_lease_is_no_wider_and_no_longer_than_the_option_offers)
{
    const char *card = "decision-card.run-0001-host.example.json"; /* answered at 09:05:20 */
    const char *lease = "/answer/lease", *until = "/answer/lease/expiresAt";
    const char *rule = "operations.decision-answer-offered";
    const struct rule_case cases[] = {
        { card, lease, LEASE("run", "09:15:20", ""), rule, NULL, NULL },
        { card, lease, LEASE("flow", "09:06:00.5", ", \"maxUses\": 1"), rule, NULL, NULL },
        { card, lease, LEASE("run", "09:15:20.000000001", ""), rule, until, NULL },
        { card, lease, LEASE("run", "09:15:21", ""), rule, until, NULL },
        { card, lease, LEASE("profile", "09:15:20", ""), rule, "/answer/lease/scope", NULL },
        { card, "/answer/answeredAt", "\"2026-11-20T09:05:19.999Z\"", rule, until, NULL },
        { card, "/answer/answeredAt", "\"2026-11-20T09:05:20.5Z\"", rule, NULL, NULL },
        { card, "/answer/verdict", "\"deny\"", rule, "/answer/verdict", NULL },
        { card, "/answer/optionId", "\"this-profile\"", rule, lease, NULL }, /* which has maxUses */
        { card, "/options/1/lease/maxUses", "5", rule, lease, NULL },
        { card, "/options/1/lease/durationSeconds", "600.0", rule, NULL, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}
