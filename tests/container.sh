# Images: a run in a container has what every run has, and an image can do nothing to the host.
# shellcheck shell=sh disable=SC2016,SC2317 # single quotes are for shells inside; check calls functions
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
trees=$XDG_STATE_HOME/agent-machine/images/trees
layout=$scratch/images/base
outside=$scratch/outside
mkdir -p "$HOME/src/compass" "$outside" "$scratch/layer/bin" "$scratch/layer/etc" "$scratch/layer/work"
cd "$HOME/src/compass" || exit
git init -q .
echo one >a.txt
echo 'TOKEN=abc' >.env
echo victim >"$outside/victim"

make_image() { # LAYOUT TAG [SETTING…] LAYER…
    python3 -B "$tree/tests/image/make.py" "$@"
}
# The last document of a type that a run left.
document() { # TYPE
    try python3 -c 'import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute("SELECT json FROM document WHERE type = ?"
    " ORDER BY number DESC LIMIT 1", (sys.argv[2],)).fetchone()[0])' \
        "$XDG_STATE_HOME/agent-machine/ledger.db" "$1"
}

# ---- an image of local files ----

cp "$(command -v busybox)" "$scratch/layer/bin/busybox"
for name in sh cat ls id env grep touch mkdir rm head ps test true mount stat unshare pwd sleep wget chmod seq kill; do
    ln -s busybox "$scratch/layer/bin/$name"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$scratch/layer/etc/passwd"
echo image >"$scratch/layer/etc/release"
pin=$(make_image "$layout" latest "$scratch/layer")
base=oci:$layout@$pin

# ---- what a command sees ----

run run --image "$base" -- sh -c 'echo out; echo err >&2; exit 7'
check "the exit status is the command's own" exits 7
check "its output is the caller's" out_is out
check "its errors too" err_has err
run run --image "$base" -- cat /etc/release a.txt
check "it sees the image, and the repository at its own place" out_is "image
one"
run run --image "$base" -- sh -c 'ls -A "$HOME"; pwd'
check "the home is empty but for the way to the repository" out_is "src
$PWD"
run run --image "$base" -- cat .env
check "a file that is a secret by name is not there" exits 1
run run --image "$base" -- test ! -e /usr/bin -a ! -e "$scratch/outside"
check "nothing of the host's system is there" exits 0
run run --image "$base" -- cat /proc/self/status
check "it has no capability" out_matches '^CapEff:[[:space:]]0000000000000000$'
check "nor could it get one" out_matches '^CapBnd:[[:space:]]0000000000000000$'
check "a filter is on it" out_matches '^Seccomp:[[:space:]]2$'
check "and programs bring no new privileges" out_matches '^NoNewPrivs:[[:space:]]1$'
run run --image "$base" -- id -u
check "it is not root" out_matches '^[1-9]'
run run --image "$base" -- sh -c 'grep "^[^:]*:x:$(id -u):" /etc/passwd'
check "the image's passwd knows who it is" exits 0
run run --image "$base" -- unshare -U true
check "it makes no further user namespace" exits 1
run run --image "$base" -- sh -c 'ls /proc | grep -c "^[0-9]"'
check "it sees its own processes alone" out_matches '^[3-5]$'
run run --image "$base" -- sh -c 'cat /etc/resolv.conf; grep -c : /proc/net/dev'
check "names are asked of the door" out_has 'nameserver 198.18.0.1'
check "loopback is its one interface" out_matches '^1$'
run run --image "$base" -- env
check "its environment is built from nothing" out_lacks XDG_CONFIG_HOME
printf 'in\nput\n' >"$scratch/in"
try sh -c "'$program' run --image '$base' -- cat <'$scratch/in'"
check "it reads the caller's input" out_is "in
put"
try script -qec "'$program' run --image '$base' -- sh -c 'test -t 0 && ls /dev/pts'" /dev/null
check "it has a terminal of its own" out_has 0
run run --image "$base" -- sh -c 'kill -9 $$'
check "a signal that ends it is told" exits 137
run run --image "$base" -- nothing-such
check "a program that is not in the image is not found" exits 127
check "and it is said where it was looked for" err_has "the image, and what is mounted"

