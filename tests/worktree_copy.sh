# Where no overlay can be made the directory is copied: said, and otherwise as ever.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
if [ "$(id -u)" != 0 ]; then
    printf 'skipped: only root can mount a file system that no overlay can be made on\n'
    finish
fi

# A home in an overlay, as in most containers: the kernel takes none of it as an upper layer.
mkdir -p "$scratch/lower" "$scratch/upper" "$scratch/work" "$scratch/overlay"
mount -t overlay -o "lowerdir=$scratch/lower,upperdir=$scratch/upper,workdir=$scratch/work" none "$scratch/overlay"
unmount_all() {
    for place in above disk served overlay; do
        ! mountpoint -q "$scratch/$place" || umount -l "$scratch/$place"
    done
}
trap 'unmount_all; ended_early' EXIT
chmod 755 "$scratch" "$scratch/overlay"

# As who, and where the repository lies.
scene() { # USER HOME STATE
    user=$1 home=$2 repository=$2/src state=$3
    runs="$state/agent-machine/runs"
    mkdir -p "$home" "$state" "$repository/lib" "$repository/private"
    echo one >"$repository/a.txt"
    echo two >"$repository/lib/b.txt"
    echo stays >"$repository/same"
    echo TOKEN=secret-of-the-host >"$repository/.env"
    echo gone >"$repository/lib/old"
    echo moved >"$repository/from"
    ln -s a.txt "$repository/link"
    chmod 755 "$repository/lib"
    git init -q "$repository"
    chown -R "$user:" "$home" "$state"
}
as_user() { # COMMAND…
    command_line=$*
    (cd "$repository" && if [ "$user" = root ]; then
        env HOME="$home" XDG_STATE_HOME="$state" XDG_CONFIG_HOME= GIT_CONFIG_GLOBAL=/dev/null "$@"
    else
        runuser -u "$user" -- env HOME="$home" XDG_STATE_HOME="$state" XDG_CONFIG_HOME= GIT_CONFIG_GLOBAL=/dev/null "$@"
    fi) >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
}
tree_of() { # DIRECTORY
    (cd "$1" && find . -path ./.git -prune -o -printf '%P %y %m %l\n' | sort &&
        find . -path ./.git -prune -o -type f -exec sha256sum {} + | sort)
}
last() {
    find "$runs" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tail -n 1
}

try_copy() { # WHO [BY]
    who=$1 by=${2:-copy}
    before=$(tree_of "$repository")
    as_user "$program" run -- sh -c 'echo more >>a.txt; rm lib/old; mkdir new; echo n >new/n; mv from to
        chmod 600 lib/b.txt; ls -A; cat .env'
    check "$who: a run works in a copy" out_has a.txt
    [ "$by" = overlay ] || check "$who: which is said, with the reason" err_matches "was copied, [0-9]+ files .*(no overlay can be made|owners of files cannot be mapped) there"
    check "$who: what is hidden is not in it" out_lacks secret-of-the-host
    check "$who: the host's tree does not move" test "$(tree_of "$repository")" = "$before"
    id=$(last)
    as_user "$program" worktree status "$id"
    check "$who: what was changed is known" out_matches 'modified .* a.txt'
    check "$who: also what is gone" out_matches 'deleted .* lib/old'
    check "$who: or has another name" out_matches 'added .* to$'
    check "$who: or another mode" out_matches 'mode .* lib/b.txt'
    check "$who: and nothing else" test "$(grep -c . "$scratch/out")" -eq 7
    check "$who: what was not changed takes no room" test ! -e "$runs/$id/0/upper/same"
    [ "$by" = overlay ] ||
        check "$who: the fingerprint says it" grep -aqs "\"stagedBy\":\"$by\"" "$state/agent-machine/ledger.db" \
        "$state/agent-machine/ledger.db-wal"
    as_user "$program" worktree diff "$id" a.txt
    check "$who: it can be shown" out_has '+more'
    if [ "$by" != overlay ]; then
        as_user "$program" run --continue "$id" -- true
        check "$who: to go on from it is refused" err_has "apply it first"
    fi
    cp -a "$repository" "$scratch/seen"
    (cd "$scratch/seen" && echo more >>a.txt && rm lib/old && mkdir new && echo n >new/n && mv from to && chmod 600 lib/b.txt)
    as_user "$program" worktree apply "$id"
    check "$who: it is applied as any" test "$(tree_of "$repository")" = "$(tree_of "$scratch/seen")"
    check "$who: files are their owner's" test "$(stat -c %U "$repository/new/n")" = "$user"
    rm -r "$scratch/seen"

    # The host goes on meanwhile.
    as_user "$program" run -d -- sh -c 'echo agent >>same; echo up; while [ ! -e stop ]; do sleep 0.05; done; rm -f stop'
    id=$(cat "$scratch/out")
    echo host >"$repository/made"
    echo host >>"$repository/lib/b.txt"
    rm "$repository/to"
    if [ "$by" = overlay ]; then # it does not see what comes into its upper layer
        as_user "$program" stop "$id"
    else
        touch "$runs/$id/0/upper/stop"
        as_user "$program" attach "$id"
    fi
    as_user "$program" worktree status "$id"
    check "$who: what the host does meanwhile is no change of the run's" out_matches 'modified .* same$'
    check "$who: neither new files, nor changed, nor removed ones" test "$(grep -c . "$scratch/out")" -eq 1
    as_user "$program" worktree apply "$id"
    check "$who: and stays" test -e "$repository/made" -a ! -e "$repository/to" -a "$(tail -n 1 "$repository/same")" = agent

    as_user "$program" run -- true
    check "$who: a run that changes nothing leaves nothing" test ! -e "$runs/$(last)/0"
    as_user "$program" run -- ln -s /etc/passwd out
    as_user "$program" worktree apply
    check "$who: what leads out is held apart" err_has "the link leads out of the tree"
    as_user "$program" worktree discard "$(last)"
    check "$who: it can be thrown away" test ! -e "$runs/$(last)/0"
    rm -f "$scratch/said"
    mkfifo "$scratch/said"
    chmod 666 "$scratch/said"
    # shellcheck disable=SC2016 # the user's own
    as_user sh -c '"$1" run -- sh -c "echo k >killed; rm same; echo up; sleep 100" >"$2" & echo $!' - "$program" "$scratch/said" &
    read -r _ <"$scratch/said"
    wait
    kill -KILL "$(cat "$scratch/out")"
    as_user "$program" recover
    as_user "$program" worktree status
    check "$who: a killed run's is found too" out_matches 'added .* killed'
    check "$who: with what it deleted" out_matches 'deleted .* same'
    as_user "$program" worktree apply
    check "$who: and can be applied" test -e "$repository/killed" -a ! -e "$repository/same"
}

