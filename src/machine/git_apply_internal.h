/* git_apply_internal: what the plan and the doing of a git_apply share. */
#ifndef AM_MACHINE_GIT_APPLY_INTERNAL_H
#define AM_MACHINE_GIT_APPLY_INTERNAL_H

#include "machine/git_apply.h"

/* Work trees of the run's in which something else is checked out afterwards. */
struct git_move {
    size_t repository;
    const struct git_head *head;
    const char *work;          /* the work tree */
    const struct git_item *at; /* HEAD's own item, where HEAD moves; or NULL */
    const char *old, *new;     /* commits; "" where there is none */
};

struct git_apply {
    const struct worktree *worktree;
    struct git_apply_options options;
    struct git_refs refs;
    struct arena arena;
    struct git_item *items;
    size_t count, capacity;
    struct git_move *moves;
    size_t move_count;
};

/* Decides about each reference and HEAD; then what follows of what is checked out. */
int git_decide(struct git_apply *apply, struct err *err) MUST_CHECK;

#endif
