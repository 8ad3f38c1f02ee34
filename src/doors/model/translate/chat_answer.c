/*
 * chat_answer: answers of OpenAI's chat completions, read and written.
 *
 * Theory of operation. A chunk of a stream and a whole answer differ in that the one has a `delta`
 * and the other a `message`; both are read by the same function. A call begins where its index,
 * or its id beside a name, is another; servers give a call's arguments in one piece or in many.
 */
#include "doors/model/translate/answer.h"

/* --- reading --------------------------------------------------------------------------------- */

static void read_usage(struct answer *answer, yyjson_val *usage)
{
    uint64_t prompt = answer_count(usage, "/prompt_tokens");
    uint64_t cached = answer_count(usage, "/prompt_tokens_details/cached_tokens");
    if (!yyjson_is_obj(usage))
        return;
    answer->usage = (struct answer_usage){ .input = prompt > cached ? prompt - cached : 0,
                                           .cache_read = cached < prompt ? cached : prompt,
                                           .output = answer_count(usage, "/completion_tokens"),
                                           .is_known = true };
}

static int read_arguments(struct answer *answer, yyjson_val *arguments)
{
    struct buf text = BUF_INIT_LIMIT(ANSWER_BYTES_MAX);
    if (!yyjson_is_obj(arguments))
        return answer_arguments(answer, text_of(arguments));
    json_add_value(&text, arguments, 0);
    int r = text.error ? text.error : answer_arguments(answer, buf_str(&text));
    buf_release(&text);
    return r;
}

static int read_call(struct answer *answer, yyjson_val *call, uint64_t place)
{
    yyjson_val *function = member(call, "function"), *number = member(call, "index");
    uint64_t index = yyjson_is_uint(number) ? yyjson_get_uint(number) : place;
    struct str id = text_of(member(call, "id")), name = text_of(member(function, "name"));
    const struct answer_item *last =
        answer->item_count ? &answer->items[answer->item_count - 1] : NULL;
    bool is_new = !answer->has_call || index > answer->call_index ||
                  (name.len && id.len && last && !str_equal(id, str_from(last->id)));
    int r = 0;
    if (is_new)
        r = answer_call(answer, id, name);
    else if (index < answer->call_index)
        r = answer_fault(answer, "The provider gives arguments to a call that has ended.");
    answer->has_call = true;
    answer->call_index = index;
    return r < 0 ? r : read_arguments(answer, member(function, "arguments"));
}

static int read_message(struct answer *answer, yyjson_val *message)
{
    static const struct {
        const char *name;
        enum item_kind kind;
    } texts[] = { { "reasoning_content", ITEM_REASONING },
                  { "reasoning", ITEM_REASONING },
                  { "content", ITEM_TEXT },
                  { "refusal", ITEM_TEXT } };
    yyjson_val *calls = member(message, "tool_calls"), *call;
    uint64_t place = 0;
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(texts) && r == 0; i++) {
        /* Servers that give both names of it say it twice. */
        if (i == 1 && text_of(member(message, texts[0].name)).len)
            continue;
        r = answer_say(answer, texts[i].kind, text_of(member(message, texts[i].name)));
    }
    EACH_ITEM(calls, call)
    {
        if (r < 0)
            break;
        r = read_call(answer, call, place++);
    }
    return r;
}

static void read_stop(struct answer *answer, yyjson_val *reason)
{
    static const struct {
        const char *word;
        enum answer_stop stop;
    } words[] = { { "stop", STOP_END },
                  { "length", STOP_LENGTH },
                  { "tool_calls", STOP_CALLS },
                  { "function_call", STOP_CALLS },
                  { "content_filter", STOP_FILTER } };
    if (!yyjson_is_str(reason))
        return;
    answer->stop = STOP_END;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (text_is(reason, words[i].word))
            answer->stop = words[i].stop;
}

int chat_answer_read(struct answer *answer, yyjson_val *root)
{
    yyjson_val *error = member(root, "error");
    yyjson_val *choice = yyjson_arr_get_first(member(root, "choices"));
    if (error && !yyjson_is_null(error)) {
        struct str text = text_of(yyjson_is_str(error) ? error : member(error, "message"));
        return answer_fault(answer, "The provider says: %.*s", STR_ARG(text));
    }
    read_usage(answer, member(root, "usage"));
    yyjson_val *message = member(choice, "delta");
    int r = read_message(answer, message ? message : member(choice, "message"));
    read_stop(answer, member(choice, "finish_reason"));
    return r;
}

/* --- writing --------------------------------------------------------------------------------- */

static const char *stop_word(const struct answer *answer)
{
    static const char *const words[] = {
        [STOP_NONE] = "stop",     [STOP_END] = "stop",         [STOP_SEQUENCE] = "stop",
        [STOP_LENGTH] = "length", [STOP_CALLS] = "tool_calls", [STOP_FILTER] = "content_filter",
    };
    return words[answer_stop_of(answer)];
}

static void write_head(struct answer *answer, struct buf *out, const char *object)
{
    json_add_text(out, "id", str_from(answer->id));
    json_add_text(out, "object", str_from(object));
    buf_addf(out, ",\"created\":%lld", (long long)answer->now_s);
    json_add_text(out, "model", answer->asked->model);
}

