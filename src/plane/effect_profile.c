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
#include "contract/catalogue.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/mount.h"
#include "plane/work.h"

#define STEP_PROFILE "create a profile"
#define MOUNTS_MAX   64 /* of one profile: a launch takes no more */

static int parse(const struct buf *json, yyjson_doc **ret, struct err *err)
{
    return json->error ? err_set(err, ERR_MEMORY, STEP_PROFILE, "there is not enough memory")
                       : json_read(buf_str(json), &json_limits_default, ret, err);
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

/* --- mounts -------------------------------------------------------------------------------- */

/* Those that a profile names, as they will be. */
struct mount_set {
    yyjson_doc *docs[MOUNTS_MAX];
    size_t count;
};

static void mount_set_release(struct mount_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        yyjson_doc_free(set->docs[i]);
    *set = (struct mount_set){ 0 };
}

static int add_to_set(struct mount_set *set, yyjson_doc *doc, struct err *err)
{
    if (set->count == MOUNTS_MAX) {
        yyjson_doc_free(doc);
        return err_set(err, ERR_LIMIT, STEP_PROFILE, "a profile names at most %d mounts",
                       MOUNTS_MAX);
    }
    set->docs[set->count++] = doc;
    return 0;
}

static bool set_has(const struct mount_set *set, struct str urn)
{
    for (size_t i = 0; i < set->count; i++)
        if (str_equal(text_of(member(yyjson_doc_get_root(set->docs[i]), "id")), urn))
            return true;
    return false;
}

/* One that the command brings; the profile, as it will be, has to name it. Bytes taken, or -errno.
 */
static int put_mount(struct work *work, const yyjson_val *mount, const yyjson_val *refs,
                     struct mount_set *set, struct err *err)
{
    yyjson_doc *doc = NULL;
    struct str json = text_of(member(mount, "document"));
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r == 0)
        r = add_to_set(set, doc, err);
    struct str urn = r < 0 ? STR("") : text_of(member(yyjson_doc_get_root(doc), "id"));
    if (r < 0)
        return r;
    if (!urn.len || !array_has(refs, urn))
        return err_set(err, ERR_DOCUMENT, STEP_PROFILE,
                       "the profile does not name the mount %.*s in worktreePlane.mountRefs",
                       STR_ARG(urn));
    return put_beside(work, MOUNT_TYPE, urn, json, text_of(member(mount, "replacesDigest")), err);
}

/* Those that the profile names and the command does not bring, where they are the user's own. */
static int add_stored(struct work *work, yyjson_val *refs, struct mount_set *set, struct err *err)
{
    for (size_t i = 0; i < yyjson_arr_size(refs); i++) {
        const yyjson_val *ref = yyjson_arr_get(refs, i);
        yyjson_doc *doc = NULL;
        int64_t revision;
        int r = set_has(set, text_of(ref))
                    ? 0
                    : effect_stored(work, text_of(ref), &doc, &revision, err);
        if (r > 0)
            r = add_to_set(set, doc, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Stores the mounts that the command brings, and holds the profile against all that it names. */
static int put_mounts(struct work *work, yyjson_val *list, const yyjson_val *profile,
                      int64_t *taken, struct err *err)
{
    _cleanup_(mount_set_release) struct mount_set set = { 0 };
    yyjson_val *refs = at(profile, "/worktreePlane/mountRefs");
    int r = 0;
    if (!list && !yyjson_arr_size(refs))
        return 0;
    for (size_t i = 0; i < yyjson_arr_size(list) && r >= 0; i++) {
        r = put_mount(work, yyjson_arr_get(list, i), refs, &set, err);
        *taken += r > 0 ? r : 0;
    }
    if (r >= 0)
        r = add_stored(work, refs, &set, err);
    if (r < 0)
        return r;
    const struct lint_beside beside = { catalogue_find(STR(MOUNT_TYPE)), set.docs, set.count };
    return lint_among(profile, catalogue_find(STR(PROFILE_TYPE)), &beside, STEP_PROFILE, err);
}

/* --- the profile --------------------------------------------------------------------------- */

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
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
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
        r = parse(&json, &doc, err);
    if (r == 0)
        r = jcs_digest(yyjson_doc_get_root(doc), digest, err);
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
        beside =
            put_mounts(work, member(parameters, "mounts"), yyjson_doc_get_root(doc), &taken, err);
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
