/* run_options: the options of `run`, and what they give. */
#ifndef AM_CMD_RUN_OPTIONS_H
#define AM_CMD_RUN_OPTIONS_H

#include "cmd/run_mounts.h"
#include "cmd/verb.h"
#include "machine/plan.h"
#include "plane/execution.h"
#include "plane/plane.h"

enum run_option {
    OPTION_PROFILE,
    OPTION_MOUNT,
    OPTION_ENV,
    OPTION_ALLOW,
    OPTION_DENY,
    OPTION_PUBLISH,
    OPTION_PROXY_ENV,
    OPTION_IMAGE,
    OPTION_ALONE,
    OPTION_RUNTIME,
    OPTION_FETCH,
    OPTION_DIRECTORY,
    OPTION_TIER,
    OPTION_BUDGET,
    OPTION_DELEGATION,
    OPTION_KEY,
    OPTION_RETRY,
    OPTION_REASON,
    OPTION_CONTINUE,
    OPTION_DISCARD,
    OPTION_ASK,
    OPTION_DETACH,
    OPTION_INTERACTIVE,
    OPTION_DRY_RUN,
    OPTION_TRACE,
    OPTION_JSON,
    OPTION_COUNT
};

extern const struct option_row run_options[OPTION_COUNT];

#define RUN_VARIABLES_MAX (VERB_GIVEN_MAX + 16) /* those of a proxy are the rest */

/* What was given more than once, or has to be read. */
struct run_given {
    struct run_mounts mounts;
    const char *variables[RUN_VARIABLES_MAX + 1];
    struct plane_choice choices[VERB_GIVEN_MAX];
    size_t choice_count;
    struct publish_port ports[PUBLISH_PORTS_MAX];
    size_t port_count;
    int64_t ceiling[DIMENSION_COUNT];
    int ask_ms; /* about what it changed */
};

/* Reads them, and enters in the request what is asked for there; `ret` outlives the request. */
int run_options_read(const struct invocation *invocation, struct run_given *ret,
                     struct plan_request *request, struct err *err) MUST_CHECK;
/* What is wrong with the words of a run. */
int run_usage(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
