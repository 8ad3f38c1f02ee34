/* http_internal: a connection, for http_server.c and http_answer.c alone. */
#ifndef AM_DOORS_MODEL_HTTP_INTERNAL_H
#define AM_DOORS_MODEL_HTTP_INTERNAL_H

#include "base/buf.h"
#include "doors/model/http_server.h"

#define HTTP_INPUT_SIZE 16384

enum connection_state {
    CONNECTION_HEAD,
    CONNECTION_BODY,
    CONNECTION_ANSWER,
    CONNECTION_END,
    CONNECTION_DEAD,
};

struct http_call {
    struct http_server *server;
    struct http_call *before, *next; /* of the server's list */
    struct loop_watch watch;
    struct loop_timer timer;
    uint32_t events;
    enum connection_state state;
    unsigned depth; /* of callbacks and runs that stand on the stack */
    struct http_reader *reader;
    size_t held; /* of the body, as the server counts it */
    char input[HTTP_INPUT_SIZE];
    size_t input_from, input_to;
    struct buf head;  /* of an answer, which goes out with what comes first of its body */
    struct buf queue; /* from queue_from on */
    size_t queue_from;
    size_t lingered;
    void *owner;
    bool is_open; /* the call: it has been shown, and is neither finished nor broken */
    bool is_chunked, has_answer, was_full;
    bool ends_perhaps; /* a request without a body is whole with its head: no byte is to come */
    bool closes;       /* the connection ends with this answer */
    bool is_shut, is_lost;
};

struct listener {
    struct loop_watch watch;
    struct http_server *server;
};

struct http_server {
    struct loop *loop;
    const struct http_server_calls *calls;
    struct http_limits limits;
    struct listener listeners[HTTP_LISTENERS_MAX];
    size_t listener_count;
    struct loop_timer accept_timer;
    bool is_paused; /* nobody is accepted */
    struct http_call *first;
    size_t count, held;
};

/* --- http_server.c ------------------------------------------------------------------------- */

/* Moves a connection on until it has to wait; nothing where it stands on the stack already. */
void http_connection_run(struct http_call *call);
/*
 * The connection has failed while its owner was using it: it ends in the loop's next turn, so that
 * `gone` is never called from within one of the owner's own calls.
 */
void http_connection_lose(struct http_call *call);
/* Ends the connection now. Whoever stands on the stack frees it; else it is freed here. */
void http_connection_kill(struct http_call *call);
void http_set_timer(struct http_call *call, int64_t ms);
/* Of a connection that is lost the timer is its end. */
void http_stop_timer(struct http_call *call);

/* --- http_answer.c ------------------------------------------------------------------------- */

#define HTTP_PARTS_MAX 4
/* Sends what it can; the rest is queued. */
void http_write(struct http_call *call, const struct str *parts, size_t count);
/* When the client takes more. */
void http_write_queued(struct http_call *call);
size_t http_queued(const struct http_call *call);

#endif
