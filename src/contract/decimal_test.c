#include "contract/decimal.h"

#include "base/test.h"
#include "contract/number.h"

TEST(decimal_keeps_the_significant_digits_and_where_the_point_is)
{
    static const struct {
        const char *text, *digits;
        long long point;
        bool negative;
    } rows[] = {
        { "0", "", 0, false },
        { "-0.00e7", "", 0, true },
        { "7", "7", 1, false },
        { "-120", "12", 3, true },
        { "120.0340", "120034", 3, false },
        { "0.5", "5", 0, false },
        { "0.00120", "12", -2, false },
        { "1.0", "1", 1, false },
        { "10.0e-1", "1", 1, false },
        { "12e5", "12", 7, false },
        { "12E+5", "12", 7, false },
        { "12.5e-5", "125", -3, false },
        { "1e1000000000", "1", 1000000001, false },
        { "1e9999999999999999999999", "1", 1000000001, false },
        { "1e-9999999999999999999999", "1", -999999999, false },
    };
    static_assert(NUMBER_EXPONENT_MAX == 1000000000, "the rows above count on it");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct decimal decimal = decimal_read(str_from(rows[i].text));
        char digits[32];
        char *end = decimal_digits(&decimal, digits);
        CHECK_STR(str_make(digits, (size_t)(end - digits)), str_from(rows[i].digits));
        CHECK_INT(decimal.count, strlen(rows[i].digits));
        CHECK_INT(decimal.point, rows[i].point);
        CHECK_INT(decimal.negative, rows[i].negative);
        for (size_t j = 0; j < decimal.count; j++)
            CHECK_INT(decimal_digit(&decimal, j), rows[i].digits[j]);
    }
}

TEST(decimal_compares_signs_points_and_digits)
{
    static const char *const ascending[] = {
        "-100", "-10.5", "-10.4", "-1e-9",  "0", "1e-9", "0.0999",
        "0.1",  "0.11",  "1",     "1.0001", "2", "10",
    };
    for (size_t i = 0; i < ARRAY_LEN(ascending); i++) {
        for (size_t j = 0; j < ARRAY_LEN(ascending); j++) {
            struct decimal a = decimal_read(str_from(ascending[i]));
            struct decimal b = decimal_read(str_from(ascending[j]));
            int order = decimal_compare(&a, &b);
            CHECK_INT((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    struct decimal zero = decimal_read(STR("-0.0")), one = decimal_read(STR("0e5"));
    CHECK_INT(decimal_compare(&zero, &one), 0);
}
