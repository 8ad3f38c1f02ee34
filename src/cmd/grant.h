/* grant: what the verbs below `grant` share. */
#ifndef AM_CMD_GRANT_H
#define AM_CMD_GRANT_H

#include "cmd/verb.h"

int run_grant_surfaces(const struct invocation *invocation);
#define GRANT_SURFACES_OPTION_COUNT 1
extern const struct option_row grant_surfaces_options[GRANT_SURFACES_OPTION_COUNT];

#endif
