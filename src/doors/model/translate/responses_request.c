/*
 * responses_request: see the header.
 *
 * Theory of operation. The input is a text or a list of items, each of a type that has its reader
 * in a table. What the model reasoned is left out; what stands with the provider (an earlier
 * response, a conversation, a stored prompt, a file, a tool of its own) is refused by its name.
 */
#include "doors/model/translate/responses_request.h"

/* --- content --------------------------------------------------------------------------------- */

static int read_part(struct conversation *c, yyjson_val *value, void *list)
{
    static const struct member_row rows[] = {
        { "type", MEMBER_CARRIED, NULL },    { "text", MEMBER_CARRIED, NULL },
        { "refusal", MEMBER_CARRIED, NULL }, { "image_url", MEMBER_CARRIED, NULL },
        { "detail", MEMBER_HINT, NULL },     { "annotations", MEMBER_HINT, NULL },
        { "logprobs", MEMBER_HINT, NULL },   { "prompt_cache_breakpoint", MEMBER_HINT, NULL },
    };
    yyjson_val *type = member(value, "type");
    bool is_text = text_is(type, "input_text") || text_is(type, "output_text") ||
                   text_is(type, "text") || text_is(type, "refusal");
    struct str text;
    if (!is_text && !text_is(type, "input_image"))
        return conversation_refuse(c, "A part of the type `%.*s`", STR_ARG(text_of(type)));
    int r = members_read(c, value, "a part of an item", rows, ARRAY_LEN(rows), NULL);
    if (r < 0)
        return r;
    if (!is_text)
        return conversation_image(c, list, text_of(member(value, "image_url")));
    r = member_text(c, member(value, text_is(type, "refusal") ? "refusal" : "text"), "text", &text);
    return r < 0 ? r : conversation_text(c, list, text);
}

static int read_content(struct conversation *c, yyjson_val *content, struct part_list *list)
{
    return yyjson_is_str(content) ? conversation_text(c, list, json_str(content))
                                  : items_read(c, content, "content", read_part, list);
}

/* --- items ----------------------------------------------------------------------------------- */

static const struct member_row item_rows[] = {
    { "type", MEMBER_CARRIED, NULL },      { "role", MEMBER_CARRIED, NULL },
    { "content", MEMBER_CARRIED, NULL },   { "call_id", MEMBER_CARRIED, NULL },
    { "name", MEMBER_CARRIED, NULL },      { "namespace", MEMBER_CARRIED, NULL },
    { "arguments", MEMBER_CARRIED, NULL }, { "input", MEMBER_CARRIED, NULL },
    { "output", MEMBER_CARRIED, NULL },    { "action", MEMBER_CARRIED, NULL },
    { "id", MEMBER_HINT, NULL },           { "status", MEMBER_HINT, NULL },
    { "phase", MEMBER_HINT, NULL },        { "caller", MEMBER_HINT, NULL },
    { "created_by", MEMBER_HINT, NULL },   { "metadata", MEMBER_HINT, NULL },
};

static int read_message(struct conversation *c, yyjson_val *item)
{
    static const struct {
        const char *role;
        enum speaker speaker;
    } roles[] = { { "system", SPEAKER_SYSTEM },
                  { "developer", SPEAKER_SYSTEM },
                  { "user", SPEAKER_USER },
                  { "assistant", SPEAKER_MODEL } };
    yyjson_val *role = member(item, "role");
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (!text_is(role, roles[i].role))
            continue;
        struct turn *turn = conversation_turn(c, roles[i].speaker);
        return turn ? read_content(c, member(item, "content"), &turn->parts)
                    : conversation_no_memory(c);
    }
    return conversation_refuse(c, "A message of the role `%.*s`", STR_ARG(text_of(role)));
}

/* The part of a call; its id is set. */
static int begin_call(struct conversation *c, yyjson_val *item, struct part **ret)
{
    struct turn *turn = conversation_turn(c, SPEAKER_MODEL);
    struct part *part = turn ? conversation_part(c, &turn->parts, PART_CALL) : NULL;
    if (!part)
        return conversation_no_memory(c);
    part->id = text_of(member(item, "call_id"));
    if (!part->id.len)
        return conversation_wrong(c, "A tool's call has no `call_id`.");
    *ret = part;
    return 0;
}

