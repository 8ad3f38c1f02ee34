/* What follows from what was seen, where it takes a device or a moment that cannot be made here. */
#include <linux/time_types.h>
#include <linux/wireguard.h>

#include "doctor/net_test.h"

static const char own[6] = { 2, 0, 0, 0, 0, 7 }, nil[6] = { 0 };

TEST(a_device_that_reports_nothing_is_told_from_one_that_is_missing)
{
    struct net_stage stage;
    stage_begin(&stage);
    stage_link(&stage, 2, "eth0", NULL, nil, IF_OPER_UP);
    stage_judge(&stage);
    CHECK_TEXT(stage_state(&stage, NET_DEVICE), "nil");
    CHECK_INT(net_truth_lowest(&stage.truth), NET_DEVICE);
    stage_end(&stage);
    stage_begin(&stage);
    stage_judge(&stage);
    CHECK_TEXT(stage_state(&stage, NET_DEVICE), "missing");
    stage_end(&stage);
}

TEST(two_devices_of_one_identity_are_ambiguous)
{
    struct net_stage stage;
    stage_begin(&stage);
    stage_link(&stage, 2, "eth0", NULL, own, IF_OPER_UP);
    stage_link(&stage, 3, "eth1", NULL, own, IF_OPER_UP);
    stage_judge(&stage);
    CHECK_TEXT(stage_state(&stage, NET_DEVICE), "ambiguous");
    stage_end(&stage);
}

/* A switch of the host's that has the identity of what is plugged into it. */
TEST(a_bridge_with_its_ports_identity_is_not)
{
    struct net_stage stage;
    stage_begin(&stage);
    stage_link(&stage, 2, "eth0", NULL, own, IF_OPER_UP);
    stage_link(&stage, 3, "br0", "bridge", own, IF_OPER_UP);
    stage_judge(&stage);
    CHECK_TEXT(stage_state(&stage, NET_DEVICE), "present");
    stage_end(&stage);
}

TEST(one_radio_with_two_interfaces_is_one_device)
{
    struct net_stage stage;
    stage_begin(&stage);
    stage_link(&stage, 2, "wlan0", NULL, own, IF_OPER_UP);
    stage_link(&stage, 3, "wlan0mon", NULL, own, IF_OPER_UP);
    stage_radio(&stage, 2, "Harbour");
    stage_radio(&stage, 3, NULL);
    stage_judge(&stage);
    CHECK_TEXT(stage_state(&stage, NET_DEVICE), "present");
    stage_end(&stage);
}

TEST(a_tap_is_a_containers_cable_and_a_tun_is_a_vpn)
{
    for (int tap = 0; tap < 2; tap++) {
        struct net_stage stage;
        stage_begin(&stage);
        stage_link(&stage, 2, "tap0", "tun", tap ? own : NULL, IF_OPER_UP);
        stage_judge(&stage);
        CHECK_TEXT(stage_state(&stage, NET_DEVICE), tap ? "present" : "missing");
        CHECK_TEXT(stage_state(&stage, NET_OVERLAY), tap ? "off" : "degraded");
        stage_end(&stage);
    }
}

