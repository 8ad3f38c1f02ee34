# A model of this machine, for real: weights that the test makes, llama.cpp, and a run that asks.
# shellcheck shell=sh disable=SC2317 # check calls functions
. "$(dirname "$0")/lib.sh"
npm_cache=${npm_config_cache:-$HOME/.npm}
. "$(dirname "$0")/model_lib.sh"
git init -q .
run init

mkdir "$scratch/llama"
cd "$scratch/llama" || exit
export npm_config_cache="$npm_cache"
[ -w "$npm_cache" ] || export npm_config_cache="$scratch/npm"
if ! try npm install --no-audit --no-fund --ignore-scripts --omit=optional --loglevel=error \
    node-llama-cpp@3 "@node-llama-cpp/linux-$(node -p process.arch)@3" || [ "$status" -ne 0 ]; then
    skip "a real model" "npm brings no node-llama-cpp: $(head -c 200 "$scratch/err")"
    finish
fi
try python3 -B "$tree/tests/model/tiny_gguf.py" tiny.gguf
check "a model with random weights is made" exits 0
mkfifo "$scratch/life"
node "$tree/tests/model/llama_server.mjs" tiny.gguf "$scratch" <"$scratch/life" >"$scratch/server.log" 2>&1 &
server=$!
exec 7>"$scratch/life"
until [ -f "$scratch/port" ] || ! kill -0 "$server" 2>/dev/null; do
    sleep 0.05
done
check "llama.cpp serves it" [ -f "$scratch/port" ]
port=$(cat "$scratch/port")
cd "$HOME/src/compass" || exit
sed -e 's/"kind": "ollama"/"kind": "llama.cpp"/' -e 's/"name": "llama3.2:1b"/"name": "tiny"/' \
    -e "s|http://127.0.0.1:11434|http://127.0.0.1:$port/v1|" \
    "$tree/examples/local-model-profile.llama32-1b.json" >"$scratch/tiny.json"
run model bind "$scratch/tiny.json"
check "it is bound by a LocalModelProfile" exits 0
run model test --model tiny
check "and is local" out_has "local"

cat >ask <<'END'
#!/bin/sh
curl -sSN -m 60 http://127.0.0.1:11434/v1/chat/completions -H 'Content-Type: application/json' \
    -d "{\"model\":\"tiny\",\"max_tokens\":8,\"stream\":$1,\"messages\":[{\"role\":\"user\",\"content\":\"the door is\"}]}"
END
chmod +x ask
run run -- ./ask false
check "a run is answered by the model" out_has '"object":"chat.completion"'
check "with as many tokens as it was let" out_has '"completion_tokens":8'
cp "$scratch/out" "$scratch/first"
check "and no prompt left" err_has "prompts: none left this machine"
run run -- ./ask false
check "the same question has the same answer" cmp -s "$scratch/first" "$scratch/out"
run run -- ./ask true
check "as a stream too" out_has 'data: [DONE]'
check "in pieces" [ "$(grep -c '"content"' "$scratch/out")" -ge 2 ]
check "without the usage that nobody asked for" out_lacks '"usage"'
input=$(sed -n 's/.*"prompt_tokens":\([0-9]*\).*/\1/p' "$scratch/first")
run model usage
check "what it used is charged as llama.cpp counted it" out_has "$((3 * input)) in, 24 out"
run run --budget tokens=100 -- ./ask false
check "beyond a budget it is not asked" out_has '"dimension":"tokens"'

exec 7>&-
wait "$server"
run ledger verify
check "the ledger is whole" exits 0
finish
