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
 * Where there was no overlay, the run wrote in a copy of the tree. There the walk takes the names
 * of both everywhere. A file of the copy that was last changed before the copy was finished is as
 * it was copied, whatever the host has by now; a name that is not in the copy was deleted, unless
 * the host's file is one that was made since the launch. No attribute means anything there.
 *
 * What always holds: the upper layer was written by whatever ran in the sandbox and is hostile; no
 * link is followed, and every file is opened in its directory's descriptor and looked at again once
 * open. Files are read in pieces. The walk recurses no deeper than CHANGES_DEPTH_MAX and holds
 * two descriptors for each level. The tree below may change meanwhile; then the list says what
 * was seen.
 */
#include "machine/changes.h"
#include "machine/git_link.h"

#include <sys/xattr.h>

#include "base/map.h"
#include "machine/beneath.h"
#include "machine/layer.h"

#define STEP "read what changed"

#define NS_PER_SECOND    INT64_C(1000000000)
#define OVERLAY          "user.overlay."
#define XATTR_VALUE_SIZE 16

struct scan {
    struct changes *list;
    struct buf path; /* of the directory that is walked, with a slash behind it, or empty */
    struct digest_stream *contents;
    struct map hidden;
    char *pieces[2];
    int64_t copied_ns; /* when the copy was finished; 0: it is an overlay's upper layer */
    bool has_before;   /* of what is added next: the digest of its contents below */
    unsigned char before[DIGEST_BYTES];
    struct err *err;
};

