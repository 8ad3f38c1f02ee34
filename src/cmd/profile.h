/* profile: what the verbs below `profile` share. */
#ifndef AM_CMD_PROFILE_H
#define AM_CMD_PROFILE_H

#include "cmd/verb.h"
#include "plane/profile.h"

/* Both stores: the ledger of the user, and the layers' documents. */
struct profiles {
    struct plane *plane;
    struct layers *layers;
};

int profiles_open(enum ledger_mode mode, struct profiles *ret, struct err *err) MUST_CHECK;
void profiles_close(struct profiles *profiles);
/* By URN, or the part of it that a person types. */
int profiles_find(const struct profiles *profiles, const char *name, struct profile *ret,
                  struct err *err) MUST_CHECK;

/* EXIT_OK unless this profile is managed: then says so, and returns the exit status of that. */
int profile_tell_managed(const struct invocation *invocation, const struct layers *layers,
                         const char *urn);

/* Prints what a has (-) and b has instead (+); how many places differ. */
size_t profile_print_diff(const yyjson_val *a, const yyjson_val *b, bool as_json);

/* Prints what the layers make of a profile, section by section. */
int profile_show_effective(const struct profiles *profiles, const struct profile *profile,
                           bool as_json, struct err *err) MUST_CHECK;

int run_profile_edit(const struct invocation *invocation);
#define PROFILE_EDIT_OPTION_COUNT 2
extern const struct option_row profile_edit_options[PROFILE_EDIT_OPTION_COUNT];

int run_profile_mount(const struct invocation *invocation);
#define PROFILE_MOUNT_OPTION_COUNT 1
extern const struct option_row profile_mount_options[PROFILE_MOUNT_OPTION_COUNT];

#endif
