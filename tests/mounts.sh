# Mounts of a profile: stored, found, narrowed by their patterns, refused where they cannot be kept.
# shellcheck shell=sh disable=SC2088 # the tilde is the document's
. "$(dirname "$0")/lib.sh"
export HOME="$scratch/home" XDG_STATE_HOME="$scratch/home/.local/state"
export XDG_CONFIG_HOME="$scratch/home/.config"
mkdir -p "$HOME/src/compass/lib" "$HOME/src/docs/drafts" "$HOME/src/docs/guides"
cd "$HOME/src/compass" || exit
git init -q .
echo one >a.txt
echo m >"$HOME/src/docs/a.md"
echo t >"$HOME/src/docs/b.txt"
echo d >"$HOME/src/docs/drafts/c.md"
echo g >"$HOME/src/docs/guides/g.md"

mount_document() { # NAME HOST-PATH AGENT-PATH SEMANTICS SECRETS MORE
    printf '{"id":"urn:srcos:agent-workspace-mount:%s","type":"AgentWorkspaceMount",' "$1"
    printf '"specVersion":"1.0.0","hostPath":"%s","agentPath":"%s",' "$2" "$3"
    printf '"semantics":"%s","secretsProhibited":%s,"requiresGrant":false%s}\n' "$4" "$5" "$6"
}

# ---- stored ----

run init
mount_document docs "~/src/docs" /work/docs read-only true \
    ',"includePatterns":["*.md"],"excludePatterns":["drafts/"]' >"$scratch/docs.json"
run profile mount personal "$scratch/docs.json"
check "a mount is stored with the profile that names it" exits 0
check "and shown" out_has "/work/docs, read-only, of ~/src/docs"
run profile show personal
check "the profile names it" out_has "urn:srcos:agent-workspace-mount:docs"
before=$("$program" op list | wc -l)
run profile mount personal
check "what a profile mounts can be seen" out_has docs
check "and that is no operation" test "$("$program" op list | wc -l)" -eq "$before"
run profile mount personal --json
check "as the document that it is" out_has '"includePatterns":["*.md"]'
sed 's/"read-only"/"sometimes"/' "$scratch/docs.json" >"$scratch/wrong.json"
run profile mount personal "$scratch/wrong.json"
check "a wrong one is refused" exits 65
check "with its place" err_matches 'wrong.json:[0-9]+:[0-9]+'
mount_document keys "~/.ssh" /work/keys read-only true '' >"$scratch/keys.json"
run profile mount personal "$scratch/keys.json"
check "one of a key store is refused when it is stored" exits 65
sed 's|"drafts/"|"guides/"|' "$scratch/docs.json" >"$scratch/changed.json"

# ---- seen ----

run run --json -- find /work/docs -type f
check "it is mounted at every launch, and what its patterns leave is there" exits 0
check "what is included and not excluded" out_has /work/docs/a.md
check "at every depth" out_has /work/docs/guides/g.md
check "what is not included is not there" out_lacks b.txt
check "nor what is excluded" out_lacks drafts
run run -- cat /work/docs/b.txt
check "not even by its name" exits 1
run run --dry-run --json -- true
check "the plan says the patterns" out_has '"excludePatterns":["drafts/"]'
run profile mount personal "$scratch/changed.json"
check "a mount can be changed" exits 0
run run -- find /work/docs -type f
check "and the next launch has it so" out_has drafts/c.md
check "in all" out_lacks guides

# ---- staged, with patterns ----

mkdir -p dist keep
echo old >dist/old.js
echo log >build.log
mount_document compass "~/src/compass" /work/compass staged true \
    ',"excludePatterns":["/dist/","*.log","!keep.log"]' >"$scratch/compass.json"
