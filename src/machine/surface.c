/*
 * surface: reading the documents of tool surfaces.
 *
 * Theory of operation. A document is trusted as far as its schema and rules go: members have their
 * types and patterns, paths no dot segments, and no variable carries a secret. What is put together
 * here is text: variables first, then the command, in which "${NAME}" is one of those variables and
 * nothing else is expanded. A variable that refers to something this launch has not is left out; a
 * command that needs it cannot be run, which is said at once instead of letting the tool fail.
 *
 * State is kept by profile: two profiles share nothing, and the host's own settings of the tool are
 * never used. A profile's id becomes the name of a folder with every byte but letters, digits, "-"
 * and "_" written as "%XX".
 */
#include "machine/surface.h"

#include "base/buf.h"
#include "base/json.h"

#define STEP       "prepare a tool surface"
#define URN_PREFIX "urn:srcos:"

const struct embedded_surface *surface_find(struct str name_or_id)
{
    for (size_t i = 0; i < embedded_surfaces_count; i++) {
        const struct embedded_surface *surface = &embedded_surfaces[i];
        if (str_equal(name_or_id, str_from(surface->name)) ||
            str_equal(name_or_id, str_from(surface->id)))
            return surface;
    }
    return NULL;
}

int surface_read(const struct embedded_surface *surface, yyjson_doc **ret, struct err *err)
{
    return json_read(str_make(surface->text, surface->len), &json_limits_default, ret, err);
}

static yyjson_val *member(const yyjson_val *object, const char *name)
{
    return yyjson_obj_get((yyjson_val *)object, name);
}

static struct str text_of(const yyjson_val *string)
{
    return yyjson_is_str((yyjson_val *)string) ? json_str(string) : STR("");
}

static struct str name_of(const yyjson_val *surface)
{
    return text_of(member(surface, "name"));
}

static int out_of_memory(const yyjson_val *surface, struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "%.*s", STR_ARG(name_of(surface)));
}

/* --- variables ----------------------------------------------------------------------------- */

static const char *host_variable(const struct surface_values *values, struct str name)
{
    for (const char *const *v = values->host_environment; v && *v; v++) {
        if (strncmp(*v, name.ptr, name.len) == 0 && (*v)[name.len] == '=')
            return *v + name.len + 1;
    }
    return NULL;
}

/* "~/…" in the agent's home, in the arena. */
static const char *agent_path(struct str path, const char *home, struct arena *arena)
{
    struct str rest = str_from_offset(path, 1);
    size_t len = strlen(home);
    char *full = arena_alloc(arena, len + rest.len + 1);
    if (!full)
        return NULL;
    memcpy(full, home, len);
    memcpy(full + len, rest.ptr, rest.len);
    return full;
}

static const yyjson_val *find_state(const yyjson_val *surface, struct str name)
{
    size_t index, count;
    yyjson_val *item, *items = member(surface, "stateDirectories");
    if (!items)
        return NULL;
    yyjson_arr_foreach(items, index, count, item)
    {
        if (str_equal(text_of(member(item, "name")), name))
            return item;
    }
    return NULL;
}

/* What a reference stands for. False where it stands for nothing here. */
static bool resolve(const yyjson_val *surface, struct str reference,
                    const struct surface_values *values, struct arena *arena, const char **ret)
{
    const struct {
        struct str name;
        const char *value;
    } doors[] = {
        { STR(URN_PREFIX "model-door:openai"), values->openai },
        { STR(URN_PREFIX "model-door:anthropic"), values->anthropic },
        { STR(URN_PREFIX "model-door:ollama"), values->ollama },
        { STR(URN_PREFIX "model-door:placeholder-key"), values->placeholder_key },
    };
    const struct str state = STR(URN_PREFIX "state-directory:");
    const struct str host = STR(URN_PREFIX "host-environment:");
    const char *value = NULL;
    for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
        if (str_equal(reference, doors[i].name))
            value = doors[i].value;
    }
    if (str_starts(reference, host))
        value = host_variable(values, str_from_offset(reference, host.len));
    if (str_starts(reference, state)) {
        const yyjson_val *found = find_state(surface, str_from_offset(reference, state.len));
        struct str path = text_of(member(found, "agentPath"));
        value = path.len ? agent_path(path, values->home, arena) : NULL;
    }
    *ret = value;
    return value != NULL;
}

