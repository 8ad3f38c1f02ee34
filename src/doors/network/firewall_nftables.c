/*
 * firewall_nftables: a plan as a table of its own for nft.
 *
 * Theory of operation. One table of the family inet, replaced as a whole: the
 * first two lines make and delete it, so that one transaction takes the old one
 * away and brings the new one. Each direction has a chain at its hook, which
 * asks one chain for each unit. There the rules stand in the order in which
 * they decide. One that denies rejects at once, whatever other units say; one
 * that allows returns, so that the next unit is asked. Where the plan is
 * closed and no unit answers for everything, a last chain accepts what some
 * rule allows and rejects the rest.
 *
 * A connection belongs to the direction in which it was opened: replies pass.
 * Rules for everything leave loopback out, which is this machine itself.
 *
 * Names are not seen by a packet filter: rules about them are noted.
 */
#include "doors/network/firewall_rule.h"
#include "doors/network/firewall_text.h"

#define STEP        "plan a firewall for nftables"
#define COMMENT_MAX 100 /* nftables keeps 128 bytes */
#define REJECT      "reject with icmpx admin-prohibited"

struct direction {
    const char *name, *hook, *interface, *address, *port;
    bool is_ingress;
};
static const struct direction directions[] = {
    { "egress", "output", "oifname", "daddr", "dport", false },
    { "ingress", "input", "iifname", "saddr", "sport", true },
};

struct writing {
    struct firewall_plan *plan;
    const struct direction *direction;
    struct buf *out;
};

static bool is_about(const struct firewall_rule *rule, const struct direction *direction)
{
    return direction->is_ingress ? rule->ingress : rule->egress;
}

/* --- one rule ------------------------------------------------------------------------------ */

/* Whether it can stand in the text; what cannot is noted. */
static bool can_say(struct firewall_plan *plan, const struct firewall_rule *rule)
{
    bool allows = rule->answer == ANSWER_ALLOW;
    if (rule->skipped)
        return false;
    if (rule->space == FIREWALL_NAME || rule->space == FIREWALL_GLOB) {
        firewall_note(plan, allows ? FIREWALL_LEFT_OUT : FIREWALL_NOT_HELD, rule,
                      "a packet filter sees addresses and no names; the Network Door holds it");
        return false;
    }
    return true;
}

static void add_destination(const struct writing *w, const struct firewall_rule *rule)
{
    char text[ADDRESS_RANGE_TEXT_SIZE];
    if (rule->space == FIREWALL_ALL)
        return;
    address_range_text(&rule->range, text);
    if (rule->range.prefix_bits)
        buf_addf(w->out, "%s %s %s ", rule->range.is_ipv6 ? "ip6" : "ip", w->direction->address,
                 text);
    else
        buf_addf(w->out, "meta nfproto %s ", rule->range.is_ipv6 ? "ipv6" : "ipv4");
}

static void add_ports(const struct writing *w, const char *protocol,
                      const struct port_ranges *ports)
{
    const char *separator = "";
    if (port_ranges_are_all(ports)) {
        buf_addf(w->out, "meta l4proto %s ", protocol);
        return;
    }
    buf_addf(w->out, "%s %s { ", protocol, w->direction->port);
    for (size_t i = 0; i < ports->count; i++, separator = ", ") {
        buf_addf(w->out, "%s%u", separator, ports->of[i].low);
        if (ports->of[i].high > ports->of[i].low)
            buf_addf(w->out, "-%u", ports->of[i].high);
    }
    buf_add_text(w->out, " } ");
}

static void add_verdict(const struct writing *w, const struct firewall_rule *rule,
                        const char *allowed)
{
    if (rule->log_only) {
        buf_add_text(w->out, "log prefix \"agent-machine ");
        firewall_add_safe(w->out, rule->id, COMMENT_MAX);
        buf_add_text(w->out, " \" ");
    }
    buf_addf(w->out, "%s comment \"%s", rule->answer == ANSWER_ALLOW ? allowed : REJECT,
             rule->is_default ? "default of " : "");
    firewall_add_safe(w->out, rule->id, COMMENT_MAX);
    buf_add_text(w->out, "\"\n");
}

/* A rule for each kind of protocol that it is about; one alone where it is about all. */
static void add_rule(const struct writing *w, const struct firewall_rule *rule, const char *allowed)
{
    struct firewall_transport transport;
    firewall_transport(rule, &transport);
    bool is_any = !rule->protocols && !rule->port_count;
    const struct {
        bool is_meant;
        const char *protocol;
        const struct port_ranges *ports;
    } kinds[] = {
        { is_any, NULL, NULL },
        { !is_any && transport.tcp.count, "tcp", &transport.tcp },
        { !is_any && transport.udp.count, "udp", &transport.udp },
        { !is_any && transport.icmp, "{ icmp, ipv6-icmp }", NULL },
        { !is_any && transport.other, "!= { tcp, udp, icmp, ipv6-icmp }", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!kinds[i].is_meant)
            continue;
        buf_add_text(w->out, "\t\t");
        add_destination(w, rule);
        if (kinds[i].ports)
            add_ports(w, kinds[i].protocol, kinds[i].ports);
        else if (kinds[i].protocol)
            buf_addf(w->out, "meta l4proto %s ", kinds[i].protocol);
        add_verdict(w, rule, allowed);
    }
}

/* --- chains -------------------------------------------------------------------------------- */

static void add_loopback(const struct writing *w, const char *verdict)
{
    buf_addf(w->out, "\t\t%s \"lo\" %s comment \"loopback is this machine itself\"\n",
             w->direction->interface, verdict);
}

