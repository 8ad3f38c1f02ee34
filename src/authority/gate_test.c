/* gate: what the layers' rules make of tools, providers, networks, images and paths. */
#include "authority/gate.h"

#include "authority/verdict_test.h"

#define GATES(rules)              "{'rules':[" rules "]}"
#define GATE(gate, match, answer) "{'gate':'" gate "','match':'" match "','answer':'" answer "'}"
#define TOOL(name)                "urn:srcos:agent-tool-surface:" name
#define PROVIDER_NAMED(id, url, egress)                                                            \
    "{'id':'urn:srcos:external-model-provider-profile:" id "',"                                    \
    "'type':'ExternalModelProviderProfile','endpoint':{'baseUrlRef':'" url "'},"                   \
    "'policy':{'promptEgressDefault':'" egress "'}}"

static void add_gates(struct fixture *fixture, enum layer layer, const char *name, const char *text)
{
    struct err err = { 0 };
    yyjson_doc *doc = fixture_read(fixture, text);
    if (policy_add_gates(fixture->builder, layer, name, yyjson_doc_get_root(doc), &err) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", err.where, err.cause);
}

static const char *ask_thing(struct fixture *fixture, struct gate_thing thing)
{
    struct err err = { 0 };
    if (policy_decide_gate(fixture->policy, &thing, &fixture->verdict, &err) < 0)
        return "error";
    return fixture->verdict.answer == ANSWER_ALLOW && fixture->verdict.built_in
               ? "nothing"
               : answer_names[fixture->verdict.answer];
}

static const char *ask_gate(struct fixture *fixture, enum gate gate, const char *name)
{
    return ask_thing(fixture, (struct gate_thing){ .gate = gate, .name = str_from(name) });
}

TEST(without_documents_no_layer_says_anything)
{
    struct fixture fixture;
    char digest[DIGEST_TEXT_SIZE];
    fixture_init(&fixture);
    fixture_build(&fixture);
    CHECK_TEXT(ask_gate(&fixture, GATE_TOOL_GRANT, TOOL("codex")), "nothing");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "debian:12"), "nothing");
    CHECK_INT(policy_digest_empty(digest, NULL), 0);
    CHECK_TEXT(policy_digest(fixture.policy), digest);
    fixture_release(&fixture);
}

TEST(a_rule_is_for_a_name_its_last_part_or_what_begins_with_it)
{
    struct fixture fixture;
    fixture_init(&fixture);
    add_gates(&fixture, LAYER_USER, "gates.yaml",
              GATES(GATE("toolGrant", "openclaw", "deny") "," GATE(
                  "toolGrant", TOOL("claude-code"),
                  "ask") "," GATE("toolGrant", "local-*",
                                  "deny") "," GATE("modelProviderUse",
                                                   "urn:srcos:external-model-provider-profile:*",
                                                   "deny")));
    fixture_build(&fixture);
    CHECK_TEXT(ask_gate(&fixture, GATE_TOOL_GRANT, TOOL("openclaw")), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_TOOL_GRANT, "openclaw"), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_TOOL_GRANT, TOOL("openclaw2")), "nothing");
    CHECK_TEXT(ask_gate(&fixture, GATE_TOOL_GRANT, TOOL("claude-code")), "ask");
    CHECK_TEXT(ask_gate(&fixture, GATE_TOOL_GRANT, TOOL("local-shell")), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_TOOL_GRANT, TOOL("codex")), "nothing");
    CHECK_TEXT(ask_gate(&fixture, GATE_MODEL_PROVIDER_USE,
                        "urn:srcos:external-model-provider-profile:acme"),
               "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_MODEL_PROVIDER_USE, "urn:srcos:model-profile:llama"),
               "nothing");
    CHECK_TEXT(ask_gate(&fixture, GATE_ARTIFACT_ACCESS, "openclaw"), "nothing");
    fixture_release(&fixture);
}

TEST(in_a_layer_the_nearest_rule_decides_and_the_strictest_of_equals)
{
    struct fixture fixture;
    fixture_init(&fixture);
    add_gates(&fixture, LAYER_USER, "gates.yaml",
              GATES(GATE("toolGrant", "*", "deny") "," GATE("toolGrant", "co*", "ask") "," GATE(
                  "toolGrant", "codex",
                  "allow") "," GATE("toolGrant", TOOL("cod*"),
                                    "allow") "," GATE("toolGrant", "twice",
                                                      "allow") "," GATE("toolGrant", TOOL("twice"),
                                                                        "deny")));
    fixture_build(&fixture);
    CHECK_TEXT(ask_gate(&fixture, GATE_TOOL_GRANT, TOOL("codex")), "allow");
    CHECK_TEXT(ask_gate(&fixture, GATE_TOOL_GRANT, TOOL("cook")), "ask");
    CHECK_TEXT(ask_gate(&fixture, GATE_TOOL_GRANT, TOOL("code")), "allow");
    CHECK_TEXT(ask_gate(&fixture, GATE_TOOL_GRANT, TOOL("shell")), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_TOOL_GRANT, TOOL("twice")), "deny");
    fixture_release(&fixture);
}

