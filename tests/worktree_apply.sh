# Taking what a run changed: what is applied, what is held apart, what is in conflict.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config" GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example
repository="$HOME/src/compass"
runs="$XDG_STATE_HOME/agent-machine/runs"
mkdir -p "$repository/lib"
cd "$repository" || exit
umask 022
git init -q .
printf '1\n2\n3\n4\n5\n6\n7\n8\n9\n' >nine.txt
echo one >a.txt
echo two >lib/b.txt
echo gone >old.txt
echo '{"name":"x","scripts":{"test":"true"}}' >package.json
git add -A
git commit -qm first

# The id of the last run.
last() {
    find "$runs" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tail -n 1
}
# What a tree is like, but for what is git's.
tree_of() { # DIRECTORY
    (cd "$1" && find . -path ./.git -prune -o -printf '%P %y %m %l\n' | sort &&
        find . -path ./.git -prune -o -type f -exec sha256sum {} + | sort)
}
# shellcheck disable=SC2317 # called by check
state_of() { # RUN
    "$program" op show --json "$1" | tr -d ' \n' | tr '{' '\n' | sed -n '/"ChangeSet"/s/.*"state":"\([a-z]*\)".*/\1/p'
}

# ---- all of it ----

before=$(tree_of .)
run run -- sh -c 'echo more >>a.txt; rm old.txt; mkdir -p new/deep; echo n >new/deep/n; ln -s a.txt l
    chmod 600 lib/b.txt; touch -d 2001-02-03 new/deep/n'
id=$(last)
check "a change set waits for a person" test "$(state_of "$id")" = pending
run worktree apply --dry-run
check "a dry run says what would become of each" out_matches '^taken +new/deep/n$'
check "and does nothing" test "$(tree_of .)" = "$before"
run worktree apply -n --json
check "also for programs" out_has '{"path":"a.txt","change":"modified","fate":"taken"}'
cp -a . "$scratch/seen"
(cd "$scratch/seen" && echo more >>a.txt && rm old.txt && mkdir -p new/deep && echo n >new/deep/n &&
    ln -s a.txt l && chmod 600 lib/b.txt)
run worktree apply
check "a change set is applied" exits 0
check "and that is said" err_has '7 changes applied'
check "all of it" test "$(tree_of .)" = "$(tree_of "$scratch/seen")"
check "times are kept" test "$(stat -c %Y new/deep/n)" = "$(date -d 2001-02-03 +%s)"
check "files are the user's" test "$(stat -c %u:%g new/deep/n)" = "$(stat -c %u:%g .)"
check "nothing else is left in the tree" test "$(find . -name '.agent-machine*')" = ""
check "it is in force" test "$(state_of "$id")" = activated
run worktree list
check "and not kept any longer" out_lacks "$id"
run op events "$id"
check "what was decided is in the ledger" out_has "change set activated"
run worktree apply "$id"
check "what is not kept cannot be applied" exits 1

# ---- parts, and throwing away ----

run run -- sh -c 'echo x >x; mkdir d; echo y >d/y; echo z >d/z; rm a.txt'
id=$(last)
run worktree apply "$id" d/y
check "one path alone" test -e d/y -a ! -e d/z -a ! -e x -a -e a.txt
check "is admitted, and not in force" test "$(state_of "$id")" = admitted
run worktree discard "$id" x
check "one path is thrown away" exits 0
run worktree status "$id"
check "and not offered any more" out_lacks ' x'
check "nor is what was taken" out_lacks d/y
check "the rest is" out_matches 'deleted .* a.txt'
run worktree discard "$id" nothing-of-it
check "a path that is none of it is an error" exits 1
before=$(tree_of .)
run worktree discard --reason 'not wanted' "$id"
check "the rest goes" exits 0
check "the host's tree is as it was" test "$(tree_of .)" = "$before"
check "and the decision stands" test "$(state_of "$id")" = archived
check "its files are gone" test ! -e "$runs/$id/0"
run run -- sh -c 'echo x >x'
id=$(last)
run worktree discard "$id"
check "one that was never taken is rejected" test "$(state_of "$id")" = rejected
run run -- sh -c 'echo x >x'
id=$(last)
run worktree apply --to "$scratch/seen" "$id"
check "it can be applied to another tree" test -e "$scratch/seen/x" -a ! -e x
check "which takes nothing from it" test "$(state_of "$id")" = admitted
run worktree discard "$id"

