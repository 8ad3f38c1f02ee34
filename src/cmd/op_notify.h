/* op_notify: a card on the desktop of who is asked. */
#ifndef AM_CMD_OP_NOTIFY_H
#define AM_CMD_OP_NOTIFY_H

#include "cmd/op.h"

/*
 * Has the plane show each new card as a desktop notification, where there is a session bus and
 * nobody sits at this process's terminal. It is shown by a process of its own, which nobody waits
 * for: a desktop that hangs holds up nothing.
 */
void op_notify_plug(struct plane_options *options);
/* The same for one card. */
void op_notify(void *context, const char *card);

int run_op_notify(const struct invocation *invocation);

#endif
