/*
 * image_apply: see the header.
 *
 * Theory of operation. A path is taken apart here: empty parts and `.` fall
 * away, `..` is refused. The folder that holds its last part is opened by the
 * kernel with the tree as its root (RESOLVE_IN_ROOT), so that a link on the
 * way means what it will mean in the container; the last part itself is never
 * followed. What stands in the way of an entry is removed first, but a folder
 * in the way of a folder.
 *
 * Whiteouts (`.wh.NAME`, and `.wh..wh..opq` for all of a folder) hide what lies
 * below their own layer, wherever among its entries they stand. What a layer
 * has made is known by inode number, and stays.
 *
 * Folders are open to their owner until the end, whatever mode they get then.
 *
 * Limits: PATH_BYTES_MAX, PATH_PARTS_MAX, IMAGE_ENTRIES_MAX.
 */
#include "machine/image_apply.h"

#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/arena.h"
#include "machine/image.h"
#include "machine/layer.h"

#define STEP_APPLY      "unpack the image"
#define PATH_BYTES_MAX  4096
#define PATH_PARTS_MAX  256
#define WHITEOUT        ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"
#define WHITEOUT_OTHER  ".wh..wh." /* what aufs keeps for itself */
#define REMOVE_DEPTH    256
#define OWN_FOLDER_MODE 0700
#define OWN_FILE_MODE   0400

struct folder_end {
    const char *path;
    mode_t mode;
    struct timespec changed;
};

struct image_apply {
    int root;
    struct arena arena;
    struct folder_end *folders;
    size_t folder_count, folder_room;
    ino_t *own; /* of this layer: an open table, 0 where it is free */
    size_t own_count, own_room;
    size_t entries;
};

int image_apply_new(int root, struct image_apply **ret, struct err *err)
{
    struct image_apply *apply = calloc(1, sizeof(*apply));
    if (!apply)
        return err_set(err, ERR_MEMORY, STEP_APPLY, "there is not enough memory");
    apply->root = root;
    *ret = apply;
    return 0;
}

void image_apply_free(struct image_apply *apply)
{
    if (!apply)
        return;
    arena_release(&apply->arena);
    free(apply->folders);
    free(apply->own);
    free(apply);
}

/* --- what a layer has made ----------------------------------------------------------------- */

static size_t own_place(const struct image_apply *apply, ino_t inode)
{
    size_t at = (size_t)(inode * UINT64_C(0x9e3779b97f4a7c15)) & (apply->own_room - 1);
    while (apply->own[at] && apply->own[at] != inode)
        at = (at + 1) & (apply->own_room - 1);
    return at;
}

static bool is_own(const struct image_apply *apply, ino_t inode)
{
    return apply->own_room && apply->own[own_place(apply, inode)] == inode;
}

static bool grow_own(struct image_apply *apply)
{
    struct image_apply larger = { .own_room = apply->own_room ? 2 * apply->own_room : 1024 };
    larger.own = calloc(larger.own_room, sizeof(*larger.own));
    if (!larger.own)
        return false;
    for (size_t i = 0; i < apply->own_room; i++)
        if (apply->own[i])
            larger.own[own_place(&larger, apply->own[i])] = apply->own[i];
    free(apply->own);
    apply->own = larger.own;
    apply->own_room = larger.own_room;
    return true;
}

static int add_own(struct image_apply *apply, int folder, const char *name, struct err *err)
{
    struct stat status;
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
        return err_set_errno(err, errno, STEP_APPLY, "cannot look at %s", name);
    if (2 * apply->own_count >= apply->own_room && !grow_own(apply))
        return err_set(err, ERR_MEMORY, STEP_APPLY, "there is not enough memory");
    size_t at = own_place(apply, status.st_ino);
    apply->own_count += apply->own[at] == 0;
    apply->own[at] = status.st_ino;
    return 0;
}

void image_apply_begin(struct image_apply *apply)
{
    if (apply->own)
        memset(apply->own, 0, apply->own_room * sizeof(*apply->own));
    apply->own_count = 0;
}

/* --- paths --------------------------------------------------------------------------------- */

