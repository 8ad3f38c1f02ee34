/*
 * net_route_read: links, addresses, routes, rules and neighbours, as the kernel lists them.
 *
 * The bytes may be a recording of anybody's: every length is checked, and what
 * is missing stays zero.
 */
#include <linux/fib_rules.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "base/netlink_read.h"
#include "doctor/net_facts.h"

/* What a full table costs: nothing but that the facts say so. */
static int no_row(const struct net_facts *facts)
{
    return facts->is_cut ? 0 : -ENOMEM;
}

static struct net_address read_address(uint8_t family, struct str data)
{
    struct net_address address = { 0 };
    if ((family == AF_INET && data.len == 4) || (family == AF_INET6 && data.len == 16)) {
        address.family = family;
        memcpy(address.bytes, data.ptr, data.len);
    }
    return address;
}

/* --- links ---------------------------------------------------------------------------------- */

static void read_link_attribute(const struct netlink_attribute *attribute, struct net_link *link)
{
    struct str data = attribute->data;
    switch (attribute->type) {
    case IFLA_IFNAME:
        netlink_text(data, link->name, sizeof(link->name));
        break;
    case IFLA_ADDRESS:
        link->identity_len = data.len < NET_HARDWARE_MAX ? data.len : NET_HARDWARE_MAX;
        memcpy(link->identity, data.ptr, link->identity_len);
        break;
    case IFLA_LINK:
        link->lower = (int)netlink_u32(data);
        break;
    case IFLA_MASTER:
        link->master = (int)netlink_u32(data);
        break;
    case IFLA_OPERSTATE:
        link->state = netlink_u8(data);
        break;
    case IFLA_CARRIER:
        link->has_carrier = netlink_u8(data);
        break;
    case IFLA_LINK_NETNSID:
        link->leads_elsewhere = true;
        break;
    case IFLA_LINKINFO:
        netlink_text(netlink_find(data, IFLA_INFO_KIND), link->kind, sizeof(link->kind));
        break;
    }
}

int net_read_links(struct net_facts *facts, const struct net_item *item)
{
    struct str bytes = item->bytes;
    struct netlink_message message;
    while (netlink_take(&bytes, &message)) {
        struct netlink_attribute attribute;
        struct ifinfomsg header;
        if (message.type != RTM_NEWLINK ||
            !netlink_take_header(&message.body, &header, sizeof(header)))
            continue;
        struct net_link *link = NET_ROW(facts, links, NET_LINKS_MAX);
        if (!link)
            return no_row(facts);
        link->index = header.ifi_index;
        link->hardware = header.ifi_type;
        link->flags = header.ifi_flags;
        while (netlink_take_attribute(&message.body, &attribute))
            read_link_attribute(&attribute, link);
    }
    return 0;
}

/* --- addresses ------------------------------------------------------------------------------ */

int net_read_addresses(struct net_facts *facts, const struct net_item *item)
{
    struct str bytes = item->bytes;
    struct netlink_message message;
    while (netlink_take(&bytes, &message)) {
        struct ifaddrmsg header;
        struct ifa_cacheinfo cache;
        if (message.type != RTM_NEWADDR ||
            !netlink_take_header(&message.body, &header, sizeof(header)))
            continue;
        struct str own = netlink_find(message.body, IFA_LOCAL);
        struct str flags = netlink_find(message.body, IFA_FLAGS);
        struct str lifetimes = netlink_find(message.body, IFA_CACHEINFO);
        if (!own.ptr)
            own = netlink_find(message.body, IFA_ADDRESS);
        struct net_own_address *row = NET_ROW(facts, addresses, NET_ADDRESSES_MAX);
        if (!row)
            return no_row(facts);
        *row = (struct net_own_address){ .link = (int)header.ifa_index,
                                         .address = read_address(header.ifa_family, own),
                                         .prefix = header.ifa_prefixlen,
                                         .scope = header.ifa_scope,
                                         .flags = flags.ptr ? netlink_u32(flags) : header.ifa_flags,
                                         .valid_s = UINT32_MAX };
        if (netlink_take_header(&lifetimes, &cache, sizeof(cache)))
            row->valid_s = cache.ifa_valid;
    }
    return 0;
}

/* --- routes --------------------------------------------------------------------------------- */

static struct net_address read_via(struct str data)
{
    struct rtvia via;
    if (data.len < sizeof(via.rtvia_family))
        return (struct net_address){ 0 };
    memcpy(&via.rtvia_family, data.ptr, sizeof(via.rtvia_family));
    return read_address((uint8_t)via.rtvia_family, str_from_offset(data, sizeof(via.rtvia_family)));
}

static void read_gateway(uint8_t family, struct str attributes, struct net_route *route)
{
    struct str gateway = netlink_find(attributes, RTA_GATEWAY);
    struct str via = netlink_find(attributes, RTA_VIA);
    if (gateway.ptr)
        route->gateway = read_address(family, gateway);
    else if (via.ptr)
        route->gateway = read_via(via);
}

