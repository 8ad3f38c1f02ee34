/*
 * observer: see the header.
 *
 * Theory of operation. Both buses are open with their matches set before
 * anything is looked at; signals that arrive while questions are asked are
 * taken before waiting. A bus that is not there is waited for by the folder
 * in which its socket will appear: of every path that matters, the nearest
 * folder that exists is watched, and anew after each change.
 *
 * The network is listened to from the first time that somebody asks about it.
 *
 * A socket exists a moment before anybody listens at it, and no event tells
 * when they do: such a socket is tried a few times more, SETTLE_MS apart, and
 * then only when something else happens.
 */
#include "doctor/observer.h"

#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>

#include "doctor/linux/bus.h"
#include "doctor/linux/net_events.h"
#include "doctor/linux/phase_look.h"

#define STEP_OBSERVE "observe this host"
#define SETTLE_MS    20
#define SETTLE_TIMES 50
#define EVENTS_BYTES 4096
#define FOLDER_EVENTS                                                                              \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF |            \
     IN_MOVE_SELF | IN_CLOSE_WRITE)

struct observer {
    struct bus buses[BUS_KIND_COUNT];
    bool listens, heard;
    int inotify;
    char *paths[OBSERVER_PATHS_MAX];
    size_t path_count;
    struct net_events *network; /* NULL: nobody asked about it */
    struct err failure;         /* of watching something; kept for who waits */
    int settling;               /* times left for a socket where nobody listens yet */
};

/* What may change the phase; by bus. */
static const struct {
    enum bus_kind kind;
    const char *match;
} matches[] = {
    { BUS_SYSTEM, "type='signal',sender='org.freedesktop.login1',"
                  "interface='org.freedesktop.login1.Manager'" },
    { BUS_SYSTEM, "type='signal',sender='org.freedesktop.login1',"
                  "interface='org.freedesktop.DBus.Properties'" },
    { BUS_SYSTEM, "type='signal',path='/org/freedesktop/systemd1',member='StartupFinished'" },
    { BUS_SYSTEM, "type='signal',path='/org/freedesktop/systemd1',member='JobRemoved'" },
    { BUS_SYSTEM, "type='signal',path='/org/freedesktop/systemd1',member='PropertiesChanged'" },
    { BUS_SYSTEM, "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
                  "arg0namespace='org.freedesktop'" },
    { BUS_SESSION, "type='signal',path_namespace='/org/freedesktop/secrets'" },
    { BUS_SESSION, "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
                   "arg0namespace='org'" },
};

static const char *const usual_paths[] = { "/run/nologin", "/run/systemd/sessions" };

/* --- opening -------------------------------------------------------------------------------- */

static void open_bus(struct observer *observer, enum bus_kind kind)
{
    struct bus *bus = &observer->buses[kind];
    bus_open(kind, bus);
    if (!observer->listens || bus->state != BUS_OPEN)
        return;
    bus->heard = &observer->heard;
    for (size_t i = 0; i < ARRAY_LEN(matches); i++)
        if (matches[i].kind == kind)
            (void)bus_listen(bus, matches[i].match);
    if (kind == BUS_SYSTEM)
        bus_subscribe(bus);
}

int observer_new(bool listens, struct observer **ret, struct err *err)
{
    _cleanup_(cleanup_observer) struct observer *observer = calloc(1, sizeof(*observer));
    if (!observer)
        return err_set(err, ERR_MEMORY, STEP_OBSERVE, "there is not enough memory");
    observer->listens = listens;
    observer->inotify = listens ? inotify_init1(IN_CLOEXEC | IN_NONBLOCK) : -1;
    if (listens && observer->inotify < 0)
        return err_set_errno(err, errno, STEP_OBSERVE, "watch folders");
    for (size_t i = 0; i < BUS_KIND_COUNT; i++)
        open_bus(observer, (enum bus_kind)i);
    for (size_t i = 0; i < ARRAY_LEN(usual_paths); i++)
        observer_add_path(observer, usual_paths[i]);
    *ret = TAKE_PTR(observer);
    return 0;
}

void observer_free(struct observer *observer)
{
    if (!observer)
        return;
    for (size_t i = 0; i < BUS_KIND_COUNT; i++)
        bus_close(&observer->buses[i]);
    for (size_t i = 0; i < observer->path_count; i++)
        free(observer->paths[i]);
    net_events_free(observer->network);
    if (observer->listens && observer->inotify >= 0)
        close(observer->inotify);
    free(observer);
}

const struct bus *observer_buses(const struct observer *observer)
{
    return observer->buses;
}

/* --- folders -------------------------------------------------------------------------------- */

/* Watches what a path leads to, and the nearest folder above it that exists. */
static void watch_path(struct observer *observer, struct str path)
{
    char folder[PATH_MAX];
    if (!path.len || path.len >= sizeof(folder) || path.ptr[0] != '/')
        return;
    memcpy(folder, path.ptr, path.len);
    folder[path.len] = '\0';
    (void)inotify_add_watch(observer->inotify, folder, FOLDER_EVENTS);
    for (;;) {
        char *slash = strrchr(folder, '/');
        slash[slash == folder] = '\0';
        if (inotify_add_watch(observer->inotify, folder, FOLDER_EVENTS) >= 0 || slash == folder)
            return;
    }
}

