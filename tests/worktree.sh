# What a run changed: how it is shown, and that git takes it as a patch.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config" GIT_CONFIG_GLOBAL=/dev/null PAGER=cat
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example
repository="$HOME/src/compass"
mkdir -p "$repository/lib/deep"
cd "$repository" || exit
umask 022

# A tree with one of everything that git can keep.
git init -q .
i=0
while [ $i -lt 40 ]; do echo "line $i" && i=$((i + 1)); done >many.txt
echo one >a.txt
printf 'no line feed at its end' >open.txt
printf 'x\000y\n' >binary.bin
printf '#!/bin/sh\necho hi\n' >tool.sh
chmod 755 tool.sh
ln -s a.txt link
echo moved >lib/old.txt
echo three >lib/deep/c.txt
: >empty
echo 'with a blank' >'a blank.txt'
printf 'odd\n' >"$(printf 'tab\there \303\251 "q".txt')"
echo 'TOKEN=secret-of-the-host' >.env
git add -A
git commit -qm first

# The id of the last run.
last() {
    find "$XDG_STATE_HOME/agent-machine/runs" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tail -n 1
}

# What the tree is like: names, kinds, whether executable, contents.
tree_of() { # DIRECTORY
    (cd "$1" && find . -path ./.git -prune -o \( -type f -o -type l \) -printf '%p %y %m %l\n' -exec sh -c \
        'for f; do [ -h "$f" ] || sha256sum "$f"; done' - {} + | sed 's/ 6[0-4][0-4]/ file/' | sort)
}

cat >"$scratch/agent" <<'END'
set -e
sed -i -e 's/^line 3$/line three/' -e 's/^line 30$/line thirty\nand more/' many.txt
printf 'one\ntwo' >a.txt
printf 'no line feed at its end\n' >open.txt
printf 'x\000z and more\n' >binary.bin
head -c 300000 /dev/urandom >noise.bin
chmod 644 tool.sh
ln -sfn lib/deep link
mkdir -p lib/new
mv lib/old.txt lib/new/name.txt
rm lib/deep/c.txt 'a blank.txt'
echo filled >empty
: >'new and empty'
printf 'odder\n' >"$(printf 'tab\there \303\251 "q".txt')"
printf 'spaces\n' >'new blank.txt'
printf 'esc \033[31mred\n' >escape.txt
echo 'git config' >>.git/config
END
before=$(tree_of .)
run run -- sh -c "$(cat "$scratch/agent")"
check "an agent works" exits 0
id=$(last)
check "and the tree of the host is as it was" test "$(tree_of .)" = "$before"

# ---- status ----

run worktree status
check "where none is named it is the last of this directory" out_matches 'modified .* many.txt$'
check "with a name that a terminal might act on escaped" out_matches 'tab\\011here'
all=$(grep -c . "$scratch/out")
run worktree status "$(printf %.10s "$id")"
check "the beginning of an id is enough" test "$(grep -c . "$scratch/out")" -eq "$all"
run worktree status "$id" lib
check "a path stands for what lies below it" out_lacks many.txt
check "and nothing of that is missing" out_matches 'added .* lib/new/name.txt$'
cd lib/deep || exit
run worktree status ../new
check "paths begin where the caller is" out_matches 'added .* lib/new/name.txt$'
cd /
run worktree status "$id" lib
check "or at the tree's root" out_matches 'added .* lib/new/name.txt$'
run worktree status
check "outside there is no last one" exits 1
check "which is said" err_has "no change set of this directory"
cd "$repository" || exit
run worktree status "$id" nowhere
check "a path at which nothing changed is an error" exits 1
check "that names it" err_has "nothing is changed at nowhere"
run worktree diff zzz
check "what is neither a run nor a path is an error" exits 1

# ---- diff and export ----

