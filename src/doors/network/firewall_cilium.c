/*
 * firewall_cilium: a plan as a CiliumNetworkPolicy.
 *
 * Theory of operation. As with Kubernetes only what is allowed is listed, less
 * what is denied; but names are known too: Cilium reads the answers of the
 * cluster's name service, which is therefore opened for the allowed names and
 * no others. A name may resolve to a range that is denied: such ranges are
 * denied once more in egressDeny, which nothing lifts, but for what their own
 * unit allows within them.
 *
 * Its "*" is one label and no more, so that "*.name" at any depth becomes the
 * first label below; it cannot take a name out of a pattern.
 */
#include "doors/network/firewall_cluster.h"

#define STEP          "plan a firewall for Cilium"
#define PORTS_IN_LIST 40 /* that Cilium takes */
#define DNS_LABELS                                                                                 \
    "            \"k8s:io.kubernetes.pod.namespace\": \"kube-system\"\n"                           \
    "            \"k8s:k8s-app\": \"kube-dns\"\n"

static int too_large(struct err *err)
{
    return err_set(err, ERR_LIMIT, STEP, "a rule has too many ranges of ports");
}

static bool is_name(const struct firewall_rule *rule)
{
    return rule->space == FIREWALL_NAME || rule->space == FIREWALL_GLOB;
}

static bool can_say(struct firewall_plan *plan, const struct firewall_rule *rule)
{
    if (rule->skipped || !rule->egress || rule->answer != ANSWER_ALLOW)
        return false;
    firewall_note_transport(plan, rule);
    if (rule->space == FIREWALL_RANGE)
        firewall_note_range(plan);
    if (rule->space == FIREWALL_GLOB ||
        (rule->space == FIREWALL_NAME && rule->destination.form != DESTINATION_ITSELF))
        firewall_note(plan, FIREWALL_STRICTER, rule,
                      "Cilium's * is one label: names below it in "
                      "more than one are not allowed");
    if (rule->log_only)
        firewall_note(plan, FIREWALL_LOOSER, rule, "it is allowed without a record");
    return true;
}

/* --- names --------------------------------------------------------------------------------- */

static void add_names(struct buf *ret, const struct firewall_rule *rule, int indent)
{
    enum destination_form form = rule->destination.form;
    if (rule->space == FIREWALL_GLOB) {
        buf_addf(ret, "%*s- matchPattern: \"%.*s\"\n", indent, "", STR_ARG(rule->name));
        return;
    }
    if (form != DESTINATION_BELOW)
        buf_addf(ret, "%*s- matchName: \"%.*s\"\n", indent, "", STR_ARG(rule->name));
    if (form != DESTINATION_ITSELF)
        buf_addf(ret, "%*s- matchPattern: \"*.%.*s\"\n", indent, "", STR_ARG(rule->name));
}

/* --- ports --------------------------------------------------------------------------------- */

static bool add_protocol(struct buf *ret, const char *protocol, const struct port_set *set,
                         size_t *count)
{
    struct port_ranges ranges;
    if (!port_set_ranges(set, &ranges))
        return false;
    if (port_ranges_are_all(&ranges))
        ranges.of[0] = (struct port_range){ 0, 0 }; /* Cilium's "any" */
    for (size_t i = 0; i < ranges.count; i++, (*count)++) {
        if (*count % PORTS_IN_LIST == 0)
            buf_add_text(ret, "        - ports:\n");
        buf_addf(ret, "            - port: \"%u\"\n              protocol: %s\n", ranges.of[i].low,
                 protocol);
        if (ranges.of[i].high > ranges.of[i].low)
            buf_addf(ret, "              endPort: %u\n", ranges.of[i].high);
    }
    return true;
}

static bool add_ports(struct buf *ret, const struct firewall_remainder *of)
{
    size_t count = 0;
    if (cluster_is_whole(of))
        return true;
    buf_add_text(ret, "      toPorts:\n");
    return add_protocol(ret, "TCP", &of->tcp, &count) && add_protocol(ret, "UDP", &of->udp, &count);
}

/* --- what is allowed ----------------------------------------------------------------------- */

static void add_destination(struct buf *ret, const struct firewall_rule *rule,
                            const struct firewall_allowance *allowance)
{
    if (is_name(rule)) {
        buf_add_text(ret, "    - toFQDNs:\n");
        add_names(ret, rule, 8);
    } else if (rule->space == FIREWALL_ALL && !allowance->without_count) {
        buf_add_text(ret, "    - toEntities: [\"all\"]\n");
    } else {
        buf_add_text(ret, "    - toCIDRSet:\n");
        cluster_add_ranges(ret, rule, allowance, "", 8);
    }
}

static int add_rule(struct firewall_plan *plan, const struct firewall_rule *rule, struct buf *ret,
                    struct buf *names, struct err *err)
{
    struct firewall_allowance allowance;
    int r = firewall_allowance(plan, rule, true, &allowance);
    if (r < 0)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    if (r == 0)
        return 0;
    const struct firewall_remainder *of = &allowance.of;
    bool has_ports = !port_set_is_empty(&of->tcp) || !port_set_is_empty(&of->udp), fits = true;
    if (has_ports) {
        cluster_add_id(ret, 4, "", rule);
        add_destination(ret, rule, &allowance);
        fits = add_ports(ret, of);
    }
    if (of->icmp && !cluster_is_whole(of)) {
        cluster_add_id(ret, 4, "", rule);
        add_destination(ret, rule, &allowance);
        buf_add_text(ret, "      icmps:\n        - fields:\n"
                          "            - {family: IPv4, type: 8}\n"
                          "            - {family: IPv6, type: 128}\n");
        firewall_note(plan, FIREWALL_STRICTER, rule, "of ICMP echo requests alone are allowed");
    }
    if (of->other && !cluster_is_whole(of))
        firewall_note(plan, FIREWALL_LEFT_OUT, rule,
                      "Cilium knows no other protocols than TCP, UDP and ICMP");
    if (is_name(rule) && (has_ports || of->icmp))
        add_names(names, rule, 14);
    if (rule->space == FIREWALL_ALL)
        buf_addf(names, "%14s- matchPattern: \"*\"\n", "");
    free(allowance.without);
    return fits ? 0 : too_large(err);
}

