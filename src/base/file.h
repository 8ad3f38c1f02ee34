/* file: reading whole files within a bound. "-" is standard input. */
#ifndef AM_BASE_FILE_H
#define AM_BASE_FILE_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

/* Appends the file's bytes to ret (whose limit is the bound); err names the path. */
int file_read(const char *path, struct buf *ret, struct err *err) MUST_CHECK;
/* As file_read, from a descriptor that stays open; `name` is for messages. */
int file_read_fd(int fd, const char *name, struct buf *ret, struct err *err) MUST_CHECK;

#endif
