/*
 * net_ask: names, asked of each configured server by itself.
 *
 * Theory of operation. One channel of c-ares for each server, so that each
 * answers for itself; all are served by one poll, until every question has an
 * answer or has run out of time. c-ares alone reads what servers send; of its
 * findings addresses and a status are taken.
 *
 * What is asked: the names that may be asked, and the names of hosts and pages
 * whose address no layer says.
 */
#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>

#include "base/clock.h"
#include "base/lazy.h"
#include "doctor/net_probe.h"

#define STEP_ASK    "ask the name servers"
#define SOCKETS_MAX 256

#define ARES_FUNCTIONS(X)                                                                          \
    X(ares_library_init)                                                                           \
    X(ares_init_options)                                                                           \
    X(ares_set_servers_ports_csv)                                                                  \
    X(ares_destroy)                                                                                \
    X(ares_getaddrinfo)                                                                            \
    X(ares_freeaddrinfo)                                                                           \
    X(ares_timeout)                                                                                \
    X(ares_process_fd)
LAZY_LIBRARY(ares, "libcares.so.2", ARES_FUNCTIONS)

struct asking;

struct server {
    struct asking *asking;
    ares_channel channel;
    char text[NET_ADDRESS_TEXT];
};

struct asking {
    struct server servers[RESOLV_SERVERS_MAX];
    size_t server_count, waiting;
    struct pollfd sockets[SOCKETS_MAX];
    struct server *of[SOCKETS_MAX];
    size_t socket_count;
    const struct net_targets *targets;
    struct net_found *found;
    struct net_record *record;
};

struct question {
    struct server *server;
    const char *name;
    int64_t began_ms;
};

static const struct {
    int status, error;
    const char *text;
} answers[] = {
    { ARES_SUCCESS, 0, "answered" },
    { ARES_ENODATA, 0, "answered, without an address" },
    { ARES_ENOTFOUND, ENOENT, "there is no such name" },
    { ARES_ETIMEOUT, ETIMEDOUT, "no answer" },
    { ARES_ECONNREFUSED, ECONNREFUSED, "nobody listens there, or there is no way to it" },
    { ARES_ESERVFAIL, EIO, "the server could not find out" },
    { ARES_EREFUSED, EACCES, "the server refuses to answer" },
    { -1, EIO, "no usable answer" },
};

/* --- answers -------------------------------------------------------------------------------- */

static void take_address(const struct ares_addrinfo_node *node, struct net_found *found)
{
    struct net_address address = { .family = (uint8_t)node->ai_family };
    const struct sockaddr *socket_address = node->ai_addr;
    if (found->count == ARRAY_LEN(found->addresses))
        return;
    if (node->ai_family == AF_INET)
        memcpy(address.bytes, &((const struct sockaddr_in *)(const void *)socket_address)->sin_addr,
               4);
    else if (node->ai_family == AF_INET6)
        memcpy(address.bytes,
               &((const struct sockaddr_in6 *)(const void *)socket_address)->sin6_addr, 16);
    else
        return;
    found->addresses[found->count++] = address;
}

/* The first server that has addresses for a name is the one that counts. */
static void take_addresses(const struct asking *asking, const char *name,
                           const struct ares_addrinfo *info)
{
    for (size_t i = 0; i < asking->targets->count; i++) {
        struct net_found *found = &asking->found[i];
        if (strcmp(found->host, name) != 0 || found->count)
            continue;
        for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
            take_address(node, found);
    }
}

static void settle(void *context, int status, int timeouts, struct ares_addrinfo *info)
{
    _cleanup_(cleanup_free) struct question *question = context;
    struct asking *asking = question->server->asking;
    char name[NET_NAME_MAX];
    size_t i = 0;
    (void)timeouts;
    while (answers[i].status != status && answers[i].status != -1)
        i++;
    snprintf(name, sizeof(name), "%s %s", question->server->text, question->name);
    struct net_item *item = net_record_add(asking->record, NET_QUERY, name, answers[i].error,
                                           str_from(answers[i].text));
    item->took_ms = clock_passed_ms() - question->began_ms;
    if (info) {
        take_addresses(asking, question->name, info);
        ares.ares_freeaddrinfo(info);
    }
    asking->waiting--;
}

/* --- sockets -------------------------------------------------------------------------------- */

static void watch(void *context, ares_socket_t fd, int readable, int writable)
{
    struct server *server = context;
    struct asking *asking = server->asking;
    size_t i = 0;
    while (i < asking->socket_count && asking->sockets[i].fd != fd)
        i++;
    if (i == SOCKETS_MAX)
        return; /* no answer comes by it, and c-ares gives up in time */
    asking->sockets[i] =
        (struct pollfd){ .fd = fd,
                         .events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0)) };
    asking->of[i] = server;
    asking->socket_count += i == asking->socket_count;
    if (readable || writable)
        return;
    asking->socket_count--;
    asking->sockets[i] = asking->sockets[asking->socket_count];
    asking->of[i] = asking->of[asking->socket_count];
}

