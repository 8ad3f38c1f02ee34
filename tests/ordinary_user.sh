# The installed program, as an ordinary user: what these tests say holds there too.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"

try env DESTDIR="$scratch/installed" meson install -C "$(dirname "$program")" --no-rebuild
prefix=$(sed -n 's|^Installing agent-machine to \(.*\)/bin$|\1|p' "$scratch/out")
check "it installs" test -x "$prefix/bin/agent-machine"
check "the manual page is installed" test -s "$prefix/share/man/man1/agent-machine.1"
for file in bash-completion/completions/agent-machine zsh/site-functions/_agent-machine \
    fish/vendor_completions.d/agent-machine.fish; do
    check "the completion ${file%%/*} is installed" test -s "$prefix/share/$file"
done
check "the schemas are installed" test -s "$prefix/share/agent-machine/schemas/Delegation.json"

# A copy of what the test reads, for one who may not look into this tree.
mkdir "$scratch/tree"
cp -r "$tree/tests" "$tree/schemas" "$tree/examples" "$tree/docs" \
    "$(dirname "$program")"/escape-attempts "$(dirname "$program")"/escape-whoami "$scratch/tree/"
chmod -R a+rX "$scratch"
# One with a shell of its own, which sshd gives to who logs in.
user=
remove_user() {
    [ -z "$user" ] || userdel "$user"
}
trap 'remove_user; ended_early' EXIT
if [ "$(id -u)" -eq 0 ]; then
    user=am-test-$$
    useradd --system --no-create-home --home-dir "$scratch" --shell /bin/sh "$user"
fi
for name in \
    clients \
    container \
    contract \
    detach \
    diagnostics \
    escape \
    escape_container \
    mounts \
    nettruth \
    network \
    network_escape \
    phase \
    preflight \
    proxies \
    receipt \
    record \
    routes \
    run \
    tier \
    worktree \
    worktree_apply \
    worktree_git \
    worktree_hostile \
    worktree_keep; do
    set -- env -u AM_TEST_COLLECT AM_PROGRAM="$prefix/bin/agent-machine" AM_ESCAPE="$scratch/tree" \
        sh "$scratch/tree/tests/$name.sh"
    [ -z "$user" ] || set -- runuser -u "$user" -- "$@"
    try "$@"
    grep '^FAILED' "$scratch/out" || :
    check "the installed program does what tests/$name.sh says" exits 0
done
remove_user
finish
