/*
 * net_glance: whether this machine's network fails below the layers that something has to be sent
 * for: device to routes.
 */
#ifndef AM_DOCTOR_NET_GLANCE_H
#define AM_DOCTOR_NET_GLANCE_H

#include "doctor/net_truth.h"

struct net_glance {
    char summary[NET_TEXT_MAX], remedy[NET_TEXT_MAX];
};

/*
 * True, with what fails and what to do, where a host beyond this machine cannot be reached. Nothing
 * is sent. What cannot be seen, and a host that is this machine, fail nowhere.
 */
bool net_glance(struct str host, struct net_glance *ret);

#endif