run worktree diff
check "a diff is git's" out_has 'diff --git a/a.txt b/a.txt'
check "with hunks" out_has '@@ -1 +1,2 @@'
check "a line that has no end says so" out_has '\ No newline at end of file'
check "a mode" out_has 'new mode 100644'
check "a rename is found by its contents" out_has 'rename to lib/new/name.txt'
check "names are quoted as git quotes them" out_has '"a/tab\there \303\251 \"q\".txt"'
check "what is no text only differs" out_has 'Binary files a/binary.bin and b/binary.bin differ'
check "nothing of .git is in it" out_lacks 'git config'
check "which is said" err_has '1 change below .git is not shown'
run worktree diff a.txt
check "one path alone" out_lacks many.txt
run worktree export --patch -o "$scratch/patch"
check "it can be exported" exits 0
git clone -q . "$scratch/clone"
cp -a "$repository/.env" "$scratch/clone/" 2>/dev/null
try git -C "$scratch/clone" apply --check "$scratch/patch"
check "git takes the patch" exits 0
try git -C "$scratch/clone" apply "$scratch/patch"
# What the agent saw: its script, run in a copy.
cp -a "$repository" "$scratch/seen"
(cd "$scratch/seen" && sh -c "$(grep -v urandom "$scratch/agent")")
cp "$XDG_STATE_HOME/agent-machine/runs/$id/0/upper/noise.bin" "$scratch/seen/"
check "and makes of a clone what the agent saw" \
    test "$(tree_of "$scratch/clone")" = "$(tree_of "$scratch/seen")"
try git -C "$scratch/clone" apply -R "$scratch/patch"
check "and takes it back" test "$(tree_of "$scratch/clone")" = "$before"
git -C "$scratch/clone" update-index -q --refresh
try git -C "$scratch/clone" apply --index "$scratch/patch"
check "blobs have git's own names" exits 0
git diff --no-index --no-prefix many.txt "$scratch/seen/many.txt" | tail -n +5 | sed 's/ @@.*/ @@/' >"$scratch/theirs"
run worktree diff many.txt
tail -n +5 "$scratch/out" >"$scratch/ours"
check "text is compared as git compares it" cmp "$scratch/ours" "$scratch/theirs"

# On a terminal: coloured, paged, and nothing of the agent's acts on it.
on_terminal() { # COMMAND…
    try env TERM=xterm script -qec "$*" /dev/null
}
on_terminal "PAGER='sed s/^/paged:/' '$program' worktree diff many.txt escape.txt"
check "on a terminal it is paged" out_has 'paged:'
check "and coloured" out_has "$(printf '\033[32m+line three')"
check "and what would act on the terminal is escaped" out_has 'esc \x1b[31mred'
on_terminal "NO_COLOR=1 '$program' worktree diff --no-pager many.txt"
check "unless colours are unwanted" out_lacks "$(printf '\033[')"
on_terminal "PAGER='head -n 1' '$program' worktree diff"
check "a pager may end early" exits 0

# What is large is never held, and what is named is not read from elsewhere.
run run -- sh -c 'head -c 100000000 /dev/zero | tr "\0" x >large.txt; echo >>a.txt'
cat >"$scratch/peak" <<'END'
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)
END
try python3 "$scratch/peak" "$program" worktree export --patch
check "a large file is read in pieces" test "$(cat "$scratch/out")" -lt 64
run worktree diff large.txt
check "and is no text" out_has 'Binary files /dev/null and b/large.txt differ'

# ---- what the host does meanwhile ----

echo two >both.txt
git add both.txt
run run -- sh -c 'echo agent >>both.txt'
id=$(last)
echo host >both.txt
run worktree diff "$id" both.txt
check "a file that the host changes later is compared with what the run found" out_has ' two'
check "as long as that was kept" out_lacks '-host'
printf 'two\nagent\n' >both.txt
run worktree status "$id"
check "what the host has already is not listed" out_lacks both.txt
mv "$XDG_STATE_HOME/agent-machine/runs/$id/0/changes" "$scratch/list"
sed 's/both.txt/..\/b.txt/' "$scratch/list" >"$XDG_STATE_HOME/agent-machine/runs/$id/0/changes"
run worktree status "$id"
check "a list that was tampered with is refused" exits 1
check "as damaged" err_has damaged
mv "$scratch/list" "$XDG_STATE_HOME/agent-machine/runs/$id/0/changes"

finish
