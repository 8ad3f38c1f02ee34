/*
 * relay: the command's input and output on their way through the supervisor.
 *
 * The command never holds a descriptor of the caller's: what it reads and
 * writes are pipes, or a terminal of the sandbox's own.
 */
#ifndef AM_MACHINE_RELAY_H
#define AM_MACHINE_RELAY_H

#include <poll.h>

#include "base/base.h"
#include "base/err.h"

struct relay;

/* Makes the pipes (none for a terminal); ret_stdio are the command's ends, which the caller closes.
 */
int relay_new(bool terminal, int64_t output_bytes_max, struct relay **ret, int ret_stdio[3],
              struct err *err) MUST_CHECK;
void relay_free(struct relay *relay);

/* The supervisor's end of the sandbox's terminal; the caller's own becomes raw until relay_free. */
int relay_set_terminal(struct relay *relay, int terminal, struct err *err) MUST_CHECK;
/* Gives the terminal the size of the caller's. */
void relay_resize(struct relay *relay);

/* What the loop is to wait for: written anew before each poll. */
#define RELAY_POLLS 4
void relay_ask(const struct relay *relay, struct pollfd ret[RELAY_POLLS]);
/* Moves what the poll found. */
void relay_move(struct relay *relay, const struct pollfd polls[RELAY_POLLS]);
/* The command is gone: moves what is left of its output. */
void relay_drain(struct relay *relay);

int64_t relay_output_bytes(const struct relay *relay);
bool relay_output_truncated(const struct relay *relay);

#endif
