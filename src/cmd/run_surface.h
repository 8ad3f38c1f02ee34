/* run_surface: a tool surface as the command of a run. */
#ifndef AM_CMD_RUN_SURFACE_H
#define AM_CMD_RUN_SURFACE_H

#include "base/arena.h"
#include "machine/facts.h"
#include "machine/surface_program.h"

struct run_surface {
    yyjson_doc *doc; /* NULL: none was opened */
    struct arena arena;
    struct surface_program program;
};

/* What a surface is opened with. */
struct run_surface_place {
    const char *state_folder;
    const yyjson_val *profile;
    const struct facts *facts;
};

bool run_surface_is(const char *word);
/*
 * Fills argv, surface and its variables into the request, and adds the mounts of its state and its
 * program to those that the request has. `words` are the surface's name and what follows it.
 */
int run_surface_open(struct run_surface *surface, const struct run_surface_place *place,
                     char **words, struct plan_request *request, struct plan_mount *mounts,
                     size_t mounts_max, struct err *err) MUST_CHECK;
void run_surface_close(struct run_surface *surface);

#endif
