#include <math.h>

#include "base/json.h"
#include "base/test.h"

static yyjson_doc *read_text(const char *text)
{
    yyjson_doc *doc = NULL;
    struct err err = { 0 };
    if (json_read(str_from(text), &json_limits_default, &doc, &err) < 0)
        test_fail(__FILE__, __LINE__, "%.200s: %s: %s", text, err.where, err.cause);
    return doc;
}

static void check_refused(struct str text, const struct json_limits *limits, enum err_code code,
                          const char *where, const char *cause)
{
    yyjson_doc *doc = NULL;
    struct err err = { 0 };
    int r = json_read(text, limits, &doc, &err);
    if (r >= 0) {
        test_fail(__FILE__, __LINE__, "%.*s was accepted", STR_ARG(text));
        yyjson_doc_free(doc);
        return;
    }
    CHECK(!doc);
    if (err.code != code || strcmp(err.where, where) != 0 || !strstr(err.cause, cause))
        test_fail(__FILE__, __LINE__, "%.*s is refused with %s at %s: %s\n  expected %s at %s: %s",
                  STR_ARG(text), err_id(err.code), err.where, err.cause, err_id(code), where,
                  cause);
}

TEST(json_reads_a_document_and_owns_it)
{
    char text[] = "{\"a\": [1, -2, 0.5, true, null, \"x\\u0000y\"], \"b\": {}}";
    yyjson_doc *doc = read_text(text);
    memset(text, 'x', sizeof(text));
    yyjson_val *a = yyjson_obj_get(doc->root, "a");
    CHECK_INT(yyjson_arr_size(a), 6);
    CHECK_INT(yyjson_get_uint(yyjson_arr_get(a, 0)), 1);
    CHECK_INT(yyjson_get_sint(yyjson_arr_get(a, 1)), -2);
    CHECK(yyjson_get_real(yyjson_arr_get(a, 2)) == 0.5);
    CHECK_STR(json_str(yyjson_arr_get(a, 5)), STR("x\0y"));
    CHECK(yyjson_is_obj(yyjson_obj_get(doc->root, "b")));
    yyjson_doc_free(doc);
}

