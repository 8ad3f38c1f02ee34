/*
 * buf: bytes that grow up to a bound.
 *
 * A failed append (no memory, or the bound reached) leaves the contents as
 * they were, is remembered in `error`, and makes every later append fail too,
 * so that a chain of appends is checked once, at its end. `data` is always
 * NUL-terminated. Zero-initialised with BUF_INIT (bound BUF_LIMIT_DEFAULT).
 */
#ifndef AM_BASE_BUF_H
#define AM_BASE_BUF_H

#include "base/base.h"
#include "base/str.h"

#define BUF_LIMIT_DEFAULT ((size_t)256 << 20)

struct buf {
    char *data;
    size_t len;
    size_t capacity;
    size_t limit; /* the largest len allowed */
    int error;    /* 0, -ENOMEM or -EMSGSIZE; sticky */
};

/* What every empty buf points at; never written. */
extern char buf_empty[1];

#define BUF_INIT                    BUF_INIT_LIMIT(BUF_LIMIT_DEFAULT)
#define BUF_INIT_LIMIT(limit_bytes) ((struct buf){ .data = buf_empty, .limit = (limit_bytes) })

/* Frees the bytes and leaves an empty buf that can be used again. */
void buf_release(struct buf *buf);
/* Forgets the contents and any error, and keeps the memory. */
void buf_reset(struct buf *buf);

/* Appends return 0, -ENOMEM or -EMSGSIZE. */
int buf_add(struct buf *buf, const void *bytes, size_t len);
int buf_add_char(struct buf *buf, char c);
int buf_add_text(struct buf *buf, const char *text);
int buf_add_str(struct buf *buf, struct str s);
int buf_addf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
/* Makes room for `len` more bytes and returns where they go, or NULL; the caller advances len. */
char *buf_reserve(struct buf *buf, size_t len);
/* Cuts the contents to their first `len` bytes. */
void buf_truncate(struct buf *buf, size_t len);

static inline struct str buf_str(const struct buf *buf)
{
    return (struct str){ buf->data, buf->len };
}

#endif
