# Git in a run and after it: where a repository's data lies, and what of it the host takes.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config" GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example
runs="$XDG_STATE_HOME/agent-machine/runs"
umask 022
main="$HOME/src/main"
mkdir -p "$main"

# A run in the current directory; the script is its shell's.
git_run() { # SCRIPT
    run run -e GIT_AUTHOR_NAME -e GIT_AUTHOR_EMAIL -e GIT_COMMITTER_NAME -e GIT_COMMITTER_EMAIL -- sh -ec "$1"
    id=$(find "$runs" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tail -n 1)
}
# shellcheck disable=SC2317 # called by check
err_lacks() { # TEXT
    ! grep -qF -- "$1" "$scratch/err"
}
# Everything of a directory, by names, modes and contents.
digest_of() { # DIRECTORY
    (cd "$1" && find . -printf '%P %y %m %l\n' | sort && find . -type f -exec sha256sum {} + | sort) | sha256sum
}

# ---- where the data lies ----

cd "$main" || exit
git init -q -b main .
echo a >a
mkdir dir other
echo d >dir/d
echo o >other/o
git add .
git commit -qm one
git branch spare

# What people and agents do all day.
usual='git status --short; echo b >b; echo more >>a; git diff --stat | tail -n 1; git add b a; git commit -qm two
    git checkout -qb side; git commit -q --allow-empty -m three; git rebase -q spare
    echo s >>a; git stash -q; git stash list | grep -c .; git stash pop -q; git checkout -q a; git log --oneline | grep -c .'
usual_says=' 1 file changed, 1 insertion(+)
1
3'
before=$(digest_of "$main")
git_run "$usual"
check "in a plain repository git does what it does" out_is "$usual_says"
check "and the host's does not move" test "$(digest_of "$main")" = "$before"
run worktree discard "$id"

git worktree add -q -b linked ../linked
cd ../linked || exit
before=$(digest_of "$HOME/src")
git_run "$usual"
check "also in a linked work tree" out_is "$usual_says"
check "and nothing moves where the data lies" test "$(digest_of "$HOME/src")" = "$before"
run worktree status "$id"
check "what it wrote is part of the change set" out_matches '^added .* refs/heads/side$'
run worktree discard "$id"
git_run "echo evil >$main/.git/hooks/pre-commit; git config core.fsmonitor evil; echo x >x"
run worktree apply "$id"
check "what the host would execute of it is held apart" err_matches '^held +hooks/pre-commit: git runs its hooks'
check "also its configuration" err_matches '^held +config: '
check "and is not there" test ! -e "$main/.git/hooks/pre-commit" -a -e x
run worktree discard "$id"
rm x
run run --dry-run -- true
check "the plan shows what is mounted for it" out_has "$main/.git"
check "and no more of the other work tree" out_lacks "$main/a"
git_run "! ls $main/a"
check "which the run does not see" exits 0
mkdir -p sub/dir
cd sub/dir || exit
git_run 'git rev-parse --show-prefix'
check "from a folder below it too" out_is "sub/dir/"
cd ../..
rmdir -p sub/dir
cd .. && mv linked again && cd again || exit
git_run 'git status'
check "where the data names another place, it is not shown" exits 128
check "and that is said" err_has "does not name this work tree in turn"
git worktree repair >"$scratch/hint" 2>&1
git_run 'git status --short'
check "until that is mended" exits 0
check "and then nothing is said" err_lacks "git finds"

# A submodule, the tree that it lies in, and one in a linked work tree.
cd "$HOME/src" || exit
git clone -q --bare main inner.git
git init -q -b main super
cd super || exit
git -c protocol.file.allow=always submodule --quiet add "$HOME/src/inner.git" sub
git commit -qm sub
git_run 'git -C sub log --oneline | grep -c .; echo x >sub/x; git -C sub add x; git -C sub commit -qm x; git commit -qam bump; git status --short'
check "a submodule is a repository" out_is 1
run worktree discard "$id"
cd sub || exit
git branch -q spare HEAD
git_run "$usual"
check "also alone, where its data lies in the tree above" out_is "$usual_says"
run worktree discard "$id"
git_run "! ls $HOME/src/super/.gitmodules"
check "of which the run sees nothing else" exits 0

# A bare repository with work trees beside it.
cd "$HOME/src" || exit
mkdir project
git clone -q --bare main project/.bare
cd project || exit
git --git-dir=.bare worktree add -q "$HOME/src/project/first" main 2>"$scratch/hint"
cd first || exit
git_run "$usual"
check "a work tree of a bare repository works" out_is "$usual_says"
run worktree discard "$id"
git --git-dir="$HOME/src/project/.bare" worktree add -q --detach "$HOME/src/project/second" main
cd ../second || exit
git sparse-checkout set dir 2>"$scratch/hint"
# shellcheck disable=SC2016 # the sandbox's own
git_run 'test ! -e other && echo more >>dir/d && git add dir/d && git commit -qm sparse && git ls-tree -r --name-only HEAD | grep -c . && git status --short'
check "so does a sparse checkout" out_is 3
run worktree discard "$id"

# What may not be followed.
mkdir -p "$HOME/src/planted" "$HOME/src/private"
git init -q -b main "$HOME/src/private"
cd "$HOME/src/planted" || exit
echo "gitdir: $HOME/src/private/.git" >.git
git_run "ls $HOME/src/private"
check "a .git that names another repository shows nothing of it" exits 2
check "and that is said" err_has "git finds no repository inside"
mkdir -p fake
echo "$HOME/src/private/.git" >fake/commondir
echo "$HOME/src/planted/.git" >fake/gitdir
echo 'ref: refs/heads/main' >fake/HEAD
echo "gitdir: fake" >.git
git_run "ls $HOME/src/private"
check "nor does one by way of a directory of its own" exits 2
rm -r fake
mkdir -p "$HOME/.ssh"
echo "gitdir: $HOME/.ssh" >.git
git_run "ls $HOME/.ssh"
check "nor one that names no repository" exits 2
run run --dry-run -m "$HOME/src/private/.git:$HOME/src/private/.git:staged" -- true
check "what a person mounts is shown" out_has "$HOME/src/private/.git"
cd "$main" || exit
git init -q -b main --separate-git-dir "$HOME/src/apart.git" "$HOME/src/apart"
cd "$HOME/src/apart" || exit
git_run 'git status'
check "data that does not say whose it is is not followed" err_has "--mount $HOME/src/apart.git:"
run run -m "$HOME/src/apart.git:$HOME/src/apart.git:staged" -- git status --short
check "and can be mounted" exits 0
check "without a word" err_lacks "git finds"

# ---- what is pushed, and where ----

cd "$main" || exit
git remote add origin https://git.example/x.git
git_run 'git push -q origin main'
check "a push from inside is refused" exits 128
check "and it is said where one happens" err_matches 'denied: git.example.*; a push happens on the host, after'
git_run 'git push -q origin main || cat /run/agent-machine/denials.jsonl'
check "also to the run itself" out_has "a push happens on the host"
git_run 'printf "protocol=https\nhost=git.example\n" | git credential fill'
check "nor does git find credentials" exits 128
check "and says that too" err_has "a push happens on the host"
run run -e GIT_CONFIG_COUNT=0 -- git config --get-regexp '^credential'
check "a person can leave that out" exits 1

finish
