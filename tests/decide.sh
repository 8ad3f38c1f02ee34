# Decision cards: told on the desktop, followed as they come, answered, and leases that can be seen
# and taken back.
# shellcheck shell=sh disable=SC2317,SC2016 # check calls functions; single quotes are for shells inside
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/session_lib.sh
. "$(dirname "$0")/session_lib.sh"
trap 'session_end; ended_early' EXIT
trap 'session_end; exit 1' INT TERM
session_begin
state=$HOME/.local/state/agent-machine user_layer=$HOME/.config/agent-machine/user
mkdir -p "$HOME/src/compass" "$user_layer"
cd "$HOME/src/compass" || exit
cat >"$user_layer/references.yaml" <<END
names:
  asked.test: 127.0.0.1
  other.asked.test: 127.0.0.1
END
cat >"$user_layer/asking.json" <<END
{"id": "urn:srcos:firewall-binding-profile:asking", "type": "FirewallBindingProfile",
 "specVersion": "1.0.0", "name": "asking", "bindingClass": "linux-nftables", "mode": "enforce",
 "rules": [{"ruleId": "asked", "direction": "egress", "decision": "ask", "subject": "*",
   "destination": ".asked.test"}],
 "evidence": {"emitDeniedConnectionReceipt": true}}
END
card_of() { # NAME: the newest pending card about it
    "$program" op pending --json | sed -n "s/.*\"id\":\"urn:srcos:decision-card:\([^\"]*\)\".*\"name\":\"$1\".*/\1/p" |
        tail -n 1
}

run init
run op pending
check "nobody is asked anything" out_empty
run op leases
check "and nothing was let through" out_empty

# ---- followed ----

mkfifo "$scratch/followed"
"$program" op pending --follow >"$scratch/followed" 2>"$scratch/follow.err" &
follower=$!
exec 9<"$scratch/followed"
follow_until() { # TEXT
    while read -r line <&9; do
        printf '%s\n' "$line" >>"$scratch/seen"
        case $line in *"$1"*) return 0 ;; esac
    done
    return 1
}
run run -- getent hosts asked.test
check "what a layer leaves to a person is denied for now" exits 2
check "who follows is told of the card as it comes" follow_until "connect to asked.test"
check "with what each answer means" follow_until "Every program in this run may connect"
card=$(card_of asked.test)
run op decide "$card" this-profile --for 1h --reason "For the compass."
check "somebody answers" exits 0
check "who follows is told of the answer" follow_until "this-profile, by urn:srcos:user:"
run run -- getent hosts other.asked.test
check "another question is told of too" follow_until "connect to other.asked.test"
kill "$follower"
wait "$follower" 2>/dev/null
exec 9<&-
check "following says nothing of being wrong" test ! -s "$scratch/follow.err"
run op pending
check "what is pending is listed without it" out_has "other.asked.test"

# ---- leases ----

run op leases
check "what was let through is listed" out_has "host asked.test: this-profile, for this"
check "with how it is taken back" out_has "agent-machine op decide $card no"
check "within eighty columns" awk 'length > 80 { exit 1 }' "$scratch/out"
run op leases --json
check "as JSON too" out_has '"state":"answered"'
run policy explain --host asked.test
check "a layer asks still" exits 75
check "and the answer that holds is shown with it" out_has "agent-machine op decide $card no"
run policy explain --host other.asked.test
check "none is shown where there is none" out_lacks "take it back"
run run -- getent hosts asked.test
check "under the lease it is let through" exits 0
run op decide "$card" no
check "it is taken back" exits 0
run op leases
check "and listed no more" out_lacks asked.test
run op leases --all
check "but for who asks for all" out_has "taken back"
run run -- getent hosts asked.test
check "and lets nothing through" exits 2
run op decide "$(card_of asked.test)" this-flow --for 2h
run op leases
check "a lease is never longer than it was offered" out_matches 'this-flow, for this flow'
check "nor for more uses" out_has "0 of 1 uses"

