/*
 * local_service: see the header.
 *
 * Theory of operation. A table, and a reader of lists. A list comes from whatever
 * listens at a port: it is bounded, names that could not be bound are left out, and
 * digests that are none are not kept.
 */
#include "carry/local_service.h"

#include "base/json.h"

const struct local_service local_services[] = {
    { "Ollama", "ollama", 11434, LOCAL_LIST_OLLAMA, false },
    { "llama.cpp server", "llama.cpp", 8080, LOCAL_LIST_OPENAI, true },
    { "LM Studio", "openai-compatible", 1234, LOCAL_LIST_OPENAI, false },
    { "vLLM", "openai-compatible", 8000, LOCAL_LIST_OPENAI, false },
    { "MLX server", "mlx", 8081, LOCAL_LIST_OPENAI, false },
    { "Jan", "openai-compatible", 1337, LOCAL_LIST_OPENAI, false },
    { "GPT4All", "openai-compatible", 4891, LOCAL_LIST_OPENAI, false },
    { "text-generation-webui", "openai-compatible", 5000, LOCAL_LIST_OPENAI, true },
    { "KoboldCpp", "openai-compatible", 5001, LOCAL_LIST_OPENAI, true },
};
const size_t local_service_count = ARRAY_LEN(local_services);

const struct local_service *local_service_of(struct str kind)
{
    for (size_t i = 0; i < local_service_count; i++)
        if (str_equal(str_from(local_services[i].kind), kind))
            return &local_services[i];
    return NULL;
}

const char *local_list_path(enum local_list_form form)
{
    static const char *const paths[] = {
        [LOCAL_LIST_OLLAMA] = "/api/tags",
        [LOCAL_LIST_OPENAI] = "/v1/models",
    };
    return paths[form];
}

/* --- lists --------------------------------------------------------------------------------- */

static const char *name_in(yyjson_val *item, const char *member, size_t *ret_len)
{
    yyjson_val *value = yyjson_obj_get(item, member);
    *ret_len = yyjson_get_len(value);
    return yyjson_get_str(value);
}

static bool is_name(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return text && len && len < LOCAL_NAME_SIZE;
}

/* Ollama writes the hexadecimal digits alone. */
static void take_digest(yyjson_val *item, struct local_model *model)
{
    static const char before[] = "sha256:";
    size_t len;
    const char *text = name_in(item, "digest", &len);
    if (text && len > strlen(before) && memcmp(text, before, strlen(before)) == 0) {
        text += strlen(before);
        len -= strlen(before);
    }
    if (text && len == 64 && strspn(text, "0123456789abcdef") == len)
        snprintf(model->digest, sizeof(model->digest), "%s%s", before, text);
}

static void take_item(yyjson_val *item, enum local_list_form form, struct local_models *models)
{
    struct local_model *model = &models->models[models->count];
    size_t len;
    const char *name = name_in(item, form == LOCAL_LIST_OLLAMA ? "name" : "id", &len);
    if (!is_name(name, len))
        return;
    *model = (struct local_model){ .size_bytes = yyjson_get_uint(yyjson_obj_get(item, "size")) };
    memcpy(model->name, name, len);
    take_digest(item, model);
    models->count++;
}

int local_models_read(struct str body, enum local_list_form form, struct local_models *ret)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct local_models models = { 0 };
    yyjson_val *item;
    size_t index, count;
    if (json_read(body, &json_limits_default, &doc, NULL) < 0)
        return -EBADMSG;
    yyjson_val *list =
        yyjson_obj_get(yyjson_doc_get_root(doc), form == LOCAL_LIST_OLLAMA ? "models" : "data");
    if (!yyjson_is_arr(list))
        return -EBADMSG;
    models.models = calloc(LOCAL_MODELS_MAX, sizeof(*models.models));
    if (!models.models)
        return -ENOMEM;
    yyjson_arr_foreach(list, index, count, item)
    {
        if (models.count < LOCAL_MODELS_MAX)
            take_item(item, form, &models);
    }
    *ret = models;
    return 0;
}

void local_models_release(struct local_models *models)
{
    free(models->models);
    *models = (struct local_models){ 0 };
}

const struct local_model *local_models_find(const struct local_models *models, struct str name)
{
    static const char latest[] = ":latest";
    for (size_t i = 0; i < models->count; i++) {
        struct str found = str_from(models->models[i].name);
        if (str_equal(found, name))
            return &models->models[i];
        if (str_ends(found, str_from(latest)) && found.len == name.len + strlen(latest) &&
            str_starts(found, name))
            return &models->models[i];
    }
    return NULL;
}
