/*
 * worktree_stage: what will be put into the tree, written where nobody looks for it.
 *
 * The staging folder is in the tree's root, so that each file is moved within its file system, by
 * one call. Contents are read once, and must have the digest that they had when the run ended; what
 * is written has the mode, the times of what was read, and of what it takes the place of the owner.
 * Nothing else comes along: no attributes, no lists of rights, no second names.
 */
#include "machine/beneath.h"
#include "machine/layer.h"
#include "machine/worktree_apply_internal.h"

int steps_add(struct apply_steps *steps, const struct apply_step *step, struct err *err)
{
    if (steps->count == STEPS_MAX)
        return err_set(err, ERR_LIMIT, STEP_APPLY, "there are more than %d steps", STEPS_MAX);
    if (steps->count == steps->capacity) {
        size_t larger = steps->capacity ? steps->capacity * 2 : 64;
        struct apply_step *items = reallocarray(steps->items, larger, sizeof(*items));
        if (!items)
            return err_set(err, ERR_MEMORY, STEP_APPLY, "there is not enough memory");
        steps->items = items;
        steps->capacity = larger;
    }
    steps->items[steps->count++] = *step;
    return 0;
}

void steps_release(struct apply_steps *steps)
{
    free(steps->items);
    arena_release(&steps->arena);
    *steps = (struct apply_steps){ 0 };
}

void staged_name(size_t step, char ret[24])
{
    snprintf(ret, 24, "%zu", step);
}

int applying_open_parent(const struct applying *applying, const char *path, const char **ret_name)
{
    char parent[CHANGES_PATH_MAX + 1];
    const char *slash = strrchr(path, '/');
    *ret_name = slash ? slash + 1 : path;
    snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    return beneath_open(applying->root, parent, O_PATH | O_DIRECTORY);
}

/* --- contents ------------------------------------------------------------------------------ */

static bool is_zero(const char *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

/* What is all zeros stays a hole: a file may say that it is larger than the disk. */
static int copy(int from, int to, unsigned char ret[DIGEST_BYTES])
{
    _cleanup_(cleanup_digest_stream) struct digest_stream *stream = NULL;
    _cleanup_(cleanup_free) char *piece = malloc(LAYER_PIECE_BYTES);
    ssize_t n;
    off_t size = 0;
    if (!piece || digest_stream_new(DIGEST_SHA256, &stream, NULL) < 0)
        return -ENOMEM;
    while ((n = layer_read_piece(from, piece)) > 0) {
        digest_stream_add(stream, str_make(piece, (size_t)n));
        size += n;
        int r = is_zero(piece, (size_t)n) ? (lseek(to, n, SEEK_CUR) < 0 ? -errno : 0)
                                          : write_all(to, piece, (size_t)n);
        if (r < 0)
            return r;
    }
    digest_stream_end(stream, ret);
    if (n == 0 && ftruncate(to, size) < 0)
        return -errno;
    return (int)n;
}

static int damaged(const struct apply_step *step, struct err *err)
{
    return err_set(err, ERR_DAMAGED, STEP_APPLY,
                   "%s is not what the run left when it ended: nothing was applied", step->path);
}

/* --- owner, mode, times -------------------------------------------------------------------- */

/* Of what it takes the place of; of what is new, for root, the owner of the tree. */
static void set_owner(const struct applying *applying, const struct apply_step *step, int fd,
                      const char *name)
{
    struct stat status;
    uid_t uid = (uid_t)-1;
    gid_t gid = (gid_t)-1;
    if (step->kind == STEP_SWAP) {
        uid = geteuid() == 0 ? step->uid : uid;
        gid = step->gid;
    } else if (geteuid() == 0 && fstat(applying->root, &status) == 0) {
        uid = status.st_uid;
        gid = status.st_gid;
    }
    /* Who is not root may not have the group: then the file is in the user's own. */
    if (uid != (uid_t)-1 || gid != (gid_t)-1)
        (void)!fchownat(fd, name, uid, gid, AT_SYMLINK_NOFOLLOW | (name[0] ? 0 : AT_EMPTY_PATH));
}

static int stage_link(const struct applying *applying, const struct worktree *worktree,
                      const struct apply_step *step, const char *name, struct err *err)
{
    char target[CHANGES_PATH_MAX + 1];
    unsigned char digest[DIGEST_BYTES];
    ssize_t len = worktree_link_after(worktree, step->path, target);
    if (len < 0 || digest_sha256(str_make(target, (size_t)len), digest, NULL) < 0 ||
        memcmp(digest, step->change->digest, DIGEST_BYTES) != 0)
        return damaged(step, err);
    if (symlinkat(target, applying->staging, name) < 0)
        return err_set_errno(err, errno, STEP_APPLY, "%s", step->path);
    set_owner(applying, step, applying->staging, name);
    return 0;
}

static int stage_file(const struct applying *applying, const struct worktree *worktree,
                      const struct apply_step *step, const char *name, struct err *err)
{
    unsigned char digest[DIGEST_BYTES];
    struct stat status;
    _cleanup_(cleanup_close) int from = worktree_open_after(worktree, step->change, &status);
    if (from < 0)
        return from == -ESTALE || from == -ENOENT
                   ? damaged(step, err)
                   : err_set_errno(err, -from, STEP_APPLY, "%s", step->path);
    _cleanup_(cleanup_close) int to =
        openat(applying->staging, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int r = to < 0 ? -errno : 0;
    if (r == 0 && step->merged.ptr)
        r = write_all(to, step->merged.ptr, step->merged.len);
    else if (r == 0)
        r = copy(from, to, digest);
    if (r < 0)
        return err_set_errno(err, -r, STEP_APPLY, "%s", step->path);
    if (!step->merged.ptr && memcmp(digest, step->change->digest, DIGEST_BYTES) != 0)
        return damaged(step, err);
    set_owner(applying, step, to, "");
    const struct timespec times[2] = { status.st_atim, status.st_mtim };
    if (fchmod(to, step->mode) < 0 || (!step->merged.ptr && futimens(to, times) < 0))
        return err_set_errno(err, errno, STEP_APPLY, "%s", step->path);
    return 0;
}

static int stage(struct applying *applying, const struct worktree *worktree, size_t index,
                 struct err *err)
{
    struct apply_step *step = &applying->steps.items[index];
    struct stat status;
    char name[24];
    staged_name(index, name);
    int r = step->change->kind == CHANGED_LINK ? stage_link(applying, worktree, step, name, err)
                                               : stage_file(applying, worktree, step, name, err);
    if (r < 0)
        return r;
    if (fstatat(applying->staging, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set_errno(err, errno, STEP_APPLY, "%s", step->path);
    step->inode = status.st_ino;
    return 0;
}

int stage_all(struct applying *applying, const struct worktree *worktree, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < applying->steps.count && r == 0; i++)
        if (applying->steps.items[i].kind == STEP_PUT || applying->steps.items[i].kind == STEP_SWAP)
            r = stage(applying, worktree, i, err);
    if (r == 0 && syncfs(applying->staging) < 0)
        r = err_set_errno(err, errno, STEP_APPLY, "make the new contents durable");
    return r;
}
