/*
 * race: see the header.
 *
 * Theory of operation. Addresses are put in their order once: families by
 * turns, beginning with that of the first, since who resolved them put it
 * there. Each becomes a runner, a socket that is connecting. The next one
 * starts when the stagger's time has come or when none runs any more. The end
 * is one place, which stops all others before anybody is told.
 *
 * Invariants: at most RACE_ADDRESSES_MAX sockets, all closed but the winner's;
 * the winner's watch has the first's socket until it fails or another wins;
 * while runners run, the stagger is set or no address is left.
 */
#include "doors/network/race.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/clock.h"

static void forget(struct race *race, struct loop_watch *watch)
{
    int fd = watch->fd;
    loop_watch_stop(race->loop, watch);
    if (fd >= 0)
        close(fd);
}

static void stop_runners(struct race *race)
{
    loop_timer_stop(race->loop, &race->stagger);
    for (size_t i = 1; i < race->next; i++)
        forget(race, &race->runners[i].watch);
}

void race_stop(struct race *race)
{
    if (!race->loop)
        return;
    stop_runners(race);
    forget(race, race->winner);
    race->loop = NULL;
}

/* Families by turns: RFC 8305, section 4. */
static void order(struct race *race, const struct address_range *addresses, size_t count)
{
    bool used[RACE_ADDRESSES_MAX] = { false };
    bool wanted = count && addresses[0].is_ipv6;
    for (race->count = 0; race->count < count; race->count++) {
        size_t i = 0;
        while (i < count && (used[i] || addresses[i].is_ipv6 != wanted))
            i++;
        for (size_t any = 0; i == count; any++)
            i = used[any] ? i : any;
        used[i] = true;
        race->addresses[race->count] = addresses[i];
        wanted = !addresses[i].is_ipv6;
    }
}

/* On the way to this host itself nothing is congested, and nothing is paced. */
static bool is_loopback(const struct address_range *address)
{
    static const unsigned char ipv6[16] = { [15] = 1 };
    return address->is_ipv6 ? memcmp(address->address, ipv6, sizeof(ipv6)) == 0
                            : address->address[0] == 127;
}

static int dial(const struct address_range *address, uint16_t port, bool speaks_first)
{
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } to = { 0 };
    socklen_t len = address->is_ipv6 ? sizeof(to.ipv6) : sizeof(to.ipv4);
    int zero = 0, one = 1;
    if (address->is_ipv6) {
        to.ipv6.sin6_family = AF_INET6;
        to.ipv6.sin6_port = htons(port);
        memcpy(&to.ipv6.sin6_addr, address->address, sizeof(to.ipv6.sin6_addr));
    } else {
        to.ipv4.sin_family = AF_INET;
        to.ipv4.sin_port = htons(port);
        memcpy(&to.ipv4.sin_addr, address->address, sizeof(to.ipv4.sin_addr));
    }
    _cleanup_(cleanup_close) int fd =
        socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (is_loopback(address))
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", strlen("reno"));
    /* What is sent as soon as there is a connection also completes it: one packet less. */
    if (speaks_first)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &zero, sizeof(zero));
    if (connect(fd, &to.any, len) < 0 && errno != EINPROGRESS)
        return -errno;
    return TAKE_FD(fd);
}

static void ran(struct loop_watch *watch, uint32_t events);

/* The first runs in the winner's place, which it mostly is to have. */
static int start(struct race *race, size_t which)
{
    struct runner *runner = &race->runners[which];
    *runner = (struct runner){ .watch = { .fd = -1, .ready = ran }, .race = race };
    _cleanup_(cleanup_close) int fd = dial(&race->addresses[which], race->port, race->speaks_first);
    if (fd < 0)
        return fd;
    int r = which ? loop_watch(race->loop, &runner->watch, fd, EPOLLOUT)
                  : loop_watch(race->loop, race->winner, fd, race->events);
    if (r == 0)
        (void)TAKE_FD(fd);
    return r;
}

/* Starts one more, or several where they fail at once. */
static void start_next(struct race *race)
{
    for (bool started = false; !started && race->next < race->count; race->next++) {
        int r = start(race, race->next);
        started = r == 0;
        race->running += started;
        race->error = started ? race->error : r;
    }
    /* Without memory for a timer the next one starts when this one fails. */
    if (race->next < race->count)
        (void)!loop_timer_set(race->loop, &race->stagger, clock_passed_ms() + RACE_STAGGER_MS);
    else
        loop_timer_stop(race->loop, &race->stagger);
}

static void stagger_due(struct loop_timer *timer)
{
    start_next(LOOP_OWNER(timer, struct race, stagger));
}

static void win(struct race *race)
{
    stop_runners(race);
    race->loop = NULL;
    race->done(race, 0);
}

static void lose(struct race *race, struct loop_watch *watch, int r)
{
    forget(race, watch);
    race->running--;
    race->error = r;
    if (!race->running)
        start_next(race);
    if (race->running)
        return;
    race_stop(race);
    race->done(race, race->error);
}

static int outcome(int fd, uint32_t events)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (!(events & (EPOLLERR | EPOLLHUP)))
        return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        return -errno;
    return error ? -error : -ECONNRESET;
}

void race_hear(struct race *race, uint32_t events)
{
    int r = outcome(race->winner->fd, events);
    if (r < 0)
        lose(race, race->winner, r);
    else if (events & EPOLLOUT)
        win(race);
}

static void ran(struct loop_watch *watch, uint32_t events)
{
    struct race *race = LOOP_OWNER(watch, struct runner, watch)->race;
    int r = outcome(watch->fd, events);
    if (r == 0) {
        if (race->winner->fd >= 0)
            race->running--;
        forget(race, race->winner);
        r = loop_watch_move(race->loop, watch, race->winner, race->events);
    }
    if (r == 0)
        win(race);
    else
        lose(race, watch, r);
}

int race_start(struct race *race, const struct race_options *options)
{
    size_t count = options->count < RACE_ADDRESSES_MAX ? options->count : RACE_ADDRESSES_MAX;
    *race = (struct race){ .loop = options->loop,
                           .port = options->port,
                           .speaks_first = options->speaks_first,
                           .winner = options->winner,
                           .events = options->events,
                           .done = options->done,
                           .stagger = { .due = stagger_due },
                           .error = -EADDRNOTAVAIL };
    order(race, options->addresses, count);
    start_next(race);
    if (race->running)
        return 0;
    race_stop(race);
    return race->error;
}
