/*
 * http_request: a request of HTTP/1.1, read from bytes as they come.
 *
 * llhttp takes the bytes apart, strictly; what it lets pass is held within
 * limits here, and given out as a head and a whole body. Nothing of it is
 * decoded: whoever compares a path compares bytes.
 */
#ifndef AM_DOORS_MODEL_HTTP_REQUEST_H
#define AM_DOORS_MODEL_HTTP_REQUEST_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define HTTP_TARGET_BYTES_MAX 8192
#define HTTP_HEAD_BYTES_MAX   65536 /* target, names and values; the trailer's too */
#define HTTP_HEADERS_MAX      128

struct http_header {
    struct str name, value;
};

struct http_request {
    struct str method;
    struct str path;  /* begins with a slash */
    struct str query; /* without the question mark; may be empty */
    const struct http_header *headers;
    size_t header_count;
    bool keep_alive;
    bool is_version_0; /* HTTP/1.0: it knows no chunks */
    bool expects_continue;
    bool has_body;
    struct str body; /* whole, once it is */
};

/* The value of the first header of a name, whatever its case; NULL where there is none. */
const struct str *http_request_header(const struct http_request *request, const char *name);
/* Whether two names of headers are the same. */
bool http_name_equal(struct str a, struct str b);

struct http_reader;

enum http_reading {
    HTTP_READ_MORE,  /* it takes more bytes to say anything */
    HTTP_READ_HEAD,  /* the head is there, once for each request; the bytes that are left may follow
                      */
    HTTP_READ_WHOLE, /* the body is there too: http_reader_next before more is read */
    HTTP_READ_WRONG, /* see http_reader_fault; nothing more can be read */
};

int http_reader_new(size_t body_bytes_max, struct http_reader **ret, struct err *err) MUST_CHECK;
void http_reader_free(struct http_reader *reader);

/* Reads on; *ret_taken says how many of the bytes were used up. */
enum http_reading http_reader_feed(struct http_reader *reader, struct str bytes, size_t *ret_taken);
/* As far as it was read; good until the next feed or http_reader_next. */
const struct http_request *http_reader_request(const struct http_reader *reader);
/* Bytes of the body that are held. */
size_t http_reader_held(const struct http_reader *reader);
/* Whether a request has begun and is not whole. */
bool http_reader_is_within(const struct http_reader *reader);
/* After HTTP_READ_WHOLE: forgets the request, and the next may come. */
void http_reader_next(struct http_reader *reader);

struct http_fault {
    unsigned status; /* to be answered */
    const char *reason;
};
const struct http_fault *http_reader_fault(const struct http_reader *reader);

#endif
