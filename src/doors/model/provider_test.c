#include "doors/model/provider.h"

#include "base/file.h"
#include "base/json.h"
#include "base/test.h"

/* The values that a schema lets a member have. */
static yyjson_doc *read_schema(const char *path)
{
    struct buf text = BUF_INIT;
    yyjson_doc *doc = NULL;
    CHECK_INT(file_read(path, &text, NULL), 0);
    CHECK_INT(json_read(buf_str(&text), &json_limits_default, &doc, NULL), 0);
    buf_release(&text);
    return doc;
}

static void check_all(const char *path, const char *pointer, bool is_local, size_t at_least)
{
    yyjson_doc *doc = read_schema(path);
    yyjson_val *value, *values = yyjson_doc_ptr_get(doc, pointer);
    size_t index, count;
    CHECK(yyjson_arr_size(values) >= at_least);
    yyjson_arr_foreach(values, index, count, value)
    {
        if (!provider_class_find(str_from(yyjson_get_str(value)), is_local))
            test_fail(__FILE__, __LINE__, "%s has no row", yyjson_get_str(value));
    }
    yyjson_doc_free(doc);
}

TEST(each_class_of_the_contracts_has_a_row)
{
    check_all("schemas/ExternalModelProviderProfile.json", "/properties/providerClass/enum", false,
              13);
    check_all("schemas/LocalModelProfile.json", "/properties/runtime/properties/kind/enum", true,
              5);
    CHECK(!provider_class_find(STR("openai"), false));
}

TEST(what_is_not_spoken_to_is_refused_by_name)
{
    static const struct {
        const char *name, *words;
    } cases[] = {
        { "aws-bedrock", "Amazon Bedrock" },
        { "google-vertex", "Google Vertex AI" },
        { "tgi", "Text Generation Inference" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct provider_class *found = provider_class_find(str_from(cases[i].name), false);
        CHECK(found && found->unsupported && strstr(found->unsupported, cases[i].words));
    }
    for (size_t i = 0; i < provider_class_count; i++) /* what is spoken to adds a bounded amount */
        CHECK(provider_classes[i].unsupported || provider_classes[i].prompt_tokens);
}

TEST(the_newer_name_of_the_limit_is_openais_own)
{
    const struct provider_class *compatible = provider_class_find(STR("openai-compatible"), false);
    const struct provider_class *azure = provider_class_find(STR("azure-openai"), false);
    CHECK(provider_counts_completion(compatible, STR("https://api.openai.com/v1")));
    CHECK(!provider_counts_completion(compatible, STR("https://api.openai.com.example/v1")));
    CHECK(provider_counts_completion(azure, STR("https://north.openai.azure.com")));
}
