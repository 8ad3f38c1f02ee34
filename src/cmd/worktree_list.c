/*
 * worktree_list: which change sets are kept, and away with what is left of others.
 *
 * What is kept the ledger decides: a change set waits until its artifact leaves the states pending
 * and admitted, whatever lies in its folder. Where the ledger says nothing of what a run has left,
 * that is kept too.
 */
#include <dirent.h>

#include "base/clock.h"
#include "base/json.h"
#include "cmd/change_set.h"
#include "cmd/tell.h"
#include "cmd/worktree.h"
#include "contract/rules.h"
#include "machine/kept.h"
#include "machine/run_folder.h"
#include "machine/worktree_copy.h"
#include "plane/work.h"

#define STEP_LIST    "list the change sets"
#define RUN_PATH_MAX (PLACE_SIZE + PLANE_URN_MAX + 64)

enum { LIST_QUIET, LIST_JSON };
enum { GC_DRY_RUN, GC_JSON };

const struct option_row worktree_list_options[WORKTREE_LIST_OPTIONS] = {
    [LIST_QUIET] = { "quiet", 'q', NULL, "print the ids alone" },
    [LIST_JSON] = { "json", 'j', NULL, "print JSON" },
};

const struct option_row worktree_gc_options[WORKTREE_GC_OPTIONS] = {
    [GC_DRY_RUN] = { "dry-run", 'n', NULL, "say what would be removed, and remove nothing" },
    [GC_JSON] = { "json", 'j', NULL, "print JSON" },
};

/* What a run's folder is. */
enum left { LEFT_NOTHING, LEFT_LIVING, LEFT_KEPT, LEFT_DONE };

struct left_run {
    const char *name;
    char folder[RUN_PATH_MAX];
    const char *state; /* of the change set; "unrecorded": nothing was recorded */
    struct str directory;
    int64_t age_seconds, bytes; /* -1: not known */
    yyjson_doc *operation, *fingerprint;
};

struct listing {
    const struct invocation *invocation;
    struct plane *plane;
    char state_folder[PLACE_SIZE];
    size_t shown;
};

/* --- one run ------------------------------------------------------------------------------- */

/* NULL where there is none. */
static yyjson_doc *read_document(struct plane *plane, const char *type, const char *run)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    yyjson_doc *doc = NULL;
    char urn[PLANE_URN_MAX];
    struct err unknown;
    int64_t revision;
    urn_make(type, str_from(run), urn);
    if (ledger_get_document(plane_ledger(plane), str_from(urn), &text, &revision, &unknown) < 0 ||
        json_read(buf_str(&text), &json_limits_default, &doc, &unknown) < 0)
        return NULL;
    return doc;
}

static struct str staged_directory(const yyjson_val *fingerprint)
{
    yyjson_val *mounts = (yyjson_val *)member(fingerprint, "mounts"), *mount;
    size_t i, count;
    if (!mounts)
        return STR("");
    yyjson_arr_foreach(mounts, i, count, mount)
    {
        if (text_is(member(mount, "semantics"), "staged"))
            return text_of(member(mount, "hostPath"));
    }
    return STR("");
}

static bool has_ended(const yyjson_val *operation)
{
    int state = vocabulary_index(state_names, STATE_COUNT, text_of(member(operation, "state")));
    return state >= 0 && state_is_end((enum state)state);
}

/* A launch that died while it copied: nothing ran. */
static bool is_half_copied(const struct left_run *run)
{
    char layer[RUN_PATH_MAX + 16];
    bool half = false;
    for (size_t i = 0; i < PLAN_MOUNTS_MAX && !half; i++) {
        snprintf(layer, sizeof(layer), "%s/%zu", run->folder, i);
        half = worktree_copy_is_abandoned(layer);
    }
    return half;
}

static enum left look(const struct listing *listing, struct left_run *run)
{
    int64_t began;
    run->operation = read_document(listing->plane, "workspace-operation", run->name);
    run->fingerprint = read_document(listing->plane, "agent-machine-fingerprint", run->name);
    const yyjson_val *operation = yyjson_doc_get_root(run->operation);
    const yyjson_val *artifact = change_set_artifact(operation, run->name);
    if (operation && !has_ended(operation))
        return LEFT_LIVING;
    if (!operation && is_half_copied(run))
        return LEFT_DONE;
    if (!change_set_is_kept(run->folder))
        return run_folder_has_layers(run->folder) ? LEFT_DONE : LEFT_NOTHING;
    run->state = artifact ? yyjson_get_str(member(artifact, "state")) : "unrecorded";
    run->directory = staged_directory(yyjson_doc_get_root(run->fingerprint));
    run->bytes = kept_bytes(listing->state_folder, str_from(run->name));
    run->age_seconds = -1;
    if (clock_parse(text_of(member(operation, "createdAt")), &began))
        run->age_seconds = clock_now_ms() > began ? (clock_now_ms() - began) / 1000 : 0;
    bool waits = !artifact || text_is(member(artifact, "state"), "pending") ||
                 text_is(member(artifact, "state"), "quarantined") ||
                 text_is(member(artifact, "state"), "admitted");
    return waits ? LEFT_KEPT : LEFT_DONE;
}

