/*
 * git_dirty: whether the files that git tracks are those of the commit.
 *
 * Theory of operation. The index holds, for each file, what stat said when git last knew its
 * contents to be those of an object. Three questions, the cheapest first:
 * 1. Does the index itself differ from the commit? Where git left the name of the tree that the
 *    index is, it is compared with the commit's tree. Where it did not, nothing certain is known.
 * 2. Does a file's stat differ from the index? Type, mode and size decide at once, as in git.
 * 3. Is only a time or an owner different, or is the file as young as the index, so that stat says
 *    nothing? Then its contents are hashed. A hash that differs is a change, unless attributes or
 *    settings convert what is in the file; those are not applied here.
 * Dirty is found by any file; clean needs them all and the index; else it is not-checked.
 *
 * What always holds: directories are opened beneath the work tree and files looked at in them, so
 * that a link in the place of a directory is a difference and leads nowhere. The time limit is
 * looked at between entries and between pieces of a file.
 */
#include <sys/stat.h>

#include "base/digest.h"
#include "base/file.h"
#include "machine/beneath.h"
#include "machine/git_object.h"
#include "machine/git_repository.h"

#define PIECE_BYTES    ((size_t)64 << 10)
#define ENTRIES_A_LOOK 64 /* at the clock */

struct check {
    const struct git_repository *repository;
    int64_t deadline_ms;
    unsigned depth;
    int64_t index_s, index_ns; /* when the index was written */
    struct git_index index;
    struct buf directory; /* the path of the one that is open, and a NUL */
    int directory_fd;
    bool converts; /* contents may differ from what git keeps, rightly */
    bool open;     /* something could not be told */
    const char *reason;
    struct digest_stream *digest;
    char *piece;
};

static bool is_late(const struct check *check)
{
    return git_clock_ms() > check->deadline_ms;
}

static enum git_dirty not_told(struct check *check, const char *reason)
{
    check->open = true;
    if (!check->reason)
        check->reason = reason;
    return GIT_CLEAN; /* as far as this entry goes */
}

/* --- one file ------------------------------------------------------------------------------ */

static int add_contents(struct check *check, int fd, uint64_t size, bool *ret_returns)
{
    bool returns = false;
    for (;;) {
        ssize_t n = read(fd, check->piece, PIECE_BYTES);
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        if ((uint64_t)n > size || is_late(check))
            return -ETIME;
        size -= (uint64_t)n;
        returns = returns || memchr(check->piece, '\r', (size_t)n);
        digest_stream_add(check->digest, str_make(check->piece, (size_t)n));
    }
    *ret_returns = returns;
    return size ? -ETIME : 0;
}

