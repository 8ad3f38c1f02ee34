#include "doors/model/door_test.h"

#define CHAT    "/v1/chat/completions"
#define BODY(m) "{\"model\":\"" m "\",\"messages\":[],\"max_tokens\":100}"

TEST(what_the_budget_does_not_cover_is_refused_in_the_clients_words)
{
    static const struct {
        const char *path, *words;
    } cases[] = {
        { CHAT, "\"type\":\"insufficient_quota\",\"param\":null,\"code\":\"budget-exhausted\"," },
        { "/v1/messages", "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\"," },
        { "/api/chat", "{\"error\":\"The budget does not cover this call" },
    };
    struct scene scene;
    scene_open(&scene);
    scene.ceiling = 300;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(ask(&scene, cases[i].path, BODY("plain")), 429);
        CHECK(strstr(scene_body(&scene), cases[i].words));
        CHECK(strstr(scene_body(&scene), "\"dimension\":\"tokens\","
                                         "\"budgetRef\":\"urn:srcos:budget:of-the-test\""));
        CHECK(strstr(scene.answer.data, "x-should-retry: false"));
        CHECK_INT(scene.last_fault, FAULT_BUDGET);
    }
    CHECK_TEXT(scene_log(&scene), "");
    CHECK_INT(scene.refusals, ARRAY_LEN(cases));
    CHECK_INT(scene.settles, 0);
    scene_close(&scene);
}

/* However many there are at once, no more is reserved and spent than the ceiling. */
TEST(clients_at_once_stay_below_the_ceiling)
{
    struct scene scene;
    char url[80];
    size_t answered = 0, refused = 0;
    scene_open(&scene);
    scene.ceiling = 1000; /* a call reserves 412, and takes 17 */
    snprintf(url, sizeof(url), "http://127.0.0.1:%u" CHAT "?[1-60]", ntohs(scene.port));
    scene_run(&scene, (const char *const[]){ CURL, "--no-progress-meter", "--parallel",
                                             "--parallel-immediate", "--parallel-max", "20", url,
                                             "-d", BODY("plain"), NULL });
    for (const char *at = scene.answer.data; (at = strstr(at, "HTTP/1.1 ")); at++) {
        answered += strncmp(at + 9, "200", 3) == 0;
        refused += strncmp(at + 9, "429", 3) == 0;
    }
    CHECK_INT(answered + refused, 60);
    CHECK(answered > 0 && refused > 0);
    CHECK(scene.most_reserved <= 1000);
    CHECK_INT(scene.spent, 17 * answered);
    CHECK_INT(scene.settles, answered);
    scene_close(&scene);
}

TEST(what_is_not_permitted_is_not_sent)
{
    struct scene scene;
    scene_open(&scene);
    scene.denies = true;
    CHECK_INT(ask(&scene, CHAT, BODY("plain")), 403);
    CHECK(strstr(scene_body(&scene), "The enterprise's layer denies it."));
    CHECK_TEXT(scene_log(&scene), "");
    CHECK_INT(scene.reserves, 0);
    CHECK_INT(scene.last_fault, FAULT_DENIED);
    scene_close(&scene);
}

TEST(what_makes_no_sense_is_refused_before_anything)
{
    static const struct {
        const char *path, *body, *words;
        unsigned status;
    } cases[] = {
        { CHAT, "{\"model\":\"nobody\"}", "No route answers the model 'nobody'", 404 },
        { CHAT, "{\"model\":", "not a JSON object", 400 },
        { CHAT, "{\"model\":\"plain\",\"model\":\"echo\"}", "stands twice", 400 },
        { "/v1/messages", "{\"messages\":[]}", "`model` is missing", 400 },
        { "/v1/responses", "{\"model\":\"plain\",\"previous_response_id\":\"r\"}",
          "heldContextTokens", 400 },
        { "/api/generate", "{\"model\":\"plain\",\"images\":[\"aa\"]}", "imageTokens", 400 },
        { "/api/pull", "{\"model\":\"plain\"}", "Models are not changed through the door", 403 },
        { "/api/push", "{\"model\":\"plain\"}", "not promoted or published", 403 },
        { "/api/create", "{\"model\":\"plain\"}", "their lifecycle is their owner's", 403 },
        { "/api/copy", "{\"source\":\"plain\"}", "their lifecycle is their owner's", 403 },
        { "/v1/fine_tuning/jobs", "{\"model\":\"plain\"}",
          "a separate consented contract, and an evidence ledger of its own", 403 },
        { "/v1/fine_tuning/jobs/ft-1/cancel", "{}", "not tuned or trained", 403 },
        { "/v1/fine-tunes", "{\"model\":\"plain\"}", "carry.tuning-needs-consent", 403 },
        { "/v1/images", "{}", "There is no such place", 404 },
        { "/api/tags", "{}", "for another method", 405 },
    };
    struct scene scene;
    scene_open(&scene);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned status = ask(&scene, cases[i].path, cases[i].body);
        if (status != cases[i].status || !strstr(scene_body(&scene), cases[i].words))
            test_fail(__FILE__, __LINE__, "%s: %s", cases[i].body, scene.answer.data);
    }
    CHECK_TEXT(scene_log(&scene), "");
    CHECK_INT(scene.permits + scene.reserves, 0);
    scene_close(&scene);
}

