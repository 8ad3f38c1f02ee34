/*
 * bus: see the header.
 *
 * Theory of operation. A connection is made by hand and waited for, because
 * the library's own limit for a bus that does not say a word is long. A
 * session's address comes from the environment; without one it is the usual
 * socket of this user's runtime folder.
 *
 * Limits. Addresses in the environment are the user's own; a path that would
 * mean something else in an address is refused. Lists are cut at BUS_ITEMS_MAX.
 */
#include "doctor/linux/bus.h"

#include <systemd/sd-bus.h>

#include "base/clock.h"
#include "base/lazy.h"

#define BUS_FUNCTIONS(X)                                                                           \
    X(sd_bus_new)                                                                                  \
    X(sd_bus_set_address)                                                                          \
    X(sd_bus_set_bus_client)                                                                       \
    X(sd_bus_set_method_call_timeout)                                                              \
    X(sd_bus_start)                                                                                \
    X(sd_bus_is_ready)                                                                             \
    X(sd_bus_close_unref)                                                                          \
    X(sd_bus_process)                                                                              \
    X(sd_bus_wait)                                                                                 \
    X(sd_bus_get_fd)                                                                               \
    X(sd_bus_get_events)                                                                           \
    X(sd_bus_add_match)                                                                            \
    X(sd_bus_call_method)                                                                          \
    X(sd_bus_call_async)                                                                           \
    X(sd_bus_message_new_method_call)                                                              \
    X(sd_bus_get_property)                                                                         \
    X(sd_bus_get_property_string)                                                                  \
    X(sd_bus_get_property_trivial)                                                                 \
    X(sd_bus_message_read)                                                                         \
    X(sd_bus_message_enter_container)                                                              \
    X(sd_bus_message_unref)                                                                        \
    X(sd_bus_error_free)                                                                           \
    X(sd_bus_error_has_name)
LAZY_LIBRARY(sd, "libsystemd.so.0", BUS_FUNCTIONS)

#define BUS_ITSELF  "org.freedesktop.DBus"
#define BUS_ITS_WAY "/org/freedesktop/DBus"

const char *const bus_names[BUS_KIND_COUNT] = {
    [BUS_SYSTEM] = "system",
    [BUS_SESSION] = "session",
};

/* --- the connection ------------------------------------------------------------------------- */

static bool is_plain_path(const char *path)
{
    return path && path[0] == '/' && !strpbrk(path, ",;%=");
}

static void find_address(enum bus_kind kind, struct bus *bus)
{
    static const char *const variables[BUS_KIND_COUNT] = {
        [BUS_SYSTEM] = "DBUS_SYSTEM_BUS_ADDRESS",
        [BUS_SESSION] = "DBUS_SESSION_BUS_ADDRESS",
    };
    const char *named = getenv(variables[kind]), *folder = getenv("XDG_RUNTIME_DIR");
    int len = 0;
    bus->is_named = named && named[0];
    if (bus->is_named)
        len = snprintf(bus->address, sizeof(bus->address), "%s", named);
    else if (kind == BUS_SYSTEM)
        len = snprintf(bus->address, sizeof(bus->address), "unix:path=/run/dbus/system_bus_socket");
    else if (is_plain_path(folder))
        len = snprintf(bus->address, sizeof(bus->address), "unix:path=%s/bus", folder);
    else
        len = snprintf(bus->address, sizeof(bus->address), "unix:path=/run/user/%u/bus",
                       (unsigned)geteuid());
    if (len < 0 || (size_t)len >= sizeof(bus->address))
        bus->address[0] = '\0';
}

struct str bus_socket(const struct bus *bus)
{
    struct str prefix = STR("unix:path="), path = str_from(bus->address);
    if (!str_starts(path, prefix))
        return STR("");
    path = str_from_offset(path, prefix.len);
    path.len = str_index(path, ',', 0);
    return path;
}

