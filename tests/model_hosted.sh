# Hosted providers inside a run: by reference, by TLS, by the layers' word, and never by another way.
# shellcheck shell=sh disable=SC2317 # check calls functions
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/model_lib.sh"
git init -q .
run init
user_layer=$XDG_CONFIG_HOME/agent-machine/user
mkdir -p "$user_layer"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=models.test \
    -addext subjectAltName=DNS:models.test,DNS:other.test -keyout "$scratch/key.pem" \
    -out "$scratch/cert.pem" 2>"$scratch/openssl.log"
start_provider "$scratch/cert.pem" "$scratch/key.pem"
secret=sk-of-the-host-0123456789abcdef
printf '%s\n' "$secret" >"$scratch/provider.key"
chmod 600 "$scratch/provider.key"

hosted() { # FILE [SED-EXPRESSION…]: the profile of our provider
    to=$1
    shift
    sed -e "s|https://models.example.com/v1|https://models.test:$port/v1|" \
        -e 's|secret://user/northwind-model-gateway|secret://user/models|' \
        -e 's|network-access-profile:enterprise-and-user|network-access-profile:companies|' "$@" \
        "$tree/examples/external_model_provider_profile.byom_openai_compatible.json" >"$to"
}
layers() { # AUTHORITIES ALLOWED
    cat >"$user_layer/references.yaml" <<END
names: {models.test: 127.0.0.1, other.test: 127.0.0.1}
secrets:
  "secret://user/models": {file: $scratch/provider.key}
  "secret://user/base": {file: $scratch/base.url}
  "secret://user/codex": {account: codex}
  "secret://user/claude": {account: claude-code}
authorities: [$1]
END
    cat >"$user_layer/companies.yaml" <<END
id: urn:srcos:network-access-profile:companies
type: NetworkAccessProfile
specVersion: 1.0.0
name: companies
scope: user
defaultDecision: deny
evidence: {}
profiles:
  - {profileId: models, profileClass: user-firewall, priority: 1, defaultEgress: deny,
     allowDomains: [$2], allowCidrs: [127.0.0.1/32]}
END
}
bind() { # FILE [OPTION…]
    file=$1
    shift
    run model bind "$file" --model big --model redirect=redirect --model leak=leak \
        --egress allow-with-policy --accept-terms --consent-personal-data "$@"
}
unbind() {
    run model unbind urn:srcos:external-model-provider-profile:byom-openai-compatible
}
cat >ask <<'END'
#!/bin/sh
curl -sS -m 20 -w ' %{http_code}' -H 'Authorization: Bearer from-the-client' \
    -H 'Content-Type: application/json' "http://127.0.0.1:11434/v1/${3:-chat/completions}" \
    -d "{\"model\":\"$1\",\"max_tokens\":20,\"messages\":[{\"role\":\"user\",\"content\":\"$2\"}]}"
END
chmod +x ask
last() { # TEXT: in the provider's last request
    tail -n 1 "$scratch/requests.jsonl" | grep -qF -- "$1"
}
last_lacks() { # TEXT
    ! last "$1"
}

hosted hosted.json
layers "" models.test
bind hosted.json
check "a hosted provider is bound" exits 0

# ---- TLS, by whom a layer trusts ----

run run -- ./ask big hi
check "a provider that nobody vouches for is not spoken to" out_matches ' 502$'
check "and gets nothing" calls 0
check "so that the run says that no prompt left" err_lacks "bytes left"
layers "$scratch/cert.pem" models.test
run run -- ./ask big hello
check "with its authority in a layer it answers inside" out_matches ' 200$'
check "the key of the reference is shown to it" last "Bearer $secret"
check "and not the client's" last_lacks from-the-client
check "the key is nowhere inside" out_lacks "$secret"
check "the run says how much left, and to whom" err_matches 'prompts: [0-9]+ bytes left this machine in 1 calls, to models.test'
run run --json -- ./ask big hello
sent=$(tail -n 1 "$scratch/requests.jsonl" | sed 's/.*"length": \([0-9]*\).*/\1/')
check "to the byte" err_has "\"promptEgress\":{\"bytes\":$sent,\"calls\":1,\"destinations\":[{"
operation=$(sed -n 's/.*"operation":"\([^"]*\)".*/\1/p' "$scratch/err" | sed 's/.*://')
run receipt show --json "$operation"
check "its receipt says so too" out_matches "\"bytes\": *$sent"
run receipt verify "$operation"
check "and holds" exits 0
run run -- sh -c "env; ./ask big hello >/dev/null; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'"
check "no variable has the key" out_lacks "$secret"
run ledger export --jsonl
check "nor has the ledger" out_lacks "$secret"

