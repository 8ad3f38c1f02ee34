# Capability contracts against what is there: each way in which something can be had, or not.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/session_lib.sh"
. "$(dirname "$0")/preflight_lib.sh"
session_needs "what a contract asks for" || finish
session_begin
trap 'session_end; ended_early' EXIT
chmod 755 "$scratch"
mkdir "$scratch/work"
cd "$scratch/work" || exit

# ---- files ----

asks files.write
check "the current folder can be written" found granted granted kernel
check "and nothing is left behind" test -z "$(ls -A)"
run doctor preflight "$scratch/contract.json"
check "everything is there" exits 0
check "and said" out_has "urn:srcos:component:asker: ready"
asks files.read:"$scratch/nowhere"
check "a file that is not there is missing" found missing unavailable unavailable
check "which is less" exits 1
asks '?files.read:/nowhere'
run doctor preflight "$scratch/contract.json"
check "what may be skipped is left out without a word" exits 0

mkdir "$scratch/closed" "$scratch/odd"
touch "$scratch/closed/file" "$scratch/plain" "$scratch/listed"
chmod 000 "$scratch/plain"
asks files.read:"$scratch/plain"
as_user "$program" doctor preflight "$scratch/contract.json"
check "a mode that forbids it is a denial" out_matches "^ +denied +kernel: owner "
change="setfacl -m u:$me:r"
[ "$(id -u)" -eq 0 ] || change="chmod u+r"
check "with the smallest change" out_has "$change"
check "and what becomes of the use" out_has "then  degraded: Less is done."
check "the lines fit a terminal" narrow
chmod 700 "$scratch/closed"
[ "$(id -u)" -eq 0 ] || chmod 000 "$scratch/closed"
asks files.read:"$scratch/closed/file"
as_user "$program" doctor preflight "$scratch/contract.json"
check "a folder above that forbids it is named" out_has "closed: owner"
chmod 700 "$scratch/closed"
if command -v setfacl >/dev/null; then
    chmod 600 "$scratch/listed"
    setfacl -m u:nobody:- "$scratch/listed"
    asks files.read:"$scratch/listed"
    as_user "$program" doctor preflight "$scratch/contract.json"
    if [ "$(id -u)" -eq 0 ]; then
        check "an access list that forbids it is named" out_has "its access list gives nobody ---"
        setfacl -m u:nobody:r "$scratch/listed"
        as_user "$program" doctor preflight "$scratch/contract.json"
        check "one that gives it grants" out_has "its access list gives nobody r--"
    fi
else
    skip "access lists" "there is no setfacl"
fi

asks files.write:"$scratch/odd" files.execute:"$scratch/odd/tool"
# shellcheck disable=SC2016 # for the inner shell
elsewhere 'mount -t tmpfs -o noexec none "$scratch/odd" && printf "#!/bin/sh\n" >"$scratch/odd/tool" &&
    chmod +x "$scratch/odd/tool" && mount -o remount,bind,ro,noexec "$scratch/odd" &&
    exec "$program" doctor preflight "$scratch/contract.json"'
check "a read-only mount is a denial by the mount" out_has "it is mounted read-only"
check "and so is one without programs" out_has "it is mounted noexec"
# shellcheck disable=SC2016
elsewhere 'mount -t tmpfs -o size=4k none "$scratch/odd" &&
    { head -c 100000 /dev/zero >"$scratch/odd/full" || :; } 2>/dev/null &&
    exec "$program" doctor preflight "$scratch/contract.json"'
check "a program that is not there is missing, beside it" out_matches "^ +missing +there is no"

cat >"$scratch/landlock.py" <<'PYTHON'
import ctypes, os, sys
# Everything may be read and run; files may be written, and made, below /dev alone.
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.argtypes = [ctypes.c_long] * 5
rights = (1 << 8 | 1 << 1).to_bytes(8, "little")
rules = ctypes.create_string_buffer(rights, 8)
fd = libc.syscall(444, ctypes.addressof(rules), 8, 0, 0)
below = ctypes.create_string_buffer(rights + os.open("/dev", os.O_PATH).to_bytes(4, "little"), 12)
libc.syscall(445, fd, 1, ctypes.addressof(below), 0)
libc.prctl(38, 1, 0, 0, 0)
if fd < 0 or libc.syscall(446, fd, 0, 0, 0) != 0:
    sys.exit("no landlock: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
PYTHON
asks files.write
try python3 "$scratch/landlock.py" "$program" doctor preflight "$scratch/contract.json"
check "a Landlock domain is told from mode and mount" \
    out_has "kernel: mode, access list and mount allow it;"

# ---- sockets, devices, packages ----

python3 -c 'import socket, sys
server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1])' "$scratch/dead"
asks socket.connect:"$scratch/dead"
check "a socket without a listener is broken" found broken unavailable kernel
asks device.open:/dev/no-such-device
check "a device that is not there is missing" found missing unavailable unavailable
asks device.open:/dev/null
check "one that may be opened is granted" found granted granted kernel
if command -v dpkg >/dev/null; then
    asks package.installed:dpkg
    check "a package with its receipt" found granted granted broker
    asks package.installed:no-such-package
    check "one without is missing" found missing unavailable unavailable
    mkdir -p "$scratch/admin"
    printf 'Package: half\nStatus: install reinstreq half-installed\nVersion: 1\n' >"$scratch/admin/status"
    asks package.installed:half
    DPKG_ADMINDIR=$scratch/admin
    export DPKG_ADMINDIR
    check "one that was left half-way is broken" found broken unavailable broker
    unset DPKG_ADMINDIR
