/* tell: how verbs speak to people and to programs. */
#ifndef AM_CMD_TELL_H
#define AM_CMD_TELL_H

#include "base/base.h"
#include "base/err.h"
#include "cmd/verb.h"

#define EXIT_OK       0
#define EXIT_NEGATIVE 1
#define EXIT_USAGE    2
#define EXIT_INVALID  65

enum colour { COLOUR_GOOD, COLOUR_BAD, COLOUR_WARN, COLOUR_DIM };

/* The escape that begins a colour on this stream; empty unless it is a terminal that wants them. */
const char *tell_colour(FILE *stream, enum colour colour);
const char *tell_colour_end(FILE *stream);

/* Prints text that others wrote: control characters become \\xNN, so that none reaches a terminal.
 */
void tell_text(FILE *stream, const char *text);

/* "3d", "5h": a length of time in its largest unit. */
#define TELL_AGE_SIZE 24
void tell_age(int64_t seconds, char ret[TELL_AGE_SIZE]);

/* Says an error on standard error, once, and returns the exit status that belongs to it. */
int tell_error(const struct invocation *invocation, const struct err *err);
/* Says that the command line is wrong, and where to read on; returns EXIT_USAGE. */
int tell_usage(const char *path, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