TEST(across_layers_and_enterprise_documents_the_strictest_holds)
{
    struct fixture fixture;
    fixture_init(&fixture);
    add_gates(&fixture, LAYER_ENTERPRISE, "gates.a.yaml",
              GATES("{'gate':'toolGrant','match':'*','answer':'deny','reason':'none at all'}"));
    add_gates(&fixture, LAYER_ENTERPRISE, "gates.b.yaml",
              GATES(GATE("toolGrant", "codex", "allow")));
    add_gates(&fixture, LAYER_USER, "gates.yaml", GATES(GATE("toolGrant", "codex", "allow")));
    fixture_build(&fixture);
    CHECK_TEXT(ask_gate(&fixture, GATE_TOOL_GRANT, TOOL("codex")), "deny");
    CHECK_INT(fixture.verdict.layer, LAYER_ENTERPRISE);
    CHECK_TEXT(fixture.verdict.document, "gates.a.yaml");
    CHECK_TEXT(fixture.verdict.pointer, "/rules/0");
    CHECK(str_equal(fixture.verdict.rule, STR("toolGrant *")));
    CHECK(strstr(fixture.verdict.reason, "none at all"));
    CHECK(strstr(fixture.verdict.smallest_change, "gates.a.yaml"));
    CHECK_INT(fixture.verdict.layers[LAYER_USER].answer, ANSWER_ALLOW);
    fixture_release(&fixture);
}

TEST(an_unreadable_document_of_the_enterprise_denies_every_gate_by_name)
{
    struct fixture fixture;
    fixture_init(&fixture);
    CHECK_INT(policy_add_unreadable(fixture.builder, LAYER_DEVICE, "/etc/x.yaml", "torn", NULL), 0);
    fixture_build(&fixture);
    for (int gate = 0; gate < GATE_COUNT; gate++) {
        CHECK_TEXT(ask_gate(&fixture, (enum gate)gate, "anything"), "deny");
        CHECK(strstr(fixture.verdict.reason, "/etc/x.yaml"));
    }
    fixture_release(&fixture);
}

TEST(a_path_is_itself_and_all_below_however_it_is_written)
{
    static const struct {
        const char *path, *answer;
    } cases[] = {
        { "/home/ada/.ssh", "deny" },        { "/home/ada/.ssh/", "deny" },
        { "/home/ada/.ssh/id", "deny" },     { "/home//ada/./.ssh", "deny" },
        { "/home/ada/.sshd", "nothing" },    { "/home/ada/src", "allow" },
        { "/home/ada/src/x", "allow" },      { "/home/ada/src/secret", "ask" },
        { "/home/ada/src/secret/x", "ask" }, { "/home/ada/src-old", "nothing" },
        { "/home/ada/src/../.ssh", "deny" }, { "/srv", "nothing" },
    };
    struct fixture fixture;
    fixture_init(&fixture);
    add_gates(&fixture, LAYER_USER, "gates.yaml",
              GATES(GATE("artifactAccess", "/home/ada/.ssh",
                         "deny") "," GATE("artifactAccess", "/home/ada/src/", "allow")));
    add_gates(&fixture, LAYER_DEVICE, "device.yaml",
              GATES(GATE("artifactAccess", "/home/ada/src/secret", "ask")));
    fixture_build(&fixture);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *answer = ask_gate(&fixture, GATE_ARTIFACT_ACCESS, cases[i].path);
        bool holds_secret = strcmp(cases[i].path, "/home/ada/src") == 0;
        if (strcmp(answer, holds_secret ? "ask" : cases[i].answer) != 0)
            test_fail(__FILE__, __LINE__, "%s: %s", cases[i].path, answer);
    }
    fixture_release(&fixture);
}

TEST(a_folder_that_holds_what_is_denied_is_denied_too)
{
    struct fixture fixture;
    fixture_init(&fixture);
    add_gates(&fixture, LAYER_USER, "gates.yaml",
              GATES(GATE("artifactAccess", "/home/ada",
                         "allow") "," GATE("artifactAccess", "/home/ada/.ssh", "deny")));
    fixture_build(&fixture);
    CHECK_TEXT(ask_gate(&fixture, GATE_ARTIFACT_ACCESS, "/home/ada"), "deny");
    CHECK(strstr(fixture.verdict.smallest_change, "does not hold /home/ada/.ssh"));
    CHECK_TEXT(ask_gate(&fixture, GATE_ARTIFACT_ACCESS, "/"), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_ARTIFACT_ACCESS, "/home/ada/src"), "allow");
    fixture_release(&fixture);
}

