/*
 * worktree_apply_internal: what the parts of an apply share.
 *
 * worktree_plan.c chooses and makes the steps, worktree_decide.c looks at the tree;
 * worktree_stage.c writes new contents where nobody looks, worktree_move.c moves them from there;
 * worktree_journal.c is what outlives a crash; worktree_apply.c carries the steps out, undoes them,
 * and does both again for a process that died.
 */
#ifndef AM_MACHINE_WORKTREE_APPLY_INTERNAL_H
#define AM_MACHINE_WORKTREE_APPLY_INTERNAL_H

#include "base/map.h"
#include "machine/worktree_apply.h"

#define STEP_APPLY     "apply a change set"
#define STAGING_PREFIX ".agent-machine-apply-"
#define STAGING_SIZE   128
#define STEPS_MAX      (2 * CHANGES_MAX)
/*
 * So few are synced one by one; more by their whole file system, which is cheaper then, unless
 * others have much to write there.
 */
#define APPLY_SYNC_EACH_MAX 16

/*        kind         as the journal has it */
#define APPLY_STEP_TABLE(X)                                                                        \
    X(STEP_REMOVE, "remove") /* a file or link, to the staging folder */                           \
    X(STEP_RMDIR, "rmdir")                                                                         \
    X(STEP_MKDIR, "mkdir")                                                                         \
    X(STEP_PUT, "put")   /* what was staged, where nothing is */                                   \
    X(STEP_SWAP, "swap") /* what was staged, with what is there */                                 \
    X(STEP_CHMOD, "chmod")

#define STEP_ENUM(kind, text) kind,
enum apply_step_kind { APPLY_STEP_TABLE(STEP_ENUM) APPLY_STEP_KIND_COUNT };
#undef STEP_ENUM
extern const char *const apply_step_names[APPLY_STEP_KIND_COUNT];

struct apply_step {
    enum apply_step_kind kind;
    const char *path;
    unsigned mode, mode_before;
    uint64_t inode;                     /* of what was staged, once it is; else 0 */
    uint64_t seen_inode, seen_mtime_ns; /* of what is removed or swapped out */
    /* by this process alone */
    const struct changed_path *change;
    struct str merged; /* contents that are not the layer's; without a pointer: none */
    uid_t uid;         /* of what is swapped out */
    gid_t gid;
};

struct apply_steps {
    struct arena arena; /* paths, merged texts */
    struct apply_step *items;
    size_t count, capacity;
};

/* A tree with a journal: by a process that applies, or one that recovers. */
struct applying {
    int root, layer, staging; /* -1: not open */
    bool resumed;             /* after a crash: each step may have been done already */
    char staging_name[STAGING_SIZE];
    char root_path[WORKTREE_PATH_SIZE];
    struct apply_steps steps;
};

struct worktree_apply {
    const struct worktree *worktree;
    struct apply_options options;
    bool is_host; /* the tree is the one that was staged */
    size_t count;
    struct apply_item *items; /* by change, as those below */
    bool *exists;             /* whether the tree has something of that name, and what */
    struct stat *status;
    struct str *merged;
    struct map deleted, others; /* by path */
    struct applying applying;
};

bool apply_is_planned(const struct apply_item *item);
/* Looks at the tree, and says of each that is taken what becomes of it. */
int apply_decide(struct worktree_apply *apply, struct err *err) MUST_CHECK;

/* Makes the steps of all that is planned. */
int apply_make_steps(struct worktree_apply *apply, struct err *err) MUST_CHECK;

int steps_add(struct apply_steps *steps, const struct apply_step *step, struct err *err) MUST_CHECK;
void steps_release(struct apply_steps *steps);

/* Opens the directory that a path of the tree lies in; ret_name is its last part. */
int applying_open_parent(const struct applying *applying, const char *path,
                         const char **ret_name) MUST_CHECK;
static inline uint64_t apply_mtime_ns(const struct stat *status)
{
    return (uint64_t)status->st_mtim.tv_sec * 1000000000u + (uint64_t)status->st_mtim.tv_nsec;
}

/* A moment at which a crash must not matter. */
void apply_tell_hook(size_t step);

/* The name of a step's file in the staging folder. */
#define STAGED_NAME_SIZE 64
void staged_name(size_t step, char ret[STAGED_NAME_SIZE]);
/* Whether a step's file lies in the staging folder, and whether it is what was staged there. */
bool staged_is_there(const struct applying *applying, size_t index, bool *ret_is_staged);
/*
 * What was staged, to a name of a directory of the tree where nothing is, or in the place of what
 * is there; what is there, away. Each may have been begun before a crash. -ESTALE where what came
 * out of the tree is not what was looked at.
 */
int staged_put(const struct applying *applying, size_t index, int parent,
               const char *name) MUST_CHECK;
int staged_remove(const struct applying *applying, size_t index, int parent,
                  const char *name) MUST_CHECK;
int staged_swap(const struct applying *applying, size_t index, int parent,
                const char *name) MUST_CHECK;
/* What was put to the staging folder again; what was swapped to where it was, as far as it was. */
int staged_put_back(const struct applying *applying, size_t index, int parent,
                    const char *name) MUST_CHECK;
int staged_swap_back(const struct applying *applying, size_t index, int parent,
                     const char *name) MUST_CHECK;

/* Contents that are put or swapped, into the staging folder; durable when it returns. */
int stage_all(struct applying *applying, const struct worktree *worktree,
              struct err *err) MUST_CHECK;

/* --- the journal --------------------------------------------------------------------------- */

/* Before anything is staged; durable when it returns. */
int journal_begin(const struct applying *applying, struct err *err) MUST_CHECK;
/* From here on the steps are done, also by others. */
int journal_commit(const struct applying *applying, struct err *err) MUST_CHECK;
int journal_end(const struct applying *applying, struct err *err) MUST_CHECK;
/* 1 with steps and names, and whether it was committed; 0 where there is none. */
int journal_read(struct applying *ret, bool *ret_committed, struct err *err) MUST_CHECK;
/* The text of the journal, and of the commit; hostile as far as a damaged disk is. */
int journal_parse(struct str text, struct applying *ret, struct err *err) MUST_CHECK;
int journal_parse_commit(struct str text, struct apply_steps *steps, struct err *err) MUST_CHECK;

#endif
