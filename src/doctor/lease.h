/*
 * lease: what DHCP clients keep of the leases that they have.
 *
 * Each client has a folder, names of files, and a format; one table lists them.
 * A file's format and its interface are known by its path.
 */
#ifndef AM_DOCTOR_LEASE_H
#define AM_DOCTOR_LEASE_H

#include <sys/socket.h>

#include <linux/if.h>

#include "base/base.h"
#include "base/str.h"
#include "doctor/net_address.h"

#define LEASE_PORTAL_MAX   256
#define LEASE_SECONDS_EVER UINT32_MAX /* of a lease that does not end */

struct lease {
    const char *client;  /* static: who keeps it */
    char link[IFNAMSIZ]; /* empty: only its number is known */
    int link_index;      /* 0: only its name is known */
    struct net_address address, server, router;
    int64_t end_ms;                /* 0: it does not say; INT64_MAX: it does not end */
    char portal[LEASE_PORTAL_MAX]; /* where the network has itself signed in to; may be empty */
};

/* Where clients keep their files. */
struct lease_place {
    const char *client, *folder, *prefix, *suffix;
};
const struct lease_place *lease_place_at(size_t index); /* NULL behind the last */

/*
 * The next lease of a file; `at` is where reading goes on, and begins at 0. `written_ms` is when
 * the file was written: some leases tell their length alone. False where there is none any more.
 */
bool lease_next(struct str path, struct str bytes, int64_t written_ms, size_t *at,
                struct lease *ret);

#endif
