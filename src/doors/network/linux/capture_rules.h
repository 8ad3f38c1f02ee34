/* capture_rules: the part of a capture that turns connections; capture.c alone includes it. */
#ifndef AM_DOORS_NETWORK_LINUX_CAPTURE_RULES_H
#define AM_DOORS_NETWORK_LINUX_CAPTURE_RULES_H

#include "base/base.h"

#define CAPTURE_NAMES_PORT 53

/* One of the two kinds of addresses. */
struct family {
    int family;
    size_t address_len, address_offset; /* in the packet's own header: the destination */
    unsigned char own[16], loopback[16], loopback_mask[16];
    uint8_t reject_kind, reject_code;
};

/* How connections are brought to the flows' listeners. */
enum turn {
    TURN_TPROXY, /* as they are; every address is the namespace's own, and the listeners take any */
    TURN_REDIRECT, /* with the address rewritten, and questions for names with them */
};

/*
 * Writes the rules: TCP comes to the flows' listeners, whose `ports` these are, and questions for
 * names to the resolver's; all else that is not to the loopback is refused. 0, or -errno where this
 * kernel does not bring connections so.
 */
int capture_rules_write(const struct family *families, size_t count, enum turn turn,
                        const uint16_t *ports) MUST_CHECK;

#endif
