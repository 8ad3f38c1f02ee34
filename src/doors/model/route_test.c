#include "doors/model/route.h"

#include "base/test.h"

#define NAMES(...)                                                                                 \
    .models = (const struct model_name[]){ __VA_ARGS__ },                                          \
    .model_count = ARRAY_LEN(((const struct model_name[]){ __VA_ARGS__ }))
#define SMALL                                                                                      \
    {                                                                                              \
        STR("small"), STR("llama3.2:1b")                                                           \
    }
#define LARGE                                                                                      \
    {                                                                                              \
        STR("large"), STR("north-70b")                                                             \
    }

static const struct provider_class *class_of(const char *name, bool is_local)
{
    const struct provider_class *found = provider_class_find(str_from(name), is_local);
    CHECK(found != NULL);
    return found;
}

static struct route_choice choose(const struct model_route *routes, size_t count,
                                  enum model_protocol protocol, const char *model)
{
    struct route_choice choice;
    routes_choose(routes, count, endpoint_first(protocol), str_from(model), &choice);
    return choice;
}

TEST(local_goes_before_hosted_whatever_the_priority)
{
    const struct model_route routes[] = {
        { .binding_ref = STR("b:hosted"),
          .is_hosted = true,
          .priority = 0,
          .provider = class_of("openai-compatible", false),
          NAMES(SMALL, LARGE) },
        { .binding_ref = STR("b:local"),
          .priority = 50,
          .provider = class_of("llama.cpp", true),
          NAMES(SMALL) },
    };
    struct route_choice choice = choose(routes, 2, MODEL_OPENAI, "small");
    CHECK_INT(choice.count, 1);
    CHECK_INT(choice.candidates[0].route, 1);
    CHECK_STR(choice.candidates[0].upstream_model, STR("llama3.2:1b"));
    CHECK(strstr(choice.candidates[0].reason, "local route answers"));
    choice = choose(routes, 2, MODEL_OPENAI, "large");
    CHECK_INT(choice.count, 1);
    CHECK_INT(choice.candidates[0].route, 0);
    CHECK(strstr(choice.candidates[0].reason, "No local route"));
}

TEST(a_hosted_route_is_tried_after_a_local_one_only_where_it_is_named)
{
    const struct str named[] = { STR("b:second"), STR("b:twin"), STR("b:second") };
    struct model_route routes[] = {
        { .binding_ref = STR("b:first"),
          .is_hosted = true,
          .priority = 1,
          .provider = class_of("vllm", false),
          NAMES(SMALL) },
        { .binding_ref = STR("b:second"),
          .is_hosted = true,
          .priority = 2,
          .provider = class_of("vllm", false),
          NAMES(SMALL) },
        { .binding_ref = STR("b:other"),
          .priority = 2,
          .provider = class_of("mlx", true),
          NAMES(SMALL) },
        { .binding_ref = STR("b:local"),
          .priority = 1,
          .provider = class_of("mlx", true),
          NAMES(SMALL),
          .fallback_refs = named,
          .fallback_count = 3 },
        { .binding_ref = STR("b:twin"),
          .priority = 3,
          .provider = class_of("mlx", true),
          NAMES(SMALL) },
    };
    struct route_choice choice = choose(routes, ARRAY_LEN(routes), MODEL_OPENAI, "small");
    static const size_t expected[] = { 3, 4, 2, 1 }; /* the local fallback first; `b:first` never */
    CHECK_INT(choice.count, 4);
    for (size_t i = 0; i < 4; i++)
        CHECK_INT(choice.candidates[i].route, expected[i]);
    routes[1].refusal = STR("it is not allowed");
    choice = choose(routes, ARRAY_LEN(routes), MODEL_OPENAI, "small");
    CHECK_INT(choice.count, 3);
}

TEST(what_cannot_be_used_is_said)
{
    struct model_route routes[] = {
        { .binding_ref = STR("b:bedrock"),
          .is_hosted = true,
          .provider = class_of("aws-bedrock", false),
          NAMES(LARGE) },
        { .binding_ref = STR("b:vllm"),
          .is_hosted = true,
          .provider = class_of("vllm", false),
          NAMES(SMALL),
          .refusal = STR("the profile is local-only") },
    };
    struct route_choice choice = choose(routes, 2, MODEL_OPENAI, "large");
    CHECK_INT(choice.count, 0);
    CHECK_INT(choice.fault, FAULT_DENIED);
    CHECK(strstr(choice.refusal, "Amazon Bedrock"));
    choice = choose(routes, 2, MODEL_OPENAI, "small");
    CHECK_INT(choice.count, 0);
    CHECK(strstr(choice.refusal, "the profile is local-only"));
    choice = choose(routes, 2, MODEL_OPENAI, "Small");
    CHECK_INT(choice.count, 0);
    CHECK_INT(choice.fault, FAULT_NOT_FOUND);
    CHECK(strstr(choice.refusal, "No route answers the model 'Small'"));
    routes[1].refusal = STR("");
    choice = choose(routes, 2, MODEL_ANTHROPIC, "small");
    CHECK_INT(choice.count, 1);
    CHECK(strstr(choice.candidates[0].reason, "translated to OpenAI's chat completions"));
    CHECK_INT(choice.candidates[0].place->kind, ENDPOINT_CHAT);
    const struct endpoint show = { .path = "/api/show",
                                   .protocol = MODEL_OLLAMA,
                                   .kind = ENDPOINT_SHOW };
    routes_choose(routes, 2, &show, STR("small"), &choice);
    CHECK_INT(choice.count, 0);
    CHECK_INT(choice.fault, FAULT_UNSUPPORTED);
    CHECK(strstr(choice.refusal, "What is asked at /api/show cannot be carried over: the provider "
                                 "of this model speaks OpenAI's protocol (b:vllm)."));
}

TEST(an_ollama_server_speaks_to_all)
{
    const struct model_route route = { .binding_ref = STR("b:ollama"),
                                       .protocol = MODEL_OLLAMA,
                                       .provider = class_of("ollama", true),
                                       NAMES(SMALL) };
    for (enum model_protocol p = 0; p < MODEL_PROTOCOL_COUNT; p++)
        CHECK_INT(choose(&route, 1, p, "small").count, 1);
}

TEST(no_more_candidates_than_there_is_room_for)
{
    static const struct model_name small = SMALL;
    struct model_route routes[MODEL_CANDIDATES_MAX + 4];
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        routes[i] = (struct model_route){
            .priority = i, .provider = class_of("mlx", true), .models = &small, .model_count = 1
        };
    struct route_choice choice = choose(routes, ARRAY_LEN(routes), MODEL_OPENAI, "small");
    CHECK_INT(choice.count, MODEL_CANDIDATES_MAX);
    CHECK_INT(choice.candidates[MODEL_CANDIDATES_MAX - 1].route, MODEL_CANDIDATES_MAX - 1);
}
