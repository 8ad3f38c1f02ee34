/*
 * host: what this host gives a sandbox, and why it gives no more.
 *
 * `doctor host` asks everything, by trying it. A launch asks for the tier to
 * expect, which costs a few reads of the kernel's settings, and tries the
 * rest by doing it.
 */
#ifndef AM_MACHINE_LINUX_HOST_H
#define AM_MACHINE_LINUX_HOST_H

#include "base/base.h"
#include "machine/tier.h"

#define HOST_TEXT_MAX 160
#define HOST_LANDLOCK_PROCESS                                                                      \
    6 /* the ABI that the tier `process` needs: it keeps signals inside                            \
       */

#define HOST_FACT_TABLE(X)                                                                         \
    X(HOST_USER_NAMESPACES, "user-namespaces")                                                     \
    X(HOST_APPARMOR, "apparmor")                                                                   \
    X(HOST_PROC, "proc-mount")                                                                     \
    X(HOST_OVERLAY, "overlay")                                                                     \
    X(HOST_ID_MAPPED, "id-mapped-mounts")                                                          \
    X(HOST_LANDLOCK, "landlock")                                                                   \
    X(HOST_SECCOMP, "seccomp")                                                                     \
    X(HOST_NETFILTER, "netfilter")                                                                 \
    X(HOST_SUBORDINATE_IDS, "subordinate-ids")                                                     \
    X(HOST_CONTROL_GROUPS, "control-groups")                                                       \
    X(HOST_IN_CONTAINER, "inside-container")                                                       \
    X(HOST_CONTAINER_RUNTIME, "container-runtime")

#define HOST_ENUM(name, text) name,
enum host_fact_id { HOST_FACT_TABLE(HOST_ENUM) HOST_FACT_COUNT };
#undef HOST_ENUM

enum host_state {
    HOST_GOOD,
    HOST_LIMITED, /* something works less well, or by other means */
    HOST_MISSING,
};

/* Plain data; the pointers are constants of the program. */
struct host_fact {
    enum host_state state;
    char evidence[HOST_TEXT_MAX]; /* what the probe saw */
    const char *remedy;           /* the one command that would mend it; NULL: none is needed */
};

/* A tier that this host gives or does not give. */
struct host_answer {
    bool is_given;
    const char *reason; /* why it is not; NULL where it is */
    const char *remedy; /* may be NULL */
};

/* Tries everything, in children that end within HOST_TRY_SECONDS each. */
#define HOST_TRY_SECONDS 5
void host_examine(struct host_fact ret_facts[HOST_FACT_COUNT]);
/* Whether what was found is enough for a tier. */
struct host_answer host_gives(const struct host_fact facts[HOST_FACT_COUNT], enum tier tier);
/* The same for a launch, by the kernel's settings alone: what they do not forbid is expected. */
struct host_answer host_expects(enum tier tier);

/* What a fact means for a launch, by its state: one sentence. */
const char *host_meaning(enum host_fact_id id, enum host_state state);

extern const char *const host_fact_names[HOST_FACT_COUNT];
extern const char *const host_state_names[HOST_MISSING + 1];

#endif
