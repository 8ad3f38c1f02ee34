/*
 * net_truth: see the header.
 *
 * Theory of operation. Each layer is judged by a function of its own, from the
 * facts alone; the words that belong to a state stand in one table. The lower
 * layers speak of one link: the one that was asked for, or that traffic to the
 * internet takes, or the one that looks most like it.
 *
 * What holds. A layer that nobody looked at is unknown, with the reason; what a
 * probe found out while the network changed is not used.
 */
#include "doctor/net_truth.h"

#include <linux/if_arp.h>
#include <linux/rtnetlink.h>

#include "base/clock.h"
#include "base/json.h"

#define STEP_TRUTH "write what is true of the network"

#define LAYER_NAME(layer, name, member) [layer] = name,
const char *const net_layer_names[NET_LAYER_COUNT] = { NET_LAYER_TABLE(LAYER_NAME) };
#define LAYER_MEMBER(layer, name, member) [layer] = member,
const char *const net_layer_members[NET_LAYER_COUNT] = { NET_LAYER_TABLE(LAYER_MEMBER) };

void net_saw(struct net_truth *truth, enum net_layer layer, const char *ref, const char *format,
             ...)
{
    struct net_finding *finding = &truth->layers[layer];
    va_list arguments;
    if (finding->seen_count == NET_SEEN_MAX)
        return;
    va_start(arguments, format);
    snprintf(finding->seen[finding->seen_count].ref, NET_REF_MAX, "%s", ref);
    vsnprintf(finding->seen[finding->seen_count++].text, NET_TEXT_MAX, format, arguments);
    va_end(arguments);
}

void net_mend(struct net_truth *truth, enum net_layer layer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(truth->layers[layer].remedy, NET_TEXT_MAX, format, arguments);
    va_end(arguments);
}

void net_say(struct net_truth *truth, enum net_layer layer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(truth->layers[layer].summary, NET_TEXT_MAX, format, arguments);
    va_end(arguments);
}

void net_holds_until(struct net_truth *truth, int64_t moment_ms)
{
    if (moment_ms > truth->facts->record->at_ms && moment_ms != INT64_MAX &&
        (!truth->due_ms || moment_ms < truth->due_ms))
        truth->due_ms = moment_ms;
}

int64_t net_truth_due(const struct net_truth *truth)
{
    return truth->due_ms ? truth->due_ms + 1 : 0;
}

/* --- the link that the lower layers speak of ------------------------------------------------ */

bool net_is_overlay(const struct net_link *link)
{
    static const char *const kinds[] = { "wireguard", "xfrm", "vti", "vti6",
                                         "ovpn",      "ipip", "sit", "gre" };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(link->kind, kinds[i]) == 0)
            return true;
    /* A tap may be all that a container without privileges has; ZeroTier's is a VPN. */
    return strcmp(link->kind, "tun") == 0 &&
           (link->hardware != ARPHRD_ETHER || strncmp(link->name, "zt", 2) == 0);
}

static bool may_carry(const struct net_link *link)
{
    return !(link->flags & IFF_LOOPBACK) && !net_is_overlay(link) && !link->master;
}

/* That the default route of the least priority number takes, IPv4's before IPv6's. */
static const struct net_link *link_of_routes(const struct net_facts *facts)
{
    const struct net_route *best = NULL;
    for (size_t i = 0; i < facts->routes_count; i++) {
        const struct net_route *route = &facts->routes[i];
        const struct net_link *link = net_link_at(facts, route->link);
        if (route->prefix || route->type != RTN_UNICAST || !link || !may_carry(link))
            continue;
        if (!best || route->to.family < best->to.family ||
            (route->to.family == best->to.family && route->priority < best->priority))
            best = route;
    }
    return best ? net_link_at(facts, best->link) : NULL;
}

/* How much a link looks like one that leads out. */
static int likeness(const struct net_facts *facts, const struct net_link *link)
{
    int points = may_carry(link) ? 1 : 0;
    bool has_address = false;
    for (size_t i = 0; i < facts->addresses_count; i++)
        has_address |= facts->addresses[i].link == link->index &&
                       facts->addresses[i].scope == RT_SCOPE_UNIVERSE;
    points += has_address ? 16 : 0;
    points += link->has_carrier && link->flags & IFF_UP ? 8 : 0;
    points += link->flags & IFF_UP ? 4 : 0;
    points += link->kind[0] ? 0 : 2; /* hardware */
    return may_carry(link) ? points : 0;
}

static const struct net_link *choose_link(const struct net_facts *facts)
{
    const struct net_link *best = link_of_routes(facts);
    int most = 0;
    if (facts->record->wish)
        return net_link_named(facts, facts->record->wish);
    if (best)
        return best;
    for (size_t i = 0; i < facts->links_count; i++) {
        int points = likeness(facts, &facts->links[i]);
        if (points <= most)
            continue;
        most = points;
        best = &facts->links[i];
    }
    return best;
}

/* --- all layers ----------------------------------------------------------------------------- */

void net_truth_derive(const struct net_facts *facts, struct net_truth *ret)
{
    *ret = (struct net_truth){ .facts = facts };
    ret->link = choose_link(facts);
    net_judge_link(ret);
    net_judge_lease(ret);
    net_judge_routes(ret);
    net_judge_overlay(ret);
    net_judge_reach(ret);
}

