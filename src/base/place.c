/* place: see the header. A variable that holds no absolute path is as good as unset, as XDG says.
 */
#include "base/place.h"

#define STEP "find the user's folders"
#define NAME "agent-machine"

static int find(const char *variable, const char *below_home, char *ret, size_t size,
                struct err *err)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    bool is_set = base && base[0] == '/';
    if (!is_set && (!home || home[0] != '/'))
        return err_set(err, ERR_USAGE, STEP,
                       "neither %s nor HOME is set to an absolute path; set one", variable);
    const char *root = is_set ? base : home;
    int root_len = (int)strnlen(root, PLACE_SIZE);
    while (root_len && root[root_len - 1] == '/')
        root_len--;
    char path[PLACE_SIZE];
    int len =
        snprintf(path, sizeof(path), "%.*s%s/" NAME, root_len, root, is_set ? "" : below_home);
    if (len >= (int)sizeof(path) || (size_t)len >= size)
        return err_set(err, ERR_LIMIT, STEP, "the path of %s is too long",
                       is_set ? variable : "HOME");
    memcpy(ret, path, (size_t)len + 1);
    return 0;
}

int place_config(char *ret, size_t size, struct err *err)
{
    return find("XDG_CONFIG_HOME", "/.config", ret, size, err);
}

int place_state(char *ret, size_t size, struct err *err)
{
    return find("XDG_STATE_HOME", "/.local/state", ret, size, err);
}
