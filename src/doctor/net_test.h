/* net_test: messages as the kernel composes them, for tests of networks that cannot be made here.
 */
#ifndef AM_DOCTOR_NET_TEST_H
#define AM_DOCTOR_NET_TEST_H

#include <linux/genetlink.h>
#include <linux/if_arp.h>
#include <linux/nl80211.h>
#include <linux/rtnetlink.h>

#include "base/netlink.h"
#include "base/test.h"
#include "doctor/net_truth.h"

#define TEST_NOW_MS INT64_C(1795252200000)

/* A network that is put together item by item, and judged. */
struct net_stage {
    struct net_record record;
    struct net_facts facts;
    struct net_truth truth;
    struct netlink links, radios;
};

static inline void stage_begin(struct net_stage *stage)
{
    struct err err = { 0 };
    memset(stage, 0, sizeof(*stage));
    CHECK_INT(net_record_init(&stage->record, &err), 0);
    stage->record.at_ms = TEST_NOW_MS;
    netlink_reset(&stage->links);
    netlink_reset(&stage->radios);
}

static inline struct str stage_bytes(const struct netlink *netlink)
{
    return str_make((const char *)netlink->bytes, netlink->len);
}

/* A link with an identity of six bytes, up unless `state` is IF_OPER_DOWN. */
static inline void stage_link(struct net_stage *stage, int index, const char *name,
                              const char *kind, const char identity[6], uint8_t state)
{
    bool is_up = state != IF_OPER_DOWN;
    const struct ifinfomsg header = { .ifi_type = identity ? ARPHRD_ETHER : ARPHRD_NONE,
                                      .ifi_index = index,
                                      .ifi_flags = is_up ? IFF_UP | IFF_RUNNING : 0 };
    const uint8_t carrier = state == IF_OPER_UP || state == IF_OPER_DORMANT;
    netlink_begin(&stage->links, RTM_NEWLINK, 0, &header, sizeof(header));
    netlink_add_text(&stage->links, IFLA_IFNAME, name);
    if (identity)
        netlink_add(&stage->links, IFLA_ADDRESS, identity, 6);
    netlink_add(&stage->links, IFLA_OPERSTATE, &state, 1);
    netlink_add(&stage->links, IFLA_CARRIER, &carrier, 1);
    if (kind) {
        size_t mark = netlink_open(&stage->links, IFLA_LINKINFO);
        netlink_add_text(&stage->links, IFLA_INFO_KIND, kind);
        netlink_close(&stage->links, mark);
    }
}

/* A radio of a station's kind, on a link. */
static inline void stage_radio(struct net_stage *stage, uint32_t index, const char *network)
{
    const struct genlmsghdr header = { .cmd = NL80211_CMD_NEW_INTERFACE };
    netlink_begin(&stage->radios, 0x1c, 0, &header, sizeof(header));
    netlink_add_u32(&stage->radios, NL80211_ATTR_IFINDEX, index);
    netlink_add_u32(&stage->radios, NL80211_ATTR_IFTYPE, NL80211_IFTYPE_STATION);
    if (network)
        netlink_add(&stage->radios, NL80211_ATTR_SSID, network, strlen(network));
}

static inline void stage_judge(struct net_stage *stage)
{
    struct err err = { 0 };
    net_record_add(&stage->record, NET_LINKS, "", 0, stage_bytes(&stage->links));
    net_record_add(&stage->record, NET_ADDRESSES, "", 0, STR(""));
    net_record_add(&stage->record, NET_RADIOS, "", stage->radios.len ? 0 : ENOENT,
                   stage_bytes(&stage->radios));
    CHECK_INT(net_facts_read(&stage->record, &stage->facts, &err), 0);
    net_truth_derive(&stage->facts, &stage->truth);
}

static inline const char *stage_state(const struct net_stage *stage, enum net_layer layer)
{
    return stage->truth.layers[layer].state;
}

static inline void stage_end(struct net_stage *stage)
{
    net_facts_release(&stage->facts);
    net_record_release(&stage->record);
}

#endif
