/*
 * worktree: see the header (stop 8 of a run).
 *
 * While a run lives its overlay syncs nothing; what it leaves is synced once,
 * and only where there is something. The list's file begins with a line of its
 * own, which the digest does not cover: which directory the host's was, and
 * when the layer was made.
 */
#include "machine/worktree.h"

#include "base/file.h"
#include "base/map.h"
#include "machine/beneath.h"
#include "machine/layer.h"

#define STEP_WORKTREE  "read a change set"
#define LIST_FILE      "changes"
#define LIST_NEW       "changes.new"
#define BEFORE_FOLDER  "before"
#define DISCARDED_FILE "discarded"
#define PATH_BYTES_MAX 8192
#define NS_PER_SECOND  INT64_C(1000000000)
#define HEAD_WORD      "tree "

static int open_folder(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_set_errno(err, errno, STEP_WORKTREE, "cannot open %s", path) : fd;
}

/* The top of a layer may have been closed from inside; its mode is no change of the run's. */
static int open_upper(const char *layer, struct err *err)
{
    char path[PATH_BYTES_MAX];
    struct stat status;
    if (snprintf(path, sizeof(path), "%s/upper", layer) >= (int)sizeof(path))
        return err_set(err, ERR_LIMIT, STEP_WORKTREE, "the path of a layer is too long");
    if (lstat(path, &status) < 0 && errno == ENOENT)
        return -ENOENT;
    if (S_ISDIR(status.st_mode) && (status.st_mode & 0700) != 0700 && chmod(path, 0700) < 0)
        return err_set_errno(err, errno, STEP_WORKTREE, "cannot open %s", path);
    return open_folder(path, err);
}

/* --- keeping ------------------------------------------------------------------------------- */

static int copy_all(int from, int to)
{
    char piece[8192];
    ssize_t n;
    while ((n = read(from, piece, sizeof(piece))) > 0)
        for (ssize_t at = 0, written; at < n; at += written) {
            written = write(to, piece + at, (size_t)(n - at));
            if (written < 0)
                return -errno;
        }
    return n < 0 ? -errno : 0;
}

static void before_name(const struct changed_path *change, char ret[DIGEST_TEXT_SIZE + 16])
{
    char text[DIGEST_TEXT_SIZE];
    digest_write(change->before, text);
    snprintf(ret, DIGEST_TEXT_SIZE + 16, BEFORE_FOLDER "/%s", text + strlen("sha256:"));
}

