/* worktree_diff: a change set as people read it, and as `git apply` takes it. */
#include "machine/worktree_diff.h"

#include "cmd/change_set.h"
#include "cmd/pager.h"
#include "cmd/tell.h"
#include "cmd/worktree.h"
#include "machine/held.h"

#define STEP_DIFF "write a patch"

enum { OPTION_HELD, OPTION_BINARY, OPTION_NO_PAGER };
enum { OPTION_PATCH, OPTION_OUTPUT };

const struct option_row worktree_diff_options[WORKTREE_DIFF_OPTIONS] = {
    [OPTION_HELD] = { "held", 0, NULL, "print what is held apart, and why" },
    [OPTION_BINARY] = { "binary", 0, NULL, "print the contents of files that are no text too" },
    [OPTION_NO_PAGER] = { "no-pager", 0, NULL, "print it all at once" },
};

const struct option_row worktree_export_options[WORKTREE_EXPORT_OPTIONS] = {
    [OPTION_PATCH] = { "patch", 0, NULL, "as a patch for `git apply`, which is the one form" },
    [OPTION_OUTPUT] = { "output", 'o', "FILE", "write it there, and not to standard output" },
};

struct chooser {
    struct change_set *set;
    size_t mount;
};

static bool chooses(void *context, const char *path)
{
    const struct chooser *chooser = context;
    return change_set_chooses(chooser->set, chooser->mount, path);
}

static int write_out(void *context, struct str bytes, struct err *err)
{
    return fwrite(bytes.ptr, 1, bytes.len, context) == bytes.len
               ? 0
               : err_set_errno(err, errno, STEP_DIFF, "standard output");
}

static int write_mounts(struct change_set *set, struct worktree_diff *diff, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < set->mount_count && r == 0; i++) {
        struct chooser chooser = { set, i };
        diff->chooses = chooses;
        diff->chooses_context = &chooser;
        r = worktree_diff(&set->mounts[i], diff, err);
    }
    return r < 0 ? r : change_set_check_found(set, err);
}

static void note(size_t count, const char *one, const char *many)
{
    if (count)
        fprintf(stderr, "agent-machine: %zu %s\n", count, count == 1 ? one : many);
}

/* What is not in it, where that might be missed. */
static void tell_rest(const struct worktree_diff *diff)
{
    note(diff->of_git, "change below .git is not shown", "changes below .git are not shown");
    note(diff->special, "device, pipe or socket is not shown",
         "devices, pipes or sockets are not shown");
    note(diff->host_moved,
         "file is compared with what the host has now: it has changed since the launch",
         "files are compared with what the host has now: they have changed since the launch");
}

/* Each path that is held apart, with its reason. */
static int print_held(struct plane *plane, struct change_set *set, struct err *err)
{
    struct redact_scanner *scanner = NULL;
    int r = change_set_read_usual(plane, set, err);
    if (r == 0)
        r = redact_scanner_new(&scanner, err);
    for (size_t i = 0; i < set->mount_count && r == 0; i++) {
        const struct changes *changes = &set->mounts[i].changes;
        for (size_t j = 0; j < changes->count && r == 0; j++) {
            struct held held = { 0 };
            const char *path = changes->items[j].path;
            if (!change_set_chooses(set, i, path))
                continue;
            r = held_look(&set->mounts[i], &changes->items[j], scanner, &held, err);
            if (r < 0 || !held.rule)
                continue;
            tell_text(stdout, path);
            printf(": %s%s\n", held.reason, held.never ? " (never applied)" : "");
        }
    }
    redact_scanner_free(scanner);
    return r < 0 ? r : change_set_check_found(set, err);
}

/* Without a diff, what is held. */
static int write_set(const struct invocation *invocation, struct worktree_diff *diff,
                     struct err *err)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct change_set set;
    int r = runs_open(&plane, err);
    if (r == 0)
        r = change_set_open(plane, invocation->operands, invocation->operand_count, &set, err);
    if (r < 0)
        return r;
    r = diff ? write_mounts(&set, diff, err) : print_held(plane, &set, err);
    change_set_close(&set);
    return r;
}

int worktree_run_diff(const struct invocation *invocation)
{
    struct patch_style style = { .binary = invocation->values[OPTION_BINARY],
                                 .for_people = isatty(STDOUT_FILENO),
                                 .colour = tell_colour(stdout, COLOUR_DIM)[0] };
    struct worktree_diff diff = { .style = &style, .sink = write_out, .sink_context = stdout };
    struct pager pager = { .terminal = -1 };
    struct err err = { 0 };
    if (!invocation->values[OPTION_NO_PAGER])
        pager_begin(&pager);
    int r = write_set(invocation, invocation->values[OPTION_HELD] ? NULL : &diff, &err);
    bool paged = pager.pid > 0, closed = ferror(stdout);
    pager_end(&pager);
    if (r < 0 && !(paged && closed))
        return tell_error(invocation, &err);
    tell_rest(&diff);
    return EXIT_OK;
}

int worktree_run_export(const struct invocation *invocation)
{
    const char *path = invocation->values[OPTION_OUTPUT];
    struct patch_style style = { .binary = true };
    struct err err = { 0 };
    FILE *out = path ? fopen(path, "wxe") : stdout;
    if (!out) {
        err_set_errno(&err, errno, STEP_DIFF, "%s", path);
        return tell_error(invocation, &err);
    }
    struct worktree_diff diff = { .style = &style, .sink = write_out, .sink_context = out };
    int r = write_set(invocation, &diff, &err);
    if (path && fclose(out) != 0 && r == 0)
        r = err_set_errno(&err, errno, STEP_DIFF, "%s", path);
    if (r < 0)
        return tell_error(invocation, &err);
    tell_rest(&diff);
    return EXIT_OK;
}
