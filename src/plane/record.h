/*
 * record: an operation with everything that belongs to it.
 *
 * Out of the ledger, or out of an export that somebody made of one. Those who
 * tell, draw, export and verify an operation all read it here.
 */
#ifndef AM_PLANE_RECORD_H
#define AM_PLANE_RECORD_H

#include <yyjson.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "ledger/ledger.h"

#define RECORD_DOCUMENTS_MAX  10000 /* and events, of one record */
#define RECORD_EVENTS_MAX     100000
#define RECORD_OPERATIONS_MAX 64
#define RECORD_BYTES_MAX      ((size_t)256 << 20)

#define RECORD_TYPE "OperationExport"

struct record_document {
    struct str id, type;        /* an enveloped one's type is that of its payload */
    const yyjson_val *root;     /* of an envelope its payload, which nobody has verified */
    const yyjson_val *envelope; /* NULL: it is in none */
};

struct record_event {
    int64_t sequence;
    const yyjson_val *root;
};

struct operation_record {
    struct str operations[RECORD_OPERATIONS_MAX];
    size_t operation_count;
    struct record_document *documents; /* by type, then in the order in which they were stored */
    size_t document_count, document_capacity;
    struct record_event *events; /* by sequence */
    size_t event_count, event_capacity;
    yyjson_doc **docs; /* what all of these point into */
    size_t doc_count, doc_capacity;
    struct arena arena;
};

/*
 * Adds an operation of the ledger: its documents and events, and those of others that they rest on
 * (delegations up to the user's, profile, grants, bindings, budgets, cards) with the events that
 * bind these. ERR_NOT_FOUND where there is none.
 */
int record_add(struct operation_record *record, struct ledger *ledger, struct str operation,
               struct err *err) MUST_CHECK;
/* Reads an export, whose schema has accepted it; `doc` is taken over. Nothing is verified. */
int record_take_export(struct operation_record *record, yyjson_doc *doc,
                       struct err *err) MUST_CHECK;
void record_release(struct operation_record *record);

/* NULL where the record has no such document. */
const struct record_document *record_find(const struct operation_record *record, struct str id);
/* The first of a type that names this operation in `operationRef`; NULL where there is none. */
const yyjson_val *record_of(const struct operation_record *record, const char *type,
                            struct str operation);

static inline void cleanup_record(struct operation_record *record)
{
    record_release(record);
}

#endif
