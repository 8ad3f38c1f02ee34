/*
 * model_routes: the routes of a machine profile, as the Model Door takes them.
 */
#ifndef AM_PLANE_MODEL_ROUTES_H
#define AM_PLANE_MODEL_ROUTES_H

#include "base/arena.h"
#include "plane/model_binding.h"

/* What a route was made of. */
struct model_origin {
    yyjson_doc *doc; /* of the binding */
    const yyjson_val *binding;
    struct model_document provider; /* root NULL: it cannot be read, and the route is refused */
    struct model_provider facts;
    char host[HOST_NAME_BYTES_MAX + 1]; /* where it answers; empty where the route is refused */
    uint16_t port;
};

struct model_routes {
    struct model_route *routes; /* for the door */
    struct model_origin *origins;
    size_t count;
    struct model_document profile;
    int64_t revision; /* of what is bound to the profile */
    struct arena arena;
};

/*
 * Of what is bound to a profile now; a binding that cannot be used is a route that says why. Of a
 * profile without bindings there are none, and nothing but that look-up is done. The policy of the
 * subject outlives the routes.
 */
int model_routes_read(struct plane *plane, struct str subject, struct str profile,
                      struct model_routes *ret, struct err *err) MUST_CHECK;
void model_routes_release(struct model_routes *routes);

#endif
