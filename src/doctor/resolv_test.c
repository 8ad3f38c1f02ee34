#include "doctor/resolv.h"

#include "base/buf.h"
#include "base/test.h"

TEST(servers_in_their_order)
{
    struct resolv resolv;
    char text[NET_ADDRESS_TEXT];
    resolv_read(STR("# nameserver 10.0.0.9\nsearch example.com\nnameserver 10.0.0.1\n"
                    "nameserver\tfe80::1%eth0\nnameserver nobody\noptions edns0\n  nameserver ::1"),
                &resolv);
    CHECK_INT(resolv.server_count, 3);
    CHECK_INT(resolv.wrong_count, 1);
    CHECK_TEXT(net_address_text(&resolv.servers[0], text), "10.0.0.1");
    CHECK_TEXT(net_address_text(&resolv.servers[1], text), "fe80::1");
    CHECK_TEXT(net_address_text(&resolv.servers[2], text), "::1");
}

TEST(more_servers_than_anybody_asks)
{
    struct resolv resolv;
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    for (int i = 0; i < RESOLV_SERVERS_MAX + 2; i++)
        buf_addf(&text, "nameserver 10.0.0.%d\n", i);
    resolv_read(buf_str(&text), &resolv);
    CHECK_INT(resolv.server_count, RESOLV_SERVERS_MAX);
    resolv_read(STR(""), &resolv);
    CHECK_INT(resolv.server_count, 0);
}
