/*
 * mesh_istio: a mesh plan as objects of Istio.
 *
 * Theory of operation. A Sidecar object shuts the proxy to everything but the
 * hosts that are listed; a ServiceEntry makes a host outside known to the mesh.
 * Through an egress gateway each host gets a gateway of its own, because the
 * name of the mutual TLS around a connection is all that the gateway can tell
 * connections by: a Gateway, a DestinationRule that sets that name, and a
 * VirtualService that leads to the gateway and on from there. At the gateway
 * two policies hold the workload, by its principal, to these names and shut it
 * out of all others; they only deny, so that nobody else's use of the gateway
 * is touched. Mutual TLS and who may connect to the workload stand in a
 * PeerAuthentication and an AuthorizationPolicy.
 *
 * A host is carried as TLS at port 443: the profile names no ports.
 */
#include "doors/network/mesh_objects.h"

#define NETWORKING "networking.istio.io/v1beta1"
#define SECURITY   "security.istio.io/v1"
#define GATEWAY_OF "istio-egressgateway"

/* --- hosts --------------------------------------------------------------------------------- */

/* Calls for the name itself and for the names below it, as a host means them. */
static void each_form(const struct mesh_host *host, struct buf *ret,
                      void (*add)(struct buf *, const char *prefix, struct str name))
{
    if (host->destination.form != DESTINATION_BELOW)
        add(ret, "", host->name);
    if (host->destination.form != DESTINATION_ITSELF)
        add(ret, "*.", host->name);
}

static void add_own_host(struct buf *ret, const char *prefix, struct str name)
{
    buf_addf(ret, "        - \"./%s%.*s\"\n", prefix, STR_ARG(name));
}

static void add_any_host(struct buf *ret, const char *prefix, struct str name)
{
    buf_addf(ret, "        - \"*/%s%.*s\"\n", prefix, STR_ARG(name));
}

static void add_comment(struct buf *ret, const struct mesh_host *host)
{
    buf_addf(ret, "  # %s%.*s\n",
             host->destination.form == DESTINATION_BELOW              ? "*."
             : host->destination.form == DESTINATION_ITSELF_AND_BELOW ? "."
                                                                      : "",
             STR_ARG(host->name));
}

static bool has_entry(const struct mesh_plan *plan, const struct mesh_host *host, bool with_admiral)
{
    return plan->egress != MESH_EGRESS_MANAGED &&
           (host->place == MESH_EXTERNAL || (host->place == MESH_GLOBAL && !with_admiral));
}

static void add_entry(const struct mesh_plan *plan, struct buf *ret, const struct mesh_host *host,
                      size_t number, bool is_pattern)
{
    bool by_gateway = plan->egress == MESH_EGRESS_GATEWAY;
    mesh_begin(plan, ret, NETWORKING, "ServiceEntry", is_pattern ? "-below" : "", number, false);
    add_comment(ret, host);
    buf_addf(ret, "  hosts: [\"%s%.*s\"]\n  exportTo: [\".\"", is_pattern ? "*." : "",
             STR_ARG(host->name));
    if (by_gateway)
        buf_addf(ret, ", \"%.*s\"", STR_ARG(plan->scope.gateway_namespace));
    buf_addf(ret,
             "]\n  location: %s\n  resolution: %s\n  ports:\n"
             "    - {number: 443, name: tls, protocol: TLS}\n",
             host->place == MESH_GLOBAL ? "MESH_INTERNAL" : "MESH_EXTERNAL",
             is_pattern ? "NONE" : "DNS");
}

static void add_entries(struct mesh_plan *plan, bool with_admiral, struct buf *ret)
{
    bool by_gateway = plan->egress == MESH_EGRESS_GATEWAY;
    for (size_t i = 0; i < plan->host_count; i++) {
        const struct mesh_host *host = &plan->hosts[i];
        enum destination_form form = host->destination.form;
        if (!has_entry(plan, host, with_admiral))
            continue;
        if (form != DESTINATION_BELOW)
            add_entry(plan, ret, host, i + 1, false);
        if (form == DESTINATION_ITSELF)
            continue;
        if (by_gateway && host->place == MESH_EXTERNAL)
            mesh_note(plan, FIREWALL_LEFT_OUT, host->text,
                      "an egress gateway leads to hosts that it knows by name: names below %.*s "
                      "are not among them",
                      STR_ARG(host->name));
        else
            add_entry(plan, ret, host, i + 1, true);
    }
}

