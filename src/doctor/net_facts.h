/*
 * net_facts: what a record of a network says, as rows.
 *
 * The readers take what fits and pass over what does not; where rows had no
 * room, or a table could not be seen, that is a fact too.
 */
#ifndef AM_DOCTOR_NET_FACTS_H
#define AM_DOCTOR_NET_FACTS_H

#include <sys/socket.h>

#include <linux/if.h>

#include "base/digest.h"
#include "doctor/lease.h"
#include "doctor/net_address.h"
#include "doctor/net_record.h"
#include "doctor/resolv.h"

#define NET_LINKS_MAX      4096
#define NET_ADDRESSES_MAX  16384
#define NET_ROUTES_MAX     65536
#define NET_RULES_MAX      4096
#define NET_NEIGHBOURS_MAX 65536
#define NET_RADIOS_MAX     256
#define NET_STATIONS_MAX   256
#define NET_SWITCHES_MAX   256
#define NET_PEERS_MAX      4096
#define NET_LEASES_MAX     256
#define NET_EVENTS_MAX     256
#define NET_KIND_MAX       16
#define NET_HARDWARE_MAX   32

struct net_link {
    int index, lower, master; /* lower: the link below it; 0: none */
    char name[IFNAMSIZ], kind[NET_KIND_MAX];
    uint16_t hardware; /* ARPHRD_… */
    uint32_t flags;    /* IFF_… */
    uint8_t state;     /* IF_OPER_… */
    bool has_carrier;
    bool leads_elsewhere; /* its other end lies in another namespace */
    uint8_t identity[NET_HARDWARE_MAX];
    size_t identity_len;
};

struct net_own_address {
    int link;
    struct net_address address;
    uint8_t prefix, scope;
    uint32_t flags;
    uint32_t valid_s; /* UINT32_MAX: as long as the link */
};

struct net_route {
    struct net_address to;       /* of all of a family's: the family, and zeroes */
    uint8_t prefix, type, maker; /* RTN_…, RTPROT_… */
    uint32_t table, priority;
    int link;
    struct net_address gateway;
    uint32_t flags;  /* RTNH_F_… */
    bool is_a_share; /* of a route that is meant to take several ways */
};

struct net_rule {
    uint8_t family, action;
    uint32_t priority, table;
    char in[IFNAMSIZ], out[IFNAMSIZ];
};

struct net_neighbour {
    int link;
    struct net_address address;
    uint16_t state; /* NUD_… */
};

struct net_lookup {
    const char *name; /* the address that was asked about */
    enum net_scope scope;
    int error;
    struct net_route route;
};

struct net_radio {
    int link;
    uint32_t device; /* the radio that it is of */
    uint32_t kind;   /* NL80211_IFTYPE_… */
    char network[33];
};

struct net_station {
    const char *of; /* the interface */
    uint32_t flags; /* of 1 << NL80211_STA_FLAG_… */
    int8_t signal_dbm;
};

struct net_switch {
    uint32_t number;
    bool is_radio; /* of a wireless network */
    bool is_soft_off, is_hard_off;
};

struct net_peer {
    const char *of;
    int64_t met_s; /* when it last proved who it is; 0: never */
};

enum net_happening { NET_JOINED, NET_REFUSED, NET_LEFT, NET_RADIO_GONE, NET_RADIO_CAME };
struct net_event {
    enum net_happening what;
    int link;      /* 0: of a radio as a whole */
    uint16_t code; /* the network's reason */
    int64_t at_ms;
};

struct net_lease {
    struct lease lease;
    const struct net_item *item;
};

#define NET_ROWS(type, name)                                                                       \
    type *name;                                                                                    \
    size_t name##_count;

struct net_facts {
    struct arena arena;
    const struct net_record *record;
    NET_ROWS(struct net_link, links)
    NET_ROWS(struct net_own_address, addresses)
    NET_ROWS(struct net_route, routes)
    NET_ROWS(struct net_rule, rules)
    NET_ROWS(struct net_neighbour, neighbours)
    NET_ROWS(struct net_lookup, lookups)
    NET_ROWS(struct net_radio, radios)
    NET_ROWS(struct net_station, stations)
    NET_ROWS(struct net_switch, switches)
    NET_ROWS(struct net_peer, peers)
    NET_ROWS(struct net_event, events)
    NET_ROWS(struct net_lease, leases)
    struct resolv resolv;
    const struct net_item *resolvers; /* NULL: no such file was looked for */
    bool is_cut;                      /* rows had no room */
    int errors[NET_ITEM_COUNT];       /* errno of what could not be seen; ENODATA: nobody looked */
    char epoch[DIGEST_TEXT_SIZE];
    bool is_stale; /* probes are of an earlier epoch */
};

int net_facts_read(const struct net_record *record, struct net_facts *ret,
                   struct err *err) MUST_CHECK;
void net_facts_release(struct net_facts *facts);

/* Whether a peer has proved so lately who it is that the path to it holds. */
bool net_peer_is_met(const struct net_facts *facts, const struct net_peer *peer);

const struct net_link *net_link_at(const struct net_facts *facts, int index);
const struct net_link *net_link_named(const struct net_facts *facts, const char *name);

/* Blanks the secret keys in what the kernel told of a WireGuard device; all else stays. */
void net_wireguard_blank(char *bytes, size_t len);

/* The readers (net_route_read.c, net_radio_read.c, net_wireguard.c): each adds an item's rows. */
int net_read_links(struct net_facts *facts, const struct net_item *item);
int net_read_addresses(struct net_facts *facts, const struct net_item *item);
int net_read_routes(struct net_facts *facts, const struct net_item *item);
int net_read_rules(struct net_facts *facts, const struct net_item *item);
int net_read_neighbours(struct net_facts *facts, const struct net_item *item);
int net_read_lookup(struct net_facts *facts, const struct net_item *item);
int net_read_radios(struct net_facts *facts, const struct net_item *item);
int net_read_stations(struct net_facts *facts, const struct net_item *item);
int net_read_radio_event(struct net_facts *facts, const struct net_item *item);
int net_read_switches(struct net_facts *facts, const struct net_item *item);
int net_read_wireguard(struct net_facts *facts, const struct net_item *item);
/*
 * A zeroed row of a table that grows in the arena; NULL without memory, or beyond `max`, which the
 * facts keep in mind.
 */
void *net_row_add(struct net_facts *facts, void *rows, size_t *count, size_t size, size_t max);
#define NET_ROW(facts, name, max)                                                                  \
    ((__typeof__((facts)->name))net_row_add(                                                       \
        (facts), (void *)&(facts)->name, &(facts)->name##_count, sizeof(*(facts)->name), (max)))

#endif
