#include "base/json.h"
#include "base/test.h"
#include "contract/compile.h"
#include "contract/output.h"
#include "contract/suite.h"
#include "contract/validate.h"

/* A schema, compiled, and what goes with it. */
struct compiled {
    struct schema_set *set;
    struct program *program;
};

static int compile(const char *schema, struct compiled *ret, struct err *err)
{
    yyjson_doc *doc;
    uint32_t location;
    struct compile_options options = { 0 };
    *ret = (struct compiled){ 0 };
    int r = json_read(str_from(schema), &json_limits_default, &doc, err);
    CHECK_INT(r, 0);
    CHECK_INT(schema_set_new(NULL, NULL, &ret->set, err), 0);
    r = schema_set_add(ret->set, STR(SCHEMA_ANONYMOUS_URI), doc, &location, err);
    return r < 0 ? r : program_new(ret->set, location, &options, &ret->program, err);
}

static void release(struct compiled *c)
{
    program_free(c->program);
    schema_set_free(c->set);
}

/* 1 valid, 0 invalid, -errno; both runs, which must agree. */
static int verdict(const char *schema, const char *text, struct err *err)
{
    struct compiled c;
    yyjson_doc *doc;
    struct report *report = NULL;
    CHECK_INT(compile(schema, &c, err), 0);
    CHECK_INT(json_read(str_from(text), &json_limits_default, &doc, err), 0);
    int r = validate(c.program, yyjson_doc_get_root(doc), err);
    int thorough = report_new(c.program, yyjson_doc_get_root(doc), &report, err);
    if (thorough == 0)
        CHECK_INT(report->valid, r == 1);
    CHECK_INT(thorough < 0, r < 0);
    report_free(report);
    yyjson_doc_free(doc);
    release(&c);
    return r;
}

static void print_failure(void *context, const char *text)
{
    (void)context;
    puts(text);
}

TEST(the_official_suite_passes_whole)
{
    const char *data = getenv("AM_TEST_DATA");
    char tests[512], remotes[512];
    if (!data || !data[0]) {
        test_skip("AM_TEST_DATA does not name a folder with the JSON Schema test-suite");
        return;
    }
    snprintf(tests, sizeof(tests), "%s/json-schema-test-suite/tests/draft2020-12", data);
    snprintf(remotes, sizeof(remotes), "%s/json-schema-test-suite/remotes", data);
    struct suite_options options = { .remotes = remotes, .failure = print_failure };
    struct suite_result result = { 0 };
    struct err err = { 0 };
    CHECK_INT(suite_run(tests, &options, &result, &err), 0);
    CHECK_INT(result.failed, 0);
    CHECK(result.passed > 2000);
}

TEST(hostile_schemas_end_in_an_error)
{
    /* Recursion without progress, recursion that branches, and a pattern that backtracks. */
    static const char *const schemas[] = {
        "{\"$ref\":\"#\"}",
        "{\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}",
        "{\"anyOf\":[{\"not\":{\"$ref\":\"#\"}},{\"not\":{\"$ref\":\"#\"}}]}",
        "{\"$dynamicAnchor\":\"a\",\"$dynamicRef\":\"#a\"}",
        "{\"if\":{\"$ref\":\"#\"},\"else\":{\"$ref\":\"#\"}}",
        "{\"pattern\":\"^(a+)+$\"}",
        "{\"pattern\":\"^(a|aa)+$\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
        struct err err = { 0 };
        int r = verdict(schemas[i],
                        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx!\"",
                        &err);
        CHECK(r < 0);
        CHECK_INT(err.code, ERR_LIMIT);
    }
}

TEST(a_schema_that_doubles_at_every_level_ends_in_an_error)
{
    struct buf schema = BUF_INIT;
    struct err err = { 0 };
    buf_add_text(&schema, "{\"$defs\":{");
    for (int i = 0; i < 60; i++)
        buf_addf(&schema,
                 "\"a%d\":{\"allOf\":[{\"$ref\":\"#/$defs/a%d\"},{\"$ref\":\"#/$defs/a%d\"}]},", i,
                 i + 1, i + 1);
    buf_add_text(&schema, "\"a60\":true},\"$ref\":\"#/$defs/a0\"}");
    CHECK(verdict(schema.data, "1", &err) < 0);
    CHECK_INT(err.code, ERR_LIMIT);
    buf_release(&schema);
}

