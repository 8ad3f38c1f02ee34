/* overlay: whether an overlay can be made over a directory, with its upper layer in a folder. */
#ifndef AM_MACHINE_LINUX_OVERLAY_H
#define AM_MACHINE_LINUX_OVERLAY_H

#include "base/base.h"

#define OVERLAY_REASON_SIZE 256

/*
 * On file systems that are known to do it this asks nothing but which they are; on others it is
 * tried, by a child in namespaces of its own: `layer` has the folders `upper` and `work`. With
 * `as_root` both must have owners that can be mapped. False with the reason.
 */
bool overlay_is_possible(const char *layer, const char *host_path, bool as_root,
                         char ret_reason[OVERLAY_REASON_SIZE]);

#endif
