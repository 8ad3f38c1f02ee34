#include "base/json.h"
#include "base/test.h"

TEST(json_add_string_escapes_what_json_demands)
{
    static const struct {
        struct str bytes;
        const char *text;
    } rows[] = {
        { STR(""), "\"\"" },
        { STR("plain"), "\"plain\"" },
        { STR("\"\\/"), "\"\\\"\\\\/\"" },
        { STR("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"" },
        { STR("\0\x01\x0b\x1f \x7f"), "\"\\u0000\\u0001\\u000b\\u001f \x7f\"" },
        { STR("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { STR("a\xff"
              "b\xc3"),
          "\"a\xef\xbf\xbd"
          "b\xef\xbf\xbd\"" },
        { STR("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { STR("\n\xc3\xa4\n"), "\"\\n\xc3\xa4\\n\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf buf = BUF_INIT;
        CHECK_INT(json_add_string(&buf, rows[i].bytes), 0);
        CHECK_STR(buf_str(&buf), str_from(rows[i].text));
        buf_release(&buf);
    }
}

static void check_written(const char *text, unsigned indent, const char *expected)
{
    yyjson_doc *doc = NULL;
    struct buf buf = BUF_INIT;
    CHECK_INT(json_read(str_from(text), &json_limits_default, &doc, NULL), 0);
    CHECK_INT(json_add_value(&buf, doc->root, indent), 0);
    CHECK_STR(buf_str(&buf), str_from(expected));
    buf_release(&buf);
    yyjson_doc_free(doc);
}

TEST(json_add_string_sees_every_byte_wherever_it_stands)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < 24; at++) {
            char text[25], expected[64];
            struct buf whole = BUF_INIT, one = BUF_INIT;
            memset(text, 'a', sizeof(text));
            text[at] = (char)byte;
            json_add_string(&whole, str_make(text, sizeof(text)));
            json_add_string(&one, str_make(text + at, 1));
            snprintf(expected, sizeof(expected), "\"%.*s%.*s%.*s\"", (int)at, text,
                     (int)one.len - 2, one.data + 1, (int)(sizeof(text) - at - 1), text + at + 1);
            CHECK_TEXT(whole.data, expected);
            buf_release(&whole);
            buf_release(&one);
        }
    }
}

TEST(json_add_value_writes_minified)
{
    static const char *const same[] = {
        "null",
        "true",
        "\"x\"",
        "[]",
        "{}",
        "[1,-2,0.5,18446744073709551615,-9223372036854775808]",
        "{\"a\":[],\"b\":{},\"c\":[{\"d\":[[1],[]]},{}],\"e\":false}",
        "[123456789012345678901234567890,0.12345678901234567890,1e400,1.50000000000000000000000]",
    };
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        check_written(same[i], 0, same[i]);
    check_written(" [ 1.50 , -0 , 1e3, 0.1e-3 ] ", 0, "[1.5,0,1000.0,0.0001]");
}

TEST(json_add_value_writes_indented)
{
    check_written("[]", 4, "[]");
    check_written("7", 4, "7");
    check_written("{\"a\":[1,{\"b\":null,\"c\":[]}],\"d\":{}}", 2,
                  "{\n"
                  "  \"a\": [\n"
                  "    1,\n"
                  "    {\n"
                  "      \"b\": null,\n"
                  "      \"c\": []\n"
                  "    }\n"
                  "  ],\n"
                  "  \"d\": {}\n"
                  "}");
}

TEST(json_add_value_writes_a_part_of_a_document)
{
    yyjson_doc *doc = NULL;
    struct buf buf = BUF_INIT;
    CHECK_INT(json_read(STR("{\"a\":{\"b\":[1,2]},\"c\":3}"), &json_limits_default, &doc, NULL), 0);
    CHECK_INT(json_add_value(&buf, yyjson_obj_get(doc->root, "a"), 0), 0);
    CHECK_STR(buf_str(&buf), STR("{\"b\":[1,2]}"));
    buf_release(&buf);
    yyjson_doc_free(doc);
}

TEST(json_reals_are_written_as_what_reads_back_the_same)
{
    uint64_t state = 7;
    for (int i = 0; i < 20000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double real;
        memcpy(&real, &state, sizeof(real));
        yyjson_val value = { .tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL, .uni.f64 = real };
        char text[JSON_NUMBER_TEXT_SIZE];
        size_t len = json_number_text(&value, text);
        CHECK_INT(len, strlen(text));
        if (real - real != 0)
            CHECK_TEXT(text, "null");
        else if (strtod(text, NULL) != real)
            test_fail(__FILE__, __LINE__, "%.17g is written as %s", real, text);
    }
}

TEST(json_add_value_takes_any_depth_and_stops_at_the_bound_of_its_buffer)
{
    enum { DEPTH = 100000 };
    struct json_limits limits = json_limits_default;
    limits.depth = DEPTH;
    struct buf text = BUF_INIT, again = BUF_INIT, small = BUF_INIT_LIMIT(10);
    for (int i = 0; i < DEPTH; i++)
        buf_add_text(&text, i % 2 ? "[" : "{\"k\":");
    for (int i = DEPTH; i-- > 0;)
        buf_add_char(&text, i % 2 ? ']' : '}');
    yyjson_doc *doc = NULL;
    CHECK_INT(json_read(buf_str(&text), &limits, &doc, NULL), 0);
    CHECK_INT(json_add_value(&again, doc->root, 0), 0);
    CHECK(str_equal(buf_str(&text), buf_str(&again)));
    CHECK_INT(json_add_value(&small, doc->root, 0), -EMSGSIZE);
    yyjson_doc_free(doc);
    buf_release(&text);
    buf_release(&again);
    buf_release(&small);
}

TEST(json_pointers_are_escaped)
{
    struct buf pointer = BUF_INIT;
    json_pointer_add(&pointer, STR("a/b"));
    json_pointer_add(&pointer, STR(""));
    json_pointer_add_index(&pointer, 12);
    CHECK_INT(json_pointer_add(&pointer, STR("~1~\"\xc3\xa4")), 0);
    CHECK_STR(buf_str(&pointer), STR("/a~1b//12/~01~0\"\xc3\xa4"));
    buf_release(&pointer);
}
