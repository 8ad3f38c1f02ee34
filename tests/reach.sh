# What others do reaches a run while it runs: authority taken back; and its budget, watched.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
mkdir -p "$HOME/src/compass"
cd "$HOME/src/compass" || exit
git init -q .
mkfifo "$scratch/said" "$scratch/watched"
user=urn:srcos:user:$(id -un)

# A run that goes on for a minute unless somebody ends it; when this returns its command runs.
begin() { # ARGUMENT…
    "$program" run --json "$@" >"$scratch/said" 2>"$scratch/run.err" &
    child=$!
    exec 3<"$scratch/said"
    read -r said <&3
    operation=urn:srcos:workspace-operation:$("$program" op list --state running | cut -d' ' -f1)
}
# As if it had been the last run: its report.
ended() {
    wait "$child"
    status=$?
    exec 3<&-
    command_line="run, $operation"
    cp "$scratch/run.err" "$scratch/out"
}
member() { # NAME
    "$program" op show --json "$operation" | sed -n "s/^ *\"$1\": \"\(.*\)\",*$/\1/p"
}
# Reads what the watcher prints, up to a line of it.
# shellcheck disable=SC2317 # called by check
watched_until() { # TEXT
    while read -r line <&4; do
        case $line in *"$1"*) return 0 ;; esac
    done
    return 1
}

run init
run budget show --watch missing
check "an account that is not there is not watched" exits 1

# ---- a delegation ----

begin -- sh -c 'echo begun; exec sleep 60'
check "a run has begun" test "$said" = begun
"$program" budget show --watch "$operation" >"$scratch/watched" &
watcher=$!
exec 4<"$scratch/watched"
check "what it has set aside is shown with a bar" watched_until 'wallClockSeconds   [++++'
run delegation revoke "$(member delegationRef)" --reason "No more."
check "its delegation is revoked" exits 0
ended
check "which ends the run" exits 130
check "as one that was cancelled" out_has '"state":"canceled"'
check "and it is told why" out_matches '"cancelled":"[^"]*revoked'
run op events --json "$operation"
check "as the record says too" out_matches '"mode":"graceful","reason":"[^"]*revoked'
run op events "$operation"
check "and in words" out_matches 'operation canceling: .*revoked'
check "whoever watches sees its account settled" watched_until "(settled)"
check "and what it has used" watched_until 'wallClockSeconds   [.'
wait "$watcher"
status=$?
check "and stops watching" exits 0
exec 4<&-

# ---- a grant ----

run grant apply shell --to "$user" --workspace "$(member workspaceRef)" --for 1h
grant=$(cat "$scratch/out")
check "a tool is granted" exits 0
begin shell -- -c 'echo begun; exec sleep 60'
check "a run uses it" test "$said" = begun
run grant revoke "$grant" --reason "Enough."
check "the grant is revoked" exits 0
ended
check "which ends the run that used it" exits 130
check "and names the grant" out_has "$grant was revoked"
run run shell -- -c 'exit 3'
check "the user's own word still gives the tool" exits 3

# ---- each change is a document of its own ----

begin -- sh -c 'echo begun; exec sleep 60'
"$program" budget show --watch --json "$operation" >"$scratch/watched" &
watcher=$!
exec 4<"$scratch/watched"
check "a watched budget is a document" watched_until '"state":"open"'
run op cancel "$operation"
check "the run is cancelled" exits 0
ended
check "as its exit status says" exits 130
check "the next document says that it is settled" watched_until '"state":"settled"'
wait "$watcher"
status=$?
check "and is the last" exits 0
exec 4<&-

finish
