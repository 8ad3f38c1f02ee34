#include "doors/network/upstream_proxy.h"

#include "authority/secret.h"
#include "doors/network/flow_test.h"

static const struct route http = { .kind = ROUTE_HTTP_PROXY, .host = "127.0.0.1" };
static const struct route http_login = { .kind = ROUTE_HTTP_PROXY,
                                         .host = "127.0.0.1",
                                         .authorization = "Basic bWU6c2VjcmV0" };
static const struct route socks = { .kind = ROUTE_SOCKS5, .host = "127.0.0.1" };
static const struct route socks_login = { .kind = ROUTE_SOCKS5,
                                          .host = "127.0.0.1",
                                          .authorization = "Basic bWU6c2VjcmV0" };

/* --- as words ------------------------------------------------------------------------------- */

static void check_said(const struct upstream_proxy *proxy, const struct route *route,
                       const struct target *target, struct str expected)
{
    struct buf said = BUF_INIT;
    CHECK_INT(upstream_proxy_say(proxy, route, target, &said), 0);
    CHECK_STR(buf_str(&said), expected);
    buf_release(&said);
}

/* However an answer is cut, more is wanted until it is whole, and no byte behind it is used. */
static void check_heard(struct upstream_proxy *proxy, struct str answer,
                        enum upstream_proxy_answer expected)
{
    struct buf bytes = BUF_INIT;
    size_t used = 0;
    for (size_t len = 0; len < answer.len; len++)
        CHECK_INT(upstream_proxy_hear(proxy, str_make(answer.ptr, len), &used),
                  UPSTREAM_PROXY_MORE);
    buf_add_str(&bytes, answer);
    buf_add_text(&bytes, "the target's own bytes\r\n\r\n");
    CHECK_INT(upstream_proxy_hear(proxy, buf_str(&bytes), &used), expected);
    CHECK_INT(used, answer.len);
    buf_release(&bytes);
}

TEST(an_http_proxy_is_asked_by_name_or_address)
{
    struct upstream_proxy proxy;
    struct target named = { .name = "api.example.com", .port = 443 };
    struct target address = { .address = scene_range("10.1.2.3"), .port = 22 };
    struct target address6 = { .address = scene_range("2001:db8::1"), .port = 22 };
    upstream_proxy_init(&proxy, &http);
    check_said(&proxy, &http, &named,
               STR("CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n"));
    check_said(&proxy, &http, &address,
               STR("CONNECT 10.1.2.3:22 HTTP/1.1\r\nHost: 10.1.2.3:22\r\n\r\n"));
    check_said(&proxy, &http, &address6,
               STR("CONNECT [2001:db8::1]:22 HTTP/1.1\r\nHost: [2001:db8::1]:22\r\n\r\n"));
    check_said(&proxy, &http_login, &address,
               STR("CONNECT 10.1.2.3:22 HTTP/1.1\r\nHost: 10.1.2.3:22\r\n"
                   "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n"));
    check_heard(&proxy, STR("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"),
                UPSTREAM_PROXY_OPEN);
    check_heard(&proxy, STR("HTTP/1.0 200\n\n"), UPSTREAM_PROXY_OPEN);
}

TEST(credentials_cannot_add_lines)
{
    static const struct route split = { .kind = ROUTE_HTTP_PROXY,
                                        .authorization = "Basic x\r\nEvil: y" };
    static const struct route no_basic = { .kind = ROUTE_SOCKS5, .authorization = "Bearer x" };
    struct target target = { .name = "a.example", .port = 1 };
    struct upstream_proxy proxy;
    struct buf said = BUF_INIT;
    size_t used;
    upstream_proxy_init(&proxy, &split);
    CHECK_INT(upstream_proxy_say(&proxy, &split, &target, &said), -EINVAL);
    upstream_proxy_init(&proxy, &no_basic);
    CHECK_INT(upstream_proxy_hear(&proxy, STR("\5\2"), &used), UPSTREAM_PROXY_SAYS);
    CHECK_INT(upstream_proxy_say(&proxy, &no_basic, &target, &said), -EINVAL);
    buf_release(&said);
}

