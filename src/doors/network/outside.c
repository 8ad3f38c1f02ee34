/*
 * outside: see the header.
 *
 * Theory of operation. c-ares asks; it is loaded when the first question comes, since most runs
 * never have one. It tells which of its sockets wait for what, and they are watched in the loop; it
 * tells for how long, and that is one timer. When the host's configuration of name servers has
 * changed, it is opened anew as soon as nothing is asked.
 *
 * Who asks for a name has a query. A name that is asked for, or whose addresses are remembered, is
 * a question; all queries for one name wait for one question. When it is settled its queries are
 * finished, and the timer, due at once, calls them one after the other: so nobody is called from
 * within what it calls itself, nor from within c-ares. Addresses are remembered for as long as
 * their records say, within bounds, in a place that the name's hash says: another name that has the
 * same place takes it.
 *
 *     outside_resolve ─▶ question asked ─▶ settled ─▶ queries finished ─▶ done
 *                    └▶ question kept ─────────────────────┘
 *
 * Invariants: a question lives while it is asked, kept, or has queries (`references`); a query is
 * in its question's list of those who wait, or in the list of the finished; the timer is always
 * set, so that setting it anew cannot fail.
 *
 * Threats: what servers answer is hostile, and read by c-ares alone; of what it makes of that, the
 * first OUTSIDE_ADDRESSES_MAX addresses are passed on, whoever connects asks whether it may. IPv4
 * addresses in IPv6's form are passed on as IPv4. Search domains are not used: a name is that name.
 *
 * Limits: those of the header; TRIES times TIMEOUT_MS, doubled each time, for each server.
 */
#include "doors/network/outside.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/lazy.h"
#include "base/map.h"

#define TIMEOUT_MS    2000
#define TRIES         3
#define KEPT_MS_MIN   1000    /* also what /etc/hosts says, which has no term */
#define REST_MS       3600000 /* the timer's, while there is nothing to do */
#define CONFIGURATION "/etc/resolv.conf"

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

struct outside_query {
    TAILQ_ENTRY(outside_query) entry;
    struct question *question;
    bool is_finished;
    outside_done *done;
    void *context;
};
TAILQ_HEAD(queries, outside_query);

struct question {
    LIST_ENTRY(question) entry; /* while it is asked */
    struct outside *outside;
    unsigned references;
    uint64_t hash; /* of the name */
    char name[HOST_NAME_BYTES_MAX + 1];
    struct queries waiting;
    bool is_settled; /* and this is how: */
    int r;
    int64_t end_ms; /* of what is kept */
    size_t count;
    struct address_range addresses[OUTSIDE_ADDRESSES_MAX];
};

/* A socket of c-ares. */
struct ares_socket {
    LIST_ENTRY(ares_socket) entry;
    struct loop_watch watch;
    struct outside *outside;
};

struct outside {
    struct loop *loop;
    struct loop_timer timer;
    ares_channel channel;   /* NULL: it is not open */
    char *servers;          /* NULL: the host's */
    struct stat configured; /* what it was opened with */
    LIST_HEAD(, ares_socket) sockets;
    LIST_HEAD(, question) asked;
    struct question *kept[OUTSIDE_KEPT_MAX];
    struct queries finished;
    size_t asked_count, query_count, finished_count;
};

static void arm(struct outside *outside);

/* --- errors -------------------------------------------------------------------------------- */

static const struct problem {
    int status, error_number; /* c-ares's, and ours */
    const char *text;
} problems[] = {
    { ARES_ENOTFOUND, ENOENT, "there is no such name" },
    { ARES_ENODATA, ENODATA, "the name has no address" },
    { ARES_ETIMEOUT, ETIMEDOUT, "no name server has answered in time" },
    { ARES_ECONNREFUSED, ECONNREFUSED, "no name server gives an answer" },
    { ARES_EREFUSED, ECONNREFUSED, "no name server gives an answer" },
    { ARES_ESERVFAIL, ECONNREFUSED, "no name server gives an answer" },
    { ARES_ENOMEM, ENOMEM, "there is not enough memory" },
    { -1, EBUSY, "too many names are asked for" },
    { -1, EOPNOTSUPP, "libcares.so.2 cannot be loaded; `./dev setup` installs it" },
    { -1, EIO, "the name cannot be resolved" },
};
#define PROBLEM_OTHER (&problems[ARRAY_LEN(problems) - 1])

