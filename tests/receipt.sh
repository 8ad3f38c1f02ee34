# A run's receipt: verified here and elsewhere, and caught when anything in it or around it changed.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
mkdir -p "$HOME/src/compass"
cd "$HOME/src/compass" || exit
git init -q .
config=$XDG_CONFIG_HOME/agent-machine state=$XDG_STATE_HOME/agent-machine
elsewhere=$scratch/elsewhere
mkdir "$elsewhere"

newest() {
    "$program" receipt list --json | tail -n 1 | sed 's/.*run-receipt:\([^"]*\)".*/\1/'
}
# On another machine: no home, no configuration, no ledger.
abroad() { # ARGUMENT…
    try env -i "$program" "$@"
}
ledger_says() { # STATEMENT
    python3 -c 'import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(row[0])' "$state/ledger.db" "$1"
}

# ---- a run leaves one ----

run run -- sh -c 'echo new >b.txt; exit 3'
check "the run is the command's" exits 3
name=$(newest)
run receipt list
check "its receipt is listed" out_has "$name"
check "with how it ended" out_has "exited, status 3"
run receipt show "$name"
check "it is shown" out_has "urn:srcos:local-agent-execution:$name"
check "with what changed" out_has "1 added, 0 modified, 0 deleted"
check "and that nothing was verified by that" out_has "Nothing of this was verified"
run receipt show "urn:srcos:workspace-operation:$name" --json
check "programs read the statement" out_has '"_type": "https://in-toto.io/Statement/v1"'
check "its predicate is ours" out_has '"https://schemas.srcos.ai/predicates/run-receipt/v1"'
run op show "$name"
check "the operation names it" out_has "run-receipt:$name"
run receipt verify "$name"
check "here it is verified with its ledger" out_matches '^ledger +holds'
check "its documents" out_has "3 of 3"
check "and holds" exits 0
run receipt show nothing
check "one that is not there is said" exits 1
check "with where to look" err_has "receipt list"

# ---- elsewhere ----

"$program" receipt show "$name" --envelope >"$elsewhere/receipt.json"
cp "$config/key.pub" "$elsewhere/key.pub"
cd "$elsewhere" || exit
abroad receipt verify receipt.json --key key.pub
check "the public key is all that another machine needs" exits 0
check "it says what it did not compare" out_matches '^ledger +not-checked'
check "and why" out_has "there is no ledger here"
abroad receipt verify receipt.json --key "$(cat key.pub)" --json
check "programs are told the same" out_has '"checkpoint":"holds","documents":"not-checked"'
abroad receipt verify receipt.json
check "without a key there is nothing to verify by" exits 2
check "and that is said" err_has "name the signer's with --key"
try sh -c "env -i '$program' receipt verify - --key key.pub <receipt.json"
check "it may come by a pipe" exits 0
abroad receipt show receipt.json
check "it can be read there" out_has "exited, status 3"
ledger_says "SELECT json FROM document WHERE id = 'urn:srcos:local-agent-execution:$name'" >execution.json
ledger_says "SELECT json FROM document WHERE id = 'urn:srcos:agent-machine-fingerprint:$name'" \
    >fingerprint.json
abroad receipt verify receipt.json --key key.pub --document execution.json \
    --document fingerprint.json
check "documents that come along are held against it" out_has "2 of 3"
check "and are what it binds" exits 0
sed 's/"status":3/"status":0/' execution.json >swapped.json
abroad receipt verify receipt.json --key key.pub --document swapped.json
check "a document that was changed is found" exits 1
check "by its name" err_has "urn:srcos:local-agent-execution:$name is not the document"
check "and the check that fails" out_matches '^documents +fails'
echo '{"id":"urn:srcos:budget:x"}' >stranger.json
abroad receipt verify receipt.json --key key.pub --document stranger.json
check "a document that it does not bind is none of its own" err_has "binds no document"

# ---- what was changed after it was signed ----

# Changes the envelope: a character of the payload or the signature, or the statement in the payload,
# which is signed anew where a key is named.
cat >change.py <<'END'
import base64, json, subprocess, sys, tempfile
what, old, new, key = (sys.argv + [""] * 4)[1:5]
envelope = json.load(open("receipt.json"))
kind = envelope["payloadType"]
if what == "signature":
    text = envelope["signatures"][0]["sig"]
    envelope["signatures"][0]["sig"] = ("B" if text[0] == "A" else "A") + text[1:]
elif what == "type":
    envelope["payloadType"] = "application/json"
else:
    payload = base64.b64decode(envelope["payload"])
    assert old.encode() in payload, old
    payload = payload.replace(old.encode(), new.encode())
    envelope["payload"] = base64.b64encode(payload).decode()
    if key:
        with tempfile.NamedTemporaryFile() as message:
            message.write(f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload)
            message.flush()
            sign = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", message.name]
            signature = subprocess.run(sign, capture_output=True, check=True).stdout
        envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
