/*
 * worktree_decide: whether the tree has what the run started from, and what is done where it has
 * not.
 *
 * What is deleted is decided first, directories after what is in them: one goes only if all that
 * the tree has in it goes too. An addition may take the place of what is deleted.
 *
 * A file of the host's is as the launch found it where its ctime lies before the launch, or its
 * contents have the digest that they had. Anything else is a conflict, and what is done about it
 * the person has said; where that is to merge, both sides and what they come from must be text. A
 * conflict that was left makes the whole plan one that is not carried out.
 */
#include <limits.h>

#include "base/file.h"
#include "machine/beneath.h"
#include "machine/layer.h"
#include "machine/merge.h"
#include "machine/patch.h"
#include "machine/worktree_apply_internal.h"

static const char *const exists = "the tree has one of that name already";
static const char *const gone = "it is gone from the tree since the launch";
static const char *const changed = "the tree has another one than the launch found";
static const char *const other_kind = "something else is there by now";
static const char *const no_way = "a link or a mount lies on the way to it";
static const char *const not_empty = "something that stays is in it";
static const char *const no_base = "both have changed it, and it cannot be merged: it is no text, "
                                   "or what the launch found is gone";
static const char *const in_the_way = "what the tree has there stays";

/* --- helpers ------------------------------------------------------------------------------- */

static void conflict(struct worktree_apply *apply, size_t i, const char *why)
{
    apply->items[i].fate = apply->options.strategy == APPLY_OURS ? FATE_KEPT : FATE_CONFLICT;
    apply->items[i].why = why;
}

static int look(const struct worktree_apply *apply, const char *path, struct stat *ret)
{
    _cleanup_(cleanup_close) int fd = beneath_open(apply->applying.root, path, O_PATH | O_NOFOLLOW);
    if (fd < 0)
        return fd;
    return fstat(fd, ret) < 0 ? -errno : 0;
}

/* --- whether the tree has what the launch found -------------------------------------------- */

static int digest_fd(int fd, unsigned char ret[DIGEST_BYTES])
{
    _cleanup_(cleanup_digest_stream) struct digest_stream *stream = NULL;
    _cleanup_(cleanup_free) char *piece = malloc(LAYER_PIECE_BYTES);
    ssize_t n = 0;
    if (!piece || digest_stream_new(DIGEST_SHA256, &stream, NULL) < 0)
        return -ENOMEM;
    while ((n = layer_read_piece(fd, piece)) > 0)
        digest_stream_add(stream, str_make(piece, (size_t)n));
    digest_stream_end(stream, ret);
    return (int)n;
}

static int open_target(const struct worktree_apply *apply, const char *path)
{
    return beneath_open(apply->applying.root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

static bool link_is_as_before(const struct worktree_apply *apply, const struct changed_path *change)
{
    char target[CHANGES_PATH_MAX + 1];
    unsigned char digest[DIGEST_BYTES];
    _cleanup_(cleanup_close) int fd =
        beneath_open(apply->applying.root, change->path, O_PATH | O_NOFOLLOW);
    ssize_t len = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target));
    return len >= 0 && change->has_before &&
           digest_sha256(str_make(target, (size_t)len), digest, NULL) == 0 &&
           memcmp(digest, change->before, DIGEST_BYTES) == 0;
}

/* Whether a file or link of the tree is as the launch found it on the host. */
static bool is_as_before(const struct worktree_apply *apply, const struct changed_path *change,
                         const struct stat *status)
{
    unsigned char digest[DIGEST_BYTES], before[DIGEST_BYTES];
    struct stat unused;
    if (apply->is_host && worktree_is_unchanged(apply->worktree, status))
        return true;
    if (change->kind == CHANGED_LINK)
        return link_is_as_before(apply, change);
    _cleanup_(cleanup_close) int fd = open_target(apply, change->path);
    if (fd < 0 || (apply->is_host && !change->has_before) || digest_fd(fd, digest) < 0)
        return false;
    if (change->has_before)
        return memcmp(digest, change->before, DIGEST_BYTES) == 0;
    _cleanup_(cleanup_close) int host = worktree_open_before(apply->worktree, change, &unused);
    return host >= 0 && digest_fd(host, before) == 0 && memcmp(digest, before, DIGEST_BYTES) == 0;
}

/* --- merging ------------------------------------------------------------------------------- */

static bool read_text(int fd, const unsigned char *expected, struct buf *ret)
{
    unsigned char digest[DIGEST_BYTES];
    if (fd < 0 || file_read_fd(fd, "", ret, NULL) < 0 || memchr(ret->data, '\0', ret->len))
        return false;
    return !expected || (digest_sha256(buf_str(ret), digest, NULL) == 0 &&
                         memcmp(digest, expected, DIGEST_BYTES) == 0);
}

