/*
 * mesh_network_policy: the firewall half of a mesh.
 *
 * Theory of operation. A workload can go around its proxy: with rights of its
 * own in the pod, by a protocol that is not captured, from a pod that has none.
 * What it cannot go around is the node's network policy. Through an egress
 * gateway that suffices: the pods reach the name service, the mesh's own
 * control, the gateway, and services of the cluster by their namespaces, and
 * nothing else. Where proxies connect directly to hosts outside, their
 * addresses are not known here, so that the policy has to leave port 443 open,
 * and the warning `mesh-can-be-bypassed` stands in the plan.
 *
 * Without a mesh (the target kubernetes) there is no proxy that knows names:
 * then nothing outside is opened.
 */
#include "doors/network/mesh_objects.h"

#define IPV4_INSIDE                                                                                \
    "\"0.0.0.0/8\", \"10.0.0.0/8\", \"100.64.0.0/10\", \"127.0.0.0/8\", \"169.254.0.0/16\", "      \
    "\"172.16.0.0/12\", \"192.168.0.0/16\""
#define IPV6_INSIDE "\"::1/128\", \"fc00::/7\", \"fe80::/10\""

static void add_namespace(struct buf *ret, struct str namespace, const char *labels)
{
    buf_addf(ret,
             "    - to:\n        - namespaceSelector:\n            matchLabels:\n"
             "              \"kubernetes.io/metadata.name\": \"%.*s\"\n",
             STR_ARG(namespace));
    if (labels)
        buf_addf(ret, "          podSelector:\n            matchLabels:\n              %s\n",
                 labels);
}

/* Each namespace once: hosts are sorted by their labels from the last, so equal ones are together.
 */
static void add_cluster_hosts(const struct mesh_plan *plan, struct buf *ret)
{
    struct str last = STR("");
    for (size_t i = 0; i < plan->host_count; i++) {
        const struct mesh_host *host = &plan->hosts[i];
        if (host->place != MESH_CLUSTER || str_equal(host->part, last))
            continue;
        last = host->part;
        buf_addf(ret, "    # services of %.*s\n", STR_ARG(host->part));
        add_namespace(ret, host->part, NULL);
    }
}

static void add_outside(struct mesh_plan *plan, struct buf *ret)
{
    buf_add_text(ret, "    # hosts outside, whose addresses only the proxies know\n    - to:\n"
                      "        - ipBlock:\n            cidr: \"0.0.0.0/0\"\n"
                      "            except: [" IPV4_INSIDE "]\n"
                      "        - ipBlock:\n            cidr: \"::/0\"\n"
                      "            except: [" IPV6_INSIDE "]\n"
                      "      ports:\n        - protocol: TCP\n          port: 443\n");
    mesh_note(plan, FIREWALL_WARNING, STR(MESH_WARNING_BYPASSED),
              "the pods themselves may reach any public address at port 443: whoever goes around "
              "the proxy is not held by the mesh; set egressMode to egress-gateway, or plan a "
              "firewall for Cilium beside it");
}

static void add_mesh(const struct mesh_plan *plan, struct buf *ret)
{
    buf_add_text(ret, "    # the control of the mesh\n");
    add_namespace(ret, plan->scope.gateway_namespace, "\"app\": \"istiod\"");
    buf_add_text(ret, "      ports:\n        - protocol: TCP\n          port: 15012\n");
    if (plan->egress != MESH_EGRESS_AMBIENT)
        return;
    buf_add_text(ret, "    # the ambient mesh, from node to node\n    - to:\n"
                      "        - namespaceSelector: {}\n"
                      "      ports:\n        - protocol: TCP\n          port: 15008\n");
}

static void add_gateways(const struct mesh_plan *plan, struct buf *ret)
{
    if (plan->egress == MESH_EGRESS_GATEWAY && mesh_count(plan, MESH_EXTERNAL)) {
        buf_add_text(ret, "    # the egress gateway\n");
        add_namespace(ret, plan->scope.gateway_namespace, "\"istio\": \"egressgateway\"");
        buf_add_text(ret, "      ports:\n        - protocol: TCP\n          port: 8443\n"
                          "        - protocol: TCP\n          port: 443\n");
    }
    if (mesh_count(plan, MESH_GLOBAL)) {
        buf_add_text(ret, "    # the gateway to the mesh's other clusters\n");
        add_namespace(ret, plan->scope.gateway_namespace, NULL);
        buf_add_text(ret, "      ports:\n        - protocol: TCP\n          port: 15443\n");
    }
}

