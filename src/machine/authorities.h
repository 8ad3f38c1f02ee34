/*
 * authorities: the certificates that layers name for a sandbox to trust beside the host's.
 *
 * They are read by the caller, with the caller's rights, before there is a plan;
 * a file that cannot be read, or has no certificate, refuses the launch by name.
 * Certificates alone are taken: a key that stands in the same file stays outside.
 */
#ifndef AM_MACHINE_AUTHORITIES_H
#define AM_MACHINE_AUTHORITIES_H

#include "authority/references.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "machine/plan.h"

#define AUTHORITIES_BYTES_MAX     ((size_t)1 << 20) /* of all that is taken */
#define AUTHORITY_FILE_BYTES_MAX  ((size_t)1 << 20)
#define AUTHORITY_CERTIFICATE_MAX 65536 /* bytes of one, decoded */

struct authorities {
    const char *paths[PLAN_AUTHORITIES_MAX + 1]; /* the references'; NULL behind the last */
    struct buf certificates;                     /* PEM */
};

/* ERR_DOCUMENT, ERR_LIMIT, ERR_NOT_FOUND or ERR_IO name the file, and the document that names it.
 */
int authorities_read(const struct references *references, struct authorities *ret,
                     struct err *err) MUST_CHECK;
void authorities_release(struct authorities *authorities);

/* Appends the certificates of a PEM text. How many there are, or ERR_DOCUMENT, ERR_LIMIT. */
int authorities_take(struct str text, struct buf *ret, struct err *err) MUST_CHECK;

#endif
