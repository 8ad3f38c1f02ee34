# Keys and delegations, as a person or a script meets them.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit
home=$scratch/home
mkdir "$home"
HOME=$home XDG_CONFIG_HOME='' XDG_STATE_HOME=''
export HOME XDG_CONFIG_HOME XDG_STATE_HOME
key=$home/.config/agent-machine/key.pem

# ---- init ----

run delegation list
check "without a key, init is named" exits 1
check "without a key, init is named: in words" err_has "make one: agent-machine init"

run init --json
check "init makes key and ledger" exits 0
check "init says what it made" out_has '"made":["configFolder","key","stateFolder","ledger","profile"]'
check "the key is its owner's alone" test "$(stat -c %a "$key")" = 600
before=$(sha256sum "$key")
run init
check "init again changes nothing" test "$(sha256sum "$key")" = "$before"
check "init again says so" out_has "was there"

chmod 644 "$key"
run init
check "a key that others can read is refused" exits 77
check "the mend is named" err_has "chmod 600 $key"
chmod 600 "$key"

# Another's key: made as another user's would be.
HOME=$scratch/codex run init --json
check "somebody else has a key too" exits 0
codex_key=$scratch/codex/.config/agent-machine/key.pem
codex_public=$scratch/codex/.config/agent-machine/key.pub

# ---- issue and attenuate ----

run delegation list
check "what init did had its delegation too" out_has "to urn:srcos:user:"
run delegation issue --to urn:srcos:agent:codex
check "what is needed is said" exits 2
run delegation issue --to urn:srcos:agent:codex --operation execution.start \
    --workspace urn:srcos:workspace:compass --ceiling tokens=lots
check "an amount that is none is refused" exits 2
run delegation issue --to urn:srcos:agent:codex --operation execution.stat \
    --workspace urn:srcos:workspace:compass
check "an operation that is none is refused" exits 65
check "its place is named" err_has /operationTypes/0

above=urn:srcos:delegation:above below=urn:srcos:delegation:below
run delegation issue --to urn:srcos:agent:codex --operation execution.start,execution.cancel \
    --workspace urn:srcos:workspace:compass --mount /src/compass,/cache:cache \
    --ceiling tokens=2M,localDiskBytes=10Gi --depth 1 --subject-key "$codex_public" --id $above
check "a delegation is issued" exits 0
check "it is printed" out_has '"localDiskBytes": 10737418240'
cp "$scratch/out" issued.json
run contract validate issued.json
check "it is as its schema says" exits 0
run delegation issue --to urn:srcos:agent:codex --operation execution.start \
    --workspace urn:srcos:workspace:compass --id $above
check "a name is used once" exits 1

attenuate() { # OPTION…
    run delegation attenuate --from $above --to urn:srcos:agent:claude-code --key "$codex_key" "$@"
}
attenuate --ceiling tokens=3M
check "more than one holds is not passed on" exits 77
check "the ceiling is named" err_has /budgetCeiling/tokens
attenuate --mount /src
check "a wider folder is not passed on" err_has /scope/mounts/0
attenuate --for 9h
check "a longer time is not passed on" err_has /expiresAt
run delegation attenuate --from $above --to urn:srcos:agent:claude-code --key "$key"
check "another's key passes nothing on" exits 77
attenuate --operation execution.start --mount /src/compass/docs:read-only --for 1h --id $below
check "a part is passed on" exits 0
cp "$scratch/out" passed-on.json
run contract lint issued.json passed-on.json
check "and keeps the rules" exits 0
run delegation attenuate --from $below --to urn:srcos:agent:openclaw --key "$codex_key"
check "but no further" exits 77

# ---- verify, show, list, revoke ----

run delegation verify $below
check "the chain holds" exits 0
check "both links are named" out_has "link 1  $above"
run delegation show --envelope --json $below
cp "$scratch/out" envelope.json
run delegation verify envelope.json
check "an envelope in a file is verified" exits 0
run delegation verify --root "$codex_public" envelope.json
check "another root is another matter" exits 77
check "the link is named" err_has "link 1 of 2, $above"
payload=$(sed 's/.*"payload":"\([^"]*\)".*/\1/' envelope.json)
changed=$(printf %s "$payload" | base64 -d | sed 's/claude-code/claude-bode/' | base64 -w 0)
sed "s|$payload|$changed|" envelope.json >changed.json
run delegation verify changed.json
check "a changed envelope is refused" exits 77
check "its signature is named" err_has "no signature of"

run delegation list --json
check "both are in force" out_has '"state":"in-force"'
run delegation revoke $above --reason "No longer needed."
check "it is revoked" exits 0
run delegation revoke $above
check "and only once" out_has "was revoked already"
run delegation verify --json $below
check "what was passed on ends with it" exits 77
check "the link above is named" out_has "\"where\":\"link 1 of 2, $above\""
run delegation list
check "the list says so" out_has "revoked   $above"
run delegation revoke urn:srcos:delegation:none
check "what is not there cannot be revoked" exits 1

finish
