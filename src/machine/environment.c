/* environment: see the header. Of two values for a name the later one stays. */
#include "machine/environment.h"

#include "contract/host_path.h"
#include "contract/rules.h"

#define STEP_ENVIRONMENT "build the environment"
#define USUAL_PATH       "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PATH_BYTES_MAX   8192
#define NAME_BYTES_MAX   256

/* What a view has of the host besides /etc, where it is there. */
static const char *const system_directories[] = {
    "/usr",   "/bin",    "/sbin", "/lib",       "/lib32",
    "/lib64", "/libx32", "/opt",  "/nix/store", "/gnu/store",
};

const char *environment_system_directory(size_t index)
{
    return index < ARRAY_LEN(system_directories) ? system_directories[index] : NULL;
}

bool environment_is_system_directory(struct str path)
{
    for (size_t i = 0; i < ARRAY_LEN(system_directories); i++)
        if (host_path_is_within(path, str_from(system_directories[i])))
            return true;
    return false;
}

static struct str name_of(const char *variable)
{
    return str_make(variable, str_index(str_from(variable), '=', 0));
}

static int put(struct environment *environment, struct str variable, struct err *err)
{
    size_t at = 0;
    const char *copy = arena_copy(environment->arena, variable);
    if (!copy)
        return err_set(err, ERR_MEMORY, STEP_ENVIRONMENT, "there is not enough memory");
    while (at < environment->count && !str_equal(name_of(environment->list[at]), name_of(copy)))
        at++;
    if (at == PLAN_ENVIRONMENT_MAX)
        return err_set(err, ERR_LIMIT, STEP_ENVIRONMENT, "there are more than %d variables",
                       PLAN_ENVIRONMENT_MAX);
    environment->list[at] = copy;
    environment->count += at == environment->count;
    return 0;
}

static int putf(struct environment *environment, struct err *err, const char *name,
                struct str value)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(PLAN_ARGUMENT_BYTES);
    buf_addf(&text, "%s=%.*s", name, STR_ARG(value));
    if (text.error)
        return err_set(err, ERR_LIMIT, STEP_ENVIRONMENT, "%s is too long", name);
    return put(environment, buf_str(&text), err);
}

/* NULL where the caller has no such variable. */
static const char *find(const struct plan_facts *facts, struct str name)
{
    for (size_t i = 0; facts->environment[i]; i++)
        if (str_equal(name_of(facts->environment[i]), name))
            return facts->environment[i];
    return NULL;
}

/* How the caller reads and where: no more is passed on by itself. */
static bool is_passed_on(struct str name)
{
    static const char *const names[] = {
        "TERM", "COLORTERM", "NO_COLOR", "LANG", "LANGUAGE", "TZ"
    };
    if (str_starts(name, STR("LC_")))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_equal(name, str_from(names[i])))
            return true;
    return false;
}

/* What an image sets; but no value of it is a secret's. */
static int add_image(struct environment *environment, const struct image *image, struct err *err)
{
    int r = put(environment, STR("PATH=" USUAL_PATH), err);
    for (size_t i = 0; image->environment[i] && r == 0; i++) {
        struct str variable = str_from(image->environment[i]), name = name_of(variable.ptr);
        if (!name.len || name.len > NAME_BYTES_MAX || name.len == variable.len ||
            variable_speaks_of_secret(name))
            environment->left_out = true;
        else
            r = put(environment, variable, err);
    }
    return r;
}

/* The folder of a tool comes before all others. */
static int put_first(struct environment *environment, const char *first, struct err *err)
{
    _cleanup_(buf_release) struct buf all = BUF_INIT_LIMIT(PATH_BYTES_MAX);
    for (size_t i = 0; first && i < environment->count; i++)
        if (str_equal(name_of(environment->list[i]), STR("PATH"))) {
            buf_addf(&all, "%s:%s", first, environment->list[i] + strlen("PATH="));
            return putf(environment, err, "PATH", buf_str(&all));
        }
    return 0;
}

/* The caller's search path, so far as the view has it, behind a folder that may come first. */
static int add_path(struct environment *environment, const struct plan_facts *facts,
                    const char *first, struct err *err)
{
    _cleanup_(buf_release) struct buf path = BUF_INIT_LIMIT(PATH_BYTES_MAX), all = BUF_INIT;
    const char *own = find(facts, STR("PATH"));
    struct str rest = own ? str_from(own + strlen("PATH=")) : STR("");
    while (rest.len) {
        size_t end = str_index(rest, ':', 0);
        struct str entry = str_make(rest.ptr, end);
        if (environment_is_system_directory(entry)) {
            buf_add_text(&path, path.len ? ":" : "");
            buf_add_str(&path, entry);
        }
        rest = str_from_offset(rest, end + 1);
    }
    buf_addf(&all, "%s%s%s", first ? first : "", first ? ":" : "",
             path.len ? path.data : USUAL_PATH);
    return putf(environment, err, "PATH", buf_str(&all));
}

