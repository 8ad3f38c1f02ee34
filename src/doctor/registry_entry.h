/*
 * registry_entry: one manifest of a registry, as text.
 *
 * Readers of what programs register themselves by. Each says what the entry
 * is called and what has to be there for it to work, or by which code it is
 * broken; nothing of the host is looked at here.
 */
#ifndef AM_DOCTOR_REGISTRY_ENTRY_H
#define AM_DOCTOR_REGISTRY_ENTRY_H

#include "base/base.h"
#include "base/str.h"

#define ENTRY_NAME_MAX    256
#define ENTRY_PATH_MAX    4096
#define ENTRY_BYTES_MAX   ((size_t)4 << 20)
#define ENTRY_BLOCKED_MAX 256

enum registry_entry_kind {
    ENTRY_DESKTOP,     /* a desktop entry */
    ENTRY_SERVICE,     /* a D-Bus service */
    ENTRY_UNIT,        /* a unit of systemd */
    ENTRY_PORTAL,      /* a portal's backend */
    ENTRY_NATIVE_HOST, /* a native-messaging host */
    ENTRY_EXTENSION,   /* a browser extension */
    ENTRY_NODE,        /* package.json */
    ENTRY_KIND_COUNT,
};

struct registry_entry {
    char name[ENTRY_NAME_MAX];    /* its own, or that of who answers for it */
    char version[ENTRY_NAME_MAX]; /* empty where it has none */
    char program[ENTRY_PATH_MAX]; /* that has to be there; empty: none has to */
    bool is_optional;             /* of the program */
    bool is_hidden;               /* it says itself that it is not to be used */
    const char *fault;            /* a code, where it is broken */
};

void registry_entry_read(enum registry_entry_kind kind, struct str text,
                         struct registry_entry *ret);

/* What a browser's policy blocks: calls visit for each name; false where the text is no policy. */
typedef void registry_visit_blocked(void *context, struct str name);
bool registry_policy_read(struct str text, const char *list, registry_visit_blocked *visit,
                          void *context);
/* Desktop entries that a list of MIME types names; false where the text is none. */
bool registry_mime_read(struct str text, registry_visit_blocked *visit, void *context);
/* The programs that a package.json brings, by path within it: calls visit with name and path. */
typedef void registry_visit_program(void *context, struct str name, struct str path);
bool registry_node_read(struct str text, registry_visit_program *visit, void *context);

#endif
