# The network door: what a run may reach is asked for each connection, and what it may not is not
# reached, is on record, and comes with what to do about it.
# shellcheck shell=sh disable=SC2016,SC2317 # single quotes are for shells inside; check calls functions
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
user_layer=$XDG_CONFIG_HOME/agent-machine/user
mkdir -p "$HOME/src/compass" "$user_layer" "$scratch/servers"
cd "$HOME/src/compass" || exit
git init -q .

# ---- servers on the host, and names that lead to them ----

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=secure.test \
    -addext "subjectAltName=DNS:secure.test,DNS:other.test" -keyout "$scratch/servers/key.pem" \
    -out "$scratch/servers/cert.pem" 2>"$scratch/openssl.log"
mkfifo "$scratch/life"
python3 -B "$tree/tests/network/servers.py" "$scratch/servers" <"$scratch/life" &
servers=$!
exec 7>"$scratch/life"
until [ -f "$scratch/servers/ports" ] || ! kill -0 "$servers" 2>/dev/null; do
    sleep 0.01
done
http='' https='' echo='' first='' proxy=''
# shellcheck source=/dev/null # written by what was started
. "$scratch/servers/ports"
cp "$scratch/servers/cert.pem" "$HOME/src/compass/"

cat >"$user_layer/references.yaml" <<END
names:
  plain.test: 127.0.0.1
  secure.test: 127.0.0.1
  other.test: 127.0.0.1
  rebind.test: 127.0.0.2
  many.test: 127.0.0.1
  asked.test: 127.0.0.1
connectors: [plain.test]
END
# Names alone do not lead to this machine: a rule has to name its address too.
cat >"$user_layer/tests.json" <<END
{"id": "urn:srcos:network-access-profile:tests", "type": "NetworkAccessProfile",
 "specVersion": "1.0.0", "name": "tests", "scope": "user", "defaultDecision": "deny",
 "profiles": [{"profileId": "servers", "profileClass": "user-firewall", "priority": 10,
   "defaultEgress": "allow-listed", "allowDomains": ["plain.test", "rebind.test"],
   "denyDomains": [], "allowCidrs": ["127.0.0.1/32"], "denyCidrs": []}],
 "evidence": {"emitNetworkDecision": true}}
END
cat >"$user_layer/firewall.json" <<END
{"id": "urn:srcos:firewall-binding-profile:tests", "type": "FirewallBindingProfile",
 "specVersion": "1.0.0", "name": "tests", "bindingClass": "linux-nftables", "mode": "enforce",
 "rules": [{"ruleId": "secure", "direction": "egress", "decision": "allow", "subject": "*",
   "destination": "secure.test", "ports": [$https], "protocols": ["https"], "reason": "tests"}],
 "evidence": {"emitDeniedConnectionReceipt": true}}
END

connections() { # NAME
    grep -c "^$1\$" "$scratch/servers/log"
}
ledger_says() { # STATEMENT
    python3 -c 'import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(row[0])' \
        "$XDG_STATE_HOME/agent-machine/ledger.db" "$1"
}
# The last run's record.
record() {
    ledger_says "SELECT json FROM document WHERE id LIKE '%:local-agent-execution:%'
        ORDER BY id DESC LIMIT 1" >"$scratch/out"
}

# ---- what is allowed ----

run run -- curl -sS "http://plain.test:$http/"
check "a host that a layer allows is reached by its name" out_is "the page"
check "without anything being said about it" test ! -s "$scratch/err"
run run -- sh -c 'curl -sS --http1.1 "http://plain.test:'"$http"'/" "http://plain.test:'"$http"'/"'
check "a connection is kept for a second request" exits 0
before=$(connections echo)
run run -- python3 -c '
import socket, sys
s = socket.create_connection(("plain.test", '"$echo"'))
s.sendall(b"x" * 300000); s.shutdown(socket.SHUT_WR)
got = b"".join(iter(lambda: s.recv(65536), b""))
print(len(got), got[-3:].decode())'
check "both ways end by themselves" out_is "300003 bye"
check "in one connection" test "$(connections echo)" -eq $((before + 1))
run run -- python3 -c '
import socket
print(socket.create_connection(("plain.test", '"$first"')).recv(64).decode().strip())'
check "a server that speaks first is not made to wait" out_is "220 hello"
run run -- curl -sS --cacert cert.pem "https://secure.test:$https/"
check "TLS is passed through unopened" out_is "the page"
run run -- sh -c "curl -sS -o got http://plain.test:$http/big && wc -c <got"
check "8 MiB come through" out_is 8388608
record
check "what went through is on record" out_matches '"network": *\{'
check "with bytes" out_matches '"bytesReceived": *8388[0-9]{3}'

