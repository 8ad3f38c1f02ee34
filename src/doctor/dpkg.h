/*
 * dpkg: the receipts of a Debian system, as text.
 *
 * Readers of dpkg's own files: each takes the whole text, and calls back with
 * views into it. What is not as dpkg writes it is passed over and counted.
 * Where they lie: below the folder that DPKG_ADMINDIR names, or
 * var/lib/dpkg below DPKG_ROOT, as for dpkg itself.
 */
#ifndef AM_DOCTOR_DPKG_H
#define AM_DOCTOR_DPKG_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define DPKG_PATH_MAX         4096
#define DPKG_STATUS_BYTES_MAX ((size_t)256 << 20)
#define DPKG_LIST_BYTES_MAX   ((size_t)64 << 20)
#define DPKG_MD5_DIGITS       32

/* The root that paths are below; empty: the system's own. */
const char *dpkg_root(void);
/* The folder of receipts. False where it does not fit. */
bool dpkg_folder(char ret[DPKG_PATH_MAX]);

struct dpkg_package {
    struct str name, architecture, version;
    struct str want, flag, state; /* the three words of its status */
    bool many;                    /* the same package may be there for other architectures */
};

/* A nonzero return of a visitor ends the walk with it. */
typedef int dpkg_visit_package(void *context, const struct dpkg_package *package);
int dpkg_each_package(struct str status, dpkg_visit_package *visit, void *context);

/* Lines of an md5sums file: the path without its slash. Returns what visit does, or 0. */
struct dpkg_digest {
    struct str path;
    unsigned char md5[DPKG_MD5_DIGITS / 2];
};
typedef int dpkg_visit_digest(void *context, const struct dpkg_digest *digest);
int dpkg_each_digest(struct str md5sums, dpkg_visit_digest *visit, void *context,
                     size_t *ret_odd_lines);

/* Diversions: where a package's file lies instead, because another package has its place. */
struct dpkg_diversion {
    struct str from, to, by;
};
typedef int dpkg_visit_diversion(void *context, const struct dpkg_diversion *diversion);
int dpkg_each_diversion(struct str text, dpkg_visit_diversion *visit, void *context);

/* A line of dpkg's configuration that says which paths are not unpacked. */
struct dpkg_filter {
    struct str pattern;
    bool includes;
};
typedef int dpkg_visit_filter(void *context, const struct dpkg_filter *filter);
int dpkg_each_filter(struct str configuration, dpkg_visit_filter *visit, void *context);

#endif