# ---- what it leaves ----

run run --image "$base" -- sh -c 'echo two >a.txt; echo x >/new; rm /etc/release; cat a.txt /new'
check "it writes freely" out_is "two
x"
check "the host's tree does not move" test "$(cat a.txt)" = one
check "what it changed in the repository is told" err_has "changed: 1 modified"
run run --image "$base" -- sh -c 'cat /etc/release; test ! -e /new'
check "what it wrote into the image went with it" exits 0
check "the image is unpacked once" test "$(find "$trees" -mindepth 1 -maxdepth 1 | wc -l)" -eq 1
check "and nothing of it was made on the host" test ! -e "$trees/../new"

# ---- what stands in the record ----

run run --image "$base" --json -- sh -c 'exit 3'
check "the tier is told" err_has '"isolationTier":"container"'
document ContainerExecutionRecord
check "a container has its record" out_has '"isolationTier":"container"'
check "with the image as it was named" out_has "\"reference\":\"oci:$layout\",\"source\":\"oci\",\"digest\":\"$pin\""
check "that it was pinned" out_has '"pinned":true'
check "its layers" out_matches '"layerDigests":\["sha256:[0-9a-f]{64}"\]'
check "the runtime" out_matches '"runtime":\{"name":"crun","version":"[0-9.]+","digest":"sha256:[0-9a-f]{64}","rootless":(true|false)\}'
check "the config.json" out_matches '"configDigest":"sha256:[0-9a-f]{64}"'
check "and how it ended" out_has '"exit":{"reason":"exited","status":3}'
record=$(sed 's/.*"id":"\([^"]*\)".*/\1/' "$scratch/out")
digest=$(sed 's/.*"fingerprintDigest":"\([^"]*\)".*/\1/' "$scratch/out")
document LocalAgentExecution
check "the run names it" out_has "\"containerExecutionRecordRef\":\"$record\""
document AgentMachineFingerprint
check "the fingerprint says the tier" out_has '"tier":"container"'
check "the runtime and the image" out_has "\"runtime\":\"crun\",\"runtimeVersion\":"
check "every probe was contained" test "$(grep -o '"outcome":"contained"' "$scratch/out" | wc -l)" -eq 9
check "its digest is the one in the record" test "$digest" = \
    "$("$program" contract hash "$scratch/out" | grep -o 'sha256:[0-9a-f]*')"
operation=$(sed 's/.*"operationRef":"urn:srcos:workspace-operation:\([^"]*\)".*/\1/' "$scratch/out")
document OperationTask
check "the task is one of a container" out_has '"taskType":"agent_machine.container.run"'
document WorkspaceOperation
check "of an execution" out_has '"operationType":"agent_machine.execution.start"'
run receipt verify "$operation"
check "its receipt holds" exits 0

# ---- a container of its own ----

run run --alone --image "$base" -- sh -c 'cat a.txt; echo alone >c.txt; exit 4'
check "a container can be an operation of its own" out_is one
check "with the status of its command" exits 4
document WorkspaceOperation
check "of its own type" out_has '"operationType":"agent_machine.container.run"'
alone=$(sed 's/.*"id":"urn:srcos:workspace-operation:\([^"]*\)".*/\1/' "$scratch/out")
document OperationTask
check "as its task" out_has '"taskType":"agent_machine.container.run"'
document ContainerExecutionRecord
check "its record is no run's" out_lacks localAgentExecutionRef
check "but says what a run's would: the launch" out_has "\"fingerprintRef\":\"urn:srcos:agent-machine-fingerprint:$alone\""
check "the doors" out_has '"network":{"flows":0'
check "and the changes" out_has '"changeSet":{'
cp "$scratch/out" "$scratch/alone.json"
run contract validate "$scratch/alone.json"
check "which is a valid document" exits 0
run receipt verify "$alone"
check "its receipt holds" exits 0
run op show "$alone"
check "its story is told" out_matches '^exit +exited with status 4'
check "with what it changed" out_matches '^changes +1 added'
run ps --all
check "it is listed among the runs" out_matches "^$alone .* container +sh"
run worktree apply "$alone"
check "and its changes are taken as a run's are" test "$(cat c.txt)" = alone
rm c.txt
run run --alone -- true
check "without an image there is none" err_has "name its image: --image REFERENCE"
run run --alone --continue "$alone" --image "$base" -- true
check "it goes on from nothing" exits 2
run run --runtime runc -- true
check "a runtime is an image's" err_has "--runtime goes with --image"

