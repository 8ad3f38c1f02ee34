/*
 * execution: agent_machine.execution.start, carried out by the machine.
 *
 * The caller has begun a launch; the plane calls execution_prepare when the
 * run is authorised, which waits for the sandbox and adds its fingerprint to
 * the batch that makes the run durable, and execution_start when it is, which
 * starts the command, stays with it, and writes down what it was.
 */
#ifndef AM_PLANE_EXECUTION_H
#define AM_PLANE_EXECUTION_H

#include "doors/model/door.h"
#include "machine/evidence.h"
#include "plane/model_record.h"
#include "plane/network_record.h"
#include "plane/plane.h"

struct execution {
    /* set by the caller */
    struct launch *launch;
    const struct plan *plan;
    const char *directory;    /* where the caller stands */
    bool alone;               /* a container that is an operation of its own */
    bool discard;             /* what it changes is thrown away when it has ended */
    const char *command_path; /* of the program, where it was found; NULL: unknown */
    const char *digests_folder;
    char profile_digest[DIGEST_TEXT_SIZE];
    struct trace *trace;
    const struct publish_port *ports; /* of this machine that lead inside */
    size_t port_count;
    /* Who sits at the run's terminal, and is asked there; NULL: nobody does. */
    const struct run_questions *questions;
    bool (*offer)(void *context, const char *card); /* as of network_record */
    void *offer_context;
    void (*begun)(void *context, struct str operation); /* the command runs; may be NULL */
    void *begun_context;
    /* what became of it */
    bool report_taken, started;
    bool revoked;         /* what it ran under was taken back */
    char end_reason[512]; /* why others asked for its end; may be empty */
    struct launch_report report;
    struct run_result result;
    struct amounts used;
    char fingerprint[PLANE_URN_MAX], record[PLANE_URN_MAX], container[PLANE_URN_MAX];
    char fingerprint_digest[DIGEST_TEXT_SIZE];
    char plan_digest[DIGEST_TEXT_SIZE];
    char command_digest[DIGEST_TEXT_SIZE]; /* as it was before anything ran */
    char own_digest[DIGEST_TEXT_SIZE];     /* of this program */
    struct git_state repository;
    char git_host[GIT_HOST_SIZE]; /* where it would be pushed to */
    bool in_repository;
    size_t changed[CHANGE_TYPE_COUNT];            /* files, in all staged mounts */
    struct launch_copied copied[PLAN_MOUNTS_MAX]; /* without files: an overlay was made */
    struct written written[PLAN_MOUNTS_MAX];      /* of mounts that it wrote to directly */
    struct buf written_mounts;     /* of LocalAgentExecution; empty: there were none */
    struct buf change_set;         /* of LocalAgentExecution; empty: nothing changed */
    struct network_record network; /* of what the network door decided */
    struct network_door *door;     /* NULL: there was none */
    struct model_routes routes;
    struct model_record models;    /* of the Model Door's calls */
    struct model_door *model_door; /* NULL: there was none */
};

/* Plugs an execution into a plane that is about to be opened. */
void execution_plug(struct execution *execution, struct plane_options *options);
void execution_release(struct execution *execution);

#endif
