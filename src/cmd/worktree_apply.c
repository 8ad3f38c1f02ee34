/*
 * worktree_apply: takes a change set, or throws it away.
 *
 * What becomes of each change is planned first, with nothing written. Then the plane records what
 * the person decided, and calls back to have it done.
 */
#include "cmd/worktree_taking.h"

#include "cmd/tell.h"
#include "cmd/worktree.h"
#include "contract/rules.h"
#include "machine/held.h"
#include "machine/run_folder.h"
#include "plane/change_set.h"
#include "plane/held_ask.h"

#define STEP_TAKE      "take a change set"
#define HELD_PATHS_MAX 10000 /* as the command's schema has it */

enum { DISCARD_REASON };

const struct option_row worktree_apply_options[WORKTREE_APPLY_OPTIONS] = {
    [APPLY_DRY_RUN] = { "dry-run", 'n', NULL, "say what would become of each change" },
    [APPLY_TO] = { "to", 0, "DIR", "apply to another tree than the run's own" },
    [APPLY_OPTION_OURS] = { "ours", 0, NULL, "where the host has changed it too, keep the host's" },
    [APPLY_OPTION_THEIRS] = { "theirs", 0, NULL,
                              "where the host has changed it too, take the run's" },
    [APPLY_OPTION_MERGE] = { "merge", 0, NULL,
                             "where the host has changed it too, merge, with conflict markers" },
    [APPLY_INCLUDE_HELD] = { "include-held", 0, NULL, "take what is held apart too" },
    [APPLY_COMMITS] = { "commits", 0, NULL, "take the run's commits as branches, and no files" },
    [APPLY_HEAD] = { "head", 0, NULL, "move what is checked out too, HEAD and its branch" },
    [APPLY_PATCH] = { "patch", 'p', NULL, "ask about each place that differs" },
    [APPLY_REASON] = { "reason", 0, "TEXT", "why, for the record" },
    [APPLY_JSON] = { "json", 'j', NULL, "print what became of each change as JSON" },
};

const struct option_row worktree_discard_options[WORKTREE_DISCARD_OPTIONS] = {
    [DISCARD_REASON] = { "reason", 0, "TEXT", "why, for the record" },
};

/* --- opening ------------------------------------------------------------------------------- */

/* What a dead process began to apply comes first. */
static int recover_begun(const char *folder, struct err *err)
{
    struct change_set_recovered counts = { 0 };
    int r = change_set_recover(folder, &counts, err);
    if (counts.completed + counts.undone)
        fprintf(stderr, "agent-machine: what was begun earlier was %s\n",
                counts.completed ? "completed" : "undone");
    return r;
}

