/*
 * worktree_apply: the steps, done or undone, by who planned them or by who found a journal.
 *
 * Theory of operation. Each step is one system call, where the file system can do it by one, on a
 * name in a directory that was opened beneath the root, following no link. What is removed, or
 * swapped out, goes to the staging folder, so that all of it can be undone until the journal is
 * gone. Whether a step was done can be seen: what was staged has an inode of its own, and is either
 * in the staging folder or not. So the steps can be done again from the first after a crash,
 * wherever it came.
 *
 * What always holds:
 *   1. Before the journal is durable nothing is written to the tree, and before its commit nothing
 *      but the staging folder.
 *   2. A process that lives either does all steps or undoes those that it did.
 *   3. What is swapped out or removed is what was looked at when it was planned: it is compared
 * once more when it is out of the way, and goes back where it is not that.
 *   4. All that was done is durable before the journal ends.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include "base/file.h"
#include "machine/beneath.h"
#include "machine/layer.h"
#include "machine/worktree_apply_internal.h"

#define STAGED_FEW 512 /* that one thread removes as fast */

void (*worktree_apply_step_hook)(size_t step);

/* --- one step ------------------------------------------------------------------------------ */

static int change_mode(const struct applying *applying, const char *path, unsigned mode)
{
    char self[64];
    struct stat status;
    _cleanup_(cleanup_close) int fd = beneath_open(applying->root, path, O_PATH | O_NOFOLLOW);
    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (S_ISLNK(status.st_mode))
        return -ELOOP;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    return chmod(self, mode) < 0 ? -errno : 0;
}

/* For root, a directory is the tree's owner's, as the files are. */
static int make_directory(const struct applying *applying, int parent, const char *name)
{
    struct stat status;
    if (mkdirat(parent, name, 0700) < 0)
        return -errno;
    if (geteuid() == 0 && fstat(applying->root, &status) == 0)
        (void)!fchownat(parent, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW);
    return 0;
}

static int do_step(const struct applying *applying, size_t index)
{
    const struct apply_step *step = &applying->steps.items[index];
    bool puts = step->kind == STEP_PUT || step->kind == STEP_SWAP;
    bool is_staged = puts, there = puts; /* so it was left, unless somebody died meanwhile */
    const char *name;
    if (step->kind == STEP_CHMOD)
        return change_mode(applying, step->path, step->mode);
    if (applying->resumed)
        there = staged_is_there(applying, index, &is_staged);
    if ((step->kind == STEP_REMOVE && there) || (step->kind == STEP_PUT && !there) ||
        (step->kind == STEP_SWAP && !is_staged))
        return 0; /* it was done before a crash */
    if (step->kind == STEP_PUT && !is_staged)
        return -ESTALE; /* somebody has put something else there */
    _cleanup_(cleanup_close) int parent = applying_open_parent(applying, step->path, &name);
    if (parent < 0)
        return parent;
    switch (step->kind) {
    case STEP_RMDIR:
        return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
    case STEP_MKDIR:
        return make_directory(applying, parent, name);
    case STEP_PUT:
        return staged_put(applying, index, parent, name);
    case STEP_SWAP:
        return staged_swap(applying, index, parent, name);
    case STEP_REMOVE:
        return staged_remove(applying, index, parent, name);
    case STEP_CHMOD:
    case APPLY_STEP_KIND_COUNT:
        break;
    }
    return 0;
}

/* Takes back one that was done; of one that was not, nothing happens. */
static int undo_step(const struct applying *applying, size_t index)
{
    const struct apply_step *step = &applying->steps.items[index];
    bool is_staged = false, there = staged_is_there(applying, index, &is_staged);
    const char *name;
    if (step->kind == STEP_CHMOD)
        return change_mode(applying, step->path, step->mode_before);
    if ((step->kind == STEP_REMOVE && !there) || (step->kind == STEP_PUT && there))
        return 0;
    _cleanup_(cleanup_close) int parent = applying_open_parent(applying, step->path, &name);
    int r = parent < 0 ? parent : 0;
    if (r < 0)
        return r;
    switch (step->kind) {
    case STEP_RMDIR:
        r = make_directory(applying, parent, name);
        return r < 0 ? r : change_mode(applying, step->path, step->mode_before);
    case STEP_MKDIR:
        return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
    case STEP_PUT:
        return staged_put_back(applying, index, parent, name);
    case STEP_SWAP:
        return staged_swap_back(applying, index, parent, name);
    case STEP_REMOVE:
        return staged_put(applying, index, parent, name);
    case STEP_CHMOD:
    case APPLY_STEP_KIND_COUNT:
        break;
    }
    return 0;
}

