/* The machine rules on what the examples do not show: homes, variables, names, executions. */
#include "contract/rules_test.h"

#define MOUNT       "agent-workspace-mount.compass-repository.example.json"
#define PROFILE     "agent-machine-profile.linux.example.json"
#define SURFACE     "agent-tool-surface.codex.example.json"
#define FINGERPRINT "agent-machine-fingerprint.example.json"
#define EXECUTION   "local-agent-execution.run-0001.example.json"

TEST(a_mount_is_within_the_allow_list_wherever_home_is)
{
    const char *rule = "machine.mount-outside-allow-list", *list = "/worktreePlane/allowedPaths";
    const char *found = "/worktreePlane/mountRefs/0";
    char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
    const struct rule_case cases[] = {
        { PROFILE, list, "[\"~/src/compass\"]", rule, NULL, MOUNT },
        { PROFILE, list, "[\"/srv\", \"~//src/\"]", rule, NULL, MOUNT },
        { PROFILE, list, "[\"/home/ada/src\"]", rule, NULL, MOUNT },
        { PROFILE, list, "[\"/home/bob/src\"]", rule, found, MOUNT },
        { PROFILE, list, "[\"~/src/compass/sub\"]", rule, found, MOUNT },
        { PROFILE, list, "[\"~/SRC\"]", rule, found, MOUNT },
        { PROFILE, list, "[]", rule, found, MOUNT },
        { PROFILE, list, "[]", rule, NULL, NULL },
    };
    setenv("HOME", "/home/ada", 1);
    check_rule_cases(cases, ARRAY_LEN(cases));
    unsetenv("HOME");
    check_rule_case(&cases[0]);
    check_rule_case(
        &(struct rule_case){ PROFILE, list, "[\"/home/ada/src\"]", rule, found, MOUNT });
    if (home)
        setenv("HOME", home, 1);
    free(home);
}