fi
asks teleport.use
check "what nobody knows is unknown" found unknown unknown unavailable
asks capability.hold:sys-time
as_user "$program" doctor preflight "$scratch/contract.json"
check "a capability that is not held is denied" out_matches "^ +denied +kernel: this process does not hold it"
asks pasteboard.read
check "without a display there is no clipboard" found missing unavailable unavailable

# ---- buses ----

asks notification.show
check "without a session bus a service is missing" found missing unavailable unavailable
cat >"$scratch/bus.conf" <<CONF
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=$XDG_RUNTIME_DIR/bus</listen>
<servicedir>$scratch/services</servicedir>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/><deny send_destination="org.example.Closed"/></policy></busconfig>
CONF
mkdir "$scratch/services"
printf '[D-BUS Service]\nName=org.example.Later\nExec=/bin/false\n' >"$scratch/services/org.example.Later.service"
started="$started $(dbus-daemon --config-file="$scratch/bus.conf" --fork --print-pid)"
check "with a bus and nobody on it too" found missing unavailable unavailable
check "which names who it is" state_is "'org.freedesktop.Notifications' in states[0]['objectRef']"
asks bus.session:org.example.Later
check "one that is started when it is called is granted" found granted granted broker
answerer() { # NAME
    DBUS_SESSION_BUS_ADDRESS=unix:path=$XDG_RUNTIME_DIR/bus /usr/bin/python3 -B -m dbusmock --session \
        "$1" / org.example.Answerer >/dev/null 2>&1 &
    answerer_pid=$!
    started="$started $answerer_pid"
    on_session_bus wait --timeout 20 "$1"
}
answerer org.example.Closed
asks bus.session:org.example.Closed
check "one that the bus's policy closes is denied" found denied denied policy
check "by a rule" state_is "states[0]['policyRuleRef'] == 'bus:session/policy'"
answerer org.freedesktop.Notifications
asks notification.show
check "one that answers is granted" found granted granted broker
kill -STOP "$answerer_pid"
check "one that does not answer is broken" found broken unavailable broker
kill -CONT "$answerer_pid"
asks portal.use:file-chooser
check "without portals one is missing" found missing unavailable unavailable

# ---- secrets ----

asks secret.use
check "without a keyring secrets are missing" found missing unavailable unavailable
start_keyring opensesame
check "with an open one they are granted" found granted granted broker
lock_keyring
check "a locked one is neither denied nor missing" found locked ask broker
check "and says how it is unlocked" state_is "'log out and in with the password' in states[0]['remediationHint']"
unlock_keyring opensesame

# ---- brokers, phase, agents, networks ----

brokers='org.freedesktop.secrets org.example.Nobody'
asks
run doctor preflight --json "$scratch/contract.json"
check "a broker that answers is told from one that is missing" \
    state_is "[s['decision'] for s in states] == ['granted', 'unavailable']"
brokers='' phase=recovery-session
asks files.write
run doctor preflight "$scratch/contract.json"
check "out of its phase nothing starts" exits 77
check "whatever else is there" out_has "policy: it may start in recovery-session, and"
run doctor preflight --json "$scratch/contract.json"
check "by the contract's own rule" \
    state_is "states[-1]['policyRuleRef'] == 'urn:srcos:capability-contract:asker#/minimumBootPhase'"
