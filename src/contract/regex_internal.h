/*
 * regex_internal: what the files behind regex.h share, and nobody else.
 *
 * regex_translate.c reads ECMA-262 and writes PCRE2, regex_property.c knows
 * Unicode's names, regex_steps.c matches the simple patterns, and regex.c
 * puts them together.
 */
#ifndef AM_CONTRACT_REGEX_INTERNAL_H
#define AM_CONTRACT_REGEX_INTERNAL_H

#include "base/buf.h"
#include "contract/regex.h"

#define REGEX_DEPTH_MAX      200   /* groups within groups; PCRE2's own bound is 250 */
#define REGEX_GROUPS_MAX     1000  /* capturing groups, and references to names not yet seen */
#define REGEX_REPEAT_MAX     65535 /* PCRE2's bound for the numbers in {n,m} */
#define REGEX_STEPS_MAX      64
#define REGEX_UNBOUNDED      UINT64_MAX
#define REGEX_CODE_POINT_MAX 0x10FFFF

/* Which code points beyond ASCII a set holds. */
enum regex_beyond {
    BEYOND_NONE,
    BEYOND_ALL,
    BEYOND_SPACES,     /* those of \s */
    BEYOND_NOT_SPACES, /* those of \S */
    BEYOND_NOT_LINES,  /* those of . */
    BEYOND_MIXED,      /* not to be told, and of ASCII no more than `ascii`: left to PCRE2 */
};

struct regex_set {
    uint64_t ascii[2];
    enum regex_beyond beyond;
};

/* One set, taken `min` to `max` times. */
struct regex_step {
    struct regex_set set;
    uint64_t min, max;
};

/* A pattern that is nothing but steps between ^ and $, either of which may be missing. */
struct regex_steps {
    bool usable;
    bool from_start, to_end;
    size_t count;
    struct regex_step *step; /* somebody else's */
};

struct regex_translation {
    struct buf pcre2;        /* the same pattern for PCRE2, in ASCII */
    bool utf;                /* bytes alone would not do */
    bool references;         /* it refers back to what groups hold */
    bool hides_start;        /* PCRE2 could look for its first character in the wrong place */
    const char *unsupported; /* static text: valid, but more than PCRE2 can do */
    struct regex_steps steps;
    struct regex_step step_room[REGEX_STEPS_MAX];
};

#define REGEX_TRANSLATION_INIT ((struct regex_translation){ .pcre2 = BUF_INIT })

/* ERR_SCHEMA, ERR_LIMIT or ERR_MEMORY. The caller releases ret->pcre2 in every case. */
int regex_translate(struct str pattern, struct regex_translation *ret, struct err *err) MUST_CHECK;

#define REGEX_PROPERTY_MAX 32 /* longer than every name */

/* What PCRE2 writes between \p{ and }. */
struct regex_property {
    const char *prefix;
    struct str name; /* empty where the property exists and PCRE2 does not know it */
    bool negated;    /* the name is that of the complement */
};

/* False where ECMA-262 has no such property or value. Both are of letters, digits and "_". */
bool regex_property(struct str name, bool has_value, struct str value, struct regex_property *ret);

/* Whether a group may be called so. */
bool regex_is_identifier(struct str name);

/* Cuts the steps to what decides a search; usable is cleared where backtracking could matter. */
void regex_steps_settle(struct regex_steps *steps);

/* Steps made ready for searching. */
struct regex_row;

/* NULL without memory; free with free(). The steps are settled and usable. */
struct regex_row *regex_row_new(const struct regex_steps *steps);
bool regex_row_search(const struct regex_row *row, struct str subject);

/* As regex_new, but always by PCRE2: for the tests that compare. */
int regex_new_pcre2(struct str pattern, struct regex **ret, struct err *err) MUST_CHECK;
bool regex_uses_steps(const struct regex *regex);

#endif
