/*
 * hash: SHA-256 of many short messages, as the chain and the tree need it.
 *
 * What can fail, loading the library, is done once, with hash_new. Leaves and nodes are hashed as RFC 6962 says, with a first byte that tells
 * them apart.
 */
#ifndef AM_LEDGER_HASH_H
#define AM_LEDGER_HASH_H

#include "base/base.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"

#define HASH_BYTES DIGEST_BYTES

struct hash;

int hash_new(struct hash **ret, struct err *err) MUST_CHECK;
void hash_free(struct hash *hash);

void hash_message(struct hash *hash, struct str message, unsigned char ret[HASH_BYTES]);
void hash_leaf(struct hash *hash, struct str message, unsigned char ret[HASH_BYTES]);
/* ret may be left or right. */
void hash_node(struct hash *hash, const unsigned char left[HASH_BYTES],
               const unsigned char right[HASH_BYTES], unsigned char ret[HASH_BYTES]);

void hash_hex(const unsigned char hash[HASH_BYTES], char ret[2 * HASH_BYTES]);
/* "sha256:<64 lower-case hex>" and a NUL. */
void hash_text(const unsigned char hash[HASH_BYTES], char ret[DIGEST_TEXT_SIZE]);
/* Reads such a text; false where it is none. */
bool hash_parse(struct str text, unsigned char ret[HASH_BYTES]);

static inline void hash_cleanup(struct hash **hash)
{
    hash_free(*hash);
}

#endif
