/*
 * mounting: mounts by descriptor, as the parts of the view use them.
 *
 * A tree is a copy of mounts that stands nowhere yet. Nothing is mounted by a
 * path of the host: what was opened is what is attached.
 */
#ifndef AM_MACHINE_LINUX_MOUNTING_H
#define AM_MACHINE_LINUX_MOUNTING_H

#include <sys/mount.h>

#include "base/base.h"
#include "base/err.h"

#define STEP_VIEW "build the view"

/* A path and what it was for, in the error of the call that just failed. */
int mounting_failed(struct err *err, const char *what, const char *path);

/*
 * Opens a directory or file, O_PATH, following no link anywhere on the way, and staying beneath the
 * folder where there is one.
 */
int mounting_open(int folder, const char *path, struct err *err) MUST_CHECK;
/* A copy of the mounts at and below what is open, with attributes (MOUNT_ATTR_…) on each. */
int mounting_copy(int fd, uint64_t attributes, const char *path, struct err *err) MUST_CHECK;
/* Puts a tree where a path below a root is. Closes it. */
int mounting_attach(int tree, int root, const char *path, struct err *err) MUST_CHECK;

struct mounting_option {
    const char *key;
    const char *value; /* NULL: a flag */
};
/* A new file system, mounted nowhere yet. */
int mounting_new(const char *type, const struct mounting_option *options, size_t count,
                 uint64_t attributes, struct err *err) MUST_CHECK;

/*
 * Makes a folder and those above it, beneath a root and following no link: one of a mounted
 * repository leads to the host. What is there already stays.
 */
int mounting_folder(int root, const char *path, mode_t mode, struct err *err) MUST_CHECK;
/* Makes an empty file to mount on, or one with a text. */
int mounting_file(int root, const char *path, const char *text, size_t len,
                  struct err *err) MUST_CHECK;

#endif
