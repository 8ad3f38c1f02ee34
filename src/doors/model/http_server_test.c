#include "doors/model/http_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/test.h"

#define PATIENCE_MS 10000 /* with what should come at once */

/* --- a scene: a server that tells what it was asked ------------------------------------------ */

struct scene {
    struct loop *loop;
    struct http_server *server;
    struct http_server_calls calls;
    struct http_call *waiting; /* a call for /wait, which nobody answers */
    size_t gone, drained;
    size_t big_left; /* of an answer for /big */
    in_port_t port;
    int client;
    struct buf got;
    bool ended, was_reset;
};

static void answer(struct http_call *call, unsigned status, struct str body)
{
    http_call_answer(call, status, STR("X-Of: test\r\n"), body.len);
    http_call_send(call, body);
    http_call_finish(call);
}

static void on_head(void *context, struct http_call *call)
{
    (void)context;
    if (str_equal(http_call_request(call)->path, STR("/no")))
        answer(call, 404, STR("no"));
}

static void send_big(struct scene *scene, struct http_call *call)
{
    static const char bytes[65536];
    while (scene->big_left && !http_call_is_full(call)) {
        http_call_send(call, str_make(bytes, sizeof(bytes)));
        scene->big_left--;
    }
    if (!scene->big_left)
        http_call_finish(call);
}

static void on_whole(void *context, struct http_call *call)
{
    struct scene *scene = context;
    const struct http_request *request = http_call_request(call);
    if (str_equal(request->path, STR("/wait"))) {
        scene->waiting = call;
    } else if (str_equal(request->path, STR("/big"))) {
        http_call_answer(call, 200, STR(""), HTTP_LENGTH_UNKNOWN);
        send_big(scene, call);
    } else if (str_equal(request->path, STR("/pieces"))) {
        http_call_answer(call, 200, STR(""), HTTP_LENGTH_UNKNOWN);
        http_call_send(call, STR("ab"));
        http_call_send(call, STR("cde"));
        http_call_finish(call);
    } else {
        answer(call, 200, request->body.len ? request->body : request->path);
    }
}

static void on_drained(void *context, struct http_call *call)
{
    struct scene *scene = context;
    scene->drained++;
    send_big(scene, call);
}

static void on_gone(void *context, struct http_call *call)
{
    struct scene *scene = context;
    scene->gone++;
    scene->waiting = call == scene->waiting ? NULL : scene->waiting;
}

static void on_wrong(void *context, struct http_call *call, const struct http_fault *fault)
{
    (void)context;
    answer(call, fault->status, str_from(fault->reason));
}

