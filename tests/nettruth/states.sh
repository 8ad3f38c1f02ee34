# Four states of a network, each a NetworkTruthState in a folder: no-route, no-dns, no-internet,
# mesh-only. They are made in namespaces, which end with this script.
#
# usage: states.sh PROGRAM FOLDER
# shellcheck shell=sh
set -eu
program=$1 folder=$2
if [ -z "${AM_NETTRUTH_INSIDE:-}" ]; then
    AM_NETTRUTH_INSIDE=yes
    export AM_NETTRUTH_INSIDE
    as=''
    [ "$(id -u)" -eq 0 ] || as='--user --map-root-user'
    # shellcheck disable=SC2086
    exec unshare $as --mount --net --pid --fork --kill-child --mount-proc sh "$0" "$@"
fi
HOME=$(mktemp -d)
export HOME
trap 'rm -rf "$HOME"' EXIT
layer=$HOME/.config/agent-machine/user
mkdir -p "$layer"
mount -t tmpfs none /run
: >"$HOME/resolv.conf"
mount --bind "$HOME/resolv.conf" /etc/resolv.conf
ip netns add far
ip link add eth7 type veth peer name lan7 netns far
ip link set eth7 up
ip -n far link set lan7 up
ip -n far link set lo up
ip address add 10.77.0.9/24 dev eth7
ip -n far address add 10.77.0.1/24 dev lan7
ip -n far address add 198.51.100.7/32 dev lo
state() { # NAME
    "$program" doctor network --json >"$folder/network-$1.json" || :
}
cat >"$layer/references.yaml" <<'YAML'
names: {node.mesh.example: 10.77.0.1}
probes:
  names: [www.example.com]
  hosts: ["198.51.100.7:443"]
YAML

echo nameserver 10.77.0.1 >"$HOME/resolv.conf"
ip netns exec far dnsmasq --no-daemon --conf-file=/dev/null --pid-file= --no-resolv --no-hosts \
    --interface=lan7 --bind-interfaces --address=/www.example.com/198.51.100.7 2>"$HOME/log" &
server=$!
timeout 20 sh -c "until grep -q started '$HOME/log'; do :; done"
state no-route
ip route add default via 10.77.0.1
ip netns exec far nft -f - <<'NFT'
table inet away {
    chain input {
        type filter hook input priority 0
        ip daddr 198.51.100.7 drop
    }
}
NFT
state no-internet
cat >"$layer/mesh.json" <<'JSON'
{"id": "urn:srcos:mesh-binding-profile:home", "type": "MeshBindingProfile", "specVersion": "1.0.0",
 "name": "Home", "meshClass": "other", "scope": "agent-machine",
 "traffic": {"egressMode": "direct-allowlist", "ingressMode": "deny", "allowedHosts": ["node.mesh.example"],
   "deniedHosts": [], "mtlsRequired": true, "externalModelEgressAllowed": false},
 "identity": {"serviceAccountRef": null, "spiffeIdRef": null, "workloadSelector": null, "agentRegistryRef": null},
 "policyRefs": [],
 "evidence": {"emitTrafficDecision": true, "emitMeshPolicyRef": true, "emitMtlsStatus": true, "emitEgressGatewayReceipt": true}}
JSON
sed -i 's/7:443"/7:443", "node.mesh.example:7443"/' "$layer/references.yaml"
state mesh-only
ip netns exec far nft delete table inet away
kill "$server"
wait "$server" || :
state no-dns
