/*
 * bus: questions to the services of the system and of the session.
 *
 * libsystemd is opened when a bus is. A bus is absent (no socket, or no
 * library), silent (a socket where nobody answers in time) or open. Nothing
 * is started by being asked: a name that nobody owns is not called. Every
 * question ends within BUS_WAIT_US; a service that has not answered by then is
 * heard when it does, by whoever listens.
 */
#ifndef AM_DOCTOR_LINUX_BUS_H
#define AM_DOCTOR_LINUX_BUS_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

#define BUS_WAIT_US   UINT64_C(2000000)
#define BUS_PATH_MAX  256
#define BUS_ITEMS_MAX 256 /* of a list that is walked */

struct sd_bus;

enum bus_kind { BUS_SYSTEM, BUS_SESSION, BUS_KIND_COUNT };
enum bus_state { BUS_ABSENT, BUS_SILENT, BUS_OPEN };

struct bus {
    struct sd_bus *connection; /* unless absent */
    enum bus_state state;
    bool refused;           /* there is a socket, and nobody listens (yet) */
    bool is_named;          /* the environment names it */
    bool *heard;            /* of whoever listens; NULL: nobody does */
    char why[BUS_PATH_MAX]; /* unless open */
    char address[BUS_PATH_MAX + sizeof("unix:path=")];
};

extern const char *const bus_names[BUS_KIND_COUNT];

void bus_open(enum bus_kind kind, struct bus *ret);
void bus_close(struct bus *bus);
/* The socket that an address leads to, for whoever waits for it; empty where it has no path. */
struct str bus_socket(const struct bus *bus);

/* Shows a notification on the desktop: 0, or -errno where nobody shows any. */
int bus_notify(const struct bus *bus, const char *summary, const char *body);

/* Where a property stands. */
struct bus_place {
    const char *service, *path, *interface;
};

/* 1 or 0; -errno where the bus did not say. */
int bus_has_owner(const struct bus *bus, const char *name);
/* Whether who owns a name answers at all: 0, -EACCES where the bus forbids asking, or -errno. */
int bus_ping(const struct bus *bus, const char *name);
/* Whether somebody would be started for this name. */
int bus_can_start(const struct bus *bus, const char *name);

/* A property. 0, -ENOENT where the object does not have it, -EACCES where asking is refused, or
 * another -errno. */
int bus_get_text(const struct bus *bus, const struct bus_place *place, const char *property,
                 char *ret, size_t size);
int bus_get_bool(const struct bus *bus, const struct bus_place *place, const char *property,
                 bool *ret);
int bus_get_number(const struct bus *bus, const struct bus_place *place, const char *property,
                   uint32_t *ret);
/* Calls visit for each path of a property of paths. */
typedef void bus_visit_path(void *context, const char *path);
int bus_each_path(const struct bus *bus, const struct bus_place *place, const char *property,
                  bus_visit_path *visit, void *context);

/* The sessions that the session manager knows. */
struct bus_session {
    const char *id, *path;
    uint32_t uid;
};
typedef void bus_visit_session(void *context, const struct bus_session *session);
int bus_each_session(const struct bus *bus, bus_visit_session *visit, void *context);
/* The path that a method with one text gives, such as a unit's. */
int bus_find(const struct bus *bus, const struct bus_place *place, const char *method,
             const char *text, char ret_path[BUS_PATH_MAX]);

/* From now on *bus->heard becomes true when such a signal comes (read in bus_process). */
int bus_listen(const struct bus *bus, const char *match);
/* Asks the service manager to send signals at all. */
void bus_subscribe(const struct bus *bus);
/* Takes what has arrived; -errno where the bus is gone. */
int bus_process(struct bus *bus);
/* For poll. */
int bus_fd(const struct bus *bus);
int bus_events(const struct bus *bus);

#endif
