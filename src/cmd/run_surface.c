/*
 * run_surface: see the header.
 *
 * The tool's program and the directories in which it keeps its state are
 * mounts of the surface's, which the gate for tools decides about. Nothing of
 * the host's own state of that tool is there.
 */
#include "cmd/run_surface.h"

#include "base/file.h"
#include "base/redact.h"
#include "contract/rules.h"
#include "machine/surface.h"

#define STEP_SURFACE "open a tool surface"
/* Where the Model Door is. */
#define MODEL_DOOR "http://127.0.0.1:11434"

bool run_surface_is(const char *word)
{
    return surface_find(str_from(word)) != NULL;
}

void run_surface_close(struct run_surface *surface)
{
    yyjson_doc_free(surface->doc);
    arena_release(&surface->arena);
}

static int add_mount(struct plan_request *request, struct plan_mount *mounts, size_t mounts_max,
                     const struct plan_mount *mount, struct err *err)
{
    if (request->mount_count == mounts_max)
        return err_set(err, ERR_LIMIT, STEP_SURFACE, "there are too many mounts");
    mounts[request->mount_count++] = *mount;
    return 0;
}

/* The directories that the tool keeps from run to run. */
static int add_state(struct run_surface *surface, const struct run_surface_place *place,
                     struct plan_request *request, struct plan_mount *mounts, size_t mounts_max,
                     struct err *err)
{
    struct surface_state *states;
    size_t count;
    char folder[FACTS_PATH_SIZE + 16], resolved[FACTS_PATH_SIZE];
    _cleanup_(buf_release) struct buf profile = BUF_INIT;
    buf_add_str(&profile, text_of(member(place->profile, "id")));
    snprintf(folder, sizeof(folder), "%s/tools", place->state_folder);
    int r = file_make_folder(folder, err);
    if (r == 0)
        r = facts_resolve(folder, resolved, err);
    if (r == 0)
        r = surface_state_directories(yyjson_doc_get_root(surface->doc), resolved, profile.data,
                                      place->facts->home, &surface->arena, &states, &count, err);
    for (size_t i = 0; r == 0 && i < count; i++) {
        const struct plan_mount mount = { .host_path = states[i].host_path,
                                          .agent_path = states[i].agent_path,
                                          .semantics = MOUNT_CACHE,
                                          .of_surface = true };
        r = add_mount(request, mounts, mounts_max, &mount, err);
    }
    return r;
}

static int add_install(const char *path, struct plan_request *request, struct plan_mount *mounts,
                       size_t mounts_max, struct err *err)
{
    const struct plan_mount mount = {
        .host_path = path, .agent_path = path, .semantics = MOUNT_READ_ONLY, .of_surface = true
    };
    return add_mount(request, mounts, mounts_max, &mount, err);
}

/* A script runs inside by what it would be run by here, or not at all. */
static int add_interpreter(struct run_surface *surface, struct plan_request *request,
                           struct plan_mount *mounts, size_t mounts_max, struct err *err)
{
    const struct surface_program *program = &surface->program;
    const char *slash = strrchr(program->interpreter, '/');
    if (!program->interpreter_install[0]) {
        err_set(err, ERR_DENIED, STEP_SURFACE,
                "%s is run by %s, which lies outside of where its surface says that it is "
                "installed",
                program->resolved, program->interpreter);
        err_remedy(err, "install it there, or have PATH find another one first");
        err_rule(err, "surface-program-outside", "path", str_from(program->interpreter));
        return -EACCES;
    }
    request->search_first = arena_copy(
        &surface->arena, str_make(program->interpreter, (size_t)(slash - program->interpreter)));
    if (!request->search_first)
        return err_set(err, ERR_MEMORY, STEP_SURFACE, "there is not enough memory");
    return strcmp(program->interpreter_install, program->install) == 0
               ? 0
               : add_install(program->interpreter_install, request, mounts, mounts_max, err);
}

