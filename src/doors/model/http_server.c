/*
 * http_server: see the header.
 *
 * Theory of operation. A connection is in one of five states, and connection_run
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
#include <sys/uio.h>

#include "base/buf.h"
#include "base/clock.h"

#define STEP_SERVE       "serve clients"
#define INPUT_SIZE       16384
#define ACCEPT_PAUSE_MS  1000 /* where the process has no descriptor left */
#define LINGER_BYTES_MAX ((size_t)64 << 20)
#define CONTINUE         "HTTP/1.1 100 Continue\r\n\r\n"

enum connection_state {
    CONNECTION_HEAD,
    CONNECTION_BODY,
    CONNECTION_ANSWER,
    CONNECTION_END,
    CONNECTION_DEAD,
};

struct http_call {
    struct http_server *server;
    struct http_call *before, *next; /* of the server's list */
    struct loop_watch watch;
    struct loop_timer timer;
    uint32_t events;
    enum connection_state state;
    unsigned depth; /* of callbacks and runs that stand on the stack */
    struct http_reader *reader;
    size_t held; /* of the body, as the server counts it */
    char input[INPUT_SIZE];
    size_t input_from, input_to;
    struct buf queue; /* from queue_from on */
    size_t queue_from;
    size_t lingered;
    void *owner;
    bool is_open; /* the call: it has been shown, and is neither finished nor broken */
    bool is_chunked, has_answer, was_full;
    bool ends_perhaps; /* a request without a body is whole with its head: no byte is to come */
    bool closes;       /* the connection ends with this answer */
    bool is_shut, is_lost;
};

struct listener {
    struct loop_watch watch;
    struct http_server *server;
};

struct http_server {
    struct loop *loop;
    const struct http_server_calls *calls;
    struct http_limits limits;
    struct listener listeners[HTTP_LISTENERS_MAX];
    size_t listener_count;
    struct loop_timer accept_timer;
    bool is_paused; /* nobody is accepted */
    struct http_call *first;
    size_t count, held;
};

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

static void connection_run(struct http_call *call);
static void accept_again(struct http_server *server);

/* --- life of a connection -------------------------------------------------------------------- */

static void set_timer(struct http_call *call, int64_t ms)
{
    /* Without memory for a timer there is none, and the client has all the time. */
    (void)!loop_timer_set(call->server->loop, &call->timer, clock_passed_ms() + ms);
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
    buf_release(&call->queue);
    free(call);
    accept_again(server);
}

/* Ends the connection now. Whoever stands on the stack frees it; else it is freed here. */
static void connection_kill(struct http_call *call)
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
    connection_kill(call);
}

/*
 * The connection has failed while its owner was using it: it ends in the loop's next turn, so that
 * `gone` is never called from within one of the owner's own calls.
 */
static void connection_lose(struct http_call *call)
{
    const struct linger now = { .l_onoff = 1 };
    call->is_lost = true;
    buf_reset(&call->queue);
    call->queue_from = 0;
    (void)!setsockopt(call->watch.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    set_timer(call, 0);
}

static void await(struct http_call *call, uint32_t events)
{
    if (call->events == events)
        return;
    call->events = events;
    if (loop_watch_change(call->server->loop, &call->watch, events) < 0)
        connection_lose(call);
}

/* --- writing --------------------------------------------------------------------------------- */

static size_t queued(const struct http_call *call)
{
    return call->queue.len - call->queue_from;
}

/* Sends what it can; the rest is queued. */
static void write_parts(struct http_call *call, const struct str *parts, size_t count)
{
    struct iovec vector[3];
    size_t all = 0;
    ssize_t sent = 0;
    for (size_t i = 0; i < count; i++) {
        vector[i] = (struct iovec){ (char *)parts[i].ptr, parts[i].len };
        all += parts[i].len;
    }
    if (call->state == CONNECTION_DEAD || call->is_lost || !all)
        return;
    if (!queued(call)) {
        const struct msghdr message = { .msg_iov = vector, .msg_iovlen = count };
        sent = sendmsg(call->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            connection_lose(call);
            return;
        }
        sent = sent > 0 ? sent : 0;
    }
    if ((size_t)sent < all && !queued(call))
        set_timer(call, call->server->limits.write_ms);
    for (size_t i = 0; i < count; i++) {
        size_t skip = (size_t)sent < parts[i].len ? (size_t)sent : parts[i].len;
        sent -= (ssize_t)skip;
        buf_add_str(&call->queue, str_from_offset(parts[i], skip));
    }
    if (call->queue.error)
        connection_lose(call);
    else if (queued(call) > HTTP_QUEUE_HIGH)
        call->was_full = true;
}

static void write_queued(struct http_call *call)
{
    while (queued(call) && !call->is_lost) {
        ssize_t sent = send(call->watch.fd, call->queue.data + call->queue_from, queued(call),
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0) {
            connection_kill(call);
            return;
        }
        call->queue_from += (size_t)sent;
        set_timer(call, call->server->limits.write_ms);
    }
    if (!queued(call)) {
        if (call->queue.capacity > HTTP_QUEUE_HIGH)
            buf_release(&call->queue);
        buf_reset(&call->queue);
        call->queue_from = 0;
        if (call->state == CONNECTION_ANSWER)
            loop_timer_stop(call->server->loop, &call->timer);
    } else if (call->queue_from > HTTP_QUEUE_HIGH) {
        memmove(call->queue.data, call->queue.data + call->queue_from, queued(call));
        buf_truncate(&call->queue, queued(call));
        call->queue_from = 0;
    }
    if (call->was_full && queued(call) <= HTTP_QUEUE_LOW) {
        call->was_full = false;
        if (call->is_open)
            call->server->calls->drained(call->server->calls->context, call);
    }
}

/* --- answering ------------------------------------------------------------------------------- */

static const char *phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 417, "Expectation Failed" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };
    for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "";
}

