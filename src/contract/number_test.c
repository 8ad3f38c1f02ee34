#include "contract/number.h"

#include "base/json.h"
#include "base/test.h"

static yyjson_doc *read_number(const char *text)
{
    yyjson_doc *doc = NULL;
    struct err err = { 0 };
    if (json_read(str_from(text), &json_limits_default, &doc, &err) < 0) {
        test_fail(__FILE__, __LINE__, "%s: %s", text, err.cause);
        abort();
    }
    return doc;
}

/* Ascending; numbers of one group are equal, whatever their spelling. */
static const char *const ascending[][5] = {
    { "-1e2000000000", "-1e1000000000" },
    { "-1e1000" },
    { "-18446744073709551616" },
    { "-9223372036854775809" },
    { "-9223372036854775808", "-9223372036854775808.0", "-9.223372036854775808e18" },
    { "-9007199254740993" },
    { "-9007199254740992", "-9007199254740992.000000000000" },
    { "-2", "-2.0", "-0.2e1" },
    { "-1.5" },
    { "-1", "-1.0000000000000000000000000" },
    { "-1e-1000" },
    { "0", "-0", "0.0", "-0.0e5", "0e999999999999" },
    { "1e-1000000000" },
    { "4e-324" },
    { "5e-324" },
    { "1e-23" },
    { "1e-22" },
    { "0.1", "1e-1", "0.1000", "0.10000000000000000000000", "10e-2" },
    { "0.1000000000000000055511151231257827", "1000000000000000055511151231257827e-34" },
    { "0.1000000000000000055511151231257828" },
    { "0.3" },
    { "0.30000000000000004" },
    { "1", "1.0", "10e-1", "1.0000000000000000000000000" },
    { "1.00000000000000000000005" },
    { "1.0000000000000000005" },
    { "1.5" },
    { "999999999999999" },
    { "999999999999999.5" },
    { "1000000000000000", "1e15", "1000000000000000.0" },
    { "1000000000000001", "1000000000000001.00000" },
    { "9007199254740992" },
    { "9007199254740993", "9007199254740993.0" },
    { "9223372036854775807" },
    { "9223372036854775808", "9.223372036854775808e18" },
    { "18446744073709551615", "18446744073709551615.0" },
    { "18446744073709551616", "1.8446744073709551616e19" },
    { "99999999999999991611392" },
    { "1e23", "100000000000000000000000" },
    { "123456789012345e22", "1234567890123450000000000000000000000" },
    { "123456789012345e22000", "12345678901234.5e22001" },
    { "1e1000000000", "1e1000000001" },
};

TEST(number_orders_exactly)
{
    for (size_t i = 0; i < ARRAY_LEN(ascending); i++) {
        for (size_t j = 0; j < ARRAY_LEN(ascending); j++) {
            for (size_t k = 0; k < 25; k++) {
                const char *a = ascending[i][k % 5], *b = ascending[j][k / 5];
                if (!a || !b)
                    continue;
                yyjson_doc *doc_a = read_number(a), *doc_b = read_number(b);
                int order = number_compare(doc_a->root, doc_b->root);
                if ((order > 0) - (order < 0) != (i > j) - (i < j))
                    test_fail(__FILE__, __LINE__, "%s against %s is %d", a, b, order);
                bool same = number_hash(doc_a->root) == number_hash(doc_b->root);
                if (same != (i == j))
                    test_fail(__FILE__, __LINE__, "the hashes of %s and %s %s", a, b,
                              same ? "collide" : "differ");
                yyjson_doc_free(doc_a);
                yyjson_doc_free(doc_b);
            }
        }
    }
}

TEST(number_knows_integers_in_every_spelling)
{
    static const char *const integers[] = {
        "0",
        "-0.0",
        "7",
        "-7",
        "1.0",
        "1e3",
        "1.5e1",
        "1e22",
        "1e308",
        "123456789012345.0",
        "1.00000000000000000000000000",
        "12345678901234567890123.0",
        "0.0e-400",
        "1e1000000000",
        "1000000000000000000000000000000e-30",
    };
    static const char *const fractions[] = {
        "0.5",
        "-1.5",
        "1e-3",
        "1e-400",
        "99999999999999.9",
        "1.00000000000000000000000001",
        "12345678901234567890123.1",
        "1000000000000000000000000000000e-31",
    };
    for (size_t i = 0; i < ARRAY_LEN(integers); i++) {
        yyjson_doc *doc = read_number(integers[i]);
        if (!number_is(doc->root) || !number_is_integer(doc->root))
            test_fail(__FILE__, __LINE__, "%s is not an integer", integers[i]);
        yyjson_doc_free(doc);
    }
    for (size_t i = 0; i < ARRAY_LEN(fractions); i++) {
        yyjson_doc *doc = read_number(fractions[i]);
        if (!number_is(doc->root) || number_is_integer(doc->root))
            test_fail(__FILE__, __LINE__, "%s is an integer", fractions[i]);
        yyjson_doc_free(doc);
    }
    yyjson_doc *doc = read_number("[true, null, \"1\", {}]");
    for (size_t i = 0; i < 4; i++)
        CHECK(!number_is(yyjson_arr_get(doc->root, i)));
    CHECK(!number_is(doc->root));
    yyjson_doc_free(doc);
}

