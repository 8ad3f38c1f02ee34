/*
 * beneath: opening what lies below a directory, and nothing else.
 *
 * No link is followed, no mount is entered, and no path leads out, whatever is
 * renamed meanwhile.
 */
#ifndef AM_MACHINE_BENEATH_H
#define AM_MACHINE_BENEATH_H

#include "base/base.h"

/*
 * A descriptor, close-on-exec, or -errno: ELOOP where a component is a link, EXDEV where a mount
 * lies on the way, EAGAIN where renames never left it alone. "." is the root itself.
 */
int beneath_open(int root, const char *path, int flags) MUST_CHECK;

#endif
