/*
 * limits_disk: what the folders of a run hold on disk.
 *
 * Theory of operation. Two figures bound one another. The walk adds up the
 * blocks of everything below the watched folders; it is exact but for files
 * that were unlinked and are still open or mapped. Those are in what the file
 * systems have filled by since the start, in which the writes of everybody
 * else stand too, and in what the run's processes wrote, in which whatever
 * they deleted again stands too: the smaller of these two is what they can
 * hold beyond the walk. So a run is charged max(walk, min(filled, written)).
 *
 * A walk costs a microsecond or so for each file that the run made. It is made
 * where the file systems have filled by a quarter of the headroom that the
 * last one left, or where the last one is old, and in slices, so that the
 * supervisor's loop is never held up; a slice's end is a place in a folder to
 * which the next one returns. One descriptor is open at a time: the way back
 * up goes by `..`, and each folder that is come back to is compared with what
 * it was.
 *
 * Threats. The tree is the agent's, and changes while it is walked. A folder
 * that is not what it was ends the walk, and the next starts anew; after
 * RESTARTS_MAX of these, and for a tree deeper than DEPTH_MAX or with more
 * than ENTRIES_MAX entries, what the file systems have filled by is charged,
 * and more than the limit in any case: a meter is not outrun by blinding it.
 * Links are not followed; other file systems are not entered. A file's blocks are
 * divided among its names, which all lie in the tree. A folder that its mode
 * closes to us hides what is in it from the walk, not from the other figure.
 *
 * Limits. Space that is set aside without writing (fallocate) in a file that
 * is then unlinked shows in `filled` alone. The sandbox refuses that call.
 */
#include <dirent.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "machine/linux/limits_internal.h"

#define DEPTH_MAX     1024
#define ENTRIES_MAX   2000000
#define RESTARTS_MAX  16
#define SLICE_NS      INT64_C(4000000)
#define SLICE_LOOK    64 /* entries between two looks at the clock */
#define AGE_NS        INT64_C(10000000000)
#define INODE_BYTES   256 /* what an entry costs beside its blocks */
#define BLOCK_BYTES   512
#define HEADROOM_PART 4

struct frame {
    dev_t device;
    ino_t inode;
    long position; /* where to go on in it */
};

struct watched {
    int folder;
    dev_t device;
    bool tmpfs;
    int64_t filled_start; /* of its file system */
};

struct disk {
    struct watched watched[LIMITS_WATCH_MAX];
    size_t count;
    struct frame *frames; /* of the walk that is under way; DEPTH_MAX of them */
    size_t depth;
    DIR *folder; /* of the uppermost frame; NULL: no walk is under way */
    size_t at;   /* which watched folder */
    int64_t sum; /* so far */
    int64_t entries;
    int restarts;
    bool blind;
    int64_t walked;        /* sum of the last whole walk */
    int64_t walked_filled; /* `filled` when it began */
    int64_t walked_ns, began_ns, began_filled;
};

/* --- life ---------------------------------------------------------------------------------- */

int disk_new(struct disk **ret, struct err *err)
{
    struct disk *disk = calloc(1, sizeof(*disk));
    if (!disk)
        return err_set(err, ERR_MEMORY, LIMITS_STEP, "no memory for a meter");
    *ret = disk;
    return 0;
}

void disk_free(struct disk *disk)
{
    if (!disk)
        return;
    for (size_t i = 0; i < disk->count; i++)
        close(disk->watched[i].folder);
    if (disk->folder)
        closedir(disk->folder);
    free(disk->frames);
    free(disk);
}

static int64_t filled_now(int folder)
{
    struct statfs system;
    if (fstatfs(folder, &system) < 0)
        return 0;
    return (int64_t)(system.f_blocks - system.f_bfree) * (int64_t)system.f_bsize;
}

int disk_watch(struct disk *disk, int folder, struct err *err)
{
    struct statfs system;
    struct stat status;
    if (disk->count == LIMITS_WATCH_MAX)
        return err_set(err, ERR_LIMIT, LIMITS_STEP, "a run fills at most %d folders",
                       LIMITS_WATCH_MAX);
    if (fstatfs(folder, &system) < 0 || fstat(folder, &status) < 0)
        return err_set_errno(err, errno, LIMITS_STEP, "a folder of the run");
    int copy = fcntl(folder, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return err_set_errno(err, errno, LIMITS_STEP, "a folder of the run");
    disk->watched[disk->count++] = (struct watched){ .folder = copy,
                                                     .device = status.st_dev,
                                                     .tmpfs = system.f_type == TMPFS_MAGIC,
                                                     .filled_start = filled_now(folder) };
    return 0;
}

bool disk_is_watched(const struct disk *disk)
{
    return disk->count > 0;
}

/* By how much the tmpfs, or the other file systems, have filled since the start; each once. */
static int64_t filled_since_start(const struct disk *disk, bool tmpfs)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < disk->count; i++) {
        bool wanted = disk->watched[i].tmpfs == tmpfs;
        for (size_t j = 0; j < i; j++)
            wanted = wanted && disk->watched[j].device != disk->watched[i].device;
        if (wanted)
            bytes += filled_now(disk->watched[i].folder) - disk->watched[i].filled_start;
    }
    return bytes > 0 ? bytes : 0;
}

/* A tmpfs is the run's own, so that what fills it is known without a walk. */
int64_t disk_tmpfs_bytes(const struct disk *disk)
{
    return filled_since_start(disk, true);
}

