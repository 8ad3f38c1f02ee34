/*
 * storm_time: one reader for each shape of time, tried by what the text begins with.
 *
 * Theory of operation. Lines that follow one another mostly carry the same
 * time, or one whose text differs in its last bytes; the reader remembers the
 * last text and its moment and compares first. Otherwise the calendar's
 * numbers are read and counted to days without the C library, which is asked
 * for the zone only, once for every hour that occurs.
 */
#include "doctor/storm_time.h"

#include <time.h>

#include "base/clock.h"

#define MS_PER_SECOND INT64_C(1000)
#define MS_PER_HOUR   (INT64_C(3600) * MS_PER_SECOND)
#define MS_PER_DAY    (24 * MS_PER_HOUR)
/* A clock may be ahead by a day before a time without a year is taken for last year's. */
#define AHEAD_MS MS_PER_DAY
/* 1990 to 2199: what numbers of seconds are taken for times. */
#define SECONDS_MIN 631152000.0
#define SECONDS_MAX 7258118400.0

struct calendar {
    int year, month, day, hour, minute, second;
    int ms;
};

/* A place in the text that is being read. */
struct cursor {
    struct str text;
    size_t at;
};

static char peek(const struct cursor *cursor)
{
    return cursor->at < cursor->text.len ? cursor->text.ptr[cursor->at] : '\0';
}

static bool take(struct cursor *cursor, const char *any)
{
    char c = peek(cursor);
    if (!c || !strchr(any, c))
        return false;
    cursor->at++;
    return true;
}

/* Between `least` and `most` digits; -1 where there are others. */
static int take_number(struct cursor *cursor, size_t least, size_t most)
{
    int number = 0;
    size_t count = 0;
    for (; count < most; count++, cursor->at++) {
        unsigned digit = (unsigned char)peek(cursor) - (unsigned)'0';
        if (digit > 9)
            break;
        number = number * 10 + (int)digit;
    }
    return count < least ? -1 : number;
}

/* Milliseconds of a fraction of any length; 0 where there is none. */
static int take_fraction(struct cursor *cursor)
{
    int ms = 0, unit = 100;
    size_t start = cursor->at;
    if (!take(cursor, ".,"))
        return 0;
    for (; peek(cursor) >= '0' && peek(cursor) <= '9'; cursor->at++, unit /= 10)
        ms += (peek(cursor) - '0') * unit;
    if (cursor->at == start + 1)
        cursor->at = start;
    return ms;
}

/* The place of a name of three letters in a list of such; -1. */
static int take_name(struct cursor *cursor, const char *names)
{
    for (int i = 0; names[i * 3]; i++) {
        if (str_starts(str_from_offset(cursor->text, cursor->at),
                       str_make(names + (size_t)i * 3, 3))) {
            cursor->at += 3;
            return i;
        }
    }
    return -1;
}

static int take_month(struct cursor *cursor)
{
    return take_name(cursor, "JanFebMarAprMayJunJulAugSepOctNovDec") + 1;
}

static bool take_day_name(struct cursor *cursor)
{
    return take_name(cursor, "MonTueWedThuFriSatSun") >= 0 && take(cursor, " ");
}

static bool take_clock(struct cursor *cursor, struct calendar *calendar)
{
    calendar->hour = take_number(cursor, 2, 2);
    if (calendar->hour < 0 || calendar->hour > 23 || !take(cursor, ":"))
        return false;
    calendar->minute = take_number(cursor, 2, 2);
    if (calendar->minute < 0 || calendar->minute > 59 || !take(cursor, ":"))
        return false;
    calendar->second = take_number(cursor, 2, 2);
    calendar->ms = take_fraction(cursor);
    return calendar->second >= 0 && calendar->second <= 60;
}

