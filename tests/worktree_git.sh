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

# ---- taking it ----

state_of() { # RUN
    "$program" op show --json "$1" | tr -d ' \n' | tr '{' '\n' | sed -n '/"ChangeSet"/s/.*"state":"\([a-z]*\)".*/\1/p'
}
# shellcheck disable=SC2317 # called by check
is_at() { # BRANCH COMMIT
    test "$(git rev-parse -q --verify "$1")" = "$(git rev-parse -q --verify "$2")"
}
# A new repository, and the current directory; two commits of the host's on main and on side.
fresh() { # NAME [OPTION…]
    fresh="$HOME/src/$1"
    shift
    git init -q -b main "$@" "$fresh" && cd "$fresh" || exit
    git config gc.auto 0
    echo a >a
    echo z >z
    git add . && git commit -qm one && git branch side
}

fresh taken
git tag old
main_was=$(git rev-parse main) index=$(sha256sum .git/index)
git_run 'echo m >m; git add m; git commit -qm m; git checkout -qb topic; echo t >t; git add t; git commit -qm t
    git tag new; git checkout -q side; echo s >s; git add s; git commit -qm s; git commit -q --amend -m s2; git checkout -q main'
run worktree apply --dry-run "$id"
check "a dry run says what becomes of each reference" out_matches '^taken +.git/refs/heads/topic$'
run worktree apply --json --dry-run "$id"
check "also for programs" out_has '{"path":".git/refs/heads/side","change":"modified","fate":"taken"}'
check "and moves none" is_at side "$main_was"
run worktree apply "$id"
check "what a run did in git is taken" exits 0
check "a new branch" test "$(git log --format=%s topic | tr '\n' ' ')" = "t m one "
check "one that it moved" test "$(git log -1 --format=%s side)" = s2
check "a tag" is_at new topic
check "files too" test -e m
check "but nothing that is checked out" is_at main "$main_was"
check "which is said" err_matches '^held +.git/refs/heads/main: it is checked out; --head moves it'
check "the index is the host's" test "$(sha256sum .git/index)" = "$index"
check "the log of a branch says why it moved" test "$(git reflog -1 --format=%gs side)" = "agent-machine: applied $id"
try git fsck --strict
check "the repository is whole" exits 0
run worktree status "$id"
check "what was not taken is still offered" out_matches '.git/refs/heads/main$'
echo staged >staged
git add staged
run worktree apply --head "$id"
check "what is checked out moves where that is asked for" test "$(git log -1 --format=%s main)" = m
check "with the index" test "$(git status --porcelain)" = "A  staged"
check "and then all of it is taken" test "$(state_of "$id")" = activated
git rm -q --cached staged
rm staged

git_run 'git checkout -qb elsewhere; echo e >a; git commit -qam e'
run worktree apply --head "$id"
check "another branch is checked out where the run had one" test "$(git symbolic-ref HEAD)" = refs/heads/elsewhere
check "and all is clean" test -z "$(git status --porcelain)"
git_run 'git checkout -q --detach; echo d >d; git add d; git commit -qm d'
run worktree apply "$id"
check "no HEAD moves by itself" err_matches '^held +.git/HEAD: .*only with --head'
run worktree apply --include-held "$id" .git
check "nor for being named" test "$(git symbolic-ref HEAD)" = refs/heads/elsewhere
run worktree apply --head "$id"
check "a detached one too" test "$(git log -1 --format=%s HEAD)" = d -a "$(git rev-parse --abbrev-ref HEAD)" = HEAD
check "leaving all clean" test -z "$(git status --porcelain)"
git checkout -q main
run worktree list
check "and nothing is kept" out_lacks "$id"

git_run 'git checkout -q side; git rm -q s; git commit -qm gone; git branch -qf topic; git checkout -q main
    echo theirs >z; git commit -qam z; git gc -q --prune=now'
echo mine >z
git add z
run worktree apply --theirs --head "$id"
check "an index that cannot follow is refused" err_has "the index of $PWD does not follow"
check "before anything is changed" test "$(cat z)" = mine -a "$(git log -1 --format=%s side)" = s2
git reset -q --hard
run worktree apply "$id"
check "references that were packed inside are found" test "$(git log -1 --format=%s side)" = gone
check "also where they were moved to another history" is_at topic side
run worktree discard "$id"
git reset -q --hard

