/*
 * translation: see the header.
 *
 * Theory of operation. Whoever asks has a reader of requests and a form of answers, whoever is
 * asked has a writer of requests and a reader of answers; in between stand a conversation and an
 * answer, which know no protocol. So each protocol is written once, and a row of the table says
 * which ends may meet.
 *
 * Invariants: a request that cannot be carried over whole is carried over not at all; what goes
 * upstream is written anew from what was read, and nothing of it is copied as bytes.
 *
 * Limits: those of conversation.h and answer.h; an event is held up to what answer_stream.h says.
 */
#include "doors/model/translate/translation.h"

#include "doors/model/translate/answer.h"
#include "doors/model/translate/chat_request.h"
#include "doors/model/translate/embedding.h"
#include "doors/model/translate/messages_request.h"
#include "doors/model/translate/ollama_request.h"
#include "doors/model/translate/responses_request.h"

/* --- the table ------------------------------------------------------------------------------- */

/* Who asks. */
static const struct speech {
    const char *path;
    const char *words;
    bool is_newer; /* than servers that speak its protocol: they may not know the place */
    int (*read)(struct conversation *c, yyjson_val *root);
    const struct answer_form *form;
} clients[] = {
    { "/v1/chat/completions", "OpenAI's chat completions", false, chat_request_read,
      &chat_answer_form },
    { "/v1/responses", "OpenAI's responses", true, responses_request_read, &responses_answer_form },
    { "/v1/messages", "Anthropic's messages", true, messages_request_read, &messages_answer_form },
    { "/v1/messages/count_tokens", "Anthropic's messages", true, messages_request_read,
      &messages_answer_form },
    { "/api/chat", "Ollama's chat", false, ollama_request_read, &ollama_answer_form },
    { "/api/generate", "Ollama's generate", false, ollama_generate_read, &ollama_generate_form },
    { "/v1/embeddings", "OpenAI's embeddings", true, openai_embedding_read,
      &openai_embedding_form },
    { "/api/embed", "Ollama's embed", false, ollama_embed_read, &ollama_embed_form },
    { "/api/embeddings", "Ollama's embeddings", false, ollama_embeddings_read,
      &ollama_embeddings_form },
};

/* Who is asked, in the order in which they are preferred. */
static const struct service {
    const char *path;
    const char *words;
    int (*write)(struct conversation *c, const char *limit_name, struct buf *body);
    int (*read)(struct answer *answer, yyjson_val *root);
} services[] = {
    { "/v1/chat/completions", "OpenAI's chat completions", chat_request_write, chat_answer_read },
    { "/v1/messages", "Anthropic's messages", messages_request_write, messages_answer_read },
    { "/v1/embeddings", "OpenAI's embeddings", openai_embedding_write,
      openai_embedding_answer_read },
    { "/api/embed", "Ollama's embed", ollama_embed_write, ollama_embed_answer_read },
};

static const struct speech *find_client(const struct endpoint *place)
{
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        if (strcmp(clients[i].path, place->path) == 0)
            return &clients[i];
    return NULL;
}

static const struct service *find_service(const struct endpoint *place)
{
    for (size_t i = 0; i < ARRAY_LEN(services); i++)
        if (strcmp(services[i].path, place->path) == 0)
            return &services[i];
    return NULL;
}

const char *translation_words(const struct endpoint *place)
{
    const struct speech *client = find_client(place);
    return client ? client->words : model_protocol_name(place->protocol);
}

static bool speaks(const struct model_route *route, enum model_protocol protocol)
{
    return route->protocol == protocol || route->provider->also & (1u << protocol);
}

/* Texts are made of a conversation, vectors of texts, and neither of the other. */
static bool is_alike(const struct endpoint *a, const struct endpoint *b)
{
    return a != b && (a->kind == ENDPOINT_EMBEDDING) == (b->kind == ENDPOINT_EMBEDDING);
}

static const struct endpoint *find_other(const struct endpoint *client,
                                         const struct model_route *route)
{
    bool is_other;
    for (size_t i = 0; i < ARRAY_LEN(services) && find_client(client); i++) {
        const struct endpoint *place =
            endpoint_find(STR("POST"), str_from(services[i].path), &is_other);
        if (speaks(route, place->protocol) && is_alike(client, place))
            return place;
    }
    return NULL;
}

const struct endpoint *translation_place(const struct endpoint *client,
                                         const struct model_route *route)
{
    bool is_native = speaks(route, client->protocol) &&
                     (client->kind != ENDPOINT_RESPONSES || !route->provider->lacks_responses);
    return is_native ? client : find_other(client, route);
}

const struct endpoint *translation_instead(const struct endpoint *client,
                                           const struct model_route *route)
{
    const struct speech *speech = find_client(client);
    return speech && speech->is_newer ? find_other(client, route) : NULL;
}

/* --- the request ----------------------------------------------------------------------------- */

struct translation {
    const struct speech *client;
    const struct service *service;
    struct conversation conversation;
    struct answer answer;
};

static int read_request(struct conversation *c, const struct speech *client, struct str request)
{
    struct err err = { 0 };
    if (json_read(request, &json_limits_default, &c->doc, &err) < 0)
        return conversation_wrong(c, "The request cannot be read: %.200s", err.cause);
    return client->read(c, yyjson_doc_get_root(c->doc));
}

