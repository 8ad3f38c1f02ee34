/*
 * sandbox: from a plan to a confined process.
 *
 * The supervisor spawns the sandbox's first process, which builds the view,
 * confines itself, tries the probes and says what came of them, and makes the
 * command's process. That one waits: the command starts when the supervisor
 * says so, and not before. The first process stays as the one that reaps.
 *
 * It may be spawned ahead of its plan, with who the command will be and
 * nothing else; then it builds what is the same for every plan and waits for
 * the rest (handover.h).
 */
#ifndef AM_MACHINE_LINUX_SANDBOX_H
#define AM_MACHINE_LINUX_SANDBOX_H

#include <sys/resource.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"
#include "machine/limits.h"
#include "machine/linux/network_space.h"
#include "machine/linux/probes.h"
#include "machine/mask.h"
#include "machine/oci_runtime.h"
#include "machine/plan.h"

/* What a mount of the plan is made of, beside its path. */
struct sandbox_mount {
    int tree;  /* the host's directory, id-mapped and detached, where the caller is root; or -1 */
    int layer; /* the folder of `upper` and `work`, likewise; or -1 */
    const char *layer_path; /* where that folder lies on the host; NULL: not staged */
    const char *copy_path;  /* where a copy of the directory lies; NULL: an overlay is made */
    const struct mask_list *masks; /* what is hidden below it; may be NULL */
    const char *mask_path;         /* where the layer that hides it is kept; NULL: to be made */
};

struct handover;

/* At the tier `container`, what the first process gives an OCI runtime. */
struct sandbox_container {
    const char *config; /* config.json */
    size_t config_len;
    const struct oci_runtime *runtime; /* NULL: there is none */
    int program;                       /* the runtime's, open */
    int tree; /* the image's, id-mapped and detached, where the caller is root; or -1 */
    const char *tree_path; /* where it lies on the host */
};

struct sandbox {
    /* From the supervisor. */
    int control;               /* the sandbox's end */
    struct handover *handover; /* by which the rest comes; NULL: it is all here */
    const struct plan *plan;   /* ahead of it: tier and identity, and nothing else */
    struct sandbox_mount mounts[PLAN_MOUNTS_MAX];
    int stdio[3];               /* what the command reads and writes; not with a terminal */
    const char *private_folder; /* at the tier `process`: home and temporary files; else NULL */
    struct probe_context probes;
    struct limits_inside inside; /* of the run's limits, what the sandbox sets on itself */
    struct sandbox_container container;
    /* Its own. */
    int landlock_abi;
    int root, scratch, staging;   /* of the view, while it is built */
    int terminal;                 /* the command's end */
    struct network_space network; /* while it is made */
    pid_t command;
};

/* Below the scratch, whose folder comes with SANDBOX_READY: see denial_log.h. */
#define SANDBOX_DENIALS "told/denials.jsonl"

enum sandbox_kind {
    SANDBOX_MAP,      /* to it: its ids are mapped */
    SANDBOX_PLAN,     /* to it: see handover.h */
    SANDBOX_GO,       /* to it: start the command */
    SANDBOX_SIGNAL,   /* to it: `number` for the command */
    SANDBOX_DIAL,     /* to it: a socket of the family `number` is wanted, and comes as below */
    SANDBOX_TERMINAL, /* from it: the other end of its terminal */
    SANDBOX_SOCKET,  /* from it: one for the network door; of the first ones `number` is the kind */
    SANDBOX_READY,   /* from it: finished, with what the probes found */
    SANDBOX_STARTED, /* from it: the command runs */
    SANDBOX_FAILED,  /* from it: `err` */
    SANDBOX_ENDED,   /* from it: `number` is the command's status */
};

struct sandbox_message {
    enum sandbox_kind kind;
    int number; /* of a signal; a status as wait gives it; errno of an exec that failed */
    int landlock_abi;
    struct probe_result probes[PROBE_COUNT];
    struct rusage usage; /* of all that ran */
    struct err err;
};

/*
 * Makes the first process, with its ids mapped, in this control group (-1: in
 * ours). It waits for SANDBOX_MAP, and goes on by itself up to SANDBOX_READY;
 * ahead of its plan, up to SANDBOX_PLAN. On failure nothing is left.
 */
int sandbox_spawn(struct sandbox *sandbox, int group, pid_t *ret_pid, int *ret_pidfd,
                  struct err *err) MUST_CHECK;

/* Ends it, with every process in there; its own first one is reaped by the caller. */
void sandbox_kill(const struct sandbox *sandbox, int supervisor, int pidfd);

/* A message of fixed size on a socket of the kind SOCK_SEQPACKET, with a descriptor or without. */
int sandbox_send(int control, const struct sandbox_message *message, int fd) MUST_CHECK;
/* 1 with a message (and a descriptor, or -1), 0 where the other end is gone, or -errno. */
int sandbox_receive(int control, struct sandbox_message *ret, int *ret_fd) MUST_CHECK;

/* --- steps of the view (view.c, view_etc.c, view_authorities.c, view_mounts.c)
 * ------------------------------------ */

int view_open(struct sandbox *sandbox, struct err *err) MUST_CHECK;
int view_system(struct sandbox *sandbox, struct err *err) MUST_CHECK;
int view_etc(struct sandbox *sandbox, struct err *err) MUST_CHECK;
/* In /etc, who the command is. */
int view_people(struct sandbox *sandbox, struct err *err) MUST_CHECK;
/* And whom it trusts, beside the host's authorities. */
int view_authorities(struct sandbox *sandbox, struct err *err) MUST_CHECK;
/* Those of the host's that a runtime takes are what they should be; it looks at their names. */
int view_check_devices(struct err *err) MUST_CHECK;
/* What is covered of /proc, because it tells of the whole machine; NULL behind the last. */
const char *view_hidden(size_t index);
/* The names in /etc that it takes from the host, one after the other; NULL behind the last. */
const char *view_etc_name(size_t index);
int view_proc(struct sandbox *sandbox, struct err *err) MUST_CHECK;
int view_devices(struct sandbox *sandbox, struct err *err) MUST_CHECK;
int view_scratch(struct sandbox *sandbox, struct err *err) MUST_CHECK;
int view_mounts(struct sandbox *sandbox, struct err *err) MUST_CHECK;
int view_enter(struct sandbox *sandbox, struct err *err) MUST_CHECK;

/* --- the tier `process` (process_tier.c) ---------------------------------------------------- */

/* Restricts the first process, by all that the command gets; and the command's, once more. */
int process_tier_fence(struct sandbox *sandbox, struct err *err) MUST_CHECK;
int process_tier_fence_command(struct sandbox *sandbox, struct err *err) MUST_CHECK;
/* The first process takes in what the command leaves behind, and outlives the supervisor. */
int process_tier_outlive(struct sandbox *sandbox, struct err *err) MUST_CHECK;

#endif
