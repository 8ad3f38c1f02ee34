/*
 * conversation: see the header.
 *
 * Theory of operation. What a client says is taken apart by tables of members: each is carried,
 * or a hint that stays behind, or refused by its name. So nothing is lost silently that would
 * change what is answered.
 *
 * Invariants: turns of one speaker that follow each other are one turn; what the system says
 * stands in the first turn or is the user's; the names of tools are different from each other.
 */
#include "doors/model/translate/conversation.h"

void conversation_init(struct conversation *c, const char *target)
{
    *c = (struct conversation){ .target = target };
    c->arena.limit = CONVERSATION_MEMORY_MAX;
}

void conversation_release(struct conversation *c)
{
    arena_release(&c->arena);
    yyjson_doc_free(c->doc);
    c->doc = NULL;
}

void conversation_let_go(struct conversation *c)
{
    yyjson_doc_free(c->doc);
    c->doc = NULL;
    c->turns = c->last_turn = NULL;
    c->limit = c->temperature = c->top_p = c->stop = c->answer_schema = c->dimensions = NULL;
    c->choice_name = c->answer_name = STR("");
    for (struct tool *tool = c->tools; tool; tool = tool->next) {
        tool->description = STR("");
        tool->schema = NULL;
    }
}

static int note(struct conversation *c, int r, const char *format, va_list arguments)
    PRINTF_LIKE(3, 0);
static int note(struct conversation *c, int r, const char *format, va_list arguments)
    PRINTF_LIKE(3, 0);

static int note(struct conversation *c, int r, const char *format, va_list arguments)
{
    if (!c->fault[0])
        vsnprintf(c->fault, sizeof(c->fault), format, arguments);
    return r;
}

int conversation_wrong(struct conversation *c, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int r = note(c, -EBADMSG, format, arguments);
    va_end(arguments);
    return r;
}

int conversation_refuse(struct conversation *c, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int r = note(c, -EOPNOTSUPP, format, arguments);
    va_end(arguments);
    size_t len = strlen(c->fault);
    if (len && c->fault[len - 1] != '.')
        snprintf(c->fault + len, sizeof(c->fault) - len,
                 " cannot be carried over: the provider of this model speaks %s.", c->target);
    return r;
}

int conversation_no_memory(struct conversation *c)
{
    snprintf(c->fault, sizeof(c->fault), "The request is too large to be translated.");
    return -ENOMEM;
}

/* --- turns and parts ------------------------------------------------------------------------- */

struct turn *conversation_turn(struct conversation *c, enum speaker speaker)
{
    if (speaker == SPEAKER_SYSTEM && c->last_turn && c->last_turn->speaker != SPEAKER_SYSTEM)
        speaker = SPEAKER_USER;
    if (c->last_turn && c->last_turn->speaker == speaker)
        return c->last_turn;
    struct turn *turn = arena_new(&c->arena, struct turn);
    if (!turn)
        return NULL;
    turn->speaker = speaker;
    if (c->last_turn)
        c->last_turn->next = turn;
    else
        c->turns = turn;
    return c->last_turn = turn;
}

struct part *conversation_part(struct conversation *c, struct part_list *list, enum part_kind kind)
{
    struct part *part =
        c->part_count < CONVERSATION_PARTS_MAX ? arena_new(&c->arena, struct part) : NULL;
    if (!part) {
        conversation_no_memory(c);
        return NULL;
    }
    c->part_count++;
    part->kind = kind;
    if (list->last)
        list->last->next = part;
    else
        list->first = part;
    return list->last = part;
}

int conversation_text(struct conversation *c, struct part_list *list, struct str text)
{
    if (!text.len)
        return 0;
    struct part *part = conversation_part(c, list, PART_TEXT);
    if (!part)
        return -ENOMEM;
    part->text = text;
    return 0;
}

int conversation_image(struct conversation *c, struct part_list *list, struct str address)
{
    const struct str data = STR("data:"), base64 = STR(";base64");
    struct part *part = conversation_part(c, list, PART_IMAGE);
    if (!part)
        return -ENOMEM;
    part->text = address;
    if (!str_starts(address, data))
        return address.len ? 0 : conversation_wrong(c, "An image has no address.");
    size_t comma = str_index(address, ',', 0);
    struct str type = str_from_offset(str_make(address.ptr, comma), data.len);
    if (comma == address.len || !str_ends(type, base64) || type.len == base64.len)
        return conversation_wrong(c, "An image's data: address has no media type in base64.");
    part->media_type = str_make(type.ptr, type.len - base64.len);
    part->text = str_from_offset(address, comma + 1);
    return 0;
}

int conversation_keep(struct conversation *c, struct buf *text, struct str *ret)
{
    char *copy = text->error ? NULL : arena_copy(&c->arena, buf_str(text));
    if (copy)
        *ret = str_make(copy, text->len);
    buf_release(text);
    return copy ? 0 : conversation_no_memory(c);
}

int conversation_copy(struct conversation *c, struct str text, struct str *ret)
{
    const char *copy = arena_copy(&c->arena, text);
    if (!copy)
        return conversation_no_memory(c);
    *ret = str_make(copy, text.len);
    return 0;
}

int conversation_json(struct conversation *c, yyjson_val *value, struct str *ret)
{
    struct buf text = BUF_INIT_LIMIT(JSON_SIZE_MAX);
    json_add_value(&text, value, 0);
    return conversation_keep(c, &text, ret);
}

/* --- tools ----------------------------------------------------------------------------------- */

const struct tool *conversation_find_tool(const struct conversation *c, struct str name)
{
    const struct tool *tool = c->tools;
    while (tool && !str_equal(tool->name, name))
        tool = tool->next;
    return tool;
}

