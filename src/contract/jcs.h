/* jcs: the canonical form of RFC 8785, for hashing and signing. */
#ifndef AM_CONTRACT_JCS_H
#define AM_CONTRACT_JCS_H

#include <yyjson.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

/* Appends the canonical form. A number beyond the range of double is ERR_DOCUMENT. */
int jcs_add(struct buf *buf, const yyjson_val *value, struct err *err) MUST_CHECK;
/* "sha256:…" of the canonical form. */
int jcs_digest(const yyjson_val *value, char ret_text[DIGEST_TEXT_SIZE], struct err *err)
    MUST_CHECK;

#endif
