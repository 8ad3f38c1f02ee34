/* Whatever a client asks becomes a request that can be read, or is refused with a reason. */
#include "base/json.h"
#include "doors/model/prompt.h"
#include "doors/model/translate/translation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct endpoint *place(enum model_protocol protocol, enum endpoint_kind kind)
{
    size_t i = 0;
    while (endpoints[i].protocol != protocol || endpoints[i].kind != kind)
        i++;
    return &endpoints[i];
}

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
    const struct endpoint *const clients[] = { place(MODEL_OPENAI, ENDPOINT_CHAT),
                                               place(MODEL_ANTHROPIC, ENDPOINT_MESSAGES),
                                               place(MODEL_OPENAI, ENDPOINT_RESPONSES),
                                               place(MODEL_OLLAMA, ENDPOINT_CHAT) };
    const struct endpoint *to = data[0] / 16 % 2 ? place(MODEL_ANTHROPIC, ENDPOINT_MESSAGES)
                                                 : place(MODEL_OPENAI, ENDPOINT_CHAT);
    const struct model_route route = { .protocol = to->protocol,
                                       .provider = provider_class_find(STR("mlx"), true),
                                       .base_url = STR("http://127.0.0.1:1") };
    struct translation *translation = NULL;
    struct buf body = BUF_INIT_LIMIT(TRANSLATION_BODY_MAX);
    char fault[TRANSLATION_FAULT_SIZE] = "";
    int r = translation_new(clients[data[0] % 4], to, &route,
                            str_make((const char *)data + 1, size - 1), 1, 1, &translation, &body,
                            fault);
    if (r == 0)
        check(&body, to);
    else
        assert(fault[0] && !translation);
    translation_free(translation);
    buf_release(&body);
    return 0;
}