# ---- whether it answers at all ----

before=$(wc -l <"$scratch/log")
run model test
check "a hosted provider that may be used is asked" exits 0
check "and is online" out_matches 'state +online'
check "once" calls $((before + 1))
check "without a credential" last_lacks "$secret"
check "nor a prompt" last '"method": "GET"'
run ledger export --jsonl
check "which is an operation" out_has '"message":"Asked beyond this machine, without a prompt or a credential: models.test."'
network=$("$program" profile show personal --json | sed -n 's/.*"networkAccessProfileRef": *"\([^"]*\)".*/\1/p' | head -n 1)
run delegation issue --to "urn:srcos:user:$(id -un)" --operation execution.start \
    --workspace urn:srcos:workspace:personal --profile urn:srcos:agent-machine-profile:personal \
    --provider urn:srcos:model-profile:another \
    --network "$network" \
    --ceiling wallClockSeconds=600,cpuSeconds=600,agentConcurrency=4 \
    --id urn:srcos:delegation:another
check "a delegation may give another provider" exits 0
run model test --delegation urn:srcos:delegation:another
check "then this one is not asked" exits 1
check "and that is said" out_has "The delegation under which this runs does not give"
check "the provider knows nothing of it" calls $((before + 1))

# ---- another origin ----

before=$(wc -l <"$scratch/log")
run run -- ./ask redirect hello
check "a redirect is an error" out_matches ' 502$'
check "that says so" out_has "redirects are not followed"
check "and is not followed" calls $((before + 1))

# ---- the layers' verdict ----

run run --deny models.test -- ./ask big hello
check "what the user denies is not reached" out_matches ' 403$'
check "by name" out_has "models.test"
layers "$scratch/cert.pem" elsewhere.test
run run -- ./ask big hello
check "nor what no layer allows" out_matches ' 403$'
run model test
check "and is not asked whether it answers" out_has "refused by policy"
check "the provider is not asked" calls $((before + 1))
layers "$scratch/cert.pem" models.test
run run -- curl -sS -m 5 "https://models.test:$port/v1/models"
check "who goes there by the network alone has no key" last_lacks "$secret"

# ---- secrets in prompts ----

leaked=$(printf 'ghp_%s' 0123456789abcdefghijABCDEFGHIJ012345)
before=$(wc -l <"$scratch/log")
run run -- ./ask big "use $leaked"
check "a prompt with a secret is refused" out_matches ' 403$'
check "without a word of it" out_lacks "$leaked"
check "and does not leave" calls "$before"
check "which the run says" err_lacks "bytes left"
unbind
bind hosted.json --on-secret mask
check "bound anew, secrets are to be masked" exits 0
run run -- ./ask big "use $leaked"
check "then it is answered" out_matches ' 200$'
check "but the secret has not left" last_lacks "$leaked"
check "a mark has" last "[redacted:"
unbind
bind hosted.json --on-secret report
run run -- ./ask big "use $leaked"
check "or reported" last "$leaked"
run ledger export --jsonl
check "and counted" out_has '"redactions":{"'
check "never written down" out_lacks "$leaked"

# ---- what the provider may keep ----

run run -- ./ask big hello responses
check "a provider is told to keep nothing" last '\"store\":false'
cat >keep <<'END'
#!/bin/sh
curl -sS -m 20 -w ' %{http_code}' -H 'Content-Type: application/json' \
    http://127.0.0.1:11434/v1/chat/completions -d '{"model":"big","store":true,"messages":[]}'
END
chmod +x keep
run run -- ./keep
check "who wants it kept is refused" out_matches ' 403$'
check "by the switch's name" out_has "storePrompts"
unbind
hosted keeps.json -e 's/"storePrompts": false/"storePrompts": true/' \
    -e 's/"storeCompletions": false/"storeCompletions": true/'
bind keeps.json
check "a profile may let it" exits 0
run run -- ./keep
check "then it may be asked" out_matches ' 200$'
unbind
hosted trains.json -e 's/"allowTrainingUse": false/"allowTrainingUse": true/'
bind trains.json
check "one that trains on prompts is no profile" exits 65
check "by its rule" err_has "training"
hosted tells.json -e 's/"promptHashOnly": true/"promptHashOnly": false/'
bind tells.json
check "nor one that wants prompts in the evidence" exits 65

