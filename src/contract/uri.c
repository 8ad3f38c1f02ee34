/*
 * uri: references split, checked and resolved.
 *
 * Theory of operation: the split of RFC 3986 appendix B is total: every text
 * has exactly one. Strict parsing is that split followed by a check of each
 * component against its alphabet, which together are the grammar: what the
 * grammar forbids beyond alphabets (a colon in the first segment of a relative
 * path, a path that starts with "//" without an authority) the split has
 * already read as a scheme or as an authority. Alphabets are one table of
 * bits per ASCII byte; RFC 3987 adds two sets of code points.
 *
 * Resolving appends to the caller's buffer and writes nothing before what
 * was there. One step goes beyond RFC 3986 section 5.2: a path that would
 * read as an authority ("//…" with none defined) gets "/." in front, as
 * section 3.3 demands, so that a reference never moves to another host by
 * way of dot segments.
 *
 * Every loop moves forward through the text, which the caller bounds.
 */
#include "contract/uri.h"

#include <arpa/inet.h>

#include "base/utf8.h"

enum {
    CLASS_SCHEME = 1 << 0,
    CLASS_HEX = 1 << 1,
    CLASS_REG_NAME = 1 << 2, /* unreserved, sub-delims */
    CLASS_USERINFO = 1 << 3, /* and ":" */
    CLASS_PATH = 1 << 4,     /* and "@" "/" */
    CLASS_QUERY = 1 << 5,    /* and "?"; a fragment's too */
};

#define IN_NAME   (CLASS_REG_NAME | CLASS_USERINFO | CLASS_PATH | CLASS_QUERY)
#define IN_SCHEME (IN_NAME | CLASS_SCHEME)

static const uint8_t classes[128] = {
    ['0' ... '9'] = IN_SCHEME | CLASS_HEX,
    ['A' ... 'F'] = IN_SCHEME | CLASS_HEX,
    ['G' ... 'Z'] = IN_SCHEME,
    ['a' ... 'f'] = IN_SCHEME | CLASS_HEX,
    ['g' ... 'z'] = IN_SCHEME,
    ['+'] = IN_SCHEME,
    ['-'] = IN_SCHEME,
    ['.'] = IN_SCHEME,
    ['_'] = IN_NAME,
    ['~'] = IN_NAME,
    ['!'] = IN_NAME,
    ['$'] = IN_NAME,
    ['&'] = IN_NAME,
    ['\''] = IN_NAME,
    ['('] = IN_NAME,
    [')'] = IN_NAME,
    ['*'] = IN_NAME,
    [','] = IN_NAME,
    [';'] = IN_NAME,
    ['='] = IN_NAME,
    [':'] = CLASS_USERINFO | CLASS_PATH | CLASS_QUERY,
    ['@'] = CLASS_PATH | CLASS_QUERY,
    ['/'] = CLASS_PATH | CLASS_QUERY,
    ['?'] = CLASS_QUERY,
};

static bool in_class(char c, unsigned class)
{
    unsigned char byte = (unsigned char)c;
    return byte < ARRAY_LEN(classes) && (classes[byte] & class);
}

/* Which code points beyond ASCII a component may hold. */
enum beyond { BEYOND_NONE, BEYOND_UCSCHAR, BEYOND_PRIVATE };

bool uri_is_international(int32_t c, bool or_private)
{
    if (c < 0xE000)
        return c >= 0xA0 && c <= 0xD7FF;
    bool is_private = c <= 0xF8FF || c >= 0xF0000;
    if (is_private)
        return or_private && (c <= 0xF8FF || (c & 0xFFFF) <= 0xFFFD);
    if (c < 0x10000)
        return c <= 0xFDCF || (c >= 0xFDF0 && c <= 0xFFEF);
    return (c & 0xFFFF) <= 0xFFFD && (c < 0xE0000 || c >= 0xE1000);
}

static bool check_component(struct str text, unsigned class, enum beyond beyond)
{
    for (size_t i = 0; i < text.len;) {
        if (in_class(text.ptr[i], class)) {
            i++;
        } else if (text.ptr[i] == '%') {
            if (text.len - i < 3 || !in_class(text.ptr[i + 1], CLASS_HEX) ||
                !in_class(text.ptr[i + 2], CLASS_HEX))
                return false;
            i += 3;
        } else {
            if (beyond == BEYOND_NONE || (unsigned char)text.ptr[i] < 0x80)
                return false;
            if (!uri_is_international(utf8_next(text, &i), beyond == BEYOND_PRIVATE))
                return false;
        }
    }
    return true;
}

static bool all_in_class(struct str text, unsigned class)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!in_class(text.ptr[i], class))
            return false;
    }
    return true;
}

