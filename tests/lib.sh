# lib: what an end-to-end test needs and no more.
#
# A test is a POSIX shell script that sources this file first and calls `finish` last. In between
# it calls the program with `run`, and states with `check NAME COMMAND…` what a user must notice;
# the commands below speak about the last run. A failed check shows that run and goes on.
#
# AM_PROGRAM names the program, $tree is the source tree, $scratch a folder that goes at the end.
# Where AM_TEST_COLLECT names a folder, what the program printed as JSON and the ledgers that are
# left are copied there, for tests/documents.sh. A ledger beside which a file `.tampered` lies is not.
# shellcheck shell=sh

set -u
tree=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'ended_early' EXIT
program=${AM_PROGRAM:-$tree/build/agent-machine}
passed=0 failed=0 skipped=0 status=0 command_line=
collect=${AM_TEST_COLLECT:-} collected=0

run() { # ARGUMENT…
    try "$program" "$@"
    [ -z "$collect" ] || collect_printed "$@"
}

# The same with a command other than the program.
try() { # COMMAND…
    command_line=$*
    "$@" >"$scratch/out" 2>"$scratch/err"
    status=$?
}

check() { # NAME COMMAND…
    check_name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        printf 'ok       %s\n' "$check_name"
    else
        failed=$((failed + 1))
        printf 'FAILED   %s (%s)\n' "$check_name" "$*"
        printf '  last run: %s; exit status %s\n' "$command_line" "$status"
        show out
        show err
    fi
}

skip() { # NAME REASON
    if [ "${AM_MUST_WORK:-}" = 1 ]; then
        failed=$((failed + 1))
        printf 'FAILED   %s, which must work here: %s\n' "$1" "$2"
    else
        skipped=$((skipped + 1))
        printf 'skipped: %s: %s\n' "$1" "$2"
    fi
}

exits() { # STATUS
    [ "$status" -eq "$1" ]
}
out_is() { # TEXT
    [ "$(cat "$scratch/out")" = "$1" ]
}
out_has() { # TEXT
    grep -qF -- "$1" "$scratch/out"
}
out_lacks() { # TEXT
    ! grep -qF -- "$1" "$scratch/out"
}
out_matches() { # EXTENDED-REGULAR-EXPRESSION
    grep -qE -- "$1" "$scratch/out"
}
out_empty() {
    [ ! -s "$scratch/out" ]
}
err_has() { # TEXT
    grep -qF -- "$1" "$scratch/err"
}
err_lacks() { # TEXT
    ! grep -qF -- "$1" "$scratch/err"
}
err_matches() { # EXTENDED-REGULAR-EXPRESSION
    grep -qE -- "$1" "$scratch/err"
}
err_or_out_has() { # TEXT
    out_has "$1" || err_has "$1"
}
err_or_out_matches() { # EXTENDED-REGULAR-EXPRESSION
    out_matches "$1" || err_matches "$1"
}
err_empty() {
    [ ! -s "$scratch/err" ]
}

finish() {
    trap - EXIT
    [ -z "$collect" ] || collect_ledgers
    rm -rf "$scratch"
    printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ]
    exit
}

# From here on: not for tests to call.
# What a run prints is its command's, but for a plan.
collect_printed() { # ARGUMENT…
    case " $* " in
    " run "*" --dry-run "*) ;;
    " run "*) return ;;
    esac
    case $(head -c 1 "$scratch/out") in
    '{' | '[')
        collected=$((collected + 1))
        mkdir -p "$collect/printed"
        cp "$scratch/out" "$collect/printed/$(basename "$0" .sh)-$$-$collected"
        ;;
    esac
}
collect_ledgers() {
    find "$scratch" -name ledger.db >"$scratch/ledgers"
    while read -r found; do
        collected=$((collected + 1))
        to=$collect/ledgers/$(basename "$0" .sh)-$$-$collected
        [ ! -e "$(dirname "$found")/.tampered" ] || continue
        mkdir -p "$to"
        cp "$found"* "$to/"
    done <"$scratch/ledgers"
}

show() { # STREAM
    [ ! -f "$scratch/$1" ] || head -n 12 "$scratch/$1" | sed "s/^/  $1: /"
}

ended_early() {
    failed=$((failed + 1))
    printf 'FAILED   the script ended before its last line\n'
    finish
}