# ---- the host moves on ----

fresh moves
git branch other
git_run 'git checkout -q side; git commit -q --allow-empty -m s; git checkout -q other; git commit -q --allow-empty -m o
    git checkout -q -b added; git commit -q --allow-empty -m a; git checkout -q main; echo f >f'
git branch -qf side "$(git commit-tree -m host "side^{tree}" -p side)"
git branch added
git pack-refs --all
before=$(git for-each-ref)
run worktree apply "$id"
check "a reference that moved on the host is a conflict" exits 1
check "each is named" err_matches '^conflict +.git/refs/heads/side: the host has moved it'
check "with what is wrong with it" err_matches '^conflict +.git/refs/heads/added: '
check "one that did not move is none" err_lacks heads/other
check "and nothing is taken" test "$(git for-each-ref)" = "$before" -a ! -e f
run worktree apply "$id" .git/refs/heads/other
check "one can be taken by its name" test "$(git log -1 --format=%s other)" = o
run worktree apply --ours "$id"
check "the host's can be kept" test "$(git log -1 --format=%s side)" = host -a -e f
run worktree apply --theirs "$id" .git/refs/heads/side
check "or the run's be taken" test "$(git log -1 --format=%s side)" = s
run worktree discard "$id"
git branch third
git_run 'git branch -D -q third; git pack-refs --all; git branch -D -q other; echo more >>f'
run worktree apply "$id"
check "a branch that the run removed stays" is_at third main
check "packed or not" err_matches '^held +.git/refs/heads/other: commits might be lost'
run worktree apply "$id" .git/refs/heads/third
check "until it is named" test -z "$(git branch --list third)" -a -n "$(git branch --list other)"
run worktree discard "$id"
git_run 'git checkout -qb deep; git commit -q --allow-empty -m d; git checkout -qb up/er'
git update-ref refs/heads/deep/er main
git update-ref refs/heads/up main
run worktree apply "$id" .git/refs/heads/deep
check "what is in the way stays" err_matches 'heads/deep: the host has something else'
run worktree apply "$id" .git/refs/heads/up/er
check "names that exclude one another are left to git" err_has "git does not take them"
git_run 'git checkout -qb deeper; git commit -q --allow-empty -m d; echo new >new'
: >.git/refs/heads/deeper.lock
run worktree apply "$id"
check "what git cannot write now is found before anything is" test ! -e new
rm .git/refs/heads/deeper.lock
run worktree apply "$id"
check "and taken when it can" test -e new -a "$(git log -1 --format=%s deeper)" = d
run worktree discard "$id"
git_run 'git checkout -q side; git commit -q --allow-empty -m more'
git rev-parse main >"$runs/$id/0/upper/.git/refs/heads/side"
run worktree apply "$id"
check "a reference that was altered since the run is not taken" err_has "not what the run left"
rm -r "${runs:?}/$id"

git_run 'git checkout -qb later; git commit -q --allow-empty -m l'
git gc -q
run worktree apply "$id"
check "that the host has packed its own keeps a new one from nothing" test "$(git log -1 --format=%s later)" = l

# What the host has packed anew is where it was: a branch that was packed already, one that was not,
# while the run went on, and behind it; amended by the run, or gone on from.
fresh packed
for branch in plain fast late; do git branch $branch; done
git pack-refs --all
git branch loose
# shellcheck disable=SC2016 # the sandbox's own
git_run 'for b in plain loose; do git checkout -q $b; git commit -q --amend --allow-empty -m "amended $b"; done
    git checkout -q fast; git commit -q --allow-empty -m on; git checkout -q main; echo f >f'
git pack-refs --all
git gc -q
run worktree apply --dry-run "$id"
check "references that the host has packed anew are no conflict" out_lacks conflict
run worktree apply "$id"
check "one that was packed already" test "$(git log -1 --format=%s plain)" = "amended plain"
check "one that was not" test "$(git log -1 --format=%s loose)" = "amended loose"
check "and one that goes on" test "$(git log -1 --format=%s fast)" = on -a -e f
run run -d -e GIT_AUTHOR_NAME -e GIT_AUTHOR_EMAIL -e GIT_COMMITTER_NAME -e GIT_COMMITTER_EMAIL -- \
    sh -ec 'git checkout -q late; git commit -q --allow-empty -m late; git checkout -q plain; git commit -q --amend --allow-empty -m again
        git checkout -q main; echo g >g; echo up; sleep 100'