json.dump(envelope, open("changed.json", "w"))
END
denied() { # NAME CHANGE…
    denied_name=$1
    shift
    python3 change.py "$@" || exit
    abroad receipt verify changed.json --key key.pub
    check "$denied_name is denied" exits 77
    check "as not signed" err_has "no signature of"
    check "and nothing in it was believed" out_matches '^statement +not-checked'
}
denied "another exit status" payload '"status":3' '"status":0'
denied "another digest" payload '"planDigest":"sha256:' '"planDigest":"sha256:0'
denied "another checkpoint" payload '"checkpoint":"agent-machine' '"checkpoint":"agent-other'
denied "another signature" signature
python3 change.py type
abroad receipt verify changed.json --key key.pub
check "another type of payload is denied" exits 77
openssl genpkey -algorithm ed25519 -out other.pem 2>/dev/null
other=ed25519:$(openssl pkey -in other.pem -pubout -outform DER | tail -c 32 | base64)
abroad receipt verify receipt.json --key "$other"
check "another key has not signed it" exits 77
python3 change.py payload '"status":3' '"status":0' other.pem
abroad receipt verify changed.json --key key.pub
check "nor does signing it with another key help" exits 77
head -c 1000 receipt.json >short.json
abroad receipt verify short.json --key key.pub
check "half a receipt is none" exits 65
echo '{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[]}' >none.json
abroad receipt verify none.json --key key.pub
check "one that nobody signed is denied" exits 77
try sh -c "head -c 3000000 /dev/zero | env -i '$program' receipt verify - --key key.pub"
check "an endless one is refused" exits 65

# ---- what the key's own holder changed ----

resealed() { # EXIT-STATUS NAME WORDS OLD NEW
    python3 change.py payload "$4" "$5" "$config/key.pem" || exit
    abroad receipt verify changed.json --key key.pub
    check "$2 is found" exits "$1"
    check "and said" err_has "$3"
}
resealed 65 "a statement without its type" /_type '"_type"' '"type"'
resealed 65 "one of another kind" /predicateType run-receipt/v1 run-receipt/v9
resealed 1 "another subject" /subject/1 '"name":"urn:srcos:change-set:' \
    '"name":"urn:srcos:change-set:1'
resealed 1 "another run's fingerprint" "another run" \
    '"ref":"urn:srcos:agent-machine-fingerprint:' '"ref":"urn:srcos:agent-machine-fingerprint:1'
resealed 1 "a layer that is none" "/predicate/policy/layers" '"layers":[' '"layers":[3'
resealed 77 "a changed checkpoint" "changed after it was signed" \
    '"checkpoint":"agent-machine/ledger/' '"checkpoint":"agent-machine/ledgers/'
python3 change.py payload '"status":3' '"status":0' "$config/key.pem"
abroad receipt verify changed.json --key key.pub
check "what contradicts nothing, the key alone cannot find" exits 0
run receipt verify changed.json
check "the ledger can" exits 1
check "and says so" err_has "the ledger holds another receipt"

# ---- a run that is cancelled ----

cd "$HOME/src/compass" || exit
mkfifo "$scratch/up"
"$program" run -- sh -c 'echo up; exec sleep 60' >"$scratch/up" &
read -r _ <"$scratch/up"
cancelled=$("$program" op list --state running | cut -d' ' -f1)
run op cancel "$cancelled"
check "a run is cancelled by somebody else" exits 0
wait
run receipt verify "$cancelled"
check "it leaves its receipt" exits 0
run receipt list
check "that says how it ended" out_matches "^$cancelled .* cancelled"
run op list --state canceled
check "and it is a cancelled operation" out_has "$cancelled"

# ---- where it is not made, and where it is of another ledger ----

cd "$HOME/src/compass" || exit
run run -- true
check "a run that changes nothing" exits 0
run receipt show "$(newest)" --json
check "has no change set in its receipt" out_lacks change-set
before=$("$program" receipt list | wc -l)
cat >"$scratch/editor" <<'END'
#!/bin/sh
sed -i 's/"emitRunReceipt": true/"emitRunReceipt": false/' "$1"
END
chmod +x "$scratch/editor"
VISUAL="$scratch/editor" run profile edit personal
run run -- true
check "where the profile wants none" exits 0
check "none is made" test "$("$program" receipt list | wc -l)" -eq "$before"
in_other_home() { # COMMAND…
    try env HOME="$scratch/other" XDG_STATE_HOME="$scratch/other/state" \
        XDG_CONFIG_HOME="$scratch/other/config" "$@"
}
in_other_home "$program" init
in_other_home "$program" receipt verify "$elsewhere/receipt.json" --key "$elsewhere/key.pub"
check "beside another ledger it holds as well" exits 0
check "and that is said" out_has "the ledger here is another one"
run receipt verify "$elsewhere/receipt.json" --state "$scratch/other/state/agent-machine"
check "a ledger that was named must be its own" exits 1

# ---- what was swapped in the ledger ----

in_ledger() { # STATEMENT ARGUMENT…
    python3 -c 'import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as ledger: ledger.execute(sys.argv[2], sys.argv[3:])' "$state/ledger.db" "$@"
}
: >"$state/.tampered"
record=urn:srcos:local-agent-execution:$name
in_ledger 'UPDATE document SET json = replace(json, ?, ?) WHERE id = ?' \
    '"status":3' '"status":0' "$record"
run receipt verify "$elsewhere/receipt.json"
check "a record that was changed in the ledger is found" exits 1
check "by its name" err_has "$record is not the document"
in_ledger 'UPDATE document SET json = replace(json, ?, ?) WHERE id = ?' \
    '"status":0' '"status":3' "$record"
run receipt verify "$elsewhere/receipt.json"
check "put back, it is as it was" exits 0
in_ledger 'UPDATE event SET json = replace(json, ?, ?) WHERE sequence = 9' urn: nru:
run receipt verify "$elsewhere/receipt.json"
check "an event that was changed is found" exits 1
check "by its place" err_has "event 9"
finish