/* Hashes a file as git would; `returns` where it has carriage returns. */
static int hash_file(struct check *check, const char *name, const struct stat *status,
                     unsigned char ret[DIGEST_BYTES], bool *ret_returns)
{
    char head[32];
    int len = snprintf(head, sizeof(head), "blob %llu", (unsigned long long)status->st_size);
    digest_stream_add(check->digest, str_make(head, (size_t)len + 1));
    int r;
    if (S_ISLNK(status->st_mode)) {
        ssize_t n = readlinkat(check->directory_fd, name, check->piece, PIECE_BYTES);
        r = n == status->st_size ? 0 : -ETIME;
        digest_stream_add(check->digest, str_make(check->piece, n > 0 ? (size_t)n : 0));
    } else {
        _cleanup_(cleanup_close) int fd =
            openat(check->directory_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        r = fd < 0 ? -errno : add_contents(check, fd, (uint64_t)status->st_size, ret_returns);
    }
    digest_stream_end(check->digest, ret);
    return r;
}

static enum git_dirty compare_contents(struct check *check, const struct git_index_entry *entry,
                                       const char *name, const struct stat *status)
{
    unsigned char oid[DIGEST_BYTES];
    bool returns = false;
    enum digest_kind kind = check->repository->oid_len == 32 ? DIGEST_SHA256 : DIGEST_SHA1;
    if (!check->digest && digest_stream_new(kind, &check->digest, NULL) < 0)
        return not_told(check, "contents could not be hashed");
    if (hash_file(check, name, status, oid, &returns) < 0)
        return not_told(check, "there was no time to hash what looked changed");
    if (memcmp(oid, entry->oid, check->repository->oid_len) == 0)
        return GIT_CLEAN;
    if (S_ISREG(status->st_mode) && (check->converts || returns))
        return not_told(check, "attributes or settings convert contents");
    check->reason = "a file's contents differ";
    return GIT_DIRTY;
}

/* The mode that git would give a file; 0 for what it cannot hold. */
static uint32_t git_mode(const struct stat *status)
{
    if (S_ISLNK(status->st_mode))
        return GIT_MODE_LINK;
    if (!S_ISREG(status->st_mode))
        return 0;
    return status->st_mode & S_IXUSR ? 0100755u : 0100644u;
}

static bool same_mode(const struct check *check, uint32_t mode, uint32_t other)
{
    if (check->repository->ignores_modes)
        return (mode & GIT_MODE_TYPE) == (other & GIT_MODE_TYPE);
    return mode == other;
}

/* Whether stat alone says that the contents are those that git knew. */
static bool same_stat(const struct check *check, const struct git_index_entry *entry,
                      const struct stat *status)
{
    if (entry->modified_s != (uint32_t)status->st_mtim.tv_sec ||
        entry->changed_s != (uint32_t)status->st_ctim.tv_sec ||
        entry->inode != (uint32_t)status->st_ino || entry->uid != (uint32_t)status->st_uid ||
        entry->gid != (uint32_t)status->st_gid)
        return false;
    if ((entry->modified_ns && entry->modified_ns != (uint32_t)status->st_mtim.tv_nsec) ||
        (entry->changed_ns && entry->changed_ns != (uint32_t)status->st_ctim.tv_nsec))
        return false;
    /* written no later than the index: a change in the same moment would not show */
    if ((int64_t)entry->modified_s != check->index_s)
        return (int64_t)entry->modified_s < check->index_s;
    return entry->modified_ns && (int64_t)entry->modified_ns < check->index_ns;
}

static enum git_dirty check_file(struct check *check, const struct git_index_entry *entry,
                                 const char *name)
{
    struct stat status;
    if (fstatat(check->directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            return not_told(check, "a file could not be looked at");
        check->reason = "a file is gone";
        return GIT_DIRTY;
    }
    if (!same_mode(check, git_mode(&status), entry->mode)) {
        check->reason = "a file's type or mode differs";
        return GIT_DIRTY;
    }
    /* size 0 in the index of a file that is not empty: git never looked, or marked it as unsure */
    if (entry->size != (uint32_t)status.st_size && entry->size != 0) {
        check->reason = "a file's size differs";
        return GIT_DIRTY;
    }
    if (entry->size == (uint32_t)status.st_size && same_stat(check, entry, &status))
        return GIT_CLEAN;
    return compare_contents(check, entry, name, &status);
}

/* --- submodules ---------------------------------------------------------------------------- */

static enum git_dirty check_submodule(struct check *check, const struct git_index_entry *entry,
                                      const char *name)
{
    struct git_repository inner;
    unsigned char commit[GIT_OID_MAX];
    _cleanup_(cleanup_close) int fd =
        beneath_open(check->directory_fd, name, O_RDONLY | O_DIRECTORY);
    if (fd == -ENOENT) {
        check->reason = "a submodule is gone";
        return GIT_DIRTY;
    }
    if (fd < 0 || check->depth >= GIT_SUBMODULES_MAX)
        return not_told(check, "a submodule could not be looked at");
    int r = git_repository_open(&inner, fd);
    if (r == -ENOENT) /* not checked out */
        return GIT_CLEAN;
    if (r < 0)
        return not_told(check, "a submodule could not be looked at");
    enum git_dirty dirty = GIT_DIRTY;
    if (!git_oid_read(str_from(inner.commit), commit, inner.oid_len) ||
        inner.oid_len != check->repository->oid_len ||
        memcmp(commit, entry->oid, inner.oid_len) != 0)
        check->reason = "a submodule is at another commit";
    else
        dirty = git_dirty_check(&inner, check->deadline_ms, check->depth + 1, &check->reason);
    git_repository_close(&inner);
    return dirty == GIT_NOT_CHECKED ? not_told(check, "a submodule could not be told") : dirty;
}

/* --- all entries --------------------------------------------------------------------------- */

/* Opens the directory of an entry, unless it is the one before's. 0, or why it is not there. */
static int enter_directory(struct check *check, struct str path)
{
    if (check->directory_fd >= 0 && check->directory.len == path.len + 1 &&
        memcmp(check->directory.data, path.ptr, path.len) == 0)
        return 0;
    cleanup_close(&check->directory_fd);
    buf_reset(&check->directory);
    buf_add_str(&check->directory, path);
    buf_add_char(&check->directory, '\0');
    if (check->directory.error)
        return check->directory.error;
    check->directory_fd = beneath_open(
        check->repository->work, path.len ? check->directory.data : ".", O_PATH | O_DIRECTORY);
    return check->directory_fd < 0 ? check->directory_fd : 0;
}

static enum git_dirty check_entry(struct check *check, const struct git_index_entry *entry)
{
    char name[NAME_MAX + 1];
    const char *slash = memrchr(entry->name.ptr, '/', entry->name.len);
    struct str path = str_make(entry->name.ptr, slash ? (size_t)(slash - entry->name.ptr) : 0);
    struct str last = slash ? str_from_offset(entry->name, path.len + 1) : entry->name;
    if (entry->stage || entry->intent) {
        check->reason = entry->stage ? "a merge is not finished" : "a file is to be added";
        return GIT_DIRTY;
    }
    if (str_equal(last, STR(".gitattributes")))
        check->converts = true;
    if (entry->assumed)
        return GIT_CLEAN;
    if (!last.len || last.len > NAME_MAX || str_equal(last, STR("..")))
        return not_told(check, "the index could not be read");
    memcpy(name, last.ptr, last.len);
    name[last.len] = '\0';
    int r = enter_directory(check, path);
    if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP) {
        check->reason = "a directory is gone";
        return GIT_DIRTY;
    }
    if (r < 0)
        return not_told(check, "a directory could not be looked at");
    if ((entry->mode & GIT_MODE_TYPE) == GIT_MODE_GITLINK)
        return check_submodule(check, entry, name);
    return check_file(check, entry, name);
}

static enum git_dirty check_entries(struct check *check)
{
    struct git_index_entry entry;
    for (unsigned i = 0;; i++) {
        int r = git_index_next(&check->index, &entry);
        if (r < 0)
            return not_told(check, "the index could not be read");
        if (r == 0)
            return GIT_CLEAN;
        if (i % ENTRIES_A_LOOK == 0 && is_late(check))
            return not_told(check, "it took too long");
        enum git_dirty dirty = check_entry(check, &entry);
        if (dirty != GIT_CLEAN)
            return dirty;
    }
}

/* Whether the index is the commit's tree. */
static enum git_dirty check_index(struct check *check)
{
    const struct git_repository *repository = check->repository;
    struct git_index_extensions extensions;
    unsigned char commit[GIT_OID_MAX], tree[GIT_OID_MAX];
    if (git_index_end(&check->index, &extensions) < 0 || extensions.foreign)
        return not_told(check, "the index could not be read");
    if (!git_oid_read(str_from(repository->commit), commit, repository->oid_len)) {
        check->reason = "there is no commit yet";
        return GIT_DIRTY;
    }
    if (!extensions.tree)
        return not_told(check, "git does not know the index's tree; something may be staged");
    _cleanup_(cleanup_close) int objects =
        beneath_open(repository->common, "objects", O_PATH | O_DIRECTORY);
    if (objects < 0 || git_commit_tree(objects, commit, repository->oid_len, tree) < 0)
        return not_told(check, "the commit could not be read");
    if (memcmp(tree, extensions.tree, repository->oid_len) == 0)
        return GIT_CLEAN;
    check->reason = "something is staged";
    return GIT_DIRTY;
}

/* 0 with the index's text; -ENOENT where nothing was ever added. */
static int read_index(struct check *check, struct buf *ret)
{
    struct stat status;
    _cleanup_(cleanup_close) int fd =
        beneath_open(check->repository->git, "index", O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return -EBADMSG;
    check->index_s = status.st_mtim.tv_sec;
    check->index_ns = status.st_mtim.tv_nsec;
    return file_read_fd(fd, "index", ret, NULL);
}

static enum git_dirty check_all(struct check *check, struct buf *text)
{
    int r = read_index(check, text);
    if (r == -ENOENT && !check->repository->commit[0])
        return GIT_CLEAN;
    if (r < 0 || !git_index_open(&check->index, buf_str(text), check->repository->oid_len))
        return not_told(check, "the index could not be read");
    enum git_dirty dirty = check_entries(check);
    if (dirty == GIT_CLEAN && !check->open)
        dirty = check_index(check);
    return dirty;
}

/* Those of the tree are met as entries, before most of the files that they concern. */
static bool has_attributes(const struct git_repository *repository)
{
    return faccessat(repository->common, "info/attributes", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

enum git_dirty git_dirty_check(const struct git_repository *repository, int64_t deadline_ms,
                               unsigned depth, const char **ret_reason)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(GIT_INDEX_BYTES_MAX);
    struct check check = { .repository = repository,
                           .deadline_ms = deadline_ms,
                           .depth = depth,
                           .index = { .name = BUF_INIT },
                           .directory = BUF_INIT_LIMIT(GIT_NAME_MAX + 1),
                           .directory_fd = -1,
                           .converts = repository->converts || has_attributes(repository),
                           .piece = malloc(PIECE_BYTES) };
    enum git_dirty dirty = GIT_CLEAN;
    if (repository->is_unread)
        not_told(&check, "its references could not be read");
    else if (!check.piece)
        not_told(&check, "there was no memory");
    else
        dirty = check_all(&check, &text);
    if (dirty == GIT_CLEAN && check.open)
        dirty = GIT_NOT_CHECKED;
    if (check.reason)
        *ret_reason = check.reason;
    git_index_release(&check.index);
    buf_release(&check.directory);
    cleanup_close(&check.directory_fd);
    digest_stream_free(check.digest);
    free(check.piece);
    return dirty;
}
