/* change_set: see the header. */
#include "cmd/change_set.h"

#include <dirent.h>

#include "base/json.h"
#include "base/place.h"
#include "contract/host_path.h"
#include "contract/rules.h"
#include "machine/worktree_apply.h"
#include "plane/profile.h"
#include "plane/work.h"

#define STEP_SET   "find a change set"
#define LAYER_SIZE (PLACE_SIZE + 32)

/* --- which are kept ------------------------------------------------------------------------ */

static bool is_empty(const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, NULL);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return count >= 0 && count <= 2; /* . and .. */
}

/* A run that was killed leaves empty layers. */
bool change_set_is_kept(const char *folder)
{
    char path[LAYER_SIZE];
    for (size_t i = 0; i < PLAN_MOUNTS_MAX; i++) {
        snprintf(path, sizeof(path), "%s/%zu/upper", folder, i);
        if (access(path, F_OK) == 0 && !is_empty(path))
            return true;
    }
    return false;
}

static int read_mounts(struct plane *plane, struct str run, yyjson_doc **ret, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    char urn[PLANE_URN_MAX];
    int64_t revision;
    snprintf(urn, sizeof(urn), "urn:srcos:agent-machine-fingerprint:%.*s", STR_ARG(run));
    int r = ledger_get_document(plane_ledger(plane), str_from(urn), &text, &revision, err);
    return r < 0 ? r : json_read(buf_str(&text), &json_limits_default, ret, err);
}

/* Whether a directory lies in what the run had staged. */
static bool is_of(struct plane *plane, const char *run, const char *directory)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct err unknown;
    size_t i, count;
    yyjson_val *mount;
    if (read_mounts(plane, str_from(run), &doc, &unknown) < 0)
        return false;
    yyjson_val *mounts = (yyjson_val *)member(yyjson_doc_get_root(doc), "mounts");
    yyjson_arr_foreach(mounts, i, count, mount)
    {
        if (text_is(member(mount, "semantics"), "staged") &&
            host_path_is_within(str_from(directory), text_of(member(mount, "hostPath"))))
            return true;
    }
    return false;
}

/* The names of runs sort by time. */
static int find_last(struct plane *plane, char ret[PLANE_URN_MAX], struct err *err)
{
    char state[PLACE_SIZE], runs[PLACE_SIZE + 16], folder[LAYER_SIZE], here[PLACE_SIZE];
    struct dirent **entries = NULL;
    int r = place_state(state, sizeof(state), err);
    if (r < 0)
        return r;
    snprintf(runs, sizeof(runs), "%s/runs", state);
    if (!getcwd(here, sizeof(here)))
        return err_set_errno(err, errno, STEP_SET, "the current directory");
    ret[0] = '\0';
    int count = scandir(runs, &entries, NULL, alphasort);
    for (int i = count - 1; i >= 0; i--) {
        const char *name = entries[i]->d_name;
        if (!ret[0] && name[0] != '.' &&
            snprintf(folder, sizeof(folder), "%s/%s", runs, name) < (int)sizeof(folder) &&
            change_set_is_kept(folder) && is_of(plane, name, here))
            snprintf(ret, PLANE_URN_MAX, "%s", name);
        free(entries[i]);
    }
    free(entries);
    return ret[0] ? 0
                  : err_set(err, ERR_NOT_FOUND, STEP_SET,
                            "no change set of this directory is kept; see `agent-machine worktree "
                            "list`");
}

/* --- what was begun ------------------------------------------------------------------------- */

int change_set_recover(const char *folder, struct change_set_recovered *counts, struct err *err)
{
    char layer[LAYER_SIZE];
    int r = 0;
    for (size_t i = 0; i < PLAN_MOUNTS_MAX && r == 0; i++) {
        enum apply_recovered recovered = APPLY_NOTHING;
        snprintf(layer, sizeof(layer), "%s/%zu", folder, i);
        if (access(layer, F_OK) < 0)
            continue;
        r = worktree_recover(layer, &recovered, err);
        counts->completed += recovered == APPLY_COMPLETED;
        counts->undone += recovered == APPLY_UNDONE;
    }
    return r;
}

