/* The conventions that every schema of the catalogue keeps. */
#include "base/json.h"
#include "base/test.h"
#include "contract/catalogue.h"
#include "contract/validate.h"

static struct str member_text(yyjson_val *object, const char *name)
{
    yyjson_val *value = yyjson_obj_get(object, name);
    return yyjson_is_str(value) ? json_str(value) : STR("");
}

static void check_object_is_closed(yyjson_val *schema, const char *type)
{
    yyjson_val *properties = yyjson_obj_get(schema, "properties");
    yyjson_val *additional = yyjson_obj_get(schema, "additionalProperties");
    size_t index, count;
    yyjson_val *key, *value;
    bool is_object = yyjson_equals_str(yyjson_obj_get(schema, "type"), "object");
    if (is_object && !additional)
        test_fail(__FILE__, __LINE__, "%s has an object that is not closed", type);
    if (is_object && properties && !yyjson_is_false(additional))
        test_fail(__FILE__, __LINE__, "%s has an object with members that is open", type);
    if (!is_object || !properties)
        return; /* a condition describes nothing of its own */
    yyjson_obj_foreach(properties, index, count, key, value)
    {
        if (!member_text(value, "description").len)
            test_fail(__FILE__, __LINE__, "%s has the member `%s` without a description", type,
                      yyjson_get_str(key));
    }
}

static void check_below(yyjson_val *value, const char *type)
{
    size_t index, count;
    yyjson_val *key, *item;
    if (yyjson_is_obj(value)) {
        check_object_is_closed(value, type);
        yyjson_obj_foreach(value, index, count, key, item)
        {
            check_below(item, type);
        }
    }
    yyjson_arr_foreach(value, index, count, item)
    {
        check_below(item, type);
    }
}

TEST(every_schema_keeps_the_conventions)
{
    for (size_t i = 0; i < embedded_schemas_count; i++) {
        const struct embedded_schema *s = &embedded_schemas[i];
        char id[256];
        yyjson_doc *doc = NULL;
        CHECK_INT(json_read(str_make(s->text, s->len), &json_limits_default, &doc, NULL), 0);
        yyjson_val *root = yyjson_doc_get_root(doc);
        snprintf(id, sizeof(id), CATALOGUE_URI_PREFIX "%s.json", s->type);
        CHECK_STR(member_text(root, "$schema"),
                  STR("https://json-schema.org/draft/2020-12/schema"));
        CHECK_STR(member_text(root, "$id"), str_from(id));
        CHECK_STR(member_text(root, "title"), str_from(s->type));
        CHECK(member_text(root, "description").len > 0);
        CHECK(strncmp(s->urn_prefix, "urn:srcos:", 10) == 0);
        yyjson_val *properties = yyjson_obj_get(root, "properties");
        bool carries = yyjson_obj_get(properties, "schemaVersion") != NULL;
        yyjson_val *name = yyjson_obj_get(properties, carries ? "kind" : "type");
        CHECK_STR(member_text(name, "const"), str_from(s->type));
        CHECK(carries || yyjson_obj_get(properties, "specVersion"));
        check_below(root, s->type);
        yyjson_doc_free(doc);
    }
    CHECK_INT(embedded_schemas_count, 40);
}

static int fetch_embedded(void *context, struct str uri, yyjson_doc **ret_doc, struct err *err)
{
    (void)context;
    return catalogue_fetch(uri, ret_doc, err);
}

/* The catalogue compiles patterns when they are first searched for: here all are. */
TEST(every_schema_compiles_with_all_its_patterns)
{
    struct compile_options options = { .assert_formats = true };
    struct err err = { 0 };
    for (size_t i = 0; i < embedded_schemas_count; i++) {
        struct program *program = NULL;
        struct schema_set *set = NULL;
        uint32_t location;
        char uri[256];
        snprintf(uri, sizeof(uri), CATALOGUE_URI_PREFIX "%s.json", embedded_schemas[i].type);
        int r = schema_set_new(fetch_embedded, NULL, &set, &err);
        if (r == 0)
            r = schema_set_find(set, str_from(uri), &location, &err);
        if (r == 0)
            r = program_new(set, location, &options, &program, &err);
        if (r < 0)
            test_fail(__FILE__, __LINE__, "%s: %s: %s", embedded_schemas[i].type, err.where,
                      err.cause);
        program_free(program);
        schema_set_free(set);
    }
}

TEST(every_schema_compiles_and_is_valid_by_its_metaschema)
{
    struct catalogue *catalogue;
    struct schema_set *set;
    struct program *metaschema;
    uint32_t location;
    struct compile_options options = { 0 };
    struct err err = { 0 };
    CHECK_INT(catalogue_new(&options, &catalogue, &err), 0);
    CHECK_INT(schema_set_new(NULL, NULL, &set, &err), 0);
    CHECK_INT(
        schema_set_find(set, STR("https://json-schema.org/draft/2020-12/schema"), &location, &err),
        0);
    CHECK_INT(program_new(set, location, &options, &metaschema, &err), 0);
    for (size_t i = 0; i < embedded_schemas_count; i++) {
        const struct program *program;
        if (catalogue_program(catalogue, &embedded_schemas[i], &program, &err) < 0)
            test_fail(__FILE__, __LINE__, "%s: %s: %s", embedded_schemas[i].type, err.where,
                      err.cause);
        yyjson_doc *doc = NULL;
        CHECK_INT(json_read(str_make(embedded_schemas[i].text, embedded_schemas[i].len),
                            &json_limits_default, &doc, &err),
                  0);
        CHECK_INT(validate(metaschema, yyjson_doc_get_root(doc), &err), 1);
        yyjson_doc_free(doc);
    }
    program_free(metaschema);
    schema_set_free(set);
    catalogue_free(catalogue);
}

TEST(types_are_found_by_name_and_by_urn)
{
    CHECK_TEXT(catalogue_find(STR("Budget"))->type, "Budget");
    CHECK(!catalogue_find(STR("Budge")));
    CHECK(!catalogue_find(STR("Budgets")));
    CHECK(!catalogue_find(STR("")));
    CHECK_TEXT(catalogue_find_urn(STR("urn:srcos:model-profile:x"))->type, "LocalModelProfile");
    CHECK(!catalogue_find_urn(STR("urn:srcos:user:ada")));
    CHECK(!catalogue_find_urn(STR("https://example.com")));
}
