/* changes: the list, how it is written and read. Making it of an overlay is linux/changes_read.c.
 */
#include "machine/changes.h"

#include <sys/stat.h>

#include "base/json.h"

#define STEP       "read what changed"
#define FIRST_LINE "agent-machine changes 2\n"
#define FIELDS_MAX 8 /* of a line, before its path */

#define CHANGES_TEXT(name, text) [name] = text,
const char *const change_names[CHANGE_TYPE_COUNT] = { CHANGE_TABLE(CHANGES_TEXT) };
const char *const changed_names[CHANGED_KIND_COUNT] = { CHANGED_TABLE(CHANGES_TEXT) };
#undef CHANGES_TEXT

void changes_release(struct changes *changes)
{
    arena_release(&changes->arena);
    *changes = (struct changes){ 0 };
}

int changes_add(struct changes *changes, const struct changed_path *change, struct str path,
                struct err *err)
{
    if (changes->count >= CHANGES_MAX)
        return err_set(err, ERR_LIMIT, STEP, "there are more than %d changes", CHANGES_MAX);
    if (changes->count == changes->capacity) {
        size_t larger = changes->capacity ? changes->capacity * 2 : 64;
        struct changed_path *items = arena_array(&changes->arena, struct changed_path, larger);
        if (!items)
            return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
        if (changes->count)
            memcpy(items, changes->items, changes->count * sizeof(*items));
        changes->items = items;
        changes->capacity = larger;
    }
    struct changed_path *added = &changes->items[changes->count];
    *added = *change;
    added->path = arena_copy(&changes->arena, path);
    if (!added->path)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    changes->count++;
    if (change->kind != CHANGED_DIRECTORY)
        changes->counts[change->type]++;
    if (change->type == CHANGE_ADDED || change->type == CHANGE_MODIFIED)
        changes->bytes += change->size;
    return 0;
}

/* --- the text ------------------------------------------------------------------------------ */

static const char *hex_of(bool there, const unsigned char digest[DIGEST_BYTES],
                          char ret[DIGEST_TEXT_SIZE])
{
    if (!there)
        return "-";
    digest_write(digest, ret);
    return ret + strlen("sha256:");
}

static int write_line(const struct changed_path *change, changes_sink *sink, void *context)
{
    char head[320], after[DIGEST_TEXT_SIZE], before[DIGEST_TEXT_SIZE], mode[16] = "-";
    if (change->type != CHANGE_ADDED)
        snprintf(mode, sizeof(mode), "%o", change->mode_before);
    int len =
        snprintf(head, sizeof(head), "%s %s %o %llu %s %s %s %zu ", change_names[change->type],
                 changed_names[change->kind], change->mode, (unsigned long long)change->size,
                 hex_of(change->has_digest, change->digest, after), mode,
                 hex_of(change->has_before, change->before, before), strlen(change->path));
    int r = sink(context, str_make(head, (size_t)len));
    if (r == 0)
        r = sink(context, str_from(change->path));
    return r < 0 ? r : sink(context, STR("\n"));
}

int changes_write_text(const struct changes *changes, changes_sink *sink, void *context)
{
    int r = sink(context, STR(FIRST_LINE));
    for (size_t i = 0; i < changes->count && r == 0; i++)
        r = write_line(&changes->items[i], sink, context);
    return r;
}

static int add_to_digest(void *context, struct str piece)
{
    digest_stream_add(context, piece);
    return 0;
}

int changes_set_digest(struct changes *changes, struct err *err)
{
    _cleanup_(cleanup_digest_stream) struct digest_stream *stream = NULL;
    unsigned char digest[DIGEST_BYTES];
    int r = digest_stream_new(DIGEST_SHA256, &stream, err);
    if (r == 0)
        r = changes_write_text(changes, add_to_digest, stream);
    if (r < 0)
        return r;
    digest_stream_end(stream, digest);
    digest_write(digest, changes->digest);
    return 0;
}

/* Numbers as write_line has them: digits of the base alone. */
static bool read_number(struct str text, unsigned base, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.ptr[i] - '0';
        if (digit >= base || value > (max - digit) / base)
            return false;
        value = value * base + digit;
    }
    *ret = value;
    return text.len > 0;
}

static bool read_mode(struct str text, unsigned *ret)
{
    uint64_t mode;
    bool good = read_number(text, 8, 07777, &mode);
    if (good)
        *ret = (unsigned)mode;
    return good;
}

static bool read_hex(struct str text, bool *ret_there, unsigned char ret[DIGEST_BYTES])
{
    *ret_there = !str_equal(text, STR("-"));
    if (!*ret_there)
        return true;
    for (size_t i = 0; i < text.len && text.len == 2 * DIGEST_BYTES; i++) {
        const char *digits = "0123456789abcdef", *digit = strchr(digits, text.ptr[i]);
        if (!digit || !*digit)
            return false;
        ret[i / 2] = (unsigned char)(ret[i / 2] << 4 | (digit - digits));
    }
    return text.len == 2 * DIGEST_BYTES;
}

static bool read_word(struct str text, const char *const *words, size_t count, size_t *ret)
{
    for (*ret = 0; *ret < count; ++*ret)
        if (str_equal(text, str_from(words[*ret])))
            return true;
    return false;
}

