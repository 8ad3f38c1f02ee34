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
#include "base/str.h"

struct relay;

struct relay_options {
    bool terminal;    /* the command's streams are one */
    bool listened;    /* all output is read, also where the caller sends it nowhere */
    bool alone;       /* no caller: nothing is read from this process's streams, or written there */
    bool interactive; /* alone, and no terminal: input stays open for relay_type */
    int64_t output_bytes_max;
};

/* Makes the pipes (none for a terminal); ret_stdio are the command's ends, which the caller closes.
 */
int relay_new(const struct relay_options *options, struct relay **ret, int ret_stdio[3],
              struct err *err) MUST_CHECK;
void relay_free(struct relay *relay);

/*
 * The supervisor's end of the sandbox's terminal; the caller's own becomes raw until relay_free,
 * except for a run that is alone.
 */
int relay_set_terminal(struct relay *relay, int terminal, struct err *err) MUST_CHECK;
/* Gives the terminal the size of the caller's. */
void relay_resize(struct relay *relay);
void relay_set_size(struct relay *relay, int rows, int columns);

/* Hears all output; `channel` is 0 for what goes to standard output, 1 for errors. */
typedef void relay_listener(void *context, size_t channel, struct str bytes);
void relay_listen(struct relay *relay, relay_listener *listener, void *context);

/*
 * Whether the caller's terminal is taken from the command for a moment: none of its output is shown
 * and nothing that is typed reaches it, while lines are read from the terminal by somebody else.
 * False: there is no terminal to take.
 */
bool relay_hold(struct relay *relay, bool held);

/* What the loop is to wait for, with output or without: written anew before each poll. */
#define RELAY_POLLS 6
void relay_ask(const struct relay *relay, bool output, struct pollfd ret[RELAY_POLLS]);
/* Moves what the poll found. */
void relay_move(struct relay *relay, const struct pollfd polls[RELAY_POLLS]);
/* Whether it has input that is not over, and whether it takes some of it now. */
bool relay_has_input(const struct relay *relay);
bool relay_takes_input(const struct relay *relay);
/* At most a page, where it takes some; empty is the end of input that has no other source. */
void relay_type(struct relay *relay, struct str bytes);
/* The command is gone: moves what is left, to a reader who takes it within a time; -1: any time. */
void relay_drain(struct relay *relay, int timeout_ms);

int64_t relay_output_bytes(const struct relay *relay);
bool relay_output_truncated(const struct relay *relay);

#endif
