/*
 * plan_profile: what a profile may ask of this release.
 *
 * A profile is the user's word, or the enterprise's. What of it cannot be had
 * here is refused, by its place in the profile: it is never passed over.
 */
#include "machine/plan_profile.h"

#include <sys/utsname.h>

#include "contract/rules.h"

#define STEP_PROFILE "read the profile"

/* A member that must have this value, where it is there. */
static const struct {
    const char *pointer, *value, *instead;
} fixed[] = {
    { "/hostPlane/adapter", "linux-native", "this release runs on linux-native alone" },
    { "/machinePlane/provider", "none", "virtual machines come with a later release" },
    { "/worktreePlane/defaultDecision", "deny", "what is not listed is not mounted" },
};

/* A list that must be empty. */
static const struct {
    const char *pointer, *instead;
} empty[] = {
    { "/containerPlane/capabilities", "the sandbox keeps no capability" },
};

static int unsupported(const yyjson_val *profile, const char *pointer, struct str value,
                       const char *instead, struct err *err)
{
    int r = err_set(err, ERR_UNSUPPORTED, STEP_PROFILE, "the profile asks for %s %.*s: %s",
                    pointer + 1, STR_ARG(value), instead);
    err_rule(err, "profile-unsupported", "artifact", text_of(member(profile, "id")));
    err_where(err, "%s", pointer);
    return r;
}

static int check_architecture(const yyjson_val *profile, struct err *err)
{
    static const char pointer[] = "/hostPlane/architecture";
    struct utsname host;
    struct str wanted = text_of(at(profile, pointer));
    if (!wanted.len || uname(&host) < 0 || str_equal(wanted, str_from(host.machine)))
        return 0;
    return unsupported(profile, pointer, wanted, "this host has another architecture", err);
}

static int check_surface(const yyjson_val *profile, const char *surface, struct err *err)
{
    if (!surface || array_has(at(profile, "/agentPlane/toolSurfaceRefs"), str_from(surface)))
        return 0;
    int r = err_set(err, ERR_DENIED, STEP_PROFILE, "the profile does not list %s", surface);
    err_remedy(err, "add it to agentPlane.toolSurfaceRefs: agent-machine profile edit %.*s",
               STR_ARG(text_of(member(profile, "id"))));
    err_rule(err, "surface-not-listed", "tool", str_from(surface));
    return r;
}

int plan_check_profile(const yyjson_val *profile, const char *surface, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        const yyjson_val *value = at(profile, fixed[i].pointer);
        if (value && !text_is(value, fixed[i].value))
            return unsupported(profile, fixed[i].pointer, text_of(value), fixed[i].instead, err);
    }
    for (size_t i = 0; i < ARRAY_LEN(empty); i++)
        if (yyjson_arr_size(at(profile, empty[i].pointer)))
            return unsupported(profile, empty[i].pointer, STR("with something in it"),
                               empty[i].instead, err);
    int r = check_architecture(profile, err);
    return r < 0 ? r : check_surface(profile, surface, err);
}
