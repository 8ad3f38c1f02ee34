# The diagnostics bundle: what is in it, what is never in it, and what hostile ones come to.
# shellcheck shell=sh disable=SC2317
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
state=$XDG_STATE_HOME/agent-machine config=$XDG_CONFIG_HOME/agent-machine
mkdir -p "$HOME/src/compass" "$config/user"
cd "$HOME/src/compass" || exit
git init -q .

json() { # EXPRESSION over `d`, the JSON that the last run printed
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
        "$scratch/out" "$1"
}
json_is() { # EXPRESSION EXPECTED
    [ "$(json "$1")" = "$2" ]
}
unpack() { # BUNDLE FOLDER
    rm -rf "$2" && mkdir "$2" && zstd -dqc "$1" | tar -xf - -C "$2"
}

# --- what is planted ------------------------------------------------------------------------------

# Tokens by shape, passwords behind names, values that only references.yaml tells of, and prompts.
python3 -B "$tree/tests/redact/plant.py" "$scratch/planted.json" >"$scratch/planted.txt"
by_shape() { # prints everything that has a shape or a name, one on a line
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["text"])' "$scratch/planted.json"
}
of() { # NAME
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]], end="")' \
        "$scratch/planted.json" "$1"
}
prompt=$(of prompt) literal=$(of literal) other=$(of otherLiteral)
(umask 077 && printf '%s\n' "$literal" >"$HOME/own-secret")
OWN_VARIABLE=$other
export OWN_VARIABLE
cat >"$config/user/references.yaml" <<END
secrets:
  "secret://corp/file": { file: $HOME/own-secret }
  "secret://corp/variable": { env: OWN_VARIABLE }
  "secret://corp/lines": { command: [printf, 'first-of-$literal\nsecond-of-$literal\n'] }
# $(of token) $prompt
END
cat >"$config/user/network.yaml" <<END
id: urn:srcos:network-access-profile:mine
type: NetworkAccessProfile
specVersion: 1.0.0
name: $prompt $literal
scope: user
defaultDecision: deny
profiles:
  - profileId: $literal
    profileClass: user-firewall
    priority: 10
    defaultEgress: allow-listed
    allowDomains: [api.example.com]
    denyDomains: ["$literal.example.net"]
evidence: {}
END
cat >"$config/user/contract.json" <<END
{"id": "urn:srcos:capability-contract:asker", "type": "CapabilityContract", "specVersion": "1.0.0",
 "componentRef": "urn:srcos:component:$literal", "componentKind": "app",
 "declaredCapabilities": [{"capability": "files.read:/home/$literal", "requiredFor": "$prompt",
  "fallback": "degraded", "userVisibleImpact": "$prompt $literal"}],
 "requiredBrokers": [], "minimumBootPhase": "sealed-boot", "degradedModePolicy": "continue-limited",
 "userVisibleImpact": "$prompt", "evidenceRefs": []}
END

by_shape >everything.txt
run run -- sh -c "cat everything.txt; printf '%s\n' '$prompt' '$literal'; exit 3" "$prompt" "$literal"
check "a run that prints all of it" exits 3
ran=$(basename "$(dirname "$(find "$state/runs" -name log | head -n 1)")")
check "left a log" [ -n "$ran" ]
run op submit - <<END
{"$prompt": 1}
END
run run -- true
run op cancel --reason "$prompt $literal $(of token) password=$(of password)" "$ran"
run profile create --preset "$literal"
run run --profile "$literal" -- true
run delegation issue --purpose "$prompt $(of token)"
GITHUB_TOKEN=$(of token) DB_PASSWORD=$(of password) NOTE=$prompt PLAIN=$literal
USER_PROMPT=$prompt LANG=$(of token) HOSTNAME=secret-host-name.corp.example USER=adalovelace
TERM=xterm-$other
export GITHUB_TOKEN DB_PASSWORD NOTE PLAIN USER_PROMPT LANG HOSTNAME USER TERM

# --- the export -----------------------------------------------------------------------------------

run diagnostics export --dry-run
check "what would be in it can be listed" exits 0
check "by file" out_matches '^operations/.*json .* operations'
check "with nothing written" [ ! -e "$state/bundles" ]
check "and no operation" sh -c "! '$program' op list | grep -q diagnostics"
check "on 80 columns at most, where names allow it" out_has 'host.json '

run diagnostics export -o first.tar.zst
check "a bundle is exported" exits 0
check "it says what was removed" out_has 'removed: '
check "the file is its owner's alone" [ "$(stat -c %a first.tar.zst)" = 600 ]
unpack first.tar.zst first
for file in versions.json host.json policy.json environment.txt doctor/host.json doctor/network.json doctor/phase.json \
    doctor/preflight-0001.json operations.json manifest.json; do
    check "it has $file" [ -s "first/$file" ]
done
check "and operations with their events" sh -c 'ls first/operations/*.json first/events/*.jsonl >/dev/null'
check "every JSON in it can be read" python3 -c '
import json, pathlib
for path in pathlib.Path("first").rglob("*.json"):
    json.loads(path.read_text())
for path in pathlib.Path("first").rglob("*.jsonl"):
    [json.loads(line) for line in path.read_text().splitlines()]'
try python3 -B "$tree/tests/redact/plant.py" --search "$scratch/planted.json" first first.tar.zst
check "nothing that was planted is in it, in any form" exits 0
check "the search looks for all of it" out_matches '^searched for [0-9]{2,} texts in [0-9]+ forms'
try grep -rilE 'secret-host-name|adalovelace' first
check "no name of host or user is in it" exits 1
check "nor the host's own" sh -c "! grep -q '\"hostName\": \"$(hostname)\"' first/host.json"
if [ "$(id -u)" -ne 0 ]; then # root is no name of anybody
    try grep -rl "$(id -un)" first
    check "nor the name of who asked" exits 1