static int expand_environment(const yyjson_val *surface, const struct surface_values *values,
                              struct arena *arena, struct surface_launch *launch, struct err *err)
{
    size_t index, count, filled = 0;
    yyjson_val *item, *items = member(surface, "environment");
    launch->environment = arena_array(arena, char *, SURFACE_ENVIRONMENT_MAX + 1);
    if (!launch->environment)
        return out_of_memory(surface, err);
    if (!items)
        return 0;
    yyjson_arr_foreach(items, index, count, item)
    {
        struct str name = text_of(member(item, "name"));
        const char *value = yyjson_get_str(member(item, "value"));
        if (!value && !resolve(surface, text_of(member(item, "valueRef")), values, arena, &value))
            continue;
        if (filled >= SURFACE_ENVIRONMENT_MAX || strlen(value) > SURFACE_VALUE_MAX)
            return err_set(err, ERR_LIMIT, STEP, "the variables of %.*s are too many or too long",
                           STR_ARG(name_of(surface)));
        size_t size = name.len + 1 + strlen(value) + 1;
        char *variable = arena_alloc(arena, size);
        if (!variable)
            return out_of_memory(surface, err);
        snprintf(variable, size, "%.*s=%s", STR_ARG(name), value);
        launch->environment[filled++] = variable;
    }
    return 0;
}

/* --- the command --------------------------------------------------------------------------- */

static const char *variable_of(const struct surface_launch *launch, struct str name)
{
    struct surface_values own = { .host_environment = (const char *const *)launch->environment };
    return host_variable(&own, name);
}

/* Puts values in the place of "${NAME}". */
static int expand_argument(struct str text, const struct surface_launch *launch, struct buf *ret,
                           struct str *ret_missing)
{
    while (text.len) {
        const char *hit = memmem(text.ptr, text.len, "${", 2);
        size_t plain = hit ? (size_t)(hit - text.ptr) : text.len;
        size_t end = str_index(text, '}', plain);
        buf_add(ret, text.ptr, end == text.len ? text.len : plain);
        if (end == text.len)
            break;
        struct str name = str_make(text.ptr + plain + 2, end - plain - 2);
        const char *value = variable_of(launch, name);
        if (!value) {
            *ret_missing = name;
            return -ENOENT;
        }
        buf_add_text(ret, value);
        text = str_from_offset(text, end + 1);
    }
    return ret->error;
}

static int add_arguments(const yyjson_val *surface, yyjson_val *items, struct arena *arena,
                         struct surface_launch *launch, struct err *err)
{
    size_t index, count;
    yyjson_val *item;
    if (!items)
        return 0;
    yyjson_arr_foreach(items, index, count, item)
    {
        _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(SURFACE_VALUE_MAX);
        struct str missing = STR("");
        int r = expand_argument(text_of(item), launch, &text, &missing);
        if (r == -ENOENT)
            return err_set(err, ERR_UNSUPPORTED, STEP,
                           "%.*s needs %.*s, which has no value here: no model door is open",
                           STR_ARG(name_of(surface)), STR_ARG(missing));
        if (r == -EMSGSIZE || launch->argument_count >= SURFACE_ARGUMENTS_MAX)
            return err_set(err, ERR_LIMIT, STEP, "the command of %.*s is too long",
                           STR_ARG(name_of(surface)));
        char *copy = r < 0 ? NULL : arena_copy(arena, buf_str(&text));
        if (!copy)
            return out_of_memory(surface, err);
        launch->argv[launch->argument_count++] = copy;
    }
    return 0;
}

