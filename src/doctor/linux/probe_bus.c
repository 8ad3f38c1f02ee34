/*
 * probe_bus: services of the session and the system, and what they keep.
 *
 * A name that somebody owns is asked for an answer (Peer.Ping, which every
 * library gives by itself). One that nobody owns and that would be started
 * when it is called counts as granted: nothing is started to find out.
 */
#include <linux/keyctl.h>
#include <sys/syscall.h>

#include "doctor/capability.h"
#include "doctor/linux/bus.h"
#include "doctor/linux/phase_look.h"

#define SYSTEMD      "org.freedesktop.systemd1"
#define BUS_NAME_MAX 255

/* --- names on a bus ------------------------------------------------------------------------- */

/* False where it is not open, with the reason. */
static bool is_open(const struct bus *bus, enum bus_kind kind, struct capability_state *ret)
{
    if (bus->state == BUS_OPEN)
        return true;
    if (bus->state == BUS_ABSENT && !bus->refused) {
        capability_set(ret, FOUND_MISSING, SOURCE_UNAVAILABLE, "there is no %s bus: %.200s",
                       bus_names[kind], bus->why);
        capability_remedy(ret, kind == BUS_SESSION
                                   ? "Start it in a login session, or under dbus-run-session."
                                   : "Install and start the system's bus: sudo apt install dbus");
    } else {
        capability_set(ret, FOUND_BROKEN, SOURCE_BROKER, "the %s bus does not answer: %.200s",
                       bus_names[kind], bus->why);
        capability_remedy(ret,
                          kind == BUS_SESSION ? "Log out and in." : "Restart the system's bus.");
    }
    return false;
}

static bool is_bus_name(const char *name)
{
    size_t len = strlen(name), dots = 0;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        dots += c == '.';
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || c == '.') ||
            (c == '.' && (i == 0 || i == len - 1 || name[i + 1] == '.')))
            return false;
    }
    return dots > 0 && len <= BUS_NAME_MAX;
}

static void ask_name(const struct bus *bus, enum bus_kind kind, const char *name,
                     struct capability_state *ret)
{
    int owned = bus_has_owner(bus, name);
    int r = owned > 0 ? bus_ping(bus, name) : owned;
    if (owned == 0 && bus_can_start(bus, name) > 0) {
        capability_set(ret, FOUND_GRANTED, SOURCE_BROKER, "it is started when it is called");
    } else if (owned == 0) {
        capability_set(ret, FOUND_MISSING, SOURCE_UNAVAILABLE, "nobody on the %s bus offers %s",
                       bus_names[kind], name);
        capability_remedy(ret,
                          "Install or start what offers it: apt-file search "
                          "dbus-1/%s/%s.service",
                          kind == BUS_SESSION ? "services" : "system-services", name);
    } else if (r == -EACCES) {
        capability_set(ret, FOUND_DENIED, SOURCE_POLICY, "the %s bus forbids calling %s",
                       bus_names[kind], name);
        snprintf(ret->rule, sizeof(ret->rule), "bus:%s/policy", bus_names[kind]);
        capability_remedy(ret,
                          "Who administers the bus can allow it: a <policy> for %s below "
                          "/etc/dbus-1/%s.d",
                          name, bus_names[kind]);
    } else if (r < 0 && r != -ENOENT) {
        capability_set(ret, FOUND_BROKEN, SOURCE_BROKER, "%s is there and does not answer: %s",
                       name, strerror(-r));
        capability_remedy(ret, "Restart the service that owns %s.", name);
    } else
        capability_set(ret, FOUND_GRANTED, SOURCE_BROKER, "it answers on the %s bus",
                       bus_names[kind]);
}

void probe_bus(const struct surroundings *around, const struct capability_row *row,
               const char *object, struct capability_state *ret)
{
    enum bus_kind kind = (enum bus_kind)row->how;
    const struct bus *bus = &observer_buses(around->observer)[kind];
    if (!is_open(bus, kind, ret))
        return;
    if (!object)
        capability_set(ret, FOUND_GRANTED, SOURCE_AMBIENT_HOST, "the %s bus answers",
                       bus_names[kind]);
    else if (!is_bus_name(object)) {
        capability_set(ret, FOUND_UNKNOWN, SOURCE_UNAVAILABLE, "it is no name of a bus");
        capability_remedy(ret,
                          "Name it as the service does, such as org.freedesktop.Notifications.");
    } else
        ask_name(bus, kind, object, ret);
}

