/*
 * storms: what was held back of a log, in the ledger's chain.
 *
 * A storm whose events are not all shown leaves an event: the digest of its
 * record, how many events it had, how many were held back, and from when to
 * when. The record itself is told, or not, and kept by whoever wants it.
 */
#ifndef AM_PLANE_STORMS_H
#define AM_PLANE_STORMS_H

#include "base/digest.h"
#include "ledger/ledger.h"

#define STORMS_REF_MAX 128

struct storm_note {
    char record[STORMS_REF_MAX];   /* the DiagnosticStormRecord; empty where it is several storms */
    char digest[DIGEST_TEXT_SIZE]; /* of its canonical form; of several, see storms_join */
    const char *policy;            /* static text */
    uint64_t storms, count, held;
    int64_t first_ms, last_ms;
};

/*
 * Draws one more storm into a note of several, which begins as zeros: the digest is that of the
 * digests' texts, each with a line's end, as far as they were drawn together, and so on.
 */
int storms_join(struct storm_note *several, const struct storm_note *one,
                struct err *err) MUST_CHECK;
/* Adds an event for each note, all of them or none; ERR_IO and what else a commit fails with. */
int storms_record(struct ledger *ledger, const struct storm_note *notes, size_t count,
                  struct err *err) MUST_CHECK;

#endif
