/* run_refusal: the record of a run that was refused while it was planned. */
#ifndef AM_CMD_RUN_REFUSAL_H
#define AM_CMD_RUN_REFUSAL_H

#include "cmd/run_image.h"
#include "plane/plane.h"

/* What is known of the run by then. */
struct run_refusal {
    struct plane *plane;
    const yyjson_val *profile;
    const char *const *argv;                      /* NULL-terminated; may be empty */
    const char *surface;                          /* URN; may be NULL */
    const struct run_image *image;                /* NULL: none is open */
    const char *repository, *delegation, *reason; /* the last two may be NULL */
    bool alone;                                   /* a container as an operation of its own */
    struct str submitted; /* the command that somebody else wrote; empty: there is none */
};

/* The workspace of a run: the folder's name and a part of its path's digest. */
int run_workspace(const char *repository, char ret[PLANE_URN_MAX], struct err *err) MUST_CHECK;
/*
 * Leaves an operation that failed, with the rule's verdict, for `doctor why` and `doctor run`. It
 * takes no idempotency key: nothing was done, and the same command may be given again.
 */
int run_refusal_record(const struct run_refusal *refusal, const struct err *why,
                       struct err *err) MUST_CHECK;

#endif
