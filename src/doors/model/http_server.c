/*
 * http_server: see the header.
 *
 * Theory of operation. A connection is in one of five states, and http_connection_run
 * moves it on until it has to wait: it reads a head, reads a body, is being
 * answered, ends (what is queued goes out, then what the client still sends is
 * read and dropped for a moment, since to close earlier would make the kernel
 * take back what was said), or is dead. Its call is the connection itself.
 *
 * While a call is being answered nothing more is read; the kernel says when the
 * client is gone (EPOLLRDHUP). A client that shuts down its writing side while it
 * waits is taken to be gone, as other servers take it.
 *
 * The calls above may be made from within its own callbacks: `depth` keeps the
 * connection in memory and from being run a second time meanwhile.
 *
 * Invariants: `gone` is called at most once for a call, and never after finish or
 * break, nor from within an owner's call; of a connection that is dead nothing is
 * watched; what is queued for one client is bounded by HTTP_QUEUE_MAX, beyond
 * which the connection is reset.
 *
 * Limits: the header's.
 */
#include "doors/model/http_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "doors/model/http_internal.h"

#define STEP_SERVE       "serve clients"
#define ACCEPT_PAUSE_MS  1000 /* where the process has no descriptor left */
#define LINGER_BYTES_MAX ((size_t)64 << 20)
#define CONTINUE         "HTTP/1.1 100 Continue\r\n\r\n"

const struct http_limits http_limits_default = {
    .head_ms = HTTP_HEAD_MS,
    .idle_ms = HTTP_IDLE_MS,
    .body_ms = HTTP_BODY_MS,
    .write_ms = HTTP_WRITE_MS,
    .linger_ms = HTTP_LINGER_MS,
    .connections = HTTP_CONNECTIONS_MAX,
    .body_bytes = HTTP_BODY_BYTES_MAX,
    .held_bytes = HTTP_HELD_BYTES_MAX,
};

static void accept_again(struct http_server *server);

/* --- life of a connection -------------------------------------------------------------------- */

void http_set_timer(struct http_call *call, int64_t ms)
{
    /* Without memory for a timer there is none, and the client has all the time. */
    if (!call->is_lost)
        (void)!loop_timer_set(call->server->loop, &call->timer, clock_passed_ms() + ms);
}

void http_stop_timer(struct http_call *call)
{
    if (!call->is_lost)
        loop_timer_stop(call->server->loop, &call->timer);
}

static void count_held(struct http_call *call, size_t held)
{
    call->server->held += held - call->held;
    call->held = held;
}

static void connection_free(struct http_call *call)
{
    struct http_server *server = call->server;
    *(call->before ? &call->before->next : &server->first) = call->next;
    if (call->next)
        call->next->before = call->before;
    server->count--;
    count_held(call, 0);
    http_reader_free(call->reader);
    buf_release(&call->head);
    buf_release(&call->queue);
    free(call);
    accept_again(server);
}

void http_connection_kill(struct http_call *call)
{
    if (call->state != CONNECTION_DEAD) {
        int fd = call->watch.fd;
        call->state = CONNECTION_DEAD;
        loop_timer_stop(call->server->loop, &call->timer);
        loop_watch_stop(call->server->loop, &call->watch);
        close(fd);
        if (call->is_open) {
            call->is_open = false;
            call->depth++;
            call->server->calls->gone(call->server->calls->context, call);
            call->depth--;
        }
    }
    if (!call->depth)
        connection_free(call);
}

