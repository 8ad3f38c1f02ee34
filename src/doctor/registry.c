/*
 * registry: see the header.
 *
 * Theory of operation. Sources are rows: each adds components and records.
 * Packages come first, so that what the others find has an owner. Then the
 * verdict follows from the records alone: what is not what it claims to be
 * weighs more than what is not there, that more than what is held apart, and
 * that more than what is only less.
 */
#include "doctor/registry_internal.h"

#define REGISTRY_NAME(name, text) [name] = text,
const char *const record_state_names[RECORD_STATE_COUNT] = { RECORD_STATE_TABLE(REGISTRY_NAME) };
const char *const record_kind_names[RECORD_KIND_COUNT] = { RECORD_KIND_TABLE(REGISTRY_NAME) };
const char *const registry_verdict_names[REGISTRY_VERDICT_COUNT] = { REGISTRY_VERDICT_TABLE(
    REGISTRY_NAME) };
#undef REGISTRY_NAME

static registry_source *const sources[] = { registry_dpkg, registry_entries, registry_mime,
                                            registry_node, registry_own,     registry_surfaces };

/* --- components and records ----------------------------------------------------------------- */

const char *registry_text(struct registry *registry, const char *format, ...)
{
    char text[REGISTRY_REF_MAX + 1];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    const char *copy = arena_copy(&registry->arena, str_from(text));
    registry->no_memory |= !copy;
    return copy ? copy : "";
}

struct registry_component *registry_component(struct registry *registry, const char *ref,
                                              const char *identity)
{
    uint32_t known;
    if (map_get(&registry->by_ref, str_from(ref), &known))
        return &registry->components[known];
    if (registry->count == REGISTRY_COMPONENTS_MAX) {
        registry->is_full = true;
        return NULL;
    }
    if (registry->count == registry->capacity) {
        size_t larger = registry->capacity ? registry->capacity * 2 : 1024;
        struct registry_component *components =
            realloc(registry->components, larger * sizeof(*components));
        if (!components) {
            registry->no_memory = true;
            return NULL;
        }
        registry->components = components;
        registry->capacity = larger;
    }
    struct registry_component *component = &registry->components[registry->count];
    *component = (struct registry_component){ .ref = registry_text(registry, "%s", ref),
                                              .identity = registry_text(registry, "%s", identity),
                                              .receipt = RECORD_UNKNOWN };
    if (map_put(&registry->by_ref, str_from(component->ref), (uint32_t)registry->count) < 0)
        registry->no_memory = true;
    registry->count++;
    return component;
}

static bool registry_wants(const struct registry *registry, const char *ref)
{
    const char *wanted = registry->options->component, *colon = strchr(ref, ':');
    return !wanted || strcmp(wanted, ref) == 0 || (colon && strcmp(wanted, colon + 1) == 0);
}

void registry_add(struct registry *registry, struct registry_component *component,
                  enum record_kind kind, enum record_state state, const char *ref,
                  const struct record_fault *fault)
{
    if (!component)
        return;
    if (component->count == REGISTRY_RECORDS_MAX) {
        component->left_out++;
        return;
    }
    if (component->count == component->capacity) {
        size_t larger = component->capacity ? component->capacity * 2 : 8;
        struct registry_record *records = realloc(component->records, larger * sizeof(*records));
        if (!records) {
            registry->no_memory = true;
            return;
        }
        component->records = records;
        component->capacity = larger;
    }
    struct registry_record *record = &component->records[component->count++];
    *record = (struct registry_record){ .kind = kind, .state = state };
    record->ref = registry_text(registry, "%s", ref);
    if (state == RECORD_PRESENT)
        return;
    record->code = registry_text(registry, "%s", fault->code);
    record->impact = registry_text(registry, "%s", fault->impact);
    record->remedy = registry_text(registry, "%s", fault->remedy);
}

/* --- whose a file is ------------------------------------------------------------------------ */

const char *registry_one_name(struct registry *registry, struct str path)
{
    static const char *const merged[] = { "/lib/", "/bin/", "/sbin/" };
    for (size_t i = 0; i < ARRAY_LEN(merged); i++)
        if (str_starts(path, str_from(merged[i])))
            return registry_text(registry, "/usr%.*s", STR_ARG(path));
    return registry_text(registry, "%.*s", STR_ARG(path));
}

void registry_own_path(struct registry *registry, struct str path, size_t component)
{
    int r = map_put(&registry->owners, str_from(registry_one_name(registry, path)),
                    (uint32_t)component);
    registry->no_memory |= r == -ENOMEM;
}

struct registry_component *registry_owner(struct registry *registry, const char *path)
{
    uint32_t component;
    const char *name = registry_one_name(registry, str_from(path));
    return map_get(&registry->owners, str_from(name), &component) ? &registry->components[component]
                                                                  : NULL;
}

/* --- verdicts ------------------------------------------------------------------------------- */

