/*
 * worktree_copy: see the header.
 *
 * Theory of operation. A file beside the copy is made first, with the moment at which it was made
 * in it; that is the launch. It is written when the copy is finished, and its time is that moment:
 * what the run changes has a later one. The host's tree is read through descriptors, following no
 * link, and may change meanwhile: then the copy has what was seen.
 */
#include "machine/worktree_copy.h"

#include <sys/file.h>
#include <time.h>

#include "base/file.h"
#include "base/map.h"
#include "machine/layer.h"
#include "machine/worktree_kept.h"

#define STEP_COPY       "copy a directory for a run"
#define COPIED_FILE     "copied"
#define CLOCK_TRIES_MAX 5000 /* of a millisecond; coarse clocks take two seconds */

struct copying {
    struct map hidden;
    struct buf path; /* of what is copied, without a slash at its end */
    char *piece;
    dev_t device;
    bool as_root;
    uid_t uid;
    gid_t gid;
    struct worktree_copied done;
    struct err *err;
};

static int fail(const struct copying *copying, int error)
{
    return err_set_errno(copying->err, error, STEP_COPY, "./%s", copying->path.data);
}

/* --- one file ------------------------------------------------------------------------------ */

static int finish(const struct copying *copying, int to, const struct stat *status)
{
    const struct timespec times[2] = { status->st_atim, status->st_mtim };
    if ((copying->as_root && fchown(to, copying->uid, copying->gid) < 0) ||
        fchmod(to, status->st_mode & 07777) < 0 || futimens(to, times) < 0)
        return -errno;
    return 0;
}

static int copy_file(struct copying *copying, int from, int to, const char *name)
{
    struct stat status;
    _cleanup_(cleanup_close) int source =
        openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (source < 0 || fstat(source, &status) < 0)
        return -errno;
    _cleanup_(cleanup_close) int target =
        openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool shared = false;
    int r = target < 0 ? -errno : layer_copy_contents(source, target, copying->piece, &shared);
    copying->done.shared = copying->done.shared && shared;
    copying->done.bytes += (uint64_t)status.st_size;
    return r < 0 ? r : finish(copying, target, &status);
}

static int copy_link(const struct copying *copying, int from, int to, const char *name,
                     const struct stat *status)
{
    const struct timespec times[2] = { status->st_atim, status->st_mtim };
    ssize_t len = readlinkat(from, name, copying->piece, LAYER_PIECE_BYTES - 1);
    if (len < 0)
        return -errno;
    copying->piece[len] = '\0';
    if (symlinkat(copying->piece, to, name) < 0 ||
        utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ||
        (copying->as_root &&
         fchownat(to, name, copying->uid, copying->gid, AT_SYMLINK_NOFOLLOW) < 0))
        return -errno;
    return 0;
}

/* --- all of them --------------------------------------------------------------------------- */

static int copy_directory(struct copying *copying, int from, int to, unsigned depth);

static int copy_inner(struct copying *copying, int from, int to, const char *name,
                      const struct stat *status, unsigned depth)
{
    if (mkdirat(to, name, 0700) < 0)
        return -errno;
    _cleanup_(cleanup_close) int target =
        openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_(cleanup_close) int source =
        openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0 || source < 0)
        return -errno;
    int r = status->st_dev == copying->device /* what is mounted there an overlay lacks too */
                ? copy_directory(copying, source, target, depth + 1)
                : 0;
    return r < 0 ? r : finish(copying, target, status);
}

static int copy_name(struct copying *copying, int from, int to, const char *name, unsigned depth)
{
    struct stat status;
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (++copying->done.files > WORKTREE_COPY_FILES_MAX)
        return err_set(copying->err, ERR_LIMIT, STEP_COPY,
                       "there are more than %d files, and no overlay can be made; have it and the "
                       "state of this program on a local file system",
                       WORKTREE_COPY_FILES_MAX);
    if (S_ISDIR(status.st_mode))
        return copy_inner(copying, from, to, name, &status, depth);
    if (S_ISLNK(status.st_mode))
        return copy_link(copying, from, to, name, &status);
    return S_ISREG(status.st_mode) ? copy_file(copying, from, to, name) : 0;
}

static int copy_directory(struct copying *copying, int from, int to, unsigned depth)
{
    struct names names = { 0 };
    uint32_t unused;
    int r = depth > CHANGES_DEPTH_MAX ? -ELOOP : names_read(from, &names);
    for (size_t i = 0; i < names.count && r == 0; i++) {
        size_t before = copying->path.len;
        if (before)
            buf_add_char(&copying->path, '/');
        r = buf_add_text(&copying->path, names.items[i]) < 0 ? -ENAMETOOLONG : 0;
        if (r == 0 && !map_get(&copying->hidden, buf_str(&copying->path), &unused))
            r = copy_name(copying, from, to, names.items[i], depth);
        if (r < 0 && !copying->err->code)
            fail(copying, -r);
        buf_truncate(&copying->path, before);
    }
    names_release(&names);
    return r;
}

static int hide(struct copying *copying, const struct mask_list *hidden)
{
    for (size_t i = 0; hidden && i < hidden->count; i++)
        if (hidden->entries[i].action != MASK_FOLDER &&
            map_put(&copying->hidden, str_from(hidden->entries[i].path), 0) == -ENOMEM)
            return -ENOMEM;
    return 0;
}

static int64_t moment(struct timespec time)
{
    return time.tv_sec * NS_PER_SECOND + time.tv_nsec;
}

/*
 * Writes down the launch, and by doing so when the copy was finished: a step of the file system's
 * clock after the last that was copied, so that each file can be told from what the run changes.
 */
