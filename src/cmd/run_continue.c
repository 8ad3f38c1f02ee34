/* run_continue: see the header. */
#include "cmd/run_continue.h"

#define STEP_CONTINUE "go on from a change set"

/* The mount of the plan that stages a directory. */
static int find_mount(const struct plan *plan, const char *host_path)
{
    for (size_t i = 0; i < plan->mount_count; i++)
        if (plan->mounts[i].semantics == MOUNT_STAGED &&
            strcmp(plan->mounts[i].host_path, host_path) == 0)
            return (int)i;
    return -1;
}

static int match(struct run_continue *from, const struct plan *plan, struct err *err)
{
    for (size_t i = 0; i < from->set.mount_count; i++) {
        const struct worktree *worktree = &from->set.mounts[i];
        int mount = find_mount(plan, worktree->host_path);
        if (mount < 0)
            return err_set(err, ERR_CONFLICT, STEP_CONTINUE,
                           "the change set is of %s, which this run does not stage",
                           worktree->host_path);
        if (!worktree->recorded || worktree->moved)
            return err_set(err, ERR_CONFLICT, STEP_CONTINUE,
                           worktree->moved ? "%s is another directory than it was"
                                           : "nothing recorded what was changed in %s",
                           worktree->host_path);
        from->layers[mount] = worktree->layer;
    }
    return 0;
}

int run_continue_open(struct plane *plane, const char *name, const struct plan *plan,
                      struct run_continue *ret, struct err *err)
{
    char word[PLANE_URN_MAX];
    char *words[] = { word };
    struct runs_one run;
    snprintf(word, sizeof(word), "%s", name);
    int r = runs_find(plane, name, &run, err); /* the last one is not meant by another word */
    if (r == 0)
        r = change_set_open(plane, words, 1, &ret->set, err);
    if (r < 0)
        return r;
    if (!ret->set.mount_count)
        r = err_set(err, ERR_NOT_FOUND, STEP_CONTINUE, "the run %s has left no change set",
                    change_set_name(&ret->set));
    if (r == 0)
        r = match(ret, plan, err);
    if (r == 0)
        snprintf(ret->urn, sizeof(ret->urn), "urn:srcos:change-set:%s", change_set_name(&ret->set));
    return r;
}

void run_continue_release(struct run_continue *from)
{
    change_set_close(&from->set);
}
