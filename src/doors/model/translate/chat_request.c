/*
 * chat_request: see the header.
 *
 * Theory of operation. Results of tools are messages of their own here; in a conversation they are
 * parts of the user's turn, which come first. A message whose parts are texts alone is written as
 * one text, since many servers of this protocol know nothing else. Images in a tool's result have
 * no place in a message of the tool: they follow it in the user's.
 */
#include "doors/model/translate/chat_request.h"

/* --- reading: content ------------------------------------------------------------------------ */

static int read_image_url(struct conversation *c, yyjson_val *value, void *context)
{
    static const struct member_row rows[] = { { "url", MEMBER_CARRIED, NULL },
                                              { "detail", MEMBER_HINT, NULL } };
    int r = members_read(c, value, "an image", rows, ARRAY_LEN(rows), NULL);
    return r < 0 ? r : conversation_image(c, context, text_of(member(value, "url")));
}

static int read_part(struct conversation *c, yyjson_val *value, void *list)
{
    static const struct member_row texts[] = { { "type", MEMBER_CARRIED, NULL },
                                               { "text", MEMBER_CARRIED, NULL },
                                               { "refusal", MEMBER_CARRIED, NULL } };
    static const struct member_row images[] = { { "type", MEMBER_CARRIED, NULL },
                                                { "image_url", MEMBER_CARRIED, read_image_url } };
    yyjson_val *type = member(value, "type");
    bool is_refusal = text_is(type, "refusal");
    struct str text;
    if (text_is(type, "image_url"))
        return members_read(c, value, "a part of a message", images, ARRAY_LEN(images), list);
    if (!text_is(type, "text") && !is_refusal)
        return conversation_refuse(c, "A part of a message of the type `%.*s`",
                                   STR_ARG(text_of(type)));
    int r = members_read(c, value, "a part of a message", texts, ARRAY_LEN(texts), NULL);
    if (r == 0)
        r = member_text(c, member(value, is_refusal ? "refusal" : "text"), "text", &text);
    return r < 0 ? r : conversation_text(c, list, text);
}

int chat_content_read(struct conversation *c, yyjson_val *content, struct part_list *list)
{
    return yyjson_is_str(content) ? conversation_text(c, list, json_str(content))
                                  : items_read(c, content, "content", read_part, list);
}

/* --- reading: messages ----------------------------------------------------------------------- */

static int read_content(struct conversation *c, yyjson_val *value, void *context)
{
    return chat_content_read(c, value, context);
}

static int read_refusal(struct conversation *c, yyjson_val *value, void *context)
{
    struct str text;
    int r = member_text(c, value, "refusal", &text);
    return r < 0 ? r : conversation_text(c, context, text);
}

static int read_call(struct conversation *c, yyjson_val *value, void *context)
{
    static const struct member_row rows[] = { { "id", MEMBER_CARRIED, NULL },
                                              { "type", MEMBER_CARRIED, NULL },
                                              { "index", MEMBER_HINT, NULL },
                                              { "function", MEMBER_CARRIED, NULL } };
    yyjson_val *function = member(value, "function"), *type = member(value, "type");
    if (type && !text_is(type, "function"))
        return conversation_refuse(c, "A call of the type `%.*s`", STR_ARG(text_of(type)));
    int r = members_read(c, value, "a tool's call", rows, ARRAY_LEN(rows), NULL);
    struct part *part = r < 0 ? NULL : conversation_part(c, context, PART_CALL);
    if (!part)
        return r < 0 ? r : -ENOMEM;
    part->id = text_of(member(value, "id"));
    part->name = text_of(member(function, "name"));
    return member_text(c, member(function, "arguments"), "arguments", &part->text);
}

static int read_calls(struct conversation *c, yyjson_val *value, void *context)
{
    return items_read(c, value, "tool_calls", read_call, context);
}

static int read_result(struct conversation *c, yyjson_val *message)
{
    static const struct member_row rows[] = { { "role", MEMBER_CARRIED, NULL },
                                              { "name", MEMBER_HINT, NULL },
                                              { "tool_call_id", MEMBER_CARRIED, NULL },
                                              { "content", MEMBER_CARRIED, NULL } };
    struct turn *turn = conversation_turn(c, SPEAKER_USER);
    struct part *part = turn ? conversation_part(c, &turn->parts, PART_RESULT) : NULL;
    int r = members_read(c, message, "a tool's message", rows, ARRAY_LEN(rows), NULL);
    if (!part)
        return conversation_no_memory(c);
    part->id = text_of(member(message, "tool_call_id"));
    if (r == 0 && !part->id.len)
        r = conversation_wrong(c, "A tool's message has no `tool_call_id`.");
    return r < 0 ? r : chat_content_read(c, member(message, "content"), &part->parts);
}

static int read_message(struct conversation *c, yyjson_val *message, void *context)
{
    static const struct member_row rows[] = {
        { "role", MEMBER_CARRIED, NULL },
        { "content", MEMBER_CARRIED, read_content },
        { "refusal", MEMBER_CARRIED, read_refusal },
        { "tool_calls", MEMBER_CARRIED, read_calls },
        { "annotations", MEMBER_HINT, NULL },
        { "reasoning", MEMBER_HINT, NULL },
        { "reasoning_content", MEMBER_HINT, NULL },
    };
    static const struct {
        const char *role;
        enum speaker speaker;
    } roles[] = { { "system", SPEAKER_SYSTEM },
                  { "developer", SPEAKER_SYSTEM },
                  { "user", SPEAKER_USER },
                  { "assistant", SPEAKER_MODEL } };
    yyjson_val *role = member(message, "role");
    (void)context;
    if (text_is(role, "tool"))
        return read_result(c, message);
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (!text_is(role, roles[i].role))
            continue;
        struct turn *turn = conversation_turn(c, roles[i].speaker);
        return turn ? members_read(c, message, "a message", rows, ARRAY_LEN(rows), &turn->parts)
                    : conversation_no_memory(c);
    }
    return conversation_refuse(c, "A message of the role `%.*s`", STR_ARG(text_of(role)));
}