/* --- the proxy ----------------------------------------------------------------------------- */

static void add_sidecar(struct mesh_plan *plan, bool with_admiral, struct buf *ret)
{
    if (plan->egress == MESH_EGRESS_MANAGED || plan->egress == MESH_EGRESS_AMBIENT) {
        mesh_note(plan, FIREWALL_ELSEWHERE, STR("egressMode"),
                  plan->egress == MESH_EGRESS_AMBIENT
                      ? "an ambient mesh has no proxy beside the workload that could be shut"
                      : "egress is managed elsewhere");
        return;
    }
    mesh_begin(plan, ret, NETWORKING, "Sidecar", "", 0, false);
    mesh_add_selector(plan, ret, "  workloadSelector:\n    labels:\n");
    buf_add_text(ret, "  outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n  egress:\n    - hosts:\n");
    if (!plan->host_count)
        buf_add_text(ret, "        - \"~/*\"\n");
    else if (plan->egress == MESH_EGRESS_GATEWAY)
        buf_addf(ret, "        - \"%.*s/" GATEWAY_OF ".%.*s.svc.cluster.local\"\n",
                 STR_ARG(plan->scope.gateway_namespace), STR_ARG(plan->scope.gateway_namespace));
    for (size_t i = 0; i < plan->host_count; i++)
        each_form(&plan->hosts[i], ret,
                  has_entry(plan, &plan->hosts[i], with_admiral) ? add_own_host : add_any_host);
}

/* --- the egress gateway -------------------------------------------------------------------- */

static void add_gateway(const struct mesh_plan *plan, struct buf *ret, const struct mesh_host *host,
                        size_t number)
{
    mesh_begin(plan, ret, NETWORKING, "Gateway", "", number, false);
    add_comment(ret, host);
    buf_addf(ret,
             "  selector: {istio: egressgateway}\n  servers:\n"
             "    - port: {number: 443, name: tls-%zu, protocol: TLS}\n"
             "      hosts: [\"%.*s\"]\n      tls: {mode: %s}\n",
             number, STR_ARG(host->name), plan->mtls ? "ISTIO_MUTUAL" : "PASSTHROUGH");
    if (!plan->mtls)
        return;
    mesh_begin(plan, ret, NETWORKING, "DestinationRule", "", number, false);
    add_comment(ret, host);
    buf_addf(ret,
             "  host: \"" GATEWAY_OF ".%.*s.svc.cluster.local\"\n  exportTo: [\".\"]\n  subsets:\n"
             "    - name: \"host-%zu\"\n      trafficPolicy:\n        portLevelSettings:\n"
             "          - port: {number: 443}\n"
             "            tls: {mode: ISTIO_MUTUAL, sni: \"%.*s\"}\n",
             STR_ARG(plan->scope.gateway_namespace), number, STR_ARG(host->name));
}

static void add_route(const struct mesh_plan *plan, struct buf *ret, const struct mesh_host *host,
                      size_t number)
{
    struct str gateways = plan->scope.gateway_namespace;
    mesh_begin(plan, ret, NETWORKING, "VirtualService", "", number, false);
    add_comment(ret, host);
    buf_addf(ret,
             "  hosts: [\"%.*s\"]\n  exportTo: [\".\", \"%.*s\"]\n"
             "  gateways: [\"mesh\", \"agent-machine-%s-%zu\"]\n  tls:\n    - match:\n"
             "        - {gateways: [\"mesh\"], port: 443, sniHosts: [\"%.*s\"]}\n      route:\n"
             "        - destination:\n"
             "            host: \"" GATEWAY_OF ".%.*s.svc.cluster.local\"\n"
             "            port: {number: 443}\n",
             STR_ARG(host->name), STR_ARG(gateways), plan->name, number, STR_ARG(host->name),
             STR_ARG(gateways));
    if (plan->mtls)
        buf_addf(ret, "            subset: \"host-%zu\"\n  tcp:\n    - match:\n", number);
    else
        buf_add_text(ret, "    - match:\n");
    buf_addf(ret, "        - {gateways: [\"agent-machine-%s-%zu\"], port: 443", plan->name, number);
    if (!plan->mtls)
        buf_addf(ret, ", sniHosts: [\"%.*s\"]", STR_ARG(host->name));
    buf_addf(ret, "}\n      route:\n        - destination: {host: \"%.*s\", port: {number: 443}}\n",
             STR_ARG(host->name));
}

