/*
 * git_commits: see the header.
 *
 * Theory of operation. The repository in between lies in the layer, is bare, and has a
 * configuration of ours alone. It borrows the host's objects, so that what the run built upon is
 * there, and has second names of the files of the run's new objects: loose ones and packs. Git
 * reads those files as it reads any: what is no object by its hash is none.
 */
#include "machine/git_commits.h"

#include <sys/wait.h>

#include "authority/child.h"
#include "base/file.h"
#include "machine/layer.h"

#define STEP            "take commits"
#define BETWEEN         "commits.git"
#define HEADS           ".git/refs/heads/"
#define OBJECTS         ".git/objects/"
#define PATH_SIZE       (WORKTREE_PATH_SIZE + 64)
#define PACKED_REFS     ".git/packed-refs"
#define PACKED_REFS_MAX ((size_t)16 << 20)
#define REFERENCE_MAX   128
#define OUTPUT_MAX      ((size_t)8 << 10)
#define VARIABLE_MAX    8192

/* --- branches ------------------------------------------------------------------------------ */

bool git_branch_is_name(const char *name)
{
    size_t len = strlen(name);
    if (!len || len > GIT_BRANCH_MAX || name[0] == '-' || name[0] == '/' || name[0] == '.' ||
        name[len - 1] == '/' || name[len - 1] == '.' || strstr(name, "..") || strstr(name, "//") ||
        strstr(name, "/.") || strstr(name, "@{") || strstr(name, ".lock/") ||
        (len >= 5 && strcmp(name + len - 5, ".lock") == 0) || strcmp(name, "@") == 0)
        return false;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        if (*c <= ' ' || *c == 0x7f || strchr("~^:?*[\\", *c))
            return false;
    return true;
}

/* A file with nothing but the name of a commit in it. */
static bool read_commit(const struct worktree *worktree, const struct changed_path *change,
                        char ret[65])
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(REFERENCE_MAX);
    struct stat status;
    _cleanup_(cleanup_close) int fd = worktree_open_after(worktree, change, &status);
    if (fd < 0 || file_read_fd(fd, change->path, &text, NULL) < 0)
        return false;
    size_t len = strspn(text.data, "0123456789abcdef");
    if ((len != 40 && len != 64) || text.len != len + 1 || text.data[len] != '\n')
        return false;
    memcpy(ret, text.data, len);
    ret[len] = '\0';
    return true;
}

static int add_branch(struct git_commits *commits, const struct git_branch *branch, struct err *err)
{
    if (commits->count == GIT_BRANCHES_MAX)
        return err_set(err, ERR_LIMIT, STEP, "the run made more than %d branches",
                       GIT_BRANCHES_MAX);
    struct git_branch *larger =
        reallocarray(commits->branches, commits->count + 1, sizeof(*commits->branches));
    if (!larger)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    commits->branches = larger;
    commits->branches[commits->count++] = *branch;
    return 0;
}

static bool is_listed(const struct git_commits *commits, const char *name)
{
    for (size_t i = 0; i < commits->count; i++)
        if (strcmp(commits->branches[i].name, name) == 0)
            return true;
    return false;
}

/* Whether the host's branch stands there too. */
static bool is_of_host(const struct worktree *worktree, const struct git_branch *branch)
{
    _cleanup_(buf_release) struct buf path = BUF_INIT, text = BUF_INIT_LIMIT(PACKED_REFS_MAX);
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    struct stat status;
    buf_addf(&path, HEADS "%s", branch->name);
    buf_addf(&line, "%s refs/heads/%s\n", branch->commit, branch->name);
    _cleanup_(cleanup_close) int loose = worktree_open_host(worktree, path.data, &status);
    if (loose >= 0)
        return file_read_fd(loose, path.data, &text, NULL) == 0 &&
               str_starts(buf_str(&text), str_from(branch->commit));
    _cleanup_(cleanup_close) int packed = worktree_open_host(worktree, PACKED_REFS, &status);
    return packed >= 0 && file_read_fd(packed, PACKED_REFS, &text, NULL) == 0 &&
           memmem(text.data, text.len, line.data, line.len);
}