/* How long the first of c-ares's timers has left. */
static int time_left(const struct asking *asking)
{
    int64_t least = NET_QUERY_MS;
    for (size_t i = 0; i < asking->server_count; i++) {
        struct timeval left;
        if (!ares.ares_timeout(asking->servers[i].channel, NULL, &left))
            continue;
        int64_t ms = left.tv_sec * 1000 + left.tv_usec / 1000 + 1;
        least = ms < least ? ms : least;
    }
    return (int)least;
}

static void serve(struct asking *asking)
{
    int64_t end = clock_passed_ms() + (int64_t)NET_QUERY_MS * NET_QUERIES * 2;
    while (asking->waiting && clock_passed_ms() < end) {
        int n = poll(asking->sockets, asking->socket_count, time_left(asking));
        for (size_t i = 0; n > 0 && i < asking->socket_count; i++) {
            struct pollfd ready = asking->sockets[i];
            asking->sockets[i].revents = 0;
            if (ready.revents) /* which may move the others: they are looked at again */
                ares.ares_process_fd(asking->of[i]->channel,
                                     ready.revents & ~POLLOUT ? ready.fd : ARES_SOCKET_BAD,
                                     ready.revents & POLLOUT ? ready.fd : ARES_SOCKET_BAD);
        }
        for (size_t i = 0; i < asking->server_count; i++)
            ares.ares_process_fd(asking->servers[i].channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
}

/* --- questions ------------------------------------------------------------------------------ */

static int open_server(struct asking *asking, const struct net_address *address)
{
    struct server *server = &asking->servers[asking->server_count];
    char lookups[] = "b", csv[NET_ADDRESS_TEXT + 2];
    struct ares_options options = { .timeout = NET_QUERY_MS,
                                    .tries = NET_QUERIES,
                                    .lookups = lookups,
                                    .sock_state_cb = watch,
                                    .sock_state_cb_data = server };
    *server = (struct server){ .asking = asking };
    net_address_text(address, server->text);
    snprintf(csv, sizeof(csv), address->family == AF_INET6 ? "[%s]" : "%s", server->text);
    if (ares.ares_init_options(&server->channel, &options,
                               ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                                   ARES_OPT_DOMAINS | ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
        return -EIO;
    asking->server_count++;
    return ares.ares_set_servers_ports_csv(server->channel, csv) == ARES_SUCCESS ? 0 : -EIO;
}

static void ask(struct asking *asking, const char *name)
{
    static const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC,
                                                      .ai_flags = ARES_AI_NOSORT };
    for (size_t i = 0; i < asking->server_count; i++) {
        struct question *question = malloc(sizeof(*question));
        if (!question)
            return;
        *question = (struct question){ &asking->servers[i], name, clock_passed_ms() };
        asking->waiting++;
        ares.ares_getaddrinfo(asking->servers[i].channel, name, NULL, &hints, settle, question);
    }
}

/* Whether a target before this one asks for the same name. */
static bool is_asked_before(const struct asking *asking, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (!asking->targets->rows[i].address_count &&
            strcmp(asking->found[i].host, asking->found[index].host) == 0)
            return true;
    return false;
}

int net_ask_names(const struct net_targets *targets, const struct resolv *resolv,
                  struct net_record *record, struct net_found *found, struct err *err)
{
    struct err why = { 0 };
    _cleanup_(cleanup_free) struct asking *asking = calloc(1, sizeof(*asking));
    if (!asking)
        return err_set(err, ERR_MEMORY, STEP_ASK, "there is not enough memory");
    asking->targets = targets;
    asking->found = found;
    asking->record = record;
    size_t names = 0;
    for (size_t i = 0; i < targets->count; i++)
        names += !targets->rows[i].address_count;
    if (!names || !resolv->server_count)
        return 0;
    if (lazy_load(&ares_library, &why) < 0 ||
        ares.ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        net_record_add(record, NET_QUERY, "libcares", EOPNOTSUPP,
                       str_from(why.cause[0] ? why.cause : "c-ares cannot be used"));
        return 0;
    }
    int r = 0;
    for (size_t i = 0; i < resolv->server_count && r == 0; i++)
        r = open_server(asking, &resolv->servers[i]);
    for (size_t i = 0; i < targets->count && r == 0; i++)
        if (!targets->rows[i].address_count && !is_asked_before(asking, i))
            ask(asking, found[i].host);
    serve(asking);
    for (size_t i = 0; i < asking->server_count; i++) /* what waits still is settled by this */
        ares.ares_destroy(asking->servers[i].channel);
    return r < 0 ? err_set(err, ERR_IO, STEP_ASK, "c-ares cannot be set up") : 0;
}
