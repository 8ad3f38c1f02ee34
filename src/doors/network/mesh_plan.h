/*
 * mesh_plan: what a service mesh would have to hold for a MeshBindingProfile, in its own words.
 *
 * A mesh alone does not keep traffic from going around its proxies. So every
 * plan has the firewall half with it, a NetworkPolicy; where that cannot close
 * the way around, a warning with a name says so.
 */
#ifndef AM_DOORS_NETWORK_MESH_PLAN_H
#define AM_DOORS_NETWORK_MESH_PLAN_H

#include <yyjson.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "doors/network/firewall_notes.h"

#define MESH_TEXT_MAX          ((size_t)64 << 20)
#define MESH_WARNING_BYPASSED  "mesh-can-be-bypassed"
#define MESH_WARNING_IDENTITY  "identity-by-label"
#define MESH_GATEWAY_NAMESPACE "istio-system"

#define MESH_TARGET_TABLE(X)                                                                       \
    X(MESH_ISTIO, "istio")                                                                         \
    X(MESH_ADMIRAL, "admiral")                                                                     \
    X(MESH_KUBERNETES, "kubernetes")

enum mesh_target {
#define X(target, name) target,
    MESH_TARGET_TABLE(X)
#undef X
        MESH_TARGET_COUNT
};
extern const char *const mesh_target_names[MESH_TARGET_COUNT];

/* Where the mesh runs; empty: as the profile says, or as usual. */
struct mesh_scope {
    struct str namespace; /* of the workload */
    struct str gateway_namespace;
};

struct mesh_plan;

/* The profile, which its schema has accepted, must outlive the plan; so must what scope views. */
int mesh_plan_new(const struct mesh_scope *scope, const yyjson_val *root, struct mesh_plan **ret,
                  struct err *err) MUST_CHECK;
void mesh_plan_free(struct mesh_plan *plan);
/* Appends the text for a target; the notes are this target's until the next call. */
int mesh_plan_render(struct mesh_plan *plan, enum mesh_target target, struct buf *ret,
                     struct err *err) MUST_CHECK;
const struct firewall_notes *mesh_plan_notes(const struct mesh_plan *plan);
const char *mesh_target_format(enum mesh_target target);

#endif
