/*
 * upstream_proxy: see the header.
 *
 * Theory of operation. A proxy is spoken to in steps; each is one message of
 * ours and one answer, in the table below. HTTP's CONNECT is one step. SOCKS 5
 * (RFC 1928) has two, or three where the proxy wants name and password
 * (RFC 1929). Of an answer exactly its own bytes are taken, since the next ones
 * are the target's.
 *
 * Threats: a proxy is trusted with the traffic, not with this process: answers
 * are bounded, and read strictly. The name was read as a host name, so that
 * nothing of it can end a line; the credentials are checked for the same here.
 *
 * Limits: one that answers with a challenge (Digest, NTLM, Negotiate) is spoken
 * to by proxy_rounds; here its 407 is reported.
 */
#include "doors/network/upstream_proxy.h"

#include "base/sign.h"

#define SOCKS_VERSION         5
#define SOCKS_LOGIN_VERSION   1
#define SOCKS_CONNECT         1
#define SOCKS_NO_LOGIN        0
#define SOCKS_LOGIN           2
#define SOCKS_IPV4            1
#define SOCKS_NAME            3
#define SOCKS_IPV6            4
#define SOCKS_TEXT_BYTES_MAX  255
#define CREDENTIALS_BYTES_MAX 4096

/* --- what is said --------------------------------------------------------------------------- */

