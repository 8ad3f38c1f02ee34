/* Hosts of model providers: names, wildcards over them, and their neighbours. */
#include "contract/model_hosts.h"

#include "base/test.h"

static const char *provider_of(const char *text, bool below)
{
    struct host_name name;
    if (host_name_read(str_from(text), &name, NULL) != 1)
        return "no name";
    const struct model_host *host = below ? model_host_find_below(&name) : model_host_find(&name);
    return host ? host->provider : "nobody";
}

TEST(a_host_is_known_by_its_name)
{
    static const struct {
        const char *name, *provider;
    } cases[] = {
        { "api.openai.com", "OpenAI" },
        { "API.OpenAI.com.", "OpenAI" },
        { "eu.api.openai.com", "OpenAI" },
        { "openai.com", "nobody" },
        { "notapi.openai.com", "nobody" },
        { "api.openai.com.example.com", "nobody" },
        { "northwind.openai.azure.com", "Microsoft Azure" },
        { "openai.azure.com", "nobody" },
        { "us-central1-aiplatform.googleapis.com", "Google" },
        { "-aiplatform.googleapis.com", "nobody" },
        { "storage.googleapis.com", "nobody" },
        { "bedrock-runtime.eu-west-1.amazonaws.com", "Amazon Bedrock" },
        { "bedrock-runtime.amazonaws.com", "nobody" },
        { "s3.eu-west-1.amazonaws.com", "nobody" },
        { "models.example.com", "nobody" },
        { "localhost", "nobody" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_TEXT(provider_of(cases[i].name, false), cases[i].provider);
}

TEST(a_wildcard_over_a_host_is_known)
{
    static const struct {
        const char *above, *provider;
    } cases[] = {
        { "anthropic.com", "Anthropic" },
        { "com", "OpenAI" },
        { "api.anthropic.com", "Anthropic" },
        { "eu.api.anthropic.com", "Anthropic" },
        { "console.anthropic.com", "nobody" },
        { "pic.com", "nobody" },
        { "openai.azure.com", "Microsoft Azure" },
        { "northwind.openai.azure.com", "Microsoft Azure" },
        { "googleapis.com", "Google" },
        { "storage.googleapis.com", "nobody" },
        { "amazonaws.com", "Amazon Bedrock" },
        { "s3.amazonaws.com", "nobody" },
        { "api.groq.com", "nobody" },
        { "example.com", "nobody" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_TEXT(provider_of(cases[i].above, true), cases[i].provider);
}

TEST(every_row_is_written_as_names_are_compared)
{
    for (size_t i = 0; i < model_hosts_count; i++) {
        char sample[256];
        size_t len = 0;
        const char *pattern = model_hosts[i].pattern, *star = strchr(pattern, '*');
        for (const char *p = pattern + (pattern[0] == '.'); *p; p++)
            sample[len++] = *p == '*' ? 'x' : *p;
        sample[len] = '\0';
        struct host_name name;
        CHECK_INT(host_name_read(str_from(sample), &name, NULL), 1);
        CHECK_TEXT(name.text, sample);
        if (model_host_find(&name) != &model_hosts[i] || (star && strchr(star + 1, '*')))
            test_fail(__FILE__, __LINE__, "%s", pattern);
    }
}
