# Within the guest: what the control groups of version 2 keep, as root and where they are delegated.
# shellcheck shell=sh
. "$(dirname "$0")/../lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
mkdir -p "$HOME/src/compass"
cd "$HOME/src/compass" || exit
git init -q .

groups=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
check "the groups are those of version 2 alone" test -f "$groups/cgroup.procs"
check "and this process may make some" test -w "$groups/cgroup.procs"
run doctor host --json
check "the doctor says so" out_matches '"control-groups".*v2, writable here'
run run --json -- sh -c 'cat /proc/self/cgroup'
check "a run has a namespace of them" out_is "0::/"
# shellcheck disable=SC2016 # the sandbox's own
hog='x=$(head -c 200000000 /dev/zero | tr "\0" x); echo survived'
run run --json --budget sandboxMemoryBytes=64000000 -- sh -c "(sh -c '$hog'); exit 3"
check "memory has a ceiling of all processes together" exits 124
check "which is named" err_has sandboxMemoryBytes
check "and held" out_lacks survived
run run --json --budget cpuSeconds=1 -- sh -c 'while :; do :; done & while :; do :; done'
check "processor time too, of all of them together" exits 124
check "named as well" err_has cpuSeconds
# A group with processes of its own has no controllers for those below it: only root goes around that.
if [ "$(id -u)" -eq 0 ]; then
    run run --detach -- sleep 4711
    detached=$(cat "$scratch/out")
    find /sys/fs/cgroup -path "*/agent-machine*/pids.max" -exec cat {} + >"$scratch/out"
    check "processes are counted, up to the profile's number and the one that reaps" out_is 4097
    run stop "$detached"
fi
run run --json -- sh -c 'mkdir /sys/fs/cgroup/mine || echo 1000 >/sys/fs/cgroup/pids.max'
check "nobody inside can change a group" exits 2

# ---- the same in an image, by each runtime ----

for runtime in crun runc; do
    command -v $runtime >/dev/null || continue
    run run --runtime $runtime --image "$AM_TEST_IMAGE" -- cat /proc/self/cgroup
    check "an image runs by $runtime, in a namespace of groups too" out_is "0::/"
    run run --json --runtime $runtime --budget sandboxMemoryBytes=64000000 \
        --image "$AM_TEST_IMAGE" -- sh -c "(sh -c '$hog'); exit 3"
    check "what it takes of memory has its ceiling" exits 124
    check "which is named" err_has sandboxMemoryBytes
    check "and held" out_lacks survived
    run run --runtime $runtime --image "$AM_TEST_IMAGE" -- \
        sh -c 'mkdir /sys/fs/cgroup/mine || echo 1000 >/sys/fs/cgroup/pids.max'
    check "nobody in it can change a group" exits 1
done
left=$(find /sys/fs/cgroup -type d -name "agent-machine*" | wc -l)
check "no group is left" test "$left" -eq 0
finish
