# What is true of a network: every layer's states, made in namespaces with a real DHCP server, real
# name servers, wrong routes and a captive portal. Radios cannot be made here: theirs are in
# src/doctor/net_radio_read_test.c, from messages that are composed as the kernel composes them.
#
# The whole test runs in namespaces of its own, which end with it.
# shellcheck shell=sh
if [ -z "${AM_NETTRUTH_INSIDE:-}" ]; then
    AM_NETTRUTH_INSIDE=yes
    export AM_NETTRUTH_INSIDE
    as=''
    [ "$(id -u)" -eq 0 ] || as='--user --map-root-user'
    # shellcheck disable=SC2086
    unshare $as --mount --net --pid --fork --kill-child --mount-proc sh "$0"
    exit
fi
. "$(dirname "$0")/lib.sh"

lacking=''
for tool in dnsmasq dhclient ip nft; do
    command -v $tool >/dev/null || lacking="$lacking $tool"
done
if [ -n "$lacking" ]; then
    skip "what is true of a network" "there is no$lacking"
    finish
fi

# ---- the stage: this machine, and a router with a network behind it ----

HOME=$scratch/home
export HOME
unset XDG_CONFIG_HOME XDG_STATE_HOME XDG_DATA_HOME
mkdir -p "$HOME/.config/agent-machine/user" "$scratch/etc" "$scratch/work" "$scratch/far"
user=''
awk '{ exit $1 == 0 && $2 == 0 }' /proc/self/uid_map && user=,userxattr
mount -t tmpfs none /run
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$scratch/etc,workdir=$scratch/work$user" /etc
for folder in dhcp dhclient dhcpcd NetworkManager; do
    [ ! -d /var/lib/$folder ] || mount -t tmpfs none /var/lib/$folder
done
ip netns add far
far() {
    ip netns exec far "$@"
}
ip link set lo up
far ip link set lo up
far sysctl -qw net.ipv4.ip_forward=1 2>/dev/null
resolvers() { # ADDRESS…
    rm -f /etc/resolv.conf
    : >/etc/resolv.conf
    for server; do
        echo "nameserver $server" >>/etc/resolv.conf
    done
}
resolvers

layers=0
truth() { # ARGUMENT…: what is printed, and the document that goes with it
    run doctor network --save "$scratch/record" "$@"
    layers=$((layers + 1))
    "$program" doctor network --from "$scratch/record" --json >"$scratch/truth.json"
    cp "$scratch/truth.json" "$scratch/documents/$layers.json"
}
mkdir "$scratch/documents"
# shellcheck disable=SC2317 # check calls it
is() { # PYTHON-EXPRESSION over `d`
    python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
sys.exit(not eval(sys.argv[2]))' "$scratch/truth.json" "$1" || {
        cat "$scratch/truth.json"
        return 1
    }
}
# shellcheck disable=SC2317 # check calls it
narrow() {
    ! grep -qE '.{81}' "$scratch/out"
}

# ---- from the bottom upwards ----

truth
check "a machine without an interface" is "d['deviceIdentityState'] == 'missing' and d['interfaceRef'] is None"
check "is told, with what to do" out_has "There is no interface that leads out of this machine."
check "which is no" exits 1
truth --interface eth9
check "an interface that is not there is named" out_has "There is no interface eth9."

ip link add eth7 type veth peer name lan7 netns far
truth
check "an interface that is down" is "d['associationState'] == 'not-associated' and d['interfaceRef'].endswith(':eth7')"
check "is told by the command that sets it up" out_has "ip link set eth7 up"
ip link set eth7 up
truth
check "one without carrier is told from it" out_has "The other end of eth7 is not there: no carrier."
run doctor network --explain
check "and the walk ends there" out_matches '^fails +association'
check "and goes no further" out_lacks 'internet'
far ip link set lan7 up
truth
check "with carrier it has joined" is "d['associationState'] == 'associated'"
check "what lies in another namespace is not made up" is "d['radioState'] == 'unknown'"
check "without an address and a client that is said" out_has "eth7 has no address, and no DHCP client asks for one."

