# Profiles at the command line: made, listed, shown, checked, compared.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit
export XDG_STATE_HOME="$scratch/state" XDG_CONFIG_HOME="$scratch/config"

run profile create --kind personal
check "without a key nothing is made" exits 77
run init
run profile list
check "init made the personal one" out_has "personal (personal)"
run init
run op list --state completed
check "and only once" test "$(wc -l <"$scratch/out")" -eq 1
run profile create
check "a kind is needed" exits 2
run profile create --kind sleepy
check "there is no such kind" exits 2
run profile create --kind personal --without gems
check "there is no such preset" exits 2

for kind in personal corporate-firewall multi-corporate-firewall local-model-provider \
    hosted-model-provider airgapped-local-only user-owned-model; do
    run profile create --kind "$kind"
    check "$kind is made" out_is "urn:srcos:agent-machine-profile:$kind"
    run profile validate "$kind"
    check "$kind is valid" exits 0
done
run profile list
check "the profiles are listed" out_has "airgapped-local-only (airgapped-local-only)"
check "within eighty columns" awk 'length > 80 { exit 1 }' "$scratch/out"
run profile list --json
check "as JSON too" out_has '"profileKind":"personal"'

run profile create --kind personal --name mine --without npm,pip
check "a profile has a name of its own" exits 0
run profile create --kind personal --name mine --without npm,pip
check "made again, it is the same" exits 0
run profile create --kind airgapped-local-only --name mine
check "another one of its name is refused" exits 1
check "and the remedy is said" err_has "another name"

run profile show mine
check "it is shown" exits 0
cp "$scratch/out" mine.json
run contract validate mine.json
check "it is a valid document" exits 0
run profile diff mine mine.json
check "it differs in nothing from itself" exits 0
run profile diff personal airgapped-local-only
check "two kinds differ" exits 1
check "what they differ in is named" out_has "/userPlane/consent/promptEgress"
sed 's/"deny"/"maybe"/' mine.json >broken.json
run profile validate broken.json
check "a broken one is invalid" exits 65
run profile show missing
check "what is not there is said" exits 1

# ---- edit ----

cat >editor.sh <<'END'
#!/bin/sh
# Replaces $1 by $2 in the file, and leaves a copy of it.
sed -i "s|$1|$2|" "$3"
cp "$3" edited.json
END
chmod +x editor.sh
edit() { # WHAT WITH
    VISUAL="./editor.sh '$1' '$2'" run profile edit personal
}
operations() {
    "$program" op list | wc -l
}
edit 10737418240 21474836480
check "an edit is stored" exits 0
check "its difference is shown" out_has "+ /agentPlane/budget/localDiskBytes 21474836480"
run profile show personal
check "and is what stands there now" out_has 21474836480
sed 's/"name": "personal"/"name": "the company"/' edited.json >company.json
check "nothing of it is left lying about" test -z "$(find "$XDG_STATE_HOME" -name 'profile-*')"
before=$(operations)
edit nothing-like-this else
check "without a change nothing is done" out_has "nothing was changed"
check "and no operation is made" test "$(operations)" -eq "$before"

edit '"namespaces"' '"cellar"'
check "a wrong edit is refused" exits 65
check "the place and what was expected are said" err_matches ':[0-9]+:[0-9]+: .*"vm", found "cellar"'
kept=$(find "$XDG_STATE_HOME" -name 'profile-*')
check "the edit is kept" grep -q cellar "$kept"
check "and it is said where" err_has "$kept"
run profile show personal
check "what stands there is as it was" out_lacks cellar
sed -i 's/"cellar"/"process"/' "$kept"
run profile edit personal --from "$kept"
check "mended, it is taken from its file" exits 0
check "a file of the user's stays" test -s "$kept"
edit '"urn:srcos:agent-machine-profile:personal"' '"urn:srcos:agent-machine-profile:other"'
check "an edit does not rename" exits 65
rm -f "$XDG_STATE_HOME"/agent-machine/profile-*
edit '$' ' {'
check "what cannot be read is refused" exits 65
rm -f "$XDG_STATE_HOME"/agent-machine/profile-*
VISUAL='' EDITOR=no-such-editor run profile edit personal
check "an editor that is not there is said" err_has "VISUAL or EDITOR"
check "what was not edited is not kept" test -z "$(find "$XDG_STATE_HOME" -name 'profile-*')"

# Somebody else's edit comes between.
cat >slow.sh <<'END'
#!/bin/sh
sed 's/28800/14400/' "$1" >quick.json
"$program" profile edit personal --from quick.json >/dev/null
sed -i 's/28800/7200/' "$1"
END
chmod +x slow.sh
export program
VISUAL=./slow.sh run profile edit personal
check "an edit does not undo a quicker one" err_has "changed meanwhile"
run profile show personal
check "the quicker one stands" out_has 14400
run ledger verify
check "the ledger is whole" exits 0

# ---- what the layers make of it ----

mkdir -p "$XDG_CONFIG_HOME/agent-machine/user"
cat >"$XDG_CONFIG_HOME/agent-machine/user/strict.yaml" <<'END'
id: urn:srcos:network-access-profile:strict
type: NetworkAccessProfile
specVersion: 1.0.0
name: strict
scope: user
defaultDecision: allow-with-policy
profiles:
  - profileId: strict
    profileClass: user-firewall
    priority: 10
    defaultEgress: allow-any
    denyDomains: [registry.npmjs.org]
