/*
 * gate: what the layers say about a tool, a model provider, a network, an image or a path.
 *
 * The delegation gives these things; the layers can only take them away. Their
 * rules stand in gates documents (gate_rules.h). Beside those speak, for a
 * model provider, its own profile and what the layers say about the host where
 * it answers; for an image, what they say about its registry; and for all, the
 * machine profile of the run where that is a layer's: what it does not list is
 * denied.
 */
#ifndef AM_AUTHORITY_GATE_H
#define AM_AUTHORITY_GATE_H

#include "authority/gate_rules.h"
#include "authority/verdict.h"

#define GATE_RULE_SILENCE   "built-in.no-layer-denies"
#define GATE_RULE_MALFORMED "built-in.no-such-name"

/* Adds a gates document; `root` outlives the policy. As policy_add otherwise. */
int policy_add_gates(struct policy_builder *builder, enum layer layer, const char *name,
                     const yyjson_val *root, struct err *err) MUST_CHECK;

struct gate_thing {
    enum gate gate;
    struct str name;    /* a URN, or its last part; an absolute path; an image */
    struct str digest;  /* of an image, where it is not in its name; may be empty */
    bool is_local;      /* an image that no registry is asked for */
    struct str profile; /* the URN of the machine profile of the run; may be empty */
};

/*
 * What the layers answer. ALLOW with built_in: none of them says anything. -errno only for a name
 * beyond the limits, or no memory.
 */
int policy_decide_gate(const struct policy *policy, const struct gate_thing *thing,
                       struct verdict *ret, struct err *err) MUST_CHECK;
/* The same; a path is asked about as what the file system makes of it too, the stricter holds. */
int policy_decide_gate_here(const struct policy *policy, const struct gate_thing *thing,
                            struct verdict *ret, struct err *err) MUST_CHECK;

#endif
