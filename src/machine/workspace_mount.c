/*
 * workspace_mount: see the header.
 *
 * Theory of operation. A document speaks of paths as their owner writes them;
 * here they are resolved, once, so that what is judged by the plan is what is
 * mounted. A cache need not be there yet: then what of its path is there is
 * resolved, and the launch makes the rest. Which repository is expected is held
 * against what git's own files say, without running git.
 */
#include "machine/workspace_mount.h"

#include <sys/stat.h>

#include "contract/host_path.h"
#include "contract/rules.h"
#include "machine/git_repository.h"

#define STEP "read a mount"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

static int expand(struct str path, const char *home, struct buf *ret, struct err *err)
{
    int r = host_path_expand(path, home, ret);
    if (r == 0 && !ret->len)
        r = buf_add_char(ret, '/');
    return r < 0 ? err_set(err, ERR_LIMIT, STEP, "the path %.*s is too long", STR_ARG(path)) : 0;
}

/* Resolves what is there of a path, and leaves the rest as it is written. */
static int resolve_coming(const char *path, char ret[FACTS_PATH_SIZE], struct err *err)
{
    char there[FACTS_PATH_SIZE];
    size_t len = strlen(path);
    memcpy(there, path, len + 1);
    while (access(there, F_OK) < 0 && errno == ENOENT && strrchr(there, '/') != there)
        *strrchr(there, '/') = '\0';
    size_t found = strlen(there);
    int r = facts_resolve(there, ret, err);
    if (r == 0 && strlen(ret) + (len - found) >= FACTS_PATH_SIZE)
        r = err_set(err, ERR_LIMIT, STEP, "the path %s is too long", path);
    if (r == 0)
        memcpy(ret + strlen(ret), path + found, len - found + 1);
    return r;
}

static int read_host_path(const yyjson_val *document, const struct plan_facts *facts,
                          struct arena *arena, struct plan_mount *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf path = BUF_INIT_LIMIT(FACTS_PATH_SIZE - 1);
    char resolved[FACTS_PATH_SIZE];
    struct stat status;
    int r = expand(text_of(member(document, "hostPath")), facts->home, &path, err);
    if (r == 0)
        r = ret->semantics == MOUNT_CACHE ? resolve_coming(path.data, resolved, err)
                                          : facts_resolve(path.data, resolved, err);
    if (r < 0)
        return r;
    if (stat(resolved, &status) == 0 && !S_ISDIR(status.st_mode))
        return err_set(err, ERR_NOT_FOUND, STEP, "%s is no directory", resolved);
    ret->host_path = arena_copy(arena, str_from(resolved));
    return ret->host_path ? 0 : no_memory(err);
}

static int read_patterns(yyjson_val *list, struct arena *arena, const char *const **ret,
                         struct err *err)
{
    size_t count = yyjson_arr_size(list);
    const char **patterns = count ? arena_array(arena, const char *, count + 1) : NULL;
    if (count && !patterns)
        return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        patterns[i] = arena_copy(arena, text_of(yyjson_arr_get(list, i)));
        if (!patterns[i])
            return no_memory(err);
    }
    *ret = patterns;
    return 0;
}

/* --- the repository that is expected ------------------------------------------------------- */

static int other_repository(const char *path, const char *what, struct str expected,
                            const char *found, struct err *err)
{
    int r = err_set(err, ERR_DENIED, STEP, "%s has the %s %s where the mount expects %.*s", path,
                    what, found[0] ? found : "(none)", STR_ARG(expected));
    err_remedy(err, "check that out there, or change the mount");
    err_rule(err, "mount-other-repository", "path", str_from(path));
    return r;
}

static int check_repository(const yyjson_val *expected, const char *path, struct err *err)
{
    struct git_state *state = malloc(sizeof(*state));
    char wanted[GIT_URL_MAX + 1];
    struct str url = text_of(member(expected, "url")), ref = text_of(member(expected, "ref"));
    struct err inner = { 0 };
    int r = state ? git_state_read(path, 0, state, &inner) : no_memory(&inner);
    git_clean_url(url, wanted);
    if (r < 0 && inner.code == ERR_NOT_FOUND)
        r = other_repository(path, "repository", url, "", err);
    else if (r < 0 && err)
        *err = inner;
    else if (r == 0 && strcmp(state->url, wanted) != 0)
        r = other_repository(path, "repository", url, state->url, err);
    else if (r == 0 && ref.len && !str_equal(ref, str_from(state->ref)))
        r = other_repository(path, "ref", ref, state->ref, err);
    free(state);
    return r;
}

int workspace_mount_read(const yyjson_val *document, const struct plan_facts *facts,
                         struct arena *arena, struct plan_mount *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf inside = BUF_INIT_LIMIT(FACTS_PATH_SIZE - 1);
    const yyjson_val *expected = member(document, "repository");
    yyjson_val *grant = member(document, "requiresGrant");
    int semantics =
        vocabulary_index(semantics_names, SEMANTICS_COUNT, text_of(member(document, "semantics")));
    if (semantics < 0)
        return err_set(err, ERR_DOCUMENT, STEP, "the mount says not how it is mounted");
    struct plan_mount mount = {
        .ref = arena_copy(arena, text_of(member(document, "id"))),
        .semantics = (enum semantics)semantics,
        .secrets_prohibited = yyjson_get_bool(member(document, "secretsProhibited")),
        .by_profile = grant && !yyjson_get_bool(grant),
    };
    int r = read_host_path(document, facts, arena, &mount, err);
    if (r == 0)
        r = expand(text_of(member(document, "agentPath")), facts->home, &inside, err);
    if (r == 0)
        r = read_patterns(member(document, "includePatterns"), arena, &mount.include, err);
    if (r == 0)
        r = read_patterns(member(document, "excludePatterns"), arena, &mount.exclude, err);
    if (r == 0 && expected)
        r = check_repository(expected, mount.host_path, err);
    if (r < 0)
        return r;
    mount.agent_path = arena_copy(arena, buf_str(&inside));
    if (!mount.ref || !mount.agent_path)
        return no_memory(err);
    *ret = mount;
    return 0;
}
