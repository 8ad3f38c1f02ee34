/*
 * surface_program: the program of a tool surface on this host: where it is, its version, its
 * digest.
 */
#ifndef AM_MACHINE_SURFACE_PROGRAM_H
#define AM_MACHINE_SURFACE_PROGRAM_H

#include <limits.h>
#include <yyjson.h>

#include "base/base.h"
#include "base/digest.h"
#include "base/err.h"

#define SURFACE_VERSION_MAX      200   /* as the fingerprint has it */
#define SURFACE_VERSION_TIME_MS  10000 /* what a launch allows */
#define SURFACE_VERSION_OUTPUT   ((size_t)8 << 10)
#define SURFACE_PROGRAM_SIZE_MAX ((int64_t)4 << 30)

struct surface_program {
    char path[PATH_MAX];     /* where the search found it */
    char resolved[PATH_MAX]; /* the file itself, without links */
    char install[PATH_MAX];  /* the host directory to show the agent; "" for a system directory */
    bool is_outside;         /* neither in a system directory nor in one of installPaths */
    /* Of a script whose interpreter the view has not anyway, the same; else "". */
    char interpreter[PATH_MAX], interpreter_install[PATH_MAX];
    char version[SURFACE_VERSION_MAX + 1]; /* "" where it reported none */
    char digest[DIGEST_TEXT_SIZE];
};

/*
 * Looks for the command in `search_path` (as PATH; relative entries are passed over), then in the
 * surface's installPaths and their "bin". Fills path, resolved, install and is_outside, and the
 * interpreter's, where the program is a script that has one looked for. ERR_NOT_FOUND with what to
 * do, ERR_UNSUPPORTED for a slot without a command.
 */
int surface_program_find(const yyjson_val *surface, const char *search_path, const char *home,
                         struct surface_program *ret, struct err *err) MUST_CHECK;

/* Fills the digest of what was found, read anew. ERR_IO, ERR_LIMIT, ERR_MEMORY. */
int surface_program_digest(struct surface_program *program, struct err *err) MUST_CHECK;

enum surface_program_state {
    SURFACE_PROGRAM_NEW, /* nothing is kept of it */
    SURFACE_PROGRAM_SAME,
    SURFACE_PROGRAM_CHANGED, /* the file that a launch knew has other bytes now */
};
/*
 * Fills the digest of what was found, read anew, and says whether it is the one that
 * surface_program_identify kept of that file. Nothing is run or kept. ERR_IO, ERR_LIMIT,
 * ERR_MEMORY.
 */
int surface_program_compare(struct surface_program *program, const char *cache_folder,
                            enum surface_program_state *ret, struct err *err) MUST_CHECK;

/*
 * Fills version and digest of what was found, from the cache where the file is the same (device,
 * inode, size, time of change). The version is asked of the program, which runs for at most
 * limit_ms without network by TCP, with nothing to write to but its output, and
 * with an empty environment but `search_path`. A program that reports none is no error.
 * cache_folder may be NULL. ERR_IO, ERR_LIMIT, ERR_MEMORY.
 */
int surface_program_identify(const yyjson_val *surface, const char *search_path,
                             const char *cache_folder, int64_t limit_ms,
                             struct surface_program *program, struct err *err) MUST_CHECK;

#endif
