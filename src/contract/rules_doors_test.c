/* The doors rules on what the examples do not show: orders, defaults, kinds of references. */
#include "contract/rules_test.h"

#define PROFILE  "network_access_profile.enterprise_and_user.json"
#define PROVIDER "external_model_provider_profile.byom_openai_compatible.json"
#define OLLAMA   "external_model_provider_profile.user_owned_ollama.json"
#define BRIDGE   "native_assistant_bridge_profile.mcp_linux.json"

TEST(a_stated_order_may_be_short_but_not_shuffled)
{
    const char *first = "doors.enterprise-first", *order = "doors.precedence-order";
    const struct rule_case cases[] = {
        { PROFILE, "/precedence", "[]", first, NULL },
        { PROFILE, "/precedence", "[\"enterprise\"]", first, NULL },
        { PROFILE, "/precedence", "[\"enterprise\", \"agent\"]", order, NULL },
        { PROFILE, "/precedence", "[\"enterprise\", \"agent\", \"user\", \"device\"]", order,
          "/precedence/2" },
        { PROFILE, "/precedence", "[\"user\", \"workspace\"]", order, NULL },
        { PROFILE, "/precedence", "[\"user\", \"workspace\"]", first, "/precedence/0" },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_mesh_is_known_by_its_class_or_its_binding)
{
    const char *rule = "doors.mesh-without-firewall";
    const struct rule_case cases[] = {
        { PROFILE, "/profiles/2/firewallBindingRef", "null", rule, "/profiles/2" },
        { PROFILE, "/profiles/2/meshBindingRef", "null", rule, NULL },
        { PROFILE, "/profiles/1/meshBindingRef", "\"urn:example:mesh\"", rule, NULL },
        { OLLAMA, "/endpoint/meshBindingRef", "\"urn:example:mesh\"", rule, "/endpoint" },
        { PROVIDER, "/endpoint/meshBindingRef", "\"urn:example:mesh\"", rule, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(prompts_leave_by_policy_alone)
{
    const char *egress = "doors.prompt-egress-default";
    const struct rule_case cases[] = {
        { PROVIDER, "/policy", "{}", egress, NULL },
        { PROVIDER, "/policy/promptEgressDefault", "\"allow-with-policy\"", egress, NULL },
        { PROVIDER, "/policy/promptEgressDefault", "\"allow\"", egress,
          "/policy/promptEgressDefault" },
        { PROVIDER, "/policy/promptEgressDefault", "\"allow\"", "doors.training-use-default",
          NULL },
        { BRIDGE, "/policy/allowPromptEgress", "false", egress, NULL },
        { BRIDGE, "/policy/allowPromptEgress", "true", egress, "/policy/allowPromptEgress" },
        { BRIDGE, "/evidence/redactPromptText", "true", "doors.evidence-hash-only", NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

#define CAPABILITY(operation, rest)                                                                \
    "[{\"capabilityId\": \"a\", \"operation\": \"" operation "\", " rest "}]"

TEST(what_changes_something_is_confirmed_by_a_person)
{
    const char *rule = "doors.side-effects-default";
    const struct rule_case cases[] = {
        { BRIDGE, "/capabilities",
          CAPABILITY("create-note", "\"defaultDecision\": \"ask\", \"requiresUserConfirmation\": "
                                    "false"),
          rule, "/capabilities/0/requiresUserConfirmation" },
        { BRIDGE, "/capabilities",
          CAPABILITY("create-note", "\"defaultDecision\": \"deny\", \"requiresUserConfirmation\": "
                                    "false"),
          rule, NULL },
        { BRIDGE, "/capabilities",
          CAPABILITY("summarize", "\"defaultDecision\": \"allow-readonly\", "
                                  "\"requiresUserConfirmation\": false"),
          rule, NULL },
        { BRIDGE, "/capabilities",
          CAPABILITY("share-artifact", "\"defaultDecision\": \"allow-with-policy\""), rule, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_reference_is_of_the_kind_that_belongs_there)
{
    const char *rule = "doors.reference-of-other-kind";
    const struct rule_case cases[] = {
        { PROFILE, "/profiles/0/modelProviderRefs", "[\"urn:srcos:model-profile:a\"]", rule, NULL },
        { PROFILE, "/profiles/0/modelProviderRefs",
          "[\"urn:srcos:model-profile:a\", \"urn:srcos:model-provider-binding:a\"]", rule,
          "/profiles/0/modelProviderRefs/1" },
        { PROFILE, "/profiles/0/meshBindingRef", "\"urn:example:firewall-binding-profile:a\"", rule,
          NULL },
        { PROVIDER, "/routing/fallbackOrder", "[\"urn:srcos:service-client:a\"]", rule,
          "/routing/fallbackOrder/0" },
        { PROVIDER, "/endpoint/authRef", "\"urn:srcos:service-client:a\"", rule, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_mesh_may_carry_models_through_a_gateway)
{
    const char *mesh = "mesh_binding_profile.istio_admiral_enterprise.json";
    const char *rule = "doors.mesh-model-egress";
    const char *pointer = "/traffic/externalModelEgressAllowed";
    const struct rule_case cases[] = {
        { mesh, pointer, "true", rule, NULL },
        { mesh, "/traffic", "{\"externalModelEgressAllowed\": true}", rule, pointer },
        { mesh, "/traffic",
          "{\"externalModelEgressAllowed\": true, \"egressMode\": \"enterprise-managed\"}", rule,
          NULL },
        { mesh, "/traffic", "{\"egressMode\": \"ambient\"}", rule, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}
