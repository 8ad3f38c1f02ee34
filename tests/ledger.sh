# The ledger at the command line: verified, proven to others, and caught when it was tampered with.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit
export XDG_STATE_HOME="$scratch/state" XDG_CONFIG_HOME="$scratch/config"
ledger=$XDG_STATE_HOME/agent-machine

# Some operations, which this release ends as unsupported: each leaves its events.
empty=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
user=$(id -un)
make_events() { # NAME
    cat >"$1.json" <<END
{"id": "urn:srcos:operation-command:$1", "type": "OperationCommand", "specVersion": "1.0.0",
 "command": "submit", "operationType": "agent_machine.execution.start",
 "workspaceRef": "urn:srcos:workspace:compass", "actorRef": "urn:srcos:user:$user",
 "subjectRef": "urn:srcos:agent:codex", "surface": "cli", "issuedAt": "2026-11-20T09:00:00Z",
 "idempotencyKey": "$1",
 "parameters": {"executionStart": {
   "profileRef": "urn:srcos:agent-machine-profile:personal-linux", "executable": "true",
   "arguments": {"count": 0, "lengthBytes": 0, "digest": "$empty"}}},
 "parametersDigest":
   "sha256:3c54ff41341dcd74a9253c181f915a336befc6b3bcd3fd5270e141f7a5bdc866"}
END
    run op submit "$1.json"
}
tamper() { # FOLDER SQL
    : >"$1/.tampered"
    python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript(sys.argv[2])' "$1/ledger.db" "$2"
}

# ---- verify ----

run ledger verify
check "without a ledger, verify says what makes one" err_has "agent-machine init"
check "and fails" exits 1
run init
run ledger verify
check "a new ledger is whole" out_has "is whole"
make_events one
make_events two
run ledger verify
check "a ledger with events is whole" exits 0
run ledger verify --json
check "and says so in JSON" out_has '"valid":true'

# ---- checkpoint ----

run ledger checkpoint
cp "$scratch/out" early
check "a checkpoint names the ledger" out_matches '^agent-machine/ledger/[0-9a-f]{32}$'
check "and is signed" out_matches '^— agent-machine/ledger/[0-9a-f]{32} [A-Za-z0-9+/=]{92}$'
cp -r "$ledger" rolled-back
make_events three
run ledger verify --against early
check "the ledger continues its checkpoint" out_has "continues the checkpoint"
run ledger checkpoint
cp "$scratch/out" late
run ledger verify --state rolled-back
check "a ledger that was rolled back is whole in itself" exits 0
run ledger verify --state rolled-back --against late
check "and is caught by a later checkpoint" exits 1
check "which names the first event that is missing" err_matches 'event [0-9]+ and all up to'
sed 's/^[0-9][0-9]*$/1/' late >forged
run ledger verify --against forged
check "a checkpoint that was changed is refused" exits 77

# ---- prove and check-proof ----

key=$XDG_CONFIG_HOME/agent-machine/key.pub
run ledger prove 1
cp "$scratch/out" inclusion
run ledger check-proof inclusion --key "$key"
check "an event is proven by its sequence" out_is "the proof holds"
id=$(sed -n 's/.*"id":"\(urn:srcos:operation-event:[^"]*\)".*/\1/p' inclusion)
run ledger prove "$id"
check "and by its id" exits 0
sed 's/"sequence":1,/"sequence":2,/' inclusion >forged
run ledger check-proof forged --key "$key"
check "a changed proof does not hold" exits 1
run ledger prove --from 1
cp "$scratch/out" growth
run ledger check-proof growth --key "$key"
check "that the ledger only grew is proven" out_is "the proof holds"
XDG_CONFIG_HOME=$scratch/other run init
run ledger check-proof growth --key "$scratch/other/agent-machine/key.pub"
check "a proof under another key is refused" exits 77
run ledger prove
check "prove without an event or --from is a usage error" exits 2
run ledger prove urn:nothing
check "an event that is not there is named" err_has urn:nothing

# ---- export and tail ----

run ledger export --jsonl
cp "$scratch/out" all
events=$(wc -l <all)
check "export prints every event" [ "$events" -gt 3 ]
run ledger export --from 2
check "and from a sequence on" [ "$(wc -l <"$scratch/out")" -eq $((events - 2)) ]
run ledger tail -n 2
check "tail prints the newest" [ "$(wc -l <"$scratch/out")" -eq 2 ]
operation=$(sed -n 's/.*"operationRef":"\([^"]*\)".*/\1/p' all | head -n 1)
run ledger export --operation "$operation"
check "export prints one operation's events alone" \
    [ "$(grep -c "\"operationRef\":\"$operation\"" all)" -eq "$(wc -l <"$scratch/out")" ]
"$program" ledger tail -f -n 0 --json >followed &
follower=$!
make_events four
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ ! -s followed ] || break
    sleep 0.2
done
kill "$follower"
try cat followed
check "tail -f prints what comes" out_has '"type":"OperationEvent"'

# ---- tampering ----

cp -r "$ledger" changed
tamper changed "UPDATE event SET json = replace(json, 'queued', 'failed') WHERE sequence = 0"
run ledger verify --state changed
check "a changed event is caught" exits 1
check "and named" err_has "event 0 was changed"
run ledger verify --state changed --json
check "in JSON, too" out_has '"where":"event 0"'
cp -r "$ledger" cut
tamper cut "DELETE FROM event WHERE sequence = 2"
run ledger verify --state cut
check "a removed event is named" err_has "event 2 is missing"
finish