# ---- the same, submitted as a command ----

submitted() { # NAME [WORD…]: a command for a container that runs the words
    python3 -B - "$@" "$layout" "$pin" <<'END'
import hashlib, json, os, pwd, sys
name, words, layout, pin = sys.argv[1], sys.argv[2:-2], sys.argv[-2], sys.argv[-1]
user = "urn:srcos:user:" + pwd.getpwuid(os.getuid()).pw_name
run = {"profileRef": "urn:srcos:agent-machine-profile:personal",
       "image": {"reference": "oci:" + layout, "source": "oci", "digest": pin}, "runtime": "crun"}
if words:
    raw = b"".join(w.encode() + b"\0" for w in words[1:])
    run |= {"executable": words[0], "arguments": {
        "count": len(words) - 1, "digest": "sha256:" + hashlib.sha256(raw).hexdigest(),
        "lengthBytes": len(raw) - len(words) + 1,
        "safe": [{"index": i, "text": w} for i, w in enumerate(words[1:])]}}
parameters = {"containerRun": run}
text = json.dumps(parameters, sort_keys=True, separators=(",", ":"))
json.dump({"type": "OperationCommand", "id": "urn:srcos:operation-command:" + name,
    "specVersion": "1.0.0", "command": "submit",
    "operationType": "agent_machine.container.run", "workspaceRef": "urn:srcos:workspace:elsewhere",
    "actorRef": user, "subjectRef": user, "surface": "cli", "issuedAt": "2026-11-20T10:00:00Z",
    "budgetCeiling": {"wallClockSeconds": 60, "cpuSeconds": 60, "agentConcurrency": 1,
                      "localDiskBytes": 1 << 30, "sandboxMemoryBytes": 1 << 30},
    "parameters": parameters,
    "parametersDigest": "sha256:" + hashlib.sha256(text.encode()).hexdigest()}, sys.stdout)
END
}
submitted given sh -c 'cat /etc/release; test ! -e a.txt; exit 5' >"$scratch/given.json"
run op submit "$scratch/given.json"
check "a command for a container is carried out" out_is image
check "with the status of what it ran" exits 5
run op show given
check "as the operation that was submitted" out_matches '^type +agent_machine\.container\.run$'
check "about its own workspace" out_has "in workspace:elsewhere"
check "in its own budget" out_matches 'wallClockSeconds 1 of 60$'
run op submit "$scratch/given.json"
check "the same command again is the same operation" err_has "given before"
check "and runs nothing" out_empty
sed 's/"text": "-c"/"text": "-e"/; s/:given"/:other"/' "$scratch/given.json" >"$scratch/other.json"
run op submit "$scratch/other.json"
check "arguments that are not those of their digest are refused" exits 65
submitted partly sh -c true | sed 's/"count": 2/"count": 3/' >"$scratch/partly.json"
run op submit "$scratch/partly.json"
check "so are those that are not all there" err_has "run --alone"
submitted unpaid sh -c true | sed 's/"budgetCeiling": {[^}]*}, //' >"$scratch/unpaid.json"
run op submit "$scratch/unpaid.json"
check "and one that says nothing of its budget" err_has budgetCeiling
run op submit --wait 1m "$scratch/given.json"
check "one does not wait elsewhere than at its terminal" exits 2

