/* registry_internal: what the sources of the registry share. */
#ifndef AM_DOCTOR_REGISTRY_INTERNAL_H
#define AM_DOCTOR_REGISTRY_INTERNAL_H

#include "authority/layers.h"
#include "base/arena.h"
#include "base/map.h"
#include "doctor/registry.h"

#define STEP_REGISTRY "look at the registries"

struct registry {
    const struct registry_options *options;
    struct arena arena;
    struct registry_component *components;
    size_t count, capacity;
    struct registry_file *files;
    size_t file_count, file_capacity;
    struct map owners; /* path of a manifest → component */
    struct map by_ref; /* reference → component */
    struct registry_progress total;
    bool no_memory;
    bool is_full; /* a limit was met */
};

/* A source of components. */
typedef int registry_source(struct registry *registry, struct err *err);
registry_source registry_dpkg, registry_entries, registry_mime, registry_node, registry_own,
    registry_surfaces;

/* Where a folder lies: below the root, or in this user's home. */
enum registry_base { BASE_ROOT, BASE_DATA, BASE_CONFIG, BASE_HOME };
#define REGISTRY_FOLDER_FILES_MAX 20000

/* PATH_MAX bytes. False where there is no such place: another root has no homes. */
bool registry_place(enum registry_base base, const char *path, char *ret);
/* A file's path as the system has it, without another root. */
const char *registry_name(const char *path);

/* The component with this reference, made where it is new; NULL without memory or past the limit.
 */
struct registry_component *registry_component(struct registry *registry, const char *ref,
                                              const char *identity);
/* Whether a component is asked for: by its reference, the name behind the colon, or its file. */
bool registry_chooses(struct registry *registry, const struct registry_component *component);
/* Adds a record; texts are copied. What is missing of memory is remembered in the registry. */
struct record_fault {
    const char *code, *impact, *remedy;
};
void registry_add(struct registry *registry, struct registry_component *component,
                  enum record_kind kind, enum record_state state, const char *ref,
                  const struct record_fault *fault);
/* Adds what the layers' documents, and those of a ledger, refer to of the carry family. */
int registry_carry(struct registry *registry, struct registry_component *own,
                   const struct layers *layers, const char *ledger_folder,
                   struct err *err) MUST_CHECK;
/*
 * The component of a file by which a program registers itself, and that it is there or how it is
 * broken. One that nobody brought is told only where something is wrong with it.
 */
void registry_tell_file(struct registry *registry, const char *path, enum record_kind kind,
                        enum record_state state, const struct record_fault *fault);
/* A text that lasts as long as the registry. */
const char *registry_text(struct registry *registry, const char *format, ...) PRINTF_LIKE(2, 3);
/* The component to which a file belongs by its package's list; NULL where it belongs to none. */
struct registry_component *registry_owner(struct registry *registry, const char *path);
/* Notes whose a file is. */
void registry_own_path(struct registry *registry, struct str path, size_t component);
/* /lib and /usr/lib are one folder, and so are the others that were merged. */
const char *registry_one_name(struct registry *registry, struct str path);

#endif
