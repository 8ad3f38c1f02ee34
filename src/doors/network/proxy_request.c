/*
 * proxy_request: see the header.
 *
 * Theory of operation. The first byte says which words are spoken: 5 and 4 are
 * SOCKS, anything else is HTTP. What is asked for ends as a target; a host that
 * is an address in whatever spelling becomes that address, any other must be a
 * host name.
 *
 * Of HTTP only the head of a request is read, and strictly: lines end in CR LF,
 * nothing is folded, no byte is a control character. CONNECT names the target.
 * Any other method has an absolute http URL; its head is written anew, with the
 * path alone, with the host of the URL and no other, and with "Connection:
 * close". The server thus ends the connection behind its answer, and the next
 * request is a new connection, asked about anew: none can use the permission of
 * one before it.
 *
 * Threats: the client is hostile. What two readers could read in two ways is
 * refused: names with NUL or control bytes, user information, ports that are no
 * numbers, other line ends. Bodies are never looked at: they go to the server
 * that was asked about, whatever is in them.
 */
#include "doors/network/proxy_request.h"

#include <strings.h>

#define SOCKS5           5
#define SOCKS4           4
#define SOCKS_CONNECT    1
#define SOCKS_NO_LOGIN   0
#define SOCKS_IPV4       1
#define SOCKS_NAME       3
#define SOCKS_IPV6       4
#define SOCKS4_HEAD      8
#define HTTP_PORT        80
#define METHOD_BYTES_MAX 32

#define DENIED_TEXT "The network policy of this run does not allow this destination.\n"
#define FAILED_TEXT "This destination could not be reached.\n"
#define BAD_TEXT    "This is no request that a proxy takes.\n"
#define HTTP_ANSWER(status, len, text)                                                             \
    "HTTP/1.1 " status "\r\nContent-Type: text/plain\r\nContent-Length: " len                      \
    "\r\nConnection: close\r\n\r\n" text

/* A static text, also in a table. */
#define TEXT(literal)                                                                              \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }

static const struct flow_answers connect_answers = {
    .opened = TEXT("HTTP/1.1 200 Connection established\r\n\r\n"),
    .denied = TEXT(HTTP_ANSWER("403 Forbidden", "64", DENIED_TEXT)),
    .failed = TEXT(HTTP_ANSWER("502 Bad Gateway", "39", FAILED_TEXT)),
};
static const struct flow_answers plain_answers = {
    .opened = TEXT(""), /* the server's own answer is the answer */
    .denied = TEXT(HTTP_ANSWER("403 Forbidden", "64", DENIED_TEXT)),
    .failed = TEXT(HTTP_ANSWER("502 Bad Gateway", "39", FAILED_TEXT)),
};
static const struct flow_answers socks5_answers = {
    .opened = TEXT("\5\0\0\1\0\0\0\0\0\0"),
    .denied = TEXT("\5\2\0\1\0\0\0\0\0\0"),
    .failed = TEXT("\5\4\0\1\0\0\0\0\0\0"),
};
static const struct flow_answers socks4_answers = {
    .opened = TEXT("\0\132\0\0\0\0\0\0"),
    .denied = TEXT("\0\133\0\0\0\0\0\0"),
    .failed = TEXT("\0\133\0\0\0\0\0\0"),
};
_Static_assert(sizeof(DENIED_TEXT) - 1 == 64 && sizeof(FAILED_TEXT) - 1 == 39 &&
                   sizeof(BAD_TEXT) - 1 == 39,
               "the answers say their lengths");

static enum proxy_request_state refuse(struct proxy_request *request, struct str reply)
{
    request->reply = reply;
    return PROXY_REQUEST_BAD;
}

/* --- targets -------------------------------------------------------------------------------- */

static bool read_host(struct str text, struct target *ret)
{
    struct host_name name;
    struct address_range address;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '/')
            return false;
    }
    if (address_range_read(text, &address)) {
        ret->address = address;
        return true;
    }
    if (host_name_read(text, &name, NULL) != 1)
        return false;
    if (address_read_odd(&name, &address))
        ret->address = address;
    else
        memcpy(ret->name, name.text, sizeof(ret->name));
    return true;
}

