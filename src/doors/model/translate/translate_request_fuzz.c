/* Whatever a client asks becomes a request that can be read, or is refused with a reason. */
#include "base/json.h"
#include "doors/model/prompt.h"
#include "doors/model/translate/translation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct endpoint *place(const char *path)
{
    bool is_other;
    return endpoint_find(STR("POST"), str_from(path), &is_other);
}

/* Of vectors, or of texts. */
static const struct endpoint *provider_of(const struct endpoint *client, bool second)
{
    if (client->kind == ENDPOINT_EMBEDDING)
        return place(second ? "/api/embed" : "/v1/embeddings");
    return place(second ? "/v1/messages" : "/v1/chat/completions");
}

static const char *const clients[] = { "/v1/chat/completions", "/v1/messages",
                                       "/v1/responses",        "/api/chat",
                                       "/api/generate",        "/v1/embeddings",
                                       "/api/embed",           "/api/embeddings" };

static void check(const struct buf *body, const struct endpoint *to)
{
    char fault[PROMPT_FAULT_SIZE];
    struct prompt prompt;
    yyjson_doc *doc = NULL;
    assert(json_read(buf_str(body), &json_limits_default, &doc, NULL) == 0);
    assert(yyjson_is_obj(yyjson_doc_get_root(doc)));
    /* The door may find less than a request in it, such as no model; never more than one. */
    if (prompt_read(buf_str(body), to, &prompt, fault) < 0)
        assert(!strstr(fault, "twice") && !strstr(fault, "not a JSON"));
    yyjson_doc_free(doc);
}

/* The first byte says who asks, and who is asked. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const struct endpoint *from = place(clients[data[0] % 8]);
    const struct endpoint *to = provider_of(from, data[0] / 16 % 2);
    const struct model_route route = { .protocol = to->protocol,
                                       .provider = provider_class_find(STR("mlx"), true),
                                       .base_url = STR("http://127.0.0.1:1") };
    struct translation *translation = NULL;
    struct buf body = BUF_INIT_LIMIT(TRANSLATION_BODY_MAX);
    char fault[TRANSLATION_FAULT_SIZE] = "";
    int r = translation_new(from, to, &route, str_make((const char *)data + 1, size - 1), 1, 1,
                            &translation, &body, fault);
    if (r == 0)
        check(&body, to);
    else
        assert(fault[0] && !translation);
    translation_free(translation);
    buf_release(&body);
    return 0;
}
