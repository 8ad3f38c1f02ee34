/*
 * yaml_content: see the header. Chapters 5.7, 6.5, 7.3 and 8.1 of YAML 1.2.2.
 *
 * Theory of operation. libfyaml could do this, and does it wrongly (0.7.12 to
 * 0.9): of '''''' in single quotes it makes three, it loses an escaped space at
 * the end of a line, it drops an empty line before an indented one in a folded
 * block, takes what follows an empty block for its content, and leaks where its
 * count and its result differ. A contract must say what it says: so libfyaml
 * finds where scalars stand, and this reads them.
 *
 * Within quotes and plain text a line break and the blanks around it become a
 * space, and n breaks become n - 1 line feeds. A block's lines lose their
 * indentation; in a folded one (>) a break between two lines that start with no
 * blank becomes a space, unless there are empty lines between them.
 *
 * Every function walks its bytes once, stays within them, and makes at most
 * twice as many of them.
 */
#include "contract/yaml_content.h"

#include "base/utf8.h"

static inline bool is_break(char c)
{
    return c == '\n' || c == '\r';
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static size_t skip_blanks(struct str s, size_t at)
{
    while (at < s.len && is_blank(s.ptr[at]))
        at++;
    return at;
}

/* Past the line break that stands here. */
static size_t skip_break(struct str s, size_t at)
{
    return at + (s.ptr[at] == '\r' && at + 1 < s.len && s.ptr[at + 1] == '\n' ? 2 : 1);
}

static void add_feeds(struct buf *buf, size_t count)
{
    while (count-- && !buf->error)
        buf_add_char(buf, '\n');
}

/* --- quoted and plain --------------------------------------------------------- */

struct folder {
    struct buf *buf;
    struct str raw;
    size_t at;
    size_t kept; /* of buf, behind which there are only blanks that a line break would take */
};

/* Past line breaks and the blanks around them; returns their number. */
static size_t skip_breaks(struct folder *folder)
{
    size_t count = 0;
    for (;;) {
        folder->at = skip_blanks(folder->raw, folder->at);
        if (folder->at == folder->raw.len || !is_break(folder->raw.ptr[folder->at]))
            return count;
        folder->at = skip_break(folder->raw, folder->at);
        count++;
    }
}

static void fold(struct folder *folder)
{
    buf_truncate(folder->buf, folder->kept);
    size_t count = skip_breaks(folder);
    if (count == 1)
        buf_add_char(folder->buf, ' ');
    else
        add_feeds(folder->buf, count - 1);
    folder->kept = folder->buf->len;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int read_hex(struct folder *folder, size_t digits, uint32_t *ret)
{
    *ret = 0;
    if (folder->raw.len - folder->at < digits)
        return -EINVAL;
    for (size_t i = 0; i < digits; i++) {
        int digit = hex_value(folder->raw.ptr[folder->at++]);
        if (digit < 0)
            return -EINVAL;
        *ret = *ret << 4 | (uint32_t)digit;
    }
    return 0;
}

/* Behind \u; as JSON has it, two surrogates are one code point. */
static int read_unit(struct folder *folder, uint32_t *ret)
{
    uint32_t low;
    int r = read_hex(folder, 4, ret);
    if (r < 0 || *ret < 0xd800 || *ret > 0xdbff)
        return r;
    if (!str_starts(str_from_offset(folder->raw, folder->at), STR("\\u")))
        return -EINVAL;
    folder->at += 2;
    r = read_hex(folder, 4, &low);
    if (r < 0 || low < 0xdc00 || low > 0xdfff)
        return -EINVAL;
    *ret = 0x10000 + ((*ret - 0xd800) << 10) + (low - 0xdc00);
    return 0;
}

/* Behind the backslash. */
static int read_escape(struct folder *folder, uint32_t *ret)
{
    static const struct {
        char name;
        uint16_t meaning;
    } escapes[] = {
        { '0', 0x0 },  { 'a', 0x7 },    { 'b', 0x8 },    { 't', 0x9 },   { '\t', 0x9 },
        { 'n', 0xa },  { 'v', 0xb },    { 'f', 0xc },    { 'r', 0xd },   { 'e', 0x1b },
        { ' ', ' ' },  { '"', '"' },    { '/', '/' },    { '\\', '\\' }, { 'N', 0x85 },
        { '_', 0xa0 }, { 'L', 0x2028 }, { 'P', 0x2029 },
    };
    if (folder->at == folder->raw.len)
        return -EINVAL;
    char name = folder->raw.ptr[folder->at++];
    if (name == 'x')
        return read_hex(folder, 2, ret);
    if (name == 'u')
        return read_unit(folder, ret);
    if (name == 'U')
        return read_hex(folder, 8, ret);
    for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
        if (escapes[i].name == name) {
            *ret = escapes[i].meaning;
            return 0;
        }
    }
    return -EINVAL;
}

/* At a backslash in double quotes. */
static int unescape(struct folder *folder)
{
    uint32_t code_point;
    folder->at++;
    if (folder->at < folder->raw.len && is_break(folder->raw.ptr[folder->at])) {
        add_feeds(folder->buf, skip_breaks(folder) - 1);
    } else {
        int r = read_escape(folder, &code_point);
        if (r == 0)
            r = utf8_add(folder->buf, code_point);
        if (r < 0)
            return r;
    }
    folder->kept = folder->buf->len;
    return 0;
}

int yaml_content_add(struct buf *buf, struct str raw, enum yaml_style style)
{
    struct folder folder = { .buf = buf, .raw = raw, .kept = buf->len };
    while (folder.at < raw.len && !buf->error) {
        char c = raw.ptr[folder.at];
        if (is_break(c)) {
            fold(&folder);
        } else if (c == '\\' && style == YAML_DOUBLE_QUOTED) {
            int r = unescape(&folder);
            if (r < 0)
                return r;
        } else {
            buf_add_char(buf, c);
            if (!is_blank(c))
                folder.kept = buf->len;
            folder.at += c == '\'' && style == YAML_SINGLE_QUOTED ? 2 : 1;
        }
    }
    return buf->error;
}

/* --- blocks ------------------------------------------------------------------- */

struct block {
    bool is_folded;
    char chomp;    /* '-', '+', or 0 for one line feed */
    size_t indent; /* of its lines; 0 until it is known */
    size_t start;  /* of the first line */
};

/* "|" or ">", at most a digit and a sign in any order, and a comment. */
static int read_header(struct str body, size_t at, long parent, struct block *ret)
{
    *ret = (struct block){ .is_folded = body.ptr[at] == '>' };
    for (at++; at < body.len; at++) {
        char c = body.ptr[at];
        if (c >= '1' && c <= '9' && !ret->indent)
            ret->indent = (size_t)(c - '0') + (size_t)(parent > 0 ? parent : 0);
        else if ((c == '-' || c == '+') && !ret->chomp)
            ret->chomp = c;
        else
            break;
    }
    size_t end = skip_blanks(body, at);
    if (end > at && end < body.len && body.ptr[end] == '#')
        while (end < body.len && !is_break(body.ptr[end]))
            end++;
    if (end < body.len && !is_break(body.ptr[end]))
        return -EINVAL;
    ret->start = end < body.len ? skip_break(body, end) : end;
    return 0;
}

static size_t skip_spaces(struct str s, size_t at)
{
    while (at < s.len && s.ptr[at] == ' ')
        at++;
    return at;
}

/*
 * The indentation of the first line that is more than spaces. Where that is not
 * below the parent the block has no such line, and its longest one counts.
 */
static int find_indent(struct str body, long parent, struct block *block)
{
    size_t least = (size_t)(parent + 1), longest = 0;
    for (size_t at = block->start; at < body.len;) {
        size_t end = skip_spaces(body, at), spaces = end - at;
        bool is_empty = end == body.len || is_break(body.ptr[end]);
        if (!is_empty && spaces >= least) {
            block->indent = spaces;
            return longest > spaces ? -EINVAL : 0;
        }
        if (!is_empty)
            break;
        if (spaces > longest)
            longest = spaces;
        at = end < body.len ? skip_break(body, end) : end;
    }
    block->indent = longest > least ? longest : least;
    return 0;
}

/* What is said of the lines read so far. */
struct lines {
    struct buf *buf;
    size_t count;      /* of lines that are not empty */
    size_t feeds;      /* line breaks since the last of them */
    bool starts_blank; /* the last of them does */
};

static void add_line(struct lines *lines, struct str line, bool is_folded)
{
    bool starts_blank = is_blank(line.ptr[0]);
    bool is_joined = is_folded && lines->count && !starts_blank && !lines->starts_blank;
    if (is_joined && lines->feeds == 1)
        buf_add_char(lines->buf, ' ');
    else
        add_feeds(lines->buf, lines->feeds - is_joined);
    buf_add_str(lines->buf, line);
    lines->starts_blank = starts_blank;
    lines->feeds = 0;
    lines->count++;
}

int yaml_content_add_block(struct buf *buf, struct str body, size_t header, long parent,
                           size_t *ret_end)
{
    struct block block;
    struct lines lines = { .buf = buf };
    int r = read_header(body, header, parent, &block);
    if (r == 0 && block.indent == 0)
        r = find_indent(body, parent, &block);
    if (r < 0)
        return r;
    size_t at = block.start;
    while (at < body.len && !buf->error) {
        size_t text = skip_spaces(body, at), end = text;
        while (end < body.len && !is_break(body.ptr[end]))
            end++;
        if (text < at + block.indent && end > text)
            break;
        if (end > at + block.indent)
            add_line(&lines, str_make(body.ptr + at + block.indent, end - at - block.indent),
                     block.is_folded);
        at = end;
        if (at < body.len) {
            at = skip_break(body, at);
            lines.feeds++;
        }
    }
    *ret_end = at;
    if (block.chomp == '+')
        add_feeds(buf, lines.feeds);
    else if (block.chomp == 0 && lines.count && lines.feeds)
        buf_add_char(buf, '\n');
    return buf->error;
}