/* Paths lead down from the tree's root, by names. */
static bool is_path(struct str path)
{
    for (size_t at = 0; at <= path.len;) {
        size_t end = str_index(path, '/', at);
        struct str name = str_make(path.ptr + at, end - at);
        if (!name.len || str_equal(name, STR(".")) || str_equal(name, STR("..")) ||
            memchr(name.ptr, '\0', name.len))
            return false;
        at = end + 1;
    }
    return path.len > 0 && path.len <= CHANGES_PATH_MAX;
}

static bool parse_line(const struct str fields[FIELDS_MAX], struct changed_path *ret)
{
    size_t type, kind;
    if (!read_word(fields[0], change_names, CHANGE_TYPE_COUNT, &type) ||
        !read_word(fields[1], changed_names, CHANGED_KIND_COUNT, &kind) ||
        !read_mode(fields[2], &ret->mode) || !read_number(fields[3], 10, INT64_MAX, &ret->size) ||
        !read_hex(fields[4], &ret->has_digest, ret->digest) ||
        !read_hex(fields[6], &ret->has_before, ret->before))
        return false;
    ret->type = (enum change_type)type;
    ret->kind = (enum changed_kind)kind;
    return ret->type == CHANGE_ADDED ? str_equal(fields[5], STR("-"))
                                     : read_mode(fields[5], &ret->mode_before);
}

/* Adds the change of a line, and says where the next one begins. */
static int parse_next(struct str text, size_t *at, struct changes *list, struct err *err)
{
    struct str fields[FIELDS_MAX];
    struct changed_path change = { 0 };
    uint64_t len;
    for (size_t i = 0; i < FIELDS_MAX; i++) {
        size_t end = str_index(text, ' ', *at);
        fields[i] = str_make(text.ptr + *at, end - *at);
        if (end >= text.len)
            return err_set(err, ERR_SYNTAX, STEP, "the list of changes breaks off");
        *at = end + 1;
    }
    if (!parse_line(fields, &change) || !read_number(fields[7], 10, CHANGES_PATH_MAX, &len) ||
        *at + len >= text.len || text.ptr[*at + len] != '\n' ||
        !is_path(str_make(text.ptr + *at, len)))
        return err_set(err, ERR_SYNTAX, STEP, "the list of changes is wrong in line %zu",
                       list->count + 2);
    struct str path = str_make(text.ptr + *at, len);
    *at += len + 1;
    return changes_add(list, &change, path, err);
}

int changes_parse(struct str text, struct changes *ret, struct err *err)
{
    struct changes list = { 0 };
    size_t at = strlen(FIRST_LINE);
    int r = str_starts(text, STR(FIRST_LINE))
                ? 0
                : err_set(err, ERR_SYNTAX, STEP, "it does not begin as a list of changes does");
    while (r == 0 && at < text.len)
        r = parse_next(text, &at, &list, err);
    if (r == 0)
        r = changes_set_digest(&list, err);
    if (r == 0)
        *ret = list;
    else
        changes_release(&list);
    return r;
}

/* --- for programs and people --------------------------------------------------------------- */

int changes_write(const struct changes *changes, struct buf *ret)
{
    char digest[DIGEST_TEXT_SIZE];
    buf_add_char(ret, '[');
    for (size_t i = 0; i < changes->count; i++) {
        const struct changed_path *change = &changes->items[i];
        buf_add_text(ret, i ? ",{\"path\":" : "{\"path\":");
        json_add_string(ret, str_from(change->path));
        buf_addf(ret, ",\"change\":\"%s\",\"kind\":\"%s\",\"mode\":\"%04o\",\"size\":%llu",
                 change_names[change->type], changed_names[change->kind], change->mode,
                 (unsigned long long)change->size);
        if (change->has_digest) {
            digest_write(change->digest, digest);
            buf_addf(ret, ",\"digest\":\"%s\"", digest);
        }
        buf_add_char(ret, '}');
    }
    return buf_add_char(ret, ']');
}

static void add_shown(struct buf *buf, const char *path)
{
    for (; *path; path++) {
        unsigned char c = (unsigned char)*path;
        if (c < ' ' || c == 0x7f || c == '\\' || (c >= 0x80 && c < 0xa0))
            buf_addf(buf, "\\%03o", c);
        else
            buf_add_char(buf, (char)c);
    }
}

/* What a permission says that a person should not miss. */
static void add_marks(struct buf *buf, const struct changed_path *change)
{
    if (change->type == CHANGE_DELETED)
        return;
    if (change->type == CHANGE_MODE)
        buf_addf(buf, "  %04o to %04o", change->mode_before, change->mode);
    if (change->mode & S_ISUID)
        buf_add_text(buf, "  set-user-id");
    if (change->mode & S_ISGID)
        buf_add_text(buf, "  set-group-id");
}

int changes_write_lines(const struct changes *changes, struct buf *ret)
{
    for (size_t i = 0; i < changes->count; i++) {
        const struct changed_path *change = &changes->items[i];
        buf_addf(ret, "%-8s  %10llu  ", change_names[change->type],
                 (unsigned long long)(change->kind == CHANGED_DIRECTORY ? 0 : change->size));
        add_shown(ret, change->path);
        buf_add_text(ret, change->kind == CHANGED_DIRECTORY ? "/" : "");
        add_marks(ret, change);
        buf_add_char(ret, '\n');
    }
    return ret->error;
}
