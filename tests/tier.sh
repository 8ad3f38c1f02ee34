# Tiers: what this host gives, what a run takes, and what is refused; and all of the tier `process`.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
mkdir -p "$HOME/src/compass" "$HOME/src/other"
cd "$HOME/src/compass" || exit
echo one >a.txt
echo other >"$HOME/src/other/o"
here=$PWD

# A host without namespaces: a user namespace of the test's own in which no other can be made.
# shellcheck disable=SC2016 # the inner shell's
bare='echo 0 >/proc/sys/user/max_user_namespaces &&
    exec setpriv --inh-caps=-all --ambient-caps=-all -- "$@"'
if [ "$(id -u)" -eq 0 ]; then
    set -- --map-root-user
else
    set -- --map-current-user --keep-caps
fi
identity=$*
without() { # ARGUMENT…
    # shellcheck disable=SC2086 # options
    try unshare --user $identity -- sh -c "$bare" sh "$program" "$@"
}
# A profile that is content with less, and gives the repository as it is told.
less() { # NAME SEMANTICS
    "$program" profile create --kind personal --name "$1"
    "$program" profile show "$1" |
        sed -e 's/"minimumIsolationTier": *"namespaces"/"minimumIsolationTier": "process"/' \
            -e "s/\"semantics\": *\"staged\"/\"semantics\": \"$2\"/" \
            -e 's/"secretsProhibited": *true/"secretsProhibited": false/' \
            >"$scratch/$1.json"
    "$program" profile edit "$1" --from "$scratch/$1.json"
}

run run -- true
check "here there are namespaces" exits 0
without run -- true
check "without them a profile that wants them is refused" exits 125
check "for a reason" err_has "user.max_user_namespaces is 0"
check "with the remedy" err_has "sudo sysctl -w user.max_user_namespaces="
check "by a named rule" err_has tier-below-minimum

less reader read-only >/dev/null
less writer read-write >/dev/null
less stager staged >/dev/null

# ---- where nothing more is given ----

if [ "$(id -u)" -eq 0 ]; then
    without run -p reader -- true
    check "root gets no tier process" exits 125
    check "and is told what to do" err_has "run it as an ordinary user"
    finish
fi

run run -p reader --json -- true
check "who would take less gets what there is" err_has '"isolationTier":"namespaces"'
without run -p reader --tier namespaces -- true
check "a command may want more than its profile" exits 125
without run -p reader --json -- sh -c 'cat a.txt; exit 7'
check "the tier process runs a command" exits 7
check "which reads the repository" out_is one
check "and the tier is told" err_has '"isolationTier":"process"'
cat >"$scratch/fingerprint.py" <<'END'
import sqlite3, sys
for (text,) in sqlite3.connect(sys.argv[1]).execute("SELECT json FROM document"):
    if '"tier":"process"' in text:
        print(text)
END
try python3 "$scratch/fingerprint.py" "$XDG_STATE_HOME/agent-machine/ledger.db"
cp "$scratch/out" "$scratch/fingerprint"
check "the fingerprint states it" grep -q '"minimumTier":"process"' "$scratch/fingerprint"
check "with probes that were contained" grep -q '"outcome":"contained"' "$scratch/fingerprint"
check "and none that escaped" sh -c "! grep -q '\"outcome\":\"escaped\"' '$scratch/fingerprint'"
head -n 1 "$scratch/fingerprint" >"$scratch/fingerprint.json"
run contract validate "$scratch/fingerprint.json"
check "and is a valid document" exits 0
without run -p reader --dry-run -- true
check "the plan says it" out_has "process, and at least process"
check "and what network there is" out_has "none, and no sockets"

# ---- what cannot be had is refused ----

