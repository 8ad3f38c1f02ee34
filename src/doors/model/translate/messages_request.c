/*
 * messages_request: see the header.
 *
 * Theory of operation. Messages are made of blocks, and each type of block has its reader in a
 * table. What a model thought is left out: it is signed for the provider that made it. What only
 * a provider of this protocol can do for a client (its own tools, documents, files) is refused by
 * the name of its type.
 */
#include "doors/model/translate/messages_request.h"

/* --- reading: blocks ------------------------------------------------------------------------- */

struct block_row {
    const char *type;
    int (*read)(struct conversation *c, yyjson_val *block, struct part_list *list);
};

static int read_blocks(struct conversation *c, yyjson_val *content, struct part_list *list,
                       const struct block_row *rows, size_t count);

static int read_text(struct conversation *c, yyjson_val *block, struct part_list *list)
{
    static const struct member_row rows[] = { { "type", MEMBER_CARRIED, NULL },
                                              { "text", MEMBER_CARRIED, NULL },
                                              { "cache_control", MEMBER_HINT, NULL },
                                              { "citations", MEMBER_HINT, NULL } };
    struct str text;
    int r = members_read(c, block, "a text block", rows, ARRAY_LEN(rows), NULL);
    if (r == 0)
        r = member_text(c, member(block, "text"), "text", &text);
    return r < 0 ? r : conversation_text(c, list, text);
}

static int read_image(struct conversation *c, yyjson_val *block, struct part_list *list)
{
    static const struct member_row rows[] = { { "type", MEMBER_CARRIED, NULL },
                                              { "source", MEMBER_CARRIED, NULL },
                                              { "cache_control", MEMBER_HINT, NULL } };
    yyjson_val *source = member(block, "source"), *type = member(source, "type");
    int r = members_read(c, block, "an image block", rows, ARRAY_LEN(rows), NULL);
    if (r < 0)
        return r;
    if (text_is(type, "url"))
        return conversation_image(c, list, text_of(member(source, "url")));
    if (!text_is(type, "base64"))
        return conversation_refuse(c, "An image whose source is of the type `%.*s`",
                                   STR_ARG(text_of(type)));
    struct part *part = conversation_part(c, list, PART_IMAGE);
    if (!part)
        return -ENOMEM;
    part->media_type = text_of(member(source, "media_type"));
    part->text = text_of(member(source, "data"));
    return part->media_type.len ? 0 : conversation_wrong(c, "An image has no `media_type`.");
}

static int read_call(struct conversation *c, yyjson_val *block, struct part_list *list)
{
    static const struct member_row rows[] = {
        { "type", MEMBER_CARRIED, NULL },       { "id", MEMBER_CARRIED, NULL },
        { "name", MEMBER_CARRIED, NULL },       { "input", MEMBER_CARRIED, NULL },
        { "cache_control", MEMBER_HINT, NULL }, { "caller", MEMBER_HINT, NULL },
    };
    int r = members_read(c, block, "a tool_use block", rows, ARRAY_LEN(rows), NULL);
    struct part *part = r < 0 ? NULL : conversation_part(c, list, PART_CALL);
    if (!part)
        return r < 0 ? r : -ENOMEM;
    part->id = text_of(member(block, "id"));
    part->name = text_of(member(block, "name"));
    if (!part->id.len || !part->name.len)
        return conversation_wrong(c, "A tool_use block has no `id` or no `name`.");
    if (!yyjson_is_obj(member(block, "input")))
        return conversation_wrong(c, "The `input` of a tool_use block has to be an object.");
    return conversation_json(c, member(block, "input"), &part->text);
}

static int read_result(struct conversation *c, yyjson_val *block, struct part_list *list)
{
    static const struct member_row rows[] = {
        { "type", MEMBER_CARRIED, NULL },       { "tool_use_id", MEMBER_CARRIED, NULL },
        { "content", MEMBER_CARRIED, NULL },    { "is_error", MEMBER_CARRIED, NULL },
        { "cache_control", MEMBER_HINT, NULL },
    };
    static const struct block_row blocks[] = { { "text", read_text }, { "image", read_image } };
    yyjson_val *content = member(block, "content");
    int r = members_read(c, block, "a tool_result block", rows, ARRAY_LEN(rows), NULL);
    struct part *part = r < 0 ? NULL : conversation_part(c, list, PART_RESULT);
    if (!part)
        return r < 0 ? r : -ENOMEM;
    part->id = text_of(member(block, "tool_use_id"));
    part->is_error = yyjson_is_true(member(block, "is_error"));
    if (!part->id.len)
        return conversation_wrong(c, "A tool_result block has no `tool_use_id`.");
    if (!content || yyjson_is_null(content))
        return 0;
    return read_blocks(c, content, &part->parts, blocks, ARRAY_LEN(blocks));
}

