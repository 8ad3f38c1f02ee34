/*
 * diagnostics: what goes into a bundle, in which order, and with which secrets in mind.
 *
 * Theory of operation. Before anything is read, the values behind the user's
 * own secret references are resolved into locked memory, and names of people
 * and hosts get their pseudonyms; both then go over everything that is added.
 * What every bundle has comes first (versions, host, doctor, policy), then
 * what was named, then operations from the latest back, as many as fit.
 *
 * A secret whose value cannot be had (a variable that is not set here, a
 * command that fails) cannot be looked for: how many there were is said in
 * versions.json, and the operation ends with a warning. What is too short to
 * be looked for counts among them.
 */
#include "plane/diagnostics.h"

#include "base/file.h"
#include "base/json.h"
#include "base/redact_literals.h"
#include "contract/rules.h"
#include "plane/gate_layers.h"
#include "plane/work.h"

#define STEP "collect diagnostics"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

int diagnostics_path(struct plane *plane, struct str id, char *ret, size_t size, struct err *err)
{
    int len = snprintf(ret, size, "%s/" DIAGNOSTICS_FOLDER "/%.*s.tar.zst",
                       plane->options.state_folder, STR_ARG(urn_local(id)));
    if (len < 0 || (size_t)len >= size)
        return err_set(err, ERR_LIMIT, STEP, "the path of the bundle is too long");
    return 0;
}

void diagnostics_forget(struct plane *plane, struct str id)
{
    char path[PLACE_SIZE];
    if (str_starts(id, STR("urn:srcos:" DIAGNOSTICS_URN ":")) &&
        !memchr(urn_local(id).ptr, '/', urn_local(id).len) &&
        diagnostics_path(plane, id, path, sizeof(path), NULL) == 0)
        (void)unlink(path); /* one that is gone already is no fault */
}

int diagnostics_rules_digest(char ret[DIGEST_TEXT_SIZE], struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    for (size_t i = 0; i < redact_rule_count(); i++) {
        const struct redact_rule *rule = redact_rule_at(i);
        buf_addf(&text, "%s\n%s\n%s\n%s\n%u %u %u %u\n", rule->id, redact_kind_name(rule->kind),
                 rule->anchors ? rule->anchors : "", rule->pattern ? rule->pattern : "", rule->lead,
                 (unsigned)rule->run, (unsigned)rule->check, rule->flags);
    }
    return text.error ? no_memory(err) : digest_text(buf_str(&text), ret, err);
}

int diagnostics_add_text(struct diagnostics *diagnostics, enum bundle_contents contents,
                         const char *path, const struct buf *json, bool no_words, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int r =
        json->error ? no_memory(err) : json_read(buf_str(json), &json_limits_default, &doc, err);
    return r < 0 ? r
                 : bundle_add_json(diagnostics->bundle, contents, path, yyjson_doc_get_root(doc),
                                   no_words, err);
}

/* --- the user's own secrets ---------------------------------------------------------------- */

static int hold_secret(void *context, struct str reference, struct err *err)
{
    struct diagnostics *diagnostics = context;
    struct secret *secret = NULL;
    size_t parts = 0;
    diagnostics->secrets++;
    int r = references_secret(layers_references(diagnostics->layers), reference, &secret, NULL);
    if (r == -ENOMEM)
        return no_memory(err);
    if (r == 0)
        r = redact_literals_add(diagnostics->literals, secret_value(secret), &parts, err);
    secret_free(secret);
    bool is_known = r == 0 && parts > 0;
    diagnostics->unresolved += !is_known;
    return r == -ENOMEM || r == -E2BIG ? r : 0;
}

static int hold_secrets(struct diagnostics *diagnostics, struct err *err)
{
    int r = redact_literals_new(&diagnostics->literals, err);
    if (r == 0 && diagnostics->layers)
        r = references_each_secret(layers_references(diagnostics->layers), hold_secret, diagnostics,
                                   err);
    if (r == 0)
        redact_scanner_use(diagnostics->scanner, diagnostics->literals);
    return r;
}

/* --- layers -------------------------------------------------------------------------------- */

static int open_layers(struct diagnostics *diagnostics, struct plane *plane, struct err *err)
{
    _cleanup_(cleanup_free) struct layers_places *own = calloc(1, sizeof(*own));
    const struct layers_places *places = plane->options.places;
    struct policy_builder *builder = NULL;
    if (!own)
        return no_memory(err);
    int r = places ? 0 : layers_places_default(NULL, own, err);
    places = places ? places : own;
    if (r == 0 && layers_may_speak(places))
        r = layers_open(places, &diagnostics->layers, err);
    if (r == 0)
        r = policy_builder_new(&builder, err);
    if (r == 0 && diagnostics->layers)
        r = layers_add(diagnostics->layers, NULL, builder, err);
    if (r == 0)
        r = policy_build(builder, &diagnostics->policy, err);
    policy_builder_free(builder);
    if (r == 0)
        snprintf(diagnostics->policy_digest, sizeof(diagnostics->policy_digest), "%s",
                 policy_digest(diagnostics->policy));
    return r;
}

