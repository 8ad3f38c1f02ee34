/* model bind: ties a model provider to a machine profile. */
#include "base/json.h"
#include "cmd/model.h"
#include "cmd/tell.h"
#include "contract/document.h"
#include "contract/rules.h"
#include "plane/model_binding.h"
#include "plane/model_presets.h"
#include "plane/profile.h"

#define STEP "bind a model provider"

enum {
    BIND_PROFILE,
    BIND_MODEL,
    BIND_PRIORITY,
    BIND_FALLBACK,
    BIND_EGRESS,
    BIND_ON_SECRET,
    BIND_TERMS,
    BIND_CONSENT,
    BIND_AGREEMENT,
    BIND_PROMPT_TOKENS,
    BIND_OUTPUT_TOKENS,
    BIND_IMAGE_TOKENS,
    BIND_HELD_TOKENS,
    BIND_CONCURRENT,
    BIND_RATE,
    BIND_DELEGATION,
    BIND_KEY,
    BIND_REASON,
    BIND_JSON
};

const struct option_row model_bind_options[MODEL_BIND_OPTION_COUNT] = {
    [BIND_PROFILE] = { "profile", 'p', "NAME", "the machine profile (personal)" },
    [BIND_MODEL] = { "model", 'm', "NAME[=UPSTREAM]",
                     "a model that it answers, and which of its own that is; may be repeated" },
    [BIND_PRIORITY] = { "priority", 0, "N", "its place among routes of the same kind (0)" },
    [BIND_FALLBACK] = { "fallback", 'f', "BINDING",
                        "to be tried next where it does not answer; may be repeated" },
    [BIND_EGRESS] = { "egress", 'e', "RULE",
                      "whether prompts may leave: deny, or allow-with-policy" },
    [BIND_ON_SECRET] = { "on-secret", 0, "WHAT",
                         "where a prompt has a secret: deny (the default), mask or report" },
    [BIND_TERMS] = { "accept-terms", 0, NULL, "the provider's terms are accepted" },
    [BIND_CONSENT] = { "consent-personal-data", 0, NULL, "prompts may have personal data" },
    [BIND_AGREEMENT] = { "agreement", 0, "REFERENCE", "the agreement, or the terms" },
    [BIND_PROMPT_TOKENS] = { "prompt-tokens", 0, "N", "tokens that it adds to prompts" },
    [BIND_OUTPUT_TOKENS] = { "output-tokens", 0, "N", "the output limit where a client sets none" },
    [BIND_IMAGE_TOKENS] = { "image-tokens", 0, "N", "tokens of an image; without it none is sent" },
    [BIND_HELD_TOKENS] = { "held-context-tokens", 0, "N", "a bound on context that it holds" },
    [BIND_CONCURRENT] = { "concurrent-calls", 0, "N", "calls at the same time" },
    [BIND_RATE] = { "calls-per-minute", 0, "N", "calls in a minute" },
    [BIND_DELEGATION] = { "delegation", 'd', "ID", "under which delegation" },
    [BIND_KEY] = { "key", 'k', "KEY", "the same key twice is one binding" },
    [BIND_REASON] = { "reason", 'r', "TEXT", "why, for the record" },
    [BIND_JSON] = { "json", 'j', NULL, "print the outcome as a JSON object" },
};

/* The provider that is to be bound. */
struct offer {
    struct document file;
    struct buf preset;
    yyjson_doc *doc; /* of the preset, or the ledger */
    const yyjson_val *root;
    bool is_brought; /* it is stored with the binding */
    struct model_provider provider;
};

static void offer_release(struct offer *offer)
{
    document_release(&offer->file);
    buf_release(&offer->preset);
    yyjson_doc_free(offer->doc);
}

static int open_preset(const struct model_preset *preset, struct offer *offer, struct err *err)
{
    model_preset_write(preset, &offer->preset);
    offer->is_brought = true;
    return json_read(buf_str(&offer->preset), &json_limits_default, &offer->doc, err);
}

/* One that a layer or the ledger has: its document stays theirs, and is not given again. */
static int open_stored(struct plane *plane, const char *name, struct offer *offer, struct err *err)
{
    static const char *const types[] = { "external-model-provider-profile", "model-profile" };
    struct model_document found = { 0 };
    char urn[PLANE_URN_MAX];
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        op_urn(types[i], name, urn);
        if (model_document_find(plane, STR(""), str_from(urn), &found, NULL) < 0)
            continue;
        offer->doc = found.doc;
        offer->root = found.root;
        return 0;
    }
    return err_set(err, ERR_NOT_FOUND, STEP,
                   "there is no file or preset `%s`, and no such provider among the layers' "
                   "documents or in the ledger; presets are llama3.2:1b and llama3.2:3b",
                   name);
}

