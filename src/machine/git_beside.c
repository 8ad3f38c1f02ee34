/*
 * git_beside: a run's branches, below a prefix, beside the host's own.
 *
 * Whatever the host has done meanwhile, nothing of it is moved, so only what the run made counts.
 */
#include "machine/git_apply_internal.h"

static int add_beside(struct git_apply *apply, size_t repository, const char *path,
                      const char *branch, const struct git_value *value, struct err *err)
{
    struct git_ref there = { 0 };
    struct git_item new = { .path = path,
                            .to = git_items_join(apply, GIT_HEADS, apply->options.prefix, branch),
                            .fate = FATE_TAKEN,
                            .type = CHANGE_ADDED,
                            .repository = repository,
                            .new = *value };
    if (!new.to)
        return err_set(err, ERR_MEMORY, STEP_APPLY_GIT, "there is not enough memory");
    if (!git_ref_is_name(new.to))
        return err_set(err, ERR_USAGE, STEP_APPLY_GIT, "%s is no name for branches",
                       apply->options.prefix);
    int r = git_refs_look(&apply->refs, repository, new.to, &there, err);
    struct git_item *item = r < 0 ? NULL : git_items_add(apply, &new, err);
    if (!item)
        return r < 0 ? r : -ENOMEM;
    item->old = there.host;
    if (git_value_equal(&there.host, value))
        item->fate = FATE_DONE;
    else if (there.host.kind != GIT_ABSENT)
        git_item_conflict(apply, item, git_exists);
    return 0;
}

/* A commit that no branch leads to is a branch too: a rebase that waits, or a submodule. */
static int add_detached(struct git_apply *apply, size_t repository, const struct git_head *head,
                        struct err *err)
{
    const struct git_repository_changes *changes = &apply->refs.items[repository];
    const char *folder = head->folder[0] ? head->folder + strlen("worktrees/") : "";
    char branch[GIT_NAME_BYTES_MAX + 32];
    if (head->run.kind != GIT_OBJECT || git_value_equal(&head->launch, &head->run) ||
        git_value_equal(&head->host, &head->run))
        return 0;
    for (size_t i = 0; i < changes->ref_count; i++)
        if (git_value_equal(&changes->refs[i].run, &head->run))
            return 0;
    snprintf(branch, sizeof(branch), "/%sdetached", folder);
    return add_beside(apply, repository,
                      git_items_join(apply, changes->prefix, head->folder, "HEAD"), branch,
                      &head->run, err);
}

int git_decide_beside(struct git_apply *apply, size_t repository, struct err *err)
{
    const struct git_repository_changes *changes = &apply->refs.items[repository];
    int r = 0;
    for (size_t i = 0; i < changes->ref_count && r == 0; i++) {
        const struct git_ref *ref = &changes->refs[i];
        if (strncmp(ref->name, GIT_HEADS, strlen(GIT_HEADS)) == 0 && ref->run.kind == GIT_OBJECT)
            r = add_beside(apply, repository, git_items_join(apply, changes->prefix, ref->name, ""),
                           ref->name + strlen(GIT_HEADS) - 1, &ref->run, err);
    }
    for (size_t i = 0; i < changes->head_count && r == 0; i++)
        r = add_detached(apply, repository, &changes->heads[i], err);
    return r;
}
