/*
 * upstream: requests to model providers, by libcurl on base/loop.
 *
 * HTTP/1.1 and 2, connections kept and used again, TLS verified always, no
 * redirect followed. Bodies go out in pieces that the caller holds; answers come
 * as they arrive.
 */
#ifndef AM_DOORS_MODEL_UPSTREAM_H
#define AM_DOORS_MODEL_UPSTREAM_H

#include "authority/references.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"
#include "contract/destination.h"

#define UPSTREAM_CONNECT_MS     15000
#define UPSTREAM_SILENCE_S      900 /* without a byte: a large model thinks for minutes */
#define UPSTREAM_IDLE_MAX       64  /* connections that are kept */
#define UPSTREAM_HEAD_BYTES_MAX 65536
#define UPSTREAM_CA_BYTES_MAX   ((size_t)8 << 20) /* of all certificates that are trusted */
#define UPSTREAM_HEADERS_MAX    160
#define UPSTREAM_PIECES_MAX     12
#define UPSTREAM_ADDRESSES_MAX  8

struct upstream;
struct upstream_call;

enum upstream_end {
    UPSTREAM_WHOLE,
    UPSTREAM_UNREACHABLE, /* nothing of the request was sent */
    UPSTREAM_CUT,         /* it ended before its end, whether an answer had begun or not */
    UPSTREAM_SILENT,      /* for UPSTREAM_SILENCE_S */
};

struct upstream_answer {
    unsigned status;
    struct str headers; /* whole lines */
};

struct upstream_calls {
    void *context;
    /* Whether to connect to an address of the host, or of the proxy. NULL: always. */
    bool (*address)(void *context, const struct address_range *address);
    void (*head)(void *context, const struct upstream_answer *answer);
    /* False: not now, the same bytes come again after upstream_go_on. */
    bool (*body)(void *context, struct str bytes);
    /* The last call; `cause` is in words, and names no secret and no address. `sent` as below. */
    void (*ended)(void *context, enum upstream_end end, uint64_t sent, const char *cause);
};

struct upstream_request {
    const char *url;
    bool is_get; /* without a body */
    struct str headers[UPSTREAM_HEADERS_MAX]; /* each a line without its end */
    size_t header_count;
    struct str pieces[UPSTREAM_PIECES_MAX]; /* of the body; held by the caller until the end */
    size_t piece_count;
    const struct reference_proxy *proxy;   /* NULL: directly */
    const struct address_range *addresses; /* of the host, where a layer says them */
    size_t address_count;
};

/* `references` may be NULL: their authorities are trusted beside the host's. Loads libcurl. */
int upstream_new(struct loop *loop, const struct references *references, struct upstream **ret,
                 struct err *err) MUST_CHECK;
/* Calls that are open end without a word. NULL is nothing. */
void upstream_free(struct upstream *upstream);

/* What it is given is copied, the pieces apart; header texts are wiped when the call ends. */
int upstream_start(struct upstream *upstream, const struct upstream_request *request,
                   const struct upstream_calls *calls, struct upstream_call **ret,
                   struct err *err) MUST_CHECK;
/* Ends a call at once; none of its functions is called any more. */
void upstream_cancel(struct upstream_call *call);
/* After `body` gave false. */
void upstream_go_on(struct upstream_call *call);
/* Bytes of the body that were sent. */
uint64_t upstream_sent(const struct upstream_call *call);

#endif