/* "COMMIT refs/heads/NAME"; other lines are of tags and remotes, or say what a tag leads to. */
static bool read_packed(struct str line, struct git_branch *ret)
{
    static const char heads[] = " refs/heads/";
    size_t len = str_index(line, ' ', 0);
    struct str rest = str_from_offset(line, len);
    if ((len != 40 && len != 64) || !str_starts(rest, str_from(heads)) ||
        rest.len - strlen(heads) > GIT_BRANCH_MAX)
        return false;
    snprintf(ret->commit, sizeof(ret->commit), "%.*s", (int)len, line.ptr);
    snprintf(ret->name, sizeof(ret->name), "%.*s", (int)(rest.len - strlen(heads)),
             rest.ptr + strlen(heads));
    return strspn(ret->commit, "0123456789abcdef") == len && git_branch_is_name(ret->name);
}

/* After a `git gc` the branches stand in one file. */
static int find_packed(const struct worktree *worktree, const struct changed_path *change,
                       struct git_commits *commits, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(PACKED_REFS_MAX);
    struct stat status;
    _cleanup_(cleanup_close) int fd = worktree_open_after(worktree, change, &status);
    int r = fd < 0 ? err_set_errno(err, -fd, STEP, "%s", change->path)
                   : file_read_fd(fd, change->path, &text, err);
    for (size_t at = 0, end; at < text.len && r == 0; at = end + 1) {
        struct git_branch branch;
        end = str_index(buf_str(&text), '\n', at);
        if (read_packed(str_make(text.data + at, end - at), &branch) &&
            !is_listed(commits, branch.name) && !is_of_host(worktree, &branch))
            r = add_branch(commits, &branch, err);
    }
    return r;
}

int git_commits_find(const struct worktree *worktree, struct git_commits *ret, struct err *err)
{
    struct git_commits commits = { 0 };
    const struct changed_path *packed = NULL;
    int r = 0;
    for (size_t i = 0; i < worktree->changes.count && r == 0; i++) {
        const struct changed_path *change = &worktree->changes.items[i];
        struct git_branch branch;
        if (strcmp(change->path, PACKED_REFS) == 0 && change->kind == CHANGED_FILE &&
            change->type != CHANGE_DELETED)
            packed = change;
        if (change->kind != CHANGED_FILE || strncmp(change->path, HEADS, strlen(HEADS)) != 0 ||
            (change->type != CHANGE_ADDED && change->type != CHANGE_MODIFIED))
            continue;
        const char *name = change->path + strlen(HEADS);
        if (!git_branch_is_name(name) || !read_commit(worktree, change, branch.commit)) {
            commits.left_out++;
            continue;
        }
        snprintf(branch.name, sizeof(branch.name), "%s", name);
        r = add_branch(&commits, &branch, err);
    }
    if (r == 0 && packed)
        r = find_packed(worktree, packed, &commits, err);
    if (r < 0)
        git_commits_release(&commits);
    else
        *ret = commits;
    return r;
}

void git_commits_release(struct git_commits *commits)
{
    free(commits->branches);
    *commits = (struct git_commits){ 0 };
}

/* --- the repository in between ------------------------------------------------------------- */

static bool is_hex(const char *text, size_t len)
{
    return strspn(text, "0123456789abcdef") >= len;
}

/* "ab/cdef…" or "pack/pack-….pack", and what belongs to a pack. */
static bool is_object(const char *name)
{
    size_t len = strlen(name);
    if (len > 2 && name[2] == '/')
        return is_hex(name, 2) && (len == 3 + 38 || len == 3 + 62) && is_hex(name + 3, len - 3);
    const char *dot = strchr(name, '.');
    return strncmp(name, "pack/pack-", 10) == 0 && dot && dot > name + 10 &&
           is_hex(name + 10, (size_t)(dot - name - 10)) &&
           (strcmp(dot, ".pack") == 0 || strcmp(dot, ".idx") == 0 || strcmp(dot, ".rev") == 0);
}