static int open_offer(struct plane *plane, const char *name, struct offer *offer, struct err *err)
{
    const struct model_preset *preset = model_preset_find(name);
    bool is_file = strcmp(name, "-") == 0 || access(name, F_OK) == 0;
    int r;
    offer->preset = BUF_INIT;
    if (preset) {
        r = open_preset(preset, offer, err);
        offer->root = yyjson_doc_get_root(offer->doc);
    } else if (is_file) {
        r = document_read(name, &json_limits_default, &offer->file, err);
        offer->root = yyjson_doc_get_root(offer->file.doc);
        offer->is_brought = true;
    } else {
        r = open_stored(plane, name, offer, err);
    }
    if (r == 0 && !catalogue_id_of(offer->root).len)
        r = err_set(err, ERR_DOCUMENT, STEP, "%s is no model provider's profile", name);
    return r < 0 ? r : model_provider_read(offer->root, &offer->provider, err);
}

/* --- the parameters ------------------------------------------------------------------------ */

static void add_text(struct buf *json, const char *name, struct str text)
{
    json_add_name(json, name);
    json_add_string(json, text);
}

static void add_model(struct buf *json, struct str name, struct str upstream)
{
    buf_add_text(json, json->data[json->len - 1] == '[' ? "{" : ",{");
    add_text(json, "name", name);
    add_text(json, "upstreamModel", upstream);
    buf_add_char(json, '}');
}

static int add_models(const struct invocation *invocation, const struct offer *offer,
                      struct buf *json, struct err *err)
{
    struct str own = text_of(at(offer->root, "/model/name"));
    buf_add_text(json, ",\"models\":[");
    for (size_t i = 0; i < invocation->given_count; i++) {
        struct str given = str_from(invocation->given[i].value ? invocation->given[i].value : "");
        size_t equals = str_index(given, '=', 0);
        struct str name = str_make(given.ptr, equals);
        struct str upstream = equals < given.len ? str_from_offset(given, equals + 1)
                              : own.len          ? own
                                                 : name;
        if (invocation->given[i].option != BIND_MODEL)
            continue;
        if (!name.len || !upstream.len || name.len > MODEL_TEXT_MAX ||
            upstream.len > MODEL_TEXT_MAX)
            return err_set(err, ERR_USAGE, STEP,
                           "--model takes NAME or NAME=UPSTREAM; `%.*s` is "
                           "neither",
                           STR_ARG(given));
        add_model(json, name, upstream);
    }
    if (json->data[json->len - 1] == '[') {
        if (!own.len)
            return err_set(err, ERR_USAGE, STEP, "--model is missing: which models it answers");
        add_model(json, own, own);
    }
    buf_add_char(json, ']');
    return 0;
}

static void add_fallbacks(const struct invocation *invocation, struct buf *json)
{
    const char *before = ",\"fallbackBindingRefs\":[";
    for (size_t i = 0; i < invocation->given_count; i++) {
        char urn[PLANE_URN_MAX];
        if (invocation->given[i].option != BIND_FALLBACK)
            continue;
        op_urn("model-provider-binding", invocation->given[i].value, urn);
        buf_add_text(json, before);
        json_add_string(json, str_from(urn));
        before = ",";
    }
    if (*before == ',' && before[1] == '\0')
        buf_add_char(json, ']');
}

/* Options that are numbers, in the objects where they stand. */
static const struct number_row {
    int option;
    const char *object, *member;
} number_rows[] = {
    { BIND_PROMPT_TOKENS, "reservation", "promptTokens" },
    { BIND_OUTPUT_TOKENS, "reservation", "outputTokens" },
    { BIND_IMAGE_TOKENS, "reservation", "imageTokens" },
    { BIND_HELD_TOKENS, "reservation", "heldContextTokens" },
    { BIND_CONCURRENT, "limits", "concurrentCalls" },
    { BIND_RATE, "limits", "callsPerMinute" },
};

static int read_number(const struct invocation *invocation, int option, uint64_t *ret,
                       struct err *err)
{
    const char *text = invocation->values[option];
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || *end || end == text || *text == '-' || number > ((uint64_t)1 << 53) - 1)
        return err_set(err, ERR_USAGE, STEP, "--%s takes a number; %s is none",
                       model_bind_options[option].name, text);
    *ret = number;
    return 0;
}

static int add_numbers(const struct invocation *invocation, struct buf *json, struct err *err)
{
    const char *open = NULL;
    for (size_t i = 0; i < ARRAY_LEN(number_rows); i++) {
        const struct number_row *row = &number_rows[i];
        uint64_t number;
        if (!invocation->values[row->option])
            continue;
        int r = read_number(invocation, row->option, &number, err);
        if (r < 0)
            return r;
        if (!open || strcmp(open, row->object) != 0)
            buf_addf(json, "%s,\"%s\":{", open ? "}" : "", row->object);
        open = row->object;
        json_add_name(json, row->member);
        buf_addf(json, "%llu", (unsigned long long)number);
    }
    if (open)
        buf_add_char(json, '}');
    return 0;
}