id=$(cat "$scratch/out")
while ! "$program" logs "$id" 2>"$scratch/hint" | grep -q up; do :; done
git gc -q
run stop "$id"
run worktree apply "$id" .git/refs/heads/late g
check "also while the run went on, where its commits go on from the host's" test "$(git log -1 --format=%s late)" = late -a -e g
run worktree apply "$id"
check "else nobody knows" err_has "where .git/refs/heads/plain stood at the launch is not known any more"
check "and it stays" test "$(git log -1 --format=%s plain)" = "amended plain"
run worktree apply --ours "$id"
check "as the host has it" err_matches '^kept +.git/refs/heads/plain'
run worktree apply --theirs "$id"
check "or as the run" test "$(git log -1 --format=%s plain)" = again

# ---- where git cannot ----

mkdir -p "$scratch/nothing"
git_run 'git checkout -qb without; git commit -q --allow-empty -m w; echo w >w; echo v >v'
try env PATH="$scratch/nothing" "$program" worktree apply "$id"
check "without git nothing is half done" test ! -e w
check "and that is said" err_has "there is no git on this host"
try env PATH="$scratch/nothing" "$program" worktree apply "$id" v
check "files can be named" test -e v
if [ "$(id -u)" -eq 0 ]; then
    chown nobody .git
    run worktree apply "$id"
    check "git is not run where somebody else rules" err_has "belongs to another user"
    chown root .git
fi
"$program" worktree apply "$id" 2>"$scratch/first" &
"$program" worktree apply "$id" 2>"$scratch/second"
wait $!
check "of two at once one takes it" test -e w -a "$(git log -1 --format=%s without)" = w
check "and one alone" test "$(cat "$scratch/first" "$scratch/second" | grep -c '2 changes applied')" -eq 1
check "and nothing is left of either" test -z "$(find . -name '.agent-machine*')"
try git fsck --strict
check "in a repository that is whole" exits 0
# What git could write when it was tried, and cannot when the files are there.
git_run 'git checkout -qb broken; git commit -q --allow-empty -m b; echo b >behind'
mkdir -p "$scratch/failing"
cat >"$scratch/failing/git" <<END_OF_GIT
#!/bin/sh
case "\$*" in
*update-ref*--stdin) cat >"$scratch/stdin"; ! grep -q '^commit' "$scratch/stdin" || { echo "it is gone"; exit 1; }; set -- "\$@" <"$scratch/stdin"; exec $(command -v git) "\$@" <"$scratch/stdin" ;;
esac
exec $(command -v git) "\$@"
END_OF_GIT
chmod +x "$scratch/failing/git"
try env PATH="$scratch/failing:$PATH" "$program" worktree apply "$id"
check "references that fail behind the files are an error" exits 1
check "which says what is done, and what does the rest" err_matches 'the files are applied, and not all references: .*it is gone; the same command again'
check "the files are there" test -e behind -a -z "$(git branch --list broken)"
check "it waits for the rest" test "$(state_of "$id")" = admitted
run worktree apply "$id"
check "which the same command does" test "$(git log -1 --format=%s broken)" = b
run worktree discard "$id"
git_run 'mkdir -p .git/reftable; echo x >.git/reftable/tables.list'
run worktree apply "$id"
check "references in a form that is not read are not thought to be taken" err_matches '^held +.git/reftable: '
run worktree list
check "and are kept" out_has "$id"
run worktree discard "$id"
# shellcheck disable=SC2016 # the sandbox's own
git_run 'echo 1 >"$(printf "a\nb")"; echo 2 >"$(printf "a\033[31m")"; echo 3 >"$(printf "\001")"; mkdir "$(printf "d\r")"; echo 4 >"$(printf "d\r")/x"'
run worktree apply "$id"
check "names with control characters are held" test "$(git status --porcelain | grep -c '?? "')" -eq 0
check "each" test "$(grep -c 'its name has control characters' "$scratch/err")" -eq 5
check "and shown without them" test "$(tr -d '\n -~' <"$scratch/err" | wc -c)" -eq 0
run worktree discard "$id"

