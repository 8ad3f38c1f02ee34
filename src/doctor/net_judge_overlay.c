/*
 * net_judge_overlay: VPNs and privacy overlays, by the links that they make.
 *
 * WireGuard has links of its own; a tunnel that a program serves has carrier
 * while that program holds it. Whether anything leads through one, and whether
 * a rule forbids it, the routing says.
 */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "doctor/net_truth.h"

#define REF_LINKS "netlink:route/links"
#define REF_RULES "netlink:route/rules"

/* Whose tunnel a link is, by the name that its program gives it. */
static const char *program_of(const struct net_link *link)
{
    static const struct {
        const char *begins, *program;
    } rows[] = {
        { "tailscale", "Tailscale" }, { "zt", "ZeroTier" },
        { "nebula", "Nebula" },       { "wt", "NetBird" },
        { "ts", "Tailscale" },        { "nordlynx", "NordVPN" },
        { "proton", "Proton VPN" },   { "CloudflareWARP", "Cloudflare WARP" },
    };
    if (strcmp(link->kind, "wireguard") == 0)
        return "WireGuard";
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strncmp(link->name, rows[i].begins, strlen(rows[i].begins)) == 0)
            return rows[i].program;
    return "a program's tunnel";
}

static bool is_refusal(uint8_t action)
{
    return action == FR_ACT_BLACKHOLE || action == FR_ACT_UNREACHABLE || action == FR_ACT_PROHIBIT;
}

/* A rule that refuses what would go through the link. */
static bool is_forbidden(const struct net_facts *facts, const struct net_link *link)
{
    for (size_t i = 0; i < facts->rules_count; i++)
        if (is_refusal(facts->rules[i].action) && (strcmp(facts->rules[i].out, link->name) == 0 ||
                                                   strcmp(facts->rules[i].in, link->name) == 0))
            return true;
    return false;
}

static bool leads_through(const struct net_facts *facts, const struct net_link *link)
{
    for (size_t i = 0; i < facts->routes_count; i++)
        if (facts->routes[i].link == link->index && facts->routes[i].type == RTN_UNICAST &&
            !net_address_is_link_local(&facts->routes[i].to))
            return true;
    return false;
}

/* Whether a WireGuard link has peers that are told, and none has proved lately who it is. */
static bool is_alone(const struct net_facts *facts, const struct net_link *link)
{
    size_t count = 0, met = 0;
    for (size_t i = 0; i < facts->peers_count; i++) {
        const struct net_peer *peer = &facts->peers[i];
        if (strcmp(peer->of, link->name) != 0)
            continue;
        count++;
        met += net_peer_is_met(facts, peer);
    }
    return count && !met;
}

static const char *judge_one(struct net_truth *truth, const struct net_link *link)
{
    const struct net_facts *facts = truth->facts;
    const char *program = program_of(link);
    const char *lacks = !(link->flags & IFF_UP)        ? "it is down"
                        : !(link->flags & IFF_RUNNING) ? "no program serves it"
                        : is_alone(facts, link)        ? "no peer answers"
                        : !leads_through(facts, link)  ? "no route leads through it"
                                                       : NULL;
    if (is_forbidden(facts, link)) {
        net_saw(truth, NET_OVERLAY, REF_RULES, "a rule forbids what goes through %s (%s)",
                link->name, program);
        return "policy-blocked";
    }
    net_saw(truth, NET_OVERLAY, REF_LINKS, "%s (%s)%s%s", link->name, program, lacks ? ": " : "",
            lacks ? lacks : " is up, and routes lead through it");
    return lacks ? "degraded" : "on";
}

void net_judge_overlay(struct net_truth *truth)
{
    static const char *const by_weight[] = { "off", "on", "degraded", "policy-blocked" };
    const struct net_facts *facts = truth->facts;
    const struct net_link *worst_link = NULL;
    size_t worst = 0;
    if (facts->errors[NET_LINKS]) {
        net_find(truth, NET_OVERLAY, "unknown");
        return;
    }
    for (size_t i = 0; i < facts->links_count; i++) {
        const struct net_link *link = &facts->links[i];
        /* The kernel keeps a tunnel of each kind that nobody made, and that is down. */
        if (!net_is_overlay(link) ||
            (!(link->flags & IFF_UP) && link->name[0] &&
             strcmp(link->name + strlen(link->name) - 1, "0") == 0 &&
             strcmp(link->kind, "tun") != 0 && strcmp(link->kind, "wireguard") != 0))
            continue;
        const char *word = judge_one(truth, link);
        for (size_t k = worst + 1; k < ARRAY_LEN(by_weight); k++)
            if (strcmp(by_weight[k], word) == 0) {
                worst = k;
                worst_link = link;
            }
    }
    net_find(truth, NET_OVERLAY, by_weight[worst]);
    if (!worst_link)
        net_saw(truth, NET_OVERLAY, REF_LINKS, "there is no link of a VPN");
    else if (worst > 1)
        net_say(truth, NET_OVERLAY,
                strcmp(by_weight[worst], "degraded") == 0
                    ? "The VPN on %s is there and does not work."
                    : "A policy keeps the VPN on %s from being used.",
                worst_link->name);
}