without run -p stager -- true
check "nothing can be staged" exits 125
check "by a named rule" err_has mount-not-staged
check "with the remedy" err_has "--mount $here:$here:read-write"
without run -p stager -m "$here:$here:read-write" -- true
check "which is one" exits 0
without run -p writer -m "$HOME/src/other:$HOME/src/other:read-only" -- true
check "no secrets can be hidden" err_has mount-not-hidden
without run -p writer -m "$HOME/src/other:/other:read-write" -- true
check "nothing has another place" err_has mount-elsewhere
mkdir sub
without run -p writer -m "$here/sub:$here/sub:read-write" -- true
check "nor a mount within another" err_has mount-within
rmdir sub
without run -p reader codex
check "a tool surface is refused" exits 125

# ---- files ----

# shellcheck disable=SC2016 # the command's own
without run -p reader -- sh -c 'echo two >a.txt'
check "a read-only repository takes no writing" err_has "ermission denied"
check "and is as it was" test "$(cat a.txt)" = one
without run -p writer -- sh -c 'echo new >b.txt; rm b.txt; echo two >a.txt'
check "one that is read-write does" test "$(cat a.txt)" = two
# shellcheck disable=SC2016 # the command's own
without run -p reader -- sh -c 'cd && echo x >x && cat x && test "$HOME" = "$TMPDIR" && mktemp'
check "there is a home of the run's own, and a place for temporary files" exits 0
check "it is gone afterwards" test -z \
    "$(find "$XDG_STATE_HOME/agent-machine/runs" -name private)"
for file in "$HOME/src/other/o" "$XDG_CONFIG_HOME/agent-machine/key.pem" /etc/hostname /proc/1/stat \
    "/proc/$$/cmdline" /proc/kallsyms /sys/kernel/mm; do
    without run -p reader -- head -c 1 "$file"
    check "$file cannot be read" err_has "ermission denied"
done
for folder in /tmp /dev/shm "$HOME" "$HOME/src/other" "$XDG_STATE_HOME/agent-machine" /var/tmp; do
    without run -p writer -- sh -c ": >$folder/new"
    check "$folder cannot be written to" err_has "ermission denied"
    check "and has nothing new" test ! -e "$folder/new"
done
ln -s "$HOME/src/other/o" link
without run -p writer -- cat link
check "a link leads nowhere" exits 1
without run -p writer -- ln "$HOME/src/other/o" hard
check "nor is a name made for what is outside" test ! -e hard
rm link
without run -p reader -- sh -c 'read -r line </proc/self/stat && head -c 1 /dev/urandom >/dev/null'
check "the command's own part of /proc is there, and devices" exits 0
without run -p reader -- sh -c 'id -un; grep CapEff /proc/$$/status; exec 3</etc/shadow'
check "it is who the caller is" out_has "$(id -un)"
without run -p reader -- env
check "the environment is built from nothing" out_lacks XDG_CONFIG_HOME

# ---- sockets ----

cat >sockets.py <<'END'
import socket
made = []
for family in range(1, 46):
    for kind in range(1, 6):
        try:
            socket.socket(family, kind).close()
            made.append((family, kind))
        except OSError:
            pass
print("made", made)
try:
    socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    print("a pair that may send to any name")
except OSError:
    pass
END
without run -p reader -- python3 sockets.py
check "no socket of any family is made" out_is "made []"

# ---- processes ----

# shellcheck disable=SC2016 # the command's own
without run -p reader -- sh -c "kill -0 $$"
check "a process outside takes no signal" exits 1
# shellcheck disable=SC2016 # the command's own
without run -p reader -- sh -c 'kill -9 $PPID; kill -STOP $PPID; kill -9 -1; exit 5'
check "nor does the one that reaps" exits 5
kill -0 $$
check "what else the user runs goes on" exits 5
without run -p reader -- sh -c 'kill -9 $$'
check "a signal that ends the command is told" exits 137

