/*
 * publish: a port of the host's loopback that leads to a server inside.
 *
 * Whoever connects to it on the host is joined with a connection to a port of
 * the loopback inside, by sockets that were made there: nothing else leads in.
 */
#ifndef AM_DOORS_NETWORK_PUBLISH_H
#define AM_DOORS_NETWORK_PUBLISH_H

#include "base/base.h"
#include "base/err.h"
#include "base/loop.h"

#define PUBLISH_PORTS_MAX 16
#define PUBLISH_CLIENTS_MAX                                                                        \
    256                      /* at a time; what comes meanwhile waits in the listener's queue      \
                              */
#define PUBLISH_WAITS_MAX 16 /* sockets that are asked for and have not come yet */

struct publish_port {
    uint16_t host_port, port;
};

struct publish;

struct publish_options {
    struct loop *loop; /* outlives it */
    const struct publish_port *ports;
    size_t count;
    void *context;
    /* A socket of the family, made inside, is wanted; publish_take is to follow. */
    void (*want)(void *context, int family);
};

/* ERR_CONFLICT where somebody else has the port. */
int publish_new(const struct publish_options *options, struct publish **ret,
                struct err *err) MUST_CHECK;
/* Resets what is open. NULL is nothing. */
void publish_free(struct publish *publish);
/* A socket (non-blocking) that was made inside: publish's from then on. */
void publish_take(struct publish *publish, int fd);

#endif
