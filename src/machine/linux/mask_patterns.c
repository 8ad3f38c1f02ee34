/*
 * mask_patterns: the walk for what a mount's include and exclude patterns hide.
 *
 * Theory of operation. What an exclude pattern matches is hidden as a whole and
 * not looked into. Without include patterns all else is shown. With them a file
 * is shown where it, or a directory above it, matches one; a directory that
 * matches none is looked into, and hidden as a whole where nothing in it is
 * shown, so that not even names are left of it. Nothing is cached: a mount with
 * patterns costs a walk of what its patterns leave.
 *
 * What always holds: no link is followed and no mount is entered
 * (beneath_open); what cannot be looked into is hidden. Past a bound nothing
 * can be promised, and it is an error.
 *
 * Not covered, as with secrets by name: what is first created on the host, or
 * renamed there, after the walk; but an excluded name in the root that is one
 * spelling stays hidden whenever it comes.
 */
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "machine/beneath.h"
#include "machine/mask.h"
#include "machine/path_patterns.h"

#define STEP "look for what a mount's patterns hide"

struct walk {
    int tree;
    const struct mask_patterns *patterns;
    struct arena *arena; /* the list's */
    struct mask_entry *entries;
    size_t count, capacity;
    size_t directories, entries_seen;
    int64_t deadline_ms;
    struct buf path; /* of what is looked at */
};

static int cannot_promise(const struct walk *walk, struct err *err, const char *why)
{
    return err_set(err, ERR_LIMIT, STEP,
                   "%s at ./%s: the mount's patterns cannot be kept; mount a smaller directory, or "
                   "exclude a directory as a whole",
                   why, walk->path.data);
}

static int out_of_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

static int add(struct walk *walk, struct str path, enum mask_action action, struct err *err)
{
    if (walk->count >= MASK_HIDDEN_MAX)
        return cannot_promise(walk, err, "there is too much to hide");
    if (walk->count == walk->capacity) {
        size_t larger = walk->capacity ? walk->capacity * 2 : 64;
        struct mask_entry *entries = reallocarray(walk->entries, larger, sizeof(*entries));
        if (!entries)
            return out_of_memory(err);
        walk->entries = entries;
        walk->capacity = larger;
    }
    const char *copy = arena_copy(walk->arena, path);
    if (!copy)
        return out_of_memory(err);
    walk->entries[walk->count++] = (struct mask_entry){ .path = copy, .action = action };
    return 0;
}

/* --- the walk ------------------------------------------------------------------------------ */

static int walk_directory(struct walk *walk, unsigned depth, bool included, bool *ret_shown,
                          struct err *err);

static bool is_directory(int folder, const struct dirent *entry)
{
    struct stat status;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(status.st_mode);
}

static bool is_included(const struct walk *walk, bool above, bool directory)
{
    enum pattern_verdict verdict =
        path_patterns_ask(walk->patterns->include, buf_str(&walk->path), directory);
    return verdict == PATTERN_SILENT ? above : verdict == PATTERN_MATCHED;
}

/* What the walk's path is: hidden, shown, or (a directory) shown for what is in it. */
static int take_entry(struct walk *walk, unsigned depth, bool above, bool directory,
                      bool *ret_shown, struct err *err)
{
    struct str path = buf_str(&walk->path);
    size_t before = walk->count;
    bool included = is_included(walk, above, directory), shown = included;
    int r = 0;
    if (path_patterns_ask(walk->patterns->exclude, path, directory) == PATTERN_MATCHED)
        return add(walk, path, MASK_HIDE, err);
    if (directory)
        r = walk_directory(walk, depth + 1, included, &shown, err);
    if (r < 0)
        return r;
    if (shown) {
        *ret_shown = true;
        return 0;
    }
    walk->count = before; /* it goes as a whole */
    return add(walk, path, MASK_HIDE, err);
}

static int read_entries(struct walk *walk, DIR *folder, unsigned depth, bool included,
                        bool *ret_shown, struct err *err)
{
    size_t len = walk->path.len;
    int r = 0;
    while (r == 0) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (!entry)
            return errno ? err_set_errno(err, errno, STEP, "./%s", walk->path.data) : 0;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (++walk->entries_seen > MASK_ENTRIES_MAX)
            return cannot_promise(walk, err, "there are too many files");
        buf_addf(&walk->path, "%s%s", len ? "/" : "", entry->d_name);
        r = walk->path.error ? cannot_promise(walk, err, "a path is too long")
                             : take_entry(walk, depth, included, is_directory(dirfd(folder), entry),
                                          ret_shown, err);
        buf_truncate(&walk->path, len);
    }
    return r;
}

/* What was included is shown whatever is in it; what cannot be opened is not. */
static int walk_directory(struct walk *walk, unsigned depth, bool included, bool *ret_shown,
                          struct err *err)
{
    const char *path = walk->path.len ? walk->path.data : ".";
    bool shown = included;
    *ret_shown = false;
    if (depth > MASK_DEPTH_MAX)
        return cannot_promise(walk, err, "it lies too deep");
    if (++walk->directories > MASK_DIRECTORIES_MAX)
        return cannot_promise(walk, err, "there are too many directories");
    if (clock_passed_ms() > walk->deadline_ms)
        return cannot_promise(walk, err, "the walk took too long");
    int fd = beneath_open(walk->tree, path, O_RDONLY | O_DIRECTORY);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder) {
        int error = fd < 0 ? -fd : errno;
        if (fd >= 0)
            close(fd);
        return depth && error != ENOMEM && error != EMFILE && error != ENFILE
                   ? 0
                   : err_set_errno(err, error, STEP, "./%s", path);
    }
    int r = read_entries(walk, folder, depth, included, &shown, err);
    closedir(folder);
    if (r == 0)
        *ret_shown = shown;
    return r;
}

/* Excluded names of the root that are not there will not be seen to come. */
static int add_ahead(struct walk *walk, struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && walk->patterns->exclude && walk->patterns->exclude[i]; i++) {
        struct str name = path_pattern_root_name(walk->patterns->exclude[i]);
        const char *copy = name.len ? arena_copy(walk->arena, name) : NULL;
        struct stat status;
        if (name.len && !copy)
            return out_of_memory(err);
        if (name.len && fstatat(walk->tree, copy, &status, AT_SYMLINK_NOFOLLOW) < 0 &&
            errno == ENOENT &&
            path_patterns_ask(walk->patterns->exclude, name, true) == PATTERN_MATCHED)
            r = add(walk, name, MASK_AHEAD, err);
    }
    return r;
}

int mask_exclude(int tree_fd, const struct mask_patterns *patterns, struct mask_list *list,
                 struct err *err)
{
    struct walk walk = { .tree = tree_fd,
                         .patterns = patterns,
                         .arena = &list->arena,
                         .deadline_ms = clock_passed_ms() + MASK_TIME_MAX_MS,
                         .path = BUF_INIT_LIMIT(PATH_MAX) };
    bool shown;
    int r = walk_directory(&walk, 0, !patterns->include, &shown, err);
    if (r == 0)
        r = add_ahead(&walk, err);
    struct mask_entry *all =
        r < 0 ? NULL : arena_array(&list->arena, struct mask_entry, list->count + walk.count + 1);
    if (r == 0 && !all)
        r = out_of_memory(err);
    if (r == 0) {
        if (list->count)
            memcpy(all, list->entries, list->count * sizeof(*all));
        if (walk.count)
            memcpy(all + list->count, walk.entries, walk.count * sizeof(*all));
        list->entries = all;
        list->count += walk.count;
        mask_list_finish(list);
    }
    buf_release(&walk.path);
    free(walk.entries);
    return r;
}