static bool read_port(struct str text, uint16_t *ret)
{
    unsigned long port = 0;
    if (!text.len || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        port = port * 10 + (unsigned long)(text.ptr[i] - '0');
    }
    if (!port || port > UINT16_MAX)
        return false;
    *ret = (uint16_t)port;
    return true;
}

/* A host with a port behind it, which may be missing only where one is meant otherwise. */
static bool read_authority(struct str authority, uint16_t meant_port, struct target *ret)
{
    struct target target = { .port = meant_port };
    struct str host = authority, port;
    if (authority.len && authority.ptr[0] == '[') {
        size_t end = str_index(authority, ']', 1);
        host = str_make(authority.ptr + 1, end - 1);
        port = str_from_offset(authority, end + 1);
        if (end + 1 > authority.len || !memchr(host.ptr, ':', host.len))
            return false;
    } else {
        host.len = str_index(authority, ':', 0);
        port = str_from_offset(authority, host.len);
    }
    if (port.len && (port.ptr[0] != ':' || !read_port(str_from_offset(port, 1), &target.port)))
        return false;
    if (!target.port || !read_host(host, &target))
        return false;
    *ret = target;
    return true;
}

/* --- HTTP ----------------------------------------------------------------------------------- */

static bool is_token(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (!c || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return text.len > 0;
}

static bool equal_ignoring_case(struct str text, const char *name)
{
    return text.len == strlen(name) && strncasecmp(text.ptr, name, text.len) == 0;
}

/* Takes a line off, without its end; false where there is none, or it has other control bytes. */
static bool take_line(struct str *text, struct str *ret)
{
    struct str line = str_make(text->ptr, str_index(*text, '\r', 0));
    if (line.len + 1 >= text->len || text->ptr[line.len + 1] != '\n')
        return false;
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    *text = str_from_offset(*text, line.len + 2);
    *ret = line;
    return true;
}

/* What concerns one connection alone, or is written anew. */
static bool is_dropped(struct str name)
{
    static const char *const names[] = {
        "Host",    "Connection", "Proxy-Connection",   "Keep-Alive",
        "Upgrade", "TE",         "Proxy-Authorization"
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (equal_ignoring_case(name, names[i]))
            return true;
    }
    return false;
}

/* Header lines up to the empty one; those that go on to the server are appended. */
static bool read_headers(struct str *text, struct buf *ret)
{
    struct str line;
    while (take_line(text, &line)) {
        if (!line.len)
            return true;
        struct str name = str_make(line.ptr, str_index(line, ':', 0));
        if (name.len == line.len || !is_token(name))
            return false;
        if (is_dropped(name))
            continue;
        buf_add_str(ret, line);
        buf_add_text(ret, "\r\n");
    }
    return false;
}

/* The three words of a request line. */
struct request_line {
    struct str method, target, version;
};

static bool read_request_line(struct str line, struct request_line *ret)
{
    struct str *words[] = { &ret->method, &ret->target, &ret->version };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        *words[i] = str_make(line.ptr, i < 2 ? str_index(line, ' ', 0) : line.len);
        line = str_from_offset(line, words[i]->len + 1);
    }
    for (size_t i = 0; i < ret->target.len; i++) {
        if (ret->target.ptr[i] < '!' || ret->target.ptr[i] > '~')
            return false;
    }
    return is_token(ret->method) && ret->method.len <= METHOD_BYTES_MAX && ret->target.len &&
           (str_equal(ret->version, STR("HTTP/1.1")) || str_equal(ret->version, STR("HTTP/1.0")));
}