static int mark(int marker, int copy, int64_t launched_ns)
{
    const struct timespec a_moment = { .tv_nsec = 1000000 };
    struct stat last, now;
    char text[32];
    int len = snprintf(text, sizeof(text), "%lld\n", (long long)launched_ns);
    if (fstat(copy, &last) < 0)
        return -errno;
    for (int i = 0; i < CLOCK_TRIES_MAX; i++) {
        if (pwrite(marker, text, (size_t)len, 0) != len || fstat(marker, &now) < 0)
            return -EIO;
        if (moment(now.st_mtim) > moment(last.st_ctim))
            return 0;
        nanosleep(&a_moment, NULL);
    }
    return -ETIME;
}

static int copy_tree(struct copying *copying, int layer, const char *host_path)
{
    struct stat status, made;
    _cleanup_(cleanup_close) int marker =
        openat(layer, COPIED_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    _cleanup_(cleanup_close) int to = openat(layer, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(cleanup_close) int from = open(host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (marker < 0 || to < 0 || from < 0 || fstat(marker, &made) < 0 || fstat(from, &status) < 0 ||
        flock(marker, LOCK_EX) < 0)
        return -errno;
    copying->device = status.st_dev;
    int r = copy_directory(copying, from, to, 0);
    if (r == 0)
        r = finish(copying, to, &status);
    return r < 0 ? r : mark(marker, to, moment(made.st_ctim));
}

int worktree_copy(const char *layer, const char *host_path, const struct mask_list *hidden,
                  bool as_root, uid_t uid, gid_t gid, struct worktree_copied *ret, struct err *err)
{
    struct err inner = { 0 };
    struct copying copying = { .path = BUF_INIT_LIMIT(CHANGES_PATH_MAX + 1),
                               .piece = malloc(LAYER_PIECE_BYTES),
                               .as_root = as_root,
                               .uid = uid,
                               .gid = gid,
                               .done.shared = true,
                               .err = &inner };
    _cleanup_(cleanup_close) int folder = kept_open_folder(layer, &inner);
    int r = folder < 0 ? folder : copying.piece ? hide(&copying, hidden) : -ENOMEM;
    if (r == 0)
        r = copy_tree(&copying, folder, host_path);
    if (r < 0 && !inner.code)
        err_set_errno(&inner, -r, STEP_COPY, "%s", host_path);
    if (r < 0 && err)
        *err = inner;
    else if (r == 0)
        *ret = copying.done;
    buf_release(&copying.path);
    map_release(&copying.hidden);
    free(copying.piece);
    return r;
}

bool worktree_is_copy(const char *layer, int64_t *ret_launched_ns, int64_t *ret_copied_ns)
{
    char path[PATH_BYTES_MAX], text[32] = "";
    struct stat status;
    snprintf(path, sizeof(path), "%s/" COPIED_FILE, layer);
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        return false;
    *ret_launched_ns = strtoll(text, NULL, 10);
    *ret_copied_ns = moment(status.st_mtim);
    return true;
}

bool worktree_copy_is_abandoned(const char *layer)
{
    char path[PATH_BYTES_MAX];
    struct stat status;
    snprintf(path, sizeof(path), "%s/" COPIED_FILE, layer);
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &status) == 0 &&
           status.st_size == 0;
}

/* --- away with what is as it was ------------------------------------------------------------ */

static int prune(struct copying *copying, int directory, unsigned depth);

static int prune_inner(struct copying *copying, int directory, const char *name,
                       const struct stat *status, unsigned depth)
{
    _cleanup_(cleanup_close) int inner = layer_open_seen(directory, name, status, O_DIRECTORY);
    mode_t mode = status->st_mode & 07777;
    if (inner < 0)
        return inner;
    if ((mode & 0700) != 0700 && fchmod(inner, mode | 0700) < 0)
        return -errno;
    int r = prune(copying, inner, depth + 1);
    if ((mode & 0700) != 0700 && fchmod(inner, mode) < 0 && r == 0)
        r = -errno;
    return r;
}

static int prune(struct copying *copying, int directory, unsigned depth)
{
    struct names names = { 0 };
    uint32_t unused;
    int r = depth > CHANGES_DEPTH_MAX ? -ELOOP : names_read(directory, &names);
    for (size_t i = 0; i < names.count && r == 0; i++) {
        struct stat status;
        size_t before = copying->path.len;
        if (before)
            buf_add_char(&copying->path, '/');
        buf_add_text(&copying->path, names.items[i]);
        bool stays = map_get(&copying->hidden, buf_str(&copying->path), &unused);
        r = fstatat(directory, names.items[i], &status, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
        if (r == 0 && S_ISDIR(status.st_mode))
            r = prune_inner(copying, directory, names.items[i], &status, depth);
        if (r == 0 && !stays &&
            unlinkat(directory, names.items[i], S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0) < 0 &&
            errno != ENOTEMPTY && errno != EEXIST)
            r = -errno;
        buf_truncate(&copying->path, before);
    }
    names_release(&names);
    return r;
}

int worktree_prune(int upper, const struct changes *changes, struct err *err)
{
    struct copying copying = { .path = BUF_INIT_LIMIT(CHANGES_PATH_MAX + 1) };
    int r = 0;
    for (size_t i = 0; i < changes->count && r != -ENOMEM; i++)
        if (changes->items[i].type != CHANGE_DELETED) /* here: what stays */
            r = map_put(&copying.hidden, str_from(changes->items[i].path), 0);
    r = r == -ENOMEM ? r : prune(&copying, upper, 0);
    buf_release(&copying.path);
    map_release(&copying.hidden);
    return r < 0 ? err_set_errno(err, -r, STEP_COPY, "what was not changed cannot be removed") : 0;
}