static int read_call(struct conversation *c, yyjson_val *item)
{
    struct part *part = NULL;
    int r = begin_call(c, item, &part);
    if (r == 0)
        r = responses_tool_name(c, text_of(member(item, "namespace")),
                                text_of(member(item, "name")), &part->name);
    return r < 0 ? r : member_text(c, member(item, "arguments"), "arguments", &part->text);
}

/* Appends {"input":TEXT}: the arguments of the function that a custom tool has become. */
static int read_custom_call(struct conversation *c, yyjson_val *item)
{
    struct buf text = BUF_INIT_LIMIT(2 * JSON_SIZE_MAX);
    struct part *part = NULL;
    struct str input;
    int r = begin_call(c, item, &part);
    if (r == 0)
        r = responses_tool_name(c, text_of(member(item, "namespace")),
                                text_of(member(item, "name")), &part->name);
    if (r == 0)
        r = member_text(c, member(item, "input"), "input", &input);
    if (r < 0)
        return r;
    buf_add_char(&text, '{');
    json_add_text(&text, "input", input);
    buf_add_char(&text, '}');
    return conversation_keep(c, &text, &part->text);
}

static int read_shell_call(struct conversation *c, yyjson_val *item)
{
    struct buf text = BUF_INIT_LIMIT(2 * JSON_SIZE_MAX);
    yyjson_val *action = member(item, "action");
    struct part *part = NULL;
    int r = begin_call(c, item, &part);
    if (r < 0)
        return r;
    if (!yyjson_is_arr(member(action, "command")))
        return conversation_wrong(c, "The `action` of a local_shell_call has no `command`.");
    part->name = STR("local_shell");
    buf_add_char(&text, '{');
    emit_value(&text, "command", member(action, "command"));
    emit_value(&text, "working_directory", member(action, "working_directory"));
    emit_value(&text, "timeout_ms", member(action, "timeout_ms"));
    buf_add_char(&text, '}');
    return conversation_keep(c, &text, &part->text);
}

static int read_output(struct conversation *c, yyjson_val *item)
{
    struct turn *turn = conversation_turn(c, SPEAKER_USER);
    struct part *part = turn ? conversation_part(c, &turn->parts, PART_RESULT) : NULL;
    if (!part)
        return conversation_no_memory(c);
    part->id = text_of(member(item, "call_id"));
    if (!part->id.len)
        part->id = text_of(member(item, "id")); /* of a local shell's */
    if (!part->id.len)
        return conversation_wrong(c, "The output of a tool has no `call_id`.");
    return read_content(c, member(item, "output"), &part->parts);
}

static int leave_out(struct conversation *c, yyjson_val *item)
{
    (void)c;
    (void)item;
    return 0;
}

static int read_item(struct conversation *c, yyjson_val *item, void *context)
{
    static const struct {
        const char *type;
        int (*read)(struct conversation *c, yyjson_val *item);
    } kinds[] = {
        { "message", read_message },
        { "function_call", read_call },
        { "function_call_output", read_output },
        { "custom_tool_call", read_custom_call },
        { "custom_tool_call_output", read_output },
        { "local_shell_call", read_shell_call },
        { "local_shell_call_output", read_output },
        { "reasoning", leave_out },
    };
    yyjson_val *type = member(item, "type");
    (void)context;
    if (!type)
        return read_message(c, item); /* the short form */
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!text_is(type, kinds[i].type))
            continue;
        int r = kinds[i].read == leave_out
                    ? 0
                    : members_read(c, item, "an item", item_rows, ARRAY_LEN(item_rows), NULL);
        return r < 0 ? r : kinds[i].read(c, item);
    }
    return conversation_refuse(c, "An item of the type `%.*s`", STR_ARG(text_of(type)));
}

static int read_input(struct conversation *c, yyjson_val *value)
{
    if (!yyjson_is_str(value))
        return items_read(c, value, "input", read_item, NULL);
    struct turn *turn = conversation_turn(c, SPEAKER_USER);
    return turn ? conversation_text(c, &turn->parts, json_str(value)) : conversation_no_memory(c);
}

/* --- the rest -------------------------------------------------------------------------------- */

