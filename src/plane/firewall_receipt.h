/*
 * firewall_receipt: what was done to a firewall outside of the sandbox, signed.
 *
 * Applying a plan is nobody's run and no operation of the contracts: who keeps
 * the firewall does it. It leaves a receipt: an in-toto statement in a DSSE
 * envelope, signed with the user's key, in the ledger before the firewall is
 * touched, and once more when it was.
 */
#ifndef AM_PLANE_FIREWALL_RECEIPT_H
#define AM_PLANE_FIREWALL_RECEIPT_H

#include <yyjson.h>

#include "base/clock.h"
#include "base/digest.h"
#include "plane/plane.h"

#define FIREWALL_RECEIPT_TYPE      "FirewallReceipt" /* of the envelope in the ledger */
#define FIREWALL_RECEIPT_SLUG      "firewall-receipt"
#define FIREWALL_RECEIPT_PREDICATE "https://schemas.srcos.ai/predicates/firewall-receipt/v1"
#define FIREWALL_RECEIPT_BYTES_MAX ((size_t)1 << 20)
#define FIREWALL_TABLE_SIZE        128

#define FIREWALL_ACTION_TABLE(X)                                                                   \
    X(FIREWALL_ACTION_APPLY, "apply")                                                              \
    X(FIREWALL_ACTION_REMOVE, "remove")
#define FIREWALL_OUTCOME_TABLE(X)                                                                  \
    X(FIREWALL_INTENDED, "intended")                                                               \
    X(FIREWALL_DONE, "done")                                                                       \
    X(FIREWALL_FAILED, "failed")

#define X(name, text) name,
enum firewall_action { FIREWALL_ACTION_TABLE(X) FIREWALL_ACTION_COUNT };
enum firewall_outcome { FIREWALL_OUTCOME_TABLE(X) FIREWALL_OUTCOME_COUNT };
#undef X
extern const char *const firewall_action_names[FIREWALL_ACTION_COUNT];
extern const char *const firewall_outcome_names[FIREWALL_OUTCOME_COUNT];

/* What is done. Views of the caller's. */
struct firewall_act {
    enum firewall_action action;
    struct str table;
    struct str text; /* of the plan that is applied; the listing of what is removed */
    const yyjson_val *const *documents;
    size_t document_count;
    bool keep_text; /* the text is stored as an artifact too */
};

/* Where a receipt stands, between its two seals. */
struct firewall_sealing {
    char id[PLANE_URN_MAX];
    int64_t revision;
    char text_digest[DIGEST_TEXT_SIZE];
};

/* The receipt says what is intended, durably. Before the firewall is touched. */
int firewall_receipt_begin(struct plane *plane, const struct firewall_act *act,
                           struct firewall_sealing *ret, struct err *err) MUST_CHECK;
/* And what became of it; `listing` is the table as the kernel has it then (empty: it has none). */
int firewall_receipt_end(struct plane *plane, const struct firewall_act *act,
                         const struct firewall_sealing *sealing, enum firewall_outcome outcome,
                         struct str listing, struct err *err) MUST_CHECK;

/* A receipt whose signature is the user's key's. */
struct firewall_receipt {
    char id[PLANE_URN_MAX], table[FIREWALL_TABLE_SIZE];
    enum firewall_action action;
    enum firewall_outcome outcome;
    char issued_at[CLOCK_TEXT_SIZE];
    char listing_digest[DIGEST_TEXT_SIZE]; /* empty: the table was not there */
};
/* Calls visit for the last receipt of each table (of one table, if not empty). */
typedef int firewall_receipt_visit(void *context, const struct firewall_receipt *receipt,
                                   struct err *err);
int firewall_receipt_each(struct plane *plane, struct str table, firewall_receipt_visit *visit,
                          void *context, struct err *err) MUST_CHECK;

#endif
