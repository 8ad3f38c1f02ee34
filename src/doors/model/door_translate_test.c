#include "doors/model/door_test.h"

#define CHAT      "/v1/chat/completions"
#define MESSAGES  "/v1/messages"
#define RESPONSES "/v1/responses"
#define GENERATE  "/api/generate"
#define EMBEDDING "/v1/embeddings"
#define COUNT     "/v1/messages/count_tokens"
#define HI        "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"
#define BODY(m)   "{\"model\":\"" m "\",\"max_tokens\":100," HI "}"
#define STREAM(m) "{\"model\":\"" m "\",\"max_tokens\":100,\"stream\":true," HI "}"

/* A server that speaks one protocol alone, of OpenAI's chat alone. */
static void open_speaker(struct scene *scene, enum model_protocol protocol)
{
    scene_prepare(scene);
    scene_start_provider(scene, NULL, NULL);
    scene_route(scene, 0, "urn:srcos:model-provider-binding:first", "http", scene->provider_port);
    scene->routes[0].protocol = protocol;
    scene->routes[0].provider = protocol == MODEL_ANTHROPIC
                                    ? provider_class_find(STR("anthropic"), false)
                                    : provider_class_find(STR("openai-compatible"), true);
    scene_listen(scene);
}

static size_t asked_at(struct scene *scene, const char *path)
{
    char place[64];
    size_t count = 0;
    snprintf(place, sizeof(place), "{\"path\": \"%s\"", path);
    for (const char *at = scene_log(scene); (at = strstr(at, place)); at++)
        count++;
    return count;
}

TEST(clients_of_others_are_answered_by_chat)
{
    static const struct {
        const char *path, *body, *words;
    } cases[] = {
        { MESSAGES, BODY("plain"), "\"content\":[{\"type\":\"text\",\"text\":\"Hello there\"}]" },
        { MESSAGES, STREAM("plain"), "event: message_stop\n" },
        { RESPONSES, "{\"model\":\"plain\",\"input\":\"Hi\",\"max_output_tokens\":100}",
          "\"text\":\"Hello there\"" },
        { RESPONSES,
          "{\"model\":\"plain\",\"input\":\"Hi\",\"max_output_tokens\":100,\"stream\":true}",
          "event: response.completed\n" },
        { "/api/chat", "{\"model\":\"plain\",\"options\":{\"num_predict\":100}," HI "}",
          "\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":11,\"eval_count\":6}\n" },
        { GENERATE, "{\"model\":\"plain\",\"prompt\":\"Hi\"}",
          "\"response\":\" there\",\"done\":false}\n" },
        { GENERATE, "{\"model\":\"plain\",\"prompt\":\"Hi\",\"stream\":false}",
          "\"response\":\"Hello there\",\"done\":true,\"done_reason\":\"stop\"" },
    };
    struct scene scene;
    open_speaker(&scene, MODEL_OPENAI);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(ask(&scene, cases[i].path, cases[i].body, "-H", "anthropic-version: 2023-06-01",
                      "-H", "x-api-key: from-the-client"),
                  200);
        CHECK(strstr(scene_body(&scene), cases[i].words));
        CHECK(strstr(scene.last_reason, "translated to OpenAI's chat completions"));
        CHECK_INT(scene.last.basis, BASIS_REPORTED);
        CHECK_INT(scene.last.tokens, 17);
    }
    CHECK_INT(scene.settles, ARRAY_LEN(cases));
    CHECK(strstr(scene_log(&scene), "\"path\": \"" CHAT "\""));
    CHECK(!strstr(scene_log(&scene), MESSAGES));
    CHECK(!strstr(scene_log(&scene), "anthropic-version"));
    CHECK(!strstr(scene_log(&scene), "from-the-client"));
    scene_close(&scene);
}

TEST(clients_of_others_are_answered_by_messages)
{
    static const struct {
        const char *path, *body, *words;
    } cases[] = {
        { CHAT, BODY("plain"), "\"message\":{\"role\":\"assistant\",\"content\":\"Hello there\"}" },
        { CHAT, STREAM("plain"), "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n" },
        { RESPONSES, "{\"model\":\"plain\",\"input\":\"Hi\",\"stream\":true}",
          "event: response.completed\n" },
    };
    struct scene scene;
    open_speaker(&scene, MODEL_ANTHROPIC);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(ask(&scene, cases[i].path, cases[i].body), 200);
        CHECK(strstr(scene_body(&scene), cases[i].words));
        CHECK_INT(scene.last.tokens, 17);
    }
    CHECK(strstr(scene_log(&scene), "max_tokens\\\":4096")); /* which this protocol wants */
    CHECK(strstr(scene_log(&scene), "\"anthropic-version\": \"2023-06-01\""));
    CHECK(!strstr(scene_log(&scene), "\"path\": \"" CHAT "\""));
    scene_close(&scene);
}

