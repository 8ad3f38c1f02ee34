/*
 * place: where the program keeps what is the user's, by the XDG Base Directory specification.
 *
 * Each writes an absolute path without a slash at its end; nothing is made. ERR_USAGE where
 * neither the variable nor HOME is an absolute path, ERR_LIMIT where the path does not fit.
 */
#ifndef AM_BASE_PLACE_H
#define AM_BASE_PLACE_H

#include "base/base.h"
#include "base/err.h"

#define PLACE_SIZE 4096 /* enough for every path the kernel takes */

/* $XDG_CONFIG_HOME/agent-machine, or ~/.config/agent-machine: keys and documents. */
int place_config(char *ret, size_t size, struct err *err) MUST_CHECK;
/* $XDG_STATE_HOME/agent-machine, or ~/.local/state/agent-machine: the ledger. */
int place_state(char *ret, size_t size, struct err *err) MUST_CHECK;

#endif