TEST(the_door_answers_for_its_models)
{
    struct scene scene;
    char url[80];
    static const struct {
        const char *path, *shows;
    } cases[] = {
        { "/v1/models", "{\"object\":\"list\",\"data\":[{\"id\":\"plain\",\"object\":\"model\"" },
        { "/v1/models/alias", "{\"id\":\"alias\"" },
        { "/api/tags", "{\"models\":[{\"name\":\"plain\",\"model\":\"plain\"" },
        { "/api/version", "{\"version\":\"" AM_VERSION "\"}" },
    };
    scene_open(&scene);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", ntohs(scene.port), cases[i].path);
        scene_run(&scene, (const char *const[]){ CURL, url, NULL });
        CHECK_INT(scene_status(&scene), 200);
        CHECK(str_starts(str_from(scene_body(&scene)), str_from(cases[i].shows)));
    }
    CHECK_TEXT(scene_log(&scene), "");
    scene_close(&scene);
}

TEST(who_does_not_show_the_token_is_sent_away)
{
    struct scene scene;
    scene_prepare(&scene);
    scene_start_provider(&scene, NULL, NULL);
    scene_route(&scene, 0, "b:1", "http", scene.provider_port);
    scene.options.token = STR("token-of-the-door");
    scene_listen(&scene);
    CHECK_INT(ask(&scene, CHAT, BODY("plain")), 401);
    CHECK_INT(ask(&scene, CHAT, BODY("plain"), "-H", "Authorization: Bearer token"), 401);
    CHECK_INT(ask(&scene, CHAT, BODY("plain"), "-H", "Authorization: Bearer "), 401);
    CHECK_INT(scene.permits, 0);
    CHECK_INT(ask(&scene, CHAT, BODY("plain"), "-H", "authorization: bearer token-of-the-door"),
              200);
    CHECK_INT(ask(&scene, "/v1/messages", BODY("echo"), "-H", "x-api-key: token-of-the-door"), 200);
    CHECK(!strstr(scene.answer.data, "token-of-the-door"));
    scene_close(&scene);
}

/* --- routes ---------------------------------------------------------------------------------- */

TEST(a_route_that_does_not_answer_is_left_for_its_fallback_alone)
{
    static const struct str fallback[] = { STR("b:hosted") };
    struct scene scene;
    scene_prepare(&scene);
    scene_start_provider(&scene, NULL, NULL);
    scene_route(&scene, 0, "b:local", "http", 1); /* nobody listens there */
    scene_route(&scene, 1, "b:hosted", "http", scene.provider_port);
    scene.routes[1].is_hosted = true;
    scene_listen(&scene);
    CHECK_INT(ask(&scene, CHAT, BODY("plain")), 502);
    CHECK(strstr(scene_body(&scene), "did not answer"));
    CHECK_TEXT(scene_log(&scene), "");
    CHECK_INT(scene.last.calls + scene.last.tokens, 0);
    scene.routes[0].fallback_refs = fallback;
    scene.routes[0].fallback_count = 1;
    CHECK_INT(ask(&scene, CHAT, BODY("plain")), 200);
    CHECK_TEXT(scene.last_binding, "b:hosted");
    CHECK(strstr(scene.last_reason, "its binding names this one next"));
    CHECK_INT(scene.settles, 3); /* each reservation of its own */
    CHECK_INT(model_door_counts(scene.door).prompt_bytes, strlen(BODY("plain")));
    scene_close(&scene);
}

static void open_twice(struct scene *scene, const char *second_provider)
{
    scene_prepare(scene);
    scene_start_provider(scene, NULL, NULL);
    scene_route(scene, 0, "b:first", "http", scene->provider_port);
    scene_route(scene, 1, "b:second", "http", scene->provider_port);
    scene->routes[1].provider_ref = str_from(second_provider);
    scene_listen(scene);
}

