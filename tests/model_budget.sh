# Many clients of two doors under one delegation: never more is set aside than its ceiling, every
# call is charged once, and what a provider reports beyond a reservation is charged too.
# shellcheck shell=sh disable=SC2317,SC2119,SC2086 # check calls functions; words are meant to be split
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/model_lib.sh"
run init
start_provider

# URL TOKEN MODEL COUNT: so many calls at once; the statuses are the output.
hammer() {
    curl -sS -m 60 --no-progress-meter --parallel --parallel-immediate --parallel-max 32 \
        -H "Authorization: Bearer $2" -H 'Content-Type: application/json' -o /dev/null \
        -w '%{http_code}\n' "$1/v1/chat/completions?[1-$4]" \
        -d "{\"model\":\"$3\",\"max_tokens\":20,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
}
serve() { # NUMBER OPTION…
    number=$1
    shift
    : >"$scratch/served.$number"
    "$program" model serve --port 0 --json --token-file "$scratch/token" "$@" \
        >"$scratch/served.$number" 2>"$scratch/served.err" &
    until grep -q address "$scratch/served.$number" || ! kill -0 $! 2>/dev/null; do
        sleep 0.01
    done
}
told() { # NUMBER MEMBER
    sed -n "1s/.*\"$2\":\"\\([^\"]*\\)\".*/\\1/p" "$scratch/served.$1"
}
counted() { # STATUS FILE…: how many answers have it
    count=$1
    shift
    cat "$@" | grep -c "^$count\$"
}

run model bind "$scratch/tiny.json" --model tiny --model greedy=greedy
check "a provider is bound" exits 0
network=$("$program" profile show personal --json | sed -n 's/.*"networkAccessProfileRef": *"\([^"]*\)".*/\1/p' | head -n 1)
run delegation issue --to "urn:srcos:user:$(id -un)" --operation execution.start \
    --workspace urn:srcos:workspace:personal --profile urn:srcos:agent-machine-profile:personal \
    --provider urn:srcos:model-profile:llama32-1b ${network:+--network "$network"} \
    --ceiling tokens=4000,modelCalls=1000,wallClockSeconds=2000,cpuSeconds=2000,agentConcurrency=4 \
    --id urn:srcos:delegation:hammered
check "a delegation has a ceiling" exits 0
limits="--budget wallClockSeconds=600 --budget tokens=4000 --budget modelCalls=400 --budget cpuSeconds=600
    --budget connectorCalls=0 --budget localDiskBytes=0 --budget sandboxMemoryBytes=0"
serve 1 --delegation urn:srcos:delegation:hammered $limits
first=$!
serve 2 --delegation urn:srcos:delegation:hammered $limits
second=$!
check "one door stands under it" [ -n "$(told 1 address)" ]
check "and another" [ -n "$(told 2 address)" ]

token=$(cat "$scratch/token")
hammer "$(told 1 address)" "$token" tiny 200 >"$scratch/one" &
clients=$!
hammer "$(told 2 address)" "$token" tiny 200 >"$scratch/two"
wait "$clients"
answered=$(counted 200 "$scratch/one" "$scratch/two")
refused=$(counted 429 "$scratch/one" "$scratch/two")
check "every call is answered or refused for the budget" [ $((answered + refused)) -eq 400 ]
check "some are answered" [ "$answered" -gt 0 ]
check "those alone reach the provider" calls "$answered"
check "and no more than the ceiling pays for" [ $((answered * 10)) -le 4000 ]
hammer "$(told 1 address)" "$token" greedy 1 >"$scratch/one"
check "one reports more than was reserved for it" [ "$(counted 200 "$scratch/one")" -eq 1 ]
hammer "$(told 1 address)" "$token" tiny 1 >"$scratch/one"
check "and after it nothing is paid for" [ "$(counted 429 "$scratch/one")" -eq 1 ]
try curl -sS -m 20 -H "Authorization: Bearer $token" "$(told 1 address)/v1/chat/completions" \
    -d '{"model":"tiny","max_tokens":20,"messages":[]}'
check "what is owed is not left" out_has '"left":0'
kill -TERM "$first" "$second"
wait "$first" "$second"

# ---- what the ledger says ----

run ledger export --jsonl
cp "$scratch/out" "$scratch/ledger.jsonl"
try python3 -B "$tree/tests/model_run/movements.py" "$scratch/ledger.jsonl" \
    urn:srcos:budget:delegation-hammered 4000
check "never was more set aside than the ceiling" exits 0
check "the overshoot is what was charged beyond it" out_has "used $((answered * 10 + 5006))"
run budget show --all --json urn:srcos:delegation:hammered
check "as the account has it" out_matches "\"tokens\": *\\{\"limit\": *4000, *\"reserved\": *0, *\"used\": *$((answered * 10 + 5006))"
grep -q '"overshoot":[1-9]' "$scratch/ledger.jsonl"
check "and the event says so" [ $? -eq 0 ]
run ledger verify
check "the ledger is whole" exits 0

end_provider
finish
