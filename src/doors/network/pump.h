/*
 * pump: bytes from one socket to another and back, each way until its end.
 *
 * Who owns the sockets watches them, edge-triggered (PUMP_EVENTS), and says
 * what was heard of each; pump_move then moves what can be moved.
 */
#ifndef AM_DOORS_NETWORK_PUMP_H
#define AM_DOORS_NETWORK_PUMP_H

#include <sys/epoll.h>

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define PUMP_EVENTS         (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET)
#define PUMP_BYTES          (64 << 10) /* that are moved at once, and that are ever held one way */
#define PUMP_ROUNDS_MAX     16         /* of one pump_move: then others have their turn */
#define PUMP_PIPES_MAX      256
#define PUMP_HELD_BYTES_MAX ((size_t)32 << 20) /* by all pumps of a pool */

/* What pumps share: one buffer, and the pipes that none of them needs at the moment. */
struct pump_pool;
int pump_pool_new(struct pump_pool **ret, struct err *err) MUST_CHECK;
/* No pump uses it any more. NULL is nothing. */
void pump_pool_free(struct pump_pool *pool);
/* PUMP_BYTES, for whoever wants to look at bytes before they are moved. */
char *pump_pool_buffer(struct pump_pool *pool);

enum pump_side { PUMP_CLIENT, PUMP_SERVER };

struct pump_socket {
    int fd;             /* non-blocking; the owner's */
    bool readable;      /* until it was tried */
    bool writable;      /* until it was tried */
    bool to_the_end;    /* a short read does not say that there is no more */
    bool ends;          /* what it sends: the end has come */
    bool gone;          /* it cannot be read any more, and this was no end */
    bool ended, closed; /* what it sends has ended; what is sent to it has been ended */
};

/* What one side has sent and the other has not taken yet. */
struct pump_half {
    char *held;
    uint32_t held_at, held_end;
    int pipe[2];
    uint32_t in_pipe;
    bool broken; /* the other side takes no more */
    bool bulk;   /* the last read was full: the next bytes are not copied */
};

struct pump {
    struct pump_pool *pool;
    struct pump_socket sockets[2];
    struct pump_half halves[2]; /* by the side that sends */
    uint64_t *counts[2];        /* by the side that sent, where they are not NULL; see use_add */
};

void pump_init(struct pump *pump, struct pump_pool *pool, int client, int server);
/* Gives back what it has of the pool; the sockets stay open. */
void pump_release(struct pump *pump);

/* Takes what it has of its pool to another; both are the caller's. */
void pump_change_pool(struct pump *pump, struct pump_pool *to);

/* The first bytes to a server, before any that the client sends from now on. 0 or -errno. */
int pump_put_first(struct pump *pump, struct str bytes) MUST_CHECK;

void pump_hear(struct pump *pump, enum pump_side side, uint32_t events);

enum pump_state {
    PUMP_WAITS,
    PUMP_HAS_MORE, /* call again, when others have had their turn */
    PUMP_ENDED,    /* both ways, and everything is delivered */
    PUMP_BROKEN,   /* one side went away, and everything that could be is delivered */
    PUMP_FULL,     /* more than PUMP_HELD_BYTES_MAX would be held, or there is no memory */
};
enum pump_state pump_move(struct pump *pump) MUST_CHECK;

#endif
