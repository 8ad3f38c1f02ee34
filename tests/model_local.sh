# Models of this machine: found, tested, fetched by a person's word alone, and used.
# shellcheck shell=sh disable=SC2317,SC2016,SC2046,SC2119 # check calls functions; words are split
# The servers stand at their usual ports: in a network of the test's own.
if [ -z "${AM_TEST_OWN_NETWORK:-}" ]; then
    AM_TEST_OWN_NETWORK=1 exec unshare -n $([ "$(id -u)" -eq 0 ] || echo --map-current-user --keep-caps) \
        sh -c 'ip link set lo up && exec sh "$0"' "$0"
fi
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/model_lib.sh"
git init -q .
run init

# ---- nothing is there ----

run model bind llama3.2:1b
run model bind llama3.2:3b
check "two models are bound" exits 0
run model list
check "what nothing answers for is unavailable" out_has "unavailable: nothing answers at"
check "with how it is started" out_has "ollama serve"
run model test
check "then no model could answer" exits 1
run model pull llama3.2:1b
check "a profile that lets nothing be fetched is kept to" exits 77
check "with the word that would" err_has "--allow-download"
run model pull llama3.2:1b --allow-download
check "without Ollama nothing is fetched" exits 1
check "which is said" err_has "is it started (ollama serve)?"
run model pull "$tree/examples/external_model_provider_profile.byom_openai_compatible.json"
check "a hosted provider has nothing to fetch" exits 65

# ---- servers ----

mkdir "$scratch/ollama"
mkfifo "$scratch/life"
python3 -B "$tree/tests/model_run/ollama.py" "$scratch/ollama" <"$scratch/life" &
servers=$!
exec 7>"$scratch/life"
until [ -f "$scratch/ollama/ready" ] || ! kill -0 "$servers" 2>/dev/null; do
    sleep 0.01
done
run model test
check "servers are found at their usual ports" out_has "llama.cpp server at http://127.0.0.1:8080"
check "LM Studio's too" out_has "LM Studio at http://127.0.0.1:1234"
check "with their models" out_has "tiny.gguf, which is not bound"
check "a server without the model makes none available" out_has "answers, and has no"
check "so that the test fails" exits 1
run model test --json
check "for programs too" out_has '"service":"Ollama","runtime":"ollama","endpoint":"http://127.0.0.1:11434"'
run ledger export --jsonl
check "the look is an operation" out_has '"message":"Nobody beyond this machine was asked."'
pulls() { # COUNT
    [ "$(grep -c /api/pull "$scratch/ollama/log")" -eq "$1" ]
}
run run -- curl -sS -m 20 -w ' %{http_code}' http://127.0.0.1:11434/api/pull -d '{"model":"llama3.2:1b"}'
check "a client inside fetches nothing" out_matches ' 403$'
check "and is told who may" out_has "model pull"
check "the server was not asked" pulls 0

# ---- fetched, left, gone on ----

"$program" model pull llama3.2:1b --allow-download >"$scratch/out" 2>"$scratch/err" &
pull=$!
until grep -q '40%' "$scratch/err" || ! kill -0 "$pull" 2>/dev/null; do
    sleep 0.01
done
kill -INT "$pull"
wait "$pull"
status=$?
check "a signal ends it" exits 130
check "size and licence were told before" out_has "https://www.llama.com/llama3_2/license/"
check "roughly" out_has "about 1321 MB"
until [ -f "$scratch/ollama/left" ]; do
    sleep 0.01
done
touch "$scratch/ollama/go"
run model pull llama3.2:1b --allow-download --json
check "typed again it goes on" exits 0
check "from where it was" out_has '"bytes":1000000,"resumedFrom":400000'
check "and the digest is told" out_has '"digest":"sha256:baba'
run ledger export --jsonl
check "it is on record with size, digest and licence" out_has "Fetched llama3.2:1b: 1000000 bytes, of which 400000 were there; digest sha256:baba"
check "under a verdict about its provider" out_has '"gate":"modelProviderUse"'
check "and pays with disk" out_matches '"amount":600000,"budgetRef":"[^"]*","dimension":"localDiskBytes","movement":"settle"'
run model pull llama3.2:1b --allow-download --digest sha256:00
check "another digest than the pinned one fails" exits 1
check "and says which" err_has "sha256:00 was wanted"
run model pull llama3.2:3b --allow-download
check "what the runtime cannot fetch fails" exits 1
check "in its words" err_has "file does not exist"
sed -e 's/llama3.2:1b/another/g' -e 's/llama32-1b/another/' \
    -e 's/"allowModelDownload": false/"allowModelDownload": true/' \
    "$tree/examples/local-model-profile.llama32-1b.json" >another.json
run model pull another.json --allow-download --budget localDiskBytes=100000
check "nor more than a budget covers" exits 78
check "which is named" err_has "localDiskBytes"
sed -e 's/llama3.2:1b/unverified/g' -e 's/llama32-1b/unverified/' \
    -e 's/"allowModelDownload": false/"allowModelDownload": true/' \
    "$tree/examples/local-model-profile.llama32-1b.json" >unverified.json
run model pull unverified.json
check "a profile's word is not the layers'" exits 77
check "which are asked about the registry" err_has "registry.ollama.ai"
run model pull unverified.json --allow-download
check "what nobody verified is not fetched" exits 1
check "and that is said" err_has "before the digests were verified"
user_layer=$XDG_CONFIG_HOME/agent-machine/user
mkdir -p "$user_layer"
printf 'rules:\n  - {gate: modelProviderUse, match: llama32-3b, answer: deny}\n' \
    >"$user_layer/gates.yaml"
run model pull llama3.2:3b --allow-download
check "a layer's rule about the model is asked" exits 77
rm "$user_layer/gates.yaml"

# ---- used ----

run model test --model llama3.2:1b
check "then it is local" out_has "local"
check "and could answer" exits 0
run model list
check "which the list says" out_matches 'state +local'
run run -- curl -sS -m 20 http://127.0.0.1:11434/api/chat -d '{"model":"llama3.2:1b","stream":false,"messages":[]}'
check "a run is answered by it" out_has '"content": "ok"'
check "and says that no prompt left" err_has "prompts: none left this machine"
run model unbind llama3.2:3b
run model unbind llama3.2:1b
run model bind llama3.2:3b --model best
"$program" model list --json >"$scratch/bound"
small=$(sed -n 's/.*"id":"\(urn:srcos:model-provider-binding:[^"]*\)".*/\1/p' "$scratch/bound")
check "a binding is told" [ -n "$small" ]
run model unbind llama3.2:3b
run model bind llama3.2:1b --model best=llama3.2:1b
first=$(cat "$scratch/out")
run model bind llama3.2:3b --model best=llama3.2:3b --fallback "$first"
check "a model that is not there has one that stands in for it" exits 0
run model test --model best
check "which is a cached fallback" out_has "cached fallback"
check "and could answer" exits 0

exec 7>&-
wait "$servers"
run ledger verify
check "the ledger is whole" exits 0
finish
