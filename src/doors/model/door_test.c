#include "doors/model/door_test.h"

#define CHAT      "/v1/chat/completions"
#define BODY(m)   "{\"model\":\"" m "\",\"messages\":[],\"max_tokens\":100}"
#define STREAM(m) "{\"model\":\"" m "\",\"messages\":[],\"max_tokens\":100,\"stream\":true}"

/* --- passing on ------------------------------------------------------------------------------ */

TEST(each_protocol_as_document_and_as_stream)
{
    static const struct {
        const char *path, *body, *type, *shows;
        uint64_t tokens;
    } cases[] = {
        { CHAT, BODY("plain"), "application/json", "\"completion_tokens\": 6", 17 },
        { CHAT, STREAM("plain"), "text/event-stream", "data: [DONE]\n\n", 17 },
        { "/v1/completions", BODY("plain"), "application/json", "Hello there", 17 },
        { "/v1/completions", STREAM("plain"), "text/event-stream", "data: [DONE]\n\n", 17 },
        { "/v1/responses", BODY("plain"), "application/json", "\"output_tokens\": 6", 17 },
        { "/v1/responses", STREAM("plain"), "text/event-stream", "event: response.completed\n",
          17 },
        { "/v1/embeddings", BODY("plain"), "application/json", "\"embedding\": [0.1, -0.2]", 8 },
        { "/v1/messages?beta=true", BODY("plain"), "application/json", "\"output_tokens\": 6", 17 },
        { "/v1/messages", STREAM("plain"), "text/event-stream", "event: message_stop\n", 17 },
        { "/v1/messages/count_tokens", BODY("plain"), "application/json", "\"input_tokens\": 12",
          0 },
        { "/api/chat", "{\"model\":\"plain\",\"stream\":false}", "application/json",
          "\"eval_count\": 6", 17 },
        { "/api/chat", "{\"model\":\"plain\"}", "application/x-ndjson", "\"eval_count\": 6}\n",
          17 },
        { "/api/generate", "{\"model\":\"plain\"}", "application/x-ndjson", "\"eval_count\": 6}\n",
          17 },
        { "/api/embed", "{\"model\":\"plain\"}", "application/json", "\"prompt_eval_count\": 8",
          8 },
        { "/api/show", "{\"model\":\"plain\"}", "application/json", "\"family\"", 0 },
    };
    struct scene scene;
    scene_open(&scene);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(ask(&scene, cases[i].path, cases[i].body), 200);
        CHECK_INT(scene.exit_status, 0);
        if (!strstr(scene.answer.data, cases[i].type) ||
            !strstr(scene_body(&scene), cases[i].shows) || scene.last.tokens != cases[i].tokens ||
            scene.last.calls != 1 || scene.last.end != CALL_COMPLETED || scene.settles != i + 1 ||
            scene.last.answer_bytes != strlen(scene_body(&scene)))
            test_fail(__FILE__, __LINE__, "%s: %llu tokens, %zu settled, %s", cases[i].path,
                      (unsigned long long)scene.last.tokens, scene.settles, scene.answer.data);
    }
    CHECK_INT(scene.refusals, 0);
    CHECK_INT(model_door_counts(scene.door).calls, ARRAY_LEN(cases));
    CHECK_INT(model_door_counts(scene.door).prompt_bytes, 0); /* nothing left this machine */
    CHECK(strstr(scene_log(&scene), "\"path\": \"/v1/messages?beta=true\""));
    scene_close(&scene);
}

/* What the client gets is what the provider sent to one that did not ask for usage. */
TEST(usage_is_asked_for_and_the_client_does_not_see_it)
{
    static const char expected[] =
        "data: {\"id\": \"chatcmpl-1\", \"object\": \"chat.completion.chunk\", \"created\": 1, "
        "\"model\": \"plain\", \"choices\": [{\"index\": 0, \"delta\": {\"content\": \"Hello\"}, "
        "\"finish_reason\": null}]}\n\n"
        "data: {\"id\": \"chatcmpl-1\", \"object\": \"chat.completion.chunk\", \"created\": 1, "
        "\"model\": \"plain\", \"choices\": [{\"index\": 0, \"delta\": {\"content\": \" there\"}, "
        "\"finish_reason\": null}]}\n\n"
        "data: {\"id\": \"chatcmpl-1\", \"object\": \"chat.completion.chunk\", \"created\": 1, "
        "\"model\": \"plain\", \"choices\": [{\"index\": 0, \"delta\": {}, "
        "\"finish_reason\": \"stop\"}]}\n\n"
        "data: [DONE]\n\n";
    struct scene scene;
    scene_open(&scene);
    CHECK_INT(ask(&scene, CHAT, STREAM("plain")), 200);
    CHECK_TEXT(scene_body(&scene), expected);
    CHECK(strstr(scene_log(&scene), "include_usage\\\":true"));
    CHECK_INT(scene.last.basis, BASIS_REPORTED);
    CHECK_INT(ask(&scene, CHAT,
                  "{\"model\":\"plain\",\"max_tokens\":9,\"stream\":true,"
                  "\"stream_options\":{\"include_usage\":true}}"),
              200);
    CHECK(strstr(scene_body(&scene), "\"usage\": null"));
    CHECK(strstr(scene_body(&scene), "\"choices\": [], \"usage\": {\"prompt_tokens\": 11"));
    scene_close(&scene);
}