/* Days since 1970 of a date of the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static int64_t calendar_ms(const struct calendar *calendar)
{
    int64_t seconds = ((int64_t)calendar->hour * 60 + calendar->minute) * 60 + calendar->second;
    return days_of(calendar->year, calendar->month, calendar->day) * MS_PER_DAY +
           seconds * MS_PER_SECOND + calendar->ms;
}

/* From this machine's zone. */
static int64_t from_local(struct storm_time_reader *reader, const struct calendar *calendar)
{
    int64_t ms = calendar_ms(calendar);
    int64_t hour = ms / MS_PER_HOUR;
    if (!reader->zone_known || hour != reader->zone_hour) {
        struct tm tm = { .tm_year = calendar->year - 1900,
                         .tm_mon = calendar->month - 1,
                         .tm_mday = calendar->day,
                         .tm_hour = calendar->hour,
                         .tm_isdst = -1 };
        int64_t seconds = (int64_t)mktime(&tm);
        reader->zone_ms = seconds * MS_PER_SECOND - hour * MS_PER_HOUR;
        reader->zone_hour = hour;
        reader->zone_known = true;
    }
    return ms + reader->zone_ms;
}

static bool date_is_real(const struct calendar *calendar)
{
    return calendar->year >= 1 && calendar->month >= 1 && calendar->month <= 12 &&
           calendar->day >= 1 && calendar->day <= 31;
}

/* "Z", "+01:00", "-0800", or nothing: then the zone is the machine's. */
static int64_t take_zone(struct storm_time_reader *reader, struct cursor *cursor,
                         const struct calendar *calendar)
{
    size_t start = cursor->at;
    if (take(cursor, "Zz"))
        return calendar_ms(calendar);
    bool west = peek(cursor) == '-';
    if (take(cursor, "+-")) {
        int hours = take_number(cursor, 2, 2);
        (void)take(cursor, ":");
        int minutes = take_number(cursor, 2, 2);
        if (hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60) {
            int64_t offset_ms = ((int64_t)hours * 60 + minutes) * 60 * MS_PER_SECOND;
            return calendar_ms(calendar) + (west ? offset_ms : -offset_ms);
        }
    }
    cursor->at = start;
    return from_local(reader, calendar);
}

static bool read_iso(struct storm_time_reader *reader, struct cursor *cursor, int64_t *ret_ms)
{
    struct calendar calendar = { .year = take_number(cursor, 4, 4) };
    if (calendar.year < 0 || !take(cursor, "-/."))
        return false;
    calendar.month = take_number(cursor, 2, 2);
    if (!take(cursor, "-/."))
        return false;
    calendar.day = take_number(cursor, 2, 2);
    if (!take(cursor, "Tt -") || !date_is_real(&calendar) || !take_clock(cursor, &calendar))
        return false;
    *ret_ms = take_zone(reader, cursor, &calendar);
    return true;
}

static void ask_today(struct storm_time_reader *reader)
{
    struct tm today;
    reader->now_ms = clock_now_ms();
    time_t now = (time_t)(reader->now_ms / MS_PER_SECOND);
    reader->year = localtime_r(&now, &today) ? today.tm_year + 1900 : 1970;
}

/* "Jun 14 15:16:01", with a year before or behind the clock or without one. */
static bool read_named(struct storm_time_reader *reader, struct cursor *cursor, int64_t *ret_ms)
{
    struct calendar calendar = { 0 };
    (void)take_day_name(cursor);
    calendar.month = take_month(cursor);
    if (!calendar.month || !take(cursor, " "))
        return false;
    (void)take(cursor, " ");
    calendar.day = take_number(cursor, 1, 2);
    if (!take(cursor, " "))
        return false;
    struct cursor year = *cursor;
    calendar.year = take_number(&year, 4, 4);
    if (calendar.year > 0 && take(&year, " "))
        *cursor = year;
    else
        calendar.year = 0;
    if (!take_clock(cursor, &calendar))
        return false;
    year = *cursor;
    if (!calendar.year && take(&year, " ")) {
        int number = take_number(&year, 4, 4);
        if (number >= 1970 && number <= 2199 && !(peek(&year) >= '0' && peek(&year) <= '9')) {
            calendar.year = number;
            *cursor = year;
        }
    }
    if (calendar.year) {
        if (!date_is_real(&calendar))
            return false;
        *ret_ms = from_local(reader, &calendar);
        return true;
    }
    if (!reader->now_ms)
        ask_today(reader);
    calendar.year = reader->year;
    if (!date_is_real(&calendar))
        return false;
    *ret_ms = from_local(reader, &calendar);
    if (*ret_ms > reader->now_ms + AHEAD_MS) {
        calendar.year--;
        *ret_ms = from_local(reader, &calendar);
    }
    return true;
}