TEST(an_image_is_meant_with_and_without_tag_and_digest)
{
    struct fixture fixture;
    fixture_init(&fixture);
    add_gates(&fixture, LAYER_USER, "gates.yaml",
              GATES(GATE("containerExecution", "debian", "deny") "," GATE(
                  "containerExecution", "debian:12",
                  "allow") "," GATE("containerExecution", "ghcr.io/acme/*",
                                    "allow") ","
                                             "{'gate':'containerExecution','match':'quay.io/"
                                             "*','unpinned':true,"
                                             "'answer':'deny'}"));
    fixture_build(&fixture);
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "debian"), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "docker.io/library/debian:11"), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "debian@sha256:00"), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "debian:12"), "allow");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "debian:12@sha256:00"), "allow");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "ghcr.io/acme/x:1"), "allow");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "ghcr.io/other/x:1"), "nothing");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "quay.io/x:1"), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "quay.io/x@sha256:00"), "nothing");
    CHECK_TEXT(ask_thing(&fixture, (struct gate_thing){ .gate = GATE_CONTAINER_EXECUTION,
                                                        .name = STR("quay.io/x:1"),
                                                        .digest = STR("sha256:00") }),
               "nothing");
    fixture_release(&fixture);
}

TEST(an_image_of_this_host_lies_at_a_path)
{
    struct fixture fixture;
    fixture_init(&fixture);
    add_gates(&fixture, LAYER_USER, "gates.yaml",
              GATES(GATE("containerExecution", "/srv/images", "deny") "," GATE(
                  "containerExecution", "/srv/images/good",
                  "allow") "," GATE("containerExecution", "oci:/srv/images/named",
                                    "allow") ","
                                             "{'gate':'containerExecution','match':'/opt',"
                                             "'unpinned':true,'answer':'ask'}"));
    fixture_build(&fixture);
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "oci:/srv/images/base"), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "oci:/srv/images/base:1"), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "oci:/srv/./images//base"), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "docker-archive:/srv/images/x.tar"),
               "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "rootfs:/srv/images"), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "oci:/srv/images/../images"), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "oci:/srv/images/good:2"), "allow");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "oci:/srv/images/goods"), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "oci:/srv/images/named"), "allow");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "oci:/srv/imagesque"), "nothing");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "oci:/opt/x"), "ask");
    CHECK_TEXT(ask_thing(&fixture, (struct gate_thing){ .gate = GATE_CONTAINER_EXECUTION,
                                                        .name = STR("oci:/opt/x"),
                                                        .digest = STR("sha256:00"),
                                                        .is_local = true }),
               "nothing");
    fixture_release(&fixture);
}

TEST(a_registry_is_a_host_that_the_layers_know)
{
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_add(
        &fixture, LAYER_ENTERPRISE, "net.yaml",
        NETWORK("allow-with-policy", ENTRY("e", "proxy", "deny", ",'denyDomains':['.evil.test']")));
    fixture_build(&fixture);
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "r.evil.test/x:1"), "deny");
    CHECK_TEXT(fixture.verdict.document, "net.yaml");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "r.evil.test:5000/x:1"), "deny");
    CHECK_TEXT(ask_gate(&fixture, GATE_CONTAINER_EXECUTION, "good.test/x:1"), "nothing");
    CHECK_TEXT(ask_thing(&fixture, (struct gate_thing){ .gate = GATE_CONTAINER_EXECUTION,
                                                        .name = STR("r.evil.test/x:1"),
                                                        .is_local = true }),
               "nothing");
    fixture_release(&fixture);
}

TEST(a_provider_is_what_its_profile_and_the_layers_say_of_its_host)
{
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_add(&fixture, LAYER_USER, "shut.json",
                PROVIDER_NAMED("shut", "https://shut.test/v1", "deny"));
    fixture_add(&fixture, LAYER_USER, "open.json",
                PROVIDER_NAMED("open", "https://open.test/v1", "allow-with-policy"));
    fixture_add(&fixture, LAYER_USER, "far.json",
                PROVIDER_NAMED("far", "https://far.test/v1", "allow-with-policy"));
    fixture_add(&fixture, LAYER_USER, "here.json",
                PROVIDER_NAMED("here", "http://127.0.0.1:11434", "deny"));
    fixture_add(
        &fixture, LAYER_DEVICE, "net.yaml",
        NETWORK("allow-with-policy", ENTRY("e", "proxy", "deny", ",'denyDomains':['far.test']")));
    fixture_build(&fixture);
    CHECK_TEXT(ask_gate(&fixture, GATE_MODEL_PROVIDER_USE,
                        "urn:srcos:external-model-provider-profile:shut"),
               "deny");
    CHECK_INT(fixture.verdict.layer, LAYER_MODEL_PROVIDER);
    CHECK_TEXT(fixture.verdict.pointer, "/policy/promptEgressDefault");
    CHECK_TEXT(ask_gate(&fixture, GATE_MODEL_PROVIDER_USE, "open"), "nothing");
    CHECK_TEXT(ask_gate(&fixture, GATE_MODEL_PROVIDER_USE, "far"), "deny");
    CHECK_INT(fixture.verdict.layer, LAYER_DEVICE);
    CHECK_TEXT(ask_gate(&fixture, GATE_MODEL_PROVIDER_USE, "here"), "allow");
    fixture_release(&fixture);
}

