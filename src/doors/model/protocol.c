/*
 * protocol: see the header.
 *
 * Theory of operation. Two tables: where clients ask, and what they are told
 * that cannot be had. A problem is written in the form that the protocol's own
 * clients parse, with a code of ours beside their words, so that a person and a
 * program see the same cause. What the words are made of may come from outside:
 * it is written as JSON strings and nothing else.
 */
#include "doors/model/protocol.h"

#include "base/json.h"

static const char *const protocol_names[] = {
#define X(protocol, name, title) [protocol] = name,
    MODEL_PROTOCOL_TABLE(X)
#undef X
};

static const char *const protocol_titles[] = {
#define X(protocol, name, title) [protocol] = title,
    MODEL_PROTOCOL_TABLE(X)
#undef X
};

const char *model_protocol_name(enum model_protocol protocol)
{
    return protocol_names[protocol];
}

const char *model_protocol_title(enum model_protocol protocol)
{
    return protocol_titles[protocol];
}

/* --- endpoints ------------------------------------------------------------------------------- */

#define NO_PULL                                                                                    \
    "Models are not changed through the door: on the host, `agent-machine model pull` asks "       \
    "whoever may say so."

const struct endpoint endpoints[] = {
    { "POST", "/v1/chat/completions", MODEL_OPENAI, ENDPOINT_CHAT, "/chat/completions" },
    { "POST", "/v1/completions", MODEL_OPENAI, ENDPOINT_COMPLETION, "/completions" },
    { "POST", "/v1/responses", MODEL_OPENAI, ENDPOINT_RESPONSES, "/responses" },
    { "POST", "/v1/embeddings", MODEL_OPENAI, ENDPOINT_EMBEDDING, "/embeddings" },
    { "GET", "/v1/models", MODEL_OPENAI, ENDPOINT_MODELS, NULL },
    { "GET", "/v1/models/*", MODEL_OPENAI, ENDPOINT_MODELS, NULL },
    { "POST", "/v1/messages", MODEL_ANTHROPIC, ENDPOINT_MESSAGES, "/messages" },
    { "POST", "/v1/messages/count_tokens", MODEL_ANTHROPIC, ENDPOINT_COUNT,
      "/messages/count_tokens" },
    { "POST", "/api/chat", MODEL_OLLAMA, ENDPOINT_CHAT, "/chat" },
    { "POST", "/api/generate", MODEL_OLLAMA, ENDPOINT_COMPLETION, "/generate" },
    { "POST", "/api/embed", MODEL_OLLAMA, ENDPOINT_EMBEDDING, "/embed" },
    { "POST", "/api/embeddings", MODEL_OLLAMA, ENDPOINT_EMBEDDING, "/embeddings" },
    { "POST", "/api/show", MODEL_OLLAMA, ENDPOINT_SHOW, "/show" },
    { "GET", "/api/tags", MODEL_OLLAMA, ENDPOINT_MODELS, NULL },
    { "GET", "/api/version", MODEL_OLLAMA, ENDPOINT_VERSION, NULL },
    { "POST", "/api/pull", MODEL_OLLAMA, ENDPOINT_REFUSED, NO_PULL },
    { "POST", "/api/push", MODEL_OLLAMA, ENDPOINT_REFUSED, MODEL_NO_PROMOTION },
    { "POST", "/api/create", MODEL_OLLAMA, ENDPOINT_REFUSED, MODEL_NO_LIFECYCLE },
    { "POST", "/api/copy", MODEL_OLLAMA, ENDPOINT_REFUSED, MODEL_NO_LIFECYCLE },
    { "DELETE", "/api/delete", MODEL_OLLAMA, ENDPOINT_REFUSED, MODEL_NO_LIFECYCLE },
    { "DELETE", "/v1/models/*", MODEL_OPENAI, ENDPOINT_REFUSED, MODEL_NO_LIFECYCLE },
    { "POST", "/v1/fine_tuning/**", MODEL_OPENAI, ENDPOINT_REFUSED, MODEL_NO_TUNING },
    { "GET", "/v1/fine_tuning/**", MODEL_OPENAI, ENDPOINT_REFUSED, MODEL_NO_TUNING },
    { "POST", "/v1/fine-tunes", MODEL_OPENAI, ENDPOINT_REFUSED, MODEL_NO_TUNING },
};
const size_t endpoint_count = ARRAY_LEN(endpoints);

static bool path_matches(struct str pattern, struct str path)
{
    bool takes_all = str_ends(pattern, STR("**"));
    if (!str_ends(pattern, STR("*")))
        return str_equal(pattern, path);
    pattern.len -= takes_all ? 2 : 1;
    struct str rest = str_from_offset(path, pattern.len);
    return str_starts(path, pattern) && rest.len &&
           (takes_all || str_index(rest, '/', 0) == rest.len);
}

