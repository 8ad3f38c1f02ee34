/*
 * secret: `secret://scope/path`, resolved at the moment of use and nowhere else.
 *
 * A local map (references.yaml of a layer) says where each secret lies: an
 * environment variable, a file, the kernel's keyring, a systemd credential,
 * what a command prints, or the log-in that a tool keeps for itself. The value
 * comes back in locked memory that is wiped when it is freed and is left out
 * of core dumps. Nothing else in the program reads a secret.
 */
#ifndef AM_AUTHORITY_SECRET_H
#define AM_AUTHORITY_SECRET_H

#include <yyjson.h>

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define SECRET_BYTES_MAX  65536
#define SECRET_COMMAND_MS 10000 /* a command that prints a secret has so long */

struct secret;

/* Whether a text reads secret://SCOPE/PATH. */
bool secret_is_reference(struct str text);
/* Why a value cannot be a source of the map below; NULL: it may be one. */
const char *secret_wrong_source(const yyjson_val *source);
/*
 * `map` is the object reference → source of a references document; a source has one member of
 *
 *     env: NAME              an environment variable
 *     file: PATH             absolute, or from ~/ on; only its owner may read it
 *     keyring: DESCRIPTION   a `user` key of the session's or the user's keyring
 *     credential: NAME       a systemd credential
 *     command: [ARG, …]      what a command prints; run without a shell
 *     account: TOOL          the log-in of claude-code or codex, from the tool's own file
 *
 * Of a file, a credential and what a command prints, one newline at the very end is no part of the
 * secret. ERR_NOT_FOUND: the map or the source does not have it; ERR_DENIED: others could read it,
 * or a log-in has expired; ERR_DOCUMENT: the map is wrong, or the file of a log-in; ERR_LIMIT: too
 * long, or the command took too long; ERR_IO; ERR_UNSUPPORTED: no keyring on this host; ERR_MEMORY.
 * No message holds any part of a secret.
 */
int secret_resolve(const yyjson_val *map, struct str reference, struct secret **ret,
                   struct err *err) MUST_CHECK;
struct str secret_value(const struct secret *secret);

/* What it is, and so how it is shown. */
enum secret_scheme {
    SECRET_KEY,
    SECRET_CLAUDE_ACCOUNT,  /* a bearer token of Anthropic's */
    SECRET_CHATGPT_ACCOUNT, /* one of OpenAI's, beside the account */
};
enum secret_scheme secret_scheme(const struct secret *secret);
struct str secret_account(const struct secret *secret); /* may be empty */

void secret_free(struct secret *secret);

/* How keys are read too: a file that its owner alone can read, and a key of the kernel's keyring.
 */
int secret_read_file(const char *path, struct secret **ret, struct err *err) MUST_CHECK;
int secret_read_keyring(const char *description, struct secret **ret, struct err *err) MUST_CHECK;

#endif
