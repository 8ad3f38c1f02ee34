/*
 * proxy_rounds: CONNECT to a corporate proxy that answers with a challenge (Digest, NTLM,
 * Negotiate).
 *
 * libcurl speaks, on a connection that is the caller's before, meanwhile and
 * after; the proxy resolves the target's name itself.
 */
#ifndef AM_DOORS_NETWORK_PROXY_ROUNDS_H
#define AM_DOORS_NETWORK_PROXY_ROUNDS_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "doors/network/target.h"
#include "doors/network/upstream_proxy.h"

struct proxy_rounds;

/*
 * `fd` is connected to the proxy, and non-blocking. `shown` is USER:PASSWORD, and empty where the
 * tickets of who runs this are shown. 0, ERR_MEMORY, or ERR_UNSUPPORTED: there is no libcurl, or it
 * has been built without the scheme.
 */
int proxy_rounds_new(int fd, const struct route *route, const struct target *target,
                     struct str shown, struct proxy_rounds **ret, struct err *err) MUST_CHECK;
/*
 * To be called at first, and whenever something is heard of the descriptor; never
 * UPSTREAM_PROXY_SAYS. Where the proxy refuses, ret_refusal says why. Tickets are fetched within
 * the call: it takes as long as the realm's servers take.
 */
enum upstream_proxy_answer
proxy_rounds_turn(struct proxy_rounds *rounds,
                  char ret_refusal[UPSTREAM_PROXY_REFUSAL_SIZE]) MUST_CHECK;
/* The descriptor stays open. NULL is nothing. */
void proxy_rounds_free(struct proxy_rounds *rounds);

#endif
