/*
 * git_values: see the header.
 *
 * Theory of operation. A file that the run wrote is read from its layer and must have the digest
 * that stands in the list; one that it did not touch is the host's. What the launch found is the
 * host's file while that has not changed since, else the copy that the run's end kept; where there
 * is neither it is not known. A file that the run made was not there at the launch. A value is an
 * object's name in full, or "ref: " and another reference's; everything else is not known, and
 * nobody goes on from it.
 *
 * Where a reference stood at the launch may be lost with the file that said so, when the host packs
 * its references meanwhile. Its log then still says it, if the log is as the launch found it.
 */
#include "machine/git_values.h"

#include "base/file.h"
#include "machine/git_stack.h"

#define VALUE_BYTES_MAX ((size_t)1 << 10)
#define LOG_BYTES_MAX   ((size_t)16 << 20)
#define PACKED_REFS     "packed-refs"

static const struct git_value absent = { GIT_ABSENT, "" }, not_known = { GIT_NOT_KNOWN, "" };

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_REFS, "there is not enough memory");
}

/* --- files --------------------------------------------------------------------------------- */

static const struct changed_path *find(const struct git_refs_reader *reader, const struct map *map,
                                       const char *path)
{
    uint32_t at;
    return map_get(map, str_from(path), &at) ? &reader->worktree->changes.items[at] : NULL;
}

const struct changed_path *git_values_written(const struct git_refs_reader *reader,
                                              const char *path)
{
    return find(reader, &reader->written, path);
}

const struct changed_path *git_values_deleted(const struct git_refs_reader *reader,
                                              const char *path)
{
    return find(reader, &reader->deleted, path);
}

/* 1 with a text, 0 where it cannot be had; a larger one than the buffer's limit cannot. */
static int read_fd(int fd, const char *path, struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_close) int owned = fd;
    struct err inner = { 0 };
    if (owned < 0 || file_read_fd(owned, path, ret, &inner) == 0)
        return owned >= 0;
    buf_reset(ret);
    return inner.code == ERR_MEMORY ? no_memory(err) : 0;
}

static int read_run(const struct git_refs_reader *reader, const struct changed_path *change,
                    struct buf *ret, struct err *err)
{
    unsigned char digest[DIGEST_BYTES];
    struct stat status;
    if (change->kind != CHANGED_FILE)
        return 0;
    int r = read_fd(worktree_open_after(reader->worktree, change, &status), change->path, ret, err);
    if (r <= 0)
        return r;
    if (digest_sha256(buf_str(ret), digest, err) < 0)
        return -EIO;
    return change->has_digest && memcmp(digest, change->digest, sizeof(digest)) == 0
               ? 1
               : err_set(err, ERR_DAMAGED, STEP_REFS, "%s is not what the run left", change->path);
}

int git_values_read(const struct git_refs_reader *reader, const char *path, enum git_moment moment,
                    struct buf *ret, struct err *err)
{
    const struct worktree *worktree = reader->worktree;
    const struct changed_path *written = git_values_written(reader, path);
    const struct changed_path *deleted = git_values_deleted(reader, path);
    struct stat status;
    int r;
    if (moment == GIT_RUN && written && written->type != CHANGE_MODE)
        r = read_run(reader, written, ret, err);
    else if (moment == GIT_RUN && deleted)
        return 0;
    else if (moment != GIT_HOST && written && written->type == CHANGE_ADDED && !deleted)
        return 0; /* at the launch */
    else if (moment != GIT_HOST && (written || deleted))
        r = read_fd(worktree_open_before(worktree, deleted ?: written, &status), path, ret, err);
    else {
        int fd = worktree_open_host(worktree, path, &status);
        if (fd == -ENOENT || fd == -ENOTDIR)
            return 0;
        if (fd >= 0 && moment != GIT_HOST && !worktree_is_unchanged(worktree, &status)) {
            close(fd);
            return -ENODATA;
        }
        r = read_fd(fd, path, ret, err);
    }
    return r == 0 ? -ENODATA : r;
}

/* --- values -------------------------------------------------------------------------------- */

static bool is_object_name(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!memchr("0123456789abcdef", text.ptr[i], 16))
            return false;
    return text.len == 40 || text.len == 64;
}

static int set_value(struct git_refs_reader *reader, enum git_value_kind kind, struct str text,
                     struct git_value *ret, struct err *err)
{
    const char *copy = arena_copy(&reader->arena, text);
    *ret = (struct git_value){ kind, copy };
    return copy ? 0 : no_memory(err);
}

enum git_value_kind git_values_parse(struct str text, struct str *ret)
{
    while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1]))
        text.len--;
    bool is_symbolic = str_starts(text, STR("ref: ")) && !memchr(text.ptr, '\0', text.len);
    *ret = is_symbolic ? str_from_offset(text, strlen("ref: ")) : text;
    return is_symbolic ? GIT_SYMBOLIC : is_object_name(text) ? GIT_OBJECT : GIT_NOT_KNOWN;
}

static int make_value(struct git_refs_reader *reader, struct str text, struct git_value *ret,
                      struct err *err)
{
    enum git_value_kind kind = git_values_parse(text, &text);
    *ret = not_known;
    return kind == GIT_NOT_KNOWN ? 0 : set_value(reader, kind, text, ret, err);
}

