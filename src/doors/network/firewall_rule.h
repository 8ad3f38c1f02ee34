/* firewall_rule: a plan's rules, for those who read documents into them and render them. */
#ifndef AM_DOORS_NETWORK_FIREWALL_RULE_H
#define AM_DOORS_NETWORK_FIREWALL_RULE_H

#include "authority/policy.h"
#include "base/arena.h"
#include "contract/destination.h"
#include "doors/network/firewall_plan.h"

enum firewall_space {
    FIREWALL_ALL,   /* everything */
    FIREWALL_RANGE, /* addresses */
    FIREWALL_NAME,  /* host names */
    FIREWALL_GLOB,  /* host names with one "*" within, of the table of model hosts */
    FIREWALL_SPACE_COUNT
};

enum firewall_subject {
    FIREWALL_ANYONE,  /* also the scope's subject */
    FIREWALL_SANDBOX, /* every program in the sandbox */
    FIREWALL_PROGRAM, /* by its path */
    FIREWALL_OTHER,   /* an agent or account that cannot be told from others outside */
};

struct firewall_rule {
    struct str id, document; /* as they were written: they may hold anything */
    struct str subject;
    enum answer answer; /* ask stays ask */
    enum firewall_subject who;
    enum firewall_space space;
    struct destination destination; /* FIREWALL_GLOB: the names below which it lies */
    struct str name;                /* of FIREWALL_NAME and FIREWALL_GLOB, as names are compared */
    struct address_range range;
    unsigned protocols; /* bits; 0: any */
    const uint16_t *ports;
    size_t port_count; /* sorted; 0: any */
    uint32_t unit;     /* within one the most specific decides; all are asked */
    uint32_t place;    /* in the order of reading */
    bool egress, ingress, log_only;
    bool model_host; /* of the group external-model-provider */
    bool is_default; /* what its unit answers for the rest */
    bool is_way;     /* a proxy, to which the door goes whatever the units say of it */
    bool skipped;    /* not for whom is written now; a note says so where it has to */
};

struct firewall_plan {
    struct arena arena;
    struct firewall_scope scope;
    struct firewall_rule *rules; /* once sorted: by unit, then the most specific first */
    size_t rule_count, rule_capacity;
    uint32_t unit_count;
    const yyjson_val *documents[FIREWALL_DOCUMENTS_MAX];
    size_t document_count;
    bool closed; /* what nothing answers is denied: so it is once a network profile is there */
    bool sorted;
    bool unit_has_default[2 * FIREWALL_DOCUMENTS_MAX];
    char table[FIREWALL_NAME_MAX];
    struct firewall_notes notes;
};

/* --- firewall_read.c ----------------------------------------------------------------------- */

int firewall_read_document(struct firewall_plan *plan, const yyjson_val *root,
                           struct err *err) MUST_CHECK;

/* --- firewall_order.c ---------------------------------------------------------------------- */

/* Below zero where `a` is the more specific, or decides among equals. */
int firewall_compare(const struct firewall_rule *a, const struct firewall_rule *b);
/* Whether every destination of `narrow` is one of `wide`; a name is none of a range. */
bool firewall_covers(const struct firewall_rule *wide, const struct firewall_rule *narrow);

/* --- firewall_plan.c ----------------------------------------------------------------------- */

void firewall_note(struct firewall_plan *plan, enum firewall_effect effect,
                   const struct firewall_rule *rule, const char *format, ...) PRINTF_LIKE(4, 5);
/* Says that a range which is allowed opens names too, for targets that see packets. */
void firewall_note_range(struct firewall_plan *plan);
/*
 * What every target but one that knows programs does about subjects: a rule that allows somebody
 * who cannot be told there is left out; one that denies holds for everyone. False: left out.
 */
bool firewall_subject_applies(struct firewall_plan *plan, const struct firewall_rule *rule,
                              const char *target);

/* --- firewall_ports.c ---------------------------------------------------------------------- */

struct port_range {
    uint16_t low, high;
};
#define PORT_RANGES_MAX 1024
struct port_ranges {
    struct port_range of[PORT_RANGES_MAX]; /* ascending, apart from each other */
    size_t count;
};

/* Ports as a set, for taking away from it. */
#define PORT_WORDS 1024
struct port_set {
    uint64_t words[PORT_WORDS];
};

/* What of a rule a firewall that sees no more than addresses and ports can hold. */
struct firewall_transport {
    struct port_ranges tcp, udp; /* empty: not of this protocol */
    bool icmp, other;
    bool told_by_port; /* http, https and grpc, by the ports at which they are */
};

/*
 * Of what rides on TCP only the port can be seen. A rule that allows https and names no port is
 * for 443; one that denies it is for every port at which it may be (any but 80).
 */
void firewall_transport(const struct firewall_rule *rule, struct firewall_transport *ret);
/* Says that, where it is so. */
void firewall_note_transport(struct firewall_plan *plan, const struct firewall_rule *rule);
/* Whether two rules can be about the same protocol and port. */
bool firewall_ports_meet(const struct firewall_rule *a, const struct firewall_rule *b);
bool port_ranges_are_all(const struct port_ranges *ranges);

void port_set_from(const struct port_ranges *ranges, struct port_set *ret);
void port_set_subtract(struct port_set *set, const struct port_set *other);
bool port_set_has(const struct port_set *set, unsigned port);
bool port_set_is_empty(const struct port_set *set);
/* False where there are more than PORT_RANGES_MAX. */
bool port_set_ranges(const struct port_set *set, struct port_ranges *ret);

/* --- firewall_allow.c ---------------------------------------------------------------------- */

/* Protocols and ports, of which some are taken away. */
struct firewall_remainder {
    struct port_set tcp, udp;
    bool icmp, other;
};

/* All of a rule's. */
void firewall_ports_of(const struct firewall_rule *rule, struct firewall_remainder *ret);
/*
 * What of an allowing rule's protocols and ports no unit denies for the whole
 * of its destination; `own_too`: nor its own unit.
 */
void firewall_remain(const struct firewall_plan *plan, const struct firewall_rule *rule,
                     bool own_too, struct firewall_remainder *ret);

/* The same for a target that knows only what is allowed, and the ranges within that are denied. */
struct firewall_allowance {
    struct firewall_remainder of;
    const struct firewall_rule **without;
    size_t without_count;
};
/* 1; 0 where nothing remains, which a note says; or -ENOMEM. Release with free(without). */
int firewall_allowance(struct firewall_plan *plan, const struct firewall_rule *rule,
                       bool knows_names, struct firewall_allowance *ret);

/* --- renderers ----------------------------------------------------------------------------- */

/* Each appends the body of its format; notes go to the plan. */
typedef int firewall_render(struct firewall_plan *plan, struct buf *ret, struct err *err);
firewall_render firewall_nftables, firewall_lulu, firewall_gateway, firewall_kubernetes,
    firewall_cilium;

#endif
