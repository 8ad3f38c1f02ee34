/*
 * names: which address stands for which name inside, and which name for which address.
 *
 * A permitted name is given a lease: an IPv4 and an IPv6 address of ranges that lead nowhere
 * else, for as long as there is room. Whoever has to do with a name for longer than a call holds
 * its lease.
 */
#ifndef AM_DOORS_NETWORK_NAMES_H
#define AM_DOORS_NETWORK_NAMES_H

#include "base/base.h"
#include "base/err.h"
#include "contract/destination.h"

/* Of the benchmarking range (RFC 2544) all, of the unique local ones (RFC 4193) one of ours. */
#define NAMES_IPV4_RANGE "198.18.0.0/15"
#define NAMES_IPV6_RANGE "fd61:6d61:6368::/48" /* the first 256 of each are never leased */

#define NAMES_MAX 16384 /* leased at a time */

struct names;

struct name_lease {
    struct address_range ipv4, ipv6; /* one address each */
};

int names_new(struct names **ret, struct err *err) MUST_CHECK;
/* Whoever holds a lease has lost it. NULL is nothing. */
void names_free(struct names *names);

/*
 * The lease of a name, as host_name_read leaves names; a new one where it has none, for which the
 * one that was used least recently may have to go. 0, -ENOMEM, or -ENOSPC where all are held.
 */
int names_lease(struct names *names, const char *name, struct name_lease *ret) MUST_CHECK;

/* Whether an address (one, or a range) is within the ranges, leased or not. */
bool names_is_ours(const struct address_range *address);

/* The name that an address stands for, valid until the next lease; NULL: for none. Counts as use.
 */
const char *names_find(struct names *names, const struct address_range *address);

/* As names_find; name and lease stay until they are released as often as they were held. */
const char *names_hold(struct names *names, const struct address_range *address);
void names_let_go(struct names *names, const struct address_range *address);

#endif