/* One directory in each layer; -1 where the layer below has none. */
struct layers {
    int upper, lower;
    bool gone; /* the run saw one below, and the host has it no more */
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

/* Adds a change; `below` is what the name was before, where it was, and `digest` may be NULL. */
static int add_change(struct scan *scan, const char *name, const struct stat *status,
                      const struct stat *below, enum change_type type, const unsigned char *digest)
{
    struct changed_path change = { .type = type,
                                   .kind = kind_of(status),
                                   .mode = status->st_mode & 07777,
                                   .mode_before = below ? below->st_mode & 07777 : 0,
                                   .has_digest = digest != NULL,
                                   .has_before = scan->has_before,
                                   .gone = !below && type != CHANGE_ADDED };
    size_t before = scan->path.len;
    if (change.kind == CHANGED_FILE || change.kind == CHANGED_LINK)
        change.size = (uint64_t)status->st_size;
    if (digest)
        memcpy(change.digest, digest, DIGEST_BYTES);
    if (change.has_before)
        memcpy(change.before, scan->before, DIGEST_BYTES);
    scan->has_before = false;
    int r = buf_add_text(&scan->path, name) < 0
                ? fail(scan, ENAMETOOLONG, name)
                : changes_add(scan->list, &change, buf_str(&scan->path), scan->err);
    buf_truncate(&scan->path, before);
    return r;
}

/* --- opening ------------------------------------------------------------------------------- */

/* A directory below, or -1 where there is none of that name that is one. */
static int open_below(int directory, const char *name)
{
    return directory < 0 ? -1 : beneath_open(directory, name, O_RDONLY | O_DIRECTORY);
}

/* --- contents ------------------------------------------------------------------------------ */

static int hash_contents(struct scan *scan, int directory, const char *name,
                         const struct stat *status, unsigned char ret[DIGEST_BYTES])
{
    int r = layer_digest(directory, name, status, scan->pieces[0], scan->contents);
    digest_stream_end(scan->contents, ret);
    return r;
}

static int compare_links(struct scan *scan, const struct layers *in, const char *name,
                         bool *ret_same)
{
    ssize_t a = readlinkat(in->upper, name, scan->pieces[0], LAYER_PIECE_BYTES);
    ssize_t b = readlinkat(in->lower, name, scan->pieces[1], LAYER_PIECE_BYTES);
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
    _cleanup_(cleanup_close) int above = layer_open_seen(in->upper, name, upper, 0);
    if (above < 0)
        return above;
    _cleanup_(cleanup_close) int below =
        openat(in->lower, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    for (ssize_t n = 1; same && n > 0;) {
        n = layer_read_piece(above, scan->pieces[0]);
        ssize_t other = below < 0 ? -1 : layer_read_piece(below, scan->pieces[1]);
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

static bool is_hidden(struct scan *scan, const char *name)
{
    uint32_t index;
    size_t before = scan->path.len;
    if (!scan->hidden.count || buf_add_text(&scan->path, name) < 0)
        return false;
    bool found = map_get(&scan->hidden, buf_str(&scan->path), &index);
    buf_truncate(&scan->path, before);
    return found;
}

/* Whether the run saw something of that name below. */
static bool find_below(struct scan *scan, const struct layers *in, const char *name,
                       struct stat *ret)
{
    return in->lower >= 0 && fstatat(in->lower, name, ret, AT_SYMLINK_NOFOLLOW) == 0 &&
           !is_hidden(scan, name);
}

/* Not since the layer was made, which nothing was written to before. */
static bool is_unchanged(const struct scan *scan, const struct stat *below)
{
    return changes_is_before(below, scan->list->launched_ns);
}

/* Notes the digest of contents that the run found, for the change that is added next. */
static void note_before(struct scan *scan, const struct layers *in, const char *name,
                        const struct stat *below)
{
    struct stat again;
    if (!is_unchanged(scan, below) || (uint64_t)below->st_size > CHANGES_BEFORE_BYTES_MAX)
        return;
    scan->has_before = hash_contents(scan, in->lower, name, below, scan->before) == 0 &&
                       fstatat(in->lower, name, &again, AT_SYMLINK_NOFOLLOW) == 0 &&
                       again.st_ino == below->st_ino && is_unchanged(scan, &again);
}

static int enter(struct scan *scan, const char *name, unsigned depth, size_t *ret_before)
{
    *ret_before = scan->path.len;
    if (depth >= CHANGES_DEPTH_MAX || scan->path.len + strlen(name) + 1 > CHANGES_PATH_MAX)
        return err_set(scan->err, ERR_LIMIT, STEP, "./%s%s lies too deep", scan->path.data, name);
    buf_add_text(&scan->path, name);
    return buf_add_char(&scan->path, '/') < 0 ? fail(scan, ENOMEM, name) : 0;
}

/* Whether what is not in a copy was none of it: made since, or never copied. */
static bool was_not_copied(const struct scan *scan, const struct layers *in, const char *name,
                           const struct stat *below)
{
    struct statx status;
    if (!scan->copied_ns)
        return false;
    if (!S_ISREG(below->st_mode) && !S_ISDIR(below->st_mode) && !S_ISLNK(below->st_mode))
        return true;
    if (is_unchanged(scan, below))
        return false;
    return statx(in->lower, name, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &status) < 0 ||
           !(status.stx_mask & STATX_BTIME) ||
           (int64_t)status.stx_btime.tv_sec * NS_PER_SECOND + status.stx_btime.tv_nsec >=
               scan->list->launched_ns;
}

/* Lists something below as deleted, with all that is in it. */
static int delete_below(struct scan *scan, const struct layers *in, const char *name,
                        unsigned depth)
{
    struct stat status;
    struct names names = { 0 };
    size_t before;
    if (!find_below(scan, in, name, &status) || was_not_copied(scan, in, name, &status))
        return 0;
    int r = add_change(scan, name, &status, &status, CHANGE_DELETED, NULL);
    if (r < 0 || !S_ISDIR(status.st_mode))
        return r;
    _cleanup_(cleanup_close) int lower = open_below(in->lower, name);
    if (lower < 0) /* it could not be looked into by the run either */
        return 0;
    r = enter(scan, name, depth, &before);
    if (r < 0)
        return r;
    r = names_read(lower, &names);
    if (r < 0)
        r = fail(scan, -r, "");
    names_sort(&names);
    struct layers inner = { .upper = -1, .lower = lower };
    for (size_t i = 0; r == 0 && i < names.count; i++)
        r = delete_below(scan, &inner, names.items[i], depth + 1);
    names_release(&names);
    buf_truncate(&scan->path, before);
    return r;
}

/* --- what is above ------------------------------------------------------------------------- */

static int scan_directory(struct scan *scan, const struct layers *in, bool opaque, unsigned depth);

static bool has_attribute(const struct scan *scan, int fd, const char *name, const char *value)
{
    char found[XATTR_VALUE_SIZE];
    if (scan->copied_ns)
        return false;
    ssize_t len = fgetxattr(fd, name, found, sizeof(found));
    if (len < 0)
        return errno == ERANGE && !value;
    return !value || ((size_t)len == strlen(value) && memcmp(found, value, (size_t)len) == 0);
}

/* An empty file that stands for what is gone; only such are opened for it. */
static bool is_whiteout_file(const struct scan *scan, const struct layers *in, const char *name,
                             const struct stat *status)
{
    if (!S_ISREG(status->st_mode) || status->st_size != 0)
        return false;
    _cleanup_(cleanup_close) int fd = layer_open_seen(in->upper, name, status, 0);
    return fd >= 0 && has_attribute(scan, fd, OVERLAY "whiteout", NULL);
}

/*
 * Whether what has nothing below it seems to be a copy of something that the host has no more. A
 * copy has a note that it is one, and keeps it when the run gives it another name; so it also needs
 * that the directory below has changed since the launch, or is gone itself (and see decide_gone).
 */
static bool is_gone(const struct scan *scan, const struct layers *in, const char *name,
                    const struct stat *status)
{
    struct stat lower;
    if (S_ISLNK(status->st_mode) || (!in->gone && (in->lower < 0 || fstat(in->lower, &lower) < 0 ||
                                                   is_unchanged(scan, &lower))))
        return false;
    _cleanup_(cleanup_close) int fd = layer_open_seen(in->upper, name, status, 0);
    return fd >= 0 && has_attribute(scan, fd, OVERLAY "origin", NULL);
}

/* What is in a directory that its owner has closed can be looked at while it is open to him. */
static int scan_opened(struct scan *scan, const struct layers *inner, const struct stat *status,
                       unsigned depth)
{
    bool closed = (status->st_mode & 0500) != 0500;
    mode_t mode = status->st_mode & 07777;
    if (closed && fchmod(inner->upper, mode | 0500) < 0)
        return fail(scan, errno, "");
    int r = scan_directory(scan, inner, has_attribute(scan, inner->upper, OVERLAY "opaque", "y"),
                           depth);
    if (closed && fchmod(inner->upper, mode) < 0 && r == 0)
        r = fail(scan, errno, "");
    return r;
}

static int scan_inner(struct scan *scan, const struct layers *in, const char *name,
                      const struct stat *status, const struct stat *below, bool gone,
                      unsigned depth)
{
    size_t before;
    _cleanup_(cleanup_close) int upper = layer_open_seen(in->upper, name, status, O_DIRECTORY);
    if (upper < 0)
        return fail(scan, -upper, name);
    if (has_attribute(scan, upper, OVERLAY "redirect", NULL))
        return err_set(scan->err, ERR_UNSUPPORTED, STEP, "./%s%s is a redirect", scan->path.data,
                       name);
    _cleanup_(cleanup_close) int lower = below ? open_below(in->lower, name) : -1;
    int r = enter(scan, name, depth, &before);
    if (r < 0)
        return r;
    struct layers inner = { .upper = upper, .lower = lower, .gone = gone };
    r = scan_opened(scan, &inner, status, depth + 1);
    buf_truncate(&scan->path, before);
    return r;
}

/*
 * Whether a file of a copy is as it was copied. Some file systems do not note that a file was
 * renamed; so what the host has not changed must look alike too.
 */
static bool is_as_copied(const struct scan *scan, const struct layers *in,
                         const struct stat *status, const struct stat *below)
{
    struct stat lower;
    int64_t changed_ns = (int64_t)status->st_ctim.tv_sec * NS_PER_SECOND + status->st_ctim.tv_nsec;
    if (changed_ns >= scan->copied_ns)
        return false;
    if (!below) /* the host has removed it, or it was given this name */
        return in->gone ||
               (in->lower >= 0 && fstat(in->lower, &lower) == 0 && !is_unchanged(scan, &lower));
    return !is_unchanged(scan, below) ||
           (below->st_size == status->st_size && below->st_mode == status->st_mode &&
            memcmp(&below->st_mtim, &status->st_mtim, sizeof(below->st_mtim)) == 0);
}

/* A directory of a copy that the host has removed counts only where something changed in it. */
static int scan_removed(struct scan *scan, const struct layers *in, const char *name,
                        const struct stat *status, unsigned depth)
{
    size_t before = scan->list->count;
    int r = add_change(scan, name, status, NULL, CHANGE_MODE, NULL);
    if (r == 0)
        r = scan_inner(scan, in, name, status, NULL, true, depth);
    if (r == 0 && scan->list->count == before + 1)
        scan->list->count = before;
    return r;
}

static int scan_changed_directory(struct scan *scan, const struct layers *in, const char *name,
                                  const struct stat *status, const struct stat *below,
                                  unsigned depth)
{
    if (scan->copied_ns && !below && is_as_copied(scan, in, status, NULL))
        return scan_removed(scan, in, name, status, depth);
    bool gone = !below && is_gone(scan, in, name, status);
    int r = 0;
    if (!below)
        r = add_change(scan, name, status, NULL, gone ? CHANGE_MODE : CHANGE_ADDED, NULL);
    else if ((below->st_mode & 07777) != (status->st_mode & 07777))
        r = add_change(scan, name, status, below, CHANGE_MODE, NULL);
    return r < 0 ? r : scan_inner(scan, in, name, status, below, gone, depth);
}

static int scan_changed_file(struct scan *scan, const struct layers *in, const char *name,
                             const struct stat *status, const struct stat *below)
{
    unsigned char digest[DIGEST_BYTES];
    bool has_contents = S_ISREG(status->st_mode) || S_ISLNK(status->st_mode), same = false;
    if (scan->copied_ns && is_as_copied(scan, in, status, below))
        return 0;
    int r = below ? compare_contents(scan, in, name, status, below, &same) : 0;
    if (r < 0)
        return fail(scan, -r, name);
    if (same) {
        if (S_ISLNK(status->st_mode) || (below->st_mode & 07777) == (status->st_mode & 07777))
            return 0;
        return add_change(scan, name, status, below, CHANGE_MODE, NULL);
    }
    if (has_contents && below)
        note_before(scan, in, name, below);
    if (has_contents)
        r = hash_contents(scan, in->upper, name, status, digest);
    if (r < 0)
        return fail(scan, -r, name);
    bool gone = !below && is_gone(scan, in, name, status);
    return add_change(scan, name, status, below, below || gone ? CHANGE_MODIFIED : CHANGE_ADDED,
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
    if (is_whiteout_device(&status) || is_whiteout_file(scan, in, name, &status))
        return delete_below(scan, in, name, depth);
    const struct stat *below = find_below(scan, in, name, &lower) ? &lower : NULL;
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
    int r = names_read(in->upper, &names);
    if (r == 0 && (opaque || scan->copied_ns) && in->lower >= 0)
        r = names_read(in->lower, &names);
    if (r < 0)
        r = fail(scan, -r, "");
    names_sort(&names);
    for (size_t i = 0; r == 0 && i < names.count; i++)
        r = scan_name(scan, in, names.items[i], depth);
    names_release(&names);
    return r;
}

/* Where the run removed files, what seems to be gone on the host is one of those, renamed. */
static void decide_gone(struct changes *list)
{
    if (!list->counts[CHANGE_DELETED])
        return;
    for (size_t i = 0; i < list->count; i++) {
        struct changed_path *change = &list->items[i];
        if (!change->gone)
            continue;
        if (change->kind != CHANGED_DIRECTORY) {
            list->counts[change->type]--;
            list->counts[CHANGE_ADDED]++;
        }
        change->type = CHANGE_ADDED;
    }
}

static int start(struct scan *scan, const struct mask_list *hidden)
{
    int r = digest_stream_new(DIGEST_SHA256, &scan->contents, scan->err);
    for (size_t i = 0; i < ARRAY_LEN(scan->pieces) && r == 0; i++) {
        scan->pieces[i] = malloc(LAYER_PIECE_BYTES);
        if (!scan->pieces[i])
            r = fail(scan, ENOMEM, "");
    }
    for (size_t i = 0; hidden && i < hidden->count && r == 0; i++)
        if (hidden->entries[i].action != MASK_FOLDER &&
            map_put(&scan->hidden, str_from(hidden->entries[i].path), 0) == -ENOMEM)
            r = fail(scan, ENOMEM, "");
    return r;
}

/* When the layer was made: its file system says so, and nothing can change it. */
static int64_t made_ns(int upper)
{
    struct statx status;
    if (statx(upper, "", AT_EMPTY_PATH, STATX_BTIME, &status) < 0 ||
        !(status.stx_mask & STATX_BTIME))
        return 0;
    return (int64_t)status.stx_btime.tv_sec * NS_PER_SECOND + status.stx_btime.tv_nsec;
}

int changes_read(int upper_fd, int lower_fd, const struct mask_list *hidden, int64_t launched_ns,
                 struct changes *ret, struct err *err)
{
    return changes_read_copy(upper_fd, lower_fd, hidden, launched_ns ?: made_ns(upper_fd), 0, ret,
                             err);
}

int changes_read_copy(int upper_fd, int lower_fd, const struct mask_list *hidden,
                      int64_t launched_ns, int64_t copied_ns, struct changes *ret, struct err *err)
{
    struct changes list = { .launched_ns = launched_ns, .of_git = git_is_directory(lower_fd) };
    struct scan scan = { .list = &list,
                         .path = BUF_INIT_LIMIT(CHANGES_PATH_MAX + 1),
                         .copied_ns = copied_ns,
                         .err = err };
    struct layers roots = { .upper = upper_fd, .lower = lower_fd };
    int r = start(&scan, hidden);
    if (r == 0)
        r = scan_directory(&scan, &roots, has_attribute(&scan, upper_fd, OVERLAY "opaque", "y"), 0);
    decide_gone(&list);
    if (r == 0)
        r = changes_set_digest(&list, err);
    if (r == 0)
        *ret = list;
    else
        changes_release(&list);
    buf_release(&scan.path);
    map_release(&scan.hidden);
    digest_stream_free(scan.contents);
    free(scan.pieces[0]);
    free(scan.pieces[1]);
    return r;
}
