# The storm verb: a log told as storms, exactly, within bounds, whatever comes in.
# shellcheck shell=sh disable=SC2317
. "$(dirname "$0")/lib.sh"
cd "$scratch" || exit

TZ=UTC HOME=$scratch/home
export TZ HOME
unset XDG_STATE_HOME XDG_CONFIG_HOME

lines() { # FIRST LAST FORMAT: one line for each number
    awk -v first="$1" -v last="$2" -v format="$3\n" \
        'BEGIN { for (i = first; i <= last; i++) printf format, i }'
}
json() { # EXPRESSION over `d`, the list of documents that the last run printed
    python3 -c '
import json, sys
d = [json.loads(line) for line in open(sys.argv[1])]
print(eval(sys.argv[2]))' "$scratch/out" "$1"
}
json_is() { # EXPRESSION EXPECTED
    [ "$(json "$1")" = "$2" ]
}
# The next line that the follower lets through; it waits for it.
next_is() { # TEXT
    IFS= read -r line <&3 && [ "$line" = "$1" ]
}

# --- what is told ---------------------------------------------------------------------------------

lines 1 5000 'Jun 14 15:16:01 host sshd[%d]: Failed password for root from 10.0.0.7' >equal.log
lines 1 3 'Jun 14 15:16:02 host cron[%d]: job ended' >>equal.log
run storm equal.log
check "equal lines are one" out_matches '^ *5000 .* sshd: Failed password for root from <\*>'
check "whoever said them is told apart" out_matches '^ *3 .* cron: job ended'
check "all lines are counted" out_has '5003 lines, 2 signatures'
check "the table fits 80 columns" [ "$(wc -L <"$scratch/out")" -le 80 ]
run storm - <equal.log
check "standard input is the same" out_has '5003 lines, 2 signatures'
run storm <equal.log
check "and is what is read without a name" out_has '5003 lines, 2 signatures'

run storm --json equal.log
check "records are JSON lines" exits 0
check "the count is exact" json_is 'd[0]["repeatCount"]' 5000
check "values stay in the event" json_is '"10.0.0.7" in str(d)' False
cp "$scratch/out" records.jsonl

cat >story.log <<'END'
2026-11-20T09:00:00Z host kernel: apparmor="DENIED" operation="open" name="/run/keyring" pid=42
2026-11-20T09:00:01Z host browser[42]: failed to open "/run/keyring": giving up after 1 tries
2026-11-20T09:00:02Z host browser[42]: failed to open "/run/keyring": giving up after 2 tries
2026-11-20T09:00:02Z host other[43]: failed to open "/run/keyring" after 2 tries
2026-11-20T09:00:03Z host app[9]: session opened with api_key=AKIAIOSFODNN7EXAMPLX
END
run storm story.log
check "a denial and what it broke are one story" out_has '└ browser'
check "with what links them" out_has 'same process, same object'
run storm --json story.log
check "the record names its cause" json_is \
    '[r["causalParentRef"] == next(p["id"] for p in d if p["sourceComponent"] == "kernel") for r in d if r["sourceComponent"] == "browser"]' '[True]'
check "and the evidence for it" json_is \
    '["same process and object" in r["evidenceRefs"][1] and "confidence" in r["evidenceRefs"][1] for r in d if r["sourceComponent"] == "browser"]' '[True]'
check "what only happens at the same time has no cause" json_is \
    '[r["causalParentRef"] for r in d if r["sourceComponent"] == "other"]' '[None]'
check "credentials do not come through" out_lacks AKIAIOSFODNN7EXAMPLX
cat "$scratch/out" >>records.jsonl

# --- formats --------------------------------------------------------------------------------------

