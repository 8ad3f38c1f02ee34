# The contract verbs, as a person or a script meets them.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
cd "$tree/examples" || exit
tab=$(printf '\t')
sample=delegation.ada-to-codex.example.json

# ---- the catalogue's own documents ----

run contract validate ./*.json
check "every example is valid" exits 0
run contract validate .
check "a folder is walked, and what it refuses is refused" exits 65
run contract lint ./*.json
check "every example keeps every rule" exits 0

# A line of the lists: the refused document (behind commas, its companions among the examples),
# schema or rule, the keyword or the rule, the place.
refused() { # FILE[,COMPANION…] schema|rule KEYWORD-OR-RULE POINTER
    file=${1%%,*}
    companions=$(echo "$1" | tr ',' ' ')
    companions=${companions#"$file"}
    run contract validate "refused/$file"
    if [ "$2" = schema ]; then
        check "$file is invalid" exits 65
        check "$file: the place is named" out_has "${4:-$file}"
    else
        check "$file is well-formed" exits 0
        # shellcheck disable=SC2086 # a list of words
        run contract lint "refused/$file" $companions
        check "$file is refused by $3" out_has "$3"
    fi
}
for list in "$tree"/tests/examples/refused.*.tsv; do
    while IFS=$tab read -r file how what pointer; do
        refused "$file" "$how" "$what" "$pointer"
    done <"$list"
done

# ---- choosing the schema, and where documents come from ----

run contract validate --schema "$tree/schemas/Delegation.json" "$sample"
check "a schema can be named" exits 0
run contract validate --schema "$tree/schemas/Budget.json" "$sample"
check "a document of another type is invalid" exits 65
run contract validate - <"$sample"
check "standard input is read" exits 0

printf '{"type": "Nonsense"}\n' >"$scratch/unknown.json"
run contract validate "$scratch/unknown.json"
check "an unknown type is invalid" exits 65
check "an unknown type is named" err_or_out_has Nonsense

{
    python3 -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1]))))' "$sample"
    echo '{"type": "Delegation"}'
} >"$scratch/two.jsonl"
run contract validate --schema "$tree/schemas/Delegation.json" --jsonl "$scratch/two.jsonl"
check "lines get a verdict each, in their order" out_is "true
false"
check "one invalid line makes the whole invalid" exits 65
check "a summary goes to standard error" err_matches '1'

# ---- what is no document at all ----

printf '{"type": "Delegation",\n "type": "Delegation"}\n' >"$scratch/twice.json"
run contract validate "$scratch/twice.json"
check "a key that stands twice is refused" exits 65
check "a key that stands twice is shown with its line" err_or_out_has twice.json:2
printf '{"type": "\377"}' >"$scratch/bytes.json"
run contract validate "$scratch/bytes.json"
check "what is not UTF-8 is refused" exits 65
printf '%0300d' 0 | tr 0 '[' >"$scratch/deep.json"
run contract validate "$scratch/deep.json"
check "what is nested too deep is refused" exits 65
run contract validate "$scratch/is-not-there.json"
check "a file that is not there is no invalid document" exits 1

# ---- results for programs ----

run contract validate --output flag "$sample"
check "the flag output is the draft's" out_is '{"valid":true}'
run contract validate --output basic refused/budget.run-0001.unknown-state.json
check "the basic output names the keyword's place" out_matches '"keywordLocation": ?"[^"]*/properties/state/enum"'
check "the basic output names the instance's place" out_matches '"instanceLocation": ?"/state"'
run contract validate --json refused/budget.run-0001.unknown-state.json
check "faults are shown as JSON" out_matches '"/state"'
run contract validate refused/budget.run-0001.unknown-state.json
check "a person is told file, line, place, what was expected and what was found" out_matches \
    'unknown-state\.json:7:12: /state: expected one of .*, found "closed"'

# ---- YAML ----

python3 - "$sample" >"$scratch/sample.yaml" <<'END'
import json, sys

def lines(value, indent):
    for key, item in value.items():
        if isinstance(item, dict) and item:
            yield f"{indent}{key}:"
            yield from lines(item, indent + "  ")
        else:
            yield f"{indent}{key}: {json.dumps(item)}"

print("# written by hand")
print("\n".join(lines(json.load(open(sys.argv[1])), "")))
END
run contract validate "$scratch/sample.yaml"
check "YAML is read" exits 0
sed 's/^specVersion:.*/specVersion: 7/' "$scratch/sample.yaml" >"$scratch/wrong.yaml"
run contract validate "$scratch/wrong.yaml"
check "YAML is judged by the same schemas" exits 65
check "YAML's faults have a line" err_or_out_matches 'wrong\.yaml:[0-9]+:[0-9]+.*/specVersion'

# ---- the other verbs ----

run contract list
check "the types are listed with their prefixes" out_matches '^Delegation +urn:srcos:delegation:$'
types=$(find "$tree/schemas" -name '*.json' | wc -l)
check "there is a line for each schema" test "$(wc -l <"$scratch/out")" -eq "$types"
run contract show Delegation
check "a type is shown" out_has urn:srcos:delegation:
run contract show Nonsense
check "an unknown type cannot be shown" exits 1

run contract hash "$sample"
check "a digest is printed" out_matches '^sha256:[0-9a-f]{64}'
digest=$(cut -c 1-71 "$scratch/out")
python3 -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1])), indent=7, sort_keys=True))' \
    "$sample" >"$scratch/reordered.json"
run contract hash "$scratch/reordered.json"
check "the digest does not depend on order and layout" out_has "$digest"

mkdir "$scratch/suite"
cat >"$scratch/suite/numbers.json" <<'END'
[{"description": "a bound", "schema": {"maximum": 3}, "tests": [
  {"description": "within", "data": 3, "valid": true},
  {"description": "this one is wrong on purpose", "data": 4, "valid": true}]}]
END
run contract conformance "$scratch/suite"
check "the suite's failures are named" out_has "this one is wrong on purpose"
check "the suite's cases are counted" out_matches '^1 passed, 1 failed$'
check "a failure of the suite is a negative answer" exits 1

mkdir "$scratch/two words"
cat >"$scratch/two words/schema.json" <<'END'
{"$ref": "the%20other.json#/$defs/n"}
END
cat >"$scratch/two words/the other.json" <<'END'
{"$defs": {"n": {"type": "integer"}}}
END
echo 1 >"$scratch/one.json"
run contract validate --schema "$scratch/two words/schema.json" "$scratch/one.json"
check "a reference leads to the file beside the schema" exits 0
printf '{"a\\u001b[31m": 1}\n' >"$scratch/escape.json"
run contract validate --schema "$tree/schemas/Budget.json" "$scratch/escape.json"
check "no control character of a document reaches the terminal" out_has '\x1b[31m'

run contract
check "a verb alone is wrong usage" exits 2
run contract nonsense
check "an unknown verb is wrong usage" exits 2
run contract validate
check "no document is wrong usage" exits 2
run contract validate --nonsense "$sample"
check "an unknown option is wrong usage" exits 2
finish
