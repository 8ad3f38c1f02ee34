/*
 * own_run: a run of this program itself, such as `model serve`: an agent_machine.execution.start
 * whose effect is the caller's, without a sandbox (docs/decisions/0019-model-serve.md).
 */
#ifndef AM_CMD_OWN_RUN_H
#define AM_CMD_OWN_RUN_H

#include "cmd/op.h"
#include "plane/profile.h"
#include "plane/run_policy.h"

#define OWN_RUN_CANCELLED 130 /* exit status, as of a run */

struct own_run {
    struct plane *plane;
    struct layers *layers;
    struct profile profile;
    struct run_policy policy;
    int64_t ceiling[DIMENSION_COUNT]; /* the profile's, lowered by what was given */
    char urn[PLANE_URN_MAX];          /* the profile's */
};

/* `plug` says what the effect is; `profile` NULL: the personal one. */
int own_run_open(struct own_run *run, const struct plane_options *plug, const char *profile,
                 struct err *err) MUST_CHECK;
void own_run_release(struct own_run *run);
/* Lowers the ceiling by an option that may be repeated; ERR_USAGE. */
int own_run_lower(struct own_run *run, const struct invocation *invocation, size_t option,
                  struct err *err) MUST_CHECK;

struct own_run_command {
    const char *const *arguments; /* of this program, all of them safe to record */
    size_t argument_count;
    const char *delegation, *reason; /* may be NULL */
    const struct str *provider;      /* that it uses; may be NULL */
    const struct plane_choice *choices;
    size_t choice_count;
};
int own_run_submit(struct own_run *run, const struct own_run_command *command, struct outcome *ret,
                   struct err *err) MUST_CHECK;

#endif
