# The plans for firewalls outside of the sandbox: each goes through its firewall's own parser, and
# where the firewall itself is to be had, through the firewall.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit

HOME=$scratch/home XDG_CONFIG_HOME=$scratch/config XDG_STATE_HOME=$scratch/state
cache=$(npm config get cache 2>/dev/null)
PATH=$PATH:/usr/sbin:/sbin
export HOME XDG_CONFIG_HOME XDG_STATE_HOME PATH
mkdir -p home
targets='nftables lulu gateway kubernetes cilium'
examples=$tree/examples

plan() { # TARGET PROFILE… [OPTION…]: into FILE plan.TARGET
    plan_target=$1
    shift
    run network firewall plan --target "$plan_target" "$@"
    cp "$scratch/out" "plan.$plan_target"
}

cat >mixed.yaml <<'END'
id: urn:srcos:firewall-binding-profile:mixed
type: FirewallBindingProfile
specVersion: 1.0.0
name: Mixed
bindingClass: other
mode: plan
evidence: {}
rules:
  - {ruleId: tls, direction: egress, decision: allow, subject: '*', destination: '*', ports: [443, 8000]}
  - {ruleId: no-mail, direction: egress, decision: deny, subject: '*', destination: '*', ports: [25], protocols: [tcp]}
  - {ruleId: inside, direction: egress, decision: deny, subject: '*', destination: 10.0.0.0/8}
  - {ruleId: database, direction: egress, decision: allow, subject: '*', destination: 10.20.0.0/24, ports: [5432], protocols: [tcp]}
  - {ruleId: not-that-one, direction: egress, decision: deny, subject: '*', destination: 10.20.0.3}
  - {ruleId: site, direction: egress, decision: allow, subject: '*', destination: .example.com, protocols: [https]}
  - {ruleId: no-http, direction: egress, decision: deny, subject: '*', destination: '*.example.org', protocols: [http]}
  - {ruleId: ask-first, direction: egress, decision: ask, subject: '*', destination: 203.0.113.0/24}
  - {ruleId: watched, direction: egress, decision: log-only, subject: '*', destination: 192.0.2.0/24, ports: [22]}
  - {ruleId: git, direction: egress, decision: allow, subject: /usr/bin/git, destination: github.com, ports: [22]}
  - {ruleId: nobody-in, direction: ingress, decision: allow, subject: '*', destination: internal.example.com, ports: [22]}
  - {ruleId: models, direction: egress, decision: deny, subject: sandbox, destination: external-model-provider}
END

# --- what is printed -------------------------------------------------------------------------

for target in $targets; do
    plan "$target" mixed.yaml
    check "$target: a plan is printed" exits 0
    cp "$scratch/out" first
    run network firewall plan --target "$target" mixed.yaml
    check "$target: the same bytes each time" cmp -s first "$scratch/out"
    check "$target: what it cannot say is said" err_has "nobody-in: "
    for rule in tls no-mail inside database site ask-first watched git nobody-in models; do
        check "$target: $rule is in the text" out_has "$rule"
    done
    run network firewall plan --target "$target" --json mixed.yaml
    cp "$scratch/out" answer.json
    try python3 -c 'import json, sys
answer = json.load(open(sys.argv[1]))
assert answer["text"] == open(sys.argv[2]).read() and answer["target"] == sys.argv[3]
assert {"effect", "rule", "document", "reason"} == set(answer["unsupported"][0])' \
        answer.json first "$target"
    check "$target: the JSON has the same text, and the notes" exits 0
done
run network firewall plan mixed.yaml
check "without a target it is refused" exits 2
run network firewall plan --target pf mixed.yaml
check "a target that is not there is refused" exits 2
run network firewall plan --target nftables nowhere.json
check "a file that is not there is named" err_has nowhere.json
sed 's/decision: ask/decision: maybe/' mixed.yaml >wrong.yaml
run network firewall plan --target nftables wrong.yaml
check "a profile that its schema refuses is refused" exits 65
check "with its place" err_has wrong.yaml:
run network firewall plan --target nftables "$examples/mesh_binding_profile.istio_admiral_enterprise.json"
check "a document of another type is refused" exits 65

# --- a network profile and the bindings that it names ----------------------------------------

network=$examples/network_access_profile.enterprise_and_user.json
run network firewall plan --target gateway "$network"
check "a binding that is not found is named" err_has urn:srcos:firewall-binding-profile:enterprise-gateway
set -- "$network" "$examples/firewall_binding_profile.enterprise_gateway.json" \
    "$examples/firewall_binding_profile.linux_nftables.json" \
    "$examples/firewall_binding_profile.macos_lulu_user.json"
run network firewall plan --target nftables "$@"
check "a network profile is not for everyone on a machine" exits 2
for target in $targets; do
    plan "$target" "$@" --user 4321
    check "$target: network profile and bindings together" exits 0
    cp "plan.$target" "network.$target"
done
mkdir -p config/agent-machine/user
cp "$examples"/firewall_binding_profile.*.json config/agent-machine/user/
run network firewall plan --target gateway "$network"
check "bindings are found among the layers' documents" exits 0
run network firewall plan --target gateway linux-nftables
check "and a profile by its name" out_has no-mail
rm -r config

# --- nftables, by nft and in the kernel ------------------------------------------------------