static void watch_all(struct observer *observer)
{
    for (size_t i = 0; i < observer->path_count; i++)
        watch_path(observer, str_from(observer->paths[i]));
    for (size_t i = 0; i < BUS_KIND_COUNT; i++)
        if (observer->buses[i].state != BUS_OPEN)
            watch_path(observer, bus_socket(&observer->buses[i]));
}

static bool is_watched(const struct observer *observer, const char *path)
{
    for (size_t i = 0; i < observer->path_count; i++)
        if (strcmp(observer->paths[i], path) == 0)
            return true;
    return false;
}

void observer_add_path(struct observer *observer, const char *path)
{
    if (!observer->listens || is_watched(observer, path))
        return;
    if (observer->path_count == OBSERVER_PATHS_MAX) {
        err_set(&observer->failure, ERR_LIMIT, STEP_OBSERVE, "more than %d paths are to be watched",
                OBSERVER_PATHS_MAX);
        return;
    }
    char *copy = strdup(path);
    if (!copy) {
        err_set(&observer->failure, ERR_MEMORY, STEP_OBSERVE, "there is not enough memory");
        return;
    }
    observer->paths[observer->path_count++] = copy;
    watch_path(observer, str_from(copy));
}

void observer_add_network(struct observer *observer)
{
    if (observer->listens && !observer->network &&
        net_events_new(NULL, NULL, &observer->network, &observer->failure) < 0)
        observer->network = NULL;
}

static bool drain_folders(struct observer *observer)
{
    char events[EVENTS_BYTES] __attribute__((aligned(8)));
    bool any = false;
    while (read(observer->inotify, events, sizeof(events)) > 0)
        any = true;
    return any;
}

/* --- looking and waiting -------------------------------------------------------------------- */

void observer_phase(struct observer *observer, struct phase_sight *ret)
{
    phase_look(observer->buses, ret);
}

/* Opens what was not there; whether something is open now that was not. */
static bool open_again(struct observer *observer)
{
    bool opened = false;
    for (size_t i = 0; i < BUS_KIND_COUNT; i++) {
        if (observer->buses[i].state == BUS_OPEN)
            continue;
        bus_close(&observer->buses[i]);
        open_bus(observer, (enum bus_kind)i);
        opened |= observer->buses[i].state == BUS_OPEN;
    }
    return opened;
}

static bool is_socket_refused(const struct observer *observer)
{
    for (size_t i = 0; i < BUS_KIND_COUNT; i++)
        if (observer->buses[i].refused)
            return true;
    return false;
}

/* Whether a socket stands where none was found before. */
static bool has_socket_come(const struct observer *observer)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < BUS_KIND_COUNT; i++) {
        const struct bus *bus = &observer->buses[i];
        struct str socket = bus_socket(bus);
        if (bus->state != BUS_ABSENT || bus->refused || !socket.len || socket.len >= sizeof(path))
            continue;
        memcpy(path, socket.ptr, socket.len);
        path[socket.len] = '\0';
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

/* Whether signals came, or a bus is gone. */
static bool process_buses(struct observer *observer)
{
    for (size_t i = 0; i < BUS_KIND_COUNT; i++)
        if (bus_process(&observer->buses[i]) < 0)
            observer->heard = true;
    bool heard = observer->heard;
    observer->heard = false;
    return heard;
}

/* What the network's sources are polled with; none where nobody asked about it. */
static size_t network_fds(const struct observer *observer, struct pollfd *ret)
{
    if (!observer->network)
        return 0;
    net_events_fds(observer->network, ret);
    return NET_EVENTS_SOURCES;
}

static bool has_network_changed(struct observer *observer, const struct pollfd *fds)
{
    if (!observer->network || !net_events_take(observer->network, fds))
        return false;
    net_events_settle(observer->network);
    return true;
}

int observer_wait(struct observer *observer, struct err *err)
{
    for (;;) {
        if (observer->failure.code != ERR_NONE)
            return err_set(err, observer->failure.code, STEP_OBSERVE, "%s",
                           observer->failure.cause);
        watch_all(observer);
        if (process_buses(observer) || (has_socket_come(observer) && open_again(observer)))
            return 0;
        struct pollfd fds[BUS_KIND_COUNT + 1 + NET_EVENTS_SOURCES] = { 0 };
        for (size_t i = 0; i < BUS_KIND_COUNT; i++)
            fds[i] = (struct pollfd){ .fd = bus_fd(&observer->buses[i]),
                                      .events = (short)bus_events(&observer->buses[i]) };
        fds[BUS_KIND_COUNT] = (struct pollfd){ .fd = observer->inotify, .events = POLLIN };
        struct pollfd *network = &fds[BUS_KIND_COUNT + 1];
        nfds_t count = BUS_KIND_COUNT + 1 + network_fds(observer, network);
        bool settles = observer->settling > 0 && is_socket_refused(observer);
        int n = poll(fds, count, settles ? SETTLE_MS : -1);
        if (n < 0 && errno != EINTR)
            return err_set_errno(err, errno, STEP_OBSERVE, "wait for a change");
        if (settles)
            observer->settling--;
        bool moved = drain_folders(observer);
        if (moved)
            observer->settling = SETTLE_TIMES;
        if ((moved || settles) && open_again(observer))
            return 0;
        if (moved || (n > 0 && has_network_changed(observer, network)))
            return 0;
    }
}
