/*
 * firewall_gateway: a plan as access rules of Squid, the egress gateway that every distribution
 * has.
 *
 * Theory of operation. Squid takes the first line of http_access that applies.
 * So all denials of all units come first, each with what its own unit allows
 * more specifically as an exception; then, in one line each, what is allowed;
 * and last that everything else is denied, which is what a gateway is for.
 *
 * A destination, its ports and its protocol are ACLs of their own, and the rule
 * is all of them together (all-of). A range that denies is held against the
 * addresses that a name resolves to as well; one that allows only against
 * addresses that were asked for as such (-n), because a range opens no name.
 *
 * A proxy sees requests in HTTP, and tunnels (CONNECT) for everything else.
 * What else there is on a network it does not carry.
 */
#include "doors/network/firewall_rule.h"
#include "doors/network/firewall_text.h"

#define STEP           "plan a firewall for a gateway"
#define ID_SHOWN_MAX   100
#define NAMES_PER_LINE 8

struct writing {
    struct firewall_plan *plan;
    struct buf *out;
};

/* --- one rule ------------------------------------------------------------------------------ */

/* Appends a name as a regular expression takes it. */
static void add_escaped(struct buf *out, struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        buf_addf(out, name.ptr[i] == '.' ? "\\." : "%c", name.ptr[i]);
}

static void add_regex(struct buf *out, const struct firewall_rule *rule)
{
    size_t star = rule->space == FIREWALL_GLOB ? str_index(rule->name, '*', 0) : 0;
    buf_add_text(out, "dstdom_regex -n -i ^");
    add_escaped(out, str_make(rule->name.ptr, star));
    buf_add_text(out, rule->space == FIREWALL_GLOB ? ".+" : ".+\\.");
    add_escaped(out, str_from_offset(rule->name, rule->space == FIREWALL_GLOB ? star + 1 : 0));
    buf_add_text(out, "$\n");
}

static void add_destination(struct buf *out, const struct firewall_rule *rule, size_t number)
{
    char text[ADDRESS_RANGE_TEXT_SIZE];
    if (rule->space == FIREWALL_ALL)
        return;
    buf_addf(out, "acl am_%zu_to ", number);
    if (rule->space == FIREWALL_RANGE) {
        address_range_text(&rule->range, text);
        buf_addf(out, "dst %s%s\n", rule->answer == ANSWER_ALLOW ? "-n " : "", text);
    } else if (rule->space == FIREWALL_GLOB || rule->destination.form == DESTINATION_BELOW) {
        add_regex(out, rule);
    } else {
        buf_addf(out, "dstdomain -n %s%.*s\n",
                 rule->destination.form == DESTINATION_ITSELF ? "" : ".", STR_ARG(rule->name));
    }
}

static void add_ports(struct buf *out, const struct port_ranges *ports, size_t number)
{
    for (size_t i = 0; i < ports->count; i++) {
        if (i % NAMES_PER_LINE == 0)
            buf_addf(out, "%sacl am_%zu_port port", i ? "\n" : "", number);
        buf_addf(out, " %u", ports->of[i].low);
        if (ports->of[i].high > ports->of[i].low)
            buf_addf(out, "-%u", ports->of[i].high);
    }
    buf_add_char(out, '\n');
}

/* Whether it is about requests in HTTP alone ("!am_connect"), tunnels alone, or both (""). */
static const char *method_of(const struct firewall_rule *rule)
{
    const unsigned tcp = PROTOCOL_BIT(PROTOCOL_TCP);
    unsigned over_tcp = rule->protocols & (tcp | PROTOCOLS_OVER_TCP);
    bool http = over_tcp & PROTOCOL_BIT(PROTOCOL_HTTP);
    bool tunnel = over_tcp & (PROTOCOL_BIT(PROTOCOL_HTTPS) | PROTOCOL_BIT(PROTOCOL_GRPC));
    if (!over_tcp || over_tcp & tcp || (http && tunnel))
        return "";
    if (over_tcp & PROTOCOL_BIT(PROTOCOL_GRPC) && rule->answer != ANSWER_ALLOW)
        return "";
    return http ? " !am_connect" : " am_connect";
}

