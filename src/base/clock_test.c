#include "base/clock.h"

#include <time.h>

#include "base/test.h"

TEST(moments_are_read_and_written)
{
    static const struct {
        const char *text;
        int64_t ms;
        const char *written;
    } cases[] = {
        { "1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000Z" },
        { "2026-11-20T09:00:00.012Z", INT64_C(1795165200012), "2026-11-20T09:00:00.012Z" },
        { "2024-02-29T23:59:59.9Z", INT64_C(1709251199900), "2024-02-29T23:59:59.900Z" },
        { "2016-12-31T23:59:60Z", INT64_C(1483228800000), "2017-01-01T00:00:00.000Z" },
        { "2026-11-20T09:00:00.012999999Z", INT64_C(1795165200012), "2026-11-20T09:00:00.012Z" },
        { "9999-12-31T23:59:59.999Z", INT64_C(253402300799999), "9999-12-31T23:59:59.999Z" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[CLOCK_TEXT_SIZE];
        int64_t ms = -1;
        CHECK(clock_parse(str_from(cases[i].text), &ms));
        CHECK_INT(ms, cases[i].ms);
        clock_text(ms, text);
        CHECK_TEXT(text, cases[i].written);
    }
}

TEST(every_day_is_written_as_the_c_library_has_it)
{
    for (int64_t day = 0; day < 2932897; day += day < 60000 ? 1 : 37) { /* up to 9999-12-31 */
        time_t seconds = day * 86400 + day % 86400;
        char text[CLOCK_TEXT_SIZE], expected[64];
        struct tm calendar;
        gmtime_r(&seconds, &calendar);
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000Z", &calendar);
        clock_text((int64_t)seconds * 1000, text);
        CHECK_TEXT(text, expected);
    }
}

TEST(what_is_no_moment_in_utc_is_refused)
{
    static const char *const cases[] = {
        "",
        "2026-11-20",
        "2026-11-20T09:00:00",
        "2026-11-20T09:00:00+01:00",
        "2026-02-30T09:00:00Z",
        "2025-02-29T09:00:00Z",
        "2026-13-01T09:00:00Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T09:60:00Z",
        "2026-11-20T09:00:61Z",
        "2026-11-20T09:00:00.Z",
        "2026-11-20T09:00:00.1",
        "2026-11-20T09:00:00.1xZ",
        "2026-11-20t09:00:00Z",
        "2026-11-20 09:00:00Z",
        "1969-12-31T23:59:59Z",
        "2026-1-20T009:00:00Z",
        "2026-11-20T-9:00:00Z",
        "2026-11-20T09:00:00ZZ",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = 7;
        if (clock_parse(str_from(cases[i]), &ms))
            test_fail(__FILE__, __LINE__, "%s was read", cases[i]);
        CHECK_INT(ms, 7);
    }
}

TEST(moments_out_of_range_are_written_as_the_nearest)
{
    char text[CLOCK_TEXT_SIZE];
    clock_text(-5, text);
    CHECK_TEXT(text, "1970-01-01T00:00:00.000Z");
    clock_text(INT64_MAX, text);
    CHECK_TEXT(text, "9999-12-31T23:59:59.999Z");
}

TEST(now_is_a_moment_of_this_century)
{
    int64_t start, now = clock_now_ms();
    CHECK(clock_parse(STR("2020-01-01T00:00:00Z"), &start));
    CHECK(now > start);
}

TEST(durations_are_read_as_people_write_them)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = { { "90s", 90000 },      { "45m", 2700000 },
                  { "8h", 28800000 },    { "7d", 604800000 },
                  { "1h30m", 5400000 },  { "0h1s", 1000 },
                  { "0008h", 28800000 }, { "3650d", CLOCK_DURATION_MS_MAX } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = 0;
        CHECK(clock_parse_duration(str_from(cases[i].text), &ms));
        CHECK_INT(ms, cases[i].ms);
    }
}

TEST(what_is_no_duration_is_refused)
{
    static const char *const cases[] = {
        "",    "8",     "h",       "8h ", " 8h",
        "-8h", "8w",    "1.5h",    "0s",  "8hh",
        "8H",  "3651d", "3650d1s", "8h5", "99999999999999999999s"
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t ms = 7;
        if (clock_parse_duration(str_from(cases[i]), &ms))
            test_fail(__FILE__, __LINE__, "%s was read", cases[i]);
        CHECK_INT(ms, 7);
    }
}