# ---- what an image asks for ----

asking=$(make_image "$layout" asking User=root WorkingDir=/work 'Entrypoint=["sh","-c"]' \
    'Cmd=["echo by the image"]' 'Env=["PATH=/bin","COLOR=red","API_TOKEN=x","HOME=/root"]' "$scratch/layer")
run run --image "oci:$layout:asking@$asking"
check "without a command it is the image's" out_is "by the image"
run run --image "oci:$layout:asking@$asking" -- 'pwd; echo $COLOR $API_TOKEN $HOME'
check "the entrypoint comes before the command, directory and variables are the image's" out_is "/work
red $HOME"
document ContainerExecutionRecord
check "it is said that root is not honoured" out_has '"setting":"user","honoured":false,"reason":"The image asks for the user root;'
check "and that the others are" out_has '{"setting":"working-directory","honoured":true}'
check "but not what speaks of a secret" out_has '"setting":"environment","honoured":false,"reason":"Variables that speak of secrets'
run run --image "oci:$layout:asking@$asking" -C / -- pwd
check "the command's directory comes first" out_is /
check "the same layers are unpacked once" test "$(find "$trees" -mindepth 1 -maxdepth 1 | wc -l)" -eq 1

# ---- what is refused ----

run run --image "oci:$layout:latest" -- true
check "an image by its tag alone is refused" exits 125
check "by a named rule, with its digest" err_has "$pin"
check "whose name is said" err_has image-not-pinned
run run --image "oci:$layout@sha256:$(printf '%064d' 0)" -- true
check "one that is not what it is pinned to is refused" exits 125
run run --image "oci:$scratch/nothing" -- true
check "one that is not there is refused" err_has "there is no image at $scratch/nothing"
run run --image somewhere -- true
check "what is no image is told what can be written" err_has "docker-archive:FILE"
run run --tier container -- true
check "the tier container needs an image" err_has "--image REFERENCE"
try env PATH=/nowhere "$program" run --image "$base" -- true
check "without a runtime it is refused" exits 125
check "with what would bring it" err_has "sudo apt-get install crun"

lie() { # NAME TEXT SETTING…
    lie_name=$1 lie_text=$2
    shift 2
    lie_pin=$(make_image "$scratch/images/lies" lie "$@")
    run run --image "oci:$scratch/images/lies:lie@$lie_pin" -- true
    check "$lie_name is refused" exits 125
    check "and it is said why" err_has "$lie_text"
}
zero=sha256:$(printf '%064d' 0)
mkdir "$scratch/other"
echo other >"$scratch/other/file"
lie "an image whose layer is other than it says" "other bytes than its digest" diff="$zero" "$scratch/layer" "$scratch/other"
lie "one whose layer is not there" "No such file" blob="$zero" "$scratch/layer" "$scratch/other"
lie "one whose layer is longer than it says" "longer than the image says" size=10 "$scratch/layer" "$scratch/other"
lie "one whose layer is shorter than it says" "shorter than the image says" size=100000000 "$scratch/layer" "$scratch/other"
lie "one for another machine" "the image is for vax" architecture=vax "$scratch/layer"
cp -r "$layout" "$scratch/images/spoilt"
echo >>"$scratch/images/spoilt/blobs/sha256/${pin#sha256:}"
run run --image "oci:$scratch/images/spoilt@$pin" -- true
check "a manifest with other bytes is refused" err_has "has other bytes than its digest says"

# ---- layers that would do harm ----

