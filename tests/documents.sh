# Every document that the tests made the program print or store holds against schemas and rules.
#
# tests/run has the other tests leave what there is in AM_TEST_COLLECT, and runs this one last. Where
# it is run alone, it runs the other scripts first.
# shellcheck shell=sh
left_behind=${AM_TEST_COLLECT:-}
unset AM_TEST_COLLECT
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit
export XDG_STATE_HOME="$scratch/state" XDG_CONFIG_HOME="$scratch/config"

look() { # FOLDER
    try python3 -B "$tree/tests/documents.py" "$program" "$1"
}

# ---- what is wrong is found ----

run init
mkdir -p good/printed good/ledgers
cp -r state/agent-machine good/ledgers/one
run profile list --json
cp "$scratch/out" good/printed/one
look good
check "what init stores is right" exits 0
check "its documents are counted" out_matches '^[0-9]{2,} documents of [0-9]+ types, 1 ledgers, 1 outputs, 0 faults$'

spoil() { # SQL
    rm -rf spoilt
    cp -r good spoilt
    python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript(sys.argv[2])' spoilt/ledgers/one/ledger.db "$1"
    look spoilt
}
spoil "UPDATE document SET json = replace(json, '\"state\":\"completed\"', '\"state\":\"done\"')
    WHERE type = 'WorkspaceOperation'"
check "a stored document that its schema refuses is found" exits 1
check "and the place is said" out_has /state
spoil "UPDATE document SET json = replace(json, '\"description\":\"A', '\"description\":\"ghp_0123456789abcdefghijABCDEFGHIJ012345 A')
    WHERE type = 'AgentMachineProfile'"
check "one that only a rule refuses is found" exits 1
check "and the rule is said" out_has document.no-inline-credential
spoil "UPDATE event SET json = replace(json, '\"eventType\":\"start\"', '\"eventType\":\"begin\"')"
check "an event is looked at too" exits 1
spoil "UPDATE document SET type = 'Something' WHERE type = 'Budget'"
check "so is one of a type that there is not" exits 1
rm -rf spoilt
cp -r good spoilt
sed -i 's/"hostPlane"/"hostPlan"/' spoilt/printed/one
look spoilt
check "a wrong one that was printed is found" exits 1
printf '{"half":' >spoilt/printed/one
look spoilt
check "what is no JSON is found" exits 1

# ---- what the tests left ----

if [ ! -d "$left_behind/ledgers" ]; then
    left_behind=$scratch/left
    for script in "$tree"/tests/*.sh; do
        case ${script##*/} in
        lib.sh | documents.sh | house.sh | openclaw.sh | ordinary_user.sh | readme.sh) continue ;;
        esac
        AM_TEST_COLLECT=$left_behind sh "$script" >/dev/null 2>&1
    done
fi
look "$left_behind"
check "every document of every test is right" exits 0
[ "$failed" -eq 0 ] || cat "$scratch/out"
for test in delegation grant ledger op policy profile; do
    check "$test left something" test -n "$(find "$left_behind" -name "$test-*")"
done
tail -n 1 "$scratch/out"
finish