/* What stands in a profile and needs a mesh. */
static void note_without_mesh(struct mesh_plan *plan)
{
    for (size_t i = 0; i < plan->host_count; i++) {
        if (plan->hosts[i].place != MESH_CLUSTER)
            mesh_note(plan, FIREWALL_LEFT_OUT, plan->hosts[i].text,
                      "a NetworkPolicy sees addresses and no names");
        else
            mesh_note(
                plan, FIREWALL_LOOSER, plan->hosts[i].text,
                "a NetworkPolicy sees no services: every pod of its namespace may be reached");
    }
    if (plan->mtls)
        mesh_note(plan, FIREWALL_NOT_HELD, STR("mtlsRequired"),
                  "a NetworkPolicy does not know who anybody is");
}

static void add_ingress(const struct mesh_plan *plan, struct buf *ret)
{
    switch (plan->ingress) {
    case MESH_INGRESS_DENY:
        buf_add_text(ret, "  ingress: []\n");
        return;
    case MESH_INGRESS_GATEWAY:
        buf_addf(ret,
                 "  ingress:\n    - from:\n        - namespaceSelector:\n            matchLabels:\n"
                 "              \"kubernetes.io/metadata.name\": \"%.*s\"\n"
                 "          podSelector:\n            matchLabels:\n"
                 "              \"istio\": \"ingressgateway\"\n",
                 STR_ARG(plan->scope.gateway_namespace));
        return;
    case MESH_INGRESS_INTERNAL:
        buf_add_text(ret, "  ingress:\n    - from:\n        - namespaceSelector: {}\n");
        return;
    case MESH_INGRESS_MANAGED:
    case MESH_INGRESS_COUNT:
        return;
    }
}

static void add_egress(struct mesh_plan *plan, bool in_mesh, struct buf *ret)
{
    bool is_direct = plan->egress == MESH_EGRESS_ENTRIES || plan->egress == MESH_EGRESS_DIRECT ||
                     plan->egress == MESH_EGRESS_AMBIENT;
    buf_add_text(ret, "  egress:\n    # the cluster's name service\n");
    add_namespace(ret, STR("kube-system"), "\"k8s-app\": \"kube-dns\"");
    buf_add_text(ret, "      ports:\n        - protocol: UDP\n          port: 53\n"
                      "        - protocol: TCP\n          port: 53\n");
    add_cluster_hosts(plan, ret);
    if (!in_mesh)
        return;
    add_mesh(plan, ret);
    add_gateways(plan, ret);
    if (is_direct && mesh_count(plan, MESH_EXTERNAL))
        add_outside(plan, ret);
}

void mesh_add_network_policy(struct mesh_plan *plan, bool in_mesh, struct buf *ret)
{
    bool egress = plan->egress != MESH_EGRESS_MANAGED;
    bool ingress = plan->ingress != MESH_INGRESS_MANAGED;
    if (!egress)
        mesh_note(plan, FIREWALL_WARNING, STR(MESH_WARNING_BYPASSED),
                  "egress is managed elsewhere: nothing here keeps traffic from going around the "
                  "mesh");
    if (!ingress)
        mesh_note(plan, FIREWALL_ELSEWHERE, STR("ingressMode"), "ingress is managed elsewhere");
    if (!in_mesh)
        note_without_mesh(plan);
    if (!egress && !ingress)
        return;
    mesh_begin(plan, ret, "networking.k8s.io/v1", "NetworkPolicy", "", 0, false);
    if (plan->labels.count)
        mesh_add_selector(plan, ret, "  podSelector:\n    matchLabels:\n");
    else
        buf_add_text(ret, "  podSelector: {}\n");
    buf_addf(ret, "  policyTypes: [%s%s%s]\n", egress ? "\"Egress\"" : "",
             egress && ingress ? ", " : "", ingress ? "\"Ingress\"" : "");
    if (egress)
        add_egress(plan, in_mesh, ret);
    add_ingress(plan, ret);
}
