/*
 * environment: the variables of a command, built from nothing.
 *
 * Some are made here, a few that say how to talk to a person are passed on,
 * and the rest only where the request names them. A variable whose name speaks
 * of a secret never gets a value.
 */
#ifndef AM_MACHINE_ENVIRONMENT_H
#define AM_MACHINE_ENVIRONMENT_H

#include "base/arena.h"
#include "machine/plan.h"

struct environment {
    struct arena *arena;
    const char *list[PLAN_ENVIRONMENT_MAX + 1]; /* NULL-terminated */
    size_t count;
    bool left_out; /* of what an image sets */
};

/* ERR_DENIED, ERR_USAGE, ERR_LIMIT, ERR_MEMORY. */
int environment_build(struct environment *environment, const struct plan_facts *facts,
                      const struct plan *plan, const struct plan_request *request,
                      struct err *err) MUST_CHECK;

/* Whether a directory of the host is one of those that every view has, read-only. */
bool environment_is_system_directory(struct str path);
/* Those, one after the other; NULL behind the last. */
const char *environment_system_directory(size_t index);

#endif
