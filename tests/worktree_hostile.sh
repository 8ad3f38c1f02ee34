# What a run, or somebody on the host, may do to a change set, and what comes of it: nothing.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config" GIT_CONFIG_GLOBAL=/dev/null PAGER=cat
repository="$HOME/src/compass"
runs="$XDG_STATE_HOME/agent-machine/runs"
mkdir -p "$repository"
cd "$repository" || exit
umask 022
git init -q .

# The id of the last run.
last() {
    find "$runs" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tail -n 1
}
# ---- links in the place of directories, thousands of times while it is applied ----

mkdir -p victim "$scratch/elsewhere"
i=0
while [ $i -lt 50 ]; do echo old >victim/f$i && i=$((i + 1)); done
ln -s "$scratch/elsewhere" decoy
# shellcheck disable=SC2016 # the sandbox's own
run run -- sh -c 'i=0; while [ $i -lt 50 ]; do echo new >victim/f$i; echo new >victim/n$i; i=$((i+1)); done; rm victim/f49'
id=$(last)
cat >"$scratch/swap.py" <<'END_OF_SWAP'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
swaps = 0
open("swapping", "w").close()
while not os.path.exists("stop") or swaps < 5000:
    libc.renameat2(-100, b"victim", -100, b"decoy", 2)
    swaps += 1
if os.path.islink("victim"):
    libc.renameat2(-100, b"victim", -100, b"decoy", 2)
print(swaps)
END_OF_SWAP
python3 "$scratch/swap.py" >"$scratch/swaps" &
swapper=$!
while [ ! -e swapping ]; do :; done
tries=0
while [ $tries -lt 25 ]; do
    run worktree apply --theirs "$id" victim
    [ "$status" -ne 0 ] || break
    tries=$((tries + 1))
done
touch stop
wait $swapper
check "a directory was swapped for a link thousands of times" test "$(cat "$scratch/swaps")" -ge 5000
check "nothing was written where the link leads" test "$(ls -A "$scratch/elsewhere")" = ""
rm -f stop swapping
run recover
check "and nothing waits to be recovered" out_is "nothing to recover"
check "nor lies about" test "$(find . -name '.agent-machine*')" = ""
mixed=$(cat victim/f[0-9]* | sort -u | tr '\n' ' ')
check "either all of it was applied, or nothing" test "$mixed" = "new " -o "$mixed" = "old "
run worktree apply --theirs "$id"
check "left alone it is applied" test "$(cat victim/f[0-9]* victim/n* | sort -u)" = new -a ! -e victim/f49
run worktree list -q
check "and done with" out_lacks "$id"
rm -r victim decoy

# ---- two at once ----

# shellcheck disable=SC2016 # the sandbox's own
run run -- sh -c 'i=0; while [ $i -lt 300 ]; do echo $i >many$i; i=$((i+1)); done'
id=$(last)
"$program" worktree apply "$id" >"$scratch/one" 2>&1 &
one=$!
"$program" worktree apply "$id" >"$scratch/two" 2>&1
two=$?
wait $one
one=$?
check "of two that apply at once, one does" test "$one" -eq 0 -o "$two" -eq 0
# shellcheck disable=SC2012 # names of ours
check "and all of it is there once" test "$(ls many* | wc -l)" -eq 300 -a "$(cat many299)" = 299
rm many*

# ---- overlay's own marks, attributes and rights, made by hand ----

mkdir -p opaque plain
echo 1 >opaque/one
echo 2 >plain/two
echo 3 >white
echo 4 >renamed
cat >"$scratch/marks.py" <<'END_OF_MARKS'
import os, socket, stat, struct
def attempt(call, *arguments):
    try:
        call(*arguments)
    except OSError:
        pass
for path in ("opaque", "white", "plain/two", "."):
    for name in ("opaque", "whiteout", "redirect", "metacopy", "origin", "nlink", "upper", "protattr"):
        for space in ("user.overlay.", "trusted.overlay.", "user.overlay.overlay."):
            attempt(os.setxattr, path, space + name, b"y")
attempt(os.mknod, "device0", stat.S_IFCHR | 0o600, 0)
attempt(os.mknod, "device1", stat.S_IFCHR | 0o600, os.makedev(1, 3))
attempt(os.mknod, "plain/.wh.two", stat.S_IFREG | 0o600)
open("attributed", "w").write("x\n")
attempt(os.setxattr, "attributed", "user.mine", b"y")
# Everybody may write, by a list of rights.
acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, rights, who) for tag, rights, who in (
    (1, 6, 0xFFFFFFFF), (2, 6, 65534), (4, 4, 0xFFFFFFFF), (16, 6, 0xFFFFFFFF), (32, 6, 0xFFFFFFFF)))
attempt(os.setxattr, "attributed", "system.posix_acl_access", acl)
attempt(os.setxattr, "plain", "system.posix_acl_default", acl)
attempt(os.rename, "opaque", "opaque2")
open("plain/new", "w").write("n\n")
END_OF_MARKS
# shellcheck disable=SC2016 # the sandbox's own
run run -- sh -c 'python3 -c "$1"; find . -path ./.git -prune -o \( -type f -o -type d \) -print | sort
    cat opaque*/one plain/two white renamed' - "$(cat "$scratch/marks.py")"
cp "$scratch/out" "$scratch/seen"
id=$(last)
run worktree apply --include-held "$id"
find . -path ./.git -prune -o \( -type f -o -type d \) -print | sort >"$scratch/there"
cat opaque*/one plain/two white renamed >>"$scratch/there"
check "what marks made by hand leave is what the run saw" cmp "$scratch/seen" "$scratch/there"
try python3 -c '
import os
for path in ("attributed", "plain", "plain/new", "opaque", "opaque2", "white", "."):
    if os.path.exists(path):
        print(path, [name for name in os.listxattr(path) if name != "security.selinux"])'
