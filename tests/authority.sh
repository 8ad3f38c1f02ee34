# What the authority family has to tell apart, found out live and held together against every rule.
#
# No radio can be made on the machines that run this: the network whose radio is on and has joined
# nothing is judged by a record that was composed as the kernel composes its answers.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/session_lib.sh"
session_needs "the cases of the authority family" || finish
session_begin
trap 'session_end; ended_early' EXIT
chmod 755 "$scratch"
mkdir "$scratch/documents" "$scratch/work"
cd "$scratch/work" || exit

keep() { # NAME: what was printed last, as a document of the set
    cp "$scratch/out" "$scratch/documents/$1.json"
}
# shellcheck disable=SC2317 # check calls it
document_is() { # NAME PYTHON-EXPRESSION over `d`, and `states` of a grant state by capability
    python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
states = {s["capability"]: s for s in d.get("capabilityStates", [])}
sys.exit(not eval(sys.argv[2]))' "$scratch/documents/$1.json" "$2"
}
contract() { # NAME KIND BROKERS PHASE CAPABILITY…
    python3 -c 'import json, sys
print(json.dumps({"id": "urn:srcos:capability-contract:" + sys.argv[1], "type": "CapabilityContract",
    "specVersion": "1.0.0", "componentRef": "urn:srcos:component:" + sys.argv[1],
    "componentKind": sys.argv[2], "declaredCapabilities": [{"capability": name, "requiredFor": "Its work.",
        "fallback": "degraded", "userVisibleImpact": "It does less."} for name in sys.argv[5:]],
    "requiredBrokers": sys.argv[3].split(), "minimumBootPhase": sys.argv[4],
    "degradedModePolicy": "continue-limited", "userVisibleImpact": "It does less.",
    "evidenceRefs": []}))' "$@" >"$scratch/documents/contract-$1.json"
    chmod 644 "$scratch/documents/contract-$1.json"
}
as_user() { # COMMAND…
    [ "$(id -u)" -ne 0 ] || set -- runuser -u nobody -- "$@"
    try "$@"
}

# ---- a denied capability, without ambiguity ----

touch "$scratch/closed"
chmod 000 "$scratch/closed"
contract reader app '' sealed-boot files.read:"$scratch/closed" files.read:/nowhere
as_user env HOME="$HOME" "$program" doctor preflight --json "$scratch/documents/contract-reader.json"
keep reader
denied="files.read:$scratch/closed"
check "a denied capability says who denied it" \
    document_is reader "states['$denied']['decision'] == 'denied' and states['$denied']['grantSource'] == 'kernel'"
check "and what to do" document_is reader "'chmod' in states['$denied']['remediationHint'] or 'setfacl' in states['$denied']['remediationHint']"
check "and is not one that is missing" document_is reader "states['files.read:/nowhere']['decision'] == 'unavailable'"

# ---- a storm, without losing first, last or count ----

for i in 1 2 3 4 5 6 7 8 9; do
    printf '2026-11-20T09:00:0%d.250Z browser-child[77]: clipboard read "clipboard" refused: not permitted\n' $i
done >"$scratch/log"
run storm --json "$scratch/log"
keep storm
check "a storm keeps its first, its last and its count" \
    document_is storm "(d['firstSeen'], d['lastSeen'], d['repeatCount']) == ('2026-11-20T09:00:01.250Z', '2026-11-20T09:00:09.250Z', 9)"
check "as a denial" document_is storm "d['normalizedFailureClass'] == 'capability-denial'"

# ---- a browser's child, whose pasteboard and look-ups are denied and brokered ----

cat >"$scratch/bus.conf" <<CONF
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=$scratch/child-bus</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/><allow user="*"/><deny send_destination="org.example.Launcher"/></policy></busconfig>
CONF
started="$started $(dbus-daemon --config-file="$scratch/bus.conf" --fork --print-pid)"
for name in org.example.Launcher org.freedesktop.portal.Desktop; do
    DBUS_SESSION_BUS_ADDRESS=unix:path=$scratch/child-bus /usr/bin/python3 -B -m dbusmock --session \
        $name / org.example.Answerer >/dev/null 2>&1 &
    started="$started $!"
    DBUS_SESSION_BUS_ADDRESS=unix:path=$scratch/child-bus gdbus wait --session --timeout 20 $name
done
python3 -c 'import os, socket, sys
server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); os.chmod(sys.argv[1], 0)' "$scratch/display"
contract child browser-child org.freedesktop.portal.Desktop sealed-boot pasteboard.read \
    service.lookup:org.example.Launcher
if [ "$(id -u)" -eq 0 ]; then # the bus lets in whom it runs as
    try env DBUS_SESSION_BUS_ADDRESS="unix:path=$scratch/child-bus" WAYLAND_DISPLAY="$scratch/display" \
        setpriv --bounding-set=-all --inh-caps=-all "$program" doctor preflight --json \
        "$scratch/documents/contract-child.json"
