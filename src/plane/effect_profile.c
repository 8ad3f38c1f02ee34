/*
 * effect_profile: agent_machine.profile.create.
 *
 * The command says kind, name, presets and digest; the effect writes the
 * profile of that kind anew and stores it, with the network profile to which
 * it refers, if it has that digest. Where the command brings the document, that
 * is checked and stored instead. The same profile again is nothing new. Another
 * one under its name is refused, unless the command says by its digest which
 * one it takes the place of: then it is the next revision. The command stays in
 * the ledger, and with it each revision that there was.
 */
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/profile.h"
#include "plane/work.h"

#define STEP_PROFILE "create a profile"

static int digest_of(const struct buf *json, char ret[DIGEST_TEXT_SIZE], struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int r = json->error ? err_set(err, ERR_MEMORY, STEP_PROFILE, "there is not enough memory")
                        : json_read(buf_str(json), &json_limits_default, &doc, err);
    return r < 0 ? r : jcs_digest(yyjson_doc_get_root(doc), ret, err);
}

/*
 * 1: this very document is there; 0: none is, or the one that it replaces (which may be empty), in
 * this revision; ERR_CONFLICT: another one is.
 */
static int is_there(struct work *work, struct str urn, const char *digest, struct str replaces,
                    int64_t *ret_revision, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char found[DIGEST_TEXT_SIZE] = "";
    int64_t revision = LEDGER_NEW;
    int r = profile_is_archived(work->plane, urn, err);
    if (r > 0)
        return err_set(err, ERR_CONFLICT, STEP_PROFILE,
                       "%.*s was archived; give the new one another name", STR_ARG(urn));
    if (r == 0)
        r = effect_stored(work, urn, &doc, &revision, err);
    if (r > 0)
        r = jcs_digest(yyjson_doc_get_root(doc), found, err);
    if (r < 0)
        return r;
    if (strcmp(found, digest) == 0)
        return 1;
    if (!str_equal(str_from(found), replaces))
        return err_set(err, ERR_CONFLICT, STEP_PROFILE,
                       replaces.len ? "%.*s was changed meanwhile; look at it, and edit it again"
                                    : "there is another %.*s; give the new one another name",
                       STR_ARG(urn));
    *ret_revision = revision;
    return 0;
}

static int read_presets(const yyjson_val *parameters, unsigned *ret, struct err *err)
{
    size_t index, count;
    yyjson_val *item;
    unsigned presets = 0;
    yyjson_arr_foreach(member(parameters, "presets"), index, count, item)
    {
        int preset = profile_preset_find(text_of(item));
        if (preset < 0)
            return err_set(err, ERR_NOT_FOUND, STEP_PROFILE, "there is no preset %.*s",
                           STR_ARG(text_of(item)));
        presets |= 1u << preset;
    }
    *ret = presets;
    return 0;
}

/* The network profile goes into the batch, with the event that binds it. */
static int put_network(struct work *work, const struct profile_kind *kind, struct str urn,
                       unsigned presets, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT, extra = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char network[PLANE_URN_MAX], digest[DIGEST_TEXT_SIZE];
    int64_t revision;
    profile_network_urn(urn, network);
    profile_write_network(&json, kind, urn, presets);
    int r = digest_of(&json, digest, err);
    if (r == 0)
        r = is_there(work, str_from(network), digest, STR(""), &revision, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = json_read(buf_str(&json), &json_limits_default, &doc, err);
    if (r == 0)
        r = plane_check_document(work->plane, yyjson_doc_get_root(doc), "NetworkAccessProfile",
                                 STEP_PROFILE, err);
    if (r == 0)
        r = ledger_put_document(work->batch, STR("NetworkAccessProfile"), str_from(network),
                                work_operation(work), buf_str(&json), revision, err);
    if (r < 0)
        return r;
    buf_add_text(&extra, ",\"documents\":[{\"documentRef\":");
    json_add_string(&extra, str_from(network));
    buf_addf(&extra, ",\"digest\":\"%s\"}]", digest);
    return work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
}

/* The profile that the command brings, as it was written; it is checked when it is stored. */
static int read_document(const yyjson_val *parameters, struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int r = json_read(text_of(member(parameters, "document")), &json_limits_default, &doc, err);
    const yyjson_val *root = yyjson_doc_get_root(doc);
    if (r < 0)
        return r;
    if (!yyjson_equals(member(root, "id"), member(parameters, "profileRef")) ||
        !yyjson_equals(member(root, "profileKind"), member(parameters, "profileKind")))
        return err_set(err, ERR_DOCUMENT, STEP_PROFILE,
                       "the document has another id or kind than the command says");
    buf_add_str(ret, text_of(member(parameters, "document")));
    return 0;
}

static int create(struct work *work, struct effect_result *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    const yyjson_val *parameters = at(work_command(work), "/parameters/profileCreate");
    const struct profile_kind *kind = profile_kind_find(text_of(member(parameters, "profileKind")));
    struct str urn = text_of(member(parameters, "profileRef"));
    struct str replaces = text_of(member(parameters, "replacesDigest"));
    bool is_brought = member(parameters, "document") != NULL;
    char digest[DIGEST_TEXT_SIZE];
    unsigned presets = 0;
    int64_t revision = LEDGER_NEW;
    if (!text_is(member(parameters, "store"), "user"))
        return err_set(err, ERR_UNSUPPORTED, STEP_PROFILE,
                       "an enterprise's profiles are put in place by whoever manages the machine");
    if (!kind || urn.len >= PLANE_URN_MAX)
        return err_set(err, ERR_NOT_FOUND, STEP_PROFILE, "there is no such kind or name");
    if (!is_brought)
        profile_write(&json, kind, urn);
    int r = is_brought ? read_document(parameters, &json, err)
                       : read_presets(parameters, &presets, err);
    if (r == 0)
        r = digest_of(&json, digest, err);
    if (r < 0)
        return r;
    if (!text_is(member(parameters, "profileDigest"), digest))
        return err_set(err, ERR_DOCUMENT, STEP_PROFILE,
                       "the profile of this kind and name has the digest %s", digest);
    r = is_there(work, urn, digest, replaces, &revision, err);
    if (r < 0)
        return r;
    int other = is_brought ? 0 : put_network(work, kind, urn, presets, err);
    if (other < 0 || r > 0)
        return other;
    return effect_store(work, PROFILE_TYPE, urn, buf_str(&json), revision, ret, err);
}

int effect_profile_create(void *context, struct work *work, struct effect_result *ret,
                          struct err *err)
{
    struct err inner = { 0 };
    (void)context;
    if (create(work, ret, &inner) < 0)
        return effect_refuse(work, ret, &inner, err);
    ret->end = STATE_COMPLETED;
    return 0;
}
