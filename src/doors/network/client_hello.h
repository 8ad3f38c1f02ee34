/* client_hello: which server a TLS client names before anything is encrypted (the outer name). */
#ifndef AM_DOORS_NETWORK_CLIENT_HELLO_H
#define AM_DOORS_NETWORK_CLIENT_HELLO_H

#include "base/base.h"
#include "base/str.h"
#include "contract/destination.h"

/* With the headers of its records. Post-quantum ones have 2 KiB, with a large ticket 4. */
#define CLIENT_HELLO_BYTES_MAX (32 << 10)

enum client_hello {
    CLIENT_HELLO_MORE, /* so far it may be one */
    CLIENT_HELLO_NOT_TLS,
    CLIENT_HELLO_TOO_LONG,
    CLIENT_HELLO_NO_NAME,
    CLIENT_HELLO_ODD_NAME, /* several, or one that is no host name */
    CLIENT_HELLO_NAME,
};

/*
 * Reads the first bytes of a connection. Any other answer than CLIENT_HELLO_MORE is the same for
 * whatever follows. `ret` is set where there is a name.
 */
enum client_hello client_hello_read(struct str bytes, struct host_name *ret) MUST_CHECK;

#endif
