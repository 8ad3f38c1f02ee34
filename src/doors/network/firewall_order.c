/*
 * firewall_order: which of two rules decides, and what a rule is about altogether.
 *
 * The order is that of verdicts (authority/policy.c): the longer path decides;
 * of one path a name alone before what also lies below it; of what is equally
 * specific the denial. What a unit answers for the rest comes last.
 */
#include "doors/network/firewall_rule.h"

/* Among rules that are equally specific, the first decides. */
static int order_of(const struct firewall_rule *rule)
{
    return rule->answer == ANSWER_DENY  ? ORDER_DENY
           : rule->answer == ANSWER_ASK ? ORDER_ASK
           : rule->log_only             ? ORDER_LOG_ONLY
                                        : ORDER_ALLOW;
}

int firewall_compare(const struct firewall_rule *a, const struct firewall_rule *b)
{
    size_t a_len = a->destination.path.len, b_len = b->destination.path.len;
    if (a->is_default != b->is_default)
        return a->is_default ? 1 : -1;
    if (a_len != b_len)
        return a_len > b_len ? -1 : 1;
    bool a_alone = a->destination.form == DESTINATION_ITSELF;
    bool b_alone = b->destination.form == DESTINATION_ITSELF;
    if (a_alone != b_alone)
        return a_alone ? -1 : 1;
    return order_of(a) - order_of(b);
}

bool firewall_covers(const struct firewall_rule *wide, const struct firewall_rule *narrow)
{
    if (wide->space == FIREWALL_ALL)
        return true;
    if (wide->space == FIREWALL_GLOB)
        return narrow->space == FIREWALL_GLOB && str_equal(wide->name, narrow->name);
    bool is_name = narrow->space == FIREWALL_NAME || narrow->space == FIREWALL_GLOB;
    return (wide->space == FIREWALL_NAME) == is_name && narrow->space != FIREWALL_ALL &&
           destination_covers(&wide->destination, &narrow->destination);
}
