/* run_ask: a run that waits for a person, at whose terminal it was given. */
#ifndef AM_CMD_RUN_ASK_H
#define AM_CMD_RUN_ASK_H

#include "plane/plane.h"

struct run_ask {
    char asked[PLANE_URN_MAX]; /* what stands at the terminal: a card, or a tool; empty: nothing */
    bool busy;                 /* an answer is on its way */
};

/*
 * Has the plane wait for answers that are asked for here. Where standard input and errors are no
 * terminal, or the run is in its background, nothing is plugged in, and what waits is denied for
 * now.
 */
void run_ask_plug(struct run_ask *ask, struct plane_options *options);

#endif
