/*
 * profile: machine profiles, found by name and checked.
 *
 * A user's own profiles stand in the ledger, where only the plane writes; they were checked when
 * they were admitted, and are not compiled or checked again. A managed profile is a document of
 * the enterprise's or the device's layer, a file of root's: it stands above any profile of the
 * user's under the same name.
 */
#ifndef AM_PLANE_PROFILE_H
#define AM_PLANE_PROFILE_H

#include "authority/layers.h"
#include "plane/plane.h"
#include "plane/profile_presets.h"

#define PROFILE_TYPE     "AgentMachineProfile"
#define PROFILE_PERSONAL "urn:srcos:agent-machine-profile:personal"
#define PROFILE_WORKSPACE                                                                          \
    "urn:srcos:workspace:personal" /* where it is made, unless one is said                         \
                                    */

struct profile {
    const yyjson_val *root;
    enum layer layer; /* enterprise or device: managed; user: the user's own */
    const char *path; /* of a managed one's file, which is the layers'; else NULL */
    yyjson_doc *doc;  /* of the user's own; NULL: it belongs to the layers */
};

/*
 * ERR_NOT_FOUND where there is none; ERR_DENIED where a managed document cannot be used, because
 * it might be the one. The layers must outlive what was found.
 */
int profile_find(struct plane *plane, const struct layers *layers, const char *urn,
                 struct profile *ret, struct err *err) MUST_CHECK;
/* 1 where it has left service, 0, or -errno. */
int profile_is_archived(struct plane *plane, struct str urn, struct err *err) MUST_CHECK;
void profile_release(struct profile *profile);
/* The managed profile of a URN, by index among the layers' documents; -1: there is none. */
int profile_managed(const struct layers *layers, const char *urn);
/* Whether a document of the layers is a managed profile. */
bool profile_is_managed(const struct layer_document *document);

/* ERR_DOCUMENT names the first fault that schema or rules find, and its place. */
int profile_check(struct plane *plane, const yyjson_val *document, struct err *err) MUST_CHECK;

/* Appends the parameters of the operation that makes a profile of a kind; presets are bits. */
int profile_write_create(struct buf *ret, const struct profile_kind *kind, struct str urn,
                         unsigned presets, struct err *err) MUST_CHECK;
/*
 * The same for a changed profile, which takes the place of the one before; `mounts` is the JSON
 * array of those stored with it, or empty.
 */
int profile_write_replace(struct buf *ret, const yyjson_val *before, const yyjson_val *after,
                          struct str mounts, struct err *err) MUST_CHECK;
/*
 * Submits a profile.create with these parameters, in PROFILE_WORKSPACE where `workspace` is
 * empty. An operation that failed is this call's error.
 */
int profile_submit(struct plane *plane, struct str parameters, struct str workspace,
                   struct err *err) MUST_CHECK;
/* The personal profile, made by an operation where it is missing. Costs one look-up otherwise. */
int profile_ensure_personal(struct plane *plane, bool *ret_made, struct err *err) MUST_CHECK;

#endif
