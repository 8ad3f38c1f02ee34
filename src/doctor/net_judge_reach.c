/*
 * net_judge_reach: names, the captive portal, the internet, the mesh and its trusted peers.
 *
 * These are known by what was sent, as configured, and by nothing else; where
 * nothing may be sent, what the kernel refuses without sending is known still.
 */
#include "doctor/net_truth.h"

#define LATE_MS      1000 /* an answer after that is late */
#define HTTP_OK      200
#define HTTP_ERRORS  400
#define HTTP_UNKNOWN 401 /* who asks is not known */
#define HTTP_PROXY   407
#define HTTP_SIGN_IN 511

/* What came of several probes. */
struct tally {
    size_t count, good, late;
    const struct net_item *bad; /* the first that failed */
};

static struct tally count_probes(const struct net_facts *facts, enum net_item_kind kind,
                                 enum net_scope from, enum net_scope to)
{
    struct tally tally = { 0 };
    const struct net_item *item = NULL;
    while (!facts->is_stale && (item = net_record_next(facts->record, kind, item))) {
        if (item->scope < from || item->scope > to)
            continue;
        tally.count++;
        tally.good += !item->error;
        tally.late += !item->error && item->took_ms > LATE_MS;
        if (item->error && !tally.bad)
            tally.bad = item;
    }
    return tally;
}

static void saw_probes(struct net_truth *truth, enum net_layer layer, enum net_item_kind kind,
                       enum net_scope from, enum net_scope to)
{
    const struct net_item *item = NULL;
    char ref[NET_REF_MAX];
    while (!truth->facts->is_stale && (item = net_record_next(truth->facts->record, kind, item))) {
        if (item->scope < from || item->scope > to)
            continue;
        snprintf(ref, sizeof(ref), "probe:%s/%.80s", kind == NET_QUERY ? "query" : "connect",
                 item->name);
        for (char *c = ref; *c; c++)
            if (*c == ' ')
                *c = '/';
        net_saw(truth, layer, ref, "%s: %.*s, after %lld ms", item->name, STR_ARG(item->bytes),
                (long long)item->took_ms);
    }
}

/* What nobody asked, or asked in vain. */
static void saw_nothing(struct net_truth *truth, enum net_layer layer, const char *what)
{
    net_saw(truth, layer, "", "%s%s",
            truth->facts->is_stale ? "the network changed while it was asked; look again" : "",
            truth->facts->is_stale ? "" : what);
}

/* --- names ---------------------------------------------------------------------------------- */

/* Servers that the kernel has no way to; lookups bear the server's address. */
static size_t servers_without_way(const struct net_facts *facts, char ret_first[NET_ADDRESS_TEXT])
{
    char address[NET_ADDRESS_TEXT];
    size_t count = 0;
    for (size_t i = 0; i < facts->resolv.server_count; i++)
        for (size_t k = 0; k < facts->lookups_count; k++) {
            if (!facts->lookups[k].error || facts->lookups[k].scope != NET_OF_NAMES ||
                strcmp(facts->lookups[k].name,
                       net_address_text(&facts->resolv.servers[i], address)) != 0)
                continue;
            if (!count++)
                memcpy(ret_first, address, sizeof(address));
            break;
        }
    return count;
}

static void judge_names_unasked(struct net_truth *truth, const char *ref)
{
    const struct net_facts *facts = truth->facts;
    char first[NET_ADDRESS_TEXT] = "";
    size_t without = servers_without_way(facts, first);
    if (without) {
        bool all = without == facts->resolv.server_count;
        net_find(truth, NET_DNS, all ? "failed" : "degraded");
        net_say(truth, NET_DNS, "%s has no way to the name server %s.",
                all ? "No name can be resolved: this machine" : "This machine", first);
        net_saw(truth, NET_DNS, ref, "%zu of %zu name servers cannot be reached: no route to %s",
                without, facts->resolv.server_count, first);
        return;
    }
    net_find(truth, NET_DNS, "unknown");
    net_saw(truth, NET_DNS, ref, "%zu name server%s configured", facts->resolv.server_count,
            facts->resolv.server_count == 1 ? " is" : "s are");
    saw_nothing(truth, NET_DNS, "nobody said which name may be asked");
}

