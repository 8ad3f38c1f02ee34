/*
 * git_state: which commit of which repository a directory shows, told without running git.
 *
 * Of a repository, files are read and nothing is executed, followed or written; its configuration
 * decides nothing but what is listed here. What cannot be told cheaply and for certain is
 * "not-checked". The tree is dirty where a file that git tracks differs from the commit, as
 * `git describe --dirty` has it: files that git does not track do not count.
 */
#ifndef AM_MACHINE_GIT_STATE_H
#define AM_MACHINE_GIT_STATE_H

#include <limits.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#define GIT_URL_MAX        2048
#define GIT_REF_MAX        1024
#define GIT_COMMIT_MAX     64
#define GIT_SUBMODULES_MAX 8 /* deep */

enum git_dirty { GIT_CLEAN, GIT_DIRTY, GIT_NOT_CHECKED };

struct git_state {
    char root[PATH_MAX];             /* of the work tree */
    char url[GIT_URL_MAX + 1];       /* of the remote "origin", without credentials; or "" */
    char ref[GIT_REF_MAX + 1];       /* full name; "" where HEAD is detached or not known */
    char commit[GIT_COMMIT_MAX + 1]; /* "" where there is none yet, or it is not known */
    enum git_dirty dirty;
    const char *reason; /* why it was not checked, or what was found; static text, or NULL */
};

/* The root of the work tree that holds a directory; -ENOENT (ERR_NOT_FOUND) outside of one. */
int git_find_root(const char *directory, char ret_root[PATH_MAX], struct err *err) MUST_CHECK;

/*
 * Reads it all; the dirty state within a time, after which it is not-checked, as it is where the
 * index or an object cannot be read. ERR_NOT_FOUND outside a repository; another error where HEAD
 * or the settings cannot be read.
 */
int git_state_read(const char *directory, int64_t limit_ms, struct git_state *ret,
                   struct err *err) MUST_CHECK;

/* The host that an address leads to; false where it leads to none, such as a path. */
#define GIT_HOST_SIZE 256
bool git_url_host(const char *url, char ret[GIT_HOST_SIZE]);

/* The fingerprint's `repository`. */
int git_state_write(const struct git_state *state, struct buf *ret);
extern const char *const git_dirty_names[];

#endif
