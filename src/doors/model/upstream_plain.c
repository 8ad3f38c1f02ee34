/*
 * upstream_plain: providers on this machine, in HTTP/1.1.
 *
 * Theory of operation. A call has a connection for itself, one that is idle or a new
 * one; the request is written at once, as far as the kernel takes it, and the answer
 * is read into one buffer that all connections share (reply.h takes it apart). A
 * connection whose answer was whole, and which both sides keep, is idle then: it
 * stays in the epoll set, so that one which its server closes is noticed. One that
 * was closed just as it was used again, before a byte came back, is replaced by a new
 * one, once.
 *
 * Whoever does not take a piece of the answer has it copied, and the connection rests
 * until he goes on. No function of the caller's is called from within his own calls:
 * what has to be told then is told by the call's timer.
 *
 * Invariants: addresses are those of loopback; a call's functions are not called after
 * it was cancelled, nor after `ended`; a connection that stands on the stack (`depth`)
 * is closed at once and freed later.
 *
 * Threats: what listens there is not trusted more than any provider. Heads are bounded
 * by reply.h, bodies by whoever takes them.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "doors/model/reply.h"
#include "doors/model/upstream_internal.h"
#include "doors/model/upstream_place.h"

#define STEP_PLAIN  "reach the model provider"
#define INPUT_SIZE  65536
#define READS_MAX   16                /* of one connection in a turn */
#define REQUEST_MAX ((size_t)1 << 20) /* of a head, with a small body */

struct plain_call;

struct connection {
    struct upstream_plain *plain;
    struct connection *before, *next; /* of those that are idle */
    char authority[UPSTREAM_AUTHORITY_SIZE];
    int fd;
    struct loop_watch watch; /* none while its call rests */
    uint32_t events;
    struct reply reply;
    struct plain_call *call; /* NULL: it is idle, or dead */
    unsigned depth;
    bool is_connecting, is_used, is_dead;
};

struct plain_call {
    struct upstream_call call;
    struct upstream_plain *plain;
    struct plain_call *before, *next;
    const struct upstream_calls *calls;
    struct connection *connection;
    struct upstream_place place;
    size_t address; /* the next that is tried */
    struct loop_timer timer;
    int64_t heard_ms;
    struct buf out; /* the head, and a small body */
    size_t head_len;
    struct str pieces[UPSTREAM_PIECES_MAX];
    size_t piece_count, total, at; /* bytes: of all, and that were sent */
    struct buf held;               /* what was read and is not taken yet */
    size_t held_body;              /* of that, a piece of the body; the rest is not read yet */
    bool is_paused, is_again, goes_on;
    const char *failure; /* that is to be told; NULL: none */
};

struct upstream_plain {
    struct loop *loop;
    struct plain_call *first;
    struct connection *idle;
    size_t idle_count;
    char input[INPUT_SIZE];
};

static void ready(struct loop_watch *watch, uint32_t events);
static void open_next(struct plain_call *call);

bool upstream_plain_takes(const struct upstream_request *request)
{
    struct upstream_place place;
    return (!request->proxy || request->proxy->kind == PROXY_DIRECT) && !request->address_count &&
           upstream_place_read(request->url, &place);
}

/* --- life of a connection -------------------------------------------------------------------- */

static void leave_idle(struct connection *connection)
{
    struct upstream_plain *plain = connection->plain;
    *(connection->before ? &connection->before->next : &plain->idle) = connection->next;
    if (connection->next)
        connection->next->before = connection->before;
    connection->before = connection->next = NULL;
    plain->idle_count--;
}

static void enter_idle(struct connection *connection)
{
    struct upstream_plain *plain = connection->plain;
    connection->next = plain->idle;
    if (plain->idle)
        plain->idle->before = connection;
    plain->idle = connection;
    plain->idle_count++;
}

/* Whoever stands on the stack frees it. */
static void connection_close(struct connection *connection)
{
    if (!connection->is_dead) {
        connection->is_dead = true;
        connection->call = NULL;
        loop_watch_stop(connection->plain->loop, &connection->watch);
        close(connection->fd);
    }
    if (connection->depth)
        return;
    reply_release(&connection->reply);
    free(connection);
}