{
    lines 1 7 '{"__REALTIME_TIMESTAMP":"1795165200500000","SYSLOG_IDENTIFIER":"j","MESSAGE":"json %d"}'
    lines 1 6 '<3>Jun 14 15:16:01 host s[%d]: syslog'
    lines 1 5 '2026-11-20 09:00:00.000000-0800 0x%d Error 0x0 123 0 m: (TCC) macos'
    lines 1 4 '{"time":"2026-11-20T09:00:01Z","level":"warn","msg":"program %d"}'
    lines 1 3 '[   %d.5] kernel speaks'
    lines 1 2 'plain %d'
    printf '__CURSOR=x\n__REALTIME_TIMESTAMP=1795165200500000\nSYSLOG_IDENTIFIER=e\nMESSAGE=export\n\n'
} >formats.log
run storm formats.log
for expected in '7 .* j: json' '6 .* s: syslog' '5 .* m: \(TCC\) macos' '4 .* program' \
    '3 .* kernel: kernel speaks' '2 .* plain' '1 .* e: export'; do
    check "known by itself: ${expected##* }" out_matches "^ *$expected"
done
run storm --json formats.log
cat "$scratch/out" >>records.jsonl

# --- hostile input --------------------------------------------------------------------------------

head -c 3000000 /dev/urandom >junk
run storm junk
check "junk is survived" exits 0
check "and told as junk" out_has '(binary)'
run storm --json junk
check "records of junk are JSON" json_is 'sum(r["repeatCount"] for r in d)' \
    "$(($(wc -l <junk) + $([ "$(tail -c 1 junk | od -An -c | tr -d ' ')" = '\n' ] && echo 0 || echo 1)))"
head -n 20 "$scratch/out" >>records.jsonl
head -c 30000000 /dev/zero | tr '\0' x >endless
run storm endless
check "a line without end is one line" out_has '1 lines, 1 signatures'
check "and it is said that it was cut" out_has 'longer than is looked at'
printf 'a: \377\376 \303 failed\n\033[31mred\033[0m alert 1\n' >broken
run storm --json broken
check "broken UTF-8 becomes JSON all the same" json_is 'len(d)' 2
check "escape sequences are gone" out_lacks '\u001b'
cat "$scratch/out" >>records.jsonl
awk 'BEGIN { srand(1); for (i = 0; i < 40000; i++) { s = ""; for (w = 0; w < 6; w++) { for (l = 0; l < 6; l++) s = s sprintf("%c", 97 + int(rand() * 26)); s = s " " } print s; if (i % 10 == 0) print "the storm in it" } }' >flood
run storm --signatures 64 --top 1 flood
check "a storm is found in a flood of ever new lines" out_matches '^ *4000 .* the storm in it'
check "and what had to go is counted" out_has 'in signatures that had to go'
run storm --signatures 64 --json flood
check "with all of it nothing is lost" exits 0
try sh -c "ulimit -v 600000; exec '$program' storm --signatures 1000 flood"
check "memory is bounded" exits 0

# --- policies -------------------------------------------------------------------------------------

{
    lines 1 100 '2026-11-20T09:00:01Z host app[%d]: again'
    lines 1 1 '2026-11-20T09:00:02Z host app[%d]: something else'
} >again.log
run storm --pass again.log
check "without a policy each line passes" [ "$(wc -l <"$scratch/out")" -eq 101 ]
run storm --pass --policy deduplicate again.log
check "of equal neighbours one passes" [ "$(grep -c 'app\[' "$scratch/out")" -eq 2 ]
run storm --pass --policy summarize --rate 5 again.log
check "above the rate the record takes their place" out_has '[storm: 100 events, 95 held back]'
run storm --pass --policy suppress --rate 5 again.log
check "or nothing does" [ "$(grep -c 'app\[' "$scratch/out")" -eq 6 ]
run storm --pass --policy quarantine --rate 5 --apart apart.log again.log
check "a component in quarantine is held apart" [ "$(wc -l <apart.log)" -eq 96 ]
run storm --pass --policy escalate --rate 5 --call 'cat >called' again.log
check "somebody is called" grep -q again called
check "once" [ "$(wc -l <called)" -eq 1 ]
run storm --json --policy suppress --rate 5 again.log
check "a suppressed storm is counted to its end" json_is 'd[0]["repeatCount"], d[0]["terminalState"]' \
    "(100, 'suppressed')"
