/*
 * keyfile: `[Group]` and `key=value`, as desktop entries, D-Bus services, units and portals have
 * it.
 *
 * Lines that begin with # or ; are comments. A value goes on in the next line
 * where it ends in a backslash (units). Keys of other languages (`Name[de]`)
 * are passed over.
 */
#ifndef AM_DOCTOR_KEYFILE_H
#define AM_DOCTOR_KEYFILE_H

#include "base/base.h"
#include "base/str.h"

struct keyfile_pair {
    struct str group, key, value; /* of a value that goes on, its first line */
};
/* A nonzero return ends the walk with it. */
typedef int keyfile_visit(void *context, const struct keyfile_pair *pair);
/* What visit returned, 0, or -EBADMSG where a line is none of these. */
int keyfile_read(struct str text, keyfile_visit *visit, void *context);

/*
 * The first word of a command line, out of its quotes; false where there is none or it does not
 * fit.
 */
bool keyfile_program(struct str command, char *ret, size_t size);

#endif