static int error_of(int status)
{
    const struct problem *problem = problems;
    while (problem < PROBLEM_OTHER && problem->status != status)
        problem++;
    return -problem->error_number;
}

const char *outside_text(int r)
{
    const struct problem *problem = problems;
    while (problem < PROBLEM_OTHER && problem->error_number != -r)
        problem++;
    return problem->text;
}

/* --- questions ----------------------------------------------------------------------------- */

static void question_unref(struct question *question)
{
    if (!--question->references)
        free(question);
}

static bool is_for(const struct question *question, const char *name, uint64_t hash)
{
    return question->hash == hash && strcmp(question->name, name) == 0;
}

/* A question that is asked, or whose answer is still good; NULL: there is none. */
static struct question *find(const struct outside *outside, const char *name, uint64_t hash)
{
    struct question *question = outside->kept[hash % OUTSIDE_KEPT_MAX];
    if (question && is_for(question, name, hash) && clock_passed_ms() < question->end_ms)
        return question;
    question = LIST_FIRST(&outside->asked);
    while (question && !is_for(question, name, hash))
        question = LIST_NEXT(question, entry);
    return question;
}

static void keep(struct outside *outside, struct question *question)
{
    struct question **place = &outside->kept[question->hash % OUTSIDE_KEPT_MAX];
    if (*place)
        question_unref(*place);
    *place = question;
    question->references++;
}

static void finish(struct outside_query *query)
{
    struct outside *outside = query->question->outside;
    TAILQ_INSERT_TAIL(&outside->finished, query, entry);
    outside->finished_count++;
    query->is_finished = true;
}

static bool read_address(const struct sockaddr *from, struct address_range *ret)
{
    const struct sockaddr_in *ipv4 = (const void *)from;
    const struct sockaddr_in6 *ipv6 = (const void *)from;
    const void *address =
        from->sa_family == AF_INET ? (const void *)&ipv4->sin_addr : &ipv6->sin6_addr;
    char text[INET6_ADDRSTRLEN];
    return inet_ntop(from->sa_family, address, text, sizeof(text)) &&
           address_range_read(str_from(text), ret);
}

/* Of what c-ares has found: what can be passed on, and for how long it is good. */
static void take_addresses(struct question *question, const struct ares_addrinfo *found)
{
    int64_t kept_ms = OUTSIDE_KEPT_MS;
    const struct ares_addrinfo_node *node = found->nodes;
    for (; node && question->count < OUTSIDE_ADDRESSES_MAX; node = node->ai_next) {
        if (read_address(node->ai_addr, &question->addresses[question->count]))
            question->count++;
        if (node->ai_ttl * INT64_C(1000) < kept_ms)
            kept_ms = node->ai_ttl * INT64_C(1000);
    }
    question->end_ms = clock_passed_ms() + (kept_ms < KEPT_MS_MIN ? KEPT_MS_MIN : kept_ms);
}

/* c-ares's word on a question that was asked; also from within asking. */
static void settle(void *context, int status, int timeouts, struct ares_addrinfo *found)
{
    struct question *question = context;
    struct outside *outside = question->outside;
    struct outside_query *query;
    (void)timeouts;
    if (status == ARES_SUCCESS) {
        take_addresses(question, found);
        ares.ares_freeaddrinfo(found);
        status = question->count ? ARES_SUCCESS : ARES_ENODATA;
    }
    question->r = status == ARES_SUCCESS ? 0 : error_of(status);
    question->is_settled = true;
    if (question->r == 0)
        keep(outside, question);
    while ((query = TAILQ_FIRST(&question->waiting))) {
        TAILQ_REMOVE(&question->waiting, query, entry);
        finish(query);
    }
    LIST_REMOVE(question, entry);
    outside->asked_count--;
    question_unref(question);
}

/* --- c-ares in the loop -------------------------------------------------------------------- */

