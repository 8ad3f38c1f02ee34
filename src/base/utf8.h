/* utf8: code points in and out of UTF-8. Surrogates and over-long forms are invalid. */
#ifndef AM_BASE_UTF8_H
#define AM_BASE_UTF8_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

/* Decodes the code point at *offset and moves *offset past it; -1 (offset kept) where invalid. */
int32_t utf8_next(struct str s, size_t *offset);
bool utf8_valid(struct str s);
/* Number of code points in valid UTF-8. */
size_t utf8_length(struct str s);
int utf8_add(struct buf *buf, uint32_t code_point);

#endif
