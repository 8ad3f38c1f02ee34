# What this host gives, at the command line: tiers, facts, and the command that mends what is missing.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"

# shellcheck disable=SC2317 # check calls it
narrow() {
    ! grep -qE '.{81}' "$scratch/out"
}
# shellcheck disable=SC2317 # check calls it
json_says() { # PYTHON-EXPRESSION over `host`
    python3 -c 'import json, sys
host = json.load(open(sys.argv[1]))
facts = {fact["fact"]: fact for fact in host["facts"]}
tiers = {tier["tier"]: tier for tier in host["tiers"]}
sys.exit(not eval(sys.argv[2]))' "$scratch/out" "$1"
}

run doctor host
if exits 0; then
    check "this host gives namespaces" out_matches "^  namespaces +yes$"
else
    skip "this host gives namespaces" "$(grep '^  namespaces' "$scratch/out")"
fi
check "the tier comes first" out_has "This host gives the isolation tier: "
check "the lines fit a terminal" narrow
check "each fact has a line" out_matches "^  user-namespaces +(good|missing) "
run doctor host --json
check "the same in JSON" \
    json_says 'host["tier"] == [t for t in tiers if tiers[t]["given"]][-1]'
check "with all tiers in order" \
    json_says 'list(tiers) == ["process", "namespaces", "container", "vm"]'
check "with a reason for each that is not given" \
    json_says 'all(t["given"] or t["reason"] for t in tiers.values())'
check "each fact says what was seen and what it means" \
    json_says 'all(f["evidence"] and f["meaning"] for f in facts.values())'

# Where user namespaces are switched off: in a user namespace that may have none inside of it.
without_namespaces() { # COMMAND…
    # shellcheck disable=SC2016 # for the inner shell
    set -- unshare --user --map-root-user \
        sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"' - "$@"
    try "$@"
}
without_namespaces "$program" doctor host
check "without user namespaces the answer is no" exits 1
check "the reason is given" out_matches "^  namespaces +no: no user namespace can be made"
check "and the one command that mends it" \
    out_has "Try: sudo sysctl -w user.max_user_namespaces=15000"
check "the lines fit then, too" narrow
without_namespaces "$program" doctor host --json
check "and JSON has the command" \
    json_says 'tiers["namespaces"]["remedy"].startswith("sudo sysctl -w ")'
check "what needs user namespaces is missing with them" \
    json_says 'facts["overlay"]["state"] == facts["netfilter"]["state"] == "missing"'

run doctor
check "doctor alone is no command" exits 2
run doctor host surplus
check "operands are refused" exits 2
finish
