# lib: what an end-to-end test needs and no more.
#
# A test is a POSIX shell script that sources this file first and calls `finish` last. In between
# it calls the program with `run`, and states with `check NAME COMMAND…` what a user must notice;
# the commands below speak about the last run. A failed check shows that run and goes on.
#
# AM_PROGRAM names the program, $tree is the source tree, $scratch a folder that goes at the end.
# shellcheck shell=sh

set -u
tree=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d)
trap 'ended_early' EXIT
program=${AM_PROGRAM:-$tree/build/agent-machine}
passed=0 failed=0 skipped=0 status=0 command_line=

run() { # ARGUMENT…
    try "$program" "$@"
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
    rm -rf "$scratch"
    printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ]
    exit
}

# From here on: not for tests to call.
show() { # STREAM
    [ ! -f "$scratch/$1" ] || head -n 12 "$scratch/$1" | sed "s/^/  $1: /"
}

ended_early() {
    failed=$((failed + 1))
    printf 'FAILED   the script ended before its last line\n'
    finish
}
