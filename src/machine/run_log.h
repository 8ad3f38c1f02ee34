/*
 * run_log: what a command printed, kept with its secrets masked.
 *
 * A file `log` (mode 0600) in the run's folder, written while the command
 * runs. Nothing is made, loaded or scanned before the first byte comes.
 */
#ifndef AM_MACHINE_RUN_LOG_H
#define AM_MACHINE_RUN_LOG_H

#include "base/base.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/redact.h"

#define RUN_LOG_NAME     "log"
#define RUN_LOG_CHANNELS 2 /* the command's output and its errors; a secret is in one of them */

struct run_log;

struct run_log_end {
    bool kept;      /* there is a log; `digest` is of the whole of it */
    bool truncated; /* it reached its limit, or could not be written or scanned any more */
    char digest[DIGEST_TEXT_SIZE];
    uint64_t masked[REDACT_KIND_COUNT];
};

/* The folder need not exist before the first byte comes. */
int run_log_new(const char *folder, int64_t bytes_max, struct run_log **ret,
                struct err *err) MUST_CHECK;
void run_log_free(struct run_log *log);

/* What cannot be kept ends the log, and not the run. */
void run_log_add(struct run_log *log, size_t channel, struct str bytes);
/* When run_log_flush is to be called, in milliseconds of clock_now_ms; 0: nothing waits. */
int64_t run_log_due(const struct run_log *log);
/* Writes what has waited long enough for the rest of its line. */
void run_log_flush(struct run_log *log, int64_t now_ms);
/* Writes all that waits; nothing is added any more. */
void run_log_finish(struct run_log *log, struct run_log_end *ret);

#endif
