/*
 * net_probe: sends what may be sent, and writes down what came of it.
 *
 * Names are asked of each server by itself; then hosts are dialled, all at
 * once; then pages are asked for. Each ends in bounded time.
 */
#ifndef AM_DOCTOR_NET_PROBE_H
#define AM_DOCTOR_NET_PROBE_H

#include "doctor/net_facts.h"
#include "doctor/net_targets.h"

#define NET_QUERY_MS   2000
#define NET_QUERIES    2 /* times that a server is asked */
#define NET_CONNECT_MS 3000
#define NET_FETCH_MS   3000

int net_probe(const struct net_targets *targets, const struct resolv *resolv,
              struct net_record *record, struct err *err) MUST_CHECK;

/* Addresses of hosts, as they were found out. */
struct net_found {
    const char *host;
    struct net_address addresses[REFERENCES_ADDRESSES_MAX];
    size_t count;
};
/* The parts (net_ask.c, net_dial.c, net_fetch.c). `found` has a row for each of the targets. */
int net_ask_names(const struct net_targets *targets, const struct resolv *resolv,
                  struct net_record *record, struct net_found *found, struct err *err) MUST_CHECK;
int net_dial_hosts(const struct net_targets *targets, const struct net_found *found,
                   struct net_record *record, struct err *err) MUST_CHECK;
void net_fetch_pages(const struct net_targets *targets, const struct net_found *found,
                     struct net_record *record);

#endif
