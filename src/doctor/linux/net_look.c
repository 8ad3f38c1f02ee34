/*
 * net_look: see the header.
 *
 * Theory of operation. A look is three steps: the network as it is, whose epoch
 * is written down; what may be sent; the network as it is then, which is what
 * the record has. Where nothing may be sent the first two fall away. In an
 * epoch that was probed already, the probes' answers are taken over from the
 * last record: what they themselves stir up (a gateway that was found) leads to
 * no new ones.
 *
 * Waiting listens to the kernel's groups, to the switches of radios and to the
 * folders of the files that are read. Much happens at once when a network
 * changes: a wait ends when nothing more has come for SETTLE_MS, or after
 * SETTLE_MOST_MS.
 */
#include "doctor/net_look.h"

#include <libgen.h>
#include <limits.h>
#include <linux/nl80211.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/inotify.h>

#include "base/clock.h"
#include "base/netlink_read.h"
#include "doctor/linux/net_files.h"
#include "doctor/linux/net_kernel.h"
#include "doctor/net_probe.h"

#define STEP_LOOK      "look at the network"
#define LOOKS          3
#define SETTLE_MS      60
#define SETTLE_MOST_MS 1000
#define EVENTS_KEPT    32
#define RECEIVE_BYTES  65536
#define FOLDER_EVENTS  (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE)

enum source { SOURCE_ROUTES, SOURCE_RADIOS, SOURCE_SWITCHES, SOURCE_FOLDERS, SOURCES };

struct net_looking {
    const struct net_targets *targets;
    const char *wish;
    bool listens;
    int fds[SOURCES];
    uint16_t radio_family;
    /* The last things that happened to radios, the oldest first. */
    struct {
        char *bytes;
        size_t len;
        int64_t at_ms;
    } events[EVENTS_KEPT];
    size_t event_count;
    /* The answers of the epoch that was probed last. */
    struct net_record probed;
    char probed_epoch[DIGEST_TEXT_SIZE];
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

int net_look_new(bool listens, const struct net_targets *targets, const char *wish,
                 struct net_looking **ret, struct err *err)
{
    static const char *const groups[] = { NL80211_MULTICAST_GROUP_CONFIG,
                                          NL80211_MULTICAST_GROUP_MLME };
    _cleanup_(cleanup_net_looking) struct net_looking *looking = calloc(1, sizeof(*looking));
    if (!looking)
        return err_set(err, ERR_MEMORY, STEP_LOOK, "there is not enough memory");
    looking->targets = targets;
    looking->wish = wish;
    looking->listens = listens;
    for (size_t i = 0; i < SOURCES; i++)
        looking->fds[i] = -1;
    if (listens) {
        looking->fds[SOURCE_ROUTES] = listen_to_routes();
        looking->fds[SOURCE_RADIOS] =
            net_kernel_listen(NL80211_GENL_NAME, groups, ARRAY_LEN(groups), &looking->radio_family);
        looking->fds[SOURCE_SWITCHES] = open("/dev/rfkill", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        looking->fds[SOURCE_FOLDERS] = watch_folders();
        if (looking->fds[SOURCE_ROUTES] < 0)
            return err_set_errno(err, -looking->fds[SOURCE_ROUTES], STEP_LOOK,
                                 "listen to the kernel's routing tables");
    }
    *ret = TAKE_PTR(looking);
    return 0;
}

void net_look_free(struct net_looking *looking)
{
    if (!looking)
        return;
    for (size_t i = 0; i < SOURCES; i++)
        if (looking->fds[i] >= 0)
            close(looking->fds[i]);
    for (size_t i = 0; i < looking->event_count; i++)
        free(looking->events[i].bytes);
    net_record_release(&looking->probed);
    free(looking);
}

/* --- looking -------------------------------------------------------------------------------- */

static void look_once(const struct net_looking *looking, struct net_record *record)
{
    net_files_read(record);
    net_kernel_routes(record, looking->targets);
    net_kernel_radios(record);
    net_kernel_wireguard(record);
    for (size_t i = 0; i < looking->event_count; i++)
        net_record_add(record, NET_RADIO_EVENT, "", 0,
                       str_make(looking->events[i].bytes, looking->events[i].len))
            ->at_ms = looking->events[i].at_ms;
    for (size_t i = 0; looking->targets && i < looking->targets->mesh_count; i++) {
        const struct net_mesh *mesh = &looking->targets->meshes[i];
        char name[NET_NAME_MAX];
        snprintf(name, sizeof(name), "%.*s", STR_ARG(mesh->id));
        net_record_add(record, NET_MESH, name, 0, STR(""))->scope = mesh->scope;
    }
    record->wish = looking->wish;
}

static bool is_probe(enum net_item_kind kind)
{
    return kind == NET_QUERY || kind == NET_CONNECT || kind == NET_FETCH || kind == NET_EPOCH;
}

/* Sends what may be sent, in this epoch, and keeps what came. */
static int probe(struct net_looking *looking, const struct net_facts *facts, struct err *err)
{
    struct net_record answers;
    int r = net_record_init(&answers, err);
    if (r < 0)
        return r;
    net_record_add(&answers, NET_EPOCH, "", 0, str_from(facts->epoch));
    r = net_probe(looking->targets, &facts->resolv, &answers, err);
    if (r < 0) {
        net_record_release(&answers);
        return r;
    }
    net_record_release(&looking->probed);
    looking->probed = answers;
    memcpy(looking->probed_epoch, facts->epoch, sizeof(looking->probed_epoch));
    return 0;
}

static void take_over(const struct net_record *from, struct net_record *to)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct net_item *item = &from->items[i];
        if (!is_probe(item->kind))
            continue;
        struct net_item *copy =
            net_record_add(to, item->kind, item->name, item->error, item->bytes);
        copy->scope = item->scope;
        copy->took_ms = item->took_ms;
        copy->status = item->status;
    }
}

