/* upstream_place: addresses of this machine, and nothing else, as a URL names them. */
#ifndef AM_DOORS_MODEL_UPSTREAM_PLACE_H
#define AM_DOORS_MODEL_UPSTREAM_PLACE_H

#include <netinet/in.h>

#include "base/base.h"
#include "base/str.h"

#define UPSTREAM_AUTHORITY_SIZE  72
#define UPSTREAM_PLACE_ADDRESSES 2

struct upstream_place {
    char authority[UPSTREAM_AUTHORITY_SIZE]; /* host and port, as they stand there */
    struct str path;                         /* with the query; a view of the URL */
    char addresses[UPSTREAM_PLACE_ADDRESSES][INET6_ADDRSTRLEN];
    size_t address_count;
    in_port_t port; /* in the network's order */
};

/* Pure. False for whatever is not plain http to loopback, or cannot be put into a request line. */
bool upstream_place_read(const char *url, struct upstream_place *ret);

#endif