int translation_new(const struct endpoint *client, const struct endpoint *place,
                    const struct model_route *route, struct str request, uint64_t number,
                    int64_t now_s, struct translation **ret, struct buf *body,
                    char ret_fault[TRANSLATION_FAULT_SIZE])
{
    struct translation *translation = calloc(1, sizeof(*translation));
    if (!translation)
        return -ENOMEM;
    struct conversation *c = &translation->conversation;
    translation->client = find_client(client);
    translation->service = find_service(place);
    conversation_init(c, translation->service->words);
    const char *limit_name =
        place->kind == ENDPOINT_CHAT && provider_counts_completion(route->provider, route->base_url)
            ? "max_completion_tokens"
            : "max_tokens";
    int r = read_request(c, translation->client, request);
    if (r == 0)
        r = translation->service->write(c, limit_name, body);
    if (r == 0)
        r = conversation_copy(c, c->model, &c->model);
    if (r == 0)
        r = answer_init(&translation->answer, c, translation->client->form, number, now_s);
    if (r < 0) {
        snprintf(ret_fault, TRANSLATION_FAULT_SIZE, "%s",
                 c->fault[0] ? c->fault : "There is not enough memory.");
        translation_free(translation);
        return r;
    }
    conversation_let_go(c); /* a large prompt is not kept while its answer streams */
    *ret = translation;
    return 0;
}

void translation_free(struct translation *translation)
{
    if (!translation)
        return;
    answer_release(&translation->answer);
    conversation_release(&translation->conversation);
    free(translation);
}

bool translation_streams(const struct translation *translation)
{
    return translation->conversation.streams;
}

const char *translation_type(const struct translation *translation)
{
    return translation_streams(translation) ? translation->client->form->stream_type
                                            : "application/json";
}

/* --- the answer ------------------------------------------------------------------------------ */

static int give(struct translation *translation, int r, struct str *ret,
                char ret_fault[TRANSLATION_FAULT_SIZE])
{
    struct answer *answer = &translation->answer;
    *ret = buf_str(&answer->out);
    if (r < 0)
        snprintf(ret_fault, TRANSLATION_FAULT_SIZE, "%s",
                 answer->fault[0] ? answer->fault : "There is not enough memory.");
    return r;
}

static int read_document(struct translation *translation, struct str text)
{
    yyjson_doc *doc = NULL;
    int r = json_read(text, &json_limits_default, &doc, NULL);
    if (r < 0 || !yyjson_is_obj(yyjson_doc_get_root(doc)))
        r = answer_fault(&translation->answer, "The provider's answer is not JSON.");
    else
        r = translation->service->read(&translation->answer, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return r;
}

/* A line without its end; `*at` is behind that. */
static struct str next_line(struct str text, size_t *at)
{
    size_t from = *at, to = from;
    while (to < text.len && text.ptr[to] != '\n' && text.ptr[to] != '\r')
        to++;
    *at = to + 1;
    if (to + 1 < text.len && text.ptr[to] == '\r' && text.ptr[to + 1] == '\n')
        ++*at;
    return str_make(text.ptr + from, to - from);
}

/* The data of an event may stand in more than one line, with line ends between. */
static int read_events(struct translation *translation, struct str events)
{
    struct buf data = BUF_INIT_LIMIT(2 * TRANSLATION_BODY_MAX);
    bool has_data = false;
    int r = 0;
    for (size_t at = 0; at < events.len && r == 0;) {
        struct str line = next_line(events, &at);
        if (str_starts(line, STR("data:"))) {
            line = str_from_offset(line, 5);
            line = str_starts(line, STR(" ")) ? str_from_offset(line, 1) : line;
            if (has_data)
                buf_add_char(&data, '\n');
            buf_add_str(&data, line);
            has_data = true;
        }
        bool is_end = !line.len || at >= events.len;
        if (!is_end || !has_data)
            continue;
        if (data.error)
            r = data.error;
        else if (data.len && !str_equal(buf_str(&data), STR("[DONE]")))
            r = read_document(translation, buf_str(&data));
        buf_truncate(&data, 0);
        has_data = false;
    }
    buf_release(&data);
    return r;
}

int translation_feed(struct translation *translation, bool is_stream, struct str bytes,
                     struct str *ret, char ret_fault[TRANSLATION_FAULT_SIZE])
{
    buf_truncate(&translation->answer.out, 0);
    int r = is_stream ? read_events(translation, bytes) : read_document(translation, bytes);
    return give(translation, r, ret, ret_fault);
}

int translation_end(struct translation *translation, struct str *ret,
                    char ret_fault[TRANSLATION_FAULT_SIZE])
{
    buf_truncate(&translation->answer.out, 0);
    return give(translation, answer_end(&translation->answer), ret, ret_fault);
}

void translation_add_refusal(struct str body, struct buf *text)
{
    static const char *const places[] = { "/error/message", "/error", "/message", "/detail" };
    yyjson_doc *doc = NULL;
    if (json_read(body, &json_limits_default, &doc, NULL) < 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct str said = text_of(at(yyjson_doc_get_root(doc), places[i]));
        if (!said.len)
            continue;
        buf_add_str(text, said);
        break;
    }
    yyjson_doc_free(doc);
}
