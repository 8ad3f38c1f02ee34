/*
 * worktree_apply: a change set into the host's tree, or into another one.
 *
 * A plan says what becomes of each change that was chosen; nothing is written to make it. What it
 * takes is applied as a whole or not at all: a crash at any instant, or a full disk, leaves a
 * journal by which worktree_recover completes what had begun, or undoes it.
 */
#ifndef AM_MACHINE_WORKTREE_APPLY_H
#define AM_MACHINE_WORKTREE_APPLY_H

#include "machine/held.h"
#include "machine/worktree.h"

/* What is done where the host has changed what the run changed too. */
enum apply_strategy { APPLY_REFUSE, APPLY_OURS, APPLY_THEIRS, APPLY_MERGE };

/*        fate                as it is written */
#define APPLY_FATE_TABLE(X)                                                                        \
    X(FATE_NOT_CHOSEN, "not-chosen")                                                               \
    X(FATE_DONE, "done") /* the tree has it so already */                                          \
    X(FATE_TAKEN, "taken")                                                                         \
    X(FATE_MERGED, "merged")                                                                       \
    X(FATE_MARKED, "marked") /* merged, with conflict markers in it */                             \
    X(FATE_HELD, "held")                                                                           \
    X(FATE_KEPT, "kept") /* a conflict: what the host has stays (APPLY_OURS) */                    \
    X(FATE_CONFLICT, "conflict")

#define APPLY_ENUM(fate, text) fate,
enum apply_fate { APPLY_FATE_TABLE(APPLY_ENUM) APPLY_FATE_COUNT };
#undef APPLY_ENUM
extern const char *const apply_fate_names[APPLY_FATE_COUNT];

struct apply_item {
    const struct changed_path *change;
    enum apply_fate fate;
    const char *rule; /* of what is held, and where a person named it all the same; or NULL */
    const char *why;  /* of what is held, kept or a conflict */
    bool never;       /* held, and not taken when it is named either */
};

struct apply_options {
    const char *target; /* another tree; NULL: the host's own, as the launch found it */
    enum apply_strategy strategy;
    bool include_held;
    const char *name; /* of the change set, for markers and folders */
    struct redact_scanner *scanner;
    bool (*chooses)(void *context, const char *path);
    bool (*names)(void *context, const char *path); /* itself, and not what it lies in */
    void *context;
};

struct worktree_apply;

/*
 * ERR_CONFLICT where the host's directory is another one than the launch found, or somebody else
 * applies to it; ERR_NOT_FOUND where it is gone; ERR_UNSUPPORTED for a list that the run's end did
 * not keep; ERR_IO, ERR_MEMORY. Nobody else applies to the tree until worktree_apply_free.
 */
int worktree_apply_plan(const struct worktree *worktree, const struct apply_options *options,
                        struct worktree_apply **ret, struct err *err) MUST_CHECK;
/* One for each change of the worktree, in its order. */
const struct apply_item *worktree_apply_items(const struct worktree_apply *apply,
                                              size_t *ret_count);
size_t worktree_apply_count(const struct worktree_apply *apply, enum apply_fate fate);

/*
 * Appends what the tree has of a file that is taken, and what the run made of it: 1 where both are
 * text, else 0. Then another text may be taken in place of the run's.
 */
int worktree_apply_texts(const struct worktree_apply *apply, size_t item, struct buf *ret_tree,
                         struct buf *ret_run, struct err *err) MUST_CHECK;
int worktree_apply_set_text(struct worktree_apply *apply, size_t item, struct str text,
                            struct err *err) MUST_CHECK;

/*
 * Does it: all of what is taken or merged, or nothing. ERR_CONFLICT where the tree has changed
 * since it was planned; ERR_DAMAGED where what the run wrote is not what it was when the run ended;
 * ERR_IO (a full disk: -ENOSPC) with nothing done, or with the journal left behind, which it says.
 */
int worktree_apply_run(struct worktree_apply *apply, struct err *err) MUST_CHECK;
void worktree_apply_free(struct worktree_apply *apply);

enum apply_recovered { APPLY_NOTHING, APPLY_COMPLETED, APPLY_UNDONE };
/*
 * Ends what a dead process began to apply from a layer. ERR_CONFLICT where the process lives; the
 * journal stays where it fails.
 */
int worktree_recover(const char *layer, enum apply_recovered *ret, struct err *err) MUST_CHECK;

/* For tests: called before each step that changes the tree; a process may end itself in it. */
extern void (*worktree_apply_step_hook)(size_t step);
/* For tests: as where a file system can only rename. */
extern bool worktree_apply_plain_renames;

#endif
