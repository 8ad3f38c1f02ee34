/*
 * mount: see the header.
 *
 * Theory of operation. As with profiles: a walk over the layers' documents,
 * then one look-up in the ledger. What stands there was held against schema and
 * rules by the effect that stored it, the layers check their files. A managed
 * profile never shows a directory that the user chose: its mounts are found
 * among managed documents alone.
 */
#include "plane/mount.h"

#include "base/json.h"
#include "contract/rules.h"
#include "plane/work.h"

#define STEP_FIND "find a mount"

static bool find_managed(const struct layers *layers, struct str urn, struct mount_document *ret)
{
    for (size_t i = 0; i < layers_count(layers); i++) {
        struct layer_document document = layers_at(layers, i);
        bool is_root = document.layer == LAYER_ENTERPRISE || document.layer == LAYER_DEVICE;
        if (!is_root || !document.root || strcmp(document.type, MOUNT_TYPE) != 0 ||
            !str_equal(text_of(member(document.root, "id")), urn))
            continue;
        *ret = (struct mount_document){ .root = document.root, .path = document.path };
        return true;
    }
    return false;
}

static int find_stored(struct plane *plane, struct str urn, struct mount_document *ret,
                       struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    int64_t revision;
    int r = ledger_get_document(plane->ledger, urn, &text, &revision, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    const yyjson_val *root = yyjson_doc_get_root(doc);
    if (r == -ENOENT || (r == 0 && !text_is(member(root, "type"), MOUNT_TYPE)))
        return err_set(
            err, ERR_NOT_FOUND, STEP_FIND,
            "there is no mount %.*s; agent-machine profile mount PROFILE FILE stores one",
            STR_ARG(urn));
    if (r == 0)
        *ret = (struct mount_document){ .root = root, .doc = TAKE_PTR(doc) };
    return r;
}

int mount_find(struct plane *plane, const struct layers *layers, const struct profile *profile,
               struct str urn, struct mount_document *ret, struct err *err)
{
    if (find_managed(layers, urn, ret))
        return 0;
    if (!profile || !profile->path)
        return find_stored(plane, urn, ret, err);
    err_set(err, ERR_NOT_FOUND, STEP_FIND,
            "there is no managed mount %.*s, which this managed profile names; whoever manages "
            "this machine puts it there",
            STR_ARG(urn));
    err_where(err, "%s", profile->path);
    return -ENOENT;
}

void mount_release(struct mount_document *mount)
{
    yyjson_doc_free(mount->doc);
    *mount = (struct mount_document){ 0 };
}