/* What the workload may use the gateway for; of others it says nothing. */
static void add_gateway_policy(struct mesh_plan *plan, struct buf *ret)
{
    _cleanup_(buf_release) struct buf principal = BUF_INIT;
    size_t count = 0;
    if (!plan->mtls || !mesh_add_principal(plan, &principal)) {
        mesh_note(plan, FIREWALL_NOT_HELD, STR("identity"),
                  "without mutual TLS and a SPIFFE ID the gateway cannot tell whose traffic it is");
        return;
    }
    mesh_begin(plan, ret, SECURITY, "AuthorizationPolicy", "-egress", 0, true);
    buf_addf(ret,
             "  selector:\n    matchLabels:\n      istio: egressgateway\n  action: DENY\n"
             "  rules:\n    # all but the hosts that are allowed\n"
             "    - from:\n        - source:\n            principals: [\"%s\"]\n",
             principal.data);
    for (size_t i = 0; i < plan->host_count; i++) {
        const struct mesh_host *host = &plan->hosts[i];
        if (host->place != MESH_EXTERNAL || host->destination.form == DESTINATION_BELOW)
            continue;
        if (!count++)
            buf_add_text(ret, "      when:\n        - key: connection.sni\n          notValues:\n");
        buf_addf(ret, "            - \"%.*s\"\n", STR_ARG(host->name));
    }
}

static void add_gateways(struct mesh_plan *plan, struct buf *ret)
{
    if (plan->egress != MESH_EGRESS_GATEWAY)
        return;
    for (size_t i = 0; i < plan->host_count; i++) {
        const struct mesh_host *host = &plan->hosts[i];
        if (host->place != MESH_EXTERNAL || host->destination.form == DESTINATION_BELOW)
            continue;
        add_gateway(plan, ret, host, i + 1);
        add_route(plan, ret, host, i + 1);
    }
    add_gateway_policy(plan, ret);
}

/* --- who is who ---------------------------------------------------------------------------- */

static void add_ingress_policy(struct mesh_plan *plan, struct buf *ret)
{
    if (plan->ingress == MESH_INGRESS_MANAGED)
        return;
    mesh_begin(plan, ret, SECURITY, "AuthorizationPolicy", "-ingress", 0, false);
    mesh_add_selector(plan, ret, "  selector:\n    matchLabels:\n");
    buf_add_text(ret, "  action: ALLOW\n");
    if (plan->ingress == MESH_INGRESS_DENY)
        buf_add_text(ret, "  rules: [] # nobody\n");
    else if (plan->ingress == MESH_INGRESS_INTERNAL)
        buf_add_text(ret, "  rules:\n    # whoever is of the mesh\n    - from:\n"
                          "        - source:\n            principals: [\"*\"]\n");
    else
        buf_addf(ret,
                 "  rules:\n    # the gateways\n    - from:\n        - source:\n"
                 "            namespaces: [\"%.*s\"]\n",
                 STR_ARG(plan->scope.gateway_namespace));
    if (!plan->mtls && plan->ingress != MESH_INGRESS_DENY)
        mesh_note(plan, FIREWALL_STRICTER, STR("mtlsRequired"),
                  "who connects is known by mutual TLS alone: others are denied");
}

static void add_peer(struct mesh_plan *plan, struct buf *ret)
{
    if (!plan->mtls)
        return;
    mesh_begin(plan, ret, SECURITY, "PeerAuthentication", "", 0, false);
    mesh_add_selector(plan, ret, "  selector:\n    matchLabels:\n");
    buf_add_text(ret, "  mtls: {mode: STRICT}\n");
}

void mesh_add_istio(struct mesh_plan *plan, bool with_admiral, struct buf *ret)
{
    add_entries(plan, with_admiral, ret);
    add_sidecar(plan, with_admiral, ret);
    add_gateways(plan, ret);
    add_peer(plan, ret);
    add_ingress_policy(plan, ret);
}
