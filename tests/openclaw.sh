# The real openclaw, which needs a newer node than systems have: it brings the one that it has here.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
cache=$(npm config get cache 2>/dev/null)
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
mkdir -p "$HOME/src/compass"
cd "$HOME/src/compass" || exit

install() { # PACKAGE
    try npm install --global --no-audit --no-fund --prefer-offline --omit=optional --loglevel=error \
        --prefix "$HOME/.npm-global" --cache "$cache" "$1"
}
if ! command -v npm >/dev/null; then
    skip "openclaw" "there is no npm"
    finish
fi
PATH=$HOME/.npm-global/bin:$PATH
install node@24
check "a node of its own can be installed" exits 0
install openclaw
check "openclaw can be installed" exits 0
run run openclaw -- --version
check "openclaw starts" out_matches '^OpenClaw 20'
run run --budget wallClockSeconds=120 openclaw -- agent --local --message hello
check "it says that it has no model" err_or_out_has "no model is bound"
check "and fails" exits 1
check "its state is kept with the profile" \
    test -n "$(find "$XDG_STATE_HOME" -path '*openclaw*' -type f | head -n 1)"
check "and not in the host's home" test ! -e "$HOME/.openclaw"

mkdir "$scratch/elsewhere"
cp "$(readlink -f "$HOME/.npm-global/bin/node")" "$scratch/elsewhere/node"
PATH=$scratch/elsewhere:$PATH run run openclaw -- --version
check "a node from elsewhere is not there inside, and it is refused" exits 125
check "by name" err_has surface-program-outside
finish
