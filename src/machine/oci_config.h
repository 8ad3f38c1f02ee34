/*
 * oci_config: the plan as the config.json of an OCI bundle.
 *
 * Its paths outside are those of the sandbox's first process (linux/container.h). What an OCI
 * runtime cannot say is not in it: the container's own first program does it.
 */
#ifndef AM_MACHINE_OCI_CONFIG_H
#define AM_MACHINE_OCI_CONFIG_H

#include "base/buf.h"
#include "machine/plan.h"

int oci_config_write(const struct plan *plan, struct buf *ret, struct err *err) MUST_CHECK;

#endif
