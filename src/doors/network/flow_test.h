/*
 * flow_test: what tests of connections need: a door whose answers the test
 * decides, real sockets on loopback, and the loop turned while somebody waits.
 */
#ifndef AM_DOORS_NETWORK_FLOW_TEST_H
#define AM_DOORS_NETWORK_FLOW_TEST_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/test.h"
#include "doors/network/flow.h"

#define WAIT_MS 20000 /* for what must come: then the test has failed */

struct scene {
    struct loop *loop;
    struct outside *outside;
    struct flows *flows;
    struct door_asks asks;
    int listener, server; /* where clients arrive, and where targets lead */
    uint16_t server_port;

    /* What the door answers. */
    struct target dialled; /* what the listener's address stands for */
    bool stands_for_nothing;
    struct permit permit;         /* of what is not denied */
    const char *denied_name;      /* NULL: none; "": an address */
    const char *denied_addresses; /* with a blank behind each */
    const char *secret;           /* a file with what a proxy is shown */

    /* What it was asked and told. */
    struct use use;
    size_t asked, refused;
    enum door_refusal refusal;
    char detail[256];
};

#define HELPER __attribute__((unused)) static

/* Of the scenes that are opened from then on. */
HELPER struct references *scene_references;

/* --- the door ------------------------------------------------------------------------------- */

HELPER void scene_connect(void *context, const struct target *target, struct permit *ret)
{
    struct scene *scene = context;
    scene->asked++;
    *ret = scene->permit;
    ret->allowed = !scene->denied_name || strcmp(scene->denied_name, target->name) != 0;
    ret->use = &scene->use;
}

HELPER bool scene_address(void *context, const struct target *target,
                          const struct address_range *address)
{
    const struct scene *scene = context;
    char text[ADDRESS_RANGE_TEXT_SIZE];
    (void)target;
    address_range_text(address, text);
    text[strcspn(text, "/")] = '\0';
    return !scene->denied_addresses || !strstr(scene->denied_addresses, text);
}

HELPER void scene_refused(void *context, const struct target *target, enum door_refusal refusal,
                          const char *detail)
{
    struct scene *scene = context;
    (void)target;
    scene->refused++;
    scene->refusal = refusal;
    snprintf(scene->detail, sizeof(scene->detail), "%s", detail);
}

HELPER bool scene_target(void *context, const struct address_range *address, uint16_t port,
                         struct target *ret)
{
    const struct scene *scene = context;
    (void)address;
    (void)port;
    *ret = scene->dialled;
    return !scene->stands_for_nothing;
}

/* --- sockets -------------------------------------------------------------------------------- */

HELPER struct address_range scene_range(const char *text)
{
    struct address_range range = { 0 };
    CHECK(address_range_read(str_from(text), &range));
    return range;
}

/* A listener on an address of loopback, at a port, or (0) at one that is then told. */
HELPER int scene_listen(const char *address, int backlog, uint16_t *port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(*port) };
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK_INT(inet_pton(AF_INET, address, &at.sin_addr), 1);
    CHECK_INT(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    CHECK_INT(listen(fd, backlog), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

HELPER int scene_dial_to(int listener)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(connect(fd, (struct sockaddr *)&at, len) == 0 || errno == EINPROGRESS);
    return fd;
}

HELPER int scene_dial(struct scene *scene)
{
    return scene_dial_to(scene->listener);
}

/* --- turning -------------------------------------------------------------------------------- */

/* Waits for the loop's next work, or for a descriptor; whether it is ready. */
HELPER bool scene_turn(struct scene *scene, int fd, short events, int64_t until_ms)
{
    int64_t now = clock_passed_ms(), due = loop_due(scene->loop);
    int64_t next = due && due < until_ms ? due : until_ms;
    struct pollfd polls[] = { { .fd = loop_fd(scene->loop), .events = POLLIN },
                              { .fd = fd, .events = events } };
    CHECK(poll(polls, 2, next > now ? (int)(next - now) : 0) >= 0);
    loop_turn(scene->loop);
    return polls[1].revents != 0;
}

HELPER bool scene_wait(struct scene *scene, int fd, short events)
{
    int64_t until = clock_passed_ms() + WAIT_MS;
    while (clock_passed_ms() < until) {
        if (scene_turn(scene, fd, events, until))
            return true;
    }
    test_fail(__FILE__, __LINE__, "descriptor %d has nothing to say", fd);
    return false;
}

HELPER void scene_wait_state(struct scene *scene, enum flow_state state, size_t count)
{
    int64_t until = clock_passed_ms() + WAIT_MS;
    while (flows_count(scene->flows, state) != count && clock_passed_ms() < until)
        (void)scene_turn(scene, -1, 0, until);
    if (flows_count(scene->flows, state) != count)
        test_fail(__FILE__, __LINE__, "%zu flows are %s, expected %zu",
                  flows_count(scene->flows, state), flow_state_name(state), count);
}

/* Until all that is live has ended. */
HELPER void scene_wait_quiet(struct scene *scene)
{
    for (int state = FLOW_ACCEPTED; state < FLOW_STATE_COUNT; state++)
        scene_wait_state(scene, (enum flow_state)state, 0);
}

HELPER void scene_wait_refusals(struct scene *scene, size_t count)
{
    int64_t until = clock_passed_ms() + WAIT_MS;
    while (scene->refused < count && clock_passed_ms() < until)
        (void)scene_turn(scene, -1, 0, until);
    CHECK_INT(scene->refused, count);
}

/* --- what the two ends do ------------------------------------------------------------------- */

HELPER int scene_accept_from(struct scene *scene, int listener)
{
    int fd = scene_wait(scene, listener, POLLIN)
                 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)
                 : -1;
    CHECK(fd >= 0);
    return fd;
}