TEST(number_divides_exactly)
{
    static const struct {
        const char *value, *divisor;
        int multiple;
    } rows[] = {
        { "0", "3", 1 },
        { "0.0", "1e-400", 1 },
        { "0e500", "7.5", 1 },
        { "10", "5", 1 },
        { "-10", "5", 1 },
        { "10", "4", 0 },
        { "18446744073709551615", "5", 1 },
        { "-9223372036854775808", "2", 1 },
        { "-9223372036854775808", "3", 0 },
        { "7.0", "3.5", 1 },
        { "0.0075", "0.0001", 1 },
        { "0.00751", "0.0001", 0 },
        { "0.3", "0.1", 1 },
        { "0.35", "0.01", 1 },
        { "4.35", "0.01", 1 },
        { "19.99", "0.01", 1 },
        { "19.999", "0.01", 0 },
        { "1.1", "0.1", 1 },
        { "35", "1.5", 0 },
        { "4.5", "1.5", 1 },
        { "1e308", "0.5", 1 },
        { "1e308", "0.123456789", 0 },
        { "1e308", "3", 0 },
        { "1e308", "1e300", 1 },
        { "1e300", "1e308", 0 },
        { "12391239123", "1e-8", 1 },
        { "1", "1e-1000000000", 1 },
        { "1e1000000000", "7", 0 },
        { "7e1000000000", "7", 1 },
        { "1e-1000000000", "1e1000000000", 0 },
        { "1e1000000000", "1e-1000000000", 1 },
        { "3e1000000000", "9e-1000000000", 0 },
        { "100", "1e3", 0 },
        { "5000", "1e3", 1 },
        { "5e22", "25000", 1 },
        { "18446744073709551616", "2", 1 },
        { "18446744073709551617", "2", 0 },
        { "18446744073709551616", "18446744073709551615", 0 },
        { "18446744073709551615.0", "18446744073709551615", 1 },
        { "340282366920938463463374607431768211456", "18446744073709551616", 1 },
        { "340282366920938463463374607431768211457", "18446744073709551616", 0 },
        { "340282366920938463463374607431768211456", "184467440737095516160", 0 },
        { "3402823669209384634633746074317682114560", "18446744073709551616e1", 1 },
        { "121932631356500531591068431825636331816338969581771069347203169112635269",
          "123456789123456789123456789123456789", 1 },
        { "121932631356500531591068431825636331816338969581771069347203169112635268",
          "123456789123456789123456789123456789", 0 },
        { "15241578780673678546105778311537878046486820281054720515622620750190521",
          "123456789123456789123456789123456789", 1 },
        { "-15241578780673678546105778311537878046486820281054720515622620750190521e7",
          "1234567.89123456789123456789123456789", 1 },
        { "15241578780673678546105778311537878046486820281054720515622620750190521",
          "123456789123456789123456789123456789e1", 0 },
        { "1", "123456789123456789123456789123456789", 0 },
        { "0", "123456789123456789123456789123456789", 1 },
        { "1e1000000000", "123456789123456789123456789123456789", 0 },
        { "123456789123456789123456789123456789e1000000000",
          "123456789123456789123456789123456789e-1000000000", 1 },
        { "0.00000000000000000000000000000000000000000000007",
          "0.00000000000000000000000000000000000000000000001", 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        yyjson_doc *value = read_number(rows[i].value), *divisor = read_number(rows[i].divisor);
        struct err err = { 0 };
        int r = number_is_multiple(value->root, divisor->root, &err);
        if (r != rows[i].multiple)
            test_fail(__FILE__, __LINE__, "%s by %s is %d %s", rows[i].value, rows[i].divisor, r,
                      err.cause);
        yyjson_doc_free(value);
        yyjson_doc_free(divisor);
    }
}

TEST(number_refuses_to_divide_what_would_take_too_long)
{
    struct json_limits limits = json_limits_default;
    limits.number_digits = (size_t)1 << 20;
    struct buf buf = BUF_INIT;
    for (int i = 0; i < 70000; i++)
        buf_add_char(&buf, '7');
    yyjson_doc *doc = NULL, *seven = read_number("7");
    CHECK_INT(json_read(buf_str(&buf), &limits, &doc, NULL), 0);
    struct err err = { 0 };
    CHECK_INT(number_is_multiple(doc->root, seven->root, &err), -E2BIG);
    CHECK(strstr(err.cause, "a number has 70000 digits"));
    CHECK_INT(number_compare(doc->root, seven->root), 1);
    CHECK(number_is_integer(doc->root));
    yyjson_doc_free(doc);
    yyjson_doc_free(seven);
    buf_release(&buf);
}

/* The reals that documents hold: every one is found behind its double. */
TEST(number_divides_cents)
{
    yyjson_doc *cent = read_number("0.01"), *mill = read_number("0.001");
    for (int i = 0; i < 20000; i++) {
        char text[32];
        snprintf(text, sizeof(text), "%d.%03d", i * 37, i % 1000);
        yyjson_doc *doc = read_number(text);
        CHECK_INT(number_is_multiple(doc->root, cent->root, NULL), i % 10 == 0);
        CHECK_INT(number_is_multiple(doc->root, mill->root, NULL), 1);
        yyjson_doc_free(doc);
    }
    yyjson_doc_free(cent);
    yyjson_doc_free(mill);
}