/* --- all of them --------------------------------------------------------------------------- */

void apply_tell_hook(size_t step)
{
    if (worktree_apply_step_hook)
        worktree_apply_step_hook(step);
}

/* A closed directory opens for its owner, as the first of its own steps did it. */
static int remove_staging(struct applying *applying, struct err *err)
{
    _cleanup_(buf_release) struct buf path = BUF_INIT_LIMIT(2 * WORKTREE_PATH_SIZE);
    cleanup_close(&applying->staging);
    applying->staging = -1;
    /* By the descriptor: nobody can put another tree in its place. */
    buf_addf(&path, "/proc/self/fd/%d/%s", applying->root, applying->staging_name);
    if (applying->steps.count > STAGED_FEW)
        layer_empty(path.data);
    return file_remove_tree(path.data, err);
}

/* What a step changed: the directory that its name is in, or the mode of what it names. */
static int sync_step(const struct applying *applying, const struct apply_step *step)
{
    char parent[CHANGES_PATH_MAX + 1];
    const char *slash = strrchr(step->path, '/');
    int len = slash ? (int)(slash - step->path) : 1;
    snprintf(parent, sizeof(parent), "%.*s", len, slash ? step->path : ".");
    _cleanup_(cleanup_close) int fd =
        beneath_open(applying->root, step->kind == STEP_CHMOD ? step->path : parent,
                     O_RDONLY | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? fd : fsync(fd) < 0 ? -errno : 0;
}

/* One that lies in the same directory as the one before it. */
static bool is_beside(const struct apply_step *step, const struct apply_step *before)
{
    const char *slash = strrchr(step->path, '/'), *other = strrchr(before->path, '/');
    size_t len = slash ? (size_t)(slash - step->path) : 0;
    return step->kind != STEP_CHMOD && before->kind != STEP_CHMOD &&
           len == (other ? (size_t)(other - before->path) : 0) &&
           strncmp(step->path, before->path, len) == 0;
}

static int sync_steps(const struct applying *applying)
{
    bool each = applying->staging >= 0 && !applying->resumed &&
                applying->steps.count <= APPLY_SYNC_EACH_MAX;
    for (size_t i = 0; i < applying->steps.count && each; i++)
        each = (i > 0 && is_beside(&applying->steps.items[i], &applying->steps.items[i - 1])) ||
               sync_step(applying, &applying->steps.items[i]) == 0;
    if (each)
        return fsync(applying->staging); /* what is swapped out */
    return syncfs(applying->root);
}

static int end(struct applying *applying, struct err *err)
{
    if (sync_steps(applying) < 0)
        return err_set_errno(err, errno, STEP_APPLY, "make %s durable", applying->root_path);
    apply_tell_hook(applying->steps.count + 2);
    int r = remove_staging(applying, err);
    apply_tell_hook(applying->steps.count + 3);
    return r < 0 ? r : journal_end(applying, err);
}

static int undo(struct applying *applying, size_t done, struct err *err)
{
    for (size_t i = done; i-- > 0;) {
        int r = undo_step(applying, i);
        if (r < 0)
            return err_set_errno(err, -r, STEP_APPLY,
                                 "%s could not be undone; `agent-machine recover` goes on with it",
                                 applying->steps.items[i].path);
    }
    return end(applying, err);
}

static int refuse(const struct applying *applying, size_t index, int error, struct err *err)
{
    const char *path = applying->steps.items[index].path;
    if (error == -EEXIST || error == -ENOENT || error == -ESTALE || error == -ENOTEMPTY ||
        error == -ENOTDIR || error == -ELOOP || error == -EXDEV)
        return err_set(err, ERR_CONFLICT, STEP_APPLY,
                       "%s was changed just now by somebody else: nothing was applied", path);
    return err_set_errno(err, -error, STEP_APPLY, "%s; nothing was applied", path);
}

static int carry_out(struct applying *applying, struct err *err)
{
    for (size_t i = 0; i < applying->steps.count; i++) {
        apply_tell_hook(i + 1);
        int r = do_step(applying, i);
        if (r == 0)
            continue;
        struct err inner = { 0 };
        /* What was swapped before it was looked at is undone too. */
        int undone = undo(applying, i + (r == -ESTALE), &inner);
        if (undone < 0) {
            if (err)
                *err = inner;
            return undone;
        }
        return refuse(applying, i, r, err);
    }
    apply_tell_hook(applying->steps.count + 1);
    return end(applying, err);
}

int worktree_apply_run(struct worktree_apply *apply, struct err *err)
{
    struct applying *applying = &apply->applying;
    size_t conflicts = worktree_apply_count(apply, FATE_CONFLICT);
    if (conflicts)
        return err_set(err, ERR_CONFLICT, STEP_APPLY, "%zu changes are in conflict", conflicts);
    int r = apply_make_steps(apply, err);
    if (r < 0 || !applying->steps.count)
        return r;
    r = journal_begin(applying, err);
    if (r < 0)
        return r;
    apply_tell_hook(0);
    if (mkdirat(applying->root, applying->staging_name, 0700) < 0)
        r = err_set_errno(err, errno, STEP_APPLY, "make a folder in %s", applying->root_path);
    if (r == 0) {
        applying->staging = beneath_open(applying->root, applying->staging_name, O_RDONLY);
        r = applying->staging < 0
                ? err_set_errno(err, -applying->staging, STEP_APPLY, "open the staging folder")
                : stage_all(applying, apply->worktree, err);
    }
    if (r == 0)
        r = journal_commit(applying, err);
    if (r < 0) {
        if (remove_staging(applying, NULL) == 0)
            (void)!journal_end(applying, NULL);
        return r;
    }
    return carry_out(applying, err);
}

/* --- after a crash ------------------------------------------------------------------------- */

/* What somebody has put in the way since, or changed, stays; the rest is done. */
static int complete(struct applying *applying, struct err *err)
{
    for (size_t i = 0; i < applying->steps.count; i++) {
        int r = do_step(applying, i);
        if (r == -ESTALE)
            r = undo_step(applying, i);
        if (r < 0 && r != -EEXIST && r != -ENOENT && r != -ENOTEMPTY && r != -ENOTDIR)
            return err_set_errno(err, -r, STEP_APPLY, "%s; `agent-machine recover` goes on with it",
                                 applying->steps.items[i].path);
    }
    return end(applying, err);
}

static int recover(struct applying *applying, bool committed, struct err *err)
{
    applying->resumed = true;
    applying->root = open(applying->root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (applying->root < 0 && (errno == ENOENT || errno == ENOTDIR))
        return journal_end(applying, err); /* with the tree went what was begun in it */
    if (applying->root < 0)
        return err_set_errno(err, errno, STEP_APPLY, "%s", applying->root_path);
    if (flock(applying->root, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, ERR_CONFLICT, STEP_APPLY, "somebody applies to %s just now",
                       applying->root_path);
    applying->staging = beneath_open(applying->root, applying->staging_name, O_RDONLY);
    if (committed && applying->staging >= 0)
        return complete(applying, err);
    /* Not begun; or done, and the staging folder removed. */
    return end(applying, err);
}

int worktree_recover(const char *layer, enum apply_recovered *ret, struct err *err)
{
    struct applying applying = { .root = -1, .staging = -1 };
    bool committed = false;
    int r;
    applying.layer = open(layer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (applying.layer < 0)
        r = err_set_errno(err, errno, STEP_APPLY, "%s", layer);
    else if (flock(applying.layer, LOCK_EX | LOCK_NB) < 0)
        r = err_set(err, ERR_CONFLICT, STEP_APPLY, "somebody applies this change set just now");
    else
        r = journal_read(&applying, &committed, err);
    *ret = APPLY_NOTHING;
    if (r > 0) {
        r = recover(&applying, committed, err);
        *ret = r < 0 ? APPLY_NOTHING : committed ? APPLY_COMPLETED : APPLY_UNDONE;
    }
    cleanup_close(&applying.staging);
    cleanup_close(&applying.root);
    cleanup_close(&applying.layer);
    steps_release(&applying.steps);
    return r;
}
