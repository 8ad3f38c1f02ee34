/* net_kernel: what the kernel tells of the network, into a record. */
#ifndef AM_DOCTOR_LINUX_NET_KERNEL_H
#define AM_DOCTOR_LINUX_NET_KERNEL_H

#include "doctor/net_facts.h"
#include "doctor/net_targets.h"

/* Addresses that the kernel is asked the way to, of the internet: nothing is sent. */
extern const char *const net_far_addresses[2];

/* Links, addresses, routes, rules, neighbours, ways; what is refused is written down with why. */
void net_kernel_routes(struct net_record *record, const struct net_targets *targets);
/* Radios, their stations and switches; the peers of WireGuard links among `links`. */
void net_kernel_radios(struct net_record *record);
void net_kernel_wireguard(struct net_record *record);

/*
 * Listens to groups of a generic family, by name: the socket, or -errno where the kernel has no
 * such family. `ret_family` is the type of its messages.
 */
int net_kernel_listen(const char *family, const char *const *groups, size_t count,
                      uint16_t *ret_family);

#endif
