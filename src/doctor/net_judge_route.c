/*
 * net_judge_route: whether there is a route to the internet, exactly one, and whether it carries.
 *
 * The kernel is asked which way it would take to an address, which sends
 * nothing. That it names a way is not enough: the gateway may be nobody, and a
 * probe may come back with "no route to host" all the same.
 */
#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "doctor/net_truth.h"

#define REF_ROUTES     "netlink:route/routes"
#define REF_NEIGHBOURS "netlink:route/neighbours"

static const char *link_name(const struct net_truth *truth, int index)
{
    const struct net_link *link = net_link_at(truth->facts, index);
    return link ? link->name : "?";
}

/* --- conflicts ------------------------------------------------------------------------------ */

static bool is_overlay_route(const struct net_truth *truth, const struct net_route *route)
{
    const struct net_link *link = net_link_at(truth->facts, route->link);
    return link && net_is_overlay(link);
}

/* Whether the kernel cannot tell by the routes alone which of two links is meant. */
static bool do_conflict(const struct net_truth *truth, const struct net_route *a,
                        const struct net_route *b)
{
    if (a->table != b->table || a->prefix != b->prefix || a->link == b->link || !a->link ||
        !b->link || a->type != RTN_UNICAST || b->type != RTN_UNICAST || a->is_a_share ||
        b->is_a_share || (a->maker == RTPROT_RA && b->maker == RTPROT_RA) ||
        !net_address_shares(&a->to, &b->to, a->prefix) ||
        (a->to.family == AF_INET6 && net_address_is_link_local(&a->to)))
        return false;
    bool is_same_priority = a->priority == b->priority;
    /* A VPN that takes over everything is meant to: only what lies in both is not told apart. */
    bool is_across = is_overlay_route(truth, a) != is_overlay_route(truth, b) && a->prefix;
    return is_same_priority || is_across;
}

static bool find_conflict(struct net_truth *truth)
{
    const struct net_facts *facts = truth->facts;
    char to[NET_ADDRESS_TEXT];
    /* Routes of equal destinations lie side by side in a list of the kernel's, in one table. */
    for (size_t i = 0; i < facts->routes_count; i++)
        for (size_t k = i + 1; k < facts->routes_count && k < i + 64; k++) {
            const struct net_route *a = &facts->routes[i], *b = &facts->routes[k];
            if (!do_conflict(truth, a, b))
                continue;
            net_address_text(&a->to, to);
            net_find(truth, NET_ROUTING, "route-conflict");
            net_say(truth, NET_ROUTING, "%s and %s both claim %s/%u.", link_name(truth, a->link),
                    link_name(truth, b->link), to, a->prefix);
            net_mend(truth, NET_ROUTING, "Take one of the two away: ip route del %s/%u dev %s.", to,
                     a->prefix, link_name(truth, b->link));
            net_saw(truth, NET_ROUTING, REF_ROUTES, "%s/%u by %s and by %s, in the same table", to,
                    a->prefix, link_name(truth, a->link), link_name(truth, b->link));
            return true;
        }
    return false;
}

/* --- routes that do not carry --------------------------------------------------------------- */

static const struct net_neighbour *neighbour_of(const struct net_facts *facts, int link,
                                                const struct net_address *address)
{
    for (size_t i = 0; i < facts->neighbours_count; i++)
        if (facts->neighbours[i].link == link &&
            net_address_shares(&facts->neighbours[i].address, address, 128))
            return &facts->neighbours[i];
    return NULL;
}

/* Why a way that the kernel would take leads to nobody. */
struct dead_end {
    const char *ref;
    char summary[NET_TEXT_MAX], remedy[NET_TEXT_MAX];
};

static bool is_dead_end(const struct net_truth *truth, const struct net_lookup *lookup,
                        struct dead_end *ret)
{
    const struct net_route *route = &lookup->route;
    const struct net_link *link = net_link_at(truth->facts, route->link);
    char gateway[NET_ADDRESS_TEXT];
    if (!link || link->flags & IFF_LOOPBACK)
        return false;
    if (route->flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN) || !(link->flags & IFF_UP)) {
        ret->ref = REF_ROUTES;
        snprintf(ret->summary, sizeof(ret->summary),
                 "The route leads through %s, which has no carrier.", link->name);
        snprintf(ret->remedy, sizeof(ret->remedy),
                 "Plug %s in again, or take its route away: ip route del default dev %s.",
                 link->name, link->name);
        return true;
    }
    const struct net_neighbour *neighbour =
        neighbour_of(truth->facts, route->link, &route->gateway);
    if (!neighbour || !(neighbour->state & (NUD_FAILED | NUD_INCOMPLETE)))
        return false;
    net_address_text(&route->gateway, gateway);
    ret->ref = REF_NEIGHBOURS;
    snprintf(ret->summary, sizeof(ret->summary), "The gateway %s does not answer on %s.", gateway,
             link->name);
    snprintf(ret->remedy, sizeof(ret->remedy),
             "Start the router, or set the gateway that is there: ip route replace default via "
             "ADDRESS dev %s.",
             link->name);
    return true;
}