const struct endpoint *endpoint_find(struct str method, struct str path, bool *ret_method_is_other)
{
    bool is_other = false;
    for (size_t i = 0; i < endpoint_count; i++) {
        if (!path_matches(str_from(endpoints[i].path), path))
            continue;
        if (str_equal(str_from(endpoints[i].method), method))
            return &endpoints[i];
        is_other = true;
    }
    *ret_method_is_other = is_other;
    return NULL;
}

const struct endpoint *endpoint_first(enum model_protocol protocol)
{
    const struct endpoint *endpoint = endpoints;
    while (endpoint->protocol != protocol)
        endpoint++;
    return endpoint;
}

enum model_protocol endpoint_protocol(struct str path)
{
    if (str_starts(path, STR("/api/")))
        return MODEL_OLLAMA;
    return str_starts(path, STR("/v1/messages")) ? MODEL_ANTHROPIC : MODEL_OPENAI;
}

/* --- problems -------------------------------------------------------------------------------- */

static const struct {
    unsigned status;
    const char *id, *openai, *anthropic;
} faults[] = {
#define X(fault, status, id, openai, anthropic) [fault] = { status, id, openai, anthropic },
    MODEL_FAULT_TABLE(X)
#undef X
};

unsigned model_fault_status(enum model_fault fault)
{
    return faults[fault].status;
}

const char *model_fault_id(enum model_fault fault)
{
    return faults[fault].id;
}

/* The words of Budget's `exhaustion`, as members of the error. */
static void add_ceiling(struct buf *out, const struct model_ceiling *ceiling)
{
    if (!ceiling)
        return;
    json_add_text(out, "dimension", str_from(ceiling->dimension));
    json_add_text(out, "budgetRef", str_from(ceiling->budget_ref));
    buf_addf(out, ",\"requested\":%llu,\"left\":%llu", (unsigned long long)ceiling->requested,
             (unsigned long long)ceiling->left);
}

static void add_openai(struct buf *out, const struct model_problem *problem)
{
    buf_add_text(out, "{\"error\":{");
    json_add_text(out, "message", problem->message);
    json_add_text(out, "type", str_from(faults[problem->fault].openai));
    buf_add_text(out, ",\"param\":null");
    json_add_text(out, "code", str_from(faults[problem->fault].id));
    add_ceiling(out, problem->ceiling);
    buf_add_text(out, "}}");
}

static void add_anthropic(struct buf *out, const struct model_problem *problem)
{
    buf_add_text(out, "{\"type\":\"error\",\"error\":{");
    json_add_text(out, "type", str_from(faults[problem->fault].anthropic));
    json_add_text(out, "message", problem->message);
    json_add_text(out, "code", str_from(faults[problem->fault].id));
    add_ceiling(out, problem->ceiling);
    buf_add_text(out, "}}");
}

static void add_ollama(struct buf *out, const struct model_problem *problem)
{
    buf_add_text(out, "{");
    json_add_text(out, "error", problem->message);
    json_add_text(out, "code", str_from(faults[problem->fault].id));
    add_ceiling(out, problem->ceiling);
    buf_add_text(out, "}");
}

int model_problem_add(struct buf *body, enum model_protocol protocol,
                      const struct model_problem *problem)
{
    static void (*const forms[])(struct buf *, const struct model_problem *) = {
        [MODEL_OPENAI] = add_openai,
        [MODEL_ANTHROPIC] = add_anthropic,
        [MODEL_OLLAMA] = add_ollama,
    };
    static_assert(ARRAY_LEN(forms) == MODEL_PROTOCOL_COUNT, "each protocol has a form");
    forms[protocol](body, problem);
    return body->error;
}

/* The event `error` of OpenAI's responses has its members at the top. */
static void add_responses_event(struct buf *out, const struct model_problem *problem)
{
    buf_add_text(out, "event: error\ndata: {");
    json_add_text(out, "type", STR("error"));
    json_add_text(out, "code", str_from(faults[problem->fault].id));
    json_add_text(out, "message", problem->message);
    buf_add_text(out, ",\"param\":null,\"sequence_number\":0}\n\n");
}

int model_problem_add_event(struct buf *stream, enum model_protocol protocol,
                            enum endpoint_kind kind, const struct model_problem *problem)
{
    if (kind == ENDPOINT_RESPONSES) {
        add_responses_event(stream, problem);
        return stream->error;
    }
    if (protocol != MODEL_OLLAMA)
        buf_add_text(stream, protocol == MODEL_ANTHROPIC ? "event: error\ndata: " : "data: ");
    model_problem_add(stream, protocol, problem);
    return buf_add_text(stream, protocol == MODEL_OLLAMA ? "\n" : "\n\n");
}