# ---- leases ----

cat >"$scratch/script" <<'SCRIPT'
#!/bin/sh
case $reason in
BOUND | RENEW | REBIND | REBOOT)
    ip address replace "$new_ip_address/24" dev "$interface" valid_lft "$new_dhcp_lease_time" \
        preferred_lft "$new_dhcp_lease_time"
    [ -z "$new_routers" ] || ip route replace default via "$new_routers" dev "$interface"
    ;;
EXPIRE | FAIL | RELEASE | STOP)
    ip address flush dev "$interface" scope global
    ;;
esac
SCRIPT
chmod +x "$scratch/script"
far ip address add 10.77.0.1/24 dev lan7
dhclient -d -4 -sf "$scratch/script" -lf /var/lib/dhcp/dhclient.eth7.leases -pf "$scratch/dhclient.pid" \
    eth7 >"$scratch/dhclient.log" 2>&1 &
dhclient=$!
timeout 20 sh -c "until grep -q DHCPDISCOVER '$scratch/dhclient.log'; do :; done"
truth
check "a lease that is asked for" is "d['dhcpState'] == 'acquiring'"
dhcp() { # OPTION…: a server of leases and of names, on the router, that keeps who it is
    : >"$scratch/far/log"
    ip netns exec far dnsmasq --no-daemon --conf-file=/dev/null --pid-file= --no-resolv --no-hosts \
        --interface=lan7 --bind-interfaces --dhcp-leasefile="$scratch/far/leases" --dhcp-authoritative \
        --address=/www.example.com/198.51.100.7 --address=/detect.example.com/198.51.100.7 "$@" \
        2>"$scratch/far/log" &
    server=$!
}
dhcp --dhcp-range=10.77.0.50,10.77.0.60,1h --dhcp-option=option:router
timeout 60 sh -c "until grep -q 'bound to' '$scratch/dhclient.log'; do :; done"
truth
check "a lease that was given" is "d['dhcpState'] == 'leased'"
check "is known by its client's file" is "'file:/var/lib/dhcp/dhclient.eth7.leases' in d['evidenceRefs']"
check "and who gave it" out_has "10.77.0.1, kept by dhclient, until"
check "a network without a gateway has no route" is "d['routeState'] == 'no-route' and d['internetReachability'] == 'unreachable'"
check "in words" out_has "No route leads out of this machine's own network."
kill "$server" "$dhclient"
wait "$server" "$dhclient" 2>/dev/null
ip address flush dev eth7
truth
check "a lease of an earlier time is not taken for one" is "d['dhcpState'] == 'not-started'"
check "and told as what it is" out_has "is of an earlier"
ip address add 169.254.7.7/16 dev eth7 scope link
truth
check "an address that the machine gave itself is a lease that failed" is "d['dhcpState'] == 'failed'"
ip address flush dev eth7
rm /var/lib/dhcp/dhclient.eth7.leases
ip address add 10.77.0.9/24 dev eth7 valid_lft 600 preferred_lft 600
truth
check "an address that runs out was leased, also without a file" is "d['dhcpState'] == 'leased'"
ip address flush dev eth7
ip address add 10.77.0.9/24 dev eth7
truth
check "a fixed address needs no lease" is "d['dhcpState'] == 'not-started'"
check "which is no failure" out_has "No route leads out"
resolvers 203.0.113.53
truth
check "a name server without a way to it fails, without being asked" is "d['dnsState'] == 'failed'"
check "and is named" out_has "203.0.113.53"
resolvers

# ---- routes ----

