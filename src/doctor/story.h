/*
 * story: what the ledger has of things that were refused, asked or let through.
 *
 * A question (an operation, a host, a path, a tool, a capability, a line of a
 * log) is looked for among the PolicyDecisions. Those that say the same of the
 * same thing by the same rule are one story: who asked, who decided, when
 * first, when last, how often, in which runs.
 */
#ifndef AM_DOCTOR_STORY_H
#define AM_DOCTOR_STORY_H

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "ledger/ledger.h"

#define STORY_DECISIONS_MAX  1000000
#define STORY_QUESTION_MAX   4096 /* bytes */
#define STORY_OPERATIONS_MAX 64   /* of one answer */

struct story_decision {
    struct str id, gate, verdict, kind, name, name_digest, protocol;
    struct str layer, rule, document, pointer, reason, change, command;
    struct str operation, subject, card, policy_digest, at;
    struct str first, last; /* uses of it; where nobody counted them, when it was decided */
    uint64_t port, count;   /* port 0: none */
};

struct story_run {
    struct str operation, type, subject, profile, ended, boot;
    struct str exit_reason; /* empty: it has no execution */
    int64_t exit_status;
    struct str state, failure, remediation; /* of the operation */
};

struct story;

/* ERR_LIMIT where there are more decisions than that. */
int story_open(struct ledger *ledger, struct story **ret, struct err *err) MUST_CHECK;
void story_free(struct story *story);

/* What was found about a question. */
struct story_answer {
    const struct story_decision *decision;       /* the latest one */
    uint64_t count;                              /* of all that say the same */
    struct str first, last;                      /* of them */
    struct str operations[STORY_OPERATIONS_MAX]; /* in which they were made, latest first */
    size_t operation_count;
    size_t others; /* other decisions that the question fits */
};

/*
 * 0, or -ENOENT where the ledger has nothing about it. Decisions that allow count only where
 * nothing else fits.
 */
int story_find(const struct story *story, struct str question, struct story_answer *ret);
/* The word of a line that the answer was found by, or the whole question. */
struct str story_object(const struct story_decision *decision);

/* The decisions of one operation (URN, or the part behind the type); ERR_NOT_FOUND. */
typedef void story_visit(void *context, const struct story_decision *decision);
int story_of_operation(const struct story *story, struct str operation, struct story_run *ret_run,
                       story_visit *visit, void *context, struct err *err) MUST_CHECK;
/* How an operation stands or has ended; false where the ledger has it not. */
bool story_run_of(const struct story *story, struct str operation, struct story_run *ret);
/* The same by a name as people give it: its URN, or the part behind the type. */
bool story_run_named(const struct story *story, struct str name, struct story_run *ret);

/* The capability by which a contract would name what a gate decides about. */
const char *story_capability(struct str gate, struct str kind, const char **ret_operation);

/*
 * Calls visit for each word of a line that may name a thing: hosts without what stands around them,
 * paths, URNs. A nonzero return ends the walk with it.
 */
typedef int story_visit_word(void *context, struct str word);
int story_each_word(struct str line, story_visit_word *visit, void *context);

static inline void cleanup_story(struct story **story)
{
    story_free(*story);
}

#endif
