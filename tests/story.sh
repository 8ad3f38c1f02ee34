# One story through the command line: every type of operation, and what each leaves behind: the six
# artifacts, valid and linked, in the ledger and in an export that holds elsewhere.
# shellcheck shell=sh disable=SC2317 # check calls functions
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
mkdir -p "$HOME/src/compass" "$scratch/layer/bin"
cd "$HOME/src/compass" || exit
git init -q .
echo north >heading

last() { # TYPE: its last operation
    "$program" op list --json |
        sed -n "s/.*\"id\":\"\([^\"]*\)\".*agent_machine\.$1\".*/\1/p" | tail -n 1
}
told() { # TYPE: the story of its last operation
    run op show "$(last "$1")"
}

# ---- a person begins: a key, a ledger, a profile ----

run init
check "it begins with a profile" exits 0
key=$(sed -n 's/^your public key is //p' "$scratch/out")
told profile.create
check "which is an operation" out_matches '^state +completed;'
run model bind llama3.2:1b
check "a model is bound to it" exits 0
told model_provider.bind
check "which is one too" out_matches '^state +completed;'
run grant apply shell --to codex --for 8h --reason "For the story."
check "an agent is given a tool" exits 0
told tool_grant.apply
check "for a reason that is told" out_matches '^because +For the story\.$'

# ---- runs ----

run run -- sh -c 'echo south >heading; curl -sS http://nowhere.test/; true'
check "a command runs" exits 0
told execution.start
check "what it was denied is told" out_matches '^denied +nowhere\.test, '
check "and what it changed" out_matches '^changes +0 added, 1 modified'
run worktree apply "$(last execution.start)"
check "what it changed is taken" exits 0
check "then the host has it" test "$(cat heading)" = south
run run -d -- sleep 60
sleeper=$(last execution.start)
run op cancel "$sleeper" --reason "Enough."
check "a run is ended" exits 0
told execution.cancel
check "which is an operation" out_matches '^state +completed;'
run op wait "$sleeper"
check "and it has ended" exits 130

contained=
if command -v crun >/dev/null && command -v busybox >/dev/null; then
    cp "$(command -v busybox)" "$scratch/layer/bin/busybox"
    for name in sh cat; do
        ln -s busybox "$scratch/layer/bin/$name"
    done
    pin=$(python3 -B "$tree/tests/image/make.py" "$scratch/image" latest "$scratch/layer")
    run run --image "oci:$scratch/image@$pin" -- sh -c 'cat heading; echo west >west'
    check "a command runs in an image" out_is south
    contained=$(last execution.start)
    run op show "$contained"
    check "by its tier" out_matches '^launch +tier container'
    run run --alone --image "oci:$scratch/image@$pin" -- cat heading
    check "and by itself, without an agent's run around it" out_is south
    told container.run
    check "which is an operation of that type" out_matches '^type +agent_machine\.container\.run$'
    check "and has completed" out_matches '^state +completed;'
else
    skip "an image" "there is no crun, or no busybox"
fi
run grant revoke "$("$program" grant list --json | sed -n '1s/.*"id":"\([^"]*\)".*/\1/p')" --reason "Done."
check "the tool is taken back" exits 0
told tool_grant.revoke
check "which is an operation" out_matches '^state +completed;'
run diagnostics export --output "$scratch/bundle.tar.zst"
check "what happened is bundled" exits 0
told diagnostics.export_redacted
check "which is an operation" out_matches '^state +completed;'

# ---- what it comes to ----

operations=$("$program" op list --json | sed -n 's/.*"id":"\(urn:srcos:workspace-operation:[^"]*\)".*/\1/p')
# shellcheck disable=SC2086 # each is an operand
run op export -o "$scratch/export.json" $operations
check "all of it is exported" exits 0
cat >"$scratch/look.py" <<'END'
"""The types of operations and tasks, and the artifacts with what links them, as an export has them."""
import json, sys
export = json.load(open(sys.argv[1]))
documents = {d["documentRef"]: (d["documentType"], d.get("document")) for d in export["documents"]}
bound = {(e["documentRef"], e["digest"]) for entry in export["events"]
         for e in entry["event"].get("documents", [])}
digests = {d["documentRef"]: d["digest"] for d in export["documents"]}
named = {}
for kind, document in documents.values():
    if kind == "WorkspaceOperation":
        print("operation", document["operationType"])
        for artifact in document.get("artifacts", []):
            named[artifact["artifactRef"]] = document["id"]
    if kind == "OperationTask":
        print("operation", document["taskType"])
for ref, operation in named.items():
    kind, document = documents.get(ref, (None, None))
    if kind is None:
        assert ref.startswith("urn:srcos:change-set:"), ref + " is not in the export"
        continue
    assert (ref, digests[ref]) in bound, ref + " is bound by no event"
    back = document.get("operationRef", operation)
    assert back == operation, ref + " names another operation"
    print("artifact", kind)
END
try python3 "$scratch/look.py" "$scratch/export.json"
check "its artifacts are named by their operations and bound by events" exits 0
for type in profile.create execution.start execution.cancel tool_grant.apply tool_grant.revoke \
    ${contained:+container.run} model_provider.bind diagnostics.export_redacted; do
    check "$type is among the operations" out_matches "^operation agent_machine\.$type\$"
done
for type in LocalAgentExecution ToolGrantRecord ${contained:+ContainerExecutionRecord} \
    ModelProviderBinding AgentMachineDiagnosticBundle AgentMachineProfile; do
    check "$type is among the artifacts" out_matches "^artifact $type\$"
done
run ledger verify
check "the ledger is whole" exits 0
try env -i PATH="$PATH" HOME="$scratch" "$program" op import "$scratch/export.json" --key "$key"
check "the export holds elsewhere: every document is valid, and where it belongs" exits 0
mkdir "$scratch/documents"
try python3 -c 'import base64, json, sys
for i, d in enumerate(json.load(open(sys.argv[1]))["documents"]):
    document = d.get("document")
    if document is None and d["documentType"] == "Delegation":
        document = json.loads(base64.b64decode(d["envelope"]["payload"]))
    if document is not None:
        json.dump(document, open(f"{sys.argv[2]}/{i}.json", "w"))' "$scratch/export.json" "$scratch/documents"
run contract validate "$scratch"/documents/*.json
check "each by its schema alone" exits 0
finish
