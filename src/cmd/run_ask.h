/* run_ask: a run that waits for a person, at whose terminal it was given. */
#ifndef AM_CMD_RUN_ASK_H
#define AM_CMD_RUN_ASK_H

#include "plane/execution.h"
#include "plane/plane.h"

#define RUN_ASK_QUEUE_MAX 16

struct run_ask {
    char asked[PLANE_URN_MAX]; /* what stands at the terminal: a card, or a tool; empty: nothing */
    bool busy;                 /* an answer is on its way */
    bool is_here;              /* somebody sits at the terminal */
    struct plane *plane;       /* while the command runs */
    char queue[RUN_ASK_QUEUE_MAX][PLANE_URN_MAX]; /* cards to be asked about, the first one now */
    size_t count;
    struct run_questions questions;
};

/*
 * Has the plane wait for answers that are asked for here. Where standard input and errors are no
 * terminal, or the run is in its background, nothing is plugged in, and what waits is denied for
 * now.
 */
void run_ask_plug(struct run_ask *ask, struct plane_options *options);
/* Asks there about a card that was queued; false where nobody is. `context` is the run_ask. */
bool run_ask_offer(void *context, const char *card);
/* What the doors leave to a person while the command runs is asked for there too. */
void run_ask_doors(struct run_ask *ask, struct plane *plane, struct execution *execution);

#endif
