/*
 * limits_inside: the resource limits that a sandbox sets on itself.
 *
 * In a file of its own, since a container's first process has it too, and has
 * nothing but the C library (container_init.c).
 */
#include "machine/limits.h"
#include "machine/linux/limits_internal.h"

static int set_rlimit(int resource, int64_t value, const char *name, struct err *err)
{
    struct rlimit now, limit = { .rlim_cur = (rlim_t)value, .rlim_max = (rlim_t)value };
    if (getrlimit((__rlimit_resource_t)resource, &now) == 0 && now.rlim_max < limit.rlim_max)
        limit.rlim_cur = limit.rlim_max = now.rlim_max; /* it is stricter already */
    if (setrlimit((__rlimit_resource_t)resource, &limit) < 0)
        return err_set_errno(err, errno, LIMITS_STEP, "%s", name);
    return 0;
}

int limits_in_child(const struct limits_inside *inside, struct err *err)
{
    int r = 0;
    for (size_t i = 0; i < inside->count && r == 0; i++)
        r = set_rlimit(inside->of[i].resource, inside->of[i].value, inside->of[i].name, err);
    return r;
}
