/*
 * git_apply: see the header.
 *
 * Theory of operation. The order is that nothing is half done where it fails: first the objects,
 * which nobody sees while no reference leads to them; then, by the caller, the files; then the
 * references of a repository, in one transaction of git's, each with the value that it must still
 * have; last, what is checked out. The index is read anew from the two commits, as `git checkout`
 * does without touching a file. That references and index can be written is tried with the objects,
 * before anything is changed. Whether
 * files are what it says is left to git's next look at them: comparing them may run filters, which
 * what was applied could choose among.
 */
#include "machine/git_apply_internal.h"
#include "machine/git_host.h"

#define EMPTY_TREE_SHA1   "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
#define EMPTY_TREE_SHA256 "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"
#define DIRECTORY_SIZE    (WORKTREE_PATH_SIZE + CHANGES_PATH_MAX)

int git_apply_plan(const struct worktree *worktree, const struct git_apply_options *options,
                   struct git_apply **ret, struct err *err)
{
    struct git_apply *apply = calloc(1, sizeof(*apply));
    if (!apply)
        return err_set(err, ERR_MEMORY, STEP_APPLY_GIT, "there is not enough memory");
    apply->worktree = worktree;
    apply->options = *options;
    int r = worktree->host < 0 || worktree->moved
                ? err_set(err, ERR_CONFLICT, STEP_APPLY_GIT,
                          "%s is another directory than the launch found", worktree->host_path)
                : git_refs_read(worktree, &apply->refs, err);
    if (r == 0)
        r = git_decide(apply, err);
    if (r < 0)
        git_apply_free(apply);
    else
        *ret = apply;
    return r;
}

const struct git_item *git_apply_items(const struct git_apply *apply, size_t *ret_count)
{
    *ret_count = apply ? apply->count : 0;
    return apply ? apply->items : NULL;
}

size_t git_apply_count(const struct git_apply *apply, enum apply_fate fate)
{
    size_t count = 0;
    for (size_t i = 0; apply && i < apply->count; i++)
        count += apply->items[i].fate == fate;
    return count;
}

size_t git_apply_left_out(const struct git_apply *apply)
{
    size_t count = 0;
    for (size_t i = 0; i < apply->refs.count; i++)
        count += apply->refs.items[i].left_out;
    return count;
}

bool git_apply_holds(const struct git_apply *apply, const char *path)
{
    for (size_t i = 0; i < apply->refs.count; i++)
        if (strncmp(path, apply->refs.items[i].prefix, strlen(apply->refs.items[i].prefix)) == 0)
            return true;
    return false;
}

void git_apply_free(struct git_apply *apply)
{
    if (!apply)
        return;
    git_refs_release(&apply->refs);
    arena_release(&apply->arena);
    free(apply->items);
    free(apply->moves);
    free(apply);
}

/* --- calling git --------------------------------------------------------------------------- */

static void write_directory(const struct git_apply *apply, size_t repository, const char *folder,
                            char ret[DIRECTORY_SIZE])
{
    snprintf(ret, DIRECTORY_SIZE, "%s/%s%s", apply->worktree->host_path,
             apply->refs.items[repository].prefix, folder);
    if (ret[strlen(ret) - 1] == '/')
        ret[strlen(ret) - 1] = '\0';
}

static void write_reason(const struct git_apply *apply, char ret[GIT_PREFIX_MAX])
{
    snprintf(ret, GIT_PREFIX_MAX, "agent-machine: applied %s", apply->options.name);
}

/* From what the host has checked out to what it will have; what is not the same stays staged. */
static int read_index(const struct git_apply *apply, const struct git_move *move, bool only_try,
                      struct err *err)
{
    char directory[DIRECTORY_SIZE];
    const char *empty = strlen(move->new) == 64 ? EMPTY_TREE_SHA256 : EMPTY_TREE_SHA1;
    const char *const arguments[] = { "read-tree", only_try ? "--dry-run" : "-q",    "-i",
                                      "-m",        move->old[0] ? move->old : empty, move->new,
                                      NULL };
    struct git_call call = { .directory = directory, .work = move->work, .arguments = arguments };
    struct err inner = { 0 };
    write_directory(apply, move->repository, move->head->folder, directory);
    int r = git_call(&call, NULL, &inner);
    return r == 0 ? 0
                  : err_set(err, inner.code, STEP_APPLY_GIT,
                            "the index of %s does not follow: %.700s; commit or unstage that, or "
                            "leave --head out",
                            move->work, inner.cause);
}

/* --- references ---------------------------------------------------------------------------- */

static void add_command(struct buf *input, const struct git_item *item)
{
    const char *old = item->old.kind == GIT_OBJECT ? item->old.text : NULL;
    if (item->new.kind == GIT_ABSENT)
        buf_addf(input, "delete %s %s\n", item->to, old ?: "");
    else if (old)
        buf_addf(input, "update %s %s %s\n", item->to, item->new.text, old);
    else
        buf_addf(input, "create %s %s\n", item->to, item->new.text);
}

