# The record of an operation: told on one screen, drawn, written as one document, and verified
# elsewhere with a public key alone.
# shellcheck shell=sh disable=SC2016 # single quotes are for shells and Python inside
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
mkdir -p "$HOME/src/compass" "$XDG_CONFIG_HOME/agent-machine/user"
cd "$HOME/src/compass" || exit
git init -q .
printf '#!/bin/sh\necho odd >odd\n' >'a<b&"c'
chmod +x 'a<b&"c'

last() { # the last operation of a type
    "$program" op list --json | sed -n "s/.*\"id\":\"\([^\"]*\)\".*$1.*/\1/p" | tail -n 1
}

run init
user=$(sed -n 's/^you are //p' "$scratch/out")
key=$(sed -n 's/^your public key is //p' "$scratch/out")
cat >"$XDG_CONFIG_HOME/agent-machine/user/gates.yaml" <<END
rules:
  - gate: toolGrant
    match: local-shell
    answer: ask
    reason: A person lets a shell in.
END
run run --idempotency-key told shell -- -c 'true'
run op decide this-run --reason 'For this test.'
waits=$(last execution.start)
run run --retry "${waits##*:}" shell -- -c 'true'
check "a run that was asked about is tried again" exits 0
rm "$XDG_CONFIG_HOME/agent-machine/user/gates.yaml"
run run -- sh -c 'for i in 1 2 3; do curl -sS http://nowhere.test/; done; echo new >new; exit 3'
check "a run is denied something, and ends" exits 3
told=$(last execution.start)

# ---- on one screen ----

run op show "${told##*:}"
check "the story says how it ended" out_matches '^state +completed_with_warnings; asked 2'
check "who asked" out_matches "^asked by +${user#urn:srcos:}, by cli, in workspace:"
check "who lets whom" out_matches "^delegation +${user#urn:srcos:} lets ${user#urn:srcos:} until"
check "what the gates said" out_matches '^gates +allow networkProfile network-access-profile:personal'
check "at which tier it was launched" out_matches '^launch +tier (namespaces|process)'
check "what was denied, once, with its count" out_matches '^denied +nowhere\.test, [0-9]+ times, [0-9:.]+ to'
check "and by which layer" out_has "the user layer"
check "what it used" out_matches '^budget +(cpuSeconds|localDiskBytes|wallClockSeconds) '
check "what it changed, and that nobody has taken it" \
    out_matches '^changes +1 added, 0 modified, 0 deleted, 0 held apart: pending'
check "its receipt" out_matches '^receipt +run-receipt:'
check "the exit of the command" out_matches '^exit +exited with status 3'
check "it fits into eighty columns" awk 'length > 80 { exit 1 }' "$scratch/out"
check "and on one screen" awk 'END { exit NR > 50 }' "$scratch/out"
run worktree apply "${told##*:}"
run op show "$told"
check "that the changes were taken is told" out_matches '^changes .*: activated$'
run op show "$waits"
check "a person's answer is part of the story" out_has "For this test."
run op show "workspace-operation:${told##*:}"
check "it is found by the name that is shown" exits 0
run op show --json "$told"
check "the document alone is printed as before" out_has '"type": "WorkspaceOperation"'
run op show nothing-of-the-kind
check "what is not there is said" err_has "op list"

# ---- drawn ----

run run -- './a<b&"c'
odd=$(last execution.start)
for id in "$told" "$waits" "$odd"; do
    run op graph "$id" -o "$scratch/${id##*:}.svg"
    check "an operation is drawn" exits 0
    try python3 -c 'import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == "{http://www.w3.org/2000/svg}svg", root.tag
box = (float(root.get("width")), float(root.get("height")))
for part in root.iter("{http://www.w3.org/2000/svg}rect"):
    if part.get("width").isdigit():
        assert float(part.get("x")) + float(part.get("width")) <= box[0]
        assert float(part.get("y")) + float(part.get("height")) <= box[1]
print(" ".join(part.text or "" for part in root.iter("{http://www.w3.org/2000/svg}text")))' \
        "$scratch/${id##*:}.svg"
    check "the drawing is well-formed, and in its frame" exits 0
    check "and has the operation" out_has "agent_machine.execution.start"
done
check "names of others are text there" out_has 'a<b&"c'
run op graph "$told"
check "the same record is the same drawing" cmp -s "$scratch/out" "$scratch/${told##*:}.svg"
run op graph "$told" -o "$scratch/${told##*:}.svg"
check "nothing is overwritten" exits 1
check "and that is said" err_has "${told##*:}.svg"

