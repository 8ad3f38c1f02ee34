#include "base/json.h"
#include "base/test.h"
#include "contract/compile.h"
#include "contract/explain.h"

static void check_words(const char *schema, const char *text, const char *expected)
{
    struct schema_set *set;
    struct program *program;
    struct report *report;
    yyjson_doc *schema_doc, *doc;
    uint32_t location;
    struct compile_options options = { .assert_formats = true };
    struct err err = { 0 };
    struct buf words = BUF_INIT;
    CHECK_INT(json_read(str_from(schema), &json_limits_default, &schema_doc, &err), 0);
    CHECK_INT(json_read(str_from(text), &json_limits_default, &doc, &err), 0);
    CHECK_INT(schema_set_new(NULL, NULL, &set, &err), 0);
    CHECK_INT(schema_set_add(set, STR(SCHEMA_ANONYMOUS_URI), schema_doc, &location, &err), 0);
    CHECK_INT(program_new(set, location, &options, &program, &err), 0);
    CHECK_INT(report_new(program, yyjson_doc_get_root(doc), &report, &err), 0);
    CHECK(report->count > 0);
    if (report->count)
        explain_fault(set, report, &report->units[0], &words);
    CHECK_TEXT(words.data, expected);
    buf_release(&words);
    report_free(report);
    program_free(program);
    schema_set_free(set);
    yyjson_doc_free(doc);
}

TEST(each_keyword_says_what_it_expects)
{
    static const struct {
        const char *schema, *text, *words;
    } cases[] = {
        { "{\"type\":[\"string\",\"null\"]}", "{\"a\":1}",
          "expected a string or null, found an object with 1 member" },
        { "{\"enum\":[\"allow\",\"deny\",\"ask\"]}", "\"alow\"",
          "expected one of \"allow\", \"deny\" or \"ask\", found \"alow\"; did you mean "
          "\"allow\"?" },
        { "{\"const\":\"Budget\"}", "\"budget\"",
          "expected \"Budget\", found \"budget\"; did you mean \"Budget\"?" },
        { "{\"properties\":{\"defaultDecision\":true},\"additionalProperties\":false}",
          "{\"defaultDecison\":1}",
          "expected no member `defaultDecison`; did you mean `defaultDecision`?" },
        { "{\"required\":[\"subject\"],\"properties\":{\"subject\":true}}", "{\"subjct\":1}",
          "expected the member `subject`, found none; `subjct` may be meant to be it" },
        { "{\"minimum\":3}", "2", "expected a number from 3, found 2" },
        { "{\"exclusiveMaximum\":3}", "3", "expected a number below 3, found 3" },
        { "{\"multipleOf\":0.5}", "0.7", "expected a multiple of 0.5, found 0.7" },
        { "{\"maxLength\":1}", "\"ab\"",
          "expected a string no longer than 1 character, found \"ab\"" },
        { "{\"minItems\":2}", "[1]", "expected an array with at least 2 items, found an array "
                                     "with 1 item" },
        { "{\"uniqueItems\":true}", "[1,1]",
          "expected items that all differ, found an array with 2 items" },
        { "{\"pattern\":\"^a\"}", "\"b\"", "expected text that matches ^a, found \"b\"" },
        { "{\"format\":\"ipv4\"}", "\"1.2.3\"", "expected a valid ipv4, found \"1.2.3\"" },
        { "{\"contains\":{\"type\":\"string\"}}", "[1,2]",
          "expected at least 1 of its items to match `contains` (0 do), found an array with 2 "
          "items" },
        { "{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}",
          "expected the member `b`, found an object with 1 member" },
        { "{\"not\":{\"type\":\"null\"}}", "null",
          "expected something that `not` does not describe, found null" },
        { "{\"properties\":{\"a\":false}}", "{\"a\":1}", "expected nothing here, found 1" },
        { "{\"propertyNames\":{\"maxLength\":1}}", "{\"ab\":1}",
          "expected a string no longer than 1 character, found the name \"ab\"" },
        { "{\"oneOf\":[{\"type\":\"integer\"},{\"minimum\":0}]}", "1",
          "expected exactly one of 2 alternatives to hold (2 do), found 1" },
        { "{\"anyOf\":[{\"type\":\"string\"},{\"properties\":{\"a\":{\"type\":\"null\"}}}]}",
          "{\"a\":1}",
          "expected one of 2 alternatives to hold (the closest: at \"/a\", expected null, found "
          "1), found an object with 1 member" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_words(cases[i].schema, cases[i].text, cases[i].words);
}

TEST(what_may_be_secret_is_not_shown)
{
    check_words("{\"properties\":{\"authRef\":{\"pattern\":\"^secret://\"}}}",
                "{\"authRef\":\"hunter2hunter2\"}",
                "expected text that matches ^secret://, found a string of 14 bytes");
}

TEST(nearest_words_are_near)
{
    const struct str words[] = { STR("namespaces"), STR("container"), STR("process"), STR("vm") };
    CHECK_STR(explain_nearest(STR("contianer"), words, 4), STR("container"));
    CHECK_STR(explain_nearest(STR("Process"), words, 4), STR("process"));
    CHECK_STR(explain_nearest(STR("hypervisor"), words, 4), STR(""));
    CHECK_STR(explain_nearest(STR(""), words, 4), STR(""));
}
