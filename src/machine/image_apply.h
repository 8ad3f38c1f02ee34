/*
 * image_apply: one layer's entries, applied to the tree of those below it.
 *
 * A layer is somebody else's: whatever it names is looked for within the tree,
 * as a program in the container would, and can be nowhere else. Owners, set-id
 * bits, devices and extended attributes are not taken over: everything is the
 * caller's, and mounted so that none of them would mean anything.
 */
#ifndef AM_MACHINE_IMAGE_APPLY_H
#define AM_MACHINE_IMAGE_APPLY_H

#include <sys/types.h>
#include <time.h>

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

struct image_apply;

struct image_entry {
    const char *path; /* as the layer has it */
    mode_t mode;      /* with its kind */
    const char *link; /* what a symbolic link says, or which file a hard link is; else NULL */
    bool is_hard_link;
    struct timespec changed;
};

int image_apply_new(int root, struct image_apply **ret, struct err *err) MUST_CHECK;
/* The next layer begins: what is there now is below it. */
void image_apply_begin(struct image_apply *apply);
/*
 * Applies an entry. A file is made empty, and `ret_file` is open for its contents; of any other,
 * and of what is left out, it is -1. ERR_DENIED for what would lead out of the tree or is no path.
 */
int image_apply_entry(struct image_apply *apply, const struct image_entry *entry, int *ret_file,
                      struct err *err) MUST_CHECK;
/* The file's contents are written; closes it. */
int image_apply_file(int file, const struct image_entry *entry, struct err *err) MUST_CHECK;
/* All layers are applied: folders get their modes and times. */
int image_apply_end(struct image_apply *apply, struct err *err) MUST_CHECK;
void image_apply_free(struct image_apply *apply);

#endif
