# The suite of escapes: what a command tries to get out, and that it does not.
#
# tests/escape/ holds the attempts, each a row with its class and its CVE. All are made inside of a
# run, and, so that one that tries nothing is noticed, outside of it too, where those that are
# harmless must get through. Beside them stand a host that must not notice anything (its victim:
# tests/escape/host.c), and what needs more than one run: races, refusals, terminals.
#
# With AM_ESCAPE_TIER=container (tests/escape_container.sh) all of it runs in an image that the
# profile names, of what the attempts need.
# shellcheck shell=sh disable=SC2016,SC2317 # single quotes are for shells inside; check calls functions
. "$(dirname "$0")/lib.sh"
escape=${AM_ESCAPE:-$(dirname "$program")}
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
sentinel=escape-sentinel-$$
secret=$HOME/vault/secret
helpers=$HOME/src/escape
repository=$HOME/src/compass

tier=${AM_ESCAPE_TIER:-namespaces}

# An image of busybox and of the libraries that the attempts are linked with, as the profile's own.
use_image() {
    mkdir -p "$scratch/image/bin" "$scratch/image/etc"
    cp "$(command -v busybox)" "$scratch/image/bin/busybox"
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$scratch/image/bin/$applet"
    done
    ldd "$escape/escape-attempts" | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$scratch/image$(dirname "$library")"
        cp -L "$library" "$scratch/image$library"
    done
    pin=$(python3 -B "$tree/tests/image/make.py" "$scratch/layout" latest "$scratch/image")
    "$program" init >/dev/null
    "$program" profile show personal >"$scratch/profile.json"
    sed -i 's/"runtime": *"none"/"runtime": "crun"/' "$scratch/profile.json"
    sed -i "s|\"kind\": *\"host-view\"|\"kind\": \"oci-image\", \"image\": {\"reference\": \"oci:$scratch/layout\", \"source\": \"oci\", \"digest\": \"$pin\"}|" "$scratch/profile.json"
    "$program" profile edit personal --from "$scratch/profile.json" >/dev/null
}

make_repository() { # PATH
    mkdir -p "$1/lib/.gnupg" "$1/.ssh"
    (cd "$1" && git init -q . && echo one >a.txt &&
        ln -s "$secret" given-link && ln -s "$HOME/vault" given-folder && ln -s .env given-env-link)
    for hidden in .env .ENV .Env lib/id_rsa lib/ID_RSA .ssh/known lib/.gnupg/known; do
        echo "$sentinel" >"$1/$hidden"
    done
}

# A host with all that must not be reached; its world is told in its folder.
start_victim() { # FOLDER REPOSITORY
    mkdir -p "$1"
    (cd "$HOME/vault" && AM_ESCAPE_SENTINEL=$sentinel exec "$helpers/attempts" host "$1" "$2" \
        "$secret") &
    victim=$!
    until [ -f "$1/world" ] || ! kill -0 "$victim" 2>/dev/null; do
        sleep 0.01
    done
    {
        cat "$1/world"
        printf '%s\n' "sentinel=$sentinel" "read-only=$helpers" "found-socket=$1/docker.sock" \
            "world=$helpers/world"
    } >"$helpers/world"
}
end_victim() {
    kill "$victim"
    wait "$victim"
}

# Everything of the host that an attempt could have changed.
snapshot() {
    (cd "$HOME" && find vault outside src -path src/escape -prune -o \
        -printf '%p %y %m %u %s %l %T@\n' | sort && sha256sum "$secret" "$repository/a.txt")
}

contained() { # NAME
    grep "^ESCAPED $1 " "$scratch/inside"
    grep -q "^contained $1 " "$scratch/inside"
}
# A run with the helpers at /escape, whose caller has a secret in its environment and open.
inside() { # COMMAND
    AM_ESCAPE_SENTINEL=$sentinel run run -m "$helpers:/escape:read-only" -- sh -c "$1" 9<"$secret"
}

