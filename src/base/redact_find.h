/*
 * redact_find: from the bytes of one block to the secrets that start in it.
 *
 * Internal to the scanner: redact.c alone uses it. Offsets are those of the
 * whole text, of which a block is a view.
 */
#ifndef AM_BASE_REDACT_FIND_H
#define AM_BASE_REDACT_FIND_H

#include "base/base.h"
#include "base/err.h"
#include "base/redact.h"
#include "base/str.h"

/* How far before its first byte a rule looks; blocks begin that much early. */
#define REDACT_LOOK_BEHIND_BYTES 32

struct redact_block {
    struct str text;
    uint64_t at; /* offset of its first byte in the whole text */
    bool last;   /* the whole text ends with it */
};

/* The head of a secret. */
struct redact_hit {
    uint64_t start;
    uint64_t end;
    uint32_t rule;
};

struct redact_hits {
    struct redact_hit *items;
    size_t count;
    size_t capacity;
};

void redact_hits_release(struct redact_hits *hits);

/*
 * Appends every hit whose pattern starts in [from, *cut), in no order. Unless
 * the block is the last, REDACT_HEAD_BYTES_MAX bytes or a line end stand
 * between *cut and its end. Where the head of a private key reaches past the
 * block, *cut moves back to its start. 0, or ERR_MEMORY, ERR_UNSUPPORTED.
 */
int redact_find(struct redact_scanner *scanner, const struct redact_block *block, uint64_t from,
                uint64_t *cut, struct redact_hits *hits, struct err *err) MUST_CHECK;

#endif