static void judge_names(struct net_truth *truth)
{
    const struct net_facts *facts = truth->facts;
    struct tally tally = count_probes(facts, NET_QUERY, 0, NET_SCOPE_COUNT);
    char ref[NET_REF_MAX] = "";
    if (facts->resolvers && !facts->resolvers->error)
        snprintf(ref, sizeof(ref), "file:%.80s", facts->resolvers->name);
    if (tally.bad && tally.bad->error == EOPNOTSUPP) {
        net_find(truth, NET_DNS, "observer-failed");
        net_saw(truth, NET_DNS, ref, "%.*s", STR_ARG(tally.bad->bytes));
        return;
    }
    if (!facts->resolvers || (facts->resolvers->error && facts->resolvers->error != ENOENT)) {
        net_find(truth, NET_DNS, "observer-failed");
        net_saw(truth, NET_DNS, "", "the resolver's configuration cannot be read: %s",
                strerror(facts->resolvers ? facts->resolvers->error : ENODATA));
        return;
    }
    if (!facts->resolv.server_count) {
        net_find(truth, NET_DNS, "not-configured");
        net_saw(truth, NET_DNS, ref, "no line of the resolver's configuration names a server");
        return;
    }
    if (!tally.count) {
        judge_names_unasked(truth, ref);
        return;
    }
    net_find(truth, NET_DNS,
             !tally.good                ? "failed"
             : tally.good < tally.count ? "degraded"
                                        : "configured");
    net_saw(truth, NET_DNS, ref, "%zu of %zu questions were answered", tally.good, tally.count);
    saw_probes(truth, NET_DNS, NET_QUERY, 0, NET_SCOPE_COUNT);
}

/* --- the captive portal --------------------------------------------------------------------- */

/* A lease, or an advertisement, may say where one signs in. */
static const char *announced_portal(const struct net_facts *facts)
{
    for (size_t i = 0; i < facts->leases_count; i++)
        if (facts->leases[i].lease.portal[0])
            return facts->leases[i].lease.portal;
    return NULL;
}

/* The word for one answer; `scope` is no member of a fetch, whose error says that it was another
 * one than was expected (EBADMSG). */
static const char *portal_word(const struct net_item *item)
{
    if (item->status == HTTP_UNKNOWN || item->status == HTTP_PROXY || item->status == HTTP_SIGN_IN)
        return "credential-missing";
    if (!item->error)
        return "not-detected";
    if (item->error == EBADMSG && item->status >= HTTP_OK && item->status < HTTP_ERRORS)
        return "detected";
    return "unknown";
}

static void judge_portal(struct net_truth *truth)
{
    const struct net_facts *facts = truth->facts;
    const char *announced = announced_portal(facts), *word = NULL;
    const struct net_item *item = NULL, *told = NULL;
    char ref[NET_REF_MAX];
    while (!facts->is_stale && (item = net_record_next(facts->record, NET_FETCH, item))) {
        const char *of_item = portal_word(item);
        /* Whoever was held back counts more than whoever was not, and an answer more than none. */
        bool counts = !word || strcmp(word, "unknown") == 0 ||
                      (strcmp(word, "not-detected") == 0 && strcmp(of_item, "unknown") != 0);
        if (!counts)
            continue;
        word = of_item;
        told = item;
    }
    if (word && announced && strcmp(word, "not-detected") == 0)
        word = "authenticated";
    net_find(truth, NET_PORTAL, word ? word : "unknown");
    if (announced)
        net_saw(truth, NET_PORTAL, "", "the lease says where one signs in: %s", announced);
    if (!told) {
        saw_nothing(truth, NET_PORTAL, "nobody said which page may be asked for");
        return;
    }
    snprintf(ref, sizeof(ref), "probe:fetch/%.80s", told->name);
    net_saw(truth, NET_PORTAL, ref, "%s: %.*s", told->name, STR_ARG(told->bytes));
    if (announced && truth->layers[NET_PORTAL].grade == NET_FAILS)
        net_mend(truth, NET_PORTAL, "Open %s and sign in to the network.", announced);
}

/* --- hosts ---------------------------------------------------------------------------------- */

static const char *reach_word(const struct tally *tally)
{
    return !tally->good                                ? "unreachable"
           : tally->good < tally->count || tally->late ? "degraded"
                                                       : "reachable";
}

/* Whether the kernel has no way to any address of a scope. */
static bool is_without_way(const struct net_facts *facts, enum net_scope from, enum net_scope to)
{
    size_t count = 0, refused = 0;
    for (size_t i = 0; i < facts->lookups_count; i++) {
        const struct net_lookup *lookup = &facts->lookups[i];
        if (lookup->scope < from || lookup->scope > to)
            continue;
        count++;
        refused += lookup->error != 0;
    }
    return count && count == refused;
}

