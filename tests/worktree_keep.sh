# Change sets that are kept: of runs whose supervisor was killed, how many, and how old ones go.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config" GIT_CONFIG_GLOBAL=/dev/null
repository="$HOME/src/compass"
runs="$XDG_STATE_HOME/agent-machine/runs"
mkdir -p "$repository" "$HOME/src/other"
cd "$repository" || exit
umask 022
git init -q .
echo one >a.txt
echo two >b.txt
mkdir private shown
echo s >private/s
echo s >shown/s

# The id of the last run.
last() {
    find "$runs" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tail -n 1
}
state_of() { # RUN
    "$program" op show --json "$1" | tr -d ' \n' | tr '{' '\n' | sed -n '/"ChangeSet"/s/.*"state":"\([a-z]*\)".*/\1/p'
}

# ---- the supervisor is killed ----

killed() { # ARGUMENT…: a run that says when it is ready to be killed, in `said`
    rm -f "$scratch/said"
    mkfifo "$scratch/said"
    "$program" run "$@" >"$scratch/said" &
    supervisor=$!
    read -r _ <"$scratch/said"
    kill -KILL $supervisor
    wait $supervisor 2>/dev/null
}
killed -- sh -c 'echo more >>a.txt; rm b.txt; echo new >c.txt; echo up; sleep 100'
run recover
check "a run whose supervisor was killed has failed" out_has "1 failed"
id=$(last)
check "and its change set waits for a person" test "$(state_of "$id")" = pending
run worktree list
check "it is listed" out_has "$id"
run worktree status "$id"
check "and shown" out_matches 'added .* c.txt'
run worktree apply "$id"
check "it is applied as any" test "$(cat a.txt)" = "one
more" -a ! -e b.txt -a -e c.txt
check "and that is recorded" test "$(state_of "$id")" = activated
killed -- sh -c 'echo again >>a.txt; echo up; sleep 100'
run worktree status
check "any command about change sets finds it" out_matches 'modified .* a.txt'
id=$(last)
run run --continue "$id" -- cat a.txt
check "another run can go on from it" out_has again
run worktree discard "$(last)"
run worktree discard "$id"
check "it can be thrown away" test "$(state_of "$id")" = rejected -a ! -e "$runs/$id/0"

# What the patterns of a mount hid is none of what was deleted.
cat >"$scratch/mount.json" <<'DOC'
{"id":"urn:srcos:agent-workspace-mount:compass","type":"AgentWorkspaceMount","specVersion":"1.0.0",
 "hostPath":"~/src/compass","agentPath":"/work/compass","semantics":"staged","secretsProhibited":true,
 "requiresGrant":false,"excludePatterns":["/private/s"]}
DOC
run profile mount personal "$scratch/mount.json"
killed -- sh -c 'rm -r private shown; echo up; sleep 100'
run worktree status
check "what a killed run deleted is found" out_matches 'deleted .* shown/s'
check "but not what it could not see" out_lacks private/s
run worktree apply
check "so it is not taken away" err_matches '^conflict +private: something that stays is in it'
run worktree discard "$(last)"

# ---- several directories ----

# shellcheck disable=SC2016 # the sandbox's own
run run -m "$HOME/src/other:$HOME/src/other:staged" -- sh -c 'echo x >x; echo y >"$1/y"' - "$HOME/src/other"
id=$(last)
run worktree discard "$id" x
run worktree apply "$id"
check "of a change set of two directories, one can be thrown away and one taken" test -e "$HOME/src/other/y" -a ! -e x
run worktree list
check "then nothing is kept of it" out_lacks "$id"

# ---- what is kept, and how many ----

run run -- sh -c 'echo 12345 >five'
first=$(last)
run worktree list
check "what is kept is listed with its state, size and place" \
    out_matches "^$first  pending +[0-9]+s +6  "
run worktree list --quiet
check "or its id alone" out_is "$first"
run worktree list --json
check "or for programs" out_has "{\"changeSet\":\"$first\",\"state\":\"pending\",\"hostPath\":\"$repository\""
"$program" profile show --json personal >"$scratch/personal.json"
python3 - "$scratch/personal.json" <<'DOC'
import json, sys
profile = json.load(open(sys.argv[1]))
profile["worktreePlane"]["keptChangeSets"] = {"count": 2, "bytes": 100000}
profile["worktreePlane"]["mountRefs"] = []
json.dump(profile, open(sys.argv[1], "w"))
DOC
run profile edit personal --from "$scratch/personal.json"
check "a profile says how many may be kept" exits 0
run run -- sh -c 'echo 2 >two'
second=$(last)
run run -- true
check "where that is reached a run that would leave one more is refused" exits 125
check "which says what to do" err_has "2 change sets of 0 MiB together are kept, and the profile allows 2"
run run --discard -- true
check "but not one that leaves none" exits 0
run worktree list -q
check "and nothing is removed to make room" out_is "$first
$second"
run worktree gc
check "not by collecting garbage either" out_is "nothing to remove"
run worktree discard "$second"
run run -- sh -c 'head -c 200000 /dev/zero >large'
check "when one is gone there is room again" exits 0
large=$(last)
run run -- true
check "there is a limit on their bytes too" exits 125
run worktree discard "$large"
run run -- true
check "which counts what is kept alone" exits 0

