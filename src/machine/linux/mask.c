/*
 * mask: the walk for files that are secrets by name.
 *
 * Theory of operation. Directories wait in a list, as paths below the tree. For each, one statx
 * asks whether the last walk's record of it still holds; else it is opened beneath the tree, read,
 * and recorded. A record holds while the directory's device, inode, size and both times are the
 * same: whatever adds, removes or renames a name in it changes them. A candidate's own stamp is
 * compared too, since writing to it changes no directory.
 *
 * What always holds:
 * 1. No link is followed and no mount is entered (beneath_open). A cached record is found by the
 *    directory's identity and not by its path, so that a path that leads elsewhere meanwhile finds
 *    the record of what it leads to, or none.
 * 2. A directory that is not looked at is hidden as a whole and counted: one that may not be read,
 *    one on another mount (whose place an overlay shows without it), one that is no directory any
 *    more when it is its turn.
 * 3. A record is kept only when the directory's times are older than the clock's step: a change in
 *    the same step as the walk would leave them as they are.
 *
 * Who attacks it: whoever renames in the tree while it is walked. That can make the result miss
 * what is put into place behind the walk, as it could a moment after it; it cannot make the walk
 * read outside the tree. Limits: the header's names. Files are opened only where they are
 * candidates, and never for longer than SECRET_CONTENT_BYTES_MAX takes.
 */
#include "machine/mask.h"

#include <dirent.h>
#include <limits.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>

#include "base/file.h"
#include "machine/beneath.h"
#include "machine/git_link.h"
#include "machine/mask_cache.h"
#include "machine/secret_names.h"

#define STEP         "look for secrets by name"
#define DIRENT_BYTES ((size_t)64 << 10)
#define NS           INT64_C(1000000000)
/* A file's time is the clock's at its last step; a coarse file system keeps it in seconds. */
#define STEP_NS        (20 * NS / 1000)
#define COARSE_STEP_NS (2 * NS)
#define FINE_NS        1000000

/* Where a directory lies, as far as its names depend on it: 0, a parent's number, or this. */
#define CONTEXT_GIT UINT16_MAX

#define KIND_UNREADABLE "unreadable-directory"
#define KIND_MOUNT      "other-mount"
#define KIND_CHANGED    "changed-meanwhile"

struct pending {
    const char *path; /* "" is the tree itself */
    uint16_t context;
    uint16_t depth;
};

struct walk {
    int tree;
    struct mask_list *list;
    struct mask_cache cache;
    struct buf next;   /* the cache's next text */
    bool changed;      /* from the last */
    bool keeps;        /* the file system's times can be relied on */
    uint64_t mount_id; /* of the tree */
    int64_t started_ms;
    int64_t now_ns; /* by the wall clock, when the walk began */
    struct pending *pending;
    size_t pending_count, pending_capacity;
    size_t entry_capacity;
    size_t directories, entries_seen;
    struct buf text; /* a candidate's */
    char *dirents;
};

/* --- the list ------------------------------------------------------------------------------ */

static int out_of_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "the tree is too large for it");
}

static int cannot_promise(const char *path, struct err *err, const char *why)
{
    return err_set(err, ERR_LIMIT, STEP,
                   "%s at ./%s: it cannot be promised that no secret is shown; mount a smaller "
                   "directory, or one whose secrets are not prohibited",
                   why, path);
}

/* Doubles an array in the arena when it is full. */
static void *grown(struct arena *arena, void *array, size_t size, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return array;
    size_t larger = *capacity ? *capacity * 2 : 64;
    void *copy = arena_alloc_array(arena, size, larger);
    if (!copy)
        return NULL;
    if (count)
        memcpy(copy, array, size * count);
    *capacity = larger;
    return copy;
}

static int add_entry(struct walk *walk, const char *path, const char *kind, enum mask_action action,
                     struct err *err)
{
    struct mask_list *list = walk->list;
    if (list->count >= MASK_HIDDEN_MAX)
        return cannot_promise(path, err, "there are too many secrets by name");
    void *entries = grown(&list->arena, list->entries, sizeof(*list->entries), list->count,
                          &walk->entry_capacity);
    if (!entries)
        return out_of_memory(err);
    list->entries = entries;
    list->entries[list->count++] =
        (struct mask_entry){ .path = path, .kind = kind, .action = action };
    return 0;
}

/* "folder/name" in the arena; NULL without memory. */
static const char *join(struct walk *walk, const char *folder, struct str name)
{
    size_t len = strlen(folder);
    char *path = arena_alloc(&walk->list->arena, len + 1 + name.len + 1);
    if (!path)
        return NULL;
    if (len) {
        memcpy(path, folder, len);
        path[len++] = '/';
    }
    memcpy(path + len, name.ptr, name.len);
    return path;
}