TEST(recursion_that_follows_the_document_is_no_fault)
{
    struct buf text = BUF_INIT;
    struct err err = { 0 };
    for (int i = 0; i < 200; i++)
        buf_add_text(&text, "{\"next\":");
    buf_add_text(&text, "null");
    for (int i = 0; i < 200; i++)
        buf_add_text(&text, "}");
    CHECK_INT(verdict("{\"type\":[\"object\",\"null\"],\"properties\":{\"next\":{\"allOf\":[{"
                      "\"$ref\":\"#\"}]}}}",
                      text.data, &err),
              1);
    buf_release(&text);
}

TEST(malformed_schemas_are_refused_with_their_place)
{
    static const struct {
        const char *schema, *where;
    } cases[] = {
        { "{\"properties\":{\"a\":{\"type\":\"strin\"}}}", "schema:///#/properties/a/type" },
        { "{\"items\":{\"minLength\":-1}}", "schema:///#/items/minLength" },
        { "{\"multipleOf\":0}", "schema:///#/multipleOf" },
        { "{\"pattern\":\"(\"}", "schema:///#/pattern" },
        { "{\"required\":[1]}", "schema:///#/required" },
        { "{\"$ref\":\"#/nowhere\"}", "schema:///#/$ref" },
        { "{\"allOf\":[]}", "schema:///#/allOf" },
        { "{\"not\":5}", "schema:///#/not" },
        { "{\"minContains\":1.5,\"contains\":true}", "schema:///#/minContains" },
        { "{\"patternProperties\":{\"[\":true}}", "schema:///#/patternProperties" },
        { "{\"dependentRequired\":{\"a\":\"b\"}}", "schema:///#/dependentRequired" },
        { "{\"enum\":5}", "schema:///#/enum" },
        { "{\"uniqueItems\":1}", "schema:///#/uniqueItems" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct compiled c;
        struct err err = { 0 };
        CHECK(compile(cases[i].schema, &c, &err) < 0);
        CHECK_INT(err.code, ERR_SCHEMA);
        CHECK_TEXT(err.where, cases[i].where);
        release(&c);
    }
}

TEST(unknown_dialects_and_vocabularies_are_refused)
{
    static const char *const schemas[] = {
        "{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}",
        "{\"$schema\":\"https://example.com/unknown\"}",
        "{\"$schema\":\"https://example.com/own\",\"$id\":\"https://example.com/own\"}",
        "{\"$id\":\"https://example.com/a#part\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
        struct compiled c;
        struct err err = { 0 };
        CHECK(compile(schemas[i], &c, &err) < 0);
        CHECK_INT(err.code, ERR_SCHEMA);
        release(&c);
    }
}

TEST(numbers_compare_beyond_binary)
{
    static const struct {
        const char *schema, *text;
        int valid;
    } cases[] = {
        { "{\"maximum\":18446744073709551616}", "18446744073709551617", 0 },
        { "{\"maximum\":18446744073709551616}", "18446744073709551616", 1 },
        { "{\"maximum\":1}", "1.00000000000000000000001", 0 },
        { "{\"multipleOf\":0.01}", "19.99", 1 },
        { "{\"multipleOf\":0.01}", "19.999", 0 },
        { "{\"multipleOf\":0.01}", "1e308", 1 },
        { "{\"type\":\"integer\"}", "1e400", 1 },
        { "{\"const\":100}", "1e2", 1 },
        { "{\"enum\":[0.1]}", "0.10", 1 },
        { "{\"uniqueItems\":true}", "[1,1.0]", 0 },
        { "{\"uniqueItems\":true}", "[[1],[2],[3],[4],[5],[6],[7],[8],[9],[1.0]]", 0 },
        { "{\"minLength\":1e400}", "\"a\"", 0 },
        { "{\"maxItems\":2.0}", "[1,2]", 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = { 0 };
        int r = verdict(cases[i].schema, cases[i].text, &err);
        if (r != cases[i].valid)
            test_fail(__FILE__, __LINE__, "%s on %s: %d", cases[i].schema, cases[i].text, r);
    }
}

TEST(basic_output_names_every_fault_through_references)
{
    struct compiled c;
    struct err err = { 0 };
    struct report *report;
    yyjson_doc *doc;
    CHECK_INT(compile("{\"$id\":\"https://example.com/s\",\"properties\":{\"a\":{\"$ref\":"
                      "\"#/$defs/n\"}},\"required\":[\"b\"],\"$defs\":{\"n\":{\"type\":"
                      "\"integer\"}}}",
                      &c, &err),
              0);
    CHECK_INT(json_read(STR("{\"a\":\"x\"}"), &json_limits_default, &doc, &err), 0);
    CHECK_INT(report_new(c.program, yyjson_doc_get_root(doc), &report, &err), 0);
    struct buf out = BUF_INIT;
    output_basic(&out, c.set, report);
    CHECK_TEXT(out.data,
               "{\"valid\":false,\"errors\":[{\"valid\":false,\"keywordLocation\":"
               "\"/properties/a/$ref/type\",\"absoluteKeywordLocation\":"
               "\"https://example.com/s#/$defs/n/type\",\"instanceLocation\":\"/a\",\"error\":"
               "\"expected an integer, found \\\"x\\\"\"},{\"valid\":false,\"keywordLocation\":"
               "\"/required\",\"absoluteKeywordLocation\":\"https://example.com/s#/required\","
               "\"instanceLocation\":\"\",\"error\":\"expected the member `b`, found none\"}]}");
    buf_release(&out);
    report_free(report);
    yyjson_doc_free(doc);
    release(&c);
}

TEST(basic_output_of_a_valid_document_has_its_annotations)
{
    struct compiled c;
    struct err err = { 0 };
    struct report *report;
    yyjson_doc *doc;
    /* The first branch fails, so that its title does not count. */
    CHECK_INT(compile("{\"title\":\"t\",\"anyOf\":[{\"title\":\"no\",\"type\":\"string\"},"
                      "{\"x-own\":[1]}]}",
                      &c, &err),
              0);
    CHECK_INT(json_read(STR("5"), &json_limits_default, &doc, &err), 0);
    CHECK_INT(report_new(c.program, yyjson_doc_get_root(doc), &report, &err), 0);
    struct buf out = BUF_INIT;
    output_basic(&out, c.set, report);
    CHECK_TEXT(out.data,
               "{\"valid\":true,\"annotations\":[{\"valid\":true,\"keywordLocation\":"
               "\"/anyOf/1/x-own\",\"absoluteKeywordLocation\":\"schema:///#/anyOf/1/x-own\","
               "\"instanceLocation\":\"\",\"annotation\":[1]},{\"valid\":true,"
               "\"keywordLocation\":\"/title\",\"absoluteKeywordLocation\":"
               "\"schema:///#/title\",\"instanceLocation\":\"\",\"annotation\":\"t\"}]}");
    buf_release(&out);
    report_free(report);
    yyjson_doc_free(doc);
    release(&c);
}

TEST(reports_are_cut_at_their_limit)
{
    struct compiled c;
    struct err err = { 0 };
    struct report *report;
    yyjson_doc *doc;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "[1");
    for (int i = 0; i < REPORT_UNITS_MAX + 10; i++)
        buf_add_text(&text, ",1");
    buf_add_text(&text, "]");
    CHECK_INT(compile("{\"items\":{\"type\":\"string\"}}", &c, &err), 0);
    CHECK_INT(json_read(buf_str(&text), &json_limits_default, &doc, &err), 0);
    CHECK_INT(report_new(c.program, yyjson_doc_get_root(doc), &report, &err), 0);
    CHECK_INT(report->count, REPORT_UNITS_MAX);
    CHECK(report->cut);
    report_free(report);
    yyjson_doc_free(doc);
    buf_release(&text);
    release(&c);
}
