/*
 * net_wireguard: the peers of a WireGuard device, without its keys.
 *
 * The kernel tells them to whoever may administer the network; a peer that has
 * proved who it is lately is a path to somebody who is known.
 */
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/time_types.h>
#include <linux/wireguard.h>

#include "base/netlink_read.h"
#include "doctor/net_facts.h"

#define NEST_DEPTH 3   /* device, its peers, a peer */
#define MEETING_S  180 /* peers prove anew every two minutes while anything is sent */

/* Which attribute has a secret; of a device, of its peers, of a peer. */
static const uint16_t secrets[NEST_DEPTH] = { WGDEVICE_A_PRIVATE_KEY, 0, WGPEER_A_PRESHARED_KEY };

static void blank_attributes(char *bytes, size_t len, size_t depth)
{
    struct str left = str_make(bytes, len);
    struct netlink_attribute attribute;
    while (netlink_take_attribute(&left, &attribute)) {
        char *data = bytes + (attribute.data.ptr - bytes);
        bool is_nest = depth == 0 ? attribute.type == WGDEVICE_A_PEERS : depth == 1;
        if (secrets[depth] && attribute.type == secrets[depth])
            explicit_bzero(data, attribute.data.len);
        else if (is_nest)
            blank_attributes(data, attribute.data.len, depth + 1);
    }
}

void net_wireguard_blank(char *bytes, size_t len)
{
    struct str left = str_make(bytes, len);
    struct netlink_message message;
    struct genlmsghdr header;
    while (netlink_take(&left, &message))
        if (netlink_take_header(&message.body, &header, sizeof(header)))
            blank_attributes(bytes + (message.body.ptr - bytes), message.body.len, 0);
}

int net_read_wireguard(struct net_facts *facts, const struct net_item *item)
{
    struct str bytes = item->bytes;
    struct netlink_message message;
    struct genlmsghdr header;
    while (netlink_take(&bytes, &message)) {
        struct netlink_attribute peer;
        if (!netlink_take_header(&message.body, &header, sizeof(header)))
            continue;
        struct str peers = netlink_find(message.body, WGDEVICE_A_PEERS);
        while (netlink_take_attribute(&peers, &peer)) {
            struct str met = netlink_find(peer.data, WGPEER_A_LAST_HANDSHAKE_TIME);
            struct __kernel_timespec time = { 0 };
            struct net_peer *row = NET_ROW(facts, peers, NET_PEERS_MAX);
            if (!row)
                return facts->is_cut ? 0 : -ENOMEM;
            (void)netlink_take_header(&met, &time, sizeof(time));
            *row = (struct net_peer){ .of = item->name, .met_s = time.tv_sec };
        }
    }
    return 0;
}

bool net_peer_is_met(const struct net_facts *facts, const struct net_peer *peer)
{
    return peer->met_s && peer->met_s + MEETING_S >= facts->record->at_ms / 1000;
}
