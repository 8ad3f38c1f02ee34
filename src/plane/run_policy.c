/* run_policy: see the header. */
#include "plane/run_policy.h"

#include "base/json.h"
#include "contract/rules.h"

#define STEP_RUN_POLICY "read what the profile says of the network"

static bool is_in_layers(const struct layers *layers, struct str id)
{
    for (size_t i = 0; i < layers_count(layers); i++) {
        struct layer_document document = layers_at(layers, i);
        if (document.state == DOCUMENT_IN_FORCE &&
            str_equal(text_of(member(document.root, "id")), id))
            return true;
    }
    return false;
}

static bool has(const struct run_policy *policy, struct str id)
{
    for (size_t i = 0; i < policy->count; i++)
        if (str_equal(text_of(member(policy->additions[i].root, "id")), id))
            return true;
    return false;
}

static int add(struct run_policy *policy, enum layer layer, struct str name, const yyjson_val *root,
               struct err *err)
{
    if (policy->count == RUN_POLICY_DOCUMENTS_MAX)
        return err_set(err, ERR_LIMIT, STEP_RUN_POLICY,
                       "the profile leads to more than %d documents", RUN_POLICY_DOCUMENTS_MAX);
    char *kept = policy->names[policy->count];
    snprintf(kept, PLANE_URN_MAX, "%.*s", STR_ARG(name));
    policy->additions[policy->count++] = (struct plane_addition){ layer, kept, root };
    return 0;
}

/* Adds a document of the user's own; *ret NULL where it is in force already. */
static int add_own(struct plane *plane, const struct layers *layers, struct str id,
                   struct run_policy *policy, const yyjson_val **ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    yyjson_doc *doc = NULL;
    int64_t revision;
    *ret = NULL;
    if (has(policy, id) || is_in_layers(layers, id))
        return 0;
    int r = ledger_get_document(plane_ledger(plane), id, &text, &revision, err);
    if (r == -ENOENT)
        return err_set(err, ERR_NOT_FOUND, STEP_RUN_POLICY,
                       "the profile refers to %.*s, which is in no layer and not in the ledger",
                       STR_ARG(id));
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    if (policy->doc_count == RUN_POLICY_DOCUMENTS_MAX) {
        yyjson_doc_free(doc);
        return err_set(err, ERR_LIMIT, STEP_RUN_POLICY,
                       "the profile leads to more than %d documents", RUN_POLICY_DOCUMENTS_MAX);
    }
    policy->docs[policy->doc_count++] = doc;
    *ret = yyjson_doc_get_root(doc);
    return add(policy, LAYER_USER, id, *ret, err);
}

int run_policy_read(struct plane *plane, const struct layers *layers, const yyjson_val *profile,
                    const yyjson_val *surface, struct run_policy *ret, struct err *err)
{
    static const char *const bindings[] = { "firewallBindingRef", "meshBindingRef" };
    struct str network = text_of(at(profile, "/agentPlane/networkAccessProfileRef"));
    const yyjson_val *root = NULL, *other, *entry;
    size_t i, count;
    int r = 0;
    *ret = (struct run_policy){ 0 };
    if (network.len >= PLANE_URN_MAX)
        return err_set(err, ERR_LIMIT, STEP_RUN_POLICY, "the network profile's name is too long");
    snprintf(ret->network_profile, sizeof(ret->network_profile), "%.*s", STR_ARG(network));
    if (network.len)
        r = add_own(plane, layers, network, ret, &root, err);
    yyjson_val *entries = member(root, "profiles");
    for (i = 0, count = yyjson_arr_size(entries); i < count && r == 0; i++) {
        entry = yyjson_arr_get(entries, i);
        for (size_t k = 0; k < ARRAY_LEN(bindings) && r == 0; k++) {
            struct str binding = text_of(member(entry, bindings[k]));
            r = binding.len ? add_own(plane, layers, binding, ret, &other, err) : 0;
        }
    }
    if (r == 0 && surface)
        r = add(ret, LAYER_AGENT, text_of(member(surface, "id")), surface, err);
    if (r < 0)
        run_policy_release(ret);
    return r;
}

void run_policy_release(struct run_policy *policy)
{
    for (size_t i = 0; i < policy->doc_count; i++)
        yyjson_doc_free(policy->docs[i]);
    policy->doc_count = policy->count = 0;
}
