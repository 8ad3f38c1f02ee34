/*
 * net_kernel: see the header.
 *
 * Theory of operation. Each table of the kernel's is listed with one question
 * and kept as it was answered. A list that changed while it was given is asked
 * for again, LIST_TRIES times. The families of generic netlink are found by
 * their names.
 */
#include "doctor/linux/net_kernel.h"

#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/genetlink.h>
#include <linux/neighbour.h>
#include <linux/nl80211.h>
#include <linux/rfkill.h>
#include <linux/rtnetlink.h>
#include <linux/wireguard.h>

#include "base/netlink.h"
#include "base/netlink_read.h"

#define LIST_TRIES 4
#define SWITCHES   "/dev/rfkill"

/* Root servers of the names system: far from everybody, and never private. */
const char *const net_far_addresses[2] = { "198.41.0.4", "2001:503:ba3e::2:30" };

static int open_socket(int protocol)
{
    struct sockaddr_nl self = { .nl_family = AF_NETLINK };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&self, sizeof(self)) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

/* Asks, again where the list changed, and adds what came as one item. */
static void add_answer(struct net_record *record, enum net_item_kind kind, const char *name, int fd,
                       struct netlink *question)
{
    _cleanup_(buf_release) struct buf answer = BUF_INIT_LIMIT(NET_ITEM_BYTES_MAX);
    int r = -EAGAIN;
    for (int i = 0; i < LIST_TRIES && r == -EAGAIN; i++) {
        buf_reset(&answer);
        r = fd < 0 ? fd : netlink_ask(question, fd, &answer);
    }
    if (r == -EAGAIN) /* it never stands still; what was told is better than nothing */
        r = 0;
    if (r == -EMSGSIZE)
        record->lacking = -E2BIG;
    if (kind == NET_WIREGUARD && answer.len)
        net_wireguard_blank(answer.data, answer.len);
    net_record_add(record, kind, name, r < 0 ? -r : 0, r < 0 ? STR("") : buf_str(&answer));
}

/* --- routes --------------------------------------------------------------------------------- */

static void add_list(struct net_record *record, int fd, enum net_item_kind kind, uint16_t type,
                     const void *header, size_t header_len)
{
    struct netlink question;
    netlink_reset(&question);
    netlink_begin(&question, type, NLM_F_DUMP, header, header_len);
    add_answer(record, kind, "", fd, &question);
}

/* The way that the kernel would take to an address. */
static void add_lookup(struct net_record *record, int fd, const char *text, enum net_scope scope)
{
    struct net_address address;
    struct netlink question;
    size_t before = record->count;
    if (!net_address_parse(str_from(text), &address))
        return;
    bool is_ipv6 = address.family == AF_INET6;
    struct rtmsg header = { .rtm_family = address.family, .rtm_dst_len = is_ipv6 ? 128 : 32 };
    netlink_reset(&question);
    netlink_begin(&question, RTM_GETROUTE, 0, &header, sizeof(header));
    netlink_add(&question, RTA_DST, address.bytes, is_ipv6 ? 16 : 4);
    netlink_want_answer(&question);
    add_answer(record, NET_LOOKUP, text, fd, &question);
    if (record->count > before)
        record->items[before].scope = scope;
}

static void add_lookups(struct net_record *record, int fd, const struct net_targets *targets)
{
    for (size_t i = 0; i < ARRAY_LEN(net_far_addresses); i++)
        add_lookup(record, fd, net_far_addresses[i], NET_INTERNET);
    for (size_t i = 0; targets && i < targets->place_count; i++) {
        char text[NET_ADDRESS_TEXT];
        const struct address_range *range = &targets->places[i].address;
        struct net_address address = { .family = range->is_ipv6 ? AF_INET6 : AF_INET };
        memcpy(address.bytes, range->address, sizeof(address.bytes));
        add_lookup(record, fd, net_address_text(&address, text), targets->places[i].scope);
    }
}