/* All of a repository's, or none: git compares each with what it must still be, and swaps. */
static int move_refs(const struct git_apply *apply, size_t repository, bool only_try,
                     struct err *err)
{
    _cleanup_(buf_release) struct buf input = BUF_INIT;
    char directory[DIRECTORY_SIZE], reason[GIT_PREFIX_MAX];
    const char *const arguments[] = { "update-ref", "--no-deref", "-m", reason, "--stdin", NULL };
    struct git_call call = { .directory = directory, .arguments = arguments };
    buf_add_text(&input, "start\n");
    size_t before = input.len;
    for (size_t i = 0; i < apply->count; i++)
        if (apply->items[i].repository == repository && apply->items[i].fate == FATE_TAKEN &&
            strcmp(apply->items[i].to, "HEAD") != 0)
            add_command(&input, &apply->items[i]);
    if (input.len == before)
        return 0;
    buf_addf(&input, "prepare\n%s\n", only_try ? "abort" : "commit");
    if (input.error)
        return err_set(err, ERR_MEMORY, STEP_APPLY_GIT, "there is not enough memory");
    call.input = buf_str(&input);
    write_directory(apply, repository, "", directory);
    write_reason(apply, reason);
    return git_call(&call, NULL, err);
}

/* --- objects ------------------------------------------------------------------------------- */

static int take_objects(struct git_apply *apply, size_t repository, struct err *err)
{
    const char **wanted = calloc(apply->count + 1, sizeof(*wanted));
    size_t count = 0;
    if (!wanted)
        return err_set(err, ERR_MEMORY, STEP_APPLY_GIT, "there is not enough memory");
    for (size_t i = 0; i < apply->count; i++) {
        const struct git_item *item = &apply->items[i];
        if (item->repository == repository && item->fate == FATE_TAKEN &&
            item->new.kind == GIT_OBJECT)
            wanted[count++] = item->new.text;
    }
    int r = count > GIT_WANTED_MAX
                ? err_set(err, ERR_LIMIT, STEP_APPLY_GIT,
                          "more than %d references are taken; take them in parts", GIT_WANTED_MAX)
            : count ? git_take_objects(apply->worktree, apply->refs.items[repository].prefix,
                                       wanted, count, err)
                    : 0;
    free(wanted);
    return r;
}

/* The run's commit must have the host's in its history, so that none is lost. */
static int check_follows(const struct git_apply *apply, const struct git_item *item,
                         struct err *err)
{
    char directory[DIRECTORY_SIZE];
    const char *const arguments[] = { "merge-base", "--is-ancestor", item->old.text, item->new.text,
                                      NULL };
    const struct git_call call = { .directory = directory, .arguments = arguments };
    struct err inner = { 0 };
    write_directory(apply, item->repository, "", directory);
    int r = git_call(&call, NULL, &inner);
    if (r < 0 && inner.code == ERR_CONFLICT)
        return err_set(err, ERR_CONFLICT, STEP_APPLY_GIT,
                       "where %s stood at the launch is not known any more, and the run's commits "
                       "do not go on from the host's, so nothing is applied: --ours keeps the "
                       "host's, --theirs takes the run's, --commits takes it beside",
                       item->path);
    if (r < 0 && err)
        *err = inner;
    return r;
}

int git_apply_objects(struct git_apply *apply, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < apply->refs.count && r == 0; i++)
        r = take_objects(apply, i, err);
    for (size_t i = 0; i < apply->count && r == 0; i++)
        if (apply->items[i].follows && apply->items[i].fate == FATE_TAKEN)
            r = check_follows(apply, &apply->items[i], err);
    for (size_t i = 0; i < apply->refs.count && r == 0; i++)
        r = move_refs(apply, i, true, err);
    for (size_t i = 0; i < apply->move_count && r == 0; i++)
        r = read_index(apply, &apply->moves[i], true, err);
    return r;
}

/* --- what is checked out ------------------------------------------------------------------- */

/* Whether it leads to the branch that it led to, or still to none: then the commit is compared. */
static bool is_head_still(const struct git_apply *apply, const struct git_move *move)
{
    static const char *const arguments[] = { "symbolic-ref", "-q", "HEAD", NULL };
    _cleanup_(buf_release) struct buf branch = BUF_INIT;
    char directory[DIRECTORY_SIZE];
    const struct git_call call = { .directory = directory, .arguments = arguments };
    const struct git_value *host = &move->head->host;
    write_directory(apply, move->repository, move->head->folder, directory);
    if (git_call(&call, &branch, NULL) < 0)
        return host->kind == GIT_OBJECT;
    buf_truncate(&branch, branch.len - (branch.len > 0));
    return host->kind == GIT_SYMBOLIC && str_equal(buf_str(&branch), str_from(host->text));
}

/* HEAD itself; then the index follows. */
static int check_out(struct git_apply *apply, const struct git_move *move, struct err *err)
{
    char directory[DIRECTORY_SIZE], reason[GIT_PREFIX_MAX];
    bool detached = move->at && move->at->new.kind == GIT_OBJECT;
    const char *const to_branch[] = {
        "symbolic-ref", "-m", reason, "HEAD", move->at ? move->at->new.text : "", NULL
    };
    const char *const to_commit[] = { "update-ref", "--no-deref", "-m",      reason,
                                      "HEAD",       move->new,    move->old, NULL };
    struct git_call call = { .directory = directory,
                             .work = move->work,
                             .arguments = detached ? to_commit : to_branch };
    write_directory(apply, move->repository, move->head->folder, directory);
    write_reason(apply, reason);
    int r = 0;
    if (move->at && !is_head_still(apply, move))
        return err_set(err, ERR_CONFLICT, STEP_APPLY_GIT,
                       "HEAD of %s has been moved meanwhile; all else is applied", move->work);
    if (move->at)
        r = git_call(&call, NULL, err);
    return r < 0 || strcmp(move->old, move->new) == 0 ? r : read_index(apply, move, false, err);
}

int git_apply_refs(struct git_apply *apply, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < apply->refs.count && r == 0; i++)
        r = move_refs(apply, i, false, err);
    for (size_t i = 0; i < apply->move_count && r == 0; i++)
        r = check_out(apply, &apply->moves[i], err);
    return r;
}
