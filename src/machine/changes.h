/*
 * changes: what a run changed, read from the upper layer of its overlay.
 *
 * A plain list, in the order of paths with a directory before what is in it. What only had its
 * times changed, or was copied up and is as it was, is none. Files whose type changed are deleted
 * and added. What a mask hid was never there: a directory that was deleted with a hidden file in it
 * does not list that file.
 *
 * The list has a text, and its digest is the SHA-256 of that text: "agent-machine changes 2\n" and
 * a line for each change:
 *
 *     <change> <kind> <mode> <size> <digest> <mode before> <digest before> <length of path>
 * <path>\n
 *
 * <digest> is that of the contents of a file or of a link's target, in hexadecimal, or "-" where
 * there is none: directories, special files, what was deleted and what only changed its mode. Modes
 * are octal. Of what was deleted mode and size are those it had. <digest before> is that of the
 * contents that the launch found, as far as they could still be read when the run had ended: of a
 * file or link that was modified, is no larger than CHANGES_BEFORE_BYTES_MAX and has not been
 * changed on the host since; else "-". <mode before> is "-" of what was added. Paths are bytes.
 */
#ifndef AM_MACHINE_CHANGES_H
#define AM_MACHINE_CHANGES_H

#include <sys/stat.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "machine/mask.h"

#define CHANGES_MAX       1000000
#define CHANGES_DEPTH_MAX 128
#define CHANGES_PATH_MAX  4095

#define CHANGES_TEXT_MAX         ((size_t)512 << 20)
#define CHANGES_BEFORE_BYTES_MAX ((uint64_t)64 << 20)

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

static inline bool changed_is_kind(const struct stat *status, enum changed_kind kind)
{
    return kind == CHANGED_FILE        ? S_ISREG(status->st_mode)
           : kind == CHANGED_DIRECTORY ? S_ISDIR(status->st_mode)
           : kind == CHANGED_LINK      ? S_ISLNK(status->st_mode)
                                       : false;
}

/*
 * Whether what the host has was last changed before a launch. Some file systems, as those of memory
 * sticks, know the time to two seconds alone; then it counts as changed where that is in doubt.
 */
#define CHANGES_COARSE_NS INT64_C(2000000000)
static inline bool changes_is_before(const struct stat *status, int64_t launched_ns)
{
    int64_t changed_ns =
        (int64_t)status->st_ctim.tv_sec * INT64_C(1000000000) + status->st_ctim.tv_nsec;
    return changed_ns < launched_ns - (status->st_ctim.tv_nsec ? 0 : CHANGES_COARSE_NS);
}

struct changed_path {
    const char *path; /* relative to the tree */
    enum change_type type;
    enum changed_kind kind;
    unsigned mode, mode_before; /* permissions */
    uint64_t size;
    bool has_digest, has_before;
    bool gone; /* while the list is made: the host seems to have removed what the run changed */
    unsigned char digest[DIGEST_BYTES], before[DIGEST_BYTES];
};

struct changes {
    struct arena arena; /* owns all below */
    struct changed_path *items;
    size_t count, capacity;
    size_t counts[CHANGE_TYPE_COUNT]; /* of all but directories */
    uint64_t bytes;                   /* of files added and modified */
    bool of_git;         /* the tree is a directory of git's own, whatever it is called */
    int64_t launched_ns; /* when the layer was made, on its file system's clock; 0: not known */
    char digest[DIGEST_TEXT_SIZE];
};

/*
 * `launched_ns` is the launch's moment where it is earlier than that of the layer; 0: it is not.
 * The run must have ended: nobody else writes to the upper layer any more. `hidden` is what the run
 * could not see below (mask_find), or NULL. Files that their owner may not read are made readable
 * for as long as it takes. ERR_LIMIT past a bound, ERR_UNSUPPORTED for an overlay made with options
 * that ours has not (redirects, metadata alone), ERR_IO, ERR_MEMORY. Release with changes_release.
 */
int changes_read(int upper_fd, int lower_fd, const struct mask_list *hidden, int64_t launched_ns,
                 struct changes *ret, struct err *err) MUST_CHECK;
/*
 * The same where the run wrote in a copy of the tree, which was finished at a moment of the copy's
 * clock. What the host has made or removed since the launch is no change of the run's.
 */
int changes_read_copy(int copy_fd, int lower_fd, const struct mask_list *hidden,
                      int64_t launched_ns, int64_t copied_ns, struct changes *ret,
                      struct err *err) MUST_CHECK;
void changes_release(struct changes *changes);

/* Appends one more, which is copied; ERR_LIMIT, ERR_MEMORY. For those who make a list. */
int changes_add(struct changes *changes, const struct changed_path *change, struct str path,
                struct err *err) MUST_CHECK;
/* The text, in pieces no larger than a line; a negative return ends it. */
typedef int changes_sink(void *context, struct str piece);
int changes_write_text(const struct changes *changes, changes_sink *sink, void *context) MUST_CHECK;
/* Computes the digest of the text. */
int changes_set_digest(struct changes *changes, struct err *err) MUST_CHECK;
/* Reads a text; ERR_SYNTAX where it is none. Its digest is computed. */
int changes_parse(struct str text, struct changes *ret, struct err *err) MUST_CHECK;

/* An array of objects; a path that is no UTF-8 is shown as far as it is. */
int changes_write(const struct changes *changes, struct buf *ret);
/* A line for each, for people; what a terminal might act on is escaped. */
int changes_write_lines(const struct changes *changes, struct buf *ret);

#endif
