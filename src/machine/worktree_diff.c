/*
 * worktree_diff: see the header.
 *
 * A file is compared with what the launch found of it, as long as that can be had; else with what
 * the host has now. A file that was deleted and one that was added with the same contents are one
 * that was renamed: the overlay cannot tell.
 */
#include "machine/worktree_diff.h"

#include <strings.h>

#include "base/map.h"
#include "machine/layer.h"

#define STEP "write a patch"

#define NO_PARTNER UINT32_MAX

struct pass {
    const struct worktree *worktree;
    struct worktree_diff *diff;
    uint32_t *partners; /* of an addition the deletion that it is a rename of, and the other way */
    struct err *err;
};

struct opened {
    struct patch_side side;
    char target[CHANGES_PATH_MAX + 1];
};

static void opened_close(struct opened *opened)
{
    if (opened->side.fd >= 0)
        close(opened->side.fd);
}

bool worktree_is_of_git(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (strncasecmp(at, ".git", 4) == 0 && (at[4] == '/' || at[4] == '\0'))
            return true;
    }
    return false;
}

static bool is_of_git(const struct worktree *worktree, const struct changed_path *change)
{
    return worktree->changes.of_git || worktree_is_of_git(change->path);
}

static unsigned git_mode(enum changed_kind kind, unsigned mode)
{
    if (kind == CHANGED_LINK)
        return PATCH_MODE_LINK;
    return mode & 0100 ? PATCH_MODE_PROGRAM : PATCH_MODE_FILE;
}

/* --- sides --------------------------------------------------------------------------------- */

static int fail(const struct pass *pass, int error, const char *path)
{
    return err_set_errno(pass->err, error, STEP, "cannot read %s", path);
}

static int set_file(struct opened *ret, int fd, const struct stat *status, unsigned mode)
{
    ret->side.fd = fd;
    ret->side.size = (uint64_t)status->st_size;
    ret->side.mode = mode;
    return 0;
}

static int set_link(struct opened *ret, ssize_t len)
{
    ret->side.mode = PATCH_MODE_LINK;
    ret->side.size = (uint64_t)len;
    ret->side.target = str_make(ret->target, (size_t)len);
    return 0;
}

static int open_after(const struct pass *pass, const struct changed_path *change,
                      struct opened *ret)
{
    struct stat status;
    ret->side = (struct patch_side){ .path = change->path, .fd = -1 };
    if (change->type == CHANGE_DELETED)
        return 0;
    if (change->kind == CHANGED_LINK) {
        ssize_t len = worktree_link_after(pass->worktree, change->path, ret->target);
        return len < 0 ? fail(pass, (int)-len, change->path) : set_link(ret, len);
    }
    int fd = worktree_open_after(pass->worktree, change, &status);
    return fd < 0 ? fail(pass, -fd, change->path)
                  : set_file(ret, fd, &status, git_mode(change->kind, change->mode));
}

/* Without a mode where there is nothing to compare with. */
static int open_before(const struct pass *pass, const struct changed_path *change,
                       struct opened *ret)
{
    struct stat status;
    ret->side = (struct patch_side){ .path = change->path, .fd = -1 };
    if (change->type == CHANGE_ADDED)
        return 0;
    if (change->kind == CHANGED_LINK) {
        ssize_t len = worktree_link_host(pass->worktree, change->path, ret->target);
        return len < 0 ? 0 : set_link(ret, len);
    }
    int fd = worktree_open_before(pass->worktree, change, &status);
    if (fd == -ENOENT) {
        fd = worktree_open_host(pass->worktree, change->path, &status);
        pass->diff->host_moved++;
    }
    if (fd == -EACCES || fd == -EIO || fd == -ENOMEM)
        return fail(pass, -fd, change->path);
    return fd < 0 ? 0 : set_file(ret, fd, &status, git_mode(change->kind, change->mode_before));
}

/* --- renames ------------------------------------------------------------------------------- */

static bool may_be_renamed(const struct pass *pass, const struct changed_path *change,
                           enum change_type type)
{
    return change->type == type && change->kind == CHANGED_FILE && change->size > 0 &&
           !is_of_git(pass->worktree, change) &&
           pass->diff->chooses(pass->diff->chooses_context, change->path);
}

static int digest_before(const struct pass *pass, const struct changed_path *change,
                         struct digest_stream *stream, unsigned char ret[DIGEST_BYTES])
{
    _cleanup_(cleanup_free) char *piece = malloc(LAYER_PIECE_BYTES);
    struct opened opened;
    ssize_t n = 0;
    int r = piece ? open_before(pass, change, &opened) : fail(pass, ENOMEM, change->path);
    if (r < 0)
        return r;
    while (opened.side.fd >= 0 && (n = layer_read_piece(opened.side.fd, piece)) > 0)
        digest_stream_add(stream, str_make(piece, (size_t)n));
    digest_stream_end(stream, ret);
    r = opened.side.fd >= 0 && n == 0 ? 1 : 0;
    opened_close(&opened);
    return r;
}

