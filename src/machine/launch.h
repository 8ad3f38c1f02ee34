/*
 * launch: a plan on its way to a running command, and what becomes of it.
 *
 * launch_ahead spawns the sandbox before there is a plan, so that what is the
 * same for all is built meanwhile; launch_begin gives it the plan and returns
 * at once, so that the rest is built while the plane decides. Nothing of the
 * command runs until launch_run.
 * launch_end undoes whatever was done, at any point; then, and not before, the
 * run's control socket is gone.
 */
#ifndef AM_MACHINE_LAUNCH_H
#define AM_MACHINE_LAUNCH_H

#include <sys/resource.h>

#include "base/base.h"
#include "base/err.h"
#include "doors/network/door.h"
#include "machine/changes.h"
#include "machine/limits.h"
#include "machine/linux/probes.h"
#include "machine/mask.h"
#include "machine/plan.h"
#include "machine/run_log.h"
#include "machine/trace.h"
#include "machine/worktree_copy.h"
#include "machine/written.h"

struct launch;

struct launch_options {
    const struct plan *plan;
    const char *state_folder; /* where the runs' folders are */
    const char *name;         /* of the run: a word */
    const char *secret;       /* a file of the user's that no run may read, for the probes */
    bool discard;             /* what staged mounts took goes with the run */
    bool detached;            /* it has no caller: see relay.h */
    bool interactive;         /* and whoever attaches may type, also where it has no terminal */
    struct trace *trace;      /* may be NULL */
    /* By mount: the layer of another run that it goes on from, or NULL. May be NULL. */
    const char *const *continued;
};

/* What was achieved, once the sandbox is finished. */
struct launch_report {
    enum tier tier;
    int landlock_abi;
    size_t limit_count;
    struct limit_row limits[LIMIT_COUNT];
    struct probe_result probes[PROBE_COUNT];
    const char *escaped; /* the first probe that was not contained; NULL: none */
};

enum run_end {
    RUN_EXITED,    /* `status` is the command's */
    RUN_SIGNALED,  /* `signal` ended it */
    RUN_EXHAUSTED, /* `dimension` ended it */
    RUN_CANCELLED,
    RUN_REFUSED, /* it never started: `err` */
    RUN_LOST,    /* the sandbox died under it */
};

struct run_result {
    enum run_end end;
    int status; /* as `run` reports it */
    int signal;
    enum dimension dimension;
    int64_t started_ms, ended_ms;
    struct limits_usage usage;
    int64_t output_bytes;
    bool output_truncated;
    struct run_log_end log;
    struct err err;
};

/* NULL where that is not worth it, or not possible: then nothing is lost. */
struct launch *launch_ahead(void);
/* Takes `ahead`, which may be NULL, in every case. */
int launch_begin(const struct launch_options *options, struct launch *ahead, struct launch **ret,
                 struct err *err) MUST_CHECK;
/* Waits until the sandbox is finished. */
int launch_ready(struct launch *launch, struct launch_report *ret, struct err *err) MUST_CHECK;

/*
 * What the network door is opened with, once the sandbox is finished: the sockets that were made
 * inside, which are the caller's then, and the file in which the run reads what it was denied
 * (likewise; -1: there is none). At the tier `process` there is neither.
 */
int launch_take_network(struct launch *launch, struct capture *ret, int *ret_denials,
                        struct err *err) MUST_CHECK;

/* Asks the sandbox for a socket of a family; it comes to the door of a run's watch. */
void launch_want_socket(void *launch, int family);

/* What is asked of a run while it runs, by who carries it out. */
enum run_wish { RUN_ON, RUN_PAUSE, RUN_CANCEL, RUN_CANCEL_NOW };
#define RUN_LOOPS_MAX 4
/*
 * Questions to who sits at the run's terminal. While one is put there, none of the command's output
 * is shown, and what is typed is an answer and reaches nobody else.
 */
struct run_questions {
    void *context;
    /* Whether one is to be put, or still stands; cheap as long as there is none. */
    bool (*pending)(void *context);
    void (*draw)(void *context);
    void (*take)(void *context, struct str line); /* what was typed; empty: nothing */
};

struct run_watch {
    void *context;
    /* Opens what is readable when `wish` is to be called, once the run has lasted for a moment. */
    int (*listen)(void *context);
    enum run_wish (*wish)(void *context);
    void (*started)(void *context);        /* the command runs; may be NULL */
    const struct run_questions *questions; /* NULL: nobody sits there */
    struct network_door *door; /* for what is asked of it while it runs; NULL: there is none */
    /* What is to be turned while it runs. */
    struct loop *loops[RUN_LOOPS_MAX];
    size_t loop_count;
};
/* Starts the command and stays with it to its end; fails only where that cannot be known. */
int launch_run(struct launch *launch, const struct run_watch *watch, struct run_result *ret,
               struct err *err) MUST_CHECK;
/* Ends whatever still runs, and frees; a change set that was made stays. NULL is nothing. */
void launch_end(struct launch *launch);

/*
 * What the command changed in a staged mount, once it has ended; 0 with an empty list for others.
 * Where anything is kept, it is durable when this returns.
 */
int launch_changes(const struct launch *launch, size_t mount, struct changes *ret,
                   struct err *err) MUST_CHECK;
/* How a staged mount was made where no overlay could be; NULL: it is one. */
struct launch_copied {
    struct worktree_copied what;
    char reason[256];
};
const struct launch_copied *launch_copied(const struct launch *launch, size_t mount);
/*
 * What was changed meanwhile in a mount that the command wrote to directly, once it has ended; 0
 * with an empty report for others, and for what is of the tool itself.
 */
int launch_written(const struct launch *launch, size_t mount, struct written *ret,
                   struct err *err) MUST_CHECK;
/* What a mount hides; NULL: nothing is looked for. */
const struct mask_list *launch_masks(const struct launch *launch, size_t mount);
/* The config.json that an OCI runtime was given; empty where there was none. */
struct str launch_config(const struct launch *launch);
/* The folder of the run. */
const char *launch_folder(const struct launch *launch);

static inline void cleanup_launch(struct launch **launch)
{
    launch_end(*launch);
}

#endif