hostile() { # KIND [COMPRESSION]
    python3 -B "$tree/tests/image/hostile.py" "$1" "$scratch/hostile.tar" "$outside"
    hostile_pin=$(make_image "$scratch/images/hostile" "$1" compress="${2:-gzip}" "$scratch/layer" "$scratch/hostile.tar")
    hostile_image="oci:$scratch/images/hostile:$1@$hostile_pin"
    rm "$scratch/hostile.tar"
}
unharmed() {
    [ "$(ls -A "$outside")" = victim ] && [ "$(cat "$outside/victim")" = victim ] &&
        [ "$(stat -c %h "$outside/victim")" = 1 ]
}
for kind in dots hard-link-out hard-link-through whiteout-up; do
    hostile $kind
    run run --image "$hostile_image" -- true
    check "a layer of the kind $kind is refused" exits 125
    check "and does the host no harm" unharmed
done
for kind in link-out whiteout-through passwd-link root-link; do
    hostile $kind zstd
    run run --image "$hostile_image" -- sh -c 'cat /*/victim /victim 2>/dev/null | grep -c ^victim'
    check "a layer of the kind $kind shows nothing of the host" out_lacks 1
    check "and does it no harm" unharmed
done
hostile devices none
run run --image "$hostile_image" -- sh -c 'ls -d /disk /white /pipe; stat -c %a /setuid; cat /closed/inner'
check "devices and pipes are left out, set-id bits too" out_is "755
inner"
hostile opaque-after
mkdir -p "$scratch/lower/folder"
echo old >"$scratch/lower/folder/old"
echo gone >"$scratch/lower/gone"
python3 -B "$tree/tests/image/hostile.py" opaque-after "$scratch/hostile.tar"
opaque=$(make_image "$scratch/images/hostile" opaque "$scratch/layer" "$scratch/lower" "$scratch/hostile.tar")
run run --image "oci:$scratch/images/hostile:opaque@$opaque" -- sh -c 'ls /folder; test ! -e /gone'
check "a whiteout hides what lies below its layer" exits 0
check "and nothing of its own, wherever it stands" out_is new
hostile absolute
run run --image "$hostile_image" -- sh -c 'cat /etc/absolute /etc/dotted /*/ß'
check "odd spellings of paths are paths of the image" out_is "absolutedottedutf8"
hostile folders
run run --image "$hostile_image" -- true
check "a path without end is refused" err_has "a path of a layer is too long"
hostile bomb zstd
run run --image "$hostile_image" -- true
check "a bomb is refused" err_has "unpacks to more than 1000 times its bytes"
hostile holes
run run --image "$hostile_image" -- true
check "and a file of holes" err_has "unpacks to more than 1000 times its bytes"
check "what was refused left nothing" test -z "$(find "$trees" -name '.new-*')"

# ---- another runtime, by profile ----

if command -v runc >/dev/null; then
    "$program" profile create --kind personal --name other >/dev/null
    "$program" profile show other | sed 's/"runtime": *"none"/"runtime": "runc"/' >"$scratch/other.json"
    "$program" profile edit other --from "$scratch/other.json" >/dev/null
    run run -p other --image "$base" -- sh -c 'cat a.txt; id -u'
    check "a profile can name another runtime" exits 0
    document ContainerExecutionRecord
    check "which stands in the record" out_has '"runtime":{"name":"runc"'
else
    skip "another runtime" "there is no runc"
fi

# ---- an image that a layer leaves to a person ----

user_layer=$XDG_CONFIG_HOME/agent-machine/user
mkdir -p "$user_layer"
cat >"$user_layer/gates.yaml" <<END
rules:
  - gate: containerExecution
    match: $scratch/images
    answer: ask
    reason: A person looks at images of this folder.
END
run run --image "$base" -- cat /etc/release
check "a rule about a folder holds for the images in it" exits 125
check "which a person has to let in" err_has "a person has to answer"
run op pending
check "as they are now" out_matches '^digest +sha256:'
run op decide this-profile
check "somebody does" exits 0
run run --image "$base" -- cat /etc/release
check "then it runs" out_is image
run run --alone --image "$base" -- cat /etc/release
check "by itself too" out_is image
run run --image "oci:$layout:asking@$asking" -- 'echo other'
check "another image there is another question" exits 125
check "and nothing of it runs" out_empty
run op decide no
rm "$user_layer/gates.yaml"

