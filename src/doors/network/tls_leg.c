/*
 * tls_leg: see the header.
 *
 * Theory of operation. libssl, loaded when the first leg is made, has the
 * server's socket; the leg has the other end of the plain pair. Both are watched
 * edge-triggered, and whenever one of them is heard of, everything is tried that
 * could go on: the handshake, then a buffer's worth each way, until nothing
 * moves. A way that has ended is ended on the other side when its buffer is
 * empty: the plain one by shutdown, the server's by close_notify.
 *
 * Invariants: nothing is taken from the plain end before the server is known to
 * be the host that was asked for; a buffer is filled only when it is empty; a
 * leg that was let go is freed by itself, any other by its owner.
 *
 * Threats: the server is whoever answers at that address. Its certificate must
 * lead to an authority and be for the host; versions below TLS 1.2 are refused.
 *
 * Limits: two buffers of BUFFER_BYTES a leg, beside libssl's own; who does not
 * read holds the other side up.
 */
#include "doors/network/tls_leg.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/lazy.h"
#include "contract/destination.h"

#define STEP_TLS     "speak TLS to a proxy"
#define BUFFER_BYTES (16 << 10)
#define ROUNDS_MAX   64 /* of one turn: then others have theirs */
#define LEG_EVENTS   (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define WHY_BYTES    160

#define SSL_FUNCTIONS(X)                                                                           \
    X(TLS_client_method)                                                                           \
    X(SSL_CTX_new)                                                                                 \
    X(SSL_CTX_free)                                                                                \
    X(SSL_CTX_ctrl)                                                                                \
    X(SSL_CTX_set_verify)                                                                          \
    X(SSL_CTX_set_default_verify_paths)                                                            \
    X(SSL_CTX_load_verify_locations)                                                               \
    X(SSL_new)                                                                                     \
    X(SSL_free)                                                                                    \
    X(SSL_ctrl)                                                                                    \
    X(SSL_set_fd)                                                                                  \
    X(SSL_set1_host)                                                                               \
    X(SSL_get0_param)                                                                              \
    X(SSL_connect)                                                                                 \
    X(SSL_read)                                                                                    \
    X(SSL_write)                                                                                   \
    X(SSL_shutdown)                                                                                \
    X(SSL_get_error)                                                                               \
    X(SSL_get_verify_result)
#define CRYPTO_FUNCTIONS(X)                                                                        \
    X(ERR_clear_error)                                                                             \
    X(ERR_peek_last_error)                                                                         \
    X(ERR_reason_error_string)                                                                     \
    X(X509_VERIFY_PARAM_set1_ip_asc)                                                               \
    X(X509_verify_cert_error_string)
LAZY_LIBRARY(ssl, "libssl.so.3", SSL_FUNCTIONS)
LAZY_LIBRARY(crypto, "libcrypto.so.3", CRYPTO_FUNCTIONS)

struct tls_legs {
    struct loop *loop;
    SSL_CTX *context;
    LIST_HEAD(, tls_leg) all;
};

/* What one side has sent and the other has not taken yet. */
struct way {
    bool ended, passed; /* no more comes; and the other side knows */
    size_t at, end;
    char bytes[BUFFER_BYTES];
};

struct tls_leg {
    LIST_ENTRY(tls_leg) entry;
    struct tls_legs *legs;
    SSL *ssl;
    struct loop_watch server, plain;
    struct loop_timer again; /* there was more to do than one turn takes */
    bool is_shaken, is_let_go;
    bool is_left; /* nobody has the plain end any more */
    tls_leg_failed *failed;
    void *context;
    struct way up, down;
};

/* --- what legs share ------------------------------------------------------------------------ */

static int trust(SSL_CTX *context, const struct references *references, struct err *err)
{
    (void)ssl.SSL_CTX_set_default_verify_paths(context);
    for (size_t i = 0; i < references_authority_count(references); i++) {
        const char *path = references_authority(references, i).path;
        if (ssl.SSL_CTX_load_verify_locations(context, path, NULL) != 1)
            return err_set(err, ERR_IO, STEP_TLS, "%s has no certificates that can be read", path);
    }
    return 0;
}

