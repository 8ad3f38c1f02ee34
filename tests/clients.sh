# Programs that people use, in a run, without a proxy variable and without a word of configuration:
# each reaches a server outside by its name, through the network door.
# shellcheck shell=sh disable=SC2016,SC2317 # single quotes are for shells inside; check calls functions
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
user_layer=$XDG_CONFIG_HOME/agent-machine/user
work=$HOME/src/compass servers=$scratch/servers
mkdir -p "$work" "$user_layer" "$servers/files"
cd "$work" || exit
git init -q .
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

missing=
for client in wget ssh node npm busybox nc socat dig openssl apt-get git curl; do
    command -v "$client" >/dev/null || missing="$missing $client"
done
/usr/bin/python3 -m pip --version >/dev/null 2>&1 || missing="$missing pip"
[ -x /usr/sbin/sshd ] || missing="$missing sshd"
if [ "$missing" ]; then
    skip "programs reach what they may" "these are not here (./dev setup installs them):$missing"
    finish
    exit
fi

# ---- servers on the host ----

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=host.test \
    -addext "subjectAltName=DNS:host.test" -keyout "$servers/key.pem" -out "$work/cert.pem" \
    2>"$scratch/openssl.log"
mkfifo "$scratch/life"
python3 -B "$tree/tests/network/files.py" "$servers/files" "$servers/key.pem" "$work/cert.pem" \
    "$servers/files-ports" <"$scratch/life" &
files_server=$!
node "$tree/tests/network/http2.mjs" "$servers/key.pem" "$work/cert.pem" "$servers/http2-port" \
    <"$scratch/life" &
http2_server=$!
exec 7>"$scratch/life"

# sshd that knows one key and runs as whoever runs this test.
ssh_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
ssh-keygen -q -t ed25519 -N '' -f "$servers/host-key"
ssh-keygen -q -t ed25519 -N '' -f "$work/deploy"
mkdir -p "$servers/ssh"
cp "$work/deploy.pub" "$servers/ssh/authorized"
cat >"$servers/sshd.conf" <<END
ListenAddress 127.0.0.1:$ssh_port
HostKey $servers/host-key
AuthorizedKeysFile $servers/ssh/authorized
PidFile none
StrictModes no
UsePAM no
END
[ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
/usr/sbin/sshd -D -e -f "$servers/sshd.conf" 2>"$scratch/sshd.log" &
ssh_server=$!
until { [ -f "$servers/files-ports" ] && [ -f "$servers/http2-port" ] &&
    grep -q listening "$scratch/sshd.log"; } || ! kill -0 "$files_server" "$http2_server" \
    "$ssh_server" 2>/dev/null; do
    sleep 0.01
done
files='' files_tls='' http2=''
# shellcheck source=/dev/null # written by what was started
. "$servers/files-ports"
# shellcheck source=/dev/null
. "$servers/http2-port"

printf 'names:\n  host.test: 127.0.0.1\n' >"$user_layer/references.yaml"
cat >"$user_layer/tests.json" <<END
{"id": "urn:srcos:network-access-profile:tests", "type": "NetworkAccessProfile",
 "specVersion": "1.0.0", "name": "tests", "scope": "user", "defaultDecision": "deny",
 "profiles": [{"profileId": "servers", "profileClass": "user-firewall", "priority": 10,
   "defaultEgress": "allow-listed", "allowDomains": ["host.test"], "denyDomains": [],
   "allowCidrs": ["127.0.0.1/32"], "denyCidrs": []}],
 "evidence": {"emitNetworkDecision": true}}
END
echo "the file" >"$servers/files/file"

# ---- what they serve to package managers ----

git init -q "$scratch/source"
(cd "$scratch/source" && echo one >a && git add a &&
    git -c user.name=a -c user.email=a@b -c commit.gpgsign=false commit -qm one)
git clone -q --bare "$scratch/source" "$servers/files/project.git"
git -C "$servers/files/project.git" update-server-info

mkdir -p "$scratch/package" "$servers/files/little"
printf '{"name": "little", "version": "1.0.0"}' >"$scratch/package/package.json"
tar -C "$scratch" -czf "$servers/files/little.tgz" package
printf '{"name": "little", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {"name": "little",
 "version": "1.0.0", "dist": {"tarball": "http://host.test:%s/little.tgz", "integrity": "%s"}}}}' \
    "$files" "sha512-$(openssl dgst -sha512 -binary "$servers/files/little.tgz" | base64 -w0)" \
    >"$servers/files/little/index.html"

