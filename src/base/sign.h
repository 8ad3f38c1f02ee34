/*
 * sign: Ed25519 keys and signatures, and DSSE envelopes, on libsodium.
 *
 * Private keys live in locked memory that is wiped when they are freed and is
 * left out of core dumps. Public keys are written "ed25519:" and base64.
 */
#ifndef AM_BASE_SIGN_H
#define AM_BASE_SIGN_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define SIGN_PUBLIC_BYTES    32
#define SIGN_SIGNATURE_BYTES 64
#define SIGN_PUBLIC_TEXT_MAX 64

struct sign_key;
struct sign_public {
    unsigned char bytes[SIGN_PUBLIC_BYTES];
};

int sign_key_generate(struct sign_key **ret, struct err *err) MUST_CHECK;
/* A PKCS#8 private key in PEM, as `openssl genpkey` writes one; and a key written so. */
int sign_key_parse(struct str pem, struct sign_key **ret, struct err *err) MUST_CHECK;
int sign_key_write(const struct sign_key *key, struct buf *ret, struct err *err) MUST_CHECK;
void sign_key_free(struct sign_key *key);
void sign_key_public(const struct sign_key *key, struct sign_public *ret);

int sign_public_text(const struct sign_public *key, char ret[SIGN_PUBLIC_TEXT_MAX]);
bool sign_public_parse(struct str text, struct sign_public *ret);

int sign_message(const struct sign_key *key, struct str message,
                 unsigned char ret[SIGN_SIGNATURE_BYTES], struct err *err) MUST_CHECK;
/* 1 it is the key's, 0 it is not, -errno it could not be decided. */
int sign_verify(const struct sign_public *key, struct str message,
                const unsigned char signature[SIGN_SIGNATURE_BYTES], struct err *err) MUST_CHECK;

int base64_add(struct buf *ret, struct str bytes);
/* Strict: no white space, padding as it should be. */
bool base64_decode(struct str text, struct buf *ret);

/* A DSSE envelope as JSON around a payload; and the payload of one that the key has signed. */
int dsse_seal(const struct sign_key *key, struct str payload_type, struct str payload,
              struct buf *ret, struct err *err) MUST_CHECK;
/* Appends the payload. ERR_DENIED where no signature of the key stands on it. */
int dsse_open(struct str envelope, const struct sign_public *key, struct str payload_type,
              struct buf *ret, struct err *err) MUST_CHECK;
/* Appends the payload without looking at signatures: only to learn whose key to ask for. */
int dsse_peek(struct str envelope, struct buf *ret, struct err *err) MUST_CHECK;

#endif
