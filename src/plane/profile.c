/*
 * profile: see the header.
 *
 * Theory of operation. A launch finds its profile by one look-up in the ledger
 * and one walk over the layers' documents, which it has opened anyway for its
 * policy. Nothing is compiled: what stands in the ledger was held against
 * schema and rules by the effect that stored it, and the layers check files.
 *
 * A managed profile comes first, so that a user can neither replace it nor put
 * another one before it. A managed document that cannot be used hides which
 * profile it was meant to be; every look-up is denied until it is mended.
 */
#include "plane/profile.h"

#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/compensate.h"
#include "plane/work.h"

#define STEP_FIND "find a profile"

bool profile_is_managed(const struct layer_document *document)
{
    bool is_root = document->layer == LAYER_ENTERPRISE || document->layer == LAYER_DEVICE;
    return is_root && document->root && strcmp(document->type, PROFILE_TYPE) == 0;
}

int profile_managed(const struct layers *layers, const char *urn)
{
    for (size_t i = 0; i < layers_count(layers); i++) {
        struct layer_document document = layers_at(layers, i);
        if (profile_is_managed(&document) && text_is(member(document.root, "id"), urn))
            return (int)i;
    }
    return -1;
}

static int check_usable(const struct layers *layers, struct err *err)
{
    for (size_t i = 0; i < layers_count(layers); i++) {
        struct layer_document document = layers_at(layers, i);
        if (document.state != DOCUMENT_UNUSABLE)
            continue;
        err_set(err, ERR_DENIED, STEP_FIND, "it cannot be used, and may be this profile: %s",
                document.why);
        err_where(err, "%s", document.path);
        return -EACCES;
    }
    return 0;
}

