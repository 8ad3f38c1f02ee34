/*
 * storm_time: the time that a log line carries.
 *
 * Known: RFC 3339 and what resembles it (blank for T, comma for full stop,
 * slashes, offset or none), syslog's "Jun 14 15:16:01", Apache's
 * "Sun Dec 04 04:47:44 2005", seconds, milliseconds, microseconds or
 * nanoseconds since 1970, and the kernel's "[ 12.345678]" since its start.
 * A time without an offset is in the zone of this machine; one without a year
 * is the last such day that is not in the future.
 */
#ifndef AM_DOCTOR_STORM_TIME_H
#define AM_DOCTOR_STORM_TIME_H

#include "base/base.h"
#include "base/str.h"

#define STORM_TIME_TEXT_MAX 40

/* What a reader of times remembers from one line to the next. Zeroed before use. */
struct storm_time_reader {
    char text[STORM_TIME_TEXT_MAX]; /* the time that was read last, as it stood there */
    size_t text_len;
    int64_t moment_ms;
    int64_t zone_hour; /* the hour since 1970, by the local calendar, that zone_ms belongs to */
    int64_t zone_ms;   /* what is added to the local calendar's time */
    bool zone_known;
    int64_t now_ms;     /* when years are not written: about now; 0: not asked yet */
    int year;           /* now */
    int64_t started_ms; /* of the kernel; 0: not asked yet */
};

/*
 * Reads a time at the start of a text. False where there is none; else its
 * moment and how many bytes it takes.
 */
bool storm_time_read(struct storm_time_reader *reader, struct str text, int64_t *ret_ms,
                     size_t *ret_len) MUST_CHECK;

/* The moment of a number since 1970 in whatever unit makes it a time of our age; false else. */
bool storm_time_number(double number, int64_t *ret_ms) MUST_CHECK;

#endif