/* The path as the tree has it: 1; 0 where it is the root itself. */
static int clean_path(const char *path, char ret[PATH_BYTES_MAX], struct err *err)
{
    size_t len = 0, parts = 0;
    while (*path) {
        size_t part = strcspn(path, "/");
        bool is_nothing = part == 0 || (part == 1 && path[0] == '.');
        if (part == 2 && path[0] == '.' && path[1] == '.')
            return err_set(err, ERR_DENIED, STEP_APPLY, "a layer has a path with a part of dots");
        if (part > NAME_MAX || len + part + 2 > PATH_BYTES_MAX || parts > PATH_PARTS_MAX)
            return err_set(err, ERR_LIMIT, STEP_APPLY, "a path of a layer is too long");
        if (!is_nothing) {
            len += (size_t)snprintf(ret + len, PATH_BYTES_MAX - len, "%s%.*s", len ? "/" : "",
                                    (int)part, path);
            parts++;
        }
        path += part + (path[part] == '/');
    }
    ret[len] = '\0';
    return len > 0;
}

static int open_within(const struct image_apply *apply, const char *path)
{
    struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                            .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };
    if (path[0])
        how.flags &= (uint64_t)~O_NOFOLLOW;
    return (int)syscall(SYS_openat2, apply->root, path[0] ? path : ".", &how, sizeof(how));
}

static int make_folder(struct image_apply *apply, int above, const char *name, struct err *err)
{
    if (mkdirat(above, name, 0755) < 0)
        return err_set_errno(err, errno, STEP_APPLY, "cannot make the folder %s", name);
    return add_own(apply, above, name, err);
}

/* The folder of a path, open, with those above it made where they are missing; or -errno. */
static int open_folder(struct image_apply *apply, char *path, struct err *err)
{
    int fd = open_within(apply, path);
    if (fd >= 0)
        return fd;
    if (errno != ENOENT || !path[0])
        return err_set_errno(err, errno, STEP_APPLY, "the layer's folder %s is none", path);
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    _cleanup_(cleanup_close) int above =
        open_folder(apply, slash ? path : path + strlen(path), err);
    const char *name = slash ? slash + 1 : path;
    int r = above < 0 ? above : make_folder(apply, above, name, err);
    if (slash)
        *slash = '/';
    if (r < 0)
        return r;
    fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? err_set_errno(err, errno, STEP_APPLY, "cannot open %s", path) : fd;
}

/* Splits a path that is clean; what holds it is opened. */
static int open_above(struct image_apply *apply, char path[PATH_BYTES_MAX], const char **ret_name,
                      struct err *err)
{
    char empty[1] = "";
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    *ret_name = slash ? slash + 1 : path;
    return open_folder(apply, slash ? path : empty, err);
}

/* --- removing ------------------------------------------------------------------------------ */

static int clear_lower(struct image_apply *apply, int folder, int depth, struct err *err);

