# Tool surfaces: a shell, and the real codex and claude, run by their own documents.
# shellcheck shell=sh disable=SC2016 # the sandbox's own variables
. "$(dirname "$0")/lib.sh"
cache=$(npm config get cache 2>/dev/null)
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
mkdir -p "$HOME/src/compass" "$HOME/.codex"
echo mine >"$HOME/.codex/auth.json"
cd "$HOME/src/compass" || exit

run run shell -- -c 'echo "$OPENAI_BASE_URL"'
check "a word before -- that names a surface is that surface" out_has "http://127.0.0.1:"
run run -- shell
check "behind -- it is always a command" exits 127
run run shell -- -c 'cat ~/.codex/auth.json'
check "the tool's state on the host is not there" exits 1
run run --json shell -- -c 'true'
check "a surface is recorded" exits 0
run op list
check "as a run" out_has execution.start
run run shell -- -c 'exec 3<>/dev/tcp/127.0.0.1/11434; printf "GET / HTTP/1.0\r\n\r\n" >&3; cat <&3'
check "who asks for a model is answered" out_has "403 Forbidden"
check "with the reason" out_has "no model is bound"

run run --json shell -- --norc -c 'true private-words' --login
operation=$(sed -n 's/.*"operation":"\([^"]*\)".*/\1/p' "$scratch/err")
run op show "$operation"
check "what of its arguments is safe is recorded, at its place" \
    out_matches 'bash .*--norc -c \.\.\. --login \([0-9]+ arguments\)'
check "and nothing else of them" out_lacks private-words
run run --json -- sh -c true
run op show "$(sed -n 's/.*"operation":"\([^"]*\)".*/\1/p' "$scratch/err")"
check "of a plain command nothing is" out_has "sh ... (2 arguments)"

if ! command -v npm >/dev/null; then
    skip "codex and claude" "there is no npm"
    finish
fi
try npm install --global --no-audit --no-fund --prefix "$HOME/.npm-global" --cache "$cache" \
    @openai/codex @anthropic-ai/claude-code
check "the tools can be installed" exits 0
PATH=$HOME/.npm-global/bin:$PATH
run run codex -- --version
check "codex starts" out_matches '^codex-cli [0-9]'
run run --json codex -- --model ghp_0123456789abcdefghijABCDEFGHIJ012345 --version
run op show "$(sed -n 's/.*"operation":"\([^"]*\)".*/\1/p' "$scratch/err")"
check "a word that is safe is recorded" out_has "--model ... --version"
check "a secret is not, wherever it stands" out_lacks ghp_
run run claude-code -- --version
check "claude starts" out_matches '\(Claude Code\)'
run run --budget wallClockSeconds=60 codex -- exec --skip-git-repo-check hello
check "codex says that it has no model" err_or_out_has "no model is bound"
check "and fails" exits 1
run run --budget wallClockSeconds=60 claude-code -- -p hello
check "claude says that it has no model" err_or_out_has "no model is bound"
check "and fails as well" exits 1
check "codex keeps its state with the profile" test -d "$(find "$XDG_STATE_HOME" -name codex -type d | head -n 1)"
check "and not in the host's home" test ! -e "$HOME/.codex/config.toml"
finish
