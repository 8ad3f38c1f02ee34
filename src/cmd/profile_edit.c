/*
 * profile edit: a profile in the user's editor, and back through the plane.
 *
 * The file that is edited lies in the state folder, which is the user's alone.
 * It goes once its contents stand in the ledger, or where nothing was changed;
 * in every other case it stays, and the user is told where. What was edited
 * names by its digest the profile that it takes the place of, so that an edit
 * never undoes another one that was quicker.
 */
#include <sys/wait.h>

#include "base/file.h"
#include "base/json.h"
#include "base/place.h"
#include "cmd/op.h"
#include "cmd/profile.h"
#include "cmd/tell.h"
#include "contract/document.h"
#include "contract/jcs.h"
#include "contract/rules.h"

#define STEP             "edit a profile"
#define EDITOR_DEFAULT   "vi"
#define FILE_TEMPLATE    "/profile-XXXXXX.json"
#define FILE_SUFFIX_LEN  5
#define EDIT_PATH_SIZE   (PLACE_SIZE + sizeof(FILE_TEMPLATE))
#define STATUS_NOT_FOUND 127

enum { EDIT_FROM, EDIT_JSON };

const struct option_row profile_edit_options[PROFILE_EDIT_OPTION_COUNT] = {
    [EDIT_FROM] = { "from", 'f', "FILE", "take the new text from a file; - is standard input" },
    [EDIT_JSON] = { "json", 'j', NULL, "print each difference as a JSON object" },
};

struct edit {
    struct profiles profiles;
    struct profile before;
    struct document after;
    const char *from;          /* a file of the user's; NULL: one of ours, which goes */
    char path[EDIT_PATH_SIZE]; /* of ours; empty where there is none */
    struct buf text;           /* what was written there */
};

static void edit_release(struct edit *edit)
{
    buf_release(&edit->text);
    document_release(&edit->after);
    profile_release(&edit->before);
    profiles_close(&edit->profiles);
}

/* --- the editor ---------------------------------------------------------------------------- */

static int write_file(struct edit *edit, struct err *err)
{
    char folder[PLACE_SIZE];
    struct buf *text = &edit->text;
    int r = place_state(folder, sizeof(folder), err);
    if (r < 0)
        return r;
    json_add_value(text, edit->before.root, 2);
    buf_add_char(text, '\n');
    if (text->error)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    snprintf(edit->path, sizeof(edit->path), "%s" FILE_TEMPLATE, folder);
    _cleanup_(cleanup_close) int fd = mkostemps(edit->path, FILE_SUFFIX_LEN, O_CLOEXEC);
    errno = fd < 0 ? errno : ENOSPC;
    if (fd < 0 || write(fd, text->data, text->len) != (ssize_t)text->len)
        return err_set_errno(err, errno, STEP, "%s", edit->path);
    return 0;
}

/* As git does: the variable is a command line, and the file is its last argument. */
static int run_editor(const char *path, struct err *err)
{
    const char *visual = getenv("VISUAL"), *other = getenv("EDITOR");
    const char *editor = visual && visual[0] ? visual : other && other[0] ? other : EDITOR_DEFAULT;
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    int status;
    buf_addf(&line, "%s \"$@\"", editor);
    fflush(NULL);
    pid_t child = line.error ? -1 : fork();
    if (child < 0)
        return err_set_errno(err, line.error ? ENOMEM : errno, STEP, "start %s", editor);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", line.data, editor, path, (char *)NULL);
        _exit(STATUS_NOT_FOUND);
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return err_set_errno(err, errno, STEP, "wait for %s", editor);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err_set(err, ERR_IO, STEP, "the editor `%s` ended with status %d%s", editor,
                   WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                   WIFEXITED(status) && WEXITSTATUS(status) == STATUS_NOT_FOUND
                       ? "; name one in VISUAL or EDITOR"
                       : "");
}

/* --- the way back -------------------------------------------------------------------------- */

static int read_after(struct edit *edit, struct err *err)
{
    const char *path = edit->from ? edit->from : edit->path;
    int r = document_read(path, &json_limits_default, &edit->after, err);
    if (r < 0)
        return r;
    const yyjson_val *before = edit->before.root, *after = yyjson_doc_get_root(edit->after.doc);
    r = profile_check(edit->profiles.plane, after, err);
    if (r < 0) {
        struct str pointer = str_from(err->where);
        struct json_position position = document_position(&edit->after, pointer, false);
        err_where(err, "%s:%zu:%zu", edit->after.name, position.line, position.column);
        return r;
    }
    if (!yyjson_equals(member(before, "id"), member(after, "id")))
        return err_set(err, ERR_DOCUMENT, STEP,
                       "an edit leaves the id as it is; `agent-machine profile create --name` "
                       "makes another profile");
    return 0;
}

static int store(struct edit *edit, struct err *err)
{
    _cleanup_(buf_release) struct buf parameters = BUF_INIT;
    int r = profile_write_replace(&parameters, edit->before.root,
                                  yyjson_doc_get_root(edit->after.doc), STR(""), err);
    return r < 0 ? r : profile_submit(edit->profiles.plane, buf_str(&parameters), STR(""), err);
}

/* 1: stored; 0: nothing was changed; or -errno. */
static int carry_out(const struct invocation *invocation, struct edit *edit, struct err *err)
{
    int r = edit->from ? 0 : write_file(edit, err);
    if (r == 0 && !edit->from)
        r = run_editor(edit->path, err);
    if (r == 0)
        r = read_after(edit, err);
    if (r < 0)
        return r;
    if (profile_print_diff(edit->before.root, yyjson_doc_get_root(edit->after.doc),
                           invocation->values[EDIT_JSON]) == 0)
        return 0;
    r = store(edit, err);
    return r < 0 ? r : 1;
}

/* Says where what was edited is to be found; a file in which nothing was edited goes. */
static void keep_file(const struct invocation *invocation, const struct edit *edit)
{
    _cleanup_(buf_release) struct buf now = BUF_INIT;
    if (!edit->path[0])
        return;
    if (file_read(edit->path, &now, NULL) == 0 && str_equal(buf_str(&now), buf_str(&edit->text))) {
        unlink(edit->path);
        return;
    }
    fprintf(stderr, "your edit is in %s\nmend it, then: agent-machine %s %s --from %s\n",
            edit->path, invocation->path, invocation->operands[0], edit->path);
}

int run_profile_edit(const struct invocation *invocation)
{
    _cleanup_(edit_release) struct edit edit = { .from = invocation->values[EDIT_FROM],
                                                 .text = BUF_INIT };
    char urn[PLANE_URN_MAX];
    struct err err = { 0 };
    op_urn("agent-machine-profile", invocation->operands[0], urn);
    int r = profiles_open(LEDGER_WRITE, &edit.profiles, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    int status = profile_tell_managed(invocation, edit.profiles.layers, urn);
    if (status != EXIT_OK)
        return status;
    r = profile_find(edit.profiles.plane, edit.profiles.layers, urn, &edit.before, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    r = carry_out(invocation, &edit, &err);
    if (r < 0) {
        status = tell_error(invocation, &err);
        keep_file(invocation, &edit);
        return status;
    }
    if (edit.path[0])
        unlink(edit.path);
    if (r == 0 && !invocation->values[EDIT_JSON])
        puts("nothing was changed");
    return EXIT_OK;
}
