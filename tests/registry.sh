# Registries: real packages in a root of their own, and each way in which one can be otherwise.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
if ! command -v dpkg-deb >/dev/null; then
    skip "the registries of a Debian system" "there is no dpkg"
    finish
fi
HOME=$scratch/home
root=$scratch/root
export HOME
unset XDG_STATE_HOME XDG_CONFIG_HOME XDG_DATA_HOME NPM_CONFIG_PREFIX
mkdir -p "$HOME" "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/etc"
touch "$root/var/lib/dpkg/status"

# shellcheck disable=SC2317 # check calls it
package() { # NAME, of what lies in $scratch/NAME
    (cd "$scratch/$1" && find . -path ./DEBIAN -prune -o -type f -print | sed 's|^\./||' | LC_ALL=C sort |
        xargs md5sum) >"$scratch/$1.md5sums"
    mkdir -p "$scratch/$1/DEBIAN"
    mv "$scratch/$1.md5sums" "$scratch/$1/DEBIAN/md5sums"
    printf 'Package: %s\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@example.com>\nDescription: x\n' \
        "$1" >"$scratch/$1/DEBIAN/control"
    dpkg-deb --build "$scratch/$1" "$scratch/$1.deb" >/dev/null &&
        dpkg --root="$root" --force-not-root --force-bad-path --force-script-chrootless \
            -i "$scratch/$1.deb" >/dev/null 2>&1
}
put() { # PATH TEXT
    mkdir -p "$(dirname "$1")"
    printf '%b' "$2" >"$1"
}
here=$scratch/viewer
put "$here/usr/bin/viewer" '#!/bin/sh\n'
put "$here/usr/share/doc/viewer/README" 'Read me.\n'
put "$here/usr/share/applications/viewer.desktop" '[Desktop Entry]\nType=Application\nName=Viewer\nExec=viewer %F\n'
put "$here/usr/share/dbus-1/services/org.example.Viewer.service" '[D-BUS Service]\nName=org.example.Viewer\nExec=/usr/bin/viewer\n'
put "$here/usr/lib/systemd/system/viewer.service" '[Service]\nExecStart=/usr/bin/viewer\n'
put "$here/usr/share/xdg-desktop-portal/portals/viewer.portal" '[portal]\nDBusName=org.example.Viewer\nInterfaces=x;\n'
put "$here/usr/lib/mozilla/native-messaging-hosts/org.example.viewer.json" \
    '{"name": "org.example.viewer", "path": "/usr/bin/viewer", "type": "stdio", "allowed_extensions": ["v@example.com"]}'
chmod +x "$here/usr/bin/viewer"
put "$scratch/plain/usr/bin/plain" 'plain\n'
check "a package is built and installed" package viewer
check "and another" package plain

DPKG_ROOT=$root
export DPKG_ROOT
# shellcheck disable=SC2317 # check calls these
verdict() { # VERDICT [REFERENCE]
    run doctor registry --json "${2:-viewer}"
    record_is "record['verificationVerdict'] == '$1'"
}
# shellcheck disable=SC2317
record_is() { # PYTHON-EXPRESSION over `record`, and `codes` of what is not present
    python3 -c 'import json, sys
record = json.load(open(sys.argv[1]))
codes = [r.get("errorCode") for r in record["registryRecords"] if r["state"] != "present"]
sys.exit(not eval(sys.argv[2]))' "$scratch/out" "$1"
}
# What is done to the root is undone behind each.
again() {
    rm -rf "$root"
    cp -a "$scratch/whole" "$root"
}
cp -a "$root" "$scratch/whole"

# ---- valid ----

check "an installed package is valid" verdict valid
check "with its receipt" record_is "record['receiptState'] == 'present'"
check "its manifest" record_is "record['manifestDigest'].startswith('sha256:')"
check "and everything that it registers" \
    record_is "len(record['extensionRecords']) == 4 and len(record['brokerRecords']) == 1"