static int hide(struct walk *walk, const char *folder, struct str name, const char *kind,
                struct err *err)
{
    const char *path = join(walk, folder, name);
    return path ? add_entry(walk, path, kind, MASK_HIDE, err) : out_of_memory(err);
}

static uint16_t context_of(uint16_t parent, struct str name)
{
    if (parent == CONTEXT_GIT || str_equal(name, STR(".git")))
        return CONTEXT_GIT;
    return (uint16_t)secret_parent(name);
}

static int add_pending(struct walk *walk, const struct pending *folder, struct str name,
                       struct err *err)
{
    const char *path = join(walk, folder->path, name);
    void *pending = grown(&walk->list->arena, walk->pending, sizeof(*walk->pending),
                          walk->pending_count, &walk->pending_capacity);
    if (!path || !pending)
        return out_of_memory(err);
    if (folder->depth >= MASK_DEPTH_MAX || strlen(path) >= PATH_MAX)
        return cannot_promise(path, err, "it lies too deep");
    if (++walk->directories > MASK_DIRECTORIES_MAX)
        return cannot_promise(path, err, "there are too many directories");
    walk->pending = pending;
    walk->pending[walk->pending_count++] =
        (struct pending){ .path = path,
                          .context = context_of(folder->context, name),
                          .depth = (uint16_t)(folder->depth + 1) };
    return 0;
}

/* --- stamps -------------------------------------------------------------------------------- */

static int64_t nanoseconds(struct statx_timestamp time)
{
    return time.tv_sec * NS + time.tv_nsec;
}

static int look(int fd, const char *path, int flags, struct statx *ret)
{
    if (statx(fd, path, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
              STATX_BASIC_STATS | STATX_MNT_ID, ret) < 0)
        return -errno;
    return 0;
}

static struct mask_stamp stamp_of(const struct statx *status)
{
    return (struct mask_stamp){
        .device = makedev(status->stx_dev_major, status->stx_dev_minor),
        .inode = status->stx_ino,
        .size = (int64_t)status->stx_size,
        .changed_ns = nanoseconds(status->stx_ctime),
        .modified_ns = nanoseconds(status->stx_mtime),
    };
}

/* Whether a later change is sure to give other times (invariant 3). */
static bool is_settled(const struct walk *walk, const struct mask_stamp *stamp)
{
    int64_t step = stamp->changed_ns % FINE_NS ? STEP_NS : COARSE_STEP_NS;
    return walk->keeps && stamp->changed_ns + step < walk->now_ns;
}

/* --- candidates ---------------------------------------------------------------------------- */

/* Reads a candidate; what is no plain file, too large or not readable is a secret. */
static int read_candidate(struct walk *walk, int folder, const char *name, struct mask_item *item,
                          struct err *err)
{
    struct statx status;
    item->secret = true;
    item->stamp = (struct mask_stamp){ 0 };
    _cleanup_(cleanup_close) int fd = beneath_open(folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || look(fd, "", AT_EMPTY_PATH, &status) < 0 || !S_ISREG(status.stx_mode))
        return 0;
    struct mask_stamp stamp = stamp_of(&status);
    buf_reset(&walk->text);
    int r = file_read_fd(fd, name, &walk->text, err);
    if (r == -ENOMEM)
        return r;
    if (r == 0)
        item->secret = secret_content_tells(secret_names[item->row].content, buf_str(&walk->text));
    if (is_settled(walk, &stamp))
        item->stamp = stamp;
    return 0;
}

/* A candidate of the last walk: its contents need reading only where its stamp changed. */
static int check_candidate(struct walk *walk, const struct pending *folder, struct mask_item *item,
                           struct err *err)
{
    struct statx status;
    const char *path = join(walk, folder->path, item->name);
    if (!path)
        return out_of_memory(err);
    if (item->stamp.inode && look(walk->tree, path, 0, &status) == 0) {
        struct mask_stamp stamp = stamp_of(&status);
        if (memcmp(&stamp, &item->stamp, sizeof(stamp)) == 0)
            return 0;
    }
    walk->changed = true;
    return read_candidate(walk, walk->tree, path, item, err);
}

/* --- one directory ------------------------------------------------------------------------- */

/* What of git's own storage is passed over: no name in it is a person's. */
static bool is_git_storage(uint16_t context, struct str name)
{
    return context == CONTEXT_GIT && (str_equal(name, STR("objects")) ||
                                      str_equal(name, STR("refs")) || str_equal(name, STR("logs")));
}

