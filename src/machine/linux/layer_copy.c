/*
 * layer_copy: what a run wrote, once more, for another run to go on from.
 *
 * Each name is opened in its directory's descriptor, and no link is followed. What the overlay
 * noted down comes along: marks for what is gone are made anew, and the attributes by which it
 * knows a directory that hides what is below. Where the file system shares blocks, the copy does.
 */
#include <sys/xattr.h>

#include "machine/changes.h"
#include "machine/layer.h"

#define STEP       "copy a change set"
#define NAMES_MAX  ((size_t)64 << 10)
#define VALUE_MAX  ((size_t)64 << 10)
#define ATTRIBUTES "user."

struct copying {
    char *names, *value, *piece;
    struct err *err;
};

static int copy_directory(struct copying *copying, int from, int to, unsigned depth);

static int fail(const struct copying *copying, const char *name)
{
    return err_set_errno(copying->err, errno, STEP, "%s", name);
}

/* --- what goes with a file ----------------------------------------------------------------- */

static int copy_attributes(const struct copying *copying, int from, int to)
{
    ssize_t len = flistxattr(from, copying->names, NAMES_MAX);
    if (len < 0)
        return errno == EOPNOTSUPP ? 0 : -errno;
    for (const char *name = copying->names; name < copying->names + len; name += strlen(name) + 1) {
        if (strncmp(name, ATTRIBUTES, strlen(ATTRIBUTES)) != 0)
            continue;
        ssize_t size = fgetxattr(from, name, copying->value, VALUE_MAX);
        if (size < 0 || fsetxattr(to, name, copying->value, (size_t)size, 0) < 0)
            return -errno;
    }
    return 0;
}

/* The mode last: it may take the right to write away. */
static int finish(const struct copying *copying, int from, int to, const struct stat *status)
{
    const struct timespec times[2] = { status->st_atim, status->st_mtim };
    int r = copy_attributes(copying, from, to);
    if (r == 0 && geteuid() == 0 && fchown(to, status->st_uid, status->st_gid) < 0)
        r = -errno;
    return r < 0                                                                ? r
           : fchmod(to, status->st_mode & 07777) < 0 || futimens(to, times) < 0 ? -errno
                                                                                : 0;
}

/* --- each kind ----------------------------------------------------------------------------- */

static int copy_file(const struct copying *copying, int from, int to, const char *name,
                     const struct stat *status)
{
    _cleanup_(cleanup_close) int source = layer_open_seen(from, name, status, 0);
    if (source < 0)
        return source;
    _cleanup_(cleanup_close) int target =
        openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool shared;
    int r = target < 0 ? -errno : layer_copy_contents(source, target, copying->piece, &shared);
    return r < 0 ? r : finish(copying, source, target, status);
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
        utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return geteuid() == 0 &&
                   fchownat(to, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0
               ? -errno
               : 0;
}

static int copy_inner(struct copying *copying, int from, int to, const char *name,
                      const struct stat *status, unsigned depth)
{
    struct stat open = *status;
    _cleanup_(cleanup_close) int source = layer_open_seen(from, name, status, O_DIRECTORY);
    if (source < 0)
        return source;
    if (mkdirat(to, name, 0700) < 0)
        return -errno;
    _cleanup_(cleanup_close) int target =
        openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool closed = (status->st_mode & 0500) != 0500;
    if (target < 0 || (closed && fchmod(source, (status->st_mode & 07777) | 0500) < 0))
        return -errno;
    int r = copy_directory(copying, source, target, depth + 1);
    if (closed && fchmod(source, status->st_mode & 07777) < 0 && r == 0)
        r = -errno;
    return r < 0 ? r : finish(copying, source, target, &open);
}

/* A mark of the overlay's is made by anybody; other devices, and sockets, lead nowhere anyway. */
static int copy_special(int to, const char *name, const struct stat *status)
{
    if (S_ISFIFO(status->st_mode))
        return mkfifoat(to, name, status->st_mode & 07777) < 0 ? -errno : 0;
    if (S_ISCHR(status->st_mode) && status->st_rdev == 0)
        return mknodat(to, name, S_IFCHR, 0) < 0 ? -errno : 0;
    return 0;
}

static int copy_name(struct copying *copying, int from, int to, const char *name, unsigned depth)
{
    struct stat status;
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return copy_inner(copying, from, to, name, &status, depth);
    if (S_ISREG(status.st_mode))
        return copy_file(copying, from, to, name, &status);
    return S_ISLNK(status.st_mode) ? copy_link(copying, from, to, name, &status)
                                   : copy_special(to, name, &status);
}

static int copy_directory(struct copying *copying, int from, int to, unsigned depth)
{
    struct names names = { 0 };
    if (depth > CHANGES_DEPTH_MAX)
        return -ELOOP;
    int r = names_read(from, &names);
    for (size_t i = 0; i < names.count && r == 0; i++) {
        r = copy_name(copying, from, to, names.items[i], depth);
        if (r < 0 && !(copying->err && copying->err->code)) {
            errno = -r;
            fail(copying, names.items[i]);
        }
    }
    names_release(&names);
    return r;
}

int layer_copy(int from, int to, struct err *err)
{
    struct err inner = { 0 };
    struct copying copying = { .names = malloc(NAMES_MAX),
                               .value = malloc(VALUE_MAX),
                               .piece = malloc(LAYER_PIECE_BYTES),
                               .err = &inner };
    int r = copying.names && copying.value && copying.piece ? copy_directory(&copying, from, to, 0)
                                                            : -ENOMEM;
    if (r == 0)
        r = copy_attributes(&copying, from, to);
    if (r < 0 && !inner.code)
        err_set_errno(&inner, -r, STEP, "its files");
    if (r < 0 && err)
        *err = inner;
    free(copying.names);
    free(copying.value);
    free(copying.piece);
    return r;
}
