# The policy verbs: what the layers say, why, and what a repository may add.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit

HOME=$scratch/home XDG_CONFIG_HOME=$scratch/config XDG_STATE_HOME=$scratch/state
export HOME XDG_CONFIG_HOME XDG_STATE_HOME
mkdir -p layers/enterprise layers/user home

profile() { # ID SCOPE CLASS EGRESS ALLOW DENY
    cat <<END
id: urn:srcos:network-access-profile:$1
type: NetworkAccessProfile
specVersion: 1.0.0
name: $1
scope: $2
defaultDecision: deny
profiles:
  - profileId: $1
    profileClass: $3
    priority: 10
    defaultEgress: $4
    allowDomains: [$5]
    denyDomains: [$6]
evidence: {}
END
}
profile company enterprise corporate-firewall allow-any '' '"*.example.net"' >layers/enterprise/company.yaml
profile mine user user-firewall allow-with-prompt 'api.example.com, www.example.net' '' >layers/user/mine.yaml

run policy explain --layers layers --host api.example.com:443
check "what both layers allow is allowed" exits 0
run policy explain --layers layers --host www.example.net:443
check "a user does not lift what the enterprise denies" exits 77
check "the document that decided is named" out_has company
run policy explain --layers layers --host other.example.org:443
check "what the user is asked for is pending" exits 75
run policy explain --layers layers --host other.example.org:443 --allow other.example.org
check "the user's consent lifts the user's own question" exits 0
run policy explain --layers layers --host www.example.net:443 --allow www.example.net
check "and nobody else's" exits 77
run policy explain --layers layers --host 0x7f.1:80
check "an odd spelling of an address is that address" exits 77
run policy explain --layers layers --json --host api.example.com:443
check "the answer is JSON on request" exits 0
cp "$scratch/out" answer.json
try python3 -m json.tool answer.json
check "the JSON can be read" exits 0

cat >cases.yaml <<'END'
- {host: api.example.com, port: 443, expect: allow}
- {host: www.example.net, port: 443, expect: deny}
- {host: other.example.org, port: 443, expect: ask}
END
run policy test --layers layers cases.yaml
check "a table of cases that holds is 0" exits 0
sed 's/expect: ask/expect: allow/' cases.yaml >wrong.yaml
run policy test --layers layers wrong.yaml
check "one that does not is 1" exits 1
check "the case that differs is shown" out_has other.example.org

cat >layers/enterprise/gates.yaml <<'END'
rules:
  - {gate: toolGrant, match: openclaw, answer: deny, reason: Not reviewed.}
  - {gate: containerExecution, match: 'ghcr.io/*', unpinned: true, answer: deny}
END
cat >layers/user/gates.yaml <<END
rules:
  - {gate: toolGrant, match: '*', answer: allow}
  - {gate: modelProviderUse, match: acme, answer: ask}
  - {gate: artifactAccess, match: $scratch/home/.ssh, answer: deny}
  - {gate: networkProfile, match: 'cafe-*', answer: deny}
END
run policy explain --layers layers --tool codex
check "a tool that a layer allows is allowed" exits 0
run policy explain --layers layers --tool openclaw
check "one that the enterprise denies is not" exits 77
check "with the reason" out_has "Not reviewed."
check "and the document" out_has layers/enterprise/gates.yaml
check "and the place in it" out_has /rules/0
check "and the user's allow beside it" out_has layers/user/gates.yaml
run policy explain --layers layers --model acme
check "a provider that the user is asked about is pending" exits 75
run policy explain --layers layers --model urn:srcos:model-profile:llama
check "of another no layer says anything, and so it stays delegated" exits 0
run policy explain --layers layers --network cafe-wifi
check "a network profile is denied by what its name begins with" exits 77
run policy explain --layers layers --path "$scratch/home/.ssh/id"
check "what lies below a denied folder is denied" exits 77
run policy explain --layers layers --path home
check "and so is a folder that holds it, told from where we are" exits 77
mkdir -p home/.ssh
ln -s home/.ssh harmless
run policy explain --layers layers --path harmless
check "and a link to it" exits 77
run policy explain --layers layers --image ghcr.io/acme/app:1
check "an image by tag alone is denied" exits 77
run policy explain --layers layers --image ghcr.io/acme/app:1@sha256:00
check "and of one with its digest the user is asked, as about its registry" exits 75
run policy explain --layers layers --image evil.example.net/app
check "a registry is a host that the layers know" exits 77
check "so their document is named" out_has company
run policy explain --layers layers --json --tool openclaw
check "a gate's answer is JSON on request" exits 77
check "with the tool's URN" out_has '"tool":"urn:srcos:agent-tool-surface:openclaw"'
cp "$scratch/out" answer.json
try python3 -m json.tool answer.json
check "which can be read" exits 0
run policy explain --layers layers --tool codex --host api.example.com
check "one thing is asked about at a time" exits 2
run policy explain --layers layers --tool codex --protocol tcp
check "and a tool has no protocol" exits 2
run policy show --layers layers --effective
check "the rules of gates are shown" out_has toolGrant

cat >gates-cases.yaml <<END
- {tool: codex, expect: allow}
- {tool: openclaw, expect: deny, why: not reviewed}
- {model: acme, expect: ask}
- {network: none, expect: allow}
- {network: cafe-wifi, expect: deny}
- {path: $scratch/home/.ssh, expect: deny}
- {image: 'ghcr.io/acme/app:1', expect: deny}
- {host: api.example.com, port: 443, expect: allow}
END
run policy test --layers layers gates-cases.yaml
check "a table of cases may ask about all of them" exits 0
sed 's/{model: acme, expect: ask}/{model: acme, expect: deny}/' gates-cases.yaml >wrong.yaml
run policy test --layers layers wrong.yaml
check "and says which is otherwise" exits 1
check "by its URN" out_has external-model-provider-profile:acme
echo '- {tool: codex, port: 443, expect: allow}' >wrong.yaml
run policy test --layers layers wrong.yaml
check "a tool has no port" exits 65
echo '- {tool: codex, path: /x, expect: allow}' >wrong.yaml
run policy test --layers layers wrong.yaml
check "and a case asks about one thing" exits 65