/* Where the program lies outside of what every view has. */
static int add_program(struct run_surface *surface, const struct run_surface_place *place,
                       struct plan_request *request, struct plan_mount *mounts, size_t mounts_max,
                       struct err *err)
{
    struct surface_program *program = &surface->program;
    const char *path = getenv("PATH");
    char cache[FACTS_PATH_SIZE + 16];
    snprintf(cache, sizeof(cache), "%s/digests", place->state_folder);
    int r = surface_program_find(yyjson_doc_get_root(surface->doc), path ? path : "",
                                 place->facts->home, program, err);
    if (r < 0)
        return r;
    if (program->is_outside) {
        err_set(err, ERR_DENIED, STEP_SURFACE,
                "%s lies outside of where its surface says that it is installed",
                program->resolved);
        err_remedy(err, "install it there, or run it from a mount: agent-machine run -- %s",
                   program->resolved);
        err_rule(err, "surface-program-outside", "path", str_from(program->resolved));
        return -EACCES;
    }
    r = surface_program_identify(yyjson_doc_get_root(surface->doc), path ? path : "", cache,
                                 SURFACE_VERSION_TIME_MS, program, err);
    if (r == 0 && program->install[0])
        r = add_install(program->install, request, mounts, mounts_max, err);
    return r < 0 || !program->interpreter[0]
               ? r
               : add_interpreter(surface, request, mounts, mounts_max, err);
}

static int note_secret(void *context, size_t index, const struct redact_match *match,
                       struct err *err)
{
    bool *safe = context;
    (void)match;
    (void)err;
    safe[index] = false;
    return 0;
}

/*
 * Which of the caller's words documents may keep: those that the surface declares safe, and in
 * which the scanner sees no secret. Where it cannot look, none.
 */
static void find_safe(const yyjson_val *surface, char *const *words, size_t count,
                      const struct str *texts, bool *ret_safe)
{
    struct redact_scanner *scanner = NULL;
    bool any = false;
    surface_safe_arguments(surface, words, count, ret_safe);
    for (size_t i = 0; i < count; i++)
        any = any || ret_safe[i];
    if (!any)
        return;
    int r = redact_scanner_new(&scanner, NULL);
    if (r == 0)
        r = redact_scan_strings(scanner, texts, count, note_secret, ret_safe, NULL);
    for (size_t i = 0; r < 0 && i < count; i++)
        ret_safe[i] = false;
    redact_scanner_free(scanner);
}

/* The surface's own words, then the caller's. */
static int join(struct run_surface *surface, const struct surface_launch *launch, char **words,
                struct plan_request *request, struct err *err)
{
    size_t given = 0;
    if (words[0] && strcmp(words[0], "--") == 0)
        words++;
    while (words[given])
        given++;
    size_t own = launch->argument_count;
    const char **argv = arena_array(&surface->arena, const char *, own + given + 1);
    bool *safe = arena_array(&surface->arena, bool, own + given + 1);
    struct str *texts = arena_array(&surface->arena, struct str, given + 1);
    if (!argv || !safe || !texts)
        return err_set(err, ERR_MEMORY, STEP_SURFACE, "there is not enough memory");
    for (size_t i = 0; i < own; i++)
        argv[i] = launch->argv[i];
    argv[0] = surface->program.resolved;
    for (size_t i = 0; i < given; i++) {
        argv[own + i] = words[i];
        texts[i] = str_from(words[i]);
    }
    find_safe(yyjson_doc_get_root(surface->doc), words, given, texts, safe + own);
    request->argv = argv;
    request->safe = safe;
    request->surface_variables = (const char *const *)launch->environment;
    return 0;
}

int run_surface_open(struct run_surface *surface, const struct run_surface_place *place,
                     char **words, struct plan_request *request, struct plan_mount *mounts,
                     size_t mounts_max, struct err *err)
{
    const struct embedded_surface *found = surface_find(str_from(words[0]));
    struct surface_launch launch;
    struct surface_values values = {
        .openai = MODEL_DOOR "/v1",
        .anthropic = MODEL_DOOR,
        .ollama = MODEL_DOOR,
        .placeholder_key = "no-model-is-bound-to-this-run",
        .home = place->facts->home,
        .host_environment = place->facts->plan.environment,
    };
    surface->arena = ARENA_INIT;
    int r = surface_read(found, &surface->doc, err);
    if (r == 0)
        r = add_program(surface, place, request, mounts, mounts_max, err);
    if (r == 0)
        r = add_state(surface, place, request, mounts, mounts_max, err);
    if (r == 0)
        r = surface_expand(yyjson_doc_get_root(surface->doc), &values, &surface->arena, &launch,
                           err);
    if (r < 0)
        return r;
    request->surface = found->id;
    return join(surface, &launch, words + 1, request, err);
}
