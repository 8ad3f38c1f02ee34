/*
 * written: what was changed in a directory that a run wrote to directly, by a read-write mount.
 *
 * Nothing was staged, so nothing can be taken back or held; this is a report. It is read when the
 * run has ended, from times alone, which no run can set back: whatever else was done there
 * meanwhile, by whomever, is in it too. What was removed is known by the directory that it was in.
 */
#ifndef AM_MACHINE_WRITTEN_H
#define AM_MACHINE_WRITTEN_H

#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

#define WRITTEN_PATHS_MAX   256     /* that are named; more are counted */
#define WRITTEN_ENTRIES_MAX 2000000 /* looked at */
#define WRITTEN_DEPTH_MAX   128
#define WRITTEN_MS_MAX      10000

/*        kind              as it is written */
#define WRITTEN_TABLE(X)                                                                           \
    X(WRITTEN_ADDED, "added")                                                                      \
    X(WRITTEN_CHANGED, "changed")      /* contents, mode, owner or name */                         \
    X(WRITTEN_REMOVED, "removed-from") /* a directory, in which nothing was added */

#define WRITTEN_ENUM(name, text) name,
enum written_kind { WRITTEN_TABLE(WRITTEN_ENUM) WRITTEN_KIND_COUNT };
#undef WRITTEN_ENUM
extern const char *const written_names[WRITTEN_KIND_COUNT];

struct written_path {
    const char *path; /* relative to the directory; "." is itself */
    enum written_kind kind;
};

struct written {
    struct arena arena; /* owns the paths */
    struct written_path *paths;
    size_t path_count;
    size_t counts[WRITTEN_KIND_COUNT];
    bool partial; /* a limit ended it, or something could not be read */
};

/* The moment of the clock by which files get their times. */
int64_t written_now_ns(void);
/* What was changed since then. ERR_IO where the directory is gone. Release with written_release. */
int written_read(const char *directory, int64_t since_ns, struct written *ret,
                 struct err *err) MUST_CHECK;
void written_release(struct written *written);
/* `{"hostPath":…,"added":…,…}`, as an execution's writtenMounts has them. */
int written_write(const struct written *written, const char *host_path, struct buf *ret);

#endif
