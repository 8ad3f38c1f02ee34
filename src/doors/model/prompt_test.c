#include "doors/model/prompt.h"

#include "base/buf.h"
#include "base/test.h"

static const struct endpoint *endpoint_of(const char *path)
{
    bool other;
    return endpoint_find(STR("POST"), str_from(path), &other);
}

static struct model_route route_of(const char *class, bool is_local)
{
    return (struct model_route){ .provider = provider_class_find(str_from(class), is_local),
                                 .base_url = STR("http://127.0.0.1:1/v1") };
}

static struct prompt read_prompt(const char *path, const char *body)
{
    struct prompt prompt = { 0 };
    char fault[PROMPT_FAULT_SIZE];
    if (prompt_read(str_from(body), endpoint_of(path), &prompt, fault) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", body, fault);
    return prompt;
}

/* The body as a provider gets it. */
static void amended(const char *path, const struct model_route *route, const char *body,
                    const char *upstream, struct buf *ret)
{
    struct prompt prompt = read_prompt(path, body);
    struct prompt_edits edits;
    size_t at = 0;
    prompt_amend(&prompt, endpoint_of(path), route, str_from(upstream), &edits);
    for (size_t i = 0; i < edits.count; i++) {
        CHECK(edits.edits[i].from >= at && edits.edits[i].to <= strlen(body));
        buf_add(ret, body + at, edits.edits[i].from - at);
        buf_add_text(ret, edits.edits[i].text);
        at = edits.edits[i].to;
    }
    buf_add_text(ret, body + at);
}

TEST(bodies_are_amended_where_that_is_needed)
{
    static const struct {
        const char *path, *class, *body, *expected;
    } cases[] = {
        /* A limit of one's own, and no stream: as it came. */
        { "/v1/chat/completions", "mlx", "{ \"model\":\"m\", \"max_tokens\":5 }",
          "{ \"model\":\"m\", \"max_tokens\":5 }" },
        { "/v1/chat/completions", "mlx", "{\"model\":\"a\"}",
          "{\"max_tokens\":4096,\"model\":\"m\"}" },
        { "/v1/chat/completions", "mlx", "{\"max_tokens\":null,\"model\":\"m\",\"stream\":true}",
          "{\"stream_options\":{\"include_usage\":true},\"max_tokens\":4096,\"model\":\"m\","
          "\"stream\":true}" },
        { "/v1/chat/completions", "mlx",
          "{\"stream\":true,\"n\":1,\"max_completion_tokens\":5,\"stream_options\":{\"x\":1},"
          "\"model\":\"a\"}",
          "{\"stream\":true,\"n\":1,\"max_completion_tokens\":5,\"stream_options\":"
          "{\"include_usage\":true,\"x\":1},\"model\":\"m\"}" },
        { "/v1/completions", "mlx",
          "{\"model\":\"m\",\"stream\":true,\"max_tokens\":1,"
          "\"stream_options\":{\"include_usage\":false}}",
          "{\"model\":\"m\",\"stream\":true,\"max_tokens\":1,"
          "\"stream_options\":{\"include_usage\":true}}" },
        { "/v1/completions", "mlx",
          "{\"model\":\"m\",\"stream\":true,\"max_tokens\":1,\"stream_options\":{}}",
          "{\"model\":\"m\",\"stream\":true,\"max_tokens\":1,"
          "\"stream_options\":{\"include_usage\":true}}" },
        { "/v1/completions", "mlx",
          "{\"model\":\"m\",\"stream\":true,\"max_tokens\":1,\"stream_options\":null}",
          "{\"model\":\"m\",\"stream\":true,\"max_tokens\":1,"
          "\"stream_options\":{\"include_usage\":true}}" },
        { "/v1/responses", "mlx", "{\"model\":\"m\",\"stream\":true}",
          "{\"max_output_tokens\":4096,\"model\":\"m\",\"stream\":true}" },
        { "/v1/messages", "mlx", "{\"model\":\"m\",\"stream\":true,\"max_tokens\":9}",
          "{\"model\":\"m\",\"stream\":true,\"max_tokens\":9}" },
        { "/api/chat", "ollama", "{\"model\":\"m\"}",
          "{\"options\":{\"num_predict\":4096},\"model\":\"m\"}" },
        { "/api/chat", "ollama", "{\"model\":\"m\",\"options\":{}}",
          "{\"model\":\"m\",\"options\":{\"num_predict\":4096}}" },
        { "/api/chat", "ollama", "{\"model\":\"m\",\"options\":{\"seed\":1}}",
          "{\"model\":\"m\",\"options\":{\"num_predict\":4096,\"seed\":1}}" },
        { "/api/generate", "ollama", "{\"model\":\"m\",\"options\":{\"num_predict\":-1}}",
          "{\"model\":\"m\",\"options\":{\"num_predict\":4096}}" },
        { "/v1/embeddings", "mlx", "{\"model\":\"m\",\"input\":\"x\"}",
          "{\"model\":\"m\",\"input\":\"x\"}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf body = BUF_INIT;
        const struct model_route route = route_of(cases[i].class, true);
        amended(cases[i].path, &route, cases[i].body, "m", &body);
        CHECK_TEXT(body.data, cases[i].expected);
        buf_release(&body);
    }
}

TEST(openai_itself_is_given_its_own_name_of_the_limit)
{
    struct model_route route = route_of("openai-compatible", false);
    struct buf body = BUF_INIT;
    route.base_url = STR("https://api.openai.com/v1");
    route.output_tokens = 7;
    amended("/v1/chat/completions", &route, "{\"model\":\"m\"}", "m", &body);
    CHECK_TEXT(body.data, "{\"max_completion_tokens\":7,\"model\":\"m\"}");
    buf_release(&body);
}

TEST(what_could_mean_two_things_is_refused)
{
    static const struct {
        const char *path, *body, *fault;
    } wrong[] = {
        { "/v1/chat/completions", "", "not a JSON object" },
        { "/v1/chat/completions", "[]", "not a JSON object" },
        { "/v1/chat/completions", "{\"model\":\"\xff\"}", "not a JSON object" },
        { "/v1/chat/completions", "{\"model\":\"m\"} {}", "not a JSON object" },
        { "/v1/chat/completions", "{\"messages\":[]}", "`model` is missing" },
        { "/v1/chat/completions", "{\"model\":\"a\",\"model\":\"b\"}", "stands twice" },
        { "/v1/chat/completions", "{\"model\":\"a\",\"mod\\u0065l\":\"b\"}", "stands twice" },
        { "/api/chat", "{\"model\":\"a\",\"Model\":\"b\"}", "other letters" },
        { "/api/chat", "{\"model\":\"a\",\"options\":{\"Num_Predict\":9}}", "other letters" },
        { "/api/chat", "{\"model\":\"a\",\"options\":{},\"options\":{\"num_predict\":9}}",
          "stands twice" },
        { "/v1/chat/completions", "{\"model\":7}", "`model` has to be a name" },
        { "/v1/chat/completions", "{\"model\":\"\"}", "`model` has to be a name" },
        { "/v1/chat/completions", "{\"model\":\"a\\u0000b\"}", "`model` has to be a name" },
        { "/v1/chat/completions", "{\"model\":\"m\",\"max_tokens\":1e3}", "whole number" },
        { "/v1/chat/completions", "{\"model\":\"m\",\"max_tokens\":-1}", "whole number" },
        { "/v1/chat/completions", "{\"model\":\"m\",\"max_tokens\":99999999999}", "whole number" },
        { "/v1/chat/completions", "{\"model\":\"m\",\"n\":0}", "number of answers" },
        { "/v1/chat/completions", "{\"model\":\"m\",\"stream\":\"yes\"}", "true or false" },
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct prompt prompt;
        char fault[PROMPT_FAULT_SIZE] = "";
        int r = prompt_read(str_from(wrong[i].body), endpoint_of(wrong[i].path), &prompt, fault);
        if (r != -EBADMSG || !strstr(fault, wrong[i].fault))
            test_fail(__FILE__, __LINE__, "%s: %d, %s", wrong[i].body, r, fault);
    }
}

/* Of a path, a body and a route with nothing said: the estimate is body + template + limit. */
TEST(estimates_cover_what_may_come)
{
    static const struct {
        const char *path, *body;
        uint64_t output;
    } cases[] = {
        { "/v1/chat/completions", "{\"model\":\"m\"}", 4096 },
        { "/v1/chat/completions", "{\"model\":\"m\",\"max_tokens\":10,\"n\":3}", 30 },
        { "/v1/chat/completions",
          "{\"model\":\"m\",\"max_tokens\":10,\"max_completion_tokens\":20}", 20 },
        { "/v1/completions", "{\"model\":\"m\",\"max_tokens\":10,\"n\":2,\"best_of\":5}", 50 },
        { "/v1/completions",
          "{\"model\":\"m\",\"max_tokens\":10,\"n\":2,\"prompt\":[\"a\",\"b\",\"c\"]}", 60 },
        { "/v1/completions", "{\"model\":\"m\",\"max_tokens\":10,\"prompt\":[[1,2],[3]]}", 20 },
        { "/v1/completions", "{\"model\":\"m\",\"max_tokens\":10,\"prompt\":[1,2,3]}", 10 },
        { "/v1/embeddings", "{\"model\":\"m\",\"input\":\"x\"}", 0 },
    };
    const struct model_route route = route_of("mlx", true);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct prompt prompt = read_prompt(cases[i].path, cases[i].body);
        struct prompt_cost cost = { 0 };
        char fault[PROMPT_FAULT_SIZE];
        CHECK(prompt_estimate(&prompt, endpoint_of(cases[i].path), &route, 100, &cost, fault));
        CHECK_INT(cost.input, 100 + 256);
        if (cost.output != cases[i].output)
            test_fail(__FILE__, __LINE__, "%s: %llu", cases[i].body,
                      (unsigned long long)cost.output);
    }
    struct prompt prompt = read_prompt("/v1/messages/count_tokens", "{\"model\":\"m\"}");
    struct prompt_cost cost = { 1, 1 };
    char fault[PROMPT_FAULT_SIZE];
    CHECK(prompt_estimate(&prompt, endpoint_of("/v1/messages/count_tokens"), &route, 100, &cost,
                          fault));
    CHECK_INT(cost.input + cost.output, 0);
}

TEST(what_has_no_bound_is_refused_unless_the_route_states_one)
{
    static const struct {
        const char *path, *body, *named;
    } cases[] = {
        { "/v1/responses", "{\"model\":\"m\",\"previous_response_id\":\"r\"}",
          "previous_response_id" },
        { "/v1/responses", "{\"model\":\"m\",\"conversation\":{\"id\":\"c\"}}", "conversation" },
        { "/v1/responses", "{\"model\":\"m\",\"prompt\":{\"id\":\"p\"}}", "prompt" },
        { "/v1/responses", "{\"model\":\"m\",\"tools\":[{\"type\":\"web_search\"}]}",
          "web_search" },
        { "/v1/responses",
          "{\"model\":\"m\",\"input\":[{\"content\":[{\"type\":\"input_file\"}]}]}", "input_file" },
        { "/v1/responses",
          "{\"model\":\"m\",\"tools\":[{\"type\":\"namespace\",\"tools\":[{\"type\":\"function\"},"
          "{\"type\":\"mcp\"}]}]}",
          "mcp" },
        { "/v1/messages", "{\"model\":\"m\",\"tools\":[{\"type\":\"web_search_20250305\"}]}",
          "web_search_20250305" },
        { "/v1/messages",
          "{\"model\":\"m\",\"messages\":[{\"content\":[{\"source\":{\"file_id\":\"f\"}}]}]}",
          "file_id" },
    };
    struct model_route route = route_of("mlx", true);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct prompt prompt = read_prompt(cases[i].path, cases[i].body);
        struct prompt_cost cost = { 0 };
        char fault[PROMPT_FAULT_SIZE] = "";
        const struct endpoint *endpoint = endpoint_of(cases[i].path);
        route.held_context_tokens = 0;
        CHECK(!prompt_estimate(&prompt, endpoint, &route, 1, &cost, fault));
        CHECK(strstr(fault, cases[i].named) && strstr(fault, "heldContextTokens"));
        route.held_context_tokens = 1000;
        CHECK(prompt_estimate(&prompt, endpoint, &route, 1, &cost, fault));
        CHECK_INT(cost.input, 1 + 256 + 1000);
    }
    struct prompt prompt = read_prompt(
        "/v1/responses",
        "{\"model\":\"m\",\"previous_response_id\":null,\"tools\":[{\"type\":\"function\","
        "\"parameters\":{\"type\":\"object\",\"properties\":{\"file\":{\"type\":\"file\"}}}},"
        "{\"type\":\"local_shell\"}]}");
    CHECK_TEXT(prompt.unbounded, "");
}