/* By what of a component is how; receipts and manifests weigh more than what it registers. */
static enum registry_verdict weigh(const struct registry_record *record)
{
    bool is_own = record->kind == RECORD_RECEIPT || record->kind == RECORD_MANIFEST;
    switch (record->state) {
    case RECORD_PRESENT:
        return REGISTRY_VALID;
    case RECORD_MISSING:
        return is_own ? REGISTRY_MISSING : REGISTRY_DEGRADED;
    case RECORD_INVALID:
        return is_own ? REGISTRY_INVALID : REGISTRY_DEGRADED;
    case RECORD_QUARANTINED:
        return REGISTRY_QUARANTINED;
    case RECORD_STALE:
    case RECORD_UNKNOWN:
    case RECORD_STATE_COUNT:
        break;
    }
    return REGISTRY_DEGRADED;
}

static void judge(struct registry_component *component)
{
    static const int weights[REGISTRY_VERDICT_COUNT] = {
        [REGISTRY_VALID] = 0,   [REGISTRY_DEGRADED] = 1, [REGISTRY_QUARANTINED] = 2,
        [REGISTRY_MISSING] = 3, [REGISTRY_INVALID] = 4,
    };
    component->verdict = component->receipt == RECORD_PRESENT ? REGISTRY_VALID : REGISTRY_DEGRADED;
    component->remedy = "Nothing to do.";
    if (component->receipt == RECORD_UNKNOWN)
        component->remedy = "Nothing to do: it came without a package, and nobody vouches for it.";
    for (size_t i = 0; i < component->count; i++) {
        const struct registry_record *record = &component->records[i];
        enum registry_verdict verdict = weigh(record);
        bool is_first = record->remedy && strncmp(component->remedy, "Nothing", 7) == 0;
        if (weights[verdict] > weights[component->verdict] || is_first) {
            if (weights[verdict] > weights[component->verdict])
                component->verdict = verdict;
            component->remedy = record->remedy;
        }
    }
}

/* --- all of it ------------------------------------------------------------------------------ */

bool registry_chooses(struct registry *registry, const struct registry_component *component)
{
    const char *wanted = registry->options->component;
    if (!wanted || wanted[0] != '/')
        return registry_wants(registry, component->ref);
    const struct registry_component *owner = registry_owner(registry, wanted);
    return owner && strcmp(owner->ref, component->ref) == 0;
}

/* Leaves only what is asked for; owners are told by index, so that all are asked first. */
static void choose(struct registry *registry)
{
    size_t kept = 0;
    for (size_t i = 0; i < registry->count; i++)
        registry->components[i].is_chosen = registry_chooses(registry, &registry->components[i]);
    for (size_t i = 0; i < registry->count; i++) {
        if (registry->components[i].is_chosen)
            registry->components[kept++] = registry->components[i];
        else
            free(registry->components[i].records);
    }
    registry->count = kept;
}

int registry_read(const struct registry_options *options, struct registry **ret, struct err *err)
{
    _cleanup_(cleanup_registry) struct registry *registry = calloc(1, sizeof(*registry));
    int r = registry ? 0 : err_set(err, ERR_MEMORY, STEP_REGISTRY, "there is not enough memory");
    if (r < 0)
        return r;
    registry->options = options;
    for (size_t i = 0; i < ARRAY_LEN(sources) && r == 0; i++)
        r = sources[i](registry, err);
    if (r == 0 && registry->no_memory)
        r = err_set(err, ERR_MEMORY, STEP_REGISTRY, "there is not enough memory");
    if (r == 0 && registry->is_full)
        r = err_set(err, ERR_LIMIT, STEP_REGISTRY,
                    "there are more than %d components, or a folder has too many files",
                    REGISTRY_COMPONENTS_MAX);
    if (r < 0)
        return r;
    choose(registry);
    if (options->component && registry->count == 0)
        return err_set(err, ERR_NOT_FOUND, STEP_REGISTRY,
                       "no registry here knows %s; it may be a package's name, deb:NAME, npm:NAME, "
                       "surface:NAME, or a file",
                       options->component);
    for (size_t i = 0; i < registry->count; i++)
        judge(&registry->components[i]);
    *ret = TAKE_PTR(registry);
    return 0;
}

void registry_free(struct registry *registry)
{
    if (!registry)
        return;
    for (size_t i = 0; i < registry->count; i++)
        free(registry->components[i].records);
    free(registry->components);
    free(registry->files);
    map_release(&registry->owners);
    map_release(&registry->by_ref);
    arena_release(&registry->arena);
    free(registry);
}

size_t registry_count(const struct registry *registry)
{
    return registry->count;
}

const struct registry_component *registry_at(const struct registry *registry, size_t index)
{
    return &registry->components[index];
}

struct registry_progress registry_total(const struct registry *registry)
{
    return registry->total;
}