TEST(to_have_no_network_is_no_network_profile)
{
    struct fixture fixture;
    fixture_init(&fixture);
    add_gates(&fixture, LAYER_USER, "gates.yaml", GATES(GATE("networkProfile", "*", "deny")));
    fixture_build(&fixture);
    CHECK_TEXT(ask_gate(&fixture, GATE_NETWORK_PROFILE, "none"), "nothing");
    CHECK_TEXT(ask_gate(&fixture, GATE_NETWORK_PROFILE, "urn:srcos:network-access-profile:a"),
               "deny");
    fixture_release(&fixture);
}

static int count_gate(void *context, const struct policy_rule *rule)
{
    if (rule->gate && strcmp(rule->gate, "toolGrant") == 0 &&
        str_equal(rule->destination, STR("co*")))
        ++*(unsigned *)context;
    return 0;
}

TEST(rules_of_gates_are_shown_and_change_the_digest)
{
    struct fixture fixture;
    char digest[DIGEST_TEXT_SIZE];
    unsigned count = 0;
    fixture_init(&fixture);
    add_gates(&fixture, LAYER_USER, "gates.yaml", GATES(GATE("toolGrant", "co*", "ask")));
    fixture_build(&fixture);
    CHECK_INT(policy_each_rule(fixture.policy, count_gate, &count), 0);
    CHECK_INT(count, 1);
    CHECK_INT(policy_digest_empty(digest, NULL), 0);
    CHECK(strcmp(policy_digest(fixture.policy), digest) != 0);
    fixture_release(&fixture);
}

TEST(a_machine_profile_of_a_layer_denies_what_it_does_not_list_to_its_runs)
{
    static const struct {
        enum gate gate;
        const char *name, *answer;
    } cases[] = {
        { GATE_TOOL_GRANT, TOOL("codex"), "nothing" },
        { GATE_TOOL_GRANT, "codex", "nothing" },
        { GATE_TOOL_GRANT, TOOL("openclaw"), "deny" },
        { GATE_TOOL_GRANT, "urn:srcos:connector:tickets", "nothing" },
        { GATE_MODEL_PROVIDER_USE, "urn:srcos:model-profile:llama", "nothing" },
        { GATE_MODEL_PROVIDER_USE, "urn:srcos:model-profile:other", "deny" },
        { GATE_NETWORK_PROFILE, "none", "nothing" },
        { GATE_NETWORK_PROFILE, "urn:srcos:network-access-profile:a", "deny" },
        { GATE_CONTAINER_EXECUTION, "debian:12", "deny" },
        { GATE_CONTAINER_EXECUTION, "debian@sha256:00", "nothing" },
        { GATE_ARTIFACT_ACCESS, "/srv/code", "nothing" },
        { GATE_ARTIFACT_ACCESS, "/srv/code/x", "nothing" },
        { GATE_ARTIFACT_ACCESS, "/srv/codes", "deny" },
        { GATE_ARTIFACT_ACCESS, "/srv", "deny" },
        { GATE_ARTIFACT_ACCESS, "/home/test/src", "nothing" },
        { GATE_ARTIFACT_ACCESS, "urn:srcos:workspace:a", "nothing" },
    };
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_add(&fixture, LAYER_ENTERPRISE, "managed.json",
                "{'type':'AgentMachineProfile','id':'urn:srcos:agent-machine-profile:m',"
                "'name':'Managed','agentPlane':{'toolSurfaceRefs':['" TOOL(
                    "codex") "'],"
                             "'modelProviderRefs':['urn:srcos:model-profile:llama']},"
                             "'worktreePlane':{'allowedPaths':['/srv/code/','~/src']}}");
    fixture_build(&fixture);
    CHECK_INT(setenv("HOME", "/home/test", 1), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct gate_thing thing = { .gate = cases[i].gate, .name = str_from(cases[i].name) };
        CHECK_TEXT(ask_thing(&fixture, thing), "nothing");
        thing.profile = STR("urn:srcos:agent-machine-profile:m");
        const char *answer = ask_thing(&fixture, thing);
        if (strcmp(answer, cases[i].answer) != 0)
            test_fail(__FILE__, __LINE__, "%s: %s", cases[i].name, answer);
    }
    fixture_release(&fixture);
}