enum net_layer net_truth_lowest(const struct net_truth *truth)
{
    for (enum net_grade grade = NET_FAILS; grade >= NET_LIMPS; grade--)
        for (size_t i = 0; i < NET_LAYER_COUNT; i++)
            if (truth->layers[i].grade == grade)
                return (enum net_layer)i;
    return NET_LAYER_COUNT;
}

static bool is_state(const struct net_truth *truth, enum net_layer layer, const char *state)
{
    return strcmp(truth->layers[layer].state, state) == 0;
}

void net_truth_summary(const struct net_truth *truth, char ret[NET_TEXT_MAX])
{
    enum net_layer lowest = net_truth_lowest(truth);
    size_t len = 0, unseen = 0;
    if (lowest == NET_REACH && is_state(truth, NET_MESH_REACH, "reachable")) {
        snprintf(ret, NET_TEXT_MAX,
                 "The internet is out of reach; the nodes of the local mesh answer.");
        return;
    }
    if (lowest < NET_LAYER_COUNT) {
        snprintf(ret, NET_TEXT_MAX, "%s", truth->layers[lowest].summary);
        return;
    }
    for (size_t i = 0; i < NET_LAYER_COUNT; i++)
        unseen += truth->layers[i].grade == NET_UNSEEN;
    if (!unseen) {
        snprintf(ret, NET_TEXT_MAX, "Every layer works.");
        return;
    }
    len = (size_t)snprintf(ret, NET_TEXT_MAX, "Nothing fails of what could be seen; unknown:");
    for (size_t i = 0, told = 0; i < NET_LAYER_COUNT; i++)
        if (truth->layers[i].grade == NET_UNSEEN)
            len += (size_t)snprintf(ret + len, NET_TEXT_MAX - len, "%s %s", told++ ? "," : "",
                                    net_layer_names[i]);
    snprintf(ret + len, NET_TEXT_MAX - len, ".");
}

const char *net_truth_remedy(const struct net_truth *truth)
{
    enum net_layer lowest = net_truth_lowest(truth);
    if (lowest < NET_LAYER_COUNT)
        return truth->layers[lowest].remedy;
    for (size_t i = NET_LAYER_COUNT; i-- > 0;)
        if (truth->layers[i].grade == NET_UNSEEN && truth->layers[i].remedy[0])
            return truth->layers[i].remedy;
    return "Nothing to do.";
}

bool net_truth_equal(const struct net_truth *a, const struct net_truth *b)
{
    for (size_t i = 0; i < NET_LAYER_COUNT; i++)
        if (strcmp(a->layers[i].state, b->layers[i].state) != 0 ||
            strcmp(a->layers[i].summary, b->layers[i].summary) != 0)
            return false;
    return strcmp(a->facts->epoch, b->facts->epoch) == 0;
}

/* --- the document --------------------------------------------------------------------------- */

static bool is_named_before(const struct net_truth *truth, size_t layer, size_t index)
{
    const char *ref = truth->layers[layer].seen[index].ref;
    for (size_t i = 0; i <= layer; i++)
        for (size_t k = 0; k < (i == layer ? index : truth->layers[i].seen_count); k++)
            if (strcmp(truth->layers[i].seen[k].ref, ref) == 0)
                return true;
    return false;
}

static void add_refs(const struct net_truth *truth, struct buf *json)
{
    size_t added = 0;
    json_add_name(json, "evidenceRefs");
    buf_add_char(json, '[');
    for (size_t i = 0; i < NET_LAYER_COUNT; i++)
        for (size_t k = 0; k < truth->layers[i].seen_count; k++) {
            const char *ref = truth->layers[i].seen[k].ref;
            if (!ref[0] || is_named_before(truth, i, k))
                continue;
            buf_add_text(json, added++ ? "," : "");
            json_add_string(json, str_from(ref));
        }
    buf_add_char(json, ']');
}

int net_truth_write(const struct net_truth *truth, struct buf *ret, struct err *err)
{
    char text[NET_TEXT_MAX], at[CLOCK_TEXT_SIZE];
    const char *epoch = truth->facts->epoch + strlen("sha256:");
    const struct net_record *record = truth->facts->record;
    clock_text(record->at_ms, at);
    snprintf(text, sizeof(text), "urn:srcos:network-truth:%.12s-%llx", epoch,
             (unsigned long long)record->at_ms);
    buf_add_char(ret, '{');
    json_add_text(ret, "id", str_from(text));
    json_add_text(ret, "type", STR("NetworkTruthState"));
    json_add_text(ret, "specVersion", STR("1.0.0"));
    json_add_text(ret, "observedAt", str_from(at));
    snprintf(text, sizeof(text), "epoch-%.16s", epoch);
    json_add_text(ret, "networkEpoch", str_from(text));
    json_add_name(ret, "interfaceRef");
    snprintf(text, sizeof(text), "urn:srcos:interface:%s",
             truth->link    ? truth->link->name
             : record->wish ? record->wish
                            : "");
    truth->link || record->wish ? json_add_string(ret, str_from(text)) : buf_add_text(ret, "null");
    for (size_t i = 0; i < NET_LAYER_COUNT; i++)
        json_add_text(ret, net_layer_members[i], str_from(truth->layers[i].state));
    add_refs(truth, ret);
    net_truth_summary(truth, text);
    json_add_text(ret, "userVisibleSummary", str_from(text));
    json_add_text(ret, "remediationHint", str_from(net_truth_remedy(truth)));
    buf_add_char(ret, '}');
    return ret->error ? err_set(err, ERR_MEMORY, STEP_TRUTH, "there is not enough memory") : 0;
}
