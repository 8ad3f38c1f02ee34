/*
 * storm_follow: inotify on the file and on its folder.
 *
 * Theory of operation. The watches say only that something happened; what
 * happened is found by looking: fstat of the open file against what was read,
 * and the path's identity against the open file's. So no order of events can
 * lead astray. A rotation that nobody saw (moved away and made anew between
 * two looks) is seen at the next look all the same. Where there are no watches
 * left, the caller looks from time to time.
 */
#include "doctor/storm_follow.h"

#include <libgen.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define STEP          "follow a log"
#define NEWS_BYTES    ((size_t)16 << 10)
#define TAIL_BYTES    64 /* before the place that was read up to */
#define FILE_EVENTS   (IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF)
#define FOLDER_EVENTS (IN_CREATE | IN_MOVED_TO)

struct storm_follow {
    char path[PATH_MAX];
    char folder[PATH_MAX];
    int fd;
    int notify;
    int watch;
    off_t done;
    char tail[TAIL_BYTES]; /* what stood before `done` */
    size_t tail_len;
    dev_t device;
    ino_t inode;
    bool begins;
};

static void watch_file(struct storm_follow *follow)
{
    if (follow->notify < 0)
        return;
    if (follow->watch >= 0)
        inotify_rm_watch(follow->notify, follow->watch);
    follow->watch = inotify_add_watch(follow->notify, follow->path, FILE_EVENTS);
}

static int open_file(struct storm_follow *follow)
{
    struct stat st;
    int fd = open(follow->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    if (follow->fd >= 0)
        close(follow->fd);
    follow->fd = fd;
    follow->done = 0;
    follow->tail_len = 0;
    follow->device = st.st_dev;
    follow->inode = st.st_ino;
    follow->begins = true;
    watch_file(follow);
    return 0;
}

int storm_follow_open(const char *path, struct storm_follow **ret, struct err *err)
{
    struct storm_follow *follow = calloc(1, sizeof(*follow));
    if (!follow)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    follow->fd = follow->watch = -1;
    follow->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int r = (size_t)snprintf(follow->path, sizeof(follow->path), "%s", path) < sizeof(follow->path)
                ? open_file(follow)
                : -ENAMETOOLONG;
    if (r < 0) {
        storm_follow_close(follow);
        return err_set_errno(err, -r, STEP, "%s", path);
    }
    memcpy(follow->folder, follow->path, sizeof(follow->folder));
    if (follow->notify >= 0 &&
        inotify_add_watch(follow->notify, dirname(follow->folder), FOLDER_EVENTS) < 0) {
        close(follow->notify);
        follow->notify = -1;
    }
    *ret = follow;
    return 0;
}

void storm_follow_close(struct storm_follow *follow)
{
    if (!follow)
        return;
    if (follow->fd >= 0)
        close(follow->fd);
    if (follow->notify >= 0)
        close(follow->notify);
    free(follow);
}

/* Whether another file stands at the path by now. */
static bool is_replaced(const struct storm_follow *follow)
{
    struct stat st;
    return stat(follow->path, &st) == 0 &&
           (st.st_dev != follow->device || st.st_ino != follow->inode);
}

/* Whether the file no longer is what was read of it. */
static bool is_cut(const struct storm_follow *follow)
{
    struct stat st;
    char now[TAIL_BYTES];
    if (fstat(follow->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    ssize_t len = pread(follow->fd, now, follow->tail_len, follow->done - (off_t)follow->tail_len);
    return st.st_size < follow->done || len != (ssize_t)follow->tail_len ||
           memcmp(now, follow->tail, follow->tail_len) != 0;
}

static void keep_tail(struct storm_follow *follow, const char *bytes, size_t len)
{
    size_t kept = len < TAIL_BYTES ? len : TAIL_BYTES;
    follow->done += (off_t)len;
    if (!kept)
        return;
    memcpy(follow->tail, bytes + len - kept, kept);
    follow->tail_len = kept;
}

int storm_follow_read(struct storm_follow *follow, char *bytes, size_t size, size_t *ret_len,
                      bool *ret_begins, struct err *err)
{
    for (;;) {
        if (is_cut(follow) && lseek(follow->fd, 0, SEEK_SET) == 0) {
            follow->done = 0;
            follow->tail_len = 0;
            follow->begins = true;
        }
        ssize_t len = read(follow->fd, bytes, size);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0)
            return err_set_errno(err, errno, STEP, "%s", follow->path);
        if (len == 0 && is_replaced(follow) && open_file(follow) == 0)
            continue;
        keep_tail(follow, bytes, (size_t)len);
        *ret_len = (size_t)len;
        *ret_begins = follow->begins && len > 0;
        follow->begins &= len == 0;
        return 0;
    }
}

int storm_follow_fd(const struct storm_follow *follow)
{
    return follow->notify;
}

void storm_follow_drain(struct storm_follow *follow)
{
    char news[NEWS_BYTES];
    while (read(follow->notify, news, sizeof(news)) > 0) {
    }
}
