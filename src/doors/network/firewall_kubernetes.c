/*
 * firewall_kubernetes: a plan as a NetworkPolicy of Kubernetes.
 *
 * Theory of operation. One policy selects the pods in which runs stand, by
 * their labels, and lists to which ranges and ports they may connect; what it
 * does not list is denied. There is no denial in its language, so each allow is
 * written less what the plan denies of it (firewall_allow.c). It knows TCP and
 * UDP; ICMP is the network plugin's. It knows no names.
 */
#include "doors/network/firewall_cluster.h"

#define STEP "plan a firewall for Kubernetes"

static bool can_say(struct firewall_plan *plan, const struct firewall_rule *rule)
{
    struct firewall_transport transport;
    bool is_name = rule->space == FIREWALL_NAME || rule->space == FIREWALL_GLOB;
    if (rule->skipped || !rule->egress || rule->answer != ANSWER_ALLOW)
        return false;
    firewall_transport(rule, &transport);
    if (is_name) {
        firewall_note(plan, FIREWALL_LEFT_OUT, rule, "a NetworkPolicy sees addresses and no names");
        return false;
    }
    if (!transport.tcp.count && !transport.udp.count) {
        firewall_note(plan, FIREWALL_LEFT_OUT, rule, "a NetworkPolicy knows TCP and UDP alone");
        return false;
    }
    firewall_note_transport(plan, rule);
    if (rule->space == FIREWALL_RANGE)
        firewall_note_range(plan);
    if (rule->log_only)
        firewall_note(plan, FIREWALL_LOOSER, rule, "it is allowed without a record");
    return true;
}

static bool add_ports(struct buf *ret, const char *protocol, const struct port_set *set)
{
    struct port_ranges ranges;
    if (!port_set_ranges(set, &ranges))
        return false;
    if (port_ranges_are_all(&ranges)) {
        buf_addf(ret, "        - protocol: %s\n", protocol);
        return true;
    }
    for (size_t i = 0; i < ranges.count; i++) {
        buf_addf(ret, "        - protocol: %s\n          port: %u\n", protocol, ranges.of[i].low);
        if (ranges.of[i].high > ranges.of[i].low)
            buf_addf(ret, "          endPort: %u\n", ranges.of[i].high);
    }
    return true;
}

/* One item of the list, less what is denied. 1; 0 where nothing of it is left. */
static int add_rule(struct firewall_plan *plan, const struct firewall_rule *rule, struct buf *ret,
                    struct err *err)
{
    struct firewall_allowance allowance;
    int r = firewall_allowance(plan, rule, false, &allowance);
    if (r < 0)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    if (r == 0)
        return 0;
    bool whole = cluster_is_whole(&allowance.of);
    bool everywhere = rule->space == FIREWALL_ALL && !allowance.without_count;
    bool fits = true;
    cluster_add_id(ret, 4, "", rule);
    buf_addf(ret, "    -%s", everywhere && whole ? " {}\n" : "");
    if (!everywhere) {
        buf_add_text(ret, " to:\n");
        cluster_add_ranges(ret, rule, &allowance, "ipBlock:\n            ", 8);
    }
    if (!whole) {
        buf_add_text(ret, everywhere ? " ports:\n" : "      ports:\n");
        fits = add_ports(ret, "TCP", &allowance.of.tcp) && add_ports(ret, "UDP", &allowance.of.udp);
    }
    free(allowance.without);
    return fits ? 1 : err_set(err, ERR_LIMIT, STEP, "a rule has too many ranges of ports");
}

int firewall_kubernetes(struct firewall_plan *plan, struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf rules = BUF_INIT_LIMIT(FIREWALL_TEXT_MAX);
    bool has_ingress = cluster_has_ingress(plan);
    int r =
        cluster_add_head(plan, "networking.k8s.io/v1", "NetworkPolicy", "podSelector", ret, err);
    for (size_t i = 0; r >= 0 && i < plan->rule_count; i++) {
        if (can_say(plan, &plan->rules[i]))
            r = add_rule(plan, &plan->rules[i], &rules, err);
    }
    if (r < 0)
        return r;
    buf_addf(ret, "  policyTypes: [\"Egress\"%s]\n", has_ingress ? ", \"Ingress\"" : "");
    cluster_add_denials(plan, false, ret);
    buf_add_text(ret, rules.len ? "  egress:\n" : "  egress: []\n");
    buf_add_str(ret, buf_str(&rules));
    buf_add_text(ret, has_ingress ? "  ingress: []\n" : "");
    return rules.error ? err_set(err, ERR_LIMIT, STEP, "the text grows too large") : 0;
}
