# A run that has to ask a person: at a terminal it asks there, elsewhere it is denied for now.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
mkdir -p "$HOME/src/compass" "$XDG_CONFIG_HOME/agent-machine/user"
cd "$HOME/src/compass" || exit
cat >"$XDG_CONFIG_HOME/agent-machine/user/gates.yaml" <<END
rules:
  - gate: toolGrant
    match: local-shell
    answer: ask
    reason: A person lets a shell in.
END
run run shell -- -c 'echo ran'
check "without a terminal it is denied for now" exits 125
check "and it is said who has to answer" err_has "a person has to answer"
check "and how" err_has "agent-machine op decide"
check "nothing ran" out_empty

run op decide no
check "an answer that denies is one" exits 0

# Answered, it is tried again by its command.
run run --idempotency-key again shell -- -c 'echo ran'
check "a run with a key is denied for now as well" exits 125
waits=$("$program" op list --json | sed -n 's/.*"id":"\([^"]*\)".*execution\.start.*/\1/p' |
    tail -n 1)
run op decide this-run
check "whoever answers is told how it goes on" out_has "agent-machine run --retry ${waits##*:}"
run op retry "$waits"
check "without its command it cannot" err_has "run --retry"
run run --retry "${waits##*:}" shell -- -c 'echo other'
check "with another command neither" err_has "another command"
check "nothing ran" out_empty
run run --retry "${waits##*:}" --json shell -- -c 'echo ran'
check "with its own it runs" out_is ran
check "as the same operation" err_has "\"operation\":\"$waits\""
run op events --json "$waits"
check "in its second attempt" out_has '"attempt":2'
run receipt verify "${waits##*:}"
check "its receipt is of that" exits 0
run run --retry "$waits" shell -- -c 'echo ran'
check "what has ended well is not tried again" exits 125
run run --idempotency-key fails --budget wallClockSeconds=1 -- sleep 9
run run --retry "$("$program" op list --json --state failed |
    sed -n 's/.*"id":"\([^"]*\)".*"idempotencyKey":"fails".*/\1/p')" \
    --budget wallClockSeconds=1 -- sleep 9
check "nor what has run" err_has "has run, and what it did is on record"

# A delegation that has come to the user by somebody else: under it the user's word grants no tool.
operation=$("$program" op list --json |
    sed -n 's/.*"id":"\([^"]*\)".*execution\.start.*/\1/p' | tail -n 1)
workspace=$("$program" op show --json "$operation" |
    sed -n 's/.*"workspaceRef": "\([^"]*\)".*/\1/p')
ceiling=modelCalls=500,tokens=2M,connectorCalls=200,cpuSeconds=144000,localDiskBytes=10Gi
ceiling=$ceiling,sandboxMemoryBytes=8Gi,wallClockSeconds=288000,agentConcurrency=4
other=$scratch/other/.config/agent-machine/key
HOME=$scratch/other XDG_STATE_HOME=$scratch/other/state XDG_CONFIG_HOME=$scratch/other/.config run init
user=$("$program" init | sed -n 's/^you are //p')
run delegation issue --to urn:srcos:agent:other --operation execution.start --profile \
    urn:srcos:agent-machine-profile:personal --workspace "$workspace" --depth 1 \
    --tool urn:srcos:agent-tool-surface:local-shell --mount "$PWD:staged" --subject-key "$other.pub" \
    --network urn:srcos:network-access-profile:personal \
    --ceiling "$ceiling" \
    --id urn:srcos:delegation:above
run delegation attenuate --from urn:srcos:delegation:above --to "$user" --key "$other.pem" \
    --id urn:srcos:delegation:below
check "it is passed on to the user" exits 0
try timeout 120 python3 -B "$tree/tests/terminal_ask.py" "$program" urn:srcos:delegation:below
check "at a terminal it is asked, and waits for what is typed" exits 0
check "and says nothing of being other" out_empty
run run --delegation urn:srcos:delegation:below --idempotency-key k shell -- -c 'echo ran'
check "what was granted there is granted" out_is ran

# ---- while it runs: what the doors meet ----

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
read -r port <"$scratch/port"
rm -f "$XDG_CONFIG_HOME/agent-machine/user/gates.yaml"
cat >"$XDG_CONFIG_HOME/agent-machine/user/references.yaml" <<END
names:
  asked.test: 127.0.0.1
  too.asked.test: 127.0.0.1
END
cat >"$XDG_CONFIG_HOME/agent-machine/user/asking.json" <<END
{"id": "urn:srcos:firewall-binding-profile:asking", "type": "FirewallBindingProfile",
 "specVersion": "1.0.0", "name": "asking", "bindingClass": "linux-nftables", "mode": "enforce",
 "rules": [{"ruleId": "asked", "direction": "egress", "decision": "ask", "subject": "*",
   "destination": ".asked.test"},
  {"ruleId": "here", "direction": "egress", "decision": "allow", "subject": "*",
   "destination": "127.0.0.1"}],
 "evidence": {"emitDeniedConnectionReceipt": true}}
END
try timeout 200 python3 -B "$tree/tests/terminal_doors.py" "$program" "$port"
check "at its terminal a run asks about what its doors meet" exits 0
check "and says nothing of being other there" out_empty
kill "$server"
run ledger verify
check "the ledger is whole" exits 0
finish
