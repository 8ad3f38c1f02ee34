/* model_test: model providers that are bound to a profile of a stage. */
#ifndef AM_PLANE_MODEL_TEST_H
#define AM_PLANE_MODEL_TEST_H

#include "plane/model_binding.h"
#include "plane/plane_test.h"
#include "plane/profile_presets.h"

#define LOCAL  "urn:srcos:model-profile:llama32-1b"
#define HOSTED "urn:srcos:external-model-provider-profile:byom-openai-compatible"
#define MODEL  "\"models\":[{\"name\":\"small\",\"upstreamModel\":\"llama3.2:1b\"}]"
#define STAYS  "\"promptEgress\":{\"decision\":\"deny\",\"onSecret\":\"deny\"}"
#define LEAVES "\"promptEgress\":{\"decision\":\"allow-with-policy\",\"onSecret\":\"mask\"}"
#define TERMS  "\"terms\":{\"termsAccepted\":true,\"personalDataConsent\":true}"

/* A profile of a kind under TEST_PROFILE. */
static inline void make_profile(struct stage *stage, const char *kind)
{
    struct buf command = BUF_INIT, json = BUF_INIT;
    yyjson_doc *doc = NULL;
    char parameters[2048], digest[DIGEST_TEXT_SIZE] = "";
    profile_write(&json, profile_kind_find(str_from(kind)), STR(TEST_PROFILE));
    CHECK_INT(json_read(buf_str(&json), &json_limits_default, &doc, NULL), 0);
    CHECK_INT(jcs_digest(yyjson_doc_get_root(doc), digest, NULL), 0);
    snprintf(parameters, sizeof(parameters),
             "{\"profileCreate\":{\"profileKind\":\"%s\",\"profileRef\":\"" TEST_PROFILE
             "\",\"profileDigest\":\"%s\",\"store\":\"user\",\"presets\":[]}}",
             kind, digest);
    command_make(stage, &command, "agent_machine.profile.create", stage->user, parameters, "");
    CHECK_INT(stage_submit(stage, &command).state, STATE_COMPLETED);
    yyjson_doc_free(doc);
    buf_release(&json);
    buf_release(&command);
}

/* `example` is a file of a provider that comes with the command; NULL: none does. */
static inline struct outcome give(struct stage *stage, const char *action, const char *provider,
                                  const char *example, const char *members, const char *extra)
{
    struct buf command = BUF_INIT, parameters = BUF_INIT, document = BUF_INIT;
    char path[256], key[256];
    buf_addf(&parameters,
             "{\"modelProviderBind\":{\"action\":\"%s\",\"agentMachineProfileRef\":\"" TEST_PROFILE
             "\",\"providerRef\":\"%s\"%s",
             action, provider, members);
    if (example) {
        snprintf(path, sizeof(path), "examples/%s", example);
        CHECK_INT(file_read(path, &document, NULL), 0);
        json_add_name(&parameters, "document");
        json_add_string(&parameters, buf_str(&document));
    }
    buf_add_text(&parameters, "}}");
    snprintf(key, sizeof(key), ",\"idempotencyKey\":\"model-%u\"%s", stage->commands, extra);
    command_make(stage, &command, "agent_machine.model_provider.bind", stage->user, parameters.data,
                 key);
    struct outcome outcome = stage_submit(stage, &command);
    buf_release(&command);
    buf_release(&parameters);
    buf_release(&document);
    return outcome;
}

static inline struct outcome bind_local(struct stage *stage)
{
    return give(stage, "bind", LOCAL, "local-model-profile.llama32-1b.json", "," MODEL "," STAYS,
                "");
}

static inline struct outcome bind_hosted(struct stage *stage, const char *members)
{
    return give(stage, "bind", HOSTED,
                "external_model_provider_profile.byom_openai_compatible.json", members, "");
}

static inline struct outcome unbind(struct stage *stage, const char *provider, const char *extra)
{
    return give(stage, "unbind", provider, NULL, "", extra);
}

#endif
