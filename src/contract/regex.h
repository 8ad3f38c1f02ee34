/*
 * regex: ECMA-262 patterns (with the u flag) on PCRE2, within bounds.
 *
 * The pattern is parsed as ECMA-262 and rewritten for PCRE2, so that \d, \w,
 * \s, \b, $, ., \p{…}, \u escapes and surrogate pairs mean what JSON Schema
 * says. What ECMA-262 does not know (inline flags, possessive quantifiers,
 * named groups of other dialects) is refused. A match that would take more
 * than REGEX_MATCH_LIMIT steps (fewer on texts above 4,000 bytes), or a search
 * of more than a second, ends in an error, never in a hang.
 *
 * A regex holds the memory of its matches: only one thread at a time may use it.
 */
#ifndef AM_CONTRACT_REGEX_H
#define AM_CONTRACT_REGEX_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define REGEX_PATTERN_BYTES_MAX ((size_t)16 << 10)
#define REGEX_MATCH_LIMIT       1000000

struct regex;

/*
 * ERR_SCHEMA with the place and the reason where the pattern is not ECMA-262;
 * ERR_LIMIT where it is too large; ERR_UNSUPPORTED where it is valid but PCRE2
 * cannot match it as ECMA-262 means it (a lookbehind of no fixed width).
 */
int regex_new(struct str pattern, struct regex **ret, struct err *err) MUST_CHECK;
/*
 * The same of a pattern that is known to be right, and that outlives the regex: it is compiled when
 * it is first searched for, which may then fail for want of memory.
 */
int regex_new_known(struct str pattern, struct regex **ret, struct err *err) MUST_CHECK;
void regex_free(struct regex *regex);
/*
 * 1 found, 0 not found, -errno it could not be decided: ERR_LIMIT, ERR_MEMORY, or
 * ERR_DOCUMENT where the subject is not UTF-8 and that matters. Searches anywhere.
 */
int regex_search(const struct regex *regex, struct str subject, struct err *err) MUST_CHECK;
/*
 * Whether the text is a pattern at all (the `regex` format), even one that regex_new calls
 * unsupported: 1, 0, -errno it could not be decided (ERR_LIMIT, ERR_MEMORY).
 */
int regex_valid(struct str pattern, struct err *err) MUST_CHECK;

#endif
