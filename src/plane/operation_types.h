/* operation_types: what each type of operation needs and does, in one table. */
#ifndef AM_PLANE_OPERATION_TYPES_H
#define AM_PLANE_OPERATION_TYPES_H

#include "plane/plane.h"

/* How an effect is taken back. */
enum compensation {
    COMPENSATION_NONE,
    COMPENSATION_INVERSE, /* by an operation of another type */
    COMPENSATION_TASK,    /* its artifacts leave service */
};

enum gate_use { GATE_NEVER, GATE_ALWAYS, GATE_WHEN_USED };

#define NEED_CEILING ((int64_t)-1) /* reserves as much as the operation may use in all */

struct operation_type_row {
    const char *slug;       /* of its OperationContract */
    const char *parameters; /* the member of the command's parameters */
    enum gate_use gates[GATE_COUNT];
    unsigned dimensions;  /* bits by enum dimension: in what it may be charged */
    struct amounts need;  /* set aside before the effect */
    struct amounts usual; /* its ceiling where the command names none */
    bool key_required;
    struct {
        bool retryable;
        int64_t max_attempts, initial_delay_ms, max_delay_ms;
    } retry;
    enum compensation compensation;
    enum operation_type inverse; /* of COMPENSATION_INVERSE */
    bool resumes;                /* a stale task is carried out again; else it fails */
    plane_effect *effect;        /* NULL: plugged in by plane_options, or not there yet */
};

extern const struct operation_type_row operation_types[OPERATION_TYPE_COUNT];

/* Whether the machine carries it out: a command in a sandbox. */
static inline bool operation_is_run(enum operation_type type)
{
    return type == OPERATION_EXECUTION_START || type == OPERATION_CONTAINER_RUN;
}

#endif