cp "$scratch/out" "$scratch/record.json"
run contract lint "$scratch/record.json"
check "the document keeps the rules" exits 0
run doctor registry
check "all are" exits 0
check "and counted" out_has "2 components: 2 valid; 8 files"
try script -qec "'$program' doctor registry" /dev/null
check "at a terminal the progress is shown" out_matches "[0-9]+%  [0-9]+ of 8 files"
run doctor registry /usr/bin/plain
check "a file says whose it is" out_has "deb:plain: plain 1.0 all"
run doctor registry no-such-package
check "what nobody knows is said" exits 1

# ---- each record for itself ----

printf 'changed\n' >>"$root/usr/bin/viewer"
check "a changed file is invalid" verdict invalid
check "by its digest" record_is "codes == ['FILE_DIGEST_DIFFERS']"
try dpkg --root="$root" --force-not-root -V viewer
check "as dpkg finds it" out_has "/usr/bin/viewer"
again
rm "$root/usr/share/doc/viewer/README"
check "a missing file is missing" verdict missing
check "and named" record_is "codes == ['FILE_MISSING']"
put "$root/etc/dpkg/dpkg.cfg.d/small" 'path-exclude=/usr/share/doc/*\n'
check "one that dpkg leaves out is not" verdict valid
again
dpkg-divert --root="$root" --local --rename --add /usr/bin/viewer >/dev/null 2>&1
check "a file that was diverted is found where it went" test -f "$root/usr/bin/viewer.distrib"
run doctor registry --json viewer
check "and is whole" record_is "'FILE_MISSING' not in codes and 'FILE_DIGEST_DIFFERS' not in codes"
again
sed -i '/^Package: viewer$/,/^$/d' "$root/var/lib/dpkg/status"
check "a package without its receipt is missing" verdict missing
check "told from a missing file" record_is "record['receiptState'] == 'missing' and codes == ['RECEIPT_NOT_FOUND']"
check "with the command that mends it" record_is "record['remediationHint'] == 'sudo apt install --reinstall viewer'"
again
sed -i '/^Package: viewer$/,/^$/s/^Status: .*/Status: install reinstreq half-installed/' "$root/var/lib/dpkg/status"
check "one that was left half-way is invalid" verdict invalid
check "by its receipt" record_is "record['receiptState'] == 'invalid'"
again
echo nonsense >>"$root/var/lib/dpkg/info/viewer.md5sums"
check "a manifest that cannot be read is invalid" verdict invalid
check "and named" record_is "codes == ['MANIFEST_UNREADABLE']"
again
rm "$root/usr/share/dbus-1/services/org.example.Viewer.service"
sed -i '/org.example.Viewer.service/d' "$root/var/lib/dpkg/info/viewer.md5sums"
check "a portal whose service is not registered is degraded" verdict degraded
check "as a missing extension record" \
    record_is "[r['state'] for r in record['extensionRecords'] if 'errorCode' in r] == ['missing'] and codes == ['EXTENSION_NOT_REGISTERED']"
