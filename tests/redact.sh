# The redact verb: what it masks, what it leaves alone, and the form that stays.
# shellcheck shell=sh disable=SC2317
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit

json() { # EXPRESSION over `d`, the JSON that the last run printed
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
        "$scratch/out" "$1"
}
json_is() { # EXPRESSION EXPECTED
    [ "$(json "$1")" = "$2" ]
}

# --- what is found --------------------------------------------------------------------------------

try python3 -B "$tree/tests/redact/accuracy.py" "$program" 100
check "known formats are masked and look-alikes are left alone" exits 0
check "the table says how many of each" out_matches '^recall 0\.99|^recall 1\.0'
check "no look-alike is masked" out_has '0 of 1500 look-alikes in 15 classes were masked'

# --- the form stays -------------------------------------------------------------------------------

cat >settings.json <<'END'
{"name": "compass", "password": "a\"b", "port": 5432, "pin": null, "headers": [
  {"name": "X_TOKEN", "value": 424242}, "Authorization: Basic RVhBTVBMRTpFWEFNUExF"],
 "tokens": 1200, "passwordRef": "secret://corp/db", "url": "https://ada:horse-7@example.com/"}
END
run redact --as json settings.json
check "masked JSON is JSON" json_is 'sorted(d)' \
    "['headers', 'name', 'password', 'passwordRef', 'pin', 'port', 'tokens', 'url']"
check "what stands behind a secret's name is masked" json_is 'd["password"], d["headers"][0]["value"]' \
    "('[redacted:assigned-secret]', '[redacted:assigned-secret]')"
check "and what looks like one" json_is 'd["headers"][1], d["url"]' \
    "('Authorization: Basic [redacted:authorization]', 'https://ada:[redacted:url-password]@example.com/')"
check "all else is as it was" json_is 'd["port"], d["tokens"], d["passwordRef"], d["name"]' \
    "(5432, 1200, 'secret://corp/db', 'compass')"
check "what was masked is counted" err_has '4 masked'

run redact --as json - <<'END'
{"a": 1,
END
check "what is no JSON is refused" exits 65

printf 'A=1\nDB_PASSWORD=hunter\nexport API_TOKEN=x y\nEMPTY_TOKEN=\nPATH=/bin\n' >environment
run redact --as lines environment
check "an environment keeps its names" out_is 'A=1
DB_PASSWORD=[redacted:assigned-secret]
export API_TOKEN=[redacted:assigned-secret]
EMPTY_TOKEN=
PATH=/bin'

printf '09:00 started\n{"msg":"login","token":"abc"}\n09:01 password=hunter2 tried\n' >mixed.log
run redact --as lines mixed.log
check "a log keeps its lines, and JSON in it stays JSON" out_is '09:00 started
{"msg":"login","token":"[redacted:assigned-secret]"}
09:01 password=[redacted:assigned-secret] tried'

run redact --as yaml environment
check "an unknown form is refused" exits 2

finish
