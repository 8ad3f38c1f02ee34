/*
 * Radios, composed as nl80211 and rfkill compose them: no radio can be made on the machines that
 * run these tests.
 */
#include <linux/rfkill.h>

#include "doctor/net_test.h"

static const char own[6] = { 2, 0, 0, 0, 0, 7 };

static void add_station(struct net_stage *stage, uint32_t flags)
{
    const struct genlmsghdr header = { .cmd = NL80211_CMD_NEW_STATION };
    const struct nl80211_sta_flag_update update = { UINT32_MAX, flags };
    struct netlink message;
    netlink_reset(&message);
    netlink_begin(&message, 0x1c, 0, &header, sizeof(header));
    size_t mark = netlink_open(&message, NL80211_ATTR_STA_INFO);
    netlink_add(&message, NL80211_STA_INFO_STA_FLAGS, &update, sizeof(update));
    netlink_close(&message, mark);
    net_record_add(&stage->record, NET_STATIONS, "wlan0", 0, stage_bytes(&message));
}

static void add_event(struct net_stage *stage, uint8_t command, uint16_t attribute, uint16_t code,
                      int64_t ago_ms)
{
    const struct genlmsghdr header = { .cmd = command };
    struct netlink message;
    netlink_reset(&message);
    netlink_begin(&message, 0x1c, 0, &header, sizeof(header));
    netlink_add_u32(&message, NL80211_ATTR_IFINDEX, 3);
    if (attribute)
        netlink_add(&message, attribute, &code, sizeof(code));
    net_record_add(&stage->record, NET_RADIO_EVENT, "", 0, stage_bytes(&message))->at_ms =
        TEST_NOW_MS - ago_ms;
}

static void add_switch(struct net_stage *stage, bool soft, bool hard)
{
    const struct rfkill_event event = { .type = RFKILL_TYPE_WLAN, .soft = soft, .hard = hard };
    net_record_add(&stage->record, NET_SWITCHES, "/dev/rfkill", 0,
                   str_make((const char *)&event, sizeof(event)));
}

#define BIT(flag) (1u << NL80211_STA_FLAG_##flag)

/* The states of the three lower layers for a radio with a station. */
static void check_states(uint8_t link_state, uint32_t station, const char *radio,
                         const char *association, const char *authentication)
{
    struct net_stage stage;
    stage_begin(&stage);
    stage_link(&stage, 3, "wlan0", NULL, own, link_state);
    stage_radio(&stage, 3, "Harbour");
    if (station)
        add_station(&stage, station);
    stage_judge(&stage);
    CHECK_TEXT(stage_state(&stage, NET_RADIO), radio);
    CHECK_TEXT(stage_state(&stage, NET_ASSOCIATION), association);
    CHECK_TEXT(stage_state(&stage, NET_AUTHENTICATION), authentication);
    stage_end(&stage);
}

TEST(how_far_a_radio_has_come)
{
    check_states(IF_OPER_DOWN, 0, "off", "not-associated", "not-authenticated");
    check_states(IF_OPER_LOWERLAYERDOWN, 0, "on", "not-associated", "not-authenticated");
    check_states(IF_OPER_LOWERLAYERDOWN, BIT(AUTHENTICATED), "on", "associating",
                 "not-authenticated");
    check_states(IF_OPER_DORMANT, BIT(AUTHENTICATED) | BIT(ASSOCIATED), "on", "associated",
                 "authenticating");
    check_states(IF_OPER_UP, BIT(AUTHENTICATED) | BIT(ASSOCIATED) | BIT(AUTHORIZED), "on",
                 "associated", "authenticated");
    check_states(IF_OPER_NOTPRESENT, 0, "resetting", "not-associated", "not-authenticated");
}

TEST(a_driver_that_tells_of_no_stations_is_known_by_its_link)
{
    check_states(IF_OPER_UP, 0, "on", "associated", "authenticated");
}

TEST(a_radio_that_is_on_and_has_joined_nothing_is_what_fails)
{
    struct net_stage stage;
    char summary[NET_TEXT_MAX];
    stage_begin(&stage);
    stage_link(&stage, 3, "wlan0", NULL, own, IF_OPER_LOWERLAYERDOWN);
    stage_radio(&stage, 3, NULL);
    stage_judge(&stage);
    CHECK_INT(net_truth_lowest(&stage.truth), NET_ASSOCIATION);
    net_truth_summary(&stage.truth, summary);
    CHECK_TEXT(summary, "The radio is on and has joined no network.");
    CHECK_TEXT(net_truth_remedy(&stage.truth), "Choose a network to join.");
    stage_end(&stage);
}

