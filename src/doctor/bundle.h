/*
 * bundle: what a diagnostics bundle is made of, on the way in and on the way out.
 *
 * A bundle is a `.tar.zst` of two zstd frames, which every tool reads as one
 * archive: first the manifest alone (manifest.json, an
 * AgentMachineDiagnosticBundle), then all other files, sorted by path, with
 * times, owners and modes fixed. The second frame is the archive without its
 * manifest, whose digest the manifest has; of one state it always has the same
 * bytes.
 *
 * Whatever goes in passes bundle_add_json, bundle_add_lines or
 * bundle_add_named: the scanner with the user's own secrets, then pseudonyms.
 * There is no other way in.
 */
#ifndef AM_DOCTOR_BUNDLE_H
#define AM_DOCTOR_BUNDLE_H

#include <yyjson.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/redact_shape.h"
#include "doctor/pseudonym.h"

#define BUNDLE_MANIFEST           "manifest.json"
#define BUNDLE_FILES_MAX          1000
#define BUNDLE_PATH_BYTES_MAX     200
#define BUNDLE_FILE_BYTES_MAX     ((size_t)8 << 20)  /* of one file, as it is in the archive */
#define BUNDLE_BYTES_DEFAULT      ((size_t)16 << 20) /* of all of them, before they are packed */
#define BUNDLE_BYTES_MAX          ((size_t)256 << 20)
#define BUNDLE_MANIFEST_BYTES_MAX ((size_t)1 << 20)

/* What a file holds, as the manifest says it. */
#define BUNDLE_CONTENTS(X)                                                                         \
    X(BUNDLE_VERSIONS, "versions")                                                                 \
    X(BUNDLE_HOST, "host")                                                                         \
    X(BUNDLE_POLICY, "policy")                                                                     \
    X(BUNDLE_OPERATIONS, "operations")                                                             \
    X(BUNDLE_EVENTS, "events")                                                                     \
    X(BUNDLE_DOCTOR, "doctor")                                                                     \
    X(BUNDLE_LOG, "log")                                                                           \
    X(BUNDLE_NAMED, "named")
enum bundle_contents {
#define X(name, text) name,
    BUNDLE_CONTENTS(X)
#undef X
        BUNDLE_CONTENTS_COUNT
};
extern const char *const bundle_contents_names[BUNDLE_CONTENTS_COUNT];

/* What was removed, beyond the kinds of the scanner. */
enum bundle_removed {
    REMOVED_USER_NAME = REDACT_KIND_COUNT,
    REMOVED_HOST_NAME,
    REMOVED_FREE_TEXT,   /* words of people and of what ran: reasons, messages, prompts */
    REMOVED_ENVIRONMENT, /* values of variables that are not known to be harmless */
    REMOVED_COUNT
};
const char *bundle_removed_name(size_t removed);

struct bundle;

/*
 * The scanner, its literals and the pseudonyms outlive the bundle. `max_bytes`: of all files before
 * they are packed, and of the archive.
 */
int bundle_new(struct redact_scanner *scanner, struct pseudonyms *pseudonyms, size_t max_bytes,
               struct bundle **ret, struct err *err) MUST_CHECK;
void bundle_free(struct bundle *bundle);

/*
 * Add a file. ERR_LIMIT where it does not fit in any more; then nothing was added. With `no_words`
 * texts of people and of what ran are left out (bundle_text.c). Lines that would make a file too
 * long are left out, from its beginning on, and the manifest says so.
 */
int bundle_add_json(struct bundle *bundle, enum bundle_contents contents, const char *path,
                    const yyjson_val *value, bool no_words, struct err *err) MUST_CHECK;
int bundle_add_lines(struct bundle *bundle, enum bundle_contents contents, const char *path,
                     struct str text, bool no_words, struct err *err) MUST_CHECK;
/* NAME=value lines: values stay of those that are known to be harmless. */
int bundle_add_environment(struct bundle *bundle, const char *path, char *const *environment,
                           struct err *err) MUST_CHECK;
/* A file that a person named: `by` is who. */
int bundle_add_named(struct bundle *bundle, const char *path, struct str text, struct str by,
                     struct err *err) MUST_CHECK;

/* Files, in the order of their paths once the bundle is packed. */
struct bundle_file {
    char path[BUNDLE_PATH_BYTES_MAX];
    enum bundle_contents contents;
    size_t bytes;
    bool truncated, raw;
    char named_by[512]; /* empty: nobody */
    char digest[DIGEST_TEXT_SIZE];
    uint64_t removed[REMOVED_COUNT];
};
size_t bundle_file_count(const struct bundle *bundle);
const struct bundle_file *bundle_file_at(const struct bundle *bundle, size_t index);

/* Packs all files but the manifest, as the second frame, and gives its digest. */
int bundle_pack(struct bundle *bundle, struct buf *ret_archive, char ret_digest[DIGEST_TEXT_SIZE],
                struct err *err) MUST_CHECK;
/* The first frame: the manifest alone. */
int bundle_pack_manifest(struct str manifest, struct buf *ret_frame, struct err *err) MUST_CHECK;
/* Appends the manifest's members from `files` on, each with a comma before it. */
int bundle_write_contents(const struct bundle *bundle, struct buf *json,
                          struct err *err) MUST_CHECK;

/* --- packing (bundle_archive.c) ------------------------------------------------------------ */

struct bundle_entry {
    const char *path;
    struct str bytes;
};
/* A zstd frame of a tar with these files; without `ends`, another frame goes on with it. */
int bundle_archive(const struct bundle_entry *entries, size_t count, bool ends, struct buf *ret,
                   struct err *err) MUST_CHECK;

/* --- looking into one (bundle_read.c) ------------------------------------------------------ */

#define BUNDLE_ENTRIES_MAX 10000

/* A bundle that anyone can have made. Nothing of it is ever written anywhere. */
struct bundle_view {
    yyjson_doc *manifest;
    char archive_digest[DIGEST_TEXT_SIZE]; /* of what follows the first frame */
    size_t archive_bytes;
    size_t bytes; /* of all entries */
    struct bundle_view_entry {
        char path[1001];
        char digest[DIGEST_TEXT_SIZE];
        size_t bytes;
    } * entries;
    size_t entry_count, entry_capacity;
};

/*
 * Unpacks in memory, within BUNDLE_BYTES_MAX. ERR_SYNTAX: it is no bundle; ERR_LIMIT: it is too
 * large; ERR_DOCUMENT: an entry is no plain file, or its path leads elsewhere.
 */
int bundle_open(struct str bytes, struct bundle_view *ret, struct err *err) MUST_CHECK;
void bundle_close(struct bundle_view *view);

#endif