static void enter(struct connection *connection)
{
    connection->depth++;
}

static void leave(struct connection *connection)
{
    connection->depth--;
    if (connection->is_dead)
        connection_close(connection);
}

static struct connection *find_idle(struct upstream_plain *plain, const char *authority)
{
    struct connection *connection = plain->idle;
    while (connection && strcmp(connection->authority, authority) != 0)
        connection = connection->next;
    if (connection)
        leave_idle(connection);
    return connection;
}

static void await(struct connection *connection, uint32_t events)
{
    if (connection->events != events &&
        loop_watch_change(connection->plain->loop, &connection->watch, events) == 0)
        connection->events = events;
}

/* --- the end of a call ----------------------------------------------------------------------- */

static uint64_t sent_of(const struct plain_call *call)
{
    return call->at > call->head_len ? call->at - call->head_len : 0;
}

static void call_free(struct plain_call *call)
{
    *(call->before ? &call->before->next : &call->plain->first) = call->next;
    if (call->next)
        call->next->before = call->before;
    loop_timer_stop(call->plain->loop, &call->timer);
    if (call->out.capacity)
        explicit_bzero(call->out.data, call->out.len);
    buf_release(&call->out);
    buf_release(&call->held);
    free(call);
}

/* Its connection is idle then, or closed. */
static void end(struct plain_call *call, enum upstream_end how, const char *cause, bool keeps)
{
    struct connection *connection = call->connection;
    const struct upstream_calls *calls = call->calls;
    const uint64_t sent = sent_of(call);
    keeps = keeps && connection && call->at == call->total &&
            call->plain->idle_count < UPSTREAM_IDLE_MAX;
    if (keeps) {
        connection->call = NULL;
        connection->is_used = true;
        reply_next(&connection->reply);
        enter_idle(connection);
    } else if (connection) {
        connection_close(connection);
    }
    call_free(call);
    calls->ended(calls->context, how, sent, cause);
}

static void end_in_a_moment(struct plain_call *call, const char *failure)
{
    call->failure = failure;
    (void)!loop_timer_set(call->plain->loop, &call->timer, clock_passed_ms()); /* it stands */
}

/* --- sending --------------------------------------------------------------------------------- */

static size_t gather(const struct plain_call *call, struct iovec *parts)
{
    size_t skip = call->at, count = 0;
    for (size_t i = 0; i <= call->piece_count; i++) {
        struct str part = i ? call->pieces[i - 1] : buf_str(&call->out);
        if (skip < part.len)
            parts[count++] = (struct iovec){ (char *)part.ptr + skip, part.len - skip };
        skip -= skip < part.len ? skip : part.len;
    }
    return count;
}

/* What cannot be sent because the provider is gone is noticed by reading. */
static void send_more(struct plain_call *call)
{
    struct connection *connection = call->connection;
    ssize_t sent = 0;
    while (call->at < call->total && sent >= 0) {
        struct iovec parts[UPSTREAM_PIECES_MAX + 1];
        const struct msghdr message = { .msg_iov = parts, .msg_iovlen = gather(call, parts) };
        sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        call->at += sent > 0 ? (size_t)sent : 0;
    }
    bool waits = sent < 0 && (errno == EAGAIN || errno == EINTR);
    await(connection, waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* --- connecting ------------------------------------------------------------------------------ */

static bool may_connect(const struct plain_call *call, const char *address)
{
    struct address_range range;
    return !call->calls->address || (address_range_read(str_from(address), &range) &&
                                     call->calls->address(call->calls->context, &range));
}

/* Whether it is being connected to. */
static bool connect_to(struct connection *connection, const char *address, in_port_t port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } to = { 0 };
    bool is_ipv6 = strchr(address, ':');
    const int on = 1;
    to.any.sa_family = is_ipv6 ? AF_INET6 : AF_INET;
    *(is_ipv6 ? &to.ipv6.sin6_port : &to.ipv4.sin_port) = port;
    void *bytes = is_ipv6 ? (void *)&to.ipv6.sin6_addr : (void *)&to.ipv4.sin_addr;
    _cleanup_(cleanup_close) int fd =
        socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || inet_pton(to.any.sa_family, address, bytes) != 1)
        return false;
    (void)!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, &to.any, is_ipv6 ? sizeof(to.ipv6) : sizeof(to.ipv4)) < 0 &&
        errno != EINPROGRESS)
        return false;
    connection->events = EPOLLIN | EPOLLOUT;
    if (loop_watch(connection->plain->loop, &connection->watch, fd, connection->events) < 0)
        return false;
    connection->fd = TAKE_FD(fd);
    return true;
}

