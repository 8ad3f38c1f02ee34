/* What is told of an answer does not depend on how its bytes are cut. */
#include "doors/model/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything that is told, as text. */
static void read_all(struct str bytes, size_t step, struct buf *told)
{
    struct reply reply;
    enum reply_reading reading = REPLY_MORE;
    reply_init(&reply);
    for (size_t at = 0; at < bytes.len && reading < REPLY_WHOLE;) {
        size_t left = bytes.len - at < step ? bytes.len - at : step, taken;
        do {
            reading = reply_feed(&reply, str_make(bytes.ptr + at, left), &taken);
            assert(taken <= left);
            at += taken;
            left -= taken;
            if (reading == REPLY_HEAD)
                buf_addf(told, "%u %.*s\n", reply_status(&reply), STR_ARG(reply_headers(&reply)));
            else if (reading == REPLY_BODY)
                buf_add_str(told, reply_body(&reply));
            else
                assert(reading != REPLY_MORE || !left);
        } while (reading == REPLY_HEAD || reading == REPLY_BODY);
    }
    buf_addf(told, "\n%d %d", reading == REPLY_WRONG, reply_end(&reply));
    reply_release(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = str_make((const char *)data, size);
    struct buf whole = BUF_INIT, cut = BUF_INIT;
    read_all(bytes, size ? size : 1, &whole);
    read_all(bytes, 1, &cut);
    assert(str_equal(buf_str(&whole), buf_str(&cut)));
    buf_release(&whole);
    buf_release(&cut);
    return 0;
}