# ---- what a crash leaves ----

run run -- sh -c 'echo 3 >three'
third=$(last)
cp -a "$runs/$third" "$scratch/copy"
run worktree apply "$third"
cp -a "$scratch/copy" "$runs/$third" # as if it had died before it removed them
run worktree list -q
check "files of a change set that was taken are not kept" out_is "$first"
run worktree gc --dry-run
check "a dry run names them" out_matches "^would remove  $third  activated"
check "and leaves them" test -e "$runs/$third/0/upper/three"
run worktree gc
check "gc removes them" out_matches "^removed  $third  activated"
check "all" test ! -e "$runs/$third/0"
check "and leaves what is kept" test -e "$runs/$first/0/upper/five"
mkdir -p "$runs/1a000000000-0/0/upper"
echo half >"$runs/1a000000000-0/0/upper/half"
: >"$runs/1a000000000-0/0/copied"
run worktree list -q
check "a copy that a launch never finished is not kept" out_is "$first"
run worktree gc
check "and removed" test ! -e "$runs/1a000000000-0"
run run -d -- sh -c 'echo n >n; while [ ! -e stop ]; do sleep 0.1; done'
id=$(cat "$scratch/out")
run worktree gc
check "a run that goes on is left alone" test -e "$runs/$id/0/upper/n"
run stop "$id"

# ---- nobody answers ----

cat >"$scratch/sit.py" <<'DOC'
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    os.write(1, piece)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
DOC
run worktree discard "$id"
try timeout 60 python3 -B "$scratch/sit.py" "$program" run --ask 1 -- sh -c 'echo asked >asked; exit 3'
check "where nobody answers it is kept" out_has 'nobody answered'
check "and that is said" out_has 'kept; `agent-machine worktree apply'
check "the exit status is the command's" exits 3
check "nothing is applied" test ! -e asked
run worktree list -q
check "and it can be taken later" out_has "$(last)"
run worktree discard "$(last)"
try timeout 60 python3 -B "$scratch/sit.py" "$program" run --ask 0 -- sh -c 'echo asked >asked'
check "who wants no question is asked none" out_lacks 'discard [x]'
run run --ask soon -- true
check "a time is in seconds" exits 2

# ---- written directly ----

mkdir -p "$HOME/src/direct/deep" "$HOME/src/direct/full"
cd "$HOME/src/direct" || exit
echo 1 >deep/old
echo 2 >deep/same
echo 3 >full/gone
echo 4 >full/stays
# shellcheck disable=SC2016 # the sandbox's own
run run -m "$PWD:$PWD:read-write" -- sh -c 'echo x >>deep/old; echo n >deep/new; rm full/gone; printf "%s" >"$(printf "a\tb")"'
check "what a run wrote directly is reported" err_has "in $PWD meanwhile: 2 added, 1 changed, 1 folders with less in them"
check "by name" err_has "changed deep/old"
check "also where something is gone" err_has "removed-from full"
check "and nothing on the way acts on the terminal" err_has 'added a\x09b'
run run --json -m "$PWD:$PWD:read-write" -- sh -c 'chmod 600 deep/same; touch -d 2001-01-01 deep/old'
check "also for programs" grep -q '"writtenMounts":\[{"hostPath":"'"$PWD"'","added":0,"changed":2,"removedFrom":0,"complete":true,"paths":\[{"change":"changed","path":"deep/old"},{"change":"changed","path":"deep/same"}\]}\]' "$scratch/err"
check "whatever times it sets" err_has deep/old
check "and in the record" grep -aqs '"writtenMounts":\[{' "$XDG_STATE_HOME/agent-machine/ledger.db" "$XDG_STATE_HOME/agent-machine/ledger.db-wal"
run run -m "$PWD:$PWD:read-write" -- true
check "nothing is said where nothing was written" test "$(grep -c written "$scratch/err")" -eq 0

finish
