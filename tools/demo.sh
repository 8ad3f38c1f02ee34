#!/bin/sh
# demo: a governed run in a repository of its own, on one screen. Called by `./dev run`.
set -u
program=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME="$scratch/home"
unset XDG_STATE_HOME XDG_CONFIG_HOME
mkdir -p "$HOME/src/compass"
cd "$HOME/src/compass" || exit
git init -q .
echo 'print("north")' >compass.py
echo 'API_KEY=do-not-show-this' >.env
bold='' plain=''
[ ! -t 1 ] || bold=$(printf '\033[1m') plain=$(printf '\033[0m')

title() {
    printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

title 'What it is allowed: agent-machine run --dry-run -- sh agent.sh'
"$program" run --dry-run -- sh agent.sh | sed -n '1,8p'

cat >agent.sh <<'END'
printf 'the code      '; cat compass.py
printf 'the secret    '; cat .env 2>&1
printf 'the network   '; curl -sS -m 2 https://example.com 2>&1
printf 'the host      '; ls /home /root 2>&1 | tr '\n' ' '; echo
echo 'print("south")' >compass.py
echo 'turned around' >NOTES
END
title 'What it does:    agent-machine run -- sh agent.sh'
"$program" run --json -- sh agent.sh 2>"$scratch/end"
run=$(sed -n 's/.*workspace-operation:\([^"]*\)".*/\1/p' "$scratch/end")

title "What it changed: agent-machine worktree status $run"
"$program" worktree status "$run"
printf 'and the host still has: '
cat compass.py

title 'What it cost:    agent-machine run --json -- sh agent.sh'
sed -n 's/.*"usage":{\([^}]*\)}.*/\1/p' "$scratch/end" | tr ',' '\n' | tr -d '"' |
    grep -v ':0$' | sed 's/:/ /' | awk '{ printf "%-22s%s\n", $1, $2 }'

title "What proves it:  agent-machine receipt verify run.receipt --key key.pub"
"$program" receipt show --envelope "$run" >"$scratch/run.receipt"
key=$HOME/.config/agent-machine/key.pub
# With the public key alone, as on another machine.
HOME="$scratch/elsewhere" "$program" receipt verify "$scratch/run.receipt" --key "$key"