cat >owner.py <<'END'
"""Lets the kernel send SIGKILL to a process, as the owner of a pipe in which something arrives."""
import fcntl, os, sys
reads, writes = os.pipe()
fcntl.fcntl(reads, 10, 9)  # F_SETSIG
fcntl.fcntl(reads, fcntl.F_SETOWN, int(sys.argv[1]))
fcntl.fcntl(reads, fcntl.F_SETFL, os.O_ASYNC)
os.write(writes, b"x")
END
mkfifo hold
cat <hold &
outside=$!
exec 8>hold
without run -p reader -- python3 owner.py "$outside"
check "a process outside takes no signal of a pipe's owner either" kill -0 "$outside"
try python3 owner.py "$outside"
try timeout 60 tail --pid="$outside" -f /dev/null
check "which it does from outside" exits 0
exec 8>&-
rm hold
without run -p writer -- git init -q made
check "git works there, whatever /etc has for it" exits 0
less few read-write >/dev/null
sed -i 's/"processes": *[0-9]*/"processes": 20/' "$scratch/few.json"
run profile edit few --from "$scratch/few.json"
# shellcheck disable=SC2016 # the command's own
without run -p few -- sh -c 'for i in $(seq 60); do sleep 4711 & done; wait'
check "too many processes end a run" exits 125
check "and are named" err_has "more than 20 processes"

# What a process of the run holds open is closed when it ends: the reader of a fifo waits for that.
mkfifo lives
# shellcheck disable=SC2016 # the command's own
leave='exec 9>lives; setsid sh -c "trap : TERM HUP; (sleep 4711; :) & kill -STOP \$\$" &'
cat lives >/dev/null &
reader=$!
without run -p writer -- sh -c "$leave"
check "a run ends while a daemon of its still sleeps" exits 0
try timeout 60 tail --pid="$reader" -f /dev/null
check "which is gone then" exits 0
cat lives >/dev/null &
reader=$!
without run -p writer -b wallClockSeconds=1 -- sh -c "$leave exec sleep 4711"
check "a budget ends a run" exits 124
try timeout 60 tail --pid="$reader" -f /dev/null
check "with all its processes" exits 0
mkfifo begun
begin() { # SHELL-COMMANDS
    cat lives >/dev/null &
    reader=$!
    # shellcheck disable=SC2086 # options
    unshare --user $identity -- sh -c "$bare" sh "$program" run -p writer -- sh -c "$1" \
        2>/dev/null &
    supervisor=$!
    timeout 60 head -n 1 begun >/dev/null
}
begin "$leave trap 'echo >begun' TERM; echo >begun; while :; do wait; sleep 4711; done"
kill -TERM "$supervisor"
timeout 60 head -n 1 begun >/dev/null
kill -TERM "$supervisor"
wait "$supervisor"
check "one that does not end when it is asked to is ended" test "$?" -eq 130
try timeout 60 tail --pid="$reader" -f /dev/null
check "and all its processes" exits 0
begin "$leave echo >begun; sleep 4711"
kill -9 "$(pgrep -P "$supervisor")"
wait "$supervisor"
check "when somebody ends the process that reaps, the run has failed" test "$?" -eq 125
try timeout 60 tail --pid="$reader" -f /dev/null
check "and nothing of it lives on" exits 0
begin "$leave echo >begun; sleep 4711"
kill -9 "$supervisor"
try timeout 60 tail --pid="$reader" -f /dev/null
check "when the supervisor is killed, nothing of the run lives on" exits 0
rm lives begun

# ---- the attempts of tests/escape/, where they mean something without namespaces ----

# Those that get through without reaching anything, and why.
cat >"$scratch/harmless" <<'END'
write-read-only this mount is read-write
change-read-only this mount is read-write
signal-owner naming an owner is not sending: above
signal-first it looks into /proc/1, which cannot be read
setuid-mounts the mounts are those of the host; no_new_privs is what counts
memfd-execveat repeats an attempt whose answer is another one here
END
helpers=$HOME/src/escape
export AM_ESCAPE_SENTINEL="sentinel-$$"
mkdir -p "$helpers" "$HOME/vault" "$HOME/.ssh" "$HOME/outside" lib .ssh
echo "$AM_ESCAPE_SENTINEL" | tee "$HOME/vault/secret" "$HOME/.ssh/id" >"$HOME/.ssh/secret"
ln -s "$HOME/vault/secret" given-link
ln -s "$HOME/vault" given-folder
ln -s .env given-env-link
echo file >"$helpers/file"
cp "${AM_ESCAPE:-$(dirname "$program")}/escape-attempts" "$helpers/attempts"
(cd "$HOME/vault" && exec "$helpers/attempts" host "$HOME/outside" "$here" "$HOME/vault/secret") &
victim=$!
until [ -f "$HOME/outside/world" ] || ! kill -0 "$victim" 2>/dev/null; do
    sleep 0.01
