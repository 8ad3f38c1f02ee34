/*
 * redact_literals: values that are known to be secret, for the scanner to find.
 *
 * They are what the user's own secret references lead to. A value is found as
 * it is, in base64 (either alphabet, wherever it begins), percent-encoded, as
 * JSON escapes it, and in hexadecimal. Of a value of several lines each line is
 * looked for. All of it, with the table that finds it, lies in locked memory.
 */
#ifndef AM_BASE_REDACT_LITERALS_H
#define AM_BASE_REDACT_LITERALS_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

/* Shorter lines would be found everywhere; longer ones are looked for in parts. */
#define REDACT_LITERAL_BYTES_MIN 4
#define REDACT_LITERAL_PART_MAX  256
/* The forms of all values. */
#define REDACT_LITERALS_MAX       20000
#define REDACT_LITERALS_BYTES_MAX ((size_t)4 << 20)

struct redact_literals;

/* ERR_MEMORY: also where the limit on locked memory is reached. */
int redact_literals_new(struct redact_literals **ret, struct err *err) MUST_CHECK;
/* NULL is nothing. */
void redact_literals_free(struct redact_literals *literals);
/* Says in *ret_parts how many lines or parts of it will be found; 0: it is too short. ERR_MEMORY,
 * ERR_LIMIT. */
int redact_literals_add(struct redact_literals *literals, struct str value, size_t *ret_parts,
                        struct err *err) MUST_CHECK;

struct redact_literal_found {
    size_t start, len;
    bool in_base64; /* more of the same base64 follows */
};
/* The next that begins at *at or behind it, the longest of those; moves *at behind its start. */
bool redact_literals_next(const struct redact_literals *literals, struct str text, size_t *at,
                          struct redact_literal_found *ret);

static inline void cleanup_redact_literals(struct redact_literals **literals)
{
    redact_literals_free(*literals);
}

#endif
