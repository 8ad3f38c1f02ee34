/*
 * worktree_plan: what was chosen, what of it is held apart, and the steps that apply the rest.
 *
 * A path that was chosen takes the directories that it needs along. Then each is looked at, whether
 * it is held apart, and what the tree has by now (worktree_decide.c).
 *
 * The steps: what is removed, from the deepest; what is made, put and swapped, in the order of
 * paths; and last the modes of directories, which may close them.
 */
#include <sys/file.h>

#include "machine/worktree_apply_internal.h"

#define FATE_TEXT(fate, text) [fate] = text,
const char *const apply_fate_names[APPLY_FATE_COUNT] = { APPLY_FATE_TABLE(FATE_TEXT) };
#undef FATE_TEXT

static const char *const twin = "another name of the change set differs from it by case alone";

bool apply_is_planned(const struct apply_item *item)
{
    return item->fate == FATE_TAKEN || item->fate == FATE_MERGED || item->fate == FATE_MARKED;
}

/* --- what was chosen ----------------------------------------------------------------------- */

static int index_changes(struct worktree_apply *apply, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < apply->count && r != -ENOMEM; i++) {
        const struct changed_path *change = apply->items[i].change;
        struct map *map = change->type == CHANGE_DELETED ? &apply->deleted : &apply->others;
        r = map_put(map, str_from(change->path), (uint32_t)i);
    }
    return r == -ENOMEM ? err_set(err, ERR_MEMORY, STEP_APPLY, "there is not enough memory") : 0;
}

/* The directories that a path lies in and the run made, with what was there before them. */
static void need_parents(struct worktree_apply *apply, const char *path)
{
    uint32_t at;
    for (const char *end = strchr(path, '/'); end; end = strchr(end + 1, '/')) {
        struct str parent = str_make(path, (size_t)(end - path));
        if (!map_get(&apply->others, parent, &at) || apply->items[at].change->type != CHANGE_ADDED)
            continue;
        apply->items[at].fate = FATE_TAKEN;
        if (map_get(&apply->deleted, parent, &at))
            apply->items[at].fate = FATE_TAKEN;
    }
}

static void hold_for(struct worktree_apply *apply, size_t i, const char *rule, const char *reason,
                     bool never)
{
    struct apply_item *item = &apply->items[i];
    const struct apply_options *options = &apply->options;
    item->rule = rule;
    item->why = reason;
    item->never = never;
    if (never || !(options->include_held || options->names(options->context, item->change->path)))
        item->fate = FATE_HELD;
}

static int hold(struct worktree_apply *apply, size_t i, struct err *err)
{
    struct held held = { 0 };
    int r = held_look(apply->worktree, apply->items[i].change, apply->options.scanner, &held, err);
    if (r == 0 && held.rule)
        hold_for(apply, i, held.rule, held.reason, held.never);
    return r;
}

static void fold(const char *path, char ret[CHANGES_PATH_MAX + 1])
{
    size_t i = 0;
    for (; path[i]; i++)
        ret[i] = path[i] >= 'A' && path[i] <= 'Z' ? (char)(path[i] - 'A' + 'a') : path[i];
    ret[i] = '\0';
}

/* Two names that some file systems take for one: which of them would be there nobody could say. */
static int hold_twins(struct worktree_apply *apply, struct err *err)
{
    struct map folded = MAP_INIT;
    struct arena arena = ARENA_INIT;
    char path[CHANGES_PATH_MAX + 1];
    uint32_t first;
    int r = 0;
    for (size_t i = 0; i < apply->count && r == 0; i++) {
        struct apply_item *item = &apply->items[i];
        if (item->fate != FATE_TAKEN || item->change->type == CHANGE_DELETED)
            continue;
        fold(item->change->path, path);
        if (map_get(&folded, str_from(path), &first)) {
            hold_for(apply, first, "case-twin", twin, false);
            hold_for(apply, i, "case-twin", twin, false);
            continue;
        }
        char *kept = arena_copy(&arena, str_from(path));
        r = kept ? map_put(&folded, str_from(kept), (uint32_t)i) : -ENOMEM;
    }
    map_release(&folded);
    arena_release(&arena);
    return r < 0 ? err_set(err, ERR_MEMORY, STEP_APPLY, "there is not enough memory") : 0;
}