done
{
    cat "$HOME/outside/world"
    printf '%s\n' "sentinel=$AM_ESCAPE_SENTINEL" "read-only=$helpers" "world=$helpers/world" \
        "found-socket=$HOME/outside/docker.sock"
} >"$helpers/world"
without run -p writer -m "$helpers:$helpers:read-write" -- \
    "$helpers/attempts" inside "$helpers/world" 9<"$HOME/vault/secret"
check "the attempts come to their end" exits 0
check "most are contained" test "$(grep -c '^contained' "$scratch/out")" -gt 90
grep '^ESCAPED .* got-through' "$scratch/out" | while read -r _ name _; do
    grep -q "^$name " "$scratch/harmless" || echo "$name"
done >"$scratch/through"
check "and none gets through" test ! -s "$scratch/through"
kill "$victim"
wait "$victim"
check "nobody of the host was reached" test ! -s "$HOME/outside/visits"
check "nobody of the host took a signal" test ! -e "$HOME/outside/visits.signal"

# ---- a host that only trying tells about: a container's filter ----

cat >"$scratch/filtered.py" <<'END'
"""Runs a command where clone and unshare make no user namespace, and clone3 is not there."""
import ctypes, os, struct, sys
load, equal, bits, answer = 0x20, 0x15, 0x45, 0x06
allow, refuse = 0x7FFF0000, 0x00050000
clone, unshare = (56, 272) if os.uname().machine == "x86_64" else (220, 97)
lines = [(load, 0, 0, 0), (equal, 0, 1, 435), (answer, 0, 0, refuse | 38),
         (equal, 1, 0, clone), (equal, 0, 3, unshare), (load, 0, 0, 16),
         (bits, 0, 1, 0x10000000), (answer, 0, 0, refuse | 1), (answer, 0, 0, allow)]
code = b"".join(struct.pack("HBBI", *line) for line in lines)
text = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(lines), ctypes.addressof(text)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0
os.execvp(sys.argv[1], sys.argv[1:])
END
try python3 "$scratch/filtered.py" "$program" run -- true
check "where a filter refuses namespaces, a run that wants them is refused" exits 125
check "for a reason" err_has "no user namespace can be made"
check "with the remedy, or where to look for one" err_matches 'to mend it: |see doctor host'
try python3 "$scratch/filtered.py" "$program" run -p reader --json -- cat a.txt
check "one that is content with less runs" out_is two
check "at the tier process" err_has '"isolationTier":"process"'

# ---- a run on its own, and at a terminal, without namespaces ----

cat >"$scratch/writer" <<END
#!/bin/sh
[ "\$1" != run ] || { shift && set -- run -p writer "\$@"; }
exec python3 "$scratch/filtered.py" "$program" "\$@"
END
chmod +x "$scratch/writer"
try timeout 60 python3 -B "$tree/tests/terminal.py" "$scratch/writer" /dev/pts/
check "a run at a terminal is left and joined again" exits 0
check "and says nothing of being other" out_empty
mkfifo lives
cat lives >/dev/null &
reader=$!
try "$scratch/writer" run -d -- sh -c "$leave exec sleep 4711"
id=$(cat "$scratch/out")
run ps
check "one on its own is listed with its tier" out_matches "^$id .* process "
run op pause "$id"
check "it can be paused" exits 0
run stop "$id"
check "and stopped" exits 0
try timeout 60 tail --pid="$reader" -f /dev/null
check "with all that it left behind" exits 0
rm lives
run ledger verify
check "the ledger is whole" exits 0
finish
