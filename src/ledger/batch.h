/*
 * batch: what a batch says, written down as bytes.
 *
 * The writer prepares, the leader reads: between them lies memory that any
 * process of the same user may scribble on, so the reader believes nothing.
 */
#ifndef AM_LEDGER_BATCH_H
#define AM_LEDGER_BATCH_H

#include "ledger/ledger.h"

enum batch_record {
    BATCH_END, /* of the bytes; never written */
    BATCH_EVENT,
    BATCH_DOCUMENT,
    BATCH_NAME,
    BATCH_ACCOUNT,
    BATCH_RESERVE,
    BATCH_SETTLE,
    BATCH_RAISE,
};

struct ledger_batch {
    struct buf bytes;
};

/* What becomes an event: the three parts of its canonical form, between which its place goes. */
struct batch_event {
    struct str operation;
    struct str before_digest, before_sequence, rest;
};

struct batch_document {
    struct str type, id, operation, json;
    int64_t revision;
};

struct batch_reader {
    const char *at, *end;
    bool failed; /* the bytes are no batch: everything read since is empty */
};

struct batch_reader batch_read(struct str bytes);
/* The next record's kind; BATCH_END at the end, also of bytes that make no sense. */
enum batch_record batch_next(struct batch_reader *reader);
struct str batch_read_str(struct batch_reader *reader);
int64_t batch_read_int(struct batch_reader *reader);
void batch_read_event(struct batch_reader *reader, struct batch_event *ret);
void batch_read_document(struct batch_reader *reader, struct batch_document *ret);
void batch_read_amounts(struct batch_reader *reader, struct amounts *ret);
void batch_read_holder(struct batch_reader *reader, struct holder *ret);

/* Whether any record of the bytes can fail for what the ledger holds already. */
bool batch_is_conditional(struct str bytes);

#endif
