/*
 * worktree_move: what was staged into the tree, and what the tree had into the staging folder.
 *
 * Theory of operation. The kernel does each in one call, so that a name of the tree has the old
 * file or the new one at any moment. Not every file system can: those that other machines or
 * processes serve often neither exchange two files nor refuse to replace one. There a file is put
 * by a second name, which is refused where something is (or where files have one name only, after a
 * look), and swapped in three steps: the old one goes to the staging folder under a name of its
 * own, the new one is put, the old one gets the new one's name there. For a moment the tree has
 * neither, and who puts a file there then has replaced the old one. Each of the three can be seen
 * to have been done:
 *
 *     step's name     its name and ".old"
 *     staged          -                      nothing was done
 *     staged          the old one            the tree has neither
 *     -               the old one            the tree has the new one
 *     the old one     -                      done, as where the two were exchanged
 */
#include "machine/worktree_apply_internal.h"

bool worktree_apply_plain_renames;

#define OLD_SUFFIX    ".old"
#define OLD_NAME_SIZE (STAGED_NAME_SIZE + sizeof(OLD_SUFFIX))

struct staged_names {
    char name[STAGED_NAME_SIZE], old[OLD_NAME_SIZE];
};

static struct staged_names names_of(size_t index)
{
    struct staged_names names;
    staged_name(index, names.name);
    snprintf(names.old, sizeof(names.old), "%s" OLD_SUFFIX, names.name);
    return names;
}

static bool cannot(int r)
{
    return r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP;
}

static bool exists(int folder, const char *name)
{
    struct stat status;
    return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static int move(int from, const char *name, int to, const char *to_name, unsigned how)
{
    if (how && worktree_apply_plain_renames)
        return -EINVAL;
    return renameat2(from, name, to, to_name, how) < 0 ? -errno : 0;
}

/* Where nothing is. */
static int put(int from, const char *name, int to, const char *to_name)
{
    int r = move(from, name, to, to_name, RENAME_NOREPLACE);
    if (!cannot(r))
        return r;
    if (linkat(from, name, to, to_name, 0) < 0) {
        if (errno != EPERM && !cannot(-errno))
            return -errno;
        return exists(to, to_name) ? -EEXIST : move(from, name, to, to_name, 0);
    }
    apply_tell_hook(0);
    return unlinkat(from, name, 0) < 0 ? -errno : 0;
}

bool staged_is_there(const struct applying *applying, size_t index, bool *ret_is_staged)
{
    struct stat status;
    struct staged_names names = names_of(index);
    if (fstatat(applying->staging, names.name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    *ret_is_staged = status.st_ino == applying->steps.items[index].inode;
    return true;
}

/* Whether what came out of the tree is what the plan had seen there. */
static bool is_expected(const struct applying *applying, size_t index, const char *name)
{
    const struct apply_step *step = &applying->steps.items[index];
    struct stat status;
    return fstatat(applying->staging, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           status.st_ino == step->seen_inode && apply_mtime_ns(&status) == step->seen_mtime_ns;
}

int staged_put(const struct applying *applying, size_t index, int parent, const char *name)
{
    struct staged_names names = names_of(index);
    return put(applying->staging, names.name, parent, name);
}

int staged_put_back(const struct applying *applying, size_t index, int parent, const char *name)
{
    struct staged_names names = names_of(index);
    return move(parent, name, applying->staging, names.name, 0);
}

int staged_remove(const struct applying *applying, size_t index, int parent, const char *name)
{
    struct staged_names names = names_of(index);
    int r = move(parent, name, applying->staging, names.name, 0);
    return r < 0 || is_expected(applying, index, names.name) ? r : -ESTALE;
}

static int swap_in_steps(const struct applying *applying, size_t index, int parent,
                         const char *name)
{
    struct staged_names names = names_of(index);
    int staging = applying->staging, r = 0;
    if (exists(staging, names.name)) {
        if (!exists(staging, names.old))
            r = move(parent, name, staging, names.old, 0);
        apply_tell_hook(index);
        bool expected = r < 0 || is_expected(applying, index, names.old);
        if (r == 0)
            r = expected ? put(staging, names.name, parent, name) : -ESTALE;
        if (r < 0) {
            (void)!put(staging, names.old, parent, name);
            return r;
        }
        apply_tell_hook(index);
    }
    return move(staging, names.old, staging, names.name, 0);
}

int staged_swap(const struct applying *applying, size_t index, int parent, const char *name)
{
    struct staged_names names = names_of(index);
    int r = -EINVAL;
    if (exists(applying->staging, names.name) && !exists(applying->staging, names.old))
        r = move(parent, name, applying->staging, names.name, RENAME_EXCHANGE);
    if (cannot(r))
        return swap_in_steps(applying, index, parent, name);
    return r < 0 || is_expected(applying, index, names.name) ? r : -ESTALE;
}

int staged_swap_back(const struct applying *applying, size_t index, int parent, const char *name)
{
    struct staged_names names = names_of(index);
    int staging = applying->staging, r = -EINVAL;
    bool is_staged = false, there = staged_is_there(applying, index, &is_staged);
    bool began = exists(applying->staging, names.old);
    if (is_staged && !began)
        return 0;
    if (there && !began)
        r = move(parent, name, staging, names.name, RENAME_EXCHANGE);
    if (!cannot(r))
        return r;
    if (there && !began)
        r = move(staging, names.name, staging, names.old, 0);
    else
        r = 0;
    if (r == 0 && !is_staged)
        r = move(parent, name, staging, names.name, 0);
    return r < 0 ? r : put(staging, names.old, parent, name);
}
