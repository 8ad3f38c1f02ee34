/*
 * resolver: the name server that the programs inside find at whatever address they ask.
 *
 * Its sockets were made inside the run's network namespace and are served from here. An answer
 * leaves from the address that was asked.
 */
#ifndef AM_DOORS_NETWORK_RESOLVER_H
#define AM_DOORS_NETWORK_RESOLVER_H

#include "base/loop.h"
#include "doors/network/names.h"
#include "doors/network/target.h"

#define RESOLVER_SOCKETS_MAX     8 /* of each kind */
#define RESOLVER_CLIENTS_MAX     64 /* by TCP; then the one that was idle for the longest has to go */
#define RESOLVER_QUERY_BYTES_MAX 4096
#define RESOLVER_IDLE_MS         10000 /* without a whole query, or without taking its answer */

struct resolver;

struct resolver_options {
    /* All three outlive the resolver. */
    struct loop *loop;
    struct names *names;
    const struct door_asks *asks;
    const int *udp, *tcp; /* sockets that are bound, and listeners */
    size_t udp_count, tcp_count;
};

/* The descriptors are the resolver's from then on, and stay the caller's where it fails. */
int resolver_new(const struct resolver_options *options, struct resolver **ret,
                 struct err *err) MUST_CHECK;
/* NULL is nothing. */
void resolver_free(struct resolver *resolver);

#endif
