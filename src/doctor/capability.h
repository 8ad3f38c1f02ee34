/*
 * capability: what can be found out about one capability on this host.
 *
 * A contract names a capability, and behind a colon the object it means:
 * `files.write:/srv/data`, `bus.session:org.freedesktop.Notifications`. Each
 * capability is a row of one table with its probe; a probe looks, changes
 * nothing, starts nobody, and says what it saw, who decided, and the smallest
 * thing that somebody could do about it.
 */
#ifndef AM_DOCTOR_CAPABILITY_H
#define AM_DOCTOR_CAPABILITY_H

#include "authority/verdict.h"
#include "base/base.h"
#include "base/str.h"
#include "doctor/observer.h"

/* What was found: the word for people, and the decision of a CapabilityGrantState. */
#define FOUND_TABLE(X)                                                                             \
    X(FOUND_GRANTED, "granted", "granted")                                                         \
    X(FOUND_PARTLY, "partly", "degraded")                                                          \
    X(FOUND_DENIED, "denied", "denied")                                                            \
    X(FOUND_ASK, "ask", "ask")                                                                     \
    X(FOUND_LOCKED, "locked", "ask")                                                               \
    X(FOUND_MISSING, "missing", "unavailable")                                                     \
    X(FOUND_BROKEN, "broken", "unavailable")                                                       \
    X(FOUND_UNKNOWN, "unknown", "unknown")

#define GRANT_SOURCE_TABLE(X)                                                                      \
    X(SOURCE_POLICY, "policy")                                                                     \
    X(SOURCE_USER_CONSENT, "user-consent")                                                         \
    X(SOURCE_BROKER, "broker")                                                                     \
    X(SOURCE_AMBIENT_HOST, "ambient-host")                                                         \
    X(SOURCE_KERNEL, "kernel")                                                                     \
    X(SOURCE_PORTAL, "portal")                                                                     \
    X(SOURCE_INHERITED, "inherited")                                                               \
    X(SOURCE_UNAVAILABLE, "unavailable")

#define FOUND_ENUM(name, word, decision) name,
enum found { FOUND_TABLE(FOUND_ENUM) FOUND_COUNT };
#undef FOUND_ENUM
#define SOURCE_ENUM(name, text) name,
enum grant_source { GRANT_SOURCE_TABLE(SOURCE_ENUM) SOURCE_COUNT };
#undef SOURCE_ENUM
extern const char *const found_words[FOUND_COUNT];
extern const char *const found_decisions[FOUND_COUNT];
extern const char *const grant_source_names[SOURCE_COUNT];

#define CAPABILITY_TEXT_MAX 512

struct capability_state {
    enum found found;
    enum grant_source source;
    char object[CAPABILITY_TEXT_MAX]; /* what it was about; empty: nothing in particular */
    char seen[CAPABILITY_TEXT_MAX];   /* a clause */
    char remedy[CAPABILITY_TEXT_MAX]; /* a sentence; empty where it is granted */
    char rule[CAPABILITY_TEXT_MAX];   /* that decided; empty where none did */
};

/* What probes look with. */
struct surroundings {
    struct observer *observer;
    const struct policy *policy; /* NULL: no layer says anything */
};

struct capability_row;
typedef void capability_probe(const struct surroundings *around, const struct capability_row *row,
                              const char *object, struct capability_state *ret);

struct capability_row {
    const char *name, *operation;
    const char *object; /* where the contract names none; NULL: none in particular */
    capability_probe *probe;
    int how;            /* of the probe */
    const char *portal; /* the interface of the portal that can do it instead; NULL: none */
};

/* NULL where the name is none of the table's. */
const struct capability_row *capability_find(struct str name);
/* The rows, for those who list them. */
const struct capability_row *capability_at(size_t index);

/*
 * Looks at one capability as a contract names it, with its object. What no row knows is unknown.
 * `ret_row` is NULL then.
 */
void capability_look(const struct surroundings *around, struct str capability,
                     const struct capability_row **ret_row, struct capability_state *ret);

/* For probes: each sets what was found, with a clause; the remedy of a second call is kept. */
void capability_set(struct capability_state *state, enum found found, enum grant_source source,
                    const char *format, ...) PRINTF_LIKE(4, 5);
void capability_remedy(struct capability_state *state, const char *format, ...) PRINTF_LIKE(2, 3);

/* The probes (linux/probe_*.c, probe_network.c). */
capability_probe probe_file, probe_device, probe_socket, probe_bus, probe_broker, probe_secrets,
    probe_kernel_keyring, probe_portal, probe_unit, probe_display, probe_network, probe_netlink,
    probe_radio, probe_user_namespace, probe_control_group, probe_held, probe_package;

/* By `how`. */
enum file_how { FILE_READ, FILE_WRITE, FILE_EXECUTE, FILE_HOW_COUNT };

#endif