void http_call_answer(struct http_call *call, unsigned status, struct str headers, uint64_t length)
{
    const struct http_request *request = http_reader_request(call->reader);
    struct buf head = BUF_INIT_LIMIT(2 * HTTP_HEAD_BYTES_MAX);
    assert(call->is_open && !call->has_answer);
    call->has_answer = true;
    call->is_chunked = length == HTTP_LENGTH_UNKNOWN && !request->is_version_0;
    if (call->state != CONNECTION_ANSWER || !request->keep_alive ||
        (length == HTTP_LENGTH_UNKNOWN && request->is_version_0))
        call->closes = true; /* what is left of the request is not read as the next one */
    buf_addf(&head, "HTTP/1.1 %u %s\r\n", status, phrase(status));
    buf_add_str(&head, headers);
    if (call->is_chunked)
        buf_add_text(&head, "Transfer-Encoding: chunked\r\n");
    else if (length != HTTP_LENGTH_UNKNOWN)
        buf_addf(&head, "Content-Length: %llu\r\n", (unsigned long long)length);
    buf_add_text(&head, call->closes ? "Connection: close\r\n\r\n" : "\r\n");
    const struct str part = buf_str(&head);
    call->depth++;
    if (head.error)
        connection_lose(call);
    else
        write_parts(call, &part, 1);
    call->depth--;
    buf_release(&head);
    connection_run(call);
}

void http_call_send(struct http_call *call, struct str bytes)
{
    char size[20];
    const int len = snprintf(size, sizeof(size), "%zx\r\n", bytes.len);
    const struct str parts[] = { str_make(size, (size_t)len), bytes, STR("\r\n") };
    assert(call->has_answer);
    if (!bytes.len)
        return;
    call->depth++;
    write_parts(call, call->is_chunked ? parts : &parts[1], call->is_chunked ? 3 : 1);
    call->depth--;
    connection_run(call);
}

bool http_call_is_full(const struct http_call *call)
{
    return call->was_full;
}

void http_call_finish(struct http_call *call)
{
    const struct str last = STR("0\r\n\r\n");
    assert(call->has_answer);
    call->is_open = false;
    call->owner = NULL;
    call->depth++;
    if (call->is_chunked)
        write_parts(call, &last, 1);
    call->depth--;
    connection_run(call);
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
        connection_kill(call);
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
    set_timer(call, call->server->limits.body_ms);
    if (request->expects_continue && request->has_body && call->input_from == call->input_to)
        write_parts(call, &go_on, 1);
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
        set_timer(call, server->limits.head_ms);
    if (call->state == CONNECTION_BODY)
        set_timer(call, server->limits.body_ms);
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
        loop_timer_stop(server->loop, &call->timer);
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
    set_timer(call, call->server->limits.idle_ms);
}

/* Waits for the client to read, and then for its end. Whether there is something to wait for. */
static void end(struct http_call *call)
{
    if (call->is_open || queued(call))
        return;
    if (!call->is_shut) {
        call->is_shut = true;
        (void)!shutdown(call->watch.fd, SHUT_WR);
        set_timer(call, call->server->limits.linger_ms);
    }
    call->input_from = call->input_to = 0;
    while (fill(call)) {
        call->lingered += call->input_to;
        call->input_from = call->input_to;
        if (call->lingered > LINGER_BYTES_MAX) {
            connection_kill(call);
            return;
        }
    }
}

/* Moves a connection on until it has to wait, and sees to it that it is woken then. */
static void connection_run(struct http_call *call)
{
    if (call->depth)
        return;
    call->depth++;
    for (bool moves = call->state != CONNECTION_DEAD; moves;) {
        moves = false;
        if (call->state == CONNECTION_ANSWER && call->has_answer && !call->is_open &&
            !queued(call)) {
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
        await(call, waits[call->state] | (queued(call) ? EPOLLOUT : 0));
    call->depth--;
    if (call->state == CONNECTION_DEAD && !call->depth)
        connection_free(call);
}

static void connection_ready(struct loop_watch *watch, uint32_t events)
{
    struct http_call *call = LOOP_OWNER(watch, struct http_call, watch);
    call->depth++;
    if (events & EPOLLOUT)
        write_queued(call);
    if (events & (EPOLLHUP | EPOLLERR) || (call->state == CONNECTION_ANSWER && events & EPOLLRDHUP))
        connection_kill(call);
    call->depth--;
    connection_run(call);
}

static void connection_due(struct loop_timer *timer)
{
    struct http_call *call = LOOP_OWNER(timer, struct http_call, timer);
    connection_kill(call);
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
    set_timer(call, server->limits.idle_ms);
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
        connection_kill(server->first);
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