static struct connection *connection_new(struct plain_call *call, const char *address)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection)
        return NULL;
    connection->plain = call->plain;
    connection->watch = (struct loop_watch){ .fd = -1, .ready = ready };
    connection->is_connecting = true;
    memcpy(connection->authority, call->place.authority, sizeof(connection->authority));
    if (!connect_to(connection, address, call->place.port)) {
        free(connection);
        return NULL;
    }
    reply_init(&connection->reply);
    return connection;
}

/* A connection to the next address; where none is left, that is told. */
static void open_next(struct plain_call *call)
{
    call->connection = NULL;
    while (!call->connection && call->address < call->place.address_count) {
        const char *address = call->place.addresses[call->address++];
        if (may_connect(call, address))
            call->connection = connection_new(call, address);
    }
    if (call->connection)
        call->connection->call = call;
    else
        end_in_a_moment(call, "no connection could be made");
}

/* Whether there is a connection now. */
static bool finish_connecting(struct connection *connection)
{
    struct plain_call *call = connection->call;
    int failed = 0;
    socklen_t size = sizeof(failed);
    (void)!getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &failed, &size);
    if (!failed) {
        connection->is_connecting = false;
        call->heard_ms = clock_passed_ms();
        return true;
    }
    connection_close(connection);
    open_next(call);
    return false;
}

/* --- the answer ------------------------------------------------------------------------------ */

/* Keeps what the caller does not take now. */
static void hold(struct plain_call *call, struct str body, struct str rest)
{
    struct connection *connection = call->connection;
    buf_reset(&call->held);
    buf_add_str(&call->held, body);
    buf_add_str(&call->held, rest);
    call->held_body = body.len;
    call->is_paused = true;
    loop_watch_stop(connection->plain->loop, &connection->watch);
}

/* Tells a piece of the body; `rest` is not read yet. Whether the answer goes on. */
static bool tell_body(struct connection *connection, struct str body, struct str rest)
{
    struct plain_call *call = connection->call;
    bool is_taken = !body.len || call->calls->body(call->calls->context, body);
    if (connection->call != call)
        return false; /* it was cancelled */
    if (!is_taken)
        hold(call, body, rest);
    return is_taken;
}

/* Whether there is more to be told. */
static bool tell_head(struct connection *connection)
{
    const struct plain_call *call = connection->call;
    const struct upstream_answer answer = { reply_status(&connection->reply),
                                            reply_headers(&connection->reply) };
    call->calls->head(call->calls->context, &answer);
    return connection->call == call;
}

/*
 * Tells what stands in the bytes, which are this file's own: the pieces of a body that came at
 * once are moved together. Whether more of the answer is to be read.
 */
static bool tell(struct connection *connection, struct str bytes)
{
    struct str body = STR("");
    for (;;) {
        size_t taken;
        enum reply_reading reading = reply_feed(&connection->reply, bytes, &taken);
        struct str piece = reply_body(&connection->reply);
        bytes = str_from_offset(bytes, taken);
        if (reading == REPLY_BODY) {
            if (body.len)
                memmove((char *)body.ptr + body.len, piece.ptr, piece.len);
            body = str_make(body.len ? body.ptr : piece.ptr, body.len + piece.len);
            continue;
        }
        if (!tell_body(connection, body, bytes))
            return false;
        body = STR("");
        switch (reading) {
        case REPLY_BODY: /* is told with what comes behind it */
            break;
        case REPLY_MORE:
            return true;
        case REPLY_HEAD:
            if (!tell_head(connection))
                return false;
            break;
        case REPLY_WHOLE:
            end(connection->call, UPSTREAM_WHOLE, "",
                !bytes.len && reply_keeps_connection(&connection->reply));
            return false;
        case REPLY_WRONG:
            end(connection->call, UPSTREAM_CUT, "what it answers is no HTTP/1.1", false);
            return false;
        }
    }
}