/* A broker is reached by its socket, or by its name on either bus. */
void probe_broker(const struct surroundings *around, const struct capability_row *row,
                  const char *object, struct capability_state *ret)
{
    const struct bus *buses = observer_buses(around->observer);
    if (object && object[0] == '/') {
        probe_socket(around, row, object, ret);
        return;
    }
    if (!object || !is_bus_name(object)) {
        capability_set(ret, FOUND_UNKNOWN, SOURCE_UNAVAILABLE,
                       "nothing here says where this broker is");
        capability_remedy(ret, "Name the broker by its socket or by its name on a bus.");
        return;
    }
    enum bus_kind kind = bus_has_owner(&buses[BUS_SYSTEM], object) > 0 ? BUS_SYSTEM : BUS_SESSION;
    if (kind == BUS_SESSION && buses[BUS_SESSION].state == BUS_ABSENT &&
        buses[BUS_SYSTEM].state == BUS_OPEN)
        kind = BUS_SYSTEM;
    if (is_open(&buses[kind], kind, ret))
        ask_name(&buses[kind], kind, object, ret);
}

/* --- secrets -------------------------------------------------------------------------------- */

void probe_secrets(const struct surroundings *around, const struct capability_row *row,
                   const char *object, struct capability_state *ret)
{
    struct keyring_sight keyring;
    (void)row;
    (void)object;
    keyring_look(&observer_buses(around->observer)[BUS_SESSION], NULL, NULL, &keyring);
    snprintf(ret->object, sizeof(ret->object), "bus:" KEYRING_SERVICE);
    switch (keyring.state) {
    case KEYRING_OPEN:
        capability_set(ret, FOUND_GRANTED, SOURCE_BROKER, "%s", keyring.why);
        break;
    case KEYRING_LOCKED:
        capability_set(ret, FOUND_LOCKED, SOURCE_BROKER, "%s", keyring.why);
        capability_remedy(ret,
                          "The user unlocks it: log out and in with the password, or open %s in "
                          "the desktop's program for passwords.",
                          keyring.collection);
        break;
    case KEYRING_ABSENT:
        capability_set(ret, FOUND_MISSING, SOURCE_UNAVAILABLE, "%s", keyring.why);
        capability_remedy(ret, "Install a secret service and log in anew: sudo apt install "
                               "gnome-keyring");
        break;
    case KEYRING_UNSEEN:
        capability_set(ret, FOUND_BROKEN, SOURCE_BROKER, "%s", keyring.why);
        capability_remedy(ret, "Restart the secret service; log out and in if that does not help.");
        break;
    }
}

void probe_kernel_keyring(const struct surroundings *around, const struct capability_row *row,
                          const char *object, struct capability_state *ret)
{
    (void)around;
    (void)row;
    (void)object;
    if (syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0) >= 0)
        capability_set(ret, FOUND_GRANTED, SOURCE_KERNEL, "the user's keyring is open");
    else if (errno == ENOSYS) {
        capability_set(ret, FOUND_MISSING, SOURCE_UNAVAILABLE, "the kernel has no keyrings");
        capability_remedy(ret,
                          "Use another secret store; a filter of system calls may also say so.");
    } else if (errno == EPERM || errno == EACCES) {
        capability_set(ret, FOUND_DENIED, SOURCE_KERNEL, "the kernel's keyrings are closed to it");
        capability_remedy(ret, "A filter of system calls forbids keyctl: start it outside of that "
                               "container.");
    } else {
        capability_set(ret, FOUND_BROKEN, SOURCE_KERNEL, "the kernel's keyrings: %s",
                       strerror(errno));
        capability_remedy(ret, "Log out and in.");
    }
}

/* --- portals -------------------------------------------------------------------------------- */