TEST(embeddings_are_carried_over)
{
    static const struct {
        const char *path, *body, *answer;
    } cases[] = {
        { "/api/embed", "{\"model\":\"plain\",\"input\":\"Hi\"}",
          "{\"model\":\"plain\",\"embeddings\":[[0.1,-0.2]],\"prompt_eval_count\":8}" },
        { "/api/embeddings", "{\"model\":\"plain\",\"prompt\":\"Hi\"}",
          "{\"embedding\":[0.1,-0.2]}" },
    };
    struct scene scene;
    open_speaker(&scene, MODEL_OPENAI);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(ask(&scene, cases[i].path, cases[i].body), 200);
        CHECK_TEXT(scene_body(&scene), cases[i].answer);
        CHECK_INT(scene.last.basis, BASIS_REPORTED);
        CHECK_INT(scene.last.tokens, 8);
        CHECK(strstr(scene.last_reason, "translated to OpenAI's embeddings"));
    }
    CHECK_INT(asked_at(&scene, EMBEDDING), 2);
    /* More texts than the provider gives vectors for. */
    CHECK_INT(ask(&scene, "/api/embed", "{\"model\":\"plain\",\"input\":[\"a\",\"b\"]}"), 502);
    CHECK(strstr(scene_body(&scene), "1 vectors for 2 texts"));
    scene_close(&scene);
}

/* Each of these places has texts or vectors, and a provider that speaks otherwise has neither. */
TEST(what_no_provider_could_answer_is_said)
{
    static const struct {
        const char *path, *body, *words;
    } cases[] = {
        { "/v1/completions", "{\"model\":\"plain\",\"prompt\":\"x\"}",
          "What is asked at /v1/completions cannot be carried over: the provider of this model "
          "speaks Anthropic's protocol" },
        { EMBEDDING, "{\"model\":\"plain\",\"input\":\"x\"}",
          "What is asked at /v1/embeddings cannot be carried over" },
        { "/api/embed", "{\"model\":\"plain\",\"input\":\"x\"}",
          "What is asked at /api/embed cannot be carried over" },
    };
    struct scene scene;
    open_speaker(&scene, MODEL_ANTHROPIC);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(ask(&scene, cases[i].path, cases[i].body), 400);
        CHECK(strstr(scene_body(&scene), cases[i].words));
        CHECK(strstr(scene_body(&scene), "\"code\":\"unsupported\""));
    }
    CHECK_INT(ask(&scene, GENERATE, "{\"model\":\"plain\",\"prompt\":\"Hi\",\"stream\":false}"),
              200);
    CHECK(strstr(scene_body(&scene), "\"response\":\"Hello there\""));
    CHECK_INT(asked_at(&scene, MESSAGES), 1);
    scene_close(&scene);
}

/* What is reserved is what is sent. */
TEST(a_translated_call_is_paid_for_as_it_is_sent)
{
    static const char sent[] = "{\"model\":\"no-usage\",\"messages\":[{\"role\":\"user\","
                               "\"content\":\"Hi\"}],\"max_tokens\":100,\"stream\":false}";
    struct scene scene;
    open_speaker(&scene, MODEL_OPENAI);
    CHECK_INT(ask(&scene, MESSAGES, BODY("no-usage")), 200);
    CHECK_INT(scene.last.basis, BASIS_RESERVED);
    CHECK_INT(scene.last.tokens, strlen(sent) + 256 + 100);
    CHECK_INT(scene.last.sent_bytes, strlen(sent));
    scene.ceiling = 300;
    scene.spent = 0;
    CHECK_INT(ask(&scene, MESSAGES, BODY("plain")), 429);
    CHECK(
        strstr(scene_body(&scene), "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\""));
    CHECK_INT(ask(&scene, RESPONSES, "{\"model\":\"plain\",\"input\":\"Hi\"}"), 429);
    CHECK(strstr(scene_body(&scene), "insufficient_quota"));
    CHECK_INT(scene.settles, 1);
    scene_close(&scene);
}

