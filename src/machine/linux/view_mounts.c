/*
 * view_mounts: the directories of the host that a plan mounts.
 *
 * Theory of operation. A directory is opened along a path without links and
 * mounted by descriptor. A staged one is an overlay: the host's directory
 * below, over it a layer of whiteouts for what is hidden, and on top the
 * folder that takes the writes; or, where no overlay can be made, a copy that
 * the supervisor made before. Where the caller is root, directories come as
 * trees of their own, id-mapped, so that the command's host identity stands
 * for their owner and for nobody else; the supervisor made them, because the
 * command's identity could not reach them.
 *
 * The overlay is `volatile`: nothing is synced on its behalf while it lives;
 * the supervisor syncs the layer once, when a change set is to be kept.
 */
#include <sys/stat.h>

#include "contract/host_path.h"
#include "machine/linux/mounting.h"
#include "machine/linux/sandbox.h"

#define RESTRICTED     (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define LAYER_PATH_MAX 64

static int refuse_place(const char *above, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, STEP_VIEW,
                   "%s has no such folder to mount on; make it there first", above);
}

/* Beside the image: it is the runtime that mounts it there, from config.json. */
static int open_place_aside(struct sandbox *sandbox, size_t index, struct err *err)
{
    const struct plan_mount *mounts = sandbox->plan->mounts;
    char path[LAYER_PATH_MAX];
    for (size_t i = index; i-- > 0;) { /* the innermost around it */
        struct str inner = str_from(mounts[index].agent_path),
                   outer = str_from(mounts[i].agent_path);
        if (!host_path_is_within(inner, outer))
            continue;
        snprintf(path, sizeof(path), "mounts/%zu", i);
        _cleanup_(cleanup_close) int above = mounting_open(sandbox->scratch, path, err);
        _cleanup_(cleanup_close) int there =
            above < 0 ? above : mounting_open(above, inner.ptr + outer.len + 1, err);
        if (there == -ENOENT)
            return refuse_place(mounts[i].agent_path, err);
        if (there < 0)
            return there;
        break;
    }
    snprintf(path, sizeof(path), "mounts/%zu", index);
    int r = mounting_folder(sandbox->scratch, path, 0755, err);
    return r < 0 ? r : mounting_open(sandbox->scratch, path, err);
}

/* The place in the view, which is made where nothing has it yet. */
static int open_place(struct sandbox *sandbox, size_t index, struct err *err)
{
    const struct plan_mount *mounts = sandbox->plan->mounts;
    const char *path = mounts[index].agent_path + 1;
    if (sandbox->plan->tier == TIER_CONTAINER)
        return open_place_aside(sandbox, index, err);
    int place = mounting_open(sandbox->root, path, err);
    if (place != -ENOENT)
        return place;
    for (size_t i = 0; i < index; i++) /* a folder made there would be made in the one above */
        if (host_path_is_within(str_from(mounts[index].agent_path), str_from(mounts[i].agent_path)))
            return refuse_place(mounts[i].agent_path, err);
    int r = mounting_folder(sandbox->root, path, 0755, err);
    return r < 0 ? r : mounting_open(sandbox->root, path, err);
}

