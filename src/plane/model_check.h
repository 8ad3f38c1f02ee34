/*
 * model_check: how the models of a machine profile stand, with hosted providers asked: an
 * operation.
 *
 * To ask a hosted provider whether it answers is to go there: it takes a delegation, the layers'
 * verdict on provider and place, and a record, as a call does; no prompt and no credential is
 * shown.
 */
#ifndef AM_PLANE_MODEL_CHECK_H
#define AM_PLANE_MODEL_CHECK_H

#include "plane/model_health.h"

struct model_check {
    /* set by the caller */
    struct str profile;  /* the machine profile whose routes are looked after */
    bool finds_services; /* of this machine, at their usual ports */
    /* what became of it */
    struct model_routes routes;
    struct model_health *health; /* of each route */
    struct model_services services;
};

/* Plugs it into a plane that is about to be opened; it outlives that. */
void model_check_plug(struct model_check *check, struct plane_options *options);
void model_check_release(struct model_check *check);

#endif