echo k >keep/keep.log
run profile mount personal "$scratch/compass.json"
check "the repository itself can be such a mount" exits 0
run run -- sh -c 'pwd; find . -path ./.git -prune -o -type f -print'
check "it takes the place of the repository's own" out_has /work/compass
check "where the caller stands is found in it" out_has ./a.txt
check "what is excluded is not there" out_lacks dist
check "whatever its depth" out_lacks build.log
check "what a later pattern takes back is there" out_has ./keep/keep.log
run run -- sh -c 'mkdir dist; echo new >dist/new.js; rm a.txt'
check "what is hidden can be made anew" exits 0
changed=$(sed -n 's/.*worktree status //p' "$scratch/err")
run worktree status "$changed"
check "that is a change" out_has dist/new.js
check "what was hidden was not deleted" out_lacks old.js
check "what was deleted was" out_has a.txt
check "and the host's tree did not move" test -f dist/old.js -a -f a.txt
(
    cd lib || exit
    run run -- pwd
    out_is /work/compass/lib
) && status=0 || status=1
check "a folder of the mount is where a command starts" exits 0

# ---- a command's own ----

mount_document other "~/src/other" /work/other read-only true '' >"$scratch/other.json"
mkdir -p "$HOME/src/other"
echo o >"$HOME/src/other/o"
run profile create --kind personal --name shelf
run profile mount shelf "$scratch/other.json"
run run -m other -- cat /work/other/o
check "a command may name a stored mount" out_is o
run run -m nowhere -- true
check "one that is not there is said" exits 125
check "with what stores one" err_has "profile mount"

# ---- refused ----

mount_document cache "~/.cache/compass" /work/cache cache true '' >"$scratch/cache.json"
run profile create --kind personal --name other
run profile mount other "$scratch/cache.json"
run run -p other -- true
check "a cache hides nothing" err_has mount-not-hidden
mount_document cache "~/src/cache/x" /work/cache cache false \
    ',"excludePatterns":["*.o"]' >"$scratch/cache.json"
run profile mount other "$scratch/cache.json"
run run -p other -- true
check "and follows no patterns" err_has mount-not-filtered
check "the remedy is said" err_has "leave its patterns out"
mount_document cache "~/src/cache/x" /work/cache cache false '' >"$scratch/cache.json"
run profile mount other "$scratch/cache.json"
run run -p other -- sh -c 'echo kept >/work/cache/kept'
check "a cache is made where it is not there" exits 0
run run -p other -- cat /work/cache/kept
check "and kept from run to run" out_is kept
mount_document away "$scratch/outside" /work/away read-only true '' >"$scratch/away.json"
run profile create --kind personal --name third
run profile mount third "$scratch/away.json"
check "what the profile does not allow is not stored" exits 65
check "and the rule is named" err_has machine.mount-outside-allow-list
mount_document away "~/src/away" /work/away read-only true '' >"$scratch/away.json"
run profile mount third "$scratch/away.json"
run run -p third -- true
check "a directory that is not there is said" exits 125
mkdir -p "$scratch/outside"
ln -s "$scratch/outside" "$HOME/src/away"
run run -p third -- true
check "one that a link leads elsewhere is refused" err_has mount-not-allowed
"$program" profile show third | sed 's|^      "~"$|      "~/lib"|' >"$scratch/narrow.json"
run profile edit third --from "$scratch/narrow.json"
check "a profile is held against the mounts that it names" err_has machine.mount-outside-allow-list

mount_document repository "~/src/compass" /work/compass read-only true \
    ',"repository":{"url":"https://example.org/compass.git","ref":"refs/heads/main"}' \
    >"$scratch/repository.json"
run profile create --kind personal --name fourth
run profile mount fourth "$scratch/repository.json"
run run -p fourth -- true
check "another repository than the one expected is refused" err_has mount-other-repository
git remote add origin https://example.org/compass.git
git symbolic-ref HEAD refs/heads/other
run run -p fourth -- true
check "another branch too" err_has refs/heads/other
git symbolic-ref HEAD refs/heads/main
run run -p fourth -- cat a.txt
check "the one expected is mounted" out_is one

run ledger verify
check "the ledger is whole" exits 0
finish
