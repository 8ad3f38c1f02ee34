#include "doors/model/http_request.h"

#include "base/test.h"

#define BODY_MAX 64

static struct http_reader *reader_new(void)
{
    struct http_reader *reader = NULL;
    CHECK_INT(http_reader_new(BODY_MAX, &reader, NULL), 0);
    return reader;
}

/* Feeds a text until something is to be said. */
static enum http_reading feed(struct http_reader *reader, struct str *text)
{
    size_t taken;
    enum http_reading state = http_reader_feed(reader, *text, &taken);
    *text = str_from_offset(*text, taken);
    return state;
}

TEST(a_request_and_the_next_behind_it)
{
    struct http_reader *reader = reader_new();
    struct str text = STR("POST /v1/messages?beta=true HTTP/1.1\r\nHost: a\r\n"
                          "X-Api-Key:  k \r\nTransfer-Encoding: chunked\r\n\r\n"
                          "3;x=1\r\nabc\r\n2\r\nde\r\n0\r\nT: r\r\n\r\n"
                          "GET http://door/api/tags HTTP/1.1\r\nhost: b\r\n\r\n");
    CHECK_INT(feed(reader, &text), HTTP_READ_HEAD);
    const struct http_request *request = http_reader_request(reader);
    CHECK_STR(request->method, STR("POST"));
    CHECK_STR(request->path, STR("/v1/messages"));
    CHECK_STR(request->query, STR("beta=true"));
    CHECK_STR(*http_request_header(request, "x-api-key"), STR("k"));
    CHECK(!http_request_header(request, "t"));
    CHECK(request->keep_alive && request->has_body && !request->expects_continue);
    CHECK_INT(feed(reader, &text), HTTP_READ_WHOLE);
    CHECK_STR(request->body, STR("abcde"));
    CHECK(!http_request_header(request, "t"));
    http_reader_next(reader);
    CHECK(!http_reader_is_within(reader));
    CHECK_INT(feed(reader, &text), HTTP_READ_HEAD);
    CHECK_STR(request->path, STR("/api/tags"));
    CHECK(!request->has_body);
    CHECK_INT(feed(reader, &text), HTTP_READ_WHOLE);
    CHECK_INT(text.len, 0);
    http_reader_free(reader);
}

TEST(version_0_ends_with_its_connection)
{
    struct http_reader *reader = reader_new();
    struct str text = STR("GET / HTTP/1.0\r\n\r\n");
    CHECK_INT(feed(reader, &text), HTTP_READ_HEAD);
    CHECK(http_reader_request(reader)->is_version_0 && !http_reader_request(reader)->keep_alive);
    http_reader_free(reader);
}

TEST(what_is_refused)
{
    static const struct {
        const char *text;
        unsigned status;
    } wrong[] = {
        { "GET / HTTP/1.1\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400 },
        { "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505 },
        { "GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400 },
        { "GET /\r\nHost: a\r\n\r\n", 505 },
        { "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
        { "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
        { "GET https://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400 },
        { "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", 501 },
        { "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400 },
        { "GET / HTTP/1.1\nHost: a\n\n", 400 },
        { "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
          400 },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65\r\n\r\n", 413 },
        { "POST / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417 },
        { "\x16\x03\x01\x02\x00", 400 },
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct http_reader *reader = reader_new();
        struct str text = str_from(wrong[i].text);
        enum http_reading state = feed(reader, &text);
        if (state == HTTP_READ_HEAD)
            state = feed(reader, &text);
        if (state != HTTP_READ_WRONG || http_reader_fault(reader)->status != wrong[i].status)
            test_fail(__FILE__, __LINE__, "%s: %u, expected %u", wrong[i].text,
                      http_reader_fault(reader)->status, wrong[i].status);
        http_reader_free(reader);
    }
}

/* Chunks may not add up to more than the limit either. */
TEST(a_body_stays_within_its_limit)
{
    struct http_reader *reader = reader_new();
    struct str head = STR("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    CHECK_INT(feed(reader, &head), HTTP_READ_HEAD);
    for (size_t i = 0; i < BODY_MAX / 4; i++) {
        struct str chunk = STR("4\r\nabcd\r\n");
        CHECK_INT(feed(reader, &chunk), HTTP_READ_MORE);
    }
    struct str chunk = STR("1\r\na\r\n");
    CHECK_INT(feed(reader, &chunk), HTTP_READ_WRONG);
    CHECK_INT(http_reader_fault(reader)->status, 413);
    CHECK_INT(http_reader_held(reader), BODY_MAX);
    CHECK_INT(feed(reader, &chunk), HTTP_READ_WRONG);
    http_reader_free(reader);
}

/* Feeds the same piece again and again, until the reader has enough. */
static unsigned overfeed(const char *first, const char *again)
{
    struct http_reader *reader = reader_new();
    struct str text = str_from(first);
    enum http_reading state = HTTP_READ_MORE;
    while (text.len)
        state = feed(reader, &text);
    for (size_t fed = 0; fed < 4 * HTTP_HEAD_BYTES_MAX && state != HTTP_READ_WRONG;
         fed += text.len) {
        size_t taken;
        text = str_from(again);
        state = http_reader_feed(reader, text, &taken);
    }
    unsigned status = http_reader_fault(reader)->status;
    http_reader_free(reader);
    return status;
}

TEST(heads_stay_within_their_limits)
{
    CHECK_INT(overfeed("GET /", "aaaaaaaaaaaaaaaa"), 414);
    CHECK_INT(overfeed("GET / HTTP/1.1\r\nHost: a\r\n", "A: b\r\n"), 431);
    CHECK_INT(overfeed("GET / HTTP/1.1\r\nHost: a\r\nA: ", "aaaaaaaaaaaaaaaa"), 431);
    CHECK_INT(overfeed("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;",
                       "aaaaaaaaaaaaaaaa"),
              431);
    CHECK_INT(overfeed("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
                       "A: b\r\n"),
              431);
}

/* h2c is offered by some clients with every request; they go on without it. */
TEST(an_offer_of_another_protocol_is_passed_over)
{
    struct http_reader *reader = reader_new();
    struct str text =
        STR("POST /v1/messages HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            "Upgrade: h2c\r\nHTTP2-Settings: AA\r\nContent-Length: 2\r\n\r\n{}"
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    CHECK_INT(feed(reader, &text), HTTP_READ_HEAD);
    CHECK_INT(feed(reader, &text), HTTP_READ_WHOLE);
    CHECK_STR(http_reader_request(reader)->body, STR("{}"));
    http_reader_next(reader);
    CHECK_INT(feed(reader, &text), HTTP_READ_HEAD);
    CHECK_INT(feed(reader, &text), HTTP_READ_WHOLE);
    http_reader_free(reader);
}