static bool is_directory(int fd, const struct dirent64 *entry)
{
    struct statx status;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return look(fd, entry->d_name, 0, &status) == 0 && S_ISDIR(status.stx_mode);
}

/* Says what an entry is to the walk; false where it is nothing to it. */
static bool classify(int fd, const struct pending *folder, const struct dirent64 *entry,
                     struct mask_item *ret)
{
    struct str name = str_from(entry->d_name);
    bool directory = is_directory(fd, entry);
    unsigned parent = folder->context == CONTEXT_GIT ? 0 : folder->context;
    const struct secret_name *row = secret_name_find(name, parent, directory);
    *ret = (struct mask_item){ .name = name, .row = row ? (uint16_t)(row - secret_names) : 0 };
    if (row)
        ret->type = row->content == SECRET_ALWAYS ? MASK_ITEM_SECRET : MASK_ITEM_CANDIDATE;
    else
        ret->type = MASK_ITEM_DIRECTORY;
    return row || (directory && !is_git_storage(folder->context, name));
}

static int take_item(struct walk *walk, const struct pending *folder, const struct mask_item *item,
                     struct err *err)
{
    mask_cache_add_item(&walk->next, item);
    if (item->type == MASK_ITEM_DIRECTORY)
        return add_pending(walk, folder, item->name, err);
    if (item->type == MASK_ITEM_CANDIDATE && !item->secret)
        return 0;
    return hide(walk, folder->path, item->name, secret_names[item->row].kind, err);
}

static int take_dirents(struct walk *walk, const struct pending *folder, int fd, ssize_t len,
                        uint32_t *items, struct err *err)
{
    int r = 0;
    for (ssize_t at = 0; r == 0 && at < len;) {
        const struct dirent64 *entry = (const void *)(walk->dirents + at);
        struct mask_item item;
        at += entry->d_reclen;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (++walk->entries_seen > MASK_ENTRIES_MAX)
            return cannot_promise(folder->path, err, "there are too many files");
        if (!classify(fd, folder, entry, &item))
            continue;
        if (item.type == MASK_ITEM_CANDIDATE)
            r = read_candidate(walk, fd, entry->d_name, &item, err);
        if (r == 0)
            r = take_item(walk, folder, &item, err);
        ++*items;
    }
    return r;
}

/* Why a directory is hidden as a whole (invariant 2); NULL where the walk cannot go on. */
static const char *kind_of_refusal(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return KIND_UNREADABLE;
    case EXDEV:
        return KIND_MOUNT;
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EAGAIN:
    case ESTALE:
        return KIND_CHANGED;
    }
    return NULL;
}

static int refuse_directory(struct walk *walk, const struct pending *folder, int error,
                            struct err *err)
{
    const char *kind = kind_of_refusal(error);
    walk->changed = true;
    if (!kind || !folder->depth)
        return err_set_errno(err, error, STEP, "./%s", folder->path);
    return add_entry(walk, folder->path, kind, MASK_HIDE, err);
}

static int read_directory(struct walk *walk, const struct pending *folder, struct err *err)
{
    const char *path = folder->depth ? folder->path : ".";
    struct statx status;
    uint32_t items = 0;
    walk->changed = true;
    _cleanup_(cleanup_close) int fd =
        beneath_open(walk->tree, path, O_RDONLY | O_DIRECTORY | O_NOATIME);
    if (fd == -EPERM) /* not the owner */
        fd = beneath_open(walk->tree, path, O_RDONLY | O_DIRECTORY);
    int r = fd < 0 ? fd : look(fd, "", AT_EMPTY_PATH, &status);
    if (r < 0)
        return refuse_directory(walk, folder, -r, err);
    struct mask_stamp stamp = stamp_of(&status);
    if (!is_settled(walk, &stamp))
        stamp.inode = 0; /* never found */
    size_t record = mask_cache_add_record(&walk->next, &stamp, folder->context);
    walk->list->directories_read++;
    for (;;) {
        ssize_t len = getdents64(fd, walk->dirents, DIRENT_BYTES);
        if (len < 0)
            return err_set_errno(err, errno, STEP, "./%s", path);
        if (len == 0)
            break;
        r = take_dirents(walk, folder, fd, len, &items, err);
        if (r < 0)
            return r;
    }
    mask_cache_end_record(&walk->next, record, items);
    return 0;
}

