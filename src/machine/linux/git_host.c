/*
 * git_host: see the header.
 *
 * Theory of operation. Between the run's objects and the host's repository stands one that is made
 * for the purpose, in the layer: bare, with a configuration of ours alone. It borrows the host's
 * objects, so that what the run built upon is there, and has second names of the files with the
 * run's new objects. Nothing that describes objects is taken along: no index of a pack, no graph,
 * no alternates; the index of a pack is made anew from the pack, which checks that. The host's git
 * then fetches from there, as it would from a server that it does not trust: what arrives is
 * hashed, checked, and must be complete.
 *
 * Threats: an object that is not what its name says; a tree with names such as .git; objects that
 * are missing; hooks, filters, settings, alternates, replacements and grafts of the run's, none of
 * which git sees here; more data than anybody wants (limits, and a time).
 */
#include "machine/git_host.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include "authority/child.h"
#include "base/file.h"
#include "machine/layer.h"

#define BETWEEN       "commits-%d.git" /* the process, since two may be at it */
#define PATH_SIZE     (WORKTREE_PATH_SIZE + CHANGES_PATH_MAX)
#define OUTPUT_MAX    ((size_t)8 << 10)
#define VARIABLE_MAX  8192
#define SHALLOW_MAX   ((size_t)1 << 20)
#define PACK_NAME_MAX 128
#define SAID_MAX      800 /* of what git says, to a person */

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

static bool set_variable(char ret[VARIABLE_MAX], const char *name, const char *usual)
{
    const char *value = getenv(name);
    return snprintf(ret, VARIABLE_MAX, "%s=%s", name, value ? value : usual) < VARIABLE_MAX;
}

/* Before what is asked for: where, and what of the host's settings does not hold. */
static size_t begin_arguments(const struct git_call *call, const char **ret)
{
    static const char *const settings[] = {
        "core.hooksPath=/dev/null",     "core.fsmonitor=false",     "gc.auto=0",
        "maintenance.auto=false",       "fetch.fsckObjects=true",   "transfer.fsckObjects=true",
        "fetch.recurseSubmodules=no",   "submodule.recurse=false",  "core.alternateRefsCommand=:",
        "fetch.writeCommitGraph=false", "transfer.bundleURI=false",
    };
    size_t count = 0;
    /* Its own words are on its error output, which nobody else would hear. */
    ret[count++] = "/bin/sh";
    ret[count++] = "-c";
    ret[count++] = "exec git \"$@\" 2>&1";
    ret[count++] = "git";
    ret[count++] = "-C";
    ret[count++] = call->work ?: call->directory;
    ret[count++] = "--git-dir";
    ret[count++] = call->directory;
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        ret[count++] = "-c";
        ret[count++] = settings[i];
    }
    return count;
}

static int tell(int status, const struct buf *output, struct err *err)
{
    struct str said = buf_str(output);
    while (said.len && said.ptr[said.len - 1] == '\n')
        said.len--;
    if (status == 127)
        return err_set(err, ERR_NOT_FOUND, STEP_GIT, "there is no git on this host; install it");
    if (!said.len)
        said = STR("it does not say why");
    said.len = said.len < SAID_MAX ? said.len : SAID_MAX;
    return status == 0 ? 0
                       : err_set(err, ERR_CONFLICT, STEP_GIT, "git does not take them: %.*s",
                                 STR_ARG(said));
}

static int run_git(const char *const *arguments, int in, struct buf *output, struct err *err)
{
    char path[VARIABLE_MAX], home[VARIABLE_MAX], settings[VARIABLE_MAX];
    char language[] = "LC_ALL=C", prompt[] = "GIT_TERMINAL_PROMPT=0";
    char replace[] = "GIT_NO_REPLACE_OBJECTS=1", transports[] = "GIT_ALLOW_PROTOCOL=file";
    char lazy[] = "GIT_NO_LAZY_FETCH=1";
    char *environment[] = {
        path, home, language, prompt, replace, transports, lazy, settings, NULL
    };
    struct child_plan plan = {
        .arguments = arguments, .environment = environment, .in = in, .step = STEP_GIT
    };
    struct child child;
    if (!set_variable(path, "PATH", "/usr/local/bin:/usr/bin:/bin") ||
        !set_variable(home, "HOME", "/") || !set_variable(settings, "XDG_CONFIG_HOME", ""))
        return err_set(err, ERR_LIMIT, STEP_GIT, "the environment is too large");
    int r = child_start(&plan, &child, err);
    if (r < 0)
        return r;
    r = child_follow(&child, GIT_HOST_SECONDS * 1000, read_output, output, err);
    child_stop(&child);
    if (r == -ETIME)
        return err_set(err, ERR_IO, STEP_GIT, "git took longer than %d seconds", GIT_HOST_SECONDS);
    return r < 0 ? r : tell(WIFEXITED(child.status) ? WEXITSTATUS(child.status) : -1, output, err);
}

