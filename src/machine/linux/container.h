/*
 * container: a sandbox that an OCI runtime builds around an image.
 *
 * The first process stays outside of the container: it has made the network,
 * the writable tree of the image and the mounts, gives the runtime a bundle,
 * and reaps. The container's first process is a program of ours
 * (container_init.c), which goes on with the steps of inside.h.
 */
#ifndef AM_MACHINE_LINUX_CONTAINER_H
#define AM_MACHINE_LINUX_CONTAINER_H

#include "machine/linux/sandbox.h"

/* Where all of it stands, in the first process's own mount namespace. */
#define CONTAINER_PLACE  "/sys"
#define CONTAINER_ROOT   CONTAINER_PLACE "/root"
#define CONTAINER_MOUNTS CONTAINER_PLACE "/mounts" /* by the plan's index */
#define CONTAINER_NAME   "agent-machine"
/* In the container. */
#define CONTAINER_TOLD "/run/agent-machine"
#define CONTAINER_INIT CONTAINER_TOLD "/init"

/* The descriptors with which the container's first process begins. */
enum container_descriptor {
    CONTAINER_CONTROL = 3,
    CONTAINER_HANDOVER,
    CONTAINER_STDIN,
    CONTAINER_STDOUT,
    CONTAINER_STDERR,
    CONTAINER_SCRATCH,
    CONTAINER_DESCRIPTORS,
};

/* --- steps of the first process -------------------------------------------------------------- */

/* What can be written, and on it the image's tree. */
int container_open(struct sandbox *sandbox, struct err *err) MUST_CHECK;
/* In the image's /etc: where names are asked for, and who the command is. */
int container_etc(struct sandbox *sandbox, struct err *err) MUST_CHECK;
/* Has the runtime make the container and start its first process. */
int container_begin(struct sandbox *sandbox, struct err *err) MUST_CHECK;
/* From then on: reaps until nothing is left. What the process exits with. */
int container_attend(struct sandbox *sandbox) MUST_CHECK;

/* The container's first program, a static one. */
extern const unsigned char container_init_program[], container_init_program_end[];

#endif
