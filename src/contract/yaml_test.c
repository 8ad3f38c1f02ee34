#include "contract/yaml.h"

#include <time.h>

#include "base/test.h"
#include "contract/yaml_text.h"

/* A profile as a person writes it, with most of what YAML offers for that. */
static const char profile[] = "%YAML 1.2\n"
                              "# who may go where\n"
                              "---\n"
                              "type: NetworkAccessProfile\n"
                              "id: urn:srcos:network-access-profile:home\n"
                              "specVersion: '1.0.0'\n"
                              "name: \"Home \\u2014 caf\\xe9\"\n"
                              "scope: user          # not enterprise\n"
                              "defaultDecision: deny\n"
                              "profiles:\n"
                              "- profileId: home\n"
                              "  priority: 0x10\n"
                              "  allowDomains: [ example.com, \"*.example.org\" ]\n"
                              "  denyCidrs:\n"
                              "    - 10.0.0.0/8\n"
                              "    - ::1/128\n"
                              "  proxyRef: ~\n"
                              "  notes: |\n"
                              "    Two lines,\n"
                              "      the second indented.\n"
                              "- { profileId: road, priority: 20, notes: no }\n"
                              "evidence:\n"
                              "  emitNetworkDecision: true\n"
                              "  since: 2024-05-01T10:00:00Z\n"
                              "  summary: >-\n"
                              "    folded into\n"
                              "    one line\n"
                              "  ratio: 0.10\n"
                              "...\n";

static const char profile_json[] =
    "{\"type\":\"NetworkAccessProfile\",\"id\":\"urn:srcos:network-access-profile:home\","
    "\"specVersion\":\"1.0.0\",\"name\":\"Home — café\",\"scope\":\"user\","
    "\"defaultDecision\":\"deny\",\"profiles\":[{\"profileId\":\"home\",\"priority\":16,"
    "\"allowDomains\":[\"example.com\",\"*.example.org\"],"
    "\"denyCidrs\":[\"10.0.0.0/8\",\"::1/128\"],\"proxyRef\":null,"
    "\"notes\":\"Two lines,\\n  the second indented.\\n\"},"
    "{\"profileId\":\"road\",\"priority\":20,\"notes\":\"no\"}],"
    "\"evidence\":{\"emitNetworkDecision\":true,\"since\":\"2024-05-01T10:00:00Z\","
    "\"summary\":\"folded into one line\",\"ratio\":0.10}}";

static void add_json(struct buf *buf, yyjson_doc *doc)
{
    json_add_value(buf, yyjson_doc_get_root(doc), 0);
    yyjson_doc_free(doc);
}

/* Checks that a YAML text says what a JSON text says. */
static void check_same(struct str yaml, struct str json)
{
    _cleanup_(buf_release) struct buf from_yaml = BUF_INIT;
    _cleanup_(buf_release) struct buf from_json = BUF_INIT;
    struct err err = { 0 };
    yyjson_doc *doc = NULL;
    if (yaml_read(yaml, &json_limits_default, &doc, &err) < 0) {
        test_fail(__FILE__, __LINE__, "\"%.*s\" is refused: %s: %s", STR_ARG(yaml), err.where,
                  err.cause);
        return;
    }
    CHECK_INT(err.code, ERR_NONE);
    add_json(&from_yaml, doc);
    CHECK_INT(json_read(json, &json_limits_default, &doc, &err), 0);
    add_json(&from_json, doc);
    if (!str_equal(buf_str(&from_yaml), buf_str(&from_json)))
        test_fail(__FILE__, __LINE__, "\"%.*s\" is %s, expected %s", STR_ARG(yaml), from_yaml.data,
                  from_json.data);
}

/* Checks that a text is refused there, for a reason that has these words. */
static void check_refused(struct str text, const struct json_limits *limits, enum err_code code,
                          const char *where, const char *words)
{
    struct err err = { 0 };
    yyjson_doc *doc = NULL;
    int r = yaml_read(text, limits, &doc, &err);
    CHECK(doc == NULL);
    if (r == 0) {
        test_fail(__FILE__, __LINE__, "\"%.*s\" is accepted", STR_ARG(text));
        yyjson_doc_free(doc);
    } else if (err.code != code || strcmp(err.where, where) != 0 || !strstr(err.cause, words)) {
        test_fail(__FILE__, __LINE__, "\"%.*s\" is refused so: %s: %s: %s; expected %s: %s",
                  STR_ARG(text), err_id(err.code), err.where, err.cause, where, words);
    }
}