TEST(every_path_that_is_shown_is_looked_at)
{
    const char *rule = "machine.mount-covers-host-secret";
    const struct rule_case cases[] = {
        { MOUNT, "/hostPath", "\"/HOME/ada/.Ssh/\"", rule, "/hostPath" },
        { MOUNT, "/hostPath", "\"/home/ada/src\"", rule, NULL },
        { PROFILE, "/machinePlane/sharedPaths", "[\"~/src\", \"C:\\\\Users\"]", rule,
          "/machinePlane/sharedPaths/1" },
        { SURFACE, "/installPaths", "[\"/opt/codex\", \"/etc/ssh\"]", rule, "/installPaths/1" },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_profile_for_local_models_knows_where_a_provider_answers)
{
    const char *profile = "agent-machine-profile.local-model-provider.example.json";
    const char *rule = "machine.local-profile-reaches-hosted-provider";
    const char *list = "/agentPlane/modelProviderRefs", *found = "/agentPlane/modelProviderRefs/0";
#define REFERENCE(name) "[\"urn:srcos:external-model-provider-profile:" name "\"]"
    const struct rule_case cases[] = {
        { profile, list, REFERENCE("anthropic-hosted"), rule, found,
          "external_model_provider_profile.anthropic_hosted.json" },
        { profile, list, REFERENCE("anthropic-hosted"), rule, NULL, NULL },
        { profile, list, REFERENCE("user-owned-ollama"), rule, NULL,
          "external_model_provider_profile.user_owned_ollama.json" },
        { profile, list, "[\"urn:srcos:model-profile:llama32-1b\"]", rule, NULL,
          "local-model-profile.llama32-1b.json" },
        { profile, list, "[\"urn:srcos:agent-tool-surface:codex\"]", rule, found, SURFACE },
        { PROFILE, list, REFERENCE("anthropic-hosted"), rule, NULL,
          "external_model_provider_profile.anthropic_hosted.json" },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_variable_that_is_expanded_is_set)
{
    const char *rule = "machine.surface-name-undefined";
    static const char *const literal[] = {
        "$HOME", "${}", "${1A}", "${A", "$${", "${A B}", "{OPENAI_BASE_URL}", "x${LANG}${TERM}"
    };
    static const char *const undefined[] = { "${HOME}", "${LANG}${_}", "$${A1}", "${LANG${HOME}" };
    for (size_t i = 0; i < ARRAY_LEN(literal) + ARRAY_LEN(undefined); i++) {
        bool found = i >= ARRAY_LEN(literal);
        char value[128];
        snprintf(value, sizeof(value), "[\"codex\", \"%s\"]",
                 found ? undefined[i - ARRAY_LEN(literal)] : literal[i]);
        check_rule_case(&(struct rule_case){ SURFACE, "/versionCommand", value, rule,
                                             found ? "/versionCommand/1" : NULL });
    }
    check_rule_case(&(struct rule_case){ SURFACE, "/ownSandbox/arguments", "[\"${NO}\"]", rule,
                                         "/ownSandbox/arguments/0" });
}

TEST(a_variable_is_judged_by_the_words_of_its_name)
{
    static const char *const secrets[] = { "TOKEN",          "npm_token",       "MY_API_KEY_FILE",
                                           "AWS_ACCESS_KEY", "SSH_AUTH_SOCK",   "GITHUB_PAT",
                                           "KUBECONFIG",     "DB_PASSWORD_OLD", "Netrc" };
    static const char *const others[] = { "LANG",   "MAX_TOKENS", "KEYBOARD", "API",      "PATH",
                                          "MONKEY", "API_KEYS",   "SSH_AUTH", "TOKENIZER" };
    for (size_t i = 0; i < ARRAY_LEN(secrets) + ARRAY_LEN(others); i++) {
        bool found = i < ARRAY_LEN(secrets);
        const char *name = found ? secrets[i] : others[i - ARRAY_LEN(secrets)];
        char value[256];
        snprintf(value, sizeof(value), "[{\"name\": \"%s\", \"value\": \"x\"}]", name);
        check_rule_case(&(struct rule_case){ SURFACE, "/environment", value,
                                             "machine.environment-carries-secret",
                                             found ? "/environment/0/value" : NULL });
    }
}

TEST(a_secret_is_not_passed_under_another_name)
{
    const char *rule = "machine.environment-carries-secret";
    const struct rule_case cases[] = {
        { SURFACE, "/environment",
          "[{\"name\": \"A\", \"valueRef\": \"urn:srcos:host-environment:OPENAI_API_KEY\"}]", rule,
          "/environment/0/valueRef" },
        { SURFACE, "/environment",
          "[{\"name\": \"OPENAI_API_KEY\", \"valueRef\": \"urn:srcos:host-environment:A\"}]", rule,
          "/environment/0/valueRef" },
        { SURFACE, "/environment",
          "[{\"name\": \"OPENAI_API_KEY\", \"valueRef\": "
          "\"urn:srcos:model-door:placeholder-key\"}]",
          rule, NULL },
        { SURFACE, "/environment", "[{\"name\": \"OPENAI_API_KEY\", \"value\": \"\"}]", rule,
          NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_model_host_is_known_under_a_wildcard)
{
    static const struct {
        const char *host;
        bool found;
    } cases[] = {
        { "API.openai.com.", true },         { ".api.openai.com", true },
        { "*.googleapis.com", true },        { "*.openai.azure.com", true },
        { "storage.googleapis.com", false }, { "*.api.groq.com", false },
        { ".api.groq.com", true },           { "10.0.0.0/8", false },
        { "registry.npmjs.org", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char value[128];
        snprintf(value, sizeof(value), "[{\"host\": \"%s\"}]", cases[i].host);
        check_rule_case(&(struct rule_case){ SURFACE, "/hosts", value,
                                             "machine.surface-lists-model-host",
                                             cases[i].found ? "/hosts/0/host" : NULL });
    }
}

TEST(lists_within_mounts_are_read_by_name_too)
{
    const char *rule = "machine.name-given-twice";
    const struct rule_case cases[] = {
        { FINGERPRINT, "/mounts/0/maskedCounts",
          "[{\"kind\": \"a\", \"count\": 1}, {\"kind\": \"b\", \"count\": 1}, "
          "{\"kind\": \"a\", \"count\": 2}]",
          rule, "/mounts/0/maskedCounts/2/kind" },
        { FINGERPRINT, "/mounts/1/agentPath", "\"/work/compass\"", rule, "/mounts/1/agentPath" },
        { SURFACE, "/stateDirectories",
          "[{\"name\": \"a\", \"agentPath\": \"~/a\"}, {\"name\": \"b\", \"agentPath\": \"~/a\"}]",
          rule, "/stateDirectories/1/agentPath" },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}

TEST(a_fingerprint_and_its_execution_tell_one_story)
{
    const char *rule = "machine.fingerprint-contradicts-execution";
    static const char *const pointers[] = { "/planDigest", "/profileRef", "/operationRef",
                                            "/taskRef" };
    const struct rule_case stopped = { FINGERPRINT, "/launch/outcome", "\"stopped\"",
                                       rule,        "/launch/outcome", EXECUTION };
    const struct rule_case other = {
        FINGERPRINT, "/id", "\"urn:srcos:agent-machine-fingerprint:x\"", rule, NULL, EXECUTION
    };
    for (size_t i = 0; i < ARRAY_LEN(pointers); i++)
        check_rule_case(&(struct rule_case){ FINGERPRINT, pointers[i], "\"other\"", rule,
                                             pointers[i], EXECUTION });
    check_rule_case(&stopped);
    check_rule_case(&other);
}

TEST(a_fingerprint_s_minimum_is_its_profile_s_or_stricter)
{
    const char *rule = "machine.fingerprint-below-profile", *pointer = "/isolation/minimumTier";
    const struct rule_case cases[] = {
        { FINGERPRINT, pointer, "\"vm\"", rule, NULL, PROFILE },
        { FINGERPRINT, pointer, "\"namespaces\"", rule, NULL, PROFILE },
        { FINGERPRINT, pointer, "\"process\"", rule, pointer, PROFILE },
        { FINGERPRINT, pointer, "\"process\"", rule, NULL, NULL },
    };
    check_rule_cases(cases, ARRAY_LEN(cases));
}
