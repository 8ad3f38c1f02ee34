/* worktree: the change sets that runs have left. */
#include <dirent.h>

#include "base/json.h"
#include "base/place.h"
#include "cmd/op.h"
#include "cmd/tell.h"
#include "contract/rules.h"
#include "machine/plan.h"
#include "machine/worktree.h"

#define STEP_WORKTREE "read a change set"
#define RUN_PATH_MAX  (PLACE_SIZE + PLANE_URN_MAX + 64)

enum { OPTION_JSON };

static const struct option_row options[] = {
    [OPTION_JSON] = { "json", 'j', NULL, "print JSON" },
};

/* --- what a run's fingerprint says of its mounts --------------------------------------------- */

static int read_fingerprint(struct plane *plane, const char *run, yyjson_doc **ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    char urn[PLANE_URN_MAX];
    int64_t revision;
    op_urn("agent-machine-fingerprint", run, urn);
    int r = ledger_get_document(plane_ledger(plane), str_from(urn), &text, &revision, err);
    if (r == -ENOENT)
        return err_set(err, ERR_NOT_FOUND, STEP_WORKTREE, "there is no run %s", run);
    return r < 0 ? r : json_read(buf_str(&text), &json_limits_default, ret, err);
}

/* --- status ---------------------------------------------------------------------------------- */

static int print_mount(const char *folder, size_t index, const yyjson_val *mount, bool as_json,
                       size_t *count, struct err *err)
{
    struct changes changes;
    struct buf out = BUF_INIT;
    char layer[RUN_PATH_MAX + 32], host[PLACE_SIZE];
    snprintf(layer, sizeof(layer), "%s/%zu", folder, index);
    snprintf(host, sizeof(host), "%.*s", STR_ARG(text_of(member(mount, "hostPath"))));
    int r = worktree_changes(layer, host, &changes, err);
    if (r < 0)
        return r;
    if (changes.count && as_json) {
        buf_addf(&out, "%s{\"hostPath\":", *count ? "," : "");
        json_add_string(&out, text_of(member(mount, "hostPath")));
        buf_addf(&out, ",\"digest\":\"%s\",\"changes\":", changes.digest);
        changes_write(&changes, &out);
        buf_add_char(&out, '}');
    } else if (changes.count) {
        changes_write_lines(&changes, &out);
    }
    fwrite(out.data, 1, out.len, stdout);
    *count += changes.count;
    changes_release(&changes);
    buf_release(&out);
    return 0;
}

static int run_status(const struct invocation *invocation)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    _cleanup_(cleanup_json_doc) yyjson_doc *fingerprint = NULL;
    char state[PLACE_SIZE], folder[RUN_PATH_MAX];
    const char *run = invocation->operands[0];
    bool as_json = invocation->values[OPTION_JSON];
    struct err err = { 0 };
    size_t count = 0, i, mounts;
    yyjson_val *mount;
    int r = place_state(state, sizeof(state), &err);
    if (r == 0)
        r = op_open(LEDGER_READ, &plane, &err);
    if (r == 0)
        r = read_fingerprint(plane, run, &fingerprint, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    const char *local = strrchr(run, ':') ? strrchr(run, ':') + 1 : run;
    snprintf(folder, sizeof(folder), "%s/runs/%s", state, local);
    fputs(as_json ? "[" : "", stdout);
    yyjson_arr_foreach(member(yyjson_doc_get_root(fingerprint), "mounts"), i, mounts,
                       mount) if (r == 0 && text_is(member(mount, "semantics"), "staged")) r =
        print_mount(folder, i, mount, as_json, &count, &err);
    fputs(as_json ? "]\n" : "", stdout);
    if (r == 0 && !count && !as_json)
        puts("nothing changed, or nothing was kept");
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/* --- list ------------------------------------------------------------------------------------ */

static bool is_empty(const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, NULL);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return count >= 0 && count <= 2; /* . and .. */
}

/* An upper layer with something in it: a run that was killed leaves empty ones. */
static bool has_changes(const char *state, const char *run)
{
    char path[RUN_PATH_MAX];
    for (size_t i = 0; i < PLAN_MOUNTS_MAX; i++) {
        snprintf(path, sizeof(path), "%s/runs/%s/%zu/upper", state, run, i);
        if (access(path, F_OK) == 0 && !is_empty(path))
            return true;
    }
    return false;
}

static int run_list(const struct invocation *invocation)
{
    char state[PLACE_SIZE], path[RUN_PATH_MAX];
    struct err err = { 0 };
    struct dirent **entries = NULL;
    if (place_state(state, sizeof(state), &err) < 0)
        return tell_error(invocation, &err);
    snprintf(path, sizeof(path), "%s/runs", state);
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0 && errno != ENOENT) {
        err_set_errno(&err, errno, STEP_WORKTREE, "%s", path);
        return tell_error(invocation, &err);
    }
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.' && has_changes(state, entries[i]->d_name))
            puts(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return EXIT_OK;
}

static const struct verb verbs[] = {
    {
        .name = "list",
        .summary = "List the change sets that are kept",
        .description = "Prints the name of each run that changed something and kept it.",
        .run = run_list,
    },
    {
        .name = "status",
        .operands = "RUN",
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Show what a run changed",
        .description = "Prints each path that a run added, modified or deleted. The host's tree "
                       "is as it was.",
        .options = options,
        .option_count = ARRAY_LEN(options),
        .run = run_status,
    },
};

const struct verb verb_worktree = {
    .name = "worktree",
    .summary = "Look at what runs have changed",
    .description = "Change sets: what runs wrote in the directories that were staged for them.",
    .verbs = verbs,
    .verb_count = ARRAY_LEN(verbs),
};