/* As git has it for what it finds by itself: another user's settings are not for us to follow. */
static int check_owner(const char *directory, struct err *err)
{
    struct stat status;
    if (stat(directory, &status) < 0)
        return err_set_errno(err, errno, STEP_GIT, "%s", directory);
    return status.st_uid == geteuid()
               ? 0
               : err_set(err, ERR_DENIED, STEP_GIT,
                         "%s belongs to another user, so git is not run there; apply as that user, "
                         "or name the files alone",
                         directory);
}

int git_call(const struct git_call *call, struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf output = BUF_INIT_LIMIT(2 * OUTPUT_MAX);
    _cleanup_(cleanup_close) int in = -1;
    const char **arguments = calloc(GIT_ARGUMENTS_MAX, sizeof(*arguments));
    if (!arguments)
        return err_set(err, ERR_MEMORY, STEP_GIT, "there is not enough memory");
    size_t count = begin_arguments(call, arguments);
    for (size_t i = 0; call->arguments[i] && count < GIT_ARGUMENTS_MAX - 1; i++)
        arguments[count++] = call->arguments[i];
    if (call->input.len)
        in = memfd_create("input", MFD_CLOEXEC);
    int r = check_owner(call->directory, err);
    if (r == 0 && call->input.len &&
        (in < 0 || pwrite(in, call->input.ptr, call->input.len, 0) != (ssize_t)call->input.len))
        r = err_set_errno(err, errno, STEP_GIT, "git's input");
    if (r == 0)
        r = run_git(arguments, in, &output, err);
    free(arguments);
    if (r == 0 && ret)
        buf_add_str(ret, buf_str(&output));
    return r;
}

/* --- the repository in between ------------------------------------------------------------- */

static bool is_hex(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!text[i] || !strchr("0123456789abcdef", text[i]))
            return false;
    return true;
}

/* "ab/cdef…", an object alone; its pack is "pack/pack-….pack". */
static bool is_loose(const char *name)
{
    size_t len = strlen(name);
    return (len == 3 + 38 || len == 3 + 62) && name[2] == '/' && is_hex(name, 2) &&
           is_hex(name + 3, len - 3);
}

static bool is_pack(const char *name)
{
    size_t len = strlen(name);
    return len > 15 && len < PACK_NAME_MAX && strncmp(name, "pack/pack-", 10) == 0 &&
           strcmp(name + len - 5, ".pack") == 0 && is_hex(name + 10, len - 15);
}

static int add_object(const struct worktree *worktree, int objects, const char *path,
                      const char *to, struct err *err)
{
    const char *name = NULL;
    char folder[8];
    struct stat status;
    _cleanup_(cleanup_close) int parent = layer_open_parent(worktree->upper, path, &name);
    snprintf(folder, sizeof(folder), "%.*s", (int)strcspn(to, "/"), to);
    if (parent < 0 || fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(status.st_mode))
        return err_set(err, ERR_DAMAGED, STEP_GIT, "%s is not what the run left", path);
    if ((mkdirat(objects, folder, 0700) < 0 && errno != EEXIST) ||
        linkat(parent, name, objects, to, 0) < 0)
        return err_set_errno(err, errno, STEP_GIT, "%s", path);
    return 0;
}

static int make_index(const char *between, const char *pack, struct err *err)
{
    char path[PACK_NAME_MAX + 16];
    const char *const arguments[] = { "index-pack", path, NULL };
    const struct git_call call = { .directory = between, .arguments = arguments };
    snprintf(path, sizeof(path), "objects/%s", pack);
    return git_call(&call, NULL, err);
}

/* Of the objects at a prefix, those that a run made; then what says where in a pack they are. */
static int add_objects(const struct worktree *worktree, const char *prefix, const char *between,
                       struct err *err)
{
    char folder[PATH_SIZE + 16];
    uint64_t bytes = 0;
    size_t files = 0, len;
    int r = 0;
    snprintf(folder, sizeof(folder), "%s/objects", between);
    _cleanup_(cleanup_close) int objects = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (objects < 0)
        return err_set_errno(err, errno, STEP_GIT, "%s", folder);
    len = (size_t)snprintf(folder, sizeof(folder), "%sobjects/", prefix);
    for (size_t i = 0; i < worktree->changes.count && r == 0; i++) {
        const struct changed_path *change = &worktree->changes.items[i];
        const char *name = change->path + len;
        if (change->kind != CHANGED_FILE || change->type != CHANGE_ADDED ||
            strncmp(change->path, folder, len) != 0 || (!is_loose(name) && !is_pack(name)))
            continue;
        bytes += change->size;
        if (bytes > GIT_OBJECT_BYTES_MAX || ++files > GIT_OBJECT_FILES_MAX)
            return err_set(err, ERR_LIMIT, STEP_GIT,
                           "the run made more than %d files of objects, or more than %llu bytes "
                           "of them; its files can be taken without",
                           GIT_OBJECT_FILES_MAX, (unsigned long long)GIT_OBJECT_BYTES_MAX);
        r = add_object(worktree, objects, change->path, name, err);
        if (r == 0 && is_pack(name))
            r = make_index(between, name, err);
    }
    return r;
}

