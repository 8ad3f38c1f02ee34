/* digest: SHA-256, from nettle loaded on first use. */
#ifndef AM_BASE_DIGEST_H
#define AM_BASE_DIGEST_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define DIGEST_BYTES     32
#define DIGEST_TEXT_SIZE (7 + 2 * DIGEST_BYTES + 1) /* "sha256:", hex, NUL */

int digest_sha256(struct str bytes, unsigned char ret_digest[DIGEST_BYTES], struct err *err)
    MUST_CHECK;
/* "sha256:<64 lower-case hex>" */
int digest_text(struct str bytes, char ret_text[DIGEST_TEXT_SIZE], struct err *err) MUST_CHECK;

#endif