static int say_connect(const struct route *route, const struct target *target, struct buf *ret)
{
    char authority[HOST_NAME_BYTES_MAX + sizeof("[]:65535")];
    char address[ADDRESS_RANGE_TEXT_SIZE];
    const char *host = target->name;
    if (!target->name[0]) {
        address_range_text(&target->address, address);
        address[strcspn(address, "/")] = '\0';
        host = address;
    }
    bool brackets = !target->name[0] && target->address.is_ipv6;
    snprintf(authority, sizeof(authority), "%s%s%s:%u", brackets ? "[" : "", host,
             brackets ? "]" : "", target->port);
    for (const char *c = route->authorization; c && *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return -EINVAL;
    }
    buf_addf(ret, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", authority, authority);
    if (route->authorization)
        buf_addf(ret, "Proxy-Authorization: %s\r\n", route->authorization);
    return buf_add_text(ret, "\r\n");
}

static int say_greeting(const struct route *route, const struct target *target, struct buf *ret)
{
    (void)target;
    buf_add_char(ret, SOCKS_VERSION);
    buf_add_char(ret, route->authorization ? 2 : 1);
    buf_add_char(ret, SOCKS_NO_LOGIN);
    return route->authorization ? buf_add_char(ret, SOCKS_LOGIN) : ret->error;
}

/* The name and the password of "Basic …". */
static int say_login(const struct route *route, const struct target *target, struct buf *ret)
{
    const struct str basic = STR("Basic ");
    struct str header = str_from(route->authorization ? route->authorization : "");
    struct buf plain = BUF_INIT_LIMIT(CREDENTIALS_BYTES_MAX);
    int r = -EINVAL;
    (void)target;
    if (str_starts(header, basic) && base64_decode(str_from_offset(header, basic.len), &plain)) {
        struct str name = buf_str(&plain);
        name.len = str_index(name, ':', 0);
        struct str password = str_from_offset(buf_str(&plain), name.len + 1);
        if (name.len && name.len <= SOCKS_TEXT_BYTES_MAX && password.len <= SOCKS_TEXT_BYTES_MAX) {
            buf_add_char(ret, SOCKS_LOGIN_VERSION);
            buf_add_char(ret, (char)name.len);
            buf_add_str(ret, name);
            buf_add_char(ret, (char)password.len);
            r = buf_add_str(ret, password);
        }
    }
    explicit_bzero(plain.data, plain.len);
    buf_release(&plain);
    return r;
}

static int say_request(const struct route *route, const struct target *target, struct buf *ret)
{
    const struct address_range *address = &target->address;
    struct str name = str_from(target->name);
    (void)route;
    buf_add_char(ret, SOCKS_VERSION);
    buf_add_char(ret, SOCKS_CONNECT);
    buf_add_char(ret, 0);
    if (name.len) {
        buf_add_char(ret, SOCKS_NAME);
        buf_add_char(ret, (char)name.len);
        buf_add_str(ret, name);
    } else {
        buf_add_char(ret, address->is_ipv6 ? SOCKS_IPV6 : SOCKS_IPV4);
        buf_add(ret, address->address, address->is_ipv6 ? 16 : 4);
    }
    buf_add_char(ret, (char)(target->port >> 8));
    return buf_add_char(ret, (char)target->port);
}

/* --- what is heard -------------------------------------------------------------------------- */

static enum upstream_proxy_answer refuse(struct upstream_proxy *proxy, const char *format, ...)
    PRINTF_LIKE(2, 3);
static enum upstream_proxy_answer refuse(struct upstream_proxy *proxy, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(proxy->refusal, sizeof(proxy->refusal), format, arguments);
    va_end(arguments);
    return UPSTREAM_PROXY_REFUSED;
}

/* Behind the empty line that ends a header; 0 where there is none yet. */
static size_t header_end(struct str bytes)
{
    for (size_t at = str_index(bytes, '\n', 0); at < bytes.len; at = str_index(bytes, '\n', at)) {
        at++;
        if (at < bytes.len && bytes.ptr[at] == '\r')
            at++;
        if (at < bytes.len && bytes.ptr[at] == '\n')
            return at + 1;
    }
    return 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum upstream_proxy_answer hear_status(struct upstream_proxy *proxy, struct str bytes,
                                              size_t *ret_used)
{
    static const char form[] = "HTTP/1.0 000";
    for (size_t i = 0; i < bytes.len && i < strlen(form); i++) {
        if (form[i] == '0' ? !is_digit(bytes.ptr[i]) : form[i] != bytes.ptr[i])
            return refuse(proxy, "its answer is no HTTP");
    }
    size_t end = header_end(bytes);
    if (!end)
        return UPSTREAM_PROXY_MORE;
    if (end < sizeof(form))
        return refuse(proxy, "its answer is no HTTP");
    const char *status = bytes.ptr + strlen("HTTP/1.0 ");
    if (status[0] != '2')
        return refuse(proxy, "it answered with status %.3s%s", status,
                      memcmp(status, "407", 3) == 0 ? " (it wants other credentials)" : "");
    *ret_used = end;
    return UPSTREAM_PROXY_OPEN;
}

static enum upstream_proxy_answer hear_method(struct upstream_proxy *proxy, struct str bytes,
                                              size_t *ret_used);

static enum upstream_proxy_answer hear_login(struct upstream_proxy *proxy, struct str bytes,
                                             size_t *ret_used);

static enum upstream_proxy_answer hear_reply(struct upstream_proxy *proxy, struct str bytes,
                                             size_t *ret_used)
{
    static const char *const replies[] = {
        [1] = "it failed",
        [2] = "its rules do not allow it",
        [3] = "the network is unreachable",
        [4] = "the host is unreachable",
        [5] = "the connection was refused",
        [6] = "it took too long",
        [7] = "it knows no CONNECT",
        [8] = "it knows no addresses of that kind",
    };
    const unsigned char *b = (const unsigned char *)bytes.ptr;
    if ((bytes.len >= 1 && b[0] != SOCKS_VERSION) || (bytes.len >= 3 && b[2] != 0))
        return refuse(proxy, "its answer is no SOCKS 5");
    if (bytes.len >= 2 && b[1])
        return refuse(proxy, "%s (SOCKS reply %u)",
                      b[1] < ARRAY_LEN(replies) ? replies[b[1]] : "it gave no reason", b[1]);
    if (bytes.len < 5)
        return UPSTREAM_PROXY_MORE;
    size_t address = b[3] == SOCKS_IPV4 ? 4 : b[3] == SOCKS_IPV6 ? 16 : (size_t)b[4] + 1;
    if (b[3] != SOCKS_IPV4 && b[3] != SOCKS_IPV6 && b[3] != SOCKS_NAME)
        return refuse(proxy, "its answer is no SOCKS 5");
    if (bytes.len < 4 + address + 2)
        return UPSTREAM_PROXY_MORE;
    *ret_used = 4 + address + 2;
    return UPSTREAM_PROXY_OPEN;
}

/* --- the steps ------------------------------------------------------------------------------ */

enum step { STEP_CONNECT, STEP_GREETING, STEP_LOGIN, STEP_REQUEST };

static const struct {
    int (*say)(const struct route *route, const struct target *target, struct buf *ret);
    enum upstream_proxy_answer (*hear)(struct upstream_proxy *proxy, struct str bytes,
                                       size_t *ret_used);
} steps[] = {
    [STEP_CONNECT] = { say_connect, hear_status },
    [STEP_GREETING] = { say_greeting, hear_method },
    [STEP_LOGIN] = { say_login, hear_login },
    [STEP_REQUEST] = { say_request, hear_reply },
};

/* Which way of logging in the proxy has chosen. */
static enum upstream_proxy_answer hear_method(struct upstream_proxy *proxy, struct str bytes,
                                              size_t *ret_used)
{
    if (bytes.len >= 1 && bytes.ptr[0] != SOCKS_VERSION)
        return refuse(proxy, "its answer is no SOCKS 5");
    if (bytes.len < 2)
        return UPSTREAM_PROXY_MORE;
    if (bytes.ptr[1] != SOCKS_NO_LOGIN && bytes.ptr[1] != SOCKS_LOGIN)
        return refuse(proxy, "it wants other credentials");
    proxy->step = bytes.ptr[1] == SOCKS_LOGIN ? STEP_LOGIN : STEP_REQUEST;
    *ret_used = 2;
    return UPSTREAM_PROXY_SAYS;
}

static enum upstream_proxy_answer hear_login(struct upstream_proxy *proxy, struct str bytes,
                                             size_t *ret_used)
{
    if (bytes.len >= 1 && bytes.ptr[0] != SOCKS_LOGIN_VERSION)
        return refuse(proxy, "its answer is no SOCKS 5");
    if (bytes.len < 2)
        return UPSTREAM_PROXY_MORE;
    if (bytes.ptr[1] != 0)
        return refuse(proxy, "it does not accept the credentials");
    proxy->step = STEP_REQUEST;
    *ret_used = 2;
    return UPSTREAM_PROXY_SAYS;
}

void upstream_proxy_init(struct upstream_proxy *proxy, const struct route *route)
{
    *proxy = (struct upstream_proxy){
        .step = route->kind == ROUTE_SOCKS5 ? STEP_GREETING : STEP_CONNECT,
    };
}

int upstream_proxy_say(const struct upstream_proxy *proxy, const struct route *route,
                       const struct target *target, struct buf *ret)
{
    return steps[proxy->step].say(route, target, ret);
}

enum upstream_proxy_answer upstream_proxy_hear(struct upstream_proxy *proxy, struct str bytes,
                                               size_t *ret_used)
{
    enum upstream_proxy_answer answer = steps[proxy->step].hear(proxy, bytes, ret_used);
    if (answer == UPSTREAM_PROXY_MORE && bytes.len >= UPSTREAM_PROXY_ANSWER_BYTES_MAX)
        return refuse(proxy, "its answer is longer than %d bytes", UPSTREAM_PROXY_ANSWER_BYTES_MAX);
    return answer;
}
