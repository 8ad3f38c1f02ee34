/* firewall_lulu: what the two files that write LuLu's rules share. */
#ifndef AM_DOORS_NETWORK_FIREWALL_LULU_H
#define AM_DOORS_NETWORK_FIREWALL_LULU_H

#include "doors/network/firewall_rule.h"
#include "doors/network/firewall_text.h"

#define LULU_PORTS_MAX 256 /* that the rules of a plan name */
#define LULU_ANY       "*"

struct lulu_writing {
    struct firewall_plan *plan;
    struct buf *out;
    uint16_t ports[LULU_PORTS_MAX]; /* ascending */
    size_t port_count;
    uint16_t other_port; /* one that no rule names */
    struct str program;
    bool has_rule; /* of this program */
    struct err *err;
};

/* Whether a rule is about TCP or UDP at a port. */
bool lulu_is_at(const struct firewall_transport *transport, uint16_t port);
/*
 * Appends one rule of LuLu's for a port, 0 for "*", that allows or blocks. -EOPNOTSUPP where LuLu
 * cannot name the address; else what the buffer says.
 */
int lulu_add_row(struct lulu_writing *w, const struct firewall_rule *rule, uint16_t number,
                 bool allows);

#endif
