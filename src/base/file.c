/* file: see the header. Regular files are read in one go, streams in growing steps. */
#include "base/file.h"

#include <dirent.h>
#include <fts.h>
#include <sys/stat.h>

#define READ_STEP_BYTES ((size_t)64 << 10)

int file_read_fd(int fd, const char *name, struct buf *ret, struct err *err)
{
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
        return err_set_errno(err, EISDIR, "read a file", "%s", name);
    size_t step = READ_STEP_BYTES;
    if (S_ISREG(status.st_mode) && status.st_size > 0 && (size_t)status.st_size < ret->limit)
        step = (size_t)status.st_size + 1;
    for (;;) {
        size_t left = ret->limit - ret->len;
        char extra;
        char *room = left ? buf_reserve(ret, left < step ? left : step) : &extra;
        if (!room)
            return err_set_errno(err, -ret->error, "read a file", "%s", name);
        ssize_t n = read(fd, room, left ? (left < step ? left : step) : 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(err, errno, "read a file", "%s", name);
        if (n == 0)
            return 0;
        if (!left)
            return err_set(err, ERR_LIMIT, "read a file", "%s is larger than %zu bytes", name,
                           ret->limit);
        ret->len += (size_t)n;
        ret->data[ret->len] = '\0';
        step = READ_STEP_BYTES;
    }
}

int file_read(const char *path, struct buf *ret, struct err *err)
{
    if (strcmp(path, "-") == 0)
        return file_read_fd(STDIN_FILENO, "standard input", ret, err);
    _cleanup_(cleanup_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_set_errno(err, errno, "open a file", "%s", path);
    return file_read_fd(fd, path, ret, err);
}

/* --- making and removing ------------------------------------------------------------------- */

#define STEP_MAKE        "make a folder"
#define STEP_REMOVE      "remove a folder"
#define REMOVE_DEPTH_MAX 64 /* of open folders; what lies deeper is moved up first */

int file_make_folder(const char *path, struct err *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    if (!path[0])
        return err_set_errno(err, ENOENT, STEP_MAKE, "without a name");
    _cleanup_(cleanup_free) char *part = strdup(path);
    if (!part)
        return err_set(err, ERR_MEMORY, STEP_MAKE, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return err_set_errno(err, errno, STEP_MAKE, "%s", part);
        *slash = '/';
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_set_errno(err, errno, STEP_MAKE, "%s", path);
    return 0;
}

static void cleanup_closedir(DIR **folder)
{
    if (*folder)
        closedir(*folder);
}

/* A folder that its owner has closed to himself is opened first. */
static int open_to_remove(int parent, const char *name)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(parent, name, flags);
    if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
        fd = openat(parent, name, flags);
    if (fd >= 0)
        fchmod(fd, 0700);
    return fd < 0 ? -errno : fd;
}

/* To a name that nothing has yet: whoever filled the folder may have thought of the first ones. */
static int move_up(int folder_fd, const char *name, int top, unsigned *moved)
{
    char away[32];
    do {
        snprintf(away, sizeof(away), ".moved-%u", (*moved)++);
        if (renameat2(folder_fd, name, top, away, RENAME_NOREPLACE) == 0)
            return 0;
    } while (errno == EEXIST);
    return -errno;
}

static int remove_children(int folder_fd, int top, unsigned depth, unsigned *moved)
{
    _cleanup_(cleanup_close) int owned = dup(folder_fd);
    _cleanup_(cleanup_closedir) DIR *folder = owned < 0 ? NULL : fdopendir(owned);
    struct dirent *entry;
    if (!folder)
        return -errno;
    TAKE_FD(owned);
    rewinddir(folder); /* the copy goes on where the last one of it ended */
    while ((entry = readdir(folder))) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            unlinkat(folder_fd, name, 0) == 0 || errno == ENOENT)
            continue;
        /* Opened also to be moved: its owner may have closed it to himself. */
        _cleanup_(cleanup_close) int inner = open_to_remove(folder_fd, name);
        int r = inner < 0                   ? inner
                : depth == REMOVE_DEPTH_MAX ? move_up(folder_fd, name, top, moved)
                                            : remove_children(inner, top, depth + 1, moved);
        if (r < 0)
            return r;
        if (depth == REMOVE_DEPTH_MAX)
            continue;
        if (unlinkat(folder_fd, name, AT_REMOVEDIR) < 0)
            return -errno;
    }
    return 0;
}

int file_remove_tree(const char *path, struct err *err)
{
    unsigned moved = 0, before;
    _cleanup_(cleanup_close) int top = open_to_remove(AT_FDCWD, path);
    if (top == -ENOENT)
        return 0;
    int r = top < 0 ? top : 0;
    do { /* once more for what was moved up */
        before = moved;
        if (r == 0)
            r = remove_children(top, top, 0, &moved);
    } while (r == 0 && moved != before);
    if (r == 0 && rmdir(path) < 0)
        r = -errno;
    return r < 0 ? err_set_errno(err, -r, STEP_REMOVE, "%s", path) : 0;
}

/* --- walking ------------------------------------------------------------------------------- */

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int visit_entry(FTS *tree, FTSENT *entry, file_visit *visit, void *context, struct err *err)
{
    bool hidden = entry->fts_level > 0 && entry->fts_name[0] == '.';
    switch (entry->fts_info) {
    case FTS_D:
        if (entry->fts_level > FILE_WALK_DEPTH_MAX)
            return err_set(err, ERR_LIMIT, "walk a folder", "%s lies deeper than %d folders",
                           entry->fts_path, FILE_WALK_DEPTH_MAX);
        if (hidden)
            fts_set(tree, entry, FTS_SKIP);
        return 0;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return err_set_errno(err, entry->fts_errno, "walk a folder", "%s", entry->fts_path);
    case FTS_F:
        return hidden ? 0 : visit(context, entry->fts_path, err);
    case FTS_DEFAULT: /* a device or a pipe is read only where it was named */
        return entry->fts_level ? 0 : visit(context, entry->fts_path, err);
    default:
        return 0;
    }
}

int file_walk(const char *path, file_visit *visit, void *context, struct err *err)
{
    if (strcmp(path, "-") == 0)
        return visit(context, path, err);
    char *paths[] = { (char *)path, NULL };
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    if (!tree)
        return err_set_errno(err, errno, "walk a folder", "%s", path);
    int r = 0;
    FTSENT *entry;
    while (r >= 0 && (errno = 0, entry = fts_read(tree)))
        r = visit_entry(tree, entry, visit, context, err);
    if (r >= 0 && errno)
        r = err_set_errno(err, errno, "walk a folder", "%s", path);
    fts_close(tree);
    return r < 0 ? r : 0;
}