int surface_expand(const yyjson_val *surface, const struct surface_values *values,
                   struct arena *arena, struct surface_launch *ret, struct err *err)
{
    struct surface_launch launch = { 0 };
    if (!member(surface, "command"))
        return err_set(err, ERR_UNSUPPORTED, STEP,
                       "%.*s is a slot without a command; write a surface of your own from it",
                       STR_ARG(name_of(surface)));
    launch.argv = arena_array(arena, char *, SURFACE_ARGUMENTS_MAX + 1);
    if (!launch.argv)
        return out_of_memory(surface, err);
    int r = expand_environment(surface, values, arena, &launch, err);
    if (r == 0)
        r = add_arguments(surface, member(surface, "command"), arena, &launch, err);
    if (r == 0)
        r = add_arguments(surface, member(member(surface, "ownSandbox"), "arguments"), arena,
                          &launch, err);
    if (r == 0)
        *ret = launch;
    return r;
}

const char *surface_own_sandbox(const yyjson_val *surface)
{
    return yyjson_get_str(member(member(surface, "ownSandbox"), "status"));
}

/* --- arguments that may be kept ------------------------------------------------------------ */

/* The row of an argument, alone or before "=" and a value. */
static const yyjson_val *safe_row(yyjson_val *rows, struct str argument, bool *ret_value_follows)
{
    size_t index, count;
    yyjson_val *row;
    if (!rows)
        return NULL;
    yyjson_arr_foreach(rows, index, count, row)
    {
        struct str name = text_of(member(row, "argument"));
        bool value_is_safe = yyjson_is_true(member(row, "valueIsSafe"));
        if (str_equal(argument, name)) {
            *ret_value_follows = value_is_safe;
            return row;
        }
        if (value_is_safe && str_starts(argument, name) && argument.ptr[name.len] == '=') {
            *ret_value_follows = false;
            return row;
        }
    }
    return NULL;
}

void surface_safe_arguments(const yyjson_val *surface, char *const *arguments, size_t count,
                            bool *ret_safe)
{
    yyjson_val *rows = member(surface, "safeArguments");
    for (size_t i = 0; i < count; i++) {
        bool value_follows = false;
        ret_safe[i] = safe_row(rows, str_from(arguments[i]), &value_follows) != NULL;
        if (value_follows && i + 1 < count)
            ret_safe[++i] = true;
    }
}

/* --- state --------------------------------------------------------------------------------- */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static void add_folder_name(struct buf *buf, struct str name)
{
    buf_add_char(buf, '/');
    for (size_t i = 0; i < name.len; i++) {
        if (is_plain(name.ptr[i]))
            buf_add_char(buf, name.ptr[i]);
        else
            buf_addf(buf, "%%%02X", (unsigned char)name.ptr[i]);
    }
}

int surface_state_directories(const yyjson_val *surface, const char *folder, const char *profile,
                              const char *home, struct arena *arena, struct surface_state **ret,
                              size_t *ret_count, struct err *err)
{
    size_t index, count = 0;
    yyjson_val *item, *items = member(surface, "stateDirectories");
    struct surface_state *states =
        arena_array(arena, struct surface_state, items ? yyjson_arr_size(items) + 1 : 1);
    if (!states)
        return out_of_memory(surface, err);
    if (items) {
        yyjson_arr_foreach(items, index, count, item)
        {
            _cleanup_(buf_release) struct buf path = BUF_INIT_LIMIT(SURFACE_VALUE_MAX);
            buf_add_text(&path, folder);
            add_folder_name(&path, str_from(profile));
            add_folder_name(&path, name_of(surface));
            add_folder_name(&path, text_of(member(item, "name")));
            states[index] = (struct surface_state){
                .host_path = path.error ? NULL : arena_copy(arena, buf_str(&path)),
                .agent_path = agent_path(text_of(member(item, "agentPath")), home, arena),
            };
            if (!states[index].host_path || !states[index].agent_path)
                return out_of_memory(surface, err);
        }
    }
    *ret = states;
    *ret_count = count;
    return 0;
}
