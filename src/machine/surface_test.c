#include "machine/surface.h"

#include "base/json.h"
#include "base/test.h"
#include "contract/catalogue.h"
#include "contract/rules.h"

static const char *const host[] = { "TERM=xterm", "LANG=C.UTF-8", "SECRET=s", NULL };

static const struct surface_values values = {
    .openai = "http://127.0.0.1:4000/v1",
    .anthropic = "http://127.0.0.1:4000",
    .placeholder_key = "placeholder",
    .home = "/home/agent",
    .host_environment = host,
};

static yyjson_doc *read_built_in(const char *name)
{
    yyjson_doc *doc = NULL;
    struct err err = { 0 };
    const struct embedded_surface *surface = surface_find(str_from(name));
    CHECK(surface != NULL);
    if (surface)
        CHECK_INT(surface_read(surface, &doc, &err), 0);
    return doc;
}

static bool has(char *const *items, const char *item)
{
    for (; *items; items++) {
        if (strcmp(*items, item) == 0)
            return true;
    }
    return false;
}

TEST(the_four_tools_and_the_slot_are_there)
{
    static const char *const names[] = { "shell", "codex", "claude-code", "openclaw",
                                         "example-agent" };
    CHECK_INT(embedded_surfaces_count, ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        CHECK(surface_find(str_from(names[i])) != NULL);
    CHECK(surface_find(STR("urn:srcos:agent-tool-surface:local-shell")) ==
          surface_find(STR("shell")));
    CHECK(surface_find(STR("bash")) == NULL);
}

TEST(no_rule_finds_fault_with_them)
{
    const struct embedded_schema *schema = catalogue_find(STR("AgentToolSurface"));
    CHECK(schema != NULL);
    for (size_t i = 0; i < embedded_surfaces_count; i++) {
        yyjson_doc *doc = read_built_in(embedded_surfaces[i].name);
        struct err err = { 0 };
        if (lint_alone(yyjson_doc_get_root(doc), schema, "lint", &err) < 0)
            test_fail(__FILE__, __LINE__, "%s: %s", embedded_surfaces[i].name, err.cause);
        yyjson_doc_free(doc);
    }
}

TEST(codex_is_led_to_the_model_door)
{
    yyjson_doc *doc = read_built_in("codex");
    struct arena arena = ARENA_INIT;
    struct surface_launch launch = { 0 };
    struct err err = { 0 };
    CHECK_INT(surface_expand(yyjson_doc_get_root(doc), &values, &arena, &launch, &err), 0);
    CHECK_TEXT(launch.argv[0], "codex");
    CHECK(has(launch.argv, "model_providers.agent-machine={name=\"agent-machine\",base_url="
                           "\"http://127.0.0.1:4000/v1\",env_key=\"OPENAI_API_KEY\","
                           "wire_api=\"responses\"}"));
    CHECK(has(launch.argv, "sandbox_mode=\"danger-full-access\""));
    CHECK(has(launch.environment, "CODEX_HOME=/home/agent/.codex"));
    CHECK(has(launch.environment, "OPENAI_API_KEY=placeholder"));
    CHECK(has(launch.environment, "TERM=xterm"));
    CHECK(!has(launch.environment, "SECRET=s"));
    CHECK(launch.argv[launch.argument_count] == NULL);
    CHECK_TEXT(surface_own_sandbox(yyjson_doc_get_root(doc)), "switched-off");
    arena_release(&arena);
    yyjson_doc_free(doc);
}

TEST(what_a_launch_has_not_is_left_out_or_refused)
{
    struct surface_values none = { .home = "/home/agent" };
    struct arena arena = ARENA_INIT;
    struct surface_launch launch = { 0 };
    struct err err = { 0 };
    yyjson_doc *shell = read_built_in("shell"), *codex = read_built_in("codex"),
               *slot = read_built_in("example-agent");
    CHECK_INT(surface_expand(yyjson_doc_get_root(shell), &none, &arena, &launch, &err), 0);
    CHECK(launch.environment[0] == NULL);
    CHECK_INT(launch.argument_count, 1);
    CHECK_INT(surface_expand(yyjson_doc_get_root(codex), &none, &arena, &launch, &err),
              -EOPNOTSUPP);
    CHECK(strstr(err.cause, "OPENAI_BASE_URL") != NULL);
    CHECK_INT(surface_expand(yyjson_doc_get_root(slot), &none, &arena, &launch, &err), -EOPNOTSUPP);
    arena_release(&arena);
    yyjson_doc_free(shell);
    yyjson_doc_free(codex);
    yyjson_doc_free(slot);
}

TEST(only_what_a_surface_declares_safe_is_kept)
{
    char *arguments[] = { (char *)"exec",
                          (char *)"--model",
                          (char *)"gpt",
                          (char *)"--model=x",
                          (char *)"-c",
                          (char *)"key=\"s\"",
                          (char *)"my secret prompt",
                          (char *)"--json=1" };
    const bool expected[] = { true, true, true, true, false, false, false, false };
    bool safe[ARRAY_LEN(arguments)];
    yyjson_doc *doc = read_built_in("codex");
    surface_safe_arguments(yyjson_doc_get_root(doc), arguments, ARRAY_LEN(arguments), safe);
    for (size_t i = 0; i < ARRAY_LEN(arguments); i++)
        CHECK_INT(safe[i], expected[i]);
    surface_safe_arguments(yyjson_doc_get_root(doc), arguments, 2, safe);
    CHECK(safe[1]);
    yyjson_doc_free(doc);
}

TEST(state_is_kept_by_profile)
{
    struct arena arena = ARENA_INIT;
    struct surface_state *states;
    struct err err = { 0 };
    size_t count;
    yyjson_doc *doc = read_built_in("claude-code");
    CHECK_INT(surface_state_directories(yyjson_doc_get_root(doc), "/state",
                                        "urn:srcos:agent-machine-profile:../a b", "/home/agent",
                                        &arena, &states, &count, &err),
              0);
    CHECK_INT(count, 1);
    CHECK_TEXT(states[0].host_path,
               "/state/urn%3Asrcos%3Aagent-machine-profile%3A%2E%2E%2Fa%20b/claude-code/claude");
    CHECK_TEXT(states[0].agent_path, "/home/agent/.claude");
    arena_release(&arena);
    yyjson_doc_free(doc);
}