far ip address add 198.51.100.7/32 dev lo
ip route add default via 10.77.0.1
truth
check "a way out is a route" is "d['routeState'] == 'route-present'"
check "and what was not asked is unknown" is "d['internetReachability'] == 'unknown' and d['dnsState'] == 'not-configured'"
ip route append default via 10.77.0.2
ip link add eth8 type veth peer name other netns far
ip link set eth8 up
far ip link set other up
ip address add 10.77.0.8/24 dev eth8
truth
check "two interfaces in one network are a conflict" is "d['routeState'] == 'route-conflict'"
check "both are named" out_has "eth7 and eth8 both claim 10.77.0.0/24."
check "and how it ends" out_has "ip route del 10.77.0.0/24 dev eth8"
ip link del eth8
ip route del default via 10.77.0.2
ip route replace prohibit default
ip route del default via 10.77.0.1 2>/dev/null
truth
check "a route that turns away is no missing one" is "d['routeState'] == 'route-failed'"
check "and is told as that" out_has "A route or a rule turns traffic away"
ip route del prohibit default
ip route add default via 10.77.0.1
ip rule add prohibit to 198.41.0.4
truth
check "and so does a rule" is "d['routeState'] == 'route-failed'"
ip rule del prohibit to 198.41.0.4

# ---- nothing is sent but what may be ----

resolvers 10.77.0.1
sent() {
    cat /sys/class/net/eth7/statistics/tx_packets
}
mount -t sysfs none /sys 2>/dev/null
before=$(sent)
truth
check "without probes no packet leaves" test "$(sent)" = "$before"
check "and names are unknown" is "d['dnsState'] == 'unknown'"
check "with how they would be known" is "'probes' in d['remediationHint']"
probes() { # YAML
    printf 'probes: {%s}\n' "$1" >"$HOME/.config/agent-machine/user/references.yaml"
}

# ---- names ----

probes 'names: [www.example.com]'
truth
check "a server that nobody is" is "d['dnsState'] == 'failed'"
check "in words" out_has "No name can be resolved."
dhcp
timeout 20 sh -c "until grep -q 'started' '$scratch/far/log'; do :; done"
truth
check "one that answers" is "d['dnsState'] == 'configured'"
check "is named with its answer" out_has "10.77.0.1 www.example.com: answered"
check "and so is what was read" is "'probe:query/10.77.0.1/www.example.com' in d['evidenceRefs']"
run doctor network --no-probes
check "unless nothing is to be sent" out_has "nobody said which name may be asked"
resolvers 10.77.0.1 10.77.0.98
truth
check "one of two that answers is less" is "d['dnsState'] == 'degraded'"
resolvers 10.77.0.1
probes 'names: [www.example.com, gone.example.net]'
truth
check "a name that is not there is less" is "d['dnsState'] == 'degraded'"
check "and named" out_has "gone.example.net"
resolvers
truth
check "no server at all is told from one that is silent" is "d['dnsState'] == 'not-configured'"
resolvers 10.77.0.1

# ---- a captive portal ----

echo empty >"$scratch/mode"
ip netns exec far python3 "$tree/tests/nettruth/portal.py" 198.51.100.7:80 "$scratch/mode" >"$scratch/portal.up" 2>&1 &
timeout 20 sh -c "until grep -q up '$scratch/portal.up'; do :; done"
probes 'names: [www.example.com], pages: ["http://detect.example.com/empty"]'
truth
check "an empty page means that nobody holds traffic back" is "d['captivePortalState'] == 'not-detected'"
for mode in portal page; do
    echo $mode >"$scratch/mode"
    truth
    check "a portal that answers with a $mode is one" is "d['captivePortalState'] == 'detected'"
done
check "and is what fails" out_has "The network holds all traffic back until somebody signs in."
echo sign-in >"$scratch/mode"
truth
check "one that asks for a sign-in is told from it" is "d['captivePortalState'] == 'credential-missing'"
echo empty >"$scratch/mode"

# ---- the internet ----

probes 'hosts: ["www.example.com:80", "198.51.100.7:443"]'
truth
check "hosts that answer, also by refusing" is "d['internetReachability'] == 'reachable' and d['dnsState'] == 'configured'"
check "then every layer that was looked at works" exits 0
far nft -f - <<'NFT'
table inet away {
    chain input {
        type filter hook input priority 0
        ip daddr 198.51.100.7 tcp dport 443 drop
    }
}
NFT
truth
check "one of two is less" is "d['internetReachability'] == 'degraded'"
far nft add rule inet away input ip daddr 198.51.100.7 drop
truth
check "none is none, with names and routes in order" \
    is "(d['internetReachability'], d['dnsState'], d['routeState']) == ('unreachable', 'configured', 'route-present')"
