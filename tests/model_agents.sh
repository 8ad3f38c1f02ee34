# The real Codex and Claude Code, and the packages of OpenAI, Anthropic and Ollama, at a task in a
# run: on a model that speaks their protocol, and on one that speaks OpenAI's chat alone.
# shellcheck shell=sh disable=SC2016,SC2317 # single quotes are for programs inside; check calls functions
. "$(dirname "$0")/lib.sh"
cache=$(npm config get cache 2>/dev/null)
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
work=$HOME/src/compass
mkdir -p "$work"
cd "$work" || exit
git init -q .

if ! command -v npm >/dev/null; then
    skip "agents at a task" "there is no npm"
    finish
fi
try npm install --global --no-audit --no-fund --prefer-offline --loglevel=error \
    --prefix "$HOME/.npm-global" --cache "$cache" @openai/codex @anthropic-ai/claude-code
check "the tools can be installed" exits 0
try npm install --no-save --no-audit --no-fund --prefer-offline --loglevel=error \
    --prefix "$work" --cache "$cache" openai@6 @anthropic-ai/sdk ollama@0.6
check "and the packages" exits 0
PATH=$HOME/.npm-global/bin:$PATH
cp "$tree/tests/model_agents/clients.mjs" .
echo "the colour of it" >notes.txt
echo "another" >other.txt

# ---- a scripted model outside, bound twice: as what speaks all protocols, and chat alone ----

mkfifo "$scratch/life"
echo "$work" >"$scratch/work"
python3 -B "$tree/tests/model_agents/provider.py" "$scratch" <"$scratch/life" &
provider=$!
exec 7>"$scratch/life"
until [ -f "$scratch/port" ] || ! kill -0 "$provider" 2>/dev/null; do
    sleep 0.01
done
run init
bind() { # KIND MODEL…
    sed -e "s/\"kind\": \"ollama\"/\"kind\": \"$1\"/" -e "s/llama32-1b\"/$1\"/" \
        -e "s|http://127.0.0.1:11434|http://127.0.0.1:$(cat "$scratch/port")|" \
        "$tree/examples/local-model-profile.llama32-1b.json" >"$scratch/$1.json"
    kind=$1
    shift
    for model in "$@"; do
        set -- "$@" --model "$model=$model"
        shift
    done
    run model bind "$scratch/$kind.json" "$@"
}
bind ollama native slow-native
check "a model that speaks as its clients do is bound" exits 0
bind openai-compatible chat slow-chat
check "and one that speaks chat" exits 0

calls() { # PATH COUNT: since the log was emptied, to there and nowhere else
    [ "$(grep -c '"body"' "$scratch/log")" -eq "$2" ] &&
        [ "$(grep -cF "{\"path\": \"$1\", \"key\": null" "$scratch/log")" -eq "$2" ]
}
edited() { # whether the last run changed the one word, in its change set alone
    id=$(sed -n 's/.*worktree status //p' "$scratch/err")
    [ -n "$id" ] && "$program" worktree diff "$id" >"$scratch/diff" 2>&1 &&
        grep -qF -- '-the colour of it' "$scratch/diff" &&
        grep -qF -- '+the color of it' "$scratch/diff" && grep -q colour notes.txt
}
codex() { # MODEL
    : >"$scratch/log"
    run run --budget wallClockSeconds=60 codex -- exec --skip-git-repo-check -m "$1" \
        "Fix the spelling." </dev/null
}
claude() { # MODEL
    : >"$scratch/log"
    run run --budget wallClockSeconds=60 claude-code -- --model "$1" \
        --permission-mode acceptEdits -p "Fix the spelling." </dev/null
}

# ---- a task: read two files at once, edit one, finish ----

codex native
check "codex does its task" exits 0
check "and says so" out_has "All done."
check "its edit is in the change set" edited
check "it asked for responses, without a key" calls /v1/responses 3
codex chat
check "codex does it on a model that knows chat alone" exits 0
check "and says so" out_has "All done."
check "its edit is in the change set" edited
check "which was asked for chat" calls /v1/chat/completions 3
try grep -c 'the colour of it.*"role": "tool"\|"role": "tool".*the colour of it' "$scratch/log"
check "the file that it read came back as a tool's message" out_is 2
claude native
check "claude does its task" exits 0
check "and says so" out_has "All done."
check "its edit is in the change set" edited
check "it asked for messages" calls /v1/messages 3
claude chat
check "claude does it on a model that knows chat alone" exits 0
check "and says so" out_has "All done."
check "its edit is in the change set" edited
check "which was asked for chat" calls /v1/chat/completions 3
run model usage
check "each call was metered" out_has "calls   6, and 0 denied; prompts stayed on this machine"
check "by what the model reported" out_has "240 in, 54 out"
run ledger export --jsonl
check "of a translated call the reason of its route is on record" \
    out_has "What the client asks is translated to OpenAI's chat completions."

# ---- packages ----

clients() { # MODEL WORD…
    : >"$scratch/log"
    run run -- node clients.mjs "$@"
}
clients chat
check "each package works on a model that knows chat alone" out_has "all tried"
check "with tools, results and usage" out_lacks FAILED
try grep -c '"body"' "$scratch/log"
check "and what was refused or counted was not asked" out_is 7
clients native natively
check "and on one that speaks as they do" out_has "all tried"
check "with tools, results and usage" out_lacks FAILED

# ---- a budget that ends ----

: >"$scratch/log"
run run --budget modelCalls=1 --budget wallClockSeconds=60 codex -- exec --skip-git-repo-check \
    -m chat "Fix the spelling." </dev/null
check "codex ends where its budget does" exits 1
check "it says why" err_or_out_matches 'budget|[Qq]uota'
check "and the model was asked once" calls /v1/chat/completions 1
: >"$scratch/log"
run run --budget modelCalls=1 --budget wallClockSeconds=60 claude-code -- --model chat \
    --permission-mode acceptEdits -p "Fix the spelling." </dev/null
check "claude ends there as well" exits 1
check "it says why" err_or_out_has "The budget does not cover this call"
check "and the model was asked once" calls /v1/chat/completions 1

# ---- a client that is stopped in the midst of an answer ----

stopped() { # SURFACE ARGUMENT…: whether the provider sees its client go
    : >"$scratch/log"
    run run -d "$@"
    id=$(cat "$scratch/out")
    until grep -q '"body"' "$scratch/log" || [ "$status" -ne 0 ]; do
        sleep 0.02
    done
    run stop "$id"
    timeout 20 "$program" op wait "$id" >"$scratch/out" 2>"$scratch/err"
    for _ in $(seq 500); do
        grep -q '"gone": true' "$scratch/log" && return
        sleep 0.02
    done
    return 1
}
check "codex that is stopped takes its call with it" \
    stopped codex -- exec --skip-git-repo-check -m slow-chat hello
check "and so does claude" stopped claude-code -- --model slow-chat -p hello
run ledger verify
check "the ledger is whole" exits 0

exec 7>&-
wait "$provider"
finish
