# Git's references in tables ("reftable"): what a run did is taken as where they are files.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config" GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example
runs="$XDG_STATE_HOME/agent-machine/runs"
umask 022
newer=$HOME/src/newer
mkdir -p "$HOME/src"

# The host's git, or one of a later release beside its own libraries, which is called by its loader.
git init -q --ref-format=files "$scratch/tried" 2>"$scratch/hint" || {
    root=$tree/.deps/git/root/usr
    if [ ! -x "$root/bin/git" ]; then
        skip "references in tables" "this host's git knows none, and there is no other in .deps/git"
        finish
    fi
    mkdir -p "$newer/bin"
    cp -r "$root" "$newer/"
    cat >"$newer/bin/git" <<'END_OF_GIT'
#!/bin/sh
bin=$(dirname "$0")
case $0 in
*/git-*) set -- "${0##*/git-}" "$@" ;;
esac
export GIT_EXEC_PATH="$bin"
exec "$bin/../usr/lib64/ld-linux-x86-64.so.2" --library-path "$bin/../usr/lib/x86_64-linux-gnu" \
    "$bin/../usr/bin/git" "$@"
END_OF_GIT
    chmod +x "$newer/bin/git"
    for name in upload-pack index-pack pack-objects unpack-objects rev-list; do
        ln -s git "$newer/bin/git-$name"
    done
    export PATH="$newer/bin:$PATH"
}
git_run() { # SCRIPT: a run in the current directory
    set -- sh -ec "$1"
    [ ! -d "$newer" ] || set -- -m "$newer:$newer:read-only" -e PATH -- "$@"
    run run -e GIT_AUTHOR_NAME -e GIT_AUTHOR_EMAIL -e GIT_COMMITTER_NAME -e GIT_COMMITTER_EMAIL "$@"
    id=$(find "$runs" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tail -n 1)
}
fresh() { # NAME [OPTION…]: a new repository, and the current directory
    fresh="$HOME/src/$1"
    shift
    git init -q -b main --ref-format=reftable "$@" "$fresh" && cd "$fresh" || exit
    git config gc.auto 0
    echo a >a
    git add . && git commit -qm one && git branch side
}

fresh tables
main_was=$(git rev-parse main)
git_run 'echo m >m; git add m; git commit -qm m; git checkout -qb topic; echo t >t; git add t; git commit -qm t
    git tag new; git checkout -q side; git commit -q --allow-empty -m s; git checkout -q main; git branch -q gone; git branch -qD gone'
check "git keeps its references in tables inside" exits 0
check "what is checked out is known at the launch" grep -aqs "\"commit\":\"$main_was\",\"dirtyState\":\"clean\"" \
    "$XDG_STATE_HOME/agent-machine/ledger.db" "$XDG_STATE_HOME/agent-machine/ledger.db-wal"
run worktree apply --dry-run "$id"
check "what became of each reference is known" out_matches '^taken +.git/refs/heads/topic$'
check "and of no other" out_lacks heads/gone
run worktree apply "$id"
check "branches and tags are taken" test "$(git log --format=%s topic | tr '\n' ' ')" = "t m one "
check "also one that moved" test "$(git log -1 --format=%s side)" = s -a "$(git rev-parse new)" = "$(git rev-parse topic)"
check "what is checked out stays" test "$(git rev-parse main)" = "$main_was"
check "which is said" err_matches '^held +.git/refs/heads/main: it is checked out'
run worktree apply --head "$id"
check "until that is asked for" test "$(git log -1 --format=%s main)" = m -a -z "$(git status --porcelain)"
run worktree list
check "and then all of it is taken" out_lacks "$id"
git_run 'git checkout -qb elsewhere; echo e >a; git commit -qam e'
run worktree apply --head "$id"
check "another branch is checked out where the run had one" test "$(git symbolic-ref HEAD)" = refs/heads/elsewhere -a -z "$(git status --porcelain)"
git_run 'git checkout -q --detach; git commit -q --allow-empty -m d'
run worktree apply --head "$id"
check "or a commit alone" test "$(git log -1 --format=%s HEAD)" = d -a "$(git rev-parse --abbrev-ref HEAD)" = HEAD
git checkout -q main

