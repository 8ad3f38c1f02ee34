/*
 * messages_answer: answers of Anthropic's messages, read and written.
 *
 * Theory of operation. A stream names blocks by number and writes one after another, as items are.
 * Blocks of types that nobody asked for (a change of model that the provider tells, a summary
 * that it made for itself) are passed over.
 */
#include "doors/model/translate/answer.h"

/* --- reading --------------------------------------------------------------------------------- */

static void read_usage(struct answer *answer, yyjson_val *usage)
{
    struct answer_usage *known = &answer->usage;
    const struct {
        const char *pointer;
        uint64_t *count;
    } counts[] = { { "/input_tokens", &known->input },
                   { "/cache_read_input_tokens", &known->cache_read },
                   { "/cache_creation_input_tokens", &known->cache_written },
                   { "/output_tokens", &known->output } };
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        uint64_t count = answer_count(usage, counts[i].pointer);
        if (count > *counts[i].count)
            *counts[i].count = count; /* they are told again as they grow */
    }
    known->is_known |= yyjson_is_obj(usage);
}

static void read_stop(struct answer *answer, yyjson_val *holder)
{
    static const struct {
        const char *word;
        enum answer_stop stop;
    } words[] = { { "end_turn", STOP_END },      { "stop_sequence", STOP_SEQUENCE },
                  { "max_tokens", STOP_LENGTH }, { "model_context_window_exceeded", STOP_LENGTH },
                  { "tool_use", STOP_CALLS },    { "refusal", STOP_FILTER } };
    yyjson_val *reason = member(holder, "stop_reason");
    struct str sequence = text_of(member(holder, "stop_sequence"));
    if (!yyjson_is_str(reason))
        return;
    answer->stop = STOP_END;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (text_is(reason, words[i].word))
            answer->stop = words[i].stop;
    snprintf(answer->stop_sequence, sizeof(answer->stop_sequence), "%.*s", STR_ARG(sequence));
}

/* A block that begins, or a whole one. */
static int read_block(struct answer *answer, yyjson_val *block)
{
    yyjson_val *type = member(block, "type"), *input = member(block, "input");
    struct buf text = BUF_INIT_LIMIT(ANSWER_BYTES_MAX);
    answer->skips = false;
    if (text_is(type, "text"))
        return answer_say(answer, ITEM_TEXT, text_of(member(block, "text")));
    if (text_is(type, "thinking"))
        return answer_say(answer, ITEM_REASONING, text_of(member(block, "thinking")));
    if (!text_is(type, "tool_use")) {
        answer->skips = true;
        return 0;
    }
    int r = answer_call(answer, text_of(member(block, "id")), text_of(member(block, "name")));
    if (r < 0 || !yyjson_obj_size(input))
        return r;
    json_add_value(&text, input, 0);
    r = text.error ? text.error : answer_arguments(answer, buf_str(&text));
    buf_release(&text);
    return r;
}

static int read_delta(struct answer *answer, yyjson_val *delta)
{
    yyjson_val *type = member(delta, "type");
    if (answer->skips)
        return 0;
    if (text_is(type, "text_delta"))
        return answer_say(answer, ITEM_TEXT, text_of(member(delta, "text")));
    if (text_is(type, "thinking_delta"))
        return answer_say(answer, ITEM_REASONING, text_of(member(delta, "thinking")));
    if (text_is(type, "input_json_delta"))
        return answer_arguments(answer, text_of(member(delta, "partial_json")));
    return 0;
}

static int read_document(struct answer *answer, yyjson_val *message)
{
    yyjson_val *block;
    int r = 0;
    EACH_ITEM(member(message, "content"), block)
    {
        r = read_block(answer, block);
        if (r < 0)
            break;
    }
    return r;
}

int messages_answer_read(struct answer *answer, yyjson_val *root)
{
    yyjson_val *type = member(root, "type");
    int r = 0;
    if (text_is(type, "error"))
        return answer_fault(answer, "The provider says: %.*s",
                            STR_ARG(text_of(at(root, "/error/message"))));
    if (text_is(type, "content_block_start"))
        r = read_block(answer, member(root, "content_block"));
    else if (text_is(type, "content_block_delta"))
        r = read_delta(answer, member(root, "delta"));
    else if (text_is(type, "message"))
        r = read_document(answer, root);
    read_usage(answer,
               member(text_is(type, "message_start") ? member(root, "message") : root, "usage"));
    read_stop(answer, text_is(type, "message_delta") ? member(root, "delta") : root);
    return r;
}

/* --- writing --------------------------------------------------------------------------------- */

static void write_stop(const struct answer *answer, struct buf *out)
{
    static const char *const words[] = {
        [STOP_NONE] = "end_turn",     [STOP_END] = "end_turn",   [STOP_SEQUENCE] = "stop_sequence",
        [STOP_LENGTH] = "max_tokens", [STOP_CALLS] = "tool_use", [STOP_FILTER] = "refusal",
    };
    json_add_text(out, "stop_reason", str_from(words[answer_stop_of(answer)]));
    if (answer->stop_sequence[0])
        json_add_text(out, "stop_sequence", str_from(answer->stop_sequence));
    else
        buf_add_text(out, ",\"stop_sequence\":null");
}

