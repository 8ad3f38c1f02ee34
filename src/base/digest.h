/*
 * digest: SHA-256, from nettle loaded on first use; and where others ask for them, SHA-1 (git) and
 * MD5 (the receipts of packages), which say nothing against somebody who means harm.
 */
#ifndef AM_BASE_DIGEST_H
#define AM_BASE_DIGEST_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define DIGEST_BYTES     32
#define DIGEST_TEXT_SIZE (7 + 2 * DIGEST_BYTES + 1) /* "sha256:", hex, NUL */

int digest_sha256(struct str bytes, unsigned char ret_digest[DIGEST_BYTES],
                  struct err *err) MUST_CHECK;
/* "sha256:<64 lower-case hex>" */
int digest_text(struct str bytes, char ret_text[DIGEST_TEXT_SIZE], struct err *err) MUST_CHECK;

/* "sha256:…" of a digest that is there already. */
void digest_write(const unsigned char digest[DIGEST_BYTES], char ret_text[DIGEST_TEXT_SIZE]);

/* Bytes that come in pieces. */
enum digest_kind { DIGEST_SHA256, DIGEST_SHA1, DIGEST_MD5 };
/* The first of what digest_stream_end gives. */
#define DIGEST_SHA1_BYTES 20
#define DIGEST_MD5_BYTES  16

struct digest_stream;

int digest_stream_new(enum digest_kind kind, struct digest_stream **ret,
                      struct err *err) MUST_CHECK;
void digest_stream_add(struct digest_stream *stream, struct str bytes);
/* The digest of all that was added; the stream begins anew. */
void digest_stream_end(struct digest_stream *stream, unsigned char ret_digest[DIGEST_BYTES]);
void digest_stream_free(struct digest_stream *stream);

static inline void cleanup_digest_stream(struct digest_stream **stream)
{
    digest_stream_free(*stream);
}

#endif