/* Names in a namespace are one name to the provider, with two underscores between. */
static int name_tool(struct conversation *c, struct tool *tool)
{
    struct buf name = BUF_INIT;
    tool->name = tool->own_name;
    if (!tool->own_name.len)
        return conversation_wrong(c, "A tool has no name.");
    if (tool->own_name.len + (tool->space.len ? tool->space.len + 2 : 0) > TOOL_NAME_MAX)
        return conversation_refuse(c, "The tool `%.*s`, whose name is longer than %d bytes,",
                                   (int)(tool->own_name.len < 80 ? tool->own_name.len : 80),
                                   tool->own_name.ptr, TOOL_NAME_MAX);
    int r = 0;
    if (tool->space.len) {
        buf_addf(&name, "%.*s__%.*s", STR_ARG(tool->space), STR_ARG(tool->own_name));
        r = conversation_keep(c, &name, &tool->name);
    }
    if (r == 0 && conversation_find_tool(c, tool->name))
        r = conversation_wrong(c, "There are two tools of the name `%.*s`.", STR_ARG(tool->name));
    return r;
}

int conversation_tool(struct conversation *c, enum tool_kind kind, struct str space,
                      struct str name, struct tool **ret)
{
    if (c->tool_count == CONVERSATION_TOOLS_MAX)
        return conversation_wrong(c, "There are more than %d tools.", CONVERSATION_TOOLS_MAX);
    struct tool *tool = arena_new(&c->arena, struct tool);
    if (!tool)
        return conversation_no_memory(c);
    tool->kind = kind;
    int r = conversation_copy(c, space, &tool->space);
    if (r == 0)
        r = conversation_copy(c, name, &tool->own_name);
    if (r == 0)
        r = name_tool(c, tool);
    if (r < 0)
        return r;
    if (c->last_tool)
        c->last_tool->next = tool;
    else
        c->tools = tool;
    c->last_tool = *ret = tool;
    c->tool_count++;
    return 0;
}

int conversation_schema(struct conversation *c, struct tool *tool, yyjson_val *schema)
{
    if (schema && !yyjson_is_null(schema) && !yyjson_is_obj(schema))
        return conversation_wrong(c, "The schema of the tool `%.*s` has to be an object.",
                                  STR_ARG(tool->own_name));
    tool->schema = schema;
    return 0;
}

void tool_schema_write(const struct tool *tool, struct buf *out)
{
    static const char *const schemas[] = {
        [TOOL_FUNCTION] = "{\"type\":\"object\",\"properties\":{}}",
        [TOOL_CUSTOM] = "{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},"
                        "\"required\":[\"input\"],\"additionalProperties\":false}",
        [TOOL_LOCAL_SHELL] =
            "{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"array\",\"items\":"
            "{\"type\":\"string\"}},\"working_directory\":{\"type\":\"string\"},\"timeout_ms\":"
            "{\"type\":\"integer\"}},\"required\":[\"command\"],\"additionalProperties\":false}",
    };
    if (yyjson_is_obj(tool->schema))
        json_add_value(out, tool->schema, 0);
    else
        buf_add_text(out, schemas[tool->kind]);
}

/* --- members --------------------------------------------------------------------------------- */

/* Whether a value is what a protocol takes where nothing is said. */
static bool says_nothing(yyjson_val *value)
{
    if (yyjson_is_num(value))
        return yyjson_get_num(value) == 0;
    return yyjson_is_false(value) ||
           ((yyjson_is_ctn(value) || yyjson_is_str(value)) && !unsafe_yyjson_get_len(value));
}

static const struct member_row *find_row(const struct member_row *rows, size_t count,
                                         struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(str_from(rows[i].name), name))
            return &rows[i];
    return NULL;
}

int members_read(struct conversation *c, yyjson_val *object, const char *what,
                 const struct member_row *rows, size_t count, void *context)
{
    if (!yyjson_is_obj(object))
        return conversation_wrong(c, "Where %s is expected there is no object.", what);
    yyjson_obj_iter iter = yyjson_obj_iter_with(object);
    int r = 0;
    for (yyjson_val *key; r == 0 && (key = yyjson_obj_iter_next(&iter));) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        struct str name = json_str(key);
        const struct member_row *row = find_row(rows, count, name);
        if (yyjson_is_null(value) || (row && row->use == MEMBER_HINT))
            continue;
        if (row && row->use == MEMBER_DEFAULT && says_nothing(value))
            continue;
        if (!row || row->use == MEMBER_DEFAULT)
            return conversation_refuse(c, "`%.*s` of %s", (int)(name.len < 80 ? name.len : 80),
                                       name.ptr, what);
        r = row->read ? row->read(c, value, context) : 0;
    }
    return r;
}

int items_read(struct conversation *c, yyjson_val *array, const char *name, item_reader *read,
               void *context)
{
    yyjson_val *item;
    if (!array || yyjson_is_null(array))
        return 0;
    if (!yyjson_is_arr(array))
        return conversation_wrong(c, "The member `%s` has to be an array.", name);
    EACH_ITEM(array, item)
    {
        int r = read(c, item, context);
        if (r < 0)
            return r;
    }
    return 0;
}

int member_text(struct conversation *c, yyjson_val *value, const char *name, struct str *ret)
{
    if (!yyjson_is_str(value))
        return conversation_wrong(c, "The member `%s` has to be a text.", name);
    *ret = json_str(value);
    return 0;
}

int member_parallel(struct conversation *c, yyjson_val *value, void *context)
{
    (void)context;
    if (!yyjson_is_bool(value))
        return conversation_wrong(c, "The member `parallel_tool_calls` has to be true or false.");
    c->calls_one_by_one = yyjson_is_false(value);
    return 0;
}
