/*
 * worktree: reading what a run left (what is left, worktree_keep.c says; stop 8 of a run).
 *
 * The list's file begins with a line of its own, which the digest does not cover: which directory
 * the host's was, and when the layer was made. What the host has by now, and what was thrown away,
 * is taken out of the list when it is opened.
 */
#include "machine/worktree_kept.h"

#include <sys/mman.h>
#include <sys/sendfile.h>

#include "base/file.h"
#include "machine/beneath.h"
#include "machine/layer.h"

int kept_open_folder(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_set_errno(err, errno, STEP_WORKTREE, "cannot open %s", path) : fd;
}

/* The top of a layer may have been closed from inside; its mode is no change of the run's. */
int kept_open_upper(const char *layer, struct err *err)
{
    char path[PATH_BYTES_MAX];
    struct stat status;
    if (snprintf(path, sizeof(path), "%s/upper", layer) >= (int)sizeof(path))
        return err_set(err, ERR_LIMIT, STEP_WORKTREE, "the path of a layer is too long");
    if (lstat(path, &status) < 0 && errno == ENOENT)
        return -ENOENT;
    if (S_ISDIR(status.st_mode) && (status.st_mode & 0700) != 0700 && chmod(path, 0700) < 0)
        return err_set_errno(err, errno, STEP_WORKTREE, "cannot open %s", path);
    return kept_open_folder(path, err);
}

/* --- copies of what was there --------------------------------------------------------------- */

/* The number behind a digest and a blank; -1 where it is none. */
static int64_t read_size(const char *head, size_t *ret_len)
{
    char *end = NULL;
    long long size = strtoll(head + DIGEST_TEXT_SIZE, &end, 10);
    *ret_len = (size_t)(end - head) + 1;
    return head[DIGEST_TEXT_SIZE - 1] == ' ' && *end == '\n' && size >= 0 &&
                   (uint64_t)size <= WORKTREE_BEFORE_FILE_MAX
               ? size
               : -1;
}

