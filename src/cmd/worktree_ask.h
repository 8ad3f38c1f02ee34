/* worktree_ask: what becomes of the changes of a run that has just ended on a terminal. */
#ifndef AM_CMD_WORKTREE_ASK_H
#define AM_CMD_WORKTREE_ASK_H

#include "cmd/verb.h"

#define WORKTREE_ASK_MS     (10 * 60 * 1000) /* for one answer, where nothing else is said */
#define WORKTREE_ASK_MS_MAX (24 * 60 * 60 * 1000)

/*
 * Asks the person, and does it. Nothing is asked where input or error output is no terminal, or
 * somebody else has it: then the change set is kept, as it is where nothing is answered in time.
 */
void worktree_ask(const struct invocation *of_run, const char *run, int timeout_ms);

/*
 * Asks on error output; the first letter of what the person types, 0 at the end of the input, or
 * where nobody answers in time.
 */
char worktree_ask_letter(const char *question, int timeout_ms);

#endif
