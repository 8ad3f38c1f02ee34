/*
 * surface: a tool surface as a launch needs it.
 *
 * The built-in AgentToolSurface documents lie in surfaces/ and are in the binary; any other one
 * that its schema and rules have accepted can be used the same way. A surface only says how a tool
 * is run. Whether it may be is asked of the plane.
 */
#ifndef AM_MACHINE_SURFACE_H
#define AM_MACHINE_SURFACE_H

#include <yyjson.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define SURFACE_ARGUMENTS_MAX   400
#define SURFACE_ENVIRONMENT_MAX 200 /* as the schema has it */
#define SURFACE_VALUE_MAX       ((size_t)64 << 10)

/* Made at build time, by tools/embed_surfaces.py. */
struct embedded_surface {
    const char *name; /* the word on the command line */
    const char *id;
    const char *text;
    size_t len;
};
extern const struct embedded_surface embedded_surfaces[];
extern const size_t embedded_surfaces_count;

/* NULL where no built-in surface has that name or that URN. */
const struct embedded_surface *surface_find(struct str name_or_id);
/* Reads a built-in one; free with yyjson_doc_free. */
int surface_read(const struct embedded_surface *surface, yyjson_doc **ret,
                 struct err *err) MUST_CHECK;

/* --- what a launch takes from a document (its root) ---------------------------------------- */

/* What the references in an environment stand for; NULL where there is none of it. */
struct surface_values {
    const char *openai, *anthropic, *ollama; /* the Model Door's addresses inside */
    const char *placeholder_key;
    const char *home;                    /* the agent's */
    const char *const *host_environment; /* NULL-terminated, "NAME=VALUE" */
};

struct surface_launch {
    char **argv;        /* command, what switches its own sandbox off; NULL-terminated */
    char **environment; /* "NAME=VALUE", NULL-terminated; what refers to nothing is left out */
    size_t argument_count;
};

/*
 * Everything is allocated in the arena. ERR_UNSUPPORTED for a slot without a command, or where the
 * command names a variable that has no value (a tool that needs a model, without a Model Door);
 * ERR_LIMIT, ERR_MEMORY.
 */
int surface_expand(const yyjson_val *surface, const struct surface_values *values,
                   struct arena *arena, struct surface_launch *ret, struct err *err) MUST_CHECK;

/*
 * Says of each argument (those of the caller, without the command) whether its text may be kept.
 * Of an argument that is not safe, documents keep digest and length.
 */
void surface_safe_arguments(const yyjson_val *surface, char *const *arguments, size_t count,
                            bool *ret_safe);

/* A directory that the tool keeps from run to run. */
struct surface_state {
    const char *host_path;  /* below the folder given, by profile, surface and name */
    const char *agent_path; /* in the agent's home */
};
/*
 * The state directories of a surface for one profile; nothing is made. `folder` is where the
 * program keeps them all, `profile` the profile's id.
 */
int surface_state_directories(const yyjson_val *surface, const char *folder, const char *profile,
                              const char *home, struct arena *arena, struct surface_state **ret,
                              size_t *ret_count, struct err *err) MUST_CHECK;

/* "none", "off-by-default", "switched-off"; NULL where the document says nothing. */
const char *surface_own_sandbox(const yyjson_val *surface);

#endif
