/*
 * run_alone: a container that is an operation of its own, agent_machine.container.run.
 *
 * `run --alone` writes the command for one. `op submit` takes one that somebody else wrote: it is
 * carried out by the words that a person would have typed for it.
 */
#ifndef AM_CMD_RUN_ALONE_H
#define AM_CMD_RUN_ALONE_H

#include "cmd/verb.h"

/* Whether a document asks for one. */
bool run_alone_is(const yyjson_val *command);
/* Carries out what `text`, the same document, asks for; returns the exit status of the run. */
int run_alone_submit(const struct invocation *invocation, const yyjson_val *command,
                     struct str text, bool json);

/* --- run.c --------------------------------------------------------------------------------- */

/* A run by its words; `command` is its OperationCommand, empty where the run is to write one. */
int run_carry_out(const struct invocation *invocation, struct str command);

#endif