/* Seconds since the kernel started, as in "[   12.345678]"; the bracket is passed over already. */
static bool read_kernel(struct storm_time_reader *reader, struct cursor *cursor, int64_t *ret_ms)
{
    while (take(cursor, " ")) {
    }
    int seconds = take_number(cursor, 1, 9);
    if (seconds < 0 || peek(cursor) != '.')
        return false;
    int ms = take_fraction(cursor);
    if (peek(cursor) != ']')
        return false;
    if (!reader->started_ms) {
        struct timespec up;
        clock_gettime(CLOCK_BOOTTIME, &up);
        reader->started_ms = clock_now_ms() - (int64_t)up.tv_sec * MS_PER_SECOND;
    }
    *ret_ms = reader->started_ms + seconds * MS_PER_SECOND + ms;
    return true;
}

bool storm_time_number(double number, int64_t *ret_ms)
{
    for (double unit = 1; unit <= 1e9; unit *= 1000) {
        if (number / unit >= SECONDS_MIN && number / unit <= SECONDS_MAX) {
            *ret_ms = (int64_t)(number / unit * (double)MS_PER_SECOND);
            return true;
        }
    }
    return false;
}

/* Ten, 13, 16 or 19 digits, and perhaps a fraction. */
static bool read_epoch(struct cursor *cursor, int64_t *ret_ms)
{
    int64_t number = 0;
    size_t digits = 0;
    for (; digits < 18 && peek(cursor) >= '0' && peek(cursor) <= '9'; digits++, cursor->at++)
        number = number * 10 + (peek(cursor) - '0');
    if ((digits != 10 && digits != 13 && digits != 16) ||
        (peek(cursor) >= '0' && peek(cursor) <= '9') || !storm_time_number((double)number, ret_ms))
        return false;
    int ms = take_fraction(cursor);
    if (digits == 10)
        *ret_ms += ms;
    return true;
}

static bool read_any(struct storm_time_reader *reader, struct cursor *cursor, int64_t *ret_ms)
{
    struct cursor start = *cursor;
    char first = peek(cursor);
    if (first >= 'A' && first <= 'Z')
        return read_named(reader, cursor, ret_ms);
    if (first >= '0' && first <= '9') {
        if (read_iso(reader, cursor, ret_ms))
            return true;
        *cursor = start;
        return read_epoch(cursor, ret_ms);
    }
    return false;
}

bool storm_time_read(struct storm_time_reader *reader, struct str text, int64_t *ret_ms,
                     size_t *ret_len)
{
    if (reader->text_len && text.len > reader->text_len &&
        memcmp(text.ptr, reader->text, reader->text_len) == 0 &&
        !(text.ptr[reader->text_len] >= '0' && text.ptr[reader->text_len] <= '9')) {
        *ret_ms = reader->moment_ms;
        *ret_len = reader->text_len;
        return true;
    }
    struct cursor cursor = { .text = text };
    bool in_bracket = take(&cursor, "[");
    struct cursor inner = cursor;
    bool found = read_any(reader, &cursor, ret_ms);
    if (!found && in_bracket) {
        cursor = inner;
        found = read_kernel(reader, &cursor, ret_ms);
    }
    if (!found || (in_bracket && !take(&cursor, "]")))
        return false;
    *ret_len = cursor.at;
    if (cursor.at <= sizeof(reader->text)) {
        memcpy(reader->text, text.ptr, cursor.at);
        reader->text_len = cursor.at;
        reader->moment_ms = *ret_ms;
    }
    return true;
}
