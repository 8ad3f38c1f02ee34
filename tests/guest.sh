# Another kernel, as most hosts have it and this one may not: control groups of version 2 alone. It is
# one of Debian's, emulated, with this host's files as its root, and what it writes kept in memory.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
guest=$tree/.deps/guest
if ! command -v qemu-system-x86_64 >/dev/null || [ ! -d "$guest" ]; then
    skip "another kernel" "there is no qemu-system-x86_64, or no kernel in .deps/guest"
    finish
fi

# ---- what it starts with ----

release=$(basename "$guest"/package/lib/modules/*)
first=$scratch/first
mkdir -p "$first/bin" "$first/modules" "$first/proc" "$first/sys" "$first/dev"
cp "$(command -v busybox)" "$first/bin/"
cp "$tree/tests/guest/init" "$first/init"
chmod +x "$first/init"
printf '%s\n' "$guest" >"$first/place"
for module in virtio_pci 9pnet_virtio 9p overlay; do
    /sbin/modprobe -d "$guest/package" -S "$release" --show-depends "$module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$scratch/modules"
while read -r module; do
    cp "$module" "$first/modules/"
    basename "$module"
done <"$scratch/modules" >"$first/modules/order"
mkdir -p "$scratch/layer/bin"
cp "$(command -v busybox)" "$scratch/layer/bin/"
for name in sh cat head tr mkdir; do
    ln -s busybox "$scratch/layer/bin/$name"
done
pin=$(python3 -B "$tree/tests/image/make.py" "$scratch/image" latest "$scratch/layer")
cat >"$first/begin" <<END
export PATH=/usr/sbin:/usr/bin:/sbin:/bin AM_PROGRAM=$program
exec >/dev/ttyS1 2>&1
modprobe loop && modprobe ext4 && truncate -s 1G /dev/shm/disk && mkfs.ext4 -q /dev/shm/disk &&
    mount -o loop /dev/shm/disk /mnt
chmod 1777 /mnt
cp -r $scratch/image /mnt/image && chmod -R a+rX /mnt/image
export TMPDIR=/mnt AM_TEST_IMAGE=oci:/mnt/image@$pin
echo "as root"
sh $tree/tests/guest/groups.sh
group=/sys/fs/cgroup/delegated
mkdir \$group && chown nobody \$group \$group/cgroup.procs \$group/cgroup.subtree_control \\
    \$group/cgroup.threads
mkdir \$group/own && chown -R nobody \$group/own
echo \$\$ >\$group/own/cgroup.procs
echo "as nobody, to whom a group is delegated"
runuser -u nobody -- sh $tree/tests/guest/groups.sh
busybox poweroff -f
END
(cd "$first" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$scratch/first.gz"

# ---- its life, and what it says ----

try timeout 280 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 4G -smp 2 -nic none \
    -display none -no-reboot -kernel "$guest/package/boot/vmlinuz-$release" \
    -initrd "$scratch/first.gz" -append "console=ttyS0 panic=-1" \
    -virtfs "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap" \
    -serial "file:$scratch/console" -serial "file:$scratch/said"
tr -d '\r' <"$scratch/said" >"$scratch/out"
[ "$status" -eq 0 ] || tail -5 "$scratch/console"
grep -E '^(FAILED|  )' "$scratch/out" || :
check "the guest has come to its end" exits 0
check "as root: all that its test says" \
    sh -c "sed '/^as nobody/,\$d' '$scratch/out' | grep -q ', 0 failed, 0 skipped\$'"
check "as an ordinary user with a delegated group: the same" \
    sh -c "sed '1,/^as nobody/d' '$scratch/out' | grep -q ', 0 failed, 0 skipped\$'"
finish