TEST(a_call_without_usage_is_charged_as_it_was_reserved)
{
    struct scene scene;
    scene_open(&scene);
    CHECK_INT(ask(&scene, CHAT, BODY("no-usage")), 200);
    CHECK_INT(scene.last.basis, BASIS_RESERVED);
    CHECK_INT(scene.last.tokens, strlen(BODY("no-usage")) + 256 + 100);
    scene_close(&scene);
}

TEST(a_long_stream_arrives_whole)
{
    struct scene scene;
    size_t events = 0;
    scene_open(&scene);
    CHECK_INT(ask(&scene, "/v1/messages", STREAM("long"), "--limit-rate", "4M"), 200);
    CHECK_INT(scene.exit_status, 0);
    for (const char *at = scene_body(&scene); (at = strstr(at, "content_block_delta\n")); at++)
        events++;
    CHECK_INT(events, 20000);
    CHECK(strstr(scene_body(&scene), "message_stop"));
    scene_close(&scene);
}

TEST(many_streams_at_once)
{
    struct scene scene;
    char url[80];
    size_t whole = 0;
    scene_open(&scene);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/v1/messages?[1-200]", ntohs(scene.port));
    scene_run(&scene, (const char *const[]){ CURL, "--no-progress-meter", "--parallel",
                                             "--parallel-immediate", "--parallel-max", "64", url,
                                             "-d", STREAM("plain"), NULL });
    for (const char *at = scene.answer.data; (at = strstr(at, "event: message_stop\n")); at++)
        whole++;
    CHECK_INT(scene.exit_status, 0);
    CHECK_INT(whole, 200);
    CHECK_INT(scene.settles, 200);
    CHECK_INT(scene.spent, 200 * 17);
    scene_close(&scene);
}

TEST(names_are_mapped_and_connections_used_again)
{
    struct scene scene;
    scene_open(&scene);
    scene.routes[0].output_tokens = 77;
    CHECK_INT(ask(&scene, CHAT, "{\"model\":\"alias\"}"), 200);
    CHECK(strstr(scene_body(&scene), "{\\\"max_tokens\\\":77,\\\"model\\\":\\\"echo\\\"}"));
    CHECK_TEXT(scene.last_model, "alias");
    CHECK_INT(ask(&scene, CHAT, "{\"model\":\"alias\"}"), 200);
    const char *first = strstr(scene_log(&scene), "\"port\": ");
    const char *second = first ? strstr(first + 8, "\"port\": ") : NULL;
    CHECK(second && strtoul(first + 8, NULL, 10) == strtoul(second + 8, NULL, 10));
    scene_close(&scene);
}

/* --- credentials ----------------------------------------------------------------------------- */

TEST(the_credential_is_put_in_and_those_of_the_client_stay_behind)
{
    struct scene scene;
    scene_open(&scene);
    setenv("AM_TEST_MODEL_KEY", KEY, 1);
    scene_refer(&scene, "{'secrets':{'secret://test/key':{'env':'AM_TEST_MODEL_KEY'}}}");
    scene.routes[0].credential_ref = STR("secret://test/key");
    model_door_close(scene.door);
    scene_listen(&scene);
    CHECK_INT(ask(&scene, CHAT, BODY("echo"), "-H", "Authorization: Bearer of-the-client", "-H",
                  "x-api-key: of-the-client", "-H", "Cookie: of-the-client", "-H", "X-Mine: kept",
                  "-H", "X-Hop: of-the-client", "-H", "Connection: X-Hop", "-H",
                  "OpenAI-Organization: of-the-client"),
              200);
    CHECK(strstr(scene_body(&scene), "\"Authorization\": \"Bearer " KEY "\""));
    CHECK(strstr(scene_body(&scene), "\"X-Mine\": \"kept\""));
    CHECK(!strstr(scene_body(&scene), "of-the-client"));
    CHECK(!strstr(scene.answer.data, "of-the-provider"));
    CHECK(strstr(scene.answer.data, "X-Request-Id: req-1"));
    CHECK_INT(ask(&scene, "/v1/messages", BODY("echo"), "-H", "x-api-key: of-the-client"), 200);
    CHECK(strstr(scene_body(&scene), "\"x-api-key\": \"" KEY "\""));
    CHECK(strstr(scene_body(&scene), "\"anthropic-version\": \"2023-06-01\""));
    CHECK(!strstr(scene_body(&scene), "Authorization"));
    /* A provider that shows it in an error shows it to nobody. */
    CHECK_INT(ask(&scene, CHAT, BODY("key")), 502);
    CHECK(strstr(scene_log(&scene), KEY));
    CHECK(!strstr(scene.answer.data, KEY));
    CHECK(strstr(scene_body(&scene), "refuses the credential"));
    CHECK_INT(scene.last.tokens, 0);
    scene_close(&scene);
}

