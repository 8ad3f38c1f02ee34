/* run_internal: what run.c and run_command.c share; nobody else includes it. */
#ifndef AM_CMD_RUN_INTERNAL_H
#define AM_CMD_RUN_INTERNAL_H

#include "cmd/detach.h"
#include "cmd/first.h"
#include "cmd/run_ask.h"
#include "cmd/run_continue.h"
#include "cmd/run_fetch.h"
#include "cmd/run_image.h"
#include "cmd/run_options.h"
#include "cmd/run_surface.h"
#include "machine/authorities.h"
#include "machine/facts.h"
#include "plane/execution.h"
#include "plane/profile.h"
#include "plane/run_policy.h"

#define STEP_RUN "run a command"

/* Everything that a run needs between its options and its end. */
struct running {
    const struct invocation *invocation;
    struct str submitted; /* the command, where somebody else has written it; else empty */
    struct facts facts;
    struct first first;
    struct plane *plane;
    struct layers *layers;
    struct profile profile;
    struct plan_request request;
    struct run_given given;
    struct run_policy policy;
    struct authorities authorities;
    struct plan *plan;
    struct launch *ahead; /* of the plan */
    struct trace trace;
    struct execution execution;
    struct run_surface surface;
    struct run_continue from;
    struct run_image image;
    struct run_fetch fetch;
    char own_places[PLAN_OWN_PLACES][FACTS_PATH_SIZE];
    char name[PLANE_URN_MAX]; /* of the run: of its command, its operation and its folder */
    char program[FACTS_PATH_SIZE], secret[PLACE_SIZE + 32], digests[PLACE_SIZE + 32];
    struct outcome outcome;
    struct detached detached; /* where it is to be */
    struct run_ask ask;
};

/* Writes the run's OperationCommand, or takes the one that was submitted, and names the run by it.
 */
int run_command_write(struct running *run, struct buf *ret, struct err *err) MUST_CHECK;

#endif
