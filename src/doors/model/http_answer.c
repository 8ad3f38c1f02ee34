/*
 * http_answer: what goes to a client of http_server.h.
 *
 * Theory of operation. Bytes are sent at once, as far as the kernel takes them; the
 * rest is queued and goes on when the client has read. The head of an answer whose
 * length is known goes out with the first of its body. An answer whose length is not
 * known goes in chunks, each with what was given at a time.
 *
 * Invariants: what is queued is bounded (HTTP_QUEUE_MAX), beyond which the
 * connection is lost; nothing here ends a connection at once.
 */
#include <sys/socket.h>
#include <sys/uio.h>

#include "doors/model/http_internal.h"

/* --- writing --------------------------------------------------------------------------------- */

size_t http_queued(const struct http_call *call)
{
    return call->queue.len - call->queue_from;
}

void http_write(struct http_call *call, const struct str *parts, size_t count)
{
    struct iovec vector[HTTP_PARTS_MAX];
    size_t all = 0;
    ssize_t sent = 0;
    for (size_t i = 0; i < count; i++) {
        vector[i] = (struct iovec){ (char *)parts[i].ptr, parts[i].len };
        all += parts[i].len;
    }
    if (call->state == CONNECTION_DEAD || call->is_lost || !all)
        return;
    if (!http_queued(call)) {
        const struct msghdr message = { .msg_iov = vector, .msg_iovlen = count };
        sent = sendmsg(call->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            http_connection_lose(call);
            return;
        }
        sent = sent > 0 ? sent : 0;
    }
    if ((size_t)sent < all && !http_queued(call))
        http_set_timer(call, call->server->limits.write_ms);
    for (size_t i = 0; i < count; i++) {
        size_t skip = (size_t)sent < parts[i].len ? (size_t)sent : parts[i].len;
        sent -= (ssize_t)skip;
        buf_add_str(&call->queue, str_from_offset(parts[i], skip));
    }
    if (call->queue.error)
        http_connection_lose(call);
    else if (http_queued(call) > HTTP_QUEUE_HIGH)
        call->was_full = true;
}

void http_write_queued(struct http_call *call)
{
    while (http_queued(call) && !call->is_lost) {
        ssize_t sent = send(call->watch.fd, call->queue.data + call->queue_from, http_queued(call),
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0) {
            http_connection_kill(call);
            return;
        }
        call->queue_from += (size_t)sent;
        http_set_timer(call, call->server->limits.write_ms);
    }
    if (!http_queued(call)) {
        if (call->queue.capacity > HTTP_QUEUE_HIGH)
            buf_release(&call->queue);
        buf_reset(&call->queue);
        call->queue_from = 0;
        if (call->state == CONNECTION_ANSWER)
            http_stop_timer(call);
    } else if (call->queue_from > HTTP_QUEUE_HIGH) {
        memmove(call->queue.data, call->queue.data + call->queue_from, http_queued(call));
        buf_truncate(&call->queue, http_queued(call));
        call->queue_from = 0;
    }
    if (call->was_full && http_queued(call) <= HTTP_QUEUE_LOW) {
        call->was_full = false;
        if (call->is_open)
            call->server->calls->drained(call->server->calls->context, call);
    }
}

/* --- answering ------------------------------------------------------------------------------- */

static const char *phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 417, "Expectation Failed" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };
    for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "";
}

/* What waits goes out, and the head before it. */
static void write_parts(struct http_call *call, const struct str *body, size_t count)
{
    struct str parts[HTTP_PARTS_MAX];
    size_t all = 0;
    if (call->head.len)
        parts[all++] = buf_str(&call->head);
    for (size_t i = 0; i < count; i++)
        parts[all++] = body[i];
    call->depth++;
    if (call->head.error)
        http_connection_lose(call);
    else
        http_write(call, parts, all);
    call->depth--;
    buf_reset(&call->head);
}

void http_call_answer(struct http_call *call, unsigned status, struct str headers, uint64_t length)
{
    const struct http_request *request = http_reader_request(call->reader);
    struct buf *head = &call->head;
    assert(call->is_open && !call->has_answer);
    call->has_answer = true;
    call->is_chunked = length == HTTP_LENGTH_UNKNOWN && !request->is_version_0;
    if (call->state != CONNECTION_ANSWER || !request->keep_alive ||
        (length == HTTP_LENGTH_UNKNOWN && request->is_version_0))
        call->closes = true; /* what is left of the request is not read as the next one */
    buf_addf(head, "HTTP/1.1 %u %s\r\n", status, phrase(status));
    buf_add_str(head, headers);
    if (call->is_chunked)
        buf_add_text(head, "Transfer-Encoding: chunked\r\n");
    else if (length != HTTP_LENGTH_UNKNOWN)
        buf_addf(head, "Content-Length: %llu\r\n", (unsigned long long)length);
    buf_add_text(head, call->closes ? "Connection: close\r\n\r\n" : "\r\n");
    if (length == HTTP_LENGTH_UNKNOWN || !length) /* a stream may say nothing for long */
        write_parts(call, NULL, 0);
    http_connection_run(call);
}

void http_call_send(struct http_call *call, struct str bytes)
{
    char size[20];
    const int len = snprintf(size, sizeof(size), "%zx\r\n", bytes.len);
    const struct str parts[] = { str_make(size, (size_t)len), bytes, STR("\r\n") };
    assert(call->has_answer);
    if (!bytes.len)
        return;
    write_parts(call, call->is_chunked ? parts : &parts[1], call->is_chunked ? 3 : 1);
    http_connection_run(call);
}

bool http_call_is_full(const struct http_call *call)
{
    return call->was_full;
}

void http_call_finish(struct http_call *call)
{
    const struct str last = STR("0\r\n\r\n");
    assert(call->has_answer);
    call->is_open = false;
    call->owner = NULL;
    write_parts(call, &last, call->is_chunked);
    http_connection_run(call);
}
