/*
 * handover: what a sandbox that was spawned ahead of its plan is told of it.
 *
 * The memory is made before the sandbox is spawned and seen by both. The
 * supervisor copies into it whatever the sandbox reads: the plan, the places
 * of layers, what is hidden, what the probes look for. The sandbox takes it
 * once, as memory of its own: nothing is shared from then on.
 */
#ifndef AM_MACHINE_LINUX_HANDOVER_H
#define AM_MACHINE_LINUX_HANDOVER_H

#include "machine/linux/sandbox.h"

int handover_new(struct handover **ret, struct err *err) MUST_CHECK;
/* The caller's part of the memory alone; NULL is nothing. */
void handover_free(struct handover *handover);

/* Copies; false where it is more than fits. Once for each handover. */
bool handover_write(struct handover *handover, const struct sandbox *sandbox) MUST_CHECK;
/*
 * Sends the word, with the descriptors; `control` is the supervisor's end. A
 * sandbox that is gone is no error: it has said why.
 */
int handover_send(struct handover *handover, int control, struct err *err) MUST_CHECK;

/* In the sandbox: waits for it, and fills in what was not known. Does not allocate. */
int handover_take(struct sandbox *sandbox, struct err *err) MUST_CHECK;

/*
 * The same for a program that this process executes: a memory file with all that a struct sandbox
 * leads to, which that program reads at the start of its main. Descriptors go their own way.
 * Neither allocates.
 */
int handover_write_file(const struct sandbox *sandbox, int *ret_fd, struct err *err) MUST_CHECK;
int handover_read_file(int fd, struct sandbox *ret, struct err *err) MUST_CHECK;

#endif
