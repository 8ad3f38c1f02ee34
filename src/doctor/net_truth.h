/*
 * net_truth: the layers of a network, each judged by what was seen of it.
 *
 * Layers are in the order in which they stand on one another; none is derived
 * from another. What could not be seen is unknown, and says why.
 */
#ifndef AM_DOCTOR_NET_TRUTH_H
#define AM_DOCTOR_NET_TRUTH_H

#include "doctor/net_facts.h"

/* Layers: the name for people, and the member of a NetworkTruthState. */
#define NET_LAYER_TABLE(X)                                                                         \
    X(NET_DEVICE, "device", "deviceIdentityState")                                                 \
    X(NET_RADIO, "radio", "radioState")                                                            \
    X(NET_ASSOCIATION, "association", "associationState")                                          \
    X(NET_AUTHENTICATION, "authentication", "authenticationState")                                 \
    X(NET_DHCP, "lease", "dhcpState")                                                              \
    X(NET_ROUTING, "route", "routeState")                                                          \
    X(NET_DNS, "names", "dnsState")                                                                \
    X(NET_PORTAL, "portal", "captivePortalState")                                                  \
    X(NET_REACH, "internet", "internetReachability")                                               \
    X(NET_MESH_REACH, "mesh", "localMeshReachability")                                             \
    X(NET_OVERLAY, "overlay", "vpnOrPrivacyOverlayState")                                          \
    X(NET_PEER_PATH, "peers", "trustedPeerPathState")

#define NET_LAYER_ENUM(layer, name, member) layer,
enum net_layer { NET_LAYER_TABLE(NET_LAYER_ENUM) NET_LAYER_COUNT };
#undef NET_LAYER_ENUM
extern const char *const net_layer_names[NET_LAYER_COUNT];
extern const char *const net_layer_members[NET_LAYER_COUNT];

/* What a state means for whoever wants to use the network. */
enum net_grade {
    NET_WORKS,
    NET_UNUSED, /* there is nothing of it here, and nothing lacks it */
    NET_UNSEEN,
    NET_LIMPS, /* it works in part, or is about to */
    NET_FAILS,
};

#define NET_TEXT_MAX 512
#define NET_REF_MAX  96
#define NET_SEEN_MAX 8 /* of a layer */

struct net_finding {
    const char *state; /* the contract's word */
    enum net_grade grade;
    char summary[NET_TEXT_MAX]; /* a sentence, where it does not work */
    char remedy[NET_TEXT_MAX];  /* a sentence, where it does not work */
    struct {
        char ref[NET_REF_MAX]; /* what it was read from */
        char text[NET_TEXT_MAX];
    } seen[NET_SEEN_MAX];
    size_t seen_count;
};

struct net_truth {
    const struct net_facts *facts;
    const struct net_link *link; /* that the lower layers speak of; NULL: none */
    int64_t due_ms;
    struct net_finding layers[NET_LAYER_COUNT];
};

void net_truth_derive(const struct net_facts *facts, struct net_truth *ret);
/* The lowest layer that fails, or else the lowest that limps; NET_LAYER_COUNT: none does. */
enum net_layer net_truth_lowest(const struct net_truth *truth);
/* The state in one sentence, and what to do about it in another. */
void net_truth_summary(const struct net_truth *truth, char ret[NET_TEXT_MAX]);
const char *net_truth_remedy(const struct net_truth *truth);
/* When a judgement will be another by time alone: a lease runs out, a loss is long past. 0: never.
 */
int64_t net_truth_due(const struct net_truth *truth);
/* Whether both say the same of every layer. */
bool net_truth_equal(const struct net_truth *a, const struct net_truth *b);

/* Appends a NetworkTruthState. */
int net_truth_write(const struct net_truth *truth, struct buf *ret, struct err *err) MUST_CHECK;

/* --- for those who judge ------------------------------------------------------------------- */

/* Sets the state of a layer, by a word of its row in net_words.c, with the row's sentences. */
struct net_finding *net_find(struct net_truth *truth, enum net_layer layer, const char *state);
/* Adds what was seen, and where. What is too much is left out. */
void net_saw(struct net_truth *truth, enum net_layer layer, const char *ref, const char *format,
             ...) PRINTF_LIKE(4, 5);
/* Puts a remedy in the place of the usual one. */
void net_mend(struct net_truth *truth, enum net_layer layer, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* The same for the summary. */
void net_say(struct net_truth *truth, enum net_layer layer, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* A judgement holds until then. */
void net_holds_until(struct net_truth *truth, int64_t moment_ms);

bool net_is_overlay(const struct net_link *link);
void net_judge_link(struct net_truth *truth); /* device to authentication */
void net_judge_lease(struct net_truth *truth);
void net_judge_routes(struct net_truth *truth);
void net_judge_reach(struct net_truth *truth); /* names to internet, mesh, peers */
void net_judge_overlay(struct net_truth *truth);

#endif
