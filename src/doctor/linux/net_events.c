/*
 * net_events: see the header.
 *
 * Theory of operation. A source that ends (a switch whose driver goes) is
 * closed and passed over from then on. Where the kernel had to drop messages,
 * something has changed, whatever it was. That a neighbour is being looked for
 * is no change: looking itself brings that about.
 */
#include "doctor/linux/net_events.h"

#include <libgen.h>
#include <limits.h>
#include <linux/nl80211.h>
#include <linux/rtnetlink.h>
#include <sys/inotify.h>

#include "base/clock.h"
#include "base/netlink_read.h"
#include "doctor/lease.h"
#include "doctor/linux/net_files.h"
#include "doctor/linux/net_kernel.h"

#define STEP           "listen to the network"
#define SETTLE_MS      60
#define SETTLE_MOST_MS 1000
#define RECEIVE_BYTES  65536
#define FOLDER_EVENTS  (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE)

enum source { SOURCE_ROUTES, SOURCE_RADIOS, SOURCE_SWITCHES, SOURCE_FOLDERS, SOURCES };
static_assert(SOURCES == NET_EVENTS_SOURCES, "the header says how many there are");

struct net_events {
    int fds[SOURCES];
    net_events_radio *radio;
    void *context;
};

/* --- opening -------------------------------------------------------------------------------- */

static int listen_to_routes(void)
{
    struct sockaddr_nl self = { .nl_family = AF_NETLINK };
    static const int groups[] = { RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                  RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_IPV4_RULE,
                                  RTNLGRP_IPV6_RULE,  RTNLGRP_NEIGH };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0)
        return -errno;
    /* A socket that has no number of its own is passed over, as if the news were its own. */
    if (bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0)
        goto failed;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i])) < 0)
            goto failed;
    return fd;
failed:;
    int error = errno;
    close(fd);
    return -error;
}

static int watch_folders(void)
{
    const struct lease_place *place;
    char folder[] = NET_RESOLVERS_FILE, target[PATH_MAX];
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return -errno;
    (void)inotify_add_watch(fd, dirname(folder), FOLDER_EVENTS);
    if (realpath(NET_RESOLVERS_FILE, target))
        (void)inotify_add_watch(fd, dirname(target), FOLDER_EVENTS);
    for (size_t i = 0; (place = lease_place_at(i)); i++)
        (void)inotify_add_watch(fd, place->folder, FOLDER_EVENTS);
    return fd;
}

int net_events_new(net_events_radio *radio, void *context, struct net_events **ret, struct err *err)
{
    static const char *const groups[] = { NL80211_MULTICAST_GROUP_CONFIG,
                                          NL80211_MULTICAST_GROUP_MLME };
    struct net_events *events = calloc(1, sizeof(*events));
    uint16_t family;
    if (!events)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    events->radio = radio;
    events->context = context;
    events->fds[SOURCE_ROUTES] = listen_to_routes();
    events->fds[SOURCE_RADIOS] =
        net_kernel_listen(NL80211_GENL_NAME, groups, ARRAY_LEN(groups), &family);
    events->fds[SOURCE_SWITCHES] = open("/dev/rfkill", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    events->fds[SOURCE_FOLDERS] = watch_folders();
    int r = events->fds[SOURCE_ROUTES];
    if (r < 0) {
        net_events_free(events);
        return err_set_errno(err, -r, STEP, "the kernel's routing tables");
    }
    *ret = events;
    return 0;
}

void net_events_free(struct net_events *events)
{
    for (size_t i = 0; events && i < SOURCES; i++)
        if (events->fds[i] >= 0)
            close(events->fds[i]);
    free(events);
}

void net_events_fds(const struct net_events *events, struct pollfd ret[NET_EVENTS_SOURCES])
{
    for (size_t i = 0; i < SOURCES; i++)
        ret[i] = (struct pollfd){ .fd = events->fds[i], .events = POLLIN };
}

/* --- hearing -------------------------------------------------------------------------------- */

/* Whether a datagram of the routing tables says more than that a neighbour is being looked for. */
static bool tells_more(struct str bytes)
{
    struct netlink_message message;
    while (netlink_take(&bytes, &message)) {
        struct ndmsg header;
        bool is_neighbour = message.type == RTM_NEWNEIGH || message.type == RTM_DELNEIGH;
        if (!is_neighbour || (netlink_take_header(&message.body, &header, sizeof(header)) &&
                              header.ndm_state & (NUD_FAILED | NUD_REACHABLE)))
            return true;
    }
    return false;
}

static bool drain(struct net_events *events, enum source source)
{
    _cleanup_(cleanup_free) char *bytes = malloc(RECEIVE_BYTES);
    bool changed = false;
    ssize_t len;
    if (!bytes)
        return true;
    bool is_socket = source == SOURCE_ROUTES || source == SOURCE_RADIOS;
    while ((len = is_socket ? recv(events->fds[source], bytes, RECEIVE_BYTES, MSG_DONTWAIT)
                            : read(events->fds[source], bytes, RECEIVE_BYTES)) > 0) {
        struct str got = str_make(bytes, (size_t)len);
        changed |= source != SOURCE_ROUTES || tells_more(got);
        if (source == SOURCE_RADIOS && events->radio)
            events->radio(events->context, got);
    }
    return changed || errno == ENOBUFS; /* some were lost */
}

bool net_events_take(struct net_events *events, const struct pollfd fds[NET_EVENTS_SOURCES])
{
    bool changed = false;
    for (size_t i = 0; i < SOURCES; i++) {
        if (fds[i].revents & (POLLERR | POLLHUP | POLLNVAL) && !(fds[i].revents & POLLIN) &&
            i != SOURCE_ROUTES) {
            close(events->fds[i]); /* it has nothing to tell any more */
            events->fds[i] = -1;
        } else if (fds[i].revents)
            changed |= drain(events, (enum source)i);
    }
    return changed;
}

void net_events_settle(struct net_events *events)
{
    struct pollfd fds[SOURCES];
    int64_t end = clock_passed_ms() + SETTLE_MOST_MS;
    do {
        net_events_fds(events, fds);
        if (poll(fds, SOURCES, SETTLE_MS) <= 0)
            return;
        (void)net_events_take(events, fds);
    } while (clock_passed_ms() < end);
}