check "no attribute and no list of rights comes along" test "$(grep -vc '\[\]' "$scratch/out")" -eq 0
check "no device is there" test "$(find . -type c -o -type b)" = ""
"$program" worktree discard "$id" >/dev/null 2>&1

# ---- what is no file ----

cat >"$scratch/special.py" <<'END_OF_SPECIAL'
import os, socket
os.mkfifo("fifo")
socket.socket(socket.AF_UNIX).bind("socket")
END_OF_SPECIAL
# shellcheck disable=SC2016 # the sandbox's own
run run -- sh -c 'python3 -c "$1"; echo ok >ok' - "$(cat "$scratch/special.py")"
id=$(last)
run worktree apply --include-held "$id"
check "a pipe and a socket are never applied" err_matches '^held +fifo: devices, pipes and sockets'
check "whoever names them" test ! -e fifo -a ! -e socket -a -e ok
run worktree discard "$id"
run run -- sh -c 'echo agent >ok; echo n >n'
id=$(last)
rm ok
mkfifo ok
try timeout 20 "$program" worktree apply --theirs "$id" n
check "a pipe in the place of a file is waited for by nobody" exits 0
try timeout 20 "$program" worktree apply --merge "$id"
check "and is a conflict" err_matches '^conflict +ok: something else is there'
rm ok
run worktree discard "$id"
run run -- sh -c 'echo n >planted'
id=$(last)
rm "$runs/$id/0/upper/planted"
ln -s /etc/passwd "$runs/$id/0/upper/planted"
run worktree apply --include-held "$id"
check "a link in the place of what the run left is not followed" exits 1
check "nor applied" test ! -e planted
rm "$runs/$id/0/upper/planted"
mkfifo "$runs/$id/0/upper/planted"
try timeout 20 "$program" worktree apply --include-held "$id"
check "nor is a pipe there waited for" test "$status" -ne 0 -a "$status" -ne 124
rm -r "${runs:?}/$id"

# Devices that only root can make, while the run went on and behind it.
if [ "$(id -u)" -eq 0 ]; then
    run run -d -- sh -c 'echo n >behind; echo up; sleep 100'
    id=$(cat "$scratch/out")
    while ! "$program" logs "$id" 2>"$scratch/hint" | grep -q up; do :; done
    mknod "$runs/$id/0/upper/block" b 7 0
    mknod "$runs/$id/0/upper/character" c 1 3
    check "devices can be made here" test -b "$runs/$id/0/upper/block" -a -c "$runs/$id/0/upper/character"
    run stop "$id"
    run worktree apply --include-held "$id"
    check "a block device is never applied" err_matches "^held +block: devices, pipes and sockets"
    check "nor one of characters" err_matches "^held +character: devices, pipes and sockets"
    check "neither is there" test ! -e block -a ! -e character
    for device in block character; do
        run worktree apply "$id" $device
        check "nor for being named" test ! -e $device
    done
    rm -f behind
    run worktree discard "$id"
    run run -- sh -c 'echo n >behind'
    id=$(last)
    rm "$runs/$id/0/upper/behind"
    mknod "$runs/$id/0/upper/behind" b 7 0
    run worktree apply --include-held "$id"
    check "a device in the place of what the run left is not opened" err_has "not what the run left"
    check "nor applied" test ! -e behind
    rm -r "${runs:?}/$id"
fi

# ---- directories that get another name ----

mkdir -p old/deep
echo 1 >old/one
echo 2 >old/deep/two
run run -- sh -c 'mv old new && ls -R new'
check "a directory can get another name inside" out_has two
run worktree diff
check "which is shown as that of its files" out_has 'rename to new/deep/two'
run worktree apply
check "and applied" test -e new/deep/two -a ! -e old

# ---- gigabytes ----

cat >"$scratch/peak" <<'END_OF_PEAK'
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)
END_OF_PEAK
run run -- sh -c 'echo begins >huge; truncate -s 2200M huge; echo ends >>huge'
id=$(last)
for verb in status diff 'apply --dry-run' 'apply --include-held'; do
    # shellcheck disable=SC2086 # a verb and its option
    try timeout 120 python3 "$scratch/peak" "$program" worktree $verb
    check "$verb of a file of gigabytes takes little memory" test "$(cat "$scratch/out")" -lt 64
done
check "it is there" test "$(stat -c %s huge)" -gt 2300000000 -a "$(tail -n 1 huge | tr -d '\0')" = ends
check "and what was a hole is one" test "$(stat -c %b huge)" -lt 10000
rm -f huge

# ---- what is usual, by the profile ----

"$program" profile show --json personal >"$scratch/personal.json"
python3 - "$scratch/personal.json" <<'END_OF_EDIT'
import json, sys
profile = json.load(open(sys.argv[1]))
profile["worktreePlane"]["usualFiles"] = ["*.c", "*.toml", "docs/"]
json.dump(profile, open(sys.argv[1], "w"))
END_OF_EDIT
run profile edit personal --from "$scratch/personal.json"
run run -- sh -c 'echo c >a.c; echo d >a.dat; mkdir docs; echo p >docs/plan
    printf "[build-system]\nrequires = [\"evil\"]\n" >pyproject.toml; echo changed >white'
run worktree diff --held
check "what a profile does not call usual is held" out_matches '^a.dat: the profile has no such files'
check "and nothing that it does" out_lacks docs/plan
run worktree apply
check "so it is not applied" test -e a.c -a -e docs/plan -a ! -e a.dat -a "$(cat white)" = changed
check "what is run to build a package is held for that" err_matches '^held +pyproject.toml: it changes what runs'
run worktree apply "$(last)" a.dat
check "unless it is named" test -e a.dat

finish