# ---- without control groups ----

if [ "$(id -u)" -eq 0 ]; then
    try unshare -m sh -c "mount -t tmpfs none /sys/fs/cgroup &&
        exec '$program' run --image '$base' -- cat a.txt"
    check "a container needs no control groups" out_is one
    document AgentMachineFingerprint
    check "and then says by what its limits hold" out_matches '"sandboxMemoryBytes","value":[0-9]+,"mechanism":"metering"'
fi

# ---- an image by its tag, by the profile's leave ----

"$program" profile create --kind personal --name lenient >/dev/null
"$program" profile show lenient |
    sed 's/"runtime": *"none"/"runtime": "crun"/
        s|"kind": *"host-view"|"kind": "oci-image", "allowUnpinnedImage": true,\n  "image": {"reference": "docker.io/acme/build:1", "source": "containers-storage"}|' \
        >"$scratch/lenient.json"
run profile edit lenient --from "$scratch/lenient.json"
check "a profile can give leave for images that nothing pins" exits 0
run run -p lenient --image "oci:$layout:latest" -- cat /etc/release
check "and then one by its tag alone is run" out_is image
document ContainerExecutionRecord
check "the record says that nothing pinned it" out_has '"pinned":false'
check "and which one it was" out_has "\"digest\":\"$pin\""

# ---- a run on its own ----

run run -d --image "$base" -- sh -c 'echo begun; while true; do sleep 1; done'
check "a detached run in a container starts" exits 0
id=$(cat "$scratch/out")
check "its output can be followed" sh -c \
    "timeout 20 '$program' logs -f '$id' | grep -qxF -m 1 begun"
run ps
check "it is listed as running" out_matches "$id.*running"
run stop -t 5 "$id"
check "it can be stopped" out_is "$id canceled"
run logs "$id"
check "what it printed is kept" out_is begun
document ContainerExecutionRecord
check "the record says by what it ended" out_matches '"exit":\{"reason":"[a-z-]+"'
run ps
check "and nothing of it goes on" out_empty
run run -d --image "$base" -- sh -c 'cat a.txt; exit 7'
id=$(cat "$scratch/out")
try timeout 20 "$program" op wait "$id"
check "another ends by itself" out_has completed_with_warnings
run logs "$id"
check "and its output is there afterwards" out_is one
run run -d --image "$base" -- nothing-such
check "one that cannot start says so at once" exits 127

# ---- what the command reaches ----

user_layer=$XDG_CONFIG_HOME/agent-machine/user
mkdir -p "$user_layer" "$scratch/servers"
mkfifo "$scratch/life"
python3 -B "$tree/tests/network/servers.py" "$scratch/servers" <"$scratch/life" &
servers=$!
exec 7>"$scratch/life"
until [ -f "$scratch/servers/ports" ] || ! kill -0 "$servers" 2>/dev/null; do
    sleep 0.01
done
http=''
# shellcheck source=/dev/null # written by what was started
. "$scratch/servers/ports"
mkdir "$scratch/client"
for file in $(command -v curl) $(ldd "$(command -v curl)" | grep -o '/[^ ]*'); do
    cp -L --parents "$file" "$scratch/client"