static int read_messages(struct conversation *c, yyjson_val *value, void *context)
{
    return items_read(c, value, "messages", read_message, context);
}

/* --- reading: tools -------------------------------------------------------------------------- */

static int read_tool(struct conversation *c, yyjson_val *value, void *context)
{
    static const struct member_row rows[] = { { "name", MEMBER_CARRIED, NULL },
                                              { "description", MEMBER_CARRIED, NULL },
                                              { "parameters", MEMBER_CARRIED, NULL },
                                              { "strict", MEMBER_CARRIED, NULL } };
    yyjson_val *function = member(value, "function"), *type = member(value, "type");
    struct tool *tool = NULL;
    (void)context;
    if (!text_is(type, "function"))
        return conversation_refuse(c, "A tool of the type `%.*s`", STR_ARG(text_of(type)));
    int r = members_read(c, function, "a tool", rows, ARRAY_LEN(rows), NULL);
    if (r == 0)
        r = conversation_tool(c, TOOL_FUNCTION, STR(""), text_of(member(function, "name")), &tool);
    if (r < 0)
        return r;
    tool->description = text_of(member(function, "description"));
    tool->is_strict = yyjson_is_true(member(function, "strict"));
    return conversation_schema(c, tool, member(function, "parameters"));
}

int chat_tools_read(struct conversation *c, yyjson_val *tools, void *context)
{
    return items_read(c, tools, "tools", read_tool, context);
}

static int read_choice(struct conversation *c, yyjson_val *value, void *context)
{
    (void)context;
    if (text_is(value, "auto"))
        c->choice = CHOICE_AUTO;
    else if (text_is(value, "none"))
        c->choice = CHOICE_NONE;
    else if (text_is(value, "required"))
        c->choice = CHOICE_ANY;
    else if (text_is(member(value, "type"), "function"))
        c->choice = CHOICE_ONE;
    else
        return conversation_refuse(c, "This `tool_choice`");
    c->choice_name = text_of(at(value, "/function/name"));
    return 0;
}

/* --- reading: the rest ----------------------------------------------------------------------- */

static int read_format(struct conversation *c, yyjson_val *value, void *context)
{
    yyjson_val *type = member(value, "type");
    (void)context;
    if (text_is(type, "text"))
        return 0;
    c->answer_is_json = text_is(type, "json_object");
    c->answer_schema = at(value, "/json_schema/schema");
    c->answer_name = text_of(at(value, "/json_schema/name"));
    return c->answer_is_json || c->answer_schema
               ? 0
               : conversation_refuse(c, "The `response_format` `%.*s`", STR_ARG(text_of(type)));
}

static int read_stream_options(struct conversation *c, yyjson_val *value, void *context)
{
    (void)context;
    c->wants_usage = yyjson_is_true(member(value, "include_usage"));
    return 0;
}

static int read_answers(struct conversation *c, yyjson_val *value, void *context)
{
    (void)context;
    return yyjson_is_uint(value) && yyjson_get_uint(value) == 1
               ? 0
               : conversation_refuse(c, "`n`, more answers than one,");
}

int chat_request_read(struct conversation *c, yyjson_val *root)
{
    static const struct member_row rows[] = {
        { "model", MEMBER_CARRIED, NULL },
        { "messages", MEMBER_CARRIED, read_messages },
        { "tools", MEMBER_CARRIED, chat_tools_read },
        { "tool_choice", MEMBER_CARRIED, read_choice },
        { "parallel_tool_calls", MEMBER_CARRIED, member_parallel },
        { "max_tokens", MEMBER_CARRIED, NULL },
        { "max_completion_tokens", MEMBER_CARRIED, NULL },
        { "temperature", MEMBER_CARRIED, NULL },
        { "top_p", MEMBER_CARRIED, NULL },
        { "stop", MEMBER_CARRIED, NULL },
        { "stream", MEMBER_CARRIED, NULL },
        { "stream_options", MEMBER_CARRIED, read_stream_options },
        { "response_format", MEMBER_CARRIED, read_format },
        { "n", MEMBER_CARRIED, read_answers },
        { "metadata", MEMBER_HINT, NULL },
        { "prompt_cache_key", MEMBER_HINT, NULL },
        { "prompt_cache_retention", MEMBER_HINT, NULL },
        { "reasoning_effort", MEMBER_HINT, NULL },
        { "safety_identifier", MEMBER_HINT, NULL },
        { "service_tier", MEMBER_HINT, NULL },
        { "store", MEMBER_HINT, NULL },
        { "user", MEMBER_HINT, NULL },
        { "verbosity", MEMBER_HINT, NULL },
        { "frequency_penalty", MEMBER_DEFAULT, NULL },
        { "logit_bias", MEMBER_DEFAULT, NULL },
        { "logprobs", MEMBER_DEFAULT, NULL },
        { "presence_penalty", MEMBER_DEFAULT, NULL },
    };
    int r = members_read(c, root, "the request", rows, ARRAY_LEN(rows), NULL);
    yyjson_val *limit = member(root, "max_completion_tokens");
    c->model = text_of(member(root, "model"));
    c->limit = yyjson_is_num(limit) ? limit : member(root, "max_tokens");
    c->temperature = member(root, "temperature");
    c->top_p = member(root, "top_p");
    c->stop = member(root, "stop");
    c->streams = yyjson_is_true(member(root, "stream"));
    return r;
}
