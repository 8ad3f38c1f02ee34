/*
 * http_request: see the header.
 *
 * Theory of operation. llhttp calls back with pieces of the target, of names and
 * of values; they are laid one behind the other in `head`, and their places are
 * noted, since the memory moves while it grows. When the head is complete the
 * places become views, and reading stands still until the caller goes on. The
 * body is laid in `body`. A trailer is read, counted and dropped.
 *
 * Invariants: llhttp has none of its lenient flags; a request is refused at the
 * first limit that it meets, before more of it is held; `fault` is set once.
 *
 * Threats: two readers that see different requests in the same bytes. What is
 * sent on is made anew of the views (exchange.c), never copied from the wire;
 * lengths that contradict each other, more than one Host, folded lines and
 * control characters are refused.
 */
#include "doors/model/http_request.h"

#include <llhttp.h>
#include <strings.h>

#define STEP_READ "read a request"

struct place {
    size_t from, len;
};

struct http_reader {
    llhttp_t parser;
    struct buf head, body;
    struct place target, names[HTTP_HEADERS_MAX], values[HTTP_HEADERS_MAX];
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t header_count;
    size_t trailer_bytes;
    bool has_begun, has_head, is_whole;
    struct http_request request;
    struct http_fault fault;
};

static int fail(struct http_reader *reader, unsigned status, const char *reason)
{
    if (!reader->fault.status)
        reader->fault = (struct http_fault){ status, reason };
    return HPE_USER;
}

static struct http_reader *reader_of(llhttp_t *parser)
{
    return parser->data;
}

/* --- the head -------------------------------------------------------------------------------- */

static int take(struct http_reader *reader, struct place *place, const char *at, size_t len)
{
    if (reader->has_head) { /* a trailer */
        reader->trailer_bytes += len;
        return reader->trailer_bytes > HTTP_HEAD_BYTES_MAX
                   ? fail(reader, 431, "The trailer is too long.")
                   : 0;
    }
    if (!place->len)
        place->from = reader->head.len;
    place->len += len;
    int r = buf_add(&reader->head, at, len);
    return r == 0 ? 0
                  : fail(reader, r == -ENOMEM ? 503 : 431,
                         r == -ENOMEM ? "There is not enough memory." : "The head is too long.");
}

static int on_begin(llhttp_t *parser)
{
    reader_of(parser)->has_begun = true;
    return 0;
}

static int on_target(llhttp_t *parser, const char *at, size_t len)
{
    struct http_reader *reader = reader_of(parser);
    if (reader->target.len + len > HTTP_TARGET_BYTES_MAX)
        return fail(reader, 414, "The target is too long.");
    return take(reader, &reader->target, at, len);
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct http_reader *reader = reader_of(parser);
    if (reader->header_count == HTTP_HEADERS_MAX)
        return fail(reader, 431, "There are too many headers.");
    return take(reader, &reader->names[reader->header_count], at, len);
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http_reader *reader = reader_of(parser);
    return take(reader, &reader->values[reader->header_count], at, len);
}

static int on_value_end(llhttp_t *parser)
{
    struct http_reader *reader = reader_of(parser);
    reader->header_count += !reader->has_head;
    return 0;
}

static struct str view(const struct http_reader *reader, struct place place)
{
    return str_make(reader->head.data + place.from, place.len);
}

static struct str trim(struct str s)
{
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Bytes of a target are those that can be seen; of a value, these, blanks and what is not ASCII. */
static bool is_clean(struct str s, bool with_blanks)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == 0x7f || (c < 0x21 && !(with_blanks && (c == ' ' || c == '\t'))) ||
            (c > 0x7f && !with_blanks))
            return false;
    }
    return true;
}

/* The origin form; what was sent as to a proxy is brought to it. */
static bool read_target(struct str target, struct http_request *request)
{
    if (target.len > 7 && strncasecmp(target.ptr, "http://", 7) == 0) {
        target = str_from_offset(target, 7);
        target = str_from_offset(target, str_index(target, '/', 0));
    }
    size_t query = str_index(target, '?', 0);
    request->path = str_make(target.ptr, query);
    request->query = str_from_offset(target, query + 1);
    return str_starts(target, STR("/")) && is_clean(target, false) &&
           str_index(target, '#', 0) == target.len;
}

static int read_head(struct http_reader *reader)
{
    size_t hosts = 0;
    for (size_t i = 0; i < reader->header_count; i++) {
        struct http_header *header = &reader->headers[i];
        *header = (struct http_header){ view(reader, reader->names[i]),
                                        trim(view(reader, reader->values[i])) };
        if (!is_clean(header->value, true))
            return fail(reader, 400, "A header has a character that may not stand there.");
        hosts += http_name_equal(header->name, STR("host"));
    }
    if (hosts > 1 || (hosts == 0 && reader->parser.http_minor == 1))
        return fail(reader, 400, "A request names its host once.");
    if (!read_target(view(reader, reader->target), &reader->request))
        return fail(reader, 400, "The target is no path.");
    return 0;
}