/* ERR_DAMAGED where the lists are not those that the run's end recorded. */
static int check_digest(struct taking *taking, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct change_sum sum = CHANGE_SUM_INIT;
    int64_t revision;
    for (size_t i = 0; i < taking->set.mount_count; i++)
        if (taking->set.mounts[i].recorded)
            change_sum_add_digest(&sum, taking->set.mounts[i].digest);
    size_t lists = sum.lists;
    int r = change_sum_end(&sum, err);
    if (r < 0 || !lists)
        return r;
    r = ledger_get_document(plane_ledger(taking->plane), str_from(taking->set.run.urn), &text,
                            &revision, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    if (r < 0)
        return r;
    const yyjson_val *artifact =
        change_set_artifact(yyjson_doc_get_root(doc), change_set_name(&taking->set));
    if (text_is(member(artifact, "digest"), sum.digest))
        return 0;
    return err_set(err, ERR_DAMAGED, STEP_TAKE,
                   "the list of what the run changed is not the one that was recorded");
}

static int open_set(struct taking *taking, struct err *err)
{
    const struct invocation *invocation = taking->invocation;
    struct runs_one run;
    int r =
        change_set_find(taking->plane, invocation->operands, invocation->operand_count, &run, err);
    if (r >= 0)
        r = recover_begun(run.folder, err);
    if (r == 0)
        r = change_set_open(taking->plane, invocation->operands, invocation->operand_count,
                            &taking->set, err);
    taking->is_open = r == 0;
    if (r == 0)
        r = change_set_read_usual(taking->plane, &taking->set, err);
    return r < 0 ? r : check_digest(taking, err);
}

static void release(struct taking *taking)
{
    for (size_t i = 0; i < PLAN_MOUNTS_MAX; i++)
        worktree_apply_free(taking->plans[i]);
    for (size_t i = 0; i < PLAN_MOUNTS_MAX; i++)
        git_apply_free(taking->gits[i]);
    redact_scanner_free(taking->scanner);
    hunks_free(taking->hunks);
    if (taking->is_open)
        change_set_close(&taking->set);
    plane_close(taking->plane);
}

/* --- planning ------------------------------------------------------------------------------ */

bool taking_chooses(void *context, const char *path)
{
    struct taking *taking = context;
    return change_set_chooses(&taking->set, taking->mount, path) &&
           !(taking->hunks && hunks_leave(taking->hunks, taking->mount, path));
}

static bool taking_is_let(const struct taking *taking, const char *path)
{
    _cleanup_(buf_release) struct buf name = BUF_INIT;
    struct err unread = { 0 };
    buf_addf(&name, "%s/%s", taking->set.mounts[taking->mount].host_path, path);
    return held_ask_allows(taking->plane, str_from(taking->set.run.urn), buf_str(&name), &unread) >
           0;
}

bool taking_names(void *context, const char *path)
{
    const struct taking *taking = context;
    for (size_t i = 0; i < taking->set.path_count; i++)
        if (taking->set.paths[i].mount == taking->mount &&
            strcmp(taking->set.paths[i].path, path) == 0)
            return true;
    return taking_is_let(taking, path); /* or answered the card that asks about it */
}

static int read_strategy(const struct invocation *invocation, enum apply_strategy *ret,
                         struct err *err)
{
    static const enum apply_strategy strategies[] = { [APPLY_OPTION_OURS] = APPLY_OURS,
                                                      [APPLY_OPTION_THEIRS] = APPLY_THEIRS,
                                                      [APPLY_OPTION_MERGE] = APPLY_MERGE };
    size_t given = 0;
    *ret = APPLY_REFUSE;
    for (size_t i = APPLY_OPTION_OURS; i <= APPLY_OPTION_MERGE; i++)
        if (invocation->values[i]) {
            *ret = strategies[i];
            given++;
        }
    return given <= 1 ? 0
                      : err_set(err, ERR_USAGE, STEP_TAKE,
                                "--ours, --theirs and --merge exclude one another");
}

static int plan(struct taking *taking, struct err *err)
{
    const struct invocation *invocation = taking->invocation;
    struct apply_options options = { .target = invocation->values[APPLY_TO],
                                     .include_held = invocation->values[APPLY_INCLUDE_HELD],
                                     .name = change_set_name(&taking->set),
                                     .chooses = taking_chooses,
                                     .names = taking_names,
                                     .context = taking };
    int r = read_strategy(invocation, &options.strategy, err);
    if (r == 0 && options.target && taking->set.mount_count > 1)
        r = err_set(err, ERR_USAGE, STEP_TAKE,
                    "the change set is of several directories, and --to names one");
    if (r == 0 && !taking->scanner)
        r = redact_scanner_new(&taking->scanner, err);
    options.scanner = taking->scanner;
    for (size_t i = 0; i < taking->set.mount_count && r == 0; i++) {
        taking->mount = i;
        r = worktree_apply_plan(&taking->set.mounts[i], &options, &taking->plans[i], err);
    }
    if (r == 0 && !taking->elsewhere && !taking->hunks && !invocation->values[APPLY_PATCH])
        r = taking_plan_git(taking, options.strategy, err);
    return r < 0 ? r : change_set_check_found(&taking->set, err);
}

/* --- doing --------------------------------------------------------------------------------- */

/* Whether the host has all of it now. */
static bool is_whole(const struct taking *taking)
{
    for (enum apply_fate fate = 0; fate < APPLY_FATE_COUNT; fate++)
        if (fate != FATE_DONE && fate != FATE_TAKEN && fate != FATE_MERGED && fate != FATE_MARKED &&
            taking_count(taking, fate))
            return false;
    return !taking->elsewhere && !taking->hunks && !taking->takes_commits;
}

/* Behind the files: where git could write all of it a moment ago, and cannot now. */
static int move_refs(struct taking *taking, size_t applied, struct err *err)
{
    struct err inner = { 0 };
    int r = taking_each_git(taking, git_apply_refs, &inner);
    if (r < 0 && applied)
        return err_set(err, inner.code, STEP_TAKE,
                       "the files are applied, and not all references: %s; the same command again "
                       "does the rest",
                       inner.cause);
    if (r < 0 && err)
        *err = inner;
    return r;
}

static int admission(void *context, bool *ret_whole, struct err *err)
{
    struct taking *taking = context;
    bool gone = true, all_gone = true;
    size_t applied = 0;
    int r = taking_each_git(taking, git_apply_objects, err);
    for (size_t i = 0; i < taking->set.mount_count && r == 0; i++) {
        taking->mount = i;
        if (taking->discards)
            r = worktree_discard(&taking->set.mounts[i], taking_chooses, taking, &gone, err);
        else if (taking->plans[i])
            r = worktree_apply_run(taking->plans[i], err);
        for (enum apply_fate fate = 0; taking->plans[i] && fate < APPLY_FATE_COUNT; fate++)
            applied += fate == FATE_TAKEN || fate == FATE_MERGED || fate == FATE_MARKED
                           ? worktree_apply_count(taking->plans[i], fate)
                           : 0;
        all_gone = all_gone && gone;
    }
    if (r == 0)
        r = move_refs(taking, applied, err);
    taking->whole = taking->discards ? all_gone : is_whole(taking);
    *ret_whole = taking->whole;
    if (r == 0 && !taking->whole && !taking->discards)
        r = taking_discard_git_data(taking, &all_gone, err);
    if (r == 0 && taking->takes_commits)
        taking->whole = all_gone;
    return r;
}

static int add_held(struct str *held, size_t *count, const char *path, struct err *err)
{
    if (*count == HELD_PATHS_MAX)
        return err_set(err, ERR_LIMIT, STEP_TAKE,
                       "more than %d changes are held apart; take them in parts", HELD_PATHS_MAX);
    held[(*count)++] = str_from(path);
    return 0;
}

/* What is held apart and was taken all the same. */
static int gather_held(const struct taking *taking, struct str *held, size_t *ret_count,
                       struct err *err)
{
    int r = 0;
    *ret_count = 0;
    for (size_t i = 0; i < taking->set.mount_count && r == 0; i++) {
        size_t items, refs;
        const struct apply_item *item =
            taking->plans[i] ? worktree_apply_items(taking->plans[i], &items) : NULL;
        const struct git_item *ref = git_apply_items(taking->gits[i], &refs);
        for (; item && items && r == 0; items--, item++)
            if (item->rule && item->fate != FATE_HELD && item->fate != FATE_NOT_CHOSEN)
                r = add_held(held, ret_count, item->change->path, err);
        for (; refs && r == 0; refs--, ref++)
            if (ref->rule && ref->fate != FATE_HELD && ref->fate != FATE_NOT_CHOSEN)
                r = add_held(held, ret_count, ref->path, err);
    }
    return r;
}

static int submit(struct taking *taking, const char *reason, struct err *err)
{
    _cleanup_(buf_release) struct buf command = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    _cleanup_(cleanup_free) struct str *held = calloc(HELD_PATHS_MAX, sizeof(*held));
    struct str paths[CHANGE_SET_PATHS_MAX];
    struct outcome outcome;
    struct change_set_request request = {
        .operation = str_from(taking->set.run.urn),
        .to = taking->discards                             ? ADMISSION_REJECTED
              : taking->elsewhere || taking->takes_commits ? ADMISSION_ADMITTED
                                                           : ADMISSION_ACTIVATED,
        .paths = paths,
        .path_count = taking->set.path_count,
        .held = held,
        .reason = str_from(reason ? reason : ""),
    };
    for (size_t i = 0; i < taking->set.path_count; i++)
        paths[i] = str_from(taking->set.paths[i].path);
    int r = held ? gather_held(taking, held, &request.held_count, err)
                 : err_set(err, ERR_MEMORY, STEP_TAKE, "there is not enough memory");
    if (r == 0)
        r = plane_write_change_set(taking->plane, &request, &command, err);
    return r < 0 ? r : plane_submit(taking->plane, buf_str(&command), NULL, &outcome, err);
}

static int open_plane(struct taking *taking, struct err *err)
{
    struct plane_options options = { .mode = LEDGER_WRITE,
                                     .admission = admission,
                                     .admission_context = taking };
    struct recovered recovered;
    int r = op_open_with(&options, &taking->plane, err);
    return r < 0 ? r : plane_recover(taking->plane, &recovered, err);
}

/* Plans anew, with what the person chose. */
static int choose_hunks(struct taking *taking, struct err *err)
{
    if (!isatty(STDIN_FILENO) || taking->takes_commits)
        return err_set(err, ERR_USAGE, STEP_TAKE, "--patch asks on a terminal, about files");
    int r = hunks_ask(taking, err);
    for (size_t i = 0; i < taking->set.mount_count; i++)
        worktree_apply_free(TAKE_PTR(taking->plans[i]));
    if (r == 0)
        r = plan(taking, err);
    return r < 0 ? r : hunks_fill(taking, err);
}

/* A person is asked about what is held, so that it can be answered for apart from the rest. */
static int ask_about_held(struct taking *taking, struct err *err)
{
    struct held_file files[HELD_CARDS_MAX];
    size_t count = 0, items;
    for (size_t i = 0; i < taking->set.mount_count; i++) {
        const struct apply_item *item =
            taking->plans[i] ? worktree_apply_items(taking->plans[i], &items) : NULL;
        for (; item && items && count < HELD_CARDS_MAX; items--, item++)
            if (item->fate == FATE_HELD && item->rule && !item->never)
                files[count++] = (struct held_file){ item->change, taking->set.mounts[i].host_path,
                                                     item->rule, item->why };
    }
    return held_ask_rest(taking->plane, str_from(taking->set.run.urn), files, count,
                         &taking->held_cards, err);
}

/* 1 where it was done. */
static int take(struct taking *taking, struct err *err)
{
    const char *const *values = taking->invocation->values;
    int r = open_plane(taking, err);
    if (r == 0)
        r = open_set(taking, err);
    if (r == 0 && taking->takes_commits)
        r = taking_plan_commits(taking, err);
    else if (r == 0)
        r = plan(taking, err);
    if (r == 0 && values[APPLY_PATCH] && !taking_count(taking, FATE_CONFLICT))
        r = choose_hunks(taking, err);
    if (r < 0 || values[APPLY_DRY_RUN] || taking_count(taking, FATE_CONFLICT))
        return r;
    r = submit(taking, values[APPLY_REASON], err);
    if (r == 0 && taking->whole)
        run_folder_clear(taking->set.run.folder, true);
    else if (r == 0 && !taking->elsewhere && !taking->takes_commits)
        r = ask_about_held(taking, err);
    return r < 0 ? r : 1;
}

int worktree_run_apply(const struct invocation *invocation)
{
    struct taking *taking = calloc(1, sizeof(*taking));
    struct err err = { 0 };
    if (!taking)
        return EXIT_NEGATIVE;
    taking->invocation = invocation;
    taking->elsewhere = invocation->values[APPLY_TO];
    taking->takes_commits = invocation->values[APPLY_COMMITS];
    int r = take(taking, &err);
    int status = r < 0 ? tell_error(invocation, &err) : EXIT_OK;
    if (r >= 0 && taking->takes_commits)
        status = taking_tell_commits(taking);
    else if (r >= 0)
        status = taking_tell(taking, r > 0);
    release(taking);
    free(taking);
    return status;
}

int worktree_run_discard(const struct invocation *invocation)
{
    struct taking *taking = calloc(1, sizeof(*taking));
    struct err err = { 0 };
    bool recorded = false;
    if (!taking)
        return EXIT_NEGATIVE;
    taking->invocation = invocation;
    taking->discards = true;
    int r = open_plane(taking, &err);
    if (r == 0)
        r = open_set(taking, &err);
    for (size_t i = 0; taking->is_open && i < taking->set.mount_count; i++) {
        recorded = recorded || taking->set.mounts[i].recorded;
        for (size_t j = 0; j < taking->set.mounts[i].changes.count; j++)
            change_set_chooses(&taking->set, i, taking->set.mounts[i].changes.items[j].path);
    }
    if (r == 0)
        r = change_set_check_found(&taking->set, &err);
    if (r == 0 && recorded)
        r = submit(taking, invocation->values[DISCARD_REASON], &err);
    else if (r == 0) /* a killed run's: nothing says what it was */
        r = admission(taking, &taking->whole, &err);
    if (r == 0 && taking->whole)
        run_folder_clear(taking->set.run.folder, true);
    int status = r < 0 ? tell_error(invocation, &err) : EXIT_OK;
    release(taking);
    free(taking);
    return status;
}