static void fail(struct bus *bus, enum bus_state state, int error)
{
    bus->state = state;
    bus->refused = error == -ECONNREFUSED;
    snprintf(bus->why, sizeof(bus->why), "%s",
             bus->refused ? "there is a socket, and nobody listens" : strerror(-error));
    if (bus->connection)
        sd.sd_bus_close_unref(bus->connection);
    bus->connection = NULL;
}

/* Until it has said hello, or the time is over. */
static int wait_until_ready(sd_bus *connection)
{
    int64_t end_ms = clock_passed_ms() + (int64_t)(BUS_WAIT_US / 1000);
    for (;;) {
        int r = sd.sd_bus_is_ready(connection);
        if (r != 0)
            return r < 0 ? r : 0;
        int64_t left_ms = end_ms - clock_passed_ms();
        if (left_ms <= 0)
            return -ETIMEDOUT;
        r = sd.sd_bus_process(connection, NULL);
        if (r == 0)
            r = sd.sd_bus_wait(connection, (uint64_t)left_ms * 1000);
        if (r < 0)
            return r;
    }
}

void bus_open(enum bus_kind kind, struct bus *ret)
{
    struct err err = { 0 };
    *ret = (struct bus){ .state = BUS_ABSENT };
    find_address(kind, ret);
    if (!ret->address[0]) {
        fail(ret, BUS_ABSENT, -ENAMETOOLONG);
        return;
    }
    if (lazy_load(&sd_library, &err) < 0) {
        snprintf(ret->why, sizeof(ret->why), "%.*s", (int)sizeof(ret->why) - 1, err.cause);
        return;
    }
    int r = sd.sd_bus_new(&ret->connection);
    if (r >= 0)
        r = sd.sd_bus_set_address(ret->connection, ret->address);
    if (r >= 0)
        r = sd.sd_bus_set_bus_client(ret->connection, 1);
    if (r >= 0)
        r = sd.sd_bus_set_method_call_timeout(ret->connection, BUS_WAIT_US);
    if (r >= 0)
        r = sd.sd_bus_start(ret->connection);
    if (r < 0) {
        fail(ret, r == -ENOENT || r == -ECONNREFUSED ? BUS_ABSENT : BUS_SILENT, r);
        return;
    }
    r = wait_until_ready(ret->connection);
    if (r < 0)
        fail(ret, BUS_SILENT, r);
    else
        ret->state = BUS_OPEN;
}

void bus_close(struct bus *bus)
{
    if (bus->connection)
        sd.sd_bus_close_unref(bus->connection);
    *bus = (struct bus){ .state = BUS_ABSENT };
}

/* --- questions ------------------------------------------------------------------------------ */

/* What a refusal means; the error is freed. */
static int error_of(int r, sd_bus_error *error)
{
    static const char *const missing[] = {
        "org.freedesktop.DBus.Error.UnknownObject",   "org.freedesktop.DBus.Error.UnknownInterface",
        "org.freedesktop.DBus.Error.UnknownProperty", "org.freedesktop.DBus.Error.UnknownMethod",
        "org.freedesktop.DBus.Error.ServiceUnknown",  "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.InvalidArgs",     "org.freedesktop.systemd1.NoSuchUnit",
    };
    for (size_t i = 0; r < 0 && i < ARRAY_LEN(missing); i++)
        if (sd.sd_bus_error_has_name(error, missing[i]))
            r = -ENOENT;
    if (r < 0 && sd.sd_bus_error_has_name(error, "org.freedesktop.DBus.Error.AccessDenied"))
        r = -EACCES;
    sd.sd_bus_error_free(error);
    return r < 0 ? r : 0;
}

/* A signal, or an answer that comes late. */
static int on_answer(sd_bus_message *answer, void *context, sd_bus_error *ret_error)
{
    (void)answer;
    (void)ret_error;
    *(bool *)context = true;
    return 0;
}