TEST(images_are_counted)
{
    static const struct {
        const char *path, *body;
    } cases[] = {
        { "/v1/chat/completions",
          "{\"model\":\"m\",\"messages\":[{\"content\":[{\"type\":"
          "\"image_url\"},{\"type\":\"text\"},{\"type\":\"image_url\"}]}]}" },
        { "/v1/messages", "{\"model\":\"m\",\"messages\":[{\"content\":[{\"type\":\"image\"},"
                          "{\"type\":\"tool_result\",\"content\":[{\"type\":\"image\"}]}]}]}" },
        { "/api/chat", "{\"model\":\"m\",\"messages\":[{\"images\":[\"aa\",\"bb\"]}]}" },
        { "/api/generate", "{\"model\":\"m\",\"images\":[\"aa\",\"bb\"]}" },
    };
    struct model_route route = route_of("mlx", true);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct prompt prompt = read_prompt(cases[i].path, cases[i].body);
        struct prompt_cost cost = { 0 };
        char fault[PROMPT_FAULT_SIZE] = "";
        CHECK_INT(prompt.images, 2);
        route.image_tokens = 0;
        CHECK(!prompt_estimate(&prompt, endpoint_of(cases[i].path), &route, 1, &cost, fault));
        CHECK(strstr(fault, "imageTokens"));
        route.image_tokens = 500;
        CHECK(prompt_estimate(&prompt, endpoint_of(cases[i].path), &route, 1, &cost, fault));
        CHECK_INT(cost.input, 1 + 256 + 1000);
    }
}

