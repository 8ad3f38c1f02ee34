/* model_routes: what is bound to a profile, as routes of the door. */
#include "plane/model_routes.h"

#include "authority/layers.h"
#include "authority/verdict_test.h"
#include "plane/model_test.h"

#define LARGE  "urn:srcos:model-profile:llama32-3b"
#define FOLDER "config/user/references.json"

struct scene {
    struct stage stage;
    struct layers_places places;
    struct model_routes routes;
};

static bool scene_begin(struct scene *scene, const char *references)
{
    *scene = (struct scene){ 0 };
    if (!stage_begin(&scene->stage))
        return false;
    plane_close(scene->stage.plane);
    struct layers_places *places = &scene->places;
    snprintf(places->system, sizeof(places->system), "%s/system", scene->stage.folder);
    snprintf(places->config, sizeof(places->config), "%s", scene->stage.config);
    snprintf(places->state, sizeof(places->state), "%s", scene->stage.state);
    places->owner = geteuid();
    if (references)
        test_put(scene->stage.folder, FOLDER, references);
    scene->stage.options.places = places;
    if (!stage_open(&scene->stage))
        return false;
    make_profile(&scene->stage, "personal");
    return true;
}

static int read_routes(struct scene *scene)
{
    struct err err = { 0 };
    model_routes_release(&scene->routes);
    int r = model_routes_read(scene->stage.plane, STR(TEST_AGENT), STR(TEST_PROFILE),
                              &scene->routes, &err);
    if (r < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", err.where, err.cause);
    return r;
}

static void scene_end(struct scene *scene)
{
    model_routes_release(&scene->routes);
    stage_check(&scene->stage);
    stage_end(&scene->stage);
}

/* Binds a provider that is an example but for a text in it. */
static struct outcome bind_changed(struct stage *stage, const char *from, const char *to)
{
    struct buf command = BUF_INIT, parameters = BUF_INIT, document = BUF_INIT, changed = BUF_INIT;
    char key[64];
    CHECK_INT(file_read("examples/external_model_provider_profile.byom_openai_compatible.json",
                        &document, NULL),
              0);
    const char *where = strstr(document.data, from);
    CHECK(where != NULL);
    if (where) {
        buf_add(&changed, document.data, (size_t)(where - document.data));
        buf_add_text(&changed, to);
        buf_add_text(&changed, where + strlen(from));
    }
    buf_add_text(&parameters,
                 "{\"modelProviderBind\":{\"action\":\"bind\",\"agentMachineProfileRef\":"
                 "\"" TEST_PROFILE "\",\"providerRef\":\"" HOSTED "\"," MODEL "," LEAVES "," TERMS);
    json_add_name(&parameters, "document");
    json_add_string(&parameters, buf_str(&changed));
    buf_add_text(&parameters, "}}");
    snprintf(key, sizeof(key), ",\"idempotencyKey\":\"changed-%u\"", stage->commands);
    command_make(stage, &command, "agent_machine.model_provider.bind", stage->user, parameters.data,
                 key);
    struct outcome outcome = stage_submit(stage, &command);
    buf_release(&command);
    buf_release(&parameters);
    buf_release(&document);
    buf_release(&changed);
    return outcome;
}

TEST(a_profile_without_bindings_has_no_routes)
{
    struct scene scene;
    if (!scene_begin(&scene, NULL))
        return;
    CHECK_INT(read_routes(&scene), 0);
    CHECK_INT(scene.routes.count, 0);
    scene_end(&scene);
}

TEST(a_binding_is_a_route_with_all_that_the_door_needs)
{
    struct scene scene;
    if (!scene_begin(&scene, NULL))
        return;
    CHECK_INT(bind_local(&scene.stage).state, STATE_COMPLETED);
    CHECK_INT(give(&scene.stage, "bind", LARGE, "local-model-profile.llama32-3b.json",
                   "," MODEL "," STAYS ",\"priority\":9,\"limits\":{\"callsPerMinute\":6}", "")
                  .state,
              STATE_COMPLETED);
    CHECK_INT(bind_hosted(&scene.stage,
                          "," MODEL "," LEAVES "," TERMS ",\"reservation\":{\"imageTokens\":1536}")
                  .state,
              STATE_COMPLETED);
    CHECK_INT(read_routes(&scene), 0);
    CHECK_INT(scene.routes.count, 3);
    const struct model_route *routes = scene.routes.routes;
    CHECK_STR(routes[0].provider_ref, STR(LOCAL));
    CHECK(!routes[0].is_hosted && !routes[0].refusal.len);
    CHECK_INT(routes[0].protocol, MODEL_OLLAMA);
    CHECK_STR(routes[0].base_url, STR("http://127.0.0.1:11434"));
    CHECK_STR(routes[0].models[0].upstream, STR("llama3.2:1b"));
    CHECK_INT(routes[0].fallback_count, 1); /* its profile names the other, which is bound too */
    CHECK_STR(routes[0].fallback_refs[0], routes[1].binding_ref);
    CHECK_INT(routes[1].priority, 9);
    CHECK_INT(routes[1].calls_per_minute, 6);
    CHECK(routes[2].is_hosted && !routes[2].refusal.len);
    CHECK_INT(routes[2].protocol, MODEL_OPENAI);
    CHECK_INT(routes[2].image_tokens, 1536);
    CHECK_STR(routes[2].base_url, STR("https://models.example.com/v1"));
    CHECK_STR(routes[2].credential_ref, STR("secret://user/northwind-model-gateway"));
    CHECK_TEXT(scene.routes.origins[2].host, "models.example.com");
    CHECK_INT(scene.routes.origins[2].port, 443);
    scene_end(&scene);
}

TEST(what_stands_for_a_base_address_is_resolved_and_what_leads_nowhere_is_told)
{
    static const struct {
        const char *url, *references, *base, *refusal;
    } cases[] = {
        { "secret://user/place", NULL, "", "secret" },
        { "secret://user/place",
          "{'secrets':{'secret://user/place':{'command':['echo','https://a.example:8443/x']}}}",
          "https://a.example:8443/x", "" },
        { "secret://user/place",
          "{'secrets':{'secret://user/place':{'command':['echo','http://a.example/x']}}}", "",
          "without TLS" },
        { "secret://user/place",
          "{'secrets':{'secret://user/place':{'command':['echo','https://u:p@a.example/']}}}", "",
          "no plain URL" },
        { "urn:srcos:place:x", NULL, "", "no layer can say" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scene scene;
        if (!scene_begin(&scene, cases[i].references))
            return;
        CHECK_INT(bind_changed(&scene.stage, "https://models.example.com/v1", cases[i].url).state,
                  STATE_COMPLETED);
        CHECK_INT(read_routes(&scene), 0);
        CHECK_INT(scene.routes.count, 1);
        const struct model_route *route = &scene.routes.routes[0];
        CHECK(route->is_hosted);
        if (cases[i].base[0])
            CHECK_STR(route->base_url, str_from(cases[i].base));
        if (!cases[i].refusal[0])
            CHECK_INT(route->refusal.len, 0);
        else if (!route->refusal.len || !strstr(route->refusal.ptr, cases[i].refusal))
            test_fail(__FILE__, __LINE__, "%.*s", STR_ARG(route->refusal));
        CHECK(!route->refusal.len || !strstr(route->refusal.ptr, "u:p"));
        scene_end(&scene);
    }
}

TEST(a_class_that_is_not_spoken_to_cannot_be_bound)
{
    struct scene scene;
    if (!scene_begin(&scene, NULL))
        return;
    struct outcome outcome = bind_changed(&scene.stage, "\"openai-compatible\"", "\"aws-bedrock\"");
    CHECK_INT(outcome.failure.code, ERR_UNSUPPORTED);
    CHECK(strstr(outcome.failure.cause, "Bedrock") != NULL);
    scene_end(&scene);
}

TEST(addresses_that_a_layer_gives_a_host_go_with_the_route)
{
    struct scene scene;
    if (!scene_begin(&scene, "{'names':{'models.example.com':['10.1.2.3','fd12::3']}}"))
        return;
    CHECK_INT(bind_hosted(&scene.stage, "," MODEL "," LEAVES "," TERMS).state, STATE_COMPLETED);
    CHECK_INT(read_routes(&scene), 0);
    CHECK_INT(scene.routes.routes[0].address_count, 2);
    scene_end(&scene);
}
