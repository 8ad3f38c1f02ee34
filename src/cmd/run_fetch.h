/*
 * run_fetch: an image of a registry, fetched by a run of its own.
 *
 * skopeo runs in a sandbox like any command: whatever it connects to is asked of
 * the layers and on record, and it sees neither the repository nor the caller's
 * credentials.
 */
#ifndef AM_CMD_RUN_FETCH_H
#define AM_CMD_RUN_FETCH_H

#include "cmd/run_mounts.h"
#include "machine/facts.h"
#include "machine/image.h"
#include "plane/plane.h"

struct run_fetch {
    char from[IMAGE_REFERENCE_MAX + 32 + DIGEST_TEXT_SIZE], folder[FACTS_PATH_SIZE];
    const char *argv[10];
};

/* Makes skopeo the command of a run, which has an empty folder and nothing else of the host. */
int run_fetch_plan(struct run_fetch *fetch, const char *image, const char *folder,
                   struct plan_request *request, struct run_mounts *mounts,
                   struct err *err) MUST_CHECK;

/* As what a run fetches what it wants. */
struct run_fetch_by {
    const char *image, *profile, *delegation; /* as the run was told; may be NULL */
    const struct plane_choice *choices;
    size_t choice_count;
};
/* An image_fetch, whose context is a struct run_fetch_by. */
int run_fetch(void *context, const struct image_name *name, const char *folder, struct err *err);

#endif
