/* What goes on does not depend on the pieces, and without hiding is what came. */
#include "doors/model/answer_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pass(struct str text, enum answer_form form, bool hides, size_t step, struct buf *ret)
{
    struct answer_stream stream;
    struct str part;
    answer_stream_init(&stream, form, hides);
    for (size_t at = 0; at < text.len; at += step) {
        size_t len = text.len - at < step ? text.len - at : step;
        if (answer_stream_feed(&stream, str_make(text.ptr + at, len), &part) < 0)
            abort();
        buf_add_str(ret, part);
    }
    buf_add_str(ret, answer_stream_rest(&stream));
    answer_stream_release(&stream);
}

/* The first byte chooses the form, and whether usage is hidden. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = BUF_INIT, bytes = BUF_INIT;
    if (!size)
        return 0;
    struct str text = str_make((const char *)data + 1, size - 1);
    enum answer_form form = data[0] & 1 ? ANSWER_EVENTS : ANSWER_LINES;
    bool hides = data[0] & 2;
    pass(text, form, hides, size, &whole);
    pass(text, form, hides, 1, &bytes);
    assert(str_equal(buf_str(&whole), buf_str(&bytes)));
    assert((hides && form == ANSWER_EVENTS) || str_equal(buf_str(&whole), text));
    buf_release(&whole);
    buf_release(&bytes);
    return 0;
}