/* Where the copies are, by their digests; a file of them that breaks off ends there. */
static int find_copies(struct worktree *worktree, struct err *err)
{
    _cleanup_(cleanup_close) int layer = open(worktree->layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
    char head[BEFORE_HEAD_SIZE + 1];
    size_t len;
    worktree->copies = openat(layer, BEFORE_FILE, O_RDONLY | O_CLOEXEC);
    for (off_t at = 0; worktree->copies >= 0;) {
        ssize_t n = pread(worktree->copies, head, BEFORE_HEAD_SIZE, at);
        head[n < 0 ? 0 : n] = '\0';
        int64_t size = n < DIGEST_TEXT_SIZE ? -1 : read_size(head, &len);
        if (size < 0)
            return 0;
        char *digest = arena_copy(&worktree->changes.arena, str_make(head, DIGEST_TEXT_SIZE - 1));
        if (!digest || map_put(&worktree->copy_at, str_from(digest), (uint32_t)at) == -ENOMEM)
            return err_set(err, ERR_MEMORY, STEP_WORKTREE, "there is not enough memory");
        at += (off_t)len + size;
    }
    return 0;
}

static int open_copy(const struct worktree *worktree, const struct changed_path *change)
{
    char head[BEFORE_HEAD_SIZE + 1], digest[DIGEST_TEXT_SIZE];
    uint32_t at;
    size_t len = 0;
    digest_write(change->before, digest);
    if (!map_get(&worktree->copy_at, str_from(digest), &at))
        return -ENOENT;
    ssize_t n = pread(worktree->copies, head, BEFORE_HEAD_SIZE, at);
    head[n < 0 ? 0 : n] = '\0';
    int64_t size = n < DIGEST_TEXT_SIZE ? -1 : read_size(head, &len);
    _cleanup_(cleanup_close) int fd = memfd_create("before", MFD_CLOEXEC);
    off_t from = (off_t)at + (off_t)len;
    if (size < 0 || fd < 0)
        return fd < 0 ? -errno : -ENOENT;
    while (size > 0) {
        ssize_t sent = sendfile(fd, worktree->copies, &from, (size_t)size);
        if (sent <= 0)
            return sent < 0 ? -errno : -ENOENT;
        size -= sent;
    }
    return lseek(fd, 0, SEEK_SET) < 0 ? -errno : TAKE_FD(fd);
}

/* --- opening ------------------------------------------------------------------------------- */

static int parse_list(struct worktree *worktree, struct str text, struct err *err)
{
    struct str head = str_make(text.ptr, str_index(text, '\n', 0));
    struct stat status;
    char *end = NULL;
    bool of_git = str_starts(head, STR(HEAD_GIT));
    if ((!of_git && !str_starts(head, STR(HEAD_WORD))) || head.len == text.len)
        return err_set(err, ERR_SYNTAX, STEP_WORKTREE, "its first line is missing");
    unsigned long long inode = strtoull(head.ptr + strlen(of_git ? HEAD_GIT : HEAD_WORD), &end, 10);
    long long launched = strtoll(end, &end, 10);
    if (end != head.ptr + head.len)
        return err_set(err, ERR_SYNTAX, STEP_WORKTREE, "its first line is wrong");
    worktree->moved =
        worktree->host >= 0 && fstat(worktree->host, &status) == 0 && status.st_ino != inode;
    int r = changes_parse(str_from_offset(text, head.len + 1), &worktree->changes, err);
    worktree->changes.launched_ns = launched;
    worktree->changes.of_git = of_git;
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

int kept_read_list(const char *layer, struct changes *ret, struct err *err)
{
    struct worktree worktree = { .host = -1 };
    snprintf(worktree.layer, sizeof(worktree.layer), "%s", layer);
    int r = read_list(&worktree, err);
    if (r > 0)
        *ret = worktree.changes;
    return r;
}

static int read_now(struct worktree *worktree, bool secrets_prohibited, struct err *err)
{
    struct mask_list hidden = { 0 };
    if (worktree->host < 0)
        return err_set(err, ERR_NOT_FOUND, STEP_WORKTREE,
                       "%s is gone, and no list of the changes was kept", worktree->host_path);
    int r = kept_find_hidden(worktree->layer, worktree->host, secrets_prohibited, &hidden, err);
    if (r == 0)
        r = kept_read_changes(worktree->layer, worktree->upper, worktree->host, &hidden,
                              &worktree->changes, err);
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

static int note_discarded(void *context, struct str path)
{
    return map_put(context, path, 0);
}

static int leave_out_discarded(struct worktree *worktree, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(CHANGES_TEXT_MAX);
    struct changes *changes = &worktree->changes;
    struct map discarded = MAP_INIT;
    size_t left = 0;
    uint32_t unused;
    int r =
        kept_read_paths(worktree->layer, DISCARDED_FILE, &text, note_discarded, &discarded, err);
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
    struct worktree worktree = { .host = -1, .copies = -1 };
    worktree.upper = kept_open_upper(layer, err);
    if (worktree.upper < 0)
        return worktree.upper == -ENOENT ? 0 : worktree.upper;
    snprintf(worktree.layer, sizeof(worktree.layer), "%s", layer);
    snprintf(worktree.host_path, sizeof(worktree.host_path), "%s", host_path);
    worktree.host = open(host_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    worktree.place = malloc(sizeof(*worktree.place));
    if (worktree.place)
        *worktree.place = (struct layer_place){ .fd = -1 };
    int r = worktree.place ? read_list(&worktree, err)
                           : err_set(err, ERR_MEMORY, STEP_WORKTREE, "there is not enough memory");
    worktree.recorded = r > 0;
    if (r == 0)
        r = read_now(&worktree, secrets_prohibited, err);
    memcpy(worktree.digest, worktree.changes.digest, sizeof(worktree.digest));
    if (r >= 0)
        r = find_copies(&worktree, err);
    if (r == 0)
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
    _cleanup_(cleanup_close) int fd =
        kept_append_paths(worktree->layer, DISCARDED_FILE, lines, err);
    return fd < 0          ? fd
           : fsync(fd) < 0 ? err_set_errno(err, errno, STEP_WORKTREE, "what was thrown away")
                           : 0;
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
    return append_discarded(worktree, &lines, err);
}

void worktree_close(struct worktree *worktree)
{
    if (worktree->place)
        cleanup_close(&worktree->place->fd);
    free(TAKE_PTR(worktree->place));
    if (worktree->upper >= 0)
        close(worktree->upper);
    if (worktree->host >= 0)
        close(worktree->host);
    cleanup_close(&worktree->copies);
    map_release(&worktree->copy_at);
    changes_release(&worktree->changes);
    worktree->upper = worktree->host = worktree->copies = -1;
}

/* --- contents ------------------------------------------------------------------------------ */

int worktree_open_after(const struct worktree *worktree, const struct changed_path *change,
                        struct stat *ret_status)
{
    const char *name = NULL;
    int parent = layer_find_parent(worktree->upper, worktree->place, change->path, &name);
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
    return changes_is_before(status, worktree->changes.launched_ns);
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
    int parent = layer_find_parent(worktree->upper, worktree->place, path, &name);
    return parent < 0 ? parent : end_target(readlinkat(parent, name, ret, CHANGES_PATH_MAX), ret);
}

ssize_t worktree_link_host(const struct worktree *worktree, const char *path,
                           char ret[CHANGES_PATH_MAX + 1])
{
    _cleanup_(cleanup_close) int link =
        worktree->host < 0 ? -ENOENT : beneath_open(worktree->host, path, O_PATH | O_NOFOLLOW);
    return link < 0 ? link : end_target(readlinkat(link, "", ret, CHANGES_PATH_MAX), ret);
}
