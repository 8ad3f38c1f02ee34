/* op_read: the verbs of `op` that only look. */
#ifndef AM_CMD_OP_READ_H
#define AM_CMD_OP_READ_H

#include "cmd/op.h"

#define OP_LIST_OPTION_COUNT   2
#define OP_EVENTS_OPTION_COUNT 2

extern const struct option_row op_list_options[OP_LIST_OPTION_COUNT];
extern const struct option_row op_events_options[OP_EVENTS_OPTION_COUNT];

int run_op_list(const struct invocation *invocation);
int run_op_events(const struct invocation *invocation);

#endif