evidence: {}
END
run profile show personal --effective
check "each section has its layer" out_matches '^hostPlane +user$'
check "a host that a layer denies is denied" out_matches '^  deny +user +registry.npmjs.org$'
check "others are allowed" out_matches '^  allow +user +github.com$'
check "within eighty columns" awk 'length > 80 { exit 1 }' "$scratch/out"
run profile show personal --effective --json
cp "$scratch/out" effective.json
try python3 -m json.tool effective.json
check "as JSON too" exits 0
check "with the place that decided" grep -qF 'user/strict.yaml","pointer":"/profiles/0/denyDomains/0"' effective.json

# What it names is asked of the gates: an image, paths, tools, its network profile.
cat >"$XDG_CONFIG_HOME/agent-machine/user/gates.yaml" <<END
rules:
  - {gate: toolGrant, match: openclaw, answer: deny, reason: Not reviewed.}
  - {gate: containerExecution, match: docker.io/acme/*, answer: ask}
  - {gate: artifactAccess, match: $HOME/private, answer: deny}
  - {gate: networkProfile, match: mine, answer: allow}
END
"$program" profile show mine | sed 's|"runtime": "none"|"runtime": "crun"|' |
    sed 's|"kind": "host-view"|"kind": "oci-image", "allowUnpinnedImage": true,&|' |
    sed 's|"kind": "host-view"|"image": {"reference": "docker.io/acme/build:1", "source": "containers-storage"}|' >imaged.json
run profile edit mine --from imaged.json
check "a profile with an image is stored" exits 0
run profile show mine --effective
check "a tool that a layer denies is denied" \
    out_matches '^  deny +user +tool urn:srcos:agent-tool-surface:openclaw$'
check "with the rule that decided" out_matches '^ +toolGrant openclaw:'
check "one that no layer speaks of is allowed by the program" \
    out_matches '^  allow +built in +tool urn:srcos:agent-tool-surface:codex$'
check "an image that is asked about" out_matches '^  ask +user +image docker.io/acme/build:1$'
check "a path that holds what is denied is denied" out_matches '^  deny +user +path ~$'
check "its network profile" out_matches '^  allow +user +network urn:srcos:network-access-profile:mine$'
check "still within eighty columns" awk 'length > 80 { exit 1 }' "$scratch/out"
run profile show mine --effective --json
cp "$scratch/out" effective.json
check "JSON has the verdicts by section" python3 - effective.json <<'END'
import json, sys
sections = {s["section"]: s["verdicts"] for s in json.load(open(sys.argv[1]))["sections"]}
image, = sections["containerPlane"]
path, = sections["worktreePlane"]
tools = {v["tool"].split(":")[-1]: v for v in sections["agentPlane"] if "tool" in v}
assert (image["answer"], image["rule"]) == ("ask", "containerExecution docker.io/acme/*")
assert (path["answer"], path["pointer"]) == ("deny", "/rules/2")
assert (tools["openclaw"]["layer"], tools["codex"]["layer"]) == ("user", "built in")
assert not sections["evidence"]
END
rm "$XDG_CONFIG_HOME/agent-machine/user/gates.yaml"

# ---- managed by the enterprise: below /etc, which is shown to the program in a view of its own ----

cat >managed.sh <<'END'
#!/bin/sh
# Runs the program where /etc is a folder of the test's, owned by root.
mount -t tmpfs -o mode=755 none /etc && mkdir -p /etc/agent-machine/enterprise &&
    cp "$1"/* /etc/agent-machine/enterprise/ && chmod 644 /etc/agent-machine/enterprise/* || exit 125
shift
exec "$@"
END
mkdir etc
mount='"urn:srcos:agent-workspace-mount:handbook"'
sed "s|\"mountRefs\": \[\]|\"mountRefs\": [$mount]|" company.json >etc/personal.json
cat >mount.json <<END
{"id":$mount,"type":"AgentWorkspaceMount","specVersion":"1.0.0","hostPath":"~/src/handbook",
 "agentPath":"/work/the enterprise's","semantics":"read-only","secretsProhibited":true}
END
run profile create --kind personal --name with-mount
run profile mount with-mount mount.json
check "a mount of the user's has the same name" exits 0
managed() { # ARGUMENT…
    try unshare -rm sh managed.sh etc "$program" "$@"
}
if unshare -rm mount -t tmpfs none /etc 2>/dev/null; then
    managed profile list
    check "managed profiles are shown apart" out_has "managed by the enterprise"
    check "with their file" out_has "/etc/agent-machine/enterprise/personal.json"
    check "beside the user's own" out_has "yours"
    managed profile list --json
    check "JSON says the store" out_has '"store":"enterprise"'
    managed profile show personal
    check "the enterprise's is found first" out_has "the company"
    managed profile mount personal
    check "what it mounts is not the user's to choose" err_has "no managed mount"
    cp mount.json etc/
    managed profile mount personal
    check "but managed with it" out_has "the enterprise's, read-only"
    managed profile mount personal mount.json
    check "and nobody else adds to it" exits 77
    managed profile edit personal
    check "it cannot be edited" exits 77
    check "and it is said whose it is" err_has "managed by the enterprise"
    managed profile create --kind airgapped-local-only --name personal
    check "nor covered by another one" exits 77
    managed profile show personal --effective
    check "its sections are the enterprise's" out_matches '^agentPlane +enterprise$'
    printf 'not a document' >etc/broken.json
    managed profile show personal-linux
    check "a broken one denies all, by name" exits 77
    check "the broken one is named" err_has /etc/agent-machine/enterprise/broken.json
    managed profile list
    check "and listed" out_has "unusable, so that no profile is found"
else
    skip "managed profiles" "no mount namespace can be made here"
fi
finish