mkdir -p "$HOME/vault" "$helpers" "$HOME/.ssh"
echo "$sentinel" >"$secret"
echo "$sentinel" | tee "$HOME/.ssh/id" >"$HOME/.ssh/secret"
cp "$escape/escape-attempts" "$helpers/attempts"
echo file >"$helpers/file"
chmod 755 "$helpers/attempts"
if [ "$(id -u)" -eq 0 ]; then
    cp "$escape/escape-whoami" "$helpers/whoami-setuid"
    chown 1:1 "$helpers/whoami-setuid"
    chmod 4755 "$helpers/whoami-setuid"
fi
make_repository "$repository"
"$helpers/attempts" list >"$scratch/list"

[ "$tier" = namespaces ] || use_image
full='No space left'
# In an image the system is the run's own, to write in as it likes; busybox has a word for all errors.
[ "$tier" = namespaces ] || {
    sed -i '/^write-system /d' "$scratch/list"
    full='I/O error'
}

# ---- the attempts, inside of a run ----

cd "$repository" || exit
start_victim "$HOME/outside" "$repository"
snapshot >"$scratch/before"
inside '/escape/attempts inside /escape/world read-only=/escape world=/escape/world'
check "the attempts come to their end" exits 0
cp "$scratch/out" "$scratch/inside"
while read -r name class cve _; do
    case $cve in
    -) check "$class: $name is contained" contained "$name" ;;
    *) check "$class: $name ($cve) is contained" contained "$name" ;;
    esac
done <"$scratch/list"
snapshot >"$scratch/after"
try diff "$scratch/before" "$scratch/after"
check "nothing of the host has changed" exits 0
end_victim
check "nobody of the host was reached" test ! -s "$HOME/outside/visits"
check "nobody of the host took a signal" test ! -e "$HOME/outside/visits.signal"

# ---- what stands in the record ----

# The newest document of a type, as its text.
document() { # TYPE
    python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute("SELECT json FROM document WHERE type = ? ORDER BY number DESC LIMIT 1",
    (sys.argv[2],)).fetchone()[0])' "$XDG_STATE_HOME/agent-machine/ledger.db" "$1"
}
try document AgentMachineFingerprint
check "the fingerprint says that every probe was contained" test \
    "$(grep -o '"outcome":"contained"' "$scratch/out" | wc -l)" -eq 9
check "and none escaped, and none was skipped" out_lacks '"outcome":"escaped"'
check "it says the tier" out_has "\"tier\":\"$tier\""
check "and what was hidden: env files" out_has '{"kind":"env-file","count":3}'
check "private keys, a folder of them among these" out_has '{"kind":"private-key","count":4}'
try document LocalAgentExecution
check "the execution names its fingerprint" out_has '"fingerprintRef":"urn:srcos:agent-machine-fin'
check "and says how it ended" out_has '"exit":{"reason":"exited","status":0}'
run ledger export --jsonl
check "no secret is in the ledger" out_lacks "$sentinel"
before=$(wc -l <"$scratch/out")
run run -m "$HOME/.ssh:/keys:read-only" -- true
check "what the plan refuses is refused" exits 125
run ledger export --jsonl --from "$before"
check "leaves its verdict" out_has '"gate":"artifactAccess","policyDecisionRef"'
check "and that nothing began" out_lacks '"to":"running"'
check "in an operation that failed" out_has '"from":"preflighting","of":"operation","to":"failed"'

# ---- the same attempts, outside: each does what it says ----

make_repository "$scratch/home/control"
cd "$HOME/control" || exit
start_victim "$HOME/control-outside" "$HOME/control"
try "$helpers/attempts" outside "$helpers/world" 9<"$secret"
cp "$scratch/out" "$scratch/outside"
unshare -Urm true 2>/dev/null || sed -i 's/ space$/ none/' "$scratch/list"
[ "$(id -u)" -eq 0 ] || sed -i 's/ root$/ none/' "$scratch/list"
while read -r name _ _ control; do
    [ "$control" = none ] ||
        check "outside, $name gets through" grep -q "^works $name\$" "$scratch/outside"
done <"$scratch/list"
end_victim
for visit in tcp udp abstract abstract-datagram docker.sock bus agent.1 tmux-default; do
    check "and the host notices: $visit" grep -qx "$visit" "$HOME/control-outside/visits"
done
check "and the signals" test -e "$HOME/control-outside/visits.signal"

# ---- terminals ----

