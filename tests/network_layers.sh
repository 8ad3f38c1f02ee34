# What each layer, kind of profile, default, mode and conflict policy lets a run reach.
# shellcheck shell=sh disable=SC2317 # check calls functions
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
mkdir -p "$HOME/src/compass" "$scratch/servers"
cd "$HOME/src/compass" || exit
git init -q .
mkfifo "$scratch/life"
python3 -B "$tree/tests/network/servers.py" "$scratch/servers" <"$scratch/life" &
servers=$!
exec 7>"$scratch/life"
until [ -f "$scratch/servers/ports" ] || ! kill -0 "$servers" 2>/dev/null; do
    sleep 0.01
done

python3 -B "$tree/tests/network/layers.py" "$program" "$scratch/servers" "$XDG_CONFIG_HOME" \
    >"$scratch/cases" 2>"$scratch/cases.err"
command_line=tests/network/layers.py
cp "$scratch/cases" "$scratch/out"
cp "$scratch/cases.err" "$scratch/err"
while read -r verdict name; do
    [ "$verdict" = left ] || check "${name%%: expected*}" test "$verdict" = ok
done <"$scratch/cases"
check "all cases were tried" test "$(wc -l <"$scratch/cases")" -ge 25

exec 7>&-
wait "$servers"
finish
