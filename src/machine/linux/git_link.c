/*
 * git_link: see the header.
 *
 * Theory of operation. What `.git` names is resolved and opened once. A linked work tree's own
 * directory lies in `worktrees` of the one that all of them share, and its file `gitdir` names the
 * `.git` that it belongs to; a submodule's configuration names its work tree. Both are written by
 * git where it makes them. Whatever else a `.git` may name, such as what `git init
 * --separate-git-dir` leaves, says nothing of where it is used, and is not followed.
 */
#include "machine/git_link.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "machine/git_config.h"

#define LINK_BYTES_MAX  ((size_t)8 << 10)
#define LINK_PATH_BYTES (2 * PATH_MAX)

struct link {
    const char *work;
    char git[PATH_MAX]; /* what `.git` names */
};

bool git_is_directory(int fd)
{
    struct stat status;
    return fstatat(fd, "HEAD", &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(status.st_mode) &&
           fstatat(fd, "objects", &status, 0) == 0 && S_ISDIR(status.st_mode) &&
           fstatat(fd, "refs", &status, 0) == 0 && S_ISDIR(status.st_mode);
}

/* Resolves a path that is meant from a folder. */
static bool resolve(const char *folder, const char *path, char ret[PATH_MAX])
{
    char joined[LINK_PATH_BYTES];
    int len = snprintf(joined, sizeof(joined), "%s%s%s", path[0] == '/' ? "" : folder, "/", path);
    return len < (int)sizeof(joined) && realpath(joined, ret);
}

/* The path that stands in a file of git's, after some word: resolved, from the file's folder. */
static bool read_path(const char *folder, const char *name, const char *word, char ret[PATH_MAX])
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(LINK_BYTES_MAX);
    char path[PATH_MAX + 16];
    struct stat status;
    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path) ||
        lstat(path, &status) < 0 || !S_ISREG(status.st_mode) || file_read(path, &text, NULL) < 0 ||
        !str_starts(buf_str(&text), str_from(word)))
        return false;
    char *end = text.data + text.len, *begin = text.data + strlen(word);
    while (end > begin && (end[-1] == '\n' || end[-1] == '\r'))
        *--end = '\0';
    return end > begin && !memchr(begin, '\0', (size_t)(end - begin)) &&
           resolve(folder, begin, ret);
}

/* --- what git's directory says of the work tree -------------------------------------------- */

static void note_work_tree(void *context, struct str section, struct str subsection, struct str key,
                           struct str value)
{
    struct buf *path = context;
    if (str_equal(section, STR("core")) && !subsection.len && str_equal(key, STR("worktree"))) {
        buf_reset(path);
        buf_add_str(path, value);
    }
}

/* A submodule's; a sparse checkout keeps it in a file of its own. */
static bool is_of_submodule(const struct link *link)
{
    static const char *const files[] = { "config", "config.worktree" };
    _cleanup_(buf_release) struct buf path = BUF_INIT_LIMIT(PATH_MAX - 1);
    char file[PATH_MAX + 32], work[PATH_MAX];
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(GIT_CONFIG_BYTES_MAX);
        snprintf(file, sizeof(file), "%s/%s", link->git, files[i]);
        if (access(file, F_OK) == 0 && file_read(file, &text, NULL) == 0)
            (void)!git_config_read(buf_str(&text), note_work_tree, &path);
    }
    return path.len && !memchr(path.data, '\0', path.len) && resolve(link->git, path.data, work) &&
           strcmp(work, link->work) == 0;
}

/* A linked work tree's: 1 with the directory that all share, 0 where it is none, -1: not believed.
 */
static int find_shared(const struct link *link, char ret[PATH_MAX])
{
    char file[PATH_MAX + 16], back[PATH_MAX], shared[PATH_MAX];
    snprintf(file, sizeof(file), "%s/commondir", link->git);
    if (access(file, F_OK) < 0)
        return 0;
    if (!read_path(link->git, "commondir", "", shared) || !read_path(link->git, "gitdir", "", back))
        return -1;
    size_t len = strlen(shared);
    const char *rest = link->git + len, *name = strrchr(link->git, '/');
    snprintf(file, sizeof(file), "%s/.git", link->work);
    if (strncmp(link->git, shared, len) != 0 || strncmp(rest, "/worktrees/", 11) != 0 ||
        name != rest + 10 || strcmp(back, file) != 0)
        return -1;
    memcpy(ret, shared, len + 1);
    return 1;
}

static bool is_git_directory(const char *path)
{
    _cleanup_(cleanup_close) int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && git_is_directory(fd);
}

bool git_link_find(const char *work, struct git_link *ret)
{
    struct link link = { .work = work };
    char marker[PATH_MAX + 8];
    struct stat status;
    snprintf(marker, sizeof(marker), "%s/.git", work);
    if (lstat(marker, &status) < 0 || !S_ISREG(status.st_mode) ||
        !read_path(work, ".git", "gitdir: ", link.git))
        return false;
    int shared = find_shared(&link, ret->path);
    if (shared <= 0)
        memcpy(ret->path, link.git, sizeof(link.git));
    memcpy(ret->own, link.git, sizeof(link.git));
    ret->believed =
        (shared > 0 || (shared == 0 && is_of_submodule(&link))) && is_git_directory(ret->path);
    return true;
}
