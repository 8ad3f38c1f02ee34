/*
 * messages_request_write: see messages_request.h.
 *
 * Theory of operation. What the system says is a member of its own; results of tools stand first
 * in the user's message, as this protocol wants them. Arguments of calls, which are a text
 * elsewhere, are read and written anew: a text is never put into the body as JSON.
 */
#include "doors/model/translate/messages_request.h"

static void begin_block(struct buf *out, const char *type)
{
    emit_next(out);
    buf_addf(out, "{\"type\":\"%s\"", type);
}

static void write_image(struct buf *out, const struct part *part)
{
    begin_block(out, "image");
    buf_addf(out, ",\"source\":{\"type\":\"%s\"", part->media_type.len ? "base64" : "url");
    if (part->media_type.len)
        json_add_text(out, "media_type", part->media_type);
    json_add_text(out, part->media_type.len ? "data" : "url", part->text);
    buf_add_text(out, "}}");
}

static void write_text(struct buf *out, const struct part *part)
{
    begin_block(out, "text");
    json_add_text(out, "text", part->text);
    buf_add_char(out, '}');
}

static int write_call(struct conversation *c, struct buf *out, const struct part *part)
{
    yyjson_doc *doc = NULL;
    bool is_empty = !part->text.len;
    int r = is_empty ? 0 : json_read(part->text, &json_limits_default, &doc, NULL);
    if (!is_empty && (r < 0 || !yyjson_is_obj(yyjson_doc_get_root(doc)))) {
        yyjson_doc_free(doc);
        return conversation_wrong(c, "The arguments of the call `%.*s` are not a JSON object.",
                                  (int)(part->id.len < 80 ? part->id.len : 80), part->id.ptr);
    }
    begin_block(out, "tool_use");
    json_add_text(out, "id", part->id);
    json_add_text(out, "name", part->name);
    if (is_empty)
        buf_add_text(out, ",\"input\":{}");
    else
        emit_value(out, "input", yyjson_doc_get_root(doc));
    buf_add_char(out, '}');
    yyjson_doc_free(doc);
    return 0;
}

static void write_shown(struct buf *out, const struct part *part)
{
    for (; part; part = part->next) {
        if (part->kind == PART_TEXT)
            write_text(out, part);
        else if (part->kind == PART_IMAGE)
            write_image(out, part);
    }
}

static void write_results(struct buf *out, const struct part *part)
{
    for (; part; part = part->next) {
        if (part->kind != PART_RESULT)
            continue;
        begin_block(out, "tool_result");
        json_add_text(out, "tool_use_id", part->id);
        if (part->is_error)
            buf_add_text(out, ",\"is_error\":true");
        if (part->parts.first) {
            buf_add_text(out, ",\"content\":[");
            write_shown(out, part->parts.first);
            buf_add_char(out, ']');
        }
        buf_add_char(out, '}');
    }
}

static int write_messages(struct conversation *c, struct buf *out)
{
    int r = 0;
    buf_add_text(out, ",\"messages\":[");
    for (const struct turn *turn = c->turns; turn && r == 0; turn = turn->next) {
        if (turn->speaker == SPEAKER_SYSTEM || !turn->parts.first)
            continue;
        emit_next(out);
        buf_addf(out, "{\"role\":\"%s\",\"content\":[",
                 turn->speaker == SPEAKER_USER ? "user" : "assistant");
        write_results(out, turn->parts.first);
        write_shown(out, turn->parts.first);
        for (const struct part *part = turn->parts.first; part && r == 0; part = part->next)
            if (part->kind == PART_CALL)
                r = write_call(c, out, part);
        buf_add_text(out, "]}");
    }
    buf_add_char(out, ']');
    return r;
}

static void write_tools(struct conversation *c, struct buf *out)
{
    static const char *const words[] = {
        [CHOICE_AUTO] = "auto", [CHOICE_NONE] = "none", [CHOICE_ANY] = "any", [CHOICE_ONE] = "tool"
    };
    enum tool_choice choice = c->choice;
    if (!c->tools)
        return;
    buf_add_text(out, ",\"tools\":[");
    for (const struct tool *tool = c->tools; tool; tool = tool->next) {
        emit_next(out);
        buf_add_char(out, '{');
        json_add_text(out, "name", tool->name);
        if (tool->description.len)
            json_add_text(out, "description", tool->description);
        emit_name(out, "input_schema");
        tool_schema_write(tool, out);
        buf_add_text(out, tool->is_strict ? ",\"strict\":true}" : "}");
    }
    buf_add_char(out, ']');
    if (choice == CHOICE_UNSAID && c->calls_one_by_one)
        choice = CHOICE_AUTO;
    if (choice == CHOICE_UNSAID)
        return;
    buf_addf(out, ",\"tool_choice\":{\"type\":\"%s\"", words[choice]);
    if (choice == CHOICE_ONE)
        json_add_text(out, "name", c->choice_name);
    buf_add_text(out, c->calls_one_by_one && choice != CHOICE_NONE
                          ? ",\"disable_parallel_tool_use\":true}"
                          : "}");
}

/* One or more texts at which the answer ends. */
static void write_stop(struct conversation *c, struct buf *out)
{
    if (!yyjson_is_str(c->stop)) {
        emit_value(out, "stop_sequences", c->stop);
        return;
    }
    emit_name(out, "stop_sequences");
    buf_add_char(out, '[');
    json_add_string(out, json_str(c->stop));
    buf_add_char(out, ']');
}

int messages_request_write(struct conversation *c, const char *limit_name, struct buf *body)
{
    buf_add_char(body, '{');
    json_add_text(body, "model", c->model);
    emit_value(body, limit_name, c->limit);
    if (c->turns && c->turns->speaker == SPEAKER_SYSTEM && c->turns->parts.first) {
        buf_add_text(body, ",\"system\":[");
        write_shown(body, c->turns->parts.first);
        buf_add_char(body, ']');
    }
    int r = write_messages(c, body);
    if (r < 0)
        return r;
    write_tools(c, body);
    emit_value(body, "temperature", c->temperature);
    emit_value(body, "top_p", c->top_p);
    write_stop(c, body);
    if (c->answer_is_json)
        return conversation_refuse(c, "The answer's format `json_object`, which has no schema,");
    if (c->answer_schema) {
        buf_add_text(body, ",\"output_config\":{\"format\":{\"type\":\"json_schema\"");
        emit_value(body, "schema", c->answer_schema);
        buf_add_text(body, "}}");
    }
    buf_addf(body, ",\"stream\":%s}", c->streams ? "true" : "false");
    return body->error ? conversation_no_memory(c) : 0;
}
