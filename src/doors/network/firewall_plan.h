/*
 * firewall_plan: what a firewall outside of the sandbox would have to hold, in its own words.
 *
 * A plan is made of FirewallBindingProfiles and of the NetworkAccessProfiles
 * that go with them, and rendered for one target after the other. What a
 * target cannot express, or only more or less strictly, becomes a note, so
 * that nothing is dropped in silence; the rendered text begins with them.
 */
#ifndef AM_DOORS_NETWORK_FIREWALL_PLAN_H
#define AM_DOORS_NETWORK_FIREWALL_PLAN_H

#include <yyjson.h>

#include "authority/references.h"
#include "authority/verdict.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "doors/network/firewall_notes.h"

#define FIREWALL_RULES_MAX     10000
#define FIREWALL_DOCUMENTS_MAX 64
#define FIREWALL_TEXT_MAX      ((size_t)64 << 20) /* bytes of a rendered plan */
#define FIREWALL_NAME_MAX      128                /* bytes of a name made from a document's id */

#define FIREWALL_TARGET_TABLE(X)                                                                   \
    X(FIREWALL_NFTABLES, "nftables")                                                               \
    X(FIREWALL_LULU, "lulu")                                                                       \
    X(FIREWALL_GATEWAY, "gateway")                                                                 \
    X(FIREWALL_KUBERNETES, "kubernetes")                                                           \
    X(FIREWALL_CILIUM, "cilium")

enum firewall_target {
#define X(target, name) target,
    FIREWALL_TARGET_TABLE(X)
#undef X
        FIREWALL_TARGET_COUNT
};
extern const char *const firewall_target_names[FIREWALL_TARGET_COUNT];

/* Whose traffic the plan is about. */
struct firewall_scope {
    struct str subject;   /* a URN that the runs go by; empty: not said */
    int64_t uid;          /* nftables: of this user's processes alone; -1: of everyone's */
    struct str namespace; /* kubernetes, cilium: empty: not said */
    struct str selector;  /* kubernetes, cilium: labels "a=b,c=d"; empty: the usual one */
    const struct references *references; /* where proxies are; may be NULL */
};

struct firewall_plan;

int firewall_plan_new(const struct firewall_scope *scope, struct firewall_plan **ret,
                      struct err *err) MUST_CHECK;
void firewall_plan_free(struct firewall_plan *plan);
/*
 * Adds a FirewallBindingProfile or a NetworkAccessProfile that its schema has accepted; it must
 * outlive the plan, and what scope views too. ERR_DOCUMENT where a denial or question in it cannot
 * be understood, or the type is another.
 */
int firewall_plan_add(struct firewall_plan *plan, const yyjson_val *root,
                      struct err *err) MUST_CHECK;
/*
 * Appends the text for a target; the notes are this target's until the next call. ERR_USAGE where
 * the scope does not fit the target, ERR_LIMIT beyond the limits.
 */
int firewall_plan_render(struct firewall_plan *plan, enum firewall_target target, struct buf *ret,
                         struct err *err) MUST_CHECK;

const struct firewall_notes *firewall_plan_notes(const struct firewall_plan *plan);
/* What the target's format is, for people. */
const char *firewall_target_format(enum firewall_target target);
/* The name of the plan's table, from the id of its first document: letters, digits and "_". */
const char *firewall_plan_table(const struct firewall_plan *plan);

#endif
