/*
 * model_binding: see the header.
 *
 * Theory of operation. A provider's profile says where it answers; the binding
 * which names it answers, and what a person accepted. Neither grants anything:
 * the layers are asked about each route of a run. What is bound to a profile is
 * one small document, so that a run finds its routes by one look-up, and of two
 * who bind at the same moment one is told that it is otherwise by now.
 */
#include "plane/model_binding.h"

#include "base/json.h"
#include "contract/destination.h"
#include "contract/rules.h"
#include "plane/gate_layers.h"
#include "plane/profile.h"
#include "plane/work.h"

#define STEP_PROVIDER "read a model provider"
#define STEP_BOUND    "read what is bound to a profile"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_BOUND, "there is not enough memory");
}

/* --- documents ----------------------------------------------------------------------------- */

struct search {
    struct str id;
    const yyjson_val *found;
};

static int look_at(void *context, enum layer layer, const char *name, const yyjson_val *root,
                   struct err *err)
{
    struct search *search = context;
    bool is_root = layer == LAYER_ENTERPRISE || layer == LAYER_DEVICE;
    (void)name;
    (void)err;
    if (!search->found && str_equal(catalogue_id_of(root), search->id) &&
        (is_root || !text_is(member(root, "type"), PROFILE_TYPE)))
        search->found = root;
    return 0;
}

int model_document_find(struct plane *plane, struct str subject, struct str id,
                        struct model_document *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    const struct policy *policy;
    struct search search = { .id = id };
    yyjson_doc *doc = NULL;
    int64_t revision;
    int r = gate_layers_policy(plane, subject, &policy, err);
    if (r == 0)
        r = policy_each_document(policy, look_at, &search, err);
    if (r < 0)
        return r;
    if (search.found) {
        *ret = (struct model_document){ .root = search.found, .is_managed = true };
        return 0;
    }
    r = ledger_get_document(plane->ledger, id, &text, &revision, err);
    if (r == -ENOENT)
        return err_set(err, ERR_NOT_FOUND, STEP_PROVIDER,
                       "there is no %.*s among the layers' documents or in the ledger",
                       STR_ARG(id));
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    if (r == 0)
        *ret = (struct model_document){ .root = yyjson_doc_get_root(doc), .doc = doc };
    return r;
}

void model_document_release(struct model_document *document)
{
    yyjson_doc_free(document->doc);
    *document = (struct model_document){ 0 };
}

/* --- providers ----------------------------------------------------------------------------- */

/* The protocol of classes that are not spoken to as OpenAI. */
static const struct {
    const char *class;
    enum model_protocol protocol;
    uint16_t port; /* of a runtime on this machine that states none; 0: unknown */
} speakers[] = {
    { "anthropic", MODEL_ANTHROPIC, 0 },  { "ollama", MODEL_OLLAMA, 11434 },
    { "ollama-remote", MODEL_OLLAMA, 0 }, { "llama.cpp", MODEL_OPENAI, 8080 },
    { "mlx", MODEL_OPENAI, 8080 },
};

static int find_class(struct str name, bool is_runtime, struct model_provider *ret, struct err *err)
{
    ret->class = provider_class_find(name, is_runtime);
    if (!ret->class || ret->class->unsupported)
        return err_set(err, ERR_UNSUPPORTED, STEP_PROVIDER, "%.*s cannot be used: %s",
                       STR_ARG(ret->id),
                       ret->class ? ret->class->unsupported : "its class is not known");
    ret->protocol = MODEL_OPENAI;
    for (size_t i = 0; i < ARRAY_LEN(speakers); i++) {
        if (!str_equal(str_from(speakers[i].class), name))
            continue;
        ret->protocol = speakers[i].protocol;
        ret->default_port = speakers[i].port;
    }
    return 0;
}