/* Takes a directory's record from the last walk; 0 where there is none that holds, 1 if taken. */
static int recall_directory(struct walk *walk, const struct pending *folder, struct err *err)
{
    struct statx status;
    struct mask_cursor cursor;
    struct mask_item item;
    int r = look(walk->tree, folder->path, folder->depth ? 0 : AT_EMPTY_PATH, &status);
    if (r < 0 || !S_ISDIR(status.stx_mode))
        return 0;
    if ((status.stx_mask & STATX_MNT_ID) && status.stx_mnt_id != walk->mount_id)
        return 0;
    struct mask_stamp stamp = stamp_of(&status);
    if (!mask_cache_find(&walk->cache, &stamp, folder->context, &cursor))
        return 0;
    uint32_t items = cursor.left;
    size_t record = mask_cache_add_record(&walk->next, &stamp, folder->context);
    walk->list->directories_kept++;
    while (r == 0 && mask_cursor_next(&cursor, &item)) {
        if (item.type == MASK_ITEM_CANDIDATE)
            r = check_candidate(walk, folder, &item, err);
        if (r == 0)
            r = take_item(walk, folder, &item, err);
    }
    mask_cache_end_record(&walk->next, record, items);
    return r < 0 ? r : 1;
}

/* --- the root's names ---------------------------------------------------------------------- */

/* Whether a path of the root is there: -ENOENT, or 0 with whether it is a directory. */
static int find_in_root(const struct walk *walk, const char *path, bool *ret_directory)
{
    struct statx status;
    int r = look(walk->tree, path, 0, &status);
    if (r == 0)
        *ret_directory = S_ISDIR(status.stx_mode);
    return r;
}

/* One row's literal name in the root, or in a directory of the root that the row asks for. */
static int add_literal(struct walk *walk, const struct secret_name *row, struct err *err)
{
    bool directory = false;
    const char *path = row->parent ? row->parent : row->name;
    int r = find_in_root(walk, path, &directory);
    if (r == 0 && row->parent) {
        if (!directory)
            return add_entry(walk, path, row->kind, MASK_HIDE, err);
        path = join(walk, row->parent, str_from(row->name));
        if (!path)
            return out_of_memory(err);
        r = find_in_root(walk, path, &directory);
    }
    if (r == -ENOENT)
        return add_entry(walk, path, row->kind, MASK_AHEAD, err);
    if (r < 0)
        return err_set_errno(err, -r, STEP, "./%s", path);
    if (directory && !row->directory)
        return add_entry(walk, path, row->kind, MASK_FOLDER, err);
    return 0;
}

static int add_literals(struct walk *walk, struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < secret_names_count; i++) {
        if (secret_name_is_literal(&secret_names[i]))
            r = add_literal(walk, &secret_names[i], err);
    }
    return r;
}

/* --- the result ---------------------------------------------------------------------------- */

/* As strcmp, but what lies below a directory follows it at once. */
static int compare_paths(const char *a, const char *b)
{
    for (; *a && *a == *b; a++)
        b++;
    int x = *a == '/' ? 1 : (unsigned char)*a + (*a != 0);
    int y = *b == '/' ? 1 : (unsigned char)*b + (*b != 0);
    return x - y;
}

static int by_path(const void *a, const void *b)
{
    const struct mask_entry *x = a, *y = b;
    int order = compare_paths(x->path, y->path);
    if (order == 0)
        order = (int)x->action - (int)y->action;
    return order ? order : (x->kind == NULL) - (y->kind == NULL); /* a secret is counted as one */
}

/* Whether an entry says nothing more after the one before it: the same path, or hidden with it. */
static bool is_covered(const struct mask_entry *by, const struct mask_entry *entry)
{
    size_t len = strlen(by->path);
    if (strncmp(by->path, entry->path, len) != 0)
        return false;
    return !entry->path[len] || (entry->path[len] == '/' && by->action != MASK_FOLDER);
}

static void count_kind(struct mask_list *list, const char *kind)
{
    size_t i = 0;
    while (i < list->kind_count && strcmp(list->counts[i].kind, kind) != 0)
        i++;
    assert(i < MASK_KINDS_MAX);
    if (i == list->kind_count)
        list->counts[list->kind_count++] = (struct mask_count){ .kind = kind };
    list->counts[i].count++;
}

static int by_kind(const void *a, const void *b)
{
    const struct mask_count *x = a, *y = b;
    return strcmp(x->kind, y->kind);
}

