/*
 * run_mounts: see the header.
 *
 * What an option says is read with the other options; names of stored mounts
 * wait until ledger and layers are open. Whether any of it may be mounted is
 * the plan's to say, and the plane's.
 */
#include "cmd/run_mounts.h"

#include <sys/stat.h>

#include "cmd/op.h"
#include "contract/rules.h"
#include "machine/workspace_mount.h"

#define STEP_MOUNTS "read the mounts"
#define URN_PREFIX  "urn:srcos:"

static int usage(struct err *err, const char *text)
{
    return err_set(err, ERR_USAGE, STEP_MOUNTS, "%s", text);
}

static int add(struct run_mounts *mounts, const struct plan_mount *mount, struct err *err)
{
    if (mounts->count == PLAN_MOUNTS_MAX)
        return err_set(err, ERR_LIMIT, STEP_MOUNTS, "there are more than %d mounts",
                       PLAN_MOUNTS_MAX);
    mounts->items[mounts->count++] = *mount;
    return 0;
}

static int read_name(struct run_mounts *mounts, const char *name, struct err *err)
{
    char urn[PLANE_URN_MAX];
    if (mounts->named_count + 1 == PLAN_MOUNTS_MAX)
        return usage(err, "--mount is given too often");
    op_urn("agent-workspace-mount", name, urn);
    const char *copy = arena_copy(&mounts->arena, str_from(urn));
    if (!copy)
        return err_set(err, ERR_MEMORY, STEP_MOUNTS, "there is not enough memory");
    mounts->named[mounts->named_count++] = copy;
    return 0;
}

static int read_source(struct str text, char ret[FACTS_PATH_SIZE], struct err *err)
{
    char given[FACTS_PATH_SIZE];
    struct stat status;
    if (text.len >= FACTS_PATH_SIZE)
        return usage(err, "a path of --mount is too long");
    snprintf(given, sizeof(given), "%.*s", STR_ARG(text));
    int r = facts_resolve(given, ret, err);
    if (r < 0)
        return r;
    return stat(ret, &status) < 0 || !S_ISDIR(status.st_mode)
               ? err_set(err, ERR_USAGE, STEP_MOUNTS, "--mount takes a directory, and %s is none",
                         ret)
               : 0;
}

int run_mounts_read(struct run_mounts *mounts, const char *text, struct err *err)
{
    const char *how = strrchr(text, ':');
    if (!how || str_starts(str_from(text), STR(URN_PREFIX)))
        return read_name(mounts, text, err);
    int semantics = vocabulary_index(semantics_names, SEMANTICS_COUNT, str_from(how + 1));
    if (semantics < 0)
        return usage(err, "--mount takes SRC:DST:HOW, where HOW is read-only, read-write, staged "
                          "or cache");
    struct str places = str_make(text, (size_t)(how - text));
    size_t colon = str_index(places, ':', 0);
    char source[FACTS_PATH_SIZE];
    struct str inside = colon < places.len ? str_from_offset(places, colon + 1) : STR("");
    int r = read_source(str_make(places.ptr, colon), source, err);
    if (r < 0)
        return r;
    if (inside.len && inside.ptr[0] != '/')
        return usage(err, "where --mount mounts is an absolute path");
    while (inside.len > 1 && inside.ptr[inside.len - 1] == '/')
        inside.len--;
    const struct plan_mount mount = {
        .host_path = arena_copy(&mounts->arena, str_from(source)),
        .agent_path = arena_copy(&mounts->arena, inside.len ? inside : str_from(source)),
        .semantics = (enum semantics)semantics,
        .secrets_prohibited = semantics != MOUNT_READ_WRITE && semantics != MOUNT_CACHE,
    };
    return mount.host_path && mount.agent_path
               ? add(mounts, &mount, err)
               : err_set(err, ERR_MEMORY, STEP_MOUNTS, "there is not enough memory");
}

static int find_one(struct run_mounts *mounts, struct plane *plane, const struct layers *layers,
                    const struct profile *profile, struct str urn, const struct plan_facts *facts,
                    struct err *err)
{
    _cleanup_(mount_release) struct mount_document document = { 0 };
    struct plan_mount mount;
    int r = mount_find(plane, layers, profile, urn, &document, err);
    if (r == 0)
        r = workspace_mount_read(document.root, facts, &mounts->arena, &mount, err);
    return r < 0 ? r : add(mounts, &mount, err);
}

int run_mounts_find(struct run_mounts *mounts, struct plane *plane, const struct layers *layers,
                    const struct profile *profile, const struct plan_facts *facts, struct err *err)
{
    yyjson_val *list = at(profile->root, "/worktreePlane/mountRefs");
    int r = 0;
    for (size_t i = 0; i < mounts->named_count && r == 0; i++)
        r = find_one(mounts, plane, layers, NULL, str_from(mounts->named[i]), facts, err);
    for (size_t i = 0; i < yyjson_arr_size(list) && r == 0; i++)
        r = find_one(mounts, plane, layers, profile, text_of(yyjson_arr_get(list, i)),
                     facts, err);
    return r;
}

void run_mounts_release(struct run_mounts *mounts)
{
    arena_release(&mounts->arena);
    *mounts = (struct run_mounts){ 0 };
}