cd "$repository" || exit
try script -qec "'$program' run --discard -m '$helpers:/escape:read-only' -- sh -c '
    /escape/attempts inside /escape/world read-only=/escape; tty'" /dev/null </dev/null
tr -d '\r' <"$scratch/out" >"$scratch/inside"
check "the command has a terminal of the sandbox's own" grep -qx /dev/pts/0 "$scratch/inside"
while read -r name class cve _; do
    case $class in
    terminal | devices) check "at a terminal, $name ($cve) is contained" contained "$name" ;;
    esac
done <"$scratch/list"

# ---- what is denied is denied by every path to it ----

ln -s "$HOME/.ssh" "$HOME/src/keys"
ln -s ../.ssh "$HOME/src/relative"
ln -s "$HOME/.ssh" "$repository/given-keys"
for path in "$HOME/src/keys" "$HOME/src/../.ssh" "$HOME//.ssh/." "/proc/self/root$HOME/.ssh" \
    "$HOME/src/keys/../.ssh" "$repository/given-keys" "$HOME/src/relative" /proc/self/cwd/../../.ssh; do
    run run -m "$path:/given:read-only" -- cat /given/id /given/secret
    check "CVE-2026-25724: the mount of ${path#"$HOME"} is refused" exits 125
    check "by a named rule" err_has '[mount-secret]'
done

# What is agent-machine's own is so wherever the environment has put it.
elsewhere() { # ARGUMENT…
    try env XDG_STATE_HOME="$HOME/src/own/state" XDG_CONFIG_HOME="$HOME/src/own/config" \
        "$program" run "$@"
}
mkdir -p "$HOME/src/own"
elsewhere -- true
check "it can be elsewhere" exits 0
for place in state state/agent-machine/runs config/agent-machine .; do
    elsewhere -m "$HOME/src/own/$place:/own:read-write" -- ls -A /own
    check "the key, the ledger and the runs' sockets: own/$place is refused" err_has '[mount-secret]'
done

# ---- no place inside is made where a link of the repository leads ----

mkdir -m 777 "$scratch/led"
ln -s "$scratch/led" leading && ln -s "../../../../led" leading-up
for place in leading/made leading-up/made leading; do
    run run -m "$HOME/src/escape:$repository/$place:read-only" -- true
    check "CVE-2025-31133: a mount at $place is refused" err_has "Too many levels"
    check "CVE-2025-31133: nothing is made on the host for it" test ! -e "$scratch/led/made"
done
for place in /work/../usr/share //usr/share /../etc /work/./x; do
    run run -m "$HOME/src/escape:$place:read-only" -- true
    check "CVE-2026-25724: a mount at $place is refused" exits 2
    check "and what to write is said" err_has "write an absolute path"
done
rm leading leading-up

# ---- where the command starts: no number leads to what the view was built of ----

for number in 3 4 5 6 7 8 9 10 11 12 13 14; do
    ln -s /proc/self/fd/$number "$repository/start-$number"
    run run -C "$repository/start-$number" -- sh -c 'ls -a; cat .env'
    check "CVE-2024-21626: nothing starts in descriptor $number" out_empty
    rm "$repository/start-$number"
done

# ---- files that were not there at the start ----

run run -- sh -c 'mkdir .claude .vscode && for file in .claude/settings.json .vscode/tasks.json \
    .mcp.json .envrc .git/hooks/pre-commit .npmrc; do echo evil >$file || exit; done'
check "CVE-2026-25725: new settings and hooks are written" exits 0
for made in .claude .vscode .mcp.json .envrc .git/hooks/pre-commit .npmrc; do
    check "CVE-2026-25725: $made is not on the host" test ! -e "$made"
done
run run -m "$HOME/src/escape:/given:read-only" -- sh -c 'mkdir /given/.claude'
check "CVE-2026-25725: nor can it be made where nothing may be written" exits 1

export XDG_RUNTIME_DIR="$scratch/runtime"
mkdir -m 700 "$XDG_RUNTIME_DIR"
mkdir -p "$HOME/src/late" && cd "$HOME/src/late" && git init -q . || exit
mkfifo "$scratch/go"
"$program" run -m "$helpers:/escape:read-only" -- sh -c 'echo ready
    while read -r found; do
        /escape/attempts inside /escape/world only=socket-found "found-socket=$found"
    done
    cat .env .netrc id_ed25519' \
    <"$scratch/go" >"$scratch/out" 2>"$scratch/err" &