TEST(yaml_profile_is_what_its_json_is)
{
    check_same(str_from(profile), str_from(profile_json));
}

TEST(yaml_plain_scalars_follow_the_core_schema)
{
    static const struct {
        const char *yaml, *json;
    } rows[] = {
        { "~", "null" },
        { "null", "null" },
        { "Null", "null" },
        { "NULL", "null" },
        { "nULL", "\"nULL\"" },
        { "---", "null" },
        { "- ", "[null]" },
        { "true", "true" },
        { "True", "true" },
        { "TRUE", "true" },
        { "tRUE", "\"tRUE\"" },
        { "false", "false" },
        { "False", "false" },
        { "FALSE", "false" },
        { "yes", "\"yes\"" },
        { "no", "\"no\"" },
        { "NO", "\"NO\"" },
        { "on", "\"on\"" },
        { "off", "\"off\"" },
        { "y", "\"y\"" },
        { "0", "0" },
        { "-0", "0" },
        { "+7", "7" },
        { "007", "7" },
        { "-007", "-7" },
        { "18446744073709551616", "18446744073709551616" },
        { "123456789012345678901234567890", "123456789012345678901234567890" },
        { "0o17", "15" },
        { "0o08", "\"0o08\"" },
        { "0x1F", "31" },
        { "0xffffffffffffffff", "18446744073709551615" },
        { "0x10000000000000000", "18446744073709551616" },
        { "0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF", "340282366920938463463374607431768211455" },
        { "0x0000", "0" },
        { "-0x1F", "\"-0x1F\"" },
        { "0x", "\"0x\"" },
        { "0X1F", "\"0X1F\"" },
        { "0b1", "\"0b1\"" },
        { "1_000", "\"1_000\"" },
        { "1.10", "1.10" },
        { "0.1000000000000000000000000000000000001", "0.1000000000000000000000000000000000001" },
        { "+.5", "0.5" },
        { "-.5e-3", "-0.5e-3" },
        { "5.", "5.0" },
        { "00.50", "0.50" },
        { "1e3", "1e3" },
        { "1E+400", "1e+400" },
        { "1e", "\"1e\"" },
        { ".", "\".\"" },
        { "+", "\"+\"" },
        { "1.2.3", "\"1.2.3\"" },
        { "12:30:45", "\"12:30:45\"" },
        { "2024-05-01", "\"2024-05-01\"" },
        { "2024-05-01T10:00:00Z", "\"2024-05-01T10:00:00Z\"" },
        { "'null'", "\"null\"" },
        { "\"true\"", "\"true\"" },
        { "'1'", "\"1\"" },
        { "\".inf\"", "\".inf\"" },
        { "|-\n 1", "\"1\"" },
        { "''", "\"\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_same(str_from(rows[i].yaml), str_from(rows[i].json));
}

TEST(yaml_collections_are_objects_and_arrays)
{
    static const struct {
        const char *yaml, *json;
    } rows[] = {
        { "a: 1\nb: 2", "{\"a\":1,\"b\":2}" },
        { "a:\nb:\n", "{\"a\":null,\"b\":null}" },
        { "a:\n- 1\n- 2\nb: 3\n", "{\"a\":[1,2],\"b\":3}" },
        { "- - 1\n  - 2\n- - 3\n", "[[1,2],[3]]" },
        { "- a: 1\n  b: 2\n-\n  c: 3\n", "[{\"a\":1,\"b\":2},{\"c\":3}]" },
        { "? a\n: b\n? c\n", "{\"a\":\"b\",\"c\":null}" },
        { "{}", "{}" },
        { "[]", "[]" },
        { "a: {}\nb: []", "{\"a\":{},\"b\":[]}" },
        { "{a: [1, {b: c}], \"d\":e, f}", "{\"a\":[1,{\"b\":\"c\"}],\"d\":\"e\",\"f\":null}" },
        { "[a: b, c]", "[{\"a\":\"b\"},\"c\"]" },
        { "[a, b,]", "[\"a\",\"b\"]" },
        { "a: [\n  1,\n  2\n]\n", "{\"a\":[1,2]}" },
        { "a: {\n  b: 1\n}\n", "{\"a\":{\"b\":1}}" },
        { "{\"a\": [1, true, null],\n\t\"b\": \"x\\/\\ud83d\\ude00\"}",
          "{\"a\":[1,true,null],\"b\":\"x/😀\"}" },
        { "yes: no\non: off\n", "{\"yes\":\"no\",\"on\":\"off\"}" },
        { "\"1\": a\n'true': b\n\"\": c\n\"<<\": d",
          "{\"1\":\"a\",\"true\":\"b\",\"\":\"c\",\"<<\":\"d\"}" },
        { "a b: c d\n", "{\"a b\":\"c d\"}" },
        { "url: http://x/y?z#w\n", "{\"url\":\"http://x/y?z#w\"}" },
        { "a: b # c\n# d\ne: f#g\n", "{\"a\":\"b\",\"e\":\"f#g\"}" },
        { "a: 1\r\nb: |\r\n  c\r\n", "{\"a\":1,\"b\":\"c\\n\"}" },
        { "\xef\xbb\xbf"
          "a: 1\n",
          "{\"a\":1}" },
        { "%YAML 1.1 # old\n---\na\n", "\"a\"" },
        { "--- [a]\n... # end\n# behind\n", "[\"a\"]" },
        { "a: 1\n...\n...\n", "{\"a\":1}" },
        { "a: -1\nb: -x\nc: ?x\nd: :x\n", "{\"a\":-1,\"b\":\"-x\",\"c\":\"?x\",\"d\":\":x\"}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_same(str_from(rows[i].yaml), str_from(rows[i].json));
}

TEST(yaml_strings_say_what_the_standard_has_them_say)
{
    static const struct {
        const char *yaml, *json;
    } rows[] = {
        /* plain, over several lines */
        { "a\n b\n\n c", "\"a b\\nc\"" },
        /* single quotes */
        { "'it''s'", "\"it's\"" },
        { "''''", "\"'\"" },
        { "'x''''y'", "\"x''y\"" },
        { "' a \n b '", "\" a b \"" },
        { "'a\\n'", "\"a\\\\n\"" },
        { "'\n\n'", "\"\\n\"" },
        { "'\n''\n '''", "\" ' '\"" },
        /* double quotes */
        { "\"\\0\\a\\b\\t\\n\\v\\f\\r\\e\\ \\\"\\/\\\\\"",
          "\"\\u0000\\u0007\\b\\t\\n\\u000b\\f\\r\\u001b \\\"/\\\\\"" },
        { "\"\\N\\_\\L\\P\\x41\\u00e9\\U0001F600\"", "\"\\u0085\\u00a0\\u2028\\u2029Aé😀\"" },
        { "\"a \\\n  b\"", "\"a b\"" },
        { "\"a\\\n\n  b\"", "\"a\\nb\"" },
        { "\"a\\ \n b\"", "\"a  b\"" },
        { "\"a\\\\\n b\"", "\"a\\\\ b\"" },
        { "\"a\n\n\n b\"", "\"a\\n\\nb\"" },
        { "\"a\\t \n b\"", "\"a\\t b\"" },
        /* blocks */
        { "|\n a\n b\n", "\"a\\nb\\n\"" },
        { "|-\n a\n\n", "\"a\"" },
        { "|+\n a\n\n", "\"a\\n\\n\"" },
        { "|\n a", "\"a\"" },
        { "|2\n  a\n", "\"a\\n\"" },
        { "|1\n  a\n", "\" a\\n\"" },
        { "a:\n  b: |1-\n    c\n", "{\"a\":{\"b\":\" c\"}}" },
        { "- |1+ # c\n  a\n", "[\" a\\n\"]" },
        { "a: |\n\n  b\n\n  c\n# d\n", "{\"a\":\"\\nb\\n\\nc\\n\"}" },
        { "a: |\nb: >-\nc: |+\n\nd: x\n", "{\"a\":\"\",\"b\":\"\",\"c\":\"\\n\",\"d\":\"x\"}" },
        { "? |\n  a\n: |\n  b\n", "{\"a\\n\":\"b\\n\"}" },
        { "a: # c\n  |\n  b\n", "{\"a\":\"b\\n\"}" },
        { ">\n a\n b\n\n c\n", "\"a b\\nc\\n\"" },
        { ">\n a\n\n   b\n   c\n\n d\n", "\"a\\n\\n  b\\n  c\\n\\nd\\n\"" },
        { ">\n a\n \tb\n c\n", "\"a\\n\\tb\\nc\\n\"" },
        { ">+\n a\n\n\n", "\"a\\n\\n\\n\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_same(str_from(rows[i].yaml), str_from(rows[i].json));
}

TEST(yaml_refusals_say_where_and_what_to_write)
{
    static const struct {
        const char *text, *where, *words;
    } rows[] = {
        /* what the product does not accept */
        { "a: &x 1\n", "1:4", "anchors (&name) are not accepted" },
        { "&x a: 1\n", "1:1", "anchors" },
        { "- &x [1]\n", "1:3", "anchors" },
        { "a: *x\n", "1:4", "aliases (*name) are not accepted" },
        { "a: &x 1\nb: *x\n", "1:4", "anchors" },
        { "a: *.txt\n", "1:4", "put in quotes" },
        { "a: !!str 1\n", "1:4", "tags (!name) are not accepted" },
        { "!t\na: 1\n", "1:1", "tags" },
        { "a: ! b\n", "1:4", "tags" },
        { "- !<tag:yaml.org,2002:int> 1\n", "1:3", "tags" },
        { "a: !u!v w\n", "1:4", "tags" },
        { "<<: {a: 1}\n", "1:1", "merge keys (<<) are not accepted" },
        { "a:\n  <<: x\n", "2:3", "merge keys" },
        { "a: .inf\n", "1:4", "infinity and NaN are no numbers" },
        { "a: -.INF\n", "1:4", "infinity" },
        { "a: .NaN\n", "1:4", "infinity" },
        { "? [a]\n: b\n", "1:3", "a key is a string" },
        { "{a: b}: c\n", "1:1", "a key is a string" },
        { "80: x\n", "1:1", "this is a number; write \"80\"" },
        { "a:\n  0x1F: x\n", "2:3", "this is a number; write \"0x1F\"" },
        { "true: x\n", "1:1", "this is true; write \"true\"" },
        { "~: x\n", "1:1", "this is null; write \"~\"" },
        { ": x\n", "1:1", "expected a key; an empty one is written \"\"" },
        { "a: 1\nb: 2\na: 3\n", "3:1", "the key \"a\" stands twice in one mapping, first at 1:1" },
        { "{a: 1, \"\\x61\": 2}", "1:8",
          "the key \"a\" stands twice in one mapping, first at 1:2" },
        { "é: {b: 1, b: 2}", "1:11", "first at 1:5; keys are unique" },
        /* more or less than one document */
        { "", "1:1", "the text is empty, expected a document" },
        { "# only\n\n", "3:1", "the text is empty" },
        { "%YAML 1.2\n", "2:1", "the text is empty" },
        { "a: 1\n---\nb: 2\n", "2:1", "a second document starts here" },
        { "---\na: 1\n...\nb: 2\n", "4:1", "a second document starts here" },
        { "---\n---\n", "2:1", "a second document" },
        { "a: 1\n... b\n", "2:1", "a second document" },
        { "...\na: 1\n", "1:1", "expected a document before the line \"...\"" },
        /* directives */
        { "%TAG ! tag:x,2000:\n---\na\n", "1:1", "the directive \"%TAG ! tag:x,2000:\" is not" },
        { "%YAML 2.0\n---\na\n", "1:1", "is not accepted" },
        { "%YAML 1.\n---\na\n", "1:1", "is not accepted" },
        { "%YAML 1.2 x\n---\na\n", "1:1", "is not accepted" },
        { "%YAML 1.2\n%YAML 1.2\n---\na\n", "2:1", "is not accepted" },
        { "a\n...\n%YAML 1.2\n---\nb\n", "3:1", "is not accepted" },
        { "%YAML 1.2\na: 1\n", "2:1", "expected a line \"---\"" },
        { "a:\n%b\n", "2:1", "a line that starts with '%'" },
        /* what people get wrong */
        { "a:\n\tb: 1\n", "2:1", "found a tab used for indentation" },
        { "a:\n  b: 1\n\tc: 2\n", "3:2", "found a tab used for indentation" },
        { "a: b: c\n", "1:5", "a value has ': ' in it and is not in quotes" },
        { "a: \"b\": c\n", "1:7", "a value has ': ' in it" },
        { "a: b\n  c: d\n", "2:4", "a key has one line" },
        { "a: 1\nb\nc: 2\n", "2:1", "expected ':' and a value behind this key" },
        { "a: 1\nb\n", "2:1", "expected a member" },
        { "a: 1\n- b\n", "2:1", "expected a member" },
        { "- a\nb: c\n", "2:1", "expected an item" },
        { "a: - b\n", "1:4", "a sequence starts on the line below its key" },
        { "a: -\n", "1:4", "a string that starts with '- ' is put in quotes" },
        { "a:\n   b: 1\n  c: 2\n", "3:3", "the indentation fits nothing above" },
        { "a: \"b\n", "1:4", "the quote that opens here is not closed" },
        { "a: 'b\n", "1:4", "the quote that opens here is not closed" },
        { "a: 'it's'\n", "1:8", "found text behind a closing quote" },
        { "a: [1, 2\n", "2:1", "the text ends before a bracket is closed" },
        { "a: {b: 1\n", "2:1", "expected ',' or a closing bracket" },
        { "a: [\"x\" \"y\"]\n", "1:10", "expected ',' or a closing bracket" },
        { "a: ]\n", "1:4", "found a closing bracket, and none is open" },
        { "a: [1}\n", "1:6", "of another kind" },
        { "a: [1,,2]\n", "1:7", "found ',' without a value before it" },
        { "a: @b\n", "1:4", "this character cannot start a value" },
        { "a: `b`\n", "1:4", "put the value in quotes" },
        { "a: %b\n", "1:4", "this character cannot start a value" },
        { "a: \"\\q\"\n", "1:5", "found a backslash that starts no escape" },
        { "a: \"C:\\Users\"\n", "1:7", "the backslash itself is written \\\\" },
        { "a: \"\\ud800\"\n", "1:5", "found a backslash that starts no escape" },
        { "a: \"b\"#c\n", "1:7", "found '#' where no comment can start" },
        { "a: | b\n", "1:6", "found a malformed block" },
        { "a: |0\n  b\n", "1:4", "found a malformed block" },
        { "a: ? b\n", "1:4", "found '? ' where no key can start" },
        { "--- a: b\n", "1:6", "found ':' behind what cannot be a key" },
        /* what libfyaml reads wrongly, or not at all */
        { "a:\n  - |\n\n  - b\n", "2:5", "an empty one as \"\"" },
        { "a:\n-\n- b\n", "3:1", "written null" },
        { "a: b\\", "1:5", "the text ends in a backslash" },
        { "\"\\", "1:2", "the text ends in a backslash" },
        { "? a:\t:\t", "1:5", "found a tab between indicators" },
        { "? a\n: |\n  x\nb:\t- c\n", "4:3", "found a tab between indicators" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_refused(str_from(rows[i].text), &json_limits_default, ERR_SYNTAX, rows[i].where,
                      rows[i].words);
}

TEST(yaml_refuses_what_is_no_text)
{
    static const struct {
        struct str text;
        const char *where, *words;
    } rows[] = {
        { STR("a: \xff\n"), "1:4", "the byte 0xff is no UTF-8" },
        { STR("é: \xed\xa0\x80\n"), "1:4", "the byte 0xed is no UTF-8" },
        { STR("a: \xc3"), "1:4", "no UTF-8" },
        { STR("%\xff\xff\n"), "1:2", "no UTF-8" },
        { STR("a: \0\n"), "1:4", "found the control character 0x00" },
        { STR("a: 1\nb: \"\x1b[1m\"\n"), "2:5", "in double quotes it is written \\x1b" },
        { STR("\xef\xbb\xbf\xef\xbb\xbf%YAML 1.1\n"), "1:1", "two byte order marks" },
        { STR("\xff\xfe"
              "a\0:\0"),
          "1:1", "save the text as UTF-8" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_refused(rows[i].text, &json_limits_default, ERR_SYNTAX, rows[i].where, rows[i].words);
}

TEST(yaml_limits_are_those_of_json)
{
    const struct json_limits limits = {
        .size_bytes = 64,
        .depth = 2,
        .array_items = 3,
        .members = 2,
        .string_bytes = 8,
        .number_digits = 6,
    };
    static const char *const accepted[] = {
        "a: [1]",        "[[], {}]",      "- 1\n- 2\n- 3\n",          "a: 1\nb: 2", "\"12345678\"",
        "'12345678': x", "- 0xFFFF\n- 1", "\"\\xe9\\xe9\\xe9\\xe9\"", "- 123456",   "[]",
    };
    static const struct {
        const char *text, *where, *words;
    } refused[] = {
        { "a:\n- - x\n", "2:3", "the nesting has at least 3 levels; the limit is 2 (--max-depth" },
        { "[[[]]]", "1:3", "the nesting has at least 3 levels" },
        { "a:\n  [1, 2, 3, 4, 5]", "2:3",
          "the array has at least 4 items; the limit is 3 (--max-" },
        { "- a: 1\n  b: 2\n  c: 3\n", "1:3", "the object has at least 3 members; the limit is 2" },
        { "a: 123456789", "1:4", "the number has 9 characters; the limit is 6 (--max-digits" },
        { "a: 0xFFFFFF", "1:4", "the number has 8 characters; the limit is 6 (--max-digits" },
        { "a: 0xFFFFF", "1:4", "the number has 7 characters" },
        { "a: abcdefghi", "1:4",
          "the string has 9 bytes; the limit is 8 (--max-string raises it)" },
        { "abcdefghi: a", "1:1", "the string has 9 bytes; the limit is 8" },
        { "a: >\n  abcd\n  efgh\n", "1:4", "the string has 10 bytes; the limit is 8" },
    };
    for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
        yyjson_doc *doc = NULL;
        CHECK_INT(yaml_read(str_from(accepted[i]), &limits, &doc, NULL), 0);
        yyjson_doc_free(doc);
    }
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        check_refused(str_from(refused[i].text), &limits, ERR_LIMIT, refused[i].where,
                      refused[i].words);
    struct json_limits small = { .size_bytes = 3 };
    check_refused(STR("a: 1"), &small, ERR_LIMIT, "",
                  "the text has 4 bytes; the limit is 3 (--max-size raises it)");
}

static void add_times(struct buf *buf, const char *text, size_t count)
{
    while (count--)
        buf_add_text(buf, text);
}

/* Texts on which libfyaml alone takes all the time, the stack or the memory. */
TEST(yaml_hostile_texts_end_soon)
{
    static const struct {
        const char *start, *again;
        size_t times;
        const char *end;
        enum err_code code;
    } rows[] = {
        { "a: |\n b\n", "\n", 4000000, "", ERR_LIMIT },
        { "a: 'b", "\n", 4000000, "'", ERR_LIMIT },
        { "- ", " ", 4000000, "a", ERR_LIMIT },
        { "{a:", "\n", 4000000, "b}", ERR_LIMIT },
        { "a: !", "%41", 1000000, " b", ERR_LIMIT },
        { "%YAML 1.", "0", 8000000, "1\n---\na", ERR_NONE },
        { "", "- [a]\n", 300000, "", ERR_NONE },
        { "a: !", "x", 8000000, "!y z", ERR_SYNTAX },
        { "", "[", 1000000, "", ERR_LIMIT },
        { "", "- ", 1000000, "", ERR_LIMIT },
        { "", "? ", 1000000, "", ERR_SYNTAX },
        { "", "{a: ", 100000, "", ERR_LIMIT },
        { "", "\"a\":\n", 100000, "", ERR_SYNTAX },
        { "a: 0x", "f", 1000000, "", ERR_LIMIT },
        { "", "a", 9000000, "", ERR_LIMIT },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_(buf_release) struct buf text = BUF_INIT;
        struct err err = { 0 };
        yyjson_doc *doc = NULL;
        buf_add_text(&text, rows[i].start);
        add_times(&text, rows[i].again, rows[i].times);
        buf_add_text(&text, rows[i].end);
        clock_t start = clock();
        int r = yaml_read(buf_str(&text), &json_limits_default, &doc, &err);
        CHECK((r == 0) == (rows[i].code == ERR_NONE));
        yyjson_doc_free(doc);
        if (err.code != rows[i].code)
            test_fail(__FILE__, __LINE__, "%s%s… ends in %s: %s", rows[i].start, rows[i].again,
                      err.where, err.cause);
        CHECK(clock() - start < 20 * CLOCKS_PER_SEC);
    }
}

/* Ten aliases of ten aliases, and so on: refused where the first anchor stands. */
TEST(yaml_billion_laughs_are_not_laughed)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    buf_add_text(&text, "a0: &a0 lol\n");
    for (int i = 1; i < 10; i++) {
        buf_addf(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            buf_addf(&text, "*a%d,", i - 1);
        buf_add_text(&text, "]\n");
    }
    check_refused(buf_str(&text), &json_limits_default, ERR_SYNTAX, "1:5", "anchors");
}

TEST(yaml_numbers_keep_every_digit)
{
    yyjson_doc *doc = NULL;
    struct str text = STR("- 12345678901234567890123456789012345678901234567890\n"
                          "- 0.12345678901234567890\n- 18446744073709551615\n- 0.1\n");
    CHECK_INT(yaml_read(text, &json_limits_default, &doc, NULL), 0);
    yyjson_val *array = yyjson_doc_get_root(doc);
    CHECK(yyjson_is_raw(yyjson_arr_get(array, 0)));
    CHECK_STR(json_str(yyjson_arr_get(array, 1)), STR("0.12345678901234567890"));
    CHECK(yyjson_get_uint(yyjson_arr_get(array, 2)) == UINT64_MAX);
    CHECK(yyjson_is_real(yyjson_arr_get(array, 3)));
    yyjson_doc_free(doc);
}

/* --- places ------------------------------------------------------------------- */

static void check_place(struct str text, const char *pointer, bool key, const char *expected)
{
    struct json_position at = { 0 };
    char found[64];
    int r = yaml_locate(text, str_from(pointer), key, &at);
    snprintf(found, sizeof(found), r < 0 ? "none" : "%zu:%zu", at.line, at.column);
    if (strcmp(found, expected) != 0 || (r < 0 && r != -ENOENT))
        test_fail(__FILE__, __LINE__, "%s%s in \"%.*s\" is at %s (%d), expected %s",
                  key ? "the key of " : "", pointer, STR_ARG(text), found, r, expected);
}

TEST(yaml_locate_finds_values_and_keys)
{
    static const struct {
        const char *pointer, *value, *key;
    } rows[] = {
        { "", "4:1", "4:1" },
        { "/type", "4:7", "4:1" },
        { "/specVersion", "6:14", "6:1" },
        { "/name", "7:7", "7:1" },
        { "/profiles", "11:1", "10:1" },
        { "/profiles/0", "11:3", "11:3" },
        { "/profiles/0/profileId", "11:14", "11:3" },
        { "/profiles/0/priority", "12:13", "12:3" },
        { "/profiles/0/allowDomains", "13:17", "13:3" },
        { "/profiles/0/allowDomains/0", "13:19", "13:19" },
        { "/profiles/0/allowDomains/1", "13:32", "13:32" },
        { "/profiles/0/denyCidrs", "15:5", "14:3" },
        { "/profiles/0/denyCidrs/1", "16:7", "16:7" },
        { "/profiles/0/proxyRef", "17:13", "17:3" },
        { "/profiles/0/notes", "18:10", "18:3" },
        { "/profiles/1", "21:3", "21:3" },
        { "/profiles/1/notes", "21:43", "21:36" },
        { "/evidence/since", "24:10", "24:3" },
        { "/evidence/summary", "25:12", "25:3" },
        { "/evidence/ratio", "28:10", "28:3" },
        { "/nothing", "none", "none" },
        { "/profiles/2", "none", "none" },
        { "/profiles/-", "none", "none" },
        { "/profiles/00", "none", "none" },
        { "/profiles/", "none", "none" },
        { "/profiles/99999999999999999999999", "none", "none" },
        { "/type/0", "none", "none" },
        { "/evidence/sinc", "none", "none" },
        { "type", "none", "none" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_place(str_from(profile), rows[i].pointer, false, rows[i].value);
        check_place(str_from(profile), rows[i].pointer, true, rows[i].key);
    }
}

TEST(yaml_locate_knows_every_form)
{
    static const struct {
        const char *text, *pointer;
        bool key;
        const char *expected;
    } rows[] = {
        { "é: 'ü' # x\nb: ö\n", "/é", false, "1:4" },
        { "{é: 1, ö: 2}", "/ö", true, "1:8" },
        { "\xef\xbb\xbf"
          "a: 1",
          "/a", false, "1:4" },
        { "a/b: {c~d: 1}", "/a~1b/c~0d", false, "1:12" },
        { "a/b: {c~d: 1}", "/a~1b/c~d", false, "none" },
        { "a/b: {c~d: 1}", "/a~1b/c~0", false, "none" },
        { "\"\": x", "/", false, "1:5" },
        { "\"\\x61\": x", "/a", true, "1:1" },
        { "a:\n  b:\n    - c: 1\n      d: 2\n", "/a/b/0/d", true, "4:7" },
        { "[[1, [2]], {a: [3]}]", "/1/a/0", false, "1:17" },
        { "[a: b, c: d]", "/1/c", false, "1:11" },
        { "[a: b, c: d]", "/1", false, "1:8" },
        { "[a: b, c: d]", "/0", false, "1:2" },
        { "a:\nb: 1\n", "/a", false, "1:2" }, /* nothing: at the colon that announces it */
        { "- a\n- # b\n-\n- c\n", "/1", false, "2:1" },
        { "- a\n- # b\n-\n- c\n", "/2", false, "3:1" },
        { "- a\n- # b\n-\n- c\n", "/3", false, "4:3" },
        { "? a\n: |\n  b\n? c\n", "/a", false, "2:3" },
        { "? a\n: b\n? c\n", "/c", true, "3:3" },
        { "a: # |\n  |-\n  b\nc: 'd'\n", "/a", false, "2:3" },
        { "a: # |\n  |-\n  b\nc: 'd'\n", "/c", false, "4:4" },
        { "--- # x\n- >\n a\n- b", "/0", false, "2:3" },
        { "--- |\n a\n", "", false, "1:5" },
        { "a: \"b\n  c\"\nd: e", "/a", false, "1:4" },
        { "a: b\n  c\nd: e", "/d", false, "3:4" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_place(str_from(rows[i].text), rows[i].pointer, rows[i].key, rows[i].expected);
    struct json_position at = { 7, 7 };
    CHECK(yaml_locate(STR("a: ["), STR("/b"), false, &at) < 0);
    CHECK(yaml_locate(STR("\xff"), STR(""), false, &at) < 0);
    CHECK(at.line == 7 && at.column == 7);
}

/* --- robustness ----------------------------------------------------------------- */

/* libfyaml must say nothing of its own, whatever it is given. */
TEST(yaml_refusals_print_nothing)
{
    static const char *const texts[] = {
        "a: b: c", "a: \"\\q\"", "a: |0\n", "[", "%YAML 9.9\n---\n", "a: !u!v w", "\t- a", "a: @",
    };
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    CHECK(file && saved >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        yyjson_doc *doc = NULL;
        CHECK(yaml_read(str_from(texts[i]), &json_limits_default, &doc, NULL) < 0);
    }
    fflush(stderr);
    CHECK(dup2(saved, STDERR_FILENO) >= 0);
    CHECK_INT(lseek(fileno(file), 0, SEEK_END), 0);
    close(saved);
    fclose(file);
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* One to four bytes of the profile deleted, doubled or replaced by something that means something.
 */
static void mutate(struct buf *text, uint64_t *random)
{
    static const char bytes[] = " \n\t\r:-?#,[]{}'\"|>&*!%@~<=.\\a1\xc3\xa9";
    buf_reset(text);
    size_t changes = 1 + next_random(random) % 4, done = 0;
    for (size_t i = 0; i < changes; i++) {
        size_t at = done + next_random(random) % (sizeof(profile) - 1 - done);
        buf_add(text, profile + done, at - done);
        uint32_t what = next_random(random) % 3;
        if (what == 1)
            buf_add_char(text, profile[at]);
        if (what > 0)
            buf_add_char(text, bytes[next_random(random) % (sizeof(bytes) - 1)]);
        done = at + 1;
        if (done >= sizeof(profile) - 1)
            return;
    }
    buf_add(text, profile + done, sizeof(profile) - 1 - done);
}

TEST(yaml_mutations_are_read_or_refused)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    uint64_t random = 1;
    size_t accepted = 0, refused = 0;
    for (int i = 0; i < 10000; i++) {
        struct err err = { 0 };
        yyjson_doc *doc = NULL;
        mutate(&text, &random);
        if (yaml_read(buf_str(&text), &json_limits_default, &doc, &err) < 0) {
            if (!doc && err.code != ERR_NONE && err.cause[0] && err.where[0])
                refused++;
            continue;
        }
        _cleanup_(buf_release) struct buf json = BUF_INIT;
        add_json(&json, doc);
        CHECK_INT(json_read(buf_str(&json), &json_limits_default, &doc, NULL), 0);
        yyjson_doc_free(doc);
        accepted++;
    }
    CHECK_INT(accepted + refused, 10000);
    CHECK(accepted > 1000 && refused > 1000);
}