void mask_list_finish(struct mask_list *list)
{
    size_t kept = 0;
    list->kind_count = list->excluded = 0;
    if (list->count)
        qsort(list->entries, list->count, sizeof(*list->entries), by_path);
    for (size_t i = 0; i < list->count; i++) {
        if (kept && is_covered(&list->entries[kept - 1], &list->entries[i]))
            continue;
        list->entries[kept++] = list->entries[i];
        if (list->entries[i].action != MASK_HIDE)
            continue;
        if (list->entries[i].kind)
            count_kind(list, list->entries[i].kind);
        else
            list->excluded++;
    }
    list->count = kept;
    qsort(list->counts, list->kind_count, sizeof(*list->counts), by_kind);
}

/* --- the walk ------------------------------------------------------------------------------ */

/* File systems of this host, whose directories' times change with every change in them. */
static bool has_reliable_times(int fd)
{
    static const uint32_t magics[] = {
        0xef53,     /* ext2, ext3, ext4 */
        0x9123683e, /* btrfs */
        0x58465342, /* xfs */
        0x01021994, /* tmpfs */
        0xf2f52010, /* f2fs */
        0x2fc12fc1, /* zfs */
        0xca451a4e, /* bcachefs */
        0x794c7630, /* overlay */
    };
    struct statfs status;
    if (fstatfs(fd, &status) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
        if ((uint32_t)status.f_type == magics[i])
            return true;
    }
    return false;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * NS + now.tv_nsec;
}

static int walk_tree(struct walk *walk, struct err *err)
{
    int r = 0;
    while (r >= 0 && walk->pending_count) {
        struct pending folder = walk->pending[--walk->pending_count];
        if (clock_ns(CLOCK_MONOTONIC) / 1000000 - walk->started_ms > MASK_TIME_MAX_MS)
            return cannot_promise(folder.path, err, "the walk took too long");
        r = walk->cache.count ? recall_directory(walk, &folder, err) : 0;
        if (r == 0)
            r = read_directory(walk, &folder, err);
    }
    return r < 0 ? r : add_literals(walk, err);
}

/* The walk's place in the cache's folder; false where it has none. */
static bool cache_path(const struct walk *walk, const char *folder, const struct statx *root,
                       char ret[PATH_MAX])
{
    if (!folder || !walk->keeps)
        return false;
    return snprintf(ret, PATH_MAX, "%s/mask-%x.%x-%llu", folder, root->stx_dev_major,
                    root->stx_dev_minor, (unsigned long long)root->stx_ino) < PATH_MAX;
}

static int start(struct walk *walk, struct statx *ret_root, struct err *err)
{
    int r = look(walk->tree, "", AT_EMPTY_PATH, ret_root);
    if (r < 0)
        return err_set_errno(err, -r, STEP, "the tree");
    walk->mount_id = ret_root->stx_mnt_id;
    walk->keeps = has_reliable_times(walk->tree);
    walk->started_ms = clock_ns(CLOCK_MONOTONIC) / 1000000;
    walk->now_ns = clock_ns(CLOCK_REALTIME);
    walk->dirents = malloc(DIRENT_BYTES);
    walk->pending =
        grown(&walk->list->arena, NULL, sizeof(*walk->pending), 0, &walk->pending_capacity);
    if (!walk->dirents || !walk->pending)
        return out_of_memory(err);
    walk->pending[walk->pending_count++] =
        (struct pending){ .path = "", .context = git_is_directory(walk->tree) ? CONTEXT_GIT : 0 };
    mask_cache_begin(&walk->next);
    return 0;
}

int mask_find(int tree_fd, const char *cache_folder, struct mask_list *ret, struct err *err)
{
    char path[PATH_MAX];
    struct statx root;
    struct mask_list list = { 0 };
    struct walk walk = { .tree = tree_fd,
                         .list = &list,
                         .cache = { .text = BUF_INIT },
                         .next = BUF_INIT_LIMIT(MASK_CACHE_BYTES_MAX),
                         .text = BUF_INIT_LIMIT(SECRET_CONTENT_BYTES_MAX) };
    int r = start(&walk, &root, err);
    bool keep = r == 0 && cache_path(&walk, cache_folder, &root, path);
    if (keep)
        r = mask_cache_load(&walk.cache, path, err);
    if (r == 0)
        r = walk_tree(&walk, err);
    if (r == 0 && keep && walk.changed)
        (void)!mask_cache_save(&walk.next, path, NULL); /* then the next walk is as slow */
    if (r == 0) {
        mask_list_finish(&list);
        *ret = list;
    } else {
        mask_list_release(&list);
    }
    mask_cache_release(&walk.cache);
    buf_release(&walk.next);
    buf_release(&walk.text);
    free(walk.dirents);
    return r;
}

void mask_list_release(struct mask_list *list)
{
    arena_release(&list->arena);
    *list = (struct mask_list){ 0 };
}
