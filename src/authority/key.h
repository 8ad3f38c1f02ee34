/*
 * key: the user's signing key, and keys by reference.
 *
 * The user's key is `key.pem` (PKCS#8, Ed25519, mode 0600) in the
 * configuration folder, its public half `key.pub` beside it. A key that others
 * can read is refused, with the command that mends it.
 */
#ifndef AM_AUTHORITY_KEY_H
#define AM_AUTHORITY_KEY_H

#include "base/base.h"
#include "base/err.h"
#include "base/sign.h"

#define KEY_FILE          "key.pem"
#define KEY_PUBLIC_FILE   "key.pub"
#define KEY_USER_TEXT_MAX 128

/* Makes the folder (0700) and the key if it is not there; an existing one is left as it is. */
int key_init(const char *config_folder, bool *ret_made, struct err *err) MUST_CHECK;
int key_open_user(const char *config_folder, struct sign_key **ret, struct err *err) MUST_CHECK;
/* file:PATH, keyring:DESCRIPTION (the kernel's user keyring), or a path. */
int key_open(const char *reference, struct sign_key **ret, struct err *err) MUST_CHECK;
/* A public key from `ed25519:…`, or from a file that holds one. */
int key_open_public(const char *reference, struct sign_public *ret, struct err *err) MUST_CHECK;
/* The URN of who runs this program, and so of the user's key: urn:srcos:user:NAME. */
void key_user(char ret[KEY_USER_TEXT_MAX]);

#endif