if command -v nft >/dev/null && unshare -rn true 2>/dev/null; then
    plan nftables mixed.yaml
    mv plan.nftables mixed.nftables
    for file in mixed network; do
        try unshare -rn nft -c -f $file.nftables
        check "nft accepts $file" exits 0
    done
    try unshare -rn python3 "$tree/tests/firewall/reach.py" mixed.nftables 203.0.113.5:443 \
        198.51.100.7:443 198.51.100.7:25 198.51.100.7:25/udp 198.51.100.7:9 10.20.0.1:5432 \
        10.20.0.1:443 10.20.0.3:5432 192.0.2.1:22 fd12::1:25 fd12::1:443
    check "the kernel rejects what is asked about" out_has "203.0.113.5:443 rejected"
    check "passes what is allowed" out_has "198.51.100.7:443 reached"
    check "rejects a port" out_has "198.51.100.7:25 rejected"
    check "of TCP alone" out_has "198.51.100.7:25/udp reached"
    check "leaves alone what no rule is about" out_has "198.51.100.7:9 reached"
    check "passes the more specific" out_has "10.20.0.1:5432 reached"
    check "at its port alone" out_has "10.20.0.1:443 rejected"
    check "and rejects the most specific" out_has "10.20.0.3:5432 rejected"
    check "passes what is watched" out_has "192.0.2.1:22 reached"
    check "rejects over IPv6" out_has "fd12::1:25 rejected"
    check "and passes" out_has "fd12::1:443 reached"
else
    skip "nftables" "there is no nft, or no network namespace for it"
fi

# --- Squid, by itself ------------------------------------------------------------------------

cat >hosts <<'END'
192.0.2.1 www.example.com example.com good.example.net a.example.org
10.1.1.1 inside.example.com
END
if command -v squid >/dev/null && unshare -rn true 2>/dev/null; then
    plan gateway mixed.yaml
    for file in plan.gateway network.gateway; do
        { echo http_port 3128 && cat $file; } >squid.conf
        try squid -k parse -f squid.conf
        check "Squid accepts $file" exits 0
        check "without a warning" test "$(grep -ciE 'warning|error' "$scratch/err")" = 0
    done
    try timeout 120 unshare -rn sh "$tree/tests/firewall/squid.sh" plan.gateway hosts \
        https://www.example.com/ https://www.example.com:8443/ https://inside.example.com/ \
        https://10.1.2.3/ http://a.example.org/ https://a.example.org/ https://good.example.net/ \
        https://good.example.net:25/ https://10.20.0.4:5432/ https://10.20.0.3:5432/ https://203.0.113.9/
    check "Squid lets an allowed name through" out_has "https://www.example.com/ 503"
    check "not at another port" out_has "https://www.example.com:8443/ 403"
    check "nor where it resolves to a denied range" out_has "https://inside.example.com/ 403"
    check "nor that range" out_has "https://10.1.2.3/ 403"
    check "denies a request in plain HTTP" out_has "http://a.example.org/ 000 403"
    check "and no tunnel" out_has "https://a.example.org/ 503"
    check "lets through what a rule for everything allows" out_has "https://good.example.net/ 503"
    check "and no other port" out_has "https://good.example.net:25/ 403"
    check "lets the more specific range through" out_has "https://10.20.0.4:5432/ 503"
    check "and not what is denied in it" out_has "https://10.20.0.3:5432/ 403"
    check "denies what would be asked about" out_has "https://203.0.113.9/ 403"
else
    skip "Squid" "there is no squid, or no network namespace for it"
fi

# --- clusters, by the schemas on npm ---------------------------------------------------------

if command -v npm >/dev/null && npm install --no-audit --no-fund --loglevel=error --prefix "$scratch/npm" \
    --cache "$cache" kubernetes-models@4.5.1 @kubernetes-models/cilium@4.0.0 \
    @kubernetes-models/istio@3.0.1 yaml@2 >"$scratch/npm.log" 2>&1; then
    for target in kubernetes cilium; do
        plan $target mixed.yaml --namespace runs --selector app=agent,team=compass
        try node "$tree/tests/firewall/validate.js" npm plan.$target network.$target
        check "$target: its published schema accepts the plans" exits 0
        sed 's/^  egress:/  egres:/' plan.$target >wrong.yaml
        try node "$tree/tests/firewall/validate.js" npm wrong.yaml
        check "$target: and would have noticed a mistake" err_has egres
    done
else
    skip "kubernetes and cilium" "npm does not bring their schemas"
fi

# --- LuLu ------------------------------------------------------------------------------------

plan lulu mixed.yaml
try python3 -c 'import json, sys
texts = ["key", "uuid", "path", "name", "endpointAddr", "endpointPort", "type", "scope", "action",
         "isEndpointAddrRegex", "ruleId"]
for key, rows in json.load(open(sys.argv[1])).items():
    assert isinstance(rows, list)
    for row in rows:
        assert sorted(row) == sorted(texts) and all(isinstance(row[t], str) for t in texts)
        assert row["key"] == row["path"] == key and row["action"] in "01"' plan.lulu
check "lulu: every rule has the members that its import reads (no schema is published)" exits 0

# --- network words for policy ----------------------------------------------------------------

mkdir -p layers/enterprise
cp mixed.yaml layers/enterprise/
sed -i 's/mode: plan/mode: enforce/' layers/enterprise/mixed.yaml
run network explain --layers layers www.example.com:443
check "explain says that a connection is allowed" exits 0
check "and by which rule" out_has site
run network explain --layers layers 198.51.100.7:25 --protocol tcp
check "or denied" exits 77
run policy explain --layers layers --host 198.51.100.7:25 --protocol tcp
cp "$scratch/out" policy
run network explain --layers layers 198.51.100.7:25 --protocol tcp
check "as policy explain does" cmp -s policy "$scratch/out"
run network explain
check "a destination is needed" exits 2
echo '- {host: www.example.com, port: 443, expect: allow}' >cases.yaml
run network test --layers layers cases.yaml
check "a table of connections is checked" exits 0
echo '- {host: 198.51.100.7, port: 25, expect: allow}' >cases.yaml
run network test --layers layers cases.yaml
check "and a case that differs is shown" exits 1
finish