int git_values_of_file(struct git_refs_reader *reader, const char *path,
                       struct git_value ret[GIT_MOMENTS], struct err *err)
{
    int r = 0;
    for (enum git_moment moment = 0; moment < GIT_MOMENTS && r == 0; moment++) {
        _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(VALUE_BYTES_MAX);
        int found = git_values_read(reader, path, moment, &text, err);
        ret[moment] = found == 0 ? absent : not_known;
        if (found > 0)
            r = make_value(reader, buf_str(&text), &ret[moment], err);
        else if (found < 0 && found != -ENODATA)
            r = found;
    }
    return r;
}

/* --- logs ---------------------------------------------------------------------------------- */

/* "<old> <new> <who> <when>\t<why>" is a line. */
struct str git_values_last_logged(struct str log)
{
    while (log.len && log.ptr[log.len - 1] == '\n')
        log.len--;
    const char *line = log.len ? memrchr(log.ptr, '\n', log.len) : NULL;
    log = str_from_offset(log, line ? (size_t)(line - log.ptr) + 1 : 0);
    log = str_from_offset(log, str_index(log, ' ', 0) + 1);
    log.len = str_index(log, ' ', 0);
    return is_object_name(log) ? log : STR("");
}

int git_values_of_log(struct git_refs_reader *reader, const char *path, struct git_value *ret,
                      bool *ret_begun, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(LOG_BYTES_MAX);
    int r = git_values_read(reader, path, GIT_LAUNCH, &text, err);
    struct str object = r > 0 ? git_values_last_logged(buf_str(&text)) : STR("");
    *ret = not_known;
    *ret_begun = r == 0 && git_values_written(reader, path);
    if (r < 0 && r != -ENODATA)
        return r;
    return object.len ? set_value(reader, GIT_OBJECT, object, ret, err) : 0;
}

/* --- packed references --------------------------------------------------------------------- */

void git_packed_release(struct git_packed *packed)
{
    buf_release(&packed->text);
    map_release(&packed->at);
}

bool git_values_next_packed(const struct git_packed *packed, size_t *at, struct str *ret_value,
                            struct str *ret_name)
{
    while (*at < packed->text.len) {
        struct str text = buf_str(&packed->text);
        size_t end = str_index(text, '\n', *at), blank = str_index(text, ' ', *at);
        struct str value = str_make(text.ptr + *at, blank < end ? blank - *at : 0);
        struct str name = str_make(text.ptr + blank + 1, blank < end ? end - blank - 1 : 0);
        *at = end + 1;
        if ((is_object_name(value) ||
             (packed->of_tables && str_starts(value, STR(GIT_STACK_SYMBOLIC)))) &&
            name.len && !memchr(name.ptr, '\0', name.len)) {
            *ret_value = value;
            *ret_name = name;
            return true;
        }
    }
    return false;
}

struct str git_values_packed_at(const struct git_packed *packed, uint32_t at)
{
    struct str line = str_from_offset(buf_str(&packed->text), at);
    return str_make(line.ptr, str_index(line, ' ', 0));
}

static int index_packed(struct git_packed *packed, struct err *err)
{
    struct str object, name;
    for (size_t at = 0; git_values_next_packed(packed, &at, &object, &name);)
        if (map_put(&packed->at, name, (uint32_t)(object.ptr - packed->text.data)) == -ENOMEM)
            return no_memory(err);
    return 0;
}

static int read_packed(struct git_refs_reader *reader, const char *prefix, enum git_moment moment,
                       struct git_packed *ret, struct err *err)
{
    char path[CHANGES_PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s" PACKED_REFS, prefix);
    int r = git_values_read(reader, path, moment, &ret->text, err);
    ret->known = r >= 0;
    return r == 1 ? index_packed(ret, err) : r == -ENODATA ? 0 : r;
}

int git_values_of_packed(struct git_refs_reader *reader, const struct git_packed *packed,
                         struct str name, struct git_value *ret, struct err *err)
{
    uint32_t at;
    if (!packed->known || !map_get(&packed->at, name, &at)) {
        *ret = packed->known && !packed->partial ? absent : not_known;
        return 0;
    }
    struct str value = git_values_packed_at(packed, at);
    if (str_starts(value, STR(GIT_STACK_SYMBOLIC)))
        return set_value(reader, GIT_SYMBOLIC, str_from_offset(value, strlen(GIT_STACK_SYMBOLIC)),
                         ret, err);
    *ret = str_equal(value, STR(GIT_STACK_GONE)) ? absent : not_known;
    return is_object_name(value) ? set_value(reader, GIT_OBJECT, value, ret, err) : 0;
}

/* --- the whole of a repository ------------------------------------------------------------ */

int git_values_read_packed(struct git_refs_reader *reader, size_t repository, const char *prefix,
                           struct err *err)
{
    char path[CHANGES_PATH_MAX + 16];
    struct stat status;
    int r = 0;
    snprintf(path, sizeof(path), "%s" GIT_TABLES_LIST, prefix);
    _cleanup_(cleanup_close) int list = worktree_open_host(reader->worktree, path, &status);
    reader->of_tables[repository] = list >= 0;
    reader->has_packed[repository] = true;
    for (enum git_moment moment = 0; moment < GIT_MOMENTS && r == 0; moment++) {
        struct git_packed *packed = &reader->packed[repository][moment];
        *packed =
            (struct git_packed){ .text = BUF_INIT_LIMIT(GIT_PACKED_BYTES_MAX), .at = MAP_INIT };
        r = list >= 0 ? git_stack_read(reader, prefix, moment, packed, err)
                      : read_packed(reader, prefix, moment, packed, err);
    }
    return r;
}
