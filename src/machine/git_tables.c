/*
 * git_tables: see the header.
 *
 * Theory of operation. A table is a header, blocks of references, then blocks of other kinds, which
 * nobody needs here, and a footer that begins as the header does. A block has its records in order,
 * each with what it shares with the name before it left out, and behind them places to begin at,
 * which are for searching alone. Blocks begin at multiples of the block size, or where the one
 * before ends; then what is between is zeros.
 *
 * The bytes are hostile: each number is held to what is left of its block.
 */
#include "machine/git_tables.h"

#define HEADER_BYTES     24 /* of version 1; version 2 says which hash */
#define FOOTER_BYTES     44 /* behind a copy of the header */
#define BLOCK_HEAD       4
#define NAME_BYTES_MAX   4096
#define TABLE_NAME_BYTES 255

enum { VALUE_GONE, VALUE_OBJECT, VALUE_PEELED, VALUE_SYMBOLIC };

struct table {
    const unsigned char *bytes;
    size_t header, end; /* of what is not the footer */
    size_t block_size;  /* 0: blocks follow one another */
    size_t oid_len;
    git_table_visit *visit;
    void *context;
};

/* --- numbers ------------------------------------------------------------------------------- */

static size_t read_be(const unsigned char *bytes, size_t len)
{
    size_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* As git writes offsets in packs. */
static bool read_varint(const struct table *table, size_t *at, size_t end, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 9 && *at < end; i++) {
        unsigned char byte = table->bytes[(*at)++];
        value = (i ? (value + 1) << 7 : 0) | (byte & 0x7f);
        if (!(byte & 0x80)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

/* --- records ------------------------------------------------------------------------------- */

static int tell(const struct table *table, struct str name, unsigned kind, size_t *at, size_t end)
{
    char hex[GIT_OID_TEXT];
    uint64_t len = 0;
    if (kind == VALUE_GONE)
        return table->visit(table->context, name, GIT_ABSENT, STR(""));
    if (kind == VALUE_SYMBOLIC) {
        if (!read_varint(table, at, end, &len) || len > NAME_BYTES_MAX || len > end - *at)
            return -EBADMSG;
        struct str target = str_make((const char *)table->bytes + *at, len);
        *at += len;
        return table->visit(table->context, name, GIT_SYMBOLIC, target);
    }
    len = table->oid_len * (kind == VALUE_PEELED ? 2 : 1);
    if (kind > VALUE_SYMBOLIC || len > end - *at)
        return -EBADMSG;
    for (size_t i = 0; i < table->oid_len; i++)
        snprintf(hex + 2 * i, 3, "%02x", table->bytes[*at + i]);
    *at += len;
    return table->visit(table->context, name, GIT_OBJECT, str_make(hex, 2 * table->oid_len));
}

static int read_records(const struct table *table, size_t at, size_t end)
{
    char name[NAME_BYTES_MAX];
    uint64_t shared, rest, unused, len = 0;
    int r = 0;
    while (at < end && r == 0) {
        if (!read_varint(table, &at, end, &shared) || !read_varint(table, &at, end, &rest) ||
            shared > len || rest >> 3 > end - at || shared + (rest >> 3) > sizeof(name))
            return -EBADMSG;
        memcpy(name + shared, table->bytes + at, rest >> 3);
        len = shared + (rest >> 3);
        at += rest >> 3;
        r = read_varint(table, &at, end, &unused) /* when it was written */
                ? tell(table, str_make(name, len), rest & 7, &at, end)
                : -EBADMSG;
    }
    return r;
}

/* --- blocks -------------------------------------------------------------------------------- */

/* Where the next block begins; what it is measured from begins with the header. */
static size_t next_block(const struct table *table, size_t start, size_t len)
{
    bool padded =
        len < table->block_size && (start + len >= table->end || table->bytes[start + len] == 0);
    return start + (padded ? table->block_size : len);
}

static int read_blocks(const struct table *table)
{
    int r = 0;
    for (size_t start = 0; start < table->end && r == 0;) {
        size_t head = start ? start : table->header;
        if (head + BLOCK_HEAD > table->end || table->bytes[head] != 'r')
            break;
        size_t len = read_be(table->bytes + head + 1, 3), end = start + len;
        size_t records = head + BLOCK_HEAD;
        if (end > table->end || end < records + 2)
            return -EBADMSG;
        size_t places = 3 * read_be(table->bytes + end - 2, 2) + 2;
        if (places > end - records)
            return -EBADMSG;
        r = read_records(table, records, end - places);
        start = next_block(table, start, len);
    }
    return r;
}

int git_table_read(struct str text, git_table_visit *visit, void *context)
{
    struct table table = { .bytes = (const unsigned char *)text.ptr,
                           .header = HEADER_BYTES,
                           .oid_len = 20,
                           .visit = visit,
                           .context = context };
    if (text.len < HEADER_BYTES || memcmp(text.ptr, "REFT", 4) != 0 ||
        (text.ptr[4] != 1 && text.ptr[4] != 2))
        return -EBADMSG;
    table.header += text.ptr[4] == 2 ? 4 : 0;
    if (text.len < 2 * table.header + FOOTER_BYTES)
        return -EBADMSG;
    table.end = text.len - table.header - FOOTER_BYTES;
    table.block_size = read_be(table.bytes + 5, 3);
    if (memcmp(text.ptr, text.ptr + table.end, table.header) != 0)
        return -EBADMSG;
    if (table.header > HEADER_BYTES && memcmp(text.ptr + HEADER_BYTES, "s256", 4) == 0)
        table.oid_len = 32;
    return read_blocks(&table);
}

/* --- the list ------------------------------------------------------------------------------ */

ssize_t git_tables_names(struct str list, struct str ret[GIT_TABLES_MAX])
{
    size_t count = 0;
    for (size_t at = 0; at < list.len; count++) {
        size_t end = str_index(list, '\n', at);
        struct str name = str_make(list.ptr + at, end - at);
        at = end + 1;
        if (count == GIT_TABLES_MAX || !name.len || name.len > TABLE_NAME_BYTES ||
            name.ptr[0] == '.' || memchr(name.ptr, '/', name.len) ||
            memchr(name.ptr, '\0', name.len))
            return -EBADMSG;
        ret[count] = name;
    }
    for (size_t i = 0; i < count / 2; i++) {
        struct str swapped = ret[i];
        ret[i] = ret[count - 1 - i];
        ret[count - 1 - i] = swapped;
    }
    return (ssize_t)count;
}