check "in words" out_has "No host of the internet answers."
far nft delete table inet away
echo portal >"$scratch/mode"
probes 'pages: ["http://detect.example.com/empty"], hosts: ["www.example.com:80"]'
truth
check "behind a portal an answer proves less" is "d['internetReachability'] == 'degraded' and d['captivePortalState'] == 'detected'"
echo empty >"$scratch/mode"
probes 'hosts: ["203.0.113.9:80"]'
truth
check "no route to a host, although there is one" is "d['routeState'] == 'route-failed'"
check "is told as what it is" out_has "There is a route, and there is no way to the host"
ip route replace default via 10.77.0.99
truth
check "a gateway that nobody is" is "d['routeState'] == 'route-failed'"
check "is named" out_has "The gateway 10.77.0.99 does not answer on eth7."
ip route replace default via 10.77.0.1

# ---- a mesh and its peers ----

mesh() { # MTLS
    cat >"$HOME/.config/agent-machine/user/mesh.json" <<JSON
{"id": "urn:srcos:mesh-binding-profile:home", "type": "MeshBindingProfile", "specVersion": "1.0.0",
 "name": "Home", "meshClass": "other", "scope": "agent-machine",
 "traffic": {"egressMode": "direct-allowlist", "ingressMode": "deny", "allowedHosts": ["node.mesh.example"],
   "deniedHosts": [], "mtlsRequired": $1, "externalModelEgressAllowed": false},
 "identity": {"serviceAccountRef": null, "spiffeIdRef": null, "workloadSelector": null, "agentRegistryRef": null},
 "policyRefs": [],
 "evidence": {"emitTrafficDecision": true, "emitMeshPolicyRef": true, "emitMtlsStatus": true, "emitEgressGatewayReceipt": true}}
JSON
}
references() { # NODE-ADDRESS
    cat >"$HOME/.config/agent-machine/user/references.yaml" <<YAML
names: {node.mesh.example: $1}
probes:
  names: [www.example.com]
  hosts: ["node.mesh.example:7443", "203.0.113.9:80"]
YAML
}
mesh false
references 10.77.0.1
truth
check "a mesh whose nodes answer is told from the internet" \
    is "(d['localMeshReachability'], d['internetReachability']) == ('reachable', 'unreachable')"
check "and nobody asked for peers" is "d['trustedPeerPathState'] == 'not-evaluated'"
mesh true
truth
check "where both ends prove who they are, they are trusted peers" is "d['trustedPeerPathState'] == 'available'"
references 10.77.0.97
truth
check "a node that is not there" is "(d['localMeshReachability'], d['trustedPeerPathState']) == ('unreachable', 'unavailable')"
rm "$HOME/.config/agent-machine/user/mesh.json"
probes 'hosts: ["www.example.com:80"]'
truth
check "without a mesh it is not configured" is "d['localMeshReachability'] == 'not-configured'"

# ---- overlays ----

check "without a VPN it is off" is "d['vpnOrPrivacyOverlayState'] == 'off'"
if [ -w /dev/net/tun ]; then
    cat >"$scratch/tun.py" <<'PYTHON'
import fcntl, struct, sys, time
tun = open("/dev/net/tun", "r+b", buffering=0)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tailscale0", 0x1001))
print("up", flush=True)
time.sleep(600)
PYTHON
    python3 "$scratch/tun.py" >"$scratch/tun.up" &
    holder=$!
    timeout 20 sh -c "until grep -q up '$scratch/tun.up'; do :; done"
    ip link set tailscale0 up
    ip address add 100.64.0.7/32 dev tailscale0
    truth
    check "a VPN that nothing leads through is less" is "d['vpnOrPrivacyOverlayState'] == 'degraded'"
    ip route add 100.64.0.0/10 dev tailscale0
    truth
    check "a VPN that a program serves is on" is "d['vpnOrPrivacyOverlayState'] == 'on'"
    check "and whose it is, is told" out_has "tailscale0 (Tailscale)"
    check "and the layers below stay those of the cable" is "d['interfaceRef'].endswith(':eth7')"
    ip rule add prohibit oif tailscale0
    truth
    check "a rule that forbids it is a policy" is "d['vpnOrPrivacyOverlayState'] == 'policy-blocked'"
    ip rule del prohibit oif tailscale0
    ip route add 10.77.0.0/24 dev tailscale0 metric 7
    truth
    check "a VPN that claims this network is a conflict" is "d['routeState'] == 'route-conflict'"
    kill "$holder"
    wait "$holder" 2>/dev/null