static void write_usage(const struct answer *answer, struct buf *out)
{
    const struct answer_usage *usage = &answer->usage;
    buf_addf(out,
             ",\"usage\":{\"input_tokens\":%llu,\"cache_creation_input_tokens\":%llu,"
             "\"cache_read_input_tokens\":%llu,\"output_tokens\":%llu}",
             (unsigned long long)usage->input, (unsigned long long)usage->cache_written,
             (unsigned long long)usage->cache_read, (unsigned long long)usage->output);
}

static void write_head(struct answer *answer, struct buf *out)
{
    json_add_text(out, "id", str_from(answer->id));
    buf_add_text(out, ",\"type\":\"message\",\"role\":\"assistant\"");
    json_add_text(out, "model", answer->asked->model);
}

static size_t index_of(const struct answer *answer, const struct answer_item *item)
{
    return (size_t)(item - answer->items);
}

static void stream_begin(struct answer *answer)
{
    struct buf *out = event_begin(answer, "message_start");
    buf_add_text(out, ",\"message\":{");
    write_head(answer, out);
    buf_add_text(out, ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null");
    write_usage(answer, out);
    buf_add_char(out, '}');
    event_end(answer);
}

static void stream_open(struct answer *answer, const struct answer_item *item)
{
    struct buf *out = event_begin(answer, "content_block_start");
    buf_addf(out, ",\"index\":%zu,\"content_block\":{", index_of(answer, item));
    if (item->kind == ITEM_TEXT) {
        buf_add_text(out, "\"type\":\"text\",\"text\":\"\"}");
    } else if (item->kind == ITEM_REASONING) {
        buf_add_text(out, "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
    } else {
        buf_add_text(out, "\"type\":\"tool_use\"");
        json_add_text(out, "id", str_from(item->id));
        json_add_text(out, "name", str_from(item->name));
        buf_add_text(out, ",\"input\":{}}");
    }
    event_end(answer);
}

static void stream_add(struct answer *answer, const struct answer_item *item, struct str text)
{
    static const struct {
        const char *type, *member;
    } deltas[] = { [ITEM_TEXT] = { "text_delta", "text" },
                   [ITEM_REASONING] = { "thinking_delta", "thinking" },
                   [ITEM_CALL] = { "input_json_delta", "partial_json" } };
    struct buf *out = event_begin(answer, "content_block_delta");
    buf_addf(out, ",\"index\":%zu,\"delta\":{\"type\":\"%s\"", index_of(answer, item),
             deltas[item->kind].type);
    json_add_text(out, deltas[item->kind].member, text);
    buf_add_char(out, '}');
    event_end(answer);
}

static void stream_close(struct answer *answer, const struct answer_item *item)
{
    buf_addf(event_begin(answer, "content_block_stop"), ",\"index\":%zu", index_of(answer, item));
    event_end(answer);
}

static void stream_end(struct answer *answer)
{
    struct buf *out = event_begin(answer, "message_delta");
    buf_add_text(out, ",\"delta\":{");
    write_stop(answer, out);
    buf_add_char(out, '}');
    write_usage(answer, out);
    event_end(answer);
    event_begin(answer, "message_stop");
    event_end(answer);
}

/* A call's arguments are an object here, and a text elsewhere. */
static int write_call(struct answer *answer, const struct answer_item *item)
{
    struct buf *out = &answer->out;
    yyjson_doc *doc = NULL;
    int r = json_read(buf_str(&item->text), &json_limits_default, &doc, NULL);
    if (r < 0 || !yyjson_is_obj(yyjson_doc_get_root(doc))) {
        yyjson_doc_free(doc);
        return answer_fault(
            answer, "The provider's arguments for the tool %s are not a JSON object.", item->name);
    }
    buf_add_text(out, "{\"type\":\"tool_use\"");
    json_add_text(out, "id", str_from(item->id));
    json_add_text(out, "name", str_from(item->name));
    emit_value(out, "input", yyjson_doc_get_root(doc));
    buf_add_char(out, '}');
    yyjson_doc_free(doc);
    return 0;
}

static int document(struct answer *answer)
{
    struct buf *out = &answer->out;
    int r = 0;
    buf_add_char(out, '{');
    write_head(answer, out);
    buf_add_text(out, ",\"content\":[");
    for (size_t i = 0; i < answer->item_count && r == 0; i++) {
        const struct answer_item *item = &answer->items[i];
        emit_next(out);
        if (item->kind == ITEM_CALL) {
            r = write_call(answer, item);
            continue;
        }
        bool is_text = item->kind == ITEM_TEXT;
        buf_add_text(out, is_text ? "{\"type\":\"text\"" : "{\"type\":\"thinking\"");
        json_add_text(out, is_text ? "text" : "thinking", buf_str(&item->text));
        buf_add_text(out, is_text ? "}" : ",\"signature\":\"\"}");
    }
    buf_add_char(out, ']');
    write_stop(answer, out);
    write_usage(answer, out);
    buf_add_char(out, '}');
    return r < 0 ? r : out->error;
}

const struct answer_form messages_answer_form = {
    .stream_type = "text/event-stream",
    .id_prefix = "msg_",
    .begin = stream_begin,
    .open = stream_open,
    .add = stream_add,
    .close = stream_close,
    .end = stream_end,
    .document = document,
};