static struct sockaddr_in loopback(in_port_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = port,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int connect_to(const struct scene *scene)
{
    const struct sockaddr_in address = loopback(scene->port);
    const int small = 65536;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    CHECK_INT(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void scene_open(struct scene *scene, const struct http_limits *limits)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    *scene = (struct scene){ .calls = { scene, on_head, on_whole, on_drained, on_gone, on_wrong },
                             .got = BUF_INIT };
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(bind(listener, (const struct sockaddr *)&address, size), 0);
    CHECK_INT(listen(listener, 16), 0);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    scene->port = address.sin_port;
    CHECK_INT(loop_new(&scene->loop, NULL), 0);
    CHECK_INT(http_server_new(scene->loop, &scene->calls, limits, &scene->server, NULL), 0);
    CHECK_INT(http_server_listen(scene->server, listener, NULL), 0);
    scene->client = connect_to(scene);
}

static void scene_close(struct scene *scene)
{
    http_server_free(scene->server);
    CHECK_INT(loop_due(scene->loop), 0);
    loop_free(scene->loop);
    cleanup_close(&scene->client);
    buf_release(&scene->got);
}

static void turn(struct scene *scene)
{
    struct pollfd fds[] = { { .fd = loop_fd(scene->loop), .events = POLLIN },
                            { .fd = scene->ended ? -1 : scene->client, .events = POLLIN } };
    int64_t due = loop_due(scene->loop), now = clock_passed_ms();
    int wait = due && due - now < 100 ? (int)(due > now ? due - now : 0) : 100;
    (void)!poll(fds, 2, wait);
    loop_turn(scene->loop);
    if (fds[1].revents) {
        char *room = buf_reserve(&scene->got, 65536);
        ssize_t got = recv(scene->client, room, 65536, MSG_DONTWAIT);
        scene->got.len += got > 0 ? (size_t)got : 0;
        scene->got.data[scene->got.len] = '\0';
        scene->ended = got == 0 || (got < 0 && errno != EAGAIN);
        scene->was_reset = got < 0 && errno == ECONNRESET;
    }
}

#define UNTIL(scene, condition)                                                                    \
    do {                                                                                           \
        int64_t until_ = clock_passed_ms() + PATIENCE_MS;                                          \
        while (!(condition) && clock_passed_ms() < until_)                                         \
            turn(scene);                                                                           \
        CHECK(condition);                                                                          \
    } while (0)

static void say(struct scene *scene, const char *text)
{
    CHECK_INT(send(scene->client, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* --- what clients see ------------------------------------------------------------------------ */

TEST(three_requests_at_once_are_answered_in_their_order)
{
    struct scene scene;
    scene_open(&scene, NULL);
    say(&scene, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
                "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz"
                "GET /pieces HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    UNTIL(&scene, scene.ended);
    CHECK_TEXT(scene.got.data,
               "HTTP/1.1 200 OK\r\nX-Of: test\r\nContent-Length: 2\r\n\r\n/a"
               "HTTP/1.1 200 OK\r\nX-Of: test\r\nContent-Length: 3\r\n\r\nxyz"
               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
               "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n");
    CHECK(!scene.was_reset);
    scene_close(&scene);
}

TEST(a_client_of_version_0_gets_no_chunks)
{
    struct scene scene;
    scene_open(&scene, NULL);
    say(&scene, "GET /pieces HTTP/1.0\r\n\r\n");
    UNTIL(&scene, scene.ended);
    CHECK_TEXT(scene.got.data, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde");
    scene_close(&scene);
}

TEST(who_expects_to_be_told_to_go_on_is_told)
{
    struct scene scene;
    scene_open(&scene, NULL);
    say(&scene, "POST /b HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    UNTIL(&scene, strstr(scene.got.data, "\r\n\r\n"));
    CHECK_TEXT(scene.got.data, "HTTP/1.1 100 Continue\r\n\r\n");
    say(&scene, "hi");
    UNTIL(&scene, strstr(scene.got.data, "\r\n\r\nhi"));
    scene_close(&scene);
}

/* Its body is not waited for, and what it is told arrives though it goes on sending. */
TEST(who_is_refused_by_the_head_is_told_at_once)
{
    struct scene scene;
    static char body[1 << 20];
    scene_open(&scene, NULL);
    say(&scene, "POST /no HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                "Content-Length: 1048576\r\n\r\n");
    UNTIL(&scene, strstr(scene.got.data, "\r\n\r\nno"));
    CHECK(str_starts(buf_str(&scene.got), STR("HTTP/1.1 404 Not Found\r\n")));
    for (size_t sent = 0; sent < sizeof(body);) {
        ssize_t n = send(scene.client, body, sizeof(body) - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        CHECK(n > 0 || errno == EAGAIN);
        if (n < 0 && errno != EAGAIN)
            break;
        sent += n > 0 ? (size_t)n : 0;
        turn(&scene);
    }
    UNTIL(&scene, scene.ended);
    CHECK(!scene.was_reset);
    scene_close(&scene);
}

TEST(a_client_that_goes_away_is_noticed_at_once)
{
    struct scene scene;
    scene_open(&scene, NULL);
    say(&scene, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\nGET /next");
    UNTIL(&scene, scene.waiting);
    CHECK_INT(scene.gone, 0);
    close(TAKE_FD(scene.client));
    scene.ended = true;
    UNTIL(&scene, scene.gone);
    CHECK_INT(scene.gone, 1);
    scene_close(&scene);
}

TEST(calls_that_are_open_when_the_server_closes_are_gone)
{
    struct scene scene;
    scene_open(&scene, NULL);
    say(&scene, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    UNTIL(&scene, scene.waiting);
    scene_close(&scene);
    CHECK_INT(scene.gone, 1);
}

TEST(a_broken_answer_is_seen_to_be_broken)
{
    struct scene scene;
    scene_open(&scene, NULL);
    say(&scene, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
    UNTIL(&scene, scene.waiting);
    http_call_answer(scene.waiting, 200, STR(""), HTTP_LENGTH_UNKNOWN);
    http_call_send(scene.waiting, STR("half"));
    UNTIL(&scene, strstr(scene.got.data, "half"));
    http_call_break(scene.waiting);
    UNTIL(&scene, scene.ended);
    CHECK(scene.was_reset);
    CHECK_INT(scene.gone, 0);
    scene_close(&scene);
}

/* A client that reads slowly is waited for, and what waits for it stays bounded. */
TEST(a_long_answer_goes_as_fast_as_the_client_reads)
{
    struct scene scene;
    scene_open(&scene, NULL);
    scene.big_left = 512;
    int client = TAKE_FD(scene.client);
    say(&(struct scene){ .client = client }, "GET /big HTTP/1.0\r\n\r\n");
    for (int i = 0; i < 20; i++)
        turn(&scene);
    CHECK(scene.big_left > 256);
    CHECK_INT(scene.drained, 0);
    scene.client = client;
    UNTIL(&scene, scene.ended);
    CHECK_INT(scene.big_left, 0);
    CHECK(scene.drained > 1);
    CHECK(scene.got.len > (512u << 16));
    scene_close(&scene);
}

/* --- limits ---------------------------------------------------------------------------------- */

TEST(who_is_slow_is_left)
{
    static const char body[] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc";
    static const char *const texts[] = { "", "GET / HT", body };
    struct http_limits limits = http_limits_default;
    limits.head_ms = limits.idle_ms = limits.body_ms = limits.linger_ms = 20;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct scene scene;
        scene_open(&scene, &limits);
        say(&scene, texts[i]);
        UNTIL(&scene, scene.ended);
        CHECK_INT(scene.gone, i == 2); /* a call begins with its head */
        scene_close(&scene);
    }
}

TEST(bodies_are_held_within_limits)
{
    struct http_limits limits = http_limits_default;
    struct scene scene;
    limits.body_bytes = 64;
    limits.held_bytes = 32;
    scene_open(&scene, &limits);
    say(&scene, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65\r\n\r\n");
    UNTIL(&scene, scene.ended);
    CHECK(str_starts(buf_str(&scene.got), STR("HTTP/1.1 413 ")));
    close(scene.client);
    scene.client = connect_to(&scene);
    scene.ended = false;
    buf_reset(&scene.got);
    say(&scene, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 64\r\n\r\n"
                "0123456789012345678901234567890123456789");
    UNTIL(&scene, scene.ended);
    CHECK(str_starts(buf_str(&scene.got), STR("HTTP/1.1 503 ")));
    scene_close(&scene);
}

TEST(those_beyond_the_limit_wait_and_then_have_their_turn)
{
    struct http_limits limits = http_limits_default;
    struct scene scene;
    limits.connections = 1;
    scene_open(&scene, &limits);
    int second = connect_to(&scene);
    say(&scene, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    UNTIL(&scene, strstr(scene.got.data, "/a"));
    buf_reset(&scene.got);
    int first = scene.client;
    scene.client = second;
    say(&scene, "GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < 3; i++)
        turn(&scene);
    CHECK_INT(scene.got.len, 0);
    close(first);
    UNTIL(&scene, strstr(scene.got.data, "/b"));
    scene_close(&scene);
}
