/*
 * reply: see the header.
 *
 * Theory of operation. llhttp reads, and stands still at each thing that there is to
 * tell; the caller goes on with what it has not taken yet. Names and values of the
 * head are laid one behind the other as lines; interim answers (100 to 199) and
 * trailers are passed over.
 *
 * Invariants: llhttp has none of its lenient flags; nothing is told behind
 * REPLY_WRONG; what is told does not depend on how the bytes are cut.
 *
 * Threats: a provider that sends a head without end, or lengths that contradict each
 * other: both end the answer.
 */
#include "doors/model/reply.h"

static struct reply *reply_of(llhttp_t *parser)
{
    return parser->data;
}

static int take(llhttp_t *parser, const char *at, size_t len)
{
    struct reply *reply = reply_of(parser);
    if (!reply->has_head)
        return buf_add(&reply->head, at, len) < 0 ? HPE_USER : 0;
    reply->beside += len;
    return reply->beside > REPLY_TRAILER_BYTES_MAX ? HPE_USER : 0;
}

static int add_to_line(llhttp_t *parser, const char *text)
{
    struct reply *reply = reply_of(parser);
    return !reply->has_head && buf_add_text(&reply->head, text) < 0 ? HPE_USER : 0;
}

static int on_name_end(llhttp_t *parser)
{
    return add_to_line(parser, ": ");
}

static int on_value_end(llhttp_t *parser)
{
    return add_to_line(parser, "\r\n");
}

static int on_begin(llhttp_t *parser)
{
    struct reply *reply = reply_of(parser);
    buf_truncate(&reply->head, 0); /* of an interim answer */
    reply->has_begun = true;
    return 0;
}

static int on_head_end(llhttp_t *parser)
{
    struct reply *reply = reply_of(parser);
    if (parser->http_major != 1)
        return HPE_USER;
    reply->is_interim = parser->status_code < 200;
    if (reply->is_interim)
        return parser->status_code == 101 ? HPE_USER : 0;
    reply->has_head = true;
    return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    reply_of(parser)->body = str_make(at, len);
    return len ? HPE_PAUSED : 0; /* none, where a piece goes on with what comes next */
}

static int on_end(llhttp_t *parser)
{
    struct reply *reply = reply_of(parser);
    reply->is_whole = !reply->is_interim;
    return reply->is_interim ? 0 : HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_begin,
    .on_header_field = take,
    .on_header_field_complete = on_name_end,
    .on_header_value = take,
    .on_header_value_complete = on_value_end,
    .on_headers_complete = on_head_end,
    .on_body = on_body,
    .on_chunk_extension_name = take,
    .on_chunk_extension_value = take,
    .on_message_complete = on_end,
};

void reply_init(struct reply *reply)
{
    *reply = (struct reply){ .head = BUF_INIT_LIMIT(REPLY_HEAD_BYTES_MAX) };
    llhttp_init(&reply->parser, HTTP_RESPONSE, &settings);
    reply->parser.data = reply;
}

void reply_release(struct reply *reply)
{
    buf_release(&reply->head);
}

void reply_next(struct reply *reply)
{
    buf_reset(&reply->head);
    llhttp_reset(&reply->parser);
    reply->beside = 0;
    reply->has_begun = reply->has_head = reply->is_interim = reply->is_whole = false;
}

enum reply_reading reply_feed(struct reply *reply, struct str bytes, size_t *ret_taken)
{
    bool had_head = reply->has_head;
    *ret_taken = 0;
    reply->body = STR("");
    if (reply->is_wrong || reply->is_whole)
        return reply->is_wrong ? REPLY_WRONG : REPLY_WHOLE;
    llhttp_errno_t r = llhttp_execute(&reply->parser, bytes.ptr, bytes.len);
    if (r == HPE_OK) {
        *ret_taken = bytes.len;
        return REPLY_MORE;
    }
    if (r != HPE_PAUSED) {
        reply->is_wrong = true;
        return REPLY_WRONG;
    }
    *ret_taken = (size_t)(llhttp_get_error_pos(&reply->parser) - bytes.ptr);
    llhttp_resume(&reply->parser);
    return reply->is_whole ? REPLY_WHOLE : reply->has_head && !had_head ? REPLY_HEAD : REPLY_BODY;
}

bool reply_end(struct reply *reply)
{
    if (!reply->is_wrong && !reply->is_whole)
        (void)llhttp_finish(&reply->parser);
    return reply->is_whole;
}

unsigned reply_status(const struct reply *reply)
{
    return reply->parser.status_code;
}

struct str reply_headers(const struct reply *reply)
{
    return buf_str(&reply->head);
}

struct str reply_body(const struct reply *reply)
{
    return reply->body;
}

bool reply_keeps_connection(const struct reply *reply)
{
    return llhttp_should_keep_alive(&reply->parser);
}

bool reply_has_begun(const struct reply *reply)
{
    return reply->has_begun;
}
