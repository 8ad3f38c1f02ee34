/* The client is what the test writes, or curl; the server is the test. */
#include "doors/network/inside_proxy.h"

#include <spawn.h>
#include <sys/wait.h>

#include "doors/network/flow_test.h"

struct stage {
    struct scene scene;
    int listener;
    uint16_t port;
    struct inside_proxy *proxy;
};

static void open_stage_limited(struct stage *stage, const struct flow_limits *limits)
{
    scene_open_limited(&stage->scene, limits);
    stage->port = 0;
    stage->listener = scene_listen("127.0.0.1", 512, &stage->port);
    CHECK_INT(inside_proxy_new(stage->scene.loop, stage->scene.flows, stage->listener,
                               &stage->proxy, NULL),
              0);
}

static void open_stage(struct stage *stage)
{
    open_stage_limited(stage, NULL);
}

static void close_stage(struct stage *stage)
{
    inside_proxy_free(stage->proxy);
    close(stage->listener);
    scene_close(&stage->scene);
}

/* A text with the server's port in the place of "PORT". */
static struct str with_port(const struct stage *stage, const char *format)
{
    static char text[1024];
    struct str all = str_from(format);
    const char *port = strstr(format, "PORT");
    struct str before = str_make(format, port ? (size_t)(port - format) : all.len);
    int len = snprintf(text, sizeof(text), "%.*s", STR_ARG(before));
    if (port)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "%u%s", stage->scene.server_port,
                        port + strlen("PORT"));
    return str_make(text, (size_t)len);
}

static int say(struct stage *stage, const char *format)
{
    int fd = scene_dial_to(stage->listener);
    scene_send(fd, with_port(stage, format));
    return fd;
}

static void check_text(struct stage *stage, int fd, const char *format)
{
    scene_check_receives(&stage->scene, fd, with_port(stage, format));
}

TEST(connect_opens_a_way_to_what_is_permitted)
{
    struct stage stage;
    open_stage(&stage);
    int client = say(&stage, "CONNECT api.example.com:PORT HTTP/1.1\r\n\r\nearly ");
    int server = scene_accept(&stage.scene);
    scene_check_receives(&stage.scene, client, STR("HTTP/1.1 200 Connection established\r\n\r\n"));
    scene_send(client, STR("later"));
    scene_check_receives(&stage.scene, server, STR("early later"));
    scene_send(server, STR("answer"));
    scene_check_receives(&stage.scene, client, STR("answer"));
    close(client);
    close(server);
    close_stage(&stage);
}

/* All that comes until the end. */
static void read_all(struct stage *stage, int fd, struct buf *ret)
{
    ssize_t n = 1;
    while (n > 0 && scene_wait(&stage->scene, fd, POLLIN)) {
        n = recv(fd, buf_reserve(ret, 4096), 4096, 0);
        ret->len += n > 0 ? (size_t)n : 0;
    }
    CHECK_INT(n, 0);
}

static void check_denied(struct stage *stage, int client, struct str begin, struct str end)
{
    struct buf answer = BUF_INIT;
    read_all(stage, client, &answer);
    CHECK(str_starts(buf_str(&answer), begin));
    CHECK(str_ends(buf_str(&answer), end));
    CHECK(!scene_was_dialled(stage->scene.server));
    buf_release(&answer);
    close(client);
}

