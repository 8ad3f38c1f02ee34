/*
 * git_apply: what a run did in git, taken into the host's repository.
 *
 * Nothing of the run's git directory is copied. Objects are handed to the host's git, which checks
 * them (git_host.h); references move from where they stood at the launch to where the run left
 * them, by comparing and swapping, or not at all. What is checked out on the host, its HEAD and the
 * branch that it leads to, moves only where that is asked for, and then the index goes from the one
 * commit to the other: what a person had staged stays. Or the branches are taken beside the host's,
 * below a prefix.
 */
#ifndef AM_MACHINE_GIT_APPLY_H
#define AM_MACHINE_GIT_APPLY_H

#include "machine/git_refs.h"
#include "machine/worktree_apply.h"

#define GIT_PREFIX_MAX 200
#define STEP_APPLY_GIT "apply what was done in git"

struct git_apply_options {
    const char *name;   /* of the change set */
    const char *prefix; /* below which branches are taken, all else left; NULL: as they are */
    bool heads;         /* what is checked out moves too */
    bool include_held;
    enum apply_strategy strategy;
    bool (*chooses)(void *context, const char *path);
    bool (*names)(void *context, const char *path);
    void *context;
    char *const *roots; /* the trees that the run had, NULL-terminated */
};

/* A reference, or a HEAD. */
struct git_item {
    const char *path; /* as if it were a file of the tree: ".git/refs/heads/x" */
    const char *to;   /* the reference that is written */
    enum apply_fate fate;
    enum change_type type;
    const char *rule, *why; /* as those of an apply_item */
    size_t repository;
    bool follows; /* it is taken only if what the host has is in the history of what it gets */
    struct git_value old, new; /* what the host has, and gets; where one of them is none: "" */
};

struct git_apply;

/* Nothing is written. Fails as git_refs_read does. */
int git_apply_plan(const struct worktree *worktree, const struct git_apply_options *options,
                   struct git_apply **ret, struct err *err) MUST_CHECK;
const struct git_item *git_apply_items(const struct git_apply *apply, size_t *ret_count);
/* NULL is nothing. */
size_t git_apply_count(const struct git_apply *apply, enum apply_fate fate);
/* References that the run made whose names are none. */
size_t git_apply_left_out(const struct git_apply *apply);
/* Whether a change of the tree lies in a repository of the host's. */
bool git_apply_holds(const struct git_apply *apply, const char *path);

/*
 * Hands the objects over, and tries whether references and index could move; no more is changed.
 * ERR_CONFLICT with what git says; ERR_NOT_FOUND where there is no git; ERR_LIMIT.
 */
int git_apply_objects(struct git_apply *apply, struct err *err) MUST_CHECK;
/* Moves the references of each repository, all or none, then what is checked out. */
int git_apply_refs(struct git_apply *apply, struct err *err) MUST_CHECK;
void git_apply_free(struct git_apply *apply);

#endif