/* However many bindings lead to a provider, it has no more calls than it may have. */
TEST(the_rate_of_a_provider_is_that_of_all_its_bindings)
{
    struct scene scene;
    open_twice(&scene, "urn:srcos:model-profile:scripted");
    scene.routes[0].calls_per_minute = scene.routes[1].calls_per_minute = 2;
    CHECK_INT(ask(&scene, CHAT, BODY("plain")), 200);
    CHECK_INT(ask(&scene, CHAT, BODY("plain")), 200);
    CHECK_TEXT(scene.last_binding, "b:first");
    CHECK_INT(ask(&scene, CHAT, BODY("plain")), 429);
    CHECK(strstr(scene.answer.data, "Retry-After: 1\r\n"));
    CHECK(strstr(scene_body(&scene), "limits.callsPerMinute"));
    CHECK_INT(scene.last_fault, FAULT_RATE);
    CHECK_INT(scene.settles, 2);
    scene_close(&scene);
}

TEST(another_provider_has_a_rate_of_its_own)
{
    struct scene scene;
    open_twice(&scene, "urn:srcos:model-profile:another");
    scene.routes[0].calls_per_minute = scene.routes[1].calls_per_minute = 1;
    CHECK_INT(ask(&scene, CHAT, BODY("plain")), 200);
    CHECK_INT(ask(&scene, CHAT, BODY("plain")), 200);
    CHECK_TEXT(scene.last_binding, "b:second");
    CHECK_INT(ask(&scene, CHAT, BODY("plain")), 429);
    scene_close(&scene);
}

TEST(calls_of_a_provider_at_a_time_are_those_by_all_its_bindings)
{
    struct scene scene;
    char url[64];
    int output;
    open_twice(&scene, "urn:srcos:model-profile:scripted");
    scene.routes[0].concurrent_calls = scene.routes[1].concurrent_calls = 1;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u" CHAT, ntohs(scene.port));
    pid_t client =
        scene_spawn((const char *const[]){ CURL, url, "-d", BODY("hold"), NULL }, &output);
    UNTIL(&scene, strstr(scene_log(&scene), "hold"));
    CHECK_INT(ask(&scene, CHAT, BODY("plain")), 429);
    CHECK(strstr(scene_body(&scene), "limits.concurrentCalls"));
    kill(client, SIGKILL);
    waitpid(client, NULL, 0);
    close(output);
    UNTIL(&scene, scene.settles == 1);
    CHECK_INT(ask(&scene, CHAT, BODY("plain")), 200);
    scene_close(&scene);
}

TEST(a_provider_that_refuses_is_passed_on_and_costs_nothing)
{
    struct scene scene;
    scene_open(&scene);
    CHECK_INT(ask(&scene, CHAT, BODY("refuse")), 429);
    CHECK(strstr(scene.answer.data, "Retry-After: 7\r\n"));
    CHECK(strstr(scene_body(&scene), "slow down"));
    CHECK_INT(scene.last.end, CALL_PROVIDER_REFUSED);
    CHECK_INT(scene.last.tokens, 0);
    scene_close(&scene);
}

TEST(a_redirect_leads_nowhere)
{
    struct scene scene;
    scene_open(&scene);
    CHECK_INT(ask(&scene, CHAT, BODY("redirect")), 502);
    CHECK(strstr(scene_body(&scene), "redirects"));
    CHECK(!strstr(scene.answer.data, "elsewhere"));
    scene_close(&scene);
}

/* --- limits and trust ------------------------------------------------------------------------ */

/* Whether its length is told before or not, and in the words of whoever asks. */
TEST(a_body_beyond_the_limit_is_refused_at_once)
{
    static const struct {
        const char *path, *header, *expect, *words;
    } cases[] = {
        { CHAT, "X-Of: known-length", "Expect:", "\"code\":\"limit-exceeded\"" },
        { CHAT, "Transfer-Encoding: chunked", "Expect:", "\"code\":\"limit-exceeded\"" },
        { "/v1/messages", "X-Of: known-length", "Expect: 100-continue",
          "\"type\":\"request_too_large\"" },
        { "/api/chat", "Transfer-Encoding: chunked",
          "Expect:", "{\"error\":\"The body is too long" },
    };
    struct scene scene;
    char url[80], data[96];
    scene_open(&scene);
    snprintf(data, sizeof(data), "%s/body", scene.folder);
    int file = open(data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK_INT(ftruncate(file, (32 << 20) + 1), 0);
    close(file);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", ntohs(scene.port), cases[i].path);
        scene_run(&scene,
                  (const char *const[]){ "curl", "-sNi", "--max-time", "20", "-H", cases[i].header,
                                         url, "-T", data, "-X", "POST", NULL });
        CHECK(strstr(scene.answer.data, "HTTP/1.1 413 ")); /* behind a 100, perhaps */
        CHECK(strstr(scene.answer.data, "of 32 MiB at most"));
        if (!strstr(scene.answer.data, cases[i].words))
            test_fail(__FILE__, __LINE__, "%s", scene.answer.data);
    }
    CHECK_TEXT(scene_log(&scene), "");
    CHECK_INT(scene.permits + scene.reserves, 0);
    unlink(data);
    scene_close(&scene);
}
