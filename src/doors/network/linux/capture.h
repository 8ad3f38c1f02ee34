/*
 * capture: every connection of a network namespace, brought to the door.
 *
 * Called from within a namespace that nothing leads out of. Afterwards each
 * TCP connection to any address, and each question to any name server, arrives
 * at sockets that were made inside and can be served from outside.
 */
#ifndef AM_DOORS_NETWORK_LINUX_CAPTURE_H
#define AM_DOORS_NETWORK_LINUX_CAPTURE_H

#include "base/base.h"
#include "base/err.h"

/* What the resolver is reached at, from inside; of the synthetic ranges (names.h). */
#define CAPTURE_IPV4 "198.18.0.1"
#define CAPTURE_IPV6 "fd61:6d61:6368::1"

/* Where a proxy is found at the loopback inside, by who insists on one. */
#define CAPTURE_PROXY_PORT 3128
/* Where the Model Door is, which clients of models find by their settings. */
#define CAPTURE_MODEL_PORT 11434

enum capture_kind {
    CAPTURE_FLOWS,
    CAPTURE_NAMES_UDP,
    CAPTURE_NAMES_TCP,
    CAPTURE_PROXY,
    CAPTURE_MODEL, /* not the network door's */
};

struct capture_socket {
    enum capture_kind kind;
    int fd;
};
#define CAPTURE_SOCKETS_MAX 64

struct capture {
    struct capture_socket sockets[CAPTURE_SOCKETS_MAX];
    size_t count;
    bool by_routes; /* without netfilter: some ports alone lead to the door */
};

/* Raises the loopback interface and makes the capture. On failure no socket is left. */
int capture_open(struct capture *ret, struct err *err) MUST_CHECK;
/* What this host would make of it, found out by trying, in a process of its own. */
enum capture_means { CAPTURE_BY_NETFILTER, CAPTURE_BY_ROUTES, CAPTURE_IMPOSSIBLE };
enum capture_means capture_try(void);
/* Takes the first socket of a kind out of it; -1: there is none. */
int capture_take(struct capture *capture, enum capture_kind kind);
void capture_close(struct capture *capture);

#endif
