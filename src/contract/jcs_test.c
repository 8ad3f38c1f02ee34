#include "contract/jcs.h"

#include "base/json.h"
#include "base/test.h"

static void check_canonical(const char *text, const char *expected)
{
    yyjson_doc *doc = NULL;
    struct err err = { 0 };
    struct buf buf = BUF_INIT;
    if (json_read(str_from(text), &json_limits_default, &doc, &err) < 0) {
        test_fail(__FILE__, __LINE__, "%s: %s", text, err.cause);
        return;
    }
    CHECK_INT(jcs_add(&buf, doc->root, &err), 0);
    CHECK_STR(buf_str(&buf), str_from(expected));
    buf_release(&buf);
    yyjson_doc_free(doc);
}

/* RFC 8785, appendix B: bit patterns of doubles and how they are written. */
TEST(jcs_writes_numbers_as_the_rfc_samples_do)
{
    static const struct {
        uint64_t bits;
        const char *text;
    } rows[] = {
        { 0x0000000000000000, "0" },
        { 0x8000000000000000, "0" },
        { 0x0000000000000001, "5e-324" },
        { 0x8000000000000001, "-5e-324" },
        { 0x7fefffffffffffff, "1.7976931348623157e+308" },
        { 0xffefffffffffffff, "-1.7976931348623157e+308" },
        { 0x4340000000000000, "9007199254740992" },
        { 0xc340000000000000, "-9007199254740992" },
        { 0x4430000000000000, "295147905179352830000" },
        { 0x44b52d02c7e14af5, "9.999999999999997e+22" },
        { 0x44b52d02c7e14af6, "1e+23" },
        { 0x44b52d02c7e14af7, "1.0000000000000001e+23" },
        { 0x444b1ae4d6e2ef4e, "999999999999999700000" },
        { 0x444b1ae4d6e2ef4f, "999999999999999900000" },
        { 0x444b1ae4d6e2ef50, "1e+21" },
        { 0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7" },
        { 0x3eb0c6f7a0b5ed8d, "0.000001" },
        { 0x41b3de4355555553, "333333333.3333332" },
        { 0x41b3de4355555554, "333333333.33333325" },
        { 0x41b3de4355555555, "333333333.3333333" },
        { 0x41b3de4355555556, "333333333.3333334" },
        { 0x41b3de4355555557, "333333333.33333343" },
        { 0xbecbf647612f3696, "-0.0000033333333333333333" },
        { 0x43143ff3c1cb0959, "1424953923781206.2" },
        { 0x4340000000000001, "9007199254740994" },
        { 0x4340000000000002, "9007199254740996" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double real;
        memcpy(&real, &rows[i].bits, sizeof(real));
        yyjson_val value = { .tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL, .uni.f64 = real };
        struct buf buf = BUF_INIT;
        CHECK_INT(jcs_add(&buf, &value, NULL), 0);
        CHECK_STR(buf_str(&buf), str_from(rows[i].text));
        buf_reset(&buf);
        buf_addf(&buf, "%.17e", real);
        check_canonical(buf.data, rows[i].text);
        buf_release(&buf);
    }
}

TEST(jcs_refuses_numbers_that_no_double_holds)
{
    static const char *const texts[] = { "1e309", "[-1e309]", "{\"a\":1e1000000000}" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        yyjson_doc *doc = NULL;
        struct buf buf = BUF_INIT;
        struct err err = { 0 };
        CHECK_INT(json_read(str_from(texts[i]), &json_limits_default, &doc, NULL), 0);
        CHECK_INT(jcs_add(&buf, doc->root, &err), -EBADMSG);
        CHECK_INT(err.code, ERR_DOCUMENT);
        CHECK(strstr(err.cause, "beyond the range of a double"));
        yyjson_doc_free(doc);
        buf_release(&buf);
    }
    static const uint64_t patterns[] = { 0x7ff0000000000000, 0xfff0000000000000,
                                         0x7fffffffffffffff };
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        yyjson_val value = { .tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL };
        struct buf buf = BUF_INIT;
        value.uni.u64 = patterns[i];
        CHECK_INT(jcs_add(&buf, &value, NULL), -EBADMSG);
        buf_release(&buf);
    }
}

TEST(jcs_writes_what_documents_hold)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        { " null ", "null" },
        { "[ true , false, null ]", "[true,false,null]" },
        { "[]", "[]" },
        { "{ }", "{}" },
        { "[-0, -0.0, 0e9, 1.0, 1e2, 100e-2, 4.50, 2e-3]", "[0,0,0,1,100,1,4.5,0.002]" },
        { "[9007199254740993, 18446744073709551615, -9223372036854775808]",
          "[9007199254740992,18446744073709552000,-9223372036854776000]" },
        { "[123456789012345678901234567890, 0.1000000000000000055511151231257827]",
          "[1.2345678901234568e+29,0.1]" },
        { "[1e-400, -1e-400, 1e-1000000000]", "[0,0,0]" },
        { "[1e20, 1e21, 123456789e13, 0.000001, 0.0000001, 1.5e-7]",
          "[100000000000000000000,1e+21,1.23456789e+21,0.000001,1e-7,1.5e-7]" },
        { "[56.0, 1E30, 0.000000000000000000000000001]", "[56,1e+30,1e-27]" },
        { "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f \\\" \\\\ \\/ \\u007f \\u00e9 \\u2028\"",
          "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f \\\" \\\\ / \x7f \xc3\xa9 "
          "\xe2\x80\xa8\"" },
        { "{\"b\":1,\"a\":{\"d\":[{\"f\":1,\"e\":2}],\"c\":3},\"\":0}",
          "{\"\":0,\"a\":{\"c\":3,\"d\":[{\"e\":2,\"f\":1}]},\"b\":1}" },
        { "{\"aa\":1,\"a\":2,\"b\":3,\"A\":4,\"a\\u0000\":5}",
          "{\"A\":4,\"a\":2,\"a\\u0000\":5,\"aa\":1,\"b\":3}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_canonical(rows[i].text, rows[i].expected);
}

/* RFC 8785, sections 3.2.2 and 3.2.3, and the structures its authors test with. */
TEST(jcs_agrees_with_the_rfc_samples)
{
    check_canonical("{\"numbers\": [333333333.33333329, 1E30, 4.50, 2e-3, "
                    "0.000000000000000000000000001],\n"
                    "\"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\",\n"
                    "\"literals\": [null, true, false]}",
                    "{\"literals\":[null,true,false],"
                    "\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
                    "\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
    check_canonical("{\"\\u20ac\": \"Euro Sign\", \"\\r\": \"Carriage Return\","
                    "\"\\ufb33\": \"Hebrew Letter Dalet With Dagesh\", \"1\": \"One\","
                    "\"\\ud83d\\ude00\": \"Emoji: Grinning Face\", \"\\u0080\": \"Control\","
                    "\"\\u00f6\": \"Latin Small Letter O With Diaeresis\"}",
                    "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\","
                    "\"\xc3\xb6\":\"Latin Small Letter O With Diaeresis\","
                    "\"\xe2\x82\xac\":\"Euro Sign\","
                    "\"\xf0\x9f\x98\x80\":\"Emoji: Grinning Face\","
                    "\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}");
    check_canonical("{\"1\": {\"f\": {\"f\": \"hi\",\"F\": 5} ,\"\\n\": 56.0},\"10\": { },"
                    "\"\": \"empty\",\"a\": { },\"111\": [ { } ],\"A\": { }}",
                    "{\"\":\"empty\",\"1\":{\"\\n\":56,\"f\":{\"F\":5,\"f\":\"hi\"}},\"10\":{},"
                    "\"111\":[{}],\"A\":{},\"a\":{}}");
}

TEST(jcs_sorts_by_utf16_code_units)
{
    /* U+D7FF, U+10000 (a surrogate pair), U+10FFFF, U+E000, U+FFFD; shared beginnings too. */
    check_canonical("{\"\\uFFFD\":1,\"\\uE000\":2,\"\\uD800\\uDC00\":3,\"\\uDBFF\\uDFFF\":4,"
                    "\"\\uD7FF\":5,\"x\\uE000\":6,\"x\\uD83D\\uDE00\":7,\"x\":8}",
                    "{\"x\":8,\"x\xf0\x9f\x98\x80\":7,\"x\xee\x80\x80\":6,\"\xed\x9f\xbf\":5,"
                    "\"\xf0\x90\x80\x80\":3,\"\xf4\x8f\xbf\xbf\":4,\"\xee\x80\x80\":2,"
                    "\"\xef\xbf\xbd\":1}");
}

TEST(jcs_does_not_depend_on_order_or_layout_and_is_stable)
{
    struct buf forward = BUF_INIT, backward = BUF_INIT, first = BUF_INIT, second = BUF_INIT;
    buf_add_char(&forward, '{');
    buf_add_char(&backward, '{');
    for (int i = 0; i < 1000; i++) {
        buf_addf(&forward, "%s\"k%d\":{\"v\":%d,\"w\":[]}", i ? "," : "", i, i);
        buf_addf(&backward, "%s \"k%d\": {\n\"w\": [ ], \"v\": %d.0}", i ? "," : "", 999 - i,
                 999 - i);
    }
    buf_add_char(&forward, '}');
    buf_add_char(&backward, '}');
    yyjson_doc *a = NULL, *b = NULL, *again = NULL;
    char digest_a[DIGEST_TEXT_SIZE], digest_b[DIGEST_TEXT_SIZE];
    CHECK_INT(json_read(buf_str(&forward), &json_limits_default, &a, NULL), 0);
    CHECK_INT(json_read(buf_str(&backward), &json_limits_default, &b, NULL), 0);
    CHECK_INT(jcs_digest(a->root, digest_a, NULL), 0);
    CHECK_INT(jcs_digest(b->root, digest_b, NULL), 0);
    CHECK_TEXT(digest_a, digest_b);
    CHECK_INT(jcs_add(&first, b->root, NULL), 0);
    CHECK_INT(json_read(buf_str(&first), &json_limits_default, &again, NULL), 0);
    CHECK_INT(jcs_add(&second, again->root, NULL), 0);
    CHECK(str_equal(buf_str(&first), buf_str(&second)));
    yyjson_doc_free(a);
    yyjson_doc_free(b);
    yyjson_doc_free(again);
    buf_release(&forward);
    buf_release(&backward);
    buf_release(&first);
    buf_release(&second);
}

TEST(jcs_digest_is_that_of_the_canonical_bytes)
{
    yyjson_doc *doc = NULL;
    char digest[DIGEST_TEXT_SIZE], expected[DIGEST_TEXT_SIZE];
    CHECK_INT(json_read(STR("{ \"b\" : 2.0, \"a\" : [ ] }"), &json_limits_default, &doc, NULL), 0);
    CHECK_INT(jcs_digest(doc->root, digest, NULL), 0);
    CHECK_INT(digest_text(STR("{\"a\":[],\"b\":2}"), expected, NULL), 0);
    CHECK_TEXT(digest, expected);
    yyjson_doc_free(doc);
}

TEST(jcs_takes_any_depth_and_stops_at_the_bound_of_its_buffer)
{
    enum { DEPTH = 200000 };
    struct json_limits limits = json_limits_default;
    limits.depth = DEPTH;
    struct buf text = BUF_INIT, form = BUF_INIT, small = BUF_INIT_LIMIT(10);
    for (int i = 0; i < DEPTH; i++)
        buf_add_text(&text, i % 2 ? "[" : "{\"k\":");
    for (int i = DEPTH; i-- > 0;)
        buf_add_char(&text, i % 2 ? ']' : '}');
    yyjson_doc *doc = NULL;
    struct err err = { 0 };
    CHECK_INT(json_read(buf_str(&text), &limits, &doc, NULL), 0);
    CHECK_INT(jcs_add(&form, doc->root, NULL), 0);
    CHECK(str_equal(buf_str(&text), buf_str(&form)));
    CHECK_INT(jcs_add(&small, doc->root, &err), -EMSGSIZE);
    CHECK_INT(err.code, ERR_LIMIT);
    yyjson_doc_free(doc);
    buf_release(&text);
    buf_release(&form);
    buf_release(&small);
}