again
rm "$root/usr/bin/viewer"
sed -i '/usr.bin.viewer/d' "$root/var/lib/dpkg/info/viewer.md5sums"
check "what starts a program that is gone is degraded" verdict degraded
check "each of them" record_is "codes == ['PROGRAM_MISSING'] * 4"
again
put "$root/usr/share/applications/viewer.desktop" '<html>\n'
check "a manifest that is none is found beside its digest" verdict invalid
check "both" record_is "sorted(codes) == ['FILE_DIGEST_DIFFERS', 'MANIFEST_UNREADABLE']"
again
mkdir -p "$root/etc/systemd/system"
ln -s /dev/null "$root/etc/systemd/system/viewer.service"
check "a masked unit is held apart" verdict quarantined
check "and says so" record_is "codes == ['UNIT_MASKED']"
again
put "$root/etc/chromium/policies/managed/no.json" '{"NativeMessagingBlocklist": ["org.example.viewer"]}'
check "so is a plug-in that a policy blocks" verdict quarantined
check "with who could change it" record_is "'administers the browser' in record['remediationHint']"
again
put "$root/usr/share/applications/stray.desktop" '[Desktop Entry]\nType=Application\nName=S\nExec=stray\n'
check "what nobody installed is a component of its own" verdict degraded file:/usr/share/applications/stray.desktop
check "nobody vouches for it" record_is "record['receiptState'] == 'unknown' and codes == ['PROGRAM_MISSING']"
run doctor registry
check "all of it, for people" out_matches "^degraded +file:/usr/share/applications/stray.desktop"
check "is no" exits 1
again
put "$root/usr/share/applications/mimeinfo.cache" '[MIME Cache]\ntext/x=viewer.desktop;gone.desktop;\n'
check "a type whose program is gone" verdict degraded file:/usr/share/applications/mimeinfo.cache
check "is named" record_is "codes == ['DESKTOP_ENTRY_MISSING']"
again

# ---- MIME types ----

# shellcheck disable=SC2317 # check calls it
types() { # XML, as the package's
    put "$root/usr/share/mime/packages/viewer.xml" "<?xml version=\"1.0\"?>\n$1\n"
}
mime='<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">'
stray=file:/usr/share/mime/packages/viewer.xml
types "$mime<mime-type type=\"text/x-VIEW\"/><mime-type type=\"text/x-look\"/></mime-info>"
run doctor registry --json "$stray"
check "types that no database was made of are not looked for" exits 1
put "$root/usr/share/mime/mime.cache" ''
put "$root/usr/share/mime/text/x-view.xml" '<mime-type/>'
check "a type that the database has not" verdict degraded "$stray"
check "is missing" record_is "codes == ['TYPE_NOT_REGISTERED'] and [r['state'] for r in record['extensionRecords']] == ['missing']"
check "with the command that makes it known" record_is "record['remediationHint'].startswith('sudo update-mime-database /usr/share/mime (text/x-look')"
put "$root/usr/share/mime/text/x-look.xml" '<mime-type/>'
run doctor registry --json "$stray"
check "with all of its types a package is whole" exits 1
types "$mime<mime-type type=\"text/x-view\">"
check "XML that is cut off" verdict degraded "$stray"
check "is named" record_is "codes == ['MANIFEST_UNREADABLE'] and record['registryRecords'][0]['state'] == 'invalid'"
types '<mime-info><mime-type type="text/x-view"/></mime-info>'
check "another namespace" verdict degraded "$stray"
check "is named" record_is "codes == ['MANIFEST_INCOMPLETE']"
types "<!DOCTYPE mime-info [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;\">]>$mime&b;</mime-info>"
check "a package that declares entities" verdict degraded "$stray"
check "is not read" record_is "codes == ['MANIFEST_UNREADABLE']"
again
here=$scratch/looker
put "$here/usr/share/mime/packages/looker.xml" "<?xml version=\"1.0\"?>\n$mime<mime-type type=\"text/x-look\"/></mime-info>\n"
check "a package that brings types is installed" package looker
check "it is valid" verdict valid looker
check "with its types" record_is "'file:/usr/share/mime/packages/looker.xml' in [r['recordRef'] for r in record['extensionRecords']]"
put "$root/usr/share/mime/mime.cache" ''
check "one whose types nobody registered is degraded" verdict degraded looker
check "and says so" record_is "codes == ['TYPE_NOT_REGISTERED']"
again

# ---- what is not there at all, and what cannot be read ----

if [ "$(id -u)" -eq 0 ]; then
    chmod 600 "$root/usr/bin/plain"
    chmod 755 "$scratch"
    try runuser -u nobody -- env DPKG_ROOT="$root" HOME=/nonexistent "$program" doctor registry --json plain
    check "what only root may read is unknown to others" record_is "codes == ['FILE_UNREADABLE']"
    check "and not called broken" record_is "record['verificationVerdict'] == 'degraded'"
    again
