/*
 * storm_header: what stands before the message of a log line.
 *
 * Priority, time, host, component with its process, and level, as syslog (RFC
 * 3164 and 5424), systemd, macOS and most programs write them. What is not
 * recognised stays a part of the message.
 */
#ifndef AM_DOCTOR_STORM_HEADER_H
#define AM_DOCTOR_STORM_HEADER_H

#include "base/base.h"
#include "base/str.h"
#include "doctor/storm_time.h"

/* In the order of the contracts' words. */
enum storm_severity {
    STORM_DEBUG,
    STORM_INFO,
    STORM_WARN,
    STORM_ERROR,
    STORM_CRITICAL,
    STORM_SEVERITY_COUNT
};

extern const char *const storm_severity_names[STORM_SEVERITY_COUNT];

/* One event, whatever line it was written in. Empty or 0: it is not said. */
struct storm_event {
    struct str message;
    struct str component;
    struct str session;
    struct str object; /* what was asked for, where the event says so in a field of its own */
    int64_t time_ms;
    bool has_time;
    uint32_t pid;
    enum storm_severity severity;
    bool has_severity;
};

/* The time at the start of a line, behind a priority. */
bool storm_header_time(struct storm_time_reader *reader, struct str line, int64_t *ret_ms,
                       size_t *ret_end) MUST_CHECK;

void storm_header_read(struct storm_time_reader *reader, struct str line, struct storm_event *ret);

/* A word for a level ("WARN", "fatal", "E"); false where it is none. */
bool storm_severity_read(struct str word, enum storm_severity *ret) MUST_CHECK;
/* syslog's priorities, 0 to 7. */
enum storm_severity storm_severity_of_priority(unsigned priority);

#endif
