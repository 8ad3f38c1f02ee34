/*
 * note: texts with signature lines, as C2SP's signed-note has them, and the
 * checkpoints of C2SP's tlog-checkpoint that they carry.
 */
#ifndef AM_LEDGER_NOTE_H
#define AM_LEDGER_NOTE_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/sign.h"

#define NOTE_BYTES_MAX      ((size_t)64 << 10)
#define NOTE_SIGNATURES_MAX 100

/* Appends the text, which ends with a newline, an empty line, and the key's signature line. */
int note_sign(struct str text, struct str name, const struct sign_key *key, struct buf *ret,
              struct err *err) MUST_CHECK;
/*
 * The text of a note that the key has signed under a name; signatures of
 * others are passed over. ERR_SYNTAX where it is no note, ERR_DENIED where the
 * key has not signed it, or not this text.
 */
int note_open(struct str note, const struct sign_public *key, struct str *ret_text,
              struct str *ret_name, struct err *err) MUST_CHECK;

#endif
