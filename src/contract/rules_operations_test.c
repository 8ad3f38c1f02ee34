/* The rules about commands, events, operations and records at their edges. */
#include "contract/rules_test.h"

TEST(an_event_is_linked_to_the_one_before_it_if_that_is_there)
{
    const char *event = "operation-event.run-0001-execute-started.example.json"; /* 45 */
    const char *before = "operation-event.run-0001-started.example.json";
    const char *earlier = "operation-event.run-0001-reserved.example.json";
    const char *other = "\"sha256:"
                        "0000000000000000000000000000000000000000000000000000000000000000\"";
    const char *rule = "operations.event-chain-links", *refused = "/previousDigest";
    const struct rule_case cases[] = {
        { event, "/sequence", "45.0", rule, NULL, before },
        { event, refused, other, rule, refused, before },
        { event, refused, other, rule, NULL, earlier },
        { event, refused, other, rule, NULL, NULL },
        { event, "/sequence", "46", rule, NULL, before },
        { event, "/sequence", "44.0", rule, refused, earlier },
        { event, "/sequence", "0", rule, NULL, before },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

#define BINDS(urn)                                                                                 \
    "[{\"documentRef\": \"" urn "\", \"digest\": \"sha256:"                                        \
    "0000000000000000000000000000000000000000000000000000000000000000\"}]"

TEST(an_event_binds_documents_that_do_not_change)
{
    const char *event = "operation-event.run-0001-started.example.json";
    const char *rule = "operations.event-document-digest";
    const struct rule_case cases[] = {
        { event, "/documents", BINDS("urn:srcos:delegation:ada-to-codex"), rule,
          "/documents/0/digest", "delegation.ada-to-codex.example.json" },
        { event, "/documents", BINDS("urn:srcos:budget:run-0001"), rule, NULL,
          "budget.run-0001.example.json" },
        { event, "/documents", BINDS("urn:srcos:delegation:ada-to-codex"), rule, NULL, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(parameters_are_digested_in_canonical_form)
{
    const char *command = "operation-command.export-0001.example.json";
    const char *bytes = "/parameters/diagnosticsExportRedacted/maxBytes"; /* 16777216 */
    const char *rule = "operations.parameters-digest";
    const struct rule_case cases[] = {
        { command, bytes, "16777216.0", rule, NULL, NULL },
        { command, bytes, "16777217", rule, "/parametersDigest", NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

#define ARGUMENTS(length, safe)                                                                    \
    "{\"count\": 3, \"digest\": \"sha256:"                                                         \
    "0000000000000000000000000000000000000000000000000000000000000000\", \"lengthBytes\": " length \
    ", \"safe\": [" safe "]}"
#define SAFE(index, text) "{\"index\": " index ", \"text\": \"" text "\"}"

TEST(arguments_in_the_clear_are_some_of_the_arguments)
{
    const char *command = "operation-command.run-0001-start.example.json";
    const char *execution = "local-agent-execution.run-0001.example.json";
    const char *container = "container-execution-record.run-0002.example.json";
    const char *place = "/parameters/executionStart/arguments",
               *rule = "operations.safe-argument-index";
    const struct rule_case cases[] = {
        { command, place, ARGUMENTS("3", SAFE("0", "a") "," SAFE("2", "\\u00e9")), rule, NULL,
          NULL },
        { command, place, ARGUMENTS("2", SAFE("0", "a") "," SAFE("2", "\\u00e9")), rule,
          "/parameters/executionStart/arguments/lengthBytes", NULL },
        { command, place, ARGUMENTS("9", SAFE("1", "a") "," SAFE("1", "b")), rule,
          "/parameters/executionStart/arguments/safe/1/index", NULL },
        { command, place, ARGUMENTS("9", SAFE("1", "a") "," SAFE("0", "b")), rule,
          "/parameters/executionStart/arguments/safe/1/index", NULL },
        { command, place, ARGUMENTS("0", ""), rule, NULL, NULL },
        { execution, "/command/arguments", ARGUMENTS("9", SAFE("3", "a")), rule,
          "/command/arguments/safe/0/index", NULL },
        { container, "/arguments", ARGUMENTS("9", SAFE("3", "a")), rule, "/arguments/safe/0/index",
          NULL },
        { "operation-command.run-0002-container.example.json", "/parameters/containerRun/arguments",
          ARGUMENTS("9", SAFE("3", "a")), rule, "/parameters/containerRun/arguments/safe/0/index",
          NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(what_runs_is_covered_when_it_was_asked_for)
{
    const char *run = "workspace-operation.run-0001.example.json";
    const char *held = "delegation.ada-to-codex.example.json"; /* 08:00 to 20:00 */
    const char *failed = "workspace-operation.run-0005.example.json";
    const char *passed_on = "delegation.codex-to-claude-code.example.json";
    const char *rule = "operations.delegation-covers";
    const struct rule_case cases[] = {
        { run, "/createdAt", "\"2026-11-20T08:00:00.0Z\"", rule, NULL, held },
        { run, "/createdAt", "\"2026-11-20T07:59:59.9Z\"", rule, "/createdAt", held },
        { run, "/createdAt", "\"2026-11-20T20:00:00.0Z\"", rule, "/createdAt", held },
        { run, "/subjectRef", "\"urn:srcos:agent:other\"", rule, "/subjectRef", held },
        { run, "/workspaceRef", "\"urn:srcos:workspace:other\"", rule, "/workspaceRef", held },
        { run, "/workspaceRef", "\"urn:srcos:workspace:other\"", rule, NULL, NULL },
        { failed, "/workspaceRef", "\"urn:srcos:workspace:other\"", rule, NULL, passed_on },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

#define PASSED(gate) "[{\"gate\": \"" gate "\", \"policyDecisionRef\": \"" DENIAL "\"}]"
#define DENIAL       "urn:srcos:policy-decision:run-0001-telemetry"

TEST(what_runs_has_passed_the_gates_that_are_always_asked)
{
    const char *run = "workspace-operation.run-0001.example.json";
    const char *contract = "operation-contract.execution-start.example.json";
    const char *list = "/gateDecisions", *rule = "operations.gates-passed";
    const struct rule_case cases[] = {
        { run, list, PASSED("networkProfile"), rule, NULL, contract }, /* which is not there */
        { run, list, PASSED("toolGrant"), rule, list, contract },
        { run, list, "[]", rule, list, contract },
        { run, list, "[]", rule, NULL, NULL },
        { "workspace-operation.run-0004.example.json", list, "[]", rule, NULL, contract },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(the_card_that_is_awaited_is_about_the_work_that_awaits_it)
{
    const char *run = "workspace-operation.run-0003.example.json";
    const char *task = "operation-task.run-0003-execute.example.json";
    const char *card = "decision-card.run-0003-tokens.example.json";
    const char *other = "decision-card.run-0004-host.example.json"; /* pending too */
    const char *place = "/pendingDecisionCardRef", *rule = "operations.awaited-card-pending";
    const char *urn = "\"urn:srcos:decision-card:run-0004-host\"";
    const struct rule_case cases[] = {
        { run, "/attempt", "1", rule, NULL, card },
        { run, place, urn, rule, place, other },
        { task, "/attempt", "1", rule, NULL, card },
        { task, place, urn, rule, place, other },
        { task, place, urn, rule, NULL, NULL },
        { "workspace-operation.run-0007.example.json", place, urn, rule, NULL, other },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(moments_follow_one_another)
{
    const char *run = "workspace-operation.run-0001.example.json"; /* created at 09:00:00.001 */
    const char *unstarted = "workspace-operation.run-0005.example.json";
    const char *rule = "operations.time-order";
    const struct rule_case cases[] = {
        { run, "/startedAt", "\"2026-11-20T09:00:00.001Z\"", rule, NULL, NULL },
        { run, "/startedAt", "\"2026-11-20T09:00:00Z\"", rule, "/startedAt", NULL },
        { run, "/stateChangedAt", "\"2026-11-20T09:00:00.0009Z\"", rule, "/stateChangedAt", NULL },
        { run, "/endedAt", "\"2026-11-20T09:00:00.0109Z\"", rule, "/endedAt", NULL },
        { unstarted, "/endedAt", "\"2026-11-20T11:05:00Z\"", rule, "/endedAt", NULL },
        { "container-execution-record.run-0002.example.json", "/endedAt",
          "\"2026-11-20T09:59:59Z\"", rule, "/endedAt", NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(prompts_that_left_add_up)
{
    const char *execution = "local-agent-execution.run-0001.example.json";
    const char *egress = "/promptEgress", *rule = "operations.prompt-egress-sum";
    const struct rule_case cases[] = {
        { execution, egress, "{\"bytes\": 0, \"calls\": 0, \"destinations\": []}", rule, NULL,
          NULL },
        { execution, egress, "{\"bytes\": 1, \"calls\": 0, \"destinations\": []}", rule,
          "/promptEgress/bytes", NULL },
        { execution, egress,
          "{\"bytes\": 3, \"calls\": 1, \"destinations\": [{\"bytes\": 2, \"calls\": 1}, "
          "{\"bytes\": 1.0, \"calls\": 1}]}",
          rule, "/promptEgress/calls", NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

#define FILES(a, b)                                                                                \
    "[{\"path\": \"a\", \"redactions\": {" a "}}, {\"path\": \"b\", \"redactions\": {" b "}}]"

TEST(a_bundle_states_what_was_removed_from_its_files)
{
    const char *bundle = "agent-machine-diagnostic-bundle.run-0001.example.json";
    const char *rule = "operations.bundle-redaction-sum", *refused = "/redactions";
    /* It states host-name 2, npm-token 1, private-key 1 and user-name 18. */
    const struct rule_case cases[] = {
        { bundle, "/files",
          FILES("\"host-name\": 2, \"user-name\": 10",
                "\"user-name\": 8, \"npm-token\": 1.0, \"private-key\": 1"),
          rule, NULL, NULL },
        { bundle, "/files",
          FILES("\"host-name\": 2, \"user-name\": 18",
                "\"jwt\": 1, \"npm-token\": 1, \"private-key\": 1"),
          rule, refused, NULL },
        { bundle, "/files", FILES("\"host-name\": 2", "\"npm-token\": 1"), rule, refused, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

#define PATHS(a, b)                                                                                \
    "[{\"path\": \"" a "\", \"redactions\": {}}, {\"path\": \"" b "\", \"redactions\": {}}]"

TEST(a_bundle_is_sorted_by_bytes)
{
    const char *bundle = "agent-machine-diagnostic-bundle.run-0001.example.json";
    const char *rule = "operations.bundle-sorted", *refused = "/files/1/path";
    const struct rule_case cases[] = {
        { bundle, "/files", PATHS("Z", "a"), rule, NULL, NULL },
        { bundle, "/files", PATHS("a", "a/b"), rule, NULL, NULL },
        { bundle, "/files", PATHS("z", "\\u00e9"), rule, NULL, NULL },
        { bundle, "/files", PATHS("\\u00e9", "z"), rule, refused, NULL },
        { bundle, "/files", PATHS("a/b", "a-b"), rule, refused, NULL },
        { bundle, "/files", PATHS("a", "a"), rule, refused, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_bundle_may_be_as_large_as_its_limit)
{
    const char *bundle = "agent-machine-diagnostic-bundle.run-0001.example.json"; /* 61440 bytes */
    const char *rule = "operations.bundle-within-limit";
    const struct rule_case cases[] = {
        { bundle, "/maxBytes", "61440", rule, NULL, NULL },
        { bundle, "/maxBytes", "61439", rule, "/bundleBytes", NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}