done
client=oci:$layout:client@$(make_image "$layout" client "$scratch/layer" "$scratch/client")
connections() {
    grep -c '^http$' "$scratch/servers/log"
}
printf 'names:\n  plain.test: 127.0.0.1\n' >"$user_layer/references.yaml"
run run --image "$client" -- curl -sS -m 20 "http://plain.test:$http/"
check "a host that nobody allows does not resolve" exits 6
check "and it is said which" err_has "denied: plain.test"
run run --image "$client" -- curl -sS -m 20 "http://127.0.0.1:$http/"
check "nor is the host's loopback reached" exits 7
check "neither of which anybody has noticed" test ! -s "$scratch/servers/log"
cat >"$user_layer/tests.json" <<END
{"id": "urn:srcos:network-access-profile:tests", "type": "NetworkAccessProfile",
 "specVersion": "1.0.0", "name": "tests", "scope": "user", "defaultDecision": "deny",
 "profiles": [{"profileId": "servers", "profileClass": "user-firewall", "priority": 10,
   "defaultEgress": "allow-listed", "allowDomains": ["plain.test"], "denyDomains": [],
   "allowCidrs": ["127.0.0.1/32"], "denyCidrs": []}], "evidence": {"emitNetworkDecision": true}}
END
run run --image "$client" -- curl -sS -m 20 "http://plain.test:$http/"
check "one that a layer allows is reached by its name" out_is "the page"
check "by one connection" test "$(connections)" -eq 1
document LocalAgentExecution
check "which is on record" out_matches '"network": *\{'
run run --image "$client" -- curl -sS -m 20 "http://plain.test:$http/big"
check "8 MiB come through" test "$(wc -c <"$scratch/out")" -eq 8388608
rm "$user_layer/tests.json" "$user_layer/references.yaml"
exec 7>&-
wait "$servers"

# ---- other places that images come from ----

# What it is pinned to is said by whoever refuses it.
pinned() { # IMAGE
    run run --image "$1" -- true
    check "by its name alone it is refused" err_has image-not-pinned
    pinned_image=$1@$(grep -o 'sha256:[0-9a-f]*' "$scratch/err" | head -n 1)
}
works() { # WHAT SOURCE
    run run --image "$pinned_image" -- cat /etc/release
    check "$1 is run" out_is image
    document ContainerExecutionRecord
    check "and the record says its source" out_has "\"source\":\"$2\""
}
pinned "rootfs:$scratch/layer"
works "a root directory" root-directory
run run --image "$pinned_image" -- touch /made /etc/release
check "which takes no writes" test ! -e "$scratch/layer/made"
echo changed >"$scratch/layer/etc/added"
run run --image "$pinned_image" -- true
check "one that has changed is not what it was pinned to" err_has "is pinned to"
rm "$scratch/layer/etc/added"

if command -v skopeo >/dev/null; then
    skopeo copy --quiet "oci:$layout:latest" "docker-archive:$scratch/archive.tar:local/base:1"
    pinned "docker-archive:$scratch/archive.tar"
    works "an archive of Docker's" docker-archive
    rm "$scratch/archive.tar"
    : >"$scratch/archive.tar"
    run run --image "$pinned_image" -- cat /etc/release
    check "what is pinned and was here needs no archive again" out_is image
    run run --image "docker-archive:$scratch/archive.tar" -- true
    check "what is no archive is refused" err_has "skopeo cannot read"
    check "and leaves nothing" test -z "$(find "$trees/.." -name '.new-*')"
    cat >"$scratch/storage.conf" <<END
[storage]
driver = "vfs"
graphroot = "$scratch/storage"
runroot = "$scratch/storage-run"
END
    export CONTAINERS_STORAGE_CONF="$scratch/storage.conf"
    if skopeo copy --quiet "oci:$layout:latest" containers-storage:localhost/base:1 2>"$scratch/err"; then
        pinned containers-storage:localhost/base:1
        works "an image of Podman's storage" containers-storage
    else
        [ "$(id -u)" -ne 0 ] || skip "an image of Podman's storage" "$(cat "$scratch/err")"
    fi
    unset CONTAINERS_STORAGE_CONF
else
    skip "archives and storages" "there is no skopeo"
fi

# ---- a registry, through the layers ----

