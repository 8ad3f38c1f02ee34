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
for name in contract run mounts receipt record detach escape tier phase preflight network network_escape \
    routes worktree worktree_apply worktree_git; do
    set -- env -u AM_TEST_COLLECT AM_PROGRAM="$prefix/bin/agent-machine" AM_ESCAPE="$scratch/tree" \
        sh "$scratch/tree/tests/$name.sh"
    [ "$(id -u)" -ne 0 ] || set -- runuser -u nobody -- "$@"
    try "$@"
    grep '^FAILED' "$scratch/out" || :
    check "the installed program does what tests/$name.sh says" exits 0
done
finish
