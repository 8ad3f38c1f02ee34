/*
 * git_state: finding the work tree, and putting together what the fingerprint says of it.
 *
 * Theory of operation. From a directory upwards the first one with a `.git` that is a git directory
 * or names one is the root, as in git; the search ends at the file system's edge. Everything else
 * is git_repository.c and git_dirty.c.
 */
#include "machine/git_state.h"

#include <sys/stat.h>

#include "base/json.h"
#include "machine/git_repository.h"

#define STEP "read the repository"

const char *const git_dirty_names[] = {
    [GIT_CLEAN] = "clean",
    [GIT_DIRTY] = "dirty",
    [GIT_NOT_CHECKED] = "not-checked",
};

/* Whether a directory may be a root: cheap, before anything is read. */
static bool has_git(int fd)
{
    struct stat status;
    return fstatat(fd, ".git", &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           (S_ISDIR(status.st_mode) || S_ISREG(status.st_mode));
}

/* Opens the root that holds a directory; its path is cut to it. */
static int open_root(char path[PATH_MAX], struct git_repository *ret, int *ret_work)
{
    struct stat status;
    dev_t device = 0;
    for (bool first = true;; first = false) {
        _cleanup_(cleanup_close) int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &status) < 0)
            return -errno;
        if (!first && status.st_dev != device)
            return -ENOENT;
        device = status.st_dev;
        int r = has_git(fd) ? git_repository_open(ret, fd) : -ENOENT;
        if (r == 0)
            *ret_work = TAKE_FD(fd);
        if (r != -ENOENT)
            return r;
        char *slash = strrchr(path, '/');
        if (slash == path && !path[1])
            return -ENOENT;
        slash[slash == path] = '\0';
    }
}

static int find(const char *directory, char ret_root[PATH_MAX], struct git_repository *ret,
                int *ret_work, struct err *err)
{
    char path[PATH_MAX];
    if (!realpath(directory, path))
        return err_set_errno(err, errno, STEP, "%s", directory);
    int r = open_root(path, ret, ret_work);
    if (r == -ENOENT)
        return err_set(err, ERR_NOT_FOUND, STEP, "%s lies in no git repository", directory);
    if (r < 0)
        return err_set_errno(err, -r, STEP, "%s", path);
    memcpy(ret_root, path, sizeof(path));
    return 0;
}

int git_find_root(const char *directory, char ret_root[PATH_MAX], struct err *err)
{
    struct git_repository repository;
    _cleanup_(cleanup_close) int work = -1;
    int r = find(directory, ret_root, &repository, &work, err);
    if (r == 0)
        git_repository_close(&repository);
    return r;
}

int git_state_read(const char *directory, int64_t limit_ms, struct git_state *ret, struct err *err)
{
    struct git_repository repository;
    struct git_state state = { 0 };
    int64_t deadline_ms = git_clock_ms() + limit_ms;
    _cleanup_(cleanup_close) int work = -1;
    int r = find(directory, state.root, &repository, &work, err);
    if (r < 0)
        return r;
    memcpy(state.url, repository.url, sizeof(state.url));
    memcpy(state.ref, repository.ref, sizeof(state.ref));
    memcpy(state.commit, repository.commit, sizeof(state.commit));
    state.dirty = git_dirty_check(&repository, deadline_ms, 0, &state.reason);
    git_repository_close(&repository);
    *ret = state;
    return 0;
}

static void add_member(struct buf *buf, const char *name, const char *value)
{
    buf_addf(buf, "\"%s\":", name);
    if (value[0])
        json_add_string(buf, str_from(value));
    else
        buf_add_text(buf, "null");
    buf_add_char(buf, ',');
}

int git_state_write(const struct git_state *state, struct buf *ret)
{
    buf_add_char(ret, '{');
    add_member(ret, "url", state->url);
    add_member(ret, "ref", state->ref);
    add_member(ret, "commit", state->commit);
    return buf_addf(ret, "\"dirtyState\":\"%s\"}", git_dirty_names[state->dirty]);
}
