/*
 * explain: a fault in words.
 *
 * What was expected, what was found and, where it can be guessed, the likely
 * mend: the nearest known name or value. Values that may be secrets are
 * described and not shown.
 */
#ifndef AM_CONTRACT_EXPLAIN_H
#define AM_CONTRACT_EXPLAIN_H

#include "base/base.h"
#include "base/buf.h"
#include "contract/schema.h"
#include "contract/validate.h"

/* Appends "expected …, found …; did you mean …?" in one line. */
int explain_fault(const struct schema_set *set, const struct report *report,
                  const struct report_unit *unit, struct buf *ret);

/*
 * Holds a document against the schema of its type: 0, or ERR_DOCUMENT with the first fault in
 * words, and its pointer as the place.
 */
int explain_check(const struct program *program, const yyjson_val *root, const char *type,
                  const char *step, struct err *err) MUST_CHECK;

/* The string of `candidates` that a mistyped word most likely means; empty where none is near. */
struct str explain_nearest(struct str word, const struct str *candidates, size_t count);

#endif
