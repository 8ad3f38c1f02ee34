/*
 * changes_read: an overlay's upper layer, compared with the tree below it.
 *
 * Theory of operation. The upper layer holds what was written: new files, copies of files that were
 * touched, directories on the way, and marks for what is gone. A mark is a whiteout (a character
 * device 0:0, or an empty file with an attribute) or, on a directory, "opaque": nothing below it
 * counts. The walk takes the names of a directory in order, and for each compares what is above
 * with what is below. Where a directory is opaque the names below are walked along, and what is not
 * above is deleted.
 *
 * What always holds: the upper layer was written by whatever ran in the sandbox and is hostile; no
 * link is followed, and every file is opened in its directory's descriptor and looked at again once
 * open. Files are read in pieces. The walk recurses no deeper than CHANGES_DEPTH_MAX and holds
 * three descriptors for each level. The tree below may change meanwhile; then the list says what
 * was seen.
 */
#include "machine/changes.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "machine/beneath.h"

#define STEP         "read what changed"
#define FIRST_LINE   "agent-machine changes 1\n"
#define PIECE_BYTES  ((size_t)128 << 10)
#define DIRENT_BYTES ((size_t)32 << 10)

#define OVERLAY          "user.overlay."
#define XATTR_VALUE_SIZE 16

struct scan {
    struct changes *list;
    size_t capacity;
    struct buf path; /* of the directory that is walked, with a slash behind it, or empty */
    struct digest_stream *contents, *all;
    char *pieces[2];
    struct err *err;
};

/* One directory in each layer; -1 where a layer has none. */
struct layers {
    int upper, lower, mask;
};

struct names {
    char **items;
    size_t count, capacity;
};

static int fail(struct scan *scan, int error, const char *name)
{
    return err_set_errno(scan->err, error, STEP, "./%s%s", scan->path.data, name);
}

/* --- the list ------------------------------------------------------------------------------ */

static enum changed_kind kind_of(const struct stat *status)
{
    if (S_ISDIR(status->st_mode))
        return CHANGED_DIRECTORY;
    if (S_ISLNK(status->st_mode))
        return CHANGED_LINK;
    return S_ISREG(status->st_mode) ? CHANGED_FILE : CHANGED_SPECIAL;
}

static void add_line(struct scan *scan, const struct changed_path *change)
{
    char head[192], hex[DIGEST_TEXT_SIZE] = "sha256:-";
    if (change->has_digest)
        digest_write(change->digest, hex);
    int len = snprintf(head, sizeof(head), "%s %s %o %llu %s %zu ", change_names[change->type],
                       changed_names[change->kind], change->mode, (unsigned long long)change->size,
                       hex + strlen("sha256:"), strlen(change->path));
    digest_stream_add(scan->all, str_make(head, (size_t)len));
    digest_stream_add(scan->all, str_from(change->path));
    digest_stream_add(scan->all, STR("\n"));
}

/* Adds a change; `digest` may be NULL. */
static int add_change(struct scan *scan, const char *name, const struct stat *status,
                      enum change_type type, const unsigned char *digest)
{
    struct changes *list = scan->list;
    if (list->count >= CHANGES_MAX)
        return err_set(scan->err, ERR_LIMIT, STEP, "there are more than %d changes", CHANGES_MAX);
    if (list->count == scan->capacity) {
        size_t larger = scan->capacity ? scan->capacity * 2 : 64;
        struct changed_path *items = arena_array(&list->arena, struct changed_path, larger);
        if (!items)
            return fail(scan, ENOMEM, name);
        if (list->count)
            memcpy(items, list->items, list->count * sizeof(*items));
        list->items = items;
        scan->capacity = larger;
    }
    size_t len = strlen(name);
    char *path = arena_alloc(&list->arena, scan->path.len + len + 1);
    if (!path)
        return fail(scan, ENOMEM, name);
    memcpy(path, scan->path.data, scan->path.len);
    memcpy(path + scan->path.len, name, len);
    struct changed_path *change = &list->items[list->count];
    *change = (struct changed_path){ .path = path,
                                     .type = type,
                                     .kind = kind_of(status),
                                     .mode = status->st_mode & 07777,
                                     .has_digest = digest != NULL };
    if (change->kind == CHANGED_FILE || change->kind == CHANGED_LINK)
        change->size = (uint64_t)status->st_size;
    if (digest)
        memcpy(change->digest, digest, DIGEST_BYTES);
    list->count++;
    if (change->kind != CHANGED_DIRECTORY)
        list->counts[type]++;
    if (type == CHANGE_ADDED || type == CHANGE_MODIFIED)
        list->bytes += change->size;
    add_line(scan, change);
    return 0;
}

/* --- names --------------------------------------------------------------------------------- */