waiting=$!
exec 8>"$scratch/go"
until grep -q ready "$scratch/out" || ! kill -0 $waiting; do
    sleep 0.01
done
for name in .env .netrc id_ed25519; do
    echo "$sentinel" >$name
done
find "$scratch" -type s 2>/dev/null >"$scratch/sockets" # the run's own among them
check "the run has one" grep -q /control/ "$scratch/sockets"
cat "$scratch/sockets" >&8
exec 8>&-
wait $waiting
check "secrets that the host makes while the run lasts are not seen" out_lacks "$sentinel"
check "no socket of the host is reached, nor the run's own" out_lacks ESCAPED
check "each was tried" test "$(grep -c '^contained socket-found' "$scratch/out")" -eq \
    "$(wc -l <"$scratch/sockets")"

# ---- links made inside, followed outside ----

mkdir -p "$HOME/src/shared" && cd "$repository" || exit
run run -m "$HOME/src/shared:/shared:read-write" -- sh -c "
    ln -s '$HOME/.ssh' /shared/keys && ln -s ../../.ssh /shared/relative"
check "links are made where the host sees them" test -h "$HOME/src/shared/keys"
for name in keys relative; do
    run run -m "$HOME/src/shared/$name:/given:read-only" -- cat /given/id /given/secret
    check "CVE-2026-39861: the next run does not follow $name" exits 125
done
run run -- sh -c "rm -r lib && ln -s '$HOME/vault' lib && ln -sf '$HOME/vault/new' a.txt &&
    mkdir -m 0 closed && mkfifo pipe"
check "links that leave the tree are made" exits 0
check "CVE-2026-39861: nothing is written where they lead" test ! -e "$HOME/vault/new"
check "and the host's folder is no link" test ! -h lib

# ---- what hides is what it should be ----

# A host on which somebody has laid a file over the null device, or a link in its place.
on_host() { # PREPARATION
    try unshare -Urm sh -c 'eval "$1"; shift; exec unshare -U --map-user=1000 --map-group=1000 "$@"' \
        sh "$1" "$program" run -- sh -c 'cat /dev/null /proc/keys'
}
if unshare -Urm true 2>/dev/null; then
    on_host true
    check "a run in a host of one's own" exits 0
    on_host "mount --bind '$secret' /dev/null"
    check "CVE-2025-31133: a null device that is none is refused" err_has "not the null device"
    check "and nothing of it is shown" out_empty
    on_host "mount -t tmpfs none /dev && ln -s '$secret' /dev/null"
    check "CVE-2025-52565: a link in its place is refused" err_has "cannot open /dev/null"
    check "and not followed" out_empty
else
    skip "CVE-2025-31133: a null device that is none" "this user gets no namespaces"
fi

# ---- between check and use ----

mkdir -p "$HOME/src/swap/real" "$HOME/src/race"
echo harmless >"$HOME/src/swap/real/secret"
ln -s "$HOME/.ssh" "$HOME/src/swap/link"
start_swapping() { # A B
    "$helpers/attempts" swap "$1" "$2" >"$scratch/swaps" &
    swapping=$!
}
end_swapping() {
    kill $swapping
    wait $swapping
    check "thousands of swaps meanwhile" test "$(cat "$scratch/swaps")" -gt 2000
}
start_swapping "$HOME/src/swap/real" "$HOME/src/swap/link"
: >"$scratch/seen"
for how in read-only read-write staged read-only read-write staged; do
    run run -m "$HOME/src/swap/real:/swap:$how" -- cat /swap/secret
    cat "$scratch/out" >>"$scratch/seen"
done
cd "$HOME/src/swap" || exit
for _ in 1 2 3 4 5 6; do
    try sh -c "cd real && exec '$program' run -- cat secret"
    cat "$scratch/out" >>"$scratch/seen"
done
end_swapping
check "a folder that turns into a link is never followed" sh -c "! grep -v harmless '$scratch/seen'"
cd "$HOME/src/race" && git init -q . || exit
echo "$sentinel" >.env
echo harmless >plain
start_swapping .env plain
: >"$scratch/seen"
for _ in 1 2 3 4 5 6 7 8; do
    run run -- cat .env
    cat "$scratch/out" >>"$scratch/seen"