fi
rm -rf "$root/var/lib/dpkg"
run doctor registry
check "a system without dpkg has no packages" out_matches "^[0-9]+ components?:"
again

# ---- npm ----

if command -v npm >/dev/null; then
    put "$scratch/tool/package.json" '{"name": "@example/tool", "version": "2.1.0", "bin": {"tool": "tool.js"}}'
    put "$scratch/tool/tool.js" '#!/usr/bin/env node\n'
    NPM_CONFIG_PREFIX=$scratch/npm
    export NPM_CONFIG_PREFIX
    (cd "$scratch/tool" && npm pack --silent --cache "$scratch/cache" >/dev/null 2>&1 &&
        npm install --silent --global --offline --cache "$scratch/cache" ./example-tool-2.1.0.tgz >/dev/null 2>&1)
    check "a package of npm's is valid" verdict valid npm:@example/tool
    check "with its version" record_is "record['bundleOrPackageIdentity'] == '@example/tool 2.1.0'"
    rm "$scratch/npm/bin/tool"
    check "one whose program is not linked is degraded" verdict degraded npm:@example/tool
    check "and says so" record_is "codes == ['PROGRAM_NOT_LINKED']"
    put "$scratch/npm/lib/node_modules/@example/tool/package.json" '{'
    check "one whose manifest is none is invalid" verdict invalid npm:@example/tool
    rm "$scratch/npm/lib/node_modules/@example/tool/package.json"
    check "and one without is missing" verdict missing npm:@example/tool
    unset NPM_CONFIG_PREFIX
else
    skip "packages of npm's" "there is no npm"
fi

# ---- this program's own ----

unset DPKG_ROOT
mkdir -p "$HOME/work/.git" "$HOME/work/.agent-machine"
cd "$HOME/work" || exit
run init
check "what was set up here has a receipt" verdict valid agent-machine
cp "$tree/examples/capability-contract.network-observer.example.json" .agent-machine/contract.json
check "a document that nobody trusts is held apart" verdict quarantined agent-machine
check "with the command that would let it speak" record_is "'agent-machine policy trust' in record['remediationHint']"
run policy trust
check "trusted, it is valid" verdict valid agent-machine

# ---- what its documents carry references to ----

# shellcheck disable=SC2317 # check calls it
missing() { # of the URN
    record_is "codes == ['REFERENCE_NOT_FOUND'] and [r['recordRef'] for r in record['registryRecords'] if r['state'] == 'missing'] == ['urn:srcos:model-profile:$1']"
}
# shellcheck disable=SC2317
missing_is() {
    verdict degraded agent-machine && missing "$1"
}
cp "$tree/examples/local-model-profile.llama32-1b.json" .agent-machine/
run policy trust
check "a model whose fallback is not here is degraded" verdict degraded agent-machine
check "which is named" missing llama32-3b
check "with what to do" record_is "'LocalModelProfile' in record['remediationHint'] and 'fallbackProfileRefs' in record['remediationHint']"
cp "$tree/examples/local-model-profile.llama32-3b.json" .agent-machine/
run policy trust
check "with its fallback it is valid" verdict valid agent-machine
check "and the reference is told" record_is "'urn:srcos:model-profile:llama32-3b' in [r['recordRef'] for r in record['registryRecords']]"
rm .agent-machine/local-model-profile.llama32-3b.json
run policy trust
ledger=$HOME/.local/state/agent-machine/ledger.db
mkdir "$scratch/ledger"
mv "$ledger"* "$scratch/ledger"
head -c 8192 /dev/urandom >"$ledger"
check "with a ledger that cannot be read nobody can say whether it is here" verdict degraded agent-machine
check "which is told from one that is missing" record_is "codes == ['LEDGER_UNREADABLE'] and [r['state'] for r in record['registryRecords'] if 'errorCode' in r] == ['unknown']"
check "with what to do" record_is "'agent-machine ledger verify' in record['remediationHint']"
rm "$ledger"
mv "$scratch/ledger/"* "$(dirname "$ledger")"
check "with the ledger it is missing again" missing_is llama32-3b
cp -r "$(dirname "$ledger")" "$scratch/damaged"
python3 -c 'import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as ledger:
    ledger.execute("UPDATE document SET json = ? WHERE type = ?", ("{", "AgentMachineProfile"))' "$ledger"
