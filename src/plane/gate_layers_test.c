/* gate_layers: operations of a plane whose gates the layers answer. */
#include "authority/layers.h"
#include "authority/verdict_test.h"
#include "plane/gate_layers.h"
#include "plane/plane_test.h"

struct scene {
    struct stage stage;
    struct layers_places places;
    int ran;
};

static int effect_runs(void *context, struct work *work, struct effect_result *ret, struct err *err)
{
    (void)work;
    (void)err;
    ++*(int *)context;
    ret->end = STATE_COMPLETED;
    return 0;
}

static bool scene_begin(struct scene *scene)
{
    *scene = (struct scene){ 0 };
    if (!stage_begin(&scene->stage))
        return false;
    plane_close(scene->stage.plane);
    struct layers_places *places = &scene->places;
    snprintf(places->system, sizeof(places->system), "%s/system", scene->stage.folder);
    snprintf(places->config, sizeof(places->config), "%s", scene->stage.config);
    snprintf(places->state, sizeof(places->state), "%s", scene->stage.state);
    places->owner = geteuid();
    scene->stage.options.places = places;
    scene->stage.options.execution_start = effect_runs;
    scene->stage.options.effect_context = &scene->ran;
    return stage_open(&scene->stage);
}

/* Starts what uses a network profile and a folder. */
static struct outcome start(struct scene *scene, const char *network, const char *folder)
{
    struct str paths[] = { str_from(folder) }, semantics[] = { STR("read-only") };
    struct plane_asks asks = { .network_profile = str_from(network),
                               .mount_paths = paths,
                               .mount_semantics = semantics,
                               .mount_count = folder[0] ? 1 : 0 };
    struct outcome outcome = { 0 };
    struct buf command = BUF_INIT;
    struct err err = { 0 };
    command_start(&scene->stage, &command, "");
    if (plane_submit(scene->stage.plane, buf_str(&command), &asks, &outcome, &err) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", err.where, err.cause);
    buf_release(&command);
    return outcome;
}

static void check_failure(struct scene *scene, const struct outcome *outcome, const char *member,
                          const char *expected)
{
    char pointer[64], text[PLANE_URN_MAX];
    snprintf(pointer, sizeof(pointer), "/failure/denial/%s", member);
    stage_text(&scene->stage, outcome->operation, pointer, text, sizeof(text));
    CHECK_TEXT(text, expected);
}

/* A member of the decision with which a denied operation ended. */
static void decision_text(struct scene *scene, const struct outcome *outcome, const char *pointer,
                          char ret[PLANE_URN_MAX])
{
    stage_text(&scene->stage, outcome->operation, "/failure/denial/policyDecisionRef", ret,
               PLANE_URN_MAX);
    stage_text(&scene->stage, ret, pointer, ret, PLANE_URN_MAX);
}

TEST(without_layers_what_is_delegated_runs_under_the_digest_of_an_empty_policy)
{
    struct scene scene;
    char digest[DIGEST_TEXT_SIZE], empty[DIGEST_TEXT_SIZE];
    if (!scene_begin(&scene))
        return;
    CHECK_INT(start(&scene, "urn:srcos:network-access-profile:a", "").state, STATE_COMPLETED);
    CHECK_INT(scene.ran, 1);
    CHECK_INT(gate_layers_digest(scene.stage.plane, digest, NULL), 0);
    CHECK_INT(policy_digest_empty(empty, NULL), 0);
    CHECK_TEXT(digest, empty);
    stage_check(&scene.stage);
    stage_end(&scene.stage);
}

TEST(a_layer_that_denies_a_network_profile_ends_the_run_before_its_effect)
{
    struct scene scene;
    char text[PLANE_URN_MAX], digest[DIGEST_TEXT_SIZE];
    if (!scene_begin(&scene))
        return;
    test_put(scene.stage.folder, "system/enterprise/gates.json",
             "{'rules':[{'gate':'networkProfile','match':'home-*','answer':'deny',"
             "'reason':'Not at work.'}]}");
    struct outcome outcome = start(&scene, "urn:srcos:network-access-profile:home-wifi", "");
    CHECK_INT(outcome.failure.code, ERR_DENIED);
    CHECK(strstr(outcome.failure.cause, "Not at work."));
    CHECK_INT(scene.ran, 0);
    check_failure(&scene, &outcome, "layer", "enterprise");
    check_failure(&scene, &outcome, "ruleId", "networkProfile home-*");
    decision_text(&scene, &outcome, "/decidedBy/pointer", text);
    CHECK_TEXT(text, "/rules/0");
    decision_text(&scene, &outcome, "/policyDigest", text);
    CHECK_INT(gate_layers_digest(scene.stage.plane, digest, NULL), 0);
    CHECK_TEXT(text, digest);
    CHECK_INT(start(&scene, "urn:srcos:network-access-profile:work", "").state, STATE_COMPLETED);
    stage_check(&scene.stage);
    stage_end(&scene.stage);
}

TEST(a_folder_is_denied_also_by_way_of_a_link)
{
    struct scene scene;
    char keys[128], link[128], rules[512];
    if (!scene_begin(&scene))
        return;
    snprintf(keys, sizeof(keys), "%s/keys", scene.stage.folder);
    snprintf(link, sizeof(link), "%s/harmless", scene.stage.folder);
    CHECK_INT(mkdir(keys, 0700), 0);
    CHECK_INT(symlink(keys, link), 0);
    snprintf(rules, sizeof(rules),
             "{'rules':[{'gate':'artifactAccess','match':'%s','answer':'deny'}]}", keys);
    test_put(scene.stage.folder, "config/user/gates.json", rules);
    CHECK_INT(start(&scene, "", keys).failure.code, ERR_DENIED);
    CHECK_INT(start(&scene, "", link).failure.code, ERR_DENIED);
    CHECK_INT(start(&scene, "", "/usr").state, STATE_COMPLETED);
    stage_end(&scene.stage);
}

TEST(a_document_that_cannot_be_read_denies_everything_by_name)
{
    static const char *const places[] = { "system/enterprise/gates.json",
                                          "system/device/profile.json", "config/user/gates.json" };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct scene scene;
        if (!scene_begin(&scene))
            return;
        test_put(scene.stage.folder, places[i], "{'rules':[{'gate':");
        struct outcome outcome = start(&scene, "", "");
        CHECK_INT(outcome.failure.code, ERR_DENIED);
        check_failure(&scene, &outcome, "ruleId", "built-in.unreadable-document");
        char text[PLANE_URN_MAX];
        decision_text(&scene, &outcome, "/decidedBy/documentRef", text);
        CHECK(strstr(text, strrchr(places[i], '/') + 1));
        CHECK_INT(scene.ran, 0);
        stage_check(&scene.stage);
        stage_end(&scene.stage);
    }
}

