#include "doors/model/forward.h"

#include "base/json.h"
#include "base/test.h"

static const struct endpoint *endpoint_of(const char *path)
{
    bool other;
    return endpoint_find(STR("POST"), str_from(path), &other);
}

TEST(addresses)
{
    static const struct {
        const char *class;
        bool is_local;
        enum model_protocol protocol;
        const char *base, *path, *query, *expected;
    } cases[] = {
        { "openai-compatible", false, MODEL_OPENAI, "https://api.openai.com/v1",
          "/v1/chat/completions", "", "https://api.openai.com/v1/chat/completions" },
        { "openai-compatible", false, MODEL_OPENAI, "https://api.openai.com", "/v1/responses", "",
          "https://api.openai.com/v1/responses" },
        { "openai-compatible", false, MODEL_OPENAI, "https://h.example/v1beta/openai/",
          "/v1/embeddings", "", "https://h.example/v1beta/openai/embeddings" },
        { "anthropic", false, MODEL_ANTHROPIC, "https://api.anthropic.com", "/v1/messages",
          "beta=true", "https://api.anthropic.com/v1/messages?beta=true" },
        { "anthropic", false, MODEL_ANTHROPIC, "https://api.anthropic.com/v1",
          "/v1/messages/count_tokens", "", "https://api.anthropic.com/v1/messages/count_tokens" },
        { "user-private", false, MODEL_ANTHROPIC, "https://gw.example/anthropic", "/v1/messages",
          "", "https://gw.example/anthropic/v1/messages" },
        { "user-private", false, MODEL_OLLAMA, "https://gw.example/ollama", "/api/chat", "",
          "https://gw.example/ollama/api/chat" },
        { "ollama", true, MODEL_OLLAMA, "http://127.0.0.1:11434", "/api/generate", "",
          "http://127.0.0.1:11434/api/generate" },
        { "ollama", true, MODEL_OLLAMA, "http://127.0.0.1:11434/api", "/v1/chat/completions", "",
          "http://127.0.0.1:11434/v1/chat/completions" },
        { "ollama", true, MODEL_OPENAI, "http://127.0.0.1:11434/v1", "/api/embed", "",
          "http://127.0.0.1:11434/api/embed" },
        { "llama.cpp", true, MODEL_OPENAI, "http://127.0.0.1:8080", "/v1/chat/completions", "",
          "http://127.0.0.1:8080/v1/chat/completions" },
        { "llama.cpp", true, MODEL_OPENAI, "http://127.0.0.1:8080/v1", "/v1/messages", "",
          "http://127.0.0.1:8080/v1/messages" },
        { "azure-openai", false, MODEL_OPENAI, "https://r.openai.azure.com", "/v1/chat/completions",
          "x=y",
          "https://r.openai.azure.com/openai/deployments/my%20m/chat/completions"
          "?api-version=2024-10-21&x=y" },
        { "azure-openai", false, MODEL_OPENAI, "https://r.openai.azure.com/openai/v1/",
          "/v1/responses", "", "https://r.openai.azure.com/openai/v1/responses" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf url = BUF_INIT;
        const struct model_route route = {
            .provider = provider_class_find(str_from(cases[i].class), cases[i].is_local),
            .protocol = cases[i].protocol,
            .base_url = str_from(cases[i].base),
        };
        CHECK_INT(forward_address(&route, endpoint_of(cases[i].path), STR("my m"),
                                  str_from(cases[i].query), &url),
                  0);
        CHECK_TEXT(url.data, cases[i].expected);
        buf_release(&url);
    }
}

TEST(azure_is_shown_its_key_in_its_own_header)
{
    const struct prompt_edits none = { 0 };
    const struct http_request client = { .method = STR("POST"), .body = STR("{}") };
    const struct model_route route = {
        .provider = provider_class_find(STR("azure-openai"), false),
        .is_hosted = true,
        .base_url = STR("https://r.openai.azure.com"),
        .credential_ref = STR("secret://test/azure"),
    };
    struct references *references;
    yyjson_doc *document;
    struct forward forward;
    static const char text[] =
        "{\"secrets\":{\"secret://test/azure\":{\"env\":\"AM_TEST_AZURE_KEY\"}}}";
    CHECK_INT(json_read(str_from(text), &json_limits_default, &document, NULL), 0);
    CHECK_INT(references_new(&references, NULL), 0);
    CHECK_INT(references_add(references, LAYER_USER, "r", yyjson_doc_get_root(document), NULL), 0);
    for (int i = 0; i < 3; i++) {
        static const char *const keys[] = { "k-azure", "two\r\nLines: x", "" };
        struct err err = { 0 };
        setenv("AM_TEST_AZURE_KEY", keys[i], 1);
        int r = forward_make(&client, endpoint_of("/v1/embeddings"), &route, STR("m"), &none,
                             references, &forward, &err);
        CHECK(i == 0 ? r == 0 : r < 0);
        if (r < 0) {
            CHECK(!strstr(err.cause, "Lines"));
            continue;
        }
        CHECK_INT(forward.request.header_count, 3);
        CHECK_STR(forward.request.headers[2], STR("api-key: k-azure"));
        CHECK_STR(forward.request.pieces[0], STR("{}"));
        forward_release(&forward);
    }
    references_free(references);
    yyjson_doc_free(document);
}

TEST(of_an_answers_head_what_is_the_clients_goes_on)
{
    struct buf lines = BUF_INIT;
    struct forward_answer answer;
    CHECK_INT(forward_answer_head(STR("Content-Type: text/event-stream\r\nContent-Length: 12\r\n"
                                      "Set-Cookie: a=b\r\nset-cookie2: c\r\nX-Id:  7\r\n"
                                      "Connection: close\r\nContent-Encoding: gzip\r\nno colon\r\n"
                                      "X-Split: a\rSet-Cookie: b\r\n folded: "
                                      "c\r\nWWW-Authenticate: Bearer\r\nLocation: /x\r\n"),
                                  &lines, &answer),
              0);
    CHECK_TEXT(lines.data, "Content-Type: text/event-stream\r\nX-Id:  7\r\n"
                           "Content-Encoding: gzip\r\n");
    CHECK_STR(answer.content_type, STR("text/event-stream"));
    CHECK_INT(answer.length, 12);
    CHECK(answer.is_encoded);
    CHECK_INT(forward_answer_head(STR(""), &lines, &answer), 0);
    CHECK(answer.length == UINT64_MAX && !answer.content_type.len);
    buf_release(&lines);
}
