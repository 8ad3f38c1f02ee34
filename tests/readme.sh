# Every command that README.md shows does what it shows, for somebody who begins with nothing.
# shellcheck shell=sh
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