static int add_object(const struct worktree *worktree, int objects, const char *path,
                      struct err *err)
{
    const char *to = path + strlen(OBJECTS), *name = NULL;
    char folder[8];
    struct stat status;
    _cleanup_(cleanup_close) int parent = layer_open_parent(worktree->upper, path, &name);
    snprintf(folder, sizeof(folder), "%.*s", (int)strcspn(to, "/"), to);
    if (parent < 0 || fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(status.st_mode))
        return err_set(err, ERR_DAMAGED, STEP, "%s is not what the run left", path);
    if ((mkdirat(objects, folder, 0700) < 0 && errno != EEXIST) ||
        linkat(parent, name, objects, to, 0) < 0)
        return err_set_errno(err, errno, STEP, "%s", path);
    return 0;
}

static int add_objects(const struct worktree *worktree, int between, struct err *err)
{
    _cleanup_(cleanup_close) int objects =
        openat(between, "objects", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = objects < 0 ? err_set_errno(err, errno, STEP, "objects") : 0;
    for (size_t i = 0; i < worktree->changes.count && r == 0; i++) {
        const struct changed_path *change = &worktree->changes.items[i];
        if (change->kind == CHANGED_FILE && change->type == CHANGE_ADDED &&
            strncmp(change->path, OBJECTS, strlen(OBJECTS)) == 0 &&
            is_object(change->path + strlen(OBJECTS)))
            r = add_object(worktree, objects, change->path, err);
    }
    return r;
}

static int put_file(int between, const char *name, const struct buf *text, struct err *err)
{
    _cleanup_(cleanup_close) int fd =
        openat(between, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || text->error || write(fd, text->data, text->len) != (ssize_t)text->len)
        return err_set_errno(err, text->error ? ENOMEM : errno, STEP, "write %s", name);
    return 0;
}

static int put_files(const struct worktree *worktree, const struct git_commits *commits,
                     int between, struct err *err)
{
    _cleanup_(buf_release) struct buf config = BUF_INIT, head = BUF_INIT, refs = BUF_INIT;
    _cleanup_(buf_release) struct buf alternates = BUF_INIT;
    bool sha256 = strlen(commits->branches[0].commit) == 64;
    buf_addf(&config, "[core]\n\trepositoryformatversion = %d\n\tbare = true\n%s", sha256,
             sha256 ? "[extensions]\n\tobjectFormat = sha256\n" : "");
    buf_add_text(&head, "ref: refs/heads/none\n");
    buf_addf(&alternates, "%s/" OBJECTS "\n", worktree->host_path);
    for (size_t i = 0; i < commits->count; i++)
        buf_addf(&refs, "%s refs/heads/%s\n", commits->branches[i].commit,
                 commits->branches[i].name);
    int r = put_file(between, "config", &config, err);
    if (r == 0)
        r = put_file(between, "HEAD", &head, err);
    if (r == 0)
        r = put_file(between, "objects/info/alternates", &alternates, err);
    return r < 0 ? r : put_file(between, "packed-refs", &refs, err);
}

static int make_between(const struct worktree *worktree, const struct git_commits *commits,
                        const char *path, struct err *err)
{
    static const char *const folders[] = { "", "/objects", "/objects/info", "/refs" };
    char folder[PATH_SIZE + 32];
    int r = file_remove_tree(path, err);
    for (size_t i = 0; i < ARRAY_LEN(folders) && r == 0; i++) {
        snprintf(folder, sizeof(folder), "%s%s", path, folders[i]);
        r = file_make_folder(folder, err);
    }
    _cleanup_(cleanup_close) int between =
        r < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r == 0 && between < 0)
        r = err_set_errno(err, errno, STEP, "%s", path);
    if (r == 0)
        r = put_files(worktree, commits, between, err);
    return r < 0 ? r : add_objects(worktree, between, err);
}

