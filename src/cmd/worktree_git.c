/*
 * worktree_git: the part of taking a change set that is git's.
 *
 * What a run left in a directory of git's own is no files to a person but references: they are
 * planned, told and done beside the files, and once all of them are taken those files are not
 * offered any more.
 */
#include "cmd/worktree_taking.h"
#include "machine/held.h"
#include "machine/worktree_diff.h"

#define STEP_GIT_TAKE "take what was done in git"

/* Whether anything of git's was chosen in a mount: who names files is not kept waiting for it. */
static bool chooses_git(struct taking *taking, size_t mount)
{
    const struct changes *changes = &taking->set.mounts[mount].changes;
    bool chosen = taking->set.path_count == 0;
    for (size_t i = 0; i < taking->set.path_count && !chosen; i++)
        chosen = taking->set.paths[i].mount == mount &&
                 (changes->of_git || worktree_is_of_git(taking->set.paths[i].path));
    for (size_t i = 0; i < changes->count && !chosen; i++)
        chosen = worktree_is_of_git(changes->items[i].path) &&
                 change_set_chooses(&taking->set, mount, changes->items[i].path);
    return chosen;
}

int taking_plan_git(struct taking *taking, enum apply_strategy strategy, struct err *err)
{
    const struct invocation *invocation = taking->invocation;
    struct git_apply_options options = { .name = change_set_name(&taking->set),
                                         .prefix = taking->takes_commits ? taking->prefix : NULL,
                                         .heads = invocation->values[APPLY_HEAD],
                                         .include_held = invocation->values[APPLY_INCLUDE_HELD],
                                         .strategy = strategy,
                                         .chooses = taking_chooses,
                                         .names = taking_names,
                                         .context = taking,
                                         .roots = taking->set.roots };
    int r = 0;
    snprintf(taking->prefix, sizeof(taking->prefix), "agent/%s", options.name);
    for (size_t i = 0; i < taking->set.mount_count && r == 0; i++) {
        taking->mount = i;
        if (taking->set.mounts[i].recorded && chooses_git(taking, i))
            r = git_apply_plan(&taking->set.mounts[i], &options, &taking->gits[i], err);
    }
    return r;
}

int taking_plan_commits(struct taking *taking, struct err *err)
{
    size_t branches = 0;
    if (taking->set.path_count || taking->elsewhere || taking->invocation->values[APPLY_HEAD])
        return err_set(err, ERR_USAGE, STEP_GIT_TAKE,
                       "--commits takes no paths, no --to and no --head");
    int r = taking_plan_git(taking, APPLY_REFUSE, err);
    for (size_t i = 0, items; i < taking->set.mount_count && r == 0; i++) {
        (void)git_apply_items(taking->gits[i], &items);
        branches += items;
    }
    return r < 0 || branches
               ? r
               : err_set(err, ERR_NOT_FOUND, STEP_GIT_TAKE, "the run made no commits");
}

static bool is_git_data(void *context, const char *path)
{
    const struct taking *taking = context;
    return held_is_git_data(path, taking->set.mounts[taking->mount].changes.of_git) &&
           git_apply_holds(taking->gits[taking->mount], path);
}

/* What was taken by git is not offered as files of git's any more. */
int taking_discard_git_data(struct taking *taking, bool *ret_gone, struct err *err)
{
    bool all_gone = true;
    int r = 0;
    for (size_t i = 0; i < taking->set.mount_count && r == 0; i++) {
        bool gone = false;
        taking->mount = i;
        if (taking->gits[i] && !taking->set.path_count && taking_git_is_done(taking, i))
            r = worktree_discard(&taking->set.mounts[i], is_git_data, taking, &gone, err);
        all_gone = all_gone && gone;
    }
    if (r == 0)
        *ret_gone = all_gone;
    return r;
}

int taking_each_git(struct taking *taking, int (*act)(struct git_apply *apply, struct err *err),
                    struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < taking->set.mount_count && r == 0; i++)
        if (taking->gits[i])
            r = act(taking->gits[i], err);
    return r;
}