/* One that cannot be copied, or changes meanwhile, is not there, and no merge will have it. */
static void keep_before(int layer, int host, const struct changed_path *change, uint64_t *kept)
{
    char name[DIGEST_TEXT_SIZE + 16];
    struct stat status, again;
    _cleanup_(cleanup_close) int from = beneath_open(host, change->path, O_RDONLY | O_NONBLOCK);
    if (from < 0 || fstat(from, &status) < 0 || !S_ISREG(status.st_mode) ||
        (uint64_t)status.st_size > WORKTREE_BEFORE_FILE_MAX ||
        *kept + (uint64_t)status.st_size > WORKTREE_BEFORE_ALL_MAX)
        return;
    before_name(change, name);
    if (mkdirat(layer, BEFORE_FOLDER, 0700) < 0 && errno != EEXIST)
        return;
    _cleanup_(cleanup_close) int to =
        openat(layer, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return;
    if (copy_all(from, to) < 0 || fstat(from, &again) < 0 ||
        memcmp(&again.st_ctim, &status.st_ctim, sizeof(status.st_ctim)) != 0)
        unlinkat(layer, name, 0);
    *kept += (uint64_t)status.st_size;
}

static int write_piece(void *context, struct str piece)
{
    return fwrite(piece.ptr, 1, piece.len, context) == piece.len ? 0 : -EIO;
}

static int write_list(int layer, int host, const struct changes *changes)
{
    struct stat status;
    int fd = openat(layer, LIST_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file || fstat(host, &status) < 0)
        return -errno;
    fprintf(file, HEAD_WORD "%llu %lld\n", (unsigned long long)status.st_ino,
            (long long)changes->launched_ns);
    int r = changes_write_text(changes, write_piece, file);
    return fclose(file) < 0 ? -errno : r;
}

static int keep(const char *path, int upper, int host, const struct changes *changes,
                struct err *err)
{
    uint64_t kept = 0;
    _cleanup_(cleanup_close) int layer = open_folder(path, err);
    if (layer < 0)
        return layer;
    for (size_t i = 0; i < changes->count; i++)
        if (changes->items[i].has_before && changes->items[i].kind == CHANGED_FILE)
            keep_before(layer, host, &changes->items[i], &kept);
    int r = write_list(layer, host, changes);
    if (r == 0 &&
        (syncfs(upper) < 0 || renameat(layer, LIST_NEW, layer, LIST_FILE) < 0 || fsync(layer) < 0))
        r = -errno;
    return r < 0 ? err_set_errno(err, -r, STEP_WORKTREE, "cannot make %s durable", path) : 0;
}

int worktree_keep(const char *layer, const char *host_path, const struct mask_list *hidden,
                  struct changes *ret, struct err *err)
{
    *ret = (struct changes){ 0 };
    _cleanup_(cleanup_close) int upper = open_upper(layer, err);
    if (upper < 0)
        return upper == -ENOENT ? 0 : upper;
    _cleanup_(cleanup_close) int host = open_folder(host_path, err);
    int r = host < 0 ? host : changes_read(upper, host, hidden, ret, err);
    if (r == 0 && ret->count)
        r = keep(layer, upper, host, ret, err);
    if (r < 0)
        changes_release(ret);
    return r;
}

/* --- opening ------------------------------------------------------------------------------- */

static int parse_list(struct worktree *worktree, struct str text, struct err *err)
{
    struct str head = str_make(text.ptr, str_index(text, '\n', 0));
    struct stat status;
    char *end = NULL;
    if (!str_starts(head, STR(HEAD_WORD)) || head.len == text.len)
        return err_set(err, ERR_SYNTAX, STEP_WORKTREE, "its first line is missing");
    unsigned long long inode = strtoull(head.ptr + strlen(HEAD_WORD), &end, 10);
    long long launched = strtoll(end, &end, 10);
    if (end != head.ptr + head.len)
        return err_set(err, ERR_SYNTAX, STEP_WORKTREE, "its first line is wrong");
    worktree->moved =
        worktree->host >= 0 && fstat(worktree->host, &status) == 0 && status.st_ino != inode;
    int r = changes_parse(str_from_offset(text, head.len + 1), &worktree->changes, err);
    worktree->changes.launched_ns = launched;
    return r;
}

/* 1 with the list of the run's end, 0 where there is none. */
static int read_list(struct worktree *worktree, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(CHANGES_TEXT_MAX);
    char path[PATH_BYTES_MAX];
    struct err inner = { 0 };
    snprintf(path, sizeof(path), "%s/" LIST_FILE, worktree->layer);
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    int r = file_read(path, &text, err);
    if (r < 0)
        return r;
    if (parse_list(worktree, buf_str(&text), &inner) < 0)
        return err_set(err, inner.code == ERR_SYNTAX ? ERR_DAMAGED : inner.code, STEP_WORKTREE,
                       "%s: %s", path, inner.cause);
    return 1;
}

static int read_now(struct worktree *worktree, bool secrets_prohibited, struct err *err)
{
    struct mask_list hidden = { 0 };
    if (worktree->host < 0)
        return err_set(err, ERR_NOT_FOUND, STEP_WORKTREE,
                       "%s is gone, and no list of the changes was kept", worktree->host_path);
    int r = secrets_prohibited ? mask_find(worktree->host, NULL, &hidden, err) : 0;
    if (r < 0)
        return r;
    r = changes_read(worktree->upper, worktree->host, &hidden, &worktree->changes, err);
    mask_list_release(&hidden);
    return r;
}

/* --- what the host has already ------------------------------------------------------------- */

static bool has_contents(const struct worktree *worktree, const struct changed_path *change,
                         struct digest_stream *stream)
{
    char target[CHANGES_PATH_MAX + 1];
    unsigned char digest[DIGEST_BYTES];
    struct stat status;
    ssize_t len =
        change->kind == CHANGED_LINK ? worktree_link_host(worktree, change->path, target) : 0;
    if (change->kind == CHANGED_LINK) {
        digest_stream_add(stream, str_make(target, len < 0 ? 0 : (size_t)len));
    } else {
        _cleanup_(cleanup_free) char *piece = malloc(LAYER_PIECE_BYTES);
        _cleanup_(cleanup_close) int fd = worktree_open_host(worktree, change->path, &status);
        len = piece && fd >= 0 ? 1 : -1;
        while (len > 0 && (len = layer_read_piece(fd, piece)) > 0)
            digest_stream_add(stream, str_make(piece, (size_t)len));
    }
    digest_stream_end(stream, digest);
    return len >= 0 && memcmp(digest, change->digest, DIGEST_BYTES) == 0;
}

/* Of what was deleted, something of another kind that the run put in its place. */
static bool is_replaced(const struct changes *changes, const struct changed_path *change)
{
    size_t len = strlen(change->path);
    const struct changed_path *end = changes->items + changes->count, *at = change + 1;
    while (at < end && strncmp(at->path, change->path, len) == 0 && at->path[len] == '/' &&
           at->type == CHANGE_DELETED)
        at++;
    return at < end && strcmp(at->path, change->path) == 0;
}

static bool is_done(const struct worktree *worktree, const struct changed_path *change,
                    struct digest_stream *stream)
{
    struct stat status;
    int r = worktree_stat_host(worktree, change->path, &status);
    if (change->type == CHANGE_DELETED)
        return r == -ENOENT || r == -ENOTDIR ||
               (r == 0 && !changed_is_kind(&status, change->kind) &&
                is_replaced(&worktree->changes, change));
    if (r < 0 || change->kind == CHANGED_SPECIAL)
        return false;
    bool same_mode = (status.st_mode & 07777) == change->mode;
    switch (change->kind) {
    case CHANGED_DIRECTORY:
        return S_ISDIR(status.st_mode) && same_mode;
    case CHANGED_LINK:
        return S_ISLNK(status.st_mode) && has_contents(worktree, change, stream);
    case CHANGED_FILE:
        if (!S_ISREG(status.st_mode) || !same_mode || worktree_is_unchanged(worktree, &status))
            return false;
        return change->type == CHANGE_MODE ||
               ((uint64_t)status.st_size == change->size && has_contents(worktree, change, stream));
    case CHANGED_SPECIAL:
    case CHANGED_KIND_COUNT:
        break;
    }
    return false;
}

/* The paths that were thrown away: a length, a blank, the path, a line feed. */
static int read_discarded(const struct worktree *worktree, struct buf *text, struct map *ret,
                          struct err *err)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/" DISCARDED_FILE, worktree->layer);
    int r = access(path, F_OK) < 0 && errno == ENOENT ? 0 : file_read(path, text, err);
    for (size_t at = 0; at < text->len && r == 0;) {
        char *end = NULL;
        unsigned long long len = strtoull(text->data + at, &end, 10);
        size_t from = (size_t)(end - text->data) + 1;
        if (*end != ' ' || len > CHANGES_PATH_MAX || from + len >= text->len)
            return err_set(err, ERR_DAMAGED, STEP_WORKTREE, "%s cannot be read", path);
        if (map_put(ret, str_make(text->data + from, len), 0) == -ENOMEM)
            return err_set(err, ERR_MEMORY, STEP_WORKTREE, "there is not enough memory");
        at = from + len + 1;
    }
    return r;
}

