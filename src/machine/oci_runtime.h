/*
 * oci_runtime: the programs that make a container of a bundle, and where one is.
 */
#ifndef AM_MACHINE_OCI_RUNTIME_H
#define AM_MACHINE_OCI_RUNTIME_H

#include "base/base.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"

#define OCI_RUNTIME_PATH_SIZE    4096
#define OCI_RUNTIME_VERSION_SIZE 64

struct oci_runtime {
    const char *name;
    const char *const *arguments; /* with which it starts a container and leaves it alone */
    bool wants_groups;            /* it looks for the control groups of the host */
};

/* One that is on this host. */
struct oci_runtime_found {
    const struct oci_runtime *runtime;
    char path[OCI_RUNTIME_PATH_SIZE];
    char version[OCI_RUNTIME_VERSION_SIZE];
    char digest[DIGEST_TEXT_SIZE];
};

/*
 * The one that a profile names: `none` leaves the choice to us. ERR_UNSUPPORTED for one that this
 * release does not start, and for one that is not in PATH, with what would bring it. What a program
 * says of its version is asked once for each of its digests, and kept in the folder.
 */
int oci_runtime_find(struct str wanted, const char *state_folder, const char *digests_folder,
                     struct oci_runtime_found *ret, struct err *err) MUST_CHECK;

#endif