TEST(who_holds_a_radio_off_is_told)
{
    for (int hard = 0; hard < 2; hard++) {
        struct net_stage stage;
        stage_begin(&stage);
        stage_link(&stage, 3, "wlan0", NULL, own, IF_OPER_DOWN);
        stage_radio(&stage, 3, NULL);
        add_switch(&stage, !hard, hard);
        stage_judge(&stage);
        CHECK_TEXT(stage_state(&stage, NET_RADIO), "off");
        CHECK(strstr(net_truth_remedy(&stage.truth), hard ? "its key" : "rfkill unblock"));
        stage_end(&stage);
    }
}

TEST(a_switch_without_a_radio_is_one_that_restarts)
{
    struct net_stage stage;
    stage_begin(&stage);
    add_switch(&stage, false, false);
    stage_judge(&stage);
    CHECK_TEXT(stage_state(&stage, NET_RADIO), "resetting");
    stage_end(&stage);
}

TEST(a_radio_that_went_away_restarts_until_it_is_back)
{
    for (int back = 0; back < 2; back++) {
        struct net_stage stage;
        stage_begin(&stage);
        add_event(&stage, NL80211_CMD_DEL_WIPHY, 0, 0, 100);
        if (back)
            add_event(&stage, NL80211_CMD_NEW_WIPHY, 0, 0, 50);
        stage_judge(&stage);
        CHECK_TEXT(stage_state(&stage, NET_RADIO), back ? "unavailable" : "resetting");
        stage_end(&stage);
    }
}

TEST(a_network_that_does_not_believe_is_told_from_one_that_is_lost)
{
    static const struct {
        uint8_t command;
        uint16_t attribute, code;
        const char *state;
    } rows[] = {
        { NL80211_CMD_CONNECT, NL80211_ATTR_STATUS_CODE, 1, "failed" },
        { NL80211_CMD_DISCONNECT, NL80211_ATTR_REASON_CODE, 15, "failed" },
        { NL80211_CMD_DISCONNECT, NL80211_ATTR_REASON_CODE, 3, "not-authenticated" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_stage stage;
        stage_begin(&stage);
        stage_link(&stage, 3, "wlan0", NULL, own, IF_OPER_LOWERLAYERDOWN);
        stage_radio(&stage, 3, NULL);
        add_event(&stage, rows[i].command, rows[i].attribute, rows[i].code, 1000);
        stage_judge(&stage);
        CHECK_TEXT(stage_state(&stage, NET_AUTHENTICATION), rows[i].state);
        stage_end(&stage);
    }
}

TEST(a_network_that_is_lost_again_and_again_is_unstable_for_a_minute)
{
    struct net_stage stage;
    stage_begin(&stage);
    stage_link(&stage, 3, "wlan0", NULL, own, IF_OPER_UP);
    stage_radio(&stage, 3, "Harbour");
    for (int i = 4; i-- > 1;)
        add_event(&stage, NL80211_CMD_DISCONNECT, NL80211_ATTR_REASON_CODE, 3, i * 10000);
    stage_judge(&stage);
    CHECK_TEXT(stage_state(&stage, NET_ASSOCIATION), "unstable");
    CHECK_INT(net_truth_due(&stage.truth), TEST_NOW_MS - 30000 + 60000 + 1);
    stage_end(&stage);

    stage_begin(&stage);
    stage_link(&stage, 3, "wlan0", NULL, own, IF_OPER_UP);
    stage_radio(&stage, 3, "Harbour");
    for (int i = 4; i-- > 1;)
        add_event(&stage, NL80211_CMD_DISCONNECT, NL80211_ATTR_REASON_CODE, 3, 60000 + i * 10000);
    stage_judge(&stage);
    CHECK_TEXT(stage_state(&stage, NET_ASSOCIATION), "associated");
    stage_end(&stage);
}

TEST(a_cable_has_no_radio)
{
    struct net_stage stage;
    stage_begin(&stage);
    stage_link(&stage, 2, "eth0", NULL, own, IF_OPER_UP);
    stage_judge(&stage);
    CHECK_TEXT(stage_state(&stage, NET_RADIO), "unavailable");
    CHECK_TEXT(stage_state(&stage, NET_ASSOCIATION), "associated");
    stage_end(&stage);
}