static int leave_out_discarded(struct worktree *worktree, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(CHANGES_TEXT_MAX);
    struct changes *changes = &worktree->changes;
    struct map discarded = MAP_INIT;
    size_t left = 0;
    uint32_t unused;
    int r = read_discarded(worktree, &text, &discarded, err);
    for (size_t i = 0; i < changes->count && r == 0; i++)
        if (!map_get(&discarded, str_from(changes->items[i].path), &unused))
            changes->items[left++] = changes->items[i];
    if (r == 0)
        changes->count = left;
    map_release(&discarded);
    return r;
}

/* Takes what is done out of the list; its digest stays that of the whole. */
static int leave_out(struct worktree *worktree, struct err *err)
{
    _cleanup_(cleanup_digest_stream) struct digest_stream *stream = NULL;
    struct changes *changes = &worktree->changes;
    size_t left = 0;
    int r = digest_stream_new(DIGEST_SHA256, &stream, err);
    if (r < 0 || !worktree->recorded || worktree->host < 0)
        return r;
    _cleanup_(cleanup_free) bool *done = calloc(changes->count + 1, sizeof(*done));
    if (!done)
        return err_set(err, ERR_MEMORY, STEP_WORKTREE, "there is not enough memory");
    for (size_t i = 0; i < changes->count; i++)
        done[i] = is_done(worktree, &changes->items[i], stream);
    for (size_t i = 0; i < changes->count; i++)
        if (!done[i])
            changes->items[left++] = changes->items[i];
    changes->count = left;
    return 0;
}