TEST(a_socks_proxy_is_asked_by_name_or_address)
{
    struct upstream_proxy proxy;
    struct target named = { .name = "api.example.com", .port = 443 };
    struct target address = { .address = scene_range("10.1.2.3"), .port = 22 };
    upstream_proxy_init(&proxy, &socks);
    check_said(&proxy, &socks, &named, STR("\5\1\0"));
    upstream_proxy_init(&proxy, &socks_login);
    check_said(&proxy, &socks_login, &named, STR("\5\2\0\2"));
    check_heard(&proxy, STR("\5\2"), UPSTREAM_PROXY_SAYS);
    check_said(&proxy, &socks_login, &named, STR("\1\2me\6secret"));
    check_heard(&proxy, STR("\1\0"), UPSTREAM_PROXY_SAYS);
    check_said(&proxy, &socks_login, &named, STR("\5\1\0\3\17api.example.com\1\273"));
    check_said(&proxy, &socks_login, &address, STR("\5\1\0\1\12\1\2\3\0\26"));
    check_heard(&proxy, STR("\5\0\0\1\0\0\0\0\0\0"), UPSTREAM_PROXY_OPEN);
    check_heard(&proxy, STR("\5\0\0\3\1x\0\0"), UPSTREAM_PROXY_OPEN);
}

static void check_refused(const struct route *route, bool greeted, struct str answer,
                          const char *why)
{
    struct upstream_proxy proxy;
    size_t used;
    upstream_proxy_init(&proxy, route);
    if (greeted)
        CHECK_INT(upstream_proxy_hear(&proxy, STR("\5\0"), &used), UPSTREAM_PROXY_SAYS);
    CHECK_INT(upstream_proxy_hear(&proxy, answer, &used), UPSTREAM_PROXY_REFUSED);
    CHECK_TEXT(proxy.refusal, why);
}