done
end_swapping
check "CVE-2025-52881: a hidden file that is swapped stays hidden" test ! -s "$scratch/seen"

# ---- what fills up ----

cd "$repository" || exit
cat >"$scratch/editor" <<'END'
#!/bin/sh
sed -i 's/"processes": 4096/"processes": 40/; s/"outputBytes": 67108864/"outputBytes": 1000000/' "$1"
END
chmod +x "$scratch/editor"
VISUAL="$scratch/editor" run profile edit personal
check "the limits are narrow" exits 0
# A number of seconds that nobody else sleeps, and a pattern that does not find itself.
marker=4$$
nobody_is_left() {
    for _ in $(seq 1000); do
        cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -q "[4]$$" || return 0
        sleep 0.01
    done
    return 1
}

run run -b sandboxMemoryBytes=67108864 -- tail /dev/zero
check "memory: who takes more than the budget is ended" test "$status" -ne 0
run run -b sandboxMemoryBytes=67108864 -- sh -c 'head -c 512m /dev/zero >/dev/shm/x
    head -c 512m /dev/zero >/tmp/x; echo here'
check "memory: what is in the scratch ends before it" out_is here
check "memory: and says so" err_has "$full"

run run -b sandboxMemoryBytes=67108864 -- sh -c 'for i in 1 2 3 4 5 6; do
    (x=$(head -c 30m /dev/zero | tr "\0" a); sleep 1; echo whole) & done; wait'
check "memory: nor do many have it who are small each" test "$(grep -c whole "$scratch/out")" -lt 6
run run -b cpuSeconds=1 -b wallClockSeconds=30 -- sh -c 'while :; do
    head -c 500m /dev/zero >/dev/null; done'
check "CPU time: many short processes are one run" err_has cpuSeconds

run run -b localDiskBytes=16777216 -- sh -c 'i=0; while :; do
    head -c 1m /dev/zero >fill$i || exit 9; i=$((i + 1)); done'
check "disk: filling it ends the run" exits 124
check "disk: by its budget's name" err_has localDiskBytes
check "disk: not much later" test "$(du -sk "$XDG_STATE_HOME" 2>/dev/null | cut -f1)" -lt 400000
run run -b localDiskBytes=16777216 -- dd if=/dev/zero of=one bs=1M count=64
check "disk: and by one file" test "$status" -ne 0

run run -- sh -c 'i=0; while [ $i -lt 100 ]; do sleep '"$marker"' & i=$((i + 1)); done; echo all'
check "pid table: it ends at the limit" err_matches "[Cc]annot fork|Resource temporarily"
check "pid table: not all of them came to be" out_lacks all
check "pid table: nobody is left" nobody_is_left
run run -b wallClockSeconds=2 -- sh -c 'b() { b | b & }; b; sleep 60' "bomb-$marker"
check "pid table: a fork bomb ends with its run" exits 124
check "pid table: and nothing of it is left" nobody_is_left
run run -- sh -c "setsid sleep $marker & nohup sleep $marker & sleep $marker & kill -STOP \$!"
check "processes: detached and stopped, they are gone with the command" nobody_is_left
"$program" run -- sh -c "echo here; exec sleep $marker" >"$scratch/out" &
supervisor=$!
until grep -q here "$scratch/out" || ! kill -0 $supervisor; do
    sleep 0.01
done
kill -9 $supervisor
wait $supervisor 2>/dev/null
check "processes: and with a supervisor that is killed" nobody_is_left

before=$("$program" ledger export --jsonl | wc -l)
run run -- head -c 50000000 /dev/zero
check "log: the output ends at its limit" test "$(wc -c <"$scratch/out")" -eq 1000000
check "log: which is said" err_has "the output reached its limit"
check "log: no line of it is an event" test \
    "$("$program" ledger export --jsonl | wc -l)" -lt $((before + 40))
run run -- sh -c 'ulimit -n 1000000 || ulimit -c unlimited || ulimit -f unlimited'
check "limits: none is raised from inside" test "$status" -ne 0
chmod -R u+rwx "$scratch" # folders that nobody may enter, for whom is not root
finish
