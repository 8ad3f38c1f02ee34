/* worktree_ask: what becomes of the changes of a run that has just ended on a terminal. */
#ifndef AM_CMD_WORKTREE_ASK_H
#define AM_CMD_WORKTREE_ASK_H

#include "cmd/verb.h"

/*
 * Asks the person, and does it. Nothing is asked where input or error output is no terminal: then
 * the change set is kept, as it is where nothing is answered.
 */
void worktree_ask(const struct invocation *of_run, const char *run);

/* Asks on error output; the first letter of what the person types, 0 at the end of the input. */
char worktree_ask_letter(const char *question);

#endif