static int merge_item(struct worktree_apply *apply, size_t i, struct err *err)
{
    struct apply_item *item = &apply->items[i];
    const struct changed_path *change = item->change;
    struct buf texts[3], merged = BUF_INIT_LIMIT(2 * PATCH_TEXT_MAX);
    struct stat unused;
    size_t marks = 0;
    int fds[3] = { worktree_open_before(apply->worktree, change, &unused),
                   open_target(apply, change->path),
                   worktree_open_after(apply->worktree, change, &unused) };
    const unsigned char *expected[3] = { change->before, NULL, change->digest };
    bool good = change->kind == CHANGED_FILE && change->has_before;
    for (int side = 0; side < 3; side++) {
        texts[side] = BUF_INIT_LIMIT(PATCH_TEXT_MAX);
        good = good && read_text(fds[side], expected[side], &texts[side]);
        cleanup_close(&fds[side]);
    }
    struct merge_sides sides = { buf_str(&texts[0]), buf_str(&texts[1]), buf_str(&texts[2]), "host",
                                 apply->options.name };
    int r = good ? merge_texts(&sides, &merged, &marks) : 0;
    if (good && r == 0) {
        char *kept = arena_copy(&apply->applying.steps.arena, buf_str(&merged));
        apply->merged[i] = str_make(kept, merged.len);
        item->fate = marks ? FATE_MARKED : FATE_MERGED;
        r = kept ? 0 : -ENOMEM;
    } else if (r == 0) {
        conflict(apply, i, no_base);
    }
    for (int side = 0; side < 3; side++)
        buf_release(&texts[side]);
    buf_release(&merged);
    return r < 0 ? err_set_errno(err, -r, STEP_APPLY, "merge %s", change->path) : 0;
}

int worktree_apply_texts(const struct worktree_apply *apply, size_t item, struct buf *ret_tree,
                         struct buf *ret_run, struct err *err)
{
    const struct changed_path *change = apply->items[item].change;
    struct stat unused;
    if (!apply_is_planned(&apply->items[item]) || change->kind != CHANGED_FILE ||
        change->type != CHANGE_MODIFIED || !apply->exists[item])
        return 0;
    _cleanup_(cleanup_close) int tree = open_target(apply, change->path);
    _cleanup_(cleanup_close) int run = worktree_open_after(apply->worktree, change, &unused);
    if (read_text(tree, NULL, ret_tree) && read_text(run, change->digest, ret_run))
        return 1;
    return ret_tree->error || ret_run->error
               ? err_set(err, ERR_MEMORY, STEP_APPLY, "there is not enough memory")
               : 0;
}

int worktree_apply_set_text(struct worktree_apply *apply, size_t item, struct str text,
                            struct err *err)
{
    char *kept = arena_copy(&apply->applying.steps.arena, text);
    if (!kept)
        return err_set(err, ERR_MEMORY, STEP_APPLY, "there is not enough memory");
    apply->merged[item] = str_make(kept, text.len);
    apply->items[item].fate = FATE_MERGED;
    return 0;
}

/* --- each change --------------------------------------------------------------------------- */

/* Whether what is deleted in this plan makes room for a path, or for what it lies in. */
static bool has_room(const struct worktree_apply *apply, const char *path)
{
    uint32_t at;
    size_t len = strlen(path);
    for (const char *end = path + len; end; end = memrchr(path, '/', (size_t)(end - path))) {
        if (map_get(&apply->deleted, str_make(path, (size_t)(end - path)), &at) &&
            apply_is_planned(&apply->items[at]))
            return true;
    }
    return false;
}

/* A conflict about something that is there, unless the run's is to be taken. */
static int contend(struct worktree_apply *apply, size_t i, const char *why, struct err *err)
{
    const struct changed_path *change = apply->items[i].change;
    bool replaceable =
        apply->exists[i] && !S_ISDIR(apply->status[i].st_mode) && change->kind != CHANGED_DIRECTORY;
    if (apply->options.strategy == APPLY_THEIRS && (replaceable || !apply->exists[i]))
        return 0;
    if (apply->options.strategy == APPLY_MERGE && why == changed && change->type == CHANGE_MODIFIED)
        return merge_item(apply, i, err);
    conflict(apply, i, why);
    return 0;
}

static int decide_added(struct worktree_apply *apply, size_t i, struct err *err)
{
    struct apply_item *item = &apply->items[i];
    if (!apply->exists[i] || has_room(apply, item->change->path)) {
        apply->exists[i] = false;
        return 0;
    }
    uint32_t at;
    if (map_get(&apply->deleted, str_from(item->change->path), &at)) {
        conflict(apply, i, in_the_way);
        return 0;
    }
    if (item->change->kind == CHANGED_DIRECTORY && S_ISDIR(apply->status[i].st_mode)) {
        item->fate = FATE_DONE;
        return 0;
    }
    return contend(apply, i, exists, err);
}

