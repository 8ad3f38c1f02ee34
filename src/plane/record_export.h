/*
 * record_export: an operation with all its documents as one JSON, to be verified elsewhere.
 *
 * An OperationExport holds documents, events with their paths in the ledger's
 * tree, the ledger's checkpoint, and a seal: the user's signature over the
 * digest of all of it. Who has the user's public key needs nothing else.
 */
#ifndef AM_PLANE_RECORD_EXPORT_H
#define AM_PLANE_RECORD_EXPORT_H

#include "ledger/proof.h"
#include "plane/record.h"

#define RECORD_EXPORT_BYTES_MAX ((size_t)64 << 20)
#define RECORD_SEAL_TYPE        "application/vnd.srcos.operation-export+json"

/* Appends the export of a record that record_add made, sealed with the user's key. */
int record_export(const struct operation_record *record, struct ledger *ledger,
                  const struct sign_key *key, struct buf *ret, struct err *err) MUST_CHECK;

/* Appends the seal to an export that lacks it and the brace at its end, and then that. */
int record_seal(struct buf *json, const struct sign_key *key, struct err *err) MUST_CHECK;

/* --- verifying ----------------------------------------------------------------------------- */

/* In this order; what follows a check that fails is not checked. */
#define RECORD_CHECKS(X)                                                                           \
    X(RECORD_FORM, "form")             /* it is an export, and its documents are what they say */  \
    X(RECORD_SEAL, "seal")             /* all of it is as the key signed it */                     \
    X(RECORD_CHECKPOINT, "checkpoint") /* the key's, of a ledger */                                \
    X(RECORD_EVENTS, "events")         /* each is in that ledger, and states follow one another */ \
    X(RECORD_DOCUMENTS, "documents")   /* as the events bind them, and as the events tell it */    \
    X(RECORD_DELEGATIONS, "delegations") /* signed up to the key, none wider than the one above */ \
    X(RECORD_RECEIPTS, "receipts")       /* the key's, and of these documents */

enum record_check {
#define X(check, name) check,
    RECORD_CHECKS(X)
#undef X
        RECORD_CHECK_COUNT
};
extern const char *const record_check_names[RECORD_CHECK_COUNT];

enum record_outcome { RECORD_NOT_CHECKED, RECORD_HOLDS, RECORD_FAILS, RECORD_OUTCOME_COUNT };

struct record_verified {
    enum record_outcome outcomes[RECORD_CHECK_COUNT];
    struct tree_head head;  /* of the checkpoint */
    size_t bound, agreeing; /* documents by digest in an event; by what events tell of them */
    size_t delegations, receipts;
};

/*
 * Reads and checks an export; `record` is what it holds, also where a check but the first has
 * failed. ERR_SYNTAX, ERR_DOCUMENT, ERR_LIMIT: it is no export; ERR_DENIED: another key's, or
 * changed since; ERR_DAMAGED: it contradicts itself. What failed is filled in.
 */
int record_verify(struct str text, const struct sign_public *key, struct operation_record *record,
                  struct record_verified *ret, struct err *err) MUST_CHECK;
/* Reads an export without verifying it, but for its form. */
int record_open(struct str text, struct operation_record *record, struct err *err) MUST_CHECK;

#endif
