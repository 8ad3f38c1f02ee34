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
cat >config/agent-machine/user/references.yaml <<'END'
proxies:
  "urn:srcos:proxy:northwind-egress": {url: "http://10.20.0.9:3128"}
END
run network firewall plan --target nftables --user 4321 "$network"
check "a proxy is allowed where the layers say it is" \
    out_has 'ip daddr 10.20.0.9/32 tcp dport 3128 accept comment "proxy of northwind-egress"'
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

    # Of several documents each is asked; what none allows is rejected, for one user alone.
    cat >network.yaml <<'END'
id: urn:srcos:network-access-profile:both
type: NetworkAccessProfile
specVersion: 1.0.0
name: Both
scope: enterprise
defaultDecision: allow-with-policy
profiles:
  - {profileId: way, profileClass: proxy, priority: 1, defaultEgress: allow-listed,
     allowCidrs: [192.0.2.0/24, 198.51.100.0/24]}
evidence: {}
END
    cat >denies.yaml <<'END'
id: urn:srcos:firewall-binding-profile:denies
type: FirewallBindingProfile
specVersion: 1.0.0
name: Denies
bindingClass: other
mode: plan
evidence: {}
rules:
  - {ruleId: no, direction: egress, decision: deny, subject: '*', destination: 198.51.100.0/28, ports: [443]}
END
    set -- 192.0.2.1:9 198.51.100.7:443 198.51.100.7:80 203.0.113.5:80 fd12::1:80
    plan nftables network.yaml denies.yaml --user 0
    try unshare -rn python3 "$tree/tests/firewall/reach.py" plan.nftables "$@"
    check "of two documents what one allows passes" out_has "192.0.2.1:9 reached"
    check "unless the other denies it" out_has "198.51.100.7:443 rejected"
    check "at that port" out_has "198.51.100.7:80 reached"
    check "and what none allows is rejected" out_has "203.0.113.5:80 rejected"
    check "over IPv6 too" out_has "fd12::1:80 rejected"
    plan nftables network.yaml denies.yaml --user 4321
    try unshare -rn python3 "$tree/tests/firewall/reach.py" plan.nftables "$@"
    check "others are left alone" test "$(grep -c reached "$scratch/out")" = 5
else
    skip "nftables" "there is no nft, or no network namespace for it"
fi

# --- apply, status, remove, in a network namespace of its own --------------------------------

cat >applying.sh <<'END'
step() { # NAME COMMAND…
    name=$1
    shift
    "$@" >"$name.out" 2>"$name.err"
    echo $? >"$name.status"
}
am=$1
step none "$am" network firewall status
step unprivileged setpriv --bounding-set=-net_admin "$am" network firewall apply mixed.yaml
step unfinished "$am" network firewall status mixed.yaml
nft add table inet other
step apply "$am" network firewall apply mixed.yaml --json
nft list ruleset >applied
step status "$am" network firewall status
step named "$am" network firewall status mixed.yaml --json
nft add rule inet agent_machine_mixed egress_1 tcp dport 1 accept
step changed "$am" network firewall status agent_machine_mixed
step again "$am" network firewall apply mixed.yaml
step whole "$am" network firewall status
nft delete table inet agent_machine_mixed
step absent "$am" network firewall status
step again "$am" network firewall apply mixed.yaml
step remove "$am" network firewall remove mixed.yaml
step twice "$am" network firewall remove mixed.yaml
step removed "$am" network firewall status
nft add table inet agent_machine_mixed
step unrecorded "$am" network firewall status
step observed "$am" network firewall apply observed.yaml
step foreign "$am" network firewall remove other
nft list tables >left
step ledger "$am" ledger verify
END
sed 's/mode: plan/mode: observe/' mixed.yaml >observed.yaml
# shellcheck disable=SC2317 # check calls both
was() { # NAME STATUS
    [ "$(cat "$1.status")" = "$2" ]
}
# shellcheck disable=SC2317
says() { # NAME TEXT
    cat "$1.out" "$1.err" | grep -qF -- "$2"
}
if command -v nft >/dev/null && unshare -rn true 2>/dev/null; then
    try unshare -rn sh applying.sh "$program"
    check "nothing was applied before" says none "no firewall was applied"
    check "who may not administer the network is refused" was unprivileged 77
    check "with what would help" says unprivileged "as root"
    check "and what was tried is on record" says unfinished unfinished
    check "a plan is applied" was apply 0
    check "with a receipt" says apply urn:srcos:firewall-receipt:
    check "and is in the kernel" grep -q 'comment "no-mail"' applied
    check "beside what others have there" grep -q 'table inet other' applied
    check "status says that it is in force" was status 0
    check "in a word" says status in-force
    check "and of one profile" says named '"state":"in-force"'
    check "a change behind its back is seen" was changed 1
    check "in a word too" says changed changed
    check "applying again replaces the table" says whole in-force
    check "a table that is gone is seen" says absent absent
    check "a table is removed" was remove 0
    check "and not twice" was twice 1
    check "which stands in the receipts" says removed removed
    check "one that came back by other hands is seen" says unrecorded unrecorded
    check "what is only watched is not applied" was observed 77
    check "nobody else's table is removed" grep -q 'table inet other' left
    check "whatever it is called" was foreign 1
    check "the ledger is whole" was ledger 0
    cp -r "$XDG_STATE_HOME" forged
    touch forged/agent-machine/.tampered
    python3 - forged/agent-machine/ledger.db <<'END'
