# A model that a layer leaves to a person: a call waits for the answer at the run's terminal, and for
# more of a budget too; elsewhere it is denied for now.
# shellcheck shell=sh disable=SC2317,SC2119 # check calls functions
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/model_lib.sh"
git init -q .
run init
start_provider
cat >ask <<'END'
#!/bin/sh
curl -sS -m "${1:-60}" -w ' %{http_code}\n' -H 'Content-Type: application/json' \
    http://127.0.0.1:11434/v1/chat/completions \
    -d '{"model":"tiny","max_tokens":20,"messages":[{"role":"user","content":"hi"}]}'
END
chmod +x ask
run model bind "$scratch/tiny.json" --model tiny
check "a model is bound" exits 0
mkdir -p "$XDG_CONFIG_HOME/agent-machine/user"
cat >"$XDG_CONFIG_HOME/agent-machine/user/gates.yaml" <<END
rules:
  - gate: modelProviderUse
    match: llama32-1b
    answer: ask
    reason: A person lets models answer.
END

run run -- ./ask
check "without a terminal a call is denied for now" out_matches ' 403$'
check "with what would let it through" out_has "A person has been asked"
check "and the provider is not asked" calls 0
run op decide no
check "somebody answers" exits 0
try timeout 200 python3 -B "$tree/tests/terminal_models.py" "$program"
check "at its terminal a call waits for the answer" exits 0
check "and says nothing of being other" out_empty

# ---- more of a budget, for a run that nobody else has delegated ----

rm "$XDG_CONFIG_HOME/agent-machine/user/gates.yaml"
asked=$(wc -l <"$scratch/log")
try timeout 200 python3 -B "$tree/tests/terminal_models.py" "$program" budget
check "what a run's own budget lacks is asked there too, within the profile's" exits 0
check "and says nothing of being other there" out_empty
check "no more calls went out than were paid" calls $((asked + 4))
run op list --json
last=$(sed -n 's/.*"id":"\([^"]*\)".*execution\.start.*/\1/p' "$scratch/out" | tail -n 1)
run op show "$last"
check "the record tells that it was given" out_has top-up
run budget show --json "$last"
cp "$scratch/out" "$scratch/budget.json"
run contract lint "$scratch/budget.json"
check "and the budget is a valid document" exits 0
run ledger verify
check "the ledger is whole" exits 0
end_provider
finish
