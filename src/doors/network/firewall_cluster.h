/* firewall_cluster: what the policies of a cluster have in common, as YAML. */
#ifndef AM_DOORS_NETWORK_FIREWALL_CLUSTER_H
#define AM_DOORS_NETWORK_FIREWALL_CLUSTER_H

#include "doors/network/firewall_rule.h"
#include "doors/network/firewall_text.h"

#define CLUSTER_SELECTOR "app.kubernetes.io/name=agent-machine"

/* Appends apiVersion, kind, metadata and `selector`, whose labels are the scope's. */
int cluster_add_head(struct firewall_plan *plan, const char *api, const char *kind,
                     const char *selector, struct buf *ret, struct err *err) MUST_CHECK;
/* Appends "# …" with the rule's id, behind `indent` spaces. */
void cluster_add_id(struct buf *ret, int indent, const char *what,
                    const struct firewall_rule *rule);
/* The ranges of an allowance, less what is taken out; `item` is how one of the list begins. */
void cluster_add_ranges(struct buf *ret, const struct firewall_rule *rule,
                        const struct firewall_allowance *allowance, const char *item, int indent);
/* Whether every protocol and port remains. */
bool cluster_is_whole(const struct firewall_remainder *remainder);
/*
 * Notes and comments for all that is not allowed: a cluster's policy denies
 * what it does not list.
 */
void cluster_add_denials(struct firewall_plan *plan, bool knows_names, struct buf *ret);
/* Whether the plan has a rule about what comes in. */
bool cluster_has_ingress(const struct firewall_plan *plan);

#endif
