#include "doors/model/protocol.h"

#include "base/json.h"
#include "base/test.h"

TEST(endpoints_are_found_by_method_and_path)
{
    bool other = false;
    const struct endpoint *found = endpoint_find(STR("POST"), STR("/v1/chat/completions"), &other);
    CHECK(found && found->kind == ENDPOINT_CHAT && found->protocol == MODEL_OPENAI);
    found = endpoint_find(STR("GET"), STR("/v1/models/llama3.2:1b"), &other);
    CHECK(found && found->kind == ENDPOINT_MODELS);
    CHECK(!endpoint_find(STR("GET"), STR("/v1/models/"), &other));
    CHECK(!endpoint_find(STR("GET"), STR("/v1/models/a/b"), &other));
    CHECK(!endpoint_find(STR("POST"), STR("/v1/chat/completions/"), &other));
    CHECK(!endpoint_find(STR("POST"), STR("/v1/chat//completions"), &other));
    CHECK(!other);
    CHECK(!endpoint_find(STR("GET"), STR("/v1/messages"), &other));
    CHECK(other);
}

TEST(what_is_refused_is_known)
{
    bool other;
    static const char *const paths[] = { "/api/pull", "/api/push", "/api/create", "/api/copy" };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const struct endpoint *found = endpoint_find(STR("POST"), str_from(paths[i]), &other);
        CHECK(found && found->kind == ENDPOINT_REFUSED);
    }
}

/* Each form is one JSON document, whatever the message holds. */
TEST(problems_have_the_form_of_their_protocol)
{
    static const struct {
        enum model_protocol protocol;
        const char *error, *message, *code;
    } forms[] = {
        { MODEL_OPENAI, "/error", "/error/message", "/error/code" },
        { MODEL_ANTHROPIC, "/error", "/error/message", "/error/code" },
        { MODEL_OLLAMA, "/error", "/error", "/code" },
    };
    const struct model_ceiling ceiling = {
        .dimension = "tokens", .budget_ref = "urn:srcos:budget:b", .requested = 900, .left = 7
    };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct buf body = BUF_INIT;
        _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
        const struct model_problem problem = { FAULT_BUDGET, STR("no \"tokens\"\nleft \x01\xff"),
                                               &ceiling };
        CHECK_INT(model_problem_add(&body, forms[i].protocol, &problem), 0);
        CHECK_INT(json_read(buf_str(&body), &json_limits_default, &doc, NULL), 0);
        const yyjson_val *message = yyjson_doc_ptr_get(doc, forms[i].message);
        CHECK(message && strstr(yyjson_get_str((yyjson_val *)message), "no \"tokens\"\nleft"));
        CHECK_TEXT(yyjson_get_str(yyjson_doc_ptr_get(doc, forms[i].code)), "budget-exhausted");
        CHECK(strstr(body.data, "\"dimension\":\"tokens\",\"budgetRef\":\"urn:srcos:budget:b\","
                                "\"requested\":900,\"left\":7"));
        buf_release(&body);
    }
    CHECK_INT(model_fault_status(FAULT_BUDGET), 429);
}

TEST(a_problem_in_the_midst_of_a_stream_is_an_event)
{
    static const struct {
        enum model_protocol protocol;
        enum endpoint_kind kind;
        const char *expected;
    } forms[] = {
        { MODEL_OPENAI, ENDPOINT_CHAT,
          "data: {\"error\":{\"message\":\"cut\",\"type\":\"server_error\",\"param\":null,"
          "\"code\":\"provider-failed\"}}\n\n" },
        { MODEL_OPENAI, ENDPOINT_RESPONSES,
          "event: error\ndata: {\"type\":\"error\",\"code\":\"provider-failed\","
          "\"message\":\"cut\",\"param\":null,\"sequence_number\":0}\n\n" },
        { MODEL_ANTHROPIC, ENDPOINT_MESSAGES,
          "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\","
          "\"message\":\"cut\",\"code\":\"provider-failed\"}}\n\n" },
        { MODEL_OLLAMA, ENDPOINT_CHAT, "{\"error\":\"cut\",\"code\":\"provider-failed\"}\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct buf stream = BUF_INIT;
        const struct model_problem problem = { FAULT_UPSTREAM, STR("cut"), NULL };
        CHECK_INT(model_problem_add_event(&stream, forms[i].protocol, forms[i].kind, &problem), 0);
        CHECK_TEXT(stream.data, forms[i].expected);
        buf_release(&stream);
    }
}
