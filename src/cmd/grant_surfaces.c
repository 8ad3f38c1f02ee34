/* grant surfaces: the tool surfaces that are built in, and where their programs are on this host.
 */
#include "cmd/grant.h"
#include "cmd/tell.h"
#include "machine/surface.h"
#include "machine/surface_program.h"

#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin"

enum { SURFACES_JSON };

const struct option_row grant_surfaces_options[GRANT_SURFACES_OPTION_COUNT] = {
    [SURFACES_JSON] = { "json", 'j', NULL, "print JSON" },
};

/* Where its program is, or why there is none; nothing is run. */
static bool find(const yyjson_val *surface, struct surface_program *ret)
{
    const char *search = getenv("PATH"), *home = getenv("HOME");
    return surface_program_find(surface, search ? search : PATH_DEFAULT, home ? home : "/", ret,
                                NULL) == 0;
}

static void print_row(const struct embedded_surface *surface, const yyjson_val *root)
{
    struct surface_program program;
    bool slot = !yyjson_obj_get((yyjson_val *)root, "command");
    printf("%-14s  ", surface->name);
    if (find(root, &program))
        tell_text(stdout, program.path);
    else
        fputs(slot ? "a slot: copy it, and give it a command" : "not found", stdout);
    putchar('\n');
}

static void add_row(struct buf *out, const struct embedded_surface *surface, const yyjson_val *root)
{
    struct surface_program program;
    buf_addf(out, "%s{\"name\":\"%s\",\"id\":\"%s\",\"path\":", out->len > 1 ? "," : "",
             surface->name, surface->id);
    if (find(root, &program))
        json_add_string(out, str_from(program.path));
    else
        buf_add_text(out, "null");
    buf_add_char(out, '}');
}

static int list(const struct invocation *invocation)
{
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    struct err err = { 0 };
    bool json = invocation->values[SURFACES_JSON];
    buf_add_char(&out, '[');
    for (size_t i = 0; i < embedded_surfaces_count; i++) {
        _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
        int r = surface_read(&embedded_surfaces[i], &doc, &err);
        if (r < 0)
            return tell_error(invocation, &err);
        if (json)
            add_row(&out, &embedded_surfaces[i], yyjson_doc_get_root(doc));
        else
            print_row(&embedded_surfaces[i], yyjson_doc_get_root(doc));
    }
    buf_add_char(&out, ']');
    if (json)
        puts(out.data);
    return EXIT_OK;
}

int run_grant_surfaces(const struct invocation *invocation)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    struct err err = { 0 };
    if (!invocation->operand_count)
        return list(invocation);
    const char *name = invocation->operands[0];
    const struct embedded_surface *surface = surface_find(str_from(name));
    int r = surface ? surface_read(surface, &doc, &err)
                    : err_set(&err, ERR_NOT_FOUND, "find a tool surface",
                              "no built-in surface is called %s; `agent-machine grant surfaces` "
                              "lists them",
                              name);
    if (r < 0)
        return tell_error(invocation, &err);
    json_add_value(&out, yyjson_doc_get_root(doc), invocation->values[SURFACES_JSON] ? 0 : 2);
    puts(out.data);
    return EXIT_OK;
}
