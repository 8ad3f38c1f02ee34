/*
 * proxy_request: what a client asks a proxy for, in HTTP, SOCKS 5 or SOCKS 4.
 *
 * Pure: who owns the connection shows what has come, takes away what was used
 * of it, and says what is to be said.
 */
#ifndef AM_DOORS_NETWORK_PROXY_REQUEST_H
#define AM_DOORS_NETWORK_PROXY_REQUEST_H

#include "base/base.h"
#include "base/buf.h"
#include "doors/network/flow.h"

#define PROXY_REQUEST_BYTES_MAX (32 << 10)

struct proxy_request {
    unsigned char step; /* its own */
    struct str reply;   /* static; what is to be said now */
    /* Of one that is whole: */
    struct target target;
    struct buf first; /* what goes to the server before anything else the client sends */
    const struct flow_answers *answers;
};

enum proxy_request_state {
    PROXY_REQUEST_MORE,
    PROXY_REQUEST_GOES_ON, /* when the reply has been said */
    PROXY_REQUEST_WHOLE,
    PROXY_REQUEST_BAD, /* the reply is the last word */
};

void proxy_request_init(struct proxy_request *request);
void proxy_request_release(struct proxy_request *request);
/* Reads the client's bytes; *ret_used of them are taken, unless more is wanted. */
enum proxy_request_state proxy_request_hear(struct proxy_request *request, struct str bytes,
                                            size_t *ret_used) MUST_CHECK;

#endif
