/*
 * net_look: one who looks at this host's network, and again when something has changed.
 *
 * Looking asks the kernel and reads files; what may be sent is sent once for
 * each epoch. Where the network changes while it is looked at, it is looked at
 * again, a few times, so that a record is of one epoch; else it says that its
 * probes are of an earlier one.
 */
#ifndef AM_DOCTOR_NET_LOOK_H
#define AM_DOCTOR_NET_LOOK_H

#include "doctor/net_record.h"
#include "doctor/net_targets.h"

struct net_looking;

/*
 * `listens`: whether net_look_wait will be called; listening begins at once. `targets` (NULL:
 * nothing is sent) and `wish` (NULL: any interface) outlive it.
 */
int net_look_new(bool listens, const struct net_targets *targets, const char *wish,
                 struct net_looking **ret, struct err *err) MUST_CHECK;
void net_look_free(struct net_looking *looking);

/* Fills a record that the caller releases. */
int net_look(struct net_looking *looking, struct net_record *ret, struct err *err) MUST_CHECK;
/*
 * Returns when something has changed: links, addresses, routes, rules, gateways, radios, their
 * switches, leases, the resolver's configuration; or at the moment `until_ms` (0: none), at which
 * something runs out by itself. Nothing is looked at by the clock.
 */
int net_look_wait(struct net_looking *looking, int64_t until_ms, struct err *err) MUST_CHECK;

static inline void cleanup_net_looking(struct net_looking **looking)
{
    net_look_free(*looking);
}

#endif
