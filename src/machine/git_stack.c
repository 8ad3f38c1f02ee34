/*
 * git_stack: see the header.
 *
 * Theory of operation. Tables are read from the newest, and the first that names a reference
 * counts. A table is never written again, but git puts several into one and removes them: of those
 * that the launch found, some may be gone from the host by now. Then what the others name is known,
 * and of what they do not name nothing is.
 */
#include "machine/git_stack.h"

struct stacking {
    struct git_refs_reader *reader;
    struct git_packed *packed;
};

/* No name of git's has one of these in it, and a line could not either. */
static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ')
            return false;
    return text.len > 0;
}

/* The newest table is read first, and what it says counts. */
static int add_line(void *context, struct str name, enum git_value_kind kind, struct str value)
{
    const struct stacking *stacking = context;
    struct git_packed *packed = stacking->packed;
    if (!is_plain(name))
        return 0;
    const char *copy = arena_copy(&stacking->reader->arena, name);
    int r = copy ? map_put(&packed->at, str_from(copy), (uint32_t)packed->text.len) : -ENOMEM;
    if (r < 0)
        return r == -EEXIST ? 0 : r;
    if (kind == GIT_SYMBOLIC)
        buf_add_text(&packed->text, is_plain(value) ? GIT_STACK_SYMBOLIC : GIT_STACK_NOTHING);
    else if (kind == GIT_ABSENT)
        buf_add_text(&packed->text, GIT_STACK_GONE);
    if (is_plain(value))
        buf_add_str(&packed->text, value);
    return buf_addf(&packed->text, " %s\n", copy);
}

static int read_table(struct stacking *stacking, const char *path, enum git_moment moment,
                      struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(GIT_PACKED_BYTES_MAX);
    int r = git_values_read(stacking->reader, path, moment, &text, err);
    if (r == 0 || r == -ENODATA) {
        stacking->packed->partial = true;
        return 0;
    }
    return r < 0 ? r : git_table_read(buf_str(&text), add_line, stacking);
}

int git_stack_read(struct git_refs_reader *reader, const char *folder, enum git_moment moment,
                   struct git_packed *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf list = BUF_INIT_LIMIT(GIT_PACKED_BYTES_MAX);
    struct stacking stacking = { reader, ret };
    struct str names[GIT_TABLES_MAX];
    char path[CHANGES_PATH_MAX + 16];
    ret->of_tables = true;
    snprintf(path, sizeof(path), "%s" GIT_TABLES_LIST, folder);
    int r = git_values_read(reader, path, moment, &list, err);
    if (r < 0)
        return r == -ENODATA ? 0 : r;
    ssize_t count = git_tables_names(buf_str(&list), names);
    r = count < 0 ? (int)count : 0;
    for (ssize_t i = 0; i < count && r == 0; i++) {
        int len =
            snprintf(path, sizeof(path), "%s" GIT_TABLES_FOLDER "%.*s", folder, STR_ARG(names[i]));
        r = len < (int)sizeof(path) ? read_table(&stacking, path, moment, err) : -EBADMSG;
    }
    ret->known = r == 0;
    return r == -ENOMEM ? err_set(err, ERR_MEMORY, STEP_REFS, "there is not enough memory")
           : r == -EBADMSG || r == -EMSGSIZE ? 0
                                             : r;
}

int git_stack_find(struct git_refs_reader *reader, const char *folder, const char *name,
                   struct git_value ret[GIT_MOMENTS], struct err *err)
{
    int r = 0;
    for (enum git_moment moment = 0; moment < GIT_MOMENTS && r == 0; moment++) {
        struct git_packed packed = { .text = BUF_INIT_LIMIT(GIT_PACKED_BYTES_MAX) };
        r = git_stack_read(reader, folder, moment, &packed, err);
        if (r == 0)
            r = git_values_of_packed(reader, &packed, str_from(name), &ret[moment], err);
        git_packed_release(&packed);
    }
    return r;
}
