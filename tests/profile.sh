# Profiles at the command line: made, listed, shown, checked, compared.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit
export XDG_STATE_HOME="$scratch/state" XDG_CONFIG_HOME="$scratch/config"

run profile create --kind personal
check "without a key nothing is made" exits 77
run init
run profile create
check "a kind is needed" exits 2
run profile create --kind sleepy
check "there is no such kind" exits 2
run profile create --kind personal --without gems
check "there is no such preset" exits 2

for kind in personal corporate-firewall multi-corporate-firewall local-model-provider \
    hosted-model-provider airgapped-local-only user-owned-model; do
    run profile create --kind "$kind"
    check "$kind is made" out_is "urn:srcos:agent-machine-profile:$kind"
    run profile validate "$kind"
    check "$kind is valid" exits 0
done
run profile list
check "the profiles are listed" out_has "airgapped-local-only (airgapped-local-only)"
check "within eighty columns" awk 'length > 80 { exit 1 }' "$scratch/out"
run profile list --json
check "as JSON too" out_has '"profileKind":"personal"'

run profile create --kind personal --name mine --without npm,pip
check "a profile has a name of its own" exits 0
run profile create --kind personal --name mine --without npm,pip
check "made again, it is the same" exits 0
run profile create --kind airgapped-local-only --name mine
check "another one of its name is refused" exits 1
check "and the remedy is said" err_has "another name"

run profile show mine
check "it is shown" exits 0
cp "$scratch/out" mine.json
run contract validate mine.json
check "it is a valid document" exits 0
run profile diff mine mine.json
check "it differs in nothing from itself" exits 0
run profile diff personal airgapped-local-only
check "two kinds differ" exits 1
check "what they differ in is named" out_has "/userPlane/consent/promptEgress"
sed 's/"deny"/"maybe"/' mine.json >broken.json
run profile validate broken.json
check "a broken one is invalid" exits 65
run profile show missing
check "what is not there is said" exits 1
finish
