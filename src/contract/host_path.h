/*
 * host_path: paths on the host, and which of them lead to its secrets.
 *
 * A host path is absolute, or begins with "~", or with a drive letter; it has
 * no dot segments. Nothing is looked up on the host: a launch asks the same of
 * the paths that it has resolved.
 */
#ifndef AM_CONTRACT_HOST_PATH_H
#define AM_CONTRACT_HOST_PATH_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

/*
 * Appends a path in one spelling: separators as single slashes, none at the
 * end, a drive letter in upper case. The root is empty. 0, -ENOMEM, -EMSGSIZE.
 */
int host_path_normalise(struct str path, struct buf *ret);
/* As host_path_normalise, with a leading "~" as what it stands for. */
int host_path_expand(struct str path, const char *home, struct buf *ret);
/* Whether a path is another one, or lies below it; both in one spelling. */
bool host_path_is_within(struct str path, struct str other);

/*
 * Whether a path, in one spelling, is a place of secrets, holds one or lies
 * within one, or has the name of a file of credentials. Says which, as a
 * pattern: "~/.ssh", "*.pem".
 */
#define HOST_SECRET_SIZE 128
bool host_path_touches_secret(struct str path, char ret_secret[HOST_SECRET_SIZE]);

#endif