static bool check_scheme(struct str scheme)
{
    char first = scheme.len ? scheme.ptr[0] : '\0';
    return ((first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z')) &&
           all_in_class(scheme, CLASS_SCHEME);
}

/* What stands between the brackets: an IPv6 address, or a future version's. */
static bool check_ip_literal(struct str text)
{
    if (text.len && (text.ptr[0] == 'v' || text.ptr[0] == 'V')) {
        size_t dot = str_index(text, '.', 0);
        return dot > 1 && dot + 1 < text.len &&
               all_in_class(str_make(text.ptr + 1, dot - 1), CLASS_HEX) &&
               all_in_class(str_from_offset(text, dot + 1), CLASS_USERINFO);
    }
    char address[INET6_ADDRSTRLEN];
    struct in6_addr binary;
    if (text.len >= sizeof(address) || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(address, text.ptr, text.len);
    address[text.len] = '\0';
    return inet_pton(AF_INET6, address, &binary) == 1;
}

static bool check_authority(struct str authority, enum beyond beyond)
{
    size_t at = str_index(authority, '@', 0);
    if (at < authority.len) {
        if (!check_component(str_make(authority.ptr, at), CLASS_USERINFO, beyond))
            return false;
        authority = str_from_offset(authority, at + 1);
    }
    size_t host_end;
    if (authority.len && authority.ptr[0] == '[') {
        size_t bracket = str_index(authority, ']', 0);
        if (bracket == authority.len || !check_ip_literal(str_make(authority.ptr + 1, bracket - 1)))
            return false;
        host_end = bracket + 1;
    } else {
        host_end = str_index(authority, ':', 0);
        if (!check_component(str_make(authority.ptr, host_end), CLASS_REG_NAME, beyond))
            return false;
    }
    if (host_end == authority.len)
        return true;
    if (authority.ptr[host_end] != ':')
        return false;
    for (size_t i = host_end + 1; i < authority.len; i++) {
        if (authority.ptr[i] < '0' || authority.ptr[i] > '9')
            return false;
    }
    return true;
}

bool uri_parse(struct str text, enum uri_alphabet alphabet, struct uri *ret)
{
    enum beyond beyond = alphabet == URI_INTERNATIONAL ? BEYOND_UCSCHAR : BEYOND_NONE;
    enum beyond beyond_query = alphabet == URI_INTERNATIONAL ? BEYOND_PRIVATE : BEYOND_NONE;
    struct uri uri = uri_split(text);
    /* Without a scheme, a colon before the first slash can only be one that starts the text. */
    if (!uri.has_scheme && !uri.has_authority && uri.path.len && uri.path.ptr[0] == ':')
        return false;
    if ((uri.has_scheme && !check_scheme(uri.scheme)) ||
        (uri.has_authority && !check_authority(uri.authority, beyond)) ||
        !check_component(uri.path, CLASS_PATH, beyond) ||
        !check_component(uri.query, CLASS_QUERY, beyond_query) ||
        !check_component(uri.fragment, CLASS_QUERY, beyond))
        return false;
    *ret = uri;
    return true;
}

static size_t index_of_any(struct str text, const char *stops, size_t from)
{
    for (size_t i = from; i < text.len; i++) {
        if (text.ptr[i] && strchr(stops, text.ptr[i]))
            return i;
    }
    return text.len;
}

/* The part from `from` up to `to`. */
static struct str part(struct str text, size_t from, size_t to)
{
    return str_make(text.ptr + from, to - from);
}

struct uri uri_split(struct str text)
{
    struct uri uri = { 0 };
    size_t at = 0;
    size_t colon = index_of_any(text, ":/?#", 0);
    if (colon > 0 && colon < text.len && text.ptr[colon] == ':') {
        uri.has_scheme = true;
        uri.scheme = part(text, 0, colon);
        at = colon + 1;
    }
    if (str_starts(str_from_offset(text, at), STR("//"))) {
        size_t end = index_of_any(text, "/?#", at + 2);
        uri.has_authority = true;
        uri.authority = part(text, at + 2, end);
        at = end;
    }
    size_t path_end = index_of_any(text, "?#", at);
    uri.path = part(text, at, path_end);
    at = path_end;
    if (at < text.len && text.ptr[at] == '?') {
        size_t end = str_index(text, '#', at);
        uri.has_query = true;
        uri.query = part(text, at + 1, end);
        at = end;
    }
    if (at < text.len) {
        uri.has_fragment = true;
        uri.fragment = str_from_offset(text, at + 1);
    }
    return uri;
}

/* Cuts the last segment and its slash off what was appended since `floor`. */
static void drop_segment(struct buf *buf, size_t floor)
{
    size_t len = buf->len;
    while (len > floor && buf->data[--len] != '/')
        continue;
    buf_truncate(buf, len);
}

/* RFC 3986 section 5.2.4. */
static void add_without_dots(struct str in, struct buf *ret)
{
    size_t floor = ret->len;
    while (in.len && !ret->error) {
        if (str_starts(in, STR("../"))) {
            in = str_from_offset(in, 3);
        } else if (str_starts(in, STR("./")) || str_starts(in, STR("/./"))) {
            in = str_from_offset(in, 2);
        } else if (str_equal(in, STR("/."))) {
            in = STR("/");
        } else if (str_starts(in, STR("/../"))) {
            in = str_from_offset(in, 3);
            drop_segment(ret, floor);
        } else if (str_equal(in, STR("/.."))) {
            in = STR("/");
            drop_segment(ret, floor);
        } else if (str_equal(in, STR(".")) || str_equal(in, STR(".."))) {
            return;
        } else {
            size_t end = str_index(in, '/', 1);
            buf_add(ret, in.ptr, end);
            in = str_from_offset(in, end);
        }
    }
}

/* RFC 3986 section 5.2.3: the base's path up to its last slash, then the reference's. */
static void merge_paths(const struct uri *base, struct str path, struct buf *ret)
{
    if (base->has_authority && !base->path.len) {
        buf_add_char(ret, '/');
    } else {
        size_t len = base->path.len;
        while (len && base->path.ptr[len - 1] != '/')
            len--;
        buf_add(ret, base->path.ptr, len);
    }
    buf_add_str(ret, path);
}

/* RFC 3986 section 5.3, with the path already free of dot segments. */
static void compose(const struct uri *uri, struct buf *ret)
{
    if (uri->has_scheme) {
        buf_add_str(ret, uri->scheme);
        buf_add_char(ret, ':');
    }
    if (uri->has_authority) {
        buf_add_text(ret, "//");
        buf_add_str(ret, uri->authority);
    } else if (str_starts(uri->path, STR("//"))) {
        buf_add_text(ret, "/.");
    }
    buf_add_str(ret, uri->path);
    if (uri->has_query) {
        buf_add_char(ret, '?');
        buf_add_str(ret, uri->query);
    }
    if (uri->has_fragment) {
        buf_add_char(ret, '#');
        buf_add_str(ret, uri->fragment);
    }
}

static void cleanup_buf(struct buf *buf)
{
    buf_release(buf);
}

int uri_resolve(struct str base_text, struct str reference, struct buf *ret)
{
    if (!base_text.len)
        return buf_add_str(ret, reference);
    struct uri base = uri_split(base_text);
    struct uri target = uri_split(reference);
    _cleanup_(cleanup_buf) struct buf merged = BUF_INIT;
    _cleanup_(cleanup_buf) struct buf path = BUF_INIT;
    bool own_path = target.has_scheme || target.has_authority || target.path.len;
    if (!target.has_scheme) {
        target.has_scheme = base.has_scheme;
        target.scheme = base.scheme;
        if (!target.has_authority) {
            if (target.path.len && target.path.ptr[0] != '/') {
                merge_paths(&base, target.path, &merged);
                target.path = buf_str(&merged);
            }
            target.has_authority = base.has_authority;
            target.authority = base.authority;
        }
    }
    if (own_path) {
        add_without_dots(target.path, &path);
        target.path = buf_str(&path);
    } else {
        target.path = base.path;
        if (!target.has_query) {
            target.has_query = base.has_query;
            target.query = base.query;
        }
    }
    int error = merged.error ? merged.error : path.error;
    if (error)
        return error;
    size_t start = ret->len;
    compose(&target, ret);
    if (ret->error)
        buf_truncate(ret, start);
    return ret->error;
}

static int hex_value(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

bool uri_percent_decode(struct str text, struct buf *ret)
{
    size_t start = ret->len;
    for (size_t i = 0; i < text.len;) {
        size_t percent = str_index(text, '%', i);
        buf_add(ret, text.ptr + i, percent - i);
        if (percent == text.len)
            break;
        if (text.len - percent < 3 || !in_class(text.ptr[percent + 1], CLASS_HEX) ||
            !in_class(text.ptr[percent + 2], CLASS_HEX)) {
            buf_truncate(ret, start);
            return false;
        }
        buf_add_char(
            ret, (char)(hex_value(text.ptr[percent + 1]) * 16 + hex_value(text.ptr[percent + 2])));
        i = percent + 3;
    }
    return true;
}