int tls_legs_new(struct loop *loop, const struct references *references, struct tls_legs **ret,
                 struct err *err)
{
    int r = lazy_load(&ssl_library, err);
    if (r == 0)
        r = lazy_load(&crypto_library, err);
    if (r < 0)
        return r;
    struct tls_legs *legs = calloc(1, sizeof(*legs));
    SSL_CTX *context = ssl.SSL_CTX_new(ssl.TLS_client_method());
    r = legs && context ? trust(context, references, err)
                        : err_set(err, ERR_MEMORY, STEP_TLS, "there is not enough memory");
    if (r < 0) {
        if (context)
            ssl.SSL_CTX_free(context);
        free(legs);
        return r;
    }
    ssl.SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
    ssl.SSL_CTX_ctrl(context, SSL_CTRL_MODE,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                         SSL_MODE_RELEASE_BUFFERS,
                     NULL);
    ssl.SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    legs->loop = loop;
    legs->context = context;
    *ret = legs;
    return 0;
}

void tls_legs_free(struct tls_legs *legs)
{
    if (!legs)
        return;
    for (struct tls_leg *leg; (leg = LIST_FIRST(&legs->all));)
        tls_leg_free(leg);
    ssl.SSL_CTX_free(legs->context);
    free(legs);
}

/* --- the end -------------------------------------------------------------------------------- */

static void close_watched(struct loop *loop, struct loop_watch *watch)
{
    int fd = watch->fd;
    loop_watch_stop(loop, watch);
    if (fd >= 0)
        close(fd);
}

void tls_leg_free(struct tls_leg *leg)
{
    LIST_REMOVE(leg, entry);
    loop_timer_stop(leg->legs->loop, &leg->again);
    close_watched(leg->legs->loop, &leg->server);
    close_watched(leg->legs->loop, &leg->plain);
    if (leg->ssl)
        ssl.SSL_free(leg->ssl);
    explicit_bzero(&leg->up, sizeof(leg->up)); /* credentials may be in it */
    free(leg);
}

void tls_leg_let_go(struct tls_leg *leg)
{
    leg->is_let_go = true;
}

/* One side is gone, or both ways are over: nothing of the leg may be touched after this. */
static void end(struct tls_leg *leg, const char *why)
{
    if (leg->is_let_go) {
        tls_leg_free(leg);
        return;
    }
    loop_timer_stop(leg->legs->loop, &leg->again);
    close_watched(leg->legs->loop, &leg->server);
    close_watched(leg->legs->loop, &leg->plain);
    leg->failed(leg->context, why);
}

static void say_why(const struct tls_leg *leg, char ret[WHY_BYTES])
{
    long verdict = ssl.SSL_get_verify_result(leg->ssl);
    const char *reason = crypto.ERR_reason_error_string(crypto.ERR_peek_last_error());
    if (verdict != X509_V_OK)
        snprintf(ret, WHY_BYTES, "its certificate is not accepted: %s",
                 crypto.X509_verify_cert_error_string(verdict));
    else
        snprintf(ret, WHY_BYTES, "there is no TLS with it: %s",
                 reason ? reason : "it ended the connection");
}

/* --- moving --------------------------------------------------------------------------------- */

/* What libssl returned: whether it moved something; else *ret_lost where it never will. */
static bool moved(struct tls_leg *leg, int n, bool *ret_lost)
{
    if (n > 0)
        return true;
    int error = ssl.SSL_get_error(leg->ssl, n);
    *ret_lost = error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
    return false;
}

/* The same of a call on the plain end. */
static bool moved_plainly(ssize_t n, bool *ret_lost)
{
    if (n < 0)
        *ret_lost = errno != EAGAIN && errno != EINTR;
    return n > 0;
}

static bool go_up(struct tls_leg *leg, bool *ret_lost)
{
    struct way *up = &leg->up;
    bool did = false;
    if (up->at == up->end && !up->ended) {
        ssize_t n = recv(leg->plain.fd, up->bytes, sizeof(up->bytes), 0);
        did = moved_plainly(n, ret_lost);
        up->at = 0;
        up->end = did ? (size_t)n : 0;
        up->ended = n == 0;
    }
    if (up->at < up->end && !*ret_lost) {
        bool deaf = false;
        int n = ssl.SSL_write(leg->ssl, up->bytes + up->at, (int)(up->end - up->at));
        bool wrote = moved(leg, n, &deaf);
        up->at += wrote ? (size_t)n : 0;
        did = did || wrote;
        if (deaf) { /* it may have said something before that: the other way goes on */
            up->at = up->end;
            up->ended = up->passed = true;
        }
    }
    if (up->ended && up->at == up->end && !up->passed && !*ret_lost) {
        (void)ssl.SSL_shutdown(leg->ssl);
        up->passed = did = true;
    }
    return did;
}

