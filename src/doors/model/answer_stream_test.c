#include "doors/model/answer_stream.h"

#include "base/test.h"

/* All that goes on, and what is held at the end behind a bar. */
static void pass(enum answer_form form, bool hides, const char *text, size_t step, struct buf *ret)
{
    struct answer_stream stream;
    struct str all = str_from(text), part;
    answer_stream_init(&stream, form, hides);
    for (size_t at = 0; at < all.len; at += step) {
        size_t len = all.len - at < step ? all.len - at : step;
        CHECK_INT(answer_stream_feed(&stream, str_make(text + at, len), &part), 0);
        buf_add_str(ret, part);
    }
    buf_add_char(ret, '|');
    buf_add_str(ret, answer_stream_rest(&stream));
    answer_stream_release(&stream);
}

static void check(enum answer_form form, bool hides, const char *text, const char *expected)
{
    for (size_t step = 1; step < 80; step += 13) {
        struct buf seen = BUF_INIT;
        pass(form, hides, text, step, &seen);
        CHECK_TEXT(seen.data, expected);
        buf_release(&seen);
    }
}

TEST(whole_events_go_on_byte_for_byte)
{
    check(ANSWER_EVENTS, false, ": hi\n\nevent: a\ndata: 1\n\ndata: 2\r\n\r\ndata: 3\r\rdata",
          ": hi\n\nevent: a\ndata: 1\n\ndata: 2\r\n\r\ndata: 3\r\r|data");
    check(ANSWER_LINES, false, "{\"a\":1}\n{\"b\":2}\n{\"c", "{\"a\":1}\n{\"b\":2}\n|{\"c");
}

TEST(usage_that_nobody_asked_for_is_taken_out)
{
    check(ANSWER_EVENTS, true,
          "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n"
          "data: {\"id\":\"x\",\"usage\":null,\"choices\":[{}]}\n\n"
          "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n"
          "data: [DONE]\n\n",
          "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
          "data: {\"id\":\"x\",\"choices\":[{}]}\n\n"
          "data: [DONE]\n\n|");
}

TEST(all_else_stays_where_usage_is_hidden)
{
    /* Usage of the last choice; choices without usage; what is not JSON; two lines of data. */
    static const char text[] = "data: {\"choices\":[{\"usage\":null}],\"usage\":{\"a\":1}}\n\n"
                               "data: {\"choices\":[]}\n\n"
                               "data: {oh\n\n: ping\n\n"
                               "data: {\"choices\":[],\ndata: \"usage\":{}}\n\n";
    struct buf expected = BUF_INIT;
    buf_addf(&expected, "%s|", text);
    check(ANSWER_EVENTS, true, text, expected.data);
    buf_release(&expected);
}

TEST(an_event_that_is_too_long_goes_on_in_pieces)
{
    struct answer_stream stream;
    static char piece[ANSWER_HELD_BYTES_MAX / 2 + 1];
    struct str part;
    memset(piece, 'x', sizeof(piece));
    answer_stream_init(&stream, ANSWER_EVENTS, true);
    CHECK_INT(answer_stream_feed(&stream, str_make(piece, sizeof(piece)), &part), 0);
    CHECK_INT(part.len, 0);
    CHECK_INT(answer_stream_feed(&stream, str_make(piece, sizeof(piece)), &part), 0);
    CHECK_INT(part.len, 2 * sizeof(piece));
    CHECK(answer_stream_is_within(&stream));
    CHECK_INT(answer_stream_feed(&stream, STR("\n\n"), &part), 0);
    CHECK_STR(part, STR("\n\n"));
    CHECK(!answer_stream_is_within(&stream));
    answer_stream_release(&stream);
}
