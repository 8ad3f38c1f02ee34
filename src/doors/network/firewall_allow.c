/*
 * firewall_allow: what of an allowing rule remains for a target that only knows what is allowed.
 *
 * Theory of operation. Policies of clusters have no order: what one of them
 * lists is allowed. So every denial is taken out of what is allowed. In each
 * unit the rules that cover the whole destination are asked in their order,
 * port by port: where the first that is about a port denies, the port goes. A
 * denied range within goes too, and what its own unit allows in it again is a
 * rule that is written by itself.
 *
 * Where a target knows names but cannot take one out of others, the wider allow
 * loses the ports of the name that is denied, because a denial is final. A
 * target that sees addresses alone cannot hold denials of names: they take
 * nothing away here, and their own notes say that they are not held.
 */
#include "doors/network/firewall_rule.h"

struct taking {
    struct firewall_plan *plan;
    const struct firewall_rule *rule;
    bool knows_names;
    struct firewall_allowance *allowance;
};

void firewall_ports_of(const struct firewall_rule *rule, struct firewall_remainder *ret)
{
    struct firewall_transport transport;
    firewall_transport(rule, &transport);
    *ret = (struct firewall_remainder){ .icmp = transport.icmp, .other = transport.other };
    port_set_from(&transport.tcp, &ret->tcp);
    port_set_from(&transport.udp, &ret->udp);
}

static void subtract(struct firewall_remainder *from, const struct firewall_remainder *other)
{
    port_set_subtract(&from->tcp, &other->tcp);
    port_set_subtract(&from->udp, &other->udp);
    from->icmp = from->icmp && !other->icmp;
    from->other = from->other && !other->other;
}

static bool is_empty(const struct firewall_remainder *remainder)
{
    return port_set_is_empty(&remainder->tcp) && port_set_is_empty(&remainder->udp) &&
           !remainder->icmp && !remainder->other;
}

/* A name may resolve to any address: a range of all of them covers what its unit does not list. */
static bool decides(const struct firewall_rule *other, const struct firewall_rule *rule)
{
    bool is_name = rule->space == FIREWALL_NAME || rule->space == FIREWALL_GLOB;
    return firewall_covers(other, rule) ||
           (is_name && other->space == FIREWALL_RANGE && other->range.prefix_bits == 0 &&
            other->answer != ANSWER_ALLOW);
}

void firewall_remain(const struct firewall_plan *plan, const struct firewall_rule *rule,
                     bool own_too, struct firewall_remainder *ret)
{
    struct firewall_remainder own, open, here, denied;
    uint32_t unit = UINT32_MAX;
    firewall_ports_of(rule, &own);
    *ret = own;
    for (size_t i = 0; i < plan->rule_count && !rule->is_way; i++) {
        const struct firewall_rule *other = &plan->rules[i];
        if (other->unit != unit) { /* another unit: nothing is decided yet */
            unit = other->unit;
            open = own;
        }
        if (other->skipped || !other->egress || (other->unit == rule->unit && !own_too) ||
            !decides(other, rule) || !firewall_ports_meet(other, rule))
            continue;
        firewall_ports_of(other, &here);
        if (other->answer != ANSWER_ALLOW) {
            denied = open; /* less what is left of it without this rule: what this rule decides */
            struct firewall_remainder rest = open;
            subtract(&rest, &here);
            subtract(&denied, &rest);
            subtract(ret, &denied);
        }
        subtract(&open, &here);
    }
}

/* A range within is taken out as a whole: of every port, although its rule may name some. */
static int take_range(const struct taking *taking, const struct firewall_rule *denial)
{
    struct firewall_allowance *allowance = taking->allowance;
    size_t count = allowance->without_count;
    const struct firewall_rule **without =
        (count & (count - 1))
            ? allowance->without
            : realloc(allowance->without, (count ? count * 2 : 1) * sizeof(*without));
    if (!without)
        return -ENOMEM;
    allowance->without = without;
    allowance->without[allowance->without_count++] = denial;
    if (denial->port_count || denial->protocols)
        firewall_note(taking->plan, FIREWALL_STRICTER, denial,
                      "the range is taken out of a wider one at every port");
    return 0;
}

static int take(const struct taking *taking, const struct firewall_rule *denial)
{
    const struct firewall_rule *rule = taking->rule;
    struct firewall_remainder ports;
    if (denial->answer == ANSWER_ALLOW || denial->skipped || !denial->egress ||
        !firewall_ports_meet(denial, rule) || firewall_covers(denial, rule) ||
        !firewall_covers(rule, denial))
        return 0;
    if (denial->space == FIREWALL_RANGE)
        return take_range(taking, denial);
    if (!taking->knows_names)
        return 0;
    firewall_ports_of(denial, &ports);
    subtract(&taking->allowance->of, &ports);
    firewall_note(taking->plan, FIREWALL_STRICTER, rule,
                  "%.*s within it is denied and cannot be taken out: nothing of it is allowed at "
                  "those ports",
                  STR_ARG(denial->name));
    return 0;
}

int firewall_allowance(struct firewall_plan *plan, const struct firewall_rule *rule,
                       bool knows_names, struct firewall_allowance *ret)
{
    struct firewall_allowance allowance = { 0 };
    struct taking taking = { plan, rule, knows_names, &allowance };
    int r = 0;
    firewall_remain(plan, rule, true, &allowance.of);
    for (size_t i = 0; r == 0 && i < plan->rule_count && !rule->is_way; i++)
        r = take(&taking, &plan->rules[i]);
    if (r == 0 && !is_empty(&allowance.of)) {
        *ret = allowance;
        return 1;
    }
    if (r == 0)
        firewall_note(plan, FIREWALL_ELSEWHERE, rule,
                      "other rules deny all that it allows: nothing of it is in the text");
    free(allowance.without);
    return r;
}
