/* clock: moments in milliseconds since 1970, and as the timestamps of documents (RFC 3339, UTC). */
#ifndef AM_BASE_CLOCK_H
#define AM_BASE_CLOCK_H

#include "base/base.h"
#include "base/str.h"

#define CLOCK_TEXT_SIZE 25 /* "2026-11-20T09:00:00.012Z" and NUL */

int64_t clock_now_ms(void);
/* Milliseconds since the machine started, also while it slept: nobody can set it. */
int64_t clock_passed_ms(void);
/* For years 1970 to 9999; earlier and later moments are written as the nearest of these. */
void clock_text(int64_t moment_ms, char ret[CLOCK_TEXT_SIZE]);
/*
 * Reads `YYYY-MM-DDTHH:MM:SS[.fraction]Z`; what is finer than a millisecond is cut off. False
 * where it is none or names no real date (second 60 counts as the next minute's first).
 */
bool clock_parse(struct str text, int64_t *ret_moment_ms) MUST_CHECK;

#define CLOCK_DURATION_MS_MAX (INT64_C(3650) * 24 * 3600 * 1000)
/*
 * Reads a duration as a person writes one: 8h, 45m, 7d, 1h30m, 90s. False where it is none, is
 * zero or lasts longer than ten years.
 */
bool clock_parse_duration(struct str text, int64_t *ret_ms) MUST_CHECK;

#endif