/* --- what stays denied whatever a name resolves to ----------------------------------------- */

/* What stays open in a denied range: what its unit allows there, and a proxy. */
static bool is_within(const struct firewall_rule *allow, const struct firewall_rule *denial)
{
    bool decides =
        allow->is_way || (allow->unit == denial->unit && firewall_compare(allow, denial) < 0);
    return decides && allow->answer == ANSWER_ALLOW && !allow->skipped && allow->egress &&
           allow->space == FIREWALL_RANGE && firewall_covers(denial, allow);
}

/* A range at ports, less the ranges in it that the denial's unit allows. */
static bool add_denied_range(struct firewall_plan *plan, const struct firewall_rule *denial,
                             const struct firewall_rule *range,
                             const struct firewall_remainder *ports, struct buf *ret)
{
    char text[ADDRESS_RANGE_TEXT_SIZE];
    bool has_except = false;
    address_range_text(&range->range, text);
    cluster_add_id(ret, 4, "", denial);
    buf_addf(ret, "    - toCIDRSet:\n        - cidr: \"%s\"\n", text);
    for (size_t i = 0; i < plan->rule_count; i++) {
        const struct firewall_rule *allow = &plan->rules[i];
        if (!is_within(allow, denial) || allow == range || !firewall_covers(range, allow) ||
            allow->range.prefix_bits == range->range.prefix_bits)
            continue;
        address_range_text(&allow->range, text);
        buf_addf(ret, "%s            - \"%s\"\n", has_except ? "" : "          except:\n", text);
        has_except = true;
    }
    return add_ports(ret, ports);
}

static bool has_ports(const struct firewall_remainder *of)
{
    return !port_set_is_empty(&of->tcp) || !port_set_is_empty(&of->udp);
}

static int add_denial(struct firewall_plan *plan, const struct firewall_rule *denial,
                      struct buf *ret, struct err *err)
{
    struct firewall_remainder all, rest, open;
    firewall_ports_of(denial, &all);
    bool fits = !has_ports(&all) || add_denied_range(plan, denial, denial, &all, ret);
    for (size_t i = 0; fits && i < plan->rule_count; i++) {
        const struct firewall_rule *allow = &plan->rules[i];
        if (!is_within(allow, denial))
            continue;
        firewall_ports_of(allow, &open); /* at its other ports the range stays denied */
        rest = all;
        port_set_subtract(&rest.tcp, &open.tcp);
        port_set_subtract(&rest.udp, &open.udp);
        rest.icmp = rest.other = false;
        fits = !has_ports(&rest) || add_denied_range(plan, denial, allow, &rest, ret);
    }
    return fits ? 0 : too_large(err);
}

/* --- the policy ---------------------------------------------------------------------------- */

static void add_name_service(struct buf *ret, const struct buf *names)
{
    if (!names->len)
        return;
    buf_add_text(ret, "    # the names that are allowed, asked of the cluster's name service\n"
                      "    - toEndpoints:\n        - matchLabels:\n" DNS_LABELS
                      "      toPorts:\n        - ports:\n            - port: \"53\"\n"
                      "              protocol: ANY\n          rules:\n            dns:\n");
    buf_add_str(ret, buf_str(names));
}

int firewall_cilium(struct firewall_plan *plan, struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf rules = BUF_INIT_LIMIT(FIREWALL_TEXT_MAX);
    _cleanup_(buf_release) struct buf names = BUF_INIT_LIMIT(FIREWALL_TEXT_MAX);
    _cleanup_(buf_release) struct buf denials = BUF_INIT_LIMIT(FIREWALL_TEXT_MAX);
    int r =
        cluster_add_head(plan, "cilium.io/v2", "CiliumNetworkPolicy", "endpointSelector", ret, err);
    for (size_t i = 0; r == 0 && i < plan->rule_count; i++) {
        const struct firewall_rule *rule = &plan->rules[i];
        bool is_denied_range = rule->answer != ANSWER_ALLOW && rule->egress && !rule->skipped &&
                               rule->space == FIREWALL_RANGE && rule->range.prefix_bits;
        if (can_say(plan, rule))
            r = add_rule(plan, rule, &rules, &names, err);
        else if (is_denied_range)
            r = add_denial(plan, rule, &denials, err);
    }
    if (r < 0)
        return r;
    cluster_add_denials(plan, true, ret);
    buf_add_text(ret, rules.len ? "  egress:\n" : "  egress: [{}]\n");
    add_name_service(ret, &names);
    buf_add_str(ret, buf_str(&rules));
    buf_add_text(ret, denials.len ? "  egressDeny:\n" : "");
    buf_add_str(ret, buf_str(&denials));
    buf_add_text(ret, cluster_has_ingress(plan) ? "  ingress: [{}]\n" : "");
    return rules.error || names.error || denials.error
               ? err_set(err, ERR_LIMIT, STEP, "the text grows too large")
               : 0;
}
