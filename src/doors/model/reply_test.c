#include "doors/model/reply.h"

#include "base/test.h"

/* What is told of bytes that come in pieces: "STATUS HEADERS|BODY|END". */
static void read_reply(struct reply *reply, const char *bytes, size_t step, struct buf *ret)
{
    struct str all = str_from(bytes);
    enum reply_reading reading = REPLY_MORE;
    buf_reset(ret);
    for (size_t at = 0; at < all.len && reading < REPLY_WHOLE;) {
        size_t left = all.len - at < step ? all.len - at : step, taken;
        do {
            reading = reply_feed(reply, str_make(all.ptr + at, left), &taken);
            at += taken;
            left -= taken;
            if (reading == REPLY_HEAD)
                buf_addf(ret, "%u %.*s|", reply_status(reply), STR_ARG(reply_headers(reply)));
            else if (reading == REPLY_BODY)
                buf_add_str(ret, reply_body(reply));
        } while (reading == REPLY_HEAD || reading == REPLY_BODY);
    }
    buf_add_text(ret, reading == REPLY_WHOLE   ? "|whole"
                      : reading == REPLY_WRONG ? "|wrong"
                      : reply_end(reply)       ? "|ended"
                                               : "|cut");
}

TEST(answers_are_read_however_they_are_cut)
{
    static const struct {
        const char *bytes, *told;
        bool keeps;
    } cases[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:b\r\n\r\nhello",
          "200 Content-Length: 5\r\nX-A: b\r\n|hello|whole", true },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n"
          "T: x\r\n\r\n",
          "200 Transfer-Encoding: chunked\r\n|hello|whole", true },
        { "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
          "204 Connection: close\r\n||whole", false },
        { "HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
          "201 Content-Length: 0\r\n||whole", true },
        { "HTTP/1.0 200 OK\r\n\r\nuntil the end", "200 |until the end|ended", false },
        { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
          "200 Content-Length: 9\r\n|hello|cut", true },
        { "HTTP/1.1 200 OK\r\nContent-Le", "|cut", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t step = 1; step < 200; step += 61) {
            struct buf told = BUF_INIT;
            struct reply reply;
            reply_init(&reply);
            read_reply(&reply, cases[i].bytes, step, &told);
            CHECK_TEXT(told.data, cases[i].told);
            if (strstr(cases[i].told, "whole"))
                CHECK_INT(reply_keeps_connection(&reply), cases[i].keeps);
            reply_release(&reply);
            buf_release(&told);
        }
}

TEST(what_is_no_answer_is_not_taken_for_one)
{
    static const char *const cases[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf told = BUF_INIT;
        struct reply reply;
        size_t taken;
        reply_init(&reply);
        read_reply(&reply, cases[i], 1000, &told);
        if (!strstr(told.data, "|wrong"))
            test_fail(__FILE__, __LINE__, "%s: %s", cases[i], told.data);
        CHECK_INT(reply_feed(&reply, STR("HTTP/1.1 200 OK\r\n\r\n"), &taken), REPLY_WRONG);
        reply_release(&reply);
        buf_release(&told);
    }
}

TEST(a_head_without_end_is_left)
{
    struct buf bytes = BUF_INIT, told = BUF_INIT;
    struct reply reply;
    reply_init(&reply);
    buf_add_text(&bytes, "HTTP/1.1 200 OK\r\n");
    while (bytes.len < 2 * REPLY_HEAD_BYTES_MAX)
        buf_add_text(&bytes, "X-Again: and again\r\n");
    read_reply(&reply, bytes.data, 4096, &told);
    CHECK_TEXT(told.data, "|wrong");
    CHECK(reply.head.len <= REPLY_HEAD_BYTES_MAX);
    reply_release(&reply);
    buf_release(&bytes);
    buf_release(&told);
}

TEST(one_connection_has_one_answer_after_another)
{
    static const char one[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    struct buf told = BUF_INIT;
    struct reply reply;
    reply_init(&reply);
    for (size_t i = 0; i < 3; i++) {
        CHECK(!reply_has_begun(&reply));
        read_reply(&reply, one, 7, &told);
        CHECK_TEXT(told.data, "200 Content-Length: 1\r\n|a|whole");
        reply_next(&reply);
    }
    reply_release(&reply);
    buf_release(&told);
}