static void note_rule(struct firewall_plan *plan, const struct firewall_rule *rule)
{
    firewall_note_transport(plan, rule);
    if (rule->answer == ANSWER_ALLOW && rule->space == FIREWALL_RANGE && plan->closed)
        firewall_note_range(plan);
    if (rule->answer == ANSWER_ASK)
        firewall_note(plan, FIREWALL_STRICTER, rule,
                      "nobody is there to be asked: what it asks about is denied");
}

static void add_unit(const struct writing *w, uint32_t unit)
{
    bool had_loopback = false;
    buf_addf(w->out, "\tchain %s_%u {\n", w->direction->name, unit + 1);
    for (size_t i = 0; i < w->plan->rule_count; i++) {
        const struct firewall_rule *rule = &w->plan->rules[i];
        if (rule->unit != unit || rule->is_way || !is_about(rule, w->direction) ||
            !can_say(w->plan, rule))
            continue;
        if (rule->space == FIREWALL_ALL && !had_loopback)
            add_loopback(w, "return");
        had_loopback = had_loopback || rule->space == FIREWALL_ALL;
        note_rule(w->plan, rule);
        add_rule(w, rule, "return");
    }
    buf_add_text(w->out, "\t}\n");
}

/* Whether something may come through all units that none of them allowed. */
static bool needs_rest(const struct writing *w)
{
    bool needs = w->plan->closed && !w->direction->is_ingress;
    for (uint32_t unit = 0; unit < w->plan->unit_count; unit++)
        needs = needs && !w->plan->unit_has_default[unit];
    return needs;
}

static void add_rest(const struct writing *w)
{
    buf_add_text(w->out, "\tchain egress_rest {\n");
    add_loopback(w, "return");
    for (size_t i = 0; i < w->plan->rule_count; i++) {
        const struct firewall_rule *rule = &w->plan->rules[i];
        if (rule->egress && rule->answer == ANSWER_ALLOW && can_say(w->plan, rule))
            add_rule(w, rule, "return");
    }
    buf_add_text(w->out, "\t\t" REJECT " comment \"no document allows it\"\n\t}\n");
}

static void add_user(const struct writing *w)
{
    buf_add_text(w->out, "\t\t");
    if (w->plan->scope.uid >= 0 && !w->direction->is_ingress)
        buf_addf(w->out, "meta skuid %lld ", (long long)w->plan->scope.uid);
}

/* Proxies, which no unit is asked about. */
static void add_ways(const struct writing *w)
{
    for (size_t i = 0; i < w->plan->rule_count; i++) {
        const struct firewall_rule *rule = &w->plan->rules[i];
        if (!rule->is_way || !is_about(rule, w->direction) || !can_say(w->plan, rule))
            continue;
        add_user(w);
        add_destination(w, rule);
        buf_addf(w->out, "tcp %s %u accept comment \"proxy of ", w->direction->port,
                 rule->ports[0]);
        firewall_add_safe(w->out, rule->id, COMMENT_MAX);
        buf_add_text(w->out, "\"\n");
    }
}

static void add_jump(const struct writing *w, const char *suffix)
{
    add_user(w);
    buf_addf(w->out, "jump %s_%s\n", w->direction->name, suffix);
}

static bool unit_speaks(const struct writing *w, uint32_t unit)
{
    for (size_t i = 0; i < w->plan->rule_count; i++) {
        const struct firewall_rule *rule = &w->plan->rules[i];
        if (rule->unit == unit && is_about(rule, w->direction))
            return true;
    }
    return false;
}

static void add_direction(const struct writing *w)
{
    char number[16];
    bool speaks = needs_rest(w);
    for (uint32_t unit = 0; unit < w->plan->unit_count; unit++) {
        speaks = speaks || unit_speaks(w, unit);
        if (unit_speaks(w, unit))
            add_unit(w, unit);
    }
    if (needs_rest(w))
        add_rest(w);
    if (!speaks)
        return;
    if (w->plan->scope.uid >= 0 && w->direction->is_ingress)
        firewall_note(w->plan, FIREWALL_STRICTER, NULL,
                      "whose traffic comes in cannot be told: rules about it hold for everyone");
    buf_addf(w->out,
             "\tchain %s {\n\t\ttype filter hook %s priority 10; policy accept;\n"
             "\t\tct direction reply accept\n\t\tct state related accept\n"
             "\t\ticmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, "
             "nd-neighbor-advert, mld2-listener-report } accept "
             "comment \"no IPv6 without it\"\n",
             w->direction->name, w->direction->hook);
    add_ways(w);
    for (uint32_t unit = 0; unit < w->plan->unit_count; unit++) {
        snprintf(number, sizeof(number), "%u", unit + 1);
        if (unit_speaks(w, unit))
            add_jump(w, number);
    }
    if (needs_rest(w))
        add_jump(w, "rest");
    buf_add_text(w->out, "\t}\n");
}

int firewall_nftables(struct firewall_plan *plan, struct buf *ret, struct err *err)
{
    if (plan->closed && plan->scope.uid < 0)
        return err_set(err, ERR_USAGE, STEP,
                       "a network profile is about runs and not about everyone on this machine: "
                       "say with --user whose processes they are");
    buf_addf(ret, "table inet %s\ndelete table inet %s\ntable inet %s {\n", plan->table,
             plan->table, plan->table);
    for (size_t i = 0; i < ARRAY_LEN(directions); i++) {
        struct writing w = { plan, &directions[i], ret };
        add_direction(&w);
    }
    buf_add_text(ret, "}\n");
    return 0;
}
