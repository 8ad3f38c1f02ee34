/*
 * mask_layer: the overlay layer above the tree that hides what mask_find listed.
 *
 * Theory of operation. A whiteout, a character device 0:0, makes overlayfs stop at a name, whatever
 * the layers below hold under it; anyone may make one (Linux 5.8 and later). To stand where its
 * name is, it needs the directories above it in this layer too: overlayfs merges those with the
 * tree's, but shows the attributes of the uppermost, so they are given the tree's when all is in
 * them. The layer is the launch's own and nobody else writes there; the tree is asked for
 * attributes alone, beneath its root.
 *
 * Names of the root alone need no directories, and are the same for every tree where nothing else
 * is hidden: that layer is kept, and found again by the digest of its names.
 *
 * What runs in the sandbox may still create a file of a hidden name: it goes to the upper layer.
 */
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "machine/beneath.h"
#include "machine/mask.h"

#define STEP "build the layer that hides secrets"

static int fail(struct err *err, const char *path)
{
    return err_set_errno(err, errno, STEP, "./%s", path);
}

static int make_directory(int layer, const char *path, size_t len, struct err *err)
{
    char name[PATH_MAX];
    assert(len < sizeof(name));
    memcpy(name, path, len);
    name[len] = '\0';
    if (mkdirat(layer, name, 0700) < 0 && errno != EEXIST)
        return fail(err, path);
    return 0;
}

/* How much of two paths is the same, in whole components. */
static size_t common_len(const char *a, const char *b)
{
    size_t common = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++) {
        if (a[i] == '/')
            common = i + 1;
    }
    return common;
}

/* Calls for every directory above `path` that was not above `last`. */
static int each_new_parent(const char *last, const char *path,
                           int (*visit)(int layer, int tree, const char *path, size_t len,
                                        struct err *err),
                           int layer, int tree, struct err *err)
{
    int r = 0;
    for (size_t i = common_len(last, path); r == 0 && path[i]; i++) {
        if (path[i] == '/')
            r = visit(layer, tree, path, i, err);
    }
    return r;
}

static int make_parent(int layer, int tree, const char *path, size_t len, struct err *err)
{
    (void)tree;
    return make_directory(layer, path, len, err);
}

