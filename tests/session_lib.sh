# session_lib: the buses of a test's own, and who answers on them; sourced behind lib.sh.
#
# The bus daemon and the keyring are the real ones. A session manager and a service manager take a
# whole system to run: those of the system bus are stand-ins, of python3-dbusmock, that answer with
# what a test tells them. Everything that is started here is ended by session_end.
# shellcheck shell=sh disable=SC2034,SC2154
started='' # process ids

session_needs() { # NAME: whether what these functions start is there
    for tool in dbus-daemon gdbus gnome-keyring-daemon; do
        command -v $tool >/dev/null || lacking="${lacking:-} $tool"
    done
    /usr/bin/python3 -c 'import dbusmock' 2>/dev/null || lacking="${lacking:-} python3-dbusmock"
    [ -z "${lacking:-}" ] || skip "$1" "there is no$lacking"
    [ -z "${lacking:-}" ]
}

# A home, a runtime folder and a configuration of the test's own, and no bus.
session_begin() {
    HOME=$scratch/home XDG_RUNTIME_DIR=$scratch/run
    DBUS_SYSTEM_BUS_ADDRESS=unix:path=$scratch/system-bus
    export HOME XDG_RUNTIME_DIR DBUS_SYSTEM_BUS_ADDRESS
    unset DBUS_SESSION_BUS_ADDRESS XDG_SESSION_ID XDG_STATE_HOME XDG_CONFIG_HOME XDG_DATA_HOME
    unset GNOME_KEYRING_CONTROL WAYLAND_DISPLAY DISPLAY
    mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
    chmod 700 "$XDG_RUNTIME_DIR"
}
session_end() {
    for process in $started; do
        kill "$process" 2>/dev/null
    done
    started=''
}

start_bus() { # PATH
    started="$started $(dbus-daemon --session --fork --print-pid --address="unix:path=$1")"
}
start_session_bus() {
    start_bus "$XDG_RUNTIME_DIR/bus"
    session_bus_pid=${started##* }
}

start_keyring() { # PASSWORD: with a collection that is open
    printf %s "$1" | DBUS_SESSION_BUS_ADDRESS=unix:path=$XDG_RUNTIME_DIR/bus \
        gnome-keyring-daemon --foreground --unlock --components=secrets >/dev/null 2>&1 &
    keyring_pid=$!
    started="$started $keyring_pid"
    on_session_bus wait --timeout 20 org.freedesktop.secrets
}
on_session_bus() { # gdbus's VERB ARGUMENT…
    verb=$1
    shift
    DBUS_SESSION_BUS_ADDRESS=unix:path=$XDG_RUNTIME_DIR/bus gdbus "$verb" --session "$@" >/dev/null
}
lock_keyring() {
    on_session_bus call -d org.freedesktop.secrets -o /org/freedesktop/secrets \
        -m org.freedesktop.Secret.Service.Lock "[objectpath '/org/freedesktop/secrets/collection/login']"
}
unlock_keyring() { # PASSWORD
    DBUS_SESSION_BUS_ADDRESS=unix:path=$XDG_RUNTIME_DIR/bus /usr/bin/python3 -B - "$1" <<'PYTHON'
import sys, dbus
service = dbus.SessionBus().get_object("org.freedesktop.secrets", "/org/freedesktop/secrets")
_, session = service.OpenSession("plain", dbus.String("", variant_level=1),
                                 dbus_interface="org.freedesktop.Secret.Service")
secret = dbus.Struct((session, dbus.ByteArray(b""), dbus.ByteArray(sys.argv[1].encode()), "text/plain"),
                     signature="oayays")
service.UnlockWithMasterPassword("/org/freedesktop/secrets/collection/login", secret,
    dbus_interface="org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface")
PYTHON
}

on_system_bus() { # gdbus's VERB ARGUMENT…
    verb=$1
    shift
    gdbus "$verb" --address "$DBUS_SYSTEM_BUS_ADDRESS" "$@" >/dev/null
}
start_stand_in() { # NAME dbusmock's ARGUMENT…
    name=$1
    shift
    /usr/bin/python3 -B -m dbusmock --system "$@" >/dev/null 2>&1 &
    started="$started $!"
    DBUS_SESSION_BUS_ADDRESS=$DBUS_SYSTEM_BUS_ADDRESS gdbus wait --session --timeout 20 "$name"
}
start_session_manager() {
    start_stand_in org.freedesktop.login1 --template logind
}
tell_session_manager() { # PATH METHOD ARGUMENT…
    path=$1 method=$2
    shift 2
    on_system_bus call -d org.freedesktop.login1 -o "/org/freedesktop/login1$path" \
        -m "org.freedesktop.DBus.Mock.$method" "$@"
}
start_service_manager() { # STATE
    start_stand_in org.freedesktop.systemd1 org.freedesktop.systemd1 /org/freedesktop/systemd1 \
        org.freedesktop.systemd1.Manager
    on_system_bus call -d org.freedesktop.systemd1 -o /org/freedesktop/systemd1 \
        -m org.freedesktop.DBus.Mock.AddProperty org.freedesktop.systemd1.Manager SystemState "<'$1'>"
}
system_is() { # STATE, with the signal that systemd sends
    on_system_bus call -d org.freedesktop.systemd1 -o /org/freedesktop/systemd1 \
        -m org.freedesktop.DBus.Mock.UpdateProperties org.freedesktop.systemd1.Manager "{'SystemState': <'$1'>}"
}
