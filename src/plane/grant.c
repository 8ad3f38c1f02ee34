/*
 * grant: what the records of grants add up to.
 *
 * Theory of operation. A record is written once and never changes, so whether
 * a tool is granted is asked anew each time: a record grants it to this
 * subject in this workspace, its time is not over, no later record took the
 * tool back, and the delegation under which it was given still verifies, with
 * all that stand above it. A revocation takes a name in the ledger, one for
 * each tool, so that nothing is taken back twice and looking is one read.
 */
#include "plane/grant.h"

#include "authority/delegation.h"
#include "authority/key.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/work.h"

#define STEP_GRANT   "look for a grant"
#define STEP_PIN     "pin a tool"
#define PROGRAM_PATH 4096 /* bytes, the NUL included */

void grant_key(struct buf *ret, struct str record, struct str tool)
{
    buf_add_char(ret, '[');
    json_add_string(ret, record);
    buf_add_char(ret, ',');
    json_add_string(ret, tool);
    buf_add_char(ret, ']');
}

/* --- how one stands ------------------------------------------------------------------------ */

/* 1, 0 or -errno. */
static int is_revoked(struct plane *plane, struct str record, struct str tool, struct err *err)
{
    _cleanup_(buf_release) struct buf key = BUF_INIT, value = BUF_INIT;
    struct err inner = { 0 };
    grant_key(&key, record, tool);
    if (key.error)
        return err_set(err, ERR_MEMORY, STEP_GRANT, "there is not enough memory");
    int r =
        ledger_get_key(plane->ledger, STR(GRANT_REVOCATION_SPACE), buf_str(&key), &value, &inner);
    if (r < 0 && r != -ENOENT && err)
        *err = inner;
    return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/* 1, 0 or -errno; what cannot be verified is not in force. */
static int is_delegated(struct plane *plane, struct str urn, struct err *err)
{
    _cleanup_(buf_release) struct buf path = BUF_INIT;
    _cleanup_(buf_release) struct buf envelope = BUF_INIT_LIMIT(DELEGATION_ENVELOPE_MAX);
    struct delegation_source source;
    struct delegation delegation;
    struct sign_public root;
    struct err inner = { 0 };
    buf_addf(&path, "%s/%s", plane->options.config_folder, KEY_PUBLIC_FILE);
    if (path.error)
        return err_set(err, ERR_MEMORY, STEP_GRANT, "there is not enough memory");
    int r = key_open_public(path.data, &root, &inner);
    if (r == 0) {
        delegation_source_of(plane->ledger, &root, &source);
        r = source.fetch(source.context, urn, &envelope, &inner);
    }
    if (r == 0)
        r = delegation_verify(buf_str(&envelope), &source, clock_now_ms(), &delegation, &inner);
    if (r == 0)
        delegation_release(&delegation);
    if (r == -EIO || r == -ENOMEM || r == -EBADF) {
        if (err)
            *err = inner;
        return r;
    }
    return r == 0;
}

int grant_tool_state(struct plane *plane, const yyjson_val *record, struct str tool,
                     enum grant_state *ret, struct err *err)
{
    int64_t until;
    if (!clock_parse(text_of(member(record, "expiresAt")), &until) || until <= clock_now_ms()) {
        *ret = GRANT_EXPIRED;
        return 0;
    }
    int r = is_revoked(plane, text_of(member(record, "id")), tool, err);
    if (r != 0) {
        if (r > 0)
            *ret = GRANT_REVOKED;
        return r < 0 ? r : 0;
    }
    r = is_delegated(plane, text_of(member(record, "delegationRef")), err);
    if (r >= 0)
        *ret = r ? GRANT_IN_FORCE : GRANT_UNDELEGATED;
    return r < 0 ? r : 0;
}

/* --- finding one --------------------------------------------------------------------------- */

struct search {
    struct plane *plane;
    struct str subject, workspace, tool;
    struct grant *ret;
    bool found;
};

/* 1 where this record grants it and is in force. */
static int look_at(void *context, struct str id, struct str json, int64_t revision, struct err *err)
{
    struct search *search = context;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    enum grant_state state;
    size_t index, count;
    yyjson_val *tool;
    (void)revision;
    int r = json_read(json, &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *record = yyjson_doc_get_root(doc);
    if (!text_is(member(record, "action"), "apply") ||
        !str_equal(text_of(member(record, "subjectRef")), search->subject) ||
        !str_equal(text_of(member(record, "workspaceRef")), search->workspace))
        return 0;
    yyjson_arr_foreach(member(record, "tools"), index, count, tool)
    {
        if (!str_equal(text_of(member(tool, "toolRef")), search->tool))
            continue;
        r = grant_tool_state(search->plane, record, search->tool, &state, err);
        if (r < 0 || state != GRANT_IN_FORCE)
            return r;
        struct grant *ret = search->ret;
        snprintf(ret->record, sizeof(ret->record), "%.*s", STR_ARG(id));
        snprintf(ret->pointer, sizeof(ret->pointer), "/tools/%zu", index);
        snprintf(ret->until, sizeof(ret->until), "%.*s",
                 STR_ARG(text_of(member(record, "expiresAt"))));
        r = jcs_digest(record, ret->digest, err);
        search->found = r == 0;
        return r < 0 ? r : 1;
    }
    return 0;
}

int grant_find(struct plane *plane, struct str subject, struct str workspace, struct str tool,
               struct grant *ret, struct err *err)
{
    struct search search = {
        .plane = plane, .subject = subject, .workspace = workspace, .tool = tool, .ret = ret
    };
    int r =
        ledger_each_document(plane->ledger, STR(GRANT_RECORD_TYPE), STR(""), look_at, &search, err);
    return r < 0 ? r : search.found;
}

/* --- pins ---------------------------------------------------------------------------------- */

/* Where a program lies: itself where its name has a slash, else the first of that name in PATH. */
static bool find_program(struct str program, char ret[PROGRAM_PATH])
{
    const char *variable = getenv("PATH");
    struct str rest = str_from(variable ? variable : "");
    if (program.len == 0 || memchr(program.ptr, '\0', program.len))
        return false;
    if (memchr(program.ptr, '/', program.len))
        return snprintf(ret, PROGRAM_PATH, "%.*s", STR_ARG(program)) < PROGRAM_PATH;
    while (rest.len) {
        size_t end = str_index(rest, ':', 0);
        int len = snprintf(ret, PROGRAM_PATH, "%.*s/%.*s", (int)end, rest.ptr, STR_ARG(program));
        if (end && rest.ptr[0] == '/' && len < PROGRAM_PATH && access(ret, X_OK) == 0)
            return true;
        rest = str_from_offset(rest, end + 1);
    }
    return false;
}

int grant_pin(struct str program, char ret[DIGEST_TEXT_SIZE], struct err *err)
{
    _cleanup_(buf_release) struct buf bytes = BUF_INIT_LIMIT(GRANT_PROGRAM_BYTES_MAX);
    char path[PROGRAM_PATH];
    if (!find_program(program, path))
        return err_set(err, ERR_NOT_FOUND, STEP_PIN,
                       "there is no program %.*s here to pin; name it, as in TOOL=/path/to/it",
                       STR_ARG(program));
    int r = file_read(path, &bytes, err);
    return r < 0 ? r : digest_text(buf_str(&bytes), ret, err);
}
