/* workspace_mount: an AgentWorkspaceMount as the mount of a plan. */
#ifndef AM_MACHINE_WORKSPACE_MOUNT_H
#define AM_MACHINE_WORKSPACE_MOUNT_H

#include "base/arena.h"
#include "machine/facts.h"

/*
 * The document is one that its schema has accepted. All of the result lies in the arena. ERR_DENIED
 * names the rule: mount-other-repository, where another repository is there than the one expected,
 * or another ref is checked out; ERR_NOT_FOUND, ERR_LIMIT, ERR_MEMORY.
 */
int workspace_mount_read(const yyjson_val *document, const struct plan_facts *facts,
                         struct arena *arena, struct plan_mount *ret, struct err *err) MUST_CHECK;

#endif
