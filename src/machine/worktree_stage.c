/*
 * worktree_stage: what will be put into the tree, written where nobody looks for it.
 *
 * The staging folder is in the tree's root, so that each file is moved within its file system, by
 * one call. Contents are read once, and must have the digest that they had when the run ended; what
 * is written has the mode, the times of what was read, and of what it takes the place of the owner.
 * Where the file system shares blocks nothing is copied, and the digest is that of the new file.
 * Nothing else comes along: no attributes, no lists of rights, no second names.
 *
 * Many steps are staged by some threads, a part of the steps at a time, each part in a folder of
 * its own: names in one folder are made one after the other. The threads share what nobody writes
 * to, and of the steps each its own.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "machine/beneath.h"
#include "machine/layer.h"
#include "machine/worktree_apply_internal.h"

#define WRITE_BACK_BYTES ((size_t)8 << 20)
#define PART_STEPS       256 /* staged at a time, in one folder */
#define THREADS_MAX      4

/* What all threads share. */
struct crew {
    struct applying *applying;
    struct stat owner; /* of the tree */
    bool is_root;
    atomic_size_t next; /* part */
    atomic_bool failed;
};

/* What is one thread's. */
struct staging {
    struct crew *crew;
    struct applying *applying;
    struct worktree worktree; /* a copy, with a place of its own in the layer */
    struct layer_place place;
    struct digest_stream *stream;
    char *piece;
    bool shares; /* blocks, as far as was seen */
    struct err err;
    int result;
};

int steps_add(struct apply_steps *steps, const struct apply_step *step, struct err *err)
{
    if (steps->count == STEPS_MAX)
        return err_set(err, ERR_LIMIT, STEP_APPLY, "there are more than %d steps", STEPS_MAX);
    if (steps->count == steps->capacity) {
        size_t larger = steps->capacity ? steps->capacity * 2 : 64;
        struct apply_step *items = reallocarray(steps->items, larger, sizeof(*items));
        if (!items)
            return err_set(err, ERR_MEMORY, STEP_APPLY, "there is not enough memory");
        steps->items = items;
        steps->capacity = larger;
    }
    steps->items[steps->count++] = *step;
    return 0;
}

void steps_release(struct apply_steps *steps)
{
    free(steps->items);
    arena_release(&steps->arena);
    *steps = (struct apply_steps){ 0 };
}

/* The first ones lie in the staging folder itself. */
void staged_name(size_t step, char ret[STAGED_NAME_SIZE])
{
    if (step < PART_STEPS)
        snprintf(ret, STAGED_NAME_SIZE, "%zu", step);
    else
        snprintf(ret, STAGED_NAME_SIZE, "part-%zu/%zu", step / PART_STEPS, step);
}

int applying_open_parent(const struct applying *applying, const char *path, const char **ret_name)
{
    char parent[CHANGES_PATH_MAX + 1];
    const char *slash = strrchr(path, '/');
    *ret_name = slash ? slash + 1 : path;
    snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    return beneath_open(applying->root, parent, O_PATH | O_DIRECTORY);
}

/* --- contents ------------------------------------------------------------------------------ */

