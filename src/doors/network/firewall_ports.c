/*
 * firewall_ports: protocols and ports, as far as a firewall outside can see them.
 *
 * Theory of operation. A firewall between machines sees addresses, one of a few
 * protocols, and ports. That a connection is https it can only take from its
 * port; so it is told by the same table of which verdicts are made (at 443 TCP
 * is https or grpc, at 80 http or grpc, elsewhere any of them), in the stricter
 * reading of both.
 */
#include "doors/network/firewall_rule.h"

#define PORT_HTTP  80
#define PORT_HTTPS 443

static void add_range(struct port_ranges *ranges, unsigned low, unsigned high)
{
    if (low <= high && ranges->count < PORT_RANGES_MAX)
        ranges->of[ranges->count++] = (struct port_range){ (uint16_t)low, (uint16_t)high };
}

static void add_ports(const struct firewall_rule *rule, struct port_ranges *ret)
{
    if (!rule->port_count)
        add_range(ret, 1, UINT16_MAX);
    for (size_t i = 0; i < rule->port_count; i++) {
        struct port_range *last = ret->count ? &ret->of[ret->count - 1] : NULL;
        if (last && last->high + 1 == rule->ports[i])
            last->high++;
        else
            add_range(ret, rule->ports[i], rule->ports[i]);
    }
}

/* Every port at which it may be one of these protocols, or the ports that are theirs. */
static void add_told(unsigned protocols, bool allows, struct port_ranges *ret)
{
    bool http = protocols & PROTOCOL_BIT(PROTOCOL_HTTP);
    bool https = protocols & PROTOCOL_BIT(PROTOCOL_HTTPS);
    bool grpc = protocols & PROTOCOL_BIT(PROTOCOL_GRPC);
    if (allows) {
        if (http || grpc)
            add_range(ret, PORT_HTTP, PORT_HTTP);
        if (https || grpc)
            add_range(ret, PORT_HTTPS, PORT_HTTPS);
        return;
    }
    unsigned passed = grpc || (http && https) ? 0 : http ? PORT_HTTPS : PORT_HTTP;
    if (passed)
        add_range(ret, 1, passed - 1);
    add_range(ret, passed + 1, UINT16_MAX);
}

/* http, https or grpc, and neither tcp nor a port with it. */
static bool is_told_by_port(const struct firewall_rule *rule)
{
    return rule->protocols & PROTOCOLS_OVER_TCP &&
           !(rule->protocols & PROTOCOL_BIT(PROTOCOL_TCP)) && !rule->port_count;
}

void firewall_transport(const struct firewall_rule *rule, struct firewall_transport *ret)
{
    const unsigned over_tcp = PROTOCOL_BIT(PROTOCOL_TCP) | PROTOCOLS_OVER_TCP;
    unsigned protocols = rule->protocols;
    bool any = !protocols;
    *ret = (struct firewall_transport){
        .icmp = (any && !rule->port_count) || protocols & PROTOCOL_BIT(PROTOCOL_ICMP),
        .other = (any && !rule->port_count) || protocols & PROTOCOL_BIT(PROTOCOL_OTHER),
        .told_by_port = is_told_by_port(rule),
    };
    if (ret->told_by_port)
        add_told(protocols, rule->answer == ANSWER_ALLOW, &ret->tcp);
    else if (any || protocols & over_tcp)
        add_ports(rule, &ret->tcp);
    if (any || protocols & PROTOCOL_BIT(PROTOCOL_UDP))
        add_ports(rule, &ret->udp);
}

void firewall_note_transport(struct firewall_plan *plan, const struct firewall_rule *rule)
{
    if (is_told_by_port(rule))
        firewall_note(plan, FIREWALL_STRICTER, rule,
                      rule->answer == ANSWER_ALLOW
                          ? "http, https and grpc are told by their ports, 80 and 443"
                          : "http, https and grpc cannot be told apart: every port is denied at "
                            "which they may be");
}

bool firewall_ports_meet(const struct firewall_rule *a, const struct firewall_rule *b)
{
    const unsigned tcp = PROTOCOL_BIT(PROTOCOL_TCP);
    unsigned left = a->protocols & tcp ? a->protocols | PROTOCOLS_OVER_TCP : a->protocols;
    unsigned right = b->protocols & tcp ? b->protocols | PROTOCOLS_OVER_TCP : b->protocols;
    size_t i = 0, j = 0;
    if (left && right && !(left & right))
        return false;
    if (!a->port_count || !b->port_count)
        return true;
    while (i < a->port_count && j < b->port_count) {
        if (a->ports[i] == b->ports[j])
            return true;
        if (a->ports[i] < b->ports[j])
            i++;
        else
            j++;
    }
    return false;
}

bool port_ranges_are_all(const struct port_ranges *ranges)
{
    return ranges->count == 1 && ranges->of[0].low <= 1 && ranges->of[0].high == UINT16_MAX;
}

/* --- sets ---------------------------------------------------------------------------------- */

bool port_set_has(const struct port_set *set, unsigned port)
{
    return set->words[port / 64] >> port % 64 & 1;
}

/* The bits of one word from `low` to `high`, both of them within it. */
static uint64_t bits_of(unsigned low, unsigned high)
{
    uint64_t from_low = UINT64_MAX << low % 64, to_high = UINT64_MAX >> (63 - high % 64);
    return from_low & to_high;
}

void port_set_from(const struct port_ranges *ranges, struct port_set *ret)
{
    *ret = (struct port_set){ 0 };
    for (size_t i = 0; i < ranges->count; i++) {
        unsigned low = ranges->of[i].low, high = ranges->of[i].high;
        for (unsigned word = low / 64; word <= high / 64; word++)
            ret->words[word] |= bits_of(word == low / 64 ? low : 0, word == high / 64 ? high : 63);
    }
}

void port_set_subtract(struct port_set *set, const struct port_set *other)
{
    for (size_t i = 0; i < PORT_WORDS; i++)
        set->words[i] &= ~other->words[i];
}

bool port_set_is_empty(const struct port_set *set)
{
    for (size_t i = 0; i < PORT_WORDS; i++) {
        if (set->words[i])
            return false;
    }
    return true;
}

/* The first port from `from` on that is in the set, or is not; UINT16_MAX + 1 where there is none.
 */
static unsigned next_port(const struct port_set *set, unsigned from, bool is_in)
{
    for (unsigned word = from / 64; word < PORT_WORDS; word++) {
        uint64_t bits = is_in ? set->words[word] : ~set->words[word];
        if (word == from / 64)
            bits &= UINT64_MAX << from % 64;
        if (bits)
            return word * 64 + (unsigned)__builtin_ctzll(bits);
    }
    return UINT16_MAX + 1;
}

bool port_set_ranges(const struct port_set *set, struct port_ranges *ret)
{
    *ret = (struct port_ranges){ 0 };
    for (unsigned low = next_port(set, 1, true); low <= UINT16_MAX;) {
        unsigned end = next_port(set, low, false);
        if (ret->count == PORT_RANGES_MAX)
            return false;
        add_range(ret, low, end - 1);
        low = next_port(set, end, true);
    }
    return true;
}
