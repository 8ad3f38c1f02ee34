/*
 * decoys: what of the host there is to be reached, for the probes to try.
 *
 * Each is real: a listener at an address of this host, one with an abstract
 * name, the socket by which the run is controlled, the user's own key, the
 * folder of the run. The listeners live until the probes have run. Any process
 * of the host may reach them: only who says the probes' nonce counts.
 */
#ifndef AM_MACHINE_DECOYS_H
#define AM_MACHINE_DECOYS_H

#include <netinet/in.h>

#include "base/base.h"
#include "base/err.h"
#include "machine/linux/probes.h"

struct decoys {
    int upstream, abstract; /* listeners */
    struct sockaddr_in address;
    char name[64], path[108];
    unsigned char nonce[PROBE_NONCE_BYTES];
};

/* `folder` is the run's own, with its socket, and `secret` a file of the user's; both outlive the
 * context. */
int decoys_open(struct decoys *decoys, const char *folder, const char *secret,
                struct probe_context *ret, struct err *err) MUST_CHECK;
/* Whether a probe reached a listener, which none may. */
bool decoys_reached(const struct decoys *decoys);
void decoys_close(struct decoys *decoys);

#endif
