/*
 * registry_surfaces: the tool surfaces that are built in, and the programs that they name.
 *
 * Theory of operation. A surface's document came with this program, so that its
 * receipt is there; the document is held against its schema all the same. Its
 * program is found as a launch finds it, and never run; its bytes are held
 * against the digest that the last launch kept of that file. A surface whose
 * program is not on this host is no fault of the host, since nobody has all of
 * these tools: it is told only to who asks for it. Another root has no surfaces.
 */
#include "base/json.h"
#include "base/place.h"
#include "contract/catalogue.h"
#include "contract/explain.h"
#include "doctor/dpkg.h"
#include "doctor/registry_internal.h"
#include "machine/surface.h"
#include "machine/surface_program.h"

#define SURFACE_REF   "surface:"
#define SURFACE_TYPE  "AgentToolSurface"
#define USUAL_PATH    "/usr/local/bin:/usr/bin:/bin"
#define DIGEST_FOLDER "digests" /* of the state's folder */

struct surfaces {
    struct registry *registry;
    struct catalogue *catalogue;
    const struct program *program; /* of the schema */
    const char *path, *home, *digests;
};

static void tell_program(struct surfaces *surfaces, struct registry_component *component,
                         const struct embedded_surface *surface, struct surface_program *program)
{
    struct registry *registry = surfaces->registry;
    const char *ref = registry_text(registry, "file:%s", program->resolved);
    enum surface_program_state state = SURFACE_PROGRAM_NEW;
    struct err why = { 0 };
    struct record_fault unreadable = { "PROGRAM_UNREADABLE", "The tool is not run.", NULL };
    const struct record_fault changed = {
        "PROGRAM_CHANGED", "A grant that pins the program no longer holds for it.",
        registry_text(registry,
                      "If you updated it, nothing: the next run looks at it anew. If not, install "
                      "%s again, and find out who changed it",
                      surface->name)
    };
    int r = surface_program_compare(program, surfaces->digests, &state, &why);
    unreadable.remedy = registry_text(registry, "See who may read it: %s", why.cause);
    registry_add(registry, component, RECORD_LAUNCH,
                 r < 0                              ? RECORD_UNKNOWN
                 : state == SURFACE_PROGRAM_CHANGED ? RECORD_STALE
                                                    : RECORD_PRESENT,
                 ref, r < 0 ? &unreadable : &changed);
}

static void tell_missing(struct registry *registry, struct registry_component *component,
                         const struct embedded_surface *surface, const char *command)
{
    const struct record_fault fault = {
        "PROGRAM_MISSING",
        registry_text(registry, "agent-machine run %s does not start.", surface->name),
        registry_text(registry,
                      "Install %s, or name its directory in a surface of your own: agent-machine "
                      "grant surfaces %s",
                      command, surface->name)
    };
    registry_add(registry, component, RECORD_LAUNCH, RECORD_MISSING,
                 registry_text(registry, "program:%s", command), &fault);
}

/* The document, and whether it can be used. */
static bool tell_document(struct surfaces *surfaces, struct registry_component *component,
                          const struct embedded_surface *surface, const yyjson_val *root,
                          struct err *why)
{
    struct registry *registry = surfaces->registry;
    bool is_valid =
        root && explain_check(surfaces->program, root, SURFACE_TYPE, STEP_REGISTRY, why) == 0;
    const struct record_fault fault = { "MANIFEST_UNREADABLE", "The tool is not run.",
                                        registry_text(registry, "Install agent-machine again: %s",
                                                      why->cause) };
    registry_add(registry, component, RECORD_MANIFEST, is_valid ? RECORD_PRESENT : RECORD_INVALID,
                 surface->id, &fault);
    return is_valid;
}

static int look_at(struct surfaces *surfaces, const struct embedded_surface *surface,
                   struct err *err)
{
    struct registry *registry = surfaces->registry;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct surface_program program;
    struct err why = { 0 };
    const char *ref = registry_text(registry, SURFACE_REF "%s", surface->name);
    const struct registry_component asked = { .ref = ref };
    const yyjson_val *root =
        surface_read(surface, &doc, &why) < 0 ? NULL : yyjson_doc_get_root(doc);
    const char *command =
        yyjson_get_str(yyjson_arr_get_first(yyjson_obj_get((yyjson_val *)root, "command")));
    bool has_program =
        command && surface_program_find(root, surfaces->path, surfaces->home, &program, NULL) == 0;
    if (command && !has_program &&
        (!registry->options->component || !registry_chooses(registry, &asked)))
        return 0;
    struct registry_component *component = registry_component(
        registry, ref, registry_text(registry, "agent-machine " AM_VERSION " %s", surface->name));
    if (!component)
        return 0;
    component->receipt = RECORD_PRESENT;
    if (tell_document(surfaces, component, surface, root, &why) && has_program)
        tell_program(surfaces, component, surface, &program);
    else if (root && command && !has_program)
        tell_missing(registry, component, surface, command);
    return digest_text(str_make(surface->text, surface->len), component->manifest_digest, err);
}

int registry_surfaces(struct registry *registry, struct err *err)
{
    const struct compile_options compile = { 0 };
    const char *path = getenv("PATH"), *home = getenv("HOME");
    char state[PLACE_SIZE], digests[PLACE_SIZE + sizeof(DIGEST_FOLDER) + 1];
    struct surfaces surfaces = { .registry = registry,
                                 .path = path ? path : USUAL_PATH,
                                 .home = home ? home : "/" };
    if (dpkg_root()[0])
        return 0;
    if (place_state(state, sizeof(state), NULL) == 0) {
        snprintf(digests, sizeof(digests), "%s/" DIGEST_FOLDER, state);
        surfaces.digests = digests;
    }
    int r = catalogue_new(&compile, &surfaces.catalogue, err);
    if (r == 0)
        r = catalogue_program(surfaces.catalogue, catalogue_find(STR(SURFACE_TYPE)),
                              &surfaces.program, err);
    for (size_t i = 0; r == 0 && i < embedded_surfaces_count; i++)
        r = look_at(&surfaces, &embedded_surfaces[i], err);
    catalogue_free(surfaces.catalogue);
    return r;
}
