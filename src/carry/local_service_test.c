#include "carry/local_service.h"

#include "base/test.h"

#define DIGEST "baf6a787fdffd633537aa2eb51cfd54cb93ff08e28040095462bb63daf552878"

TEST(the_lists_of_each_kind_are_read)
{
    struct local_models models = { 0 };
    CHECK_INT(local_models_read(STR("{\"models\":[{\"name\":\"llama3.2:1b\",\"size\":1321098329,"
                                    "\"digest\":\"" DIGEST "\"},{\"name\":\"mine:latest\"}]}"),
                                LOCAL_LIST_OLLAMA, &models),
              0);
    CHECK_INT(models.count, 2);
    const struct local_model *found = local_models_find(&models, STR("llama3.2:1b"));
    CHECK(found != NULL);
    CHECK_INT(found->size_bytes, 1321098329);
    CHECK_TEXT(found->digest, "sha256:" DIGEST);
    CHECK(local_models_find(&models, STR("mine")) == &models.models[1]);
    CHECK(!local_models_find(&models, STR("llama3.2")));
    CHECK(!local_models_find(&models, STR("")));
    local_models_release(&models);
    CHECK_INT(local_models_read(STR("{\"object\":\"list\",\"data\":[{\"id\":\"tiny.gguf\"}]}"),
                                LOCAL_LIST_OPENAI, &models),
              0);
    CHECK_INT(models.count, 1);
    CHECK_TEXT(models.models[0].name, "tiny.gguf");
    local_models_release(&models);
}

TEST(what_is_no_list_is_none_and_what_is_no_name_is_left_out)
{
    static const char *const none[] = { "", "[]", "{}", "{\"data\":{}}", "<html>", "{\"data\":[" };
    struct local_models models = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        CHECK_INT(local_models_read(str_from(none[i]), LOCAL_LIST_OPENAI, &models), -EBADMSG);
    CHECK_INT(local_models_read(STR("{\"data\":[7,{\"id\":7},{\"id\":\"\"},{\"id\":\"a\\u001bb\"},"
                                    "{\"id\":\"ok\",\"digest\":\"sha256:no\"}]}"),
                                LOCAL_LIST_OPENAI, &models),
              0);
    CHECK_INT(models.count, 1);
    CHECK_TEXT(models.models[0].digest, "");
    local_models_release(&models);
}

TEST(each_port_is_one_services)
{
    for (size_t i = 0; i < local_service_count; i++)
        for (size_t j = 0; j < i; j++)
            CHECK(local_services[i].port != local_services[j].port);
    CHECK(local_service_of(STR("ollama")) == &local_services[0]);
    CHECK(!local_service_of(STR("other")));
}