fi
check "the tier is in it" grep -q '"tier": "' first/host.json
check "policy is there by digest and rule" grep -q '"rule": "' first/policy.json
check "the environment keeps its names" grep -q '^DB_PASSWORD=\[redacted:' first/environment.txt
check "and what harms nobody" grep -q '^PATH=/' first/environment.txt

# --- the manifest ---------------------------------------------------------------------------------

run contract validate first/manifest.json
check "the manifest is an AgentMachineDiagnosticBundle" exits 0
run contract lint first/manifest.json
check "and keeps the rules" exits 0
run diagnostics inspect --json first.tar.zst
check "what was removed is counted by kind" json_is \
    '[kind in d["redactions"] for kind in ("free-text", "host-name", "environment-value")]' \
    '[True, True, True]'
check "it names its operation" json_is 'd["operationRef"].startswith("urn:srcos:workspace-operation:")' True
check "and who asked by pseudonym" json_is 'd["subjectRef"].startswith("urn:srcos:user:user-")' True
run op list --json
check "the operation is of its type, and completed" out_matches \
    '"state":"completed".*"operationType":"agent_machine.diagnostics.export_redacted"'
check "its artifact is the bundle" out_has '"artifactType":"AgentMachineDiagnosticBundle"'

# --- reproducible ---------------------------------------------------------------------------------

run diagnostics export -o second.tar.zst
check "a second export of the same state" exits 0
check "has the same bytes" cmp first.tar.zst second.tar.zst
run run -- true
run diagnostics export -o third.tar.zst
check "another state is another bundle" sh -c '! cmp -s first.tar.zst third.tar.zst'

# --- what is named --------------------------------------------------------------------------------

python3 -B "$tree/tests/redact/plant.py" --file "$scratch/planted.json" >settings.log
run diagnostics export -f settings.log -l "$ran" -o named.tar.zst
check "files and logs are in where they are named" exits 0
unpack named.tar.zst named
check "the file's harmless lines are in it" grep -rq 'a harmless line' named/named
check "the log is there" sh -c 'ls named/named/*-log >/dev/null'
try python3 -B "$tree/tests/redact/plant.py" --search "$scratch/planted.json" --but-prompts named named.tar.zst
check "nothing secret of them is" exits 0
run diagnostics inspect --json named.tar.zst
check "the manifest says who named them" json_is \
    '{f["namedByRef"] for f in d["files"] if f.get("raw")} == {d["subjectRef"]}' True
check "own secrets are counted" json_is 'd["redactions"]["own-secret"] > 0' True
run diagnostics export "$ran" -o about.tar.zst
unpack about.tar.zst about
check "one operation can be asked for" [ "$(find about/operations -type f | wc -l)" = 1 ]
run diagnostics export nothing-of-this-name -o x.tar.zst
check "one that is not there is refused" exits 1
run diagnostics export -f /nonexistent -o x.tar.zst
check "so is a file that is not there" exits 1

# --- limits and refusals --------------------------------------------------------------------------

run diagnostics export --max-size 30000 -o small.tar.zst
check "what does not fit is left out" exits 0
unpack small.tar.zst small
check "and said to be" grep -qE '"leftOut": [1-9]' small/operations.json
run diagnostics export --max-size 100 -o x.tar.zst
check "what is too small for anything is refused" exits 65
run diagnostics export --max-size none
check "a limit is a number" exits 2
rm "$HOME/own-secret"
run diagnostics export -o warned.tar.zst
check "a secret that cannot be had ends with a warning" exits 0
run op list --json
check "that says so" out_has '1 of 3 secrets'
cat >"$config/user/gates.yaml" <<END
rules:
  - { gate: artifactAccess, match: "*", answer: deny }
END
run diagnostics export -o denied.tar.zst
check "a layer may deny it" exits 77
check "and then nothing is written" [ ! -e denied.tar.zst ]
rm "$config/user/gates.yaml"

# --- bundles of others ----------------------------------------------------------------------------

run diagnostics inspect first.tar.zst
check "a bundle can be looked into" out_has 'every digest is as its manifest says'
python3 -B "$tree/tests/redact/plant.py" --tamper first.tar.zst tampered.tar.zst
run diagnostics inspect tampered.tar.zst
check "one that was changed is noticed" exits 1
check "by file" err_has 'host.json is otherwise than the manifest says'
for kind in link path device bomb; do
    python3 -B "$tree/tests/redact/plant.py" "--$kind" hostile.tar.zst
    run diagnostics inspect hostile.tar.zst
    check "a hostile one is refused: $kind" exits 65
done
printf 'no bundle' >none.tar.zst
run diagnostics inspect none.tar.zst
check "what is none is refused" exits 65
check "nothing was unpacked anywhere" [ ! -e link ]

# --- taking it back -------------------------------------------------------------------------------

kept=$(find "$state/bundles" -type f | wc -l)
exported=$("$program" op list --json | grep export_redacted | grep '"state":"completed"' | tail -n 1 |
    sed 's/.*"id":"\(urn:srcos:workspace-operation:[^"]*\)".*/\1/')
run op compensate "$exported"
check "an export is taken back" exits 0
check "its bundle is deleted here" [ "$(find "$state/bundles" -type f | wc -l)" = $((kept - 1)) ]

finish
