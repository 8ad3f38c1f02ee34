/*
 * publish: see the header.
 *
 * Theory of operation. A client of the host waits until a socket that was made
 * inside has come for it, then until that one is connected, and is then
 * relayed. Where nobody listens at the loopback's IPv4 address inside, the
 * IPv6 one is tried, with a socket of its own. Sockets come in the order in
 * which they were asked for, and so do the clients that wait for them.
 *
 * Invariant: as many sockets are asked for as clients wait, so that each one
 * that comes has a client, or one that has gone.
 */
#include "doors/network/publish.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "doors/network/pump.h"

#define STEP_PUBLISH "publish a port"
#define BACKLOG      128

struct listener {
    struct loop_watch watch;
    struct publish *publish;
    uint16_t port; /* inside */
    int fd;
};

struct client {
    struct publish *publish;
    struct client *next_waiting, *previous_all, *next_all;
    struct loop_watch outer, inner;
    struct loop_timer again;
    struct pump pump;
    int outer_fd, inner_fd;
    uint16_t port;
    bool by_ipv6, is_open;
};

struct publish {
    struct publish_options options;
    struct listener listeners[PUBLISH_PORTS_MAX];
    size_t listener_count;
    struct pump_pool *pool;
    struct client *all, *waiting_first, *waiting_last;
    size_t count, asked; /* clients; sockets that have not come yet */
    bool resting;        /* nobody is accepted */
};

static void rest_or_go_on(struct publish *publish);

/* --- one client ---------------------------------------------------------------------------- */

static void end_client(struct client *client)
{
    struct publish *publish = client->publish;
    loop_watch_stop(publish->options.loop, &client->outer);
    loop_watch_stop(publish->options.loop, &client->inner);
    loop_timer_stop(publish->options.loop, &client->again);
    if (client->is_open)
        pump_release(&client->pump);
    cleanup_close(&client->outer_fd);
    cleanup_close(&client->inner_fd);
    *(client->previous_all ? &client->previous_all->next_all : &publish->all) = client->next_all;
    if (client->next_all)
        client->next_all->previous_all = client->previous_all;
    publish->count--;
    free(client);
    rest_or_go_on(publish);
}

