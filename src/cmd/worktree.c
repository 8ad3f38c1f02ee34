/* worktree: the change sets that runs have left. */
#include "cmd/worktree.h"

#include "base/json.h"
#include "cmd/change_set.h"
#include "cmd/tell.h"

enum { OPTION_JSON };

static const struct option_row options[] = {
    [OPTION_JSON] = { "json", 'j', NULL, "print JSON" },
};

/* --- status ---------------------------------------------------------------------------------- */

/* Leaves in a list what was chosen. */
static void choose(struct change_set *set, size_t mount)
{
    struct changes *changes = &set->mounts[mount].changes;
    size_t left = 0;
    for (size_t i = 0; i < changes->count; i++)
        if (change_set_chooses(set, mount, changes->items[i].path))
            changes->items[left++] = changes->items[i];
    changes->count = left;
}

static void print_mount(const struct worktree *worktree, bool as_json, bool first)
{
    struct buf out = BUF_INIT_LIMIT(CHANGES_TEXT_MAX);
    if (as_json) {
        buf_addf(&out, "%s{\"hostPath\":", first ? "" : ",");
        json_add_string(&out, str_from(worktree->host_path));
        buf_addf(&out, ",\"digest\":\"%s\",\"changes\":", worktree->digest);
        changes_write(&worktree->changes, &out);
        buf_add_char(&out, '}');
    } else {
        changes_write_lines(&worktree->changes, &out);
    }
    fwrite(out.data, 1, out.len, stdout);
    buf_release(&out);
}

static int print_status(const struct invocation *invocation, struct plane *plane, struct err *err)
{
    bool as_json = invocation->values[OPTION_JSON];
    struct change_set set;
    size_t shown = 0;
    int r = change_set_open(plane, invocation->operands, invocation->operand_count, &set, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < set.mount_count; i++)
        choose(&set, i);
    r = change_set_check_found(&set, err);
    fputs(as_json ? "[" : "", stdout);
    for (size_t i = 0; i < set.mount_count && r == 0; i++)
        if (set.mounts[i].changes.count)
            print_mount(&set.mounts[i], as_json, shown++ == 0);
    fputs(as_json ? "]\n" : "", stdout);
    if (r == 0 && !shown && !as_json)
        puts("nothing changed, or nothing was kept");
    change_set_close(&set);
    return r;
}

static int run_status(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct err err = { 0 };
    int r = runs_open(&plane, &err);
    if (r == 0)
        r = print_status(invocation, plane, &err);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

static const struct verb verbs[] = {
    {
        .name = "list",
        .summary = "List the change sets that are kept",
        .description =
            "Prints each change set of which something is neither taken nor thrown away: its id, "
            "whether it is pending (nothing was taken), admitted (parts were, or it was taken "
            "elsewhere) or unrecorded (the host went down while it ran: `export` alone serves), "
            "its "
            "age, the bytes of what it adds and modifies, and where.\n\n"
            "A kept one stays until somebody takes it or throws it away. A profile says how many "
            "there may be (worktreePlane.keptChangeSets); where that is reached, a run that would "
            "leave another one is refused.",
        .options = worktree_list_options,
        .option_count = WORKTREE_LIST_OPTIONS,
        .run = worktree_run_list,
    },
    {
        .name = "gc",
        .summary = "Remove what is left of change sets that are done with",
        .description =
            "A crash may leave the files of a change set that was taken or thrown away, or folders "
            "of runs that changed nothing. They are removed, and named. What is kept (see "
            "`worktree "
            "list`) is never touched, nor is a run that goes on, nor a log.",
        .options = worktree_gc_options,
        .option_count = WORKTREE_GC_OPTIONS,
        .run = worktree_run_gc,
    },
    {
        .name = "status",
        .operands = WORKTREE_OPERANDS,
        .operands_max = WORKTREE_OPERANDS_MAX,
        .summary = "Show what a run changed",
        .description = "Prints each path that a run added, modified or deleted, and that the "
                       "host's tree has not so yet.\n\n" WORKTREE_NAMING,
        .options = options,
        .option_count = ARRAY_LEN(options),
        .run = run_status,
    },
    {
        .name = "diff",
        .operands = WORKTREE_OPERANDS,
        .operands_max = WORKTREE_OPERANDS_MAX,
        .summary = "Show what a run changed, line by line",
        .description = "Prints the changes as `git diff` does, against what the launch found. On "
                       "a terminal it is coloured, goes through $PAGER, and control characters are "
                       "escaped; elsewhere it is a patch.\n\n"
                       "With --held it prints the paths that `apply` would hold apart, each with "
                       "the reason.\n\n" WORKTREE_NAMING,
        .options = worktree_diff_options,
        .option_count = WORKTREE_DIFF_OPTIONS,
        .run = worktree_run_diff,
    },
    {
        .name = "export",
        .operands = WORKTREE_OPERANDS,
        .operands_max = WORKTREE_OPERANDS_MAX,
        .summary = "Write a change set as a patch for git",
        .description = "Writes a patch that `git apply` takes, with the contents of all files, "
                       "also of those that are no text. Changes below .git, empty directories and "
                       "permissions other than whether a file is executable are no part of "
                       "it.\n\n" WORKTREE_NAMING,
        .options = worktree_export_options,
        .option_count = WORKTREE_EXPORT_OPTIONS,
        .run = worktree_run_export,
    },
    {
        .name = "apply",
        .operands = WORKTREE_OPERANDS,
        .operands_max = WORKTREE_OPERANDS_MAX,
        .summary = "Take what a run changed into the host's tree",
        .description =
            "Applies a change set, or those paths of it, to the tree that the run saw: as a whole "
            "or not at all. A crash leaves a journal, by which the next command or `recover` "
            "completes what had begun, or undoes it.\n\n"
            "Where the host has changed the same since the launch that is a conflict, and nothing "
            "is applied until --ours, --theirs or --merge says what to do.\n\n"
            "What the host would execute or trust by itself is held apart, with the reason: git's "
            "hooks and configuration, settings of editors and agents, CI definitions, scripts of "
            "packages, new programs, links that lead out, secrets. It is applied only where its "
            "own path is given, or with --include-held.\n\n"
            "What the run did in git comes as references, whose objects the host's git checks: new "
            "branches and tags, and branches that the host has not moved. What is checked out "
            "moves with --head alone; --commits takes the branches beside the host's.\n\n"
            "The exit status is 1 where there are conflicts, or markers to "
            "resolve.\n\n" WORKTREE_NAMING,
        .options = worktree_apply_options,
        .option_count = WORKTREE_APPLY_OPTIONS,
        .run = worktree_run_apply,
    },
    {
        .name = "discard",
        .operands = "CHANGESET [PATH...]",
        .operands_min = 1,
        .operands_max = WORKTREE_OPERANDS_MAX,
        .summary = "Throw away what a run changed",
        .description = "Removes a change set, or takes those paths out of it. The host's tree is "
                       "as it was.",
        .options = worktree_discard_options,
        .option_count = WORKTREE_DISCARD_OPTIONS,
        .run = worktree_run_discard,
    },
};

const struct verb verb_worktree = {
    .name = "worktree",
    .summary = "Look at what runs have changed, and take it",
    .description = "Change sets: what runs wrote in the directories that were staged for them.",
    .verbs = verbs,
    .verb_count = ARRAY_LEN(verbs),
};
