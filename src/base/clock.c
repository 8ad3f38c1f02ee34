/* clock: see the header. */
#include "base/clock.h"

#include <time.h>

#define MS_PER_SECOND 1000
#define MOMENT_MS_MAX INT64_C(253402300799999) /* the last of the year 9999 */

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * MS_PER_SECOND + now.tv_nsec / 1000000;
}

int64_t clock_now_ms(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_passed_ms(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

/*
 * The date of a day counted from 1970-01-01. Years are counted from March, so that a leap day is
 * the last of its year; gmtime_r does the same, and reads the host's time zone before.
 */
static void date_of(unsigned day, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    day += 719468;                                      /* from 0000-03-01 on */
    unsigned era = day / 146097, of_era = day % 146097; /* of 400 years */
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * of_year + 2) / 153; /* 0: March */
    *ret_day = of_year - (153 * month + 2) / 5 + 1;
    *ret_month = month < 10 ? month + 3 : month - 9;
    *ret_year = era * 400 + year + (month >= 10);
}

static void put_number(char *at, size_t digits, unsigned number, char after)
{
    at[digits] = after;
    for (; digits; number /= 10)
        at[--digits] = (char)('0' + number % 10);
}

void clock_text(int64_t moment_ms, char ret[CLOCK_TEXT_SIZE])
{
    int64_t moment = moment_ms < 0 ? 0 : moment_ms > MOMENT_MS_MAX ? MOMENT_MS_MAX : moment_ms;
    int64_t seconds = moment / MS_PER_SECOND;
    unsigned of_day = (unsigned)(seconds % 86400), year, month, day;
    date_of((unsigned)(seconds / 86400), &year, &month, &day);
    put_number(ret, 4, year, '-');
    put_number(ret + 5, 2, month, '-');
    put_number(ret + 8, 2, day, 'T');
    put_number(ret + 11, 2, of_day / 3600, ':');
    put_number(ret + 14, 2, of_day / 60 % 60, ':');
    put_number(ret + 17, 2, of_day % 60, '.');
    put_number(ret + 20, 3, (unsigned)(moment % MS_PER_SECOND), 'Z');
    ret[CLOCK_TEXT_SIZE - 1] = '\0';
}

/* The number that `count` digits from an offset on make; -1 where one is no digit. */
static int digits(struct str text, size_t offset, size_t count)
{
    int number = 0;
    for (size_t i = offset; i < offset + count; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -1;
        number = number * 10 + (text.ptr[i] - '0');
    }
    return number;
}

/* The milliseconds of what stands behind the seconds; -1 where it is not as it should be. */
static int fraction(struct str rest)
{
    int ms = 0, unit = 100;
    if (str_equal(rest, STR("Z")))
        return 0;
    if (rest.len < 3 || rest.ptr[0] != '.' || rest.ptr[rest.len - 1] != 'Z')
        return -1;
    for (size_t i = 1; i + 1 < rest.len; i++, unit /= 10) {
        int digit = digits(rest, i, 1);
        if (digit < 0)
            return -1;
        ms += digit * unit;
    }
    return ms;
}

bool clock_parse(struct str text, int64_t *ret_moment_ms)
{
    static const char shape[] = "....-..-..T..:..:..";
    const size_t whole = sizeof(shape) - 1;
    if (text.len <= whole)
        return false;
    for (size_t i = 0; i < whole; i++)
        if (shape[i] != '.' && text.ptr[i] != shape[i])
            return false;
    int year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
    int hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
    int ms = fraction(str_from_offset(text, whole));
    if (year < 1970 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 ||
        minute > 59 || second < 0 || second > 60 || ms < 0)
        return false;
    struct tm calendar = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day };
    time_t midnight = timegm(&calendar);
    if (calendar.tm_mday != day || calendar.tm_mon != month - 1)
        return false; /* the 30th of February went over into March */
    *ret_moment_ms = ((int64_t)midnight + hour * 3600 + minute * 60 + second) * MS_PER_SECOND + ms;
    return true;
}

bool clock_parse_duration(struct str text, int64_t *ret_ms)
{
    static const struct {
        char letter;
        int64_t ms;
    } units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };
    int64_t sum = 0;
    for (size_t at = 0; at < text.len; at++) {
        int64_t number = 0;
        size_t first = at, unit = 0;
        for (int digit; at < text.len && (digit = digits(text, at, 1)) >= 0; at++)
            number = number > CLOCK_DURATION_MS_MAX ? number : number * 10 + digit;
        if (at == first || at == text.len)
            return false;
        while (unit < ARRAY_LEN(units) && units[unit].letter != text.ptr[at])
            unit++;
        if (unit == ARRAY_LEN(units) || number > (CLOCK_DURATION_MS_MAX - sum) / units[unit].ms)
            return false;
        sum += number * units[unit].ms;
    }
    if (sum > 0)
        *ret_ms = sum;
    return sum > 0;
}