static int on_head_end(llhttp_t *parser)
{
    struct http_reader *reader = reader_of(parser);
    struct http_request *request = &reader->request;
    if (parser->http_major != 1 || parser->http_minor > 1)
        return fail(reader, 505, "The version of HTTP is neither 1.0 nor 1.1.");
    if (parser->method == HTTP_CONNECT)
        return fail(reader, 501, "This is no proxy.");
    int r = read_head(reader);
    if (r != 0)
        return r;
    request->method = str_from(llhttp_method_name((llhttp_method_t)parser->method));
    request->headers = reader->headers;
    request->header_count = reader->header_count;
    request->is_version_0 = parser->http_minor == 0;
    request->keep_alive = llhttp_should_keep_alive(parser);
    request->has_body = parser->flags & F_CHUNKED || parser->content_length > 0;
    const struct str *expect = http_request_header(request, "expect");
    request->expects_continue = expect && http_name_equal(*expect, STR("100-continue"));
    if (expect && !request->expects_continue)
        return fail(reader, 417, "Nothing is known of what is expected.");
    if (!(parser->flags & F_CHUNKED) && parser->content_length > reader->body.limit)
        return fail(reader, 413, "The body is too long.");
    parser->upgrade = 0; /* whoever offers another protocol may as well go on with this one */
    reader->has_head = true;
    return HPE_PAUSED;
}

/* --- the body -------------------------------------------------------------------------------- */

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http_reader *reader = reader_of(parser);
    int r = buf_add(&reader->body, at, len);
    return r == 0 ? 0
                  : fail(reader, r == -ENOMEM ? 503 : 413,
                         r == -ENOMEM ? "There is not enough memory." : "The body is too long.");
}

/* Names and values of chunks' extensions are dropped; so that nobody sends them for ever: */
static int on_extension(llhttp_t *parser, const char *at, size_t len)
{
    struct http_reader *reader = reader_of(parser);
    (void)at;
    reader->trailer_bytes += len;
    return reader->trailer_bytes > HTTP_HEAD_BYTES_MAX
               ? fail(reader, 431, "The extensions of chunks are too long.")
               : 0;
}

static int on_end(llhttp_t *parser)
{
    struct http_reader *reader = reader_of(parser);
    reader->is_whole = true;
    reader->request.body = buf_str(&reader->body);
    return HPE_PAUSED;
}

/* --- the reader ------------------------------------------------------------------------------ */

static const llhttp_settings_t settings = {
    .on_message_begin = on_begin,
    .on_url = on_target,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_end,
    .on_headers_complete = on_head_end,
    .on_body = on_body,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_message_complete = on_end,
};

int http_reader_new(size_t body_bytes_max, struct http_reader **ret, struct err *err)
{
    struct http_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return err_set(err, ERR_MEMORY, STEP_READ, "there is not enough memory");
    reader->head = BUF_INIT_LIMIT(HTTP_HEAD_BYTES_MAX);
    reader->body = BUF_INIT_LIMIT(body_bytes_max);
    llhttp_init(&reader->parser, HTTP_REQUEST, &settings);
    reader->parser.data = reader;
    *ret = reader;
    return 0;
}

void http_reader_free(struct http_reader *reader)
{
    if (!reader)
        return;
    buf_release(&reader->head);
    buf_release(&reader->body);
    free(reader);
}

enum http_reading http_reader_feed(struct http_reader *reader, struct str bytes, size_t *ret_taken)
{
    bool had_head = reader->has_head;
    *ret_taken = 0;
    if (reader->fault.status)
        return HTTP_READ_WRONG;
    llhttp_errno_t r = llhttp_execute(&reader->parser, bytes.ptr, bytes.len);
    if (r == HPE_OK) {
        *ret_taken = bytes.len;
        return HTTP_READ_MORE;
    }
    if (r != HPE_PAUSED) {
        fail(reader, 400, "This is no request of HTTP/1.1.");
        return HTTP_READ_WRONG;
    }
    *ret_taken = (size_t)(llhttp_get_error_pos(&reader->parser) - bytes.ptr);
    llhttp_resume(&reader->parser);
    return reader->has_head && !had_head ? HTTP_READ_HEAD : HTTP_READ_WHOLE;
}

const struct http_request *http_reader_request(const struct http_reader *reader)
{
    return &reader->request;
}

size_t http_reader_held(const struct http_reader *reader)
{
    return reader->body.len;
}

bool http_reader_is_within(const struct http_reader *reader)
{
    return reader->has_begun && !reader->is_whole;
}

void http_reader_next(struct http_reader *reader)
{
    buf_reset(&reader->head);
    buf_release(&reader->body);
    memset(reader->names, 0, reader->header_count * sizeof(reader->names[0]));
    memset(reader->values, 0, reader->header_count * sizeof(reader->values[0]));
    reader->target = (struct place){ 0 };
    reader->header_count = reader->trailer_bytes = 0;
    reader->has_begun = reader->has_head = reader->is_whole = false;
    reader->request = (struct http_request){ 0 };
}

const struct http_fault *http_reader_fault(const struct http_reader *reader)
{
    return &reader->fault;
}

bool http_name_equal(struct str a, struct str b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

const struct str *http_request_header(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (http_name_equal(request->headers[i].name, str_from(name)))
            return &request->headers[i].value;
    return NULL;
}
