# The governed launch: what a command sees, what it may do, what it leaves.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
mkdir -p "$HOME/src/compass/lib"
cd "$HOME/src/compass" || exit
git init -q .
echo one >a.txt
echo 'TOKEN=abc' >.env
echo key >lib/id_rsa

# ---- what a command sees ----

run run -- sh -c 'echo out; echo err >&2; exit 7'
check "the exit status is the command's own" exits 7
check "its output is the caller's" out_is out
check "its errors too" err_has err
run run -- cat a.txt
check "the repository is there, at its own place" out_is one
# shellcheck disable=SC2016 # the sandbox's own
run run -- sh -c 'ls -A "$HOME"; pwd'
check "the home is empty but for the way to the repository" out_is "src
$PWD"
run run -- cat .env
check "a file that is a secret by name is not there" exits 1
run run -- cat lib/id_rsa
check "nor is one that lies deeper" exits 1
run run -- cat "$XDG_CONFIG_HOME/agent-machine/key.pem"
check "the user's key is not there" exits 1
run run -- cat /etc/shadow
check "nor is /etc/shadow" exits 1
run run -- sh -c 'id -u; cat /proc/self/status'
check "the command is nobody in particular" out_matches '^CapEff:[[:space:]]0000000000000000$'
check "and not root" out_matches '^[1-9]'
check "a filter is on it" out_matches '^Seccomp:[[:space:]]2$'
run run -- sh -c 'ls /proc | grep -c "^[0-9]"'
check "it sees its own processes alone" out_matches '^[3-6]$'
run run -- sh -c 'cat /proc/net/dev | grep -c :'
check "it has loopback and no other interface" out_is 1
run run -- env
check "its environment is built from nothing" out_lacks "XDG_CONFIG_HOME"
check "and says where it is" out_has "container=agent-machine"
AM_PASSED=through run run -e AM_PASSED -e ADDED=here -- env
check "a variable that is named is passed on" out_has AM_PASSED=through
check "one with a value is set" out_has ADDED=here
API_TOKEN=x run run -e API_TOKEN -- env
check "one that speaks of a secret is refused" exits 125
check "by a named rule" err_has environment-secret
printf 'in\nput\n' >"$scratch/in"
try sh -c "'$program' run -- cat <'$scratch/in'"
check "it reads the caller's input" out_is "in
put"
try sh -c "yes | head -c 300000 | '$program' run -- wc -c"
check "also more than a pipe holds" out_matches '^ *300000$'
try sh -c "'$program' run -- sh -c 'head -c 3000000 /dev/zero' | wc -c"
check "and writes more than a pipe holds" out_matches '^ *3000000$'
try sh -c "'$program' run -- yes | head -n 1"
check "it ends when nobody reads any more" out_is y

try sh -c "'$program' run -- sh -c 'cat; echo out; echo err >&2' <&- 2>&-"
check "it runs where the caller has closed its streams" out_is out
try sh -c "'$program' run -- ls -l /proc/self/fd 3<'$scratch/in'"
check "and gets no other descriptor of the caller's" out_lacks "$scratch"

printf 'import os, signal, sys\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n' >"$scratch/deaf.py"
printf 'os.execv(sys.argv[1], sys.argv[1:])\n' >>"$scratch/deaf.py"
try timeout 30 python3 "$scratch/deaf.py" "$program" run -- sh -c 'true; echo ended'
check "it ends where the caller hears of no child" exits 0
check "as the command did" out_is ended

# ---- what it leaves ----