/* The ways to the name servers, where their configuration is on record already. */
static void add_server_lookups(struct net_record *record, int fd)
{
    const struct net_item *item = net_record_next(record, NET_RESOLVERS, NULL);
    struct resolv resolv = { 0 };
    if (item && !item->error)
        resolv_read(item->bytes, &resolv);
    for (size_t i = 0; i < resolv.server_count; i++) {
        char text[NET_ADDRESS_TEXT];
        add_lookup(record, fd, net_address_text(&resolv.servers[i], text), NET_OF_NAMES);
    }
}

void net_kernel_routes(struct net_record *record, const struct net_targets *targets)
{
    const struct ifinfomsg links = { .ifi_family = AF_UNSPEC };
    const struct ifaddrmsg addresses = { .ifa_family = AF_UNSPEC };
    const struct rtmsg routes = { .rtm_family = AF_UNSPEC };
    const struct fib_rule_hdr rules = { .family = AF_UNSPEC };
    const struct ndmsg neighbours = { .ndm_family = AF_UNSPEC };
    _cleanup_(cleanup_close) int fd = open_socket(NETLINK_ROUTE);
    add_list(record, fd, NET_LINKS, RTM_GETLINK, &links, sizeof(links));
    add_list(record, fd, NET_ADDRESSES, RTM_GETADDR, &addresses, sizeof(addresses));
    add_list(record, fd, NET_ROUTES, RTM_GETROUTE, &routes, sizeof(routes));
    add_list(record, fd, NET_RULES, RTM_GETRULE, &rules, sizeof(rules));
    add_list(record, fd, NET_NEIGHBOURS, RTM_GETNEIGH, &neighbours, sizeof(neighbours));
    add_lookups(record, fd, targets);
    add_server_lookups(record, fd);
}

/* --- generic families ----------------------------------------------------------------------- */

/* What the kernel says of a family: its attributes, within `answer`. */
static int ask_family(int fd, const char *name, struct buf *answer, struct str *ret)
{
    const struct genlmsghdr header = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 };
    struct netlink question;
    struct netlink_message message;
    struct genlmsghdr told;
    netlink_reset(&question);
    netlink_begin(&question, GENL_ID_CTRL, 0, &header, sizeof(header));
    netlink_add_text(&question, CTRL_ATTR_FAMILY_NAME, name);
    netlink_want_answer(&question);
    int r = netlink_ask(&question, fd, answer);
    struct str bytes = buf_str(answer);
    if (r == 0 && (!netlink_take(&bytes, &message) ||
                   !netlink_take_header(&message.body, &told, sizeof(told))))
        r = -EBADMSG;
    if (r == 0)
        *ret = message.body;
    return r;
}

/* The type of a family's messages, or -errno. */
static int find_family(int fd, const char *name)
{
    _cleanup_(buf_release) struct buf answer = BUF_INIT;
    struct str attributes;
    int r = ask_family(fd, name, &answer, &attributes);
    if (r < 0)
        return r;
    uint16_t id = netlink_u16(netlink_find(attributes, CTRL_ATTR_FAMILY_ID));
    return id ? id : -EBADMSG;
}

int net_kernel_listen(const char *family, const char *const *groups, size_t count,
                      uint16_t *ret_family)
{
    _cleanup_(cleanup_close) int fd = open_socket(NETLINK_GENERIC);
    _cleanup_(buf_release) struct buf answer = BUF_INIT;
    struct str attributes;
    struct netlink_attribute group;
    int r = fd < 0 ? fd : ask_family(fd, family, &answer, &attributes);
    if (r < 0)
        return r;
    *ret_family = netlink_u16(netlink_find(attributes, CTRL_ATTR_FAMILY_ID));
    struct str listed = netlink_find(attributes, CTRL_ATTR_MCAST_GROUPS);
    while (netlink_take_attribute(&listed, &group)) {
        uint32_t id = netlink_u32(netlink_find(group.data, CTRL_ATTR_MCAST_GRP_ID));
        char name[GENL_NAMSIZ];
        netlink_text(netlink_find(group.data, CTRL_ATTR_MCAST_GRP_NAME), name, sizeof(name));
        for (size_t i = 0; i < count; i++)
            if (strcmp(groups[i], name) == 0 &&
                setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &id, sizeof(id)) < 0)
                return -errno;
    }
    return TAKE_FD(fd);
}