/* The provider has closed the connection, or it broke. */
static void end_of_input(struct connection *connection)
{
    struct plain_call *call = connection->call;
    if (reply_end(&connection->reply)) {
        end(call, UPSTREAM_WHOLE, "", false);
    } else if (connection->is_used && !reply_has_begun(&connection->reply) && !call->is_again) {
        connection_close(connection);
        call->is_again = true;
        call->address = call->at = 0;
        open_next(call);
    } else {
        end(call, UPSTREAM_CUT, "the connection ended before the answer did", false);
    }
}

static void take_input(struct connection *connection)
{
    struct upstream_plain *plain = connection->plain;
    for (int i = 0; i < READS_MAX; i++) {
        ssize_t got = recv(connection->fd, plain->input, sizeof(plain->input), MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            end_of_input(connection);
            return;
        }
        connection->call->heard_ms = clock_passed_ms();
        if (!tell(connection, str_make(plain->input, (size_t)got)) ||
            (size_t)got < sizeof(plain->input))
            return;
    }
}

static void ready(struct loop_watch *watch, uint32_t events)
{
    struct connection *connection = LOOP_OWNER(watch, struct connection, watch);
    enter(connection);
    if (!connection->call) { /* whoever is idle is closed by this, or talks unasked */
        leave_idle(connection);
        connection_close(connection);
    } else if (!connection->is_connecting || finish_connecting(connection)) {
        if (connection->call->at < connection->call->total)
            send_more(connection->call);
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            take_input(connection);
    }
    leave(connection);
}

/* The caller takes more: first what was held. */
static void go_on_now(struct plain_call *call)
{
    struct connection *connection = call->connection;
    struct buf held = call->held;
    struct str all = buf_str(&held), body = str_make(all.ptr, call->held_body);
    call->goes_on = false;
    if (held.error ||
        loop_watch(call->plain->loop, &connection->watch, connection->fd, connection->events) < 0) {
        end(call, UPSTREAM_CUT, "there is not enough memory", false);
        return;
    }
    call->held = BUF_INIT_LIMIT(held.limit);
    enter(connection);
    struct str rest = str_from_offset(all, body.len);
    if (tell_body(connection, body, rest))
        (void)tell(connection, rest);
    leave(connection);
    buf_release(&held);
}

/* --- a call ---------------------------------------------------------------------------------- */

static void due(struct loop_timer *timer)
{
    struct plain_call *call = LOOP_OWNER(timer, struct plain_call, timer);
    bool is_connecting = !call->connection || call->connection->is_connecting;
    int64_t now = clock_passed_ms();
    if (call->goes_on || call->is_paused)
        call->heard_ms = now; /* nobody has listened */
    int64_t until =
        call->heard_ms + (is_connecting ? UPSTREAM_CONNECT_MS : UPSTREAM_SILENCE_S * INT64_C(1000));
    /* Of one that is made again a part was sent before. */
    const enum upstream_end failed = call->is_again ? UPSTREAM_CUT : UPSTREAM_UNREACHABLE;
    if (call->failure)
        end(call, failed, call->failure, false);
    else if (until <= now)
        end(call, is_connecting ? failed : UPSTREAM_SILENT,
            is_connecting ? "no connection could be made in time" : "it has said nothing for long",
            false);
    else if (loop_timer_set(call->plain->loop, timer, until) < 0)
        end(call, UPSTREAM_CUT, "there is not enough memory", false);
    else if (call->goes_on)
        go_on_now(call);
}

static void cancel(struct upstream_call *base)
{
    struct plain_call *call = (struct plain_call *)base; /* its first member */
    if (call->connection)
        connection_close(call->connection);
    call_free(call);
}

static void go_on(struct upstream_call *base)
{
    struct plain_call *call = (struct plain_call *)base;
    if (!call->is_paused)
        return;
    call->is_paused = false;
    call->goes_on = true;
    (void)!loop_timer_set(call->plain->loop, &call->timer, clock_passed_ms()); /* it stands */
}