scene root "$scratch/overlay/root" "$scratch/overlay/root/state"
try_copy "root, all of it in an overlay"
scene nobody "$scratch/overlay/nobody" "$scratch/overlay/nobody/state"
try_copy "a user, all of it in an overlay"
scene nobody "$scratch/plain" "$scratch/overlay/state"
try_copy "a user, the state in an overlay"

# A file system that a process serves, as sshfs does and many others.
if command -v bindfs >/dev/null && [ -c /dev/fuse ]; then
    mkdir "$scratch/behind" "$scratch/served"
    bindfs "$scratch/behind" "$scratch/served"
    scene root "$scratch/served/root" "$scratch/served-state"
    try_copy "root, the repository on FUSE"
    scene nobody "$scratch/served/nobody" "$scratch/served-state-nobody"
    try_copy "a user, the repository on FUSE" overlay
else
    skip "a file system that a process serves" "there is no bindfs or no /dev/fuse"
fi

# One that shares blocks: nothing is written twice, neither for a copy nor for what goes on from it.
# shellcheck disable=SC2317 # called by check
shares() { # FILE
    filefrag -v "$1" | grep -q shared
}
try_shared() { # WHO
    who=$1
    as_user sh -c 'head -c 3000000 /dev/urandom >large; echo x >small'
    as_user "$program" run -- sh -c 'head -c 3000000 /dev/urandom >first; echo x >other'
    id=$(last)
    as_user "$program" run --continue "$id" -- true
    check "$who: a change set that is gone on from is not written twice" shares "$runs/$(last)/0/upper/first"
    as_user "$program" worktree discard "$(last)"
    as_user "$program" worktree apply --include-held "$id" first
    check "$who: nor is what is applied" shares "$repository/first"
    check "$who: and it is what the run left" cmp "$repository/first" "$runs/$id/0/upper/first"
    echo more >>"$repository/first"
    check "$who: while each is written to alone" test "$(stat -c %s "$runs/$id/0/upper/first")" -eq 3000000
    as_user "$program" worktree discard "$id"
}
if command -v mkfs.xfs >/dev/null && [ -c /dev/loop-control ]; then
    disk="$scratch/disk"
    mkdir "$disk"
    truncate -s 400M "$scratch/disk.image"
    mkfs.xfs -q "$scratch/disk.image"
    mount -o loop "$scratch/disk.image" "$disk"
    chmod 755 "$disk"
    scene root "$disk/root" "$disk/root/state"
    try_shared "root, on xfs"
    scene nobody "$disk/nobody" "$disk/nobody/state"
    try_shared "a user, on xfs"
    mkdir "$disk/lower" "$disk/upper" "$disk/work" "$scratch/above"
    mount -t overlay -o "lowerdir=$disk/lower,upperdir=$disk/upper,workdir=$disk/work" none "$scratch/above"
    chmod 755 "$scratch/above" "$disk/upper"
    scene nobody "$scratch/above/nobody" "$scratch/above/nobody/state"
    as_user sh -c 'head -c 3000000 /dev/urandom >large'
    as_user "$program" run -d -- sh -c 'echo agent >>same; echo up; sleep 100'
    id=$(cat "$scratch/out")
    check "a copy is made of shared blocks where there are such" shares "$disk/upper/nobody/state/agent-machine/runs/$id/0/upper/large"
    check "which the fingerprint says" grep -aqs '"stagedBy":"reflink"' "$state/agent-machine/ledger.db" \
        "$state/agent-machine/ledger.db-wal"
    as_user "$program" stop "$id"
    as_user "$program" worktree apply "$id"
    check "and is taken as any other" test "$(tail -n 1 "$repository/same")" = agent
    try_copy "a user, in an overlay on xfs" reflink
else
    skip "a file system that shares blocks" "there is no mkfs.xfs or no loop device"
fi
unmount_all
trap 'ended_early' EXIT
finish