/* Owner, mode and times as in the tree; what is gone there since stays as it was made. */
static int dress_directory(int layer, int tree, const char *path, size_t len, struct err *err)
{
    char name[PATH_MAX];
    struct stat status;
    assert(len < sizeof(name));
    memcpy(name, path, len);
    name[len] = '\0';
    _cleanup_(cleanup_close) int fd = beneath_open(tree, name, O_PATH | O_DIRECTORY);
    if (fd < 0 || fstat(fd, &status) < 0)
        return 0;
    struct timespec times[] = { status.st_atim, status.st_mtim };
    if (fchownat(layer, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) < 0 &&
        errno != EPERM && errno != EINVAL)
        return fail(err, name);
    if (fchmodat(layer, name, status.st_mode & 07777, 0) < 0 ||
        utimensat(layer, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return fail(err, name);
    return 0;
}

/* Whiteouts are one file of many names: a name is cheaper than a file. */
static int build_entry(int layer, const struct mask_entry *entry, const char **whiteout,
                       struct err *err)
{
    if (entry->action == MASK_FOLDER)
        return make_directory(layer, entry->path, strlen(entry->path), err);
    if (*whiteout && linkat(layer, *whiteout, layer, entry->path, 0) == 0)
        return 0;
    if (mknodat(layer, entry->path, S_IFCHR, 0) < 0)
        return fail(err, entry->path);
    *whiteout = entry->path;
    return 0;
}

static int dress_entry(int layer, int tree, const struct mask_entry *entry, struct err *err)
{
    if (entry->action != MASK_FOLDER)
        return 0;
    return dress_directory(layer, tree, entry->path, strlen(entry->path), err);
}

int mask_build(int layer_fd, int tree_fd, const struct mask_list *list, struct err *err)
{
    const char *last = "", *whiteout = NULL;
    int r = 0;
    for (size_t i = 0; r == 0 && i < list->count; i++) {
        const struct mask_entry *entry = &list->entries[i];
        r = each_new_parent(last, entry->path, make_parent, layer_fd, tree_fd, err);
        if (r == 0)
            r = build_entry(layer_fd, entry, &whiteout, err);
        last = entry->path;
    }
    /* from the end: a directory's times change while anything is made in it, not afterwards */
    for (size_t i = list->count; r == 0 && i > 0; i--) {
        const char *before = i < list->count ? list->entries[i].path : "";
        r = dress_entry(layer_fd, tree_fd, &list->entries[i - 1], err);
        if (r == 0)
            r = each_new_parent(before, list->entries[i - 1].path, dress_directory, layer_fd,
                                tree_fd, err);
    }
    return r < 0 ? r : dress_directory(layer_fd, tree_fd, ".", 1, err);
}

/* --- kept ---------------------------------------------------------------------------------- */

static bool name_layer(const char *cache_folder, const struct mask_list *list,
                       char ret[MASK_LAYER_PATH_MAX])
{
    _cleanup_(buf_release) struct buf names = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    for (size_t i = 0; i < list->count; i++) {
        if (list->entries[i].action == MASK_FOLDER || strchr(list->entries[i].path, '/'))
            return false;
        buf_addf(&names, "%s/", list->entries[i].path);
    }
    return !names.error && digest_text(buf_str(&names), digest, NULL) == 0 &&
           snprintf(ret, MASK_LAYER_PATH_MAX, "%s/layer-%s", cache_folder,
                    digest + strlen("sha256:")) < MASK_LAYER_PATH_MAX;
}

/* Exactly as many whiteouts as there are names, and nothing else. */
static bool is_whole(const char *path, size_t count)
{
    size_t found = 0;
    DIR *entries = opendir(path);
    struct dirent *entry;
    struct stat status;
    if (!entries)
        return false;
    while ((entry = readdir(entries)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            found += fstatat(dirfd(entries), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                             S_ISCHR(status.st_mode) && status.st_rdev == 0
                         ? 1
                         : count + 1;
    closedir(entries);
    return found == count;
}

/* What is not there yet; nothing is ever taken away, since a run may be under the layer. */
static bool fill_layer(const char *path, const struct mask_list *list)
{
    const char *whiteout = NULL;
    _cleanup_(cleanup_close) int layer = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = layer < 0 ? -errno : 0;
    for (size_t i = 0; r == 0 && i < list->count; i++) {
        r = build_entry(layer, &list->entries[i], &whiteout, NULL);
        r = r == -EEXIST ? 0 : r;
    }
    return r == 0;
}

/* Under a name of its own until it is whole; where another one is quicker, that one is as good. */
static void make_layer(const char *path, const struct mask_list *list)
{
    char own[MASK_LAYER_PATH_MAX + 16];
    snprintf(own, sizeof(own), "%s.%d", path, (int)getpid());
    if (mkdir(own, 0700) < 0 || !fill_layer(own, list) || rename(own, path) < 0)
        (void)!file_remove_tree(own, NULL);
}

bool mask_keep(const char *cache_folder, const struct mask_list *list,
               char ret_path[MASK_LAYER_PATH_MAX])
{
    if (!name_layer(cache_folder, list, ret_path))
        return false;
    if (is_whole(ret_path, list->count))
        return true;
    if (access(ret_path, F_OK) == 0)
        (void)!fill_layer(ret_path, list); /* a crash may have taken some */
    else
        make_layer(ret_path, list);
    return is_whole(ret_path, list->count);
}

int mask_write_counts(const struct mask_list *list, struct buf *ret)
{
    buf_add_char(ret, '[');
    for (size_t i = 0; i < list->kind_count; i++) {
        buf_addf(ret, "%s{\"kind\":\"%s\",\"count\":%zu}", i ? "," : "", list->counts[i].kind,
                 list->counts[i].count);
    }
    return buf_add_char(ret, ']');
}
