# model serve: the door outside a run, on loopback or at a socket, within a budget, and recovered.
# shellcheck shell=sh disable=SC2317,SC2119 # check calls functions
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/model_lib.sh"
run init
start_provider

serve() { # OPTION…: in the background; its first lines are there when it serves
    : >"$scratch/served"
    "$program" model serve --json "$@" >"$scratch/served" 2>"$scratch/served.err" &
    server=$!
    until grep -q address "$scratch/served" || ! kill -0 "$server" 2>/dev/null; do
        sleep 0.01
    done
    address=$(told address)
    token=$(told token)
    operation=$(told operation)
}
told() { # MEMBER
    python3 -c 'import json, sys
print(json.loads(open(sys.argv[1]).readline() or "{}").get(sys.argv[2], ""))' "$scratch/served" "$1"
}
is_like() { # PATTERN TEXT
    printf '%s\n' "$2" | grep -qE -- "$1"
}
out_lacks_matching() { # EXTENDED-REGULAR-EXPRESSION
    ! out_matches "$1"
}
mode_is() { # MODE FILE
    [ "$(stat -c %a "$2")" = "$1" ]
}
ended() { # STATUS: of the server
    wait "$server"
    server_status=$?
    [ "$server_status" -eq "$1" ]
}
ask() { # TOKEN [MAX_TOKENS] [CURL…]
    key=$1 limit=${2:-20}
    shift $(($# < 2 ? $# : 2))
    try curl -sS -m 20 -w ' %{http_code}' -H "Authorization: Bearer $key" \
        -H 'Content-Type: application/json' "$@" "${address#unix:*}/v1/chat/completions" \
        -d "{\"model\":\"tiny\",\"max_tokens\":$limit,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
}

# ---- what cannot be served ----

run model serve --port 0
check "without a binding there is nothing to serve" exits 1
check "and it is said how one is made" err_has "model bind"
run model bind "$scratch/tiny.json" --model tiny
check "a model is bound" exits 0
run model serve --port many
check "many is no port" exits 2
run model serve --socket "$scratch/s" --port 1
check "it is one place or the other" exits 2
run model serve --port 0 --budget wall=1
check "a budget has a dimension" exits 2

# ---- on loopback ----

serve --port 0
check "it says where it is" is_like '^http://127.0.0.1:[0-9]*$' "$address"
check "and the token, once" is_like '^am-[0-9a-f]*$' "$token"
ask "$token"
check "who shows the token is answered" out_matches ' 200$'
ask wrong
check "who shows another one is not" out_matches ' 401$'
try curl -sS -m 20 -H "x-api-key: $token" "$address/v1/models"
check "as the key of any client" out_has '"id":"tiny"'
try sh -c "tr '\\0' ' ' </proc/$server/cmdline"
check "the token is in no argument" out_lacks "$token"
run ps
check "it is among what runs" out_has "agent-machine"
kill -TERM "$server"
check "it ends when it is asked to" ended 0
try cat "$scratch/served"
check "and says what left this machine, zero being zero" out_has '"promptEgress":{"bytes":0,"calls":0}'
check "as a completed operation" out_has '"state":"completed"'
check "with what it used" out_has '"calls":1,"tokens":10'
run ledger export --jsonl
check "the ledger has no token" out_lacks "$token"
check "but the statement of what left" out_has "Prompts that left this machine: 0 bytes in 0 calls."
check "and the call" out_has '"modelCall":{"answerBytes":'
run budget show "$operation"
check "what it used was charged" out_matches 'tokens.* 10'

# ---- at a socket, with a token of one's own ----

serve --socket "$scratch/models.sock" --token-file "$scratch/token"
check "it is at the socket" is_like '^unix:' "$address"
check "the token is in a file for its owner alone" mode_is 600 "$scratch/token"
check "as is the socket" mode_is 600 "$scratch/models.sock"
check "and is not printed" is_like '^$' "$token"
token=$(cat "$scratch/token") address=http://models
ask "$token" 20 --unix-socket "$scratch/models.sock"
check "clients of the socket are answered" out_matches ' 200$'
run model serve --socket "$scratch/models.sock" --token-file "$scratch/token"
check "a second one finds the place taken" exits 1
kill -INT "$server"
check "it ends at a terminal's word too" ended 0
check "and the socket goes" [ ! -e "$scratch/models.sock" ]
chmod 644 "$scratch/token"
run model serve --port 0 --token-file "$scratch/token"
check "a token that others can read is none" exits 77
chmod 600 "$scratch/token"

# ---- its budget ----

serve --port 0 --budget modelCalls=1
ask "$token"
ask "$token"
check "calls beyond the budget are refused in the client's words" out_matches ' 429$'
check "with whose ceiling it was" out_has '"dimension":"modelCalls"'
run stop "$operation"
check "stop ends it" out_has "canceled"
check "as a run" ended 130
serve --port 0 --budget wallClockSeconds=1
check "its time ends it" ended 78
try cat "$scratch/served.err"
check "and is named" out_has "wallClockSeconds"
serve --port 0 --budget cpuSeconds=0
check "so does its share of the processor" ended 78
try cat "$scratch/served.err"
check "by its name" out_has "cpuSeconds"

# ---- taken back, and killed ----

serve --port 0
run op show "$operation" --json
run delegation revoke "$(sed -n 's/.*"delegationRef": "\(.*\)".*/\1/p' "$scratch/out")"
check "what it runs under is taken back" exits 0
check "which ends it" ended 130
try cat "$scratch/served.err"
check "and is said" out_has "revoked"

serve --port 0
calls_before=$(wc -l <"$scratch/log")
ask "$token"
kill -KILL "$server"
wait "$server"
run recover
check "what a killed one leaves is recovered" exits 0
run op show "$operation" --json
check "its operation has ended" out_has '"state": "failed"'
run budget show --all --json "$operation"
check "with nothing set aside" out_matches '"reserved": *0'
check "in any dimension" out_lacks_matching '"reserved": *[1-9]'
serve --socket "$scratch/models.sock" --token-file "$scratch/token"
kill -KILL "$server"
wait "$server"
check "a killed one leaves its socket" [ -S "$scratch/models.sock" ]
serve --socket "$scratch/models.sock" --token-file "$scratch/token"
check "which the next one takes" is_like '^unix:' "$address"
kill -TERM "$server"
check "and ends" ended 0
check "each call was one of the provider's" [ "$(wc -l <"$scratch/log")" -gt "$calls_before" ]
run ledger verify
check "the ledger is whole" exits 0

end_provider
finish
