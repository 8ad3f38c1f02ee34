#include "doors/model/door_test.h"

#define CHAT    "/v1/chat/completions"
#define BODY(m) "{\"model\":\"" m "\",\"messages\":[],\"max_tokens\":100}"

static size_t asked(struct scene *scene)
{
    size_t count = 0;
    for (const char *at = scene_log(scene); (at = strstr(at, "\"path\": ")); at++)
        count++;
    return count;
}

/* However often it is tried, it is one call, reserved and charged once; what left is all of it. */
TEST(a_provider_that_is_busy_is_asked_again)
{
    struct scene scene;
    scene_open(&scene);
    CHECK_INT(ask(&scene, CHAT, BODY("busy")), 200);
    CHECK_INT(asked(&scene), 3);
    CHECK_INT(scene.reserves, 1);
    CHECK_INT(scene.settles, 1);
    CHECK_INT(scene.last.calls, 1);
    CHECK_INT(scene.last.tokens, 17);
    CHECK_INT(scene.last.sent_bytes, 3 * strlen(BODY("busy")));
    CHECK(strstr(scene.last_call_reason, "It answered 503, and was asked again. It answered 503"));
    scene_close(&scene);
}

/* Longer than MODEL_RETRY_WAIT_MAX_MS: the client is told, with what the provider asks for. */
TEST(one_that_wants_more_time_is_the_clients_matter)
{
    struct scene scene;
    scene_open(&scene);
    CHECK_INT(ask(&scene, CHAT, BODY("refuse")), 429);
    CHECK(strstr(scene.answer.data, "Retry-After: 7"));
    CHECK_INT(asked(&scene), 1);
    CHECK_INT(scene.last.tokens, 0);
    scene_close(&scene);
}

TEST(a_client_that_leaves_meanwhile_ends_it)
{
    struct scene scene;
    char url[64];
    int output;
    scene_open(&scene);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u" CHAT, ntohs(scene.port));
    pid_t client =
        scene_spawn((const char *const[]){ CURL, url, "-d", BODY("rest"), NULL }, &output);
    /* The door leaves a provider that wants a rest, which sees it go: from then on it waits. */
    UNTIL(&scene, strstr(scene_log(&scene), "\"gone\": true"));
    kill(client, SIGKILL);
    waitpid(client, NULL, 0);
    UNTIL(&scene, scene.settles == 1);
    CHECK_INT(scene.last.end, CALL_CLIENT_GONE);
    CHECK_INT(scene.last.tokens, 0);
    CHECK_INT(scene.reserved, 0);
    close(output);
    scene_close(&scene);
}

TEST(what_is_no_longer_permitted_is_not_sent_again)
{
    struct scene scene;
    scene_open(&scene);
    scene.permits_left = 1;
    CHECK_INT(ask(&scene, CHAT, BODY("busy")), 403);
    CHECK_INT(asked(&scene), 1);
    CHECK_INT(scene.settles, 1);
    CHECK_INT(scene.last.tokens, 0);
    scene_close(&scene);
}

/* What it reports beyond the reservation is charged, and nothing is covered after it. */
TEST(an_overshoot_is_charged)
{
    struct scene scene;
    scene_open(&scene);
    scene.ceiling = 2000;
    CHECK_INT(ask(&scene, CHAT, BODY("greedy")), 200);
    CHECK_INT(scene.last.basis, BASIS_REPORTED);
    CHECK_INT(scene.spent, 100006);
    CHECK_INT(ask(&scene, CHAT, BODY("plain")), 429);
    CHECK_INT(asked(&scene), 1);
    scene_close(&scene);
}