/* Removes a name and all below it that the layer itself has not made; what is not there is fine. */
static int remove_lower(struct image_apply *apply, int above, const char *name, int depth,
                        struct err *err)
{
    struct stat status;
    if (fstatat(above, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0
                               : err_set_errno(err, errno, STEP_APPLY, "cannot look at %s", name);
    bool own = is_own(apply, status.st_ino);
    if (!S_ISDIR(status.st_mode))
        return own || unlinkat(above, name, 0) == 0
                   ? 0
                   : err_set_errno(err, errno, STEP_APPLY, "cannot remove %s", name);
    _cleanup_(cleanup_close) int folder =
        openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0 || depth == 0)
        return err_set_errno(err, folder < 0 ? errno : ELOOP, STEP_APPLY, "cannot open %s", name);
    int r = clear_lower(apply, folder, depth - 1, err);
    if (r < 0 || own || unlinkat(above, name, AT_REMOVEDIR) == 0 || errno == ENOTEMPTY)
        return r;
    return err_set_errno(err, errno, STEP_APPLY, "cannot remove %s", name);
}

static int clear_lower(struct image_apply *apply, int folder, int depth, struct err *err)
{
    struct names names = { 0 };
    int r = names_read(folder, &names);
    if (r < 0)
        r = err_set_errno(err, -r, STEP_APPLY, "cannot read a folder");
    for (size_t i = 0; i < names.count && r == 0; i++)
        r = remove_lower(apply, folder, names.items[i], depth, err);
    names_release(&names);
    return r;
}

/* What an entry replaces goes as a whole, its own layer's too: the later entry holds. */
static int make_room(struct image_apply *apply, int above, const char *name, bool for_folder,
                     struct err *err)
{
    struct stat status;
    if (fstatat(above, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0
                               : err_set_errno(err, errno, STEP_APPLY, "cannot look at %s", name);
    if (!S_ISDIR(status.st_mode))
        return unlinkat(above, name, 0) == 0
                   ? 0
                   : err_set_errno(err, errno, STEP_APPLY, "cannot replace %s", name);
    if (for_folder)
        return 0;
    int r = remove_lower(apply, above, name, REMOVE_DEPTH, err);
    if (r < 0 || fstatat(above, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return r;
    return err_set(err, ERR_DENIED, STEP_APPLY,
                   "a layer has %s both as a folder with something in it and as something else",
                   name);
}

static int apply_whiteout(struct image_apply *apply, int above, const char *name, struct err *err)
{
    if (strcmp(name, WHITEOUT_OPAQUE) == 0)
        return clear_lower(apply, above, REMOVE_DEPTH, err);
    if (strncmp(name, WHITEOUT_OTHER, strlen(WHITEOUT_OTHER)) == 0)
        return 0;
    const char *hidden = name + strlen(WHITEOUT);
    if (!hidden[0] || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
        return err_set(err, ERR_DENIED, STEP_APPLY, "a layer has the whiteout %s of nothing", name);
    return remove_lower(apply, above, hidden, REMOVE_DEPTH, err);
}

/* --- making -------------------------------------------------------------------------------- */

static int note_folder(struct image_apply *apply, const char *path, const struct image_entry *entry,
                       struct err *err)
{
    if (apply->folder_count == apply->folder_room) {
        size_t room = apply->folder_room ? 2 * apply->folder_room : 256;
        struct folder_end *larger = reallocarray(apply->folders, room, sizeof(*larger));
        if (!larger)
            return err_set(err, ERR_MEMORY, STEP_APPLY, "there is not enough memory");
        apply->folders = larger;
        apply->folder_room = room;
    }
    const char *copy = arena_copy(&apply->arena, str_from(path));
    if (!copy)
        return err_set(err, ERR_MEMORY, STEP_APPLY, "there is not enough memory");
    apply->folders[apply->folder_count++] =
        (struct folder_end){ copy, (entry->mode & 01777) | OWN_FOLDER_MODE, entry->changed };
    return 0;
}

static int apply_folder(struct image_apply *apply, int above, const char *name, struct err *err)
{
    struct stat status;
    int r = make_room(apply, above, name, true, err);
    if (r < 0)
        return r;
    return fstatat(above, name, &status, AT_SYMLINK_NOFOLLOW) == 0
               ? add_own(apply, above, name, err)
               : make_folder(apply, above, name, err);
}

/* A second name for a file that the tree has already. */
static int apply_hard_link(struct image_apply *apply, int above, const char *name,
                           const char *target, struct err *err)
{
    char path[PATH_BYTES_MAX];
    const char *last;
    struct stat status, there;
    int r = clean_path(target, path, err);
    if (r <= 0)
        return r < 0 ? r : err_set(err, ERR_DENIED, STEP_APPLY, "a hard link is to the root");
    _cleanup_(cleanup_close) int from = open_above(apply, path, &last, err);
    if (from < 0)
        return from;
    if (fstatat(from, last, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)))
        return err_set(err, ERR_DENIED, STEP_APPLY, "the hard link %s is to %s, which is no file",
                       name, target);
    if (fstatat(above, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && there.st_ino == status.st_ino)
        return add_own(apply, above, name, err); /* to itself */
    r = make_room(apply, above, name, false, err);
    if (r < 0)
        return r;
    if (linkat(from, last, above, name, 0) < 0)
        return err_set_errno(err, errno, STEP_APPLY, "cannot link %s", name);
    return add_own(apply, above, name, err);
}

static int apply_link(struct image_apply *apply, int above, const char *name,
                      const struct image_entry *entry, struct err *err)
{
    const struct timespec times[2] = { entry->changed, entry->changed };
    int r = make_room(apply, above, name, false, err);
    if (r < 0)
        return r;
    if (!entry->link[0] || symlinkat(entry->link, above, name) < 0)
        return err_set_errno(err, entry->link[0] ? errno : EINVAL, STEP_APPLY, "cannot link %s",
                             name);
    (void)!utimensat(above, name, times, AT_SYMLINK_NOFOLLOW);
    return add_own(apply, above, name, err);
}

static int apply_file(struct image_apply *apply, int above, const char *name, int *ret_file,
                      struct err *err)
{
    int r = make_room(apply, above, name, false, err);
    if (r < 0)
        return r;
    _cleanup_(cleanup_close) int file =
        openat(above, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return err_set_errno(err, errno, STEP_APPLY, "cannot make %s", name);
    r = add_own(apply, above, name, err);
    if (r == 0)
        *ret_file = TAKE_FD(file);
    return r;
}

static int apply_kind(struct image_apply *apply, int above, const char *name,
                      const struct image_entry *entry, int *ret_file, struct err *err)
{
    if (entry->is_hard_link)
        return apply_hard_link(apply, above, name, entry->link, err);
    if (S_ISDIR(entry->mode))
        return apply_folder(apply, above, name, err);
    if (S_ISLNK(entry->mode) && entry->link)
        return apply_link(apply, above, name, entry, err);
    if (S_ISREG(entry->mode))
        return apply_file(apply, above, name, ret_file, err);
    return make_room(apply, above, name, false, err); /* devices, pipes: nothing stands there */
}

int image_apply_entry(struct image_apply *apply, const struct image_entry *entry, int *ret_file,
                      struct err *err)
{
    char path[PATH_BYTES_MAX], whole[PATH_BYTES_MAX];
    const char *name;
    *ret_file = -1;
    if (++apply->entries > IMAGE_ENTRIES_MAX)
        return err_set(err, ERR_LIMIT, STEP_APPLY, "the image has more than %d entries",
                       IMAGE_ENTRIES_MAX);
    int r = clean_path(entry->path, path, err);
    if (r <= 0)
        return r;
    memcpy(whole, path, strlen(path) + 1);
    _cleanup_(cleanup_close) int above = open_above(apply, path, &name, err);
    if (above < 0)
        return above;
    if (strncmp(name, WHITEOUT, strlen(WHITEOUT)) == 0)
        return apply_whiteout(apply, above, name, err);
    r = apply_kind(apply, above, name, entry, ret_file, err);
    return r == 0 && S_ISDIR(entry->mode) && !entry->is_hard_link
               ? note_folder(apply, whole, entry, err)
               : r;
}

int image_apply_file(int file, const struct image_entry *entry, struct err *err)
{
    const struct timespec times[2] = { entry->changed, entry->changed };
    _cleanup_(cleanup_close) int owned = file;
    if (fchmod(owned, (entry->mode & 0777) | OWN_FILE_MODE) < 0 || futimens(owned, times) < 0)
        return err_set_errno(err, errno, STEP_APPLY, "cannot finish %.200s", entry->path);
    return 0;
}

/* Inner ones first: who is closed to writing comes after what lies in it. */
int image_apply_end(struct image_apply *apply, struct err *err)
{
    for (size_t i = apply->folder_count; i-- > 0;) {
        const struct folder_end *end = &apply->folders[i];
        const struct timespec times[2] = { end->changed, end->changed };
        _cleanup_(cleanup_close) int folder = open_within(apply, end->path);
        if (folder < 0)
            continue; /* a later layer has something else there, or nothing */
        if (fchmod(folder, end->mode) < 0 || futimens(folder, times) < 0)
            return err_set_errno(err, errno, STEP_APPLY, "cannot finish %s", end->path);
    }
    return 0;
}