cat "$scratch/out" >>records.jsonl

# --- what is held back is in the ledger -----------------------------------------------------------

chained() { # EXPRESSION over `e`, the events about storms of which the last run printed each
    python3 -c '
import hashlib, json, sys
e = [event["storm"] for event in map(json.loads, open(sys.argv[1])) if "storm" in event]
def digest(record):
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
record = json.loads(open(sys.argv[2]).readline())
sys.exit(not eval(sys.argv[3]))' "$scratch/out" told "$1"
}
cp "$scratch/out" told
run ledger export --jsonl
check "a suppressed storm leaves its record's digest" chained 'e[-1]["digest"] == digest(record)'
check "and names the record" chained 'e[-1]["diagnosticStormRecordRef"] == record["id"]'
check "with its count and how much was held back" \
    chained '(e[-1]["repeatCount"], e[-1]["heldCount"], e[-1]["suppressionPolicy"]) == (100, 95, "suppress")'
check "and its times" \
    chained '(e[-1]["firstSeen"], e[-1]["lastSeen"]) == (record["firstSeen"], record["lastSeen"])'
check "so does what another policy held back" \
    chained '{s["suppressionPolicy"] for s in e} == {"deduplicate", "summarize", "suppress", "quarantine", "escalate"}'
run ledger verify
check "the ledger holds" exits 0
run ledger tail -n 1
check "and tells it to people" out_has 'storm suppress 95 of 100 held back'
run ledger export --jsonl
before=$(wc -l <"$scratch/out")
run storm --policy suppress --rate 1000 again.log
run ledger export --jsonl
check "what is all shown leaves nothing" [ "$(wc -l <"$scratch/out")" -eq "$before" ]

awk 'BEGIN { srand(2); for (i = 0; i < 3000; i++) { w = ""; for (l = 0; l < 8; l++) w = w sprintf("%c", 97 + int(rand() * 26))
    for (j = 0; j < 12; j++) print "2026-11-20T09:00:01Z host " w ": hostile words of " w " each time" } }' >hostile.log
run storm --policy suppress --rate 5 --signatures 256 --json hostile.log
held=$(sed -n 's/.*; \([0-9]*\) held back.*/\1/p' "$scratch/err")
run ledger export --jsonl --from "$before"
check "a hostile log cannot flood the ledger" [ "$(wc -l <"$scratch/out")" -eq 65 ]
check "one event has all that was not told one by one" \
    chained 'e[-1]["storms"] > 2500 and "diagnosticStormRecordRef" not in e[-1]'
check "and nothing that was held back is lost ($held)" chained "sum(s['heldCount'] for s in e) == $held > 15000"
run ledger verify
check "the ledger still holds" exits 0

"$program" ledger tail --follow -n 0 >tailed &
tailer=$!
mkfifo fed
"$program" storm --follow --pass --policy suppress --rate 5 --window 1 <fed >/dev/null 2>&1 &
follower=$!
exec 4>fed
lines 1 50 'feeder: the same %d' >&4
check "while a log is followed a storm is recorded before it ends" \
    timeout 20 sh -c 'until grep -q "storm suppress" tailed; do :; done'
exec 4>&-
wait "$follower"
kill "$tailer"
wait "$tailer" 2>/dev/null

XDG_STATE_HOME=/proc/nowhere run storm --pass --policy suppress again.log
check "where nothing can be recorded nothing is held back" exits 1
check "nor shown" out_empty
check "and it says why" err_has 'what a policy holds back is recorded'
XDG_STATE_HOME=/proc/nowhere run storm --pass again.log
check "without a policy no ledger is needed" exits 0

# --- following ------------------------------------------------------------------------------------