phase='' policy=refuse-start
asks files.read:/nowhere
run doctor preflight "$scratch/contract.json"
check "a contract that refuses to start with less is obeyed" exits 77
policy=emit-receipt-and-exit
asks files.read:/nowhere
run doctor preflight "$scratch/contract.json"
check "and one that only records it" exits 77
policy='' kind=agent
asks network.connect:api.example.com:443
check "what every program has is no grant to an agent" found denied denied policy
kind=''
asks network.connect:api.example.com:443
check "and is ambient to others" found granted granted ambient-host
mkdir -p "$HOME/.config/agent-machine/user"
cat >"$HOME/.config/agent-machine/user/hosts.yaml" <<'YAML'
id: urn:srcos:network-access-profile:mine
type: NetworkAccessProfile
specVersion: "1.0.0"
name: Mine
scope: user
defaultDecision: deny
profiles:
  - profileId: mine
    profileClass: user-firewall
    priority: 1
    defaultEgress: deny
    allowDomains: [api.example.com]
evidence: {emitNetworkDecision: true, emitFirewallBinding: true, emitMeshBinding: true, emitModelProviderRoute: true, redactDestinationPath: true}
YAML
asks network.connect:api.example.com:443
check "a host that the layers allow" found granted granted policy
asks network.connect:gist.example.com:443
check "and one that they deny" found denied denied policy
cut_off='--net'
[ "$(id -u)" -eq 0 ] || cut_off='--net --user --map-current-user'
asks network.connect:api.example.com:443
# shellcheck disable=SC2086
try unshare $cut_off "$program" doctor preflight "$scratch/contract.json"
check "one that they allow without a way there is broken" \
    out_matches "broken +kernel: it is allowed, and cannot"
check "with what to do about the network" out_has "Plug an adapter in"
asks network.connect:127.0.0.1:443
# shellcheck disable=SC2086
try unshare $cut_off "$program" doctor preflight "$scratch/contract.json"
check "this machine itself needs no way" out_lacks "broken"
cp "$scratch/contract.json" "$HOME/.config/agent-machine/user/asker.json"
run doctor preflight --component asker
check "contracts of the layers are found by their component" exits 1
run doctor preflight --component nobody
check "where there is none that is said" err_has "none of the layers' folders has one of this component"
cp "$scratch/out" "$scratch/grants.json"

asks files.write files.write:/nowhere secret.use notification.show
run doctor preflight --json "$scratch/contract.json"
cp "$scratch/out" "$scratch/grants.json"
run contract lint "$scratch/grants.json" "$scratch/contract.json"
check "the document answers its contract by every rule" exits 0

# ---- watching ----

asks secret.use
: >"$scratch/told"
"$program" doctor preflight --watch "$scratch/contract.json" >"$scratch/told" 2>&1 &
watching=$!
started="$started $watching"
# shellcheck disable=SC2317 # check calls it
told() { # WORD, as the last that was told
    timeout 20 sh -c "until tail -n +1 '$scratch/told' | grep -E '^  secret' | tail -1 | grep -q ' $1 '; do :; done"
}
check "the first answer is told at once" told granted
lock_keyring
check "and another when the keyring is locked" told locked
[ "$failed" -eq 0 ] || cat "$scratch/told" >&2
unlock_keyring opensesame
check "and when it is open again" told granted
check "one line for each change" test "$(grep -c '^  secret' "$scratch/told")" -eq 3
kill "$watching"

# In a network of its own: without a way out, with one, and without again.
asks network.connect:api.example.com:443
cat >"$scratch/network.sh" <<'SH'
"$program" doctor preflight --json --watch "$scratch/contract.json" >"$scratch/told" 2>&1 &
watching=$!
told() { # DECISION, as the last that was told
    timeout 20 sh -c "until tail -n 1 '$scratch/told' | grep -q '\"decision\":\"$1\"'; do :; done"
}
sleeps() { # in a poll of seven descriptors without an end
    timeout 20 sh -c "until grep -q ' 0x7 0xffffffff' /proc/$watching/syscall; do :; done"
}
ip link set lo up
told unavailable && sleeps && echo "cut off"
ip link add near type veth peer name far && ip address add 10.9.0.1/24 dev near &&
    ip link set far up && ip link set near up && ip route add default via 10.9.0.2
told granted && sleeps && echo "a way"
ip route del default
told unavailable && sleeps && echo "none again"
kill "$watching"
SH
own='--net'
[ "$(id -u)" -eq 0 ] || own='--net --user --map-root-user'
# shellcheck disable=SC2086
try unshare $own sh "$scratch/network.sh"
check "without a network the first answer is broken" out_has "cut off"
check "when a way appears that is told, without polling" out_has "a way"
check "and when it goes" out_has "none again"
check "one answer for each change" test "$(wc -l <"$scratch/told")" -le 4
session_end

run doctor preflight "$scratch/no-such.json"
check "a contract that is not there is said" exits 1
run doctor preflight "$tree/examples/budget.run-0001.example.json"
check "another document is refused" exits 65
finish
