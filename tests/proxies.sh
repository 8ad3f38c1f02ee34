# Corporate proxies that answer with a challenge, and such behind TLS: a real Squid, asked by Digest,
# NTLM (Squid's own helper stands for the domain) and Negotiate (a real KDC gives the tickets).
# shellcheck shell=sh disable=SC2317 # check calls functions
. "$(dirname "$0")/lib.sh"
if ! command -v squid >/dev/null || ! command -v krb5kdc >/dev/null; then
    skip "corporate proxies" "there is no squid or no krb5kdc"
    finish
fi
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
user_layer=$XDG_CONFIG_HOME/agent-machine/user
mkdir -p "$HOME/src/compass" "$user_layer" "$scratch/servers" "$scratch/squid" "$scratch/krb"
kdc='' squid=''
trap 'kill $kdc $squid; ended_early' EXIT
cd "$HOME/src/compass" || exit
git init -q .

free_ports() { # COUNT
    python3 -c 'import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*[one.getsockname()[1] for one in held])' "$1"
}
# shellcheck disable=SC2046 # words
set -- $(free_ports 3)
plain=$1 tls=$2 kdc_port=$3
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$scratch/squid/key.pem" \
    -out "$scratch/squid/cert.pem" 2>"$scratch/openssl.log"

# ---- a realm: its KDC, the proxy's key, and ada's ticket ----

export KRB5_CONFIG="$scratch/krb/krb5.conf" KRB5_KDC_PROFILE="$scratch/krb/kdc.conf"
export KRB5CCNAME="FILE:$scratch/krb/tickets"
cat >"$KRB5_CONFIG" <<END
[libdefaults]
    default_realm = COMPANY.TEST
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
[realms]
    COMPANY.TEST = {
        kdc = 127.0.0.1:$kdc_port
    }
END
cat >"$KRB5_KDC_PROFILE" <<END
[kdcdefaults]
    kdc_listen = 127.0.0.1:$kdc_port
    kdc_tcp_listen = 127.0.0.1:$kdc_port
[realms]
    COMPANY.TEST = {
        database_name = $scratch/krb/principal
        key_stash_file = $scratch/krb/stash
        acl_file = $scratch/krb/acl
    }
[logging]
    kdc = FILE:$scratch/krb/kdc.log
END
{
    kdb5_util -r COMPANY.TEST create -s -P of-this-test &&
        kadmin.local -q "addprinc -pw sesame ada" &&
        kadmin.local -q "addprinc -randkey HTTP/localhost" &&
        kadmin.local -q "ktadd -k $scratch/squid/keytab HTTP/localhost"
} >"$scratch/krb/made" 2>&1
krb5kdc -n >"$scratch/krb/out" 2>&1 &
kdc=$!
until echo sesame | kinit ada >"$scratch/krb/kinit" 2>&1 || ! kill -0 "$kdc" 2>/dev/null; do
    sleep 0.05
done

# ---- the proxy ----

digest() { # USER REALM PASSWORD
    printf '%s:%s:%s' "$1" "$2" "$(printf '%s:%s:%s' "$1" "$2" "$3" | md5sum | cut -c-32)"
}
digest ada company word >"$scratch/squid/people"
echo "ada:$(openssl passwd -apr1 word)" >"$scratch/squid/passwords"
for way in digest ntlm negotiate tls none; do
    echo "127.0.0.1 $way.test"
done >"$scratch/squid/hosts"
cat >"$scratch/squid/squid.conf" <<END
http_port 127.0.0.1:$plain
https_port 127.0.0.1:$tls tls-cert=$scratch/squid/cert.pem tls-key=$scratch/squid/key.pem
pid_filename none
pinger_enable off
hosts_file $scratch/squid/hosts
cache deny all
coredump_dir $scratch/squid
logformat short %Ss/%>Hs %rm %ru %un
access_log stdio:$scratch/squid/access.log short
cache_log $scratch/squid/cache.log
shutdown_lifetime 1 seconds
auth_param negotiate program /usr/lib/squid/negotiate_kerberos_auth -k $scratch/squid/keytab -s HTTP/localhost@COMPANY.TEST
auth_param negotiate children 2
auth_param ntlm program /usr/lib/squid/ntlm_fake_auth
auth_param ntlm children 2
auth_param digest program /usr/lib/squid/digest_file_auth -c $scratch/squid/people
auth_param digest children 2
auth_param digest realm company
auth_param basic program /usr/lib/squid/basic_ncsa_auth $scratch/squid/passwords
auth_param basic children 2
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
END
as_other=
if [ "$(id -u)" -eq 0 ]; then
    as_other="setpriv --reuid nobody --regid nogroup --clear-groups --"
    chmod 711 "$scratch"
    chown -R nobody "$scratch/squid"
