#include "doors/network/linux/capture.h"
#include "doors/network/names.h"

#include "base/test.h"

static struct address_range address(const char *text)
{
    struct address_range range = { 0 };
    CHECK(address_range_read(str_from(text), &range));
    return range;
}

static const char *text(const struct address_range *range)
{
    static char texts[2][ADDRESS_RANGE_TEXT_SIZE];
    static int turn;
    address_range_text(range, texts[turn ^= 1]);
    return texts[turn];
}

static void fill(struct names *names, const char *prefix, int from, int to)
{
    for (int i = from; i < to; i++) {
        char name[64];
        struct name_lease lease;
        snprintf(name, sizeof(name), "%s%d.example.com", prefix, i);
        CHECK_INT(names_lease(names, name, &lease), 0);
    }
}

TEST(a_name_keeps_its_addresses_and_they_lead_back_to_it)
{
    struct names *names;
    struct name_lease one, other, again;
    CHECK_INT(names_new(&names, NULL), 0);
    CHECK_INT(names_lease(names, "a.example.com", &one), 0);
    CHECK_INT(names_lease(names, "b.example.com", &other), 0);
    CHECK_INT(names_lease(names, "a.example.com", &again), 0);
    CHECK_TEXT(text(&one.ipv4), "198.18.1.0/32");
    CHECK_TEXT(text(&one.ipv6), "fd61:6d61:6368::100/128");
    CHECK_TEXT(text(&other.ipv4), "198.18.1.1/32");
    CHECK_TEXT(text(&again.ipv4), text(&one.ipv4));
    CHECK_TEXT(text(&again.ipv6), text(&one.ipv6));
    CHECK_TEXT(names_find(names, &one.ipv4), "a.example.com");
    CHECK_TEXT(names_find(names, &one.ipv6), "a.example.com");
    CHECK_TEXT(names_find(names, &other.ipv6), "b.example.com");
    names_free(names);
}

TEST(no_other_address_stands_for_a_name)
{
    static const char *const others[] = { "198.18.0.0",
                                          "198.18.0.1",
                                          "198.18.0.255",
                                          "198.18.1.1",
                                          "198.18.65.0",
                                          "198.19.255.255",
                                          "198.17.1.0",
                                          "10.18.1.0",
                                          "198.18.1.0/31",
                                          "fd61:6d61:6368::1",
                                          "fd61:6d61:6368::",
                                          "fd61:6d61:6368:1::100",
                                          "fd61:6d61:6369::100",
                                          "fd61:6d61:6368::101",
                                          "::100",
                                          "fd61:6d61:6368::1:0:100",
                                          "fd61:6d61:6368::ffff:ffff" };
    struct names *names;
    struct name_lease lease;
    CHECK_INT(names_new(&names, NULL), 0);
    CHECK_INT(names_lease(names, "a.example.com", &lease), 0);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct address_range other = address(others[i]);
        CHECK(!names_find(names, &other));
        CHECK(!names_hold(names, &other));
    }
    names_free(names);
}

TEST(the_ranges_are_ours_and_nothing_beside_them)
{
    static const char *const ours[] = {
        NAMES_IPV4_RANGE, NAMES_IPV6_RANGE,        CAPTURE_IPV4, CAPTURE_IPV6, "198.19.255.255",
        "198.18.1.0",     "fd61:6d61:6368:ffff::1"
    };
    static const char *const others[] = { "198.17.255.255",   "198.20.0.0",
                                          "198.16.0.0/14",    "127.0.0.1",
                                          "fd61:6d61:6369::", "fd61:6d61:6367::1",
                                          "fd61:6d61::/32",   "::" };
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        struct address_range range = address(ours[i]);
        CHECK(names_is_ours(&range));
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct address_range range = address(others[i]);
        CHECK(!names_is_ours(&range));
    }
}

TEST(a_full_table_ends_the_lease_that_was_used_least_recently)
{
    struct names *names;
    struct name_lease first, second, third, late;
    CHECK_INT(names_new(&names, NULL), 0);
    CHECK_INT(names_lease(names, "first.example.com", &first), 0);
    CHECK_INT(names_lease(names, "second.example.com", &second), 0);
    CHECK_INT(names_lease(names, "third.example.com", &third), 0);
    fill(names, "n", 3, NAMES_MAX);
    CHECK_TEXT(names_find(names, &second.ipv4), "second.example.com");
    CHECK_INT(names_lease(names, "first.example.com", &first), 0);
    CHECK_INT(names_lease(names, "late.example.com", &late), 0);
    CHECK(!names_find(names, &third.ipv4));
    CHECK_TEXT(names_find(names, &second.ipv4), "second.example.com");
    CHECK_TEXT(names_find(names, &first.ipv4), "first.example.com");
    CHECK_TEXT(names_find(names, &late.ipv6), "late.example.com");
    /* The name that went gets another address, and not the old one of somebody else. */
    struct name_lease anew;
    CHECK_INT(names_lease(names, "third.example.com", &anew), 0);
    CHECK(strcmp(text(&anew.ipv4), text(&third.ipv4)) != 0);
    CHECK(!names_find(names, &third.ipv6));
    names_free(names);
}

TEST(what_is_held_stays_and_where_all_is_held_there_is_no_more)
{
    struct names *names;
    struct name_lease held, lease;
    CHECK_INT(names_new(&names, NULL), 0);
    CHECK_INT(names_lease(names, "held.example.com", &held), 0);
    CHECK_TEXT(names_hold(names, &held.ipv4), "held.example.com");
    CHECK_TEXT(names_hold(names, &held.ipv6), "held.example.com");
    fill(names, "n", 0, 3 * NAMES_MAX);
    CHECK_TEXT(names_find(names, &held.ipv4), "held.example.com");
    names_let_go(names, &held.ipv6);
    fill(names, "m", 0, NAMES_MAX);
    CHECK_TEXT(names_find(names, &held.ipv4), "held.example.com");
    for (int i = 1; i < NAMES_MAX; i++) {
        char name[64];
        snprintf(name, sizeof(name), "m%d.example.com", i);
        CHECK_INT(names_lease(names, name, &lease), 0);
        CHECK_TEXT(names_hold(names, &lease.ipv4), name);
    }
    CHECK_INT(names_lease(names, "one.more.example.com", &lease), -ENOSPC);
    CHECK_INT(names_lease(names, "held.example.com", &lease), 0);
    names_let_go(names, &held.ipv4);
    CHECK_INT(names_lease(names, "one.more.example.com", &lease), 0);
    CHECK(!names_find(names, &held.ipv4));
    names_free(names);
}

TEST(however_often_leases_change_hands_both_ways_agree)
{
    struct names *names;
    struct name_lease lease;
    CHECK_INT(names_new(&names, NULL), 0);
    for (int i = 0; i < 10 * NAMES_MAX; i++) {
        char name[64];
        snprintf(name, sizeof(name), "n%d.example.com", i);
        CHECK_INT(names_lease(names, name, &lease), 0);
        if (i % 97 && i < 10 * NAMES_MAX - 100)
            continue;
        CHECK(names_is_ours(&lease.ipv4) && names_is_ours(&lease.ipv6));
        CHECK_TEXT(names_find(names, &lease.ipv4), name);
        CHECK_TEXT(names_find(names, &lease.ipv6), name);
    }
    names_free(names);
}
