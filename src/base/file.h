/* file: reading whole files within a bound, and walking folders. "-" is standard input. */
#ifndef AM_BASE_FILE_H
#define AM_BASE_FILE_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#define FILE_WALK_DEPTH_MAX 64

/* Appends the file's bytes to ret (whose limit is the bound); err names the path. */
int file_read(const char *path, struct buf *ret, struct err *err) MUST_CHECK;
/* As file_read, from a descriptor that stays open; `name` is for messages. */
int file_read_fd(int fd, const char *name, struct buf *ret, struct err *err) MUST_CHECK;

/* Makes a folder and those above it, for the user alone; what is there already stays as it is. */
int file_make_folder(const char *path, struct err *err) MUST_CHECK;
/* Removes a folder with all in it, following no link; what is not there is no error. */
int file_remove_tree(const char *path, struct err *err) MUST_CHECK;

/* Called for each file; a negative return ends the walk with it. */
typedef int file_visit(void *context, const char *path, struct err *err);

/*
 * Visits a file, or every regular file below a folder in the order of their
 * names. Links are followed where the path itself is one, and nowhere below.
 * Names that start with a dot are passed over below a folder.
 */
int file_walk(const char *path, file_visit *visit, void *context, struct err *err) MUST_CHECK;

#endif