# The host moves on, and its tables are put together.
git_run 'git checkout -q side; git commit -q --allow-empty -m more; git checkout -q topic; git commit -q --allow-empty -m more
    git checkout -qb added; git commit -q --allow-empty -m a; git checkout -q main; echo f >f'
git branch -qf side "$(git commit-tree -m host "side^{tree}" -p side)"
git tag another
git pack-refs --all
before=$(git for-each-ref)
run worktree apply "$id"
check "one that moved on the host is no more taken" exits 1
check "by its name" err_has .git/refs/heads/side
check "and nothing else is" test "$(git for-each-ref)" = "$before" -a ! -e f
run worktree apply "$id" .git/refs/heads/topic .git/refs/heads/added
check "one that did not is, though its tables are gone" test "$(git log -1 --format=%s topic)" = more -a "$(git log -1 --format=%s added)" = a
run worktree apply --theirs "$id"
check "or the run's is, where that is said" test "$(git log -1 --format=%s side)" = more -a -e f

# Inside many, and put together too.
# shellcheck disable=SC2016 # the sandbox's own
git_run 'i=0; while [ $i -lt 300 ]; do echo "create refs/heads/many/branch-number-$i HEAD"; i=$((i + 1)); done | git update-ref --stdin
    git pack-refs --all; git branch -qD many/branch-number-7'
run worktree apply "$id"
check "there may be many" test "$(git branch --list 'many/*' | wc -l)" -eq 299
git_run 'git branch -qD many/branch-number-8; git symbolic-ref refs/heads/led refs/heads/main; git update-ref refs/odd/x HEAD'
run worktree apply "$id"
check "one that is removed is held" err_matches '^held +.git/refs/heads/many/branch-number-8: commits might be lost'
check "and one that leads to another" err_matches '^held +.git/refs/heads/led: it leads to another'
check "and what is no branch" err_matches '^held +.git/refs/odd/x: '
run worktree discard "$id"
git_run 'git checkout -qb c; git commit -q --allow-empty -m c'
run worktree apply --commits "$id"
check "commits are taken beside the host's" test "$(git log -1 --format=%s "agent/$id/c")" = c
run worktree discard "$id"

# What nobody can read is not thought to be taken.
# shellcheck disable=SC2016 # the sandbox's own
for script in 'echo x >.git/reftable/tables.list' 'for t in .git/reftable/*.ref; do echo REFT >$t; done' \
    'echo ../../x >.git/reftable/tables.list'; do
    git_run "git branch lost; rm -f .git/reftable/x; chmod u+w .git/reftable/*; $script; echo w >w"
    run worktree apply "$id"
    check "what cannot be read of it ($script) moves nothing" test -z "$(git branch --list lost)"
    run worktree list
    check "and is kept" out_has "$id"
    run worktree discard "$id"
    rm -f w
done

# Elsewhere: longer names, linked work trees.
fresh wide --object-format=sha256
git_run 'git checkout -qb topic; git commit -q --allow-empty -m wide'
run worktree apply "$id"
check "longer names of objects are no hindrance" test "$(git log -1 --format=%s topic)" = wide
git worktree add -q -b linked ../linked
cd ../linked || exit
git_run 'git commit -q --allow-empty -m l; git checkout -qb other; git commit -q --allow-empty -m other'
run worktree apply "$id"
check "nor is a linked work tree, whose HEAD has tables of its own" test "$(git log -1 --format=%s other)" = other
check "and stays" err_matches '^held +worktrees/linked/HEAD'
run worktree apply --head "$id"
check "until that is asked for too" test "$(git symbolic-ref HEAD)" = refs/heads/other -a "$(git log -1 --format=%s linked)" = l
try git fsck --strict
check "the repository is whole" exits 0

chmod -R u+rwX "$XDG_STATE_HOME" # what the kernel makes for an overlay is nobody's to list
finish