# ---- the host moves on ----

run run -- sh -c 'sed -i "s/^2$/two/" nine.txt; echo agent >a.txt; echo new >same; rm lib/b.txt'
id=$(last)
sed -i 's/^8$/eight/' nine.txt
echo host >a.txt
echo new >same
echo kept >>lib/b.txt
before=$(tree_of .)
run worktree apply "$id"
check "what the host has changed too is a conflict" exits 1
check "told one by one" err_matches '^conflict +nine.txt: the tree has another one'
check "also where it is deleted" err_matches '^conflict +lib/b.txt'
check "what both made alike is none" err_lacks ' same:'
check "nothing of it is applied" test "$(tree_of .)" = "$before"
check "and it waits" test "$(state_of "$id")" = pending
run worktree apply --ours --theirs "$id"
check "one cannot have both" exits 2
run worktree apply --merge "$id" nine.txt
check "what lies apart is merged" test "$(sed -n '2p;8p' nine.txt)" = "two
eight"
run worktree apply --merge "$id" a.txt
check "what does not is marked" exits 1
check "as git marks it" test "$(cat a.txt)" = "<<<<<<< host
host
=======
agent
>>>>>>> $id"
echo host >a.txt
run worktree apply --ours "$id"
check "the host's can be kept" test "$(cat a.txt)" = host
run worktree apply --theirs "$id"
check "or the run's be taken" test "$(cat a.txt)" = agent -a ! -e lib/b.txt

# ---- held apart ----

git config core.hooksPath x
run run -- sh -c 'echo evil >.git/hooks/pre-commit; git config core.fsmonitor evil; mkdir -p .vscode .github/workflows
    echo {} >.vscode/tasks.json; echo on: push >.github/workflows/w.yml; echo do >AGENTS.md; echo x >.envrc
    printf "#!/bin/sh\n" >run.sh; chmod +x run.sh; cp /bin/true lib/plain.txt; chmod 644 lib/plain.txt
    ln -s ../../etc out; ln -s a.txt in; chmod u+s a.txt; mkfifo pipe; echo ok >ok.txt
    echo "{\"name\":\"y\",\"scripts\":{\"test\":\"true\",\"postinstall\":\"evil\"}}" >package.json
    echo "token ghp_0123456789abcdefghijABCDEFGHIJ012345" >notes.txt; echo "A != evil" >Makefile
    printf "all:\n\techo only when asked\n" >other.mk'
id=$(last)
run worktree apply "$id"
check "the rest is applied" test -e ok.txt -a -h in -a -e other.mk
for held in .git/hooks/pre-commit .git/config .vscode/tasks.json .github/workflows/w.yml AGENTS.md \
    .envrc run.sh lib/plain.txt out pipe package.json a.txt notes.txt Makefile; do
    check "$held is held apart" err_matches "^held +$held: "
done
check "no hook came" test ! -e .git/hooks/pre-commit
check "no program" test ! -e run.sh -a ! -e lib/plain.txt
check "no link out" test ! -h out
check "no rights" test ! -u a.txt
check "no secret" test ! -e notes.txt
run worktree diff --held "$id"
check "a person sees what, and why" out_matches '^\.envrc: a shell runs it'
run worktree apply "$id" .vscode
check "a folder does not name what is in it" test ! -e .vscode/tasks.json
run worktree apply "$id" .vscode/tasks.json run.sh
check "what is named is applied" test -e .vscode/tasks.json -a -x run.sh
run op show --json "$id"
check "and that it was named is recorded" grep -aq 'heldPaths":\[".vscode/tasks.json","run.sh"\]' \
    "$XDG_STATE_HOME/agent-machine/ledger.db" "$XDG_STATE_HOME/agent-machine/ledger.db-wal"
run worktree apply --include-held "$id"
check "all of it at once" test -e notes.txt -a -u a.txt -a -e .git/hooks/pre-commit
check "but what never is" test ! -e pipe
run worktree discard "$id"
run run -- sh -c 'echo "{\"name\":\"z\",\"scripts\":{\"test\":\"false\",\"postinstall\":\"evil\"}}" >package.json'
run worktree apply
check "what changes nothing that runs by itself is not held" test "$(grep -c '"z"' package.json)" -eq 1