static bool can_say(struct firewall_plan *plan, const struct firewall_rule *rule,
                    const struct firewall_transport *transport)
{
    bool allows = rule->answer == ANSWER_ALLOW;
    if (rule->skipped)
        return false;
    if (!rule->egress || !transport->tcp.count) {
        firewall_note(plan, allows ? FIREWALL_LEFT_OUT : FIREWALL_ELSEWHERE, rule,
                      rule->egress ? "a proxy carries nothing but TCP" : "a proxy lets nothing in");
        return false;
    }
    if (rule->is_way) {
        firewall_note(plan, FIREWALL_ELSEWHERE, rule,
                      "what goes by its proxy does not come by this gateway");
        return false;
    }
    firewall_note_transport(plan, rule);
    if (rule->answer == ANSWER_ASK)
        firewall_note(plan, FIREWALL_STRICTER, rule,
                      "nobody is there to be asked: what it asks about is denied");
    if (rule->ingress)
        firewall_note(plan, FIREWALL_ELSEWHERE, rule, "a proxy lets nothing in");
    if (rule->log_only)
        firewall_note(plan, FIREWALL_ELSEWHERE, rule, "Squid's access log has every request");
    return true;
}

/* The ACLs of a rule; false where it is not in the text. */
static bool add_rule(const struct writing *w, size_t index)
{
    const struct firewall_rule *rule = &w->plan->rules[index];
    struct firewall_transport transport;
    size_t number = index + 1;
    firewall_transport(rule, &transport);
    if (!can_say(w->plan, rule, &transport))
        return false;
    bool has_ports = !port_ranges_are_all(&transport.tcp);
    buf_addf(w->out, "# %s: %s", rule->answer == ANSWER_ALLOW ? "allow" : "deny",
             rule->is_default ? "default of " : "");
    firewall_add_safe(w->out, rule->id, ID_SHOWN_MAX);
    buf_add_char(w->out, '\n');
    add_destination(w->out, rule, number);
    if (has_ports)
        add_ports(w->out, &transport.tcp, number);
    buf_addf(w->out, "acl am_%zu all-of", number);
    if (rule->space != FIREWALL_ALL)
        buf_addf(w->out, " am_%zu_to", number);
    if (has_ports)
        buf_addf(w->out, " am_%zu_port", number);
    buf_addf(w->out, "%s%s\n", method_of(rule),
             rule->space == FIREWALL_ALL && !has_ports && !method_of(rule)[0] ? " all" : "");
    return true;
}

/* --- the order ----------------------------------------------------------------------------- */

static bool is_name(const struct firewall_rule *rule)
{
    return rule->space == FIREWALL_NAME || rule->space == FIREWALL_GLOB;
}

/* Whether an allow of the same unit stands before a denial where both apply. */
static bool excepts(const struct firewall_rule *allow, const struct firewall_rule *denial)
{
    bool meets = firewall_covers(denial, allow) || firewall_covers(allow, denial);
    bool opens_range = is_name(allow) && denial->space == FIREWALL_RANGE &&
                       denial->range.prefix_bits == 0; /* a range of every address */
    return allow->unit == denial->unit && allow->answer == ANSWER_ALLOW &&
           firewall_compare(allow, denial) < 0 && (meets || opens_range) &&
           firewall_ports_meet(allow, denial);
}

static void add_denial(const struct writing *w, const bool *written, size_t index)
{
    const struct firewall_rule *denial = &w->plan->rules[index];
    size_t count = 0;
    for (size_t i = 0; i < w->plan->rule_count; i++) {
        if (!written[i] || !excepts(&w->plan->rules[i], denial))
            continue;
        if (count % NAMES_PER_LINE == 0)
            buf_addf(w->out, "%sacl am_%zu_but any-of", count ? "\n" : "", index + 1);
        buf_addf(w->out, " am_%zu", i + 1);
        count++;
    }
    buf_addf(w->out, "%shttp_access deny am_%zu", count ? "\n" : "", index + 1);
    if (count)
        buf_addf(w->out, " !am_%zu_but", index + 1);
    buf_add_char(w->out, '\n');
}

int firewall_gateway(struct firewall_plan *plan, struct buf *ret, struct err *err)
{
    _cleanup_(cleanup_free) bool *written = calloc(plan->rule_count + 1, sizeof(*written));
    struct writing w = { plan, ret };
    if (!written)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    buf_add_text(ret, "acl am_connect method CONNECT\n");
    for (size_t i = 0; i < plan->rule_count && !ret->error; i++)
        written[i] = add_rule(&w, i);
    buf_add_text(ret, "# what any document denies, but for what it allows more specifically\n");
    for (size_t i = 0; i < plan->rule_count && !ret->error; i++) {
        if (written[i] && plan->rules[i].answer != ANSWER_ALLOW)
            add_denial(&w, written, i);
    }
    buf_add_text(ret, "# what remains and some document allows\n");
    for (size_t i = 0; i < plan->rule_count && !ret->error; i++) {
        if (written[i] && plan->rules[i].answer == ANSWER_ALLOW)
            buf_addf(ret, "http_access allow am_%zu\n", i + 1);
    }
    buf_add_text(ret, "# the rest\nhttp_access deny all\n");
    return 0;
}