static int read_local(const yyjson_val *root, struct model_provider *ret, struct err *err)
{
    const yyjson_val *runtime = member(root, "runtime");
    uint64_t port = count_of(member(runtime, "defaultLocalPort"));
    int r = find_class(text_of(member(runtime, "kind")), true, ret, err);
    if (r < 0)
        return r;
    ret->base_url = text_of(member(runtime, "endpoint"));
    if (port)
        ret->default_port = (uint16_t)port;
    if (!ret->base_url.len && !ret->default_port)
        return err_set(err, ERR_DOCUMENT, STEP_PROVIDER,
                       "%.*s says neither an endpoint nor a port in `runtime`", STR_ARG(ret->id));
    r = ret->base_url.len ? url_is_loopback(ret->base_url, err) : 1;
    if (r == 0)
        return err_set(err, ERR_DENIED, STEP_PROVIDER,
                       "%.*s answers beyond this machine, which a local model does not",
                       STR_ARG(ret->id));
    return r < 0 ? r : 0;
}

static int read_external(const yyjson_val *root, struct model_provider *ret, struct err *err)
{
    const yyjson_val *endpoint = member(root, "endpoint");
    int r = find_class(text_of(member(root, "providerClass")), false, ret, err);
    if (r < 0)
        return r;
    ret->base_url = text_of(member(endpoint, "baseUrlRef"));
    ret->credential = text_of(member(endpoint, "authRef"));
    ret->network_profile = text_of(member(endpoint, "networkAccessProfileRef"));
    r = url_is_loopback(ret->base_url, err);
    ret->is_hosted = r == 0; /* also where a reference stands for it, whatever that leads to */
    return r < 0 ? r : 0;
}

int model_provider_read(const yyjson_val *root, struct model_provider *ret, struct err *err)
{
    *ret = (struct model_provider){ .id = catalogue_id_of(root) };
    if (text_is(member(root, "kind"), MODEL_LOCAL_TYPE))
        return read_local(root, ret, err);
    if (text_is(member(root, "type"), MODEL_EXTERNAL_TYPE))
        return read_external(root, ret, err);
    return err_set(err, ERR_DOCUMENT, STEP_PROVIDER,
                   "%.*s is neither a " MODEL_LOCAL_TYPE " nor an " MODEL_EXTERNAL_TYPE,
                   STR_ARG(ret->id));
}

/* A switch of a provider's policy that is on unless it says otherwise. */
static bool asks_for(const yyjson_val *provider, const char *name)
{
    return !yyjson_is_false(member(member(provider, "policy"), name));
}

const char *model_obstacle(const struct model_provider *provider, const yyjson_val *provider_root,
                           const yyjson_val *binding, const yyjson_val *profile)
{
    const yyjson_val *kind = member(profile, "profileKind"), *terms = member(binding, "terms");
    const yyjson_val *consent = at(profile, "/userPlane/consent/promptEgress");
    if (!provider->is_hosted)
        return NULL;
    if (text_is(kind, "airgapped-local-only") || text_is(kind, "local-model-provider"))
        return "under a machine profile of this kind prompts stay on this machine; use another "
               "profile";
    if (!text_is(consent, "ask") && !text_is(consent, "allow-with-policy"))
        return "the machine profile's userPlane.consent.promptEgress lets no prompt leave";
    if (!text_is(at(provider_root, "/policy/promptEgressDefault"), "allow-with-policy"))
        return "the provider's policy.promptEgressDefault is not `allow-with-policy`, so that no "
               "prompt leaves for it";
    if (text_is(at(binding, "/promptEgress/decision"), "deny"))
        return "the binding lets no prompt leave; bind it with --egress allow-with-policy";
    if (asks_for(provider_root, "requiresDpaOrEnterpriseTerms") &&
        !yyjson_is_true(member(terms, "termsAccepted")))
        return "its terms, or an agreement with it, have to be accepted first; bind it with "
               "--accept-terms";
    if (asks_for(provider_root, "requiresUserConsentForPersonalData") &&
        !yyjson_is_true(member(terms, "personalDataConsent")))
        return "personal data in prompts needs the user's consent; bind it with "
               "--consent-personal-data";
    return NULL;
}

