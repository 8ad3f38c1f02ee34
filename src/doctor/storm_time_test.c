#include "doctor/storm_time.h"

#include "base/clock.h"
#include "base/test.h"

static int64_t read_at(const char *text, size_t *ret_len)
{
    struct storm_time_reader reader = { 0 };
    int64_t ms;
    return storm_time_read(&reader, str_from(text), &ms, ret_len) ? ms : -1;
}

static void check_time(const char *text, const char *expected, size_t expected_len)
{
    size_t len = 0;
    int64_t ms = 0;
    CHECK(clock_parse(str_from(expected), &ms));
    CHECK_INT(read_at(text, &len), ms);
    CHECK_INT(len, expected_len);
}

TEST(times_with_an_offset)
{
    check_time("2026-11-20T09:00:00Z x", "2026-11-20T09:00:00Z", 20);
    check_time("2026-11-20T09:00:00.123456789Z x", "2026-11-20T09:00:00.123Z", 30);
    check_time("2026-11-20 09:00:00,5+01:00 x", "2026-11-20T08:00:00.500Z", 27);
    check_time("2026-11-20 09:00:00.000000-0800 x", "2026-11-20T17:00:00Z", 31);
    check_time("[2026/11/20 09:00:00Z] x", "2026-11-20T09:00:00Z", 22);
}

TEST(numbers_since_1970)
{
    check_time("1795165200 x", "2026-11-20T09:00:00Z", 10);
    check_time("1795165200123 x", "2026-11-20T09:00:00.123Z", 13);
    check_time("1795165200.250 x", "2026-11-20T09:00:00.250Z", 14);
}

TEST(times_of_this_machines_zone)
{
    size_t len;
    setenv("TZ", "UTC", 1);
    check_time("Sun Dec 04 04:47:44 2005 x", "2005-12-04T04:47:44Z", 24);
    check_time("[Sun Dec 04 04:47:44 2005] x", "2005-12-04T04:47:44Z", 26);
    check_time("2026-11-20 09:00:00 x", "2026-11-20T09:00:00Z", 19);
    CHECK(read_at("Jun  1 15:16:01 host x", &len) > 0);
    CHECK_INT(len, 15);
}

/* A year that is not written is the one that makes it a time of the past. */
TEST(a_time_without_a_year_is_not_in_the_future)
{
    size_t len;
    for (int month = 0; month < 12; month++) {
        static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        char text[64];
        snprintf(text, sizeof(text), "%s 15 12:00:00 host", months[month]);
        int64_t ms = read_at(text, &len);
        CHECK(ms <= clock_now_ms() + INT64_C(86400000));
        CHECK(ms > clock_now_ms() - INT64_C(367) * 86400000);
    }
}

TEST(what_is_no_time)
{
    static const char *const texts[] = { "",
                                         "hello",
                                         "Monday",
                                         "2026-13-01 00:00:00",
                                         "2026-11-20T25:00:00Z",
                                         "12345",
                                         "99999999999",
                                         "[main] x",
                                         "Jun 14",
                                         "10.0.0.1 - -",
                                         "[  12.5 x" };
    size_t len;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        CHECK_INT(read_at(texts[i], &len), -1);
}

TEST(the_same_text_again_is_the_same_time)
{
    struct storm_time_reader reader = { 0 };
    int64_t first, second;
    size_t len;
    CHECK(storm_time_read(&reader, STR("2026-11-20T09:00:00Z a"), &first, &len));
    CHECK(storm_time_read(&reader, STR("2026-11-20T09:00:00Z b"), &second, &len));
    CHECK_INT(first, second);
    CHECK(storm_time_read(&reader, STR("2026-11-20T09:00:01Z b"), &second, &len));
    CHECK_INT(second - first, 1000);
}
