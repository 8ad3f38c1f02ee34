#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/test.h"
#include "doors/model/upstream.h"

#define PATIENCE_MS 20000
#define ANSWER      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* A server of one test, in a process of its own. */
struct server {
    int listener;
    in_port_t port;
    pid_t pid;
};

struct asker {
    struct loop *loop;
    struct upstream *upstream;
    struct upstream_calls calls;
    struct upstream_call *call;
    unsigned status;
    struct buf body;
    bool ended, refuses;
    enum upstream_end end;
    uint64_t sent;
    char cause[128];
};

/* --- the server ------------------------------------------------------------------------------ */

static int accept_one(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        _exit(1);
    return fd;
}

/* A request, up to the end of its body; its bytes are counted. */
static size_t read_request(int fd)
{
    static char bytes[1 << 16];
    size_t len = 0, need = 0, all = 0;
    while (!need || all < need) {
        size_t from = need ? 0 : len; /* of the body nothing is kept */
        ssize_t got = read(fd, bytes + from, sizeof(bytes) - 1 - from);
        if (got <= 0)
            _exit(2);
        all += (size_t)got;
        if (need)
            continue;
        len += (size_t)got;
        bytes[len] = '\0';
        const char *end = strstr(bytes, "\r\n\r\n"), *length = strstr(bytes, "Content-Length: ");
        if (end)
            need = (size_t)(end - bytes) + 4 + (length ? strtoul(length + 16, NULL, 10) : 0);
    }
    return all;
}

static void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0)
        _exit(3);
}

static void serve(struct server *server, const char *address, void (*script)(int listener))
{
    bool is_ipv6 = strchr(address, ':');
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } at = { 0 };
    socklen_t size = is_ipv6 ? sizeof(at.ipv6) : sizeof(at.ipv4);
    at.any.sa_family = is_ipv6 ? AF_INET6 : AF_INET;
    inet_pton(at.any.sa_family, address,
              is_ipv6 ? (void *)&at.ipv6.sin6_addr : (void *)&at.ipv4.sin_addr);
    server->listener = socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(server->listener, &at.any, size), 0);
    CHECK_INT(listen(server->listener, 8), 0);
    CHECK_INT(getsockname(server->listener, &at.any, &size), 0);
    server->port = ntohs(is_ipv6 ? at.ipv6.sin6_port : at.ipv4.sin_port);
    server->pid = fork();
    if (server->pid == 0) {
        alarm(PATIENCE_MS / 1000);
        script(server->listener);
        _exit(0);
    }
}

static void server_end(struct server *server)
{
    int status = -1;
    if (server->listener >= 0)
        close(server->listener);
    CHECK_INT(waitpid(server->pid, &status, 0), server->pid);
    CHECK_INT(status, 0);
}

/* --- who asks -------------------------------------------------------------------------------- */

static void on_head(void *context, const struct upstream_answer *answer)
{
    struct asker *asker = context;
    asker->status = answer->status;
}

static bool on_body(void *context, struct str bytes)
{
    struct asker *asker = context;
    if (asker->refuses) {
        asker->refuses = false;
        upstream_go_on(asker->call); /* not yet: nothing rests */
        return false;
    }
    return buf_add_str(&asker->body, bytes) == 0;
}

static void on_ended(void *context, enum upstream_end end, uint64_t sent, const char *cause)
{
    struct asker *asker = context;
    CHECK(!asker->ended);
    asker->ended = true;
    asker->end = end;
    asker->sent = sent;
    asker->call = NULL;
    snprintf(asker->cause, sizeof(asker->cause), "%s", cause);
}

static void turn(struct asker *asker)
{
    struct pollfd ready = { .fd = loop_fd(asker->loop), .events = POLLIN };
    int64_t due = loop_due(asker->loop), left = due ? due - clock_passed_ms() : 50;
    (void)!poll(&ready, 1, left < 0 ? 0 : left < 50 ? (int)left : 50);
    loop_turn(asker->loop);
}