# ---- for good ----

sed -i 's/"destination": ".asked.test"/"destination": "*.asked.test"/' "$user_layer/asking.json"
printf 'names:\n  asked.test: 93.184.216.34\n  other.asked.test: 93.184.216.34\n' >"$user_layer/references.yaml"
run run -- sh -c 'getent hosts plain.example; getent hosts plain.example; getent hosts two.asked.test
    getent hosts api.openai.com; true'
denied=$("$program" op list | sed -n 's/ .*execution.start$//p' | tail -n 1)
run policy suggest "$denied"
check "what a run was denied becomes rules to accept" exits 0
check "as a difference to a document of the user's" out_matches "^\+\+\+ .*/user/allowed\.json$"
check "one for each destination" test "$(grep -c '"destination"' "$scratch/out")" -eq 2
check "for who was denied it" out_has "\"subject\": \"urn:srcos:user:"
check "what no rule lifts is said" out_has "not by a rule of yours: api.openai.com"
check "nothing is written" test ! -e "$user_layer/allowed.json"
run policy suggest --json "$denied"
cp "$scratch/out" "$scratch/allowed.json"
run contract validate "$scratch/allowed.json"
check "what would be written is a valid document" exits 0
run policy suggest --apply "$denied"
check "it is accepted" exits 0
check "then it is there" cmp -s "$scratch/allowed.json" "$user_layer/allowed.json"
run run -- getent hosts plain.example
check "and lets through what was denied" exits 0
run policy suggest "$denied"
check "then there is nothing more to propose" exits 1
run run -- getent hosts three.asked.test
run op decide "$(card_of three.asked.test)" this-run --for-good
check "an answer for good is a rule" exits 0
check "whose difference is shown" out_matches '^\+ +"destination": "three.asked.test"'
check "the rules before it stay" test "$(grep -c '"destination"' "$user_layer/allowed.json")" -eq 3
run run -- getent hosts three.asked.test
check "nobody is asked any more" exits 0
run run -- getent hosts asked.test
sed -i 's/"destination": "[*].asked.test"/"destination": "four.asked.test"/' "$user_layer/asking.json"
run run -- getent hosts four.asked.test
run op decide "$(card_of four.asked.test)" no --for-good
check "an answer that denies is not for good" exits 2
run op decide "$(card_of four.asked.test)" this-run --for-good
check "where a rule asks by the same name, another one would not help" exits 77
check "and what would is said" err_has "no rule of yours lets it through"
check "nothing was answered" test -n "$(card_of four.asked.test)"
printf 'broken' >"$user_layer/allowed.json"
run policy suggest "$denied"
check "a document that cannot be read is not replaced" exits 65
rm "$user_layer/allowed.json"

# ---- a tool as it is now ----

tool=$HOME/.npm-global/lib/node_modules/codex/codex
mkdir -p "${tool%/*}" "$HOME/bin"
ln -s "$tool" "$HOME/bin/codex"
PATH=$HOME/bin:$PATH
printf '#!/bin/sh\necho one\n' >"$tool"
chmod +x "$tool"
cat >"$user_layer/gates.yaml" <<END
rules:
  - gate: toolGrant
    match: codex
    answer: ask
    reason: A person lets codex in.