/* --- git ----------------------------------------------------------------------------------- */

static int read_output(void *context, struct child *child, struct err *err)
{
    struct buf *output = context;
    char piece[1024];
    ssize_t n = read(child->out, piece, sizeof(piece));
    (void)err;
    if (n > 0 && output->len < OUTPUT_MAX)
        buf_add(output, piece, (size_t)n);
    return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static int set_variable(char ret[VARIABLE_MAX], const char *name, const char *usual)
{
    const char *value = getenv(name);
    return snprintf(ret, VARIABLE_MAX, "%s=%s", name, value ? value : usual) < VARIABLE_MAX;
}

static int fetch(const struct worktree *worktree, const char *between, const char *prefix,
                 struct err *err)
{
    _cleanup_(buf_release) struct buf output = BUF_INIT_LIMIT(2 * OUTPUT_MAX);
    char refspec[GIT_PREFIX_MAX + 64], path[VARIABLE_MAX], home[VARIABLE_MAX];
    char language[] = "LC_ALL=C", prompt[] = "GIT_TERMINAL_PROMPT=0";
    char *environment[] = { path, home, language, prompt, NULL };
    /* Its own words are on its error output, which nobody else would hear. */
    const char *const arguments[] = { "/bin/sh",
                                      "-c",
                                      "exec git \"$@\" 2>&1",
                                      "git",
                                      "-C",
                                      worktree->host_path,
                                      "-c",
                                      "fetch.fsckObjects=true",
                                      "-c",
                                      "transfer.fsckObjects=true",
                                      "fetch",
                                      "--quiet",
                                      "--no-tags",
                                      "--no-write-fetch-head",
                                      "--no-auto-maintenance",
                                      "--no-recurse-submodules",
                                      "--atomic",
                                      between,
                                      refspec,
                                      NULL };
    struct child_plan plan = {
        .arguments = arguments, .environment = environment, .in = -1, .step = STEP
    };
    struct child child;
    snprintf(refspec, sizeof(refspec), "refs/heads/*:refs/heads/%s/*", prefix);
    if (!set_variable(path, "PATH", "/usr/local/bin:/usr/bin:/bin") ||
        !set_variable(home, "HOME", "/"))
        return err_set(err, ERR_LIMIT, STEP, "the environment is too large");
    int r = child_start(&plan, &child, err);
    if (r < 0)
        return r;
    r = child_follow(&child, GIT_FETCH_SECONDS * 1000, read_output, &output, err);
    child_stop(&child);
    if (r == -ETIME)
        return err_set(err, ERR_IO, STEP, "git took longer than %d seconds", GIT_FETCH_SECONDS);
    if (r < 0)
        return r;
    int status = WIFEXITED(child.status) ? WEXITSTATUS(child.status) : -1;
    if (status == 127)
        return err_set(err, ERR_NOT_FOUND, STEP, "there is no git on this host; install it");
    return status == 0
               ? 0
               : err_set(err, ERR_CONFLICT, STEP, "git does not take them: %.800s", output.data);
}

int git_commits_take(const struct worktree *worktree, const struct git_commits *commits,
                     const char *prefix, struct err *err)
{
    char between[PATH_SIZE];
    if (!commits->count)
        return err_set(err, ERR_NOT_FOUND, STEP, "the run made no commits");
    if (!git_branch_is_name(prefix) || strchr(worktree->host_path, '\n') ||
        worktree->host_path[0] != '/')
        return err_set(err, ERR_USAGE, STEP, "%s is no name for branches", prefix);
    snprintf(between, sizeof(between), "%s/" BETWEEN, worktree->layer);
    int r = make_between(worktree, commits, between, err);
    if (r == 0)
        r = fetch(worktree, between, prefix, err);
    (void)!file_remove_tree(between, NULL);
    return r;
}
