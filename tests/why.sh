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

# ---- what was refused while it was planned ----

# shellcheck disable=SC2317 # check calls it
refused() { # RULE ARGUMENT…: twice the same run, which is refused by that rule
    rule=$1
    shift
    run run "$@"
    exits 125 && err_has "[$rule]"
}
# shellcheck disable=SC2317
told_by() { # RULE QUESTION
    run doctor why "$2"
    out_matches "^decided +denied by the built-in layer, rule $1" && fits_a_screen
}
mkdir -p "$HOME/.ssh"
run ledger export --jsonl
events=$(wc -l <"$scratch/out")
run run --dry-run -m "$HOME/.ssh:read-only" -- true
run ledger export --jsonl
check "a plan that is only printed leaves nothing" [ "$(wc -l <"$scratch/out")" -eq "$events" ]
check "a mount is refused by the plan" refused mount-secret -m "$HOME/.ssh:read-only" -- true
check "and again" refused mount-secret -m "$HOME/.ssh:read-only" -- cp x y
check "why tells it by a path within" told_by mount-secret "$HOME/.ssh/id_ed25519"
check "what was asked" out_matches "^asked +files.mount \(mount path $HOME/.ssh\) by"
check "first and how often" out_matches "2 +times|2$"
check "what became of it" out_has "the operation is failed"
check "and what to do" out_matches "^do +name a directory that has none"
run doctor why --json "$HOME/.ssh"
check "for programs too" story_is "story['count'] == 2 and story['firstAt'] < story['lastAt'] and len(story['operationRefs']) == 2"
check "by the capability" told_by mount-secret "files.mount:$HOME/.ssh"
check "by a line of a log" told_by mount-secret "cp: cannot open '$HOME/.ssh/id_ed25519': No such file"
planned=$(last_run)
check "by its operation" told_by mount-secret "$planned"
run doctor run "$planned"
check "which says what it was denied" out_matches "^  files.mount +denied +$HOME/.ssh"
run op show "$planned"
check "and is an operation like others" out_has "mount-secret"
run doctor run --json "$planned"
cp "$scratch/out" "$scratch/grants.json"
run contract lint "$scratch/grants.json"
check "its document keeps the rules" exits 0
check "a variable that is a secret" refused environment-secret -e GITHUB_TOKEN=x --idempotency-key mended -- true
check "is told" told_by environment-secret GITHUB_TOKEN
run run --idempotency-key mended -- true
check "a refusal does not take the key: the mended command runs" exits 0
check "a tier that there is not" refused tier-below-minimum --tier vm -- true
check "is told by the profile" told_by tier-below-minimum urn:srcos:agent-machine-profile:personal
mkdir -p "$scratch/image/bin"
cp /bin/true "$scratch/image/bin/true"
check "an image that is not pinned" refused image-not-pinned --image "rootfs:$scratch/image" -- /bin/true
pin=$(grep -o 'sha256:[0-9a-f]*' "$scratch/err" | head -n 1)
check "is told" told_by image-not-pinned "$scratch/image"
check "a container of its own" refused image-not-pinned --alone --image "rootfs:$scratch/image" -- /bin/true
run op show "$(last_run)"
check "is refused as what it is" out_matches "^type +agent_machine.container.run"
check "a tool whose program lies elsewhere" refused surface-program-outside codex
check "is told by the program" told_by surface-program-outside "$scratch/codex"
cat >"$layer/gates.yaml" <<YAML
rules:
  - gate: containerExecution
    match: "*"
    answer: deny
    reason: No images here.
YAML
"$program" profile create --kind personal --name narrow >/dev/null
run profile show narrow
python3 -c 'import json, sys
profile = json.load(open(sys.argv[1]))
profile["agentPlane"]["toolSurfaceRefs"] = []
profile["agentPlane"]["capabilityContractRef"] = "urn:srcos:capability-contract:late"
json.dump(profile, open(sys.argv[2], "w"))' "$scratch/out" "$scratch/narrow.json"
run profile edit narrow --from "$scratch/narrow.json"
check "a profile without tools, for a later phase" exits 0
cat >"$layer/late.json" <<'JSON'
{"id": "urn:srcos:capability-contract:late", "type": "CapabilityContract", "specVersion": "1.0.0",
 "componentRef": "urn:srcos:component:late", "componentKind": "agent", "declaredCapabilities": [],
 "requiredBrokers": [], "minimumBootPhase": "recovery-session", "degradedModePolicy": "refuse-start",
 "userVisibleImpact": "It does not start.", "evidenceRefs": []}
JSON
check "a phase that is not reached" refused phase-not-reached -p narrow -- true
check "is told by its contract" told_by phase-not-reached urn:srcos:capability-contract:late
mv "$layer/late.json" "$scratch/late.json"
run run -p narrow -- true
check "a contract that nobody has" exits 125
check "is told" told_by contract-not-found urn:srcos:capability-contract:late
mv "$scratch/late.json" "$layer/late.json"
sed -i 's/recovery-session/sealed-boot/' "$layer/late.json"
check "a surface that the profile does not list" refused surface-not-listed -p narrow shell
check "is told by the tool" told_by surface-not-listed local-shell
run run --image "rootfs:$scratch/image@$pin" -- /bin/true
check "an image that a layer denies" exits 125
run doctor why "$scratch/image"
check "is told by that layer's rule" out_matches "^decided +denied by the user layer"
rm "$layer/gates.yaml" "$layer/late.json"
workspace=$("$program" op show --json "$planned" | grep -o 'urn:srcos:workspace:[^"]*' | head -1)
run delegation issue --to "urn:srcos:user:$(id -un)" --operation execution.start --profile \
    urn:srcos:agent-machine-profile:personal --workspace "$workspace" --mount "$PWD:staged" \
    --network urn:srcos:network-access-profile:personal --id urn:srcos:delegation:here
delegated=urn:srcos:delegation:here
mkdir -p "$HOME/src/other"
run run --delegation "$delegated" -m "$HOME/src/other:read-only" -- true
check "what is not delegated" exits 125
run doctor why "$HOME/src/other"
check "is told" out_matches "^decided +denied by the built-in layer, rule no-delegation"
check "with what to do" out_has "have a delegation issued with"

# ---- operations that nobody refused anything ----

run run --budget wallClockSeconds=1 -- sleep 30
check "a run is ended by its budget" exits 124
run doctor why "$(last_run)"
check "why says that nobody denied it anything" out_matches "^decided +allowed: nothing that it asked for"
check "how it ended" out_has "the command ended: budget-exhausted, status 124"
check "and what to do" out_matches "^do +Have more of it"
run run -- sh -c 'exit 3'
run doctor why --json "$(last_run)"
check "one that failed by itself is no denial" story_is "'status 3' in story['later'] and 'agent-machine logs' in story['toDo']"
run run -- true
run doctor why "$(last_run)"
check "and of one that went well there is nothing to do" out_matches "^do +Nothing: it was allowed"
run op list
run doctor why "$(grep profile.create "$scratch/out" | head -n 1 | cut -d' ' -f1)"
check "any operation is told" out_matches "^asked +agent_machine.profile.create by urn:srcos:user:"
check "on a screen" fits_a_screen

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
