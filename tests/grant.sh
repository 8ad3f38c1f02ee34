# Grants at the command line: given, listed, taken back.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit
export XDG_STATE_HOME="$scratch/state" XDG_CONFIG_HOME="$scratch/config"

run grant list
check "without a ledger there is nothing to list" exits 1
run grant apply sh --to codex --for 8h
check "without a key nothing is granted" exits 77
run init

# ---- what is no grant ----

run grant apply sh --to codex
check "a grant has an end" exits 2
run grant apply sh --to codex --for 8h --until 20:00
check "and only one" exits 2
run grant apply sh --for 8h
check "somebody receives it" exits 2
run grant apply sh --to codex --for soon
check "soon is no time" exits 2
run grant apply sh --to codex --until 25:00
check "nor is 25:00" exits 2
run grant apply no-such-program --to codex --for 1h
check "what is not there cannot be pinned" exits 1
check "the remedy is named" err_has "TOOL=/path/to/it"
run grant apply sh --to codex --for 7d
check "a grant lasts no longer than its delegation" exits 77
run grant list
check "nothing of that is a grant" out_empty

# ---- one that is ----

printf '#!/bin/sh\n' >tool
run grant apply sh mytool=./tool --to codex --until 23:59 --reason "For the tests."
check "a grant is given" exits 0
id=$(cat "$scratch/out")
check "its record is named" out_has "urn:srcos:tool-grant-record:"
run grant list
check "it is listed" out_has "$id"
check "with its subject" out_has "urn:srcos:agent:codex"
check "and its tools" out_has "urn:srcos:agent-tool-surface:mytool (in"
check "within eighty columns" awk 'length > 80 { exit 1 }' "$scratch/out"
run grant list --json
check "as JSON too" out_has '"action":"apply"'
check "with the pin of the file" out_has "$(sha256sum <tool | cut -d' ' -f1)"
cp "$scratch/out" record.json
run contract validate record.json
check "the record is a valid document" exits 0

run grant apply --json --key again sh --to codex --until 2999-01-01T00:00:00Z
check "a refusal in JSON" out_has '"code":"denied"'
check "says so by its exit status" exits 77

# ---- taken back ----

run grant revoke "${id##*:}" --reason "Enough."
check "it is taken back, by its short id" exits 0
run grant list
check "and is no longer in force" out_empty
run grant list --all
check "but remembered" out_has "(revoked)"
run grant list --all --json
check "with the record that says so" out_has '"reason":"Enough."'
run grant revoke "$id"
check "it cannot be taken back twice" exits 1
check "and that is said" err_has "already"
run grant revoke missing
check "what is not there is said" exits 1
run op list --state completed
check "both were operations" out_has tool_grant.revoke
# ---- surfaces ----

run grant surfaces
check "the built-in surfaces are listed" out_matches '^shell  *(/.*)?/bash$'
check "with those whose program is not here" out_has claude-code
check "and the slot" out_matches '^example-agent  *a slot'
run grant surfaces --json
check "as JSON too" out_has '"id":"urn:srcos:agent-tool-surface:local-shell"'
run grant surfaces codex
check "one is shown whole" out_has '"command"'
cp "$scratch/out" codex.json
run contract lint codex.json
check "and is a document without faults" exits 0
run contract validate "$tree"/src/machine/surfaces/*.json
check "as all of them are by their schema" exits 0
run contract lint "$tree"/src/machine/surfaces/*.json
check "and by the rules" exits 0
run grant surfaces bash
check "a program is no surface" exits 1
run grant apply shell --to codex --for 1h
check "a surface is granted by its name" exits 0
run grant list
check "and is the document that has it" out_has local-shell
run grant surfaces bash codex
check "one at a time" exits 2

finish
