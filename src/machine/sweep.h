/* sweep: the folder of a run whose supervisor died. */
#ifndef AM_MACHINE_SWEEP_H
#define AM_MACHINE_SWEEP_H

#include "base/base.h"
#include "base/str.h"

/*
 * Removes what only a living run needs, and what nobody wrote to; a change set and a log stay. What
 * cannot be removed stays too. `name` is the run's; one that is no plain word is no run's.
 */
void run_sweep(const char *state_folder, struct str name);

#endif