static int read_choice(struct conversation *c, yyjson_val *value, void *context)
{
    yyjson_val *type = member(value, "type");
    (void)context;
    if (text_is(value, "auto"))
        c->choice = CHOICE_AUTO;
    else if (text_is(value, "none"))
        c->choice = CHOICE_NONE;
    else if (text_is(value, "required"))
        c->choice = CHOICE_ANY;
    else if (text_is(type, "function") || text_is(type, "custom"))
        c->choice = CHOICE_ONE;
    else
        return conversation_refuse(c, "This `tool_choice`");
    c->choice_name = text_of(member(value, "name"));
    return 0;
}

static int read_text(struct conversation *c, yyjson_val *value, void *context)
{
    static const struct member_row rows[] = { { "format", MEMBER_CARRIED, NULL },
                                              { "verbosity", MEMBER_HINT, NULL } };
    yyjson_val *format = member(value, "format"), *type = member(format, "type");
    (void)context;
    int r = members_read(c, value, "`text`", rows, ARRAY_LEN(rows), NULL);
    if (r < 0 || !format || yyjson_is_null(format) || text_is(type, "text"))
        return r;
    c->answer_is_json = text_is(type, "json_object");
    c->answer_schema = text_is(type, "json_schema") ? member(format, "schema") : NULL;
    c->answer_name = text_of(member(format, "name"));
    return c->answer_is_json || c->answer_schema
               ? 0
               : conversation_refuse(c, "An answer's format of the type `%.*s`",
                                     STR_ARG(text_of(type)));
}

static int read_reasoning(struct conversation *c, yyjson_val *value, void *context)
{
    yyjson_val *summary = member(value, "summary");
    (void)context;
    c->wants_reasoning = yyjson_is_str(summary) && !text_is(summary, "none");
    return 0;
}

static const struct member_row request_rows[] = {
    { "model", MEMBER_CARRIED, NULL },
    { "instructions", MEMBER_CARRIED, NULL }, /* read first, wherever they stand */
    { "input", MEMBER_CARRIED, NULL },        /* behind them */
    { "tools", MEMBER_CARRIED, responses_tools_read },
    { "tool_choice", MEMBER_CARRIED, read_choice },
    { "parallel_tool_calls", MEMBER_CARRIED, member_parallel },
    { "max_output_tokens", MEMBER_CARRIED, NULL },
    { "temperature", MEMBER_CARRIED, NULL },
    { "top_p", MEMBER_CARRIED, NULL },
    { "stream", MEMBER_CARRIED, NULL },
    { "text", MEMBER_CARRIED, read_text },
    { "reasoning", MEMBER_CARRIED, read_reasoning },
    { "client_metadata", MEMBER_HINT, NULL },
    { "include", MEMBER_HINT, NULL },
    { "max_tool_calls", MEMBER_HINT, NULL },
    { "metadata", MEMBER_HINT, NULL },
    { "prompt_cache_key", MEMBER_HINT, NULL },
    { "prompt_cache_retention", MEMBER_HINT, NULL },
    { "safety_identifier", MEMBER_HINT, NULL },
    { "service_tier", MEMBER_HINT, NULL },
    { "store", MEMBER_HINT, NULL },
    { "stream_options", MEMBER_HINT, NULL },
    { "truncation", MEMBER_HINT, NULL },
    { "user", MEMBER_HINT, NULL },
    { "background", MEMBER_DEFAULT, NULL },
    { "top_logprobs", MEMBER_DEFAULT, NULL },
};

int responses_request_read(struct conversation *c, yyjson_val *root)
{
    yyjson_val *instructions = member(root, "instructions"), *input = member(root, "input");
    struct turn *turn = conversation_turn(c, SPEAKER_SYSTEM);
    int r = turn ? 0 : conversation_no_memory(c);
    if (r == 0 && instructions && !yyjson_is_null(instructions))
        r = read_content(c, instructions, &turn->parts);
    if (r == 0)
        r = members_read(c, root, "the request", request_rows, ARRAY_LEN(request_rows), NULL);
    if (r == 0)
        r = read_input(c, input);
    c->model = text_of(member(root, "model"));
    c->limit = member(root, "max_output_tokens");
    c->temperature = member(root, "temperature");
    c->top_p = member(root, "top_p");
    c->streams = yyjson_is_true(member(root, "stream"));
    return r;
}
