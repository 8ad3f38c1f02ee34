/* capabilities: giving up every one of them, for good. */
#ifndef AM_MACHINE_LINUX_CAPABILITIES_H
#define AM_MACHINE_LINUX_CAPABILITIES_H

#include "base/base.h"
#include "base/err.h"

/*
 * Empties the calling thread's permitted, effective, inheritable and ambient
 * sets and, where it may, its bounding set, and locks the securebits, so that
 * user 0 is nobody in particular from here on. No allocation. ERR_IO where
 * the kernel refuses to take them.
 */
int capabilities_drop(struct err *err) MUST_CHECK;

#endif