run run --allow "many.test:$echo" -- python3 -c '
import socket
kept = [socket.create_connection(("many.test", '"$echo"'), 20) for _ in range(1500)]
for sock in kept:
    sock.sendall(b"x")
print(sum(len(sock.recv(1)) for sock in kept))'
check "1,500 connections stand at once" out_is 1500

# ---- what is not ----

run run -- curl -sS -m 20 "http://denied.test:$http/"
check "a name that nobody allows does not resolve" exits 6
check "the run's end says so" err_has 'denied: denied.test'
check "and what would change it" err_has '--allow denied.test'
record
check "it is on record" out_matches '"denials": *\[ *\{'
run run -- sh -c 'curl -sS -m 20 http://denied.test/; cat /run/agent-machine/denials.jsonl'
check "the run can read what it was denied" out_has '"host":"denied.test"'
check "and the remedy" out_has '"remediation":"--allow denied.test"'
run run --json -- curl -sS -m 20 "http://denied.test:$http/"
check "JSON has it too" err_matches '"denials":\[\{"host":"denied.test","count":[12],"remediation":"--allow'
run run --json -- sh -c 'echo x >>/run/agent-machine/denials.jsonl'
check "but not write it" exits 2

run run -- curl -sS -m 20 "http://127.0.0.1:$http/"
check "the loopback inside is not the host's" exits 7
before=$(connections http)
run run -- curl -sS -m 20 "http://203.0.113.7:$http/"
check "an address that nobody allows is reset" err_matches 'reset|refused|Empty reply|curl: \((56|52|7)\)'
check "and told with its port" err_has "denied: 203.0.113.7:$http"
run run -- curl -sS -m 20 "http://rebind.test:$http/"
check "a name that leads where no rule goes is denied there" err_has "denied: rebind.test:$http"
check "none of which anybody has noticed" test "$(connections http)" -eq "$before"

before=$(connections https)
run run -- python3 -c '
import socket, ssl
context = ssl._create_unverified_context()
s = socket.create_connection(("secure.test", '"$https"'))
context.wrap_socket(s, server_hostname="other.test")'
check "TLS for another server than the one that was dialled is not let through" exits 1
check "and that is what is said" err_has 'denied: secure.test'
run run -- python3 -c '
import socket
s = socket.create_connection(("secure.test", '"$https"'))
s.sendall(b"GET / HTTP/1.0\r\n\r\n"); print(s.recv(100))'
check "what is no TLS is not let through where the rule says https" exits 1
check "neither of which anybody has noticed" test "$(connections https)" -eq "$before"

# ---- the user's word for one run ----

run run --deny plain.test -- curl -sS -m 20 "http://plain.test:$http/"
check "--deny takes a host away" exits 6
run run --allow "other.test:$https" -- curl -sS --cacert cert.pem "https://other.test:$https/"
check "--allow gives one" out_is "the page"
run run -- curl -sS -m 20 --cacert cert.pem "https://other.test:$https/"
check "for that run alone" exits 6

# ---- what is left to a person ----

cat >"$user_layer/asking.json" <<END
{"id": "urn:srcos:firewall-binding-profile:asking", "type": "FirewallBindingProfile",
 "specVersion": "1.0.0", "name": "asking", "bindingClass": "linux-nftables", "mode": "enforce",
 "rules": [{"ruleId": "asked", "direction": "egress", "decision": "ask", "subject": "*",
   "destination": "asked.test"}],
 "evidence": {"emitDeniedConnectionReceipt": true}}
END
run run -- curl -sS -m 20 "http://asked.test:$http/"
check "what a layer leaves to a person is denied until one has answered" exits 6
check "who is asked" err_has "denied: asked.test"
card=$(sed -n 's/.*agent-machine op decide \([^ ]*\).*/\1/p' "$scratch/err")
run op pending
check "on a card" out_has "$card"
check "that says what is wanted" out_has "connect to asked.test"
run run -- curl -sS -m 20 "http://asked.test:$http/"
check "who is not asked twice" test "$("$program" op pending --json | grep -c '"question"')" -eq 1
run op decide "$card" this-profile
check "a person says yes" exits 0
run run -- curl -sS -m 20 "http://asked.test:$http/"
check "and then it is reached" out_is "the page"

