/*
 * ollama_answer: answers of Ollama's chat and generate, which are written and never read.
 *
 * Theory of operation. A stream is a line for each piece, and a last one with the figures. In chat
 * the text stands in a message; a call is told when it is whole, since its arguments are an object
 * here. Generate has the text itself, and no place for calls.
 */
#include "base/clock.h"
#include "doors/model/translate/answer.h"

static bool is_chat(const struct answer *answer)
{
    return answer->form == &ollama_answer_form;
}

/* What the text is called. */
static const char *text_name(const struct answer *answer)
{
    return is_chat(answer) ? "content" : "response";
}

/* Everything up to the text. */
static struct buf *line_begin(struct answer *answer)
{
    struct buf *out = &answer->out;
    char time[CLOCK_TEXT_SIZE];
    clock_text(answer->now_s * 1000, time);
    buf_add_char(out, '{');
    json_add_text(out, "model", answer->asked->model);
    json_add_text(out, "created_at", str_from(time));
    if (is_chat(answer))
        buf_add_text(out, ",\"message\":{\"role\":\"assistant\"");
    return out;
}

static void message_end(const struct answer *answer, struct buf *out)
{
    if (is_chat(answer))
        buf_add_char(out, '}');
}

static int write_call(struct answer *answer, struct buf *out, const struct answer_item *item)
{
    yyjson_doc *doc = NULL;
    if (!is_chat(answer))
        return answer_fault(answer, "The provider calls the tool %s, and this client knows none.",
                            item->name);
    int r = json_read(buf_str(&item->text), &json_limits_default, &doc, NULL);
    if (r < 0 || !yyjson_is_obj(yyjson_doc_get_root(doc))) {
        yyjson_doc_free(doc);
        return answer_fault(
            answer, "The provider's arguments for the tool %s are not a JSON object.", item->name);
    }
    buf_add_char(out, '{');
    json_add_text(out, "id", str_from(item->id));
    buf_add_text(out, ",\"function\":{");
    json_add_text(out, "name", str_from(item->name));
    emit_value(out, "arguments", yyjson_doc_get_root(doc));
    buf_add_text(out, "}}");
    yyjson_doc_free(doc);
    return 0;
}

static void write_end(const struct answer *answer, struct buf *out)
{
    const struct answer_usage *usage = &answer->usage;
    buf_addf(out, ",\"done\":true,\"done_reason\":\"%s\"",
             answer->stop == STOP_LENGTH ? "length" : "stop");
    if (usage->is_known)
        buf_addf(out, ",\"prompt_eval_count\":%llu,\"eval_count\":%llu",
                 (unsigned long long)(usage->input + usage->cache_read + usage->cache_written),
                 (unsigned long long)usage->output);
    buf_add_char(out, '}');
}

static void stream_begin(struct answer *answer)
{
    (void)answer;
}

static void stream_open(struct answer *answer, const struct answer_item *item)
{
    (void)answer;
    (void)item;
}

static void stream_add(struct answer *answer, const struct answer_item *item, struct str text)
{
    if (item->kind == ITEM_CALL)
        return;
    struct buf *out = line_begin(answer);
    json_add_text(out, text_name(answer), item->kind == ITEM_TEXT ? text : STR(""));
    if (item->kind == ITEM_REASONING)
        json_add_text(out, "thinking", text);
    message_end(answer, out);
    buf_add_text(out, ",\"done\":false}\n");
}

static void stream_close(struct answer *answer, const struct answer_item *item)
{
    if (item->kind != ITEM_CALL)
        return;
    struct buf *out = line_begin(answer);
    size_t before = out->len;
    json_add_text(out, text_name(answer), STR(""));
    buf_add_text(out, ",\"tool_calls\":[");
    if (write_call(answer, out, item) < 0)
        buf_truncate(out, before);
    else
        buf_add_char(out, ']');
    message_end(answer, out);
    buf_add_text(out, ",\"done\":false}\n");
}

static void stream_end(struct answer *answer)
{
    struct buf *out = line_begin(answer);
    json_add_text(out, text_name(answer), STR(""));
    message_end(answer, out);
    write_end(answer, out);
    buf_add_char(out, '\n');
}

static void write_texts(const struct answer *answer, struct buf *out, enum item_kind kind,
                        const char *name)
{
    struct buf text = BUF_INIT_LIMIT(ANSWER_BYTES_MAX);
    for (size_t i = 0; i < answer->item_count; i++)
        if (answer->items[i].kind == kind)
            buf_add_str(&text, buf_str(&answer->items[i].text));
    if (text.len || kind == ITEM_TEXT)
        json_add_text(out, name, buf_str(&text));
    buf_release(&text);
}

static int document(struct answer *answer)
{
    struct buf *out = line_begin(answer);
    bool has_calls = false;
    int r = 0;
    write_texts(answer, out, ITEM_TEXT, text_name(answer));
    write_texts(answer, out, ITEM_REASONING, "thinking");
    for (size_t i = 0; i < answer->item_count && r == 0; i++) {
        if (answer->items[i].kind != ITEM_CALL)
            continue;
        buf_add_text(out, has_calls ? "," : ",\"tool_calls\":[");
        r = write_call(answer, out, &answer->items[i]);
        has_calls = true;
    }
    if (has_calls)
        buf_add_char(out, ']');
    message_end(answer, out);
    write_end(answer, out);
    return r < 0 ? r : out->error;
}

#define FORM                                                                                       \
    .keeps_texts = true, .stream_type = "application/x-ndjson", .id_prefix = "",                   \
    .begin = stream_begin, .open = stream_open, .add = stream_add, .close = stream_close,          \
    .end = stream_end, .document = document

const struct answer_form ollama_answer_form = { FORM };
const struct answer_form ollama_generate_form = { FORM };
