/* layer: see the header. Below /proc/self/fd a mode is changed by a descriptor that no link turns.
 */
#include "machine/layer.h"

#include <dirent.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#define DIRENT_BYTES ((size_t)32 << 10)

/* --- names --------------------------------------------------------------------------------- */

void names_release(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct names){ 0 };
}

static int add_name(struct names *names, const char *name)
{
    if (names->count == names->capacity) {
        size_t larger = names->capacity ? names->capacity * 2 : 32;
        char **items = reallocarray(names->items, larger, sizeof(*items));
        if (!items)
            return -ENOMEM;
        names->items = items;
        names->capacity = larger;
    }
    names->items[names->count] = strdup(name);
    return names->items[names->count] ? (names->count++, 0) : -ENOMEM;
}

int names_read(int directory, struct names *names)
{
    char *dirents = malloc(DIRENT_BYTES);
    ssize_t len = 0;
    int r = dirents && lseek(directory, 0, SEEK_SET) == 0 ? 0 : -ENOMEM;
    while (r == 0 && (len = getdents64(directory, dirents, DIRENT_BYTES)) > 0) {
        for (ssize_t at = 0; r == 0 && at < len;) {
            const struct dirent64 *entry = (const void *)(dirents + at);
            at += entry->d_reclen;
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                r = names->count < LAYER_NAMES_MAX ? add_name(names, entry->d_name) : -E2BIG;
        }
    }
    free(dirents);
    return len < 0 ? -errno : r;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_sort(struct names *names)
{
    size_t kept = 0;
    if (names->count)
        qsort(names->items, names->count, sizeof(*names->items), by_bytes);
    for (size_t i = 0; i < names->count; i++) {
        if (kept && strcmp(names->items[kept - 1], names->items[i]) == 0)
            free(names->items[i]);
        else
            names->items[kept++] = names->items[i];
    }
    names->count = kept;
}

/* --- opening ------------------------------------------------------------------------------- */

/* What cannot be entered or read is opened to its owner while `flags` open something by it. */
static int open_forced(int directory, const char *name, mode_t mode, int flags)
{
    char self[64];
    _cleanup_(cleanup_close) int place = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (place < 0)
        return -errno;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", place);
    if (chmod(self, mode | 0500) < 0)
        return -errno;
    int fd = openat(directory, name, flags);
    int error = errno;
    if (chmod(self, mode) < 0 && fd < 0)
        error = errno;
    return fd < 0 ? -error : fd;
}

int layer_open_seen(int directory, const char *name, const struct stat *status, int flags)
{
    struct stat now;
    flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = openat(directory, name, flags);
    if (fd < 0 && errno == EACCES)
        fd = open_forced(directory, name, status->st_mode & 07777, flags);
    else if (fd < 0)
        fd = -errno;
    if (fd < 0)
        return fd;
    if (fstat(fd, &now) < 0 || now.st_ino != status->st_ino || now.st_dev != status->st_dev) {
        close(fd);
        return -ESTALE;
    }
    return fd;
}

/* The directory of a name in one that may be closed to its owner, who opens it for the moment. */
static int step_into(int directory, const char *name)
{
    struct stat above, status;
    bool closed = fstat(directory, &above) == 0 && (above.st_mode & 0100) == 0;
    if (closed && fchmod(directory, (above.st_mode & 07777) | 0100) < 0)
        return -errno;
    int fd = fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0
                 ? -errno
                 : layer_open_seen(directory, name, &status, O_DIRECTORY);
    if (closed)
        fchmod(directory, above.st_mode & 07777);
    return fd;
}

int layer_open_parent(int root, const char *path, const char **ret_name)
{
    char name[NAME_MAX + 1];
    _cleanup_(cleanup_close) int at = fcntl(root, F_DUPFD_CLOEXEC, 0);
    for (const char *slash; at >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
        size_t len = (size_t)(slash - path);
        if (len == 0 || len > NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(name, path, len);
        name[len] = '\0';
        int next = strcmp(name, "..") == 0 ? -ENOENT : step_into(at, name);
        if (next < 0)
            return next;
        close(at);
        at = next;
    }
    *ret_name = path;
    return at < 0 ? -errno : TAKE_FD(at);
}

int layer_find_parent(int root, struct layer_place *place, const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (place->fd >= 0 && strncmp(place->path, path, len) == 0 && place->path[len] == '\0') {
        *ret_name = slash ? slash + 1 : path;
        return place->fd;
    }
    if (len >= sizeof(place->path))
        return -ENAMETOOLONG;
    cleanup_close(&place->fd);
    place->fd = layer_open_parent(root, path, ret_name);
    memcpy(place->path, path, len);
    place->path[len] = '\0';
    return place->fd;
}

/* --- contents ------------------------------------------------------------------------------ */

ssize_t layer_read_piece(int fd, char *piece)
{
    size_t len = 0;
    while (len < LAYER_PIECE_BYTES) {
        ssize_t n = read(fd, piece + len, LAYER_PIECE_BYTES - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

int layer_digest(int directory, const char *name, const struct stat *status, char *piece,
                 struct digest_stream *stream)
{
    ssize_t n;
    if (S_ISLNK(status->st_mode)) {
        n = readlinkat(directory, name, piece, LAYER_PIECE_BYTES);
        if (n < 0)
            return -errno;
        digest_stream_add(stream, str_make(piece, (size_t)n));
        return 0;
    }
    _cleanup_(cleanup_close) int fd = layer_open_seen(directory, name, status, 0);
    if (fd < 0)
        return fd;
    while ((n = layer_read_piece(fd, piece)) > 0)
        digest_stream_add(stream, str_make(piece, (size_t)n));
    return n < 0 ? (int)n : 0;
}

/* --- copying ------------------------------------------------------------------------------- */

bool layer_share(int from, int to)
{
    return ioctl(to, FICLONE, from) == 0;
}

static int write_at(int to, const char *bytes, size_t len, off_t at)
{
    while (len) {
        ssize_t n = pwrite(to, bytes, len, at);
        if (n < 0 && errno != EINTR)
            return -errno;
        n = n < 0 ? 0 : n;
        bytes += n;
        len -= (size_t)n;
        at += n;
    }
    return 0;
}

/* By the kernel where it can, else by way of the piece; a file that is shorter by now ends it. */
static int copy_range(int from, int to, off_t at, off_t end, char *piece)
{
    off_t out = at;
    ssize_t n = 1;
    while (at < end && (n = copy_file_range(from, &at, to, &out, (size_t)(end - at), 0)) > 0)
        ;
    if (n >= 0 || (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS))
        return n < 0 ? -errno : 0;
    for (int r = 0; at < end; at += n) {
        size_t len =
            (size_t)(end - at) < LAYER_PIECE_BYTES ? (size_t)(end - at) : LAYER_PIECE_BYTES;
        n = pread(from, piece, len, at);
        if (n <= 0)
            return n < 0 ? -errno : 0;
        r = write_at(to, piece, (size_t)n, at);
        if (r < 0)
            return r;
    }
    return 0;
}

int layer_copy_contents(int from, int to, char *piece, bool *ret_shared)
{
    struct stat status;
    off_t data, hole = 0;
    int r = 0;
    *ret_shared = layer_share(from, to);
    if (*ret_shared)
        return 0;
    if (fstat(from, &status) < 0)
        return -errno;
    while (r == 0 && hole < status.st_size && (data = lseek(from, hole, SEEK_DATA)) >= 0) {
        hole = lseek(from, data, SEEK_HOLE);
        if (hole < 0)
            return -errno;
        r = copy_range(from, to, data, hole, piece);
    }
    if (r == 0 && hole < status.st_size && errno != ENXIO) /* behind the last of its data */
        return -errno;
    return r == 0 && ftruncate(to, status.st_size) < 0 ? -errno : r;
}
