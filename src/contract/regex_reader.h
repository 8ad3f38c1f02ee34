/*
 * regex_reader: a pattern being read and rewritten.
 *
 * regex_translate.c reads the grammar's structure, regex_set.c whatever stands
 * for one code point; this is the place they share.
 */
#ifndef AM_CONTRACT_REGEX_READER_H
#define AM_CONTRACT_REGEX_READER_H

#include "contract/regex_internal.h"

struct regex_reader {
    struct str text;
    size_t at;
    struct regex_translation *ret;
    struct err *err;
    int error; /* of the first failure; nothing is read after it */
};

void regex_reader_fail(struct regex_reader *r, enum err_code code, size_t at, const char *reason);

/* For `return fail(…)`. */
static inline bool fail(struct regex_reader *r, size_t at, const char *reason)
{
    regex_reader_fail(r, ERR_SCHEMA, at, reason);
    return false;
}

static inline bool more(const struct regex_reader *r)
{
    return r->at < r->text.len;
}

/* The byte `ahead` of the place, or NUL past the end, which is no syntax. */
static inline char peek(const struct regex_reader *r, size_t ahead)
{
    return r->text.len - r->at > ahead ? r->text.ptr[r->at + ahead] : '\0';
}

static inline bool accept(struct regex_reader *r, char c)
{
    bool is_next = more(r) && peek(r, 0) == c;
    r->at += is_next;
    return is_next;
}

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Behind "\u": the code point, which may be a lone surrogate. */
bool regex_read_unicode_escape(struct regex_reader *r, uint32_t *ret);
/* Behind "\" outside a class: what stands for one code point. */
bool regex_read_escape(struct regex_reader *r, struct regex_set *ret);
/* Behind "[". */
bool regex_read_class(struct regex_reader *r, struct regex_set *ret);
/* At ".". */
void regex_read_dot(struct regex_reader *r, struct regex_set *ret);
/* At a code point that stands for itself. */
void regex_read_literal(struct regex_reader *r, struct regex_set *ret);

#endif
