/*
 * diagnostics: a bundle of what this installation knows about itself.
 *
 * What is read, and how much of it, stands in diagnostics_collect.c. Exports
 * themselves are left out (their operations, and what was made for them), so
 * that two exports of one state are the same.
 */
#ifndef AM_PLANE_DIAGNOSTICS_H
#define AM_PLANE_DIAGNOSTICS_H

#include <yyjson.h>

#include "authority/layers.h"
#include "doctor/bundle.h"
#include "plane/plane.h"

#define DIAGNOSTICS_TYPE           "AgentMachineDiagnosticBundle"
#define DIAGNOSTICS_URN            "agent-machine-diagnostic-bundle"
#define DIAGNOSTICS_FOLDER         "bundles" /* in the state folder */
#define DIAGNOSTICS_OPERATIONS_MAX 100       /* of those that nobody named */
#define DIAGNOSTICS_NAMED_MAX      100
#define DIAGNOSTICS_NAMED_BYTES    ((size_t)32 << 20) /* of one file that was named */

/* Everything is opened by diagnostics_open, and good until diagnostics_close. */
struct diagnostics {
    struct redact_scanner *scanner;
    struct redact_literals *literals; /* NULL: the user's own secrets were not resolved */
    struct pseudonyms *pseudonyms;
    struct bundle *bundle;
    struct layers *layers;
    struct policy *policy;
    size_t secrets, unresolved; /* references, and those whose value could not be had */
    size_t left_out;            /* operations that did not fit */
    size_t max_bytes;
    char policy_digest[DIGEST_TEXT_SIZE];
    char subject[PLANE_URN_MAX]; /* who asks, by pseudonym */
};

/*
 * Collects by the parameters of a command (diagnosticsExportRedacted). `resolves`: whether the
 * user's own secrets are resolved, to look for them, and what is made once (the pseudonyms' key) is
 * kept; a dry run does neither. `subject` is who asks, and names files. ERR_NOT_FOUND: an operation
 * or a file that is named is not there; ERR_LIMIT.
 */
int diagnostics_open(struct plane *plane, const yyjson_val *parameters, bool resolves,
                     struct str subject, struct diagnostics *ret, struct err *err) MUST_CHECK;
void diagnostics_close(struct diagnostics *diagnostics);

/* Where the bundle of this id lies; ERR_LIMIT where the path is too long. */
int diagnostics_path(struct plane *plane, struct str id, char *ret, size_t size,
                     struct err *err) MUST_CHECK;
/* A bundle that has left service is deleted here; an id of something else is left alone. */
void diagnostics_forget(struct plane *plane, struct str id);
/* Digest of the scanner's table, as the manifest has it. */
int diagnostics_rules_digest(char ret[DIGEST_TEXT_SIZE], struct err *err) MUST_CHECK;

/* The parts of a bundle (diagnostics_host.c, diagnostics_policy.c, diagnostics_ledger.c). */
int diagnostics_add_host(struct diagnostics *diagnostics, struct err *err) MUST_CHECK;
int diagnostics_add_doctor(struct diagnostics *diagnostics, struct err *err) MUST_CHECK;
int diagnostics_add_policy(struct diagnostics *diagnostics, struct err *err) MUST_CHECK;
int diagnostics_add_ledger(struct diagnostics *diagnostics, struct plane *plane,
                           const yyjson_val *parameters, struct err *err) MUST_CHECK;
/* Adds a text that the program has written: it is parsed, and passes the scanner. */
int diagnostics_add_text(struct diagnostics *diagnostics, enum bundle_contents contents,
                         const char *path, const struct buf *json, bool no_words,
                         struct err *err) MUST_CHECK;

#endif
