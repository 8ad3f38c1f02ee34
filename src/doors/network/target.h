/*
 * target: where somebody inside wants to go, and what the door lets it do there.
 *
 * What the resolver and the flows ask of the door stands here; the door answers
 * from the layers, and whatever it permits is on record before it says so.
 */
#ifndef AM_DOORS_NETWORK_TARGET_H
#define AM_DOORS_NETWORK_TARGET_H

#include "authority/verdict.h"
#include "base/base.h"
#include "base/str.h"
#include "contract/destination.h"

/* A name (as host_name_read leaves it), or, where that is empty, an address. */
struct target {
    char name[HOST_NAME_BYTES_MAX + 1];
    struct address_range address; /* one address: all bits are its prefix */
    uint16_t port;
};

/* Its host as a person writes it, without the port. */
#define TARGET_HOST_SIZE (HOST_NAME_BYTES_MAX + 1)
void target_host(const struct target *target, char ret[TARGET_HOST_SIZE]);

/* What went to a target, and came from it; the door's, for as long as the door. */
struct use {
    uint64_t connections, sent_bytes, received_bytes;
};

/* Bytes are counted by two threads, and read by one. */
static inline void use_add(uint64_t *count, uint64_t bytes)
{
    __atomic_fetch_add(count, bytes, __ATOMIC_RELAXED);
}

static inline uint64_t use_read(const uint64_t *count)
{
    return __atomic_load_n(count, __ATOMIC_RELAXED);
}

enum route_kind { ROUTE_DIRECT, ROUTE_HTTP_PROXY, ROUTE_HTTPS_PROXY, ROUTE_SOCKS5 };

struct reference_proxy;
struct secret;

/* How what is allowed leaves this machine. */
struct route {
    enum route_kind kind;
    char host[HOST_NAME_BYTES_MAX + 1]; /* of the proxy; empty where the route is direct */
    uint16_t port;
    /* NULL where the route is direct. What it is shown, routes_authorize resolves (routes.h). */
    const struct reference_proxy *proxy;
    /* Of a proxy's CONNECT, a whole header value; or NULL. Set only while it is being said. */
    const char *authorization;
};

#define PERMIT_FIXED_MAX 8
struct permit {
    bool allowed;
    bool asked; /* not allowed yet: a person is being asked, and it may wait */
    bool tls;   /* the outer server name is to be read, and to be the target's */
    struct use *use;
    struct route route;
    /* Addresses that a layer gives to the name: nobody is asked to resolve it. */
    struct address_range fixed[PERMIT_FIXED_MAX];
    size_t fixed_count;
};

/* Why the door was not passed, for those who are told. */
#define REFUSAL_TABLE(X)                                                                           \
    X(REFUSED_BY_POLICY, "policy")                                                                 \
    X(REFUSED_ADDRESS, "address")        /* a permitted name leads to a place that is denied */    \
    X(REFUSED_NO_NAME, "no-server-name") /* TLS was to name its server and did not */              \
    X(REFUSED_OTHER_NAME, "server-name") /* and named another than the one dialled */              \
    X(REFUSED_NOT_TLS, "not-tls")                                                                  \
    X(REFUSED_UNRESOLVED, "unresolved")                                                            \
    X(REFUSED_UNREACHABLE, "unreachable")                                                          \
    X(REFUSED_BY_PROXY, "proxy")                                                                   \
    X(REFUSED_BUDGET, "budget")                                                                    \
    X(REFUSED_LIMIT, "limit")

enum door_refusal {
#define X(refusal, name) refusal,
    REFUSAL_TABLE(X)
#undef X
        REFUSAL_COUNT
};

/* The questions. `context` is the door. */
struct door_asks {
    void *context;
    /* Whether a name may be resolved at all, for some port; records a denial. */
    bool (*name)(void *context, const char *name);
    /* Whether a connection may be made, before anything of it is done; records either way. */
    void (*connect)(void *context, const struct target *target, struct permit *ret);
    /* The second question: whether one of a permitted name's addresses may be connected to. */
    bool (*address)(void *context, const struct target *target,
                    const struct address_range *address);
    /*
     * What a route's proxy is shown (routes_authorize), for the moment when it is said; the asker
     * frees it, and *ret is NULL where it is nothing. NULL where no route needs any.
     */
    int (*authorize)(void *context, const struct route *route, struct secret **ret,
                     struct err *err);
    /* A permitted connection came to nothing, or was refused for what it turned out to be. */
    void (*refused)(void *context, const struct target *target, enum door_refusal refusal,
                    const char *detail);
};

#endif
