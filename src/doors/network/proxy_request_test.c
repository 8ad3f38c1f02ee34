#include "doors/network/proxy_request.h"

#include "base/test.h"

/* However the bytes are cut, more is wanted until the last; what follows is not used. */
static void hear(struct proxy_request *request, struct str bytes, enum proxy_request_state expected)
{
    struct buf more = BUF_INIT;
    size_t used = 0;
    for (size_t len = 0; len < bytes.len; len++)
        CHECK_INT(proxy_request_hear(request, str_make(bytes.ptr, len), &used), PROXY_REQUEST_MORE);
    buf_add_str(&more, bytes);
    buf_add_text(&more, "a body\r\n\r\n");
    CHECK_INT(proxy_request_hear(request, buf_str(&more), &used), expected);
    CHECK_INT(used, bytes.len);
    buf_release(&more);
}

static void check_target(const struct target *target, const char *name, const char *address,
                         unsigned port)
{
    char text[ADDRESS_RANGE_TEXT_SIZE];
    CHECK_TEXT(target->name, name);
    CHECK_INT(target->port, port);
    if (address) {
        address_range_text(&target->address, text);
        text[strcspn(text, "/")] = '\0';
        CHECK_TEXT(text, address);
        CHECK_INT(target->address.prefix_bits, target->address.is_ipv6 ? 128 : 32);
    }
}

static void check_connect(struct str authority, const char *name, const char *address,
                          unsigned port)
{
    struct proxy_request request;
    struct buf bytes = BUF_INIT;
    buf_addf(&bytes, "CONNECT %.*s HTTP/1.1\r\nHost: other.example\r\nUser-Agent: x\r\n\r\n",
             STR_ARG(authority));
    proxy_request_init(&request);
    hear(&request, buf_str(&bytes), PROXY_REQUEST_WHOLE);
    check_target(&request.target, name, address, port);
    CHECK_INT(request.first.len, 0);
    proxy_request_release(&request);
    buf_release(&bytes);
}

TEST(connect_names_its_target_in_its_line_alone)
{
    check_connect(STR("API.Example.com:443"), "api.example.com", NULL, 443);
    check_connect(STR("api.example.com.:22"), "api.example.com", NULL, 22);
    check_connect(STR("10.1.2.3:80"), "", "10.1.2.3", 80);
    check_connect(STR("[2001:db8::1]:443"), "", "2001:db8::1", 443);
    check_connect(STR("[::ffff:10.0.0.1]:443"), "", "10.0.0.1", 443);
    check_connect(STR("0x7f.1:443"), "", "127.0.0.1", 443);
    check_connect(STR("2130706433:443"), "", "127.0.0.1", 443);
    check_connect(STR("0177.0.0.1:443"), "", "127.0.0.1", 443);
}

static void check_rewritten(struct str head, struct str expected, const char *name, unsigned port)
{
    struct proxy_request request;
    proxy_request_init(&request);
    hear(&request, head, PROXY_REQUEST_WHOLE);
    check_target(&request.target, name, NULL, port);
    CHECK_STR(buf_str(&request.first), expected);
    proxy_request_release(&request);
}

TEST(a_plain_request_goes_on_with_its_path_and_the_host_of_its_url)
{
    check_rewritten(STR("GET http://api.example.com/a?b=c HTTP/1.1\r\nHost: evil.example\r\n"
                        "Accept: */*\r\nProxy-Connection: keep-alive\r\nconnection: keep-alive\r\n"
                        "Proxy-Authorization: Basic x\r\n\r\n"),
                    STR("GET /a?b=c HTTP/1.1\r\nHost: api.example.com\r\nAccept: */*\r\n"
                        "Connection: close\r\n\r\n"),
                    "api.example.com", 80);
    check_rewritten(STR("POST HTTP://api.example.com:8080 HTTP/1.0\r\nContent-Length: 6\r\n\r\n"),
                    STR("POST / HTTP/1.0\r\nHost: api.example.com:8080\r\nContent-Length: 6\r\n"
                        "Connection: close\r\n\r\n"),
                    "api.example.com", 8080);
    check_rewritten(STR("GET http://api.example.com?q HTTP/1.1\r\n\r\n"),
                    STR("GET /?q HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n"),
                    "api.example.com", 80);
}