static int choose(struct worktree_apply *apply, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < apply->count; i++)
        if (apply->options.chooses(apply->options.context, apply->items[i].change->path))
            apply->items[i].fate = FATE_TAKEN;
    for (size_t i = 0; i < apply->count && r == 0; i++)
        if (apply->items[i].fate == FATE_TAKEN)
            r = hold(apply, i, err);
    if (r == 0)
        r = hold_twins(apply, err);
    for (size_t i = 0; i < apply->count && r == 0; i++)
        if (apply->items[i].fate == FATE_TAKEN && apply->items[i].change->type != CHANGE_DELETED)
            need_parents(apply, apply->items[i].change->path);
    return r;
}

/* --- the steps ----------------------------------------------------------------------------- */

static int add_step(struct worktree_apply *apply, size_t i, enum apply_step_kind kind,
                    unsigned mode, struct err *err)
{
    const struct changed_path *change = apply->items[i].change;
    struct apply_step step = { .kind = kind,
                               .path = change->path,
                               .mode = mode,
                               .mode_before = change->mode_before,
                               .change = change,
                               .merged = apply->merged[i],
                               .uid = apply->status[i].st_uid,
                               .gid = apply->status[i].st_gid };
    if (apply->exists[i])
        step.mode_before = apply->status[i].st_mode & 07777;
    if (kind == STEP_REMOVE || kind == STEP_SWAP) {
        step.seen_inode = apply->status[i].st_ino;
        step.seen_mtime_ns = apply_mtime_ns(&apply->status[i]);
    }
    return steps_add(&apply->applying.steps, &step, err);
}

/* A directory that its owner could not fill is opened for as long as it takes. */
static int add_making(struct worktree_apply *apply, size_t i, struct err *err)
{
    const struct changed_path *change = apply->items[i].change;
    if (change->kind != CHANGED_DIRECTORY && change->type == CHANGE_MODE)
        return add_step(apply, i, STEP_CHMOD, change->mode, err);
    if (change->kind != CHANGED_DIRECTORY)
        return add_step(apply, i, apply->exists[i] ? STEP_SWAP : STEP_PUT, change->mode, err);
    if (change->type == CHANGE_ADDED)
        return add_step(apply, i, STEP_MKDIR, change->mode, err);
    return (apply->status[i].st_mode & 0300) == 0300
               ? 0
               : add_step(apply, i, STEP_CHMOD, change->mode | 0700, err);
}

int apply_make_steps(struct worktree_apply *apply, struct err *err)
{
    int r = 0;
    for (size_t i = apply->count; i-- > 0 && r == 0;) {
        const struct changed_path *change = apply->items[i].change;
        if (change->type == CHANGE_DELETED && apply_is_planned(&apply->items[i]))
            r = add_step(apply, i, change->kind == CHANGED_DIRECTORY ? STEP_RMDIR : STEP_REMOVE,
                         change->mode, err);
    }
    for (size_t i = 0; i < apply->count && r == 0; i++)
        if (apply->items[i].change->type != CHANGE_DELETED && apply_is_planned(&apply->items[i]))
            r = add_making(apply, i, err);
    for (size_t i = apply->count; i-- > 0 && r == 0;) {
        const struct changed_path *change = apply->items[i].change;
        if (change->type != CHANGE_DELETED && change->kind == CHANGED_DIRECTORY &&
            apply_is_planned(&apply->items[i]))
            r = add_step(apply, i, STEP_CHMOD, change->mode, err);
    }
    return r;
}

/* --- the whole ----------------------------------------------------------------------------- */

static int lock(int fd, const char *path, struct err *err)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return errno == EWOULDBLOCK ? err_set(err, ERR_CONFLICT, STEP_APPLY,
                                          "somebody else applies to %s just now", path)
                                : err_set_errno(err, errno, STEP_APPLY, "lock %s", path);
}

