/* redact_check: what a rule asks of what its pattern found, beyond its shape. Internal to the
 * scanner. */
#ifndef AM_BASE_REDACT_CHECK_H
#define AM_BASE_REDACT_CHECK_H

#include "base/base.h"
#include "base/redact.h"
#include "base/str.h"

/*
 * Whether the secret that a pattern found stands the check. The two bytes before it can be read,
 * but of one whose rule has none before it: that is CHECK_NONE or CHECK_CRC.
 */
bool redact_check_holds(enum redact_check check, struct str secret);

/* Bits for each byte, in hundredths: Shannon's entropy of the bytes among themselves. */
unsigned redact_entropy(struct str bytes);
/* Whether a token ends in the CRC-32 of the 30 bytes before it, in six digits of base 62. */
bool redact_crc_holds(struct str token);

#endif
