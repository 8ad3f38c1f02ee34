#include "doctor/lease.h"

#include "base/test.h"

static size_t read_all(const char *path, struct str bytes, struct lease *ret_last)
{
    size_t at = 0, count = 0;
    while (lease_next(str_from(path), bytes, 1000000, &at, ret_last))
        count++;
    return count;
}

static void check_address(const struct net_address *address, const char *text)
{
    char written[NET_ADDRESS_TEXT];
    CHECK_TEXT(net_address_text(address, written), text);
}

TEST(statements_of_dhclient)
{
    struct lease lease;
    struct str bytes =
        STR("default-duid \"x;y}\";\n"
            "lease {\n  interface \"eth0\";\n  fixed-address 10.0.0.5;\n"
            "  option routers 10.0.0.1,10.0.0.2;\n  option dhcp-server-identifier 10.0.0.3;\n"
            "  option domain-name \"a;b}c\";\n  expire 6 2026/11/21 23:00:00;\n}\n"
            "lease {\n  interface \"eth1\";\n  fixed-address 10.0.0.6;\n  expire never;\n}\n");
    size_t at = 0;
    CHECK(lease_next(STR("/var/lib/dhcp/dhclient.eth0.leases"), bytes, 0, &at, &lease));
    CHECK_TEXT(lease.client, "dhclient");
    CHECK_TEXT(lease.link, "eth0");
    check_address(&lease.address, "10.0.0.5");
    check_address(&lease.router, "10.0.0.1");
    check_address(&lease.server, "10.0.0.3");
    CHECK_INT(lease.end_ms, INT64_C(1795302000000));
    CHECK(lease_next(STR("/var/lib/dhcp/dhclient.eth0.leases"), bytes, 0, &at, &lease));
    CHECK_TEXT(lease.link, "eth1");
    CHECK_INT(lease.end_ms, INT64_MAX);
    CHECK(!lease_next(STR("/var/lib/dhcp/dhclient.eth0.leases"), bytes, 0, &at, &lease));
}

TEST(moments_of_dhclient)
{
    struct lease lease;
    CHECK_INT(read_all("/var/lib/dhcp/dhclient.leases",
                       STR("lease { fixed-address 10.0.0.5; expire epoch 1795302000; # soon\n }"),
                       &lease),
              1);
    CHECK_INT(lease.end_ms, INT64_C(1795302000000));
    CHECK_INT(read_all("/var/lib/dhcp/dhclient.leases",
                       STR("lease { fixed-address 10.0.0.5; expire 6 soon; }"), &lease),
              1);
    CHECK_INT(lease.end_ms, 0);
    CHECK_INT(
        read_all("/var/lib/dhcp/dhclient.leases", STR("lease { interface \"eth0\"; }"), &lease), 0);
}

TEST(lines_of_systemd_networkd)
{
    struct lease lease;
    CHECK_INT(read_all("/run/systemd/netif/leases/2",
                       STR("# This is private data. Do not parse.\nADDRESS=10.0.0.5\n"
                           "SERVER_ADDRESS=10.0.0.1\nROUTER=10.0.0.1 10.0.0.2\nLIFETIME=3600\n"),
                       &lease),
              1);
    CHECK_INT(lease.link_index, 2);
    check_address(&lease.address, "10.0.0.5");
    CHECK_INT(lease.end_ms, 1000000 + 3600000);
}

TEST(lines_of_networkmanager)
{
    struct lease lease;
    CHECK_INT(read_all("/var/lib/NetworkManager/"
                       "internal-0f0e0d0c-1111-2222-3333-444455556666-wlp-0s1.lease",
                       STR("ADDRESS=10.0.0.5\n"), &lease),
              1);
    CHECK_TEXT(lease.link, "wlp-0s1");
    CHECK_TEXT(lease.client, "NetworkManager");
    CHECK_INT(lease.end_ms, 0);
}

TEST(messages_of_dhcpcd)
{
    static const char options[] = "\x63\x82\x53\x63\x35\x01\x05\x33\x04\x00\x00\x0e\x10"
                                  "\x36\x04\x0a\x00\x00\x01\x03\x04\x0a\x00\x00\x02"
                                  "\x72\x08http://x\xff";
    char message[236 + sizeof(options) - 1] = { 2, 1, 6 };
    struct lease lease;
    memcpy(message + 16, "\x0a\x00\x00\x05", 4);
    memcpy(message + 236, options, sizeof(options) - 1);
    CHECK_INT(
        read_all("/var/lib/dhcpcd/wlan0-Harbour.lease", str_make(message, sizeof(message)), &lease),
        1);
    CHECK_TEXT(lease.link, "wlan0-Harbour");
    check_address(&lease.address, "10.0.0.5");
    check_address(&lease.server, "10.0.0.1");
    check_address(&lease.router, "10.0.0.2");
    CHECK_TEXT(lease.portal, "http://x");
    CHECK_INT(lease.end_ms, 1000000 + 3600000);
    CHECK_INT(read_all("/var/lib/dhcpcd/wlan0.lease", str_make(message, 230), &lease), 0);
}

TEST(other_paths_are_nobodys)
{
    struct lease lease;
    CHECK_INT(read_all("/var/lib/dhcp/other.conf", STR("ADDRESS=10.0.0.5\n"), &lease), 0);
    CHECK_INT(read_all("/run/systemd/netif/leases/2/3", STR("ADDRESS=10.0.0.5\n"), &lease), 0);
    CHECK_INT(read_all("/elsewhere/2", STR("ADDRESS=10.0.0.5\n"), &lease), 0);
}