TEST(refusals_say_what_the_proxy_said)
{
    char long_answer[UPSTREAM_PROXY_ANSWER_BYTES_MAX];
    memset(long_answer, 'x', sizeof(long_answer));
    memcpy(long_answer, "HTTP/1.1 200", 12);
    check_refused(&http, false, STR("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
                  "it answered with status 407 (it wants other credentials)");
    check_refused(&http, false, STR("HTTP/1.1 503 No\r\n\r\n"), "it answered with status 503");
    check_refused(&http, false, STR("SSH-2.0"), "its answer is no HTTP");
    check_refused(&http, false, STR("HTTP/1.\n\n"), "its answer is no HTTP");
    check_refused(&http, false, str_make(long_answer, sizeof(long_answer)),
                  "its answer is longer than 16384 bytes");
    check_refused(&socks, false, STR("\5\377"), "it wants other credentials");
    check_refused(&socks, false, STR("HT"), "its answer is no SOCKS 5");
    check_refused(&socks, true, STR("\5\2"), "its rules do not allow it (SOCKS reply 2)");
    check_refused(&socks, true, STR("\5\177"), "it gave no reason (SOCKS reply 127)");
    check_refused(&socks, true, STR("\5\0\0\2\0"), "its answer is no SOCKS 5");
}

/* --- as a state of a flow ------------------------------------------------------------------- */

/* The scene's server is the proxy. */
static void open_behind(struct scene *scene, const struct route *route)
{
    scene_open(scene);
    scene->permit.route = *route;
    scene->permit.route.port = scene->server_port;
    scene->dialled.port = 443;
    scene->denied_addresses =
        "127.0.0.1 "; /* where a proxy stands is no question of the target's */
}

TEST(a_flow_goes_through_an_http_proxy)
{
    struct scene scene;
    open_behind(&scene, &http_login);
    struct pair pair = scene_pair(&scene);
    scene_send(pair.client, STR("hello"));
    scene_check_receives(&scene, pair.server,
                         STR("CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n"
                             "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n"));
    CHECK_INT(flows_count(scene.flows, FLOW_PROXY), 1);
    scene_send(pair.server, STR("HTTP/1.1 200 OK\r\n"));
    (void)scene_turn(&scene, -1, 0, clock_passed_ms());
    scene_send(pair.server, STR("\r\nserver first"));
    scene_check_receives(&scene, pair.client, STR("server first"));
    scene_check_receives(&scene, pair.server, STR("hello"));
    CHECK_INT(scene.use.sent_bytes, 5);
    CHECK_INT(scene.use.received_bytes, 12);
    flows_ask_again(scene.flows);
    CHECK_INT(flows_count(scene.flows, FLOW_OPEN), 1);
    pair_close(&pair);
    scene_close(&scene);
}

/* A secret from a file that is the test's; where there is no such file, none. */
static int authorize(void *context, const struct route *route, struct secret **ret, struct err *err)
{
    const struct scene *scene = context;
    CHECK_INT(route->kind, ROUTE_HTTP_PROXY);
    return secret_read_file(scene->secret, ret, err);
}

TEST(what_a_proxy_is_shown_is_fetched_when_it_is_said)
{
    char secret[] = "/tmp/agent-machine-test-XXXXXX";
    struct scene scene;
    int file = mkstemp(secret);
    open_behind(&scene, &http);
    scene.secret = secret;
    scene.asks.authorize = authorize;
    CHECK_INT(write(file, "Bearer abc", 11), 11);
    close(file);
    struct pair pair = scene_pair(&scene);
    scene_check_receives(&scene, pair.server,
                         STR("CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com:443\r\n"
                             "Proxy-Authorization: Bearer abc\r\n\r\n"));
    CHECK_INT(unlink(secret), 0);
    scene_check_refused(&scene, scene_dial(&scene), REFUSED_BY_PROXY);
    pair_close(&pair);
    scene_close(&scene);
}

TEST(a_flow_goes_through_a_socks_proxy)
{
    struct scene scene;
    open_behind(&scene, &socks_login);
    struct pair pair = scene_pair(&scene);
    scene_check_receives(&scene, pair.server, STR("\5\2\0\2"));
    scene_send(pair.server, STR("\5\2"));
    scene_check_receives(&scene, pair.server, STR("\1\2me\6secret"));
    scene_send(pair.server, STR("\1\0"));
    scene_check_receives(&scene, pair.server, STR("\5\1\0\3\17api.example.com\1\273"));
    scene_send(pair.server, STR("\5\0\0\1\0\0\0\0\0\0welcome"));
    scene_check_receives(&scene, pair.client, STR("welcome"));
    scene_send(pair.client, STR("thanks"));
    scene_check_receives(&scene, pair.server, STR("thanks"));
    pair_close(&pair);
    scene_close(&scene);
}

static void check_flow_refused(const struct route *route, struct str answer, const char *detail)
{
    struct scene scene;
    open_behind(&scene, route);
    struct pair pair = scene_pair(&scene);
    CHECK(scene_wait(&scene, pair.server, POLLIN));
    scene_send(pair.server, answer);
    CHECK_INT(shutdown(pair.server, SHUT_WR), 0);
    scene_check_reset(&scene, pair.client);
    CHECK_INT(scene.refused, 1);
    CHECK_INT(scene.refusal, REFUSED_BY_PROXY);
    CHECK_TEXT(scene.detail, detail);
    pair_close(&pair);
    scene_close(&scene);
}

TEST(what_a_proxy_refuses_is_reset_and_told)
{
    check_flow_refused(&http, STR("HTTP/1.1 407 No\r\n\r\n"),
                       "it answered with status 407 (it wants other credentials)");
    check_flow_refused(&http, STR("HTTP/1.1 200 OK\r\n"), "it ended within its answer");
    check_flow_refused(&http, STR(""), "it ended the connection");
    check_flow_refused(&socks, STR("\5\1"), "it wants other credentials");
}
