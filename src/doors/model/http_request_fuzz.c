/* Requests are read the same however their bytes are cut, and stay within the limits. */
#include "doors/model/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BODY_MAX 4096

struct seen {
    size_t requests, headers, bytes;
    unsigned status;
};

static struct seen read_all(const uint8_t *data, size_t size, size_t step)
{
    struct seen seen = { 0 };
    struct http_reader *reader;
    if (http_reader_new(BODY_MAX, &reader, NULL) < 0)
        abort();
    for (size_t at = 0; at < size;) {
        size_t taken, len = size - at < step ? size - at : step;
        enum http_reading state =
            http_reader_feed(reader, str_make((const char *)data + at, len), &taken);
        const struct http_request *request = http_reader_request(reader);
        assert(taken <= len && http_reader_held(reader) <= BODY_MAX);
        at += taken;
        if (state == HTTP_READ_WRONG) {
            seen.status = http_reader_fault(reader)->status;
            break;
        }
        if (state == HTTP_READ_HEAD) {
            assert(request->path.len && request->path.ptr[0] == '/');
            assert(request->header_count <= HTTP_HEADERS_MAX);
            seen.headers += request->header_count;
        }
        if (state == HTTP_READ_WHOLE) {
            seen.requests++;
            seen.bytes += request->body.len;
            http_reader_next(reader);
        }
    }
    http_reader_free(reader);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole = read_all(data, size, SIZE_MAX), bytes = read_all(data, size, 1);
    assert(whole.requests == bytes.requests && whole.headers == bytes.headers);
    assert(whole.bytes == bytes.bytes && !whole.status == !bytes.status);
    return 0;
}
