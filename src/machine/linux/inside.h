/*
 * inside: the last steps of a sandbox's process, and its life with the command.
 *
 * They need no path of the host, and are the same whoever has built what stands
 * around them: sandbox.c, or an OCI runtime (container.h).
 */
#ifndef AM_MACHINE_LINUX_INSIDE_H
#define AM_MACHINE_LINUX_INSIDE_H

#include "machine/linux/sandbox.h"

#define STEP_SPAWN      "spawn the sandbox"
#define INSIDE_KEPT_MAX (2 * PLAN_MOUNTS_MAX + LIMITS_GROUPS_MAX + 2)

/* What a tier has that others have not; NULL: nothing. */
struct inside_tier {
    int (*fence_command)(struct sandbox *sandbox, struct err *err); /* in the command's process */
};

/* Closes all descriptors but these, the standard ones and the sandbox's own. */
void inside_close_all_but(const struct sandbox *sandbox, const int *kept, size_t kept_count);
/* Blocks every signal: who lives inside waits for SIGCHLD with all else. */
void inside_hear_of_children(void);

int inside_go_to_directory(struct sandbox *sandbox, struct err *err) MUST_CHECK;
/* One of the sandbox's own; the supervisor gets its other end. */
int inside_open_terminal(struct sandbox *sandbox, struct err *err) MUST_CHECK;
/* No new privileges, nobody looks in; and the supervisor is there still. */
int inside_bind_life(struct sandbox *sandbox, struct err *err) MUST_CHECK;
int inside_restrict_use(struct sandbox *sandbox, struct err *err) MUST_CHECK;
int inside_restrict_files(struct sandbox *sandbox, struct err *err) MUST_CHECK;
int inside_drop_capabilities(struct sandbox *sandbox, struct err *err) MUST_CHECK;
int inside_restrict_calls(struct sandbox *sandbox, struct err *err) MUST_CHECK;

/* Tries the probes, makes the command's process, and stays to its end; what it exits with. */
int inside_live(struct sandbox *sandbox, const struct inside_tier *tier) MUST_CHECK;

/* Says why there is no sandbox. */
void sandbox_tell_failure(int control, const struct err *err);

#endif
