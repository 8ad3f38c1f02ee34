# preflight_lib: a contract that asks for something, and what is found about it; sourced behind
# session_lib.sh.
# shellcheck shell=sh disable=SC2034,SC2154

# Writes a contract of the component `asker` that declares these capabilities, each `degraded`.
asks() { # CAPABILITY…
    python3 -c 'import json, sys
print(json.dumps({"id": "urn:srcos:capability-contract:asker", "type": "CapabilityContract",
    "specVersion": "1.0.0", "componentRef": "urn:srcos:component:asker", "componentKind": sys.argv[1],
    "declaredCapabilities": [{"capability": word.lstrip("?"), "requiredFor": "Work.",
        "fallback": "skip" if word[0] == "?" else "degraded", "userVisibleImpact": "Less is done."}
        for word in sys.argv[6:]],
    "requiredBrokers": sys.argv[2].split(), "minimumBootPhase": sys.argv[3],
    "degradedModePolicy": sys.argv[4], "userVisibleImpact": sys.argv[5], "evidenceRefs": []}))' \
        "${kind:-app}" "${brokers:-}" "${phase:-sealed-boot}" "${policy:-continue-limited}" \
        "It does less." "$@" >"$scratch/contract.json"
    chmod 644 "$scratch/contract.json"
}
# What is found about the first capability, both ways: decision, source, and the word for people.
# shellcheck disable=SC2317 # check calls these
found() { # WORD DECISION SOURCE
    run doctor preflight "$scratch/contract.json"
    out_matches "^  .* $1( |$)" || out_matches "^ +$1 " || return 1
    run doctor preflight --json "$scratch/contract.json"
    state_is "states[0]['decision'] == '$2' and states[0]['grantSource'] == '$3'"
}
# shellcheck disable=SC2317
state_is() { # PYTHON-EXPRESSION over `states`
    python3 -c 'import json, sys
states = json.load(open(sys.argv[1]))["capabilityStates"]
sys.exit(not eval(sys.argv[2]))' "$scratch/out" "$1"
}
# shellcheck disable=SC2317
narrow() {
    ! grep -qE '.{81}' "$scratch/out"
}
# As somebody to whom root's rights do not speak.
as_user() { # COMMAND…
    [ "$(id -u)" -ne 0 ] || set -- runuser -u nobody -- env HOME="$scratch/nobody" "$@"
    try "$@"
}
me=$(id -un)
[ "$(id -u)" -ne 0 ] || me=nobody

elsewhere() { # SCRIPT, in mounts of its own
    set -- sh -c "$1"
    [ "$(id -u)" -eq 0 ] || set -- --map-root-user --user "$@"
    try unshare --mount "$@"
}
export program scratch