TEST(what_is_no_strict_request_is_refused_in_words)
{
    static const struct str bad[] = {
        STR("CONNECT api.example.com HTTP/1.1\r\n\r\n"),
        STR("CONNECT api.example.com:0 HTTP/1.1\r\n\r\n"),
        STR("CONNECT api.example.com:65536 HTTP/1.1\r\n\r\n"),
        STR("CONNECT api.example.com:44x HTTP/1.1\r\n\r\n"),
        STR("CONNECT api.example.com:443:443 HTTP/1.1\r\n\r\n"),
        STR("CONNECT user@api.example.com:443 HTTP/1.1\r\n\r\n"),
        STR("CONNECT api\0.example.com:443 HTTP/1.1\r\n\r\n"),
        STR("CONNECT api.example.com\t:443 HTTP/1.1\r\n\r\n"),
        STR("CONNECT b\303\274cher.example:443 HTTP/1.1\r\n\r\n"),
        STR("CONNECT 10.0.0.0/8:443 HTTP/1.1\r\n\r\n"),
        STR("CONNECT [::1:443 HTTP/1.1\r\n\r\n"),
        STR("CONNECT [fe80::1%eth0]:443 HTTP/1.1\r\n\r\n"),
        STR("CONNECT [api.example.com]:443 HTTP/1.1\r\n\r\n"),
        STR("CONNECT :443 HTTP/1.1\r\n\r\n"),
        STR("CONNECT  api.example.com:443 HTTP/1.1\r\n\r\n"),
        STR("CONNECT api.example.com:443 HTTP/2.0\r\n\r\n"),
        STR("CONNECT api.example.com:443\r\n\r\n"),
        STR("GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        STR("GET https://api.example.com/ HTTP/1.1\r\n\r\n"),
        STR("GET http:///x HTTP/1.1\r\n\r\n"),
        STR("GET http://api.example.com\\@evil.example/ HTTP/1.1\r\n\r\n"),
        STR("GET http://api.example.com/#x HTTP/1.1\r\n\r\n"),
        STR("GET http://api.example.com/ HTTP/1.1\r\nX: a\r\n folded\r\n\r\n"),
        STR("GET http://api.example.com/ HTTP/1.1\r\nX : a\r\n\r\n"),
        STR("GET http://api.example.com/ HTTP/1.1\r\nno colon\r\n\r\n"),
        STR("GET http://api.example.com/ HTTP/1.1\r\nX: a\nHost: b\r\n\r\n"),
        STR("GET http://api.example.com/ HTTP/1.1\r\nX: a\rb\r\n\r\n"),
        STR("GET http://api.example.com/ HTTP/1.1\r\nX: \0\r\n\r\n"),
        STR("\x16\x03\x01\x02"),
        STR("a-method-that-is-longer-than-any-other"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct proxy_request request;
        size_t used;
        proxy_request_init(&request);
        if (proxy_request_hear(&request, bad[i], &used) != PROXY_REQUEST_BAD)
            test_fail(__FILE__, __LINE__, "taken: %.*s", STR_ARG(bad[i]));
        CHECK(str_starts(request.reply, STR("HTTP/1.1 400 ")));
        proxy_request_release(&request);
    }
}

TEST(a_head_is_not_waited_for_beyond_its_limit)
{
    struct proxy_request request;
    struct buf bytes = BUF_INIT;
    size_t used;
    buf_add_text(&bytes, "GET http://api.example.com/ HTTP/1.1\r\nX: ");
    while (bytes.len < PROXY_REQUEST_BYTES_MAX)
        buf_add_char(&bytes, 'x');
    proxy_request_init(&request);
    CHECK_INT(proxy_request_hear(&request, buf_str(&bytes), &used), PROXY_REQUEST_BAD);
    proxy_request_release(&request);
    buf_release(&bytes);
}

static void check_socks5(struct str bytes, const char *name, const char *address, unsigned port)
{
    struct proxy_request request;
    proxy_request_init(&request);
    hear(&request, STR("\5\2\1\0"), PROXY_REQUEST_GOES_ON);
    CHECK_STR(request.reply, STR("\5\0"));
    hear(&request, bytes, PROXY_REQUEST_WHOLE);
    check_target(&request.target, name, address, port);
    proxy_request_release(&request);
}

TEST(socks_names_its_target_by_name_or_address)
{
    check_socks5(STR("\5\1\0\3\17api.example.com\1\273"), "api.example.com", NULL, 443);
    check_socks5(STR("\5\1\0\3\10"
                     "127.0.01\0\120"),
                 "", "127.0.0.1", 80);
    check_socks5(STR("\5\1\0\1\12\1\2\3\0\26"), "", "10.1.2.3", 22);
    check_socks5(STR("\5\1\0\4\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\26"), "", "2001:db8::1", 22);
    check_socks5(STR("\5\1\0\4\0\0\0\0\0\0\0\0\0\0\xff\xff\12\0\0\1\0\26"), "", "10.0.0.1", 22);
    struct proxy_request request;
    proxy_request_init(&request);
    hear(&request, STR("\4\1\0\26\12\1\2\3me\0"), PROXY_REQUEST_WHOLE);
    check_target(&request.target, "", "10.1.2.3", 22);
    proxy_request_release(&request);
    proxy_request_init(&request);
    hear(&request, STR("\4\1\1\273\0\0\0\1\0api.example.com\0"), PROXY_REQUEST_WHOLE);
    check_target(&request.target, "api.example.com", NULL, 443);
    proxy_request_release(&request);
}

static void check_socks_refused(bool greeted, struct str bytes, struct str reply)
{
    struct proxy_request request;
    size_t used;
    proxy_request_init(&request);
    if (greeted)
        CHECK_INT(proxy_request_hear(&request, STR("\5\1\0"), &used), PROXY_REQUEST_GOES_ON);
    CHECK_INT(proxy_request_hear(&request, bytes, &used), PROXY_REQUEST_BAD);
    CHECK_STR(request.reply, reply);
    proxy_request_release(&request);
}

TEST(socks_names_with_other_bytes_and_other_commands_are_refused)
{
    check_socks_refused(false, STR("\5\1\2"), STR("\5\377"));
    check_socks_refused(true, STR("\5\1\0\3\14api\0.example\1\273"), STR("\5\1\0\1\0\0\0\0\0\0"));
    check_socks_refused(true, STR("\5\1\0\3\7a\n.test\1\273"), STR("\5\1\0\1\0\0\0\0\0\0"));
    check_socks_refused(true, STR("\5\1\0\3\0\1\273"), STR("\5\1\0\1\0\0\0\0\0\0"));
    check_socks_refused(true, STR("\5\1\0\3\1a\0\0"), STR("\5\1\0\1\0\0\0\0\0\0"));
    check_socks_refused(true, STR("\5\2\0\1\12\1\2\3\0\26"), STR("\5\7\0\1\0\0\0\0\0\0"));
    check_socks_refused(true, STR("\5\1\0\2\12\1\2\3\0\26"), STR("\5\1\0\1\0\0\0\0\0\0"));
    check_socks_refused(false, STR("\4\2\0\26\12\1\2\3\0"), STR("\0\133\0\0\0\0\0\0"));
    check_socks_refused(false, STR("\4\1\0\26\0\0\0\1\0a b\0"), STR("\0\133\0\0\0\0\0\0"));
}