static bool is_zero(const char *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

/*
 * One piece: what is all zeros stays a hole, for a file may say that it is larger than the disk.
 * Large files are on their way to the disk while the rest of them is read.
 */
static int write_piece(int to, const char *piece, size_t len, off_t at)
{
    if (is_zero(piece, len))
        return lseek(to, (off_t)len, SEEK_CUR) < 0 ? -errno : 0;
    int r = write_all(to, piece, len);
    if (r == 0 && (size_t)at % WRITE_BACK_BYTES + len >= WRITE_BACK_BYTES)
        (void)!sync_file_range(to, at + (off_t)len - (off_t)WRITE_BACK_BYTES, WRITE_BACK_BYTES,
                               SYNC_FILE_RANGE_WRITE);
    return r;
}

static int copy(struct staging *staging, int from, int to, unsigned char ret[DIGEST_BYTES])
{
    bool shared = staging->shares && layer_share(from, to), hole = false;
    ssize_t n;
    off_t size = 0;
    while ((n = layer_read_piece(shared ? to : from, staging->piece)) > 0) {
        digest_stream_add(staging->stream, str_make(staging->piece, (size_t)n));
        int r = shared ? 0 : write_piece(to, staging->piece, (size_t)n, size);
        if (r < 0)
            return r;
        size += n;
        hole = is_zero(staging->piece, (size_t)n);
    }
    digest_stream_end(staging->stream, ret);
    staging->shares = shared;
    if (n == 0 && hole && !shared && ftruncate(to, size) < 0)
        return -errno;
    return (int)n;
}

static int damaged(const struct apply_step *step, struct err *err)
{
    return err_set(err, ERR_DAMAGED, STEP_APPLY,
                   "%s is not what the run left when it ended: nothing was applied", step->path);
}

/* --- owner, mode, times -------------------------------------------------------------------- */

/*
 * Of what it takes the place of; of what is new, for root, the owner of the tree. `now` is what it
 * has by itself.
 */
static void set_owner(const struct staging *staging, const struct apply_step *step, int fd,
                      const char *name, const struct stat *now)
{
    bool is_root = staging->crew->is_root;
    uid_t uid = !is_root                  ? now->st_uid
                : step->kind == STEP_SWAP ? step->uid
                                          : staging->crew->owner.st_uid;
    gid_t gid = step->kind == STEP_SWAP ? step->gid
                : is_root               ? staging->crew->owner.st_gid
                                        : now->st_gid;
    /* Who is not root may not have the group: then the file is in the user's own. */
    if (uid != now->st_uid || gid != now->st_gid)
        (void)!fchownat(fd, name, is_root ? uid : (uid_t)-1, gid,
                        AT_SYMLINK_NOFOLLOW | (name[0] ? 0 : AT_EMPTY_PATH));
}

static int stage_link(const struct staging *staging, struct apply_step *step, const char *name,
                      struct err *err)
{
    const struct applying *applying = staging->applying;
    char target[CHANGES_PATH_MAX + 1];
    struct stat made;
    unsigned char digest[DIGEST_BYTES];
    ssize_t len = worktree_link_after(&staging->worktree, step->path, target);
    if (len < 0 || digest_sha256(str_make(target, (size_t)len), digest, NULL) < 0 ||
        memcmp(digest, step->change->digest, DIGEST_BYTES) != 0)
        return damaged(step, err);
    if (symlinkat(target, applying->staging, name) < 0 ||
        fstatat(applying->staging, name, &made, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set_errno(err, errno, STEP_APPLY, "%s", step->path);
    set_owner(staging, step, applying->staging, name, &made);
    step->inode = made.st_ino;
    return 0;
}

static int stage_file(struct staging *staging, struct apply_step *step, const char *name,
                      struct err *err)
{
    unsigned char digest[DIGEST_BYTES];
    struct stat status, made;
    _cleanup_(cleanup_close) int from =
        worktree_open_after(&staging->worktree, step->change, &status);
    if (from < 0)
        return from == -ESTALE || from == -ENOENT
                   ? damaged(step, err)
                   : err_set_errno(err, -from, STEP_APPLY, "%s", step->path);
    _cleanup_(cleanup_close) int to = openat(
        staging->applying->staging, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, step->mode & 0777);
    int r = to < 0 || fstat(to, &made) < 0 ? -errno : 0;
    if (r == 0 && step->merged.ptr)
        r = write_all(to, step->merged.ptr, step->merged.len);
    else if (r == 0)
        r = copy(staging, from, to, digest);
    if (r < 0)
        return err_set_errno(err, -r, STEP_APPLY, "%s", step->path);
    if (!step->merged.ptr && memcmp(digest, step->change->digest, DIGEST_BYTES) != 0)
        return damaged(step, err);
    set_owner(staging, step, to, "", &made);
    step->inode = made.st_ino;
    const struct timespec times[2] = { status.st_atim, status.st_mtim };
    if (((made.st_mode & 07777) != step->mode && fchmod(to, step->mode) < 0) ||
        (!step->merged.ptr && futimens(to, times) < 0))
        return err_set_errno(err, errno, STEP_APPLY, "%s", step->path);
    return 0;
}

static int stage(struct staging *staging, size_t index)
{
    struct apply_step *step = &staging->applying->steps.items[index];
    char name[STAGED_NAME_SIZE];
    if (step->kind != STEP_PUT && step->kind != STEP_SWAP)
        return 0;
    staged_name(index, name);
    return step->change->kind == CHANGED_LINK ? stage_link(staging, step, name, &staging->err)
                                              : stage_file(staging, step, name, &staging->err);
}

/* --- threads ------------------------------------------------------------------------------- */

/* What is removed goes to the part's folder too. */
static int stage_part(struct staging *staging, size_t part)
{
    const struct apply_steps *steps = &staging->applying->steps;
    size_t end = (part + 1) * PART_STEPS;
    char folder[STAGED_NAME_SIZE];
    snprintf(folder, sizeof(folder), "part-%zu", part);
    if (part && mkdirat(staging->applying->staging, folder, 0700) < 0)
        return err_set_errno(&staging->err, errno, STEP_APPLY, "make a folder in %s",
                             staging->applying->root_path);
    int r = 0;
    for (size_t i = part * PART_STEPS; i < end && i < steps->count && r == 0; i++)
        r = stage(staging, i);
    return r;
}

static void *work(void *context)
{
    struct staging *staging = context;
    struct crew *crew = staging->crew;
    while (staging->result == 0 && !atomic_load(&crew->failed)) {
        size_t part = atomic_fetch_add(&crew->next, 1);
        if (part * PART_STEPS >= staging->applying->steps.count)
            break;
        staging->result = stage_part(staging, part);
    }
    if (staging->result < 0)
        atomic_store(&crew->failed, true);
    return NULL;
}

static bool prepare(struct staging *staging, struct crew *crew, const struct worktree *worktree)
{
    *staging = (struct staging){ .crew = crew,
                                 .applying = crew->applying,
                                 .worktree = *worktree,
                                 .place = { .fd = -1 },
                                 .shares = true,
                                 .piece = malloc(LAYER_PIECE_BYTES) };
    staging->worktree.place = &staging->place;
    staging->result =
        staging->piece
            ? digest_stream_new(DIGEST_SHA256, &staging->stream, &staging->err)
            : err_set(&staging->err, ERR_MEMORY, STEP_APPLY, "there is not enough memory");
    return staging->result == 0;
}

static void release(struct staging *staging)
{
    cleanup_close(&staging->place.fd);
    digest_stream_free(staging->stream);
    free(staging->piece);
}

/* A directory that its owner cannot enter is opened for a moment, which two would do to each other.
 */
static bool has_closed(const struct changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        if (changes->items[i].kind == CHANGED_DIRECTORY && (changes->items[i].mode & 0700) != 0700)
            return true;
    return false;
}

static size_t thread_count(const struct crew *crew, const struct worktree *worktree)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t parts = (crew->applying->steps.count + PART_STEPS - 1) / PART_STEPS;
    size_t most = processors < 1 ? 1 : processors > THREADS_MAX ? THREADS_MAX : (size_t)processors;
    if (parts > 1 && has_closed(&worktree->changes))
        return 1;
    return parts < most ? parts : most;
}

/* The caller is one of the threads; where no other can be had it does all. */
static int stage_steps(struct crew *crew, const struct worktree *worktree, struct err *err)
{
    struct staging *all = calloc(THREADS_MAX, sizeof(*all));
    pthread_t threads[THREADS_MAX];
    size_t wanted = thread_count(crew, worktree), ready = 0, started = 1;
    bool good = all != NULL;
    while (good && ready < wanted)
        good = prepare(&all[ready++], crew, worktree);
    while (good && started < wanted &&
           pthread_create(&threads[started], NULL, work, &all[started]) == 0)
        started++;
    if (good)
        work(&all[0]);
    for (size_t i = 1; i < started; i++)
        pthread_join(threads[i], NULL);
    int r = all ? 0 : err_set(err, ERR_MEMORY, STEP_APPLY, "there is not enough memory");
    for (size_t i = 0; i < ready; i++) {
        if (r == 0 && all[i].result < 0 && err)
            *err = all[i].err;
        r = r < 0 ? r : all[i].result;
        release(&all[i]);
    }
    free(all);
    return r;
}

/* All are written by now, so that the first that is synced takes the others' names along. */
static int sync_staged(const struct applying *applying)
{
    if (applying->steps.count > APPLY_SYNC_EACH_MAX)
        return syncfs(applying->staging);
    for (size_t i = 0; i < applying->steps.count; i++) {
        const struct apply_step *step = &applying->steps.items[i];
        char name[STAGED_NAME_SIZE];
        staged_name(i, name);
        if (!step->inode || step->change->kind != CHANGED_FILE)
            continue;
        _cleanup_(cleanup_close) int fd =
            openat(applying->staging, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) /* its mode allows nobody to write */
            return syncfs(applying->staging);
        if (fsync(fd) < 0)
            return -errno;
    }
    return fsync(applying->staging);
}

int stage_all(struct applying *applying, const struct worktree *worktree, struct err *err)
{
    struct crew crew = { .applying = applying, .is_root = geteuid() == 0 };
    if (fstat(applying->root, &crew.owner) < 0)
        return err_set_errno(err, errno, STEP_APPLY, "%s", applying->root_path);
    int r = stage_steps(&crew, worktree, err);
    return r == 0 && sync_staged(applying) < 0
               ? err_set_errno(err, errno, STEP_APPLY, "make the new contents durable")
               : r;
}