static void judge_internet(struct net_truth *truth)
{
    struct tally tally = count_probes(truth->facts, NET_CONNECT, NET_INTERNET, NET_INTERNET);
    bool is_held_back = truth->layers[NET_PORTAL].grade == NET_FAILS;
    if (!tally.count && is_without_way(truth->facts, NET_INTERNET, NET_INTERNET)) {
        net_find(truth, NET_REACH, "unreachable");
        net_saw(truth, NET_REACH, "netlink:route/routes", "the kernel has no way to the internet");
        return;
    }
    if (!tally.count) {
        net_find(truth, NET_REACH, "unknown");
        saw_nothing(truth, NET_REACH, "nobody said which host may be asked");
        return;
    }
    const char *word = reach_word(&tally);
    /* Whoever holds traffic back may well answer in the place of others. */
    net_find(truth, NET_REACH, is_held_back && strcmp(word, "reachable") == 0 ? "degraded" : word);
    saw_probes(truth, NET_REACH, NET_CONNECT, NET_INTERNET, NET_INTERNET);
}

static bool has_mesh(const struct net_facts *facts, enum net_scope from)
{
    const struct net_item *item = NULL;
    while ((item = net_record_next(facts->record, NET_MESH, item)))
        if (item->scope >= from)
            return true;
    return false;
}

static void judge_mesh(struct net_truth *truth)
{
    const struct net_facts *facts = truth->facts;
    struct tally tally = count_probes(facts, NET_CONNECT, NET_OF_MESH, NET_OF_PEER);
    if (!has_mesh(facts, NET_OF_MESH)) {
        net_find(truth, NET_MESH_REACH, "not-configured");
        net_saw(truth, NET_MESH_REACH, "", "no MeshBindingProfile is in force here");
    } else if (tally.count) {
        net_find(truth, NET_MESH_REACH, reach_word(&tally));
        saw_probes(truth, NET_MESH_REACH, NET_CONNECT, NET_OF_MESH, NET_OF_PEER);
    } else if (is_without_way(facts, NET_OF_MESH, NET_OF_PEER)) {
        net_find(truth, NET_MESH_REACH, "unreachable");
        net_saw(truth, NET_MESH_REACH, "netlink:route/routes",
                "the kernel has no way to any node of the mesh");
    } else {
        net_find(truth, NET_MESH_REACH, "unknown");
        saw_nothing(truth, NET_MESH_REACH, "nobody said which host of the mesh may be asked");
    }
}

/* --- trusted peers -------------------------------------------------------------------------- */

static void count_met(struct net_truth *truth, struct tally *tally)
{
    const struct net_facts *facts = truth->facts;
    for (size_t i = 0; i < facts->peers_count; i++) {
        const struct net_peer *peer = &facts->peers[i];
        bool met = net_peer_is_met(facts, peer);
        tally->count++;
        tally->good += met;
        net_saw(truth, NET_PEER_PATH, "netlink:wireguard", "a peer on %s %s", peer->of,
                met ? "has proved lately who it is" : "has not proved lately who it is");
    }
}

static void judge_peers(struct net_truth *truth)
{
    struct tally tally = count_probes(truth->facts, NET_CONNECT, NET_OF_PEER, NET_OF_PEER);
    count_met(truth, &tally);
    saw_probes(truth, NET_PEER_PATH, NET_CONNECT, NET_OF_PEER, NET_OF_PEER);
    if (!tally.count) {
        bool lacks = has_mesh(truth->facts, NET_OF_PEER) &&
                     is_without_way(truth->facts, NET_OF_PEER, NET_OF_PEER);
        net_find(truth, NET_PEER_PATH, lacks ? "unavailable" : "not-evaluated");
        net_saw(truth, NET_PEER_PATH, "", "%s",
                lacks ? "the kernel has no way to any of them" : "nobody asked for any");
        return;
    }
    net_find(truth, NET_PEER_PATH,
             !tally.good                              ? "unavailable"
             : tally.good < tally.count || tally.late ? "degraded"
                                                      : "available");
}

void net_judge_reach(struct net_truth *truth)
{
    judge_names(truth);
    judge_portal(truth);
    judge_internet(truth);
    judge_mesh(truth);
    judge_peers(truth);
}
