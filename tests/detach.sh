# Runs that go on by themselves: what is kept of their output, who may speak to them, how they end.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
state=$XDG_STATE_HOME/agent-machine
mkdir -p "$HOME/src/compass"
cd "$HOME/src/compass" || exit
git init -q .
unset VISUAL EDITOR
mark=86$$ # what the tests' processes sleep for, by which they are found

start() { # ARGUMENT…; sets $id
    run run -d "$@"
    id=$(cat "$scratch/out")
}
# Waits until the run has printed a line.
says() { # ID TEXT
    timeout 20 "$program" logs -f "$1" | grep -qF -m 1 -- "$2"
}
sleeping() { # prints the tests' processes, in the sandbox or outside
    for folder in /proc/[0-9]*; do
        case $(arguments "$folder") in "sleep $mark"*) echo "${folder#/proc/}" ;; esac
    done
}
arguments() { # FOLDER of a process, which may end meanwhile
    { tr '\0' ' ' <"$1/cmdline"; } 2>/dev/null
}
# shellcheck disable=SC2317 # check calls it
gone() {
    [ -z "$(sleeping)" ]
}
ended() { # ID: waits for it
    timeout 20 "$program" op wait "$1" >"$scratch/out" 2>"$scratch/err"
    status=$?
    command_line="op wait $1"
    [ "$status" -ne 124 ]
}
supervisor() { # prints the process that leads a session of its own for a run of the tests
    for folder in /proc/[0-9]*; do
        case $(arguments "$folder") in *"run -d "*"$mark"*) ;; *) continue ;; esac
        [ "$(cut -d ' ' -f 6 "$folder/stat" 2>/dev/null)" != "${folder#/proc/}" ] ||
            echo "${folder#/proc/}"
    done
}

# ---- the log ----

secret=ghp_$(printf 'Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2')
printf '%s' "$secret" >plain.txt
run run -- sh -c 'echo first; cat plain.txt; echo; echo last >&2'
check "the caller gets the output as it is" out_has "$secret"
log=$(find "$state/runs" -name log)
check "a run that printed has a log" test -s "$log"
check "which is the user's alone" test "$(stat -c %a "$log")" = 600
run logs "$(basename "$(dirname "$log")")"
check "it can be read" out_has first
check "errors are in it" out_has last
check "the secret is masked" out_has '[redacted:code-host-token]'
check "and in no file of the state folder" sh -c "! grep -rqF '$secret' '$state'"
check "its digest is in the record" sh -c \
    "grep -qF 'sha256:$(sha256sum "$log" | cut -d ' ' -f 1)' '$state'/ledger.db*"
check "and what was masked, by kind" sh -c \
    "grep -qF '\"redactions\":{\"code-host-token\":1}' '$state'/ledger.db*"
rm plain.txt
# shellcheck disable=SC2016 # the sandbox's own
run run -- sh -c 'for part in ghp_Ab1Cd2Ef3Gh4 Ij5Kl6Mn7Op8 Qr9St0Uv1Wx2Yz3a; do
    printf "$part"; sleep 0.3; done; echo'
check "a secret that comes in pieces" out_has ghp_Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2Yz3a
check "is masked as well" sh -c "! grep -rqF Ij5Kl6Mn7Op8 '$state'"
before=$(find "$state/runs" -mindepth 1 -maxdepth 1 | wc -l)
run run -- true
check "a run that prints nothing leaves nothing" \
    test "$(find "$state/runs" -mindepth 1 -maxdepth 1 | wc -l)" -eq "$before"

# ---- a run on its own ----

start -- sh -c "echo begun; sleep $mark"
check "it starts" exits 0
check "and says its id" out_matches '^[0-9a-f]+-[0-9a-f]+$'
check "its output can be followed" says "$id" begun
run ps
check "it is listed" out_has "$id"
check "as running" out_has running
check "with its mounts" out_has "staged     $PWD"
run ps --json
check "also for programs" out_has '"detached":true'
folder=$state/runs/$id
check "it has a control socket, the user's alone" test "$(stat -c %a "$folder/control")" = 600
start -- sh -c "printf 'name? '; sleep $mark"
check "a line that is not whole is shown too" \
    test "$(timeout 20 "$program" logs -f "$id" | head -c 6)" = 'name? '
run stop -t 5 "$(printf %s "$id" | cut -c 1-20)"
check "it is stopped by the beginning of its id" exits 0
check "and canceled" out_is "$id canceled"
run op list
check "by an operation" out_has execution.cancel
run stop "$id"
check "to stop it again does no harm" out_is "$id canceled"
run stop "$(basename "$folder" | cut -c 1-3)"
check "a beginning that several have is no name" err_has "give more of the id"
run stop nothing-like-it
check "nor is one that none has" exits 1
run logs nothing-like-it
check "which has no log either" err_has "there is no run"
start -- sh -c "trap '' TERM; echo deaf; sleep $mark; sleep $mark"
says "$id" deaf
run stop --timeout 0 "$id"
check "a command that does not hear is ended by force" out_is "$id canceled"
run op show "$id"
check "and its supervisor writes that down" out_lacks abandoned
run stop "$(basename "$folder")"
check "all are stopped" gone
run ps
check "and nothing is listed" out_empty
run ps --all
check "but those that ended" out_has "$id"
start -- no-such-program
check "one that cannot start says so at once" exits 127
check "by name" err_has no-such-program
start --tier vm -- true
check "one that is refused too" exits 125
start -- sh -c 'exit 7'
ended "$id"
check "how it ended is recorded" out_has completed_with_warnings
start -- cat
ended "$id"
check "its input is empty" out_has completed