import base64, json, sqlite3, sys
ledger = sqlite3.connect(sys.argv[1])
number, text = ledger.execute(
    "SELECT number, json FROM document WHERE type = 'FirewallReceipt' ORDER BY number DESC").fetchone()
envelope = json.loads(text)
payload = base64.b64decode(envelope['payload']).replace(b'"done"', b'"lost"')
envelope['payload'] = base64.b64encode(payload).decode()
ledger.execute('UPDATE document SET json = ? WHERE number = ?', (json.dumps(envelope), number))
ledger.commit()
END
    XDG_STATE_HOME=$scratch/forged run network firewall status
    check "a receipt that the key did not sign is refused" exits 77
    try python3 - "$XDG_STATE_HOME/agent-machine/ledger.db" <<'END'
import base64, json, sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute(
    "SELECT json FROM document WHERE type = 'FirewallReceipt' ORDER BY number").fetchall()
for row in rows:
    p = json.loads(base64.b64decode(json.loads(row[0])['payload']))['predicate']
    print(p['action'], p['outcome'], [d['ref'] for d in p['documents']])
END
    check "each act has left a receipt" out_has "apply failed ['urn:srcos:firewall-binding-profile:mixed']"
    check "with its outcome" out_has "remove done []"
else
    skip "apply, status, remove" "there is no nft, or no network namespace for it"
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

# --- meshes ----------------------------------------------------------------------------------

cat >mesh.yaml <<'END'
id: urn:srcos:mesh-binding-profile:compass
type: MeshBindingProfile
specVersion: 1.0.0
name: Compass
meshClass: istio
scope: workspace
traffic:
  egressMode: egress-gateway
  ingressMode: gateway
  allowedHosts: [registry.npmjs.org, .github.com, billing.shop.svc.cluster.local, '*.model-router.mesh']
  deniedHosts: [gist.github.io]
identity:
  serviceAccountRef: urn:srcos:service-account:compass/agent-runner
  spiffeIdRef: spiffe://northwind.example.com/ns/compass/sa/agent-runner
  workloadSelector: app=agent-machine
evidence: {}
END
for target in istio admiral kubernetes; do
    run network mesh plan --target $target mesh.yaml
    check "$target: a mesh is planned" exits 0
    cp "$scratch/out" mesh.$target
    check "$target: with its firewall half" out_has "kind: NetworkPolicy"
    run network mesh plan --target $target mesh.yaml
    check "$target: the same bytes each time" cmp -s mesh.$target "$scratch/out"
    run network mesh plan --target $target --json mesh.yaml
    check "$target: as JSON" out_has "\"target\":\"$target\""
done
run network mesh plan --target istio mesh.yaml
check "what a gateway cannot lead to is said" err_has "left-out: .github.com"
check "and nothing goes around an egress gateway" out_lacks mesh-can-be-bypassed
sed 's/egress-gateway/service-entry-allowlist/' mesh.yaml >direct.yaml
run network mesh plan --target istio direct.yaml
check "where proxies connect directly a warning has its name" err_has "warning: mesh-can-be-bypassed"
check "which is in the text too" out_has "# warning: mesh-can-be-bypassed"
run network mesh plan --target consul mesh.yaml
check "a mesh that is not there is refused" exits 2
run network mesh plan --target istio mixed.yaml
check "and a document of another type" exits 65
if [ -d npm/node_modules ]; then
    for egress in deny service-entry-allowlist egress-gateway direct-allowlist ambient enterprise-managed; do
        for ingress in deny gateway mesh-internal enterprise-managed; do
            for mtls in true false; do
                sed "s/egressMode: .*/egressMode: $egress/
                    s/ingressMode: .*/ingressMode: $ingress\\n  mtlsRequired: $mtls/" mesh.yaml >changed.yaml
                run network mesh plan --target istio changed.yaml
                cp "$scratch/out" "variant.$egress.$ingress.$mtls"
            done
        done
    done
    try node "$tree/tests/firewall/validate.js" npm mesh.istio mesh.kubernetes variant.*
    check "Istio's and Kubernetes' published schemas accept every mode" exits 0
    check "each of them" test "$(find . -name 'variant.*.*' | wc -l)" = 48
    grep -n -A12 'kind: Dependency' mesh.admiral >dependency
    check "admiral: a Dependency names source and destinations (no schema is published)" \
        grep -q '"model-router"' dependency
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