static int leave_out(struct conversation *c, yyjson_val *block, struct part_list *list)
{
    (void)c;
    (void)block;
    (void)list;
    return 0;
}

static const struct block_row message_blocks[] = {
    { "text", read_text },          { "image", read_image },   { "tool_use", read_call },
    { "tool_result", read_result }, { "thinking", leave_out }, { "redacted_thinking", leave_out },
};

static int read_blocks(struct conversation *c, yyjson_val *content, struct part_list *list,
                       const struct block_row *rows, size_t count)
{
    yyjson_val *block;
    if (yyjson_is_str(content))
        return conversation_text(c, list, json_str(content));
    if (!yyjson_is_arr(content))
        return conversation_wrong(c, "The member `content` has to be a text or an array.");
    EACH_ITEM(content, block)
    {
        yyjson_val *type = member(block, "type");
        size_t i = 0;
        while (i < count && !text_is(type, rows[i].type))
            i++;
        if (i == count)
            return conversation_refuse(c, "A content block of the type `%.*s`",
                                       STR_ARG(text_of(type)));
        int r = rows[i].read(c, block, list);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- reading: messages ----------------------------------------------------------------------- */

static int read_speech(struct conversation *c, enum speaker speaker, yyjson_val *content)
{
    struct turn *turn = conversation_turn(c, speaker);
    return turn ? read_blocks(c, content, &turn->parts, message_blocks, ARRAY_LEN(message_blocks))
                : conversation_no_memory(c);
}

static int read_message(struct conversation *c, yyjson_val *message, void *context)
{
    static const struct member_row rows[] = { { "role", MEMBER_CARRIED, NULL },
                                              { "content", MEMBER_CARRIED, NULL } };
    yyjson_val *role = member(message, "role");
    enum speaker speaker = text_is(role, "user")        ? SPEAKER_USER
                           : text_is(role, "assistant") ? SPEAKER_MODEL
                                                        : SPEAKER_SYSTEM;
    (void)context;
    int r = members_read(c, message, "a message", rows, ARRAY_LEN(rows), NULL);
    if (r == 0 && speaker == SPEAKER_SYSTEM && !text_is(role, "system"))
        r = conversation_refuse(c, "A message of the role `%.*s`", STR_ARG(text_of(role)));
    return r < 0 ? r : read_speech(c, speaker, member(message, "content"));
}

static int read_messages(struct conversation *c, yyjson_val *value, void *context)
{
    return items_read(c, value, "messages", read_message, context);
}

/* --- reading: tools -------------------------------------------------------------------------- */

static int read_tool(struct conversation *c, yyjson_val *value, void *context)
{
    static const struct member_row rows[] = {
        { "type", MEMBER_CARRIED, NULL },        { "name", MEMBER_CARRIED, NULL },
        { "description", MEMBER_CARRIED, NULL }, { "input_schema", MEMBER_CARRIED, NULL },
        { "strict", MEMBER_CARRIED, NULL },      { "allowed_callers", MEMBER_HINT, NULL },
        { "cache_control", MEMBER_HINT, NULL },  { "eager_input_streaming", MEMBER_HINT, NULL },
        { "input_examples", MEMBER_HINT, NULL }, { "defer_loading", MEMBER_DEFAULT, NULL },
    };
    yyjson_val *type = member(value, "type");
    struct tool *tool = NULL;
    (void)context;
    if (type && !yyjson_is_null(type) && !text_is(type, "custom"))
        return conversation_refuse(c, "A tool of the type `%.*s`", STR_ARG(text_of(type)));
    int r = members_read(c, value, "a tool", rows, ARRAY_LEN(rows), NULL);
    if (r == 0)
        r = conversation_tool(c, TOOL_FUNCTION, STR(""), text_of(member(value, "name")), &tool);
    if (r < 0)
        return r;
    tool->description = text_of(member(value, "description"));
    tool->is_strict = yyjson_is_true(member(value, "strict"));
    return conversation_schema(c, tool, member(value, "input_schema"));
}

static int read_tools(struct conversation *c, yyjson_val *value, void *context)
{
    return items_read(c, value, "tools", read_tool, context);
}

static int read_choice(struct conversation *c, yyjson_val *value, void *context)
{
    static const struct {
        const char *type;
        enum tool_choice choice;
    } choices[] = { { "auto", CHOICE_AUTO },
                    { "none", CHOICE_NONE },
                    { "any", CHOICE_ANY },
                    { "tool", CHOICE_ONE } };
    (void)context;
    for (size_t i = 0; i < ARRAY_LEN(choices); i++)
        if (text_is(member(value, "type"), choices[i].type))
            c->choice = choices[i].choice;
    c->choice_name = text_of(member(value, "name"));
    c->calls_one_by_one = yyjson_is_true(member(value, "disable_parallel_tool_use"));
    return c->choice == CHOICE_UNSAID ? conversation_refuse(c, "This `tool_choice`") : 0;
}

/* --- reading: the rest ----------------------------------------------------------------------- */

static int read_system(struct conversation *c, yyjson_val *value, void *context)
{
    static const struct block_row blocks[] = { { "text", read_text } };
    struct turn *turn = context;
    return read_blocks(c, value, &turn->parts, blocks, ARRAY_LEN(blocks));
}

static int read_thinking(struct conversation *c, yyjson_val *value, void *context)
{
    (void)context;
    c->wants_reasoning = !text_is(member(value, "type"), "disabled") &&
                         !text_is(member(value, "display"), "omitted");
    return 0;
}

static int read_format(struct conversation *c, yyjson_val *value, void *context)
{
    (void)context;
    c->answer_schema = member(value, "schema");
    return text_is(member(value, "type"), "json_schema") && c->answer_schema
               ? 0
               : conversation_refuse(c, "An output format of the type `%.*s`",
                                     STR_ARG(text_of(member(value, "type"))));
}

static int read_output(struct conversation *c, yyjson_val *value, void *context)
{
    static const struct member_row rows[] = { { "effort", MEMBER_HINT, NULL },
                                              { "format", MEMBER_CARRIED, read_format } };
    return members_read(c, value, "`output_config`", rows, ARRAY_LEN(rows), context);
}

static const struct member_row request_rows[] = {
    { "model", MEMBER_CARRIED, NULL },
    { "system", MEMBER_CARRIED, NULL }, /* read first, wherever it stands */
    { "messages", MEMBER_CARRIED, read_messages },
    { "tools", MEMBER_CARRIED, read_tools },
    { "tool_choice", MEMBER_CARRIED, read_choice },
    { "max_tokens", MEMBER_CARRIED, NULL },
    { "temperature", MEMBER_CARRIED, NULL },
    { "top_p", MEMBER_CARRIED, NULL },
    { "stop_sequences", MEMBER_CARRIED, NULL },
    { "stream", MEMBER_CARRIED, NULL },
    { "thinking", MEMBER_CARRIED, read_thinking },
    { "output_config", MEMBER_CARRIED, read_output },
    { "output_format", MEMBER_CARRIED, read_format },
    { "cache_control", MEMBER_HINT, NULL },
    { "context_management", MEMBER_HINT, NULL },
    { "inference_geo", MEMBER_HINT, NULL },
    { "metadata", MEMBER_HINT, NULL },
    { "service_tier", MEMBER_HINT, NULL },
    { "speed", MEMBER_HINT, NULL },
    { "mcp_servers", MEMBER_DEFAULT, NULL },
};

int messages_request_read(struct conversation *c, yyjson_val *root)
{
    yyjson_val *system = member(root, "system");
    struct turn *turn = conversation_turn(c, SPEAKER_SYSTEM);
    int r = turn ? 0 : conversation_no_memory(c);
    if (r == 0 && system && !yyjson_is_null(system))
        r = read_system(c, system, turn);
    if (r == 0)
        r = members_read(c, root, "the request", request_rows, ARRAY_LEN(request_rows), NULL);
    c->model = text_of(member(root, "model"));
    c->limit = member(root, "max_tokens");
    c->temperature = member(root, "temperature");
    c->top_p = member(root, "top_p");
    c->stop = member(root, "stop_sequences");
    c->streams = yyjson_is_true(member(root, "stream"));
    return r;
}
