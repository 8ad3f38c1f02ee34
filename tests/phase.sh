# How far boot and session have come: every phase, what it is seen by, who waits for it, and the gate.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/session_lib.sh"
session_needs "the phases of a session" || finish
session_begin
trap 'session_end; ended_early' EXIT
me=$(id -un) uid=$(id -u)

# shellcheck disable=SC2317 # check calls it
narrow() {
    ! grep -qE '.{81}' "$scratch/out"
}
# shellcheck disable=SC2317 # check calls it
json_is() { # PYTHON-EXPRESSION over `state`
    python3 -c 'import json, sys
state = json.load(open(sys.argv[1]))
sys.exit(not eval(sys.argv[2]))' "$scratch/out" "$1"
}
# shellcheck disable=SC2317 # check calls it
phase_is() { # PHASE VERDICT
    run doctor phase
    out_has "Phase: $1 ($2)"
}

# Waits in the background until a phase is reached; `waited` says that it was.
wait_begin() { # PHASE
    : >"$scratch/waited"
    "$program" doctor phase --wait "$1" >"$scratch/waited" 2>&1 &
    waiting=$!
}
# shellcheck disable=SC2317 # check calls it
wait_ended() { # PHASE
    timeout 20 tail --pid="$waiting" -f /dev/null
    kill "$waiting" 2>/dev/null
    wait "$waiting"
    grep -q "^Phase: $1 " "$scratch/waited"
}
# It sleeps in a poll of three descriptors without an end: nothing is looked at by the clock.
# shellcheck disable=SC2317
still_waits() {
    timeout 20 sh -c "until grep -q ' 0x3 0xffffffff' /proc/$waiting/syscall; do :; done" &&
        [ ! -s "$scratch/waited" ]
}

# ---- without anybody to ask ----

check "nobody is there" phase_is pre-login not-ready
check "which is no" exits 1
check "what could not be asked is said" out_has "not seen: no session manager can be asked"
check "the lines fit a terminal" narrow
run doctor phase --json
check "the document names the boot" \
    json_is "state['bootId'] == '$(cat /proc/sys/kernel/random/boot_id)' and state['sessionId'] == 'none'"
cp "$scratch/out" "$scratch/phase.json"
run contract lint "$scratch/phase.json"
check "it is valid, and keeps the rules" exits 0
try script -qec "'$program' doctor phase" /dev/null
check "somebody at a terminal is a session" out_has "Phase: unlocked-user-session (ready)"
check "which is yes" exits 0

wait_begin unlocked-user-session
check "who waits for a session goes on waiting" still_waits
start_session_bus
check "until its bus is there" wait_ended unlocked-user-session
check "a bus that answers is a session" phase_is unlocked-user-session ready

# ---- the keyring ----

start_keyring opensesame
check "with an open keyring" phase_is unlocked-user-session ready
run doctor phase --json
check "which is named" json_is "'login' in state['availableKeyrings']"
lock_keyring
check "a locked keyring is seen" phase_is post-login-locked not-ready
check "with what to do" out_has "Try: Unlock the keyring"
run doctor phase --json
check "and is no longer named" json_is "'login' not in state['availableKeyrings']"
wait_begin unlocked-user-session
check "who waits goes on waiting" still_waits
unlock_keyring opensesame
check "until it is unlocked" wait_ended unlocked-user-session

# ---- contracts ----

make_contract() { # NAME PHASE
    cat <<JSON
{"id": "urn:srcos:capability-contract:$1", "type": "CapabilityContract", "specVersion": "1.0.0",
 "componentRef": "urn:srcos:component:$1", "componentKind": "agent", "declaredCapabilities": [],
 "requiredBrokers": [], "minimumBootPhase": "$2", "degradedModePolicy": "refuse-start",
 "userVisibleImpact": "It does not start.", "evidenceRefs": []}
JSON
}
mkdir -p "$HOME/.config/agent-machine/user"
make_contract agent unlocked-user-session >"$HOME/.config/agent-machine/user/agent.json"
make_contract logger pre-login >"$scratch/logger.json"
run init
run profile create --kind personal --name bound
check "a profile is made" exits 0
run profile show bound
python3 -c 'import json, sys
profile = json.load(open(sys.argv[1]))
profile["agentPlane"]["capabilityContractRef"] = "urn:srcos:capability-contract:agent"
json.dump(profile, open(sys.argv[2], "w"))' "$scratch/out" "$scratch/bound.json"
run profile edit bound --from "$scratch/bound.json"
check "that names a contract" exits 0
mkdir "$HOME/work"
cd "$HOME/work" || exit

lock_keyring
run doctor phase
check "who has to wait is named" out_matches "^waiting +urn:srcos:component:agent, for unlocked-user-session"
run doctor phase --json "$scratch/logger.json" agent
check "in the document with a hint" \
    json_is "[c['remediationHint'].startswith('Unlock') for c in state['blockedComponents']] == [True]"
check "beside who need not wait" \
    json_is "[c['componentRef'] for c in state['allowedComponents']] == ['urn:srcos:component:logger']"
run run -p bound -- true
check "a launch before the unlock is refused" exits 125
check "by a named rule" err_has "[phase-not-reached]"
check "with a hint that a person can read" err_has "Unlock the keyring: log out and in with the password"
run run -- true
check "a launch without a contract is not" exits 0
unlock_keyring opensesame
run run -p bound -- true
check "and after the unlock it starts" exits 0
rm "$HOME/.config/agent-machine/user/agent.json"
run run -p bound -- true
check "a contract that nobody has is a refusal" exits 125
check "which names it" err_has "urn:srcos:capability-contract:agent is neither a file nor a contract"
cd "$scratch" || exit

