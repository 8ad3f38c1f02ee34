/* plan_internal: what the files of a plan say to one another while it is made. */
#ifndef AM_MACHINE_PLAN_INTERNAL_H
#define AM_MACHINE_PLAN_INTERNAL_H

#include "base/arena.h"
#include "machine/plan.h"

#define STEP_PLAN "plan a launch"

/* The plan and the memory it lives in. */
struct planning {
    struct plan plan; /* first: what callers hold */
    struct arena arena;
};

struct plan_context {
    struct planning *planning;
    const struct plan_facts *facts;
    const struct plan_request *request;
    struct plan_mount *mounts;
    struct plan_image *image; /* the plan's, while it is made */
};

int plan_no_memory(struct err *err);
/* Into the plan's arena; NULL without memory. */
const char *plan_copy(struct plan_context *context, struct str text);
int plan_copy_list(struct plan_context *context, const char *const *list, size_t count_max,
                   char *const **ret, struct err *err) MUST_CHECK;

/* Those of the request and the repository's (plan_mounts.c); each is judged by its rules. */
int plan_add_mounts(struct plan_context *context, struct err *err) MUST_CHECK;

/* plan_image.c: the image, if there is one, and what of its settings takes effect. */
int plan_add_image(struct plan_context *context, struct err *err) MUST_CHECK;
int plan_image_identity(struct plan_context *context, struct err *err) MUST_CHECK;
/* The image's program and arguments with the request's, NULL-terminated. */
int plan_image_command(struct plan_context *context, char *const **ret, struct err *err) MUST_CHECK;
/* Where the image starts its command; NULL: it does not say, or not where that can be. */
const char *plan_image_directory(struct plan_context *context);

#endif