# ---- while it runs ----

# What a run says, line by line; it goes on by what it is told.
begin() { # COMMAND
    mkfifo "$scratch/told.$1" "$scratch/said.$1"
    "$program" run --json -- python3 -u -c "$2" <"$scratch/told.$1" >"$scratch/said.$1" \
        2>"$scratch/err.$1" &
    begun=$!
    exec 8>"$scratch/told.$1" 9<"$scratch/said.$1"
}
sed -i 's/"destination": "asked.test"/"destination": "*.later.test"/' "$user_layer/asking.json"
sed -i 's/asked.test: 127.0.0.1/&\n  now.later.test: 127.0.0.1/' "$user_layer/references.yaml"
begin live "
import socket
for line in open(0):
    try:
        kept = socket.create_connection(('now.later.test', $echo), 20)
        kept.sendall(b'x')
        print('reached' if kept.recv(1) else 'denied')
    except OSError:
        print('denied')
    if line.strip() == 'wait':
        try:
            print('ended' if kept.recv(1) == b'' else 'more')
        except OSError:
            print('reset')"
echo >&8
read -r said <&9
check "what is left to a person is denied to a run that goes on" test "$said" = denied
card=$("$program" op pending --json | sed -n 's/.*"id": *"urn:srcos:decision-card:\([^"]*\)".*/\1/p' |
    head -n 1)
run op decide "$card" this-run
check "until the person has said yes" exits 0
echo wait >&8
read -r said <&9
check "then it is reached, by the same run" test "$said" = reached
operation=$("$program" op list --state running | cut -d' ' -f1)
run network deny "$operation" now.later.test
check "it is taken away again" exits 0
read -r said <&9
check "what was open is reset at once" test "$said" = reset
echo >&8
read -r said <&9
check "and nothing new is opened" test "$said" = denied
run network deny "$operation" 'not a host'
check "what is no destination is refused" exits 2
exec 8>&- 9<&-
wait "$begun"
run network deny "$operation" plain.test
check "a run that has ended is denied nothing" exits 1

# ---- budget and evidence ----

run run --json --budget connectorCalls=2 -- sh -c "
    for i in 1 2 3; do curl -sS -m 20 -o one http://plain.test:$http/; echo \$?; done"
check "a connector is called as often as the budget has it" out_matches '^0$'
check "and not once more" out_matches '^(56|52|7)$'
check "which is counted" err_has '"connectorCalls":2'
sed -i 's/"emitDeniedConnectionReceipt": true/"redactDestinations": true/' \
    "$user_layer/asking.json"
run run -- sh -c "curl -sS http://plain.test:$http/; curl -sS http://denied.test/"
decided() {
    ledger_says "SELECT json FROM document WHERE id LIKE '%:policy-decision:%' AND json LIKE
        '%\"networkProfile\"%' ORDER BY id DESC LIMIT 2" >"$scratch/out"
}
decided
check "destinations are told as digests where a document wants that" out_has nameDigest
check "and not otherwise" out_lacks plain.test
rm "$user_layer/asking.json"

run network doctor
check "the doctor says how connections are brought to the door" out_matches '^capture +every connection'
check "what is declared, in force, and was seen" \
    out_matches 'allow plain.test +in force +[0-9]+ allowed, .*last 20'
run network doctor --json
check "and as JSON" out_matches '"declared":"allow","destination":"plain.test".*"observed":\{"allowed":[1-9]'

# ---- a profile under which nothing leaves ----

"$program" profile create --kind airgapped-local-only --name shut >/dev/null
run run -p shut -- curl -sS -m 20 --cacert cert.pem "https://secure.test:$https/"
check "a server of this machine that the layers allow answers all the same" out_is "the page"
run run -p shut --allow far.test:80 -- curl -sS -m 20 http://far.test/
check "nothing else is reached, whatever the user allows" exits 6
check "and the profile is why" err_has "run with another profile"
run network explain --profile shut --allow far.test:80 far.test:80
check "which is explained" out_has airgapped-local-only

