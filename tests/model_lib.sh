# model_lib: a home with a ledger, and a scripted model provider beside it.
# shellcheck shell=sh disable=SC2154 # of lib.sh

export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
mkdir -p "$HOME/src/compass"
cd "$HOME/src/compass" || exit

# Its port is $port, $scratch/log what it was asked, and requests.jsonl all of it; tiny.json is its LocalModelProfile.
start_provider() { # [CERTIFICATE KEY]
    mkfifo "$scratch/life"
    python3 -B "$tree/tests/model_run/provider.py" "$scratch" "$@" <"$scratch/life" &
    provider=$!
    exec 7>"$scratch/life"
    until [ -f "$scratch/port" ] || ! kill -0 "$provider" 2>/dev/null; do
        sleep 0.01
    done
    port=$(cat "$scratch/port")
    touch "$scratch/log"
    sed -e 's/"kind": "ollama"/"kind": "openai-compatible"/' \
        -e "s|http://127.0.0.1:11434|http://127.0.0.1:$port/v1|" \
        "$tree/examples/local-model-profile.llama32-1b.json" >"$scratch/tiny.json"
}

end_provider() {
    exec 7>&-
    wait "$provider"
}

calls() { # COUNT: of the provider
    [ "$(wc -l <"$scratch/log")" -eq "$1" ]
}
