# Every observer of a preflight that needs more than files and a session bus: the kernel's gates, the
# system bus with its units, portals, displays and devices, each in the states that it can be in.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/session_lib.sh"
. "$(dirname "$0")/preflight_lib.sh"
session_needs "what a contract asks for" || finish
session_begin
trap 'session_end; ended_early' EXIT
chmod 755 "$scratch"
cd "$scratch" || exit

# As `found`, in what a command before the program makes of the world.
# shellcheck disable=SC2317 # check calls it
found_in() { # WORD DECISION SOURCE COMMAND…
    word=$1 decision=$2 source=$3
    shift 3
    try "$@" "$program" doctor preflight --json "$scratch/contract.json"
    state_is "states[0]['decision'] == '$decision' and states[0]['grantSource'] == '$source'" || return 1
    try "$@" "$program" doctor preflight "$scratch/contract.json"
    out_matches "(^  .*| +)$word( |$)"
}

# ---- what a filter of system calls closes ----

cat >filter.py <<'PYTHON'
import ctypes, os, platform, struct, sys
# keyctl and sockets of netlink are refused, as containers refuse them; by another errno where asked.
keyctl, socket = {"x86_64": (250, 41), "aarch64": (219, 198)}[platform.machine()]
error = {"eperm": 1, "enosys": 38}[sys.argv[1]]
load, equal, end, allow, refuse = 0x20, 0x15, 0x06, 0x7FFF0000, 0x50000
program = [(load, 0, 0, 0), (equal, 0, 1, keyctl), (end, 0, 0, refuse | error),
           (equal, 0, 3, socket), (load, 0, 0, 16), (equal, 0, 1, 16), (end, 0, 0, refuse | 13),
           (end, 0, 0, allow)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
header = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
if libc.prctl(22, 2, header, 0, 0):
    sys.exit("no filter")
os.execv(sys.argv[2], sys.argv[2:])
PYTHON
asks netlink.read
check "netlink is open" found granted granted kernel
check "or closed by a filter" found_in denied denied kernel python3 filter.py eperm
asks keyring.kernel
check "a filter that forbids keyctl denies the kernel's keyrings" \
    found_in denied denied kernel python3 filter.py eperm
check "one that says that there is none makes them missing" \
    found_in missing unavailable unavailable python3 filter.py enosys
if [ "$(python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall({"x86_64": 250}.get(__import__("platform").machine(), 219), 0, -4, 0) >= 0)')" = True ]; then
    check "without one they are open" found granted granted kernel
fi
asks radio.read
if [ -e /sys/class/ieee80211/phy0 ]; then
    check "a radio is granted" found granted granted kernel
else
    check "a host without a radio has none" found missing unavailable unavailable
fi

# ---- namespaces and control groups ----

asks userns.create
check "a user namespace can be made" found granted granted kernel
cat >full.sh <<'SH'
echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"
SH
check "or not, where the kernel allows none" \
    found_in denied denied kernel unshare --user --map-root-user sh full.sh
asks cgroup.delegate
cat >groups.sh <<'SH'
mount -t tmpfs none /sys/fs/cgroup && touch /sys/fs/cgroup/cgroup.controllers &&
    own=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup) && mkdir -p "$own" || exit
[ "$1" = mine ] || chmod 555 "$own"
shift
exec "$@"
SH
rooted='unshare --mount'
[ "$(id -u)" -eq 0 ] || rooted='unshare --mount --user --map-root-user'
# A tree that is composed: the machines that run this have none that may be divided.
# shellcheck disable=SC2086
if grep -q '^0::' /proc/self/cgroup; then
    check "a group of one's own may be divided" found_in granted granted kernel $rooted sh groups.sh mine
    [ "$(id -u)" -ne 0 ] ||
        check "another user's may not" found_in denied denied kernel \
            $rooted sh groups.sh others runuser -u nobody -- env HOME="$scratch/nobody"
fi
cat >nothing.sh <<'SH'
mount -t tmpfs none /sys/fs/cgroup && exec "$@"
SH
# shellcheck disable=SC2086
check "without a tree there is nothing to divide" \
    found_in missing unavailable unavailable $rooted sh nothing.sh

# ---- devices, displays ----

