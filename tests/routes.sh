# What contracts refer to: proxies that carry what the layers allow, and whom a sandbox trusts.
# shellcheck shell=sh disable=SC2317 # check calls functions
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
user_layer=$XDG_CONFIG_HOME/agent-machine/user
mkdir -p "$HOME/src/compass" "$user_layer" "$scratch/servers"
cd "$HOME/src/compass" || exit
git init -q .

# ---- servers, and two companies' proxies, which lead every name to them ----

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=secure.test \
    -addext subjectAltName=DNS:secure.test -keyout "$scratch/servers/key.pem" \
    -out "$scratch/servers/cert.pem" 2>"$scratch/openssl.log"
mkfifo "$scratch/life" "$scratch/life-of-proxies"
python3 -B "$tree/tests/network/servers.py" "$scratch/servers" <"$scratch/life" &
servers=$!
exec 7>"$scratch/life"
python3 -B "$tree/tests/network/proxies.py" "$scratch/servers" <"$scratch/life-of-proxies" &
proxies=$!
exec 8>"$scratch/life-of-proxies"
until { [ -f "$scratch/servers/ports" ] && [ -f "$scratch/servers/proxies" ]; } ||
    ! kill -0 "$servers" "$proxies" 2>/dev/null; do
    sleep 0.01
done
http='' https='' north='' east=''
# shellcheck source=/dev/null # written by what was started
. "$scratch/servers/ports"
# shellcheck source=/dev/null
. "$scratch/servers/proxies"

entry() { # ID PRIORITY ALLOW MORE
    printf '  - {profileId: %s, profileClass: proxy, priority: %s, defaultEgress: deny,\n' "$1" "$2"
    printf '     allowDomains: [%s], proxyRef: "urn:srcos:proxy:%s"%s}\n' "$3" "$1" "$4"
}
{
    printf 'id: urn:srcos:network-access-profile:companies\ntype: NetworkAccessProfile\n'
    printf 'specVersion: 1.0.0\nname: companies\nscope: user\ndefaultDecision: deny\n'
    printf 'evidence: {}\nprofiles:\n'
    entry east 20 '.east.test, shared.test' ', denyDomains: [vault.east.test]'
    entry north 10 '.north.test, shared.test, here.test, secure.test' ', allowCidrs: [127.0.0.1/32]'
} >"$user_layer/companies.yaml"
carried() { # LINE
    grep -cxF "$1" "$scratch/servers/carried" 2>/dev/null
}

# ---- a reference that nothing resolves ----

run run -- curl -sS -m 20 "http://a.north.test:$http/"
check "what would go by a proxy that nobody knows is denied in its name" exits 6
check "with the file that would say where it is" err_has "$user_layer/references.yaml"

cat >"$user_layer/references.yaml" <<END
names: {here.test: 127.0.0.1, secure.test: 127.0.0.1}
proxies:
  "urn:srcos:proxy:north":
    url: http://127.0.0.1:$north
    authorizationRef: secret://north/proxy
  "urn:srcos:proxy:east": {url: "socks5h://127.0.0.1:$east"}
secrets:
  "secret://north/proxy": {file: ~/.config/north-proxy}
END

# ---- each company's hosts go by its own proxy ----

run run -- curl -sS -m 20 "http://b.east.test:$http/"
check "one company's hosts are reached" out_is "the page"
check "through its SOCKS proxy, which is given the name" test "$(carried "east b.east.test:$http")" -eq 1
run run -- curl -sS -m 20 "http://a.north.test:$http/"
check "a secret that is not there lets nothing through" exits 56
check "and is told by its reference" err_has secret://north/proxy
check "nothing of which the proxy hears" test "$(carried "north a.north.test:$http")" = 0
printf 'north:wrong\n' >"$XDG_CONFIG_HOME/north-proxy"
chmod 600 "$XDG_CONFIG_HOME/north-proxy"
run run -- curl -sS -m 20 "http://a.north.test:$http/"
check "a proxy that refuses is named as who did" err_has "denied: a.north.test:$http"
check "with its answer" err_has 407
printf 'north:word\n' >"$XDG_CONFIG_HOME/north-proxy"
run run -- curl -sS -m 20 "http://a.north.test:$http/"
check "the other's go by HTTP, with what it is to be shown" out_is "the page"
check "which is given the name" test "$(carried "north a.north.test:$http")" -eq 1
run run -- curl -sS -m 20 "http://shared.test:$http/"
check "what both list goes by the lower priority" test "$(carried "north shared.test:$http")" -eq 1
check "and by nobody else" test "$(carried "east shared.test:$http")" = 0
run run -- curl -sS -m 20 "http://vault.east.test:$http/"
check "what a company denies no proxy brings" exits 6
run run -- curl -sS -m 20 "http://here.test:$http/"
check "what lies on this machine is reached without a proxy" out_is "the page"
check "whichever lists it" test "$(carried "north here.test:$http")" = 0
sed -i 's/    authorizationRef/    noProxy: ["shared.test:1"]\n    authorizationRef/' \
    "$user_layer/references.yaml"
run policy explain --host "shared.test:$http"
check "a person is told the way" out_has "through http://127.0.0.1:$north"
run policy explain --host shared.test:1
check "and what leaves it" out_has "direct"
check "no secret is in a file of the ledger" test -z "$(grep -rl "north:word\|bm9ydGg6d29yZA" "$XDG_STATE_HOME")"

# ---- whom the run trusts ----

run run -- curl -sS -m 20 "https://secure.test:$https/"
check "what nobody has signed whom the host trusts is not trusted" exits 60
run run --dry-run --json -- true
check "nor does a plan say so" out_lacks authorities
ca=$scratch/company.pem
echo "authorities: [$ca]" >"$user_layer/references.trust.yaml"
run run -- true
check "authorities that are not there refuse the launch" exits 125
check "by the file" err_has "$ca"
check "and by who names it" err_has references.trust.yaml
cp "$scratch/servers/key.pem" "$ca"
run run -- true
check "a file without a certificate is none" exits 125
check "and says so" err_has "no certificate"
cat "$scratch/servers/key.pem" "$scratch/servers/cert.pem" >"$ca"
run run -- curl -sS -m 20 "https://secure.test:$https/"
check "what a layer trusts the run trusts" out_is "the page"
run run -- python3 -c '
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode().strip())' "https://secure.test:$https/"
check "whatever it runs" out_is "the page"
run run -- sh -c 'cat /etc/ssl/certs/ca-certificates.crt /etc/ssl/agent-machine.pem'
check "a key in the same file stays outside" out_lacks "PRIVATE"
check "and the host's own are trusted as before" test "$(grep -c BEGIN "$scratch/out")" -gt 20
run run -- sh -c 'echo x >>/etc/ssl/certs/ca-certificates.crt || echo x >>/etc/ssl/agent-machine.pem'
check "nobody inside can add to them" exits 2
run run --dry-run --json -- true
check "the plan says whom the run trusts" out_has "\"authorities\":[\"$ca\"],\"authoritiesDigest\":\"sha256:"
run run --dry-run -- true
check "to a person too" out_has "$ca"

exec 7>&- 8>&-
wait "$servers" "$proxies"
finish