int profile_is_archived(struct plane *plane, struct str urn, struct err *err)
{
    _cleanup_(buf_release) struct buf by = BUF_INIT;
    struct err inner = { 0 };
    int r = ledger_get_key(plane->ledger, STR(PROFILE_ARCHIVED_SPACE), urn, &by, &inner);
    if (r < 0 && r != -ENOENT && err)
        *err = inner;
    return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static int find_stored(struct plane *plane, const char *urn, struct profile *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int64_t revision;
    int r = profile_is_archived(plane, str_from(urn), err);
    if (r != 0)
        return r < 0 ? r
                     : err_set(err, ERR_NOT_FOUND, STEP_FIND, "the profile %s was archived", urn);
    r = ledger_get_document(plane->ledger, str_from(urn), &text, &revision, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    const yyjson_val *root = yyjson_doc_get_root(doc);
    if (r == -ENOENT || (r == 0 && !text_is(member(root, "type"), PROFILE_TYPE)))
        return err_set(err, ERR_NOT_FOUND, STEP_FIND,
                       "there is no profile %s; see `agent-machine profile list`", urn);
    if (r == 0)
        *ret = (struct profile){ .root = root, .layer = LAYER_USER, .doc = TAKE_PTR(doc) };
    return r;
}

int profile_find(struct plane *plane, const struct layers *layers, const char *urn,
                 struct profile *ret, struct err *err)
{
    int r = check_usable(layers, err);
    if (r < 0)
        return r;
    int index = profile_managed(layers, urn);
    if (index < 0)
        return find_stored(plane, urn, ret, err);
    struct layer_document document = layers_at(layers, (size_t)index);
    *ret =
        (struct profile){ .root = document.root, .layer = document.layer, .path = document.path };
    return 0;
}

void profile_release(struct profile *profile)
{
    yyjson_doc_free(profile->doc);
    *profile = (struct profile){ 0 };
}

int profile_check(struct plane *plane, const yyjson_val *document, struct err *err)
{
    return plane_check_document(plane, document, PROFILE_TYPE, "check a profile", err);
}

/* --- making -------------------------------------------------------------------------------- */

int profile_write_create(struct buf *ret, const struct profile_kind *kind, struct str urn,
                         unsigned presets, struct err *err)
{
    _cleanup_(buf_release) struct buf profile = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char digest[DIGEST_TEXT_SIZE];
    const char *separator = "";
    profile_write(&profile, kind, urn);
    int r = json_read(buf_str(&profile), &json_limits_default, &doc, err);
    if (r == 0)
        r = jcs_digest(yyjson_doc_get_root(doc), digest, err);
    if (r < 0)
        return r;
    buf_addf(ret, "{\"profileKind\":\"%s\",\"profileRef\":", kind->name);
    json_add_string(ret, urn);
    buf_addf(ret, ",\"profileDigest\":\"%s\",\"store\":\"user\",\"presets\":[", digest);
    for (unsigned i = 0; i < PROFILE_PRESET_COUNT; i++) {
        if (!(presets & (1u << i)))
            continue;
        buf_addf(ret, "%s\"%s\"", separator, profile_presets[i].name);
        separator = ",";
    }
    buf_add_text(ret, "]}");
    return 0;
}

int profile_write_replace(struct buf *ret, const yyjson_val *before, const yyjson_val *after,
                          struct str mounts, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    char old[DIGEST_TEXT_SIZE], new[DIGEST_TEXT_SIZE];
    int r = jcs_digest(before, old, err);
    if (r == 0)
        r = jcs_digest(after, new, err);
    if (r < 0)
        return r;
    json_add_value(&text, after, 0);
    buf_add_text(ret, "{\"profileKind\":");
    json_add_string(ret, text_of(member(after, "profileKind")));
    buf_add_text(ret, ",\"profileRef\":");
    json_add_string(ret, text_of(member(after, "id")));
    buf_addf(ret, ",\"profileDigest\":\"%s\",\"replacesDigest\":\"%s\",\"store\":\"user\"", new,
             old);
    buf_add_text(ret, ",\"document\":");
    json_add_string(ret, buf_str(&text));
    if (mounts.len) {
        buf_add_text(ret, ",\"mounts\":");
        buf_add_str(ret, mounts);
    }
    buf_add_char(ret, '}');
    return 0;
}

int profile_submit(struct plane *plane, struct str parameters, struct str workspace,
                   struct err *err)
{
    _cleanup_(buf_release) struct buf command = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    struct submission submission = { .type = OPERATION_PROFILE_CREATE,
                                     .workspace =
                                         workspace.len ? workspace : STR(PROFILE_WORKSPACE),
                                     .parameters = parameters };
    struct outcome outcome;
    int r = plane_write_submit(&submission, &command, err);
    if (r == 0)
        r = plane_submit(plane, buf_str(&command), NULL, &outcome, err);
    if (r < 0 || !outcome.failure.code)
        return r;
    if (err)
        *err = outcome.failure;
    return err_set(NULL, outcome.failure.code, STEP_FIND, "%s", outcome.failure.cause);
}

int profile_ensure_personal(struct plane *plane, bool *ret_made, struct err *err)
{
    _cleanup_(buf_release) struct buf parameters = BUF_INIT;
    struct profile found;
    struct err inner = { 0 };
    int r = find_stored(plane, PROFILE_PERSONAL, &found, &inner);
    if (r == 0) {
        profile_release(&found);
        *ret_made = false;
        return 0;
    }
    if (inner.code == ERR_NOT_FOUND) {
        r = profile_write_create(&parameters, profile_kind_find(STR("personal")),
                                 STR(PROFILE_PERSONAL), PROFILE_PRESETS_ALL, &inner);
        if (r == 0)
            r = profile_submit(plane, buf_str(&parameters), STR(""), &inner);
        if (r == 0) {
            *ret_made = true;
            return 0;
        }
        if (inner.code == ERR_CONFLICT && find_stored(plane, PROFILE_PERSONAL, &found, NULL) == 0) {
            profile_release(&found); /* another process has just made it */
            *ret_made = false;
            return 0;
        }
    }
    if (err)
        *err = inner;
    return r;
}
