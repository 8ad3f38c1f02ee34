#include "doors/model/upstream_place.h"

#include <arpa/inet.h>

#include "base/test.h"

TEST(loopback_is_told_by_its_text)
{
    static const struct {
        const char *url, *authority, *path, *first;
        size_t addresses;
        unsigned port;
    } cases[] = {
        { "http://127.0.0.1:8080/v1/x?y=z", "127.0.0.1:8080", "/v1/x?y=z", "127.0.0.1", 1, 8080 },
        { "http://127.8.9.1", "127.8.9.1", "/", "127.8.9.1", 1, 80 },
        { "http://[::1]:1/", "[::1]:1", "/", "::1", 1, 1 },
        { "http://localhost:65535/a", "localhost:65535", "/a", "127.0.0.1", 2, 65535 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct upstream_place place;
        CHECK(upstream_place_read(cases[i].url, &place));
        CHECK_TEXT(place.authority, cases[i].authority);
        CHECK_STR(place.path, str_from(cases[i].path));
        CHECK_TEXT(place.addresses[0], cases[i].first);
        CHECK_INT(place.address_count, cases[i].addresses);
        CHECK_INT(ntohs(place.port), cases[i].port);
    }
}

TEST(whatever_else_goes_another_way)
{
    static const char *const urls[] = {
        "https://127.0.0.1/",
        "http://128.0.0.1/",
        "http://127.0.0.1.example.com/",
        "http://127.example.com/",
        "http://127.0.0/",
        "http://127.0.0.256/",
        "http://localhost.example.com/",
        "http://localhost:80@example.com/",
        "http://127.0.0.1@example.com/",
        "http://[::1].example.com/",
        "http://[::1]x:80/",
        "http://[::2]/",
        "http://[::ffff:10.0.0.1]/",
        "http://example.com/127.0.0.1",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:99999999999/",
        "http://127.0.0.1:8x/",
        "http://127.0.0.1:/",
        "http://127.0.0.1?x",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/a\r\nX: y",
        "http://127.0.0.1/#x",
        "http:///",
        "http://",
        "",
    };
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct upstream_place place;
        if (upstream_place_read(urls[i], &place))
            test_fail(__FILE__, __LINE__, "%s is taken for loopback", urls[i]);
    }
}