mkdir -p "$servers/files/simple/small" "$scratch/small-1.0"
(cd "$scratch" && python3 - "$servers/files/simple/small" <<'END'
import sys, zipfile
folder = sys.argv[1]
with zipfile.ZipFile(f"{folder}/small-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("small.py", "said = 'small'\n")
    wheel.writestr("small-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
    wheel.writestr("small-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("small-1.0.dist-info/RECORD", "small.py,,\nsmall-1.0.dist-info/METADATA,,\n"
                   "small-1.0.dist-info/WHEEL,,\nsmall-1.0.dist-info/RECORD,,\n")
with open(f"{folder}/index.html", "w") as index:
    index.write('<a href="small-1.0-py3-none-any.whl">small-1.0-py3-none-any.whl</a>')
END
)

mkdir -p "$servers/files/debian"
printf 'Package: tiny\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b>\nFilename: tiny.deb\nSize: 0\nSHA256: %s\nDescription: tiny\n\n' \
    "$(sha256sum </dev/null | cut -d' ' -f1)" >"$servers/files/debian/Packages"

# ---- the clients ----

run run -- curl -sS "http://host.test:$files/file"
check "curl, plain" out_is "the file"
run run -- curl -sS --http1.1 --cacert cert.pem "https://host.test:$http2/"
check "curl by HTTP/1.1" out_is "the page by HTTP/1.1"
run run -- curl -sS --http2 --cacert cert.pem "https://host.test:$http2/"
check "curl by HTTP/2" out_is "the page by HTTP/2.0"
run run -- wget -q -O - "http://host.test:$files/file"
check "wget" out_is "the file"
run run -- wget -q -O - --ca-certificate=cert.pem "https://host.test:$files_tls/file"
check "wget over TLS" out_is "the file"
run run -- git -c "http.sslCAInfo=$work/cert.pem" ls-remote "https://host.test:$files_tls/project.git"
check "git over https" out_has refs/heads
run run -- sh -c "git -c http.sslCAInfo=$work/cert.pem clone -q \
    https://host.test:$files_tls/project.git there && cat there/a"
check "a clone by it" out_is one
cat >"$work/ssh.conf" <<END
IdentityFile $work/deploy
UserKnownHostsFile $work/known
Port $ssh_port
END
printf '[host.test]:%s %s\n' "$ssh_port" "$(cat "$servers/host-key.pub")" >"$work/known"
run run -- sh -c "cp deploy ~/key && chmod 600 ~/key && GIT_SSH_COMMAND='ssh -F ssh.conf -i ~/key' \
    git ls-remote $(id -un)@host.test:$servers/files/project.git"
check "git over ssh" out_has refs/heads
run run --proxy-env -- sh -c "cp deploy ~/key && chmod 600 ~/key
    GIT_SSH_COMMAND=\"\$GIT_SSH_COMMAND -F ssh.conf -i ~/key -v\" \
        git ls-remote $(id -un)@host.test:$servers/files/project.git"
check "git over ssh, by the command that connects by the proxy inside" out_has refs/heads
check "which ssh runs" err_has "Executing proxy command"
run run --proxy-env -- sh -c "GIT_SSH_COMMAND=\"\$GIT_SSH_COMMAND -F ssh.conf\" \
    git ls-remote somebody@denied.test:$servers/files/project.git"
check "and says that it is refused" err_has "denied.test: the proxy refuses: 403"
run run -- sh -c "npm install --no-audit --no-fund --loglevel=error \
    --registry http://host.test:$files/ little@1.0.0 && ls node_modules"
check "npm" out_has little
run run -- sh -c "/usr/bin/python3 -m pip install -q --target ~/packages --no-cache-dir \
    --index-url http://host.test:$files/simple/ --trusted-host host.test \
    --disable-pip-version-check small && PYTHONPATH=~/packages /usr/bin/python3 -c \
    'import small; print(small.said)'"
check "pip" out_has small
run run -- sh -c "mkdir -p apt/lists/partial apt/cache/archives/partial apt/etc && : >apt/status &&
    echo 'deb [trusted=yes] http://host.test:$files/debian ./' >apt/etc/sources.list &&
    apt-get -qq -o Dir::State=$work/apt -o Dir::State::lists=$work/apt/lists \
        -o Dir::State::status=$work/apt/status -o Dir::Cache=$work/apt/cache \
        -o Dir::Etc=$work/apt/etc -o APT::Sandbox::User= update && ls apt/lists"
check "apt" out_has Packages
run run -- node -e "fetch('http://host.test:$files/file').then(r => r.text()).then(console.log)"
check "Node's fetch" out_has "the file"
run run -- sh -c "NODE_EXTRA_CA_CERTS=cert.pem node -e \
    \"fetch('https://host.test:$http2/').then(r => r.text()).then(console.log)\""
check "and over TLS" out_has "the page"
run run -- /usr/bin/python3 -c "import urllib.request
print(urllib.request.urlopen('http://host.test:$files/file').read().decode())"
check "Python's urllib" out_has "the file"
run run -- busybox wget -q -O - "http://host.test:$files/file"
check "a static program" out_is "the file"
run run -- sh -c "openssl s_client -connect host.test:$http2 -servername host.test \
    -CAfile cert.pem -verify_return_error </dev/null"
check "openssl s_client" out_has "Verify return code: 0"
run run -- sh -c "printf 'GET /file HTTP/1.0\r\n\r\n' | nc host.test $files"
check "nc" out_has "the file"
run run -- sh -c "printf 'GET /file HTTP/1.0\r\n\r\n' | socat - TCP:host.test:$files"
check "socat" out_has "the file"
run run -- dig +short host.test
check "dig" out_matches '^198\.1[89]\.'
run run -- dig denied.test
check "dig shows why a name is denied" out_has "EDE: 15"

exec 7>&-
kill "$ssh_server"
wait
finish