/* --- what is bound ------------------------------------------------------------------------- */

static void bound_id(struct str profile, struct buf *ret)
{
    buf_addf(ret, "model-bound:%.*s", STR_ARG(profile));
}

int model_bound_read(struct plane *plane, struct str profile, struct model_bound *ret,
                     struct err *err)
{
    _cleanup_(buf_release) struct buf id = BUF_INIT;
    bound_id(profile, &id);
    *ret = (struct model_bound){ .revision = LEDGER_NEW };
    if (id.error)
        return no_memory(err);
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    struct err inner = { 0 };
    int r = ledger_get_document(plane->ledger, buf_str(&id), &text, &ret->revision, &inner);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &ret->doc, &inner);
    ret->list = member(yyjson_doc_get_root(ret->doc), "bindings");
    if (r < 0 && err)
        *err = inner;
    return r;
}

void model_bound_release(struct model_bound *bound)
{
    yyjson_doc_free(bound->doc);
    *bound = (struct model_bound){ .revision = LEDGER_NEW };
}

struct str model_bound_find(const struct model_bound *bound, struct str provider)
{
    for (size_t i = 0; i < yyjson_arr_size(bound->list); i++) {
        const yyjson_val *item = yyjson_arr_get(bound->list, i);
        if (str_equal(text_of(member(item, "providerRef")), provider))
            return text_of(member(item, "bindingRef"));
    }
    return STR("");
}

static void add_item(struct buf *json, struct str provider, struct str binding)
{
    buf_add_text(json, json->data[json->len - 1] == '[' ? "{" : ",{");
    json_add_name(json, "bindingRef");
    json_add_string(json, binding);
    json_add_name(json, "providerRef");
    json_add_string(json, provider);
    buf_add_char(json, '}');
}

int model_bound_put(struct ledger_batch *batch, struct str profile, const struct model_bound *bound,
                    struct str provider, struct str binding, struct err *err)
{
    _cleanup_(buf_release) struct buf id = BUF_INIT, json = BUF_INIT;
    bound_id(profile, &id);
    buf_add_text(&json, "{\"bindings\":[");
    for (size_t i = 0; i < yyjson_arr_size(bound->list) && !json.error; i++) {
        const yyjson_val *item = yyjson_arr_get(bound->list, i);
        struct str other = text_of(member(item, "providerRef"));
        if (!str_equal(other, provider))
            add_item(&json, other, text_of(member(item, "bindingRef")));
    }
    if (binding.len && !json.error)
        add_item(&json, provider, binding);
    buf_add_text(&json, "]}");
    return json.error || id.error
               ? no_memory(err)
               : ledger_put_document(batch, STR(MODEL_BOUND_TYPE), buf_str(&id), STR(""),
                                     buf_str(&json), bound->revision, err);
}

static int look_for(void *context, struct str id, struct str json, int64_t revision,
                    struct err *err)
{
    struct search *search = context;
    struct model_bound bound = { 0 };
    (void)id;
    (void)revision;
    int r = json_read(json, &json_limits_default, &bound.doc, err);
    bound.list = member(yyjson_doc_get_root(bound.doc), "bindings");
    if (r == 0 && model_bound_find(&bound, search->id).len)
        search->found = bound.list; /* that there is one is all that is asked */
    model_bound_release(&bound);
    return r < 0 ? r : search->found != NULL;
}

int model_provider_is_bound(struct plane *plane, struct str provider, struct err *err)
{
    struct search search = { .id = provider };
    int r =
        ledger_each_document(plane->ledger, STR(MODEL_BOUND_TYPE), STR(""), look_for, &search, err);
    return r < 0 ? r : search.found != NULL;
}
