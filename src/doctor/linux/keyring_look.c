/*
 * keyring_look: who keeps the session's secrets, and who answers for portals.
 *
 * Theory of operation. The secret service has collections, one of which is
 * the default. Whether that one is locked is what counts: a collection that
 * lives only as long as the session is never locked. Where no service runs,
 * none is started by being asked.
 */
#include "doctor/linux/phase_look.h"

#define COLLECTION_INTERFACE "org.freedesktop.Secret.Collection"

static const struct bus_place service = { KEYRING_SERVICE, "/org/freedesktop/secrets",
                                          "org.freedesktop.Secret.Service" };
static const struct bus_place portal = { PORTAL_SERVICE, "/org/freedesktop/portal/desktop", NULL };

const struct portal_row portal_rows[] = {
    { "account", "org.freedesktop.portal.Account" },
    { "background", "org.freedesktop.portal.Background" },
    { "camera", "org.freedesktop.portal.Camera" },
    { "clipboard", "org.freedesktop.portal.Clipboard" },
    { "email", "org.freedesktop.portal.Email" },
    { "file-chooser", "org.freedesktop.portal.FileChooser" },
    { "global-shortcuts", "org.freedesktop.portal.GlobalShortcuts" },
    { "inhibit", "org.freedesktop.portal.Inhibit" },
    { "location", "org.freedesktop.portal.Location" },
    { "network-monitor", "org.freedesktop.portal.NetworkMonitor" },
    { "notification", "org.freedesktop.portal.Notification" },
    { "open-link", "org.freedesktop.portal.OpenURI" },
    { "print", "org.freedesktop.portal.Print" },
    { "proxy-resolver", "org.freedesktop.portal.ProxyResolver" },
    { "remote-desktop", "org.freedesktop.portal.RemoteDesktop" },
    { "screen-cast", "org.freedesktop.portal.ScreenCast" },
    { "screenshot", "org.freedesktop.portal.Screenshot" },
    { "secret", "org.freedesktop.portal.Secret" },
    { "settings", "org.freedesktop.portal.Settings" },
    { "trash", "org.freedesktop.portal.Trash" },
};
const size_t portal_rows_count = ARRAY_LEN(portal_rows);

struct keyring_walk {
    const struct bus *bus;
    const char *alias; /* path of the default collection */
    keyring_visit *visit;
    void *context;
    struct keyring_sight *sight;
    int error;
};

static void take_collection(void *context, const char *path)
{
    struct keyring_walk *walk = context;
    const struct bus_place place = { KEYRING_SERVICE, path, COLLECTION_INTERFACE };
    const char *slash = strrchr(path, '/');
    bool locked = true;
    int r = bus_get_bool(walk->bus, &place, "Locked", &locked);
    if (r < 0) {
        walk->error = r;
        return;
    }
    if (!locked && walk->visit && slash)
        walk->visit(walk->context, slash + 1);
    if (strcmp(path, walk->alias) == 0 && slash) {
        walk->sight->state = locked ? KEYRING_LOCKED : KEYRING_OPEN;
        snprintf(walk->sight->collection, sizeof(walk->sight->collection), "%s", slash + 1);
        snprintf(walk->sight->why, sizeof(walk->sight->why), "the collection %s is %s",
                 walk->sight->collection, locked ? "locked" : "open");
    }
}

static void look_at_collections(const struct bus *session, keyring_visit *visit, void *context,
                                struct keyring_sight *sight)
{
    char alias[BUS_PATH_MAX] = "";
    struct keyring_walk walk = { session, alias, visit, context, sight, 0 };
    int r = bus_find(session, &service, "ReadAlias", "default", alias);
    snprintf(sight->why, sizeof(sight->why), "there is no default collection yet");
    sight->state = KEYRING_OPEN;
    if (r >= 0)
        r = bus_each_path(session, &service, "Collections", take_collection, &walk);
    if (r >= 0)
        r = walk.error;
    if (r < 0) {
        sight->state = KEYRING_UNSEEN;
        snprintf(sight->why, sizeof(sight->why), "it does not answer: %s", strerror(-r));
    }
}

void keyring_look(const struct bus *session, keyring_visit *visit, void *context,
                  struct keyring_sight *ret)
{
    *ret = (struct keyring_sight){ .state = KEYRING_ABSENT };
    if (session->state == BUS_SILENT)
        ret->state = KEYRING_UNSEEN;
    if (session->state != BUS_OPEN) {
        snprintf(ret->why, sizeof(ret->why), "there is no session bus: %.200s", session->why);
        return;
    }
    int owned = bus_has_owner(session, KEYRING_SERVICE);
    if (owned > 0)
        look_at_collections(session, visit, context, ret);
    else if (owned == 0 && bus_can_start(session, KEYRING_SERVICE) > 0)
        snprintf(ret->why, sizeof(ret->why), "a secret service is installed and does not run");
    else if (owned == 0)
        snprintf(ret->why, sizeof(ret->why), "nobody offers a secret service");
    else {
        ret->state = KEYRING_UNSEEN;
        snprintf(ret->why, sizeof(ret->why), "the session bus does not answer: %s",
                 strerror(-owned));
    }
}

int portal_ask(const struct bus *session, const char *interface, uint32_t *ret_version)
{
    struct bus_place place = portal;
    place.interface = interface;
    return bus_get_number(session, &place, "version", ret_version);
}