/* Whether every way to the internet is a dead end; one that is is told of in any case. */
static bool find_dead_end(struct net_truth *truth)
{
    const struct net_facts *facts = truth->facts;
    struct dead_end end, first = { 0 };
    size_t ways = 0, dead = 0;
    for (size_t i = 0; i < facts->lookups_count; i++) {
        if (facts->lookups[i].error || facts->lookups[i].scope != NET_INTERNET)
            continue;
        ways++;
        if (!is_dead_end(truth, &facts->lookups[i], &end))
            continue;
        if (!dead++)
            first = end;
        net_saw(truth, NET_ROUTING, end.ref, "%s", end.summary);
    }
    if (!dead || dead < ways)
        return false;
    net_find(truth, NET_ROUTING, "route-failed");
    net_say(truth, NET_ROUTING, "%s", first.summary);
    net_mend(truth, NET_ROUTING, "%s", first.remedy);
    return true;
}

/* A probe that was told "no route to host" although the kernel has one. */
static const struct net_item *turned_away(const struct net_truth *truth)
{
    const struct net_item *item = NULL;
    if (truth->facts->is_stale)
        return NULL;
    while ((item = net_record_next(truth->facts->record, NET_CONNECT, item)))
        if (item->scope == NET_INTERNET &&
            (item->error == EHOSTUNREACH || item->error == ENETUNREACH))
            return item;
    return NULL;
}

static bool find_failure(struct net_truth *truth)
{
    char ref[NET_REF_MAX];
    if (find_dead_end(truth))
        return true;
    const struct net_item *item = turned_away(truth);
    if (!item)
        return false;
    snprintf(ref, sizeof(ref), "probe:connect/%.80s", item->name);
    net_find(truth, NET_ROUTING, "route-failed");
    net_say(truth, NET_ROUTING, "There is a route, and there is no way to the host: %s.",
            strerror(item->error));
    net_saw(truth, NET_ROUTING, ref, "%s: %s, although the kernel has a route", item->name,
            strerror(item->error));
    return true;
}

/* --- whether there is one ------------------------------------------------------------------- */

/* What a route or a rule turns traffic away with; any other error says that there is no way. */
static bool is_refusal(int error)
{
    return error == EACCES || error == EHOSTUNREACH || error == EINVAL;
}

/* 0 with a way to the internet, or why there is none. */
static int best_error(const struct net_facts *facts, const struct net_lookup **ret)
{
    int error = ENETUNREACH;
    *ret = NULL;
    for (size_t i = 0; i < facts->lookups_count; i++) {
        const struct net_lookup *lookup = &facts->lookups[i];
        if (lookup->scope != NET_INTERNET)
            continue;
        if (!lookup->error) {
            *ret = lookup;
            return 0;
        }
        if (is_refusal(lookup->error))
            error = lookup->error;
    }
    return error;
}

static void judge_refused(struct net_truth *truth, int error)
{
    if (error == ENETUNREACH) {
        net_find(truth, NET_ROUTING, "no-route");
        net_saw(truth, NET_ROUTING, REF_ROUTES, "no route leads to the internet");
        return;
    }
    net_find(truth, NET_ROUTING, "route-failed");
    net_say(truth, NET_ROUTING, "A route or a rule turns traffic away: %s.", strerror(error));
    net_mend(truth, NET_ROUTING,
             "Take the route or rule away that says so: ip rule; ip route show table all.");
    net_saw(truth, NET_ROUTING, REF_ROUTES, "the kernel refuses the way to the internet: %s",
            strerror(error));
}

void net_judge_routes(struct net_truth *truth)
{
    const struct net_facts *facts = truth->facts;
    const struct net_lookup *way;
    char gateway[NET_ADDRESS_TEXT];
    if (facts->errors[NET_LOOKUP] == ENODATA || facts->errors[NET_ROUTES]) {
        net_find(truth, NET_ROUTING, "unknown");
        net_saw(truth, NET_ROUTING, "", "the routes cannot be listed: %s",
                strerror(facts->errors[NET_ROUTES]));
        return;
    }
    int error = best_error(facts, &way);
    if (error)
        judge_refused(truth, error);
    else if (!find_conflict(truth) && !find_failure(truth)) {
        net_find(truth, NET_ROUTING, "route-present");
        net_saw(truth, NET_ROUTING, REF_ROUTES, "to the internet by %s%s%s",
                link_name(truth, way->route.link), way->route.gateway.family ? " and " : "",
                way->route.gateway.family ? net_address_text(&way->route.gateway, gateway) : "");
    }
    if (facts->is_cut)
        net_saw(truth, NET_ROUTING, "", "not seen: there are more routes than are read");
}
