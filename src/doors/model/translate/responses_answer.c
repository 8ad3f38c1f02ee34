/*
 * responses_answer: answers of OpenAI's responses, which are written and never read.
 *
 * Theory of operation. Events are numbered; the last ones of an item, and of all, say again what
 * the ones before said piece by piece, for which texts are kept. A call of a tool that is no
 * function to the client (responses_tools.c) is told when it is whole, in the form of its kind:
 * its arguments have to be read for that.
 */
#include "doors/model/translate/answer.h"

/* --- items ----------------------------------------------------------------------------------- */

static enum tool_kind kind_of(const struct answer_item *item)
{
    return item->tool ? item->tool->kind : TOOL_FUNCTION;
}

static const char *item_prefix(const struct answer_item *item)
{
    static const char *const calls[] = {
        [TOOL_FUNCTION] = "fc_", [TOOL_CUSTOM] = "ctc_", [TOOL_LOCAL_SHELL] = "lsh_"
    };
    return item->kind == ITEM_TEXT        ? "msg_"
           : item->kind == ITEM_REASONING ? "rs_"
                                          : calls[kind_of(item)];
}

static void write_id(const struct answer *answer, struct buf *out, const struct answer_item *item)
{
    buf_addf(out, "\"%s%016llx_%zu\"", item_prefix(item), (unsigned long long)answer->number,
             (size_t)(item - answer->items));
}

/* The names by which the client knows the tool. */
static void write_names(struct buf *out, const struct answer_item *item)
{
    json_add_text(out, "call_id", str_from(item->id));
    json_add_text(out, "name", item->tool ? item->tool->own_name : str_from(item->name));
    if (item->tool && item->tool->space.len)
        json_add_text(out, "namespace", item->tool->space);
}

/* What a model wrote that did not keep to the form is the input itself. */
static void write_custom(struct buf *out, const struct answer_item *item)
{
    yyjson_doc *doc = NULL;
    (void)!json_read(buf_str(&item->text), &json_limits_default, &doc, NULL);
    yyjson_val *input = member(yyjson_doc_get_root(doc), "input");
    buf_add_text(out, ",\"type\":\"custom_tool_call\"");
    write_names(out, item);
    json_add_text(out, "input", yyjson_is_str(input) ? json_str(input) : buf_str(&item->text));
    yyjson_doc_free(doc);
}

static void write_shell(struct buf *out, const struct answer_item *item)
{
    yyjson_doc *doc = NULL;
    (void)!json_read(buf_str(&item->text), &json_limits_default, &doc, NULL);
    yyjson_val *root = yyjson_doc_get_root(doc), *command = member(root, "command");
    buf_add_text(out, ",\"type\":\"local_shell_call\"");
    json_add_text(out, "call_id", str_from(item->id));
    buf_add_text(out, ",\"action\":{\"type\":\"exec\",\"env\":{}");
    if (yyjson_is_arr(command))
        emit_value(out, "command", command);
    else
        buf_add_text(out, ",\"command\":[]");
    emit_value(out, "working_directory", member(root, "working_directory"));
    emit_value(out, "timeout_ms", member(root, "timeout_ms"));
    buf_add_char(out, '}');
    yyjson_doc_free(doc);
}