static int open_trees(struct worktree_apply *apply, struct err *err)
{
    const struct worktree *worktree = apply->worktree;
    struct applying *applying = &apply->applying;
    const char *path = apply->is_host ? worktree->host_path : apply->options.target;
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    if (apply->is_host && worktree->moved)
        return err_set(err, ERR_CONFLICT, STEP_APPLY,
                       "%s is another directory than the launch found; --to DIR takes the one that "
                       "you name",
                       path);
    if (snprintf(applying->root_path, sizeof(applying->root_path), "%s", path) >=
        (int)sizeof(applying->root_path))
        return err_set(err, ERR_LIMIT, STEP_APPLY, "the path of the tree is too long");
    snprintf(applying->staging_name, STAGING_SIZE, STAGING_PREFIX "%.80s", apply->options.name);
    applying->root = open(path, flags);
    applying->layer = open(worktree->layer, flags);
    if (applying->root < 0 || applying->layer < 0)
        return err_set_errno(err, errno, STEP_APPLY, "open %s",
                             applying->root < 0 ? path : worktree->layer);
    int r = lock(applying->layer, worktree->layer, err);
    return r < 0 ? r : lock(applying->root, path, err);
}

static int make_room(struct worktree_apply *apply, struct err *err)
{
    size_t count = apply->count + 1;
    apply->items = calloc(count, sizeof(*apply->items));
    apply->exists = calloc(count, sizeof(*apply->exists));
    apply->status = calloc(count, sizeof(*apply->status));
    apply->merged = calloc(count, sizeof(*apply->merged));
    if (!apply->items || !apply->exists || !apply->status || !apply->merged)
        return err_set(err, ERR_MEMORY, STEP_APPLY, "there is not enough memory");
    for (size_t i = 0; i < apply->count; i++)
        apply->items[i].change = &apply->worktree->changes.items[i];
    return 0;
}

int worktree_apply_plan(const struct worktree *worktree, const struct apply_options *options,
                        struct worktree_apply **ret, struct err *err)
{
    struct worktree_apply *apply = calloc(1, sizeof(*apply));
    if (!apply)
        return err_set(err, ERR_MEMORY, STEP_APPLY, "there is not enough memory");
    apply->worktree = worktree;
    apply->options = *options;
    apply->count = worktree->changes.count;
    apply->is_host = !options->target;
    apply->applying.root = apply->applying.layer = apply->applying.staging = -1;
    int r = worktree->recorded
                ? 0
                : err_set(err, ERR_UNSUPPORTED, STEP_APPLY,
                          "the host went down while it ran, or what it left could not be read, so "
                          "nothing recorded it; see `agent-machine worktree export`");
    if (r == 0)
        r = make_room(apply, err);
    if (r == 0)
        r = open_trees(apply, err);
    if (r == 0)
        r = index_changes(apply, err);
    if (r == 0)
        r = choose(apply, err);
    if (r == 0)
        r = apply_decide(apply, err);
    if (r < 0) {
        worktree_apply_free(apply);
        return r;
    }
    *ret = apply;
    return 0;
}

const struct apply_item *worktree_apply_items(const struct worktree_apply *apply, size_t *ret_count)
{
    *ret_count = apply->count;
    return apply->items;
}

size_t worktree_apply_count(const struct worktree_apply *apply, enum apply_fate fate)
{
    size_t count = 0;
    for (size_t i = 0; i < apply->count; i++)
        count += apply->items[i].fate == fate;
    return count;
}

void worktree_apply_free(struct worktree_apply *apply)
{
    if (!apply)
        return;
    cleanup_close(&apply->applying.staging);
    cleanup_close(&apply->applying.root);
    cleanup_close(&apply->applying.layer);
    steps_release(&apply->applying.steps);
    map_release(&apply->deleted);
    map_release(&apply->others);
    free(apply->items);
    free(apply->exists);
    free(apply->status);
    free(apply->merged);
    free(apply);
}
