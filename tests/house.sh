# The tree itself: what is generated is fresh, scripts are clean, `dev` says what it can do.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
cd "$tree" || exit

try python3 -B tools/catalogue.py --check
check "schemas/README.md is the catalogue of the schemas" exits 0

for folder in schemas examples examples/refused; do
    try python3 -c 'import json, sys
for name in sys.argv[1:]:
    try: json.load(open(name, encoding="utf-8"))
    except ValueError as error: sys.exit(f"{name}: {error}")' "$folder"/*.json
    check "a plain JSON reader reads all of $folder" exits 0
done

if command -v shellcheck >/dev/null; then
    try shellcheck -x -P SCRIPTDIR dev .ci/run tests/*.sh
    check "shellcheck finds nothing in the scripts" exits 0
else
    skip "shellcheck finds nothing in the scripts" "there is no shellcheck (./dev setup installs it)"
fi

try ./dev help
check "dev names its verbs" exits 0
for verb in setup build run test bench fuzz install; do
    check "dev names $verb" out_matches "^  $verb "
done
try ./dev nonsense
check "dev refuses a verb that it does not know" exits 2
finish
