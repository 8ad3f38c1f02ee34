/* redact_wrapped: secrets that stand in a text in base64 or percent-encoded. */
#ifndef AM_BASE_REDACT_WRAPPED_H
#define AM_BASE_REDACT_WRAPPED_H

#include "base/base.h"
#include "base/err.h"
#include "base/redact.h"
#include "base/str.h"

#define REDACT_WRAPPED_BYTES_MIN 20
#define REDACT_WRAPPED_BYTES_MAX ((size_t)1 << 20) /* a longer run is looked at in parts */

/*
 * Reports each run of base64 or of percent-encoding in which a secret stands, as a whole, in order;
 * what is encoded twice is not unwrapped twice. Fails as redact_scan.
 */
int redact_scan_wrapped(struct redact_scanner *scanner, struct str text, redact_visit *visit,
                        void *context, struct err *err) MUST_CHECK;

#endif
