/*
 * tls_leg: TLS to a server for somebody who speaks plainly.
 *
 * What is sent to the plain end of a pair of sockets goes to the server in TLS,
 * and comes back from there; each way ends by itself.
 */
#ifndef AM_DOORS_NETWORK_TLS_LEG_H
#define AM_DOORS_NETWORK_TLS_LEG_H

#include "authority/references.h"
#include "base/base.h"
#include "base/err.h"
#include "base/loop.h"

/* What legs share: whom they trust, and the list of them all. */
struct tls_legs;
/*
 * Trusts the host's authorities and those of the layers (NULL: there are none). Opens libssl: 0,
 * ERR_UNSUPPORTED (there is none), ERR_MEMORY, or ERR_IO where a file of certificates cannot be
 * read. The process ignores SIGPIPE.
 */
int tls_legs_new(struct loop *loop, const struct references *references, struct tls_legs **ret,
                 struct err *err) MUST_CHECK;
/* Ends all that are left. NULL is nothing. */
void tls_legs_free(struct tls_legs *legs);

struct tls_leg;
/* Why there is no TLS with the server; the leg has ended, and is still to be freed. */
typedef void tls_leg_failed(void *context, const char *why);

/*
 * `server`, a connected socket, is the leg's from then on; `host` (a name or an address) is what
 * its certificate is to be for. *ret_plain is a non-blocking socket, the caller's. 0 or -ENOMEM,
 * -EMFILE and the like: the server stays the caller's.
 */
int tls_leg_new(struct tls_legs *legs, int server, const char *host, tls_leg_failed *failed,
                void *context, int *ret_plain, struct tls_leg **ret) MUST_CHECK;
void tls_leg_free(struct tls_leg *leg);
/* The leg goes on until both ways have ended, and then frees itself; nobody is called any more. */
void tls_leg_let_go(struct tls_leg *leg);

#endif
