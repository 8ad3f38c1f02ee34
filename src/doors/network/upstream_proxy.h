/*
 * upstream_proxy: what is said to a corporate proxy until it has connected.
 *
 * Pure: who owns the connection sends what is to be said, and shows what has
 * come. The proxy resolves the target's name itself.
 */
#ifndef AM_DOORS_NETWORK_UPSTREAM_PROXY_H
#define AM_DOORS_NETWORK_UPSTREAM_PROXY_H

#include "base/base.h"
#include "base/buf.h"
#include "doors/network/target.h"

#define UPSTREAM_PROXY_ANSWER_BYTES_MAX (16 << 10) /* to one thing that was said */

#define UPSTREAM_PROXY_REFUSAL_SIZE 128
struct upstream_proxy {
    unsigned char step;                        /* its own */
    char refusal[UPSTREAM_PROXY_REFUSAL_SIZE]; /* why it refused, or what it answered wrongly */
};

/* A proxy that nothing has been said to yet. */
void upstream_proxy_init(struct upstream_proxy *proxy, const struct route *route);

/*
 * Appends what is to be said next. 0, the buf's error, or -EINVAL where the route's credentials
 * cannot be said in this proxy's words.
 */
int upstream_proxy_say(const struct upstream_proxy *proxy, const struct route *route,
                       const struct target *target, struct buf *ret) MUST_CHECK;

enum upstream_proxy_answer {
    UPSTREAM_PROXY_MORE, /* it is not whole */
    UPSTREAM_PROXY_SAYS, /* something is to be said now */
    UPSTREAM_PROXY_OPEN, /* what comes next is the target's */
    UPSTREAM_PROXY_REFUSED,
};
/* Reads what has come since something was said; *ret_used bytes of it were the proxy's. */
enum upstream_proxy_answer upstream_proxy_hear(struct upstream_proxy *proxy, struct str bytes,
                                               size_t *ret_used) MUST_CHECK;

#endif