static uint64_t sent(const struct upstream_call *call)
{
    return sent_of((const struct plain_call *)call);
}

/* The head, and behind it a body that is small; of another one the pieces are sent. */
static int write_request(struct plain_call *call, const struct upstream_request *request)
{
    struct buf *out = &call->out;
    const size_t body = request->is_get ? 0 : upstream_body_size(request);
    const bool joins = body <= UPSTREAM_JOINED_MAX;
    size_t room = call->place.path.len + UPSTREAM_AUTHORITY_SIZE + 128 + (joins ? body : 0);
    *out = BUF_INIT_LIMIT(REQUEST_MAX);
    for (size_t i = 0; i < request->header_count; i++)
        room += request->headers[i].len + 2;
    if (!buf_reserve(out, room)) /* at once, so that no copy of a credential is left behind */
        return -ENOMEM;
    buf_addf(out, "%s %.*s HTTP/1.1\r\nHost: %s\r\n", request->is_get ? "GET" : "POST",
             STR_ARG(call->place.path), call->place.authority);
    for (size_t i = 0; i < request->header_count; i++) {
        struct str line = request->headers[i];
        /* A header without a value, as libcurl wants it. */
        bool is_empty = str_ends(line, STR(";")) && str_index(line, ':', 0) == line.len;
        buf_add(out, line.ptr, line.len - is_empty);
        buf_add_text(out, is_empty ? ":\r\n" : "\r\n");
    }
    if (!request->is_get)
        buf_addf(out, "Content-Length: %zu\r\n", body);
    buf_add_text(out, "\r\n");
    call->head_len = out->len;
    call->total = out->len + body;
    for (size_t i = 0; i < request->piece_count && body; i++) {
        if (joins)
            buf_add_str(out, request->pieces[i]);
        else
            call->pieces[call->piece_count++] = request->pieces[i];
    }
    return out->error;
}

static const struct upstream_way way = { .cancel = cancel, .go_on = go_on, .sent = sent };

int upstream_plain_start(struct upstream_plain *plain, const struct upstream_request *request,
                         const struct upstream_calls *calls, struct upstream_call **ret,
                         struct err *err)
{
    struct plain_call *call = calloc(1, sizeof(*call));
    if (!call)
        return err_set(err, ERR_MEMORY, STEP_PLAIN, "there is not enough memory");
    call->call.way = &way;
    call->plain = plain;
    call->calls = calls;
    call->timer.due = due;
    call->held = BUF_INIT_LIMIT(2 * (size_t)INPUT_SIZE);
    call->heard_ms = clock_passed_ms();
    call->next = plain->first;
    if (call->next)
        call->next->before = call;
    plain->first = call;
    int r =
        upstream_place_read(request->url, &call->place) ? write_request(call, request) : -EINVAL;
    call->place.path = STR(""); /* the url is the caller's */
    if (r == 0)
        r = loop_timer_set(plain->loop, &call->timer, call->heard_ms + UPSTREAM_CONNECT_MS);
    if (r < 0) {
        call_free(call);
        return err_set(err, r == -ENOMEM ? ERR_MEMORY : ERR_LIMIT, STEP_PLAIN,
                       "the request cannot be made");
    }
    call->connection = find_idle(plain, call->place.authority);
    if (call->connection) {
        call->connection->call = call;
        send_more(call);
    } else {
        open_next(call);
    }
    *ret = &call->call;
    return 0;
}

/* --- all of them ----------------------------------------------------------------------------- */

int upstream_plain_new(struct loop *loop, struct upstream_plain **ret, struct err *err)
{
    struct upstream_plain *plain = calloc(1, sizeof(*plain));
    if (!plain)
        return err_set(err, ERR_MEMORY, STEP_PLAIN, "there is not enough memory");
    plain->loop = loop;
    *ret = plain;
    return 0;
}

void upstream_plain_free(struct upstream_plain *plain)
{
    if (!plain)
        return;
    while (plain->first)
        cancel(&plain->first->call);
    while (plain->idle) {
        struct connection *connection = plain->idle;
        leave_idle(connection);
        connection_close(connection);
    }
    free(plain);
}
