/* chat_request_write: see chat_request.h; its theory of operation is that of chat_request.c. */
#include "doors/model/translate/chat_request.h"

/* --- texts and images ------------------------------------------------------------------------ */

static const struct part *find_part(const struct part *part, enum part_kind kind)
{
    while (part && part->kind != kind)
        part = part->next;
    return part;
}

/* The texts as one, with an empty line between; `before` stands in front of them. */
static void write_text(struct buf *out, const char *before, const struct part *part)
{
    struct buf text = BUF_INIT_LIMIT(JSON_SIZE_MAX);
    const char *between = "";
    buf_add_text(&text, before);
    for (part = find_part(part, PART_TEXT); part; part = find_part(part->next, PART_TEXT)) {
        buf_add_text(&text, between);
        buf_add_str(&text, part->text);
        between = "\n\n";
    }
    json_add_string(out, buf_str(&text));
    if (text.error)
        out->error = text.error;
    buf_release(&text);
}

static void write_text_part(struct buf *out, const struct part *part)
{
    emit_next(out);
    buf_add_text(out, "{\"type\":\"text\"");
    json_add_text(out, "text", part->text);
    buf_add_char(out, '}');
}

static void write_image(struct buf *out, const struct part *part)
{
    struct buf address = BUF_INIT_LIMIT(JSON_SIZE_MAX);
    if (part->media_type.len)
        buf_addf(&address, "data:%.*s;base64,", STR_ARG(part->media_type));
    buf_add_str(&address, part->text);
    emit_next(out);
    buf_add_text(out, "{\"type\":\"image_url\",\"image_url\":{");
    json_add_text(out, "url", buf_str(&address));
    buf_add_text(out, "}}");
    if (address.error)
        out->error = address.error;
    buf_release(&address);
}

static void write_images(struct buf *out, const struct part *part)
{
    for (part = find_part(part, PART_IMAGE); part; part = find_part(part->next, PART_IMAGE))
        write_image(out, part);
}

/* --- messages -------------------------------------------------------------------------------- */

static void begin_message(struct buf *out, const char *role)
{
    emit_next(out);
    buf_addf(out, "{\"role\":\"%s\"", role);
}

static void write_result(struct buf *out, const struct part *part)
{
    bool is_image = find_part(part->parts.first, PART_IMAGE);
    begin_message(out, "tool");
    json_add_text(out, "tool_call_id", part->id);
    emit_name(out, "content");
    write_text(out,
               part->is_error ? "Error: "
               : is_image     ? "The image follows. "
                              : "",
               part->parts.first);
    buf_add_char(out, '}');
}

static void write_user(struct buf *out, const struct turn *turn)
{
    const struct part *part = turn->parts.first;
    bool has_text = find_part(part, PART_TEXT), has_image = find_part(part, PART_IMAGE);
    for (const struct part *result = find_part(part, PART_RESULT); result;
         result = find_part(result->next, PART_RESULT)) {
        write_result(out, result);
        has_image |= find_part(result->parts.first, PART_IMAGE) != NULL;
    }
    if (!has_text && !has_image)
        return;
    begin_message(out, "user");
    emit_name(out, "content");
    if (!has_image) {
        write_text(out, "", part);
    } else {
        buf_add_char(out, '[');
        for (; part; part = part->next) {
            if (part->kind == PART_RESULT)
                write_images(out, part->parts.first);
            else if (part->kind == PART_TEXT)
                write_text_part(out, part);
            else
                write_image(out, part);
        }
        buf_add_char(out, ']');
    }
    buf_add_char(out, '}');
}

static void write_model(struct buf *out, const struct turn *turn)
{
    const struct part *part = find_part(turn->parts.first, PART_CALL);
    begin_message(out, "assistant");
    emit_name(out, "content");
    if (part && !find_part(turn->parts.first, PART_TEXT))
        buf_add_text(out, "null");
    else
        write_text(out, "", turn->parts.first);
    if (part)
        buf_add_text(out, ",\"tool_calls\":[");
    for (const struct part *call = part; call; call = find_part(call->next, PART_CALL)) {
        emit_next(out);
        buf_add_char(out, '{');
        json_add_text(out, "id", call->id);
        buf_add_text(out, ",\"type\":\"function\",\"function\":{");
        json_add_text(out, "name", call->name);
        json_add_text(out, "arguments", call->text);
        buf_add_text(out, "}}");
    }
    buf_add_text(out, part ? "]}" : "}");
}

static void write_messages(struct conversation *c, struct buf *out)
{
    buf_add_text(out, ",\"messages\":[");
    for (const struct turn *turn = c->turns; turn; turn = turn->next) {
        if (!turn->parts.first)
            continue;
        if (turn->speaker == SPEAKER_USER) {
            write_user(out, turn);
        } else if (turn->speaker == SPEAKER_MODEL) {
            write_model(out, turn);
        } else {
            begin_message(out, "system");
            emit_name(out, "content");
            write_text(out, "", turn->parts.first);
            buf_add_char(out, '}');
        }
    }
    buf_add_char(out, ']');
}

/* --- tools ----------------------------------------------------------------------------------- */

static void write_tools(struct conversation *c, struct buf *out)
{
    if (!c->tools)
        return;
    buf_add_text(out, ",\"tools\":[");
    for (const struct tool *tool = c->tools; tool; tool = tool->next) {
        emit_next(out);
        buf_add_text(out, "{\"type\":\"function\",\"function\":{");
        json_add_text(out, "name", tool->name);
        if (tool->description.len)
            json_add_text(out, "description", tool->description);
        emit_name(out, "parameters");
        tool_schema_write(tool, out);
        if (tool->is_strict)
            buf_add_text(out, ",\"strict\":true");
        buf_add_text(out, "}}");
    }
    buf_add_char(out, ']');
    if (c->calls_one_by_one)
        buf_add_text(out, ",\"parallel_tool_calls\":false");
}

static void write_choice(struct conversation *c, struct buf *out)
{
    static const char *const words[] = {
        [CHOICE_AUTO] = "auto", [CHOICE_NONE] = "none", [CHOICE_ANY] = "required"
    };
    if (c->choice == CHOICE_UNSAID || !c->tools)
        return;
    if (c->choice != CHOICE_ONE) {
        json_add_text(out, "tool_choice", str_from(words[c->choice]));
        return;
    }
    buf_add_text(out, ",\"tool_choice\":{\"type\":\"function\",\"function\":{");
    json_add_text(out, "name", c->choice_name);
    buf_add_text(out, "}}");
}

static void write_format(struct conversation *c, struct buf *out)
{
    if (c->answer_is_json)
        buf_add_text(out, ",\"response_format\":{\"type\":\"json_object\"}");
    if (!c->answer_schema)
        return;
    buf_add_text(out, ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{");
    json_add_text(out, "name", c->answer_name.len ? c->answer_name : STR("answer"));
    buf_add_text(out, ",\"strict\":true");
    emit_value(out, "schema", c->answer_schema);
    buf_add_text(out, "}}");
}

int chat_request_write(struct conversation *c, const char *limit_name, struct buf *body)
{
    buf_add_char(body, '{');
    json_add_text(body, "model", c->model);
    write_messages(c, body);
    write_tools(c, body);
    write_choice(c, body);
    emit_value(body, limit_name, c->limit);
    emit_value(body, "temperature", c->temperature);
    emit_value(body, "top_p", c->top_p);
    emit_value(body, "stop", c->stop);
    write_format(c, body);
    buf_addf(body, ",\"stream\":%s}", c->streams ? "true" : "false");
    return body->error ? conversation_no_memory(c) : 0;
}
