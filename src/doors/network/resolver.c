/*
 * resolver: see the header.
 *
 * Theory of operation. What is answered is the business of answers.c; here are the sockets.
 *
 * By UDP a message comes with the address that it was sent to, and the answer is sent with that as
 * its source: where all addresses lead to us, a client that asked 8.8.8.8 takes its answer from
 * nobody else. Whatever cannot be sent at once is lost, as datagrams are.
 *
 * A client by TCP is read into a buffer that holds one query of the largest size, and each answer
 * is appended to a buffer for a few. It is written to when no whole query is left or the room has
 * run out, and read from when all is written; so a client that pipelines gets its answers in few
 * writes, and one that does not take them is not read from. It ends when it has sent its last and
 * taken its last, when it was idle for too long, and when room for another is needed.
 *
 * Invariants: a client is in the list while it lives, and the list is in the order of last use,
 * since the timer of each is set anew by what moves it to the end; a query is answered once, in the
 * order in which it came.
 *
 * Threats: slow readers and writers, and as many clients as can be made, cost RESOLVER_CLIENTS_MAX
 * times the two buffers. A socket that fails to accept because descriptors ran out is left alone
 * for a moment, so that it does not keep the loop busy.
 *
 * Limits: those of the header; DATAGRAMS_PER_CALL, ACCEPTS_PER_CALL and TURNS_PER_CALL between two
 * looks at others.
 */
#include "doors/network/resolver.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "doors/network/answers.h"

#define STEP_RESOLVER "open the resolver"

#define DATAGRAMS_PER_CALL 64
#define ACCEPTS_PER_CALL   16
#define TURNS_PER_CALL     16
#define ACCEPT_PAUSE_MS    100
#define LENGTH_BYTES       2 /* before each message by TCP */
#define CLIENT_OUT_BYTES   4096

struct udp_socket {
    struct loop_watch watch;
    struct resolver *resolver;
    int fd;
};

struct tcp_socket {
    struct loop_watch watch;
    struct loop_timer pause;
    struct resolver *resolver;
    int fd;
};

struct client {
    struct loop_watch watch;
    struct loop_timer idle;
    struct resolver *resolver;
    TAILQ_ENTRY(client) entry;
    int fd;
    uint32_t events; /* what the loop watches for */
    size_t in_len, out_len, out_sent;
    unsigned char in[LENGTH_BYTES + RESOLVER_QUERY_BYTES_MAX];
    unsigned char out[CLIENT_OUT_BYTES];
};

struct resolver {
    struct loop *loop;
    struct answers answers;
    struct udp_socket udp[RESOLVER_SOCKETS_MAX];
    struct tcp_socket tcp[RESOLVER_SOCKETS_MAX];
    size_t udp_count, tcp_count, client_count;
    TAILQ_HEAD(, client) clients; /* who was idle for the longest comes first */
};

/* --- by UDP -------------------------------------------------------------------------------- */

/* What the kernel tells of the address that was asked: room for both families. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

/* What came with a message goes with its answer, by whatever interface leads there. */
static void turn_around(struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
            ((struct in_pktinfo *)(void *)CMSG_DATA(c))->ipi_ifindex = 0;
        else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
            ((struct in6_pktinfo *)(void *)CMSG_DATA(c))->ipi6_ifindex = 0;
    }
}