/* As error_of; whoever was too late is asked once more, for as long as it takes. */
static int end_of(const struct bus *bus, const char *service, int r, sd_bus_error *error)
{
    sd_bus_message *message = NULL;
    r = error_of(r, error);
    if (r != -ETIMEDOUT || !bus->heard)
        return r;
    int asked = sd.sd_bus_message_new_method_call(bus->connection, &message, service, "/",
                                                  "org.freedesktop.DBus.Peer", "Ping");
    if (asked >= 0)
        (void)sd.sd_bus_call_async(bus->connection, NULL, message, on_answer, bus->heard,
                                   UINT64_MAX);
    sd.sd_bus_message_unref(message);
    return r;
}

int bus_notify(const struct bus *bus, const char *summary, const char *body)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    if (bus->state != BUS_OPEN)
        return -ENOENT;
    int r = sd.sd_bus_call_method(bus->connection, "org.freedesktop.Notifications",
                                  "/org/freedesktop/Notifications", "org.freedesktop.Notifications",
                                  "Notify", &error, NULL, "susssasa{sv}i", "agent-machine", 0u, "",
                                  summary, body, 0, 0, -1);
    return error_of(r, &error);
}

int bus_has_owner(const struct bus *bus, const char *name)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    int owned = 0;
    if (bus->state != BUS_OPEN)
        return -ENOTCONN;
    int r = sd.sd_bus_call_method(bus->connection, BUS_ITSELF, BUS_ITS_WAY, BUS_ITSELF,
                                  "NameHasOwner", &error, &reply, "s", name);
    if (r >= 0)
        r = sd.sd_bus_message_read(reply, "b", &owned);
    sd.sd_bus_message_unref(reply);
    r = end_of(bus, BUS_ITSELF, r, &error);
    return r < 0 ? r : owned;
}

int bus_ping(const struct bus *bus, const char *name)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    if (bus->state != BUS_OPEN)
        return -ENOTCONN;
    int r = sd.sd_bus_call_method(bus->connection, name, "/", "org.freedesktop.DBus.Peer", "Ping",
                                  &error, NULL, "");
    return end_of(bus, name, r, &error);
}

int bus_can_start(const struct bus *bus, const char *name)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    const char *known;
    int found = 0;
    if (bus->state != BUS_OPEN)
        return -ENOTCONN;
    int r = sd.sd_bus_call_method(bus->connection, BUS_ITSELF, BUS_ITS_WAY, BUS_ITSELF,
                                  "ListActivatableNames", &error, &reply, "");
    if (r >= 0)
        r = sd.sd_bus_message_enter_container(reply, 'a', "s");
    while (r >= 0 && (r = sd.sd_bus_message_read(reply, "s", &known)) > 0)
        found |= strcmp(known, name) == 0;
    sd.sd_bus_message_unref(reply);
    r = end_of(bus, BUS_ITSELF, r, &error);
    return r < 0 ? r : found;
}

int bus_get_text(const struct bus *bus, const struct bus_place *place, const char *property,
                 char *ret, size_t size)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_(cleanup_free) char *text = NULL;
    if (bus->state != BUS_OPEN)
        return -ENOTCONN;
    int r = sd.sd_bus_get_property_string(bus->connection, place->service, place->path,
                                          place->interface, property, &error, &text);
    if (r >= 0)
        snprintf(ret, size, "%s", text);
    return end_of(bus, place->service, r, &error);
}

int bus_get_bool(const struct bus *bus, const struct bus_place *place, const char *property,
                 bool *ret)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    int value = 0;
    if (bus->state != BUS_OPEN)
        return -ENOTCONN;
    int r = sd.sd_bus_get_property_trivial(bus->connection, place->service, place->path,
                                           place->interface, property, &error, 'b', &value);
    if (r >= 0)
        *ret = value != 0;
    return end_of(bus, place->service, r, &error);
}

int bus_get_number(const struct bus *bus, const struct bus_place *place, const char *property,
                   uint32_t *ret)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    uint32_t value = 0;
    if (bus->state != BUS_OPEN)
        return -ENOTCONN;
    int r = sd.sd_bus_get_property_trivial(bus->connection, place->service, place->path,
                                           place->interface, property, &error, 'u', &value);
    if (r >= 0)
        *ret = value;
    return end_of(bus, place->service, r, &error);
}