# ---- attaching ----

# shellcheck disable=SC2016 # the sandbox's own
start -i -- sh -c 'while read -r line; do echo "got $line"; done; echo over; exit 5'
try sh -c "printf 'one\ntwo\n' | timeout 20 '$program' attach '$id'"
check "what is typed reaches the command" out_has "got two"
check "the end of it too" out_has over
check "the status is the command's" exits 5
start -i -- cat
try sh -c "head -c 3000000 /dev/zero | tr '\0' x | timeout 60 '$program' attach '$id' | wc -c"
check "more than a socket holds goes both ways" out_matches '^ *3000000$'
run attach "$id"
check "there is nothing to attach to when it has ended" exits 1
try timeout 60 python3 -B "$tree/tests/terminal.py" "$program"
check "a run at a terminal is interrupted, outlives the one it was started at, and has it back" exits 0

# ---- who may speak to it ----

start -- sh -c "echo here; sleep $mark"
says "$id" here
cat >speak.py <<'END'
import os, socket, sys
folder = os.open(sys.argv[1], os.O_RDONLY)
client = socket.socket(socket.AF_UNIX)
client.settimeout(10)
client.connect("/proc/self/fd/%d/control" % folder)
client.sendall(b'{"verb":"' + sys.argv[2].encode() + b'"}\n')
print(client.recv(8192).decode(), end="")
END
try python3 speak.py "$state/runs/$id" status
check "its user may" out_has '"state":"running"'
try python3 speak.py "$state/runs/$id" pause
try python3 speak.py "$state/runs/$id" status
check "and let it pause" out_has '"state":"paused"'
try python3 speak.py "$state/runs/$id" resume
try python3 speak.py "$state/runs/$id" status
check "and go on" out_has '"state":"running"'
try python3 speak.py "$state/runs/$id" deny
check "what needs more than a word is refused" out_has '"ok":false'
if [ "$(id -u)" -eq 0 ]; then
    cp speak.py "$scratch/speak.py"
    chmod 755 "$scratch"
    try runuser -u nobody -- python3 "$scratch/speak.py" "$state/runs/$id" kill
    check "another user may not" exits 1
    part=$state/runs/$id
    while [ "$part" != "$scratch" ]; do # as if the folders let everybody in
        chmod 755 "$part"
        part=$(dirname "$part")
    done
    chmod 666 "$state/runs/$id/control"
    try runuser -u nobody -- python3 "$scratch/speak.py" "$state/runs/$id" kill
    check "nor where the folders let everybody in" out_empty
    chmod 700 "$state" "$state/runs" "$state/runs/$id"
    run ps
    check "and the run goes on" out_has "$id"
fi
try python3 speak.py "$state/runs/$id" kill
check "its user may end it" out_has '"ok":true'
ended "$id"
check "which is a cancellation" exits 130
check "and nothing is left of it" gone

# ---- it dies wholly ----

start -- sh -c "setsid sleep $mark & sleep $mark & echo up; wait"
says "$id" up
pids=$(sleeping)
check "its processes are there" test -n "$pids"
kill -KILL "$(supervisor)"
for pid in $pids; do
    timeout 20 tail -s 0.05 -f --pid="$pid" /dev/null
done
check "they die with the supervisor" gone
ended "$id"
check "and the operation ends" out_has failed
run recover
check "with nothing left to recover" out_is "nothing to recover"
check "nor anything of it but its log" test "$(ls -A "$state/runs/$id")" = log
run logs -f "$id"
check "its log is still there" out_is up
run run -- sh -c "setsid sh -c 'trap \"\" TERM HUP; exec sleep $mark' </dev/null >/dev/null 2>&1 &
    echo away"
check "what became a daemon" out_is away
check "is gone with the command" gone
start -- sh -c "sleep $mark & kill -STOP \$!; echo stopped; wait"
says "$id" stopped
run stop "$id"
check "a stopped process is gone too" gone
cat >less.sh <<'END'
sed -i -E 's/("processes": ?)[0-9]+/\140/; s/("outputBytes": ?)[0-9]+/\11000/' "$1"
END
VISUAL='sh less.sh' run profile edit personal
check "a profile is made small" exits 0
start -- sh -c "bomb() { bomb & bomb & }; sleep $mark & echo lit; bomb; wait; sleep $mark"
says "$id" lit
run stop --timeout 0 "$id"
check "a fork bomb ends like everything else" out_is "$id canceled"
check "and leaves nothing" gone
mkfifo "$scratch/nobody-reads"
sh -c 'exec sleep 60 <"$0"' "$scratch/nobody-reads" &
try sh -c "exec timeout 20 '$program' run --budget wallClockSeconds=1 -- yes \
    >'$scratch/nobody-reads'"
check "one who does not read keeps no run beyond its budget" exits 124
kill "$!"
run run -- sh -c 'yes | head -c 100000'
check "output beyond the limit is dropped" test "$(wc -c <"$scratch/out")" -eq 1000
check "and said to be" err_has "reached its limit"
largest=$(find "$state/runs" -name log -size +1000c -newer less.sh)
check "the log keeps to it too" test -z "$largest"
run ledger verify
check "the ledger is whole" exits 0
finish
