/*
 * format_time: dates, times and durations, by the grammar of RFC 3339.
 *
 * A second of 60 is a leap second, which exists only as the last of a day in
 * UTC; whether that day had one is not checked, for the list of them grows.
 */
#include "contract/format_internal.h"

/* Two digits at `at`, or -1. */
static int two_digits(struct str text, size_t at)
{
    if (text.len < at + 2 || !is_digit(text.ptr[at]) || !is_digit(text.ptr[at + 1]))
        return -1;
    return (text.ptr[at] - '0') * 10 + (text.ptr[at + 1] - '0');
}

static bool is_byte(struct str text, size_t at, const char *either)
{
    return at < text.len && text.ptr[at] && strchr(either, text.ptr[at]);
}

static int days_of_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

#define DATE_LEN ((size_t)10)

int format_date(struct str value, struct err *err)
{
    (void)err;
    if (value.len != DATE_LEN || value.ptr[4] != '-' || value.ptr[7] != '-')
        return 0;
    int century = two_digits(value, 0), year = two_digits(value, 2);
    int month = two_digits(value, 5), day = two_digits(value, 8);
    if (century < 0 || year < 0 || month < 1 || month > 12)
        return 0;
    return day >= 1 && day <= days_of_month(century * 100 + year, month);
}

/* The offset at `at`, up to the end, in minutes east of UTC. */
static bool parse_offset(struct str text, size_t at, int *ret_minutes)
{
    if (is_byte(text, at, "Zz") && text.len == at + 1) {
        *ret_minutes = 0;
        return true;
    }
    int hours = two_digits(text, at + 1), minutes = two_digits(text, at + 4);
    if (!is_byte(text, at, "+-") || !is_byte(text, at + 3, ":") || text.len != at + 6 ||
        hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return false;
    *ret_minutes = (hours * 60 + minutes) * (text.ptr[at] == '-' ? -1 : 1);
    return true;
}

int format_time(struct str value, struct err *err)
{
    enum { DAY_MINUTES = 24 * 60 };
    (void)err;
    int hour = two_digits(value, 0), minute = two_digits(value, 3), second = two_digits(value, 6);
    if (!is_byte(value, 2, ":") || !is_byte(value, 5, ":") || hour < 0 || hour > 23 || minute < 0 ||
        minute > 59 || second < 0 || second > 60)
        return 0;
    size_t at = 8;
    if (is_byte(value, at, ".")) {
        size_t first = ++at;
        while (at < value.len && is_digit(value.ptr[at]))
            at++;
        if (at == first)
            return 0;
    }
    int offset;
    if (!parse_offset(value, at, &offset))
        return 0;
    int utc = (hour * 60 + minute - offset + DAY_MINUTES) % DAY_MINUTES;
    return second < 60 || utc == DAY_MINUTES - 1;
}

int format_date_time(struct str value, struct err *err)
{
    return is_byte(value, DATE_LEN, "Tt") && format_date(str_make(value.ptr, DATE_LEN), err) &&
           format_time(str_from_offset(value, DATE_LEN + 1), err);
}

/*
 * Numbers with the units of `units`, each followed by none but the next one (RFC 3339 appendix
 * A). Moves *at past them; false where there is none, or one out of line.
 */
static bool parse_units(struct str text, const char *units, size_t *at)
{
    const char *unit = NULL;
    size_t i = *at;
    while (i < text.len && is_digit(text.ptr[i])) {
        while (i < text.len && is_digit(text.ptr[i]))
            i++;
        const char *found = i < text.len && text.ptr[i] ? strchr(units, text.ptr[i]) : NULL;
        if (!found || (unit && found != unit + 1))
            return false;
        unit = found;
        i++;
    }
    *at = i;
    return unit;
}

int format_duration(struct str value, struct err *err)
{
    (void)err;
    size_t at = 1;
    if (!value.len || value.ptr[0] != 'P')
        return 0;
    if (parse_units(value, "W", &at))
        return at == value.len;
    if (!is_byte(value, at, "T") && !parse_units(value, "YMD", &at))
        return 0;
    if (at == value.len)
        return 1;
    at++;
    return value.ptr[at - 1] == 'T' && parse_units(value, "HMS", &at) && at == value.len;
}
