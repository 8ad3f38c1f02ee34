/*
 * net_radio_read: radios, whom they have joined, what happened to them, and their switches.
 *
 * Of a station the flags tell how far joining has come: known to the network
 * (authenticated, in 802.11's sense), joined (associated), let through
 * (authorized). The bytes may be a recording of anybody's.
 */
#include <linux/genetlink.h>
#include <linux/nl80211.h>
#include <linux/rfkill.h>

#include "base/netlink_read.h"
#include "doctor/net_facts.h"

/* The next message of nl80211, and its command; false where there is none. */
static bool take_message(struct str *bytes, struct str *ret_attributes, uint8_t *ret_command)
{
    struct netlink_message message;
    struct genlmsghdr header;
    while (netlink_take(bytes, &message)) {
        if (!netlink_take_header(&message.body, &header, sizeof(header)))
            continue;
        *ret_attributes = message.body;
        *ret_command = header.cmd;
        return true;
    }
    return false;
}

int net_read_radios(struct net_facts *facts, const struct net_item *item)
{
    struct str bytes = item->bytes, attributes;
    uint8_t command;
    while (take_message(&bytes, &attributes, &command)) {
        if (command != NL80211_CMD_NEW_INTERFACE)
            continue;
        struct net_radio *radio = NET_ROW(facts, radios, NET_RADIOS_MAX);
        if (!radio)
            return facts->is_cut ? 0 : -ENOMEM;
        radio->link = (int)netlink_u32(netlink_find(attributes, NL80211_ATTR_IFINDEX));
        radio->device = netlink_u32(netlink_find(attributes, NL80211_ATTR_WIPHY));
        radio->kind = netlink_u32(netlink_find(attributes, NL80211_ATTR_IFTYPE));
        netlink_text(netlink_find(attributes, NL80211_ATTR_SSID), radio->network,
                     sizeof(radio->network));
    }
    return 0;
}

int net_read_stations(struct net_facts *facts, const struct net_item *item)
{
    struct str bytes = item->bytes, attributes;
    uint8_t command;
    while (take_message(&bytes, &attributes, &command)) {
        if (command != NL80211_CMD_NEW_STATION)
            continue;
        struct net_station *station = NET_ROW(facts, stations, NET_STATIONS_MAX);
        if (!station)
            return facts->is_cut ? 0 : -ENOMEM;
        struct str told = netlink_find(attributes, NL80211_ATTR_STA_INFO);
        struct str flags = netlink_find(told, NL80211_STA_INFO_STA_FLAGS);
        struct nl80211_sta_flag_update update = { 0 };
        (void)netlink_take_header(&flags, &update, sizeof(update));
        station->of = item->name;
        station->flags = update.mask & update.set;
        station->signal_dbm = (int8_t)netlink_u8(netlink_find(told, NL80211_STA_INFO_SIGNAL));
    }
    return 0;
}

/* What an event means for the radio; false: nothing. */
static bool read_happening(uint8_t command, struct str attributes, struct net_event *ret)
{
    static const struct {
        uint8_t command;
        uint16_t code;
        enum net_happening what;
    } rows[] = {
        { NL80211_CMD_CONNECT, NL80211_ATTR_STATUS_CODE, NET_JOINED },
        { NL80211_CMD_DISCONNECT, NL80211_ATTR_REASON_CODE, NET_LEFT },
        { NL80211_CMD_DEL_WIPHY, 0, NET_RADIO_GONE },
        { NL80211_CMD_NEW_WIPHY, 0, NET_RADIO_CAME },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].command != command)
            continue;
        ret->what = rows[i].what;
        ret->link = (int)netlink_u32(netlink_find(attributes, NL80211_ATTR_IFINDEX));
        ret->code = rows[i].code ? netlink_u16(netlink_find(attributes, rows[i].code)) : 0;
        if (ret->what == NET_JOINED && ret->code)
            ret->what = NET_REFUSED;
        return true;
    }
    return false;
}

int net_read_radio_event(struct net_facts *facts, const struct net_item *item)
{
    struct str bytes = item->bytes, attributes;
    uint8_t command;
    while (take_message(&bytes, &attributes, &command)) {
        struct net_event event = { .at_ms = item->at_ms };
        if (!read_happening(command, attributes, &event))
            continue;
        struct net_event *row = NET_ROW(facts, events, NET_EVENTS_MAX);
        if (!row)
            return facts->is_cut ? 0 : -ENOMEM;
        *row = event;
    }
    return 0;
}

/* Of a switch that is told of twice, the later word counts. */
static struct net_switch *switch_of(struct net_facts *facts, uint32_t number)
{
    for (size_t i = 0; i < facts->switches_count; i++)
        if (facts->switches[i].number == number)
            return &facts->switches[i];
    return NET_ROW(facts, switches, NET_SWITCHES_MAX);
}

int net_read_switches(struct net_facts *facts, const struct net_item *item)
{
    struct rfkill_event event;
    for (struct str bytes = item->bytes; bytes.len >= sizeof(event);
         bytes = str_from_offset(bytes, sizeof(event))) {
        memcpy(&event, bytes.ptr, sizeof(event));
        struct net_switch *row = switch_of(facts, event.idx);
        if (!row)
            return facts->is_cut ? 0 : -ENOMEM;
        *row = (struct net_switch){ .number = event.idx,
                                    .is_radio =
                                        event.type == RFKILL_TYPE_WLAN && event.op != RFKILL_OP_DEL,
                                    .is_soft_off = event.soft,
                                    .is_hard_off = event.hard };
    }
    return 0;
}
