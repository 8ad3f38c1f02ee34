/*
 * file_digest: the digest of a program's file, kept as long as the file stays what it is.
 *
 * A file is known by device, inode, size and change time; its digest is read
 * from a small file of the cache where that stands for the same, and computed
 * and kept otherwise.
 */
#ifndef AM_MACHINE_FILE_DIGEST_H
#define AM_MACHINE_FILE_DIGEST_H

#include "base/digest.h"

/* A cache that cannot be read or written is no error. ERR_NOT_FOUND, ERR_IO, ERR_LIMIT. */
int file_digest(const char *path, const char *cache_folder, char ret[DIGEST_TEXT_SIZE],
                struct err *err) MUST_CHECK;

#endif