check "a document of it that is damaged" verdict degraded agent-machine
check "is told beside what is missing" record_is "sorted(codes) == ['LEDGER_UNREADABLE', 'REFERENCE_NOT_FOUND']"
rm -r "$(dirname "$ledger")"
mv "$scratch/damaged" "$(dirname "$ledger")"
rm .agent-machine/local-model-profile.*
run policy trust
check "without both too" verdict valid agent-machine

# ---- its tool surfaces ----

mkdir "$scratch/tools"
printf '#!/bin/sh\necho "codex 1.0"\n' >"$scratch/tools/codex"
chmod +x "$scratch/tools/codex"
search=$PATH
PATH=/usr/bin:/bin
check "a slot has a document and no program" verdict valid surface:example-agent
check "a surface whose program is not here is degraded" verdict degraded surface:codex
check "and says so" record_is "codes == ['PROGRAM_MISSING'] and 'Install codex' in record['remediationHint']"
check "whose document is there" record_is "[r['state'] for r in record['registryRecords'] if r['recordKind'] == 'package-manifest'] == ['present'] and record['manifestDigest']"
PATH=$scratch/tools:$PATH
check "with its program it is valid" verdict valid surface:codex
check "which is named" record_is "'file:$scratch/tools/codex' in [r['recordRef'] for r in record['extensionRecords']]"
check "by its name alone too" verdict valid codex
file=$(stat -c '%i' "$scratch/tools/codex")
device=$(printf '%x' "$(stat -c '%d' "$scratch/tools/codex")")
keep() { # DIGEST; as a launch keeps what it knew of the program
    mkdir -p "$HOME/.local/state/agent-machine/digests"
    printf 'tool 1 31 1 1 sha256:%s codex 1.0\n' "$1" >"$HOME/.local/state/agent-machine/digests/tool-$device-$file"
    chmod 600 "$HOME/.local/state/agent-machine/digests/tool-$device-$file"
}
keep "$(sha256sum "$scratch/tools/codex" | cut -d ' ' -f 1)"
check "one that is as it was is valid, though its times are others" verdict valid surface:codex
echo 'exit 0' >>"$scratch/tools/codex"
check "one that was changed where it lies is degraded" verdict degraded surface:codex
check "and says so, without calling it broken" record_is "codes == ['PROGRAM_CHANGED'] and record['extensionRecords'][0]['state'] == 'stale'"
run doctor registry surface:codex
check "for people too" out_matches "PROGRAM_CHANGED"
check "and is no" exits 1
chmod 711 "$scratch/tools/codex"
if [ "$(id -u)" -eq 0 ]; then
    try env PATH="$search" runuser -u nobody -- env HOME=/nonexistent PATH="$PATH" "$program" doctor registry --json surface:codex
else
    chmod 111 "$scratch/tools/codex"
    run doctor registry --json surface:codex
fi
check "a program that may be run and not read is unknown" \
    record_is "codes == ['PROGRAM_UNREADABLE'] and record['extensionRecords'][0]['state'] == 'unknown'"
check "and not called changed or broken" record_is "record['verificationVerdict'] == 'degraded'"
check "with who may read it" record_is "'See who may read it' in record['remediationHint']"
chmod 755 "$scratch/tools/codex"
run doctor registry surface:nobody
check "a surface that is not known is not found" err_matches "surface:NAME"
PATH=$search
finish