static bool go_down(struct tls_leg *leg, bool *ret_lost)
{
    struct way *down = &leg->down;
    bool did = false;
    if (down->at == down->end && !down->ended) {
        int n = ssl.SSL_read(leg->ssl, down->bytes, sizeof(down->bytes));
        bool lost = false;
        did = moved(leg, n, &lost);
        down->at = 0;
        down->end = did ? (size_t)n : 0;
        down->ended = lost; /* with or without close_notify: no more comes */
    }
    if (down->at < down->end) {
        ssize_t n = send(leg->plain.fd, down->bytes + down->at, down->end - down->at, MSG_NOSIGNAL);
        bool sent = moved_plainly(n, ret_lost);
        down->at += sent ? (size_t)n : 0;
        did = did || sent;
    }
    if (down->ended && down->at == down->end && !down->passed) {
        (void)shutdown(leg->plain.fd, SHUT_WR);
        down->passed = did = true;
    }
    return did;
}

static void run(struct tls_leg *leg)
{
    bool lost = false, did = true;
    for (int rounds = 0; did && rounds < ROUNDS_MAX; rounds++) {
        crypto.ERR_clear_error();
        if (!leg->is_shaken) {
            char why[WHY_BYTES];
            leg->is_shaken = did = moved(leg, ssl.SSL_connect(leg->ssl), &lost);
            if (lost) {
                say_why(leg, why);
                end(leg, why);
                return;
            }
            continue;
        }
        bool up = go_up(leg, &lost);
        did = (!lost && go_down(leg, &lost)) || up;
        if (lost || (leg->up.passed && (leg->down.passed || leg->is_left))) {
            end(leg, "it ended the connection");
            return;
        }
    }
    if (did && loop_timer_set(leg->legs->loop, &leg->again, clock_passed_ms()) < 0)
        end(leg, "there is not enough memory");
}

static void hear_server(struct loop_watch *watch, uint32_t events)
{
    (void)events;
    run(LOOP_OWNER(watch, struct tls_leg, server));
}

static void hear_plain(struct loop_watch *watch, uint32_t events)
{
    struct tls_leg *leg = LOOP_OWNER(watch, struct tls_leg, plain);
    leg->is_left = leg->is_left || (events & (EPOLLHUP | EPOLLERR));
    run(leg);
}

static void go_on(struct loop_timer *timer)
{
    run(LOOP_OWNER(timer, struct tls_leg, again));
}

/* --- the beginning -------------------------------------------------------------------------- */

static int expect_host(SSL *client, const char *host)
{
    struct address_range address;
    if (address_range_read(str_from(host), &address))
        return crypto.X509_VERIFY_PARAM_set1_ip_asc(ssl.SSL_get0_param(client), host);
    char name[HOST_NAME_BYTES_MAX + 1];
    snprintf(name, sizeof(name), "%s", host);
    return ssl.SSL_ctrl(client, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name) ==
               1 &&
           ssl.SSL_set1_host(client, name) == 1;
}

int tls_leg_new(struct tls_legs *legs, int server, const char *host, tls_leg_failed *failed,
                void *context, int *ret_plain, struct tls_leg **ret)
{
    int pair[2] = { -1, -1 };
    struct tls_leg *leg = calloc(1, sizeof(*leg));
    if (!leg)
        return -ENOMEM;
    leg->legs = legs;
    leg->server = (struct loop_watch){ .fd = -1, .ready = hear_server };
    leg->plain = (struct loop_watch){ .fd = -1, .ready = hear_plain };
    leg->again.due = go_on;
    leg->failed = failed;
    leg->context = context;
    LIST_INSERT_HEAD(&legs->all, leg, entry);
    leg->ssl = ssl.SSL_new(legs->context);
    int r = leg->ssl && expect_host(leg->ssl, host) == 1 && ssl.SSL_set_fd(leg->ssl, server) == 1
                ? 0
                : -ENOMEM;
    if (r == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        r = -errno;
    if (r == 0)
        r = loop_watch(legs->loop, &leg->plain, pair[0], LEG_EVENTS);
    if (r == 0) /* also begins the handshake, from the loop */
        r = loop_timer_set(legs->loop, &leg->again, clock_passed_ms());
    if (r == 0)
        r = loop_watch(legs->loop, &leg->server, server, LEG_EVENTS);
    if (r < 0) {
        if (leg->plain.fd < 0 && pair[0] >= 0)
            close(pair[0]);
        if (pair[1] >= 0)
            close(pair[1]);
        tls_leg_free(leg);
        return r;
    }
    *ret_plain = pair[1];
    *ret = leg;
    return 0;
}