TEST(a_question_of_a_layer_reaches_the_plane_with_layer_rule_and_reason)
{
    struct scene scene;
    struct gate_answer answer = { 0 };
    if (!scene_begin(&scene))
        return;
    test_put(scene.stage.folder, "config/user/gates.json",
             "{'rules':[{'gate':'toolGrant','match':'codex','answer':'ask','reason':'Sure?'}]}");
    struct gate_question question = { .gate = GATE_TOOL_GRANT,
                                      .kind = "tool",
                                      .name = STR("urn:srcos:agent-tool-surface:codex"),
                                      .subject = STR(TEST_AGENT) };
    CHECK_INT(gate_layers_ask(scene.stage.plane, &question, &answer, NULL), 0);
    CHECK_INT(answer.answer, ANSWER_ASK);
    CHECK_INT(answer.layer, LAYER_USER);
    CHECK(!answer.built_in);
    CHECK_TEXT(answer.rule, "toolGrant codex");
    CHECK_TEXT(answer.pointer, "/rules/0");
    CHECK(strstr(answer.document, "gates.json"));
    CHECK(strstr(answer.reason, "Sure?"));
    CHECK(answer.smallest_change[0]);
    question.subject = STR("urn:srcos:agent:other");
    CHECK_INT(gate_layers_ask(scene.stage.plane, &question, &answer, NULL), 0);
    CHECK_INT(answer.answer, ANSWER_ASK);
    stage_end(&scene.stage);
}

TEST(an_image_is_local_or_pinned_as_its_command_says)
{
    struct scene scene;
    struct gate_answer answer;
    struct fixture fixture = { 0 };
    if (!scene_begin(&scene))
        return;
    test_put(
        scene.stage.folder, "config/user/gates.json",
        "{'rules':[{'gate':'containerExecution','match':'*','unpinned':true,'answer':'deny'}]}");
    yyjson_doc *doc = fixture_read(&fixture, "{'reference':'debian:12','source':'registry',"
                                             "'digest':'sha256:00'}");
    struct gate_question question = { .gate = GATE_CONTAINER_EXECUTION,
                                      .kind = "image",
                                      .name = STR("debian:12") };
    CHECK_INT(gate_layers_ask(scene.stage.plane, &question, &answer, NULL), 0);
    CHECK_INT(answer.answer, ANSWER_DENY);
    question.detail = yyjson_doc_get_root(doc);
    CHECK_INT(gate_layers_ask(scene.stage.plane, &question, &answer, NULL), 0);
    CHECK_INT(answer.answer, ANSWER_NOTHING);
    fixture_release(&fixture);
    stage_end(&scene.stage);
}

TEST(an_engine_that_denies_stands_in_the_decision_and_one_that_is_gone_too)
{
    static const char *const engines[] = { "deny", "unreachable" };
    for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
        struct scene scene;
        char rules[256], path[128], text[PLANE_URN_MAX];
        if (!scene_begin(&scene))
            return;
        snprintf(path, sizeof(path), "%s/engine", scene.stage.folder);
        snprintf(rules, sizeof(rules),
                 "{'engines':[{'command':['%s'],'gates':['networkProfile'],'timeoutMs':5000}]}",
                 path);
        test_put(scene.stage.folder, "system/device/gates.json", rules);
        if (i == 0) {
            test_put(scene.stage.folder, "engine",
                     "#!/bin/sh\necho \"{\\'answer\\':\\'deny\\'}\"\n");
            CHECK_INT(chmod(path, 0755), 0);
        }
        struct outcome outcome = start(&scene, "", "");
        CHECK_INT(outcome.failure.code, ERR_DENIED);
        CHECK_INT(scene.ran, 0);
        decision_text(&scene, &outcome, "/externalEngine/answer", text);
        CHECK_TEXT(text, engines[i]);
        decision_text(&scene, &outcome, "/externalEngine/engineRef", text);
        CHECK_TEXT(text, path);
        decision_text(&scene, &outcome, "/decidedBy/pointer", text);
        CHECK_TEXT(text, "/engines/0");
        stage_check(&scene.stage);
        stage_end(&scene.stage);
    }
}