static void add_consent(const struct invocation *invocation, const struct offer *offer,
                        struct buf *json)
{
    const char *egress = invocation->values[BIND_EGRESS];
    const char *on_secret = invocation->values[BIND_ON_SECRET];
    buf_add_text(json, ",\"promptEgress\":{");
    add_text(json, "decision", str_from(egress ? egress : "deny"));
    add_text(json, "onSecret", str_from(on_secret ? on_secret : "deny"));
    buf_add_char(json, '}');
    if (!offer->provider.is_hosted)
        return;
    buf_addf(json, ",\"terms\":{\"termsAccepted\":%s,\"personalDataConsent\":%s",
             invocation->values[BIND_TERMS] ? "true" : "false",
             invocation->values[BIND_CONSENT] ? "true" : "false");
    if (invocation->values[BIND_AGREEMENT])
        add_text(json, "agreementRef", str_from(invocation->values[BIND_AGREEMENT]));
    buf_add_char(json, '}');
}

static int write_parameters(const struct invocation *invocation, const struct offer *offer,
                            const char *profile, struct buf *json, struct err *err)
{
    _cleanup_(buf_release) struct buf document = BUF_INIT;
    uint64_t priority = 0;
    buf_add_text(json, "{\"action\":\"bind\"");
    add_text(json, "agentMachineProfileRef", str_from(profile));
    add_text(json, "providerRef", offer->provider.id);
    int r = add_models(invocation, offer, json, err);
    add_consent(invocation, offer, json);
    add_fallbacks(invocation, json);
    if (r == 0 && invocation->values[BIND_PRIORITY])
        r = read_number(invocation, BIND_PRIORITY, &priority, err);
    if (priority)
        buf_addf(json, ",\"priority\":%llu", (unsigned long long)priority);
    if (r == 0)
        r = add_numbers(invocation, json, err);
    if (offer->is_brought) {
        json_add_value(&document, offer->root, 0);
        add_text(json, "document", buf_str(&document));
    }
    buf_add_char(json, '}');
    return r < 0                           ? r
           : json->error || document.error ? err_set(err, ERR_LIMIT, STEP, "it is too long")
                                           : 0;
}

/* --- the verb ------------------------------------------------------------------------------ */

static int prepare(const struct invocation *invocation, struct plane *plane, const char *profile,
                   struct offer *offer, struct buf *parameters, struct err *err)
{
    bool made;
    int r = open_offer(plane, invocation->operands[0], offer, err);
    if (r == 0 && !invocation->values[BIND_PROFILE])
        r = profile_ensure_personal(plane, &made, err);
    return r < 0 ? r : write_parameters(invocation, offer, profile, parameters, err);
}

static struct str value_of(const struct invocation *invocation, int option)
{
    return str_from(invocation->values[option] ? invocation->values[option] : "");
}

int run_model_bind(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(buf_release) struct buf parameters = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    _cleanup_(offer_release) struct offer offer = { .preset = BUF_INIT };
    char profile[PLANE_URN_MAX], delegation[PLANE_URN_MAX] = "";
    struct err err = { 0 };
    model_profile(invocation->values[BIND_PROFILE], profile);
    int r = op_open(LEDGER_CREATE, &plane, &err);
    if (r == 0)
        r = prepare(invocation, plane, profile, &offer, &parameters, &err);
    if (r < 0)
        return err.code == ERR_USAGE ? tell_usage(invocation->path, "%s", err.cause)
                                     : tell_error(invocation, &err);
    if (invocation->values[BIND_DELEGATION])
        op_urn("delegation", invocation->values[BIND_DELEGATION], delegation);
    struct submission submission = { .type = OPERATION_MODEL_PROVIDER_BIND,
                                     .workspace = STR(PROFILE_WORKSPACE),
                                     .parameters = buf_str(&parameters),
                                     .delegation = str_from(delegation),
                                     .key = value_of(invocation, BIND_KEY),
                                     .reason = value_of(invocation, BIND_REASON) };
    /* The provider's profile has a say at its own gate, also before it is stored. */
    struct plane_addition addition = { LAYER_MODEL_PROVIDER, invocation->operands[0], offer.root };
    bool speaks = offer.is_brought && policy_takes(text_of(member(offer.root, "type")));
    struct plane_asks asks = { .network_profile = offer.provider.network_profile,
                               .additions = &addition,
                               .addition_count = speaks };
    return model_submit(invocation, plane, &submission, &asks, invocation->values[BIND_JSON]);
}
