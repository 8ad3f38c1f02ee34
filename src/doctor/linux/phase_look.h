/* phase_look: what this Linux host says of its boot and its session. */
#ifndef AM_DOCTOR_LINUX_PHASE_LOOK_H
#define AM_DOCTOR_LINUX_PHASE_LOOK_H

#include "doctor/linux/bus.h"
#include "doctor/phase.h"

void phase_look(const struct bus buses[BUS_KIND_COUNT], struct phase_sight *ret);

/* How the user's secrets are kept. */
struct keyring_sight {
    enum keyring_fact state; /* of the default collection */
    char collection[64];     /* its name; empty where there is none */
    char why[PHASE_TEXT_MAX];
};
#define KEYRING_SERVICE "org.freedesktop.secrets"
/* Calls visit, unless it is NULL, with the name of each collection that is open. */
typedef void keyring_visit(void *context, const char *collection);
void keyring_look(const struct bus *session, keyring_visit *visit, void *context,
                  struct keyring_sight *ret);

/* The portals, by the words of documents. */
struct portal_row {
    const char *name, *interface;
};
#define PORTAL_SERVICE "org.freedesktop.portal.Desktop"
extern const struct portal_row portal_rows[];
extern const size_t portal_rows_count;
/* Of the portal service, which somebody owns: 0, -ENOENT where it does not offer this one, or
 * another -errno where it does not answer. */
int portal_ask(const struct bus *session, const char *interface, uint32_t *ret_version);

#endif