/* The head as the server is to see it. */
static bool rewrite(const struct request_line *line, struct str *headers, struct target *ret,
                    struct buf *ret_first)
{
    const struct str scheme = STR("http://");
    struct str url = line->target;
    if (url.len < scheme.len || strncasecmp(url.ptr, scheme.ptr, scheme.len) != 0)
        return false;
    url = str_from_offset(url, scheme.len);
    struct str authority = str_make(url.ptr, 0);
    while (authority.len < url.len && !strchr("/?#", url.ptr[authority.len]))
        authority.len++;
    struct str path = str_from_offset(url, authority.len);
    if (memchr(path.ptr, '#', path.len) || !read_authority(authority, HTTP_PORT, ret))
        return false;
    buf_addf(ret_first, "%.*s %s%.*s %.*s\r\nHost: %.*s\r\n", STR_ARG(line->method),
             path.len && path.ptr[0] == '/' ? "" : "/", STR_ARG(path), STR_ARG(line->version),
             STR_ARG(authority));
    return read_headers(headers, ret_first) &&
           buf_add_text(ret_first, "Connection: close\r\n\r\n") == 0;
}

/* Behind the empty line; 0 where it has not come. */
static size_t head_end(struct str bytes)
{
    const char *end = memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4);
    return end ? (size_t)(end - bytes.ptr) + 4 : 0;
}

/* Whether what has come can still become a request: something else is not waited for. */
static bool begins_with_method(struct str bytes)
{
    struct str method = str_make(bytes.ptr, str_index(bytes, ' ', 0));
    return method.len <= METHOD_BYTES_MAX && is_token(method);
}

static enum proxy_request_state hear_http(struct proxy_request *request, struct str bytes,
                                          size_t *ret_used)
{
    static const struct str bad = TEXT(HTTP_ANSWER("400 Bad Request", "39", BAD_TEXT));
    size_t end = head_end(bytes);
    struct str head = str_make(bytes.ptr, end), line;
    struct request_line words;
    if (!begins_with_method(bytes))
        return refuse(request, bad);
    if (!end)
        return PROXY_REQUEST_MORE;
    *ret_used = end;
    if (!take_line(&head, &line) || !read_request_line(line, &words))
        return refuse(request, bad);
    bool is_connect = str_equal(words.method, STR("CONNECT"));
    bool read = is_connect ? read_authority(words.target, 0, &request->target) &&
                                 read_headers(&head, &request->first)
                           : rewrite(&words, &head, &request->target, &request->first);
    if (!read || request->first.error)
        return refuse(request, bad);
    if (is_connect)
        buf_reset(&request->first);
    request->answers = is_connect ? &connect_answers : &plain_answers;
    return PROXY_REQUEST_WHOLE;
}

/* --- SOCKS ---------------------------------------------------------------------------------- */

static uint16_t port_at(const char *at)
{
    return (uint16_t)((unsigned char)at[0] << 8 | (unsigned char)at[1]);
}

static void set_address(struct target *target, const char *bytes, bool is_ipv6)
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    if (is_ipv6 && memcmp(bytes, mapped, sizeof(mapped)) == 0) {
        is_ipv6 = false;
        bytes += sizeof(mapped);
    }
    target->address =
        (struct address_range){ .is_ipv6 = is_ipv6, .prefix_bits = is_ipv6 ? 128 : 32 };
    memcpy(target->address.address, bytes, is_ipv6 ? 16 : 4);
}

static enum proxy_request_state hear_socks5_request(struct proxy_request *request, struct str bytes,
                                                    size_t *ret_used)
{
    static const struct str other_command = TEXT("\5\7\0\1\0\0\0\0\0\0");
    static const struct str bad = TEXT("\5\1\0\1\0\0\0\0\0\0");
    const char *b = bytes.ptr;
    if (bytes.len < 5)
        return PROXY_REQUEST_MORE;
    bool is_name = b[3] == SOCKS_NAME, is_ipv6 = b[3] == SOCKS_IPV6;
    size_t address = is_name ? 1 + (size_t)(unsigned char)b[4] : is_ipv6 ? 16 : 4;
    size_t whole = 4 + address + 2;
    if (b[0] != SOCKS5 || b[2] != 0 || (!is_name && !is_ipv6 && b[3] != SOCKS_IPV4))
        return refuse(request, bad);
    if (b[1] != SOCKS_CONNECT)
        return refuse(request, other_command);
    if (bytes.len < whole)
        return PROXY_REQUEST_MORE;
    *ret_used = whole;
    request->target = (struct target){ .port = port_at(b + whole - 2) };
    if (!is_name)
        set_address(&request->target, b + 4, is_ipv6);
    if (!request->target.port ||
        (is_name && !read_host(str_make(b + 5, address - 1), &request->target)))
        return refuse(request, bad);
    request->answers = &socks5_answers;
    return PROXY_REQUEST_WHOLE;
}