/* An item as it begins, or as it ends. */
static void write_item(const struct answer *answer, struct buf *out, const struct answer_item *item,
                       bool is_whole)
{
    struct str text = is_whole ? buf_str(&item->text) : STR("");
    buf_add_text(out, "{\"id\":");
    write_id(answer, out, item);
    if (item->kind == ITEM_REASONING) {
        buf_add_text(out, ",\"type\":\"reasoning\",\"summary\":[");
        if (is_whole) {
            buf_add_text(out, "{\"type\":\"summary_text\"");
            json_add_text(out, "text", text);
            buf_add_char(out, '}');
        }
        buf_add_text(out, "]}");
        return;
    }
    buf_addf(out, ",\"status\":\"%s\"", is_whole ? "completed" : "in_progress");
    if (item->kind == ITEM_TEXT) {
        buf_add_text(out, ",\"type\":\"message\",\"role\":\"assistant\",\"content\":[");
        if (is_whole) {
            buf_add_text(out, "{\"type\":\"output_text\",\"annotations\":[]");
            json_add_text(out, "text", text);
            buf_add_char(out, '}');
        }
        buf_add_char(out, ']');
    } else if (kind_of(item) == TOOL_CUSTOM) {
        write_custom(out, item);
    } else if (kind_of(item) == TOOL_LOCAL_SHELL) {
        write_shell(out, item);
    } else {
        buf_add_text(out, ",\"type\":\"function_call\"");
        write_names(out, item);
        json_add_text(out, "arguments", text);
    }
    buf_add_char(out, '}');
}

/* --- the response ---------------------------------------------------------------------------- */

static void write_usage(const struct answer *answer, struct buf *out)
{
    const struct answer_usage *usage = &answer->usage;
    unsigned long long input = usage->input + usage->cache_read + usage->cache_written;
    if (!usage->is_known) {
        buf_add_text(out, ",\"usage\":null");
        return;
    }
    buf_addf(out,
             ",\"usage\":{\"input_tokens\":%llu,\"input_tokens_details\":{\"cached_tokens\":%llu},"
             "\"output_tokens\":%llu,\"output_tokens_details\":{\"reasoning_tokens\":0},"
             "\"total_tokens\":%llu}",
             input, (unsigned long long)usage->cache_read, (unsigned long long)usage->output,
             input + usage->output);
}

/* Why an answer is not complete; NULL: it is. */
static const char *incomplete_reason(const struct answer *answer)
{
    return answer->stop == STOP_LENGTH   ? "max_output_tokens"
           : answer->stop == STOP_FILTER ? "content_filter"
                                         : NULL;
}

static void write_response(const struct answer *answer, struct buf *out, bool is_whole)
{
    const char *reason = incomplete_reason(answer);
    json_add_text(out, "id", str_from(answer->id));
    buf_addf(out, ",\"object\":\"response\",\"created_at\":%lld,\"status\":\"%s\",\"error\":null",
             (long long)answer->now_s,
             !is_whole ? "in_progress"
             : reason  ? "incomplete"
                       : "completed");
    if (reason && is_whole)
        buf_addf(out, ",\"incomplete_details\":{\"reason\":\"%s\"}", reason);
    else
        buf_add_text(out, ",\"incomplete_details\":null");
    json_add_text(out, "model", answer->asked->model);
    buf_add_text(out, ",\"instructions\":null,\"metadata\":{},\"parallel_tool_calls\":true,"
                      "\"temperature\":null,\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":null,"
                      "\"output\":[");
    for (size_t i = 0; is_whole && i < answer->item_count; i++) {
        emit_next(out);
        write_item(answer, out, &answer->items[i], true);
    }
    buf_add_char(out, ']');
    write_usage(answer, out);
}

/* --- events ---------------------------------------------------------------------------------- */

static struct buf *begin_event(struct answer *answer, const char *type)
{
    struct buf *out = event_begin(answer, type);
    buf_addf(out, ",\"sequence_number\":%u", answer->sequence++);
    return out;
}

static void tell_response(struct answer *answer, const char *type, bool is_whole)
{
    struct buf *out = begin_event(answer, type);
    buf_add_text(out, ",\"response\":{");
    write_response(answer, out, is_whole);
    buf_add_char(out, '}');
    event_end(answer);
}

static void tell_item(struct answer *answer, const struct answer_item *item, bool is_whole)
{
    struct buf *out =
        begin_event(answer, is_whole ? "response.output_item.done" : "response.output_item.added");
    buf_addf(out, ",\"output_index\":%zu,\"item\":", (size_t)(item - answer->items));
    write_item(answer, out, item, is_whole);
    event_end(answer);
}