TEST(without_its_credential_nothing_is_sent)
{
    struct scene scene;
    scene_open(&scene);
    scene_refer(&scene, "{'secrets':{'secret://test/key':{'env':'AM_TEST_NO_SUCH_KEY'}}}");
    scene.routes[0].credential_ref = STR("secret://test/key");
    model_door_close(scene.door);
    scene_listen(&scene);
    CHECK_INT(ask(&scene, CHAT, BODY("plain")), 502);
    CHECK(strstr(scene_body(&scene), "could not be asked"));
    CHECK_TEXT(scene_log(&scene), "");
    CHECK_INT(scene.settles, 1);
    CHECK_INT(scene.last.tokens + scene.last.calls, 0);
    scene_close(&scene);
}

/* --- ends before the end --------------------------------------------------------------------- */

TEST(a_stream_that_is_cut_ends_with_an_error_of_its_protocol)
{
    static const struct {
        const char *path, *body, *end;
    } cases[] = {
        { CHAT, STREAM("cut"),
          "}]}\n\ndata: {\"error\":{\"message\":\"The provider's answer ended before its end.\","
          "\"type\":\"server_error\",\"param\":null,\"code\":\"provider-failed\"}}\n\n" },
        { "/v1/responses", STREAM("cut"),
          "}\n\nevent: error\ndata: {\"type\":\"error\",\"code\":\"provider-failed\",\"message\":"
          "\"The provider's answer ended before its end.\",\"param\":null,"
          "\"sequence_number\":0}\n\n" },
        { "/v1/messages", STREAM("cut"),
          "}\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\","
          "\"message\":\"The provider's answer ended before its end.\","
          "\"code\":\"provider-failed\"}}\n\n" },
        { "/api/chat", "{\"model\":\"cut\"}",
          "}\n{\"error\":\"The provider's answer ended before its end.\","
          "\"code\":\"provider-failed\"}\n" },
    };
    struct scene scene;
    scene_open(&scene);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(ask(&scene, cases[i].path, cases[i].body), 200);
        CHECK_INT(scene.exit_status, 0);
        if (!str_ends(buf_str(&scene.answer), str_from(cases[i].end)))
            test_fail(__FILE__, __LINE__, "%s: %s", cases[i].path, scene.answer.data);
        CHECK_INT(scene.last.end, CALL_PROVIDER_CUT);
        CHECK_INT(scene.last.basis, i == 2 ? BASIS_PARTIAL : BASIS_RESERVED);
    }
    scene_close(&scene);
}

/* Its length was promised: the client sees that it is not whole. */
TEST(a_document_that_is_cut_is_seen_to_be_cut)
{
    struct scene scene;
    scene_open(&scene);
    CHECK_INT(ask(&scene, CHAT, BODY("cut")), 200);
    CHECK(scene.exit_status != 0);
    CHECK_INT(scene.last.end, CALL_PROVIDER_CUT);
    scene_close(&scene);
}

TEST(of_a_client_that_is_gone_the_provider_is_left_at_once)
{
    static const char *const bodies[] = { STREAM("slow"), BODY("hold") };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct scene scene;
        char url[64];
        int output, status;
        scene_open(&scene);
        snprintf(url, sizeof(url), "http://127.0.0.1:%u" CHAT, ntohs(scene.port));
        pid_t client =
            scene_spawn((const char *const[]){ CURL, url, "-d", bodies[i], NULL }, &output);
        UNTIL(&scene, strstr(scene_log(&scene), "\"path\""));
        if (i == 0)
            UNTIL(&scene, scene_turn(&scene, output, 20)); /* its stream has begun */
        CHECK(!strstr(scene_log(&scene), "gone"));
        CHECK_INT(scene.settles, 0);
        kill(client, SIGKILL);
        waitpid(client, &status, 0);
        UNTIL(&scene, scene.settles == 1);
        UNTIL(&scene, strstr(scene_log(&scene), "\"gone\": true"));
        CHECK_INT(scene.last.end, CALL_CLIENT_GONE);
        CHECK_INT(scene.last.basis, BASIS_RESERVED);
        close(output);
        scene_close(&scene);
    }
}

TEST(a_door_that_closes_settles_what_is_open)
{
    struct scene scene;
    char url[64];
    int output;
    scene_open(&scene);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u" CHAT, ntohs(scene.port));
    pid_t client =
        scene_spawn((const char *const[]){ CURL, url, "-d", BODY("hold"), NULL }, &output);
    UNTIL(&scene, strstr(scene_log(&scene), "\"path\""));
    model_door_close(TAKE_PTR(scene.door));
    CHECK_INT(scene.settles, 1);
    CHECK_INT(scene.last.end, CALL_DOOR_CLOSED);
    waitpid(client, NULL, 0);
    close(output);
    scene_close(&scene);
}