/* SOCKS 4 with an address; or 4A, where that says 0.0.0.x, with a name behind the user's. */
static enum proxy_request_state hear_socks4(struct proxy_request *request, struct str bytes,
                                            size_t *ret_used)
{
    const char *b = bytes.ptr;
    struct target target = { 0 };
    size_t whole = bytes.len < SOCKS4_HEAD ? bytes.len : str_index(bytes, '\0', SOCKS4_HEAD) + 1;
    if (whole > bytes.len || bytes.len < SOCKS4_HEAD)
        return PROXY_REQUEST_MORE;
    target.port = port_at(b + 2);
    bool ok = b[1] == SOCKS_CONNECT && target.port;
    if (!b[4] && !b[5] && !b[6] && b[7]) {
        size_t name = whole;
        whole = str_index(bytes, '\0', name) + 1;
        if (whole > bytes.len)
            return PROXY_REQUEST_MORE;
        ok = ok && read_host(str_make(b + name, whole - 1 - name), &target);
    } else {
        set_address(&target, b + 4, false);
    }
    *ret_used = whole;
    if (!ok)
        return refuse(request, socks4_answers.failed);
    request->target = target;
    request->answers = &socks4_answers;
    return PROXY_REQUEST_WHOLE;
}

/* --- the steps ------------------------------------------------------------------------------ */

enum step { STEP_FIRST, STEP_SOCKS5_REQUEST };

static enum proxy_request_state hear_socks5_greeting(struct proxy_request *request,
                                                     struct str bytes, size_t *ret_used)
{
    static const struct str accepted = TEXT("\5\0"), none = TEXT("\5\377");
    if (bytes.len < 2 || bytes.len < 2 + (size_t)(unsigned char)bytes.ptr[1])
        return PROXY_REQUEST_MORE;
    size_t methods = (unsigned char)bytes.ptr[1];
    *ret_used = 2 + methods;
    if (!memchr(bytes.ptr + 2, SOCKS_NO_LOGIN, methods))
        return refuse(request, none);
    request->step = STEP_SOCKS5_REQUEST;
    request->reply = accepted;
    return PROXY_REQUEST_GOES_ON;
}

static enum proxy_request_state hear_step(struct proxy_request *request, struct str bytes,
                                          size_t *ret_used)
{
    if (!bytes.len)
        return PROXY_REQUEST_MORE;
    if (request->step == STEP_SOCKS5_REQUEST)
        return hear_socks5_request(request, bytes, ret_used);
    if (bytes.ptr[0] == SOCKS5)
        return hear_socks5_greeting(request, bytes, ret_used);
    if (bytes.ptr[0] == SOCKS4)
        return hear_socks4(request, bytes, ret_used);
    return hear_http(request, bytes, ret_used);
}

void proxy_request_init(struct proxy_request *request)
{
    *request = (struct proxy_request){ .first = BUF_INIT_LIMIT(2 * PROXY_REQUEST_BYTES_MAX) };
}

void proxy_request_release(struct proxy_request *request)
{
    buf_release(&request->first);
}

enum proxy_request_state proxy_request_hear(struct proxy_request *request, struct str bytes,
                                            size_t *ret_used)
{
    static const struct str too_long =
        TEXT("HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n");
    size_t used = 0;
    enum proxy_request_state state = hear_step(request, bytes, &used);
    if (state == PROXY_REQUEST_MORE && bytes.len >= PROXY_REQUEST_BYTES_MAX)
        return refuse(request, too_long);
    if (state != PROXY_REQUEST_MORE)
        *ret_used = used;
    return state;
}
