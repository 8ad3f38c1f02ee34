# The story of a denial: who asked, who decided, when, how often, what came of it, and what to do.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
HOME=$scratch/home
export HOME
unset XDG_STATE_HOME XDG_CONFIG_HOME DBUS_SESSION_BUS_ADDRESS
layer=$HOME/.config/agent-machine/user
mkdir -p "$HOME/src/compass" "$layer"
cp /bin/true "$scratch/codex"
PATH=$scratch:$PATH
cd "$HOME/src/compass" || exit
git init -q .

# shellcheck disable=SC2317 # check calls these
fits_a_screen() {
    ! grep -qE '.{81}' "$scratch/out" && [ "$(wc -l <"$scratch/out")" -le 24 ]
}
# shellcheck disable=SC2317
story_is() { # PYTHON-EXPRESSION over `story`
    python3 -c 'import json, sys
story = json.load(open(sys.argv[1]))
sys.exit(not eval(sys.argv[2]))' "$scratch/out" "$1"
}
last_run() {
    run op list
    tail -n 1 "$scratch/out" | cut -d' ' -f1
}

# ---- before there is a ledger ----

run doctor why gist.example.com
check "without a ledger what would be answered now is told" exits 0
check "and that nothing is known" out_has "nothing of it is in the ledger"
run doctor run no-such-operation
check "an operation needs a ledger" exits 1

# ---- a host ----

run init
run run -- sh -c 'for i in 1 2 3; do curl -sS http://gist.example.com/; done; curl -sS http://other.example.com/; exit 6'
check "a run is refused its hosts" exits 6
first=$(last_run)
run doctor why gist.example.com
check "why tells it" exits 0
check "what was asked, by whom" out_matches "^asked +network.connect \(connect host gist.example.com\) by"
check "who decided" out_matches "^decided +denied by the user layer, rule "
check "in which run" out_has "$first"
check "what its output said of it" out_has "its output says: curl: (6) Could not resolve host: gist.example.com"
check "how the run ended" out_has "the command ended: exited, status 6"
check "what would be answered now" out_matches "^now +deny: the user layer"
check "and what to do" out_matches "^do +agent-machine run --allow gist.example.com"
check "on a screen" fits_a_screen
run doctor why --json gist.example.com
check "how often, exactly" story_is "story['count'] >= 3 and story['verdict'] == 'deny'"
count=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["count"])' "$scratch/out")
check "as the execution's record has it" story_is "story['operationRefs'] == ['urn:srcos:workspace-operation:$first']"

run run -- sh -c 'curl -sS http://gist.example.com/; exit 7'
run doctor why --json gist.example.com
check "another run is counted to it" story_is "story['count'] > $count and len(story['operationRefs']) == 2"
check "the first stays the first" story_is "story['firstAt'] < story['lastAt']"
run doctor why 'Jun 14 15:16:01 host app[3]: GET "http://gist.example.com/x?y=z" failed'
check "a line of a log leads to it" out_has "connect host gist.example.com"
run doctor why network.connect:gist.example.com
check "so does the capability" out_has "connect host gist.example.com"
run doctor why "$first"
check "an operation leads to what it was refused" out_matches "^asked +network.connect"
check "and to the others" out_has "1 more refusal: agent-machine"

run doctor run "$first"
check "what an operation was given and refused" exits 1
check "is told by capability" out_matches "^  files.mount +granted +$HOME/src/compass"
check "with how often" out_matches "^  network.connect +denied +gist.example.com, [0-9]+ times"
check "and how it ended" out_has "exited with status 6"
run doctor run --json "$first"
cp "$scratch/out" "$scratch/grants.json"
run contract lint "$scratch/grants.json"
check "as a document that keeps the rules" exits 0

cat >"$layer/hosts.yaml" <<'YAML'
id: urn:srcos:network-access-profile:mine
type: NetworkAccessProfile
specVersion: "1.0.0"
name: Mine
scope: user
defaultDecision: allow-with-policy
profiles:
  - profileId: mine
    profileClass: user-firewall
    priority: 1
    defaultEgress: deny
    allowDomains: [gist.example.com]
evidence: {emitNetworkDecision: true, emitFirewallBinding: true, emitMeshBinding: true, emitModelProviderRoute: true, redactDestinationPath: true}
YAML
run doctor why gist.example.com
check "when the layers have changed, that is told" out_has "now       allow: the user layer allows it"
check "and there is nothing to do" out_matches "^do +Nothing: it is allowed now"
cut_off='--net'
[ "$(id -u)" -eq 0 ] || cut_off='--net --user --map-current-user'
# shellcheck disable=SC2086
try unshare $cut_off "$program" doctor why gist.example.com
check "what is allowed and has no way there is told" out_has "There is no interface that leads out"
check "with what to do about that" out_matches "^do +Plug an adapter in"
rm "$layer/hosts.yaml"

# ---- what waits for a person, and what a gate denies ----

cat >"$layer/gates.yaml" <<YAML
rules:
  - gate: toolGrant
    match: codex
    answer: ask
    reason: Tools are given by a person.
  - gate: artifactAccess
    match: $HOME/src/secret
    answer: deny
    reason: Nobody works there.
YAML
run grant apply codex --to urn:srcos:agent:codex --for 8h
check "a tool waits for a person" exits 75
run doctor why codex
check "why says so" out_matches "^decided +left to a person by the user layer"
check "and how it is answered" out_matches "agent-machine op decide"
mkdir -p "$HOME/src/secret"
run run -m "$HOME/src/secret:read-only" -- true
check "a folder is denied" exits 125
run doctor why "$HOME/src/secret/deeper/file"
check "a path within it leads to it" out_matches "^asked +files.mount \(mount path $HOME/src/secret\)"
check "with what became of the operation" out_matches "the operation is failed"
rm "$layer/gates.yaml"

# ---- what the ledger does not have ----

run doctor why /nowhere/at/all
check "a path is looked at as it is" out_has "missing: there is no /nowhere/at/all"
run doctor why secret.use
check "and so is a capability" out_matches "^now +secret.use missing"
run doctor why 'indexer[4]: keyring is locked, giving up'
check "a line that nobody knows is told by its kind" out_has "it reads like a boot-phase-gate-failure"
check "with what would end it" out_has "Unlock the session"
run doctor why xyzzy
check "and one that says nothing is no answer" exits 1
run doctor why
check "a question is needed" exits 2
finish
