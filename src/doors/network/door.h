/*
 * door: the Network Door of one run.
 *
 * Sockets that were made inside the run's network namespace are handed to it;
 * it answers names, asks the layers about every connection, makes those that
 * they allow, and keeps count. It stands behind one descriptor in whatever loop
 * its owner has.
 */
#ifndef AM_DOORS_NETWORK_DOOR_H
#define AM_DOORS_NETWORK_DOOR_H

#include "authority/references.h"
#include "authority/verdict.h"
#include "base/base.h"
#include "base/err.h"
#include "base/loop.h"
#include "doors/network/linux/capture.h"
#include "doors/network/publish.h"
#include "doors/network/uses.h"

enum network_ruling {
    NETWORK_DENIED,
    NETWORK_PERMITTED, /* also where the layers leave it to a person, who has allowed it */
    NETWORK_ASKED,     /* a person is being asked right now: what wants it may wait */
};

/* What has to be written down, for those who may write the ledger. */
struct network_sink {
    void *context;
    /*
     * A destination and what the layers answer to it, met for the first time: an enum
     * network_ruling, durable now. -errno: it could not be written down, and so is not permitted.
     * *ret_record is kept with the entry.
     */
    int (*verdict)(void *context, const struct target *target, const struct verdict *verdict,
                   size_t *ret_record, struct err *err);
    /*
     * Whether there is more to be said of something that was left to a person (who has answered, or
     * whose answer is used up or over): asked each time that it is met again. True: `verdict` is to
     * be called once more.
     */
    bool (*is_answered)(void *context, size_t record);
    /* Takes one connector call from what the run may use; ERR_BUDGET where there is none left. */
    int (*connector_call)(void *context, struct err *err);
};

struct network_door;

struct network_door_options {
    /* Both outlive the door; the second may be NULL. */
    const struct policy *policy;
    const struct references *references;
    const struct network_sink *sink;
    const struct publish_port *ports; /* of this machine that lead inside */
    size_t port_count;
    bool keeps_here;      /* nothing leaves this machine: routes_keep_here */
    const char *git_host; /* where the repository would be pushed to; may be NULL */
    /* Asks for a socket of a family that was made inside; network_door_take is to follow. */
    void (*want_socket)(void *context, int family);
    void *want_context;
};

int network_door_open(const struct network_door_options *options, struct network_door **ret,
                      struct err *err) MUST_CHECK;
/*
 * Serves the sockets that were made inside, and writes denials to a file that the run can read (-1:
 * there is none). Both are the door's from then on, also where it fails. Once.
 */
int network_door_serve(struct network_door *door, const struct capture *sockets, int denials,
                       struct err *err) MUST_CHECK;
/* NULL is nothing. */
void network_door_close(struct network_door *door);
/* In which it stands; whoever owns the process turns it. */
struct loop *network_door_loop(const struct network_door *door);

#define NETWORK_DENIALS_MAX 64
/*
 * From now on a destination (as --deny takes it) is denied, whatever the layers say; connections to
 * it are reset. ERR_DOCUMENT: it is none; ERR_LIMIT.
 */
int network_door_deny(struct network_door *door, struct str destination,
                      struct err *err) MUST_CHECK;

/* A person has answered: what waited for that goes on. */
void network_door_answered(struct network_door *door);

/* The door's from then on. */
void network_door_take(struct network_door *door, int fd);

const struct uses *network_door_uses(const struct network_door *door);

#endif