# ---- log-ins by account ----

jwt() { # SECONDS-FROM-NOW: a token that ends then
    python3 -c 'import base64, json, sys, time
part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
print(part({"alg": "none"}), part({"exp": int(time.time()) + int(sys.argv[1])}), "c2ln", sep=".")' "$1"
}
log_in() { # TOKEN: as codex does
    mkdir -p "$HOME/.codex"
    printf '{"OPENAI_API_KEY":null,"tokens":{"id_token":"i","access_token":"%s","refresh_token":"r","account_id":"acc-1"}}' \
        "$1" >"$HOME/.codex/auth.json"
    chmod 600 "$HOME/.codex/auth.json"
}
hosted account.json -e 's|secret://user/models|secret://user/codex|'
bind account.json
check "the log-in of a tool can be the reference" exits 0
before=$(wc -l <"$scratch/log")
run run -- ./ask big hello
check "who is not logged in is told so" out_has "Codex is not logged in here"
token=$(jwt 3600)
log_in "$token"
run run -- sh -c 'cat ~/.codex/auth.json; ./ask big hello'
check "who is, is answered" out_matches ' 200$'
check "with the token of the tool's own file" last "Bearer $token"
check "and its account" last '"chatgpt-account-id": "acc-1"'
check "which is not there inside" err_has "No such file"
log_in "$(jwt -10)"
run run -- ./ask big hello
check "one that has expired is said to be renewed with the tool itself" out_has "codex login"
check "and is not shown to anybody" calls $((before + 1))
run ledger export --jsonl
check "no token is in the ledger" out_lacks "$token"
unbind
sed -e "s|\"baseUrlRef\": \"[^\"]*\"|\"baseUrlRef\": \"https://models.test:$port\"|" \
    -e 's|"authRef": "[^"]*"|"authRef": "secret://user/claude"|' \
    -e 's|"networkAccessProfileRef": "[^"]*"|"networkAccessProfileRef": "urn:srcos:network-access-profile:companies"|' \
    -e 's|"promptEgressDefault": "deny"|"promptEgressDefault": "allow-with-policy"|' \
    "$tree/examples/external_model_provider_profile.anthropic_hosted.json" >claude.json
mkdir -p "$HOME/.claude"
printf '{"claudeAiOauth":{"accessToken":"sk-ant-oat-of-the-tool","refreshToken":"r","expiresAt":%s000}}' \
    "$(($(date +%s) + 3600))" >"$HOME/.claude/.credentials.json"
chmod 600 "$HOME/.claude/.credentials.json"
run model bind claude.json --model big --egress allow-with-policy --accept-terms --consent-personal-data
check "so can that of Claude Code" exits 0
run run -- ./ask big hello messages
check "whose clients are answered" out_matches ' 200$'
check "by the tool's token" last '"Authorization": "Bearer sk-ant-oat-of-the-tool"'
check "as that of an account" last '"anthropic-beta": "oauth-'
run model unbind urn:srcos:external-model-provider-profile:anthropic-hosted
check "and is unbound" exits 0

# ---- profiles whose prompts stay ----

printf 'https://models.test:%s/v1\n' "$port" >"$scratch/base.url"
chmod 600 "$scratch/base.url"
hosted veiled.json -e "s|https://models.test:$port/v1|secret://user/base|"
sed -e "s|http://127.0.0.1:11434|https://models.test:$port/v1|" \
    "$tree/examples/local-model-profile.llama32-1b.json" >posing.json
before=$(wc -l <"$scratch/log")
for kind in airgapped-local-only local-model-provider; do
    run profile create --name "$kind" --kind "$kind"
    bind hosted.json --profile "$kind"
    check "$kind: no hosted provider is bound" exits 77
    bind veiled.json --profile "$kind"
    check "$kind: nor one whose address is veiled" exits 77
    run model bind posing.json --profile "$kind" --model big
    check "$kind: nor one that poses as local" exits 77
    run run --profile "$kind" -- ./ask big hello
    check "$kind: its name has no answer" out_matches ' 40[34]$'
done
check "none of that asked the provider" calls "$before"
bind veiled.json
check "under another profile a veiled address is a hosted one" exits 0
run run -- ./ask big hello
check "which is resolved at the door" out_matches ' 200$'
run ledger verify
check "the ledger is whole" exits 0

end_provider
finish