# ---- commits ----

git config --unset core.fsmonitor
git config --unset core.hooksPath
git add -A
git -c user.name=h -c user.email=h@example commit -qm host 2>"$scratch/hint"
head=$(git rev-parse HEAD) index=$(sha256sum .git/index)
run run -e GIT_AUTHOR_NAME -e GIT_AUTHOR_EMAIL -e GIT_COMMITTER_NAME -e GIT_COMMITTER_EMAIL -- sh -c '
    echo c1 >c1 && git add c1 && git commit -qm one && git checkout -qb topic &&
    echo c2 >c2 && git add c2 && git commit -qm two && git gc -q && git checkout -qb third &&
    git commit -q --allow-empty -m three && echo evil >.git/hooks/post-merge'
check "an agent commits" exits 0
id=$(last)
run worktree apply --commits "$id" c1
check "commits have no paths" exits 2
run worktree apply --commits --dry-run "$id"
check "a dry run tells the branches" out_has "agent/$id/topic"
check "and takes none" test -z "$(git branch --list 'agent/*')"
run worktree apply --commits "$id"
check "commits are taken as branches" exits 0
check "with their history" test "$(git log --format=%s "agent/$id/topic" | head -n 2 | tr '\n' ' ')" = "two one "
check "also such that were not packed" test -n "$(git rev-parse -q --verify "agent/$id/third")"
check "no branch that the run did not move" test "$(git branch --list 'agent/*' | grep -c .)" -eq 3
check "the host's branch stays where it was" test "$(git rev-parse HEAD)" = "$head"
check "nor does the index move" test "$(sha256sum .git/index)" = "$index"
check "and no file" test ! -e c1
try git fsck --strict
check "the repository is whole" exits 0
run worktree apply "$id"
check "the files can be taken too" test -e c1 -a -e c2
check "hooks are held as ever" err_has .git/hooks/post-merge
run worktree discard "$id" .git
check "when the last of it is thrown away it is done with" test "$(state_of "$id")" = archived -a ! -e "$runs/$id/0"
run run -- sh -c 'echo x >x'
run worktree apply --commits
check "a run that made no commits has none" err_has "made no commits"
run worktree discard "$(last)"
# shellcheck disable=SC2016 # the sandbox's own
run run -e GIT_AUTHOR_NAME -e GIT_AUTHOR_EMAIL -e GIT_COMMITTER_NAME -e GIT_COMMITTER_EMAIL -- sh -c '
    git checkout -qb bad && git commit -q --allow-empty -m fine
    tree=$(printf "100644 .git\0%s" "$(printf "%020d" 0)" | git hash-object -t tree -w --literally --stdin)
    git update-ref refs/heads/bad "$(git -c core.fsync=none commit-tree "$tree" -m bad)"'
