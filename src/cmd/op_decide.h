/* op_decide: the verbs for decision cards. */
#ifndef AM_CMD_OP_DECIDE_H
#define AM_CMD_OP_DECIDE_H

#include "cmd/op.h"

#define OP_PENDING_OPTION_COUNT 2
#define OP_DECIDE_OPTION_COUNT  6

extern const struct option_row op_pending_options[OP_PENDING_OPTION_COUNT];
extern const struct option_row op_decide_options[OP_DECIDE_OPTION_COUNT];

int run_op_pending(const struct invocation *invocation);
#define OP_LEASES_OPTION_COUNT 2
extern const struct option_row op_leases_options[OP_LEASES_OPTION_COUNT];
int run_op_leases(const struct invocation *invocation);
/* Prints the leases that hold for a thing, each with how it is taken back; none is nothing. */
void op_print_leases_of(struct str name);
int run_op_decide(const struct invocation *invocation);

struct card;
/* One card as a person sees it: what is asked, by which layer, and what may be answered. */
void op_print_card(FILE *stream, const struct card *card);
/* Prints the cards of an operation. */
int op_print_cards(struct plane *plane, struct str operation, struct err *err) MUST_CHECK;

#endif
