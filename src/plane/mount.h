/*
 * mount: AgentWorkspaceMounts, found by name.
 *
 * A user's own stand in the ledger, stored with the profile that names them. A managed one is a
 * document of the enterprise's or the device's layer, a file of root's, and stands above any of
 * the user's under the same name.
 */
#ifndef AM_PLANE_MOUNT_H
#define AM_PLANE_MOUNT_H

#include "plane/profile.h"

#define MOUNT_TYPE "AgentWorkspaceMount"

struct mount_document {
    const yyjson_val *root;
    const char *path; /* of a managed one's file, which is the layers'; else NULL */
    yyjson_doc *doc;  /* of the user's own; NULL: it belongs to the layers */
};

/*
 * `profile` is the one that names it, NULL where a command does: what a managed profile names is
 * managed too. ERR_NOT_FOUND. The layers, which profile_find has found usable, outlive it.
 */
int mount_find(struct plane *plane, const struct layers *layers, const struct profile *profile,
               struct str urn, struct mount_document *ret, struct err *err) MUST_CHECK;
void mount_release(struct mount_document *mount);

#endif