/* Asks, and waits for the end; a caller that does not take the first piece goes on later. */
static void ask(struct asker *asker, const char *host, in_port_t port, struct str body)
{
    char url[80];
    struct err err = { 0 };
    struct upstream_request request = { .url = url,
                                        .headers = { STR("X-Empty;"), STR("X-Full: y") },
                                        .header_count = 2,
                                        .pieces = { body, STR("}") },
                                        .piece_count = 2 };
    int64_t until = clock_passed_ms() + PATIENCE_MS;
    bool waited = asker->refuses;
    snprintf(url, sizeof(url), "http://%s:%u/v1/x", host, port);
    asker->ended = false;
    asker->status = 0;
    buf_reset(&asker->body);
    CHECK_INT(upstream_start(asker->upstream, &request, &asker->calls, &asker->call, &err), 0);
    while (!asker->ended && clock_passed_ms() < until) {
        turn(asker);
        if (waited && !asker->refuses && asker->call)
            upstream_go_on(asker->call);
    }
    CHECK(asker->ended);
}

static void asker_open(struct asker *asker)
{
    struct err err = { 0 };
    *asker = (struct asker){
        .body = BUF_INIT,
        .calls = { .context = asker, .head = on_head, .body = on_body, .ended = on_ended }
    };
    signal(SIGPIPE, SIG_IGN);
    CHECK_INT(loop_new(&asker->loop, &err), 0);
    CHECK_INT(upstream_new(asker->loop, NULL, &asker->upstream, &err), 0);
}

static void asker_close(struct asker *asker)
{
    upstream_free(asker->upstream);
    loop_free(asker->loop);
    buf_release(&asker->body);
}

/* --- tests ----------------------------------------------------------------------------------- */

/* One answer; of the next request it takes note and goes; a new connection is answered. */
static void go_away_between(int listener)
{
    int fd = accept_one(listener);
    read_request(fd);
    say(fd, ANSWER);
    read_request(fd);
    close(fd);
    fd = accept_one(listener);
    read_request(fd);
    say(fd, ANSWER);
    close(fd);
}

TEST(a_connection_that_ends_as_it_is_used_again_is_replaced)
{
    struct server server;
    struct asker asker;
    serve(&server, "127.0.0.1", go_away_between);
    asker_open(&asker);
    for (int i = 0; i < 2; i++) {
        ask(&asker, "127.0.0.1", server.port, STR("{"));
        CHECK_INT(asker.end, UPSTREAM_WHOLE);
        CHECK_INT(asker.status, 200);
        CHECK_TEXT(asker.body.data, "ok");
        CHECK_INT(asker.sent, 2);
    }
    asker_close(&asker);
    server_end(&server);
}

static void go_away_for_good(int listener)
{
    int fd = accept_one(listener);
    read_request(fd);
    say(fd, ANSWER);
    close(listener);
    read_request(fd);
    close(fd);
}

/* Whoever hears that nothing was sent may send it to another provider. */
TEST(what_was_sent_once_is_not_said_to_be_unsent)
{
    struct server server;
    struct asker asker;
    serve(&server, "127.0.0.1", go_away_for_good);
    close(server.listener);
    server.listener = -1;
    asker_open(&asker);
    ask(&asker, "127.0.0.1", server.port, STR("{"));
    CHECK_INT(asker.end, UPSTREAM_WHOLE);
    ask(&asker, "127.0.0.1", server.port, STR("{"));
    CHECK_INT(asker.end, UPSTREAM_CUT);
    asker_close(&asker);
    server_end(&server);
}

static void go_away_at_once(int listener)
{
    int fd = accept_one(listener);
    read_request(fd);
    close(fd);
}

/* Work may have been done for it: it is not sent a second time. */
TEST(a_new_connection_that_ends_without_an_answer_is_the_end)
{
    struct server server;
    struct asker asker;
    serve(&server, "127.0.0.1", go_away_at_once);
    asker_open(&asker);
    ask(&asker, "127.0.0.1", server.port, STR("{"));
    CHECK_INT(asker.end, UPSTREAM_CUT);
    CHECK_TEXT(asker.cause, "the connection ended before the answer did");
    asker_close(&asker);
    server_end(&server);
}

