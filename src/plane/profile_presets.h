/* profile_presets: the machine profiles that the program can make by itself. */
#ifndef AM_PLANE_PROFILE_PRESETS_H
#define AM_PLANE_PROFILE_PRESETS_H

#include "plane/plane.h"

#define PROFILE_KIND_COUNT 7
#define PROFILE_HOSTS_MAX  16

struct profile_kind {
    const char *name, *summary, *description;
    const char *paths, *providers; /* JSON arrays */
    const char *prompt_egress, *model_download;
    bool offline; /* nothing leaves the machine, and no preset does anything */
};
extern const struct profile_kind profile_kinds[PROFILE_KIND_COUNT];

/* Hosts that belong together, by a name with which they can be left out. */
struct profile_preset {
    const char *name, *description;
    const char *hosts[PROFILE_HOSTS_MAX]; /* up to a NULL */
};
#define PROFILE_PRESET_COUNT 4
#define PROFILE_PRESETS_ALL  ((1u << PROFILE_PRESET_COUNT) - 1)
extern const struct profile_preset profile_presets[PROFILE_PRESET_COUNT];

/* NULL, or -1, where there is none of this name. */
const struct profile_kind *profile_kind_find(struct str name);
int profile_preset_find(struct str name);

/*
 * Append the AgentMachineProfile of a URN, and the NetworkAccessProfile that it refers to, which
 * has an entry for each of the presets (bits). The same is written each time.
 */
void profile_write(struct buf *ret, const struct profile_kind *kind, struct str urn);
void profile_write_network(struct buf *ret, const struct profile_kind *kind, struct str urn,
                           unsigned presets);
/* The URN of that NetworkAccessProfile. */
void profile_network_urn(struct str urn, char ret[PLANE_URN_MAX]);

#endif