TEST(who_streams)
{
    CHECK(read_prompt("/api/chat", "{\"model\":\"m\"}").streams);
    CHECK(!read_prompt("/api/chat", "{\"model\":\"m\",\"stream\":false}").streams);
    CHECK(!read_prompt("/api/embed", "{\"model\":\"m\"}").streams);
    CHECK(!read_prompt("/v1/messages", "{\"model\":\"m\"}").streams);
    CHECK(read_prompt("/v1/messages", "{\"model\":\"m\",\"stream\":true}").streams);
}

/* --- what a provider keeps ------------------------------------------------------------------- */

TEST(a_hosted_provider_is_told_to_keep_nothing)
{
    static const struct {
        const char *body, *begins;
    } cases[] = {
        { "{\"model\":\"m\",\"input\":\"hi\",\"max_output_tokens\":5}",
          "{\"store\":false,\"model\":\"m\"" },
        { "{\"store\":null,\"model\":\"m\",\"max_output_tokens\":5}",
          "{\"store\":false,\"model\"" },
        { "{\"store\":false,\"model\":\"m\",\"max_output_tokens\":5}",
          "{\"store\":false,\"model\"" },
    };
    bool other;
    const struct endpoint *responses = endpoint_find(STR("POST"), STR("/v1/responses"), &other);
    struct model_route route = { .is_hosted = true, .provider = &provider_classes[0] };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct prompt prompt;
        struct prompt_edits edits;
        char fault[PROMPT_FAULT_SIZE], body[2048];
        CHECK_INT(prompt_read(str_from(cases[i].body), responses, &prompt, fault), 0);
        CHECK(!prompt.stores);
        prompt_amend(&prompt, responses, &route, STR("m"), &edits);
        CHECK_INT(edits.count, 1);
        snprintf(body, sizeof(body), "%.*s%s%s", (int)edits.edits[0].from, cases[i].body,
                 edits.edits[0].text, cases[i].body + edits.edits[0].to);
        CHECK(str_starts(str_from(body), str_from(cases[i].begins)));
        route.may_store = true;
        prompt_amend(&prompt, responses, &route, STR("m"), &edits);
        CHECK_INT(edits.count, 0);
        route.may_store = false;
    }
}

TEST(who_wants_it_kept_says_so)
{
    bool other;
    struct prompt prompt;
    char fault[PROMPT_FAULT_SIZE];
    const struct endpoint *chat = endpoint_find(STR("POST"), STR("/v1/chat/completions"), &other);
    CHECK_INT(prompt_read(STR("{\"model\":\"m\",\"store\":true}"), chat, &prompt, fault), 0);
    CHECK(prompt.stores);
    CHECK(prompt_read(STR("{\"model\":\"m\",\"store\":1}"), chat, &prompt, fault) < 0);
    CHECK(prompt_read(STR("{\"model\":\"m\",\"Store\":true}"), chat, &prompt, fault) < 0);
}
