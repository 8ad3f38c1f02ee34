/*
 * patch: the change of one file as `git diff` writes it and `git apply` takes it.
 *
 * Of permissions git keeps whether a file may be executed, and of directories nothing.
 */
#ifndef AM_MACHINE_PATCH_H
#define AM_MACHINE_PATCH_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define PATCH_TEXT_MAX ((size_t)32 << 20) /* a larger file is binary, and never held in memory */

#define PATCH_MODE_FILE    0100644u
#define PATCH_MODE_PROGRAM 0100755u
#define PATCH_MODE_LINK    0120000u

/* What a file was, or became; without a mode there is none. */
struct patch_side {
    const char *path;
    unsigned mode;
    int fd; /* of a file; read from its start */
    uint64_t size;
    struct str target; /* of a link */
};

struct patch_style {
    bool binary;     /* contents that are no text are in it; else it says that they differ */
    bool for_people; /* what a terminal might act on is escaped: no longer a patch */
    bool colour;
};

/* A negative return ends the writing with it; the sink fills err. */
typedef int patch_sink(void *context, struct str bytes, struct err *err);

/*
 * Two paths are a rename, whose contents are equal. ERR_IO where a file cannot be read or changes
 * meanwhile, ERR_UNSUPPORTED where zlib is missing for what is binary, ERR_MEMORY.
 */
int patch_write(const struct patch_side *before, const struct patch_side *after,
                const struct patch_style *style, patch_sink *sink, void *context,
                struct err *err) MUST_CHECK;

/* Appends a path behind a prefix such as "a/", quoted where git quotes it. */
int patch_add_path(struct buf *ret, const char *prefix, const char *path);

/* "literal SIZE" and the compressed contents in base 85, as a binary patch has them. */
int patch_write_literal(const struct patch_side *side, patch_sink *sink, void *context,
                        struct err *err) MUST_CHECK;

#endif
