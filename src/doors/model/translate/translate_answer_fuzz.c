/* What a client gets does not depend on how an answer is cut into pieces, and can be read. */
#include "base/json.h"
#include "doors/model/answer_stream.h"
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

struct way {
    const struct endpoint *from, *to;
    bool streams, is_stream;
};

static struct translation *begin(const struct way *way)
{
    static const char messages[] =
        "{\"model\":\"m\",\"thinking\":{\"type\":\"enabled\"},\"stream\":%s,\"messages\":[]}";
    static const char responses[] =
        "{\"model\":\"m\",\"stream\":%s,\"input\":\"x\",\"reasoning\":{\"summary\":\"auto\"},"
        "\"tools\":[{\"type\":\"custom\",\"name\":\"c\"},{\"type\":\"local_shell\"}]}";
    static const char others[] = "{\"model\":\"m\",\"stream\":%s,\"messages\":[]}";
    const struct model_route route = { .protocol = way->to->protocol,
                                       .provider = provider_class_find(STR("mlx"), true),
                                       .base_url = STR("http://127.0.0.1:1") };
    struct translation *translation = NULL;
    struct buf request = BUF_INIT, body = BUF_INIT;
    char fault[TRANSLATION_FAULT_SIZE];
    static const char generate[] = "{\"model\":\"m\",\"stream\":%s,\"prompt\":\"x\"}";
    static const char vectors[] =
        "{\"model\":\"m\",\"encoding_format\":\"base64\",\"input\":[\"a\",\"b\"]}";
    static const char embed[] = "{\"model\":\"m\",\"input\":[\"a\",\"b\"]}";
    static const char older[] = "{\"model\":\"m\",\"prompt\":\"a\"}";
    static const char *const formats[] = { others,   messages, responses, others,
                                           generate, vectors,  embed,     older };
    size_t client = 0;
    while (strcmp(clients[client], way->from->path) != 0)
        client++;
    const char *format = formats[client];
    struct str left = str_from(format);
    size_t at = str_index(left, '%', 0);
    buf_add_str(&request, str_make(left.ptr, at));
    if (at < left.len)
        buf_add_text(&request, way->streams ? "true" : "false");
    buf_add_str(&request, str_from_offset(left, at + 2));
    int r = translation_new(way->from, way->to, &route, buf_str(&request), 1, 1, &translation,
                            &body, fault);
    assert(r == 0);
    buf_release(&request);
    buf_release(&body);
    return translation;
}

/* As exchange_translate.c does it. */
static int carry(const struct way *way, struct str answer, size_t step, struct buf *out)
{
    struct translation *translation = begin(way);
    struct answer_stream stream;
    struct str piece = answer;
    char fault[TRANSLATION_FAULT_SIZE] = "";
    int r = 0;
    answer_stream_init(&stream, ANSWER_EVENTS, false);
    for (size_t at = 0; at < answer.len && r == 0 && way->is_stream; at += step) {
        size_t len = answer.len - at < step ? answer.len - at : step;
        assert(answer_stream_feed(&stream, str_make(answer.ptr + at, len), &piece) == 0);
        r = translation_feed(translation, true, piece, &piece, fault);
        buf_add_str(out, piece);
    }
    if (r == 0) {
        r = translation_feed(translation, way->is_stream,
                             way->is_stream ? answer_stream_rest(&stream) : answer, &piece, fault);
        buf_add_str(out, piece);
    }
    if (r == 0) {
        r = translation_end(translation, &piece, fault);
        buf_add_str(out, piece);
    }
    assert(r == 0 || fault[0]);
    answer_stream_release(&stream);
    translation_free(translation);
    return r;
}

static void check_json(struct str text)
{
    yyjson_doc *doc = NULL;
    assert(json_read(text, &json_limits_default, &doc, NULL) == 0);
    yyjson_doc_free(doc);
}

/* Each line of a stream is an event's name, its data, a line of JSON or empty. */
static void check_stream(struct str text)
{
    for (size_t at = 0; at < text.len;) {
        size_t to = str_index(text, '\n', at);
        struct str line = str_make(text.ptr + at, to - at);
        assert(to < text.len);
        at = to + 1;
        if (str_starts(line, STR("data: ")) && !str_equal(line, STR("data: [DONE]")))
            check_json(str_from_offset(line, 6));
        else if (str_starts(line, STR("{")))
            check_json(line);
        else
            assert(!line.len || str_starts(line, STR("event: ")) || str_starts(line, STR("data")));
    }
}

/* The first byte says who asks, who answers, and how. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const struct endpoint *from = place(clients[data[0] % 8]);
    const struct way way = {
        .from = from,
        .to = provider_of(from, data[0] / 16 % 2),
        .streams = data[0] / 32 % 2 && from->kind != ENDPOINT_EMBEDDING,
        .is_stream = data[0] / 64 % 2,
    };
    struct str answer = str_make((const char *)data + 1, size - 1);
    struct buf whole = BUF_INIT, bytes = BUF_INIT;
    int r = carry(&way, answer, size, &whole);
    int again = carry(&way, answer, 1, &bytes);
    assert(r == again && str_equal(buf_str(&whole), buf_str(&bytes)));
    if (way.streams)
        check_stream(buf_str(&whole));
    else if (r == 0)
        check_json(buf_str(&whole));
    buf_release(&whole);
    buf_release(&bytes);
    return 0;
}