static int add_asked(struct environment *environment, const struct plan_facts *facts,
                     const char *variable, struct err *err)
{
    struct str name = name_of(variable);
    const char *value = variable[name.len] ? variable : find(facts, name);
    if (name.len == 0 || name.len > NAME_BYTES_MAX)
        return err_set(err, ERR_USAGE, STEP_ENVIRONMENT,
                       "%s is no variable; write NAME or NAME=VALUE", variable);
    if (variable_speaks_of_secret(name)) {
        err_set(err, ERR_DENIED, STEP_ENVIRONMENT,
                "%.*s speaks of a secret, or leads to a socket of the host", STR_ARG(name));
        err_remedy(err, "no secret becomes a value in the command's environment: name it by "
                        "reference in the provider's profile");
        err_rule(err, "environment-secret", "artifact", name);
        return -EACCES;
    }
    return value ? put(environment, str_from(value), err) : 0;
}

/*
 * Nobody's credentials are in there. Git asks for them where a server wants some, which is when
 * something is pushed; what answers says where that happens instead, and ends it.
 *
 * Where root is somebody else inside, files belong to another user than the index says, and git
 * would read every one of them again; size and time tell it enough.
 */
static int add_git(struct environment *environment, const struct plan *plan, struct err *err)
{
    static const char *const variables[] = {
        "GIT_CONFIG_KEY_0=credential.helper",
        "GIT_CONFIG_VALUE_0=!f() { test \"$1\" != get || { echo 'agent-machine: there are no "
        "credentials in here; a push happens on the host, after `agent-machine worktree apply "
        "--commits`' >&2; echo quit=1; }; }; f",
        "GIT_CONFIG_KEY_1=core.checkStat",
        "GIT_CONFIG_VALUE_1=minimal",
    };
    size_t settings = plan->as_root ? 2 : 1;
    int r = put(environment, plan->as_root ? STR("GIT_CONFIG_COUNT=2") : STR("GIT_CONFIG_COUNT=1"),
                err);
    for (size_t i = 0; i < 2 * settings && r == 0; i++)
        r = put(environment, str_from(variables[i]), err);
    return r;
}

int environment_build(struct environment *environment, const struct plan_facts *facts,
                      const struct plan *plan, const struct plan_request *request, struct err *err)
{
    const char *const *set = request->surface_variables, *const *asked = request->variables;
    const char *shell = find(facts, STR("SHELL"));
    struct str own_shell = shell ? str_from(shell + strlen("SHELL=")) : STR("");
    int r = request->image ? add_image(environment, request->image, err)
                           : add_path(environment, facts, request->search_first, err);
    if (r == 0 && request->image)
        r = put_first(environment, request->search_first, err);
    for (size_t i = 0; facts->environment[i] && r == 0; i++)
        if (is_passed_on(name_of(facts->environment[i])))
            r = put(environment, str_from(facts->environment[i]), err);
    if (r == 0 && plan->tier != TIER_PROCESS) /* there it is a folder of the run's own */
        r = putf(environment, err, "HOME", str_from(plan->home));
    if (r == 0 && plan->tier == TIER_PROCESS) /* it takes a file that is refused for an error */
        r = put(environment, STR("GIT_CONFIG_NOSYSTEM=1"), err);
    if (r == 0)
        r = putf(environment, err, "USER", str_from(plan->user));
    if (r == 0)
        r = putf(environment, err, "LOGNAME", str_from(plan->user));
    if (r == 0)
        r = putf(environment, err, "SHELL",
                 !request->image && environment_is_system_directory(own_shell) ? own_shell
                                                                               : STR("/bin/sh"));
    if (r == 0)
        r = putf(environment, err, "container", STR("agent-machine"));
    if (r == 0)
        r = add_git(environment, plan, err);
    for (size_t i = 0; set && set[i] && r == 0; i++)
        r = put(environment, str_from(set[i]), err);
    for (size_t i = 0; asked && asked[i] && r == 0; i++)
        r = add_asked(environment, facts, asked[i], err);
    environment->list[environment->count] = NULL;
    return r;
}