/* The epoch of the network as it is; probes where it has none of it yet. */
static int look_and_probe(struct net_looking *looking, struct err *err)
{
    struct net_record before;
    struct net_facts facts;
    int r = net_record_init(&before, err);
    if (r < 0)
        return r;
    look_once(looking, &before);
    r = net_facts_read(&before, &facts, err);
    if (r == 0) {
        if (strcmp(facts.epoch, looking->probed_epoch) != 0)
            r = probe(looking, &facts, err);
        net_facts_release(&facts);
    }
    net_record_release(&before);
    return r;
}

static int is_of_one_epoch(const struct net_record *record, bool *ret, struct err *err)
{
    struct net_facts facts;
    int r = net_facts_read(record, &facts, err);
    if (r == 0) {
        *ret = !facts.is_stale;
        net_facts_release(&facts);
    }
    return r;
}

int net_look(struct net_looking *looking, struct net_record *ret, struct err *err)
{
    bool sends = looking->targets && looking->targets->count, is_one = false;
    int r = 0;
    for (int i = 0; i < LOOKS && r == 0 && !is_one; i++) {
        if (sends)
            r = look_and_probe(looking, err);
        if (i > 0)
            net_record_release(ret);
        *ret = (struct net_record){ 0 };
        if (r == 0)
            r = net_record_init(ret, err);
        if (r < 0)
            break;
        look_once(looking, ret);
        take_over(&looking->probed, ret);
        ret->at_ms = clock_now_ms();
        r = is_of_one_epoch(ret, &is_one, err);
    }
    if (r < 0)
        net_record_release(ret);
    return r;
}

/* --- waiting -------------------------------------------------------------------------------- */

static void keep_event(struct net_looking *looking, struct str bytes)
{
    char *copy = malloc(bytes.len + 1);
    if (!copy)
        return;
    memcpy(copy, bytes.ptr, bytes.len);
    if (looking->event_count == EVENTS_KEPT) {
        free(looking->events[0].bytes);
        memmove(&looking->events[0], &looking->events[1],
                sizeof(looking->events) - sizeof(looking->events[0]));
        looking->event_count--;
    }
    looking->events[looking->event_count].bytes = copy;
    looking->events[looking->event_count].len = bytes.len;
    looking->events[looking->event_count++].at_ms = clock_now_ms();
}

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

/* Takes all that waits; whether any of it says that something has changed. */
static bool drain(struct net_looking *looking, enum source source)
{
    _cleanup_(cleanup_free) char *bytes = malloc(RECEIVE_BYTES);
    bool changed = false;
    ssize_t len;
    if (!bytes)
        return true;
    bool is_socket = source == SOURCE_ROUTES || source == SOURCE_RADIOS;
    while ((len = is_socket ? recv(looking->fds[source], bytes, RECEIVE_BYTES, MSG_DONTWAIT)
                            : read(looking->fds[source], bytes, RECEIVE_BYTES)) > 0) {
        struct str got = str_make(bytes, (size_t)len);
        changed |= source != SOURCE_ROUTES || tells_more(got);
        if (source == SOURCE_RADIOS)
            keep_event(looking, got);
    }
    return changed || errno == ENOBUFS; /* some were lost */
}

/* 1: something has changed; 0: the time is over. */
static int wait_once(struct net_looking *looking, int timeout_ms, struct err *err)
{
    struct pollfd fds[SOURCES];
    bool changed = false;
    for (size_t i = 0; i < SOURCES; i++)
        fds[i] = (struct pollfd){ .fd = looking->fds[i], .events = POLLIN };
    int n = poll(fds, SOURCES, timeout_ms);
    if (n < 0 && errno != EINTR)
        return err_set_errno(err, errno, STEP_LOOK, "wait for a change");
    for (size_t i = 0; n > 0 && i < SOURCES; i++) {
        if (fds[i].revents & (POLLERR | POLLHUP | POLLNVAL) && !(fds[i].revents & POLLIN) &&
            i != SOURCE_ROUTES) {
            close(looking->fds[i]); /* it has nothing to tell any more */
            looking->fds[i] = -1;
        } else if (fds[i].revents)
            changed |= drain(looking, (enum source)i);
    }
    return changed ? 1 : n == 0 ? 0 : -EAGAIN;
}

int net_look_wait(struct net_looking *looking, int64_t until_ms, struct err *err)
{
    int r;
    assert(looking->listens);
    do {
        int64_t left = until_ms ? until_ms - clock_now_ms() : -1;
        r = wait_once(looking,
                      until_ms && left < 0   ? 0
                      : left > INT32_MAX / 2 ? INT32_MAX / 2
                                             : (int)left,
                      err);
        if (r == 0 && until_ms && clock_now_ms() < until_ms)
            r = -EAGAIN;
    } while (r == -EAGAIN);
    if (r <= 0)
        return r;
    int64_t end = clock_passed_ms() + SETTLE_MOST_MS;
    do
        r = wait_once(looking, SETTLE_MS, err);
    while ((r == 1 || r == -EAGAIN) && clock_passed_ms() < end);
    return r < 0 && r != -EAGAIN ? r : 0;
}