/* The mount's tree, or the folder of its layer, open in this namespace. */
static int open_source(struct sandbox *sandbox, size_t index, int given, const char *path,
                       const char *part, struct err *err)
{
    char place[LAYER_PATH_MAX];
    if (given < 0)
        return mounting_open(AT_FDCWD, path, err);
    snprintf(place, sizeof(place), "%zu-%s", index, part);
    int r = mounting_folder(sandbox->staging, place, 0700, err);
    if (r < 0)
        return r;
    if (move_mount(given, "", sandbox->staging, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return mounting_failed(err, "cannot place", path);
    return given;
}

/* What hides files: an empty folder too, so that an overlay always has two. */
static int make_mask(struct sandbox *sandbox, size_t index, int below, struct err *err)
{
    char place[LAYER_PATH_MAX];
    if (sandbox->mounts[index].mask_path)
        return mounting_open(AT_FDCWD, sandbox->mounts[index].mask_path, err);
    snprintf(place, sizeof(place), "%zu-mask", index);
    int r = mounting_folder(sandbox->staging, place, 0755, err);
    if (r < 0)
        return r;
    int mask = mounting_open(sandbox->staging, place, err);
    if (mask < 0 || !sandbox->mounts[index].masks)
        return mask;
    r = mask_build(mask, below, sandbox->mounts[index].masks, err);
    if (r < 0) {
        close(mask);
        return r;
    }
    return mask;
}

static int overlay(struct sandbox *sandbox, size_t index, bool writable, struct err *err)
{
    const struct plan_mount *mount = &sandbox->plan->mounts[index];
    const struct sandbox_mount *source = &sandbox->mounts[index];
    char lower[2 * LAYER_PATH_MAX], upper[LAYER_PATH_MAX], work[LAYER_PATH_MAX];
    struct mounting_option options[] = { { "lowerdir", lower },
                                         { "userxattr", NULL },
                                         { "upperdir", upper },
                                         { "workdir", work },
                                         { "volatile", NULL } };
    int below = open_source(sandbox, index, source->tree, mount->host_path, "below", err);
    int mask = below < 0 ? below : make_mask(sandbox, index, below, err);
    if (mask < 0)
        return mask;
    snprintf(lower, sizeof(lower), "/proc/self/fd/%d:/proc/self/fd/%d", mask, below);
    int layer = -1;
    if (writable) {
        layer = open_source(sandbox, index, source->layer, source->layer_path, "layer", err);
        if (layer < 0)
            return layer;
        snprintf(upper, sizeof(upper), "/proc/self/fd/%d/upper", layer);
        snprintf(work, sizeof(work), "/proc/self/fd/%d/work", layer);
    }
    return mounting_new("overlay", options, writable ? ARRAY_LEN(options) : 2,
                        RESTRICTED | (writable ? 0 : MOUNT_ATTR_RDONLY), err);
}

static int mount_plain(struct sandbox *sandbox, size_t index, uint64_t attributes, struct err *err)
{
    const struct plan_mount *mount = &sandbox->plan->mounts[index];
    const struct sandbox_mount *source = &sandbox->mounts[index];
    const char *path = source->copy_path ? source->copy_path : mount->host_path;
    struct mount_attr attr = { .attr_set = RESTRICTED | attributes };
    if (source->tree < 0) {
        _cleanup_(cleanup_close) int fd = mounting_open(AT_FDCWD, path, err);
        return fd < 0 ? fd : mounting_copy(fd, attr.attr_set, path, err);
    }
    if (mount_setattr(source->tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
        return mounting_failed(err, "cannot restrict the mounts of", path);
    return source->tree;
}

static int mount_one(struct sandbox *sandbox, size_t index, struct err *err)
{
    const struct plan_mount *mount = &sandbox->plan->mounts[index];
    switch (mount->semantics) {
    case MOUNT_STAGED:
        return sandbox->mounts[index].copy_path ? mount_plain(sandbox, index, 0, err)
                                                : overlay(sandbox, index, true, err);
    case MOUNT_READ_ONLY:
        return sandbox->mounts[index].masks ? overlay(sandbox, index, false, err)
                                            : mount_plain(sandbox, index, MOUNT_ATTR_RDONLY, err);
    case MOUNT_READ_WRITE:
    case MOUNT_CACHE:
        return mount_plain(sandbox, index, 0, err);
    case SEMANTICS_COUNT:
        break;
    }
    return err_set(err, ERR_UNSUPPORTED, STEP_VIEW, "there is no such mount");
}

int view_mounts(struct sandbox *sandbox, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < sandbox->plan->mount_count && r == 0; i++) {
        const char *path = sandbox->plan->mounts[i].agent_path;
        _cleanup_(cleanup_close) int place = open_place(sandbox, i, err);
        int tree = place < 0 ? place : mount_one(sandbox, i, err);
        r = tree < 0 ? tree : mounting_attach(tree, place, "", err);
        if (r < 0)
            err_where(err, "%s", path);
    }
    return r;
}
