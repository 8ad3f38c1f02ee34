/*
 * receipt: what a run leaves for those who were not there.
 *
 * A receipt is an in-toto Statement v1 in a DSSE envelope, signed with the
 * user's key when the run has ended. Its subjects are the record of the
 * execution and the change set; its predicate binds, by id and digest, under
 * what authority and policy the run stood, what was launched, and what became
 * of it, and carries the ledger's checkpoint from before the end. With the
 * public key alone it can be verified anywhere; beside the ledger, it can be
 * held against that too.
 */
#ifndef AM_PLANE_RECEIPT_H
#define AM_PLANE_RECEIPT_H

#include <yyjson.h>

#include "ledger/proof.h"
#include "plane/plane.h"

#define RECEIPT_TYPE         "RunReceipt" /* of the envelope in the ledger, under the receipt's URN */
#define RECEIPT_SLUG         "run-receipt"
#define RECEIPT_PAYLOAD_TYPE "application/vnd.in-toto+json"
#define RECEIPT_STATEMENT    "https://in-toto.io/Statement/v1"
#define RECEIPT_PREDICATE    "https://schemas.srcos.ai/predicates/run-receipt/v1"
#define RECEIPT_BYTES_MAX    ((size_t)1 << 20) /* of an envelope */

/*
 * Adds the receipt of a run to the batch that ends it. `execution` is its LocalAgentExecution; its
 * fingerprint and its delegation stand in the ledger.
 */
int receipt_add(struct work *work, struct str execution, struct err *err) MUST_CHECK;

/* --- verifying ----------------------------------------------------------------------------- */

/* In this order; what follows a check that fails is not checked. */
#define RECEIPT_CHECKS(X)                                                                          \
    X(RECEIPT_SIGNED, "signature")      /* the envelope is the key's */                            \
    X(RECEIPT_FORM, "statement")        /* it says what a receipt says */                          \
    X(RECEIPT_DIGESTS, "digests")       /* what it says of one thing twice is the same */          \
    X(RECEIPT_CHECKPOINT, "checkpoint") /* the key's, of a ledger */                               \
    X(RECEIPT_DOCUMENTS, "documents")   /* those that it binds are as they were */                 \
    X(RECEIPT_LEDGER, "ledger") /* whole, continues the checkpoint, holds receipt and events */

enum receipt_check {
#define X(check, name) check,
    RECEIPT_CHECKS(X)
#undef X
        RECEIPT_CHECK_COUNT
};
extern const char *const receipt_check_names[RECEIPT_CHECK_COUNT];

enum receipt_outcome { RECEIPT_NOT_CHECKED, RECEIPT_HOLDS, RECEIPT_FAILS, RECEIPT_OUTCOME_COUNT };
extern const char *const receipt_outcome_names[RECEIPT_OUTCOME_COUNT];

/* Documents that it binds by id and digest: fingerprint, execution, delegation. */
#define RECEIPT_BOUND_COUNT 3

struct receipt {
    yyjson_doc *doc; /* the statement, once the signature holds; release with receipt_release */
    enum receipt_outcome outcomes[RECEIPT_CHECK_COUNT];
    struct tree_head head; /* of the checkpoint */
    unsigned documents;    /* bits: which of the bound ones were held against it */
};

/*
 * Checks what needs nothing but the key. `ret` is filled also on failure, which is that of the
 * first check that fails: ERR_DENIED another key, or changed since; ERR_SYNTAX, ERR_DOCUMENT,
 * ERR_LIMIT no receipt; ERR_DAMAGED it contradicts itself.
 */
int receipt_verify(struct str envelope, const struct sign_public *key, struct receipt *ret,
                   struct err *err) MUST_CHECK;
/* Holds a document that the receipt may bind against it. ERR_NOT_FOUND: it binds none of that id.
 */
int receipt_compare_document(struct receipt *receipt, struct str json, struct err *err) MUST_CHECK;
/* Whether the checkpoint is of this ledger: 1, 0, or -errno. */
int receipt_is_of(const struct receipt *receipt, struct ledger *ledger, struct err *err) MUST_CHECK;
/* Holds what its ledger has against it: every event, the bound documents, the receipt itself. */
int receipt_compare_ledger(struct receipt *receipt, struct ledger *ledger,
                           struct err *err) MUST_CHECK;
void receipt_release(struct receipt *receipt);

#endif
