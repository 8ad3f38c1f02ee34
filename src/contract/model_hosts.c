/*
 * model_hosts: the table and its two look-ups.
 *
 * The table has the hosts that answer prompts, and no others of the same
 * provider: pages for people, downloads and telemetry are for network policy.
 * Where a provider gives each customer or region a name, the row has a "*" in
 * its place. A row that is missing lets a prompt past the Model Door's budget
 * and evidence, and nothing more: the host is still subject to every layer.
 */
#include "contract/model_hosts.h"

const struct model_host model_hosts[] = {
    { ".api.openai.com", "OpenAI" }, /* below: by region */
    { "chatgpt.com", "OpenAI" },     /* by subscription */
    { ".api.anthropic.com", "Anthropic" },
    { "claude.ai", "Anthropic" },
    { "generativelanguage.googleapis.com", "Google" },
    { "cloudcode-pa.googleapis.com", "Google" },
    { ".aiplatform.googleapis.com", "Google" },
    { "*-aiplatform.googleapis.com", "Google" },
    { "aiplatform.*.rep.googleapis.com", "Google" },
    { "*.openai.azure.com", "Microsoft Azure" },
    { "*.services.ai.azure.com", "Microsoft Azure" },
    { "*.models.ai.azure.com", "Microsoft Azure" },
    { "*.cognitiveservices.azure.com", "Microsoft Azure" },
    { "*.inference.ml.azure.com", "Microsoft Azure" },
    { "models.inference.ai.azure.com", "GitHub" },
    { "models.github.ai", "GitHub" },
    { ".githubcopilot.com", "GitHub" },
    { "copilot-proxy.githubusercontent.com", "GitHub" },
    { "bedrock-runtime.*.amazonaws.com", "Amazon Bedrock" },
    { "bedrock-runtime-fips.*.amazonaws.com", "Amazon Bedrock" },
    { "bedrock-agent-runtime.*.amazonaws.com", "Amazon Bedrock" },
    { "bedrock-mantle.*.api.aws", "Amazon Bedrock" },
    { ".api.mistral.ai", "Mistral" },
    { "codestral.mistral.ai", "Mistral" },
    { ".api.x.ai", "xAI" },
    { "api.groq.com", "Groq" },
    { "api.deepseek.com", "DeepSeek" },
    { "api.cohere.com", "Cohere" },
    { "api.cohere.ai", "Cohere" },
    { "api.together.xyz", "Together" },
    { "api.together.ai", "Together" },
    { "api.fireworks.ai", "Fireworks" },
    { "api.perplexity.ai", "Perplexity" },
    { "openrouter.ai", "OpenRouter" },
    { "api.cerebras.ai", "Cerebras" },
    { "api.sambanova.ai", "SambaNova" },
    { "api.deepinfra.com", "DeepInfra" },
    { "api.replicate.com", "Replicate" },
    { "api.ai21.com", "AI21" },
    { "integrate.api.nvidia.com", "NVIDIA" },
    { "router.huggingface.co", "Hugging Face" },
    { "api-inference.huggingface.co", "Hugging Face" },
    { "*.endpoints.huggingface.cloud", "Hugging Face" },
    { "ollama.com", "Ollama" },
    { "ai-gateway.vercel.sh", "Vercel" },
    { "gateway.ai.cloudflare.com", "Cloudflare" },
    { "api.moonshot.ai", "Moonshot" },
    { "api.moonshot.cn", "Moonshot" },
    { "api.z.ai", "Z.ai" },
    { "open.bigmodel.cn", "Z.ai" },
    { "dashscope.aliyuncs.com", "Alibaba Cloud" },
    { "dashscope-intl.aliyuncs.com", "Alibaba Cloud" },
    { "api.minimax.io", "MiniMax" },
};
const size_t model_hosts_count = ARRAY_LEN(model_hosts);

/* What stands before and behind the "*" of a pattern; without one, all stands behind. */
static void split_pattern(const char *pattern, struct str *ret_head, struct str *ret_tail)
{
    struct str all = str_from(pattern);
    size_t star = str_index(all, '*', 0);
    bool has_star = star < all.len;
    *ret_head = str_make(all.ptr, has_star ? star : 0);
    *ret_tail = has_star ? str_from_offset(all, star + 1) : all;
}

static bool pattern_has(const char *pattern, struct str name)
{
    struct str head, tail;
    split_pattern(pattern, &head, &tail);
    if (strchr(pattern, '*'))
        return name.len > head.len + tail.len && str_starts(name, head) && str_ends(name, tail);
    if (pattern[0] == '.')
        return str_ends(name, tail) || str_equal(name, str_from_offset(tail, 1));
    return str_equal(name, tail);
}

const struct model_host *model_host_find(const struct host_name *name)
{
    for (size_t i = 0; i < model_hosts_count; i++) {
        if (pattern_has(model_hosts[i].pattern, str_from(name->text)))
            return &model_hosts[i];
    }
    return NULL;
}

/* Whether a text ends in a name and a dot before it. */
static bool is_below(struct str text, struct str name)
{
    return text.len > name.len && str_ends(text, name) && text.ptr[text.len - name.len - 1] == '.';
}

const struct model_host *model_host_find_below(const struct host_name *name)
{
    struct str above = str_from(name->text), head, tail;
    for (size_t i = 0; i < model_hosts_count; i++) {
        const char *pattern = model_hosts[i].pattern;
        split_pattern(pattern, &head, &tail);
        bool has_all = (pattern[0] == '*' || pattern[0] == '.') && str_ends(above, tail);
        if (has_all || is_below(tail, above))
            return &model_hosts[i];
    }
    return NULL;
}