static int put_file(const char *between, const char *name, const struct buf *text, struct err *err)
{
    char path[PATH_SIZE + 32];
    snprintf(path, sizeof(path), "%s/%s", between, name);
    _cleanup_(cleanup_close) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || text->error || write(fd, text->data, text->len) != (ssize_t)text->len)
        return err_set_errno(err, text->error ? ENOMEM : errno, STEP_GIT, "write %s", path);
    return 0;
}

/* Where the host's history is cut off, it is so in between. */
static int put_shallow(const struct worktree *worktree, const char *prefix, const char *between,
                       struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(SHALLOW_MAX);
    char path[PATH_SIZE];
    struct stat status;
    snprintf(path, sizeof(path), "%sshallow", prefix);
    _cleanup_(cleanup_close) int fd = worktree_open_host(worktree, path, &status);
    int r = fd < 0 ? 0 : file_read_fd(fd, path, &text, err);
    return r < 0 || !text.len ? r : put_file(between, "shallow", &text, err);
}

static int put_files(const struct worktree *worktree, const char *prefix, const char *const *wanted,
                     size_t count, const char *between, struct err *err)
{
    _cleanup_(buf_release) struct buf config = BUF_INIT, head = BUF_INIT, refs = BUF_INIT;
    _cleanup_(buf_release) struct buf alternates = BUF_INIT;
    bool sha256 = strlen(wanted[0]) == 64;
    buf_addf(&config, "[core]\n\trepositoryformatversion = %d\n\tbare = true\n%s", sha256,
             sha256 ? "[extensions]\n\tobjectFormat = sha256\n" : "");
    buf_add_text(&head, "ref: refs/heads/none\n");
    buf_addf(&alternates, "%s/%sobjects\n", worktree->host_path, prefix);
    for (size_t i = 0; i < count; i++)
        buf_addf(&refs, "%s refs/take/%zu\n", wanted[i], i);
    int r = put_file(between, "config", &config, err);
    if (r == 0)
        r = put_file(between, "HEAD", &head, err);
    if (r == 0)
        r = put_file(between, "objects/info/alternates", &alternates, err);
    if (r == 0)
        r = put_file(between, "packed-refs", &refs, err);
    return r < 0 ? r : put_shallow(worktree, prefix, between, err);
}

static int make_between(const char *path, struct err *err)
{
    static const char *const folders[] = { "", "/objects", "/objects/info", "/objects/pack",
                                           "/refs" };
    char folder[PATH_SIZE + 32];
    int r = file_remove_tree(path, err);
    for (size_t i = 0; i < ARRAY_LEN(folders) && r == 0; i++) {
        snprintf(folder, sizeof(folder), "%s%s", path, folders[i]);
        r = file_make_folder(folder, err);
    }
    return r;
}

static int fetch(const struct worktree *worktree, const char *prefix, size_t count,
                 const char *between, struct err *err)
{
    static const char *const begin[] = { "fetch",
                                         "--quiet",
                                         "--no-tags",
                                         "--no-prune",
                                         "--no-write-fetch-head",
                                         "--no-auto-maintenance",
                                         "--no-recurse-submodules" };
    const char *arguments[ARRAY_LEN(begin) + GIT_WANTED_MAX + 2];
    char directory[PATH_SIZE], names[GIT_WANTED_MAX][16];
    size_t at = ARRAY_LEN(begin);
    struct git_call call = { .directory = directory, .arguments = arguments };
    memcpy(arguments, begin, sizeof(begin));
    arguments[at++] = between;
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof(names[i]), "refs/take/%zu", i);
        arguments[at++] = names[i];
    }
    arguments[at] = NULL;
    snprintf(directory, sizeof(directory), "%s/%s", worktree->host_path, prefix);
    return git_call(&call, NULL, err);
}

int git_take_objects(const struct worktree *worktree, const char *prefix, const char *const *wanted,
                     size_t count, struct err *err)
{
    char between[PATH_SIZE];
    assert(count && count <= GIT_WANTED_MAX);
    if (strchr(worktree->host_path, '\n') || strchr(prefix, '\n') || worktree->host_path[0] != '/')
        return err_set(err, ERR_USAGE, STEP_GIT, "git takes no path with a line feed in it");
    snprintf(between, sizeof(between), "%s/" BETWEEN, worktree->layer, (int)getpid());
    int r = make_between(between, err);
    if (r == 0)
        r = put_files(worktree, prefix, wanted, count, between, err);
    if (r == 0)
        r = add_objects(worktree, prefix, between, err);
    if (r == 0)
        r = fetch(worktree, prefix, count, between, err);
    (void)!file_remove_tree(between, NULL);
    return r;
}