/* False where there is no more to be read now. */
static bool serve_datagram(struct udp_socket *udp)
{
    unsigned char query[RESOLVER_QUERY_BYTES_MAX], answer[DNS_ANSWER_BYTES_MAX];
    struct sockaddr_storage from;
    union control control;
    struct iovec in = { query, sizeof(query) }, out = { answer, 0 };
    struct msghdr message = { .msg_name = &from,
                              .msg_namelen = sizeof(from),
                              .msg_iov = &in,
                              .msg_iovlen = 1,
                              .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    ssize_t len = recvmsg(udp->fd, &message, MSG_DONTWAIT);
    if (len < 0)
        return false;
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return true;
    out.iov_len = answers_make(&udp->resolver->answers, str_make((const char *)query, (size_t)len),
                               true, answer);
    if (!out.iov_len)
        return true;
    turn_around(&message);
    message.msg_iov = &out;
    message.msg_flags = 0;
    (void)!sendmsg(udp->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return true;
}

static void serve_udp(struct loop_watch *watch, uint32_t events)
{
    struct udp_socket *udp = LOOP_OWNER(watch, struct udp_socket, watch);
    (void)events;
    for (int i = 0; i < DATAGRAMS_PER_CALL && serve_datagram(udp); i++)
        ;
}

/* --- by TCP -------------------------------------------------------------------------------- */

static void client_free(struct client *client)
{
    struct resolver *resolver = client->resolver;
    loop_watch_stop(resolver->loop, &client->watch);
    loop_timer_stop(resolver->loop, &client->idle);
    TAILQ_REMOVE(&resolver->clients, client, entry);
    resolver->client_count--;
    close(client->fd);
    free(client);
}

static void client_was_idle(struct loop_timer *timer)
{
    client_free(LOOP_OWNER(timer, struct client, idle));
}

/* It is no longer idle: last in the list, and its time begins anew. */
static int client_use(struct client *client)
{
    struct resolver *resolver = client->resolver;
    TAILQ_REMOVE(&resolver->clients, client, entry);
    TAILQ_INSERT_TAIL(&resolver->clients, client, entry);
    return loop_timer_set(resolver->loop, &client->idle, clock_passed_ms() + RESOLVER_IDLE_MS);
}

/* Whether one more answer has room. */
static bool has_room(const struct client *client)
{
    return client->out_len + LENGTH_BYTES + DNS_ANSWER_BYTES_MAX <= sizeof(client->out);
}

/* The first query that has come wholly, with its length in front; 0: there is none. */
static size_t whole_query(const struct client *client)
{
    if (client->in_len < LENGTH_BYTES)
        return 0;
    size_t len = LENGTH_BYTES + (size_t)(client->in[0] << 8 | client->in[1]);
    return client->in_len >= len ? len : 0;
}

/* Answers what has come, while there is room. 0 or -errno. */
static int answer_queries(struct client *client)
{
    size_t len;
    while (has_room(client) && (len = whole_query(client))) {
        unsigned char *answer = client->out + client->out_len + LENGTH_BYTES;
        struct str query = str_make((const char *)client->in + LENGTH_BYTES, len - LENGTH_BYTES);
        size_t answer_len = answers_make(&client->resolver->answers, query, false, answer);
        if (!answer_len)
            return -EBADMSG;
        answer[-2] = (unsigned char)(answer_len >> 8);
        answer[-1] = (unsigned char)answer_len;
        client->out_len += LENGTH_BYTES + answer_len;
        client->in_len -= len;
        memmove(client->in, client->in + len, client->in_len);
    }
    return 0;
}

/* Sends what is answered. 0 when all of it is gone, or -errno. */
static int send_answers(struct client *client)
{
    while (client->out_sent < client->out_len) {
        ssize_t len = send(client->fd, client->out + client->out_sent,
                           client->out_len - client->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (len < 0)
            return -errno;
        client->out_sent += (size_t)len;
    }
    client->out_sent = client->out_len = 0;
    return client_use(client);
}

/* Reads what there is room for. 0, or -errno. */
static int receive(struct client *client)
{
    if (client->in_len == sizeof(client->in)) /* and no query, which it never will be */
        return -EMSGSIZE;
    ssize_t len = recv(client->fd, client->in + client->in_len, sizeof(client->in) - client->in_len,
                       MSG_DONTWAIT);
    client->in_len += len > 0 ? (size_t)len : 0;
    return len < 0 ? -errno : len == 0 ? -EPIPE : 0;
}

/*
 * Takes turns at answering, sending and receiving. -EAGAIN where it must wait, or why it ends; one
 * that sends no more has had all its answers by then, as it is read from only when there are none.
 */
static int take_turns(struct client *client)
{
    int r = 0;
    for (int turns = 0; turns < TURNS_PER_CALL && r == 0; turns++) {
        r = answer_queries(client);
        if (r == 0)
            r = client->out_len ? send_answers(client) : receive(client);
    }
    return r;
}

static void serve_client(struct loop_watch *watch, uint32_t events)
{
    struct client *client = LOOP_OWNER(watch, struct client, watch);
    int r = take_turns(client);
    /* Where it is not the client that is waited for: what can be written to is called at once. */
    events = r == 0 || client->out_len ? EPOLLOUT : EPOLLIN;
    if (r == 0 || r == -EAGAIN)
        r = events == client->events ? 0 : loop_watch_change(client->resolver->loop, watch, events);
    client->events = events;
    if (r < 0)
        client_free(client);
}

static void client_new(struct resolver *resolver, int fd)
{
    struct client *client = malloc(sizeof(*client));
    if (!client) {
        close(fd);
        return;
    }
    /* Not the buffers, which are much larger than what is ever used of most. */
    memset(client, 0, offsetof(struct client, in));
    client->watch = (struct loop_watch){ .fd = -1, .ready = serve_client };
    client->idle = (struct loop_timer){ .due = client_was_idle };
    client->resolver = resolver;
    client->fd = fd;
    client->events = EPOLLIN;
    TAILQ_INSERT_TAIL(&resolver->clients, client, entry);
    resolver->client_count++;
    if (client_use(client) < 0 || loop_watch(resolver->loop, &client->watch, fd, EPOLLIN) < 0)
        client_free(client);
    else if (resolver->client_count > RESOLVER_CLIENTS_MAX)
        client_free(TAILQ_FIRST(&resolver->clients));
}

static void accept_again(struct loop_timer *timer)
{
    struct tcp_socket *tcp = LOOP_OWNER(timer, struct tcp_socket, pause);
    struct loop *loop = tcp->resolver->loop;
    if (loop_watch(loop, &tcp->watch, tcp->fd, EPOLLIN) < 0)
        (void)!loop_timer_set(loop, timer, clock_passed_ms() + ACCEPT_PAUSE_MS);
}

static void serve_tcp(struct loop_watch *watch, uint32_t events)
{
    struct tcp_socket *tcp = LOOP_OWNER(watch, struct tcp_socket, watch);
    struct loop *loop = tcp->resolver->loop;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_CALL; i++) {
        int fd = accept4(tcp->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            client_new(tcp->resolver, fd);
            continue;
        }
        bool has_run_out =
            errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        if (has_run_out &&
            loop_timer_set(loop, &tcp->pause, clock_passed_ms() + ACCEPT_PAUSE_MS) == 0)
            loop_watch_stop(loop, watch);
        return;
    }
}

/* --- the whole ----------------------------------------------------------------------------- */

static int set_option(int fd, int level, int option)
{
    return setsockopt(fd, level, option, &(int){ 1 }, sizeof(int)) < 0 ? -errno : 0;
}

/* An IPv6 address that is routed to us, but not configured, is a source only with FREEBIND. */
static int open_udp(struct udp_socket *udp, int fd)
{
    int family;
    socklen_t len = sizeof(family);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0)
        return -errno;
    bool is_ipv6 = family == AF_INET6;
    int r = is_ipv6 ? set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO)
                    : set_option(fd, IPPROTO_IP, IP_PKTINFO);
    if (r == 0 && is_ipv6)
        r = set_option(fd, IPPROTO_IPV6, IPV6_FREEBIND);
    return r < 0 ? r : loop_watch(udp->resolver->loop, &udp->watch, fd, EPOLLIN);
}