TEST(a_kernel_without_ipv6_has_no_route_and_turns_nothing_away)
{
    static const struct {
        int error;
        const char *state;
    } rows[] = { { EOPNOTSUPP, "no-route" },
                 { ENETUNREACH, "no-route" },
                 { EACCES, "route-failed" },
                 { EINVAL, "route-failed" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_stage stage;
        stage_begin(&stage);
        stage_link(&stage, 2, "eth0", NULL, own, IF_OPER_UP);
        net_record_add(&stage.record, NET_ROUTES, "", 0, STR(""));
        net_record_add(&stage.record, NET_LOOKUP, "198.41.0.4", ENETUNREACH, STR(""));
        net_record_add(&stage.record, NET_LOOKUP, "2001:503:ba3e::2:30", rows[i].error, STR(""));
        stage_judge(&stage);
        CHECK_TEXT(stage_state(&stage, NET_ROUTING), rows[i].state);
        stage_end(&stage);
    }
}

TEST(a_kernel_that_does_not_tell_makes_nothing_up)
{
    struct net_record record;
    struct net_facts facts;
    struct net_truth truth;
    struct err err = { 0 };
    CHECK_INT(net_record_init(&record, &err), 0);
    record.at_ms = TEST_NOW_MS;
    for (enum net_item_kind kind = NET_LINKS; kind <= NET_RADIOS; kind++)
        net_record_add(&record, kind, "198.41.0.4", EPERM, STR(""));
    net_record_add(&record, NET_RESOLVERS, "/etc/resolv.conf", EACCES, STR(""));
    CHECK_INT(net_facts_read(&record, &facts, &err), 0);
    net_truth_derive(&facts, &truth);
    static const enum net_layer unknown[] = { NET_DEVICE, NET_RADIO, NET_ROUTING, NET_OVERLAY };
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        CHECK_TEXT(truth.layers[unknown[i]].state, "unknown");
    CHECK_TEXT(truth.layers[NET_DNS].state, "observer-failed");
    net_facts_release(&facts);
    net_record_release(&record);
}

TEST(what_was_sent_in_an_earlier_epoch_is_not_used)
{
    for (int stale = 0; stale < 2; stale++) {
        struct net_stage stage;
        char epoch[DIGEST_TEXT_SIZE];
        stage_begin(&stage);
        stage_link(&stage, 2, "eth0", NULL, own, IF_OPER_UP);
        stage_judge(&stage);
        memcpy(epoch, stage.facts.epoch, sizeof(epoch));
        if (stale)
            epoch[10] ^= 1;
        net_facts_release(&stage.facts);
        net_record_add(&stage.record, NET_EPOCH, "", 0, str_from(epoch));
        net_record_add(&stage.record, NET_CONNECT, "192.0.2.7:80", 0, STR("192.0.2.7 answered"));
        struct err err = { 0 };
        CHECK_INT(net_facts_read(&stage.record, &stage.facts, &err), 0);
        net_truth_derive(&stage.facts, &stage.truth);
        CHECK_INT(stage.facts.is_stale, stale);
        CHECK_TEXT(stage_state(&stage, NET_REACH), stale ? "unknown" : "reachable");
        stage_end(&stage);
    }
}

TEST(an_answer_that_is_late_is_less)
{
    struct net_stage stage;
    stage_begin(&stage);
    stage_link(&stage, 2, "eth0", NULL, own, IF_OPER_UP);
    net_record_add(&stage.record, NET_CONNECT, "192.0.2.7:80", 0, STR("answered"))->took_ms = 2500;
    stage_judge(&stage);
    CHECK_TEXT(stage_state(&stage, NET_REACH), "degraded");
    stage_end(&stage);
}

TEST(a_portal_that_was_signed_in_to_is_known_by_the_lease)
{
    for (int held = 0; held < 2; held++) {
        struct net_stage stage;
        stage_begin(&stage);
        stage_link(&stage, 2, "eth0", NULL, own, IF_OPER_UP);
        net_record_add(&stage.record, NET_LEASE, "/var/lib/dhcp/dhclient.leases", 0,
                       STR("lease {\n interface \"eth0\";\n fixed-address 10.0.0.5;\n"
                           " option v4-captive-portal \"https://sign-in.example/\";\n}\n"));
        net_record_add(&stage.record, NET_FETCH, "http://detect.example/", held ? EBADMSG : 0,
                       STR("told"))
            ->status = held ? 302 : 204;
        stage_judge(&stage);
        CHECK_TEXT(stage_state(&stage, NET_PORTAL), held ? "detected" : "authenticated");
        if (held)
            CHECK_TEXT(stage.truth.layers[NET_PORTAL].remedy,
                       "Open https://sign-in.example/ and sign in to the network.");
        stage_end(&stage);
    }
}

/* --- WireGuard ------------------------------------------------------------------------------ */

static const char secret[] = "0123456789abcdef0123456789abcdeF";

static struct str compose_peer(struct netlink *message, int64_t met_s)
{
    const struct genlmsghdr header = { .cmd = WG_CMD_GET_DEVICE };
    const struct __kernel_timespec met = { .tv_sec = met_s };
    netlink_reset(message);
    netlink_begin(message, 0x1d, 0, &header, sizeof(header));
    netlink_add(message, WGDEVICE_A_PRIVATE_KEY, secret, 32);
    size_t peers = netlink_open(message, WGDEVICE_A_PEERS), peer = netlink_open(message, 0);
    netlink_add(message, WGPEER_A_PUBLIC_KEY, "published key, which may be seen", 32);
    netlink_add(message, WGPEER_A_PRESHARED_KEY, secret, 32);
    netlink_add(message, WGPEER_A_LAST_HANDSHAKE_TIME, &met, sizeof(met));
    netlink_close(message, peer);
    netlink_close(message, peers);
    return stage_bytes(message);
}

TEST(a_wireguard_peer_that_proved_itself_lately_is_a_path)
{
    static const struct {
        int64_t ago_s;
        const char *overlay, *peers;
    } rows[] = { { 20, "degraded", "available" }, { 4000, "degraded", "unavailable" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_stage stage;
        struct netlink message;
        stage_begin(&stage);
        stage_link(&stage, 2, "eth0", NULL, own, IF_OPER_UP);
        stage_link(&stage, 9, "wg0", "wireguard", NULL, IF_OPER_UNKNOWN);
        net_record_add(&stage.record, NET_WIREGUARD, "wg0", 0,
                       compose_peer(&message, TEST_NOW_MS / 1000 - rows[i].ago_s));
        stage_judge(&stage);
        CHECK_TEXT(stage_state(&stage, NET_OVERLAY), rows[i].overlay);
        CHECK(strstr(stage.truth.layers[NET_OVERLAY].seen[0].text,
                     i ? "no peer answers" : "no route leads through it"));
        CHECK_TEXT(stage_state(&stage, NET_PEER_PATH), rows[i].peers);
        stage_end(&stage);
    }
}

TEST(no_key_of_wireguard_is_kept)
{
    struct netlink message;
    struct str bytes = compose_peer(&message, 7);
    CHECK(memmem(bytes.ptr, bytes.len, secret, 32) != NULL);
    net_wireguard_blank((char *)message.bytes, bytes.len);
    CHECK(memmem(bytes.ptr, bytes.len, secret, 16) == NULL);
    CHECK(memmem(bytes.ptr, bytes.len, "published key", 13) != NULL);
}

/* --- the record ----------------------------------------------------------------------------- */

TEST(a_record_is_the_same_after_a_file)
{
    struct net_record record, again;
    _cleanup_(buf_release) struct buf first = BUF_INIT, second = BUF_INIT;
    struct err err = { 0 };
    CHECK_INT(net_record_init(&record, &err), 0);
    record.at_ms = TEST_NOW_MS;
    record.wish = "eth0";
    net_record_add(&record, NET_LINKS, "", 0, str_make("\0\x01\xff", 3));
    struct net_item *item = net_record_add(&record, NET_FETCH, "http://a.example/", EBADMSG,
                                           STR("answered \"oddly\"\n"));
    item->status = 302;
    item->took_ms = 12;
    item->at_ms = 99;
    item->scope = NET_OF_PEER;
    CHECK_INT(net_record_save(&record, &first, &err), 0);
    CHECK_INT(net_record_load(buf_str(&first), &again, &err), 0);
    CHECK_INT(net_record_save(&again, &second, &err), 0);
    CHECK_STR(buf_str(&second), buf_str(&first));
    CHECK_INT(again.items[0].bytes.len, 3);
    net_record_release(&again);
    net_record_release(&record);
}

TEST(what_has_no_room_is_told)
{
    struct net_record record;
    struct err err = { 0 };
    CHECK_INT(net_record_init(&record, &err), 0);
    for (size_t i = 0; i <= NET_ITEMS_MAX; i++)
        net_record_add(&record, NET_EPOCH, "", 0, STR("x"))->took_ms = 1;
    CHECK_INT(record.count, NET_ITEMS_MAX);
    CHECK_INT(record.lacking, -E2BIG);
    net_record_release(&record);
}
