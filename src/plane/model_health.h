/*
 * model_health: how the models of a machine profile stand at this moment, and which servers of
 * models this machine has.
 *
 * Servers on loopback are asked for their lists; a hosted provider only within an
 * operation, where it is permitted as a call would be, and then without a credential.
 */
#ifndef AM_PLANE_MODEL_HEALTH_H
#define AM_PLANE_MODEL_HEALTH_H

#include "carry/local_service.h"
#include "plane/model_routes.h"

#define MODEL_STATE_TABLE(X)                                                                       \
    X(MODEL_LOCAL, "local")              /* a server of this machine has it */                     \
    X(MODEL_ONLINE, "online")            /* a hosted provider answers */                           \
    X(MODEL_FALLBACK, "cached fallback") /* what stands in for it is on this machine */            \
    X(MODEL_UNASKED, "not asked")        /* hosted, and permitted as far as is known */            \
    X(MODEL_UNAVAILABLE, "unavailable")                                                            \
    X(MODEL_REFUSED, "refused by policy")

enum model_state {
#define X(state, name) state,
    MODEL_STATE_TABLE(X)
#undef X
        MODEL_STATE_COUNT
};
const char *model_state_name(enum model_state state);

struct model_health {
    enum model_state state;
    char why[512]; /* in a sentence, with what would help; empty where it is well */
};

struct model_record;
/* Of each route. Hosted providers are asked only where `record`, which may be NULL, permits it. */
int model_health_read(struct plane *plane, const struct model_routes *routes,
                      struct model_record *record, struct model_health *ret,
                      struct err *err) MUST_CHECK;

/* A server that answers at its usual port. */
struct model_service_found {
    const struct local_service *of;
    struct local_models models;
};
struct model_services {
    struct model_service_found *services;
    size_t count;
};
int model_services_read(struct model_services *ret, struct err *err) MUST_CHECK;
void model_services_release(struct model_services *services);

#endif