else
    try env DBUS_SESSION_BUS_ADDRESS="unix:path=$scratch/child-bus" WAYLAND_DISPLAY="$scratch/display" \
        "$program" doctor preflight --json "$scratch/documents/contract-child.json"
fi
keep child
check "a browser's child is denied the pasteboard" document_is child "states['pasteboard.read']['decision'] == 'denied'"
check "and the look-up of a service" \
    document_is child "states['service.lookup:org.example.Launcher']['decision'] == 'denied'"
check "and both have a broker in their place" \
    document_is child "all(s['fallback'] == 'org.freedesktop.portal.Desktop' for n, s in states.items() if n != 'broker.reach')"
check "which answers" document_is child "states['broker.reach']['decision'] == 'granted'"

# ---- an attempt before the unlock ----

start_session_bus
start_keyring opensesame
lock_keyring
contract agent agent '' unlocked-user-session
run doctor phase --json "$scratch/documents/contract-agent.json"
keep phase
check "before the unlock the agent is blocked" \
    document_is phase "d['phase'] == 'post-login-locked' and d['blockedComponents'][0]['state'] == 'blocked'"
check "with a hint that a person can read" \
    document_is phase "d['blockedComponents'][0]['remediationHint'].startswith('Unlock the keyring')"
session_end

# ---- five networks, told apart ----

# shellcheck disable=SC2317 # check calls it
network() { # NAME LAYER=STATE…
    name=$1
    shift
    python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
wrong = [pair for pair in sys.argv[2:] if d[pair.split("=")[0]] != pair.split("=")[1]]
print(wrong, d["userVisibleSummary"])
sys.exit(bool(wrong))' "$scratch/documents/network-$name.json" "$@"
}
run doctor network --json --from "$tree/tests/nettruth/composed-radio.json"
keep network-radio-active
if command -v dnsmasq >/dev/null; then
    try sh "$tree/tests/nettruth/states.sh" "$program" "$scratch/documents"
    check "a radio that is on and has joined nothing" \
        network radio-active radioState=on associationState=not-associated routeState=no-route
    check "a network without a route" network no-route routeState=no-route internetReachability=unreachable
    check "one whose names nobody knows" \
        network no-dns dnsState=failed routeState=route-present internetReachability=reachable
    check "one without the internet" \
        network no-internet dnsState=configured routeState=route-present internetReachability=unreachable localMeshReachability=not-configured
    check "one with the mesh alone" \
        network mesh-only internetReachability=unreachable localMeshReachability=reachable trustedPeerPathState=available
    python3 -c 'import glob, json, sys
print(*sorted({json.load(open(path))["userVisibleSummary"] for path in glob.glob(sys.argv[1])}), sep="\n")' \
        "$scratch/documents/network-*.json" >"$scratch/out"
    check "each is told in words of its own" test "$(wc -l <"$scratch/out")" -eq 5
else
    skip "networks that are told apart" "there is no dnsmasq"
fi

# ---- four failures of identity ----

root=$scratch/root
mkdir -p "$root/var/lib/dpkg/info" "$root/usr/share/xdg-desktop-portal/portals" "$root/etc/systemd/system" \
    "$root/usr/lib/systemd/system"
printf '[portal]\nDBusName=org.example.Gone\nInterfaces=x;\n' >"$root/usr/share/xdg-desktop-portal/portals/c.portal"
mkdir -p "$root/bin"
: >"$root/bin/true"
DPKG_ROOT=$root
export DPKG_ROOT
printf '[Service]\nExecStart=/bin/true\n' >"$root/usr/lib/systemd/system/d.service"
ln -s /dev/null "$root/etc/systemd/system/d.service"
echo /usr/share/xdg-desktop-portal/portals/c.portal >"$root/var/lib/dpkg/info/c.list"
echo /usr/lib/systemd/system/d.service >"$root/var/lib/dpkg/info/d.list"
: >"$root/var/lib/dpkg/info/a.list"
: >"$root/var/lib/dpkg/info/b.list"
echo nonsense >"$root/var/lib/dpkg/info/b.md5sums"
for name in b c d; do
    printf 'Package: %s\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n' $name
done >"$root/var/lib/dpkg/status"
# shellcheck disable=SC2317 # check calls it
identity() { # NAME VERDICT ERROR-CODE
    run doctor registry --json "deb:$1"
    keep "identity-$1"
    document_is "identity-$1" "(d['verificationVerdict'],
        [r['errorCode'] for r in d['registryRecords'] if r['state'] != 'present']) == ('$2', ['$3'])"
}
check "a missing receipt is told" identity a missing RECEIPT_NOT_FOUND
check "from an invalid manifest" identity b invalid MANIFEST_UNREADABLE
check "from a missing extension record" identity c degraded EXTENSION_NOT_REGISTERED
check "from a part that is held apart" identity d quarantined UNIT_MASKED

# ---- all of them together ----

run contract lint "$scratch/documents"
check "all of them keep every rule, together" exits 0
check "and are as many as there are cases" out_matches "^(1[5-9]|2[0-9]) documents, 0 errors, 0 warnings"
finish