void probe_portal(const struct surroundings *around, const struct capability_row *row,
                  const char *object, struct capability_state *ret)
{
    const struct bus *bus = &observer_buses(around->observer)[BUS_SESSION];
    const struct portal_row *portal = NULL;
    uint32_t version;
    (void)row;
    for (size_t i = 0; object && i < portal_rows_count; i++)
        if (strcmp(portal_rows[i].name, object) == 0)
            portal = &portal_rows[i];
    if (!portal) {
        capability_set(ret, FOUND_UNKNOWN, SOURCE_UNAVAILABLE, "there is no portal of this name");
        capability_remedy(ret, "Name the portal, as in portal.use:file-chooser.");
        return;
    }
    if (!is_open(bus, BUS_SESSION, ret))
        return;
    int owned = bus_has_owner(bus, PORTAL_SERVICE);
    int r = owned > 0 ? portal_ask(bus, portal->interface, &version) : owned;
    if (owned == 0 && bus_can_start(bus, PORTAL_SERVICE) > 0)
        capability_set(ret, FOUND_GRANTED, SOURCE_PORTAL,
                       "the portals are started when they are called");
    else if (owned == 0) {
        capability_set(ret, FOUND_MISSING, SOURCE_UNAVAILABLE, "nobody offers portals");
        capability_remedy(ret, "sudo apt install xdg-desktop-portal");
    } else if (r == 0)
        capability_set(ret, FOUND_GRANTED, SOURCE_PORTAL, "it answers, version %u", version);
    else if (r == -ENOENT) {
        capability_set(ret, FOUND_MISSING, SOURCE_UNAVAILABLE,
                       "the portals are there, and this is none of them");
        capability_remedy(ret,
                          "Install the desktop's portal backend, such as xdg-desktop-portal-gtk.");
    } else {
        capability_set(ret, FOUND_BROKEN, SOURCE_PORTAL, "it does not answer: %s", strerror(-r));
        capability_remedy(ret, "systemctl --user restart xdg-desktop-portal");
    }
}

/* --- units ---------------------------------------------------------------------------------- */

static const struct {
    const char *state;
    enum found found;
} unit_states[] = {
    { "active", FOUND_GRANTED },   { "reloading", FOUND_GRANTED }, { "activating", FOUND_PARTLY },
    { "inactive", FOUND_MISSING }, { "failed", FOUND_BROKEN },     { "deactivating", FOUND_PARTLY },
};

void probe_unit(const struct surroundings *around, const struct capability_row *row,
                const char *object, struct capability_state *ret)
{
    static const struct bus_place manager = { SYSTEMD, "/org/freedesktop/systemd1",
                                              SYSTEMD ".Manager" };
    const struct bus *bus = &observer_buses(around->observer)[BUS_SYSTEM];
    char path[BUS_PATH_MAX], loaded[32] = "", state[32] = "";
    (void)row;
    if (!object || bus_has_owner(bus, SYSTEMD) <= 0) {
        capability_set(ret, FOUND_UNKNOWN, SOURCE_UNAVAILABLE, "%s",
                       object ? "no systemd can be asked here" : "the contract names no unit");
        capability_remedy(ret, "%s",
                          object ? "Ask on a host that systemd manages."
                                 : "Name it in the contract: unit.active:NAME.service.");
        return;
    }
    int r = bus_find(bus, &manager, "LoadUnit", object, path);
    const struct bus_place unit = { SYSTEMD, path, SYSTEMD ".Unit" };
    if (r == 0)
        r = bus_get_text(bus, &unit, "LoadState", loaded, sizeof(loaded));
    if (r == 0)
        r = bus_get_text(bus, &unit, "ActiveState", state, sizeof(state));
    if (r == -ENOENT || strcmp(loaded, "not-found") == 0) {
        capability_set(ret, FOUND_MISSING, SOURCE_UNAVAILABLE, "there is no such unit");
        capability_remedy(ret, "Install the package that brings %s.", object);
        return;
    }
    capability_set(ret, FOUND_BROKEN, SOURCE_BROKER, "systemd does not say: %s",
                   r < 0 ? strerror(-r) : state);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(unit_states); i++)
        if (strcmp(unit_states[i].state, state) == 0)
            capability_set(ret, unit_states[i].found,
                           unit_states[i].found == FOUND_MISSING ? SOURCE_UNAVAILABLE
                                                                 : SOURCE_BROKER,
                           "systemd says: %s", state);
    if (ret->found == FOUND_MISSING)
        capability_remedy(ret, "sudo systemctl start %s", object);
    else if (ret->found != FOUND_GRANTED)
        capability_remedy(ret, "See why: systemctl status %s", object);
}