/* --- all of them --------------------------------------------------------------------------- */

typedef void tell_left(struct listing *listing, const struct left_run *run, enum left left);

static int each_run(struct listing *listing, tell_left *tell, struct err *err)
{
    char path[PLACE_SIZE + 16];
    struct dirent **entries = NULL;
    int r = runs_open(&listing->plane, err);
    if (r == 0)
        r = place_state(listing->state_folder, sizeof(listing->state_folder), err);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "%s/runs", listing->state_folder);
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0 && errno != ENOENT)
        return err_set_errno(err, errno, STEP_LIST, "%s", path);
    for (int i = 0; i < count; i++) {
        struct left_run run = { .name = entries[i]->d_name };
        if (run.name[0] != '.' && strlen(run.name) < PLANE_URN_MAX / 2) {
            snprintf(run.folder, sizeof(run.folder), "%s/%s", path, run.name);
            tell(listing, &run, look(listing, &run));
            yyjson_doc_free(run.operation);
            yyjson_doc_free(run.fingerprint);
        }
        free(entries[i]);
    }
    free(entries);
    return 0;
}

/* --- list ---------------------------------------------------------------------------------- */

static void print_json(const struct listing *listing, const struct left_run *run)
{
    struct buf out = BUF_INIT;
    buf_add_text(&out, listing->shown ? ",{\"changeSet\":" : "{\"changeSet\":");
    json_add_string(&out, str_from(run->name));
    buf_addf(&out, ",\"state\":\"%s\"", run->state);
    if (run->directory.len) {
        buf_add_text(&out, ",\"hostPath\":");
        json_add_string(&out, run->directory);
    }
    if (run->age_seconds >= 0)
        buf_addf(&out, ",\"ageSeconds\":%lld", (long long)run->age_seconds);
    if (run->bytes >= 0)
        buf_addf(&out, ",\"bytes\":%lld", (long long)run->bytes);
    buf_add_char(&out, '}');
    fwrite(out.data, 1, out.len, stdout);
    buf_release(&out);
}

static void print_line(const struct left_run *run)
{
    _cleanup_(buf_release) struct buf directory = BUF_INIT;
    char age[TELL_AGE_SIZE] = "-", bytes[32] = "-";
    if (run->age_seconds >= 0)
        tell_age(run->age_seconds, age);
    if (run->bytes >= 0)
        snprintf(bytes, sizeof(bytes), "%lld", (long long)run->bytes);
    buf_add_str(&directory, run->directory);
    tell_text(stdout, run->name);
    printf("  %-10s %4s %12s  ", run->state, age, bytes);
    tell_text(stdout, directory.data);
    putchar('\n');
}

static void list_one(struct listing *listing, const struct left_run *run, enum left left)
{
    if (left != LEFT_KEPT)
        return;
    if (listing->invocation->values[LIST_JSON])
        print_json(listing, run);
    else if (listing->invocation->values[LIST_QUIET])
        puts(run->name);
    else
        print_line(run);
    listing->shown++;
}

int worktree_run_list(const struct invocation *invocation)
{
    struct listing listing = { .invocation = invocation };
    struct err err = { 0 };
    bool as_json = invocation->values[LIST_JSON];
    fputs(as_json ? "[" : "", stdout);
    int r = each_run(&listing, list_one, &err);
    fputs(as_json ? "]\n" : "", stdout);
    plane_close(listing.plane);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}

/* --- gc ------------------------------------------------------------------------------------ */

static void collect_one(struct listing *listing, const struct left_run *run, enum left left)
{
    struct buf out = BUF_INIT;
    if (left != LEFT_DONE)
        return;
    if (listing->invocation->values[GC_JSON]) {
        buf_add_text(&out, listing->shown ? "," : "");
        json_add_string(&out, str_from(run->name));
        fwrite(out.data, 1, out.len, stdout);
    } else {
        printf("%s  ", listing->invocation->values[GC_DRY_RUN] ? "would remove" : "removed");
        tell_text(stdout, run->name);
        printf("  %s\n", run->state ? run->state : "empty");
    }
    buf_release(&out);
    if (!listing->invocation->values[GC_DRY_RUN])
        run_folder_clear(run->folder, true);
    listing->shown++;
}

int worktree_run_gc(const struct invocation *invocation)
{
    struct listing listing = { .invocation = invocation };
    struct err err = { 0 };
    bool as_json = invocation->values[GC_JSON];
    fputs(as_json ? "[" : "", stdout);
    int r = each_run(&listing, collect_one, &err);
    fputs(as_json ? "]\n" : "", stdout);
    if (r == 0 && !invocation->values[GC_DRY_RUN])
        kept_count(listing.state_folder); /* forgets those whose layers are gone */
    if (r == 0 && !listing.shown && !as_json)
        puts("nothing to remove");
    plane_close(listing.plane);
    return r < 0 ? tell_error(invocation, &err) : EXIT_OK;
}
