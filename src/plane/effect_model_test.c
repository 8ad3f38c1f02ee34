/* effect_model: providers that are bound to a profile, and unbound. */
#include "plane/model_presets.h"
#include "plane/model_test.h"

static bool begin(struct stage *stage, const char *kind)
{
    if (!stage_begin(stage))
        return false;
    make_profile(stage, kind);
    return true;
}

static void end(struct stage *stage)
{
    stage_check(stage);
    stage_end(stage);
}

static bool is_bound(struct stage *stage, const char *provider)
{
    struct model_bound bound;
    CHECK_INT(model_bound_read(stage->plane, STR(TEST_PROFILE), &bound, NULL), 0);
    bool found = model_bound_find(&bound, str_from(provider)).len > 0;
    model_bound_release(&bound);
    return found;
}

static void record_of(const struct outcome *outcome, char ret[PLANE_URN_MAX])
{
    urn_make("model-provider-binding", urn_local(str_from(outcome->operation)), ret);
}

TEST(a_binding_is_a_record_stored_with_its_provider)
{
    struct stage stage;
    char record[PLANE_URN_MAX], text[PLANE_URN_MAX];
    if (!begin(&stage, "personal"))
        return;
    struct outcome outcome = bind_local(&stage);
    CHECK_INT(outcome.state, STATE_COMPLETED);
    record_of(&outcome, record);
    stage_text(&stage, record, "/route", text, sizeof(text));
    CHECK_TEXT(text, "local");
    stage_text(&stage, record, "/protocol", text, sizeof(text));
    CHECK_TEXT(text, "ollama");
    stage_text(&stage, record, "/policyDecisionRefs/0", text, sizeof(text));
    stage_text(&stage, text, "/gate", text, sizeof(text));
    CHECK_TEXT(text, "modelProviderUse");
    stage_text(&stage, LOCAL, "/model/name", text, sizeof(text));
    CHECK_TEXT(text, "llama3.2:1b");
    CHECK(is_bound(&stage, LOCAL));
    CHECK_INT(model_provider_is_bound(stage.plane, STR(LOCAL), NULL), 1);
    CHECK_INT(model_provider_is_bound(stage.plane, STR(HOSTED), NULL), 0);
    CHECK_INT(bind_local(&stage).failure.code, ERR_CONFLICT); /* once */
    end(&stage);
}

TEST(a_hosted_provider_is_bound_where_terms_and_egress_allow_it)
{
    static const struct {
        const char *kind, *members, *word;
    } refused[] = {
        { "personal", "," MODEL "," STAYS "," TERMS, "--egress" },
        { "personal", "," MODEL "," LEAVES, "--accept-terms" },
        { "personal",
          "," MODEL "," LEAVES ",\"terms\":{\"termsAccepted\":true,\"personalDataConsent\":false}",
          "--consent-personal-data" },
        { "airgapped-local-only", "," MODEL "," LEAVES "," TERMS, "stay on this machine" },
        { "local-model-provider", "," MODEL "," LEAVES "," TERMS, "stay on this machine" },
        { "multi-corporate-firewall", "," MODEL "," LEAVES "," TERMS, "promptEgress" },
    };
    struct stage stage;
    char record[PLANE_URN_MAX], text[PLANE_URN_MAX];
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (!begin(&stage, refused[i].kind))
            return;
        struct outcome outcome = bind_hosted(&stage, refused[i].members);
        CHECK_INT(outcome.failure.code, ERR_DENIED);
        if (!strstr(outcome.failure.cause, refused[i].word))
            test_fail(__FILE__, __LINE__, "%s", outcome.failure.cause);
        CHECK_INT(stage_count(&stage, MODEL_BINDING_TYPE), 0);
        CHECK_INT(stage_count(&stage, MODEL_EXTERNAL_TYPE), 0);
        CHECK(!is_bound(&stage, HOSTED));
        end(&stage);
    }
    if (!begin(&stage, "personal"))
        return;
    struct outcome outcome = bind_hosted(&stage, "," MODEL "," LEAVES "," TERMS
                                                 ",\"reservation\":{\"imageTokens\":1536},"
                                                 "\"priority\":7");
    CHECK_INT(outcome.state, STATE_COMPLETED);
    record_of(&outcome, record);
    stage_text(&stage, record, "/route", text, sizeof(text));
    CHECK_TEXT(text, "hosted");
    stage_text(&stage, record, "/networkAccessProfileRef", text, sizeof(text));
    CHECK_TEXT(text, "urn:srcos:network-access-profile:enterprise-and-user");
    end(&stage);
}

TEST(a_provider_that_is_not_there_or_is_no_provider_cannot_be_bound)
{
    struct stage stage;
    if (!begin(&stage, "personal"))
        return;
    CHECK_INT(give(&stage, "bind", LOCAL, NULL, "," MODEL "," STAYS, "").failure.code,
              ERR_NOT_FOUND);
    CHECK_INT(give(&stage, "bind", TEST_PROFILE, NULL, "," MODEL "," STAYS, "").failure.code,
              ERR_DOCUMENT);
    CHECK_INT(give(&stage, "bind", "urn:srcos:model-profile:other",
                   "local-model-profile.llama32-1b.json", "," MODEL "," STAYS, "")
                  .failure.code,
              ERR_DOCUMENT);
    CHECK_INT(give(&stage, "bind", LOCAL,
                   "refused/external_model_provider_profile.anthropic_hosted."
                   "training_allowed.json",
                   "," MODEL "," STAYS, "")
                  .failure.code,
              ERR_DOCUMENT);
    CHECK_INT(unbind(&stage, LOCAL, "").failure.code, ERR_NOT_FOUND);
    CHECK_INT(stage_count(&stage, MODEL_BINDING_TYPE), 0);
    CHECK_INT(stage_count(&stage, MODEL_LOCAL_TYPE), 0);
    end(&stage);
}

