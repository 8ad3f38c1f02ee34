/* changes: how the list is written. Reading it from an overlay is linux/changes_read.c. */
#include "machine/changes.h"

#include "base/json.h"

#define CHANGES_TEXT(name, text) [name] = text,
const char *const change_names[CHANGE_TYPE_COUNT] = { CHANGE_TABLE(CHANGES_TEXT) };
const char *const changed_names[CHANGED_KIND_COUNT] = { CHANGED_TABLE(CHANGES_TEXT) };
#undef CHANGES_TEXT

void changes_release(struct changes *changes)
{
    arena_release(&changes->arena);
    *changes = (struct changes){ 0 };
}

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

int changes_write_lines(const struct changes *changes, struct buf *ret)
{
    for (size_t i = 0; i < changes->count; i++) {
        const struct changed_path *change = &changes->items[i];
        buf_addf(ret, "%-8s  %10llu  ", change_names[change->type],
                 (unsigned long long)(change->kind == CHANGED_DIRECTORY ? 0 : change->size));
        add_shown(ret, change->path);
        buf_add_text(ret, change->kind == CHANGED_DIRECTORY ? "/\n" : "\n");
    }
    return ret->error;
}
