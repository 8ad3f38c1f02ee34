/*
 * effect_profile: agent_machine.profile.create.
 *
 * The command says kind, name, presets and digest; the effect writes the
 * profile of that kind anew and stores it, with the network profile to which
 * it refers, if it has that digest. Where the command brings the document, that
 * is checked and stored instead. The same profile again is nothing new. Another
 * one under its name is refused, unless the command says by its digest which
 * one it takes the place of: then it is the next revision. Mounts that the
 * command brings are stored beside the profile that names them, in the same
 * way. The command stays in the ledger, and with it each revision that there was.
 */
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/mount.h"
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

/*
 * What the profile names goes into the batch beside it, with the event that binds it; how many
 * bytes, or 0 where it was there.
 */
static int put_beside(struct work *work, const char *type, struct str urn, struct str json,
                      struct str replaces, struct err *err)
{
    _cleanup_(buf_release) struct buf extra = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char digest[DIGEST_TEXT_SIZE];
    int64_t revision;
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r == 0)
        r = jcs_digest(yyjson_doc_get_root(doc), digest, err);
    if (r == 0)
        r = is_there(work, urn, digest, replaces, &revision, err);
    if (r != 0)
        return r < 0 ? r : 0;
    r = plane_check_document(work->plane, yyjson_doc_get_root(doc), type, STEP_PROFILE, err);
    if (r == 0)
        r = ledger_put_document(work->batch, str_from(type), urn, work_operation(work), json,
                                revision, err);
    if (r < 0)
        return r;
    buf_add_text(&extra, ",\"documents\":[{\"documentRef\":");
    json_add_string(&extra, urn);
    buf_addf(&extra, ",\"digest\":\"%s\"}]", digest);
    r = work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
    return r < 0 ? r : (int)json.len;
}

static int put_network(struct work *work, const struct profile_kind *kind, struct str urn,
                       unsigned presets, struct err *err)
{
    _cleanup_(buf_release) struct buf json = BUF_INIT;
    char network[PLANE_URN_MAX];
    profile_network_urn(urn, network);
    profile_write_network(&json, kind, urn, presets);
    if (json.error)
        return err_set(err, ERR_MEMORY, STEP_PROFILE, "there is not enough memory");
    return put_beside(work, "NetworkAccessProfile", str_from(network), buf_str(&json), STR(""),
                      err);
}

/* One mount that the command brings; the profile, as it will be, has to name it. */
static int put_mount(struct work *work, const yyjson_val *mount, const yyjson_val *profile,
                     struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct str json = text_of(member(mount, "document"));
    int r = json_read(json, &json_limits_default, &doc, err);
    struct str urn = text_of(member(yyjson_doc_get_root(doc), "id"));
    if (r < 0)
        return r;
    if (!urn.len || !array_has(at(profile, "/worktreePlane/mountRefs"), urn))
        return err_set(err, ERR_DOCUMENT, STEP_PROFILE,
                       "the profile does not name the mount %.*s in worktreePlane.mountRefs",
                       STR_ARG(urn));
    return put_beside(work, MOUNT_TYPE, urn, json, text_of(member(mount, "replacesDigest")), err);
}

static int put_mounts(struct work *work, const yyjson_val *list, struct str profile, int64_t *taken,
                      struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    size_t i, count;
    yyjson_val *mount;
    int r = list ? json_read(profile, &json_limits_default, &doc, err) : 0;
    if (r < 0 || !list)
        return r;
    yyjson_arr_foreach((yyjson_val *)list, i, count, mount)
    {
        r = put_mount(work, mount, yyjson_doc_get_root(doc), err);
        if (r < 0)
            return r;
        *taken += r;
    }
    return 0;
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
    int64_t revision = LEDGER_NEW, taken = 0;
    int64_t room = work->type->need.of[DIMENSION_LOCAL_DISK_BYTES];
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
    int beside = is_brought ? 0 : put_network(work, kind, urn, presets, err);
    if (beside >= 0)
        beside = put_mounts(work, member(parameters, "mounts"), buf_str(&json), &taken, err);
    if (beside >= 0 && (int64_t)json.len + taken > room)
        beside = err_set(err, ERR_LIMIT, STEP_PROFILE,
                         "with its mounts it would take %lld bytes, and %lld are set aside",
                         (long long)json.len + (long long)taken, (long long)room);
    if (beside < 0 || r > 0)
        return beside < 0 ? beside : 0;
    r = effect_store(work, PROFILE_TYPE, urn, buf_str(&json), revision, ret, err);
    ret->used.of[DIMENSION_LOCAL_DISK_BYTES] += r == 0 ? taken : 0;
    return r;
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