TEST(what_cannot_be_carried_over_is_refused_by_name)
{
    static const struct {
        const char *path, *body, *words;
    } cases[] = {
        { MESSAGES, "{\"model\":\"plain\",\"top_k\":5," HI "}",
          "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"`top_k` "
          "of "
          "the request cannot be carried over: the provider of this model speaks OpenAI's chat "
          "completions.\",\"code\":\"unsupported\"}}" },
        { RESPONSES, "{\"model\":\"plain\",\"input\":\"x\",\"previous_response_id\":\"r\"}",
          "`previous_response_id` of the request cannot be carried over" },
        { "/api/chat", "{\"model\":\"plain\",\"options\":{\"mirostat\":1}," HI "}",
          "`mirostat` of the options cannot" },
        { GENERATE, "{\"model\":\"plain\",\"prompt\":\"x\",\"raw\":true}",
          "`raw` of the request cannot be carried over" },
        { "/api/show", "{\"model\":\"plain\"}",
          "{\"error\":\"What is asked at /api/show cannot be carried over: the provider of this "
          "model speaks OpenAI's protocol" },
        { "/api/embed", "{\"model\":\"plain\",\"input\":[1]}",
          "An `input` that is no text cannot be carried over: the provider of this model speaks "
          "OpenAI's embeddings." },
        { MESSAGES, "{\"model\":\"plain\",\"max_tokens\":1,\"messages\":{}}",
          "has to be an array" },
    };
    struct scene scene;
    open_speaker(&scene, MODEL_OPENAI);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned status = ask(&scene, cases[i].path, cases[i].body);
        CHECK_INT(status, 400);
        if (!strstr(scene_body(&scene), cases[i].words))
            test_fail(__FILE__, __LINE__, "%s", scene_body(&scene));
        CHECK(strstr(scene.answer.data, "x-should-retry: false"));
    }
    CHECK_TEXT(scene_log(&scene), "");
    CHECK_INT(scene.permits + scene.reserves, 0);
    scene_close(&scene);
}

TEST(tokens_are_counted_by_an_estimate)
{
    struct scene scene;
    open_speaker(&scene, MODEL_OPENAI);
    CHECK_INT(ask(&scene, COUNT, "{\"model\":\"plain\"," HI "}"), 200);
    CHECK_TEXT(scene_body(&scene), "{\"input_tokens\":19,\"estimated\":true}");
    CHECK_INT(ask(&scene, COUNT, "{\"model\":\"plain\",\"container\":\"c\"," HI "}"), 400);
    CHECK_TEXT(scene_log(&scene), "");
    CHECK_INT(scene.permits + scene.reserves, 0);
    scene_close(&scene);
}

TEST(a_provider_that_refuses_is_told_in_the_clients_words)
{
    struct scene scene;
    open_speaker(&scene, MODEL_OPENAI);
    CHECK_INT(ask(&scene, MESSAGES, STREAM("refuse")), 429);
    CHECK(strstr(scene_body(&scene),
                 "\"error\":{\"type\":\"rate_limit_error\",\"message\":\"The "
                 "provider refuses with status 429. slow down\",\"code\":\"rate-limited\"}"));
    CHECK_INT(scene.last.end, CALL_PROVIDER_REFUSED);
    CHECK_INT(scene.last.tokens, 0);
    CHECK_INT(ask(&scene, MESSAGES, BODY("redirect")), 502);
    CHECK_INT(ask(&scene, MESSAGES, BODY("echo")), 502); /* JSON, and no answer */
    CHECK(strstr(scene_body(&scene), "ended before its end"));
    CHECK_INT(scene.last.end, CALL_PROVIDER_CUT);
    scene_close(&scene);
}

TEST(a_provider_that_dies_is_an_error_in_the_clients_words)
{
    struct scene scene;
    open_speaker(&scene, MODEL_OPENAI);
    CHECK_INT(ask(&scene, MESSAGES, STREAM("cut")), 200);
    CHECK(strstr(scene_body(&scene), "\"text\":\"Hello\""));
    CHECK(strstr(scene_body(&scene), "event: error\ndata: {\"type\":\"error\""));
    CHECK_INT(scene.exit_status, 0);
    CHECK_INT(scene.last.end, CALL_PROVIDER_CUT);
    CHECK_INT(ask(&scene, MESSAGES, BODY("cut")), 502);
    CHECK(strstr(scene_body(&scene), "{\"type\":\"error\""));
    scene_close(&scene);
}

TEST(a_client_that_goes_takes_its_translated_call_with_it)
{
    struct scene scene;
    open_speaker(&scene, MODEL_OPENAI);
    ask(&scene, MESSAGES, STREAM("slow"), "--max-time", "0.5");
    UNTIL(&scene, scene.settles == 1);
    CHECK(strstr(scene_body(&scene), "\"text\":\"Hello\""));
    CHECK_INT(scene.last.end, CALL_CLIENT_GONE);
    UNTIL(&scene, strstr(scene_log(&scene), "\"gone\": true"));
    scene_close(&scene);
}