int64_t disk_headroom(const struct disk *disk, int64_t limit)
{
    int64_t grown = filled_since_start(disk, false) - disk->walked_filled;
    int64_t headroom = limit - disk_tmpfs_bytes(disk) - disk->walked - (grown > 0 ? grown : 0);
    return headroom < 0 || disk->folder ? 0 : headroom;
}

/* --- the walk ------------------------------------------------------------------------------ */

static void end_walk(struct disk *disk)
{
    if (disk->folder)
        closedir(disk->folder);
    disk->folder = NULL;
    disk->depth = 0;
}

/* Begins the next watched folder that is not a tmpfs; false where there is none. */
static bool begin_folder(struct disk *disk)
{
    while (disk->at < disk->count && disk->watched[disk->at].tmpfs)
        disk->at++;
    if (disk->at == disk->count)
        return false;
    struct watched *watched = &disk->watched[disk->at++];
    struct stat status;
    int copy = openat(watched->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    disk->folder = copy >= 0 ? fdopendir(copy) : NULL;
    if (!disk->folder || fstat(dirfd(disk->folder), &status) < 0) {
        if (!disk->folder)
            cleanup_close(&copy);
        disk->blind = true;
        return false;
    }
    disk->frames[0] = (struct frame){ status.st_dev, status.st_ino, 0 };
    disk->depth = 1;
    return true;
}

static bool begin_walk(struct disk *disk, int64_t filled)
{
    if (!disk->frames)
        disk->frames = malloc(DEPTH_MAX * sizeof(*disk->frames));
    disk->sum = disk->entries = 0;
    disk->at = 0;
    disk->blind = !disk->frames;
    disk->began_ns = limits_now_ns();
    disk->began_filled = filled;
    return disk->frames && begin_folder(disk);
}

static void go_down(struct disk *disk, const char *name, const struct stat *status)
{
    struct stat opened;
    int fd = openat(dirfd(disk->folder), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return; /* gone since, or closed by its mode: its own blocks are counted */
    if (disk->depth == DEPTH_MAX || fstat(fd, &opened) < 0 || opened.st_dev != status->st_dev) {
        disk->blind = disk->blind || disk->depth == DEPTH_MAX;
        close(fd);
        return;
    }
    DIR *folder = fdopendir(fd);
    if (!folder) {
        disk->blind = true;
        close(fd);
        return;
    }
    disk->frames[disk->depth - 1].position = telldir(disk->folder);
    closedir(disk->folder);
    disk->folder = folder;
    disk->frames[disk->depth++] = (struct frame){ opened.st_dev, opened.st_ino, 0 };
}

/* False where the folder above is not the one that was left. */
static bool go_up(struct disk *disk)
{
    struct stat status;
    const struct frame *frame = &disk->frames[disk->depth - 2];
    int fd = openat(dirfd(disk->folder), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool same = fd >= 0 && fstat(fd, &status) == 0 && status.st_dev == frame->device &&
                status.st_ino == frame->inode;
    DIR *folder = same ? fdopendir(fd) : NULL;
    if (!folder) {
        cleanup_close(&fd);
        return false;
    }
    closedir(disk->folder);
    disk->folder = folder;
    disk->depth--;
    seekdir(folder, frame->position);
    return true;
}

/* One entry, or the end of a folder. False: the walk is to start anew. */
static bool step(struct disk *disk)
{
    struct stat status;
    struct dirent *entry = readdir(disk->folder);
    if (!entry && disk->depth > 1)
        return go_up(disk);
    if (!entry) {
        end_walk(disk);
        begin_folder(disk);
        return true;
    }
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
        fstatat(dirfd(disk->folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return true;
    bool shared = S_ISREG(status.st_mode) && status.st_nlink > 1;
    disk->sum += status.st_blocks * BLOCK_BYTES / (shared ? (int64_t)status.st_nlink : 1);
    disk->sum += INODE_BYTES;
    if (++disk->entries > ENTRIES_MAX)
        disk->blind = true;
    if (S_ISDIR(status.st_mode) && !disk->blind)
        go_down(disk, entry->d_name, &status);
    return true;
}

/* Walks on until the end, or the slice's; true at the end of the walk. */
static bool walk_on(struct disk *disk, bool whole)
{
    int64_t end = limits_now_ns() + SLICE_NS;
    for (int steps = 1; disk->folder && !disk->blind; steps++) {
        if (!step(disk)) {
            end_walk(disk);
            disk->blind = ++disk->restarts > RESTARTS_MAX;
            if (disk->blind || !begin_walk(disk, disk->began_filled))
                break;
        }
        if (!whole && steps % SLICE_LOOK == 0 && limits_now_ns() >= end)
            return false;
    }
    end_walk(disk);
    disk->walked = disk->sum;
    disk->walked_filled = disk->began_filled;
    disk->walked_ns = disk->began_ns;
    disk->restarts = 0;
    return true;
}

int64_t disk_read(struct disk *disk, int64_t limit, int64_t written, bool whole)
{
    int64_t tmpfs = disk_tmpfs_bytes(disk), filled = filled_since_start(disk, false);
    int64_t headroom = limit < 0 ? INT64_MAX : limit - tmpfs - disk->walked;
    int64_t grown = filled - disk->walked_filled;
    if (whole)
        end_walk(disk);
    bool due =
        whole || grown > headroom / HEADROOM_PART || limits_now_ns() - disk->walked_ns > AGE_NS;
    if (disk->folder || (due && begin_walk(disk, filled)))
        walk_on(disk, whole);
    int64_t hidden = filled < written ? filled : written;
    int64_t bytes = disk->walked > hidden ? disk->walked : hidden;
    if (disk->blind)
        bytes = filled > limit ? filled : limit + 1;
    return bytes + tmpfs;
}