registry=$(command -v docker-registry || :)
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
if [ -n "$registry" ] && command -v skopeo >/dev/null; then
    port=$(free_port)
    mkdir "$scratch/registry"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=registry.test \
        -addext "subjectAltName=DNS:registry.test" -keyout "$scratch/registry/key.pem" \
        -out "$scratch/registry/cert.pem" 2>"$scratch/openssl.log"
    cat >"$scratch/registry/config.yml" <<END
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $scratch/registry/data}}
http:
  addr: 127.0.0.1:$port
  tls: {certificate: $scratch/registry/cert.pem, key: $scratch/registry/key.pem}
END
    "$registry" serve "$scratch/registry/config.yml" >"$scratch/registry/log" 2>&1 &
    serving=$!
    trap 'kill $serving; ended_early' EXIT
    pushes=0 # it may take seconds to listen, and one that does not is ended
    # Whoever has no session has no place for what skopeo knows of registries.
    echo '{}' >"$scratch/registry/auth.json"
    until REGISTRY_AUTH_FILE="$scratch/registry/auth.json" skopeo copy --quiet \
        --dest-tls-verify=false "oci:$layout:latest" "docker://127.0.0.1:$port/team/base:1" \
        2>"$scratch/registry/push" || ! kill -0 $serving; do
        [ $((pushes += 1)) -lt 400 ] || kill $serving
        sleep 0.05
    done
    image=docker://registry.test:$port/team/base:1@$pin
    user_layer=$XDG_CONFIG_HOME/agent-machine/user
    mkdir -p "$user_layer"
    printf 'names:\n  registry.test: 127.0.0.1\n' >"$user_layer/references.yaml"
    printf 'authorities:\n  - %s\n' "$scratch/registry/cert.pem" >>"$user_layer/references.yaml"
    asked=$(wc -l <"$scratch/registry/log")
    run run --image "$image" -- true
    check "a registry that nobody allows is not asked" exits 125
    check "and it is said which" err_has "denied: registry.test"
    check "with what would allow it" err_has "--allow registry.test"
    check "nothing was asked of it" test "$(wc -l <"$scratch/registry/log")" -eq "$asked"
    cat >"$user_layer/registry.json" <<END
{"id": "urn:srcos:network-access-profile:registry", "type": "NetworkAccessProfile",
 "specVersion": "1.0.0", "name": "registry", "scope": "user", "defaultDecision": "deny",
 "profiles": [{"profileId": "registry", "profileClass": "user-firewall", "priority": 10,
   "defaultEgress": "allow-listed", "allowDomains": ["registry.test"], "denyDomains": [],
   "allowCidrs": ["127.0.0.1/32"], "denyCidrs": []}], "evidence": {"emitNetworkDecision": true}}
END
    run run --image "$image" -- cat /etc/release
    check "one that the layers allow is fetched from" out_is image
    document ContainerExecutionRecord
    check "the record says where it comes from" \
        out_has "\"reference\":\"registry.test:$port/team/base:1\",\"source\":\"registry\",\"digest\":\"$pin\""
    run op list --json
    check "the fetching is an operation of its own" out_has '"state":"failed"'
    try python3 -c 'import sqlite3, sys
print(*sqlite3.connect(sys.argv[1]).execute("SELECT json FROM document WHERE type = '"'PolicyDecision'"'"))' \
        "$XDG_STATE_HOME/agent-machine/ledger.db"
    check "with a decision about the host" out_has registry.test
    check "and one about the image" out_has '"gate":"containerExecution"'
    kill $serving
    wait $serving
    trap 'ended_early' EXIT
    run run --image "$image" -- cat /etc/release
    check "what was fetched once and is pinned needs no registry" out_is image
    run run --image "docker://registry.test:$port/team/base:1@sha256:$(printf '%064d' 1)" -- true
    check "what is not there is not run" exits 125
    run run --image "oci:$layout@$pin" --fetch "$scratch" -- true
    check "--fetch wants no command" exits 2
    run run --image "$image" --fetch "$scratch"
    check "and an empty folder" err_has "is no empty folder"
else
    skip "a registry" "there is no docker-registry, or no skopeo"
fi

finish
