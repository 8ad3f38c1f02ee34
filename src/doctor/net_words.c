/*
 * net_words: what each state of each layer means, and what is said of it.
 *
 * One row for each word of the contract; whoever judges a layer names the word,
 * and may put better sentences in the place of these where it knows more.
 */
#include "doctor/net_truth.h"

static const struct {
    enum net_layer layer;
    const char *state;
    enum net_grade grade;
    const char *summary, *remedy;
} rows[] = {
    { NET_DEVICE, "present", NET_WORKS, "", "" },
    { NET_DEVICE, "missing", NET_FAILS, "There is no interface that leads out of this machine.",
      "Plug an adapter in, or load its driver; `ip link` lists what there is." },
    { NET_DEVICE, "nil", NET_FAILS, "The device reports an empty identity.",
      "Unplug the device and plug it in, or load its driver anew; it has lost its address." },
    { NET_DEVICE, "ambiguous", NET_LIMPS, "More than one device has the same identity.",
      "Give one of the devices another address: ip link set DEVICE address ADDRESS." },
    { NET_DEVICE, "unknown", NET_UNSEEN, "", "" },

    { NET_RADIO, "off", NET_FAILS, "The radio is off.", "Switch the radio on." },
    { NET_RADIO, "on", NET_WORKS, "", "" },
    { NET_RADIO, "resetting", NET_FAILS, "The radio is being started anew by its driver.",
      "Wait for a moment; if it stays so, load the radio's driver anew." },
    { NET_RADIO, "unavailable", NET_UNUSED, "", "" },
    { NET_RADIO, "unknown", NET_UNSEEN, "", "" },

    { NET_ASSOCIATION, "not-associated", NET_FAILS, "The radio is on and has joined no network.",
      "Choose a network to join." },
    { NET_ASSOCIATION, "associating", NET_LIMPS, "The radio is about to join a network.",
      "Wait for a moment; if it stays so, go nearer, or choose another network." },
    { NET_ASSOCIATION, "associated", NET_WORKS, "", "" },
    { NET_ASSOCIATION, "unstable", NET_FAILS, "The radio joins the network and loses it again.",
      "Go nearer, or choose another network: this one does not hold." },
    { NET_ASSOCIATION, "unknown", NET_UNSEEN, "", "" },

    { NET_AUTHENTICATION, "not-authenticated", NET_FAILS,
      "The network has not accepted this machine.", "Join the network with its password." },
    { NET_AUTHENTICATION, "authenticating", NET_LIMPS,
      "The network has not accepted this machine yet.",
      "Wait for a moment; if it stays so, check the password or the certificate." },
    { NET_AUTHENTICATION, "authenticated", NET_WORKS, "", "" },
    { NET_AUTHENTICATION, "failed", NET_FAILS, "The network has refused this machine.",
      "Check the network's password, or the certificate, and join it again." },
    { NET_AUTHENTICATION, "unknown", NET_UNUSED, "", "" },

    { NET_DHCP, "not-started", NET_UNUSED, "", "" },
    { NET_DHCP, "acquiring", NET_LIMPS, "A lease is asked for, and has not come yet.",
      "Wait for a moment; if it stays so, look whether a DHCP server is in reach." },
    { NET_DHCP, "leased", NET_WORKS, "", "" },
    { NET_DHCP, "failed", NET_FAILS, "No lease was given: the machine has no address here.",
      "Start the DHCP server or the router of this network, then ask again." },
    { NET_DHCP, "observer-failed", NET_UNSEEN, "",
      "Ask as root: the DHCP client's files are closed to others." },
    { NET_DHCP, "unknown", NET_UNSEEN, "", "" },

    { NET_ROUTING, "no-route", NET_FAILS, "No route leads out of this machine's own network.",
      "Set a default gateway for this network, or ask whoever runs it." },
    { NET_ROUTING, "route-present", NET_WORKS, "", "" },
    { NET_ROUTING, "route-conflict", NET_FAILS, "Two routes claim the same destinations.",
      "Take one of the two routes away: ip route del." },
    { NET_ROUTING, "route-failed", NET_FAILS, "There is a route, and what is sent along it fails.",
      "Restart the router, or set another gateway." },
    { NET_ROUTING, "unknown", NET_UNSEEN, "", "" },

    { NET_DNS, "not-configured", NET_FAILS, "No name server is configured.",
      "Name a server in /etc/resolv.conf, or in the settings of this network." },
    { NET_DNS, "configured", NET_WORKS, "", "" },
    { NET_DNS, "degraded", NET_LIMPS, "Some name servers, or some names, are not answered.",
      "Take the name servers that do not answer out of the configuration." },
    { NET_DNS, "failed", NET_FAILS, "No name can be resolved.",
      "Use another name server: those that are configured answer no query." },
    { NET_DNS, "observer-failed", NET_UNSEEN, "", "" },
    { NET_DNS, "unknown", NET_UNSEEN, "",
      "Name what may be asked in the `probes` of a references.yaml." },

    { NET_PORTAL, "not-detected", NET_WORKS, "", "" },
    { NET_PORTAL, "detected", NET_FAILS,
      "The network holds all traffic back until somebody signs in.",
      "Open a browser and sign in to the network." },
    { NET_PORTAL, "credential-missing", NET_FAILS,
      "The network asks for a sign-in that this machine does not have.",
      "Ask whoever runs the network for a sign-in, and use it in a browser." },
    { NET_PORTAL, "authenticated", NET_WORKS, "", "" },
    { NET_PORTAL, "unknown", NET_UNSEEN, "",
      "Name what may be asked in the `probes` of a references.yaml." },

    { NET_REACH, "reachable", NET_WORKS, "", "" },
    { NET_REACH, "unreachable", NET_FAILS, "No host of the internet answers.",
      "Restart the router, or ask the provider: the fault lies behind the first gateway." },
    { NET_REACH, "degraded", NET_LIMPS, "Some hosts of the internet answer, late or not at all.",
      "Ask the provider, or look who else uses the line." },
    { NET_REACH, "unknown", NET_UNSEEN, "",
      "Name what may be asked in the `probes` of a references.yaml." },

    { NET_MESH_REACH, "reachable", NET_WORKS, "", "" },
    { NET_MESH_REACH, "unreachable", NET_FAILS, "No node of the mesh answers.",
      "Look whether this machine has a route to the mesh, and its nodes run." },
    { NET_MESH_REACH, "degraded", NET_LIMPS, "Some nodes of the mesh do not answer.",
      "Look whether those nodes of the mesh run." },
    { NET_MESH_REACH, "unknown", NET_UNSEEN, "",
      "Name hosts of the mesh in the `probes` of a references.yaml." },
    { NET_MESH_REACH, "not-configured", NET_UNUSED, "", "" },

    { NET_OVERLAY, "off", NET_UNUSED, "", "" },
    { NET_OVERLAY, "on", NET_WORKS, "", "" },
    { NET_OVERLAY, "degraded", NET_LIMPS, "The VPN is there and does not work.",
      "Start the VPN anew." },
    { NET_OVERLAY, "policy-blocked", NET_FAILS, "A policy keeps the VPN from being used.",
      "Ask who administers this machine: a rule of its routing forbids the VPN." },
    { NET_OVERLAY, "unknown", NET_UNSEEN, "", "" },

    { NET_PEER_PATH, "available", NET_WORKS, "", "" },
    { NET_PEER_PATH, "unavailable", NET_FAILS, "No path leads to a trusted peer.",
      "Look whether the peers run, and whether the mesh or the VPN leads there." },
    { NET_PEER_PATH, "degraded", NET_LIMPS, "Some trusted peers cannot be reached.",
      "Look whether those peers run." },
    { NET_PEER_PATH, "not-evaluated", NET_UNUSED, "", "" },
    { NET_PEER_PATH, "unknown", NET_UNSEEN, "", "" },
};

struct net_finding *net_find(struct net_truth *truth, enum net_layer layer, const char *state)
{
    struct net_finding *finding = &truth->layers[layer];
    size_t i = 0;
    while (i < ARRAY_LEN(rows) && (rows[i].layer != layer || strcmp(rows[i].state, state) != 0))
        i++;
    assert(i < ARRAY_LEN(rows)); /* the word is not the contract's */
    finding->state = rows[i].state;
    finding->grade = rows[i].grade;
    snprintf(finding->summary, sizeof(finding->summary), "%s", rows[i].summary);
    snprintf(finding->remedy, sizeof(finding->remedy), "%s", rows[i].remedy);
    return finding;
}
