/* Destinations: one name in all its spellings, ranges, and what covers what. */
#include "contract/destination.h"

#include "base/test.h"

#define LABEL_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

TEST(a_host_name_has_one_spelling)
{
    static const struct {
        const char *text, *expected; /* NULL: no host name */
    } cases[] = {
        { "example.com", "example.com" },
        { "Example.COM.", "example.com" },
        { "_dmarc.example.com", "_dmarc.example.com" },
        { "xn--BCHER-kva.example", "xn--bcher-kva.example" },
        { "B\xc3\xbc"
          "cher.Example",
          "xn--bcher-kva.example" },
        { "stra\xc3\x9f"
          "e.example",
          "xn--strae-oqa.example" },
        { "\xef\xbd\x85xample\xe3\x80\x82"
          "com",
          "example.com" },                       /* wide letter, wide dot */
        { "\xe2\x84\xaa.example", "k.example" }, /* the sign for Kelvin */
        { LABEL_63 ".example", LABEL_63 ".example" },
        { "a" LABEL_63 ".example", NULL },
        { "", NULL },
        { ".", NULL },
        { "a..b", NULL },
        { ".example.com", NULL },
        { "exa mple.com", NULL },
        { "example.com:443", NULL },
        { "user@example.com", NULL },
        { "a/b", NULL },
        { "\xc3\xbc\xe2\x81\x84.com", NULL }, /* a slash of another kind */
        { "\xff.example", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct host_name name = { "untouched" };
        struct err err = { 0 };
        int r = host_name_read(str_from(cases[i].text), &name, &err);
        if (r != (cases[i].expected != NULL) ||
            strcmp(name.text, cases[i].expected ? cases[i].expected : "untouched") != 0)
            test_fail(__FILE__, __LINE__, "%s: %d, %s", cases[i].text, r, name.text);
    }
}

TEST(a_host_name_is_no_longer_than_dns_allows)
{
    char text[2048];
    struct host_name name;
    memset(text, 'a', sizeof(text));
    for (size_t i = 50; i < sizeof(text); i += 50)
        text[i] = '.';
    CHECK_INT(host_name_read(str_make(text, HOST_NAME_BYTES_MAX), &name, NULL), 1);
    CHECK_INT(strlen(name.text), HOST_NAME_BYTES_MAX);
    CHECK_INT(host_name_read(str_make(text, HOST_NAME_BYTES_MAX + 1), &name, NULL), 0);
    memcpy(text, "\xc3\xbc", 2);
    CHECK_INT(host_name_read(str_make(text, sizeof(text)), &name, NULL), 0);
    CHECK_INT(host_name_read(STR("\xc3\xbc\0.com"), &name, NULL), 0);
}

TEST(a_range_is_masked_and_says_so)
{
    static const struct {
        const char *text, *expected; /* NULL: no range */
        bool has_host_bits;
    } cases[] = {
        { "10.20.30.40", "10.20.30.40/32", false },
        { "10.20.30.40/16", "10.20.0.0/16", true },
        { "10.20.0.0/16", "10.20.0.0/16", false },
        { "255.255.255.255/31", "255.255.255.254/31", true },
        { "0.0.0.0/0", "0.0.0.0/0", false },
        { "1.2.3.4/0", "0.0.0.0/0", true },
        { "::", "::/128", false },
        { "FD12:3456:789A::/48", "fd12:3456:789a::/48", false },
        { "fd12:3456:789a:1::/49", "fd12:3456:789a::/49", true },
        { "::ffff:10.0.0.1", "10.0.0.1/32", false },
        { "::ffff:10.1.0.0/104", "10.0.0.0/8", true },
        { "::ffff:0:0/96", "0.0.0.0/0", false },
        { "::ffff:0:0/95", "::fffe:0:0/95", true },
        { "10.0.0.1/33", NULL, false },
        { "::/129", NULL, false },
        { "10.0.0.1/", NULL, false },
        { "10.0.0.1/08", NULL, false },
        { "10.0.0.1/-1", NULL, false },
        { "10.0.0.1/4294967297", NULL, false },
        { "10.0.0", NULL, false },
        { "010.0.0.1", NULL, false },
        { "0x0a000001", NULL, false },
        { "fe80::1%lo", NULL, false },
        { "", NULL, false },
        { "/8", NULL, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct address_range range;
        char text[ADDRESS_RANGE_TEXT_SIZE] = "none";
        bool found = address_range_read(str_from(cases[i].text), &range);
        if (found)
            address_range_text(&range, text);
        if (strcmp(text, cases[i].expected ? cases[i].expected : "none") != 0 ||
            (found && range.has_host_bits != cases[i].has_host_bits))
            test_fail(__FILE__, __LINE__, "%s: %s", cases[i].text, text);
    }
}

/* 1 covers, 0 does not, -1 one of the two is no destination. */
static int covers(const char *wide_text, const char *narrow_text)
{
    char wide_path[DESTINATION_PATH_SIZE], narrow_path[DESTINATION_PATH_SIZE];
    struct destination wide, narrow;
    if (destination_read(str_from(wide_text), wide_path, &wide, NULL) != 1 ||
        destination_read(str_from(narrow_text), narrow_path, &narrow, NULL) != 1)
        return -1;
    return destination_covers(&wide, &narrow);
}

TEST(a_destination_covers_what_it_names_and_no_more)
{
    static const struct {
        const char *wide, *narrow;
        int expected;
    } cases[] = {
        { "example.com", "example.com", 1 },
        { "example.com", "EXAMPLE.com.", 1 },
        { "example.com", "www.example.com", 0 },
        { "example.com", "*.example.com", 0 },
        { "example.com", ".example.com", 0 },
        { "*.example.com", "example.com", 0 },
        { "*.example.com", "a.b.example.com", 1 },
        { "*.example.com", "*.example.com", 1 },
        { "*.example.com", ".example.com", 0 },
        { "*.example.com", ".www.example.com", 1 },
        { "*.example.com", "myexample.com", 0 },
        { ".example.com", "example.com", 1 },
        { ".example.com", "www.example.com", 1 },
        { ".example.com", "*.example.com", 1 },
        { ".example.com", ".example.com", 1 },
        { ".www.example.com", "*.example.com", 0 },
        { "*", "*.example.com", 1 },
        { "*", "::/0", 1 },
        { ".example.com", "*", 0 },
        { "10.0.0.0/8", "10.1.2.3", 1 },
        { "10.0.0.0/8", "10.1.0.0/16", 1 },
        { "10.0.0.0/8", "10.0.0.0/7", 0 },
        { "10.0.0.0/8", "11.0.0.0", 0 },
        { "10.0.0.0/8", "::ffff:10.1.2.3", 1 },
        { "10.0.0.0/8", "0x0a010203", 1 },
        { "10.0.0.0/8", "167838211", 1 },
        { "10.0.0.0/8", "012.1.515", 1 },
        { "10.0.0.1", "10.0.0.1", 1 },
        { "::/0", "10.0.0.1", 0 },
        { "0.0.0.0/0", "::1", 0 },
        { "0.0.0.0/0", "4.example", 0 },
        { "4.example", "0.0.0.0/0", 0 },
        { "10.0.0.256", "10.0.0.256", 1 }, /* no address, and so a name */
        { "10.0.0.0/8", "10.0.0.256", 0 },
        { "not a host", "example.com", -1 },
        { "*.*.example.com", "example.com", -1 },
        { "", "example.com", -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int r = covers(cases[i].wide, cases[i].narrow);
        if (r != cases[i].expected)
            test_fail(__FILE__, __LINE__, "%s over %s: %d", cases[i].wide, cases[i].narrow, r);
    }
}

TEST(climbing_ends_below_everything)
{
    char path[DESTINATION_PATH_SIZE];
    struct destination d;
    CHECK_INT(destination_read(STR("a.example.com"), path, &d, NULL), 1);
    CHECK_STR(d.path, STR("com.example.a."));
    CHECK(destination_climb(&d));
    CHECK_STR(d.path, STR("com.example."));
    CHECK(destination_climb(&d));
    CHECK(!destination_climb(&d));
    CHECK_STR(d.path, STR("com."));
    CHECK_INT(destination_read(STR("128.0.0.0/2"), path, &d, NULL), 1);
    CHECK_STR(d.path, STR("/410"));
    CHECK(destination_climb(&d));
    CHECK(destination_climb(&d));
    CHECK(!destination_climb(&d));
    CHECK_STR(d.path, STR("/4"));
    CHECK_INT(destination_read(STR("*"), path, &d, NULL), 1);
    CHECK(!destination_climb(&d));
}

TEST(a_url_is_on_this_machine_by_its_host)
{
    static const char *const here[] = {
        "http://localhost:11434/v1", "https://LOCALHOST.", "http://127.0.0.1", "http://127.1:80",
        "http://[::1]:8080/",        "http://[::1]",       "http://x@[::1]/",  "http://2130706433",
    };
    static const char *const elsewhere[] = {
        "https://api.example.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost@example.com",
        "http://[::1].example.com",
        "http://[::1",
        "http://[::2]",
        "http://0.0.0.0",
        "http://",
        "secret://localhost/x",
        "urn:example:localhost",
        "",
    };
    for (size_t i = 0; i < ARRAY_LEN(here); i++)
        if (url_is_loopback(str_from(here[i]), NULL) != 1)
            test_fail(__FILE__, __LINE__, "%s", here[i]);
    for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++)
        if (url_is_loopback(str_from(elsewhere[i]), NULL) != 0)
            test_fail(__FILE__, __LINE__, "%s", elsewhere[i]);
}

TEST(a_public_suffix_is_one_of_either_section_and_not_of_a_private_network)
{
    static const char *const suffixes[] = { "com", "co.uk", "github.io", "xn--p1ai", "ck" };
    static const char *const others[] = { "example.com", "mesh", "svc.cluster.local", "localhost",
                                          "www.ck" };
    struct err err = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(suffixes) + ARRAY_LEN(others); i++) {
        bool is_suffix = i < ARRAY_LEN(suffixes);
        const char *text = is_suffix ? suffixes[i] : others[i - ARRAY_LEN(suffixes)];
        struct host_name name;
        CHECK_INT(host_name_read(str_from(text), &name, &err), 1);
        if (host_name_is_public_suffix(&name, &err) != is_suffix)
            test_fail(__FILE__, __LINE__, "%s: %s", text, err.cause);
    }
}