# shellcheck disable=SC2016 # the sandbox's own
git_run 'c=$(git rev-parse HEAD); i=0; while [ $i -lt 4100 ]; do echo "$c refs/heads/b$i"; i=$((i + 1)); done >.git/packed-refs; echo m >many'
run worktree apply "$id"
check "more references than anybody wants are refused" err_has "more than 4096 references"
run worktree apply "$id" many
check "and files can be had all the same" test -e many
run worktree discard "$id"

# A linked work tree that lies in the tree itself.
git worktree add -q -b within .trees/within
cd .trees/within || exit
git_run 'git commit -q --allow-empty -m within; git log -1 --format=%s'
check "a work tree within another one is a repository too" out_is within
run worktree discard "$id"
cd ../..
git_run 'git -C .trees/within commit -q --allow-empty -m from; git worktree list | grep -c .'
check "also seen from that one" out_is 2
run worktree apply "$id" .git/refs/heads/within
check "and not moved from there" err_matches 'heads/within: it is checked out in another work tree'
run worktree discard "$id"

# ---- what is not believed ----

# A run whose branch is bad, of an object that is written without git's checks.
bad_run() { # SCRIPT THAT LEAVES THE COMMIT IN $c
    git_run "$1; mkdir -p .git/refs/heads; echo \$c >.git/refs/heads/bad"
    run worktree apply "$id"
}
# shellcheck disable=SC2317 # called by check
refused() {
    exits 1 && err_has "git does not take them" && test -z "$(git branch --list bad)"
}
tree_with() { # NAME, as printf has it
    # shellcheck disable=SC2016 # the sandbox's own
    printf 'b=$(echo x | git hash-object -w --stdin); t=$({ printf "100644 %s\\0"; python3 -c "import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))" $b; } | git hash-object -t tree -w --literally --stdin); c=$(git commit-tree -m bad $t -p HEAD)' "$1"
}
fresh bad
git symbolic-ref refs/heads/alias refs/heads/side
for name in .git .GIT .. . 'git~1' '.g\342\200\214it' '.git\\\\x' 'a/b'; do
    bad_run "$(tree_with "$name")"
    check "a tree with the name $name is refused" refused
    run worktree discard "$id"
done
# shellcheck disable=SC2016 # the sandbox's own
{
    bad_run 'git commit -q --allow-empty -m x; c=$(git rev-parse HEAD); o=.git/objects/$(echo $c | sed "s|^..|&/|")
        chmod u+w $o; cp .git/objects/$(git rev-parse HEAD^{tree} | sed "s|^..|&/|") $o'
    check "an object that is not what its name says is refused" refused
    run worktree discard "$id"
    bad_run 'c=$(git commit-tree -m x $(git hash-object -w a | sed "s|^|100644 blob |; s|$|	f|" | git mktree) -p HEAD)
        b=$(echo lost | git hash-object -w --stdin); t=$(printf "100644 blob $b\tl\n" | git mktree); c=$(git commit-tree -m x $t -p HEAD)
        rm -f .git/objects/$(echo $b | sed "s|^..|&/|")'
    check "so is a commit of which something is missing" refused
    run worktree discard "$id"
    bad_run 'printf "[submodule \"m\"]\n\tpath = m\n\turl = --upload-pack=evil\n" >.gitmodules; git add .gitmodules; git commit -qm m; c=$(git rev-parse HEAD)'
    check "an odd address of a submodule is refused" refused
    check "and its file is held apart" test ! -e .gitmodules
    run worktree discard "$id"
    bad_run 'c=$(git rev-parse HEAD^{tree})'
    check "a branch that is no commit is refused" refused
    run worktree discard "$id"
    bad_run 'git commit -q --allow-empty -m x; git repack -qad; git prune-packed; for p in .git/objects/pack/*.pack; do chmod u+w $p
        printf "XXXX" | dd of=$p bs=1 seek=40 conv=notrunc status=none; done; c=$(cat .git/refs/heads/main)'
    check "a pack that is damaged is refused" refused
    run worktree discard "$id"
    bad_run 'git commit -q --allow-empty -m x; git repack -qad; chmod u+w .git/objects/pack/*.idx; for i in .git/objects/pack/*.idx; do
        head -c 2000 /dev/urandom >$i; done; c=$(cat .git/refs/heads/main)'
    check "what a run says of a pack is not read" test "$(git log -1 --format=%s bad)" = x
    git branch -D -q bad
    run worktree discard "$id"
    bad_run 'git clone -q . /tmp/s; git -C /tmp/s commit -q --allow-empty -m far; c=$(git -C /tmp/s rev-parse HEAD)
        echo /tmp/s/.git/objects >.git/objects/info/alternates'
    check "objects from elsewhere are not looked for" refused
    check "and where that was to be is held" test ! -e .git/objects/info/alternates
    run worktree discard "$id"
    git_run 'git commit -q --allow-empty -m x; git update-ref refs/replace/$(git rev-parse HEAD~1) HEAD; git update-ref refs/remotes/origin/main HEAD
        git update-ref refs/odd/x HEAD; echo s >>a; git stash -q; git tag -f other HEAD; git update-ref refs/notes/n HEAD
        echo "ref: refs/heads/main" >.git/refs/heads/led; ln -s ../../HEAD .git/refs/heads/linked; echo nothing >.git/refs/heads/none
        git update-ref --no-deref refs/heads/alias HEAD; echo $(git rev-parse HEAD) >.git/refs/heads/a..b'
}
before=$(git for-each-ref | grep -v refs/tags/other)
run worktree apply --include-held "$id"
for held in replace remotes/origin/main odd/x stash heads/led heads/linked heads/none heads/alias; do
    check "refs/$held is never taken" err_matches "^held +.git/refs/.*$held"
