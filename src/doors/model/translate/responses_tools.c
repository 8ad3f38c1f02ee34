/*
 * responses_tools: the tools of a request for OpenAI's responses; see responses_request.h.
 *
 * Theory of operation. A function is a function everywhere. A custom tool, whose input is any
 * text, becomes a function with that text as its one argument; the grammar that it may have is
 * told in its description. A local shell becomes a function with a command line. A namespace is a
 * prefix of its tools' names. The answer's writer turns calls back (responses_answer.c). Tools
 * that the provider itself would run are refused by their type.
 */
#include "doors/model/translate/responses_request.h"

#define SHELL_NAME "local_shell"

static int read_tools(struct conversation *c, yyjson_val *list, struct str space);

static int read_function(struct conversation *c, yyjson_val *value, struct str space)
{
    static const struct member_row rows[] = {
        { "type", MEMBER_CARRIED, NULL },          { "name", MEMBER_CARRIED, NULL },
        { "description", MEMBER_CARRIED, NULL },   { "parameters", MEMBER_CARRIED, NULL },
        { "strict", MEMBER_CARRIED, NULL },        { "output_schema", MEMBER_HINT, NULL },
        { "defer_loading", MEMBER_DEFAULT, NULL },
    };
    struct tool *tool = NULL;
    int r = members_read(c, value, "a tool", rows, ARRAY_LEN(rows), NULL);
    if (r == 0)
        r = conversation_tool(c, TOOL_FUNCTION, space, text_of(member(value, "name")), &tool);
    if (r < 0)
        return r;
    tool->description = text_of(member(value, "description"));
    tool->is_strict = yyjson_is_true(member(value, "strict"));
    return conversation_schema(c, tool, member(value, "parameters"));
}

static int read_custom(struct conversation *c, yyjson_val *value, struct str space)
{
    static const struct member_row rows[] = {
        { "type", MEMBER_CARRIED, NULL },          { "name", MEMBER_CARRIED, NULL },
        { "description", MEMBER_CARRIED, NULL },   { "format", MEMBER_CARRIED, NULL },
        { "defer_loading", MEMBER_DEFAULT, NULL },
    };
    struct str grammar = text_of(at(value, "/format/definition"));
    struct tool *tool = NULL;
    int r = members_read(c, value, "a tool", rows, ARRAY_LEN(rows), NULL);
    if (r == 0)
        r = conversation_tool(c, TOOL_CUSTOM, space, text_of(member(value, "name")), &tool);
    if (r < 0)
        return r;
    tool->description = text_of(member(value, "description"));
    if (!grammar.len)
        return 0;
    struct buf text = BUF_INIT_LIMIT(JSON_SIZE_MAX);
    buf_add_str(&text, tool->description);
    buf_addf(&text, "\n\nThe input has to follow this grammar (%.*s):\n",
             STR_ARG(text_of(at(value, "/format/syntax"))));
    buf_add_str(&text, grammar);
    return conversation_keep(c, &text, &tool->description);
}

static int read_shell(struct conversation *c, yyjson_val *value, struct str space)
{
    static const struct member_row rows[] = { { "type", MEMBER_CARRIED, NULL } };
    struct tool *tool = NULL;
    int r = members_read(c, value, "a tool", rows, ARRAY_LEN(rows), NULL);
    if (r == 0)
        r = conversation_tool(c, TOOL_LOCAL_SHELL, space, STR(SHELL_NAME), &tool);
    if (r == 0)
        tool->description = STR("Runs a command on this machine, given as a list of its words.");
    return r;
}

static int read_space(struct conversation *c, yyjson_val *value, struct str space)
{
    static const struct member_row rows[] = { { "type", MEMBER_CARRIED, NULL },
                                              { "name", MEMBER_CARRIED, NULL },
                                              { "description", MEMBER_HINT, NULL },
                                              { "tools", MEMBER_CARRIED, NULL } };
    if (space.len)
        return conversation_refuse(c, "A namespace of tools within a namespace");
    int r = members_read(c, value, "a namespace of tools", rows, ARRAY_LEN(rows), NULL);
    if (r == 0 && !text_of(member(value, "name")).len)
        r = conversation_wrong(c, "A namespace of tools has no name.");
    return r < 0 ? r : read_tools(c, member(value, "tools"), text_of(member(value, "name")));
}

static int read_tool(struct conversation *c, yyjson_val *tool, void *context)
{
    static const struct {
        const char *type;
        int (*read)(struct conversation *c, yyjson_val *value, struct str space);
    } kinds[] = { { "function", read_function },
                  { "custom", read_custom },
                  { "local_shell", read_shell },
                  { "namespace", read_space } };
    yyjson_val *type = member(tool, "type");
    const struct str *space = context;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (text_is(type, kinds[i].type))
            return kinds[i].read(c, tool, *space);
    return conversation_refuse(c, "A tool of the type `%.*s`", STR_ARG(text_of(type)));
}

static int read_tools(struct conversation *c, yyjson_val *list, struct str space)
{
    return items_read(c, list, "tools", read_tool, &space);
}

int responses_tools_read(struct conversation *c, yyjson_val *value, void *context)
{
    (void)context;
    return read_tools(c, value, STR(""));
}

int responses_tool_name(struct conversation *c, struct str space, struct str name, struct str *ret)
{
    struct buf text = BUF_INIT_LIMIT(JSON_SIZE_MAX);
    *ret = name;
    if (!space.len)
        return name.len ? 0 : conversation_wrong(c, "A tool's call has no `name`.");
    buf_addf(&text, "%.*s__%.*s", STR_ARG(space), STR_ARG(name));
    return conversation_keep(c, &text, ret);
}
