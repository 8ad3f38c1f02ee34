/* upstream_internal: the two ways in which providers are asked, for upstream.c alone. */
#ifndef AM_DOORS_MODEL_UPSTREAM_INTERNAL_H
#define AM_DOORS_MODEL_UPSTREAM_INTERNAL_H

#include "doors/model/upstream.h"

/* The first member of a call, whichever way it goes. */
struct upstream_call {
    const struct upstream_way *way;
};

struct upstream_way {
    void (*cancel)(struct upstream_call *call);
    void (*go_on)(struct upstream_call *call);
    uint64_t (*sent)(const struct upstream_call *call);
};

/* A body up to this goes out in one with the head. */
#define UPSTREAM_JOINED_MAX ((size_t)48 << 10)

static inline size_t upstream_body_size(const struct upstream_request *request)
{
    size_t size = 0;
    for (size_t i = 0; i < request->piece_count; i++)
        size += request->pieces[i].len;
    return size;
}

/* --- upstream_plain.c: HTTP/1.1 to this machine ---------------------------------------------- */

struct upstream_plain;

/* Whether a request goes this way: http, to an address of loopback, through no proxy. */
bool upstream_plain_takes(const struct upstream_request *request);
int upstream_plain_new(struct loop *loop, struct upstream_plain **ret, struct err *err) MUST_CHECK;
/* NULL is nothing. */
void upstream_plain_free(struct upstream_plain *plain);
int upstream_plain_start(struct upstream_plain *plain, const struct upstream_request *request,
                         const struct upstream_calls *calls, struct upstream_call **ret,
                         struct err *err) MUST_CHECK;

/* --- upstream_curl.c: everywhere else, by libcurl -------------------------------------------- */

struct upstream_curl;

/* Loads libcurl. */
int upstream_curl_new(struct loop *loop, const struct references *references,
                      struct upstream_curl **ret, struct err *err) MUST_CHECK;
/* NULL is nothing. */
void upstream_curl_free(struct upstream_curl *upstream);
int upstream_curl_start(struct upstream_curl *upstream, const struct upstream_request *request,
                        const struct upstream_calls *calls, struct upstream_call **ret,
                        struct err *err) MUST_CHECK;

#endif
