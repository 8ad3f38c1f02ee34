# Every command that README.md shows does what it shows, for somebody who begins with nothing.
# shellcheck shell=sh disable=SC2016,SC2046 # words are split
# Servers that README speaks of stand at their own ports: in a network of the test's own.
if [ -z "${AM_TEST_OWN_NETWORK:-}" ]; then
    AM_TEST_OWN_NETWORK=1 exec unshare -n $([ "$(id -u)" -eq 0 ] || echo --map-current-user --keep-caps) \
        sh -c 'ip link set lo up && ip address add 151.101.7.7/32 dev lo && exec sh "$0"' "$0"
fi
. "$(dirname "$0")/lib.sh"

mkdir -p "$scratch/bin" "$scratch/h"
ln -s "$program" "$scratch/bin/agent-machine"
if ! command -v sqlite3 >/dev/null; then
    cat >"$scratch/bin/sqlite3" <<'END'
#!/usr/bin/env python3
import sqlite3, sys
sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])
END
    chmod +x "$scratch/bin/sqlite3"
fi
cp /bin/true "$scratch/bin/codex" # a tool that is granted
PATH=$scratch/bin:$PATH HOME=$scratch/h
export PATH HOME
unset XDG_STATE_HOME XDG_CONFIG_HOME
if command -v dbus-daemon >/dev/null; then # the reader sits in a session
    DBUS_SESSION_BUS_ADDRESS=unix:path=$scratch/bus
    export DBUS_SESSION_BUS_ADDRESS
    bus=$(dbus-daemon --session --fork --print-pid --address="$DBUS_SESSION_BUS_ADDRESS")
    trap 'kill "$bus"; ended_early' EXIT
fi
# Ollama with a model that it can fetch, and a hosted provider by the name of models.example.com.
mkdir -p "$scratch/ollama" "$scratch/provider" "$HOME/.config/agent-machine/user"
touch "$scratch/ollama/go"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=models.example.com \
    -addext subjectAltName=DNS:models.example.com -keyout "$scratch/key.pem" -out "$scratch/cert.pem" \
    2>"$scratch/openssl.log"
mkfifo "$scratch/life"
python3 -B "$tree/tests/model_run/ollama.py" "$scratch/ollama" <"$scratch/life" &
ollama=$!
python3 -B "$tree/tests/model_run/provider.py" "$scratch/provider" "$scratch/cert.pem" \
    "$scratch/key.pem" 151.101.7.7 443 <"$scratch/life" &
provider=$!
exec 7>"$scratch/life"
until { [ -f "$scratch/ollama/ready" ] && [ -f "$scratch/provider/port" ]; } ||
    ! kill -0 "$ollama" "$provider" 2>/dev/null; do
    sleep 0.01
done
printf 'names: {models.example.com: 151.101.7.7}\nauthorities: [%s]\n' "$scratch/cert.pem" \
    >"$HOME/.config/agent-machine/user/references.test.yaml"
printf 'sk-of-the-gateway-0123456789\n' >"$HOME/.config/gateway.key"
chmod 600 "$HOME/.config/gateway.key"
cp -r "$tree/tests/readme" "$scratch/folder"
cd "$scratch/folder" || exit

suite=${AM_TEST_DATA:-}/json-schema-test-suite
if [ -d "$suite" ]; then
    mkdir tests
    ln -s "$suite/tests/draft2020-12" tests/draft2020-12
    ln -s "$suite/remotes" remotes
    cp "$tree/README.md" README.md
else
    grep -v '^\$ agent-machine contract conformance' "$tree/README.md" >README.md
    skip "the official suite" "AM_TEST_DATA does not name a folder that has it"
fi

try python3 -B "$tree/tests/readme.py" README.md exit-statuses
check "every command in README.md does what it shows" exits 0
[ "$failed" -eq 0 ] || cat "$scratch/out"
check "a delegation is among them" out_has "as shown  agent-machine delegation issue"
check "a gate is" out_has "as shown  agent-machine policy explain"
check "a receipt is" out_has "as shown  env -i"
check "a ledger that was tampered with is" out_has "as shown  sqlite3"

: >"$HOME/.local/state/agent-machine/.tampered"
exec 7>&-
wait "$ollama" "$provider"

[ -z "${bus:-}" ] || kill "$bus"
trap 'ended_early' EXIT

# ---- what is not as shown is found ----

cat >wrong.md <<'END'
```
$ agent-machine version --json
nothing of the kind
```
END
try python3 -B "$tree/tests/readme.py" wrong.md /dev/null
check "another output is found" exits 1
check "and shown" out_has "OTHERWISE agent-machine version --json"
cat >wrong.md <<'END'
```
$ agent-machine contract validate mine.json
…
```
END
try python3 -B "$tree/tests/readme.py" wrong.md /dev/null
check "another exit status is found" exits 1
check "and said" out_has "exit status 65, expected 0"
try python3 -B "$tree/tests/readme.py" wrong.md exit-statuses
check "a status of a command that is gone is found" exits 1
finish
