/* run_image: the image that a run's options or its profile name. */
#ifndef AM_CMD_RUN_IMAGE_H
#define AM_CMD_RUN_IMAGE_H

#include "base/buf.h"
#include "machine/plan.h"

struct run_image {
    bool is_open;
    struct image_name name;
    struct image image;
    struct oci_runtime_found runtime;
};

struct run_image_place {
    const char *state_folder, *digests_folder;
    const char *runtime; /* that the command asks for; NULL: the profile's */
    const yyjson_val *profile;
};

/*
 * Opens what the option names, or else the profile, and enters it and the OCI
 * runtime in the request; nothing where neither names any. What is in a registry
 * is brought by `fetch`.
 */
int run_image_open(struct run_image *image, const char *option, const struct run_image_place *place,
                   image_fetch *fetch, void *context, struct plan_request *request,
                   struct err *err) MUST_CHECK;
/* Appends an image as a document has it in the form in which it is written on the command line. */
int run_image_name(const yyjson_val *image, struct buf *ret, struct err *err) MUST_CHECK;
/* As the command names it: with a digest where that pins it. */
void run_image_write(const struct run_image *image, struct buf *ret);
void run_image_release(struct run_image *image);

#endif
