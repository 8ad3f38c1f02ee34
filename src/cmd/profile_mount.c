/*
 * profile mount: the directories that a profile mounts at every launch.
 *
 * Without files it shows them. With files it stores each as an
 * AgentWorkspaceMount and names it in the profile, as one recorded operation:
 * the next revision of the profile, and of a mount of that name if there is
 * one already.
 */
#include "base/json.h"
#include "cmd/op.h"
#include "cmd/profile.h"
#include "cmd/tell.h"
#include "contract/document.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/mount.h"
#include "plane/work.h"

#define STEP         "mount a directory in a profile"
#define REFS_POINTER "/worktreePlane/mountRefs"

enum { MOUNT_JSON };

const struct option_row profile_mount_options[PROFILE_MOUNT_OPTION_COUNT] = {
    [MOUNT_JSON] = { "json", 'j', NULL, "print each mount as the document that it is" },
};

static void cleanup_mut_doc(yyjson_mut_doc **doc)
{
    yyjson_mut_doc_free(*doc);
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

/* --- show ---------------------------------------------------------------------------------- */

static void print_mount(const yyjson_val *root, bool as_json)
{
    struct buf line = BUF_INIT;
    if (as_json) {
        json_add_value(&line, root, 0);
        puts(line.data);
    } else {
        printf("%.*s\n", STR_ARG(urn_local(text_of(member(root, "id")))));
        buf_addf(&line, "%.*s, %.*s, of %.*s", STR_ARG(text_of(member(root, "agentPath"))),
                 STR_ARG(text_of(member(root, "semantics"))),
                 STR_ARG(text_of(member(root, "hostPath"))));
        op_print_wrapped("", 2, buf_str(&line));
    }
    buf_release(&line);
}

static int show(const struct invocation *invocation, const struct profiles *profiles,
                const struct profile *profile, struct err *err)
{
    yyjson_val *refs = at(profile->root, REFS_POINTER);
    int r = 0;
    for (size_t i = 0; i < yyjson_arr_size(refs) && r == 0; i++) {
        _cleanup_(mount_release) struct mount_document mount = { 0 };
        r = mount_find(profiles->plane, profiles->layers, profile, text_of(yyjson_arr_get(refs, i)),
                       &mount, err);
        if (r == 0)
            print_mount(mount.root, invocation->values[MOUNT_JSON]);
    }
    return r;
}

/* --- store --------------------------------------------------------------------------------- */

/* The digest of the user's own mount of that name, or nothing. */
static int digest_before(const struct profiles *profiles, struct str urn,
                         char ret[DIGEST_TEXT_SIZE], struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct err inner = { 0 };
    int64_t revision;
    ret[0] = '\0';
    int r = ledger_get_document(plane_ledger(profiles->plane), urn, &text, &revision, &inner);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, &inner);
    if (r == 0)
        r = jcs_digest(yyjson_doc_get_root(doc), ret, &inner);
    if (r < 0 && err)
        *err = inner;
    return r;
}

/* One file, as an item of the operation's parameters; names it in the profile. */
static int add_file(const struct profiles *profiles, const char *path, yyjson_mut_doc *after,
                    struct buf *ret, struct err *err)
{
    _cleanup_(document_release) struct document document = { 0 };
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    int r = document_read(path, &json_limits_default, &document, err);
    const yyjson_val *root = yyjson_doc_get_root(document.doc);
    if (r < 0)
        return r;
    r = plane_check_document(profiles->plane, root, MOUNT_TYPE, STEP, err);
    if (r < 0) {
        struct json_position position = document_position(&document, str_from(err->where), false);
        err_where(err, "%s:%zu:%zu", document.name, position.line, position.column);
        return r;
    }
    struct str urn = text_of(member(root, "id"));
    r = digest_before(profiles, urn, digest, err);
    if (r < 0)
        return r;
    json_add_value(&text, root, 0);
    buf_add_text(ret, ret->len > 1 ? ",{\"document\":" : "{\"document\":");
    json_add_string(ret, buf_str(&text));
    if (digest[0])
        buf_addf(ret, ",\"replacesDigest\":\"%s\"", digest);
    buf_add_char(ret, '}');
    yyjson_mut_val *refs = yyjson_mut_doc_ptr_get(after, REFS_POINTER), *ref;
    size_t i, count;
    yyjson_mut_arr_foreach(refs, i, count, ref)
    {
        if (str_equal(str_make(yyjson_mut_get_str(ref), yyjson_mut_get_len(ref)), urn))
            return 0;
    }
    return yyjson_mut_arr_add_strncpy(after, refs, urn.ptr, urn.len) && !text.error
               ? 0
               : no_memory(err);
}

static int store(const struct invocation *invocation, const struct profiles *profiles,
                 const struct profile *before, struct err *err)
{
    _cleanup_(buf_release) struct buf mounts = BUF_INIT, parameters = BUF_INIT;
    _cleanup_(cleanup_mut_doc) yyjson_mut_doc *after = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = after ? yyjson_val_mut_copy(after, (yyjson_val *)before->root) : NULL;
    int r = root ? 0 : no_memory(err);
    yyjson_mut_doc_set_root(after, root);
    buf_add_char(&mounts, '[');
    for (size_t i = 1; invocation->operands[i] && r == 0; i++)
        r = add_file(profiles, invocation->operands[i], after, &mounts, err);
    buf_add_char(&mounts, ']');
    _cleanup_(cleanup_json_doc) yyjson_doc *changed =
        r == 0 ? yyjson_mut_doc_imut_copy(after, NULL) : NULL;
    if (r == 0 && !changed)
        r = no_memory(err);
    if (r == 0)
        r = profile_write_replace(&parameters, before->root, yyjson_doc_get_root(changed),
                                  buf_str(&mounts), err);
    return r < 0 ? r : profile_submit(profiles->plane, buf_str(&parameters), STR(""), err);
}

int run_profile_mount(const struct invocation *invocation)
{
    _cleanup_(profiles_close) struct profiles profiles = { 0 };
    _cleanup_(profile_release) struct profile before = { 0 }, after = { 0 };
    bool stores = invocation->operands[1] != NULL;
    char urn[PLANE_URN_MAX];
    struct err err = { 0 };
    op_urn("agent-machine-profile", invocation->operands[0], urn);
    int r = profiles_open(stores ? LEDGER_WRITE : LEDGER_READ, &profiles, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    int status = stores ? profile_tell_managed(invocation, profiles.layers, urn) : EXIT_OK;
    if (status != EXIT_OK)
        return status;
    r = profiles_find(&profiles, urn, &before, &err);
    if (r == 0 && stores)
        r = store(invocation, &profiles, &before, &err);
    if (r == 0 && stores)
        r = profiles_find(&profiles, urn, &after, &err);
    if (r == 0)
        r = show(invocation, &profiles, stores ? &after : &before, &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}