static void talk_otherwise(int listener)
{
    int fd = accept_one(listener);
    read_request(fd);
    say(fd, "+OK what do you want?\r\n");
    close(fd);
}

TEST(what_is_no_answer_of_http_is_said)
{
    struct server server;
    struct asker asker;
    serve(&server, "127.0.0.1", talk_otherwise);
    asker_open(&asker);
    ask(&asker, "127.0.0.1", server.port, STR("{"));
    CHECK_INT(asker.end, UPSTREAM_CUT);
    CHECK_TEXT(asker.cause, "what it answers is no HTTP/1.1");
    asker_close(&asker);
    server_end(&server);
}

static void answer_one(int listener)
{
    int fd = accept_one(listener);
    read_request(fd);
    say(fd, ANSWER);
    close(fd);
}

TEST(localhost_is_either_address)
{
    struct server server;
    struct asker asker;
    serve(&server, "::1", answer_one);
    asker_open(&asker);
    ask(&asker, "localhost", server.port, STR("{"));
    CHECK_INT(asker.end, UPSTREAM_WHOLE);
    server_end(&server);
    ask(&asker, "localhost", server.port, STR("{"));
    CHECK_INT(asker.end, UPSTREAM_UNREACHABLE);
    CHECK_INT(asker.sent, 0);
    CHECK_TEXT(asker.cause, "no connection could be made");
    asker_close(&asker);
}

static void read_slowly(int listener)
{
    int fd = accept_one(listener);
    if (read_request(fd) < (20u << 20))
        _exit(4);
    say(fd, "HTTP/1.0 200 OK\r\n\r\nuntil the end");
    close(fd);
}

/* More than sockets hold; and an answer that ends with its connection, taken late. */
TEST(a_large_body_goes_as_fast_as_it_is_read)
{
    struct buf body = BUF_INIT;
    struct server server;
    struct asker asker;
    char *room = buf_reserve(&body, 20 << 20);
    memset(room, 'a', 20 << 20);
    serve(&server, "127.0.0.1", read_slowly);
    asker_open(&asker);
    asker.refuses = true;
    ask(&asker, "127.0.0.1", server.port, str_make(room, 20 << 20));
    CHECK_INT(asker.end, UPSTREAM_WHOLE);
    CHECK_TEXT(asker.body.data, "until the end");
    CHECK_INT(asker.sent, (20 << 20) + 1);
    asker_close(&asker);
    server_end(&server);
    buf_release(&body);
}

static void close_when_idle(int listener)
{
    for (int i = 0; i < 2; i++)
        answer_one(listener);
}

TEST(a_connection_that_is_closed_while_idle_is_not_used_again)
{
    struct server server;
    struct asker asker;
    serve(&server, "127.0.0.1", close_when_idle);
    asker_open(&asker);
    for (int i = 0; i < 2; i++) {
        ask(&asker, "127.0.0.1", server.port, STR("{"));
        CHECK_INT(asker.end, UPSTREAM_WHOLE);
        turn(&asker);
    }
    asker_close(&asker);
    server_end(&server);
}

TEST(a_call_that_is_cancelled_is_told_nothing)
{
    struct server server;
    struct asker asker;
    struct err err = { 0 };
    char url[64];
    struct upstream_request request = { .url = url, .is_get = true };
    serve(&server, "127.0.0.1", answer_one);
    asker_open(&asker);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", server.port);
    CHECK_INT(upstream_start(asker.upstream, &request, &asker.calls, &asker.call, &err), 0);
    upstream_cancel(asker.call);
    turn(&asker);
    CHECK(!asker.ended);
    asker_close(&asker);
    kill(server.pid, SIGKILL);
    waitpid(server.pid, NULL, 0);
    close(server.listener);
}
