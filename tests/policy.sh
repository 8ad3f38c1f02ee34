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
