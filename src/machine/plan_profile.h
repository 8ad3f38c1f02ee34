/* plan_profile: what a profile may ask of this release. */
#ifndef AM_MACHINE_PLAN_PROFILE_H
#define AM_MACHINE_PLAN_PROFILE_H

#include <yyjson.h>

#include "base/err.h"

/* ERR_UNSUPPORTED with the place; ERR_DENIED where a surface (NULL: none) is not the profile's. */
int plan_check_profile(const yyjson_val *profile, const char *surface, struct err *err) MUST_CHECK;

#endif