TEST(a_long_translated_stream_arrives_whole)
{
    struct scene scene;
    size_t events = 0;
    open_speaker(&scene, MODEL_OPENAI);
    CHECK_INT(ask(&scene, MESSAGES, STREAM("long"), "--limit-rate", "4M"), 200);
    CHECK_INT(scene.exit_status, 0);
    for (const char *at = scene_body(&scene); (at = strstr(at, "event: content_block_delta\n"));
         at++)
        events++;
    CHECK_INT(events, 20000);
    CHECK(strstr(scene_body(&scene), "event: message_stop\n"));
    scene_close(&scene);
}

/* The next candidate may speak otherwise: what was made for the first is made anew. */
TEST(candidates_may_speak_differently)
{
    struct scene scene;
    scene_prepare(&scene);
    scene_start_provider(&scene, NULL, NULL);
    scene_route(&scene, 0, "b:unreachable", "http", htons(1));
    scene_route(&scene, 1, "b:native", "http", scene.provider_port);
    snprintf(scene.base_urls[0], sizeof(scene.base_urls[0]), "http://127.0.0.1:1");
    scene.routes[0].base_url = str_from(scene.base_urls[0]);
    scene.routes[0].protocol = MODEL_OPENAI;
    scene.routes[0].provider = provider_class_find(STR("openai-compatible"), true);
    scene_listen(&scene);
    CHECK_INT(ask(&scene, MESSAGES, BODY("plain")), 200);
    CHECK_TEXT(scene.last_binding, "b:native");
    CHECK(strstr(scene_body(&scene), "\"stop_reason\": \"end_turn\""));
    CHECK(strstr(scene_log(&scene), "\"path\": \"" MESSAGES "\""));
    CHECK_INT(scene.settles, 2);
    scene_close(&scene);
}

/* Servers learn protocols with their versions: an older one is asked for chat, once it has said so.
 */
TEST(a_server_that_does_not_know_a_place_is_asked_at_another)
{
    struct scene scene;
    scene_open(&scene);
    CHECK_INT(ask(&scene, MESSAGES, BODY("absent")), 404);
    CHECK(strstr(scene_body(&scene), "\"type\":\"not_found_error\""));
    CHECK_INT(asked_at(&scene, MESSAGES) + asked_at(&scene, CHAT), 2);
    CHECK_INT(ask(&scene, MESSAGES, BODY("older")), 200);
    CHECK(strstr(scene_body(&scene), "\"text\":\"Hello there\""));
    CHECK(strstr(scene.last_reason, "Its provider does not know " MESSAGES ";"));
    CHECK_INT(scene.last.tokens, 17);
    CHECK_INT(scene.settles, 4);
    CHECK_INT(scene.spent, 17);
    CHECK_INT(ask(&scene, MESSAGES, STREAM("older")), 200); /* which it remembers */
    CHECK(strstr(scene_body(&scene), "event: message_stop\n"));
    CHECK_INT(scene.settles, 5);
    CHECK_INT(asked_at(&scene, MESSAGES), 2);
    CHECK_INT(asked_at(&scene, CHAT), 3);
    CHECK_INT(ask(&scene, COUNT, "{\"model\":\"older\"," HI "}"), 200);
    CHECK(strstr(scene_body(&scene), "\"estimated\":true"));
    CHECK_INT(ask(&scene, RESPONSES, "{\"model\":\"older\",\"input\":\"Hi\"}"), 200);
    CHECK(strstr(scene_body(&scene), "\"object\":\"response\""));
    CHECK_INT(ask(&scene, CHAT, BODY("absent")), 404);
    CHECK_INT(scene.exit_status, 0);
    scene_close(&scene);
}

/* An Ollama that does not know OpenAI's places yet: in floats of base64, as its libraries want. */
TEST(an_older_ollama_is_asked_for_embeddings_in_its_own_words)
{
    struct scene scene;
    scene_open(&scene);
    CHECK_INT(ask(&scene, EMBEDDING,
                  "{\"model\":\"aged\",\"input\":[\"Hi\"],\"encoding_format\":\"base64\"}"),
              200);
    CHECK_TEXT(scene_body(&scene),
               "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,"
               "\"embedding\":\"zczMPc3MTL4=\"}],\"model\":\"aged\",\"usage\":{\"prompt_tokens\":8,"
               "\"total_tokens\":8}}");
    CHECK(strstr(scene.last_reason, "translated to Ollama's embed"));
    CHECK_INT(scene.spent, 8);
    CHECK_INT(ask(&scene, EMBEDDING, "{\"model\":\"aged\",\"input\":\"Hi\"}"), 200);
    CHECK(strstr(scene_body(&scene), "\"embedding\":[0.1,-0.2]"));
    CHECK_INT(asked_at(&scene, EMBEDDING), 1); /* it was remembered */
    CHECK_INT(asked_at(&scene, "/api/embed"), 2);
    scene_close(&scene);
}
