/* mesh_objects: a mesh plan's parts, for those who read the profile and render them. */
#ifndef AM_DOORS_NETWORK_MESH_OBJECTS_H
#define AM_DOORS_NETWORK_MESH_OBJECTS_H

#include "base/arena.h"
#include "contract/destination.h"
#include "doors/network/firewall_text.h"
#include "doors/network/mesh_plan.h"

#define MESH_HOSTS_MAX 20000

#define MESH_EGRESS_TABLE(X)                                                                       \
    X(MESH_EGRESS_DENY, "deny")                                                                    \
    X(MESH_EGRESS_ENTRIES, "service-entry-allowlist")                                              \
    X(MESH_EGRESS_GATEWAY, "egress-gateway")                                                       \
    X(MESH_EGRESS_DIRECT, "direct-allowlist")                                                      \
    X(MESH_EGRESS_AMBIENT, "ambient")                                                              \
    X(MESH_EGRESS_MANAGED, "enterprise-managed")
#define MESH_INGRESS_TABLE(X)                                                                      \
    X(MESH_INGRESS_DENY, "deny")                                                                   \
    X(MESH_INGRESS_GATEWAY, "gateway")                                                             \
    X(MESH_INGRESS_INTERNAL, "mesh-internal")                                                      \
    X(MESH_INGRESS_MANAGED, "enterprise-managed")

#define X(mode, name) mode,
enum mesh_egress { MESH_EGRESS_TABLE(X) MESH_EGRESS_COUNT };
enum mesh_ingress { MESH_INGRESS_TABLE(X) MESH_INGRESS_COUNT };
#undef X

enum mesh_place {
    MESH_EXTERNAL, /* outside of the cluster */
    MESH_CLUSTER,  /* a service of the cluster, NAME.NAMESPACE.svc.cluster.local */
    MESH_GLOBAL,   /* a service of the mesh's other clusters, ENV.IDENTITY.mesh or .global */
};

/* A host that is allowed, after what is denied. */
struct mesh_host {
    struct str text, name; /* as it was written; as names are compared, without "*." or "." */
    struct destination destination;
    enum mesh_place place;
    struct str part; /* of MESH_CLUSTER the namespace, of MESH_GLOBAL the identity */
};

struct mesh_plan {
    struct arena arena;
    struct mesh_scope scope;
    struct str id;
    struct firewall_notes notes;
    struct mesh_host *hosts; /* in the order of their names */
    size_t host_count;
    enum mesh_egress egress;
    enum mesh_ingress ingress;
    bool mtls, models;
    struct labels labels; /* none: every workload of the namespace */
    struct str account;   /* of the workload; empty: not said */
    struct str trust_domain, principal_namespace, principal_account; /* of its certificate */
    char name[FIREWALL_NAME_MAX]; /* of the plan's objects, less what tells them apart */
};

/* mesh_read.c */
int mesh_read(struct mesh_plan *plan, const yyjson_val *root, struct err *err) MUST_CHECK;

/* mesh_plan.c */
void mesh_note(struct mesh_plan *plan, enum firewall_effect effect, struct str host,
               const char *format, ...) PRINTF_LIKE(4, 5);
/* Begins an object: apiVersion, kind, metadata and "spec:"; `number` 0: there is one of its kind.
 */
void mesh_begin(const struct mesh_plan *plan, struct buf *ret, const char *api, const char *kind,
                const char *suffix, size_t number, bool in_gateway_namespace);
/* The workload's labels under a member that is named with its indent, if there are any. */
void mesh_add_selector(const struct mesh_plan *plan, struct buf *ret, const char *member);
/* Appends "TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT"; false where the profile does not say. */
bool mesh_add_principal(const struct mesh_plan *plan, struct buf *ret);
/* How many hosts lie there. */
size_t mesh_count(const struct mesh_plan *plan, enum mesh_place place);

/* Renderers append objects and note the rest. */
void mesh_add_istio(struct mesh_plan *plan, bool with_admiral, struct buf *ret);
void mesh_add_dependency(struct mesh_plan *plan, struct buf *ret);
/* The firewall half; `in_mesh`: proxies stand beside the workload. */
void mesh_add_network_policy(struct mesh_plan *plan, bool in_mesh, struct buf *ret);

#endif
