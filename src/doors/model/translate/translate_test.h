/* translate_test: what tests of translations share. In their texts ' stands for ". */
#ifndef AM_DOORS_MODEL_TRANSLATE_TRANSLATE_TEST_H
#define AM_DOORS_MODEL_TRANSLATE_TRANSLATE_TEST_H

#include "base/test.h"
#include "doors/model/prompt.h"
#include "doors/model/translate/translation.h"

#define CHAT       "/v1/chat/completions"
#define MESSAGES   "/v1/messages"
#define RESPONSES  "/v1/responses"
#define OLLAMA     "/api/chat"
#define GENERATE   "/api/generate"
#define EMBED      "/api/embed"
#define EMBEDDINGS "/v1/embeddings"

static inline const struct endpoint *place_of(const char *path)
{
    bool is_other;
    return endpoint_find(STR("POST"), str_from(path), &is_other);
}

/* A route to a server that speaks one protocol, and chat alone of OpenAI's. */
static inline struct model_route route_to(const char *path)
{
    enum model_protocol protocol = place_of(path)->protocol;
    return (struct model_route){
        .protocol = protocol,
        .provider = protocol == MODEL_ANTHROPIC
                        ? provider_class_find(STR("anthropic"), false)
                        : provider_class_find(STR("openai-compatible"), true),
        .base_url = STR("http://127.0.0.1:1/v1"),
    };
}

/* With " in the place of '. */
static inline void quote(const char *text, struct buf *ret)
{
    buf_truncate(ret, 0);
    for (const char *at = text; *at; at++)
        buf_add_char(ret, *at == '\'' ? '"' : *at);
}

/* Begins a translation; what goes upstream is `body`. */
static inline int begin_translation(const char *from, const char *to, struct str request,
                                    struct translation **ret, struct buf *body,
                                    char ret_fault[TRANSLATION_FAULT_SIZE])
{
    const struct model_route route = route_to(to);
    CHECK(translation_place(place_of(from), &route) == place_of(to));
    buf_truncate(body, 0);
    return translation_new(place_of(from), place_of(to), &route, request, 0xabc, 1700000000, ret,
                           body, ret_fault);
}

#endif