TEST(what_is_denied_is_answered_in_the_client_s_words)
{
    const struct str text = STR("\r\n\r\nThe network policy of this run does not allow this "
                                "destination.\n");
    struct stage stage;
    open_stage(&stage);
    stage.scene.denied_name = "denied.example";
    check_denied(&stage, say(&stage, "CONNECT denied.example:443 HTTP/1.1\r\n\r\n"),
                 STR("HTTP/1.1 403 "), text);
    check_denied(
        &stage,
        say(&stage, "POST http://denied.example/ HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"),
        STR("HTTP/1.1 403 "), text);
    check_denied(&stage, say(&stage, "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
                 STR("HTTP/1.1 400 "), STR("takes.\n"));
    int client = say(&stage, "\5\1");
    scene_send(client, STR("\0"));
    scene_check_receives(&stage.scene, client, STR("\5\0"));
    scene_send(client, STR("\5\1\0\3\16"
                           "denied.example\1\273"));
    check_denied(&stage, client, STR("\5\2"), STR("\0\0"));
    close_stage(&stage);
}

TEST(a_plain_request_arrives_rewritten_with_its_body)
{
    struct stage stage;
    open_stage(&stage);
    int client = say(&stage, "POST http://api.example.com:PORT/a?b HTTP/1.1\r\nHost: x\r\n"
                             "Proxy-Connection: keep-alive\r\nContent-Length: 4\r\n\r\nbody");
    int server = scene_accept(&stage.scene);
    check_text(&stage, server,
               "POST /a?b HTTP/1.1\r\nHost: api.example.com:PORT\r\n"
               "Content-Length: 4\r\nConnection: close\r\n\r\nbody");
    scene_send(server, STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"));
    close(server);
    struct buf answer = BUF_INIT;
    read_all(&stage, client, &answer);
    CHECK(str_ends(buf_str(&answer), STR("\r\n\r\nok")));
    buf_release(&answer);
    close(client);
    close_stage(&stage);
}

TEST(a_connection_that_is_used_again_leads_nowhere_else)
{
    struct stage stage;
    open_stage(&stage);
    stage.scene.denied_name = "denied.example";
    int client = say(&stage, "GET http://api.example.com:PORT/ HTTP/1.1\r\n\r\n");
    int server = scene_accept(&stage.scene);
    check_text(&stage, server,
               "GET / HTTP/1.1\r\nHost: api.example.com:PORT\r\n"
               "Connection: close\r\n\r\n");
    /* Whatever it says now goes to the one server that was asked about. */
    scene_send(client, STR("GET http://denied.example/ HTTP/1.1\r\n\r\n"));
    scene_check_receives(&stage.scene, server, STR("GET http://denied.example/ HTTP/1.1\r\n\r\n"));
    CHECK_INT(stage.scene.asked, 1);
    CHECK(!scene_was_dialled(stage.scene.server));
    stage.scene.denied_name = "api.example.com";
    flows_ask_again(stage.scene.flows);
    scene_check_reset(&stage.scene, client);
    close(client);
    close(server);
    close_stage(&stage);
}

TEST(socks_4_and_5_open_a_way_by_name_and_by_address)
{
    struct stage stage;
    open_stage(&stage);
    char ports[] = { (char)(stage.scene.server_port >> 8), (char)stage.scene.server_port };
    for (int by_name = 0; by_name < 2; by_name++) {
        int client = scene_dial_to(stage.listener);
        scene_send(client, STR("\5\2\0\2"));
        scene_check_receives(&stage.scene, client, STR("\5\0"));
        scene_send(client,
                   by_name ? STR("\5\1\0\3\17api.example.com") : STR("\5\1\0\1\306\22\0\5"));
        scene_send(client, str_make(ports, 2));
        int server = scene_accept(&stage.scene);
        scene_check_receives(&stage.scene, client, STR("\5\0\0\1\0\0\0\0\0\0"));
        scene_send(server, STR("220 ready"));
        scene_check_receives(&stage.scene, client, STR("220 ready"));
        close(client);
        close(server);
    }
    int client = scene_dial_to(stage.listener);
    scene_send(client, STR("\4\1"));
    scene_send(client, str_make(ports, 2));
    scene_send(client, STR("\0\0\0\1me\0api.example.com\0"));
    int server = scene_accept(&stage.scene);
    scene_check_receives(&stage.scene, client, STR("\0\132\0\0\0\0\0\0"));
    close(client);
    close(server);
    close_stage(&stage);
}

TEST(who_says_nothing_has_to_go_and_makes_room)
{
    struct flow_limits limits = flow_limits_default;
    int clients[INSIDE_PROXY_CLIENTS_MAX];
    struct stage stage;
    limits.hello_ms = 2000;
    open_stage_limited(&stage, &limits);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        clients[i] = say(&stage, "CONN");
    int waiting = say(&stage, "CONNECT api.example.com:PORT HTTP/1.1\r\n\r\n");
    (void)scene_turn(&stage.scene, waiting, POLLIN, clock_passed_ms());
    CHECK(!scene_was_dialled(stage.scene.server));
    scene_check_reset(&stage.scene, clients[0]);
    int server = scene_accept(&stage.scene);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        close(clients[i]);
    close(waiting);
    close(server);
    close_stage(&stage);
}

/* --- a real client -------------------------------------------------------------------------- */

static void check_curl(const char *scheme, bool by_connect)
{
    struct stage stage;
    char proxy[64], url[64], output[] = "/tmp/agent-machine-test-XXXXXX";
    int file = mkstemp(output), status;
    extern char **environ;
    posix_spawn_file_actions_t actions;
    pid_t child;
    open_stage(&stage);
    snprintf(proxy, sizeof(proxy), "%s://127.0.0.1:%u", scheme, stage.port);
    snprintf(url, sizeof(url), "http://api.example.com:%u/", stage.scene.server_port);
    const char *const words[] = { "curl",    "-sS", "-m", "20",
                                  "--proxy", proxy, url,  by_connect ? "-p" : NULL,
                                  NULL };
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, file, 1);
    CHECK_INT(
        posix_spawnp(&child, "curl", &actions, NULL, (char *const *)(const void *)words, environ),
        0);
    posix_spawn_file_actions_destroy(&actions);
    int server = scene_accept(&stage.scene);
    CHECK(scene_wait(&stage.scene, server, POLLIN));
    scene_send(server,
               STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"));
    CHECK_INT(shutdown(server, SHUT_WR), 0);
    scene_wait_quiet(&stage.scene);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    char got[16] = "";
    CHECK_INT(pread(file, got, sizeof(got) - 1, 0), 5);
    CHECK_TEXT(got, "hello");
    close(file);
    unlink(output);
    close(server);
    close_stage(&stage);
}

TEST(curl_speaks_to_it_in_all_its_ways)
{
    if (system("command -v curl >/dev/null") != 0) {
        test_skip("there is no curl (./dev setup installs it)");
        return;
    }
    check_curl("http", false);
    check_curl("http", true);
    check_curl("socks5h", false);
    check_curl("socks4a", false);
}
