/*
 * diagnostics_policy: which documents are in force, by digest, and what their rules say.
 *
 * Rules are written as the compiled policy has them: layer, answer, rule,
 * destination or gate. What people wrote beside them (reasons, descriptions)
 * is not read at all, and the references document only as a digest.
 */
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/diagnostics.h"

static const char *const document_states[] = {
    [DOCUMENT_IN_FORCE] = "in-force",
    [DOCUMENT_UNUSABLE] = "unusable",
    [DOCUMENT_INERT] = "inert",
};

static int add_documents(const struct diagnostics *diagnostics, struct buf *json, struct err *err)
{
    size_t count = diagnostics->layers ? layers_count(diagnostics->layers) : 0;
    int r = 0;
    buf_add_text(json, ",\"documents\":[");
    for (size_t i = 0; r == 0 && i < count; i++) {
        struct layer_document document = layers_at(diagnostics->layers, i);
        const char *slash = strrchr(document.path, '/');
        char digest[DIGEST_TEXT_SIZE];
        buf_addf(json, "%s{\"layer\":\"%s\",\"state\":\"%s\"", i ? "," : "",
                 layer_names[document.layer], document_states[document.state]);
        json_add_text(json, "file", str_from(slash ? slash + 1 : document.path));
        if (document.type)
            json_add_text(json, "type", str_from(document.type));
        if (document.root) {
            struct str id = text_of(member(document.root, "id"));
            r = jcs_digest(document.root, digest, err);
            if (r == 0 && id.len)
                json_add_text(json, "documentRef", id);
            if (r == 0)
                json_add_text(json, "digest", str_from(digest));
        }
        buf_add_char(json, '}');
    }
    buf_add_char(json, ']');
    return r;
}

static int add_rule(void *context, const struct policy_rule *rule)
{
    struct buf *json = context;
    const char *slash = rule->document ? strrchr(rule->document, '/') : NULL;
    buf_add_text(json, json->data[json->len - 1] == '[' ? "{" : ",{");
    json_add_text(json, "layer", str_from(layer_names[rule->layer]));
    json_add_text(json, "answer", str_from(answer_names[rule->answer]));
    json_add_text(json, "rule", rule->rule);
    if (rule->gate)
        json_add_text(json, "gate", str_from(rule->gate));
    json_add_text(json, "destination", rule->destination);
    if (rule->document)
        json_add_text(json, "file", str_from(slash ? slash + 1 : rule->document));
    if (rule->pointer[0])
        json_add_text(json, "pointer", str_from(rule->pointer));
    if (rule->ports[0])
        json_add_text(json, "ports", str_from(rule->ports));
    if (rule->protocols[0])
        json_add_text(json, "protocols", str_from(rule->protocols));
    buf_addf(json, ",\"observing\":%s,\"logOnly\":%s,\"builtIn\":%s}",
             rule->observing ? "true" : "false", rule->log_only ? "true" : "false",
             rule->built_in ? "true" : "false");
    return json->error;
}

int diagnostics_add_policy(struct diagnostics *diagnostics, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    buf_addf(&json, "{\"digest\":\"%s\",\"conflictPolicy\":\"%s\",\"layers\":{",
             diagnostics->policy_digest, policy_conflict(diagnostics->policy));
    for (size_t i = 0; i < LAYER_COUNT; i++) {
        const char *digest = policy_layer_digest(diagnostics->policy, (enum layer)i);
        if (digest && *digest)
            json_add_text(&json, layer_names[i], str_from(digest));
    }
    buf_add_char(&json, '}');
    int r = add_documents(diagnostics, &json, err);
    if (r < 0)
        return r;
    buf_add_text(&json, ",\"rules\":[");
    (void)policy_each_rule(diagnostics->policy, add_rule, &json);
    buf_add_text(&json, "]}");
    return diagnostics_add_text(diagnostics, BUNDLE_POLICY, "policy.json", &json, true, err);
}