elif awk '{ exit $1 == 0 && $2 == 0 }' /proc/self/uid_map; then
    printf 'not here: a VPN of a program: /dev/net/tun is closed to this user\n'
else
    skip "a VPN of a program" "there is no /dev/net/tun"
fi

# ---- all of it, kept ----

truth
cp "$scratch/out" "$scratch/told"
run doctor network --from "$scratch/record"
check "what was seen can be kept, and judged again" cmp -s "$scratch/out" "$scratch/told"
check "the lines fit a terminal" narrow
head -c 700 "$scratch/record" >"$scratch/half"
run doctor network --from "$scratch/half"
check "half a record is none" exits 65
echo '{"format": "agent-machine network record 1", "observedAt": "2026-11-20T09:00:00Z", "items": [{"kind": "dreams"}]}' >"$scratch/odd"
run doctor network --from "$scratch/odd"
check "nor is one of other things" err_has "/items/0"
run contract lint "$scratch/documents"
check "every document keeps every rule" exits 0
check "and none of them was left out" out_matches "^$layers documents, 0 errors, 0 warnings"

# ---- watching ----

: >"$scratch/told"
"$program" doctor network --watch --json >"$scratch/told" 2>&1 &
watching=$!
# shellcheck disable=SC2317 # check calls it
told() { # MEMBER STATE, as the last that was told
    timeout 20 sh -c "until tail -n 1 '$scratch/told' | grep -q '\"$1\":\"$2\"'; do :; done"
}
# It sleeps without an end: nothing is looked at by the clock.
# shellcheck disable=SC2317
sleeps() {
    timeout 20 sh -c "until grep -qE ' 0x4 0xffffffff' /proc/$watching/syscall; do :; done"
}
check "the state is told at once" told internetReachability reachable
check "and then it waits for events alone" sleeps
ip link set eth7 down
check "a link that goes down is told" told associationState not-associated
ip link set eth7 up
check "and when it is back, without its route" told routeState no-route
ip route add default via 10.77.0.1
check "and the route" told internetReachability reachable
resolvers 10.77.0.1 10.77.0.98
check "and another name server" told dnsState degraded
resolvers 10.77.0.1
check "and it is as it was" told dnsState configured
check "and still sleeps" sleeps
lines=$(wc -l <"$scratch/told")
ip neighbour flush dev eth7
check "what changes nothing is not told" test "$(wc -l <"$scratch/told")" -eq "$lines"
kill "$watching"
wait "$watching" 2>/dev/null
"$program" doctor network --watch >"$scratch/told" 2>&1 &
watching=$!
timeout 20 sh -c "until grep -q internet '$scratch/told'; do :; done"
ip link set eth7 down
check "people are told the layers that changed" timeout 20 sh -c "until grep -q '^  association *not-associated' '$scratch/told'; do :; done"
kill "$watching"
wait "$watching" 2>/dev/null

# ---- what is wrong ----

run doctor network --from "$scratch/record" --watch
check "a file cannot be watched" exits 2
run doctor network --from "$scratch/nowhere"
check "nor read where it is not" exits 1
probes 'hosts: ["www.example.com"]'
run doctor network
check "a host without a port is refused, by its place" err_has "references.yaml: /probes/hosts"
probes 'pages: ["https://detect.example.com/"]'
run doctor network
check "and a page that is encrypted" err_has "what is encrypted cannot be held back"
finish