/* What is in the way of the other side is lost, and it is told so. */
static void reset_client(struct client *client)
{
    struct linger at_once = { .l_onoff = 1 };
    (void)!setsockopt(client->outer_fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    end_client(client);
}

static void move(struct client *client)
{
    switch (pump_move(&client->pump)) {
    case PUMP_WAITS:
        return;
    case PUMP_HAS_MORE:
        if (loop_timer_set(client->publish->options.loop, &client->again, clock_passed_ms()) < 0)
            reset_client(client);
        return;
    case PUMP_ENDED:
        end_client(client);
        return;
    case PUMP_BROKEN:
    case PUMP_FULL:
        reset_client(client);
        return;
    }
}

static void move_again(struct loop_timer *timer)
{
    move(LOOP_OWNER(timer, struct client, again));
}

static void wait_for_socket(struct client *client)
{
    struct publish *publish = client->publish;
    client->next_waiting = NULL;
    *(publish->waiting_last ? &publish->waiting_last->next_waiting : &publish->waiting_first) =
        client;
    publish->waiting_last = client;
    publish->asked++;
    publish->options.want(publish->options.context, client->by_ipv6 ? AF_INET6 : AF_INET);
}

static void open_client(struct client *client)
{
    pump_init(&client->pump, client->publish->pool, client->outer_fd, client->inner_fd);
    client->is_open = true;
    if (loop_watch(client->publish->options.loop, &client->outer, client->outer_fd, PUMP_EVENTS) <
        0)
        reset_client(client);
    else
        move(client);
}

/* Nobody listens at the one address: perhaps at the other. */
static void try_other(struct client *client)
{
    loop_watch_stop(client->publish->options.loop, &client->inner);
    cleanup_close(&client->inner_fd);
    client->inner_fd = -1;
    if (client->by_ipv6) {
        reset_client(client);
        return;
    }
    client->by_ipv6 = true;
    wait_for_socket(client);
    rest_or_go_on(client->publish);
}

static void hear_inner(struct loop_watch *watch, uint32_t events)
{
    struct client *client = LOOP_OWNER(watch, struct client, inner);
    int error = 0;
    socklen_t len = sizeof(error);
    if (client->is_open) {
        pump_hear(&client->pump, PUMP_SERVER, events);
        move(client);
        return;
    }
    if (getsockopt(client->inner_fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error)
        try_other(client);
    else if (events & EPOLLOUT)
        open_client(client);
}

static void hear_outer(struct loop_watch *watch, uint32_t events)
{
    struct client *client = LOOP_OWNER(watch, struct client, outer);
    pump_hear(&client->pump, PUMP_CLIENT, events);
    move(client);
}

static void connect_client(struct client *client, int fd)
{
    struct sockaddr_in ipv4 = { .sin_family = AF_INET,
                                .sin_port = htons(client->port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6,
                                 .sin6_port = htons(client->port),
                                 .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    client->inner_fd = fd;
    int r = client->by_ipv6 ? connect(fd, (struct sockaddr *)&ipv6, sizeof(ipv6))
                            : connect(fd, (struct sockaddr *)&ipv4, sizeof(ipv4));
    if (r < 0 && errno != EINPROGRESS)
        try_other(client);
    else if (loop_watch(client->publish->options.loop, &client->inner, fd, PUMP_EVENTS) < 0)
        reset_client(client);
}

void publish_take(struct publish *publish, int fd)
{
    struct client *client = publish->waiting_first;
    if (!client) {
        close(fd); /* it was not asked for */
        return;
    }
    publish->asked--;
    publish->waiting_first = client->next_waiting;
    if (!publish->waiting_first)
        publish->waiting_last = NULL;
    connect_client(client, fd);
    rest_or_go_on(publish);
}

/* --- listeners ----------------------------------------------------------------------------- */

static int take_client(struct listener *listener, int fd)
{
    struct publish *publish = listener->publish;
    struct client *client = calloc(1, sizeof(*client));
    if (!client)
        return -ENOMEM;
    *client = (struct client){ .publish = publish,
                               .next_all = publish->all,
                               .outer = { .fd = -1, .ready = hear_outer },
                               .inner = { .fd = -1, .ready = hear_inner },
                               .again.due = move_again,
                               .outer_fd = fd,
                               .inner_fd = -1,
                               .port = listener->port };
    if (publish->all)
        publish->all->previous_all = client;
    publish->all = client;
    publish->count++;
    wait_for_socket(client);
    return 0;
}

static bool has_room(const struct publish *publish)
{
    return publish->count < PUBLISH_CLIENTS_MAX && publish->asked < PUBLISH_WAITS_MAX;
}

static void accept_clients(struct loop_watch *watch, uint32_t events)
{
    struct listener *listener = LOOP_OWNER(watch, struct listener, watch);
    struct publish *publish = listener->publish;
    (void)events;
    while (has_room(publish)) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            break;
        if (take_client(listener, fd) < 0)
            close(fd);
    }
    rest_or_go_on(publish);
}

/* Where there is no room nobody is accepted, and those who come wait. */
static void rest_or_go_on(struct publish *publish)
{
    bool rests = !has_room(publish);
    if (rests == publish->resting)
        return;
    publish->resting = rests;
    for (size_t i = 0; i < publish->listener_count; i++)
        (void)!loop_watch_change(publish->options.loop, &publish->listeners[i].watch,
                                 rests ? 0 : EPOLLIN);
}

static int listen_at(struct publish *publish, const struct publish_port *port, struct err *err)
{
    struct listener *listener = &publish->listeners[publish->listener_count];
    struct sockaddr_in name = { .sin_family = AF_INET,
                                .sin_port = htons(port->host_port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int one = 1;
    *listener = (struct listener){ .watch = { .fd = -1, .ready = accept_clients },
                                   .publish = publish,
                                   .port = port->port };
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0)
        return err_set_errno(err, errno, STEP_PUBLISH, "cannot make a socket");
    publish->listener_count++;
    (void)!setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener->fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
        listen(listener->fd, BACKLOG) < 0)
        return errno == EADDRINUSE
                   ? err_set(err, ERR_CONFLICT, STEP_PUBLISH,
                             "port %u of this machine is somebody else's; publish at another",
                             port->host_port)
                   : err_set_errno(err, errno, STEP_PUBLISH, "cannot listen at port %u",
                                   port->host_port);
    int r = loop_watch(publish->options.loop, &listener->watch, listener->fd, EPOLLIN);
    return r < 0 ? err_set_errno(err, -r, STEP_PUBLISH, "cannot wait for connections") : 0;
}

int publish_new(const struct publish_options *options, struct publish **ret, struct err *err)
{
    struct publish *publish = calloc(1, sizeof(*publish));
    int r = publish ? 0 : err_set(err, ERR_MEMORY, STEP_PUBLISH, "there is not enough memory");
    if (r < 0)
        return r;
    assert(options->count <= PUBLISH_PORTS_MAX);
    publish->options = *options;
    r = pump_pool_new(&publish->pool, err);
    for (size_t i = 0; i < options->count && r == 0; i++)
        r = listen_at(publish, &options->ports[i], err);
    if (r < 0)
        publish_free(publish);
    else
        *ret = publish;
    return r;
}

void publish_free(struct publish *publish)
{
    if (!publish)
        return;
    while (publish->all)
        reset_client(publish->all);
    for (size_t i = 0; i < publish->listener_count; i++) {
        loop_watch_stop(publish->options.loop, &publish->listeners[i].watch);
        close(publish->listeners[i].fd);
    }
    pump_pool_free(publish->pool);
    free(publish);
}
