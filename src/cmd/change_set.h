/* change_set: the change set that a person names, or means, and the paths of it. */
#ifndef AM_CMD_CHANGE_SET_H
#define AM_CMD_CHANGE_SET_H

#include "cmd/op.h"
#include "cmd/runs.h"
#include "machine/plan.h"
#include "machine/worktree.h"

#define CHANGE_SET_PATHS_MAX 128 /* of one command line */

/* A path of a change set, and all that lies below it. */
struct chosen_path {
    size_t mount;                    /* of the change set */
    char path[CHANGES_PATH_MAX + 1]; /* empty: the whole of it */
    bool found;                      /* change_set_chooses met one */
};

struct change_set {
    struct runs_one run;
    struct worktree *mounts; /* those that have something in them */
    size_t mount_count;
    char *roots[PLAN_MOUNTS_MAX + 1]; /* every directory that the run had staged, then NULL */
    struct chosen_path *paths;        /* none: all of it */
    size_t path_count;
    struct arena usual; /* by change_set_read_usual: patterns */
};

/*
 * Opens the change set that the first word names, by the id of its run or the beginning of one;
 * where it names none, the last one that is kept of the directory that the caller is in. The other
 * words are paths, from where the caller is, or from the tree's root where that is elsewhere.
 * ERR_NOT_FOUND, ERR_CONFLICT where the run has not ended. Close with change_set_close.
 */
int change_set_open(struct plane *plane, char *const *words, int count, struct change_set *ret,
                    struct err *err) MUST_CHECK;
/* Of those words the run alone: 1 where the first one names it, 0 where it is the last that is
 * kept. */
int change_set_find(struct plane *plane, char *const *words, int count, struct runs_one *ret,
                    struct err *err) MUST_CHECK;
/* The id of its run, without what stands before it in a URN. */
const char *change_set_name(const struct change_set *set);
void change_set_close(struct change_set *set);
/* The artifact of a run's change set in its operation; NULL: there is none. */
const yyjson_val *change_set_artifact(const yyjson_val *operation, const char *run);

/*
 * Has what is held apart decided with what the profile of the run says is usual; for those who ask
 * that. A profile that is not there any more says nothing.
 */
int change_set_read_usual(struct plane *plane, struct change_set *set, struct err *err) MUST_CHECK;

/* Whether a path of a mount was chosen. */
bool change_set_chooses(struct change_set *set, size_t mount, const char *path);
/* ERR_NOT_FOUND names a chosen path at which nothing was met. */
int change_set_check_found(const struct change_set *set, struct err *err) MUST_CHECK;

/*
 * Ends what dead processes began to apply: of one run's folder, and of all. Counts what was
 * completed and what was undone; one that cannot be ended keeps the others from nothing.
 */
struct change_set_recovered {
    size_t completed, undone;
};
int change_set_recover(const char *folder, struct change_set_recovered *counts,
                       struct err *err) MUST_CHECK;
int change_set_recover_all(struct change_set_recovered *counts, struct err *err) MUST_CHECK;

/* Whether a run's folder has an upper layer with something in it. */
bool change_set_is_kept(const char *folder);

#endif
