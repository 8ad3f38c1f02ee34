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

#define GIT_HEADS "refs/heads/"
extern const char *const git_exists;

/* NULL with err, or without memory. */
struct git_item *git_items_add(struct git_apply *apply, const struct git_item *item,
                               struct err *err) MUST_CHECK;
const char *git_items_join(struct git_apply *apply, const char *a, const char *b, const char *c);
void git_item_conflict(const struct git_apply *apply, struct git_item *item, const char *why);

/* Those of one repository that are taken below the prefix. */
int git_decide_beside(struct git_apply *apply, size_t repository, struct err *err) MUST_CHECK;
/* Decides about each reference and HEAD; then what follows of what is checked out. */
int git_decide(struct git_apply *apply, struct err *err) MUST_CHECK;

#endif