/* An event about the inside of an item, up to where its own members stand. */
static struct buf *begin_inner(struct answer *answer, const struct answer_item *item,
                               const char *type)
{
    struct buf *out = begin_event(answer, type);
    buf_add_text(out, ",\"item_id\":");
    write_id(answer, out, item);
    buf_addf(out, ",\"output_index\":%zu", (size_t)(item - answer->items));
    return out;
}

/* What is told of each kind of item: its part begins, there is more of it, it is whole. */
static const struct {
    const char *place; /* of the part in its item; NULL: it has no parts */
    const char *part_type, *part_added, *part_done;
    const char *delta, *done, *member;
} tellings[] = {
    [ITEM_TEXT] = { "content_index", "output_text", "response.content_part.added",
                    "response.content_part.done", "response.output_text.delta",
                    "response.output_text.done", "text" },
    [ITEM_REASONING] = { "summary_index", "summary_text", "response.reasoning_summary_part.added",
                         "response.reasoning_summary_part.done",
                         "response.reasoning_summary_text.delta",
                         "response.reasoning_summary_text.done", "text" },
    [ITEM_CALL] = { NULL, NULL, NULL, NULL, "response.function_call_arguments.delta",
                    "response.function_call_arguments.done", "arguments" },
};

static bool is_told_whole(const struct answer_item *item)
{
    return item->kind == ITEM_CALL && kind_of(item) != TOOL_FUNCTION;
}

static void tell_part(struct answer *answer, const struct answer_item *item, bool is_whole)
{
    struct buf *out = begin_inner(
        answer, item, is_whole ? tellings[item->kind].part_done : tellings[item->kind].part_added);
    buf_addf(out, ",\"%s\":0,\"part\":{\"type\":\"%s\"", tellings[item->kind].place,
             tellings[item->kind].part_type);
    json_add_text(out, "text", is_whole ? buf_str(&item->text) : STR(""));
    buf_add_text(out, item->kind == ITEM_TEXT ? ",\"annotations\":[]}" : "}");
    event_end(answer);
}

static void tell_text(struct answer *answer, const struct answer_item *item, const char *type,
                      const char *member, struct str text)
{
    struct buf *out = begin_inner(answer, item, type);
    if (tellings[item->kind].place)
        buf_addf(out, ",\"%s\":0", tellings[item->kind].place);
    json_add_text(out, member, text);
    event_end(answer);
}

static void stream_begin(struct answer *answer)
{
    tell_response(answer, "response.created", false);
    tell_response(answer, "response.in_progress", false);
}

static void stream_open(struct answer *answer, const struct answer_item *item)
{
    if (is_told_whole(item))
        return;
    tell_item(answer, item, false);
    if (tellings[item->kind].place)
        tell_part(answer, item, false);
}

static void stream_add(struct answer *answer, const struct answer_item *item, struct str text)
{
    if (!is_told_whole(item))
        tell_text(answer, item, tellings[item->kind].delta, "delta", text);
}

static void stream_close(struct answer *answer, const struct answer_item *item)
{
    if (is_told_whole(item))
        tell_item(answer, item, false);
    else
        tell_text(answer, item, tellings[item->kind].done, tellings[item->kind].member,
                  buf_str(&item->text));
    if (tellings[item->kind].place)
        tell_part(answer, item, true);
    tell_item(answer, item, true);
}

static void stream_end(struct answer *answer)
{
    tell_response(answer, incomplete_reason(answer) ? "response.incomplete" : "response.completed",
                  true);
}

static int document(struct answer *answer)
{
    buf_add_char(&answer->out, '{');
    write_response(answer, &answer->out, true);
    return buf_add_char(&answer->out, '}');
}

const struct answer_form responses_answer_form = {
    .keeps_texts = true,
    .stream_type = "text/event-stream",
    .id_prefix = "resp_",
    .begin = stream_begin,
    .open = stream_open,
    .add = stream_add,
    .close = stream_close,
    .end = stream_end,
    .document = document,
};
