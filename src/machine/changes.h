/*
 * changes: what a run changed, read from the upper layer of its overlay.
 *
 * A plain list, in the order of paths with a directory before what is in it. What only had its
 * times changed, or was copied up and is as it was, is none. Files whose type changed are deleted
 * and added. What a mask hid was never there: a directory that was deleted with a hidden file in it
 * does not list that file.
 *
 * The digest is SHA-256 over "agent-machine changes 1\n" and a line for each change:
 *
 *     <change> <kind> <mode, octal> <size> <digest> <length of path> <path>\n
 *
 * <digest> is that of the contents of a file or of a link's target, in hexadecimal, or "-" where
 * there is none: directories, special files, what was deleted and what only changed its mode. Of
 * what was deleted mode and size are those it had. Paths are bytes.
 */
#ifndef AM_MACHINE_CHANGES_H
#define AM_MACHINE_CHANGES_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

#define CHANGES_MAX       1000000
#define CHANGES_DEPTH_MAX 128
#define CHANGES_PATH_MAX  4095

/*        change           as it is written */
#define CHANGE_TABLE(X)                                                                            \
    X(CHANGE_ADDED, "added")                                                                       \
    X(CHANGE_MODIFIED, "modified")                                                                 \
    X(CHANGE_DELETED, "deleted")                                                                   \
    X(CHANGE_MODE, "mode")

#define CHANGED_TABLE(X)                                                                           \
    X(CHANGED_FILE, "file")                                                                        \
    X(CHANGED_DIRECTORY, "directory")                                                              \
    X(CHANGED_LINK, "link")                                                                        \
    X(CHANGED_SPECIAL, "special")

#define CHANGES_ENUM(name, text) name,
enum change_type { CHANGE_TABLE(CHANGES_ENUM) CHANGE_TYPE_COUNT };
enum changed_kind { CHANGED_TABLE(CHANGES_ENUM) CHANGED_KIND_COUNT };
#undef CHANGES_ENUM
extern const char *const change_names[CHANGE_TYPE_COUNT];
extern const char *const changed_names[CHANGED_KIND_COUNT];

struct changed_path {
    const char *path; /* relative to the tree */
    enum change_type type;
    enum changed_kind kind;
    unsigned mode; /* permissions */
    uint64_t size;
    bool has_digest;
    unsigned char digest[DIGEST_BYTES];
};

struct changes {
    struct arena arena; /* owns all below */
    struct changed_path *items;
    size_t count;
    size_t counts[CHANGE_TYPE_COUNT]; /* of all but directories */
    uint64_t bytes;                   /* of files added and modified */
    char digest[DIGEST_TEXT_SIZE];
};

/*
 * The run must have ended: nobody else writes to the upper layer any more. `mask_fd` is the layer
 * of mask_build, or -1. Files that their owner may not read are made readable for as long as it
 * takes. ERR_LIMIT past a bound, ERR_UNSUPPORTED for an overlay made with options that ours has not
 * (redirects, metadata alone), ERR_IO, ERR_MEMORY. Release with changes_release.
 */
int changes_read(int upper_fd, int lower_fd, int mask_fd, struct changes *ret,
                 struct err *err) MUST_CHECK;
void changes_release(struct changes *changes);

/* An array of objects; a path that is no UTF-8 is shown as far as it is. */
int changes_write(const struct changes *changes, struct buf *ret);
/* A line for each, for people; what a terminal might act on is escaped. */
int changes_write_lines(const struct changes *changes, struct buf *ret);

#endif