TEST(json_accepts_any_value_at_the_top)
{
    static const char *const texts[] = {
        "0", "\"\"", " true\n", "null", "[]", "{}", "\t-1.5e3\r\n"
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        yyjson_doc_free(read_text(texts[i]));
}

TEST(json_numbers_become_binary_only_where_that_is_exact)
{
    static const struct {
        const char *text;
        char kind; /* u, s, r or w: uint, sint, real, raw */
        double real;
    } rows[] = {
        { "0", 'u', 0 },
        { "-0", 'u', 0 },
        { "7", 'u', 7 },
        { "-7", 's', -7 },
        { "9999999999999999999", 'u', 9999999999999999999.0 },
        { "18446744073709551615", 'u', 18446744073709551615.0 },
        { "18446744073709551616", 'w', 0 },
        { "100000000000000000000", 'w', 0 },
        { "-9223372036854775808", 's', -9223372036854775808.0 },
        { "-9223372036854775809", 'w', 0 },
        { "-10000000000000000000", 'w', 0 },
        { "-18446744073709551615", 'w', 0 },
        { "0.0", 'r', 0 },
        { "-0.0", 'r', -0.0 },
        { "0e99999999999999999999", 'r', 0 },
        { "0.000e-5", 'r', 0 },
        { "1.0", 'r', 1 },
        { "1e3", 'r', 1000 },
        { "1E+3", 'r', 1000 },
        { "0.1", 'r', 0.1 },
        { "-0.0075", 'r', -0.0075 },
        { "123456789012345e22", 'r', 123456789012345e22 },
        { "123456789012345e23", 'w', 0 },
        { "1e23", 'r', 1e23 },
        { "1e36", 'r', 1e36 },
        { "1e37", 'w', 0 },
        { "1e308", 'w', 0 },
        { "1e-22", 'r', 1e-22 },
        { "1e-23", 'w', 0 },
        { "10e-23", 'r', 1e-22 },
        { "0.0000000000000000000001", 'r', 1e-22 },
        { "0.00000000000000000000001", 'w', 0 },
        { "0.000001234567890123450", 'r', 0.00000123456789012345 },
        { "123456789012345", 'u', 123456789012345.0 },
        { "123456789012345.0000", 'r', 123456789012345.0 },
        { "1234567890123456.5", 'w', 0 },
        { "0.1234567890123456", 'w', 0 },
        { "0.30000000000000004", 'w', 0 },
        { "1.00000000000000000000000", 'w', 0 },
        { "18446744073709551616.5", 'w', 0 }, /* whose whole digits are 2^64 */
        { "184467440737095516160000000000000000", 'w', 0 },
        { "36893488147419103232.25e-3", 'w', 0 },
        { "12345678.5", 'r', 12345678.5 },
        { "1234567812345678", 'u', 1234567812345678.0 },
        { "-12345678123456789", 's', -12345678123456789.0 },
        { "1e-99999999999999999999", 'w', 0 },
        { "1e99999999999999999999", 'w', 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        yyjson_doc *doc = read_text(rows[i].text);
        yyjson_val *value = doc->root;
        char kind = yyjson_is_uint(value)   ? 'u'
                    : yyjson_is_sint(value) ? 's'
                    : yyjson_is_real(value) ? 'r'
                                            : 'w';
        if (kind != rows[i].kind)
            test_fail(__FILE__, __LINE__, "%s is of kind %c", rows[i].text, kind);
        else if (kind == 'w')
            CHECK_STR(json_str(value), str_from(rows[i].text));
        else if (yyjson_get_num(value) != rows[i].real ||
                 signbit(yyjson_get_num(value)) != signbit(rows[i].real))
            test_fail(__FILE__, __LINE__, "%s became %.17g", rows[i].text, yyjson_get_num(value));
        yyjson_doc_free(doc);
    }
}

/* The same decimals, read by the C library, are the same doubles. */
TEST(json_decimals_round_as_strtod_does)
{
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        char text[64];
        snprintf(text, sizeof(text), "%llu.%llue%d", (unsigned long long)(state >> 40) % 10000000,
                 (unsigned long long)(state >> 16) % 100000000, (int)(state >> 33) % 30 - 15);
        yyjson_doc *doc = read_text(text);
        if (yyjson_is_real(doc->root) && yyjson_get_real(doc->root) != strtod(text, NULL))
            test_fail(__FILE__, __LINE__, "%s became %.17g", text, yyjson_get_real(doc->root));
        yyjson_doc_free(doc);
    }
}

TEST(json_says_where_and_why_a_text_is_refused)
{
    static const struct {
        struct str text;
        const char *where, *cause;
    } rows[] = {
        { STR(""), "1:1", "the text is empty, expected a value" },
        { STR(" \n "), "2:2", "the text is empty" },
        { STR("\xef\xbb\xbf{}"), "1:1", "byte order mark; save it as UTF-8 without one" },
        { STR("\xff\xfe{\0}\0"), "1:1", "found the byte 0xff, expected a value" },
        { STR("[1,]"), "1:4", "found ']', expected another value; the last one has no comma" },
        { STR("{\"a\":1,}"), "1:8", "found '}', expected another key in double quotes; the last" },
        { STR("[1 2]"), "1:4", "found '2', expected ',' or ']'" },
        { STR("[1}"), "1:3", "found '}', expected ',' or ']'" },
        { STR("{\"a\":1 \"b\":2}"), "1:8", "found '\"', expected ',' or '}'" },
        { STR("{\"a\" 1}"), "1:6", "found '1', expected ':' behind the key" },
        { STR("{a:1}"), "1:2", "found 'a', expected a key in double quotes or '}'" },
        { STR("{'a':1}"), "1:2", "strings stand in double quotes" },
        { STR("{1:2}"), "1:2", "found '1', expected a key" },
        { STR("[\n  1,\n  2\n"), "4:1",
          "the text ends, expected ',' or ']'; the array that starts at 1:1 is" },
        { STR("{\"k\":"), "1:6", "the text ends, expected a value; the object that starts at 1:1" },
        { STR("[\"abc"), "1:2", "the string that starts here is not closed" },
        { STR("[\"abc\\"), "1:6", "backslash" },
        { STR("[\"a\nb\"]"), "1:4", "a line break inside it is written \\n" },
        { STR("[\"a\tb\"]"), "1:4", "found the byte 0x09 in a string; it is written \\u0009" },
        { STR("[\"a\0b\"]"), "1:4", "found the byte 0x00 in a string" },
        { STR("[\"a\\qb\"]"), "1:4", "starts no escape of JSON" },
        { STR("[\"\\u12g4\"]"), "1:3", "malformed \\u escape" },
        { STR("[\"\\ud800\"]"), "1:3", "surrogates stand in pairs" },
        { STR("[\"\\ud800\\u0041\"]"), "1:3", "surrogates stand in pairs" },
        { STR("[\"\\udc00\"]"), "1:3", "surrogates stand in pairs" },
        { STR("[\"\xc3\xa4\xff\"]"), "1:4", "the byte 0xff is not valid UTF-8 here" },
        { STR("[\"\xc0\x80\"]"), "1:3", "the byte 0xc0 is not valid UTF-8" },
        { STR("[\"\xed\xa0\x80\"]"), "1:3", "the byte 0xed is not valid UTF-8" },
        { STR("[\"\xf4\x90\x80\x80\"]"), "1:3", "the byte 0xf4 is not valid UTF-8" },
        { STR("[\"\xe2\x82\"]"), "1:3", "the byte 0xe2 is not valid UTF-8" },
        { STR("[01]"), "1:2", "does not start with a zero" },
        { STR("[-01]"), "1:3", "does not start with a zero" },
        { STR("[1.]"), "1:4", "expected a digit behind the decimal point" },
        { STR("[1.e5]"), "1:4", "expected a digit behind the decimal point" },
        { STR("[.5]"), "1:2", "a digit stands before the decimal point" },
        { STR("[+5]"), "1:2", "no plus sign" },
        { STR("[-]"), "1:3", "expected a digit behind the minus sign" },
        { STR("1e"), "1:3", "expected a digit in the exponent" },
        { STR("1e+"), "1:4", "expected a digit in the exponent" },
        { STR("[0x10]"), "1:3", "found 'x10', expected ',' or ']'" },
        { STR("[NaN]"), "1:2", "found 'NaN', expected a value or ']'; JSON has no NaN" },
        { STR("[-Infinity]"), "1:3", "expected a digit behind the minus sign" },
        { STR("[True]"), "1:2", "JSON writes true" },
        { STR("nul"), "1:1", "found 'nul', expected a value" },
        { STR("nulls"), "1:1", "found 'nulls', expected a value" },
        { STR("1 2"), "1:3", "found '2', expected the end of the text" },
        { STR("[1] // c"), "1:5", "found '/', expected the end of the text; JSON has no comments" },
        { STR("{} {}"), "1:4", "expected the end of the text" },
        { STR("[\xc3\xa4]"), "1:2", "found '\xc3\xa4', expected a value" },
        { STR("]"), "1:1", "found ']', expected a value" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_refused(rows[i].text, &json_limits_default, ERR_SYNTAX, rows[i].where, rows[i].cause);
}

TEST(json_refuses_duplicate_keys_and_names_both_places)
{
    static const struct {
        const char *text, *where, *cause;
    } rows[] = {
        { "{\"a\":1,\"a\":1}", "1:8", "the key \"a\" stands twice in one object, first at 1:2" },
        { "{\"a\":1,\n \"b\":[{\"a\":2}],\n \"\\u0061\":3}", "3:2", "first at 1:2" },
        { "{\"\":1,\"\":2}", "1:7", "the key \"\" stands twice" },
        { "[0,{\"x\":{\"b\":1,\"c\":2,\"b\":3}}]", "1:22", "first at 1:10" },
        { "{\"emitNetworkDecision\":1,\"emitNetworkEvidence\":2,\"emitNetworkDecision\":3}", "1:50",
          "first at 1:2" },
        { "{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}", "1:8", "first at 1:2" },
        { "{\"a\\u0000\":1,\"a\\u0000\":2}", "1:14", "the key \"a\\u0000\" stands twice" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_refused(str_from(rows[i].text), &json_limits_default, ERR_SYNTAX, rows[i].where,
                      rows[i].cause);
    yyjson_doc_free(read_text("{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":1}]}"));
    yyjson_doc_free(read_text("{\"a\":1,\"a\\u0000\":2,\"a\\u0000\\u0000\":3,\"A\":4,\"\":5}"));
}

/* An object of `count` members, of which the last has the key of member `twin`. */
static void add_object(struct buf *buf, int count, int twin)
{
    buf_add_char(buf, '{');
    for (int i = 0; i < count; i++)
        buf_addf(buf, "%s\"key-%08d-end\":[%d]", i ? "," : "", i == count - 1 ? twin : i, i);
    buf_add_char(buf, '}');
}

TEST(json_refuses_duplicate_keys_in_objects_of_any_size)
{
    static const int counts[] = { 2, 3, 15, 16, 17, 18, 100, 5000 };
    struct buf buf = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        int last = counts[i] - 1;
        const int twins[] = { 0, last / 2, last - 1 };
        for (size_t j = 0; j < ARRAY_LEN(twins); j++) {
            buf_reset(&buf);
            buf_add_char(&buf, '[');
            add_object(&buf, 300, 299);
            buf_add_char(&buf, ',');
            add_object(&buf, counts[i], twins[j]);
            buf_add_char(&buf, ']');
            yyjson_doc *doc = NULL;
            struct err err = { 0 };
            CHECK(json_read(buf_str(&buf), &json_limits_default, &doc, &err) < 0);
            CHECK(strstr(err.cause, "stands twice"));
        }
        buf_reset(&buf);
        add_object(&buf, counts[i], last);
        yyjson_doc_free(read_text(buf.data));
    }
    buf_release(&buf);
}

/* Keys of one length that differ in their middle alone, as an adversary would choose them. */
TEST(json_tells_apart_keys_that_look_alike)
{
    for (int count = 2; count < 300; count += count < 20 ? 1 : 40) {
        for (int twin = 0; twin <= count; twin += (count + 2) / 3) {
            struct buf buf = BUF_INIT;
            buf_add_char(&buf, '{');
            for (int i = 0; i <= count; i++)
                buf_addf(&buf, "%s\"resource-%04d-identifier\":null", i ? "," : "",
                         i == count ? twin : i);
            buf_add_char(&buf, '}');
            yyjson_doc *doc = NULL;
            struct err err = { 0 };
            int r = json_read(buf_str(&buf), &json_limits_default, &doc, &err);
            bool unique = twin == count;
            if ((r == 0) != unique || (!unique && !strstr(err.cause, "stands twice")))
                test_fail(__FILE__, __LINE__, "%d keys, twin of %d: %d %s", count, twin, r,
                          err.cause);
            yyjson_doc_free(doc);
            buf_release(&buf);
        }
    }
}

TEST(json_cuts_a_long_duplicate_key_between_characters)
{
    struct buf buf = BUF_INIT;
    for (int member = 0; member < 2; member++) {
        buf_add_text(&buf, member ? ",\"x" : "{\"x");
        for (int i = 0; i < 100; i++)
            buf_add_text(&buf, "\xc3\xa4");
        buf_add_text(&buf, "\":1");
    }
    buf_add_char(&buf, '}');
    check_refused(buf_str(&buf), &json_limits_default, ERR_SYNTAX, "1:108",
                  "\xc3\xa4\"\xe2\x80\xa6 stands twice");
    buf_release(&buf);
}

TEST(json_limits_are_refused_by_name_and_flag)
{
    static const struct json_limits small = {
        .size_bytes = 60,
        .depth = 3,
        .array_items = 4,
        .members = 2,
        .string_bytes = 5,
        .number_digits = 6,
    };
    static const struct {
        const char *text, *where, *cause;
    } rows[] = {
        { "[                                                             ]", "",
          "the text has 63 bytes; the limit is 60 (--max-size raises it)" },
        { "[[],\n [[[]]]]", "2:4", "the nesting has 4 levels; the limit is 3 (--max-depth" },
        { "[[[[", "1:4", "the nesting has 4 levels; the limit is 3 (--max-depth" },
        { "[[[{\"a\":1}]]]", "1:4", "the nesting has 4 levels" },
        { "{\"a\": [1,2,3,4,5]}", "1:7", "the array has 5 items; the limit is 4 (--max-array" },
        { "{\"a\":1,\"b\":2,\"c\":3}", "1:1",
          "the object has 3 members; the limit is 2 (--max-mem" },
        { "[\"abcdef\"]", "1:2", "the string has 6 bytes; the limit is 5 (--max-string" },
        { "{\"abcdef\":1}", "1:2", "the string has 6 bytes; the limit is 5 (--max-string" },
        { "[1, -123456]", "1:5", "the number has 7 characters; the limit is 6 (--max-digits" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_refused(str_from(rows[i].text), &small, ERR_LIMIT, rows[i].where, rows[i].cause);
    yyjson_doc *doc = NULL;
    CHECK_INT(
        json_read(STR("{\"abcde\":[1,123456,[],{}],\"b\":[[\"12345\"]]}"), &small, &doc, NULL), 0);
    yyjson_doc_free(doc);
}

TEST(json_depth_is_bounded_far_beyond_the_default)
{
    struct json_limits limits = json_limits_default;
    struct buf buf = BUF_INIT;
    for (int i = 0; i < 100000; i++)
        buf_add_text(&buf, i % 2 ? "[" : "{\"k\":");
    size_t half = buf.len;
    for (int i = 100000; i-- > 0;)
        buf_add_char(&buf, i % 2 ? ']' : '}');
    check_refused(buf_str(&buf), &limits, ERR_LIMIT, "1:769", "the nesting has 257 levels");
    check_refused(str_make(buf.data, half), &limits, ERR_LIMIT, "1:769", "the nesting has");
    limits.depth = 100000;
    yyjson_doc *doc = NULL;
    CHECK_INT(json_read(buf_str(&buf), &limits, &doc, NULL), 0);
    yyjson_doc_free(doc);
    limits.depth = 99999;
    CHECK_INT(json_read(buf_str(&buf), &limits, &doc, NULL), -E2BIG);
    buf_release(&buf);
}
