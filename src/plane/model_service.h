/*
 * model_service: the Model Door outside a run, as an operation.
 *
 * It is an agent_machine.execution.start whose command is this program itself:
 * delegated, gated, within a budget, and recorded as a run is. Nothing is put
 * into a sandbox, so that it leaves no LocalAgentExecution: its events say what
 * was called, and what left this machine.
 */
#ifndef AM_PLANE_MODEL_SERVICE_H
#define AM_PLANE_MODEL_SERVICE_H

#include "doors/model/door.h"
#include "plane/model_record.h"
#include "plane/plane.h"

enum service_end {
    SERVICE_ASKED,     /* by a signal */
    SERVICE_EXHAUSTED, /* its time is over, or its share of a processor */
    SERVICE_CANCELLED, /* by a command, or because authority was taken back */
    SERVICE_LOST,      /* what is asked of it cannot be known any more */
};

struct model_service {
    /* set by the caller */
    struct str profile;                /* the machine profile whose routes it serves */
    struct str token;                  /* that clients have to show */
    int listener;                      /* taken over once it serves */
    int64_t wall_seconds, cpu_seconds; /* how long, and how much of a processor, at most */
    void (*begun)(void *context, struct str operation); /* clients are answered; may be NULL */
    void *begun_context;
    /* what became of it */
    bool started;
    enum service_end end;
    enum dimension exhausted;
    char end_reason[512];     /* why others asked for its end; may be empty */
    struct model_egress left; /* prompts, this machine */

    struct model_routes routes;
    struct model_record record;
    struct model_door *door;
};

/* Plugs a service into a plane that is about to be opened; it outlives that. */
void model_service_plug(struct model_service *service, struct plane_options *options);
void model_service_release(struct model_service *service);

#endif