/* Everything of a chunk up to the inside of its delta. */
static struct buf *chunk_begin(struct answer *answer)
{
    struct buf *out = event_begin(answer, NULL);
    write_head(answer, out, "chat.completion.chunk");
    buf_add_text(out, ",\"choices\":[{\"index\":0,\"delta\":{");
    return out;
}

static void chunk_end(struct answer *answer, const char *stop)
{
    buf_add_text(&answer->out, "},\"finish_reason\":");
    if (stop)
        buf_addf(&answer->out, "\"%s\"}]", stop);
    else
        buf_add_text(&answer->out, "null}]");
    event_end(answer);
}

static void write_usage(const struct answer *answer, struct buf *out)
{
    const struct answer_usage *usage = &answer->usage;
    unsigned long long prompt = usage->input + usage->cache_read + usage->cache_written;
    buf_addf(out,
             "{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu,"
             "\"prompt_tokens_details\":{\"cached_tokens\":%llu}}",
             prompt, (unsigned long long)usage->output, prompt + usage->output,
             (unsigned long long)usage->cache_read);
}

static void stream_begin(struct answer *answer)
{
    buf_add_text(chunk_begin(answer), "\"role\":\"assistant\",\"content\":\"\"");
    chunk_end(answer, NULL);
}

/* Of a call: its place among the calls. */
static size_t call_place(const struct answer *answer, const struct answer_item *item)
{
    size_t place = 0;
    for (const struct answer_item *other = answer->items; other < item; other++)
        place += other->kind == ITEM_CALL;
    return place;
}

static void stream_open(struct answer *answer, const struct answer_item *item)
{
    if (item->kind != ITEM_CALL)
        return;
    struct buf *out = chunk_begin(answer);
    buf_addf(out, "\"tool_calls\":[{\"index\":%zu", call_place(answer, item));
    json_add_text(out, "id", str_from(item->id));
    buf_add_text(out, ",\"type\":\"function\",\"function\":{");
    json_add_text(out, "name", str_from(item->name));
    buf_add_text(out, ",\"arguments\":\"\"}}]");
    chunk_end(answer, NULL);
}

static void stream_add(struct answer *answer, const struct answer_item *item, struct str text)
{
    struct buf *out = chunk_begin(answer);
    if (item->kind == ITEM_CALL) {
        buf_addf(out, "\"tool_calls\":[{\"index\":%zu,\"function\":{", call_place(answer, item));
        json_add_text(out, "arguments", text);
        buf_add_text(out, "}}]");
    } else {
        json_add_text(out, item->kind == ITEM_TEXT ? "content" : "reasoning_content", text);
    }
    chunk_end(answer, NULL);
}

static void stream_close(struct answer *answer, const struct answer_item *item)
{
    (void)answer;
    (void)item;
}

static void stream_end(struct answer *answer)
{
    chunk_begin(answer);
    chunk_end(answer, stop_word(answer));
    if (answer->asked->wants_usage && answer->usage.is_known) {
        struct buf *out = event_begin(answer, NULL);
        write_head(answer, out, "chat.completion.chunk");
        buf_add_text(out, ",\"choices\":[],\"usage\":");
        write_usage(answer, out);
        event_end(answer);
    }
    buf_add_text(&answer->out, "data: [DONE]\n\n");
}

static void write_texts(const struct answer *answer, struct buf *out)
{
    struct buf text = BUF_INIT_LIMIT(ANSWER_BYTES_MAX);
    for (size_t i = 0; i < answer->item_count; i++)
        if (answer->items[i].kind == ITEM_TEXT)
            buf_add_str(&text, buf_str(&answer->items[i].text));
    json_add_name(out, "content");
    if (text.len || !answer->item_count)
        json_add_string(out, buf_str(&text));
    else
        buf_add_text(out, "null");
    buf_release(&text);
}

static int document(struct answer *answer)
{
    struct buf *out = &answer->out;
    bool has_calls = false;
    buf_add_char(out, '{');
    write_head(answer, out, "chat.completion");
    buf_add_text(out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\"");
    write_texts(answer, out);
    for (size_t i = 0; i < answer->item_count; i++) {
        const struct answer_item *item = &answer->items[i];
        if (item->kind != ITEM_CALL)
            continue;
        buf_add_text(out, has_calls ? ",{" : ",\"tool_calls\":[{");
        json_add_text(out, "id", str_from(item->id));
        buf_add_text(out, ",\"type\":\"function\",\"function\":{");
        json_add_text(out, "name", str_from(item->name));
        json_add_text(out, "arguments", buf_str(&item->text));
        buf_add_text(out, "}}");
        has_calls = true;
    }
    buf_addf(out, "%s},\"logprobs\":null,\"finish_reason\":\"%s\"}]", has_calls ? "]" : "",
             stop_word(answer));
    if (answer->usage.is_known) {
        json_add_name(out, "usage");
        write_usage(answer, out);
    }
    buf_add_char(out, '}');
    return out->error;
}

const struct answer_form chat_answer_form = {
    .stream_type = "text/event-stream",
    .id_prefix = "chatcmpl-",
    .begin = stream_begin,
    .open = stream_open,
    .add = stream_add,
    .close = stream_close,
    .end = stream_end,
    .document = document,
};
