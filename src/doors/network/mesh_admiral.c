/*
 * mesh_admiral: what Admiral is told, which makes Istio of several clusters one mesh.
 *
 * A Dependency says which services a workload calls, by their identities; of it
 * Admiral makes the entries for ENV.IDENTITY.mesh (or .global) by itself, in
 * every cluster where the workload runs. So such hosts need nothing else.
 */
#include "doors/network/mesh_objects.h"

void mesh_add_dependency(struct mesh_plan *plan, struct buf *ret)
{
    struct str last = STR("");
    if (!mesh_count(plan, MESH_GLOBAL))
        return;
    if (!plan->account.len) {
        mesh_note(plan, FIREWALL_LEFT_OUT, STR("identity"),
                  "the profile names no service account by which Admiral would know the workload");
        return;
    }
    mesh_note(
        plan, FIREWALL_WARNING, STR(MESH_WARNING_IDENTITY),
        "Admiral knows a workload by its label `identity`, for which the service account %.*s "
        "is taken",
        STR_ARG(plan->account));
    mesh_begin(plan, ret, "admiral.io/v1alpha1", "Dependency", "", 0, false);
    buf_addf(ret, "  source: \"%.*s\"\n  identityLabel: identity\n  destinations:\n",
             STR_ARG(plan->account));
    for (size_t i = 0; i < plan->host_count; i++) {
        const struct mesh_host *host = &plan->hosts[i];
        if (host->place != MESH_GLOBAL || str_equal(host->part, last))
            continue;
        last = host->part;
        buf_addf(ret, "    - \"%.*s\"\n", STR_ARG(host->part));
    }
}
