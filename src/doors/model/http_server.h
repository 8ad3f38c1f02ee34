/*
 * http_server: clients of HTTP/1.1, on base/loop.
 *
 * Each connection has one call at a time: its head is shown, its body is held
 * until it is whole, then it is answered, as a whole or as it comes. What a
 * client sends behind it waits in the kernel.
 */
#ifndef AM_DOORS_MODEL_HTTP_SERVER_H
#define AM_DOORS_MODEL_HTTP_SERVER_H

#include "base/base.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"
#include "doors/model/http_request.h"

#define HTTP_LISTENERS_MAX   8
#define HTTP_CONNECTIONS_MAX 1024                /* what comes meanwhile waits in the queues */
#define HTTP_BODY_BYTES_MAX  ((size_t)32 << 20)  /* of one request */
#define HTTP_HELD_BYTES_MAX  ((size_t)256 << 20) /* of all bodies that are held at a time */
#define HTTP_QUEUE_HIGH      ((size_t)256 << 10) /* of an answer that a client does not take */
#define HTTP_QUEUE_LOW       ((size_t)64 << 10)
#define HTTP_QUEUE_MAX       ((size_t)8 << 20)
#define HTTP_HEAD_MS         30000  /* from a request's first byte to the end of its head */
#define HTTP_IDLE_MS         300000 /* between requests */
#define HTTP_BODY_MS         60000  /* without a byte of a body */
#define HTTP_WRITE_MS        300000 /* without a byte that a client takes */
#define HTTP_LINGER_MS       2000   /* for a client to read what it was told before it is closed */

struct http_server;
struct http_call;

struct http_server_calls {
    void *context;
    /* The head is there: to be answered now, or left for `whole`. */
    void (*head)(void *context, struct http_call *call);
    void (*whole)(void *context, struct http_call *call);
    /* What was queued has been taken down to HTTP_QUEUE_LOW, after it had been above the high. */
    void (*drained)(void *context, struct http_call *call);
    /* The client is gone before its answer was finished; the call is no more after this. Comes
     * from the loop, never from within a function below. */
    void (*gone)(void *context, struct http_call *call);
    /* Something that is no request, or beyond a limit: to be answered; the connection then ends.
     * The request is there as far as it was read: path and method may be empty. */
    void (*wrong)(void *context, struct http_call *call, const struct http_fault *fault);
};

struct http_limits {
    int64_t head_ms, idle_ms, body_ms, write_ms, linger_ms;
    size_t connections, body_bytes, held_bytes;
};
extern const struct http_limits http_limits_default;

/* The loop and the calls outlive the server; `limits` NULL: the default ones. */
int http_server_new(struct loop *loop, const struct http_server_calls *calls,
                    const struct http_limits *limits, struct http_server **ret,
                    struct err *err) MUST_CHECK;
/* Closes whatever is open; for calls that are not finished `gone` is called. NULL is nothing. */
void http_server_free(struct http_server *server);
/* The listener is the server's from then on, also on failure. */
int http_server_listen(struct http_server *server, int listener, struct err *err) MUST_CHECK;

const struct http_request *http_call_request(const struct http_call *call);
/* What its owner ties to a call. */
void http_call_own(struct http_call *call, void *owner);
void *http_call_owner(const struct http_call *call);

#define HTTP_LENGTH_UNKNOWN UINT64_MAX

/*
 * Begins the answer. `headers` are whole lines, each with its end, without Content-Length,
 * Transfer-Encoding and Connection, which the server writes.
 */
void http_call_answer(struct http_call *call, unsigned status, struct str headers, uint64_t length);
/* Goes out at once, as far as the client takes it. */
void http_call_send(struct http_call *call, struct str bytes);
/* Whether more than HTTP_QUEUE_HIGH waits for the client: `drained` is to come. */
bool http_call_is_full(const struct http_call *call);
/* The answer is whole; the call is no more after this. */
void http_call_finish(struct http_call *call);
/* Ends the connection so that the client notices that the answer is not whole; likewise. */
void http_call_break(struct http_call *call);

#endif