/* --- radios --------------------------------------------------------------------------------- */

static void begin_list(struct netlink *question, int family, uint8_t command)
{
    const struct genlmsghdr header = { .cmd = command, .version = 1 };
    netlink_reset(question);
    netlink_begin(question, (uint16_t)family, NLM_F_DUMP, &header, sizeof(header));
}

/* Whom each of the radios in the last item has joined. */
static void add_stations(struct net_record *record, int fd, int family)
{
    struct str bytes = record->items[record->count - 1].bytes;
    struct netlink_message message;
    struct genlmsghdr header;
    struct netlink question;
    while (netlink_take(&bytes, &message)) {
        char name[IFNAMSIZ];
        if (!netlink_take_header(&message.body, &header, sizeof(header)))
            continue;
        uint32_t link = netlink_u32(netlink_find(message.body, NL80211_ATTR_IFINDEX));
        netlink_text(netlink_find(message.body, NL80211_ATTR_IFNAME), name, sizeof(name));
        if (!link)
            continue;
        begin_list(&question, family, NL80211_CMD_GET_STATION);
        netlink_add_u32(&question, NL80211_ATTR_IFINDEX, link);
        add_answer(record, NET_STATIONS, name, fd, &question);
    }
}

/* Each reading tells one switch, or one change of it. */
static void add_switches(struct net_record *record)
{
    _cleanup_(buf_release) struct buf events = BUF_INIT;
    _cleanup_(cleanup_close) int fd = open(SWITCHES, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct rfkill_event event;
    int error = fd < 0 ? errno : 0;
    while (fd >= 0 && events.len < sizeof(event) * NET_SWITCHES_MAX &&
           read(fd, &event, sizeof(event)) == (ssize_t)sizeof(event))
        buf_add(&events, &event, sizeof(event));
    net_record_add(record, NET_SWITCHES, SWITCHES, error, buf_str(&events));
}

void net_kernel_radios(struct net_record *record)
{
    _cleanup_(cleanup_close) int fd = open_socket(NETLINK_GENERIC);
    struct netlink question;
    int family = fd < 0 ? fd : find_family(fd, NL80211_GENL_NAME);
    size_t before = record->count;
    if (family < 0)
        net_record_add(record, NET_RADIOS, "", -family, STR(""));
    else {
        begin_list(&question, family, NL80211_CMD_GET_INTERFACE);
        add_answer(record, NET_RADIOS, "", fd, &question);
        if (record->count > before)
            add_stations(record, fd, family);
    }
    add_switches(record);
}

/* --- WireGuard ------------------------------------------------------------------------------ */

static void add_device(struct net_record *record, int fd, int family, const char *link)
{
    struct netlink question;
    begin_list(&question, family, WG_CMD_GET_DEVICE);
    netlink_add_text(&question, WGDEVICE_A_IFNAME, link);
    add_answer(record, NET_WIREGUARD, link, fd, &question);
}

void net_kernel_wireguard(struct net_record *record)
{
    const struct net_item *links = net_record_next(record, NET_LINKS, NULL);
    _cleanup_(cleanup_close) int fd = open_socket(NETLINK_GENERIC);
    int family = fd < 0 ? fd : find_family(fd, WG_GENL_NAME);
    struct str bytes = links ? links->bytes : STR("");
    struct netlink_message message;
    struct ifinfomsg header;
    while (family > 0 && netlink_take(&bytes, &message)) {
        char name[IFNAMSIZ], kind[NET_KIND_MAX];
        if (!netlink_take_header(&message.body, &header, sizeof(header)))
            continue;
        netlink_text(netlink_find(message.body, IFLA_IFNAME), name, sizeof(name));
        netlink_text(netlink_find(netlink_find(message.body, IFLA_LINKINFO), IFLA_INFO_KIND), kind,
                     sizeof(kind));
        if (strcmp(kind, "wireguard") == 0)
            add_device(record, fd, family, name);
    }
}