# ---- as one document ----

run grant apply shell --to codex --for 1h
granted=$(last tool_grant.apply)
run op export "$told" "$granted" -o "$scratch/export.json"
check "operations are exported" exits 0
run contract validate "$scratch/export.json"
check "the export holds against its schema" exits 0
run contract lint "$scratch/export.json"
check "and the rules" exits 0
try python3 -c 'import json, sys
types = [entry["documentType"] for entry in json.load(open(sys.argv[1]))["documents"]]
for wanted in ("WorkspaceOperation OperationTask OperationCommand Delegation Budget PolicyDecision "
               "AgentMachineFingerprint LocalAgentExecution RunReceipt AgentMachineProfile "
               "ToolGrantRecord").split():
    assert wanted in types, wanted' "$scratch/export.json"
check "it has all that they own and rest on" exits 0
run op export nothing-of-the-kind
check "what is not there is not exported" exits 1

# ---- elsewhere ----

mkdir "$scratch/elsewhere"
elsewhere() { # FILE [KEY]
    try env -i PATH="$PATH" HOME="$scratch/elsewhere" "$program" op import "$1" --key "${2:-$key}"
}
elsewhere "$scratch/export.json"
check "it holds elsewhere, with the key alone" exits 0
check "every check was made" test "$(grep -c ' holds ' "$scratch/out")" -eq 7
if unshare -rn true 2>/dev/null; then
    try env -i PATH="$PATH" HOME="$scratch/elsewhere" unshare -rn "$program" op import \
        "$scratch/export.json" --key "$key"
    check "without any network" exits 0
fi
check "nothing is written there" test -z "$(ls -A "$scratch/elsewhere")"
try env -i PATH="$PATH" HOME="$scratch/elsewhere" "$program" op import "$scratch/export.json"
check "without a key it is asked for" err_has "--key"
try env -i PATH="$PATH" HOME="$scratch/elsewhere" "$program" op show "$scratch/export.json"
check "and tells the same story" out_matches '^denied +nowhere\.test, '
HOME=$scratch/other XDG_STATE_HOME=$scratch/other/state XDG_CONFIG_HOME=$scratch/other/.config \
    run init
elsewhere "$scratch/export.json" "$(sed -n 's/^your public key is //p' "$scratch/out")"
check "another's key has not sealed it" exits 77
run op import --json "$scratch/export.json"
check "where the own key is, it is not named" out_has '"valid":true'

# ---- what is no export, or none any more ----

spoil() { # PYTHON: does something to the export `e`
    try python3 -c 'import json, sys
e = json.load(open(sys.argv[1]))
exec(sys.argv[2])
json.dump(e, open(sys.argv[3], "w"))' "$scratch/export.json" "$1" "$scratch/spoilt.json"
    check "(spoilt)" exits 0
    elsewhere "$scratch/spoilt.json"
}
spoil 'e["documents"][0]["document"]["createdAt"] = "2026-01-01T00:00:00Z"'
check "a changed document is refused" exits 77
spoil 'e["events"].pop()'
check "a missing event is refused" exits 77
spoil 'e["exportedAt"] = "2026-01-01T00:00:00Z"'
check "another moment is refused" exits 77
spoil 'del e["seal"]'
check "one without a seal is none" exits 65
spoil 'e["seal"]["signatures"][0]["sig"] = "A" * 86 + "=="'
check "nor one with a made-up signature" exits 77
spoil 'e["documents"] = e["documents"] * 2000'
check "one with too many documents is refused" exits 65
spoil 'x = e["documents"][0]["document"]
for i in range(400): x["a"] = {}; x = x["a"]'
check "one that is too deep is refused" exits 65
head -c 3000 "$scratch/export.json" >"$scratch/spoilt.json"
elsewhere "$scratch/spoilt.json"
check "half of one is refused" exits 65
python3 -c 'print("[" * 100000)' >"$scratch/spoilt.json"
elsewhere "$scratch/spoilt.json"
check "what is nothing but depth is refused" exits 65
truncate -s 70M "$scratch/spoilt.json"
elsewhere "$scratch/spoilt.json"
check "what is too long is not read" exits 65
run op show "$scratch/spoilt.json"
check "nor told" exits 65
check "and it is said where" err_has spoilt.json
finish