static int decide_modified(struct worktree_apply *apply, size_t i, struct err *err)
{
    const struct changed_path *change = apply->items[i].change;
    if (!apply->exists[i])
        return contend(apply, i, gone, err);
    if (!changed_is_kind(&apply->status[i], change->kind))
        return contend(apply, i, other_kind, err);
    return is_as_before(apply, change, &apply->status[i]) ? 0 : contend(apply, i, changed, err);
}

static int decide_mode(struct worktree_apply *apply, size_t i)
{
    const struct changed_path *change = apply->items[i].change;
    unsigned mode = apply->status[i].st_mode & 07777;
    if (!apply->exists[i])
        conflict(apply, i, gone);
    else if (!changed_is_kind(&apply->status[i], change->kind))
        conflict(apply, i, other_kind);
    else if (mode == change->mode)
        apply->items[i].fate = FATE_DONE;
    else if (mode != change->mode_before && apply->options.strategy != APPLY_THEIRS)
        conflict(apply, i, changed);
    return 0;
}

static int decide_deleted(struct worktree_apply *apply, size_t i, struct err *err)
{
    const struct changed_path *change = apply->items[i].change;
    if (!apply->exists[i]) {
        apply->items[i].fate = FATE_DONE;
        return 0;
    }
    if (!changed_is_kind(&apply->status[i], change->kind) && change->kind != CHANGED_SPECIAL) {
        conflict(apply, i, other_kind);
        return 0;
    }
    return is_as_before(apply, change, &apply->status[i]) ? 0 : contend(apply, i, changed, err);
}

/* Whether all that the tree has in a directory goes with it. */
static bool goes_empty(const struct worktree_apply *apply, const char *path)
{
    _cleanup_(cleanup_close) int fd =
        beneath_open(apply->applying.root, path, O_RDONLY | O_DIRECTORY);
    struct names names = { 0 };
    bool empty = fd >= 0 && names_read(fd, &names) == 0;
    for (size_t i = 0; i < names.count && empty; i++) {
        char inner[CHANGES_PATH_MAX + NAME_MAX + 2];
        uint32_t at;
        snprintf(inner, sizeof(inner), "%s/%s", path, names.items[i]);
        empty =
            map_get(&apply->deleted, str_from(inner), &at) && apply_is_planned(&apply->items[at]);
    }
    names_release(&names);
    return empty;
}

static int look_at(struct worktree_apply *apply, size_t i, struct err *err)
{
    const char *path = apply->items[i].change->path;
    int r = look(apply, path, &apply->status[i]);
    apply->exists[i] = r == 0;
    if (r == 0 || r == -ENOENT)
        return 0;
    if ((r == -ENOTDIR || r == -ELOOP) && has_room(apply, path))
        return 0;
    if (r == -ENOTDIR || r == -ELOOP || r == -EXDEV) {
        conflict(apply, i, r == -ENOTDIR ? other_kind : no_way);
        return 0;
    }
    return err_set_errno(err, -r, STEP_APPLY, "%s", path);
}

static int decide(struct worktree_apply *apply, size_t i, struct err *err)
{
    int r = look_at(apply, i, err);
    if (r < 0 || apply->items[i].fate != FATE_TAKEN)
        return r;
    switch (apply->items[i].change->type) {
    case CHANGE_ADDED:
        return decide_added(apply, i, err);
    case CHANGE_MODIFIED:
        return decide_modified(apply, i, err);
    case CHANGE_MODE:
        return decide_mode(apply, i);
    case CHANGE_DELETED:
        return decide_deleted(apply, i, err);
    case CHANGE_TYPE_COUNT:
        break;
    }
    return 0;
}

static int decide_directory(struct worktree_apply *apply, size_t i, struct err *err)
{
    struct apply_item *item = &apply->items[i];
    int r = look_at(apply, i, err);
    if (r < 0 || item->fate != FATE_TAKEN)
        return r;
    if (!apply->exists[i])
        item->fate = FATE_DONE;
    else if (!S_ISDIR(apply->status[i].st_mode))
        conflict(apply, i, other_kind);
    else if (!goes_empty(apply, item->change->path))
        conflict(apply, i, not_empty);
    return 0;
}

int apply_decide(struct worktree_apply *apply, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < apply->count && r == 0; i++)
        if (apply->items[i].fate == FATE_TAKEN && apply->items[i].change->type == CHANGE_DELETED &&
            apply->items[i].change->kind != CHANGED_DIRECTORY)
            r = decide(apply, i, err);
    for (size_t i = apply->count; i-- > 0 && r == 0;)
        if (apply->items[i].fate == FATE_TAKEN && apply->items[i].change->type == CHANGE_DELETED &&
            apply->items[i].change->kind == CHANGED_DIRECTORY)
            r = decide_directory(apply, i, err);
    for (size_t i = 0; i < apply->count && r == 0; i++)
        if (apply->items[i].fate == FATE_TAKEN && apply->items[i].change->type != CHANGE_DELETED)
            r = decide(apply, i, err);
    return r;
}