asks vm.run
# shellcheck disable=SC2086
check "a device that is not there is missing" found_in missing unavailable unavailable \
    $rooted sh -c 'mount -t tmpfs none /dev && : >/dev/null && exec "$@"' sh
for capability in gpu.render camera.use; do
    asks $capability
    run doctor preflight --json "$scratch/contract.json"
    check "$capability is looked at by its device" state_is "states[0]['objectRef'].startswith('/dev/')"
done
asks pasteboard.write
DISPLAY=:7431
export DISPLAY
check "a display that nobody shows is missing" found missing unavailable unavailable
unset DISPLAY
WAYLAND_DISPLAY=$XDG_RUNTIME_DIR/wayland-0
export WAYLAND_DISPLAY
python3 -c 'import os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
open(sys.argv[2], "w").close()
while server.accept():
    pass' "$WAYLAND_DISPLAY" "$scratch/shown" &
started="$started $!"
timeout 20 sh -c "until [ -e '$scratch/shown' ]; do :; done"
check "one that answers gives its clipboard to every program" found granted granted ambient-host
unset WAYLAND_DISPLAY

# ---- the system bus, and units ----

asks bus.system:org.freedesktop.systemd1
check "without a system bus its services are missing" found missing unavailable unavailable
asks unit.active:ssh.service
check "and nobody can say how a unit is" found unknown unknown unavailable
start_bus "$scratch/system-bus"
start_service_manager running
asks bus.system:org.freedesktop.systemd1
check "a service of the system that answers is granted" found granted granted broker
manager() { # METHOD ARGUMENT…
    method=$1
    shift
    on_system_bus call -d org.freedesktop.systemd1 -o /org/freedesktop/systemd1 \
        -m "org.freedesktop.DBus.Mock.$method" "$@"
}
manager AddMethod org.freedesktop.systemd1.Manager LoadUnit s o \
    'ret = "/org/freedesktop/systemd1/unit/" + args[0].split(".")[0]'
for unit in active inactive failed activating not-found; do
    loaded=loaded
    [ $unit != not-found ] || loaded=not-found
    manager AddObject "/org/freedesktop/systemd1/unit/$(echo $unit | tr - _)" \
        org.freedesktop.systemd1.Unit "{'LoadState': <'$loaded'>, 'ActiveState': <'$unit'>}" '@a(ssss) []'
done
# shellcheck disable=SC2317
unit_is() { # UNIT WORD DECISION SOURCE
    asks "unit.active:$1.service"
    found "$2" "$3" "$4"
}
check "a unit that is active is granted" unit_is active granted granted broker
check "one that starts is partly there" unit_is activating partly degraded broker
check "one that failed is broken" unit_is failed broken unavailable broker
check "one that is off is missing" unit_is inactive missing unavailable unavailable
check "so is one that nobody has installed" unit_is not_found missing unavailable unavailable

# ---- portals ----

start_session_bus
asks portal.use:file-chooser
check "without portals one is missing" found missing unavailable unavailable
cat >portals.py <<'PYTHON'
# Portals as xdg-desktop-portal answers: a version for each that there is, InvalidArgs for others.
import dbus, dbus.mainloop.glib, dbus.service
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
class Portals(dbus.service.Object):
    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="ss", out_signature="v")
    def Get(self, interface, name):
        if interface != "org.freedesktop.portal.FileChooser":
            raise dbus.DBusException("No such interface", name="org.freedesktop.DBus.Error.InvalidArgs")
        return dbus.UInt32(3)
portals = Portals(bus, "/org/freedesktop/portal/desktop")
name = dbus.service.BusName("org.freedesktop.portal.Desktop", bus)
GLib.MainLoop().run()
PYTHON
DBUS_SESSION_BUS_ADDRESS=unix:path=$XDG_RUNTIME_DIR/bus /usr/bin/python3 -B portals.py &
portals=$!
started="$started $portals"
on_session_bus wait --timeout 20 org.freedesktop.portal.Desktop
check "one that answers is granted" found granted granted portal
asks portal.use:camera
check "one that is none of them is missing" found missing unavailable unavailable
asks portal.use:no-such-thing
check "one that there is not is unknown" found unknown unknown unavailable
kill -STOP "$portals"
asks portal.use:file-chooser
check "portals that do not answer are broken" found broken unavailable portal
kill -CONT "$portals"
session_end
finish