# ---- what a session lacks ----

kill -STOP "$keyring_pid"
check "a keyring that does not answer" phase_is degraded-session degraded
check "is told from a locked one" out_has "does not answer"
wait_begin unlocked-user-session
check "who waits goes on waiting" still_waits
kill -CONT "$keyring_pid"
check "until it answers, however late" wait_ended unlocked-user-session
DBUS_SESSION_BUS_ADDRESS=unix:path=$XDG_RUNTIME_DIR/bus /usr/bin/python3 -B -m dbusmock --session \
    org.freedesktop.portal.Desktop / org.example.Answerer >/dev/null 2>&1 &
portal=$!
started="$started $portal"
on_session_bus wait --timeout 20 org.freedesktop.portal.Desktop
kill -STOP "$portal"
try timeout 15 "$program" doctor phase
check "portals that do not answer do not hold it up" out_matches "^portals +not seen: they do not answer"
kill -KILL "$portal"
DBUS_SESSION_BUS_ADDRESS=unix:path=$scratch/nowhere
export DBUS_SESSION_BUS_ADDRESS
check "a bus that is named and gone" phase_is pre-login not-ready
python3 -c 'import socket, sys, time
server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen(); print("up", flush=True)
time.sleep(60)' "$scratch/silent" >"$scratch/silent.up" &
started="$started $!"
timeout 20 sh -c "tail -f '$scratch/silent.up' | grep -qm 1 up"
DBUS_SESSION_BUS_ADDRESS=unix:path=$scratch/silent
try timeout 10 script -qec "'$program' doctor phase" /dev/null
check "one that says nothing does not hold it up" out_has "Phase: degraded-session (degraded)"
unset DBUS_SESSION_BUS_ADDRESS

# ---- a session manager (a stand-in) ----

start_bus "$scratch/system-bus"
start_session_manager
check "a session manager that knows no session" phase_is pre-login not-ready
check "is asked" out_has "no session of user id $uid"
tell_session_manager '' AddSession g1 seat0 120 greeter true
on_system_bus call -d org.freedesktop.login1 -o /org/freedesktop/login1/session/g1 \
    -m org.freedesktop.DBus.Mock.UpdateProperties org.freedesktop.login1.Session "{'Class': <'greeter'>}"
check "a greeter is no login" phase_is pre-login not-ready
wait_begin post-login-locked
check "who waits for a login goes on waiting" still_waits
tell_session_manager '' AddSession 7 seat0 "$uid" "$me" true
on_system_bus emit --object-path /org/freedesktop/login1 \
    --signal org.freedesktop.login1.Manager.SessionNew 7 "objectpath '/org/freedesktop/login1/session/7'"
check "until the session is there" wait_ended unlocked-user-session
on_system_bus call -d org.freedesktop.login1 -o /org/freedesktop/login1/session/7 \
    -m org.freedesktop.login1.Session.SetLockedHint true
check "a locked screen is seen" phase_is post-login-locked not-ready
check "in its session" out_has "7: class user"
XDG_SESSION_ID=g1
export XDG_SESSION_ID
check "the session that the environment names is taken first" phase_is pre-login not-ready
unset XDG_SESSION_ID
wait_begin unlocked-user-session
check "who waits for the unlock goes on waiting" still_waits
on_system_bus call -d org.freedesktop.login1 -o /org/freedesktop/login1/session/7 \
    -m org.freedesktop.login1.Session.SetLockedHint false
check "until then" wait_ended unlocked-user-session
on_system_bus call -d org.freedesktop.login1 -o /org/freedesktop/login1/session/7 \
    -m org.freedesktop.DBus.Mock.UpdateProperties org.freedesktop.login1.Session "{'Type': <'wayland'>}"
kill "$session_bus_pid"
check "a desktop without a keyring lacks something" phase_is degraded-session degraded
check "and says what" out_has "nobody keeps its secrets"

# ---- systemd (a stand-in) ----

start_service_manager starting
check "a system that starts" phase_is sealed-boot not-ready
wait_begin degraded-session
check "who waits goes on waiting" still_waits
system_is degraded
check "until it is up" wait_ended degraded-session
system_is maintenance
check "a system in maintenance" phase_is recovery-session recovery-only
run doctor phase "$scratch/logger.json"
check "lets nothing start but repair" out_matches "^waiting +urn:srcos:component:logger"
session_end

# ---- marks that are left without systemd ----

elsewhere() { # SCRIPT, in mounts of its own
    set -- sh -c "$1"
    [ "$uid" -ne 0 ] && set -- --map-root-user --user "$@"
    try unshare --mount "$@"
}
export program
echo "ro quiet systemd.unit=rescue.target" >"$scratch/cmdline"
# shellcheck disable=SC2016 # for the inner shell
elsewhere "mount --bind '$scratch/cmdline' /proc/cmdline && exec \"\$program\" doctor phase"
check "a boot for repair" out_has "Phase: recovery-session (recovery-only)"
check "is seen by its command line" out_has "systemd.unit=rescue.target (file:/proc/cmdline)"
# shellcheck disable=SC2016
elsewhere 'mount -t tmpfs none /run && touch /run/nologin && exec "$program" doctor phase'
check "a boot that lets nobody in yet" out_has "Phase: sealed-boot (not-ready)"
check "is seen by its file" out_has "(file:/run/nologin)"

run doctor phase --wait noon
check "a phase that does not exist is a usage error" exits 2
finish
