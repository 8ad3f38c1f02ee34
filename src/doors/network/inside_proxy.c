/*
 * inside_proxy: see the header.
 *
 * Theory of operation. A client is here only until its request is whole; then
 * the flows adopt it, and what it gets is what every flow gets. Its bytes are
 * peeked at, and exactly those of the request are taken from the socket, so
 * that nothing is kept for it and nothing handed on.
 *
 * Limits: INSIDE_PROXY_CLIENTS_MAX at a time; the next ones wait in the
 * listener's queue until one has said what it wants, or its time is over.
 */
#include "doors/network/inside_proxy.h"

#include <sys/queue.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "doors/network/proxy_request.h"

#define STEP_PROXY  "offer a proxy inside"
#define ACCEPTS_MAX 64  /* of one event: then others have their turn */
#define RETRY_MS    100 /* after there were no descriptors, or no memory */

struct client {
    LIST_ENTRY(client) entry;
    struct inside_proxy *proxy;
    struct loop_watch watch;
    struct loop_timer timer;
    struct proxy_request request;
};

struct inside_proxy {
    struct loop *loop;
    struct flows *flows;
    int listener;
    struct loop_watch watch; /* while there is room */
    struct loop_timer retry;
    LIST_HEAD(, client) clients;
    size_t count;
    char buffer[PROXY_REQUEST_BYTES_MAX];
};

/* --- accepting rests, and goes on ----------------------------------------------------------- */

static void rest(struct inside_proxy *proxy, bool for_a_moment)
{
    loop_watch_stop(proxy->loop, &proxy->watch);
    /* Without memory for a timer the next client that leaves goes on. */
    if (for_a_moment)
        (void)!loop_timer_set(proxy->loop, &proxy->retry, clock_passed_ms() + RETRY_MS);
}

static void go_on(struct inside_proxy *proxy)
{
    if (proxy->watch.fd < 0 && loop_watch(proxy->loop, &proxy->watch, proxy->listener, EPOLLIN) < 0)
        rest(proxy, true);
}

static void retry_due(struct loop_timer *timer)
{
    go_on(LOOP_OWNER(timer, struct inside_proxy, retry));
}

/* --- clients -------------------------------------------------------------------------------- */

/* The socket is the caller's. */
static int forget(struct client *client)
{
    struct inside_proxy *proxy = client->proxy;
    int fd = client->watch.fd;
    loop_watch_stop(proxy->loop, &client->watch);
    loop_timer_stop(proxy->loop, &client->timer);
    proxy_request_release(&client->request);
    LIST_REMOVE(client, entry);
    free(client);
    proxy->count--;
    go_on(proxy);
    return fd;
}

static void drop(struct client *client)
{
    close(forget(client));
}

static void late(struct loop_timer *timer)
{
    drop(LOOP_OWNER(timer, struct client, timer));
}

static void adopt(struct client *client)
{
    struct proxy_request request = client->request;
    struct flows *flows = client->proxy->flows;
    client->request.first = BUF_INIT; /* it is taken along */
    flows_adopt(flows, forget(client), &request.target, buf_str(&request.first), request.answers);
    proxy_request_release(&request);
}

static bool take_used(struct client *client, size_t used)
{
    return !used || recv(client->watch.fd, client->proxy->buffer, used, 0) == (ssize_t)used;
}

static void reply(struct client *client)
{
    const struct str *said = &client->request.reply;
    /* One that does not even take this is gone, which is heard of it. */
    (void)!send(client->watch.fd, said->ptr, said->len, MSG_NOSIGNAL);
}

static void hear(struct loop_watch *watch, uint32_t events)
{
    struct client *client = LOOP_OWNER(watch, struct client, watch);
    char *buffer = client->proxy->buffer;
    enum proxy_request_state state = PROXY_REQUEST_GOES_ON;
    while (state == PROXY_REQUEST_GOES_ON) { /* SOCKS 5 has two steps, the others one */
        size_t used = 0;
        ssize_t n = recv(watch->fd, buffer, PROXY_REQUEST_BYTES_MAX, MSG_PEEK);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        state = n > 0 ? proxy_request_hear(&client->request, str_make(buffer, (size_t)n), &used)
                      : PROXY_REQUEST_MORE;
        if (n <= 0 || !take_used(client, used) ||
            (state == PROXY_REQUEST_MORE && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))) {
            drop(client);
            return;
        }
        if (state == PROXY_REQUEST_GOES_ON)
            reply(client);
    }
    if (state == PROXY_REQUEST_BAD) {
        reply(client);
        drop(client);
    } else if (state == PROXY_REQUEST_WHOLE) {
        adopt(client);
    }
}

static int take(struct inside_proxy *proxy, int fd)
{
    struct client *client = calloc(1, sizeof(*client));
    if (!client)
        return -ENOMEM;
    client->proxy = proxy;
    client->watch = (struct loop_watch){ .fd = -1, .ready = hear };
    client->timer.due = late;
    proxy_request_init(&client->request);
    int r = loop_timer_set(proxy->loop, &client->timer,
                           clock_passed_ms() + flows_limits(proxy->flows)->hello_ms);
    if (r == 0)
        r = loop_watch(proxy->loop, &client->watch, fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
    if (r < 0) {
        loop_timer_stop(proxy->loop, &client->timer);
        free(client);
        return r;
    }
    LIST_INSERT_HEAD(&proxy->clients, client, entry);
    proxy->count++;
    return 0;
}

static void hear_listener(struct loop_watch *watch, uint32_t events)
{
    struct inside_proxy *proxy = LOOP_OWNER(watch, struct inside_proxy, watch);
    (void)events;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        if (proxy->count == INSIDE_PROXY_CLIENTS_MAX) {
            rest(proxy, false);
            return;
        }
        int fd = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && errno == EAGAIN)
            return;
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0 || take(proxy, fd) < 0) {
            if (fd >= 0)
                close(fd);
            rest(proxy, true);
            return;
        }
    }
}

int inside_proxy_new(struct loop *loop, struct flows *flows, int listener,
                     struct inside_proxy **ret, struct err *err)
{
    struct inside_proxy *proxy = calloc(1, sizeof(*proxy));
    if (!proxy)
        return err_set(err, ERR_MEMORY, STEP_PROXY, "there is not enough memory");
    proxy->loop = loop;
    proxy->flows = flows;
    proxy->listener = listener;
    proxy->watch = (struct loop_watch){ .fd = -1, .ready = hear_listener };
    proxy->retry.due = retry_due;
    flows_prepare_listener(listener);
    int r = loop_watch(loop, &proxy->watch, listener, EPOLLIN);
    if (r < 0) {
        free(proxy);
        return err_set_errno(err, -r, STEP_PROXY, "its listener cannot be waited for");
    }
    *ret = proxy;
    return 0;
}

void inside_proxy_free(struct inside_proxy *proxy)
{
    if (!proxy)
        return;
    for (struct client *client; (client = LIST_FIRST(&proxy->clients));)
        drop(client);
    loop_watch_stop(proxy->loop, &proxy->watch);
    loop_timer_stop(proxy->loop, &proxy->retry);
    free(proxy);
}
