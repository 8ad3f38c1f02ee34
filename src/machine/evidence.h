/*
 * evidence: the documents that a launch leaves behind.
 *
 * The fingerprint says what was found and built before the command started;
 * the execution what it was and did, once it has ended. What is in them was
 * measured by who calls.
 */
#ifndef AM_MACHINE_EVIDENCE_H
#define AM_MACHINE_EVIDENCE_H

#include "base/digest.h"
#include "machine/git_state.h"
#include "machine/launch.h"

/* What binds a run's documents to each other and to the ledger. */
struct evidence {
    const struct plan *plan;
    const struct launch *launch;
    const struct launch_report *report;
    const struct git_state *repository; /* NULL: the launch starts outside of one */
    struct str operation, task, subject, delegation, budget;
    const char *fingerprint, *execution; /* the documents' own ids */
    const char *container;               /* likewise; NULL: there is none */
    char profile_digest[DIGEST_TEXT_SIZE], plan_digest[DIGEST_TEXT_SIZE];
    char policy_digest[DIGEST_TEXT_SIZE], previous_event[DIGEST_TEXT_SIZE];
    struct str policy_layers; /* a JSON array */
    struct str network;       /* an object; empty: there was no network door */
    struct str prompt_egress; /* an object; empty: there was no model door */
    struct str denials;       /* the items of an array */
    struct str written;       /* likewise; empty: nothing was mounted read-write */
    struct str change_set;    /* an object; empty: nothing changed */
    char program_digest[DIGEST_TEXT_SIZE], command_digest[DIGEST_TEXT_SIZE];
    char fingerprint_digest[DIGEST_TEXT_SIZE]; /* for the record of a container */
    const char *image_leave; /* the layer whose rule let an image run that is not pinned */
    const char *image_leave_rule;
    bool alone; /* the container is an operation of its own */
};

/* `"unknown"` digests are never written: what could not be computed is an error of the caller's. */
int evidence_write_fingerprint(const struct evidence *evidence, struct buf *ret,
                               struct err *err) MUST_CHECK;
/* `usage` is by dimension. */
int evidence_write_execution(const struct evidence *evidence, const struct run_result *result,
                             const int64_t usage[DIMENSION_COUNT], struct buf *ret,
                             struct err *err) MUST_CHECK;
/* Of a run in an image: the ContainerExecutionRecord. */
int evidence_write_container(const struct evidence *evidence, const struct run_result *result,
                             const int64_t usage[DIMENSION_COUNT], struct buf *ret,
                             struct err *err) MUST_CHECK;

#endif