/* So that the client sees an error and not an end. */
static void connection_reset(struct http_call *call)
{
    const struct linger now = { .l_onoff = 1 };
    if (call->state != CONNECTION_DEAD)
        (void)!setsockopt(call->watch.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    http_connection_kill(call);
}

void http_connection_lose(struct http_call *call)
{
    const struct linger now = { .l_onoff = 1 };
    buf_reset(&call->queue);
    call->queue_from = 0;
    (void)!setsockopt(call->watch.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    http_set_timer(call, 0);
    call->is_lost = true;
}

static void await(struct http_call *call, uint32_t events)
{
    if (call->events == events)
        return;
    call->events = events;
    if (loop_watch_change(call->server->loop, &call->watch, events) < 0)
        http_connection_lose(call);
}

void http_call_break(struct http_call *call)
{
    call->is_open = false;
    call->owner = NULL;
    connection_reset(call);
}

/* --- reading --------------------------------------------------------------------------------- */

/* Whether there is something to be read now; false also where the connection ended. */
static bool fill(struct http_call *call)
{
    if (call->input_from < call->input_to)
        return true;
    ssize_t got = recv(call->watch.fd, call->input, sizeof(call->input), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        http_connection_kill(call);
        return false;
    }
    call->input_from = 0;
    call->input_to = (size_t)got;
    return true;
}

static void show_wrong(struct http_call *call, const struct http_fault *fault)
{
    const struct http_server_calls *calls = call->server->calls;
    call->closes = true;
    call->is_open = true;
    calls->wrong(calls->context, call, fault);
    if (call->state < CONNECTION_END)
        call->state = CONNECTION_END;
}

static void show_head(struct http_call *call)
{
    const struct http_server_calls *calls = call->server->calls;
    const struct http_request *request = http_reader_request(call->reader);
    const struct str go_on = STR(CONTINUE);
    call->is_open = true;
    call->ends_perhaps = true;
    call->state = CONNECTION_BODY;
    calls->head(calls->context, call);
    if (call->state != CONNECTION_BODY)
        return;
    if (call->has_answer) {
        call->state = CONNECTION_ANSWER;
        return;
    }
    http_set_timer(call, call->server->limits.body_ms);
    if (request->expects_continue && request->has_body && call->input_from == call->input_to)
        http_write(call, &go_on, 1);
}

/* Reads what there is. Whether the connection can move on. */
static bool read_request(struct http_call *call)
{
    static const struct http_fault full = { 503, "The door holds as much as it may." };
    struct http_server *server = call->server;
    size_t taken;
    bool within = http_reader_is_within(call->reader);
    if (!call->ends_perhaps && !fill(call))
        return false;
    call->ends_perhaps = false;
    if (!within && call->state == CONNECTION_HEAD)
        http_set_timer(call, server->limits.head_ms);
    if (call->state == CONNECTION_BODY)
        http_set_timer(call, server->limits.body_ms);
    enum http_reading reading = http_reader_feed(
        call->reader, str_make(call->input + call->input_from, call->input_to - call->input_from),
        &taken);
    call->input_from += taken;
    count_held(call, http_reader_held(call->reader));
    if (reading == HTTP_READ_WRONG) {
        show_wrong(call, http_reader_fault(call->reader));
    } else if (server->held > server->limits.held_bytes) {
        show_wrong(call, &full);
    } else if (reading == HTTP_READ_HEAD) {
        show_head(call);
    } else if (reading == HTTP_READ_WHOLE) {
        call->state = CONNECTION_ANSWER;
        http_stop_timer(call);
        server->calls->whole(server->calls->context, call);
    }
    return call->state != CONNECTION_DEAD;
}

/* The answer is finished: the next request, or the end. */
static void turn_over(struct http_call *call)
{
    if (call->closes) {
        call->state = CONNECTION_END;
        return;
    }
    http_reader_next(call->reader);
    count_held(call, 0);
    call->has_answer = call->is_chunked = call->was_full = false;
    call->state = CONNECTION_HEAD;
    http_set_timer(call, call->server->limits.idle_ms);
}

/* Waits for the client to read, and then for its end. Whether there is something to wait for. */
static void end(struct http_call *call)
{
    if (call->is_open || http_queued(call))
        return;
    if (!call->is_shut) {
        call->is_shut = true;
        (void)!shutdown(call->watch.fd, SHUT_WR);
        http_set_timer(call, call->server->limits.linger_ms);
    }
    call->input_from = call->input_to = 0;
    while (fill(call)) {
        call->lingered += call->input_to;
        call->input_from = call->input_to;
        if (call->lingered > LINGER_BYTES_MAX) {
            http_connection_kill(call);
            return;
        }
    }
}

void http_connection_run(struct http_call *call)
{
    if (call->depth)
        return;
    call->depth++;
    for (bool moves = call->state != CONNECTION_DEAD; moves;) {
        moves = false;
        if (call->state == CONNECTION_ANSWER && call->has_answer && !call->is_open &&
            !http_queued(call)) {
            turn_over(call);
            moves = true;
        } else if (call->state == CONNECTION_HEAD || call->state == CONNECTION_BODY) {
            moves = read_request(call);
        } else if (call->state == CONNECTION_END) {
            end(call);
        }
    }
    const uint32_t waits[] = { [CONNECTION_HEAD] = EPOLLIN,
                               [CONNECTION_BODY] = EPOLLIN,
                               [CONNECTION_ANSWER] = EPOLLRDHUP,
                               [CONNECTION_END] = call->is_shut ? EPOLLIN : 0 };
    if (call->state != CONNECTION_DEAD)
        await(call, waits[call->state] | (http_queued(call) ? EPOLLOUT : 0));
    call->depth--;
    if (call->state == CONNECTION_DEAD && !call->depth)
        connection_free(call);
}

static void connection_ready(struct loop_watch *watch, uint32_t events)
{
    struct http_call *call = LOOP_OWNER(watch, struct http_call, watch);
    call->depth++;
    if (events & EPOLLOUT)
        http_write_queued(call);
    if (events & (EPOLLHUP | EPOLLERR) || (call->state == CONNECTION_ANSWER && events & EPOLLRDHUP))
        http_connection_kill(call);
    call->depth--;
    http_connection_run(call);
}

static void connection_due(struct loop_timer *timer)
{
    struct http_call *call = LOOP_OWNER(timer, struct http_call, timer);
    http_connection_kill(call);
}

/* --- accepting ------------------------------------------------------------------------------- */

static void accept_pause(struct http_server *server)
{
    server->is_paused = true;
    for (size_t i = 0; i < server->listener_count; i++)
        (void)!loop_watch_change(server->loop, &server->listeners[i].watch, 0);
}

static void accept_again(struct http_server *server)
{
    if (!server->is_paused || server->count >= server->limits.connections)
        return;
    server->is_paused = false;
    loop_timer_stop(server->loop, &server->accept_timer);
    for (size_t i = 0; i < server->listener_count; i++)
        (void)!loop_watch_change(server->loop, &server->listeners[i].watch, EPOLLIN);
}

static void accept_due(struct loop_timer *timer)
{
    accept_again(LOOP_OWNER(timer, struct http_server, accept_timer));
}

static int connection_new(struct http_server *server, int fd)
{
    const int on = 1;
    struct http_call *call = calloc(1, sizeof(*call));
    if (!call || http_reader_new(server->limits.body_bytes, &call->reader, NULL) < 0) {
        free(call);
        return -ENOMEM;
    }
    call->server = server;
    call->head = BUF_INIT_LIMIT(2 * HTTP_HEAD_BYTES_MAX);
    call->queue = BUF_INIT_LIMIT(HTTP_QUEUE_MAX);
    call->watch = (struct loop_watch){ .fd = -1, .ready = connection_ready };
    call->timer.due = connection_due;
    call->events = EPOLLIN;
    (void)!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails on a Unix socket */
    int r = loop_watch(server->loop, &call->watch, fd, EPOLLIN);
    if (r < 0) {
        http_reader_free(call->reader);
        free(call);
        return r;
    }
    call->next = server->first;
    if (call->next)
        call->next->before = call;
    server->first = call;
    server->count++;
    http_set_timer(call, server->limits.idle_ms);
    return 0;
}

static void accept_ready(struct loop_watch *watch, uint32_t events)
{
    struct http_server *server = LOOP_OWNER(watch, struct listener, watch)->server;
    (void)events;
    while (!server->is_paused) {
        int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0 && errno == EAGAIN)
            return;
        if (fd < 0) {
            accept_pause(server);
            (void)!loop_timer_set(server->loop, &server->accept_timer,
                                  clock_passed_ms() + ACCEPT_PAUSE_MS);
            return;
        }
        if (connection_new(server, fd) < 0)
            close(fd);
        if (server->count >= server->limits.connections)
            accept_pause(server);
    }
}

/* --- the server ------------------------------------------------------------------------------ */

int http_server_new(struct loop *loop, const struct http_server_calls *calls,
                    const struct http_limits *limits, struct http_server **ret, struct err *err)
{
    struct http_server *server = calloc(1, sizeof(*server));
    if (!server)
        return err_set(err, ERR_MEMORY, STEP_SERVE, "there is not enough memory");
    server->loop = loop;
    server->calls = calls;
    server->limits = limits ? *limits : http_limits_default;
    server->accept_timer.due = accept_due;
    *ret = server;
    return 0;
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    for (size_t i = 0; i < server->listener_count; i++) {
        int fd = server->listeners[i].watch.fd;
        loop_watch_stop(server->loop, &server->listeners[i].watch);
        close(fd);
    }
    server->listener_count = 0;
    while (server->first)
        http_connection_kill(server->first);
    loop_timer_stop(server->loop, &server->accept_timer);
    free(server);
}

int http_server_listen(struct http_server *server, int listener, struct err *err)
{
    int r = -ENOBUFS;
    if (server->listener_count < HTTP_LISTENERS_MAX) {
        struct listener *slot = &server->listeners[server->listener_count];
        *slot = (struct listener){ .watch = { .fd = -1, .ready = accept_ready }, .server = server };
        r = fcntl(listener, F_SETFL, O_NONBLOCK) < 0
                ? -errno
                : loop_watch(server->loop, &slot->watch, listener, server->is_paused ? 0 : EPOLLIN);
    }
    if (r < 0) {
        close(listener);
        return err_set_errno(err, -r, STEP_SERVE, "the listener cannot be waited for");
    }
    server->listener_count++;
    return 0;
}

const struct http_request *http_call_request(const struct http_call *call)
{
    return http_reader_request(call->reader);
}

void http_call_own(struct http_call *call, void *owner)
{
    call->owner = owner;
}

void *http_call_owner(const struct http_call *call)
{
    return call->owner;
}