/* Of each deletion that has the size of an addition, finds the addition with its contents. */
static int pair_up(struct pass *pass, struct map *sizes, struct map *contents,
                   struct digest_stream *stream)
{
    const struct changes *changes = &pass->worktree->changes;
    unsigned char digest[DIGEST_BYTES];
    uint32_t at;
    for (size_t i = 0; i < changes->count; i++) {
        const struct changed_path *change = &changes->items[i];
        struct str size = str_make((const char *)&change->size, sizeof(change->size));
        if (!may_be_renamed(pass, change, CHANGE_DELETED) || !map_get(sizes, size, &at))
            continue;
        int r = digest_before(pass, change, stream, digest);
        if (r < 0)
            return r;
        if (r > 0 && map_get(contents, str_make((const char *)digest, DIGEST_BYTES), &at) &&
            pass->partners[at] == NO_PARTNER) {
            pass->partners[at] = (uint32_t)i;
            pass->partners[i] = at;
        }
    }
    return 0;
}

static int find_renames(struct pass *pass)
{
    _cleanup_(cleanup_digest_stream) struct digest_stream *stream = NULL;
    const struct changes *changes = &pass->worktree->changes;
    struct map sizes = MAP_INIT, contents = MAP_INIT;
    size_t moved = pass->diff->host_moved;
    int r = digest_stream_new(DIGEST_SHA256, &stream, pass->err);
    for (size_t i = 0; i < changes->count; i++)
        pass->partners[i] = NO_PARTNER;
    for (size_t i = 0; i < changes->count && r == 0; i++) {
        const struct changed_path *change = &changes->items[i];
        if (!may_be_renamed(pass, change, CHANGE_ADDED) || !change->has_digest)
            continue;
        if (map_put(&sizes, str_make((const char *)&change->size, sizeof(change->size)),
                    (uint32_t)i) == -ENOMEM ||
            map_put(&contents, str_make((const char *)change->digest, DIGEST_BYTES), (uint32_t)i) ==
                -ENOMEM)
            r = fail(pass, ENOMEM, change->path);
    }
    if (r == 0 && sizes.count)
        r = pair_up(pass, &sizes, &contents, stream);
    pass->diff->host_moved = moved;
    map_release(&sizes);
    map_release(&contents);
    return r;
}

/* --- all of them --------------------------------------------------------------------------- */

static int write_change(struct pass *pass, const struct changed_path *change,
                        const struct changed_path *renamed_from)
{
    struct opened before, after = { .side = { .fd = -1 } };
    struct worktree_diff *diff = pass->diff;
    int r = open_before(pass, renamed_from ? renamed_from : change, &before);
    if (r == 0 && change->type == CHANGE_MODE) { /* the contents are those that they were */
        after = before;
        after.side.mode = git_mode(change->kind, change->mode);
        after.side.fd = -1;
        if (after.side.mode == before.side.mode || !before.side.mode) {
            diff->bare++;
            opened_close(&before);
            return 0;
        }
        after.side.fd = fcntl(before.side.fd, F_DUPFD_CLOEXEC, 0);
    } else if (r == 0) {
        r = open_after(pass, change, &after);
    }
    if (r == 0 && (before.side.mode || after.side.mode))
        r = patch_write(&before.side, &after.side, diff->style, diff->sink, diff->sink_context,
                        pass->err);
    opened_close(&before);
    opened_close(&after);
    return r;
}

/* Whether a change can be in a patch; one that cannot is counted. */
static bool can_be_written(const struct worktree *worktree, struct worktree_diff *diff,
                           const struct changed_path *change)
{
    size_t *count = is_of_git(worktree, change)         ? &diff->of_git
                    : change->kind == CHANGED_SPECIAL   ? &diff->special
                    : change->kind == CHANGED_DIRECTORY ? &diff->bare
                                                        : NULL;
    if (count)
        ++*count;
    return !count;
}

int worktree_diff(const struct worktree *worktree, struct worktree_diff *diff, struct err *err)
{
    const struct changes *changes = &worktree->changes;
    struct pass pass = { .worktree = worktree, .diff = diff, .err = err };
    pass.partners = reallocarray(NULL, changes->count + 1, sizeof(*pass.partners));
    int r = pass.partners ? find_renames(&pass)
                          : err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    for (size_t i = 0; i < changes->count && r == 0; i++) {
        const struct changed_path *change = &changes->items[i];
        if (!diff->chooses(diff->chooses_context, change->path) ||
            !can_be_written(worktree, diff, change))
            continue;
        bool renamed = pass.partners[i] != NO_PARTNER;
        if (renamed && change->type == CHANGE_DELETED)
            continue;
        r = write_change(&pass, change, renamed ? &changes->items[pass.partners[i]] : NULL);
    }
    free(pass.partners);
    return r;
}