int bus_each_path(const struct bus *bus, const struct bus_place *place, const char *property,
                  bus_visit_path *visit, void *context)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    const char *path;
    if (bus->state != BUS_OPEN)
        return -ENOTCONN;
    int r = sd.sd_bus_get_property(bus->connection, place->service, place->path, place->interface,
                                   property, &error, &reply, "ao");
    if (r >= 0)
        r = sd.sd_bus_message_enter_container(reply, 'a', "o");
    for (size_t i = 0; r >= 0 && i < BUS_ITEMS_MAX; i++) {
        r = sd.sd_bus_message_read(reply, "o", &path);
        if (r <= 0)
            break;
        visit(context, path);
    }
    sd.sd_bus_message_unref(reply);
    return end_of(bus, place->service, r, &error);
}

int bus_each_session(const struct bus *bus, bus_visit_session *visit, void *context)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    const char *user, *seat;
    struct bus_session session;
    if (bus->state != BUS_OPEN)
        return -ENOTCONN;
    int r =
        sd.sd_bus_call_method(bus->connection, "org.freedesktop.login1", "/org/freedesktop/login1",
                              "org.freedesktop.login1.Manager", "ListSessions", &error, &reply, "");
    if (r >= 0)
        r = sd.sd_bus_message_enter_container(reply, 'a', "(susso)");
    for (size_t i = 0; r >= 0 && i < BUS_ITEMS_MAX; i++) {
        r = sd.sd_bus_message_read(reply, "(susso)", &session.id, &session.uid, &user, &seat,
                                   &session.path);
        if (r <= 0)
            break;
        visit(context, &session);
    }
    sd.sd_bus_message_unref(reply);
    return end_of(bus, "org.freedesktop.login1", r, &error);
}

int bus_find(const struct bus *bus, const struct bus_place *place, const char *method,
             const char *text, char ret_path[BUS_PATH_MAX])
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    const char *path = NULL;
    if (bus->state != BUS_OPEN)
        return -ENOTCONN;
    int r = sd.sd_bus_call_method(bus->connection, place->service, place->path, place->interface,
                                  method, &error, &reply, "s", text);
    if (r >= 0)
        r = sd.sd_bus_message_read(reply, "o", &path);
    if (r >= 0 && strlen(path) >= BUS_PATH_MAX)
        r = -ENAMETOOLONG;
    else if (r >= 0)
        snprintf(ret_path, BUS_PATH_MAX, "%s", path);
    sd.sd_bus_message_unref(reply);
    return end_of(bus, place->service, r, &error);
}

/* --- signals -------------------------------------------------------------------------------- */

int bus_listen(const struct bus *bus, const char *match)
{
    if (bus->state != BUS_OPEN)
        return -ENOTCONN;
    int r = sd.sd_bus_add_match(bus->connection, NULL, match, on_answer, bus->heard);
    return r < 0 ? r : 0;
}

void bus_subscribe(const struct bus *bus)
{
    sd_bus_error error = SD_BUS_ERROR_NULL;
    if (bus_has_owner(bus, "org.freedesktop.systemd1") > 0)
        (void)sd.sd_bus_call_method(bus->connection, "org.freedesktop.systemd1",
                                    "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                                    "Subscribe", &error, NULL, "");
    if (bus->state == BUS_OPEN)
        sd.sd_bus_error_free(&error);
}

int bus_process(struct bus *bus)
{
    int r = 0;
    if (bus->state != BUS_OPEN)
        return 0;
    do
        r = sd.sd_bus_process(bus->connection, NULL);
    while (r > 0);
    if (r < 0)
        fail(bus, BUS_ABSENT, r);
    return r;
}

int bus_fd(const struct bus *bus)
{
    return bus->state == BUS_OPEN ? sd.sd_bus_get_fd(bus->connection) : -1;
}

int bus_events(const struct bus *bus)
{
    int events = bus->state == BUS_OPEN ? sd.sd_bus_get_events(bus->connection) : 0;
    return events < 0 ? 0 : events;
}
