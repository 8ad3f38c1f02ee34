/* run_print: what `run` says: its plan, its end, its stops. */
#ifndef AM_CMD_RUN_PRINT_H
#define AM_CMD_RUN_PRINT_H

#include "machine/git_link.h"
#include "plane/execution.h"

struct run_report {
    const struct plan *plan;
    const struct outcome *outcome;
    const struct execution *execution;
    int status;
};

/* Returns the exit status. */
int run_print_plan(const struct plan *plan, bool as_json);
/* On standard error: the command's output is the command's. Nothing where there is nothing to say.
 */
void run_print_end(const struct run_report *report);
void run_print_json(const struct run_report *report);
void run_print_trace(const struct trace *trace);
/* On standard error, where a work tree's git data lies elsewhere and the plan does not show it. */
void run_tell_git(const struct git_link *git, const struct plan *plan);

#endif