run run -- sh -c 'echo two >a.txt; echo new >b.txt; rm .git/HEAD; mkdir sub; cat a.txt'
check "it writes freely" out_is two
check "and the host's tree does not move" test "$(cat a.txt)" = one
check "nothing is added to it" test ! -e b.txt
check "nothing is removed" test -e .git/HEAD
check "what it changed is told" err_has "changed: "
changed=$(cd "$XDG_STATE_HOME/agent-machine/runs" && find . -name upper | cut -d / -f 2)
run worktree list -q
check "and kept" out_is "$changed"
run worktree status "$changed"
check "each path of it is listed" out_matches 'modified .* a.txt'
check "what was added too" out_matches 'added .* b.txt'
check "and what was deleted" out_matches 'deleted .* .git/HEAD'
run worktree status --json "$changed"
check "also for programs" out_has '"path":"b.txt"'
run run --discard -- sh -c 'echo >c.txt'
run worktree list -q
check "a run that discards keeps nothing" out_is "$changed"
run run -- sh -c 'mkdir shut; echo >shut/in.txt; chmod 0 shut .'
check "what it has closed to itself is no hindrance" exits 0
run worktree status "$(sed -n 's/.*worktree status //p' "$scratch/err")"
check "and is listed" out_matches 'added .* shut/in.txt'
chmod -R u+rwX "$XDG_STATE_HOME"
# shellcheck disable=SC2016 # the sandbox's own
run run --json -- sh -c 'i=0; while [ $i -lt 400 ]; do mkdir d && cd d && i=$((i + 1)); done'
check "a run that leaves what nobody can read has failed" exits 125
check "and is recorded" err_has '"state":"failed"'
run run -- sh -c 'echo x >/usr/x || echo x >/etc/x || echo x >/x'
check "the system's directories cannot be written to" exits 2
before=$(find "$XDG_STATE_HOME/agent-machine/runs" -mindepth 1 -maxdepth 1 | wc -l)
run run -- true
check "what nobody wrote to, and printed nothing, leaves no folder" \
    test "$(find "$XDG_STATE_HOME/agent-machine/runs" -mindepth 1 -maxdepth 1 | wc -l)" -eq "$before"

# ---- the command that cannot be ----

run run -- no-such-program
check "a program that is not there" exits 127
check "is named" err_has no-such-program
touch plain
run run -- ./plain
check "one that cannot be executed" exits 126
run run -- sh -c 'kill -SEGV $$'
check "one that a signal ends" exits 139
run run --budget wallClockSeconds=1 -- sleep 60
check "a budget that is used up ends it" exits 124
check "by name" err_has wallClockSeconds
# shellcheck disable=SC2016 # the sandbox's own
hog='x=$(head -c 200000000 /dev/zero | tr "\0" x); echo survived'
run run --json --budget sandboxMemoryBytes=40000000 -- sh -c "$hog"
if [ -w /sys/fs/cgroup/memory ] || [ -w /sys/fs/cgroup/cgroup.procs ]; then
    check "a command that the kernel kills for its memory is ended by its budget" exits 124
    check "the dimension is named" err_has sandboxMemoryBytes
    run run --budget sandboxMemoryBytes=40000000 -- sh -c "(sh -c '$hog'); exit 3"
    check "whichever of its processes that was" exits 124
    check "that too is said by its name" err_has sandboxMemoryBytes
fi
check "no command has more memory than its budget" out_lacks survived
run run -- sh -c 'cp /bin/true marked; chmod u+s marked; chmod 2600 a.txt'
changed=$(sed -n 's/.*worktree status //p' "$scratch/err")
run worktree status "$changed"
check "what was marked to run as its owner is listed so" out_matches 'added .* marked  set-user-id$'
check "and what its permissions were" out_matches 'mode .* a.txt  0[0-7]{3} to 2600  set-group-id$'
run worktree status --json "$changed"
check "also for programs" out_has '"mode":"4755"'
run run --budget wallClockSeconds=1 -- sh -c 'echo 1 >kept.txt; sleep 60'
check "what it had changed by then is told" err_has "changed: 1 added"
run run -C /no/such/directory -- true
check "a directory that is not there is the machine's refusal" exits 125
check "and is what is said" err_has "cannot start in /no/such/directory"
run run -C lib -- pwd
check "one that is not absolute is wrong usage" exits 2
check "and the absolute one is named" err_has "$PWD/lib"
run run --tier vm -- true
check "a tier that is not there is refused" exits 125
run run
check "no command is wrong usage" exits 2

# ---- mounts ----