done
git update-ref -d refs/notes/n
check "no other reference has come" test "$(git for-each-ref | grep -v refs/tags/other)" = "$before"
check "nor one whose name is none" test ! -e .git/refs/heads/a..b
check "an alias leads where it led" test "$(git symbolic-ref refs/heads/alias)" = refs/heads/side
run worktree discard "$id"

# What git on the host could be made to run.
git_run "for h in pre-commit post-checkout reference-transaction post-index-change post-merge pre-auto-gc; do
        printf '#!/bin/sh\ntouch $HOME/evil\n' >.git/hooks/\$h; chmod +x .git/hooks/\$h; done
    printf '[core]\n\tfsmonitor = touch $HOME/evil\n\thooksPath = .git/hooks\n[filter \"f\"]\n\tclean = touch $HOME/evil; cat\n\tsmudge = touch $HOME/evil; cat\n\trequired\n' >>.git/config
    mkdir -p .git/info; echo '* filter=f' >.git/info/attributes; echo '* filter=f' >.gitattributes
    rm -f \$(git rev-parse HEAD | sed 's|^|.git/|')
    GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=/dev/null git -c filter.f.clean=cat -c core.fsmonitor=false add .gitattributes
    GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=/dev/null git -c filter.f.clean=cat -c core.fsmonitor=false commit -qm planted"
rm -f "$HOME/evil"
run worktree apply --head "$id"
check "what a run has planted is held" err_matches '^held +.git/info/attributes'
check "all of it" err_matches '^held +.git/config'
check "while its commits are taken" test "$(git log -1 --format=%s main)" = planted
git status >"$scratch/hint"
git checkout -q side
check "and nothing of it was executed" test ! -e "$HOME/evil"
run worktree discard "$id"
git_run 'git commit -q --allow-empty -m hooked'
printf '#!/bin/sh\ntouch %s\n' "$HOME/evil" >.git/hooks/reference-transaction
chmod +x .git/hooks/reference-transaction
git config core.fsmonitor "touch $HOME/evil"
run worktree apply --head "$id"
check "nor do the host's own hooks run on the occasion" test ! -e "$HOME/evil" -a "$(git log -1 --format=%s side)" = hooked

# A folder that git would take for a repository.
fresh fixtures
git init -q --bare kept.git
git_run 'git init -q --bare --template= made.git; git config -f made.git/config core.fsmonitor evil; git config -f kept.git/config core.fsmonitor evil
    mkdir kept.git/hooks2; echo x >kept.git/hooks/post-update; echo plain >config'
run worktree apply "$id"
check "a folder that would be a repository does not become one" test ! -e made.git/HEAD
check "and of one the settings stay" err_matches '^held +kept.git/config: git.s configuration'
check "and the hooks" err_matches '^held +kept.git/hooks/post-update: '
check "while a file of that name is a file" test -e config
run worktree discard "$id"