/* Those who are accepted inherit that answers are not kept back for more. */
static int open_tcp(struct tcp_socket *tcp, int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    int r = set_option(fd, IPPROTO_TCP, TCP_NODELAY);
    return r < 0 ? r : loop_watch(tcp->resolver->loop, &tcp->watch, fd, EPOLLIN);
}

static int open_sockets(struct resolver *resolver, const struct resolver_options *options)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < options->udp_count; i++) {
        struct udp_socket *udp = &resolver->udp[resolver->udp_count++];
        *udp = (struct udp_socket){ { .fd = -1, .ready = serve_udp }, resolver, options->udp[i] };
        r = open_udp(udp, udp->fd);
    }
    for (size_t i = 0; r == 0 && i < options->tcp_count; i++) {
        struct tcp_socket *tcp = &resolver->tcp[resolver->tcp_count++];
        *tcp = (struct tcp_socket){
            { .fd = -1, .ready = serve_tcp }, { .due = accept_again }, resolver, options->tcp[i]
        };
        r = open_tcp(tcp, tcp->fd);
    }
    return r;
}

/* Stops all, and closes the descriptors where they are the resolver's. */
static void free_all(struct resolver *resolver, bool closes)
{
    struct client *client;
    while ((client = TAILQ_FIRST(&resolver->clients)))
        client_free(client);
    for (size_t i = 0; i < resolver->udp_count; i++) {
        loop_watch_stop(resolver->loop, &resolver->udp[i].watch);
        if (closes)
            close(resolver->udp[i].fd);
    }
    for (size_t i = 0; i < resolver->tcp_count; i++) {
        loop_watch_stop(resolver->loop, &resolver->tcp[i].watch);
        loop_timer_stop(resolver->loop, &resolver->tcp[i].pause);
        if (closes)
            close(resolver->tcp[i].fd);
    }
    free(resolver);
}

int resolver_new(const struct resolver_options *options, struct resolver **ret, struct err *err)
{
    if (options->udp_count > RESOLVER_SOCKETS_MAX || options->tcp_count > RESOLVER_SOCKETS_MAX)
        return err_set(err, ERR_LIMIT, STEP_RESOLVER, "more than %d sockets of a kind",
                       RESOLVER_SOCKETS_MAX);
    struct resolver *resolver = calloc(1, sizeof(*resolver));
    if (!resolver)
        return err_set(err, ERR_MEMORY, STEP_RESOLVER, "there is not enough memory");
    resolver->loop = options->loop;
    TAILQ_INIT(&resolver->clients);
    resolver->answers = (struct answers){ options->asks, options->names };
    int r = open_sockets(resolver, options);
    if (r < 0) {
        free_all(resolver, false);
        return err_set_errno(err, -r, STEP_RESOLVER, "a socket cannot be served");
    }
    *ret = resolver;
    return 0;
}

void resolver_free(struct resolver *resolver)
{
    if (resolver)
        free_all(resolver, true);
}
