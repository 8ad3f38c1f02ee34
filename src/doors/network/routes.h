/*
 * routes: which way an allowed destination takes.
 *
 * An entry of a NetworkAccessProfile in force that answers for a host (lists it,
 * or allows or asks about all that it does not list) may state a way: a proxy
 * (proxyRef), a mesh (meshBindingRef), or, by its class, the host's own network
 * (proxy, mesh, vpn or zero-trust without a reference). A MeshBindingProfile in
 * force states one for its allowedHosts where they leave by an egress gateway.
 *
 * A way of class proxy, mesh, vpn or zero-trust that lists `*` takes every host.
 * A range is held against an address that was dialled, since what a name resolves
 * to is not known when its way is chosen.
 *
 * Of all ways for a host that of the highest layer is taken, so that no lower one
 * leads around a company's proxy; of one layer's that with the lowest `priority`,
 * a mesh binding's own last; of equals that of the first document and entry.
 * Where no entry states a way, it is direct.
 *
 * What a reference leads to stands in references.yaml (authority/references.h).
 * A proxyRef that no layer resolves, and a mesh with an egress gateway, or one
 * of which nothing is known, that no layer resolves, can carry nothing: what
 * would have to go by it is denied.
 */
#ifndef AM_DOORS_NETWORK_ROUTES_H
#define AM_DOORS_NETWORK_ROUTES_H

#include "authority/references.h"
#include "authority/verdict.h"
#include "doors/network/target.h"

struct routes;

/* Of the policy's documents; both outlive the routes. `references` may be NULL. */
int routes_new(const struct policy *policy, const struct references *references,
               struct routes **ret, struct err *err) MUST_CHECK;
/*
 * Nothing leaves this machine: what the layers allow is a denial all the same, unless it is an
 * address of this machine's own, or a name to which a layer's references give such alone.
 */
void routes_keep_here(struct routes *routes);
/* NULL is nothing. */
void routes_free(struct routes *routes);

/* The way to a target; every look-up takes NULL for routes, which has no ways. */
struct way {
    const struct reference_proxy *proxy; /* NULL: direct */
    struct str entry;                    /* that states it; empty: none does */
    struct str reference;                /* empty: the host's own network */
    const char *document;
    char pointer[VERDICT_POINTER_SIZE];
    bool left_out;   /* direct, though the reference leads to a proxy: see noProxy */
    bool unresolved; /* and so it cannot be gone */
};
/* Where the port is not known (0), what is left out at some port is not left out. */
void routes_find(const struct routes *routes, const struct target *target, struct way *ret);

/*
 * To be called with what the layers answer, before it is written down, and a permit that is zero.
 * Where they do not deny: fills the permit's route and fixed addresses, or turns the verdict into a
 * denial where the way cannot be gone.
 */
void routes_apply(const struct routes *routes, const struct target *target, struct verdict *verdict,
                  struct permit *permit);

/*
 * What a route's proxy is shown, at the moment when it is said: a whole header value, ended by a
 * NUL, to be freed as soon as it has been said. *ret is NULL where it asks for nothing. Fails as
 * references_authorize.
 */
int routes_authorize(const struct routes *routes, const struct route *route, struct secret **ret,
                     struct err *err) MUST_CHECK;

#endif