# ---- where else it lies ----

fresh beside
git worktree add -q -b linked ../beside-linked
cd ../beside-linked || exit
git_run 'echo l >l; git add l; git commit -qm l; git checkout -qb more; git commit -q --allow-empty -m more; git update-ref refs/heads/main linked'
run worktree apply "$id"
check "from a linked work tree a branch is taken" test "$(git log -1 --format=%s more)" = more
check "not that of another one" err_matches '^held +refs/heads/main: it is checked out in another work tree'
check "nor what is checked out here" err_matches '^held +worktrees/beside-linked/HEAD'
run worktree apply --head "$id" "$fresh/.git/refs/heads/linked" "$fresh/.git/worktrees/beside-linked/HEAD"
check "until that is asked for" test "$(git symbolic-ref HEAD)" = refs/heads/more
check "and then all is clean here" test -z "$(git status --porcelain)"
check "while the other one is as it was" test "$(git -C "$fresh" log -1 --format=%s)" = one -a -z "$(git -C "$fresh" status --porcelain)"
run worktree discard "$id"
git_run 'echo c >c; git add c; git commit -qm c'
run worktree apply --commits "$id"
check "commits of a linked work tree are branches" test "$(git log -1 --format=%s "agent/$id/more")" = c
run worktree discard "$id"

cd "$HOME/src/super" || exit
git_run 'echo x >sub/x; git -C sub checkout -q --detach; git -C sub add x; git -C sub commit -qm x; git commit -qam bump'
run worktree apply --commits "$id"
check "those of a submodule are branches in it" test "$(git -C sub log -1 --format=%s "agent/$id/detached")" = x
check "and those of the tree above too" test "$(git log -1 --format=%s "agent/$id/main")" = bump
run worktree discard "$id"
cd sub || exit
git checkout -q main
git_run 'echo y >y; git add y; git commit -qm y'
run worktree apply --head "$id"
check "a submodule alone moves where it is asked for" test "$(git log -1 --format=%s main)" = y -a -z "$(git status --porcelain)"
run worktree discard "$id"

git clone -q --depth 1 "file://$HOME/src/main" "$HOME/src/shallow"
cd "$HOME/src/shallow" || exit
git_run 'git checkout -qb topic; git commit -q --allow-empty -m shallow'
run worktree apply "$id"
check "a history that is cut off is no hindrance" test "$(git log -1 --format=%s topic)" = shallow
# Of a partial clone the host lacks objects that only its server has, and nobody asks it for them.
git -C "$HOME/src/main" config uploadpack.allowFilter true
for filter in blob:none tree:0; do
    git clone -q --filter=$filter --no-tags "file://$HOME/src/main" "$HOME/src/partial-$filter"
    cd "$HOME/src/partial-$filter" || exit
    git_run 'git checkout -qb topic; echo more >>a; git commit -qam "partial"; mkdir -p dir; echo d >dir/new; git add dir; git commit -qm two'
    check "in a partial clone ($filter) git works" exits 0
    mv "$HOME/src/main" "$HOME/src/main.away"
    run worktree apply "$id"
    check "and what it did is taken, without its server" test "$(git log -1 --format=%s topic)" = two
    run worktree apply --head "$id"
    check "also what is checked out" test -z "$(git status --porcelain)" -a "$(git symbolic-ref HEAD)" = refs/heads/topic
    mv "$HOME/src/main.away" "$HOME/src/main"
done
fresh wide --object-format=sha256
git_run 'git checkout -qb topic; git commit -q --allow-empty -m wide'
run worktree apply "$id"
check "nor are longer names of objects" test "$(git log -1 --format=%s topic)" = wide
git init -q -b main "$HOME/src/unborn"
cd "$HOME/src/unborn" || exit
git_run 'echo first >first; git add first; git commit -qm first'
run worktree apply "$id"
check "a first commit waits too" err_matches '^held +.git/refs/heads/main: it is checked out'
run worktree apply --head "$id"
check "and is taken" test "$(git log -1 --format=%s)" = first -a -z "$(git status --porcelain)"

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

chmod -R u+rwX "$XDG_STATE_HOME" # what the kernel makes for an overlay is nobody's to list
finish