/* A row for each of the next hops; of a route without any, one. */
static int add_route(struct net_facts *facts, const struct net_route *route, struct str attributes)
{
    struct str hops = netlink_find(attributes, RTA_MULTIPATH);
    struct rtnexthop hop;
    struct net_route *row;
    if (!hops.ptr) {
        row = NET_ROW(facts, routes, NET_ROUTES_MAX);
        if (row)
            *row = *route;
        return row ? 0 : no_row(facts);
    }
    while (hops.len >= sizeof(hop)) {
        memcpy(&hop, hops.ptr, sizeof(hop));
        if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > hops.len)
            break;
        row = NET_ROW(facts, routes, NET_ROUTES_MAX);
        if (!row)
            return no_row(facts);
        *row = *route;
        row->link = hop.rtnh_ifindex;
        row->is_a_share = true;
        row->flags |= hop.rtnh_flags;
        read_gateway(route->to.family, str_make(hops.ptr + sizeof(hop), hop.rtnh_len - sizeof(hop)),
                     row);
        hops = str_from_offset(hops, RTNH_ALIGN(hop.rtnh_len));
    }
    return 0;
}

/* What one message says; false where it is no route that traffic of ours takes. */
static bool read_route(struct netlink_message *message, struct net_route *ret)
{
    struct rtmsg header;
    if (message->type != RTM_NEWROUTE ||
        !netlink_take_header(&message->body, &header, sizeof(header)) ||
        (header.rtm_family != AF_INET && header.rtm_family != AF_INET6))
        return false;
    struct str table = netlink_find(message->body, RTA_TABLE);
    struct str to = netlink_find(message->body, RTA_DST);
    *ret = (struct net_route){ .to = { .family = header.rtm_family },
                               .prefix = header.rtm_dst_len,
                               .type = header.rtm_type,
                               .maker = header.rtm_protocol,
                               .flags = header.rtm_flags,
                               .table = table.ptr ? netlink_u32(table) : header.rtm_table };
    if (to.ptr)
        ret->to = read_address(header.rtm_family, to);
    ret->priority = netlink_u32(netlink_find(message->body, RTA_PRIORITY));
    ret->link = (int)netlink_u32(netlink_find(message->body, RTA_OIF));
    read_gateway(header.rtm_family, message->body, ret);
    return ret->to.family;
}

int net_read_routes(struct net_facts *facts, const struct net_item *item)
{
    struct str bytes = item->bytes;
    struct netlink_message message;
    struct net_route route;
    int r = 0;
    while (r == 0 && netlink_take(&bytes, &message)) {
        if (!read_route(&message, &route) || route.flags & RTM_F_CLONED ||
            route.type == RTN_LOCAL || route.type == RTN_BROADCAST || route.type == RTN_ANYCAST ||
            route.type == RTN_MULTICAST)
            continue;
        r = add_route(facts, &route, message.body);
    }
    return r;
}

int net_read_lookup(struct net_facts *facts, const struct net_item *item)
{
    struct str bytes = item->bytes;
    struct netlink_message message;
    struct net_lookup *row = NET_ROW(facts, lookups, NET_ROUTES_MAX);
    if (!row)
        return no_row(facts);
    *row = (struct net_lookup){ .name = item->name, .scope = item->scope, .error = item->error };
    if (!row->error && (!netlink_take(&bytes, &message) || !read_route(&message, &row->route)))
        row->error = EBADMSG;
    return 0;
}

/* --- rules and neighbours ------------------------------------------------------------------- */

int net_read_rules(struct net_facts *facts, const struct net_item *item)
{
    struct str bytes = item->bytes;
    struct netlink_message message;
    while (netlink_take(&bytes, &message)) {
        struct fib_rule_hdr header;
        if (message.type != RTM_NEWRULE ||
            !netlink_take_header(&message.body, &header, sizeof(header)))
            continue;
        struct str table = netlink_find(message.body, FRA_TABLE);
        struct net_rule *row = NET_ROW(facts, rules, NET_RULES_MAX);
        if (!row)
            return no_row(facts);
        row->family = header.family;
        row->action = header.action;
        row->table = table.ptr ? netlink_u32(table) : header.table;
        row->priority = netlink_u32(netlink_find(message.body, FRA_PRIORITY));
        netlink_text(netlink_find(message.body, FRA_IIFNAME), row->in, sizeof(row->in));
        netlink_text(netlink_find(message.body, FRA_OIFNAME), row->out, sizeof(row->out));
    }
    return 0;
}

int net_read_neighbours(struct net_facts *facts, const struct net_item *item)
{
    struct str bytes = item->bytes;
    struct netlink_message message;
    while (netlink_take(&bytes, &message)) {
        struct ndmsg header;
        if (message.type != RTM_NEWNEIGH ||
            !netlink_take_header(&message.body, &header, sizeof(header)))
            continue;
        struct net_neighbour *row = NET_ROW(facts, neighbours, NET_NEIGHBOURS_MAX);
        if (!row)
            return no_row(facts);
        row->link = header.ndm_ifindex;
        row->state = header.ndm_state;
        row->address = read_address(header.ndm_family, netlink_find(message.body, NDA_DST));
    }
    return 0;
}
