#include "base/json_text.h"

#include "base/json.h"
#include "base/test.h"

TEST(json_position_counts_lines_and_code_points)
{
    static const char text[] = "ab\n\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80x\r\n\ny";
    static const struct {
        size_t offset, line, column;
    } rows[] = {
        { 0, 1, 1 },  { 2, 1, 3 },  { 3, 2, 1 },  { 5, 2, 2 },  { 8, 2, 3 },  { 12, 2, 4 },
        { 13, 2, 5 }, { 15, 3, 1 }, { 16, 4, 1 }, { 17, 4, 2 }, { 99, 4, 2 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json_position at =
            json_position(STR("ab\n\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80x\r\n\ny"), rows[i].offset);
        if (at.line != rows[i].line || at.column != rows[i].column)
            test_fail(__FILE__, __LINE__, "offset %zu of %zu is at %zu:%zu", rows[i].offset,
                      sizeof(text) - 1, at.line, at.column);
    }
    struct json_position empty = json_position(STR(""), 0);
    CHECK_INT(empty.line, 1);
    CHECK_INT(empty.column, 1);
}

static const char document[] = " { \"a\" : [ 10 , { \"b\\\"}\" : -1.5e3 } , [ ] , true ],\n"
                               "\"\" : {\"\" : null},\n"
                               "\"x/y\" : 1, \"m~n\" : 2, \"\\u00e9\\ud83d\\ude00\\n\" : 3,\n"
                               "\"~1\" : 4, \"12\" : {\"0\" : 5}, \"last\" : \"]}\\\\\" } ";

static void check_located(const char *pointer, const char *key, const char *value)
{
    struct str text = str_from(document);
    size_t at;
    if (json_locate(text, str_from(pointer), false, &at) < 0) {
        test_fail(__FILE__, __LINE__, "%s is not found", pointer);
        return;
    }
    if (!str_starts(str_from_offset(text, at), str_from(value)))
        test_fail(__FILE__, __LINE__, "%s is %s", pointer, document + at);
    CHECK_INT(json_locate(text, str_from(pointer), true, &at), 0);
    if (!str_starts(str_from_offset(text, at), str_from(key)))
        test_fail(__FILE__, __LINE__, "the key of %s is %s", pointer, document + at);
}

TEST(json_locate_finds_values_and_keys)
{
    check_located("", "{ \"a\"", "{ \"a\"");
    check_located("/a", "\"a\" :", "[ 10");
    check_located("/a/0", "10 ,", "10 ,");
    check_located("/a/1", "{ \"b", "{ \"b");
    check_located("/a/1/b\"}", "\"b\\\"}\"", "-1.5e3 }");
    check_located("/a/2", "[ ]", "[ ]");
    check_located("/a/3", "true ]", "true ]");
    check_located("/", "\"\" : {", "{\"\" :");
    check_located("//", "\"\" : null", "null}");
    check_located("/x~1y", "\"x/y\"", "1,");
    check_located("/m~0n", "\"m~n\"", "2,");
    check_located("/\xc3\xa9\xf0\x9f\x98\x80\n", "\"\\u00e9", "3,");
    check_located("/~01", "\"~1\"", "4,");
    check_located("/12/0", "\"0\"", "5}");
    check_located("/last", "\"last\"", "\"]}\\\\\" }");
}

TEST(json_locate_says_where_there_is_nothing)
{
    static const char *const pointers[] = {
        "a",       "/b",
        "/a/4",    "/a/00",
        "/a/01",   "/a/-",
        "/a/",     "/a/1x",
        "/a/-1",   "/a/0/0",
        "/a/2/0",  "/x~2y",
        "/x~",     "/~1",
        "/m~n",    "/a/99999999999999999999999999999999",
        "/las",    "/lastt",
        "/last/0", "//a",
        "/12/0/",  "/a/18446744073709551617",
    };
    for (size_t i = 0; i < ARRAY_LEN(pointers); i++) {
        size_t at = 77;
        if (json_locate(str_from(document), str_from(pointers[i]), false, &at) != -ENOENT)
            test_fail(__FILE__, __LINE__, "%s is found", pointers[i]);
        CHECK_INT(at, 77);
    }
    size_t at;
    CHECK_INT(json_locate(STR(" 7 "), STR(""), false, &at), 0);
    CHECK_INT(at, 1);
    CHECK_INT(json_locate(STR(" 7 "), STR("/0"), false, &at), -ENOENT);
    CHECK_INT(json_locate(STR("[]"), STR("/0"), false, &at), -ENOENT);
    CHECK_INT(json_locate(STR("{}"), STR("/"), false, &at), -ENOENT);
}

TEST(json_value_offset_counts_as_the_parser_does)
{
    struct str text = str_from(document);
    static const char *const starts[] = {
        "{ \"a\"", "\"a\"",   "[ 10",     "10",      "{ \"b",       "\"b\\\"}\"", "-1.5e3",
        "[ ]",     "true",    "\"\" : {", "{\"\" :", "\"\" : null", "null",       "\"x/y\"",
        "1,",      "\"m~n\"", "2,",       "\"\\u00", "3,",          "\"~1\"",     "4,",
        "\"12\"",  "{\"0\"",  "\"0\"",    "5}",      "\"last\"",    "\"]}",
    };
    yyjson_doc *doc = NULL;
    CHECK_INT(json_read(text, &json_limits_default, &doc, NULL), 0);
    CHECK_INT(yyjson_doc_get_val_count(doc), ARRAY_LEN(starts));
    yyjson_doc_free(doc);
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        struct str at = str_from_offset(text, json_value_offset(text, i));
        if (!str_starts(at, str_from(starts[i])))
            test_fail(__FILE__, __LINE__, "value %zu is %s", i, at.ptr);
    }
    CHECK_INT(json_value_offset(text, ARRAY_LEN(starts)), text.len);
}

TEST(json_fault_find_sees_nothing_wrong_in_json)
{
    static const char *const texts[] = {
        document,  "0",    "-0.5E-7", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u12aB\\ud83d\\ude00\"",
        "[[],{}]", "null",
    };
    struct json_fault fault;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        CHECK_INT(json_fault_find(str_from(texts[i]), 10, &fault), -ENOENT);
}
