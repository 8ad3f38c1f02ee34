/*
 * worktree: see the header (stop 8 of a run).
 *
 * While a run lives its overlay syncs nothing; what it leaves is synced once,
 * and only where there is something.
 */
#include "machine/worktree.h"

#include <dirent.h>
#include <sys/stat.h>

#include "base/file.h"

#define STEP_WORKTREE  "read a change set"
#define MASK_LAYER     "mask"
#define PATH_BYTES_MAX 8192

static int open_folder(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_set_errno(err, errno, STEP_WORKTREE, "cannot open %s", path) : fd;
}

/* The top of a layer may have been closed from inside; its mode is no change of the run's. */
static int open_upper(const char *path, struct err *err)
{
    struct stat status;
    if (lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && (status.st_mode & 0700) != 0700 &&
        chmod(path, 0700) < 0)
        return err_set_errno(err, errno, STEP_WORKTREE, "cannot open %s", path);
    return open_folder(path, err);
}

static bool is_empty(int folder)
{
    _cleanup_(cleanup_close) int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    size_t count = 0;
    if (!entries)
        return false;
    (void)TAKE_FD(fd); /* the stream's now */
    while (readdir(entries))
        count++;
    closedir(entries);
    return count <= 2; /* . and .. */
}

/* What hid something from the run, again: the one that it had went with its namespaces. */
static int keep_mask(const char *layer, int upper, int lower, const struct mask_list *masks,
                     struct err *err)
{
    char path[PATH_BYTES_MAX];
    if (!masks || !masks->count || is_empty(upper))
        return 0;
    if (snprintf(path, sizeof(path), "%s/" MASK_LAYER, layer) >= (int)sizeof(path))
        return err_set(err, ERR_LIMIT, STEP_WORKTREE, "the path of a layer is too long");
    int r = file_make_folder(path, err);
    _cleanup_(cleanup_close) int mask = r < 0 ? r : open_folder(path, err);
    return mask < 0 ? mask : mask_build(mask, lower, masks, err);
}

/* The layer that keep_mask has left; -ENOENT where there is none. */
static int open_mask(const char *layer)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/" MASK_LAYER, layer);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int read_layer(const char *layer, const char *host_path, bool keep,
                      const struct mask_list *masks, struct changes *ret, struct err *err)
{
    char path[PATH_BYTES_MAX];
    *ret = (struct changes){ 0 };
    if (snprintf(path, sizeof(path), "%s/upper", layer) >= (int)sizeof(path))
        return err_set(err, ERR_LIMIT, STEP_WORKTREE, "the path of a layer is too long");
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    _cleanup_(cleanup_close) int upper = open_upper(path, err);
    _cleanup_(cleanup_close) int lower = upper < 0 ? upper : open_folder(host_path, err);
    int r = lower < 0 ? lower : keep_mask(layer, upper, lower, masks, err);
    if (r < 0)
        return r;
    _cleanup_(cleanup_close) int mask = open_mask(layer);
    r = mask < 0 && mask != -ENOENT
            ? err_set_errno(err, -mask, STEP_WORKTREE, "cannot open what was hidden from the run")
            : changes_read(upper, lower, mask, ret, err);
    if (r == 0 && keep && ret->count && syncfs(upper) < 0) {
        changes_release(ret);
        return err_set_errno(err, errno, STEP_WORKTREE, "cannot make %s durable", path);
    }
    return r;
}

int worktree_changes(const char *layer, const char *host_path, struct changes *ret, struct err *err)
{
    return read_layer(layer, host_path, false, NULL, ret, err);
}

int worktree_keep(const char *layer, const char *host_path, const struct mask_list *masks,
                  struct changes *ret, struct err *err)
{
    return read_layer(layer, host_path, true, masks, ret, err);
}