int worktree_open(const char *layer, const char *host_path, bool secrets_prohibited,
                  struct worktree *ret, struct err *err)
{
    struct worktree worktree = { .host = -1 };
    worktree.upper = open_upper(layer, err);
    if (worktree.upper < 0)
        return worktree.upper == -ENOENT ? 0 : worktree.upper;
    snprintf(worktree.layer, sizeof(worktree.layer), "%s", layer);
    snprintf(worktree.host_path, sizeof(worktree.host_path), "%s", host_path);
    worktree.host = open(host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = read_list(&worktree, err);
    worktree.recorded = r > 0;
    if (r == 0)
        r = read_now(&worktree, secrets_prohibited, err);
    memcpy(worktree.digest, worktree.changes.digest, sizeof(worktree.digest));
    if (r >= 0)
        r = leave_out_discarded(&worktree, err);
    if (r == 0)
        r = leave_out(&worktree, err);
    if (r < 0 || (!worktree.recorded && !worktree.changes.count)) {
        worktree_close(&worktree);
        return r < 0 ? r : 0;
    }
    *ret = worktree;
    return 1;
}

static int append_discarded(const struct worktree *worktree, const struct buf *lines,
                            struct err *err)
{
    char path[PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/" DISCARDED_FILE, worktree->layer);
    _cleanup_(cleanup_close) int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || lines->error || write(fd, lines->data, lines->len) != (ssize_t)lines->len ||
        fsync(fd) < 0)
        return err_set_errno(err, lines->error ? ENOMEM : errno, STEP_WORKTREE, "write %s", path);
    return 0;
}

int worktree_discard(struct worktree *worktree, bool (*chooses)(void *context, const char *path),
                     void *context, bool *ret_gone, struct err *err)
{
    _cleanup_(buf_release) struct buf lines = BUF_INIT_LIMIT(CHANGES_TEXT_MAX);
    struct changes *changes = &worktree->changes;
    size_t left = 0;
    for (size_t i = 0; i < changes->count; i++) {
        const char *path = changes->items[i].path;
        if (chooses(context, path))
            buf_addf(&lines, "%zu %s\n", strlen(path), path);
        else
            left++;
    }
    *ret_gone = left == 0;
    return left ? append_discarded(worktree, &lines, err) : file_remove_tree(worktree->layer, err);
}

void worktree_close(struct worktree *worktree)
{
    if (worktree->upper >= 0)
        close(worktree->upper);
    if (worktree->host >= 0)
        close(worktree->host);
    changes_release(&worktree->changes);
    worktree->upper = worktree->host = -1;
}

/* --- contents ------------------------------------------------------------------------------ */

int worktree_open_after(const struct worktree *worktree, const struct changed_path *change,
                        struct stat *ret_status)
{
    const char *name = NULL;
    _cleanup_(cleanup_close) int parent = layer_open_parent(worktree->upper, change->path, &name);
    if (parent < 0)
        return parent;
    if (fstatat(parent, name, ret_status, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return S_ISREG(ret_status->st_mode) ? layer_open_seen(parent, name, ret_status, 0) : -ESTALE;
}

int worktree_stat_host(const struct worktree *worktree, const char *path, struct stat *ret)
{
    if (worktree->host < 0)
        return -ENOENT;
    _cleanup_(cleanup_close) int fd = beneath_open(worktree->host, path, O_PATH | O_NOFOLLOW);
    if (fd < 0)
        return fd;
    return fstat(fd, ret) < 0 ? -errno : 0;
}

bool worktree_is_unchanged(const struct worktree *worktree, const struct stat *status)
{
    int64_t changed_ns = (int64_t)status->st_ctim.tv_sec * NS_PER_SECOND + status->st_ctim.tv_nsec;
    return changed_ns < worktree->changes.launched_ns;
}

static int open_copy(const struct worktree *worktree, const struct changed_path *change)
{
    char name[DIGEST_TEXT_SIZE + 16];
    _cleanup_(cleanup_close) int layer = open(worktree->layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
    before_name(change, name);
    int fd = openat(layer, name, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int worktree_open_host(const struct worktree *worktree, const char *path, struct stat *ret_status)
{
    if (worktree->host < 0)
        return -ENOENT;
    _cleanup_(cleanup_close) int fd =
        beneath_open(worktree->host, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, ret_status) < 0)
        return fd < 0 ? fd : -errno;
    return S_ISREG(ret_status->st_mode) ? TAKE_FD(fd) : -ESTALE;
}

int worktree_open_before(const struct worktree *worktree, const struct changed_path *change,
                         struct stat *ret_status)
{
    _cleanup_(cleanup_close) int host = worktree_open_host(worktree, change->path, ret_status);
    if (host >= 0 && worktree_is_unchanged(worktree, ret_status))
        return TAKE_FD(host);
    if (!change->has_before)
        return -ENOENT;
    _cleanup_(cleanup_close) int copy = open_copy(worktree, change);
    if (copy < 0)
        return copy;
    return fstat(copy, ret_status) < 0 ? -errno : TAKE_FD(copy);
}

static ssize_t end_target(ssize_t len, char ret[CHANGES_PATH_MAX + 1])
{
    if (len >= 0)
        ret[len] = '\0';
    return len < 0 ? -errno : len;
}

ssize_t worktree_link_after(const struct worktree *worktree, const char *path,
                            char ret[CHANGES_PATH_MAX + 1])
{
    const char *name = NULL;
    _cleanup_(cleanup_close) int parent = layer_open_parent(worktree->upper, path, &name);
    return parent < 0 ? parent : end_target(readlinkat(parent, name, ret, CHANGES_PATH_MAX), ret);
}

ssize_t worktree_link_host(const struct worktree *worktree, const char *path,
                           char ret[CHANGES_PATH_MAX + 1])
{
    _cleanup_(cleanup_close) int link =
        worktree->host < 0 ? -ENOENT : beneath_open(worktree->host, path, O_PATH | O_NOFOLLOW);
    return link < 0 ? link : end_target(readlinkat(link, "", ret, CHANGES_PATH_MAX), ret);
}