static void names_release(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
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

/* Adds a directory's names. */
static int read_names(int directory, struct names *names)
{
    char *dirents = malloc(DIRENT_BYTES);
    ssize_t len = 0;
    int r = dirents && lseek(directory, 0, SEEK_SET) == 0 ? 0 : -ENOMEM;
    while (r == 0 && (len = getdents64(directory, dirents, DIRENT_BYTES)) > 0) {
        for (ssize_t at = 0; r == 0 && at < len;) {
            const struct dirent64 *entry = (const void *)(dirents + at);
            at += entry->d_reclen;
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                r = names->count < CHANGES_MAX ? add_name(names, entry->d_name) : -E2BIG;
        }
    }
    free(dirents);
    return len < 0 ? -errno : r;
}

static void sort_names(struct names *names)
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

/*
 * Opens what was looked at. What its owner may not read, by a mode that the run set, is made
 * readable for the moment of opening, by a descriptor that no link can turn elsewhere.
 */
static int open_seen(int directory, const char *name, const struct stat *status, int flags)
{
    char self[64];
    struct stat now;
    flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = openat(directory, name, flags);
    if (fd < 0 && errno == EACCES) {
        _cleanup_(cleanup_close) int place =
            openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (place < 0)
            return -errno;
        snprintf(self, sizeof(self), "/proc/self/fd/%d", place);
        if (chmod(self, (status->st_mode & 07777) | 0500) < 0)
            return -errno;
        fd = openat(directory, name, flags);
        int error = errno;
        if (chmod(self, status->st_mode & 07777) < 0 && fd < 0)
            error = errno;
        errno = error;
    }
    if (fd < 0)
        return -errno;
    if (fstat(fd, &now) < 0 || now.st_ino != status->st_ino || now.st_dev != status->st_dev) {
        close(fd);
        return -ESTALE;
    }
    return fd;
}

/* A directory below, or -1 where there is none of that name that is one. */
static int open_below(int directory, const char *name)
{
    return directory < 0 ? -1 : beneath_open(directory, name, O_RDONLY | O_DIRECTORY);
}

/* --- contents ------------------------------------------------------------------------------ */

static ssize_t read_piece(int fd, char *piece)
{
    size_t len = 0;
    while (len < PIECE_BYTES) {
        ssize_t n = read(fd, piece + len, PIECE_BYTES - len);
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

static int hash_contents(struct scan *scan, int directory, const char *name,
                         const struct stat *status, unsigned char ret[DIGEST_BYTES])
{
    ssize_t n;
    if (S_ISLNK(status->st_mode)) {
        n = readlinkat(directory, name, scan->pieces[0], PIECE_BYTES);
        if (n < 0)
            return -errno;
        digest_stream_add(scan->contents, str_make(scan->pieces[0], (size_t)n));
        digest_stream_end(scan->contents, ret);
        return 0;
    }
    _cleanup_(cleanup_close) int fd = open_seen(directory, name, status, 0);
    if (fd < 0)
        return fd;
    while ((n = read_piece(fd, scan->pieces[0])) > 0)
        digest_stream_add(scan->contents, str_make(scan->pieces[0], (size_t)n));
    digest_stream_end(scan->contents, ret);
    return n < 0 ? (int)n : 0;
}

static int compare_links(struct scan *scan, const struct layers *in, const char *name,
                         bool *ret_same)
{
    ssize_t a = readlinkat(in->upper, name, scan->pieces[0], PIECE_BYTES);
    ssize_t b = readlinkat(in->lower, name, scan->pieces[1], PIECE_BYTES);
    if (a < 0 || b < 0)
        return -errno;
    *ret_same = a == b && memcmp(scan->pieces[0], scan->pieces[1], (size_t)a) == 0;
    return 0;
}

/* Whether a file has the contents that it had. */
static int compare_contents(struct scan *scan, const struct layers *in, const char *name,
                            const struct stat *upper, const struct stat *lower, bool *ret_same)
{
    bool same = upper->st_size == lower->st_size;
    if (!same || !(S_ISREG(upper->st_mode) || S_ISLNK(upper->st_mode))) {
        *ret_same = same && upper->st_rdev == lower->st_rdev;
        return 0;
    }
    if (S_ISLNK(upper->st_mode))
        return compare_links(scan, in, name, ret_same);
    _cleanup_(cleanup_close) int above = open_seen(in->upper, name, upper, 0);
    if (above < 0)
        return above;
    _cleanup_(cleanup_close) int below =
        openat(in->lower, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    for (ssize_t n = 1; same && n > 0;) {
        n = read_piece(above, scan->pieces[0]);
        ssize_t other = below < 0 ? -1 : read_piece(below, scan->pieces[1]);
        if (n < 0)
            return (int)n;
        same = n == other && memcmp(scan->pieces[0], scan->pieces[1], (size_t)n) == 0;
    }
    *ret_same = same;
    return 0;
}

/* --- what is below ------------------------------------------------------------------------- */

static bool is_whiteout_device(const struct stat *status)
{
    return S_ISCHR(status->st_mode) && status->st_rdev == 0;
}

/* Whether the run saw something of that name below; a mask hides what it hides. */
static bool find_below(const struct layers *in, const char *name, struct stat *ret)
{
    struct stat mask;
    if (in->lower < 0 || fstatat(in->lower, name, ret, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    return in->mask < 0 || fstatat(in->mask, name, &mask, AT_SYMLINK_NOFOLLOW) < 0 ||
           !is_whiteout_device(&mask);
}

static int enter(struct scan *scan, const char *name, unsigned depth, size_t *ret_before)
{
    *ret_before = scan->path.len;
    if (depth >= CHANGES_DEPTH_MAX || scan->path.len + strlen(name) + 1 > CHANGES_PATH_MAX)
        return err_set(scan->err, ERR_LIMIT, STEP, "./%s%s lies too deep", scan->path.data, name);
    buf_add_text(&scan->path, name);
    return buf_add_char(&scan->path, '/') < 0 ? fail(scan, ENOMEM, name) : 0;
}

/* Lists something below as deleted, with all that is in it. */
static int delete_below(struct scan *scan, const struct layers *in, const char *name,
                        unsigned depth)
{
    struct stat status;
    struct names names = { 0 };
    size_t before;
    if (!find_below(in, name, &status))
        return 0;
    int r = add_change(scan, name, &status, CHANGE_DELETED, NULL);
    if (r < 0 || !S_ISDIR(status.st_mode))
        return r;
    _cleanup_(cleanup_close) int lower = open_below(in->lower, name);
    _cleanup_(cleanup_close) int mask = open_below(in->mask, name);
    if (lower < 0) /* it could not be looked into by the run either */
        return 0;
    r = enter(scan, name, depth, &before);
    if (r < 0)
        return r;
    r = read_names(lower, &names);
    if (r < 0)
        r = fail(scan, -r, "");
    sort_names(&names);
    struct layers inner = { .upper = -1, .lower = lower, .mask = mask };
    for (size_t i = 0; r == 0 && i < names.count; i++)
        r = delete_below(scan, &inner, names.items[i], depth + 1);
    names_release(&names);
    buf_truncate(&scan->path, before);
    return r;
}

/* --- what is above ------------------------------------------------------------------------- */

static int scan_directory(struct scan *scan, const struct layers *in, bool opaque, unsigned depth);

static bool has_attribute(int fd, const char *name, const char *value)
{
    char found[XATTR_VALUE_SIZE];
    ssize_t len = fgetxattr(fd, name, found, sizeof(found));
    if (len < 0)
        return errno == ERANGE && !value;
    return !value || ((size_t)len == strlen(value) && memcmp(found, value, (size_t)len) == 0);
}

/* An empty file that stands for what is gone; only such are opened for it. */
static bool is_whiteout_file(const struct layers *in, const char *name, const struct stat *status)
{
    if (!S_ISREG(status->st_mode) || status->st_size != 0)
        return false;
    _cleanup_(cleanup_close) int fd = open_seen(in->upper, name, status, 0);
    return fd >= 0 && has_attribute(fd, OVERLAY "whiteout", NULL);
}

/* What is in a directory that its owner has closed can be looked at while it is open to him. */
static int scan_opened(struct scan *scan, const struct layers *inner, const struct stat *status,
                       unsigned depth)
{
    bool closed = (status->st_mode & 0500) != 0500;
    mode_t mode = status->st_mode & 07777;
    if (closed && fchmod(inner->upper, mode | 0500) < 0)
        return fail(scan, errno, "");
    int r = scan_directory(scan, inner, has_attribute(inner->upper, OVERLAY "opaque", "y"), depth);
    if (closed && fchmod(inner->upper, mode) < 0 && r == 0)
        r = fail(scan, errno, "");
    return r;
}

static int scan_inner(struct scan *scan, const struct layers *in, const char *name,
                      const struct stat *status, const struct stat *below, unsigned depth)
{
    size_t before;
    _cleanup_(cleanup_close) int upper = open_seen(in->upper, name, status, O_DIRECTORY);
    if (upper < 0)
        return fail(scan, -upper, name);
    if (has_attribute(upper, OVERLAY "redirect", NULL))
        return err_set(scan->err, ERR_UNSUPPORTED, STEP, "./%s%s is a redirect", scan->path.data,
                       name);
    _cleanup_(cleanup_close) int lower = below ? open_below(in->lower, name) : -1;
    _cleanup_(cleanup_close) int mask = lower >= 0 ? open_below(in->mask, name) : -1;
    int r = enter(scan, name, depth, &before);
    if (r < 0)
        return r;
    struct layers inner = { .upper = upper, .lower = lower, .mask = mask };
    r = scan_opened(scan, &inner, status, depth + 1);
    buf_truncate(&scan->path, before);
    return r;
}

static int scan_changed_directory(struct scan *scan, const struct layers *in, const char *name,
                                  const struct stat *status, const struct stat *below,
                                  unsigned depth)
{
    int r = 0;
    if (!below)
        r = add_change(scan, name, status, CHANGE_ADDED, NULL);
    else if ((below->st_mode & 07777) != (status->st_mode & 07777))
        r = add_change(scan, name, status, CHANGE_MODE, NULL);
    return r < 0 ? r : scan_inner(scan, in, name, status, below, depth);
}

static int scan_changed_file(struct scan *scan, const struct layers *in, const char *name,
                             const struct stat *status, const struct stat *below)
{
    unsigned char digest[DIGEST_BYTES];
    bool has_contents = S_ISREG(status->st_mode) || S_ISLNK(status->st_mode), same = false;
    int r = below ? compare_contents(scan, in, name, status, below, &same) : 0;
    if (r < 0)
        return fail(scan, -r, name);
    if (same) {
        if (S_ISLNK(status->st_mode) || (below->st_mode & 07777) == (status->st_mode & 07777))
            return 0;
        return add_change(scan, name, status, CHANGE_MODE, NULL);
    }
    if (has_contents)
        r = hash_contents(scan, in->upper, name, status, digest);
    if (r < 0)
        return fail(scan, -r, name);
    return add_change(scan, name, status, below ? CHANGE_MODIFIED : CHANGE_ADDED,
                      has_contents ? digest : NULL);
}

/* One name of a directory, which may be above, below, or both. */
static int scan_name(struct scan *scan, const struct layers *in, const char *name, unsigned depth)
{
    struct stat status, lower;
    if (fstatat(in->upper, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT)
            return fail(scan, errno, name);
        return delete_below(scan, in, name, depth);
    }
    if (is_whiteout_device(&status) || is_whiteout_file(in, name, &status))
        return delete_below(scan, in, name, depth);
    const struct stat *below = find_below(in, name, &lower) ? &lower : NULL;
    if (below && (below->st_mode & S_IFMT) != (status.st_mode & S_IFMT)) {
        int r = delete_below(scan, in, name, depth);
        if (r < 0)
            return r;
        below = NULL;
    }
    if (S_ISDIR(status.st_mode))
        return scan_changed_directory(scan, in, name, &status, below, depth);
    return scan_changed_file(scan, in, name, &status, below);
}

static int scan_directory(struct scan *scan, const struct layers *in, bool opaque, unsigned depth)
{
    struct names names = { 0 };
    int r = read_names(in->upper, &names);
    if (r == 0 && opaque && in->lower >= 0)
        r = read_names(in->lower, &names);
    if (r < 0)
        r = fail(scan, -r, "");
    sort_names(&names);
    for (size_t i = 0; r == 0 && i < names.count; i++)
        r = scan_name(scan, in, names.items[i], depth);
    names_release(&names);
    return r;
}

static int start(struct scan *scan)
{
    int r = digest_stream_new(DIGEST_SHA256, &scan->contents, scan->err);
    if (r == 0)
        r = digest_stream_new(DIGEST_SHA256, &scan->all, scan->err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_LEN(scan->pieces); i++) {
        scan->pieces[i] = malloc(PIECE_BYTES);
        if (!scan->pieces[i])
            return fail(scan, ENOMEM, "");
    }
    digest_stream_add(scan->all, STR(FIRST_LINE));
    return 0;
}

int changes_read(int upper_fd, int lower_fd, int mask_fd, struct changes *ret, struct err *err)
{
    unsigned char digest[DIGEST_BYTES];
    struct changes list = { 0 };
    struct scan scan = { .list = &list, .path = BUF_INIT_LIMIT(CHANGES_PATH_MAX + 1), .err = err };
    struct layers roots = { .upper = upper_fd, .lower = lower_fd, .mask = mask_fd };
    int r = start(&scan);
    if (r == 0)
        r = scan_directory(&scan, &roots, has_attribute(upper_fd, OVERLAY "opaque", "y"), 0);
    if (r == 0) {
        digest_stream_end(scan.all, digest);
        digest_write(digest, list.digest);
        *ret = list;
    } else {
        changes_release(&list);
    }
    buf_release(&scan.path);
    digest_stream_free(scan.contents);
    digest_stream_free(scan.all);
    free(scan.pieces[0]);
    free(scan.pieces[1]);
    return r;
}