END
run run codex -- exec
check "a tool is left to a person" exits 125
run op pending
check "as it is now" out_matches '^digest +sha256:[0-9a-f]{16}\.\.\.$'
check "and so is said what an answer means" out_has "as long as it is what it is now"
run op decide "$(card_of urn:srcos:agent-tool-surface:codex)" this-profile
check "somebody lets it in" exits 0
run op leases
check "the lease is for that program alone" out_has "as long as its program is"
run run codex -- exec
check "under it the tool runs" out_is one
run run codex -- exec
check "and again" out_is one
printf '#!/bin/sh\necho other\n' >"$tool"
run run codex -- exec
check "with another program nobody has let it in" exits 125
check "so that nothing of it runs" out_empty
check "and a person is asked anew" test -n "$(card_of urn:srcos:agent-tool-surface:codex)"
printf '#!/bin/sh\necho one\n' >"$tool"
run run codex -- exec
check "as it was it is let in" out_is one
run op export "$("$program" op list --json | sed -n 's/.*"id":"\([^"]*\)".*execution\.start.*/\1/p' | tail -n 1)"
cp "$scratch/out" "$scratch/let-in.json"
run op import "$scratch/let-in.json"
check "its record holds" exits 0
rm "$user_layer/gates.yaml"

# ---- a person who is asked too often ----

sed -i 's/"destination": "four.asked.test"/"destination": "*.many.test"/' "$user_layer/asking.json"
run run -- sh -c 'for i in $(seq 30); do getent hosts n$i.many.test; done; true'
many=$("$program" op list --json | sed -n 's/.*"id":"\([^"]*\)".*execution\.start.*/\1/p' | tail -n 1)
check "a run that asks about everything is heard so often" test \
    "$("$program" op pending --json | grep -c many.test)" -eq 20
run op show "$many"
check "and then denied by a rule" out_has built-in.asked-too-often
check "which its record names for each" test "$(grep -c asked-too-often "$scratch/out")" -eq 10
run op export "$many"
cp "$scratch/out" "$scratch/many.json"
run op import "$scratch/many.json"
check "and holds" exits 0
sed -i 's/"destination": "[*].many.test"/"destination": "four.asked.test"/' "$user_layer/asking.json"

# ---- a folder ----

cat >"$user_layer/gates.yaml" <<END
rules:
  - gate: artifactAccess
    match: $PWD
    answer: ask
    reason: A person lets runs in here.
END
run run -- cat heading
check "a folder is left to a person" err_has "a person has to answer"
echo north >heading
run op decide "$("$program" op pending --json | sed -n 's/.*"id":"urn:srcos:decision-card:\([^"]*\)".*"kind":"path".*/\1/p' | tail -n 1)" once
check "who lets one run in" exits 0
run run -- cat heading
check "has let it in" out_is north
run run -- cat heading
check "and that one alone" exits 125
rm "$user_layer/gates.yaml" heading

# ---- what is held apart ----

git init -q .
of_held() { # PATH: the newest pending card about it
    "$program" op pending --json |
        sed -n "s|.*\"id\":\"urn:srcos:decision-card:\([^\"]*\)\".*\"held-file\",\"name\":\"$PWD/$1\".*|\1|p" | tail -n 1
}
last_run() {
    "$program" op list --json | sed -n 's/.*"id":"\([^"]*\)".*execution\.start.*/\1/p' | tail -n 1
}
run run -- sh -c 'echo trap >.envrc; echo mine >notes; ln -s /etc/hostname out'
held=$(last_run)
check "what a run made and is held apart is asked about" test -n "$(of_held .envrc)"
run op pending
check "in words" out_has "has made $PWD/.envrc"
check "with what an answer would do" out_has "takes it with"
check "not about the rest" test -z "$(of_held notes)"
run op decide "$(of_held .envrc)" take --reason "I have read it."
check "a person lets it be taken" exits 0
check "and is told how" out_has "agent-machine worktree apply ${held##*:}"
run worktree apply "${held##*:}"
check "then it goes along with the rest" test "$(cat .envrc notes)" = "trap
mine"
check "but not what nobody has let" test ! -h out
check "which is asked about now that it was looked at" test -n "$(of_held out)"
check "and said to be" err_or_out_has "asked about: agent-machine op pending"
run op decide "$(of_held out)" no
run worktree apply "${held##*:}"
check "an answer that denies leaves it where it is" test ! -h out
check "and it is not asked about again" test -z "$(of_held out)"
run worktree apply "${held##*:}" out
check "who names it takes it all the same" test -h out
run op show "${held##*:}"
check "the record has what was asked and answered" out_has "I have read it."
run run -- sh -c 'echo other >.envrc'
check "another run's is another question" test -n "$(of_held .envrc)"
run worktree discard "$(last_run)"
check "which ends with its change set" test -z "$(of_held .envrc)"
run run -- sh -c 'for i in $(seq 40); do mkdir d$i; echo x >d$i/.envrc; done'
check "however much there is, nobody is buried" test \
    "$("$program" op pending --json | grep -c held-file)" -eq 16
run op export "$(last_run)"
cp "$scratch/out" "$scratch/held.json"
run op import "$scratch/held.json"
check "its record holds" exits 0
run worktree discard "$(last_run)"
rm -rf .envrc notes out .git

# ---- a budget that is used up ----

printf 'the page' >"$scratch/index.html"
mkfifo "$scratch/port"
python3 -B -c 'import http.server, os, sys
os.chdir(sys.argv[1])
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
with open("port", "w") as port: print(server.server_port, file=port)
server.serve_forever()' "$scratch" &
server=$!
started="$started $server"
read -r port <"$scratch/port"
cat >"$user_layer/references.yaml" <<END
names:
  counted.test: 127.0.0.1
connectors: [counted.test]
END
cat >"$user_layer/counted.json" <<END
{"id": "urn:srcos:firewall-binding-profile:counted", "type": "FirewallBindingProfile",
 "specVersion": "1.0.0", "name": "counted", "bindingClass": "linux-nftables", "mode": "enforce",
 "rules": [{"ruleId": "counted", "direction": "egress", "decision": "allow", "subject": "*",
   "destination": "counted.test"},
  {"ruleId": "here", "direction": "egress", "decision": "allow", "subject": "*",
   "destination": "127.0.0.1"}],
 "evidence": {"emitDeniedConnectionReceipt": true}}
END
workspace=$("$program" op list --json | sed -n 's/.*"workspaceRef":"\([^"]*\)".*execution\.start.*/\1/p' | tail -n 1)
[ -n "$workspace" ] || workspace=$("$program" op show --json "$denied" |
    sed -n 's/.*"workspaceRef": "\([^"]*\)".*/\1/p')
ceiling=modelCalls=500,tokens=2M,connectorCalls=3,cpuSeconds=144000,localDiskBytes=10Gi
ceiling=$ceiling,sandboxMemoryBytes=8Gi,wallClockSeconds=288000,agentConcurrency=4
run delegation issue --to "urn:srcos:user:$(id -un)" --operation execution.start --profile \
    urn:srcos:agent-machine-profile:personal --workspace "$workspace" --mount "$PWD:staged" \
    --network urn:srcos:network-access-profile:personal --ceiling "$ceiling" \
    --id urn:srcos:delegation:counted
check "a delegation has more to give than a run takes" exits 0
mkfifo "$scratch/told" "$scratch/said"
"$program" run --delegation urn:srcos:delegation:counted --budget connectorCalls=1 -- sh -c '
while read -r line; do curl -sS -m 20 "$0" 2>/dev/null && echo || echo none; done' \
    "http://counted.test:$port/" <"$scratch/told" >"$scratch/said" 2>"$scratch/err.counted" &
counted=$!
exec 6>"$scratch/told" 5<"$scratch/said"
tries() { # EXPECTED
    echo >&6
    read -r said <&5
    [ "$said" = "$1" ]
}
top_up() {
    "$program" op pending --json | sed -n 's/.*"id":"urn:srcos:decision-card:\([^"]*\)".*budget-top-up.*/\1/p'
}
check "the first call is within the budget" tries "the page"
check "the second is not" tries none
check "once more it is not either" tries none
check "one card asks for more" test "$(top_up | wc -l)" -eq 1
run op pending
check "in words" out_has "The run has used its 1 connectorCalls. Give it 1 more?"
check "and what it would mean" out_has "This run may use 1 more"
run op decide "$(top_up)" top-up
check "a person gives more" exits 0
check "then it goes on" tries "the page"
check "as far as was given" tries none
run op decide "$(top_up)" top-up
check "and again" tries "the page"
check "up to what the delegation has" tries none
check "beyond that nobody is asked" test -z "$(top_up)"
exec 6>&- 5<&-
wait "$counted"
run op list --json
counted=$(sed -n 's/.*"id":"\([^"]*\)".*execution\.start.*/\1/p' "$scratch/out" | tail -n 1)
run op show "$counted"
check "the story tells what was given" out_matches 'connectorCalls 3 of 3$'
check "and that somebody gave it" out_has "top-up"
run budget show --json "$counted"
cp "$scratch/out" "$scratch/budget.json"
run contract lint "$scratch/budget.json"
check "the budget is a valid document" exits 0
kill "$server"
rm "$user_layer/counted.json"

# ---- on the desktop ----

if session_needs "a desktop"; then
    start_session_bus
    DBUS_SESSION_BUS_ADDRESS=unix:path=$XDG_RUNTIME_DIR/bus
    export DBUS_SESSION_BUS_ADDRESS
    run op notify "$(card_of other.asked.test)"
    check "where nobody shows notifications that is said" exits 1
    mkfifo "$scratch/shown"
    /usr/bin/python3 -B "$tree/tests/notification_recorder.py" "$scratch/shown" &
    started="$started $!"
    exec 8<>"$scratch/shown"
    gdbus wait --session --timeout 20 org.freedesktop.Notifications
    sed -i 's/"destination": "four.asked.test"/"destination": ".asked.test"/' "$user_layer/asking.json"
    printf 'names:\n  third.asked.test: 127.0.0.1\n' >"$user_layer/references.yaml"
    run run -- getent hosts third.asked.test
    line=$(timeout 20 head -n 1 <&8)
    check "a new card is shown on the desktop" test -z "${line##*connect to third.asked.test*}"
    check "by this program's name" test -z "${line##*\"agent-machine asks\"*}"
    check "with what answers it" test -z "${line##*op decide "$(card_of third.asked.test)" OPTION*}"
    cat >"$user_layer/gates.yaml" <<END
rules:
  - gate: artifactAccess
    match: "*"
    answer: ask
    reason: A person looks at <b>folders</b> & files.
END
    run run -- true
    check "a folder is left to a person as well" exits 125
    line=$(timeout 20 head -n 1 <&8)
    check "what others wrote is no markup there" test -z "${line##*\?b\?folders\?/b\? \? files*}"
    rm "$user_layer/gates.yaml"
    exec 8<&-
    session_end
    # A bus where nobody ever answers holds up nothing.
    mkfifo "$scratch/life"
    /usr/bin/python3 -B -c 'import socket, sys
with socket.socket(socket.AF_UNIX) as held:
    held.bind(sys.argv[1])
    held.listen()
    open(sys.argv[1] + ".up", "w").close()
    sys.stdin.read()' "$scratch/hung" <"$scratch/life" &
    hung=$!
    exec 7>"$scratch/life"
    until [ -e "$scratch/hung.up" ] || ! kill -0 "$hung" 2>/dev/null; do
        sleep 0.01
    done
    DBUS_SESSION_BUS_ADDRESS=unix:path=$scratch/hung
    printf 'names:\n  fourth.asked.test: 127.0.0.1\n' >"$user_layer/references.yaml"
    run run -- getent hosts fourth.asked.test
    check "a desktop that hangs holds up nothing" exits 2
    exec 7>&-
    wait "$hung"
fi
unset DBUS_SESSION_BUS_ADDRESS
run ledger verify
check "the ledger is whole" exits 0
check "of this home" test -s "$state/ledger.db"
session_end
finish