int change_set_recover_all(struct change_set_recovered *counts, struct err *err)
{
    char state[PLACE_SIZE], runs[PLACE_SIZE + 16], folder[LAYER_SIZE];
    struct dirent **entries = NULL;
    int r = place_state(state, sizeof(state), err);
    if (r < 0)
        return r;
    snprintf(runs, sizeof(runs), "%s/runs", state);
    int count = scandir(runs, &entries, NULL, NULL);
    for (int i = 0; i < count; i++) {
        struct err inner = { 0 };
        if (entries[i]->d_name[0] != '.' &&
            snprintf(folder, sizeof(folder), "%s/%s", runs, entries[i]->d_name) <
                (int)sizeof(folder) &&
            change_set_recover(folder, counts, &inner) < 0 && r == 0) {
            r = -EIO;
            if (err)
                *err = inner;
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

/* --- paths --------------------------------------------------------------------------------- */

/* Makes a path absolute and takes "." and ".." out of it, by its text alone. */
static int make_plain(const char *given, const char *base, struct buf *ret)
{
    struct str parts[2] = { str_from(given[0] == '/' ? "" : base), str_from(given) };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        for (size_t at = 0; at < parts[i].len;) {
            size_t end = str_index(parts[i], '/', at);
            struct str name = str_make(parts[i].ptr + at, end - at);
            at = end + 1;
            if (!name.len || str_equal(name, STR(".")))
                continue;
            if (str_equal(name, STR(".."))) {
                const char *slash = strrchr(ret->data, '/');
                buf_truncate(ret, slash ? (size_t)(slash - ret->data) : 0);
                continue;
            }
            buf_add_char(ret, '/');
            buf_add_str(ret, name);
        }
    return ret->error;
}

/* The mount that a path lies in, and the rest of the path. */
static bool place_path(const struct change_set *set, struct str path, struct chosen_path *ret)
{
    for (size_t i = 0; i < set->mount_count; i++) {
        struct str host = str_from(set->mounts[i].host_path);
        if (!host_path_is_within(path, host))
            continue;
        struct str rest = str_from_offset(path, host.len + (path.len > host.len));
        ret->mount = i;
        snprintf(ret->path, sizeof(ret->path), "%.*s", STR_ARG(rest));
        return rest.len <= CHANGES_PATH_MAX;
    }
    return false;
}

static int choose(struct change_set *set, const char *given, struct err *err)
{
    _cleanup_(buf_release) struct buf path = BUF_INIT_LIMIT(2 * PLACE_SIZE);
    char here[PLACE_SIZE];
    struct chosen_path nowhere;
    if (!getcwd(here, sizeof(here)))
        return err_set_errno(err, errno, STEP_SET, "the current directory");
    bool inside = place_path(set, str_from(here), &nowhere);
    if (make_plain(given, inside ? here : set->mounts[0].host_path, &path) < 0 ||
        !place_path(set, buf_str(&path), &set->paths[set->path_count]))
        return err_set(err, ERR_NOT_FOUND, STEP_SET,
                       "%s is no change set that is kept, and no path of this one", given);
    set->path_count++;
    return 0;
}

static bool is_at_or_below(const char *path, const char *chosen)
{
    size_t len = strlen(chosen);
    return len == 0 || (strncmp(path, chosen, len) == 0 && (path[len] == '\0' || path[len] == '/'));
}

bool change_set_chooses(struct change_set *set, size_t mount, const char *path)
{
    bool chosen = set->path_count == 0;
    for (size_t i = 0; i < set->path_count; i++)
        if (set->paths[i].mount == mount && is_at_or_below(path, set->paths[i].path))
            chosen = set->paths[i].found = true;
    return chosen;
}

int change_set_check_found(const struct change_set *set, struct err *err)
{
    for (size_t i = 0; i < set->path_count; i++)
        if (!set->paths[i].found)
            return err_set(err, ERR_NOT_FOUND, STEP_SET, "nothing is changed at %s",
                           set->paths[i].path[0] ? set->paths[i].path : ".");
    return 0;
}

/* --- opening ------------------------------------------------------------------------------- */

static int open_mounts(struct plane *plane, struct change_set *set, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    char layer[LAYER_SIZE], host[WORKTREE_PATH_SIZE];
    size_t i, count, roots = 0;
    yyjson_val *mount;
    int r = read_mounts(plane, urn_local(str_from(set->run.urn)), &doc, err);
    if (r < 0)
        return r;
    set->mounts = calloc(PLAN_MOUNTS_MAX, sizeof(*set->mounts));
    if (!set->mounts)
        return err_set(err, ERR_MEMORY, STEP_SET, "there is not enough memory");
    yyjson_val *mounts = (yyjson_val *)member(yyjson_doc_get_root(doc), "mounts");
    yyjson_arr_foreach(mounts, i, count, mount)
    {
        if (!text_is(member(mount, "semantics"), "staged") || roots == PLAN_MOUNTS_MAX)
            continue;
        snprintf(layer, sizeof(layer), "%s/%zu", set->run.folder, i);
        snprintf(host, sizeof(host), "%.*s", STR_ARG(text_of(member(mount, "hostPath"))));
        set->roots[roots] = strdup(host);
        if (!set->roots[roots++])
            return err_set(err, ERR_MEMORY, STEP_SET, "there is not enough memory");
        r = worktree_open(layer, host, yyjson_is_true(member(mount, "secretsProhibited")),
                          &set->mounts[set->mount_count], err);
        if (r < 0)
            return r;
        set->mount_count += r > 0;
    }
    return 0;
}

static int choose_all(struct change_set *set, char *const *words, int count, struct err *err)
{
    int r = 0;
    if (count > CHANGE_SET_PATHS_MAX)
        return err_set(err, ERR_USAGE, STEP_SET, "there are more than %d paths",
                       CHANGE_SET_PATHS_MAX);
    set->paths = count ? calloc((size_t)count, sizeof(*set->paths)) : NULL;
    if (count && !set->paths)
        return err_set(err, ERR_MEMORY, STEP_SET, "there is not enough memory");
    for (int i = 0; i < count && r == 0 && set->mount_count; i++)
        r = choose(set, words[i], err);
    return r;
}

int change_set_find(struct plane *plane, char *const *words, int count, struct runs_one *ret,
                    struct err *err)
{
    char last[PLANE_URN_MAX];
    struct err inner = { 0 };
    int r = count ? runs_find(plane, words[0], ret, &inner) : -ENOENT;
    if (r == 0)
        return 1;
    if (count && inner.code != ERR_NOT_FOUND) {
        if (err)
            *err = inner;
        return r;
    }
    if (find_last(plane, last, &inner) < 0) {
        if (inner.code == ERR_NOT_FOUND && count)
            return err_set(err, ERR_NOT_FOUND, STEP_SET, "there is no change set %s", words[0]);
        if (err)
            *err = inner;
        return -ENOENT;
    }
    return runs_find(plane, last, ret, err);
}

int change_set_open(struct plane *plane, char *const *words, int count, struct change_set *ret,
                    struct err *err)
{
    struct change_set set = { 0 };
    int named = change_set_find(plane, words, count, &set.run, err);
    int r = named < 0 ? named : 0;
    if (r == 0 && (set.run.state == STATE_RUNNING || set.run.state == STATE_PAUSED ||
                   set.run.state == STATE_CANCELING))
        r = err_set(err, ERR_CONFLICT, STEP_SET, "the run %s has not ended", change_set_name(&set));
    if (r == 0)
        r = open_mounts(plane, &set, err);
    if (r == 0)
        r = choose_all(&set, words + named, count - named, err);
    if (r < 0)
        change_set_close(&set);
    else
        *ret = set;
    return r;
}

static int take_usual(struct change_set *set, const yyjson_val *profile, struct err *err)
{
    yyjson_val *list = (yyjson_val *)at(profile, "/worktreePlane/usualFiles"), *item;
    size_t i, count;
    if (!list)
        return 0;
    const char **usual = arena_array(&set->usual, const char *, yyjson_arr_size(list) + 1);
    bool good = usual != NULL;
    yyjson_arr_foreach(list, i, count, item)
    {
        if (good)
            usual[i] = arena_copy(&set->usual, text_of(item));
        good = good && usual[i];
    }
    for (i = 0; i < set->mount_count; i++)
        set->mounts[i].usual = usual;
    return good ? 0 : err_set(err, ERR_MEMORY, STEP_SET, "there is not enough memory");
}

int change_set_read_usual(struct plane *plane, struct change_set *set, struct err *err)
{
    _cleanup_(cleanup_json_doc) yyjson_doc *fingerprint = NULL;
    struct layers_places places;
    struct layers *layers = NULL;
    struct profile profile = { 0 };
    struct err gone = { 0 };
    char urn[PLANE_URN_MAX];
    int r = read_mounts(plane, urn_local(str_from(set->run.urn)), &fingerprint, err);
    if (r < 0)
        return r;
    snprintf(urn, sizeof(urn), "%.*s",
             STR_ARG(text_of(member(yyjson_doc_get_root(fingerprint), "profileRef"))));
    r = layers_places_default(NULL, &places, err);
    if (r == 0)
        r = layers_open(&places, &layers, err);
    if (r == 0) {
        r = profile_find(plane, layers, urn, &profile, &gone);
        r = r == 0                       ? take_usual(set, profile.root, err)
            : gone.code == ERR_NOT_FOUND ? 0
                                         : err_set(err, gone.code, STEP_SET, "%s", gone.cause);
    }
    profile_release(&profile);
    layers_close(layers);
    return r;
}

const char *change_set_name(const struct change_set *set)
{
    return strrchr(set->run.urn, ':') + 1;
}

const yyjson_val *change_set_artifact(const yyjson_val *operation, const char *run)
{
    yyjson_val *artifacts = (yyjson_val *)member(operation, "artifacts"), *artifact;
    char urn[PLANE_URN_MAX];
    size_t i, count;
    urn_make("change-set", str_from(run), urn);
    if (!artifacts)
        return NULL;
    yyjson_arr_foreach(artifacts, i, count, artifact)
    {
        if (text_is(member(artifact, "artifactRef"), urn))
            return artifact;
    }
    return NULL;
}

void change_set_close(struct change_set *set)
{
    for (size_t i = 0; i < set->mount_count; i++)
        worktree_close(&set->mounts[i]);
    for (size_t i = 0; set->roots[i]; i++)
        free(set->roots[i]);
    free(set->mounts);
    free(set->paths);
    arena_release(&set->usual);
    *set = (struct change_set){ 0 };
}
