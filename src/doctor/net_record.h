/*
 * net_record: what was seen of the network, raw, item by item.
 *
 * Observers write items and judge nothing: what the kernel answered as bytes,
 * files as they stood, what came of each probe. Everything else is made of a
 * record alone (net_facts.h, net_truth.h), so that one can be kept in a file,
 * sent to somebody, and judged again.
 *
 * No item has a key: what the kernel tells of keys is blanked out before it is
 * added (net_wireguard_blank).
 */
#ifndef AM_DOCTOR_NET_RECORD_H
#define AM_DOCTOR_NET_RECORD_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define NET_ITEMS_MAX        4096
#define NET_ITEM_BYTES_MAX   ((size_t)16 << 20)
#define NET_RECORD_BYTES_MAX ((size_t)64 << 20)
#define NET_NAME_MAX         512

/* The kinds: what an item of it is named by, and whether it is text. */
#define NET_ITEM_TABLE(X)                                                                          \
    X(NET_LINKS, "links", false) /* of the kernel's routing tables, one item each */               \
    X(NET_ADDRESSES, "addresses", false)                                                           \
    X(NET_ROUTES, "routes", false)                                                                 \
    X(NET_RULES, "rules", false)                                                                   \
    X(NET_NEIGHBOURS, "neighbours", false)                                                         \
    X(NET_LOOKUP, "lookup", false)     /* by address: the way that the kernel would take */        \
    X(NET_RADIOS, "radios", false)     /* nl80211's interfaces */                                  \
    X(NET_STATIONS, "stations", false) /* by interface: whom its radio has joined */               \
    X(NET_RADIO_EVENT, "radio-event", false)                                                       \
    X(NET_SWITCHES, "switches", false)   /* rfkill */                                              \
    X(NET_WIREGUARD, "wireguard", false) /* by interface */                                        \
    X(NET_LEASE, "lease", false)         /* by path */                                             \
    X(NET_RESOLVERS, "resolvers", true)  /* by path */                                             \
    X(NET_LISTENERS, "listeners", true)  /* by path: sockets that wait for a lease */              \
    X(NET_EPOCH, "epoch", true)          /* that held before anything was sent */                  \
    X(NET_MESH, "mesh", true)            /* by the URN of a MeshBindingProfile */                  \
    X(NET_QUERY, "query", true)          /* by server and name, with a blank between them */       \
    X(NET_CONNECT, "connect", true)      /* by host and port */                                    \
    X(NET_FETCH, "fetch", true)          /* by URL */

#define NET_ITEM_ENUM(kind, name, is_text) kind,
enum net_item_kind { NET_ITEM_TABLE(NET_ITEM_ENUM) NET_ITEM_COUNT };
#undef NET_ITEM_ENUM

/* Whom a probe is for. */
#define NET_SCOPE_TABLE(X)                                                                         \
    X(NET_INTERNET, "internet")                                                                    \
    X(NET_OF_MESH, "mesh")                                                                         \
    X(NET_OF_PEER, "peer")   /* a mesh in which both ends prove who they are */                    \
    X(NET_OF_NAMES, "names") /* of a look-up: a name server */
#define NET_SCOPE_ENUM(scope, name) scope,
enum net_scope { NET_SCOPE_TABLE(NET_SCOPE_ENUM) NET_SCOPE_COUNT };
#undef NET_SCOPE_ENUM
extern const char *const net_scope_names[NET_SCOPE_COUNT];

struct net_item {
    enum net_item_kind kind;
    enum net_scope scope;
    int error; /* errno: it could not be seen, or the probe failed so */
    const char *name;
    struct str bytes;
    int64_t at_ms;   /* of a file: when it was written; of an event: when it came */
    int64_t took_ms; /* of a probe */
    int64_t status;  /* of a fetch: HTTP's */
};

struct net_record {
    struct arena arena;
    struct net_item *items;
    size_t count, bytes;
    int64_t at_ms;    /* when the observation ended */
    int lacking;      /* 0, -ENOMEM, or -E2BIG: an item had no room */
    const char *wish; /* the interface that was asked for; NULL: none */
};

int net_record_init(struct net_record *record, struct err *err) MUST_CHECK;
void net_record_release(struct net_record *record);
/*
 * Adds a copy of an item, and returns it for what is not of every item; never NULL. What has no
 * room is told by `lacking`, and the item returned is nobody's then.
 */
struct net_item *net_record_add(struct net_record *record, enum net_item_kind kind,
                                const char *name, int error, struct str bytes);
/* The next item of a kind after `after` (NULL: from the first on), or NULL. */
const struct net_item *net_record_next(const struct net_record *record, enum net_item_kind kind,
                                       const struct net_item *after);

/* As a JSON object, and from one: ERR_DOCUMENT, ERR_LIMIT, ERR_MEMORY. */
int net_record_save(const struct net_record *record, struct buf *ret, struct err *err) MUST_CHECK;
int net_record_load(struct str text, struct net_record *ret, struct err *err) MUST_CHECK;

#endif
