/*
 * own_answer: see the header.
 *
 * Theory of operation. A list of models is made of the routes' names, each once, in
 * the order of the routes; those of routes that cannot be used are not in it. The
 * place /v1/models is that of OpenAI's clients and of Anthropic's: what each of
 * them reads stands side by side.
 *
 * Invariant: nothing of a provider but the names that its binding gives to models
 * is said.
 */
#include "doors/model/own_answer.h"

#include "base/json.h"

#define SINCE "1970-01-01T00:00:00Z" /* nothing is known of when a model was made */

/* Whether a route before, or a name before in the same route, is equal. */
static bool is_repeated(const struct model_route *routes, size_t route, size_t name)
{
    struct str wanted = routes[route].models[name].name;
    for (size_t i = 0; i <= route; i++) {
        size_t end = i < route ? routes[i].model_count : name;
        for (size_t j = 0; j < end && !routes[i].refusal.len; j++)
            if (str_equal(routes[i].models[j].name, wanted))
                return true;
    }
    return false;
}

static void add_model(struct buf *body, enum model_protocol protocol, struct str name)
{
    struct buf text = BUF_INIT;
    json_add_string(&text, name);
    if (protocol == MODEL_OLLAMA)
        buf_addf(body,
                 "{\"name\":%s,\"model\":%s,\"modified_at\":\"" SINCE "\",\"size\":0,"
                 "\"digest\":\"\",\"details\":{}}",
                 text.data, text.data);
    else
        buf_addf(body,
                 "{\"id\":%s,\"object\":\"model\",\"created\":0,\"owned_by\":\"agent-machine\","
                 "\"type\":\"model\",\"display_name\":%s,\"created_at\":\"" SINCE "\"}",
                 text.data, text.data);
    buf_release(&text);
}

/* All of them, or the one that is wanted. How many. */
static size_t add_models(struct buf *body, enum model_protocol protocol, struct str wanted,
                         const struct model_route *routes, size_t count)
{
    size_t added = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < routes[i].model_count && !routes[i].refusal.len; j++) {
            struct str name = routes[i].models[j].name;
            if ((wanted.len && !str_equal(name, wanted)) || is_repeated(routes, i, j))
                continue;
            if (added++)
                buf_add_char(body, ',');
            add_model(body, protocol, name);
        }
    return added;
}

int own_answer_add(struct buf *body, const struct endpoint *endpoint, struct str path,
                   const struct model_route *routes, size_t count)
{
    const struct str all = STR("/v1/models");
    if (endpoint->kind == ENDPOINT_VERSION)
        return buf_add_text(body, "{\"version\":\"" AM_VERSION "\"}");
    if (endpoint->protocol == MODEL_OLLAMA) {
        buf_add_text(body, "{\"models\":[");
        add_models(body, MODEL_OLLAMA, STR(""), routes, count);
        return buf_add_text(body, "]}");
    }
    if (path.len > all.len) {
        size_t found =
            add_models(body, MODEL_OPENAI, str_from_offset(path, all.len + 1), routes, count);
        return found ? body->error : -ENOENT;
    }
    buf_add_text(body, "{\"object\":\"list\",\"data\":[");
    add_models(body, MODEL_OPENAI, STR(""), routes, count);
    return buf_add_text(body, "],\"has_more\":false,\"first_id\":null,\"last_id\":null}");
}

/* Takes as long whatever is equal. */
static bool is_token(struct str shown, struct str token)
{
    unsigned char different = shown.len != token.len;
    for (size_t i = 0; i < token.len; i++)
        different |= (unsigned char)(token.ptr[i] ^ (shown.len ? shown.ptr[i % shown.len] : 0));
    return !different;
}

bool own_answer_token_fits(const struct http_request *request, struct str token)
{
    static const char *const names[] = { "x-api-key", "api-key", "authorization" };
    const struct str bearer = STR("Bearer ");
    for (size_t i = 0; i < ARRAY_LEN(names) && token.len; i++) {
        const struct str *value = http_request_header(request, names[i]);
        if (!value)
            continue;
        struct str shown = *value;
        if (shown.len > bearer.len && http_name_equal(str_make(shown.ptr, bearer.len), bearer))
            shown = str_from_offset(shown, bearer.len);
        if (is_token(shown, token))
            return true;
    }
    return !token.len;
}
