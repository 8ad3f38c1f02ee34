/*
 * pump: see the header.
 *
 * Theory of operation. Small messages are copied through the pool's one buffer.
 * A read that fills the buffer announces a transfer: from then on bytes go
 * through a pipe, from socket to socket without being copied, until little
 * comes at a time. Pipes belong to the pool, and a half has one only while
 * something is in it. What a receiver does not take of a copied message is
 * held, at most one buffer's worth each way; while a half holds anything, its
 * sender is not read from, and so slows down.
 *
 * Sockets are watched edge-triggered: `readable` and `writable` stand until a
 * call has shown otherwise, and nothing is changed in the kernel's set for as
 * long as both sides live. A read that is short shows it too, unless an end or
 * urgent bytes may stand behind it (to_the_end).
 *
 * Invariants: a half reads only when it holds nothing; an end is passed on only
 * after all bytes before it; a half that holds nothing has no pipe.
 *
 * Limits: who does not read costs PUMP_BYTES here, and all of them together
 * PUMP_HELD_BYTES_MAX: whose bytes would be beyond that ends. Where no more
 * pipes are to be had, bytes are copied.
 */
#include "doors/network/pump.h"

#include <sys/socket.h>

#include "doors/network/target.h"

#define STEP_PUMP        "relay a connection"
#define BULK_BYTES_LEAST (PUMP_BYTES / 4) /* of a read, or the next one is a copy again */

struct pump_pool {
    size_t held_bytes;
    int pipes[PUMP_PIPES_MAX][2]; /* the idle ones */
    size_t idle, pipes_made;
    char buffer[PUMP_BYTES];
};

/* --- the pool ------------------------------------------------------------------------------ */

int pump_pool_new(struct pump_pool **ret, struct err *err)
{
    struct pump_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return err_set(err, ERR_MEMORY, STEP_PUMP, "there is not enough memory");
    *ret = pool;
    return 0;
}

void pump_pool_free(struct pump_pool *pool)
{
    if (!pool)
        return;
    for (size_t i = 0; i < pool->idle; i++) {
        close(pool->pipes[i][0]);
        close(pool->pipes[i][1]);
    }
    free(pool);
}

char *pump_pool_buffer(struct pump_pool *pool)
{
    return pool->buffer;
}

