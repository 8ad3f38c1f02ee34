/*
 * resolv: which name servers a resolver's configuration names (resolv.conf).
 *
 * Lines that nobody understands are passed over, as resolvers do.
 */
#ifndef AM_DOCTOR_RESOLV_H
#define AM_DOCTOR_RESOLV_H

#include "base/base.h"
#include "base/str.h"
#include "doctor/net_address.h"

#define RESOLV_SERVERS_MAX 8 /* resolvers themselves ask three */

struct resolv {
    struct net_address servers[RESOLV_SERVERS_MAX];
    size_t server_count;
    size_t wrong_count; /* lines that name a server which is none */
};

/* What is in the text takes the place of all that was there before. */
void resolv_read(struct str text, struct resolv *ret);

#endif