id=$(last)
run worktree apply --commits "$id"
check "objects that git's checks refuse are refused" exits 1
check "as git says it" err_has "git does not take them"
check "and leave nothing" test -z "$(git branch --list "agent/$id/*")"
run worktree discard "$id"

# ---- going on ----

mkdir -p keep/inner
echo k >keep/k
echo i >keep/inner/i
echo base >grown
run run -- sh -c 'echo one >>grown; rm -r keep; mkdir keep; echo new >keep/new; ln -s keep link2; mkdir -m 700 shut
    echo s >shut/s; chmod 500 shut'
first=$(last)
run run --continue "$first" -- sh -c 'cat grown; ls -A keep; echo two >>grown; rm link2; echo more >more'
check "a run goes on from a change set" out_is "base
one
new"
second=$(last)
run worktree status "$second"
check "what both changed is one change set" out_matches 'modified .* grown'
check "also what is gone" out_matches 'deleted .* keep/inner/i'
check "and not what the second took back" out_lacks link2
run worktree list
check "the first is kept as it is" out_has "$first"
run worktree diff "$first" grown
check "with its own contents" out_lacks two
run run --continue "$first" -- true
check "to go on and do nothing leaves the same" test "$("$program" worktree diff "$(last)" | sha256sum)" = \
    "$("$program" worktree diff "$first" | sha256sum)"
run worktree discard "$(last)"
run run --continue "$first" -- no-such-program
run worktree list
check "a run that never begins leaves no second one" test "$(grep -c . "$scratch/out")" -eq 2
echo host >>grown
run worktree apply "$second"
check "what the host changed since the first launch is a conflict" err_matches '^conflict +grown'
run worktree apply --theirs "$second"
check "all of it can be taken" test "$(cat grown)" = "base
one
two" -a -e more -a ! -e keep/inner -a "$(stat -c %a shut)" = 500
run run --continue "$second" -- true
check "what is not kept cannot be gone on from" exits 125
run worktree discard "$first" more
check "nor from a path that is none" exits 1
run worktree discard "$first" grown
run run --continue "$first" -- true
check "nor from one of which parts were thrown away" err_has "thrown away"
chmod -R u+rwX shut
run worktree discard "$first"

# ---- at the end of a run ----

# Types answers at a run on a terminal, one a line.
on_terminal() { # ANSWERS COMMAND
    cat >"$scratch/type.py" <<'END'
import os, pty, select, sys
answers = sys.argv[1].encode().decode("unicode_escape").encode().splitlines(keepends=True)
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
seen = b""
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    seen += piece
    os.write(1, piece)
    question = seen.rsplit(b"\n", 1)[-1]  # names its letters in brackets; a line may come in parts
    while answers and b"agent-machine: " in question and b"[" in question and question.endswith(b": "):
        os.write(terminal, answers.pop(0))
        seen = question = b""
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
    typed=$1
    shift
    try timeout 60 python3 -B "$scratch/type.py" "$typed" "$program" run -- sh -c "$1"
}
on_terminal 'd\na\n' 'echo asked >asked; exit 3'
check "on a terminal the person is asked" out_has '[a]pply, [c]hoose'
check "and shown what it is" out_has '+asked'
check "what is applied is there" test -e asked
check "the exit status is the command's all the same" exits 3
on_terminal 'c\ny\nn\n' 'echo 1 >first; echo 2 >second'
check "one can choose path by path" test -e first -a ! -e second
run worktree discard "$(last)"
on_terminal 'x\n' 'echo gone >thrown'
check "or throw it away" test ! -e thrown -a ! -e "$runs/$(last)/0"
on_terminal '\n' 'echo kept >kept'
check "no answer keeps it" out_has 'kept; `agent-machine worktree apply'
run worktree discard "$(last)"
rm -f asked first

# And what to take of each file.
printf 'a\nb\nc\nd\ne\nf\ng\nh\n' >letters
echo bye >leaves
run run -- sh -c 'sed -i -e s/b/B/ -e s/g/G/ letters; rm leaves; echo x >fresh; echo y >other2'
id=$(last)
type_at() { # ANSWERS ARGUMENT…
    typed=$1
    shift
    try timeout 60 python3 -B "$scratch/type.py" "$typed" "$program" "$@"
}
type_at 'y\nn\ny\nn\n' worktree apply -p "$id" fresh leaves letters
check "each place that differs is shown" out_has '+B'
check "what is taken of new and old files is asked too" test -e fresh -a -e leaves
check "one place of a file can be taken" test "$(sed -n '2p;7p' letters)" = "B
g"
check "and no other file" test ! -e other2
run worktree apply "$id" letters
check "the rest of it is merged" exits 1
run worktree apply --merge "$id" letters
check "into what is there" test "$(sed -n '2p;7p' letters)" = "B
G"
run worktree apply -p "$id"
check "without a terminal nobody can be asked" exits 2
run worktree discard "$id"
rm -f fresh leaves letters

# ---- what must not be possible ----

mkdir -p victim "$scratch/elsewhere"
echo v >victim/v
run run -- sh -c 'echo w >victim/v; echo n >victim/n'
id=$(last)
rm -r victim
ln -s "$scratch/elsewhere" victim
run worktree apply --theirs "$id"
check "no link is followed out of the tree" test ! -e "$scratch/elsewhere/n" -a ! -e "$scratch/elsewhere/v"
check "it is a conflict" err_matches '^conflict +victim/n: a link or a mount'
rm victim
run worktree discard "$id"
run run -- sh -c 'echo n >n; echo m >m'
id=$(last)
echo other >"$runs/$id/0/upper/n"
before=$(tree_of .)
run worktree apply "$id"
check "what was altered since the run is not applied" err_has "not what the run left"
check "nor is anything else" test "$(tree_of .)" = "$before"
sed -i 's/ m$/ q/' "$runs/$id/0/changes"
run worktree apply "$id"
check "nor by another list" err_has "not the one that was recorded"
run worktree discard "$id" n
check "which cannot be thrown away in parts either" exits 1
rm -r "${runs:?}/$id"
echo shared >shared
ln shared "$scratch/elsewhere/hard"
cat >attributes.py <<'END'
import os
open('x', 'w').write('x\n')
for name in ('user.mine', 'user.overlay.opaque', 'user.overlay.whiteout'):
    try:
        os.setxattr('x', name, b'y')
    except OSError:
        pass
END
# shellcheck disable=SC2016 # the sandbox's own
run run -- sh -c 'echo agent >>shared; ln shared other; python3 attributes.py; echo 1 >Twin; echo 2 >tWIN; echo 3 >"$(printf "a\tb")"'
id=$(last)
run worktree apply "$id"
check "names that differ by case alone are held" test ! -e Twin -a ! -e tWIN
check "and such with control characters" err_has 'a\x09b: its name has control characters'
check "what has another name on the host is not written through it" \
    test "$(cat "$scratch/elsewhere/hard")" = shared
check "two names of one file are two files" test "$(stat -c %h shared)" -eq 1 -a "$(cat other)" = "shared
agent"
try python3 -c 'import os; print(os.listxattr("x"))'
check "attributes do not come along" out_is "[]"
run worktree discard "$id"
run run -- sh -c 'echo n >n'
printf 'agent-machine apply 1\n.agent-machine-apply-x\n%s %s\nput 644 0 1 n\n' \
    "$(printf %s "$PWD" | wc -c)" "$PWD" >"$runs/$(last)/0/apply"
mkdir .agent-machine-apply-x
echo half >.agent-machine-apply-x/0
run recover
check "what had not begun is undone by recover" test ! -e .agent-machine-apply-x -a ! -e n
check "which says so" out_has "1 undone"
mkdir .agent-machine-apply-x
echo n >.agent-machine-apply-x/0
printf 'agent-machine apply 1\n.agent-machine-apply-x\n%s %s\nput 644 0 1 n\n' \
    "$(printf %s "$PWD" | wc -c)" "$PWD" >"$runs/$(last)/0/apply"
printf '%s 0 0\n' "$(stat -c %i .agent-machine-apply-x/0)" >"$runs/$(last)/0/apply.commit"
run recover --json
check "what had begun is completed" test "$(cat n)" = n -a ! -e .agent-machine-apply-x
check "also for programs" out_has '"applied":1'
rm n
mkdir .agent-machine-apply-x
echo planted >.agent-machine-apply-x/0
printf 'agent-machine apply 1\n.agent-machine-apply-x\n%s %s\nput 644 0 1 n\n' \
    "$(printf %s "$PWD" | wc -c)" "$PWD" >"$runs/$(last)/0/apply"
echo '1 0 0' >"$runs/$(last)/0/apply.commit"
run recover
check "what somebody else has put there meanwhile is not taken" test ! -e n -a ! -e .agent-machine-apply-x
try flock . "$program" worktree apply
check "two cannot apply at once" err_has "somebody else applies"
try mv "$repository" "$repository.away"
mkdir "$repository"
cd "$repository" || exit
run worktree apply
check "another directory at its place is not the repository" err_has "another directory"
check "and stays empty" test "$(ls -A)" = ""
cd ..
rmdir "$repository"
mv "$repository.away" "$repository"
cd "$repository" || exit
run run -d -- sh -c 'echo n >n2; while [ ! -e stop ]; do sleep 0.1; done'
id=$(cat "$scratch/out")
run worktree apply "$id"
check "a run that goes on is not applied" err_has "has not ended"
run stop "$id"
run worktree apply "$id"
check "when it was stopped it can be" test -e n2

finish