mkdir -p "$HOME/src/other" "$HOME/.ssh" "$scratch/outside"
echo o >"$HOME/src/other/o"
run run -m "$HOME/src/other:/work/other:read-only" -- sh -c 'cat /work/other/o; echo >/work/other/p'
check "a directory is mounted where it is asked for" out_is o
check "read-only" exits 2
run run -m "$HOME/src/other:/work/other:read-write" -- sh -c 'echo p >/work/other/p'
check "read-write reaches the host" test -f "$HOME/src/other/p"
run run -m "$HOME/src/other:/w:read-write" -m "$HOME/src/other:/w/in/ner:read-only" -- true
check "a mount inside another makes no folder there" test ! -e "$HOME/src/other/in"
check "and says what is missing" err_has "make it there first"
run run -m "$HOME/.ssh:/keys:read-only" -- true
check "a place of keys is refused" exits 125
check "with the rule named" err_has mount-secret
run run -m "$HOME:/all:read-only" -- true
check "the whole home is refused" err_has mount-secret
run run -m "$scratch/outside:/o:read-only" -- true
check "what the profile does not allow is refused" err_has mount-not-allowed
run run -m "$HOME/src/other:/usr/share:read-only" -- true
check "a directory of the system cannot be covered" err_has mount-over-system
run run -m "$HOME/src/other:/work/../usr/share:read-only" -- true
check "nor by another spelling of its path" exits 2
run run -m "$HOME/src/other:/work/other/:read-only" -- cat /work/other/o
check "a slash at the end is no other spelling" out_is o
run run -m "$PWD/a.txt:/work/a.txt:read-only" -- true
check "a file is not mounted, and it is said" err_has "takes a directory"
ln -s "$scratch/outside" "$HOME/src/compass/away"
run run -m "$HOME/src/other:$PWD/away/made:read-only" -- true
check "no place for a mount is made behind a link" exits 125
check "nor anything outside" test ! -e "$scratch/outside/made"
rm away
# shellcheck disable=SC2016 # the sandbox's own
printf '#!/bin/sh\necho ran; rm -- "$0"\n' >"$HOME/src/other/once"
chmod +x "$HOME/src/other/once"
run run -m "$HOME/src/other:/work/other:read-only" -- /work/other/once
check "a program is found where its directory is mounted" out_is ran
run run -C "$PWD/lib" -- ./no-such-program
check "one that is not there is not found" exits 127
run run --json -m "$HOME/src/other:/work/other:read-write" -C /work/other -- ./once
check "a program may remove its own file" exits 0
check "and the run is recorded all the same" err_has '"state":"completed"'
check "the file is gone" test ! -e "$HOME/src/other/once"
run run -m "$HOME/src/other:/a/first:read-only" -- sh -c 'echo >listed.txt'
changed=$(sed -n 's/.*worktree status //p' "$scratch/err")
mkdir -p "$XDG_STATE_HOME/agent-machine/runs/killed-early/0/upper"
run worktree list -q
check "a change set is listed, whichever mount it is of" out_has "$changed"
check "the empty layer of a run that was killed is none" out_lacks killed-early
try env HOME=/ "$program" run -- true
check "a home that is the root is refused" err_has home-over-system
cd "$HOME" || exit
run run -- true
check "a repository that is the home is refused, with what to do" err_has "go into a directory"
cd "$HOME/src/compass" || exit

ln -s "$HOME" "$scratch/linked"
try env HOME="$scratch/linked" XDG_STATE_HOME="$scratch/linked/.local/state" \
    XDG_CONFIG_HOME="$scratch/linked/.config" "$program" run -- cat a.txt
check "a home behind a link is a home" out_is one

below=$(mktemp -d -p /var/tmp)
mkdir "$below/src"
cd "$below/src" || exit
try env HOME="$below" XDG_STATE_HOME="$below/state" XDG_CONFIG_HOME="$below/config" \
    "$program" run -- sh -c 'echo x >/tmp/x && cat /var/tmp/x'
check "a home below /var/tmp is one, beside what all programs may write there" out_is x
rm -rf "$below"
cd "$HOME/src/compass" || exit

# ---- the record ----

run run --dry-run -- ls -l
check "the plan can be seen" out_has "staged"
run run --dry-run --json -- ls -l
check "and read by programs" out_has '"isolationTier":"namespaces"'
run run --json -- true
check "the end can be read by programs" err_has '"state":"completed"'
run op list
check "each run is an operation" out_has execution.start
run run --trace -- true
# shellcheck disable=SC2016 # backquotes of Markdown
in_order=$(sed -n 's/^| [1-9] | `\([^`]*\)`.*/\1/p' "$tree/docs/RUN.md" | tr '\n' ' ')
stops=$(awk '$2 == "ms" && $3 != last { last = $3; printf "%s ", $3 }' "$scratch/err")
check "the stops of a run are those of docs/RUN.md, in their order" test "$stops" = "$in_order"
run run --idempotency-key once -- sh -c 'echo ran'
check "a run has a key" out_is ran
run run --idempotency-key once -- sh -c 'echo ran'
check "the same key again runs nothing" out_empty
check "and says so" err_has "given before"
run ledger verify
check "the ledger is whole" exits 0
finish
