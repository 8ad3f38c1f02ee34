/* net_address: an address of either family. */
#ifndef AM_DOCTOR_NET_ADDRESS_H
#define AM_DOCTOR_NET_ADDRESS_H

#include <sys/socket.h>

#include "base/base.h"
#include "base/str.h"

struct net_address {
    uint8_t family; /* AF_INET, AF_INET6, or 0: none */
    uint8_t bytes[16];
};

#define NET_ADDRESS_TEXT 48
/* Returns `ret`; of no address it is `none`. */
const char *net_address_text(const struct net_address *address, char ret[NET_ADDRESS_TEXT]);
/* Whether the text is an address, without a zone or a prefix. */
bool net_address_parse(struct str text, struct net_address *ret);
/* Whether both begin with the same bits. */
bool net_address_shares(const struct net_address *a, const struct net_address *b, unsigned bits);
/* Of this machine; of this cable alone (169.254/16, fe80::/10). */
bool net_address_is_loopback(const struct net_address *address);
bool net_address_is_link_local(const struct net_address *address);

#endif