# ---- programs that insist on a proxy ----

run run --proxy-env -- sh -c "unset no_proxy NO_PROXY
    curl -sS http://plain.test:$http/; curl -sS --proxytunnel http://plain.test:$http/
    http_proxy=\$all_proxy curl -sS http://plain.test:$http/
    curl -sS --cacert cert.pem https://secure.test:$https/"
check "one is there: plain, by CONNECT, by SOCKS, and for TLS" \
    test "$(grep -c '^the page' "$scratch/out")" -eq 4
before=$(connections http)
run run --proxy-env -- sh -c "curl -sS -m 20 -o one -w '%{http_code}\n' http://denied.test:$http/
    http_proxy=\$all_proxy curl -sS -m 20 http://denied.test:$http/"
check "which asks for everything all the same" out_matches '^40[0-9]|^50[0-9]'
check "a denial is a denial" err_has "denied: denied.test"
check "that nobody outside has noticed" test "$(connections http)" -eq "$before"

# ---- corporate proxies ----

cat >>"$user_layer/references.yaml" <<END
proxies:
  "urn:srcos:proxy:corp":
    url: http://127.0.0.1:$proxy
    authorizationRef: secret://corp/proxy
    noProxy: [other.test]
secrets:
  "secret://corp/proxy": { file: $scratch/proxy-password }
END
(umask 077 && printf 'me:secret-of-the-proxy' >"$scratch/proxy-password")
cat >"$user_layer/corporate.json" <<END
{"id": "urn:srcos:network-access-profile:corporate", "type": "NetworkAccessProfile",
 "specVersion": "1.0.0", "name": "corporate", "scope": "user", "defaultDecision": "deny",
 "profiles": [{"profileId": "by-proxy", "profileClass": "proxy", "priority": 5,
   "defaultEgress": "allow-listed", "allowDomains": ["inner.corp.test", "other.test"],
   "denyDomains": [], "allowCidrs": [], "denyCidrs": [], "proxyRef": "urn:srcos:proxy:corp"}],
 "evidence": {"emitNetworkDecision": true}}
END
before=$(connections proxy)
run run -- curl -sS -m 20 "http://inner.corp.test:$http/"
check "a host of a proxy's is reached through it, and named to it" out_is "the page"
check "by one connection" test "$(connections proxy)" -eq $((before + 1))
check "to which its password was shown" grep -q "^proxy inner.corp.test:$http Basic" \
    "$scratch/servers/proxied"
run run -- sh -c 'env; cat /run/agent-machine/*'
check "and to nobody else" out_lacks secret-of-the-proxy
run run -- curl -sS -m 20 --cacert cert.pem "https://other.test:$https/"
check "a host that the proxy is not for is reached without it" \
    test "$(connections proxy)" -eq $((before + 1))
run policy explain --host "inner.corp.test:$http"
check "explain says which way it goes" out_has "127.0.0.1:$proxy"
sed -i 's/urn:srcos:proxy:corp"}/urn:srcos:proxy:nobody"}/' "$user_layer/corporate.json"
run run -- curl -sS -m 20 "http://inner.corp.test:$http/"
check "by a proxy that no layer knows nothing goes" err_has "denied: inner.corp.test"
rm "$user_layer/corporate.json"

# ---- the other way ----

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
mkfifo "$scratch/stop"
"$program" run --publish "$port:8000" -- sh -c 'python3 -m http.server 8000 >/dev/null 2>&1 &
    until curl -sS http://127.0.0.1:8000/ >/dev/null 2>&1; do sleep 0.05; done
    echo up; read -r _' <"$scratch/stop" >"$scratch/up" 2>/dev/null &
published=$!
exec 8>"$scratch/stop"
until grep -q up "$scratch/up" || ! kill -0 "$published" 2>/dev/null; do
    sleep 0.05
done
try curl -sS -m 20 "http://127.0.0.1:$port/"
check "a published port leads to the server inside" out_has cert.pem
run run --publish "$port:8000" -- true
check "which nobody else can have" exits 125
check "and says what to do" err_has "publish at another"
echo >&8
exec 8>&-
wait "$published"
run run --publish 70000 -- true
check "a port that is none is refused" exits 2

exec 7>&-
wait "$servers"
finish
