/*
 * inside_proxy: the proxy that programs inside find who insist on one (--proxy-env).
 *
 * One listener, made inside, for HTTP (CONNECT and plain requests), SOCKS 5 and
 * SOCKS 4. It asks for nothing that a direct connection would not be asked for.
 */
#ifndef AM_DOORS_NETWORK_INSIDE_PROXY_H
#define AM_DOORS_NETWORK_INSIDE_PROXY_H

#include "base/base.h"
#include "base/err.h"
#include "base/loop.h"
#include "doors/network/flow.h"

/* Who have not said all of what they want; each has the time of a hello for it (flow.h). */
#define INSIDE_PROXY_CLIENTS_MAX 256

struct inside_proxy;

/* Loop and flows outlive it; the listener (non-blocking) stays open and the caller's. */
int inside_proxy_new(struct loop *loop, struct flows *flows, int listener,
                     struct inside_proxy **ret, struct err *err) MUST_CHECK;
/* NULL is nothing. */
void inside_proxy_free(struct inside_proxy *proxy);

#endif
