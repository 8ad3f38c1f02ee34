/*
 * written: see the header.
 *
 * Theory of operation. A change of a file sets its ctime, and one of a directory's names its mtime
 * and ctime, to the kernel's clock; nobody can set a ctime. So one walk at the end finds what was
 * touched since the command was let go, and nothing is read or watched before. On a file system of
 * another machine the times are that machine's clock's.
 *
 * The walk opens each directory in the one above, follows no link and enters no mount. Its limits
 * are the header's; where one ends it, the report says that it is in part.
 */
#include "machine/written.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "machine/layer.h"

#define STEP          "read what was written"
#define NS_PER_SECOND INT64_C(1000000000)
#define PATH_MAX_HERE 4095

#define WRITTEN_TEXT(name, text) [name] = text,
const char *const written_names[WRITTEN_KIND_COUNT] = { WRITTEN_TABLE(WRITTEN_TEXT) };
#undef WRITTEN_TEXT

struct reading {
    struct written *written;
    struct buf path;
    dev_t device;
    int64_t since_ns, until_ms;
    size_t entries;
    bool no_memory;
};

int64_t written_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static void note(struct reading *reading, enum written_kind kind)
{
    struct written *written = reading->written;
    written->counts[kind]++;
    if (written->path_count == WRITTEN_PATHS_MAX)
        return;
    struct str path = reading->path.len ? buf_str(&reading->path) : STR(".");
    char *copy = arena_copy(&written->arena, path);
    if (copy)
        written->paths[written->path_count++] = (struct written_path){ copy, kind };
    else
        reading->no_memory = true;
}

static bool is_since(const struct reading *reading, struct statx_timestamp time)
{
    return time.tv_sec * NS_PER_SECOND + time.tv_nsec >= reading->since_ns;
}

static void read_directory(struct reading *reading, int directory, const struct statx *status,
                           unsigned depth);

static void read_inner(struct reading *reading, int directory, const char *name,
                       const struct statx *status, unsigned depth)
{
    if (makedev(status->stx_dev_major, status->stx_dev_minor) != reading->device)
        return;
    _cleanup_(cleanup_close) int inner =
        openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inner < 0 || depth == WRITTEN_DEPTH_MAX)
        reading->written->partial = true;
    else
        read_directory(reading, inner, status, depth + 1);
}

/* Whether it is new, or got its name since. */
static bool read_name(struct reading *reading, int directory, const char *name, unsigned depth)
{
    struct statx status;
    if (statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
              STATX_BASIC_STATS | STATX_BTIME, &status) < 0)
        return false; /* gone again */
    bool changed = is_since(reading, status.stx_ctime);
    bool born = (status.stx_mask & STATX_BTIME) && is_since(reading, status.stx_btime);
    bool directory_itself = S_ISDIR(status.stx_mode);
    if (born)
        note(reading, WRITTEN_ADDED);
    else if (changed && !(directory_itself && is_since(reading, status.stx_mtime)))
        note(reading, WRITTEN_CHANGED);
    if (directory_itself)
        read_inner(reading, directory, name, &status, depth);
    return changed;
}

static bool is_over(struct reading *reading)
{
    bool over = reading->entries++ >= WRITTEN_ENTRIES_MAX ||
                (reading->entries % 1024 == 0 && clock_now_ms() > reading->until_ms);
    reading->written->partial = reading->written->partial || over;
    return over;
}

static void read_directory(struct reading *reading, int directory, const struct statx *status,
                           unsigned depth)
{
    struct names names = { 0 };
    bool any = false;
    size_t before = reading->path.len;
    if (names_read(directory, &names) < 0)
        reading->written->partial = true;
    names_sort(&names);
    for (size_t i = 0; i < names.count && !is_over(reading); i++) {
        if (before)
            buf_add_char(&reading->path, '/');
        if (buf_add_text(&reading->path, names.items[i]) == 0)
            any = read_name(reading, directory, names.items[i], depth) || any;
        else
            reading->written->partial = true;
        buf_truncate(&reading->path, before);
    }
    names_release(&names);
    /* Names came or went, and none of those that are there did. */
    if (!any && is_since(reading, status->stx_mtime) &&
        !((status->stx_mask & STATX_BTIME) && is_since(reading, status->stx_btime)))
        note(reading, WRITTEN_REMOVED);
}

int written_read(const char *directory, int64_t since_ns, struct written *ret, struct err *err)
{
    struct written written = { 0 };
    struct reading reading = { .written = &written,
                               .path = BUF_INIT_LIMIT(PATH_MAX_HERE + 1),
                               .since_ns = since_ns,
                               .until_ms = clock_now_ms() + WRITTEN_MS_MAX };
    struct statx status;
    _cleanup_(cleanup_close) int root = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || statx(root, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &status) < 0)
        return err_set_errno(err, errno, STEP, "%s", directory);
    reading.device = makedev(status.stx_dev_major, status.stx_dev_minor);
    written.paths = arena_array(&written.arena, struct written_path, WRITTEN_PATHS_MAX);
    if (written.paths)
        read_directory(&reading, root, &status, 0);
    buf_release(&reading.path);
    if (!written.paths || reading.no_memory) {
        written_release(&written);
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    }
    *ret = written;
    return 0;
}

void written_release(struct written *written)
{
    arena_release(&written->arena);
    *written = (struct written){ 0 };
}

int written_write(const struct written *written, const char *host_path, struct buf *ret)
{
    buf_add_text(ret, "{\"hostPath\":");
    json_add_string(ret, str_from(host_path));
    buf_addf(ret, ",\"added\":%zu,\"changed\":%zu,\"removedFrom\":%zu,\"complete\":%s,\"paths\":[",
             written->counts[WRITTEN_ADDED], written->counts[WRITTEN_CHANGED],
             written->counts[WRITTEN_REMOVED], written->partial ? "false" : "true");
    for (size_t i = 0; i < written->path_count; i++) {
        buf_addf(ret, "%s{\"change\":\"%s\",\"path\":", i ? "," : "",
                 written_names[written->paths[i].kind]);
        json_add_string(ret, str_from(written->paths[i].path));
        buf_add_char(ret, '}');
    }
    return buf_add_text(ret, "]}");
}
