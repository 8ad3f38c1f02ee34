# A run and its models: what is bound answers inside, within its budget, and is on record.
# shellcheck shell=sh disable=SC2317,SC2119 # check calls functions
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/model_lib.sh"
git init -q .
run init
start_provider

cat >ask <<'END'
#!/bin/sh
curl -sS -w ' %{http_code}' -H 'Authorization: Bearer from-the-client' \
    -H 'Content-Type: application/json' http://127.0.0.1:11434/v1/chat/completions \
    -d "{\"model\":\"$1\",\"max_tokens\":${2:-20},\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
END
chmod +x ask

# The last run's record.
record() {
    python3 -c 'import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(row[0])' \
        "$XDG_STATE_HOME/agent-machine/ledger.db" "SELECT json FROM document
        WHERE id LIKE '%:local-agent-execution:%' ORDER BY id DESC LIMIT 1" >"$scratch/out"
}

# ---- nothing is bound ----

run run -- ./ask tiny
check "without a binding the door says that nothing answers" out_matches ' 40[34]$'
run run -- curl -sS -m 5 "http://127.0.0.1:$port/v1/models"
check "and the provider itself is not reached from inside" err_has "curl"

# ---- a model of this machine ----

run model bind "$scratch/tiny.json" --model tiny
check "a profile of one's own is bound" exits 0
run run -- ./ask tiny
check "then its model answers inside" out_has '"content": "ok"'
check "with the provider's own answer" out_matches ' 200$'
check "the provider was asked once" calls 1
try grep -q '^/v1/chat/completions - llama3.2:1b$' "$scratch/log"
check "by its own name for the model, and without the client's key" exits 0
record
check "its tokens are charged as the provider reported them" out_has '"modelCalls":1,"tokens":10'
check "and zero prompts that left are stated as zero" \
    out_has '"promptEgress":{"bytes":0,"calls":0,"destinations":[]}'
run run -- ./ask other
check "a model that is not bound is not answered" out_matches ' 404$'
run model usage
check "what was used is in the ledger" out_has "7 in, 3 out"
check "and that nothing left" out_has "prompts stayed on this machine"
run ledger export --jsonl
check "of the call there is its digest" out_has '"modelCall":{"answerBytes":'
check "and no word of the prompt or the answer" out_lacks '"content"'
check "the verdict stands in the record" out_has '"decision":{"gate":"modelProviderUse",'

# ---- its budget ----

run run --budget modelCalls=2 -- sh -c 'for i in 1 2 3; do ./ask tiny; echo; done'
check "calls beyond a budget are refused" out_matches ' 429$'
check "with the ceiling" out_has "modelCalls"
check "and the two that it covers are not" calls 3
run run --budget tokens=300 -- ./ask tiny 4000
check "nor does a call go out that could cost more tokens than there are" out_has '"dimension":"tokens"'
check "so that the provider knows nothing of it" calls 3

# ---- from inside an image ----

if command -v crun >/dev/null && command -v busybox >/dev/null; then
    mkdir -p "$scratch/layer/bin"
    cp "$(command -v busybox)" "$scratch/layer/bin/busybox"
    ln -s busybox "$scratch/layer/bin/sh"
    ln -s busybox "$scratch/layer/bin/wget"
    image=oci:$scratch/image@$(python3 -B "$tree/tests/image/make.py" "$scratch/image" latest "$scratch/layer")
    question='{"model":"tiny","max_tokens":20,"messages":[{"role":"user","content":"hi"}]}'
    for alone in '' --alone; do
        run run $alone --image "$image" -- wget -q -O - --header 'Content-Type: application/json' \
            --post-data "$question" http://127.0.0.1:11434/v1/chat/completions
        check "a model answers in a container${alone:+ of its own}" out_has '"content": "ok"'
    done
    check "by the same door, each paid" calls 5
    run op show "$("$program" op list --json | sed -n 's/.*"id":"\([^"]*\)".*container\.run.*/\1/p' | tail -n 1)"
    check "and its record tells of it" out_matches '^models +1 call, 10 tokens'
else
    skip "a model in an image" "there is no crun, or no busybox"
    calls_before_unbinding=3
fi

# ---- and no longer ----

run model unbind urn:srcos:model-profile:llama32-1b
run run -- ./ask tiny
check "what is unbound answers no more" out_matches ' 40[34]$'
check "and is not asked" calls "${calls_before_unbinding:-5}"
run ledger verify
check "the ledger is whole" exits 0

end_provider
finish
