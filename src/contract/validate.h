/*
 * validate: a value against a program.
 *
 * `validate` answers yes or no and stops at the first fault. `report_new`
 * finds every fault, and every annotation of a valid value, with its places.
 * Both end within bounded steps: what a hostile schema would need more for is
 * an error, and neither valid nor invalid. One program must not be used by two
 * threads at once.
 */
#ifndef AM_CONTRACT_VALIDATE_H
#define AM_CONTRACT_VALIDATE_H

#include <yyjson.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "contract/keyword.h"

#define VALIDATE_DEPTH_MAX       2048                 /* schemas within one another */
#define VALIDATE_STACK_BYTES_MAX ((size_t)4 << 20)    /* taken by them */
#define VALIDATE_STEPS_BASE      ((uint64_t)10000000) /* schemas applied, */
#define VALIDATE_STEPS_PER_VALUE ((uint64_t)1000)     /* and so many more for each value */
#define VALIDATE_PATTERN_MS_MAX  10000                /* spent in patterns, all together */
#define REPORT_UNITS_MAX         10000

struct program;

/* 1 valid, 0 invalid, -errno it could not be decided (ERR_LIMIT, ERR_SCHEMA, …). */
int validate(const struct program *program, const yyjson_val *value, struct err *err) MUST_CHECK;

/* One keyword's word on one place. */
struct report_unit {
    enum keyword keyword;         /* KEYWORD_NONE: the schema `false`, or an unknown keyword */
    uint32_t location;            /* of the schema, in the program's set */
    const yyjson_val *value;      /* what it was about */
    const char *instance;         /* JSON Pointer */
    const char *keyword_path;     /* JSON Pointer, through references */
    struct str member;            /* the name concerned: missing, unknown, dependent */
    size_t count;                 /* what was counted: matches of contains, of oneOf */
    uint32_t inner_count;         /* the units that follow and explain this one (branches) */
    uint32_t closest;             /* among them, the first of the closest branch */
    const yyjson_val *annotation; /* in annotations: the keyword's value */
};

struct report {
    bool valid;
    bool cut;                  /* there were more units than REPORT_UNITS_MAX */
    struct report_unit *units; /* faults where invalid, annotations where valid */
    size_t count;
    struct arena arena;
};

/* 0 with the report, or -errno as validate. `value` and the program must outlive the report. */
int report_new(const struct program *program, const yyjson_val *value, struct report **ret,
               struct err *err) MUST_CHECK;
void report_free(struct report *report);

#endif