static bool take_pipe(struct pump_pool *pool, struct pump_half *half)
{
    if (half->pipe[0] >= 0)
        return true;
    if (pool->idle) {
        memcpy(half->pipe, pool->pipes[--pool->idle], sizeof(half->pipe));
        return true;
    }
    if (pool->pipes_made >= PUMP_PIPES_MAX || pipe2(half->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    pool->pipes_made++;
    return true;
}

/* One that still has bytes in it is of no use to another. */
static void give_pipe(struct pump_pool *pool, struct pump_half *half)
{
    if (half->pipe[0] < 0)
        return;
    if (half->in_pipe || pool->idle == PUMP_PIPES_MAX) {
        close(half->pipe[0]);
        close(half->pipe[1]);
        pool->pipes_made--;
    } else {
        memcpy(pool->pipes[pool->idle++], half->pipe, sizeof(half->pipe));
    }
    half->pipe[0] = half->pipe[1] = -1;
    half->in_pipe = 0;
}

static void drop_held(struct pump_pool *pool, struct pump_half *half)
{
    pool->held_bytes -= half->held_end;
    free(TAKE_PTR(half->held));
    half->held_at = half->held_end = 0;
}

static int hold(struct pump_pool *pool, struct pump_half *half, const char *bytes, size_t len)
{
    if (pool->held_bytes + len > PUMP_HELD_BYTES_MAX)
        return -ENOBUFS;
    half->held = malloc(len);
    if (!half->held)
        return -ENOBUFS;
    memcpy(half->held, bytes, len);
    half->held_at = 0;
    half->held_end = (uint32_t)len;
    pool->held_bytes += len;
    return 0;
}

/* --- one way ------------------------------------------------------------------------------- */

/* Each of these returns 1 where there may be more to do, 0 where not, or -ENOBUFS. */

/* What a call returned that was to write. */
static int wrote(struct pump *pump, enum pump_side from, ssize_t n)
{
    if (n >= 0) {
        if (pump->counts[from])
            use_add(pump->counts[from], (uint64_t)n);
        return 1;
    }
    if (errno == EINTR)
        return 1;
    if (errno == EAGAIN)
        pump->sockets[!from].writable = false;
    else
        pump->halves[from].broken = true;
    return 0;
}

static int deliver(struct pump *pump, enum pump_side from)
{
    struct pump_half *half = &pump->halves[from];
    struct pump_socket *to = &pump->sockets[!from];
    ssize_t n;
    int r;
    if (half->held) {
        n = send(to->fd, half->held + half->held_at, half->held_end - half->held_at, MSG_NOSIGNAL);
        r = wrote(pump, from, n);
        half->held_at += n > 0 ? (uint32_t)n : 0;
        if (half->held_at == half->held_end)
            drop_held(pump->pool, half);
        return r;
    }
    n = splice(half->pipe[0], NULL, to->fd, NULL, half->in_pipe, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    r = wrote(pump, from, n);
    half->in_pipe -= n > 0 ? (uint32_t)n : 0;
    if (!half->in_pipe)
        give_pipe(pump->pool, half);
    return r;
}

/* What a call returned that was to read. */
static int came(struct pump_socket *from, ssize_t n)
{
    if (n > 0)
        return 1;
    if (n == 0) {
        from->ended = true;
        return 1;
    }
    if (errno == EINTR)
        return 1;
    from->readable = false;
    from->gone = errno != EAGAIN;
    return 0;
}

static int copy(struct pump *pump, enum pump_side side)
{
    struct pump_half *half = &pump->halves[side];
    struct pump_socket *from = &pump->sockets[side], *to = &pump->sockets[!side];
    char *buffer = pump->pool->buffer;
    ssize_t n = recv(from->fd, buffer, PUMP_BYTES, 0);
    int r = came(from, n);
    if (n <= 0)
        return r;
    half->bulk = n == PUMP_BYTES;
    if (!half->bulk && !from->to_the_end)
        from->readable = false;
    /* The end that is to follow at once goes in the same packet. */
    int more = from->ends && !half->bulk ? MSG_MORE : 0;
    ssize_t sent = send(to->fd, buffer, (size_t)n, MSG_NOSIGNAL | more);
    r = wrote(pump, side, sent);
    if (sent == n || half->broken)
        return r;
    sent = sent > 0 ? sent : 0;
    return hold(pump->pool, half, buffer + sent, (size_t)(n - sent)) < 0 ? -ENOBUFS : r;
}

static int draw(struct pump *pump, enum pump_side side)
{
    struct pump_half *half = &pump->halves[side];
    struct pump_socket *from = &pump->sockets[side];
    ssize_t n =
        splice(from->fd, NULL, half->pipe[1], NULL, PUMP_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    int r = came(from, n);
    half->in_pipe = n > 0 ? (uint32_t)n : 0;
    if (!half->in_pipe)
        give_pipe(pump->pool, half);
    else
        half->bulk = n >= BULK_BYTES_LEAST;
    return r;
}

/*
 * The end of what one side sends is passed on; where it is the last thing that happens, closing
 * does it. The other side may be gone: that is heard of it.
 */
static void pass_end(struct pump_socket *to, const struct pump_socket *from)
{
    if (!to->ended || !from->closed)
        (void)shutdown(to->fd, SHUT_WR);
    to->closed = true;
}

static bool is_over(const struct pump *pump, enum pump_side side)
{
    return pump->halves[side].broken || pump->sockets[!side].closed;
}

static int step(struct pump *pump, enum pump_side side)
{
    struct pump_half *half = &pump->halves[side];
    struct pump_socket *from = &pump->sockets[side], *to = &pump->sockets[!side];
    if (is_over(pump, side))
        return 0;
    if (half->held || half->in_pipe)
        return to->writable ? deliver(pump, side) : 0;
    if (from->ended) {
        pass_end(to, from);
        return 0;
    }
    if (!from->readable || !to->writable)
        return 0;
    return half->bulk && take_pipe(pump->pool, half) ? draw(pump, side) : copy(pump, side);
}

static int run(struct pump *pump, enum pump_side side)
{
    int r = 1;
    for (int rounds = 0; r > 0 && rounds < PUMP_ROUNDS_MAX; rounds++)
        r = step(pump, side);
    return r;
}

/* --- both ways ----------------------------------------------------------------------------- */

static void socket_init(struct pump_socket *ret, int fd)
{
    *ret = (struct pump_socket){ .fd = fd, .writable = true };
}

void pump_init(struct pump *pump, struct pump_pool *pool, int client, int server)
{
    *pump = (struct pump){ .pool = pool };
    socket_init(&pump->sockets[PUMP_CLIENT], client);
    socket_init(&pump->sockets[PUMP_SERVER], server);
    for (size_t i = 0; i < ARRAY_LEN(pump->halves); i++)
        pump->halves[i].pipe[0] = pump->halves[i].pipe[1] = -1;
}

void pump_release(struct pump *pump)
{
    for (size_t i = 0; i < ARRAY_LEN(pump->halves); i++) {
        give_pipe(pump->pool, &pump->halves[i]);
        drop_held(pump->pool, &pump->halves[i]);
    }
}

void pump_change_pool(struct pump *pump, struct pump_pool *to)
{
    struct pump_pool *from = pump->pool;
    for (size_t i = 0; i < ARRAY_LEN(pump->halves); i++) {
        const struct pump_half *half = &pump->halves[i];
        bool has_pipe = half->pipe[0] >= 0;
        from->pipes_made -= has_pipe;
        to->pipes_made += has_pipe;
        from->held_bytes -= half->held_end;
        to->held_bytes += half->held_end;
    }
    pump->pool = to;
}

int pump_put_first(struct pump *pump, struct str bytes)
{
    return bytes.len ? hold(pump->pool, &pump->halves[PUMP_CLIENT], bytes.ptr, bytes.len) : 0;
}

void pump_hear(struct pump *pump, enum pump_side side, uint32_t events)
{
    struct pump_socket *socket = &pump->sockets[side];
    if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        socket->readable = true;
    if (events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        socket->to_the_end = true;
    socket->ends = (events & EPOLLRDHUP) && !(events & EPOLLERR);
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        socket->writable = true;
}

/*
 * A side that cannot be read is gone, and all that it had sent is delivered by then. One that only
 * takes no more may still have sent something: the other way goes on until its end.
 */
enum pump_state pump_move(struct pump *pump)
{
    int up = run(pump, PUMP_CLIENT);
    int down = run(pump, PUMP_SERVER);
    if (up < 0 || down < 0)
        return PUMP_FULL;
    if (pump->sockets[PUMP_CLIENT].gone || pump->sockets[PUMP_SERVER].gone)
        return PUMP_BROKEN;
    if (is_over(pump, PUMP_CLIENT) && is_over(pump, PUMP_SERVER))
        return pump->halves[0].broken || pump->halves[1].broken ? PUMP_BROKEN : PUMP_ENDED;
    return up || down ? PUMP_HAS_MORE : PUMP_WAITS;
}