HELPER int scene_accept(struct scene *scene)
{
    return scene_accept_from(scene, scene->server);
}

HELPER bool scene_was_dialled(int listener)
{
    struct pollfd asked = { .fd = listener, .events = POLLIN };
    return poll(&asked, 1, 0) > 0;
}

HELPER void scene_send(int fd, struct str bytes)
{
    CHECK_INT(send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL), bytes.len);
}

HELPER void scene_check_receives(struct scene *scene, int fd, struct str expected)
{
    struct buf got = BUF_INIT;
    while (got.len < expected.len && scene_wait(scene, fd, POLLIN)) {
        char *room = buf_reserve(&got, expected.len - got.len);
        ssize_t n = recv(fd, room, expected.len - got.len, 0);
        if (n <= 0)
            break;
        got.len += (size_t)n;
    }
    CHECK_STR(buf_str(&got), expected);
    buf_release(&got);
}

HELPER void scene_check_ended(struct scene *scene, int fd)
{
    char byte;
    CHECK(scene_wait(scene, fd, POLLIN));
    CHECK_INT(recv(fd, &byte, 1, 0), 0);
}

HELPER void scene_check_reset(struct scene *scene, int fd)
{
    char byte;
    CHECK(scene_wait(scene, fd, POLLIN));
    CHECK_INT(recv(fd, &byte, 1, 0), -1);
    CHECK_INT(errno, ECONNRESET);
}

/* The client was reset, the door told why, and nobody was connected to. */
HELPER void scene_check_refused(struct scene *scene, int client, enum door_refusal refusal)
{
    scene_check_reset(scene, client);
    CHECK_INT(scene->refused, 1);
    CHECK_INT(scene->refusal, refusal);
    CHECK(!scene_was_dialled(scene->server));
    close(client);
}

/* --- the scene ------------------------------------------------------------------------------ */

HELPER void scene_open_limited(struct scene *scene, const struct flow_limits *limits)
{
    *scene = (struct scene){ .asks = { .context = scene,
                                       .connect = scene_connect,
                                       .address = scene_address,
                                       .refused = scene_refused } };
    uint16_t port = 0;
    CHECK_INT(loop_new(&scene->loop, NULL), 0);
    CHECK_INT(outside_new(scene->loop, &scene->outside, NULL), 0);
    scene->listener = scene_listen("127.0.0.1", 128, &port);
    scene->server = scene_listen("127.0.0.1", 128, &scene->server_port);
    snprintf(scene->dialled.name, sizeof(scene->dialled.name), "api.example.com");
    scene->dialled.port = scene->server_port;
    scene->permit.fixed[scene->permit.fixed_count++] = scene_range("127.0.0.1");
    const struct flows_options options = { .loop = scene->loop,
                                           .outside = scene->outside,
                                           .asks = &scene->asks,
                                           .context = scene,
                                           .target_of = scene_target,
                                           .limits = limits,
                                           .references = scene_references };
    CHECK_INT(flows_new(&options, &scene->flows, NULL), 0);
    CHECK_INT(flows_accept_from(scene->flows, scene->listener, NULL), 0);
}

HELPER void scene_open(struct scene *scene)
{
    scene_open_limited(scene, NULL);
}

HELPER void scene_close(struct scene *scene)
{
    flows_free(scene->flows);
    outside_free(scene->outside);
    loop_free(scene->loop);
    close(scene->listener);
    close(scene->server);
}

/* A client and the server's end of its connection. */
struct pair {
    int client, server;
};

HELPER struct pair scene_pair(struct scene *scene)
{
    struct pair pair = { .client = scene_dial(scene) };
    pair.server = scene_accept(scene);
    return pair;
}

HELPER void pair_close(struct pair *pair)
{
    close(pair->client);
    close(pair->server);
}

#endif