static void socket_ready(struct loop_watch *watch, uint32_t events)
{
    struct outside *outside = LOOP_OWNER(watch, struct ares_socket, watch)->outside;
    int fd = watch->fd; /* which may be closed within */
    ares.ares_process_fd(outside->channel, events & ~(uint32_t)EPOLLOUT ? fd : ARES_SOCKET_BAD,
                         events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
    arm(outside);
}

/* Of a socket that cannot be watched no answer comes, and c-ares gives up in time. */
static void watch_socket(void *context, ares_socket_t fd, int readable, int writable)
{
    struct outside *outside = context;
    struct ares_socket *socket = LIST_FIRST(&outside->sockets);
    uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
    while (socket && socket->watch.fd != fd)
        socket = LIST_NEXT(socket, entry);
    if (socket && events) {
        (void)!loop_watch_change(outside->loop, &socket->watch, events);
    } else if (socket) {
        loop_watch_stop(outside->loop, &socket->watch);
        LIST_REMOVE(socket, entry);
        free(socket);
    } else if (events && (socket = malloc(sizeof(*socket)))) {
        *socket = (struct ares_socket){ .watch = { .ready = socket_ready }, .outside = outside };
        if (loop_watch(outside->loop, &socket->watch, fd, events) < 0)
            free(socket);
        else
            LIST_INSERT_HEAD(&outside->sockets, socket, entry);
    }
}

static void close_channel(struct outside *outside)
{
    if (outside->channel)
        ares.ares_destroy(outside->channel);
    outside->channel = NULL;
}

static int open_channel(struct outside *outside)
{
    char lookups[] = "fb"; /* the file of hosts, then name servers */
    struct ares_options options = { .timeout = TIMEOUT_MS,
                                    .tries = TRIES,
                                    .lookups = lookups,
                                    .ndomains = 0,
                                    .sock_state_cb = watch_socket,
                                    .sock_state_cb_data = outside };
    int r = lazy_load(&ares_library, NULL);
    if (r < 0)
        return r;
    if (ares.ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS ||
        ares.ares_init_options(&outside->channel, &options,
                               ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                                   ARES_OPT_DOMAINS | ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS) {
        outside->channel = NULL;
        return -EIO;
    }
    if (outside->servers &&
        ares.ares_set_servers_ports_csv(outside->channel, outside->servers) != ARES_SUCCESS) {
        close_channel(outside);
        return -EIO;
    }
    return 0;
}

/* Opens it, anew where the host's configuration is not the one that it was opened with. */
static int prepare_channel(struct outside *outside)
{
    struct stat now = { 0 };
    const struct stat *then = &outside->configured;
    (void)!stat(CONFIGURATION, &now);
    bool is_same = now.st_dev == then->st_dev && now.st_ino == then->st_ino &&
                   now.st_mtim.tv_sec == then->st_mtim.tv_sec &&
                   now.st_mtim.tv_nsec == then->st_mtim.tv_nsec;
    if (outside->channel && !is_same && !outside->asked_count)
        close_channel(outside);
    if (outside->channel)
        return 0;
    outside->configured = now;
    return open_channel(outside);
}

/* --- time ---------------------------------------------------------------------------------- */

/* Sets the timer for what is to be done next. It is set already, so that this needs no memory. */
static void arm(struct outside *outside)
{
    struct timeval left;
    int64_t now = clock_passed_ms(), due = now + REST_MS;
    if (outside->finished_count)
        due = now;
    else if (outside->asked_count && ares.ares_timeout(outside->channel, NULL, &left))
        due = now + left.tv_sec * 1000 + left.tv_usec / 1000 + 1;
    int r = loop_timer_set(outside->loop, &outside->timer, due);
    assert(r == 0);
    (void)r;
}

static void query_free(struct outside_query *query)
{
    struct question *question = query->question;
    struct outside *outside = question->outside;
    TAILQ_REMOVE(query->is_finished ? &outside->finished : &question->waiting, query, entry);
    outside->finished_count -= query->is_finished;
    outside->query_count--;
    question_unref(question);
    free(query);
}

/* Calls those who are finished now; who asks anew within is called the next time. */
static void tell(struct outside *outside)
{
    struct outside_query *query;
    for (size_t left = outside->finished_count; left && (query = TAILQ_FIRST(&outside->finished));
         left--) {
        struct question *question = query->question;
        outside_done *done = query->done;
        void *context = query->context;
        question->references++;
        query_free(query);
        done(context, question->r, question->addresses, question->count);
        question_unref(question);
    }
}

static void is_due(struct loop_timer *timer)
{
    struct outside *outside = LOOP_OWNER(timer, struct outside, timer);
    arm(outside);
    if (outside->asked_count)
        ares.ares_process_fd(outside->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    tell(outside);
    arm(outside);
}

/* --- the whole ----------------------------------------------------------------------------- */

int outside_new(struct loop *loop, struct outside **ret, struct err *err)
{
    struct outside *outside = calloc(1, sizeof(*outside));
    if (!outside)
        return err_set(err, ERR_MEMORY, "resolve names", "there is not enough memory");
    outside->loop = loop;
    outside->timer.due = is_due;
    LIST_INIT(&outside->sockets);
    LIST_INIT(&outside->asked);
    TAILQ_INIT(&outside->finished);
    int r = loop_timer_set(loop, &outside->timer, clock_passed_ms() + REST_MS);
    if (r < 0) {
        free(outside);
        return err_set_errno(err, -r, "resolve names", "no timer can be set");
    }
    *ret = outside;
    return 0;
}

void outside_free(struct outside *outside)
{
    struct question *question;
    struct outside_query *query;
    if (!outside)
        return;
    for (question = LIST_FIRST(&outside->asked); question; question = LIST_NEXT(question, entry))
        while ((query = TAILQ_FIRST(&question->waiting)))
            query_free(query);
    while ((query = TAILQ_FIRST(&outside->finished)))
        query_free(query);
    close_channel(outside); /* which settles what is asked, for nobody */
    for (size_t i = 0; i < OUTSIDE_KEPT_MAX; i++)
        if (outside->kept[i])
            question_unref(outside->kept[i]);
    loop_timer_stop(outside->loop, &outside->timer);
    free(outside->servers);
    free(outside);
}

int outside_set_servers(struct outside *outside, const char *servers)
{
    char *copy = strdup(servers);
    if (!copy)
        return -ENOMEM;
    free(outside->servers);
    outside->servers = copy;
    return 0;
}

/* Asks for a name for which there is no question. */
static int ask(struct outside *outside, const char *name, uint64_t hash, struct question **ret)
{
    static const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC,
                                                      .ai_socktype = SOCK_STREAM };
    if (outside->asked_count == OUTSIDE_ASKED_MAX)
        return -EBUSY;
    int r = prepare_channel(outside);
    if (r < 0)
        return r;
    struct question *question = calloc(1, sizeof(*question));
    if (!question)
        return -ENOMEM;
    question->outside = outside;
    question->hash = hash;
    question->references = 2; /* that it is asked, and the caller's */
    snprintf(question->name, sizeof(question->name), "%s", name);
    TAILQ_INIT(&question->waiting);
    LIST_INSERT_HEAD(&outside->asked, question, entry);
    outside->asked_count++;
    ares.ares_getaddrinfo(outside->channel, name, NULL, &hints, settle, question);
    *ret = question;
    return 0;
}

int outside_resolve(struct outside *outside, const char *name, outside_done *done, void *context,
                    struct outside_query **ret)
{
    uint64_t hash = hash_bytes(name, strlen(name));
    if (outside->query_count == OUTSIDE_QUERIES_MAX)
        return -EBUSY;
    struct outside_query *query = calloc(1, sizeof(*query));
    if (!query)
        return -ENOMEM;
    struct question *question = find(outside, name, hash);
    if (question)
        question->references++;
    int r = question ? 0 : ask(outside, name, hash, &question);
    if (r < 0) {
        free(query);
        return r;
    }
    query->question = question;
    query->done = done;
    query->context = context;
    outside->query_count++;
    if (question->is_settled)
        finish(query);
    else
        TAILQ_INSERT_TAIL(&question->waiting, query, entry);
    arm(outside);
    *ret = query;
    return 0;
}

void outside_cancel(struct outside_query *query)
{
    query_free(query);
}
