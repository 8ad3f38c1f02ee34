# What must not be possible at the network door: tests/escape/network/attempts.py tries it from
# inside; out here nobody may have come by, and what was tried is on record.
# shellcheck shell=sh disable=SC2016,SC2317 # single quotes are for shells inside; check calls functions
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
user_layer=$XDG_CONFIG_HOME/agent-machine/user
mkdir -p "$HOME/src/compass" "$user_layer" "$scratch/servers"
cd "$HOME/src/compass" || exit
git init -q .
cp "$tree/tests/escape/network/attempts.py" .

mkfifo "$scratch/life"
python3 -B "$tree/tests/network/servers.py" "$scratch/servers" <"$scratch/life" &
servers=$!
exec 7>"$scratch/life"
until [ -f "$scratch/servers/ports" ] || ! kill -0 "$servers" 2>/dev/null; do
    sleep 0.01
done
http='' echo='' silent=''
# shellcheck source=/dev/null # written by what was started
. "$scratch/servers/ports"

cat >"$user_layer/references.yaml" <<END
names:
  plain.test: 127.0.0.1
  secure.test: 127.0.0.1
  other.test: 127.0.0.1
  leads-loopback.test: [127.0.0.2, "::1"]
  leads-link-local.test: 169.254.1.1
  leads-private.test: [10.0.0.1, 192.168.1.1, "fd00::1"]
  leads-metadata.test: 169.254.169.254
  leads-mapped.test: "::ffff:127.0.0.2"
  leads-nat64.test: "64:ff9b::7f00:2"
  leads-shared.test: 100.64.0.1
  leads-unspecified.test: [0.0.0.0, "::"]
END
cat >"$user_layer/tests.json" <<END
{"id": "urn:srcos:network-access-profile:tests", "type": "NetworkAccessProfile",
 "specVersion": "1.0.0", "name": "tests", "scope": "user", "defaultDecision": "deny",
 "profiles": [{"profileId": "servers", "profileClass": "user-firewall", "priority": 10,
   "defaultEgress": "allow-listed", "denyDomains": [], "allowCidrs": ["127.0.0.1/32"],
   "denyCidrs": [], "allowDomains": ["plain.test", "leads-loopback.test",
     "leads-link-local.test", "leads-private.test", "leads-metadata.test", "leads-mapped.test",
     "leads-nat64.test", "leads-shared.test", "leads-unspecified.test"]}],
 "evidence": {"emitNetworkDecision": true}}
END
# The port of a server that says nothing, so that one who comes by is seen and not heard.
cat >"$user_layer/firewall.json" <<END
{"id": "urn:srcos:firewall-binding-profile:tests", "type": "FirewallBindingProfile",
 "specVersion": "1.0.0", "name": "tests", "bindingClass": "linux-nftables", "mode": "enforce",
 "rules": [{"ruleId": "secure", "direction": "egress", "decision": "allow", "subject": "*",
   "destination": "secure.test", "ports": [$silent], "protocols": ["https"]}],
 "evidence": {"emitDeniedConnectionReceipt": true}}
END

run run --json -- \
    python3 attempts.py "http=$http" "echo=$echo" "https=$silent"
cp "$scratch/out" "$scratch/inside"
check "the attempts were made" exits 0
attempts=$(grep -c '^@attempt' attempts.py)
check "all of them" test "$(grep -c '^[a-zA-Z]* [a-z_0-9]*' "$scratch/inside")" -eq "$attempts"
contained() { # NAME
    grep "^ESCAPED $1 " "$scratch/inside"
    grep -q "^contained $1\$" "$scratch/inside"
}
sed -n '/^@attempt/{n;s/def \([a-z_0-9]*\).*/\1/p}' attempts.py >"$scratch/names"
while read -r name; do
    check "$name is contained" contained "$name"
done <"$scratch/names"

# But for the one connection of synthetic_address_of_another, and the first of
# second_request_to_another, both to plain.test.
check "nobody has come by outside" \
    test "$(sort "$scratch/servers/log" | uniq -c | tr -s ' \n' ' ')" = " 1 echo 1 silent "

python3 -B - "$XDG_STATE_HOME/agent-machine/ledger.db" >"$scratch/out" <<'END'
import json, sqlite3, sys
documents = [json.loads(row[0]) for row in sqlite3.connect(sys.argv[1]).execute(
    "SELECT json FROM document WHERE id LIKE '%:policy-decision:%' OR id LIKE '%:local-agent-execution:%'")]
denied = [d for d in documents if d["type"] == "PolicyDecision" and d["verdict"] == "deny"]
record = next(d for d in documents if d["type"] == "LocalAgentExecution")
hosts = {d["resource"]["name"] for d in denied}
print("denials on record", len(denied))
print("in the record of the run", len(record["denials"]))
print("counted", sum(d["uses"]["count"] for d in record["denials"]))
names = {d["id"]: d["resource"]["name"] for d in denied}
print("others", sum(d["uses"]["count"] for d in record["denials"]
                    if names[d["policyDecisionRef"]] == "*"))
for host in ("203.0.113.7", "169.254.169.254", "denied.test", "leads-private.test", "secure.test"):
    print(host, "is on record" if host in hosts else "is missing")
END
status=0
check "each denial is on record" out_lacks "is missing"
check "those beyond what is kept apart are counted together" out_matches '^others [0-9]{5,}$'
check "and a hundred thousand take no more room than a few hundred" \
    test "$(sed -n 's/^denials on record //p' "$scratch/out")" -le 260
exec 7>&-
wait "$servers"
finish