fi
mkfifo "$scratch/life"
python3 -B "$tree/tests/network/servers.py" "$scratch/servers" <"$scratch/life" &
servers=$!
exec 7>"$scratch/life"
# shellcheck disable=SC2086 # words
$as_other squid -N -f "$scratch/squid/squid.conf" >"$scratch/squid/out" 2>&1 &
squid=$!
until { [ -f "$scratch/servers/ports" ] &&
    curl -sS -o "$scratch/answer" "http://127.0.0.1:$plain/" 2>"$scratch/curl"; } ||
    ! kill -0 "$servers" "$squid" 2>/dev/null; do
    sleep 0.05
done
http=''
# shellcheck source=/dev/null # written by what was started
. "$scratch/servers/ports"

# ---- a layer that knows it in four ways ----

entry() { # ID
    printf '  - {profileId: %s, profileClass: proxy, priority: 10, defaultEgress: deny,\n' "$1"
    printf '     allowDomains: [%s.test], allowCidrs: [127.0.0.1/32],\n' "$1"
    printf '     proxyRef: "urn:srcos:proxy:%s"}\n' "$1"
}
{
    printf 'id: urn:srcos:network-access-profile:company\ntype: NetworkAccessProfile\n'
    printf 'specVersion: 1.0.0\nname: company\nscope: user\ndefaultDecision: deny\n'
    printf 'evidence: {}\nprofiles:\n'
    for way in digest ntlm negotiate tls none; do
        entry "$way"
    done
} >"$user_layer/company.yaml"
proxy() { # ID URL MORE
    printf '  "urn:srcos:proxy:%s": {url: "%s"%s}\n' "$1" "$2" "$3"
}
with_login=', authorizationRef: "secret://company/login", authorizationScheme:'
{
    printf 'proxies:\n'
    proxy digest "http://localhost:$plain" "$with_login digest"
    proxy ntlm "http://localhost:$plain" "$with_login ntlm"
    proxy negotiate "http://localhost:$plain" ", authorizationScheme: negotiate"
    proxy tls "https://localhost:$tls" "$with_login basic"
    proxy none "http://localhost:$plain" ''
    printf 'secrets: {"secret://company/login": {file: ~/.config/login}}\n'
    printf 'authorities: [%s]\n' "$scratch/squid/cert.pem"
} >"$user_layer/references.yaml"
[ -z "$as_other" ] || chown root "$scratch/squid/cert.pem"
printf 'ada:word\n' >"$XDG_CONFIG_HOME/login"
chmod 600 "$XDG_CONFIG_HOME/login"

fetch() { # WAY
    run run -- curl -sS -m 20 "http://$1.test:$http/"
}
carried_for() { # WAY USER
    grep -qxE "[A-Z_]+/200 CONNECT $1.test:$http $2" "$scratch/squid/access.log"
}

fetch none
check "a proxy that wants to know who asks lets nobody else through" exits 56
check "and its answer is told" err_has 407
fetch digest
check "Digest: the page comes" out_is "the page"
check "carried for whom the secret names" carried_for digest ada
fetch ntlm
check "NTLM: the page comes" out_is "the page"
check "by a proxy that knew who asked" carried_for ntlm '.*ada.*'
fetch negotiate
check "Negotiate: the page comes" out_is "the page"
check "for whose ticket it is" carried_for negotiate ada@COMPANY.TEST
fetch tls
check "a proxy behind TLS: the page comes" out_is "the page"
check "and for whom" carried_for tls ada
run run -- sh -c "env; cat '$scratch/krb/tickets'"
check "neither ticket nor its place is inside" out_lacks "$scratch/krb"
check "where nobody can read it" exits 1

printf 'ada:wrong\n' >"$XDG_CONFIG_HOME/login"
fetch digest
check "a wrong password is refused by the proxy" exits 56
check "with its answer" err_has 407
kdestroy
fetch negotiate
check "without a ticket there is no way" exits 56
check "and the proxy is named as who refused" err_has "denied: negotiate.test:$http"
rm "$user_layer/references.yaml"
{
    printf 'proxies:\n'
    proxy tls "https://localhost:$tls" "$with_login basic"
    printf 'secrets: {"secret://company/login": {file: ~/.config/login}}\n'
} >"$user_layer/references.yaml"
fetch tls
check "a proxy whose certificate nobody vouches for is told nothing" exits 56
check "and said to be so" err_has certificate
check "no password and no ticket is in a file of the ledger" \
    test -z "$(grep -rlE 'ada:(word|wrong)|YWRhOndvcmQ' "$XDG_STATE_HOME")"

exec 7>&-
kill "$kdc" "$squid"
wait "$servers" "$kdc" "$squid"
finish
