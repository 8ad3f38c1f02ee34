/*
 * firewall_cluster: see the header.
 *
 * A cluster's network policies deny what they do not list to the workload that
 * they select. So of a plan only what is allowed is written, less what is
 * denied; each denial stands as a comment with its id. What comes in is denied
 * altogether once any rule is about it.
 */
#include "doors/network/firewall_cluster.h"

#define ID_SHOWN_MAX 100

int cluster_add_head(struct firewall_plan *plan, const char *api, const char *kind,
                     const char *selector, struct buf *ret, struct err *err)
{
    struct str text = plan->scope.selector.len ? plan->scope.selector : STR(CLUSTER_SELECTOR);
    struct labels labels;
    int r = labels_read(text, &labels, err);
    if (r < 0)
        return r;
    buf_addf(ret, "apiVersion: %s\nkind: %s\nmetadata:\n  name: \"", api, kind);
    for (const char *c = plan->table; *c; c++)
        buf_add_char(ret, *c == '_' ? '-' : *c);
    buf_add_text(ret, "\"\n");
    if (plan->scope.namespace.len) {
        if (!kubernetes_name_is(plan->scope.namespace))
            return err_set(err, ERR_USAGE, "plan a firewall", "`%.*s` is no namespace",
                           STR_ARG(plan->scope.namespace));
        buf_addf(ret, "  namespace: \"%.*s\"\n", STR_ARG(plan->scope.namespace));
    }
    buf_addf(ret, "spec:\n  %s:\n    matchLabels:\n", selector);
    labels_add(ret, &labels, 6);
    return 0;
}

void cluster_add_id(struct buf *ret, int indent, const char *what, const struct firewall_rule *rule)
{
    buf_addf(ret, "%*s# %s%s", indent, "", what, rule->is_default ? "default of " : "");
    firewall_add_safe(ret, rule->id, ID_SHOWN_MAX);
    buf_add_char(ret, '\n');
}

static void add_range(struct buf *ret, const struct address_range *range,
                      const struct firewall_allowance *allowance, const char *item, int indent)
{
    char text[ADDRESS_RANGE_TEXT_SIZE];
    bool has_except = false;
    address_range_text(range, text);
    buf_addf(ret, "%*s- %scidr: \"%s\"\n", indent, "", item, text);
    int inner = indent + (item[0] ? 4 : 2);
    for (size_t i = 0; i < allowance->without_count; i++) {
        const struct address_range *denied = &allowance->without[i]->range;
        if (denied->is_ipv6 != range->is_ipv6 || denied->prefix_bits <= range->prefix_bits)
            continue;
        address_range_text(denied, text);
        if (!has_except)
            buf_addf(ret, "%*sexcept:\n", inner, "");
        has_except = true;
        buf_addf(ret, "%*s- \"%s\"\n", inner + 2, "", text);
    }
}

/* Whether a range of this family is denied as a whole. */
static bool is_without(const struct firewall_allowance *allowance, bool is_ipv6)
{
    for (size_t i = 0; i < allowance->without_count; i++) {
        const struct address_range *denied = &allowance->without[i]->range;
        if (denied->is_ipv6 == is_ipv6 && denied->prefix_bits == 0)
            return true;
    }
    return false;
}

void cluster_add_ranges(struct buf *ret, const struct firewall_rule *rule,
                        const struct firewall_allowance *allowance, const char *item, int indent)
{
    if (rule->space == FIREWALL_RANGE) {
        add_range(ret, &rule->range, allowance, item, indent);
        return;
    }
    for (int family = 0; family < 2; family++) {
        struct address_range every = { .is_ipv6 = family };
        if (!is_without(allowance, every.is_ipv6))
            add_range(ret, &every, allowance, item, indent);
    }
}

bool cluster_is_whole(const struct firewall_remainder *remainder)
{
    struct port_ranges tcp, udp;
    return remainder->icmp && remainder->other && port_set_ranges(&remainder->tcp, &tcp) &&
           port_set_ranges(&remainder->udp, &udp) && port_ranges_are_all(&tcp) &&
           port_ranges_are_all(&udp);
}

static bool allows_addresses(const struct firewall_plan *plan)
{
    for (size_t i = 0; i < plan->rule_count; i++) {
        const struct firewall_rule *rule = &plan->rules[i];
        if (rule->answer == ANSWER_ALLOW && rule->egress && !rule->skipped &&
            (rule->space == FIREWALL_ALL || rule->space == FIREWALL_RANGE))
            return true;
    }
    return false;
}

void cluster_add_denials(struct firewall_plan *plan, bool knows_names, struct buf *ret)
{
    bool some = allows_addresses(plan);
    for (size_t i = 0; i < plan->rule_count; i++) {
        const struct firewall_rule *rule = &plan->rules[i];
        bool is_name = rule->space == FIREWALL_NAME || rule->space == FIREWALL_GLOB;
        if (rule->skipped)
            continue;
        if (rule->ingress)
            firewall_note(
                plan, rule->answer == ANSWER_ALLOW ? FIREWALL_LEFT_OUT : FIREWALL_ELSEWHERE, rule,
                "nothing at all comes in: what has to is for the workload's own "
                "policies");
        if (rule->answer == ANSWER_ALLOW || !rule->egress)
            continue;
        if (rule->answer == ANSWER_ASK)
            firewall_note(plan, FIREWALL_STRICTER, rule,
                          "nobody is there to be asked: what it asks about is denied");
        if (is_name && !knows_names && some)
            firewall_note(plan, FIREWALL_NOT_HELD, rule,
                          "a NetworkPolicy sees addresses and no names; the Network Door holds it");
        else
            cluster_add_id(ret, 2, "not allowed: ", rule);
    }
}

bool cluster_has_ingress(const struct firewall_plan *plan)
{
    for (size_t i = 0; i < plan->rule_count; i++) {
        if (plan->rules[i].ingress && !plan->rules[i].skipped)
            return true;
    }
    return false;
}
