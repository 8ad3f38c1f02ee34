/*
 * storm_keep: what of a log is held back leaves its digest in the ledger.
 *
 * Whatever the log, no more than STORM_KEEP_EVENTS storms are told one by one
 * in an hour; what comes beyond is drawn together into one event, at the end
 * of the hour or of the log.
 */
#ifndef AM_CMD_STORM_KEEP_H
#define AM_CMD_STORM_KEEP_H

#include "base/redact.h"
#include "doctor/storm.h"

#define STORM_KEEP_EVENTS  64
#define STORM_KEEP_HOUR_MS ((int64_t)3600 * 1000)

struct storm_keep;

/*
 * Opens the user's ledger, which is made where there is none. `slots` is how many signatures a
 * storm keeps. ERR_UNSUPPORTED, ERR_DAMAGED, ERR_IO, ERR_USAGE, ERR_MEMORY with what to do.
 */
int storm_keep_open(const struct storm_config *config, struct storm_keep **ret,
                    struct err *err) MUST_CHECK;
void storm_keep_close(struct storm_keep *keep);

/*
 * A storm may have held back more than was noted of it: notes it where that is twice as much, or
 * where this is the last that is known of it. Nothing is durable yet.
 */
int storm_keep_note(struct storm_keep *keep, const struct storm *storm, size_t slot, bool is_last,
                    struct redact_scanner *scanner, struct err *err) MUST_CHECK;
/* Makes durable what was noted; what cannot be is tried again with the next, unless it is the last.
 */
int storm_keep_commit(struct storm_keep *keep, bool is_last, struct err *err) MUST_CHECK;

#endif