/* --- what was named ------------------------------------------------------------------------ */

static int add_named(struct diagnostics *diagnostics, const yyjson_val *parameters, struct err *err)
{
    yyjson_val *files = member(parameters, "namedFiles");
    int r = 0;
    for (size_t i = 0; r == 0 && i < yyjson_arr_size(files); i++) {
        _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(DIAGNOSTICS_NAMED_BYTES);
        const char *path = yyjson_get_str(yyjson_arr_get(files, i));
        const char *slash = path ? strrchr(path, '/') : NULL;
        char to[BUNDLE_PATH_BYTES_MAX];
        if (!path || path[0] != '/')
            return err_set(err, ERR_DOCUMENT, STEP, "a file is named by its absolute path");
        snprintf(to, sizeof(to), "named/%02zu-%.100s", i + 1, slash + 1);
        r = file_read(path, &text, err);
        if (r == 0)
            r = bundle_add_named(diagnostics->bundle, to, buf_str(&text),
                                 str_from(diagnostics->subject), err);
        if (text.len)
            explicit_bzero(text.data, text.len);
    }
    return r;
}

static int name_subject(struct diagnostics *diagnostics, struct str subject, struct err *err)
{
    _cleanup_(buf_release) struct buf name = BUF_INIT_LIMIT(PLANE_URN_MAX - 1);
    int r = pseudonyms_replace(diagnostics->pseudonyms, subject, &name, err);
    if (r == 0)
        snprintf(diagnostics->subject, sizeof(diagnostics->subject), "%s", name.data);
    return r;
}

static int add_versions(struct diagnostics *diagnostics, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    int r = diagnostics_rules_digest(digest, err);
    if (r < 0)
        return r;
    buf_addf(&json,
             "{\"program\":\"%s\",\"ledgerSchema\":%d,\"specVersion\":\"1.0.0\",\"scanner\":{"
             "\"version\":\"%s\",\"rules\":%d,\"rulesDigest\":\"%s\",\"references\":{"
             "\"named\":%zu,\"notLookedFor\":%zu}}}",
             AM_VERSION, LEDGER_SCHEMA_VERSION, AM_VERSION, REDACT_RULE_COUNT, digest,
             diagnostics->secrets, diagnostics->unresolved);
    return diagnostics_add_text(diagnostics, BUNDLE_VERSIONS, "versions.json", &json, false, err);
}

static int collect(struct diagnostics *diagnostics, struct plane *plane,
                   const yyjson_val *parameters, struct err *err)
{
    int r = add_versions(diagnostics, err);
    if (r == 0)
        r = diagnostics_add_host(diagnostics, err);
    if (r == 0)
        r = diagnostics_add_doctor(diagnostics, err);
    if (r == 0)
        r = diagnostics_add_policy(diagnostics, err);
    if (r == 0)
        r = add_named(diagnostics, parameters, err);
    return r < 0 ? r : diagnostics_add_ledger(diagnostics, plane, parameters, err);
}

int diagnostics_open(struct plane *plane, const yyjson_val *parameters, bool resolves,
                     struct str subject, struct diagnostics *ret, struct err *err)
{
    yyjson_val *limit = member(parameters, "maxBytes");
    uint64_t max = limit ? yyjson_get_uint(limit) : BUNDLE_BYTES_DEFAULT;
    struct diagnostics diagnostics = { .max_bytes = max < BUNDLE_BYTES_MAX ? (size_t)max
                                                                           : BUNDLE_BYTES_MAX };
    int r = redact_scanner_new(&diagnostics.scanner, err);
    if (r == 0)
        r = open_layers(&diagnostics, plane, err);
    if (r == 0 && resolves)
        r = hold_secrets(&diagnostics, err);
    if (r == 0)
        r = pseudonyms_new(plane->options.state_folder, resolves, &diagnostics.pseudonyms, err);
    if (r == 0)
        r = pseudonyms_add_host(diagnostics.pseudonyms, err);
    if (r == 0)
        r = name_subject(&diagnostics, subject, err);
    if (r == 0)
        r = bundle_new(diagnostics.scanner, diagnostics.pseudonyms, diagnostics.max_bytes,
                       &diagnostics.bundle, err);
    if (r == 0)
        r = collect(&diagnostics, plane, parameters, err);
    if (r < 0) {
        diagnostics_close(&diagnostics);
        return r;
    }
    *ret = diagnostics;
    return 0;
}

void diagnostics_close(struct diagnostics *diagnostics)
{
    bundle_free(diagnostics->bundle);
    pseudonyms_free(diagnostics->pseudonyms);
    policy_free(diagnostics->policy);
    layers_close(diagnostics->layers);
    redact_scanner_free(diagnostics->scanner);
    redact_literals_free(diagnostics->literals);
    *diagnostics = (struct diagnostics){ 0 };
}
