# Operations at the command line: submitted, looked at, retried, cancelled; and their budgets.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit
export XDG_STATE_HOME="$scratch/state" XDG_CONFIG_HOME="$scratch/config"
empty=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

user=$(id -un)
command_file() { # NAME KEY
    cat >"$1.json" <<END
{"id": "urn:srcos:operation-command:$1", "type": "OperationCommand", "specVersion": "1.0.0",
 "command": "submit", "operationType": "agent_machine.execution.start",
 "workspaceRef": "urn:srcos:workspace:compass", "actorRef": "urn:srcos:user:$user",
 "subjectRef": "urn:srcos:agent:codex", "surface": "cli", "issuedAt": "2026-11-20T09:00:00Z",
 "idempotencyKey": "$2",
 "parameters": {"executionStart": {
   "profileRef": "urn:srcos:agent-machine-profile:personal-linux", "executable": "true",
   "arguments": {"count": 0, "lengthBytes": 0, "digest": "$empty"}}},
 "parametersDigest":
   "sha256:3c54ff41341dcd74a9253c181f915a336befc6b3bcd3fd5270e141f7a5bdc866"}
END
}
id_of() { # FILE-OF-JSON
    sed -n 's/.*"operation":"\([^"]*\)".*/\1/p' "$1"
}

# ---- without a key ----

run op list
check "without a ledger there is nothing to list" exits 1
command_file first one
run op submit --json first.json
check "without a key it is denied" exits 77
check "the refusal is recorded" out_has '"state":"failed"'
run op list
check "a denied operation stands in the list" out_has execution.start

# ---- with one ----

run init
check "init makes a key" exits 0
command_file second two
run op submit --json second.json
check "what this release cannot do is a typed failure" exits 1
check "the failure is named" out_has '"code":"unsupported"'
id=$(id_of "$scratch/out")
run op submit second.json
check "the same command again is the same operation" out_has "(given before)"
run op submit --json second.json
check "and says so in JSON" out_has '"repeated":true'
sed 's/"true"/"false"/; s/:second/:third/' second.json >third.json
run op submit third.json
check "other parameters with their old digest are refused" exits 65

run op show "$id"
check "an operation is shown" out_has "this release cannot carry out"
check "within eighty columns" awk 'length > 80 { exit 1 }' "$scratch/out"
run op show --json "${id##*:}"
check "the short id will do" exits 0
cp "$scratch/out" shown.json
run contract validate shown.json
check "what is shown is a valid document" exits 0
run op events "$id"
check "its events are printed" out_has "operation running"
check "its events fit as well" awk 'length > 80 { exit 1 }' "$scratch/out"
run op events --json
check "all events are printed" out_has '"delegation":{"action":"issued"'
run op events --follow "$id"
check "following something that has ended ends" exits 0
run op wait --timeout 1 "$id"
check "waiting says how it ended" exits 1
run op list --state failed
check "the list is by state" out_has "${id##*:}"
run op list --state completed
check "what init did has completed" out_matches '^[^ ]+ +completed +profile.create$'
check "and nothing else" test "$(wc -l <"$scratch/out")" -eq 1
run op list --state sleeping
check "there is no such state" exits 2
run op show missing
check "what is not there is said" exits 1

# ---- again, and no more ----

run op retry "$id"
check "a run is tried again by its command alone" exits 1
check "and how is said" err_has "run --retry"
run op events --json "$id"
check "that was no second attempt" out_lacks '"attempt":2'
run op cancel "$id"
check "what has ended cannot be cancelled" exits 1

# ---- decisions ----

run op pending
check "nobody is asked anything" out_empty
run op decide missing no
check "there is no such card" exits 1
run op decide missing
check "without a card it is the one that is pending" err_has "no decision card is pending"
run op submit --wait soon second.json
check "a wait is a duration" exits 2

mkdir -p "$scratch/config/agent-machine/user" "$scratch/bin"
cat >"$scratch/config/agent-machine/user/gates.yaml" <<END
rules:
  - gate: toolGrant
    match: codex
    answer: ask
    reason: Tools are given by a person.
END
cp /bin/true "$scratch/bin/codex"
PATH="$scratch/bin:$PATH"
run grant apply codex --to urn:srcos:agent:codex --for 8h
check "what a layer leaves to a person is pending" exits 75
run op pending
check "the card is there" out_has "Tools are"
check "with what each answer means" out_has "this-run     Yes, for this operation"
check "a card fits into eighty columns" awk 'length > 80 { exit 1 }' "$scratch/out"
run op pending --json
cp "$scratch/out" card.json
run contract validate card.json
check "a card is a valid document" exits 0
asked=$(sed -n 's/.*"operationRef":"\([^"]*\)".*/\1/p' card.json)
run op decide maybe
check "an answer is one of the options" exits 1
run op retry "$asked"
check "unanswered, it is pending again" exits 75
run op decide this-run --for never
check "a lease has a duration" exits 2
run op decide this-run --for 10m --reason "For this sprint."
check "a person answers" out_has "this-run, by urn:srcos:user:$user"
check "and is told what is next" out_has "now: agent-machine op retry"
run op pending
check "then nothing is pending" out_empty
run op retry "$asked"
check "the next attempt rests on the answer" out_has "completed"
run op show "$asked"
check "an operation shows its cards" out_has "For this sprint."

run op compensate "$asked"
check "a grant is taken back" exits 0
run op show "$asked"
check "it says by whom" out_has "compensated"
run op compensate "$asked"
check "once" exits 1
run grant list
check "it is in force no more" out_lacks "in force"
run profile create --kind airgapped-local-only
made=$("$program" op list | sed -n 's/ .*profile.create$//p' | tail -1)
run op compensate "$made"
check "a profile is archived" exits 0
run profile list
check "and found no more" out_lacks airgapped

run op pause "$id"
check "what has ended cannot be paused" exits 1
check "and says what it is" err_has "is failed, and not running"
run op resume missing
check "what is not there cannot go on" exits 1

# ---- budgets ----

run budget show
check "the delegation's account is shown" out_has wallClockSeconds
check "budgets fit" awk 'length > 80 { exit 1 }' "$scratch/out"
run budget show --json "$id"
check "an operation's budget is found by the operation" out_has '"state":"settled"'
cp "$scratch/out" budget.json
run contract lint --json budget.json
check "it is a valid document" out_lacks '"rule":"schema"'
run budget show missing
check "no such account" exits 1
run recover
check "there is nothing to recover" out_is "nothing to recover"
finish