echo 'rules: [{gate: toolGrant, match: "a*b", answer: deny}]' >layers/device.yaml
mkdir layers/device && mv layers/device.yaml layers/device/gates.yaml
run policy explain --layers layers --tool codex
check "a rule that could be missed denies everything where the device has it" exits 77
check "by name and place" out_has layers/device/gates.yaml
rm -r layers/device

cp "$tree/examples/agent-machine-profile.corporate-firewall.example.json" layers/enterprise/managed.json
id=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["id"])' layers/enterprise/managed.json)
run policy explain --layers layers --tool shell-of-mine
check "without a profile a tool that no rule denies is allowed" exits 0
run policy explain --layers layers --tool shell-of-mine --profile "$id"
check "and not under a managed profile that does not list it" exits 77
check "which says where to list it" out_has /agentPlane/toolSurfaceRefs
run policy explain --layers layers --tool codex --profile nowhere
check "a profile that is not there is not found" exits 1

run init
run policy explain --tool codex --profile personal
check "the user's own profile is found in the ledger" exits 0
run policy explain --tool unheard-of --profile personal
check "and denies what it does not list" exits 77

mkdir -p config/agent-machine/user
cat >engine.sh <<'END'
#!/bin/sh
read -r line
case $line in
*openclaw*) echo '{"answer":"deny","reason":"the engine says no"}' ;;
*codex*) echo '{"answer":"allow"}' ;;
*) exit 1 ;;
esac
END
chmod 755 engine.sh
echo "engines: [{command: [$scratch/engine.sh], gates: [toolGrant], timeoutMs: 10000}]" >config/agent-machine/user/gates.yaml
run policy explain --tool codex
check "an engine that allows changes nothing" exits 0
run policy explain --tool openclaw
check "one that denies does" exits 77
check "with its reason" out_has "the engine says no"
run policy explain --tool other
check "and one that fails denies" exits 77
run policy explain --path /srv
check "other gates do not ask it" exits 0
cp config/agent-machine/user/gates.yaml layers/user/gates.engine.yaml
run policy explain --layers layers --tool other
check "a folder that is tried out runs no engine" exits 0
check "and says so" out_has "was not asked"
rm layers/user/gates.engine.yaml config/agent-machine/user/gates.yaml layers/enterprise/gates.yaml layers/user/gates.yaml layers/enterprise/managed.json

# Which way an allowed host goes, and where contracts' references lead.
profile routed enterprise proxy deny '.corp.example, api.example.com, ".lab.example"' '' >layers/enterprise/routed.yaml
sed -i 's/    priority: 10/    priority: 10\n    proxyRef: urn:srcos:proxy:corp/' layers/enterprise/routed.yaml
run policy explain --layers layers --host api.example.com:443
check "what would go by a proxy that no layer knows is denied" exits 77
check "the reference is named" out_has urn:srcos:proxy:corp
check "and the file that would say where it leads" out_has layers/enterprise/references.yaml
cat >layers/enterprise/references.yaml <<'END'
names:
  host.lab.example: [10.1.2.3, 'fd12::3']
proxies:
  "urn:srcos:proxy:corp":
    url: http://proxy.corp.example:3128
    authorizationRef: secret://corp/proxy
    noProxy: [.lab.example, 'api.example.com:8443']
END
run policy explain --layers layers --host api.example.com:443
check "with the reference it is allowed" exits 0
check "through the proxy" out_has "through http://proxy.corp.example:3128"
check "which resolves the name" out_has "resolves the name"
run policy explain --layers layers --host api.example.com:8443
check "what noProxy lists is direct" out_has "leaves it out"
run policy explain --layers layers --host host.lab.example:443 --allow host.lab.example
check "a name is where the layer says" out_has "at 10.1.2.3, fd12::3"
run policy explain --layers layers --json --host api.example.com:443
check "the way stands in the JSON" out_has '"route":{"entry":"routed","url":"http://proxy.corp.example:3128","reference":"urn:srcos:proxy:corp"'
cp "$scratch/out" answer.json
try python3 -m json.tool answer.json
check "which can be read" exits 0
run policy show --layers layers
check "references are shown among the documents" out_has references.yaml
sed -i 's,http://,http://user:word@,' layers/enterprise/references.yaml
run policy explain --layers layers --host api.example.com:443
check "a credential in a url makes the enterprise's document unusable, and denies" exits 77
check "by its place" out_has '/proxies/urn:srcos:proxy:corp'
check "and is not repeated" out_lacks user:word
rm layers/enterprise/routed.yaml layers/enterprise/references.yaml

echo 'nonsense: [' >layers/enterprise/broken.yaml
run policy explain --layers layers --host api.example.com:443
check "an enterprise document that cannot be read denies everything" exits 77
check "and is named" out_has broken.yaml
rm layers/enterprise/broken.yaml

mkdir -p repository/.agent-machine
profile theirs workspace user-firewall allow-listed 'api.example.com' '' >repository/.agent-machine/net.yaml
cd repository || exit
run policy show
check "a repository's policy is seen" out_has net.yaml
check "and is inert" out_has inert
run policy trust
check "it can be trusted" exits 0
run policy show
check "and then counts" out_lacks inert
echo '# changed' >>.agent-machine/net.yaml
run policy show
check "until it changes" out_has inert
finish
