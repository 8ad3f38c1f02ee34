/*
 * net_events: one who hears that something of this host's network has changed.
 *
 * The kernel's groups for links, addresses, routes, rules, gateways and radios,
 * the switches of radios, and the folders of leases and of the resolver's
 * configuration. What there is no such source of on this host is not heard.
 */
#ifndef AM_DOCTOR_LINUX_NET_EVENTS_H
#define AM_DOCTOR_LINUX_NET_EVENTS_H

#include <poll.h>

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define NET_EVENTS_SOURCES 4

struct net_events;

/* Called with each message about a radio, before net_events_take returns. */
typedef void net_events_radio(void *context, struct str message);

/* Listens from here on. `radio` may be NULL. ERR_IO, ERR_MEMORY. */
int net_events_new(net_events_radio *radio, void *context, struct net_events **ret,
                   struct err *err) MUST_CHECK;
void net_events_free(struct net_events *events);

/* Fills what is to be polled, for who waits for other things too. */
void net_events_fds(const struct net_events *events, struct pollfd ret[NET_EVENTS_SOURCES]);
/* Takes all that waits, by what poll has said; whether any of it says that something changed. */
bool net_events_take(struct net_events *events, const struct pollfd fds[NET_EVENTS_SOURCES]);
/* Much happens at once when a network changes: returns when no more has come for a moment. */
void net_events_settle(struct net_events *events);

#endif