TEST(what_is_unbound_is_bound_anew)
{
    struct stage stage;
    char first[PLANE_URN_MAX], second[PLANE_URN_MAX], text[PLANE_URN_MAX];
    if (!begin(&stage, "personal"))
        return;
    struct outcome outcome = bind_local(&stage);
    record_of(&outcome, first);
    outcome = unbind(&stage, LOCAL, "");
    CHECK_INT(outcome.state, STATE_COMPLETED);
    record_of(&outcome, second);
    stage_text(&stage, second, "/unbindsRef", text, sizeof(text));
    CHECK_TEXT(text, first);
    CHECK(!is_bound(&stage, LOCAL));
    CHECK_INT(unbind(&stage, LOCAL, "").failure.code, ERR_NOT_FOUND);
    CHECK_INT(give(&stage, "bind", LOCAL, NULL, "," MODEL "," STAYS, "").state, STATE_COMPLETED);
    CHECK(is_bound(&stage, LOCAL));
    end(&stage);
}

TEST(to_compensate_a_binding_unbinds_it_and_no_other)
{
    struct stage stage;
    struct buf command = BUF_INIT;
    struct outcome outcome;
    char first[PLANE_URN_MAX], text[PLANE_URN_MAX], extra[PLANE_URN_MAX + 32];
    if (!begin(&stage, "personal"))
        return;
    outcome = bind_local(&stage);
    memcpy(first, outcome.operation, sizeof(first));
    CHECK_INT(plane_write_compensate(stage.plane, str_from(first), STR("Wrong."), &command, NULL),
              0);
    outcome = stage_submit(&stage, &command);
    CHECK_INT(outcome.state, STATE_COMPLETED);
    CHECK(!is_bound(&stage, LOCAL));
    stage_text(&stage, first, "/compensatedByRef", text, sizeof(text));
    CHECK_TEXT(text, outcome.operation);
    CHECK(plane_write_compensate(stage.plane, str_from(outcome.operation), STR(""), &command,
                                 NULL) < 0);
    CHECK_INT(bind_local(&stage).state, STATE_COMPLETED);
    snprintf(extra, sizeof(extra), ",\"compensatesRef\":\"%s\"", first);
    CHECK_INT(unbind(&stage, LOCAL, extra).failure.code, ERR_NOT_FOUND);
    CHECK(is_bound(&stage, LOCAL));
    buf_release(&command);
    end(&stage);
}

TEST(a_preset_is_a_local_model_s_profile)
{
    struct stage stage;
    if (!stage_begin(&stage))
        return;
    for (size_t i = 0; i < model_preset_count; i++) {
        struct buf json = BUF_INIT;
        struct model_provider provider;
        yyjson_doc *doc = NULL;
        model_preset_write(&model_presets[i], &json);
        CHECK_INT(json_read(buf_str(&json), &json_limits_default, &doc, NULL), 0);
        const yyjson_val *root = yyjson_doc_get_root(doc);
        CHECK_INT(plane_check_document(stage.plane, root, MODEL_LOCAL_TYPE, "check", NULL), 0);
        CHECK_INT(model_provider_read(root, &provider, NULL), 0);
        CHECK(!provider.is_hosted && provider.protocol == MODEL_OLLAMA);
        CHECK_STR(provider.id, str_from(model_presets[i].urn));
        CHECK(model_preset_find(model_presets[i].name) == &model_presets[i]);
        yyjson_doc_free(doc);
        buf_release(&json);
    }
    CHECK(!model_preset_find("llama3.2"));
    stage_end(&stage);
}

TEST(a_runtime_without_an_endpoint_answers_at_its_port_and_never_elsewhere)
{
    static const struct {
        const char *runtime;
        int port; /* 0: it is refused */
    } cases[] = {
        { "{\"kind\":\"ollama\",\"endpoint\":null}", 11434 },
        { "{\"kind\":\"llama.cpp\",\"defaultLocalPort\":9000}", 9000 },
        { "{\"kind\":\"openai-compatible\"}", 0 },
        { "{\"kind\":\"other\",\"defaultLocalPort\":9000}", 0 },
        { "{\"kind\":\"ollama\",\"endpoint\":\"http://10.0.0.1:11434\"}", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model_provider provider;
        yyjson_doc *doc = NULL;
        char text[256];
        snprintf(text, sizeof(text),
                 "{\"kind\":\"LocalModelProfile\",\"profileId\":\"" LOCAL "\",\"runtime\":%s}",
                 cases[i].runtime);
        CHECK_INT(json_read(str_from(text), &json_limits_default, &doc, NULL), 0);
        CHECK_INT(model_provider_read(yyjson_doc_get_root(doc), &provider, NULL) < 0,
                  cases[i].port == 0);
        if (cases[i].port)
            CHECK_INT(provider.default_port, cases[i].port);
        yyjson_doc_free(doc);
    }
}
