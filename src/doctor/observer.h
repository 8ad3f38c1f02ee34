/*
 * observer: one who looks at this host, and again when something has changed.
 *
 * Listening begins before the first look, so that nothing is missed between
 * looking and waiting. Waiting is for events alone (signals of the buses,
 * changes of folders); nothing is looked at by the clock.
 */
#ifndef AM_DOCTOR_OBSERVER_H
#define AM_DOCTOR_OBSERVER_H

#include "base/base.h"
#include "base/err.h"
#include "doctor/phase.h"

#define OBSERVER_PATHS_MAX 1024

struct bus;
struct observer;

/* `listens`: whether observer_wait will be called. */
int observer_new(bool listens, struct observer **ret, struct err *err) MUST_CHECK;
void observer_free(struct observer *observer);

void observer_phase(struct observer *observer, struct phase_sight *ret);
/* The buses, by enum bus_kind (linux/bus.h). */
const struct bus *observer_buses(const struct observer *observer);
/*
 * Changes of what stands at this path are waited for too. What cannot be watched is said by
 * observer_wait.
 */
void observer_add_path(struct observer *observer, const char *path);

/* The same of the network: links, addresses, routes, radios, leases and name servers. */
void observer_add_network(struct observer *observer);

/* Returns when something may be otherwise than it was seen last; ERR_LIMIT, ERR_MEMORY, ERR_IO. */
int observer_wait(struct observer *observer, struct err *err) MUST_CHECK;

static inline void cleanup_observer(struct observer **observer)
{
    observer_free(*observer);
}

#endif