mkfifo followed
echo 'app: first 1' >grow.log
"$program" storm --follow --pass grow.log >followed 2>follow.err &
follower=$!
exec 3<followed
check "what stands there is read" next_is 'app: first 1'
echo 'app: second 2' >>grow.log
check "what is added is read" next_is 'app: second 2'
mv grow.log grow.log.1
echo 'app: late 3' >>grow.log.1
echo 'app: third 4' >grow.log
check "rotation loses nothing of the old file" next_is 'app: late 3'
check "and goes on with the new one" next_is 'app: third 4'
: >grow.log
echo 'app: fourth and longer 5' >>grow.log
check "truncation is noticed" next_is 'app: fourth and longer 5'
printf 'app: begun ' >>grow.log
echo 'and ended 6' >>grow.log
check "a line is one, however it is written" next_is 'app: begun and ended 6'
kill -TERM "$follower"
wait "$follower"
check "a signal ends it well" [ $? -eq 0 ]
check "and the totals are told" grep -q '6 lines' follow.err
exec 3<&-

run storm --follow --window 1 <equal.log
check "a stream that ends is told" out_has '5000'

# --- the journal ----------------------------------------------------------------------------------

mkdir bin
cat >bin/journalctl <<'END'
#!/bin/sh
echo '{"__REALTIME_TIMESTAMP":"1795165200500000","SYSLOG_IDENTIFIER":"sshd","MESSAGE":"from the journal 1"}'
END
chmod +x bin/journalctl
PATH=$scratch/bin:$PATH run storm --journal
check "the journal is read" out_has 'sshd: from the journal <*>'
PATH=$scratch/nowhere run storm --journal
check "without journalctl it says so" err_has 'journalctl cannot be started'
check "and refuses" exits 1

# --- groups ---------------------------------------------------------------------------------------

printf 'user anna gone\nuser bert gone\nuser carl gone\nuser dora gone\nother 1\n' >content
run storm --groups content
check "one label for each line" [ "$(wc -l <"$scratch/out")" -eq 5 ]
check "the same for what is one group" [ "$(head -n 4 "$scratch/out" | sort -u | wc -l)" -eq 1 ]
check "and another for another" [ "$(sort -u "$scratch/out" | wc -l)" -eq 2 ]
run storm --groups - <content
check "from standard input too" [ "$(wc -l <"$scratch/out")" -eq 5 ]

if [ -d "${AM_TEST_DATA:-}/loghub" ]; then
    best=983 # Brain, in thousandths
    for system in HDFS Hadoop Zookeeper BGL HPC Linux Apache OpenSSH; do
        python3 -c '
import csv, sys
for row in csv.DictReader(open(sys.argv[1], encoding="utf8", errors="replace")):
    print(row["Content"])' "$AM_TEST_DATA/loghub/$system/${system}_2k.log_structured.csv" >content
        "$program" storm --groups content >labels
        python3 "$AM_TEST_DATA/loghub/grouping_accuracy.py" "$system" labels
    done >accuracy
    check "templates are right more often than the best published ($(awk '{ s += $2 } END { printf "%.4f", s / NR }' accuracy))" \
        [ "$(awk '{ s += $2 } END { printf "%d", 1000 * s / NR }' accuracy)" -gt "$best" ]
else
    skip "grouping accuracy on LogHub" "AM_TEST_DATA has no loghub"
fi

# --- wrong use ------------------------------------------------------------------------------------

run storm nowhere.log
check "a file that is not there is an error" exits 1
run storm --policy loud equal.log
check "a policy that there is not is wrong usage" exits 2
run storm --rate 0 equal.log
check "so is a rate of nothing" exits 2
run storm --json --pass equal.log
check "so are two ways of telling" exits 2

# --- every record is valid ------------------------------------------------------------------------

mkdir records
awk '{ file = sprintf("records/%04d.json", NR); print >file; close(file) }' records.jsonl
run contract validate records
check "every record printed above is valid" exits 0
check "and there were many" [ "$(find records -name '*.json' | wc -l)" -gt 20 ]
: >single
find records -name '*.json' | while read -r file; do
    "$program" contract lint "$file" >>single 2>&1 || echo "FAILED $file" >>single
done
check "and keeps the rules" sh -c '! grep FAILED single'
finish
