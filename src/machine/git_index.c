/*
 * git_index: the form of the file, as git's own documentation of it says (gitformat-index).
 *
 * Theory of operation. A reader moves over the text; every read asks first whether the bytes are
 * there. Numbers are big-endian. A name of version 4 is what the entry before had, less some bytes
 * at its end, and what follows; others stand whole and are padded. The checksum at the end is left
 * alone: it is against damage, costs more than all the rest, and a damaged index does not match
 * its files.
 */
#include "machine/git_index.h"

#define HEADER_BYTES 12
#define STAT_BYTES   40
#define FLAGS_BYTES  2
#define NAME_ALIGN   8

#define FLAG_ASSUME_VALID  0x8000u
#define FLAG_EXTENDED      0x4000u
#define FLAG_STAGE         0x3000u
#define FLAG_SKIP_WORKTREE 0x4000u /* of the extended ones */
#define FLAG_INTENT_TO_ADD 0x2000u

static uint32_t read_u32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static unsigned read_u16(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (unsigned)b[0] << 8 | b[1];
}

/* Hands out the next bytes; NULL past the end. */
static const char *take(struct git_index *index, size_t len)
{
    if (index->text.len - index->at < len)
        return NULL;
    const char *bytes = index->text.ptr + index->at;
    index->at += len;
    return bytes;
}

bool git_index_open(struct git_index *index, struct str text, size_t oid_len)
{
    assert(oid_len <= GIT_OID_MAX);
    if (text.len < HEADER_BYTES + oid_len || !str_starts(text, STR("DIRC")))
        return false;
    *index = (struct git_index){ .text = str_make(text.ptr, text.len - oid_len),
                                 .at = HEADER_BYTES,
                                 .oid_len = oid_len,
                                 .version = read_u32(text.ptr + 4),
                                 .left = read_u32(text.ptr + 8),
                                 .name = BUF_INIT_LIMIT(GIT_NAME_MAX) };
    return index->version >= 2 && index->version <= 4;
}

void git_index_release(struct git_index *index)
{
    buf_release(&index->name);
}

/* git's variable-length number, in which every length has its own range. */
static bool take_number(struct git_index *index, size_t *ret)
{
    size_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        const char *byte = take(index, 1);
        if (!byte)
            return false;
        unsigned char bits = (unsigned char)*byte;
        value = (value << 7) + (bits & 127);
        if (!(bits & 128)) {
            *ret = value;
            return true;
        }
        value++;
    }
    return false;
}

static int take_short_name(struct git_index *index, struct str *ret)
{
    size_t cut, len;
    if (!take_number(index, &cut) || cut > index->name.len)
        return -EBADMSG;
    struct str rest = str_from_offset(index->text, index->at);
    len = str_index(rest, '\0', 0);
    if (len == rest.len)
        return -EBADMSG;
    buf_truncate(&index->name, index->name.len - cut);
    if (buf_add(&index->name, rest.ptr, len) < 0)
        return index->name.error == -ENOMEM ? -ENOMEM : -EBADMSG;
    index->at += len + 1;
    *ret = buf_str(&index->name);
    return 0;
}

static int take_whole_name(struct git_index *index, size_t entry, struct str *ret)
{
    struct str rest = str_from_offset(index->text, index->at);
    size_t len = str_index(rest, '\0', 0);
    if (len == rest.len || len > GIT_NAME_MAX)
        return -EBADMSG;
    *ret = str_make(rest.ptr, len);
    size_t unpadded = index->at - entry + len;
    return take(index, len + NAME_ALIGN - unpadded % NAME_ALIGN) ? 0 : -EBADMSG;
}

int git_index_next(struct git_index *index, struct git_index_entry *ret)
{
    if (!index->left)
        return 0;
    size_t start = index->at;
    const char *stat = take(index, STAT_BYTES);
    const char *oid = take(index, index->oid_len);
    const char *flag_bytes = take(index, FLAGS_BYTES);
    if (!stat || !oid || !flag_bytes)
        return -EBADMSG;
    unsigned flags = read_u16(flag_bytes), more = 0;
    if (flags & FLAG_EXTENDED) {
        flag_bytes = index->version >= 3 ? take(index, FLAGS_BYTES) : NULL;
        if (!flag_bytes)
            return -EBADMSG;
        more = read_u16(flag_bytes);
    }
    struct git_index_entry entry = {
        .changed_s = read_u32(stat),
        .changed_ns = read_u32(stat + 4),
        .modified_s = read_u32(stat + 8),
        .modified_ns = read_u32(stat + 12),
        .inode = read_u32(stat + 20),
        .mode = read_u32(stat + 24),
        .uid = read_u32(stat + 28),
        .gid = read_u32(stat + 32),
        .size = read_u32(stat + 36),
        .oid = (const unsigned char *)oid,
        .stage = (flags & FLAG_STAGE) >> 12,
        .assumed = (flags & FLAG_ASSUME_VALID) || (more & FLAG_SKIP_WORKTREE),
        .intent = more & FLAG_INTENT_TO_ADD,
    };
    int r = index->version == 4 ? take_short_name(index, &entry.name)
                                : take_whole_name(index, start, &entry.name);
    if (r < 0)
        return r;
    if (!entry.name.len)
        return -EBADMSG;
    index->left--;
    *ret = entry;
    return 1;
}

/* The cached trees: the first is the root's: an empty path, NUL, "entries subtrees\n", its name. */
static const unsigned char *root_tree(struct str text, size_t oid_len)
{
    if (!text.len || text.ptr[0] != '\0')
        return NULL;
    size_t line = str_index(text, '\n', 1);
    if (line == text.len || line < 2 || text.ptr[1] == '-') /* not known any more */
        return NULL;
    text = str_from_offset(text, line + 1);
    return text.len >= oid_len ? (const unsigned char *)text.ptr : NULL;
}

int git_index_end(struct git_index *index, struct git_index_extensions *ret)
{
    struct git_index_extensions found = { 0 };
    while (index->at < index->text.len) {
        const char *head = take(index, 8);
        const char *body = head ? take(index, read_u32(head + 4)) : NULL;
        if (!body)
            return -EBADMSG;
        if (memcmp(head, "TREE", 4) == 0)
            found.tree = root_tree(str_make(body, read_u32(head + 4)), index->oid_len);
        else if (memcmp(head, "sdir", 4) != 0 && !(head[0] >= 'A' && head[0] <= 'Z'))
            found.foreign = true;
    }
    *ret = found;
    return 0;
}
