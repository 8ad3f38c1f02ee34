/*
 * storm_reader: from bytes to events, whatever the format.
 *
 * Each line says for itself what it is: a JSON object (`journalctl -o json`,
 * macOS `log show --style ndjson`, programs that log JSON) or text. A stream
 * whose line begins with `__CURSOR=` is the journal's export format until its
 * entry ends. What looks like JSON and is none is text.
 */
#ifndef AM_DOCTOR_STORM_READER_H
#define AM_DOCTOR_STORM_READER_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "doctor/storm.h"

struct storm_reader;

/* Told what became of each line or entry; a negative return ends the feed with it. */
typedef int storm_shown(void *context, enum storm_action action, struct str line, struct err *err);

/* `shown` may be NULL. The storm outlives the reader. ERR_MEMORY. */
int storm_reader_new(struct storm *storm, storm_shown *shown, void *context,
                     struct storm_reader **ret, struct err *err) MUST_CHECK;
void storm_reader_free(struct storm_reader *reader);

/* Bytes may be cut anywhere. */
int storm_reader_feed(struct storm_reader *reader, struct str bytes, struct err *err) MUST_CHECK;
/* The stream ends here, or goes on elsewhere: what was begun is a line. */
int storm_reader_end(struct storm_reader *reader, struct err *err) MUST_CHECK;

#endif
