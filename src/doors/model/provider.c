/*
 * provider: see the header.
 *
 * Theory of operation. One table; whoever builds a request or reads an answer
 * looks at the row and knows no class by name. What a class adds to prompts of
 * its own accord is a chat template or a hidden instruction: the constants are
 * bounds above what was seen, and a binding may state another.
 */
#include "doors/model/provider.h"

#define OPENAI    (1u << MODEL_OPENAI)
#define ANTHROPIC (1u << MODEL_ANTHROPIC)
#define OLLAMA    (1u << MODEL_OLLAMA)

#define TEMPLATE_TOKENS 256 /* of a local server: its chat template */
#define HOSTED_TOKENS   1024

#define WITHOUT "this release does not speak to "

const struct provider_class provider_classes[] = {
    /* LocalModelProfile's runtime.kind */
    { .name = "ollama",
      .is_local = true,
      .also = OLLAMA | OPENAI | ANTHROPIC,
      .address = ADDRESS_BARE,
      .prompt_tokens = TEMPLATE_TOKENS },
    { .name = "llama.cpp",
      .is_local = true,
      .lacks_responses = true,
      .also = OPENAI | ANTHROPIC,
      .address = ADDRESS_VERSIONED,
      .prompt_tokens = TEMPLATE_TOKENS },
    { .name = "mlx",
      .is_local = true,
      .lacks_responses = true,
      .address = ADDRESS_VERSIONED,
      .prompt_tokens = TEMPLATE_TOKENS },
    { .name = "openai-compatible",
      .is_local = true,
      .lacks_responses = true,
      .address = ADDRESS_VERSIONED,
      .prompt_tokens = TEMPLATE_TOKENS },
    { .name = "other",
      .is_local = true,
      .unsupported = "a runtime of kind `other` has no protocol that is known" },
    /* ExternalModelProviderProfile's providerClass */
    { .name = "openai-compatible", .address = ADDRESS_VERSIONED, .prompt_tokens = HOSTED_TOKENS },
    { .name = "ollama-remote",
      .also = OLLAMA | OPENAI | ANTHROPIC,
      .address = ADDRESS_BARE,
      .prompt_tokens = TEMPLATE_TOKENS },
    { .name = "vllm",
      .lacks_responses = true,
      .address = ADDRESS_VERSIONED,
      .prompt_tokens = TEMPLATE_TOKENS },
    { .name = "llama.cpp-server",
      .lacks_responses = true,
      .also = OPENAI | ANTHROPIC,
      .address = ADDRESS_VERSIONED,
      .prompt_tokens = TEMPLATE_TOKENS },
    { .name = "mlx-server",
      .lacks_responses = true,
      .address = ADDRESS_VERSIONED,
      .prompt_tokens = TEMPLATE_TOKENS },
    { .name = "azure-openai",
      .credential = CREDENTIAL_API_KEY,
      .address = ADDRESS_DEPLOYMENT,
      .prompt_tokens = HOSTED_TOKENS },
    { .name = "anthropic", .address = ADDRESS_BARE, .prompt_tokens = HOSTED_TOKENS },
    { .name = "enterprise-private", .address = ADDRESS_VERSIONED, .prompt_tokens = HOSTED_TOKENS },
    { .name = "user-private", .address = ADDRESS_VERSIONED, .prompt_tokens = HOSTED_TOKENS },
    { .name = "tgi", .unsupported = WITHOUT "Text Generation Inference" },
    { .name = "aws-bedrock", .unsupported = WITHOUT "Amazon Bedrock, whose calls are signed" },
    { .name = "google-vertex", .unsupported = WITHOUT "Google Vertex AI" },
    { .name = "other", .unsupported = "a provider of class `other` has no protocol that is known" },
};
const size_t provider_class_count = ARRAY_LEN(provider_classes);

const struct provider_class *provider_class_find(struct str name, bool is_local)
{
    for (size_t i = 0; i < provider_class_count; i++)
        if (provider_classes[i].is_local == is_local &&
            str_equal(str_from(provider_classes[i].name), name))
            return &provider_classes[i];
    return NULL;
}

bool provider_counts_completion(const struct provider_class *provider, struct str base_url)
{
    return provider->address == ADDRESS_DEPLOYMENT ||
           str_starts(base_url, STR("https://api.openai.com/")) ||
           str_equal(base_url, STR("https://api.openai.com"));
}
