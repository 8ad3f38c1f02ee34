/*
 * denial_log: the denials of a run as a file that the run itself may read.
 *
 * JSON, one denial to a line; a program inside finds there what to do about
 * it. What is denied again changes the count and the last moment of its line,
 * in place, so that the file grows with things and not with attempts.
 */
#ifndef AM_DOORS_NETWORK_DENIAL_LOG_H
#define AM_DOORS_NETWORK_DENIAL_LOG_H

#include "authority/verdict.h"
#include "base/base.h"
#include "doors/network/uses.h"

struct denial_log {
    int fd; /* the caller's; -1: nothing is written */
    off_t end;
};

/* A new line; a log that cannot be written is one line shorter. */
void denial_log_add(struct denial_log *log, struct use_entry *entry, const struct verdict *verdict);
/* The line of an entry that was met again, if it has one. */
void denial_log_repeat(const struct denial_log *log, const struct use_entry *entry);

#endif
