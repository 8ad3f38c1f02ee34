/*
 * worktree: see the header (stop 8 of a run).
 *
 * While a run lives its overlay syncs nothing; what it leaves is synced once,
 * and only where there is something.
 */
#include "machine/worktree.h"

#include <sys/stat.h>

#define STEP_WORKTREE  "read a change set"
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

static int read_layer(const char *layer, const char *host_path, bool keep, struct changes *ret,
                      struct err *err)
{
    char path[PATH_BYTES_MAX];
    *ret = (struct changes){ 0 };
    if (snprintf(path, sizeof(path), "%s/upper", layer) >= (int)sizeof(path))
        return err_set(err, ERR_LIMIT, STEP_WORKTREE, "the path of a layer is too long");
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    _cleanup_(cleanup_close) int upper = open_upper(path, err);
    _cleanup_(cleanup_close) int lower = upper < 0 ? upper : open_folder(host_path, err);
    int r = lower < 0 ? lower : changes_read(upper, lower, -1, ret, err);
    if (r == 0 && keep && ret->count && syncfs(upper) < 0) {
        changes_release(ret);
        return err_set_errno(err, errno, STEP_WORKTREE, "cannot make %s durable", path);
    }
    return r;
}

int worktree_changes(const char *layer, const char *host_path, struct changes *ret, struct err *err)
{
    return read_layer(layer, host_path, false, ret, err);
}

int worktree_keep(const char *layer, const char *host_path, struct changes *ret, struct err *err)
{
    return read_layer(layer, host_path, true, ret, err);
}
