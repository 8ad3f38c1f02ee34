/*
 * layer: reading a tree that something hostile has written.
 *
 * No link is followed: each name is opened in its directory's descriptor, and what was opened is
 * looked at again. What its owner may not read, by a mode that the run set, is made readable for
 * the moment of opening.
 */
#ifndef AM_MACHINE_LAYER_H
#define AM_MACHINE_LAYER_H

#include <sys/stat.h>

#include "base/base.h"
#include "base/digest.h"
#include "base/err.h"

#define LAYER_PIECE_BYTES ((size_t)128 << 10)
#define LAYER_NAMES_MAX   1000000 /* in one directory */

/* Sorted by their bytes once names_sort was called. */
struct names {
    char **items;
    size_t count, capacity;
};

void names_release(struct names *names);
/* Adds a directory's names but "." and "..". 0, -ENOMEM, -E2BIG or another -errno. */
int names_read(int directory, struct names *names) MUST_CHECK;
/* Sorts them, and leaves each once. */
void names_sort(struct names *names);

/* Opens what was looked at, for reading; -ESTALE where it is something else by now. */
int layer_open_seen(int directory, const char *name, const struct stat *status,
                    int flags) MUST_CHECK;
/* Opens the directory that holds a path of the tree, which may be its root; ret_name is its last
 * part. -ELOOP, -ENOTDIR or -ENOENT where the way is none. */
int layer_open_parent(int root, const char *path, const char **ret_name) MUST_CHECK;

/*
 * The same for one path after the other: the directory stays open for the next, and is the place's
 * own. A place begins as { .fd = -1 }.
 */
struct layer_place {
    int fd;
    char path[4096]; /* of the directory */
};
int layer_find_parent(int root, struct layer_place *place, const char *path,
                      const char **ret_name) MUST_CHECK;

/* Copies what a run wrote into an empty directory, with the overlay's own marks. */
int layer_copy(int from, int to, struct err *err) MUST_CHECK;

/* Whether a new file has another's blocks from now on: not every file system shares them. */
bool layer_share(int from, int to);
/*
 * Copies contents to a new file, holes as holes; by shared blocks where the file system has them,
 * which it says. `piece` is for the way.
 */
int layer_copy_contents(int from, int to, char *piece, bool *ret_shared) MUST_CHECK;

/*
 * Removes the files below a large folder, as far as that is simple; the folders stay, and are for
 * file_remove_tree.
 */
void layer_empty(const char *path);

/* Fills a piece as far as the file goes; how many bytes, or -errno. */
ssize_t layer_read_piece(int fd, char *piece);
/* Adds the contents of a file, or the target of a link, to a stream; `piece` is for the way. */
int layer_digest(int directory, const char *name, const struct stat *status, char *piece,
                 struct digest_stream *stream) MUST_CHECK;

#endif
